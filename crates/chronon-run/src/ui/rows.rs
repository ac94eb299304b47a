//! The first rows of a day, and what the columns of a day or of the last days look like.

use chronon_run_core::{AssetId, Ds};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    rows::{self, Found, Place, Target},
};
use chronon_run_rows::{ColumnProfile, Profile, Scan, Value};
use chronon_run_ui::{Bins, ColumnDays, ColumnFigures, ColumnHistory, Rows};

/// Rows that are shown.
const FIRST: u64 = 100;
/// A day with more rows is not profiled, so that a page stays quick.
const PROFILED: u64 = 100_000;
/// So many of the newest days are looked at, and of all of them together so many values and bytes.
const DAYS: usize = 14;
const VALUES: u64 = 2_000_000;
const BYTES: u64 = 64 << 20;

/// The first rows of a day of an asset, or of the newest day, if they can be read without Spark.
pub(super) fn first(context: &Project, asset: &AssetId, ds: Option<Ds>) -> Result<Rows, Failure> {
    let table = Table::of(context, asset)?;
    let (warehouse, target) = (&table.warehouse, &table.target);
    let place = Place::of(context, warehouse, target, &table.name, ds)?;
    read(&table.scan(context, &place)?, place.day)
}

/// The table of an asset, whose rows may be read.
struct Table {
    name: String,
    target: Target,
    warehouse: CatalogSession,
}

impl Table {
    fn of(context: &Project, asset: &AssetId) -> Result<Self, Failure> {
        let name = asset.to_string();
        let target = Target::of(context, &name)?;
        let warehouse = CatalogSession::look(&context.workspace)?;
        warehouse.check_rows(&context.workspace)?;
        Ok(Self {
            name,
            target,
            warehouse,
        })
    }

    /// The rows at one place, if they can be read without Spark.
    fn scan(&self, context: &Project, place: &Place) -> Result<Scan, Failure> {
        let Some(catalog) = self.warehouse.catalog() else {
            return Err(self.target.missing(context, &self.name));
        };
        match rows::find(catalog, place)? {
            Found::Rows(scan) => Ok(scan),
            Found::NeedsSpark(why) => Err(Failure::hinted(
                format!("only Spark can read these rows: {why}"),
                format!("`chronon-run show {}` starts it", self.name),
            )),
        }
    }
}

/// What the columns of the newest days of an asset look like, if they can be read without Spark.
pub(super) fn columns(context: &Project, asset: &AssetId) -> Result<ColumnHistory, Failure> {
    let table = Table::of(context, asset)?;
    let (warehouse, target, name) = (&table.warehouse, &table.target, &table.name);
    let storage = rows::storage(context, warehouse, target, name)?;
    let places = Place::newest(context, target, storage, DAYS);
    let mut history = ColumnHistory::default();
    let (mut values, mut bytes) = (0, 0);
    for place in &places {
        let scan = table.scan(context, place)?;
        values += scan.row_count().saturating_mul(scan.columns().len() as u64);
        bytes += scan.byte_count();
        if scan.row_count() > PROFILED || values > VALUES || bytes > BYTES {
            break;
        }
        history.days.extend(place.day);
        add(&mut history.columns, &scan, place)?;
    }
    history.left_out = places.len() - history.days.len();
    history.days.reverse();
    for column in &mut history.columns {
        column.days.reverse();
    }
    match history.days.is_empty() {
        true => Err(Failure::hinted(
            match places.is_empty() {
                true => "no filled day is known".to_owned(),
                false => "the newest day holds too much for a page".to_owned(),
            },
            format!("`chronon-run show {name} --profile` looks at a whole day"),
        )),
        false => Ok(history),
    }
}

/// Adds the figures of a day; the first day that is added is the newest.
fn add(columns: &mut Vec<ColumnDays>, scan: &Scan, place: &Place) -> Result<(), Failure> {
    let profile = Profile::of(&scan.columns(), scan.rows(None)).map_err(rows::failure)?;
    let shown = profile.columns.iter();
    let shown = shown.filter(|column| Some(&column.column.name) != place.day_column.as_ref());
    for (at, column) in shown.enumerate() {
        if columns.len() == at {
            columns.push(of_newest(column));
        }
        columns[at].days.push(ColumnFigures {
            null_share: (profile.rows > 0).then(|| column.nulls as f64 / profile.rows as f64),
            distinct: column.distinct,
            mean: column.mean,
        });
    }
    Ok(())
}

fn of_newest(column: &ColumnProfile) -> ColumnDays {
    let bins = column.histogram.as_ref().map(|histogram| Bins {
        least: histogram.least,
        greatest: histogram.greatest,
        counts: histogram.counts.clone(),
    });
    ColumnDays {
        name: column.column.name.clone(),
        kind: column.column.data_type.to_string(),
        days: Vec::new(),
        bins,
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
