//! The first rows of a day, and what its columns look like.

use chronon_run_core::{AssetId, Ds};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    rows::{self, Found, Place, Target},
};
use chronon_run_rows::{Profile, Scan, Value};
use chronon_run_ui::Rows;

/// Rows that are shown.
const FIRST: u64 = 100;
/// A day with more rows is not profiled, so that a page stays quick.
const PROFILED: u64 = 100_000;

/// The first rows of a day of an asset, or of the newest day, if they can be read without Spark.
pub(super) fn first(context: &Project, asset: &AssetId, ds: Option<Ds>) -> Result<Rows, Failure> {
    let name = asset.to_string();
    let target = Target::of(context, &name)?;
    let warehouse = CatalogSession::look(&context.workspace)?;
    warehouse.check_rows(&context.workspace)?;
    let Some(catalog) = warehouse.catalog() else {
        return Err(target.missing(context, &name));
    };
    let place = Place::of(context, &warehouse, &target, &name, ds)?;
    match rows::find(catalog, &place)? {
        Found::Rows(scan) => read(&scan, place.day),
        Found::NeedsSpark(why) => Err(Failure::hinted(
            format!("only Spark can read these rows: {why}"),
            format!("`chronon-run show {name}` starts it"),
        )),
    }
}

fn read(scan: &Scan, ds: Option<Ds>) -> Result<Rows, Failure> {
    let columns = scan.columns();
    let texts = |row: Vec<Value>| row.iter().map(Value::shown).collect::<Vec<_>>();
    let read = scan.rows(Some(FIRST)).map(|row| row.map(texts));
    let rows = read.collect::<Result<Vec<_>, _>>().map_err(rows::failure)?;
    let total = scan.row_count();
    let profile = match total {
        1..=PROFILED => {
            let profile = Profile::of(&columns, scan.rows(None)).map_err(rows::failure)?;
            profile.as_rows(true).1.into_iter().map(texts).collect()
        }
        _ => Vec::new(),
    };
    let columns = columns
        .iter()
        .map(|column| (column.name.clone(), column.data_type.to_string()));
    Ok(Rows {
        ds,
        columns: columns.collect(),
        rows,
        total,
        profile,
    })
}
