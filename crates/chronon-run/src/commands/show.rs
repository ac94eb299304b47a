//! `chronon-run show`: rows of a table, or what its columns look like.

use chronon_run_engine::query;
use chronon_run_project::{
    failure::Failure,
    fetching,
    listing::session::CatalogSession,
    loading::project::Project,
    output::{json, note, print},
    rows::{self, Found, Place, Target},
};
use chronon_run_report::count;
use chronon_run_rows::{Column, Profile, RowsError, Summary, Value};

use crate::cli::{RowsOutput, ShowArgs};

pub(crate) fn run(args: &ShowArgs) -> Result<(), Failure> {
    if args.online {
        return online(args);
    }
    let condition = args.condition.as_deref().map(query::condition).transpose();
    let condition = condition.map_err(|error| Failure::setup(format!("--where: {error}")))?;
    let context = args.target.project()?;
    let name = &args.table.asset;
    let target = Target::of(&context, name)?;
    let warehouse = CatalogSession::look(&context.workspace)?;
    warehouse.check_rows(&context.workspace)?;
    let place = Place::of(&context, &warehouse, &target, name, args.table.ds)?;
    let found = match (warehouse.catalog(), &condition) {
        (Some(catalog), None) => rows::find(catalog, &place)?,
        _ => Found::NeedsSpark("--where is for Spark to answer".to_owned()),
    };
    match found {
        Found::Rows(scan) => {
            let scan = match args.columns.as_slice() {
                [] => scan,
                names => scan.select(names).map_err(rows::failure)?,
            };
            let total = scan.row_count();
            let limit = limit(args);
            show(args, &place, &scan.columns(), scan.rows(limit), Some(total))
        }
        Found::NeedsSpark(why) => {
            note(&format!("note: {why}, so Spark reads it"));
            with_spark(args, &context, &warehouse, &place, condition.as_deref())
        }
    }
}

/// What is served for a key, beside the row of the table.
fn online(args: &ShowArgs) -> Result<(), Failure> {
    let as_json = match args.output {
        RowsOutput::Table => false,
        RowsOutput::Json => true,
        RowsOutput::Csv | RowsOutput::Parquet => {
            return Err(Failure::setup("--online is shown as a table or as JSON"));
        }
    };
    let context = Project::load()?;
    let found = fetching::fetch(&context, &args.table.asset, args.table.ds, &args.key)?;
    if as_json {
        return print(&json(&found)?);
    }
    let mut text = format!(
        "{} {}\n",
        found.group_by,
        serde_json::Value::from(found.keys)
    );
    text += &match &found.online {
        serde_json::Value::Null => format!("online  nothing in {}\n", found.dataset),
        value => format!("online  {value}\n"),
    };
    let day = found.ds.map(|day| format!(" {day}")).unwrap_or_default();
    match found.batch.as_slice() {
        [] => {
            let why = found.no_batch.as_deref().unwrap_or("no row of this key");
            text += &format!("batch{day}  {why}\n");
        }
        rows => rows
            .iter()
            .for_each(|row| text += &format!("batch{day}  {row}\n")),
    }
    print(&text)
}

fn with_spark(
    args: &ShowArgs,
    context: &Project,
    warehouse: &CatalogSession,
    place: &Place,
    condition: Option<&str>,
) -> Result<(), Failure> {
    // One more than is shown tells whether there are more.
    let limit = limit(args).map(|limit| limit.saturating_add(1));
    let query = rows::select(place, &args.columns, condition);
    let answer = rows::rows_of(context, warehouse, &query, limit)?;
    let scan = &answer.scan;
    let read = scan.row_count();
    let total = limit.is_none_or(|limit| read < limit).then_some(read);
    let shown = self::limit(args);
    show(args, place, &scan.columns(), scan.rows(shown), total)
}

/// How many rows are shown; a profile is of all.
fn limit(args: &ShowArgs) -> Option<u64> {
    (!args.profile && args.limit > 0).then_some(args.limit)
}

fn show(
    args: &ShowArgs,
    place: &Place,
    columns: &[Column],
    found: impl Iterator<Item = Result<Vec<Value>, RowsError>>,
    total: Option<u64>,
) -> Result<(), Failure> {
    if args.profile {
        let profile = Profile::of(columns, found).map_err(rows::failure)?;
        note(&format!(
            "{} of {}",
            count(profile.rows, "row"),
            what(place)
        ));
        return rows::print_profile(&profile, args.output);
    }
    let summary = rows::print(columns, found, args.output)?;
    note(&shown(&summary, total, &what(place)));
    Ok(())
}

fn what(place: &Place) -> String {
    match place.day {
        Some(day) => format!("{} on {day}", place.table),
        None => place.table.to_string(),
    }
}

fn shown(summary: &Summary, total: Option<u64>, what: &str) -> String {
    match total {
        Some(0) => format!("{what} has no rows"),
        Some(total) if total == summary.rows => format!("{} of {what}", count(total, "row")),
        Some(total) => format!(
            "{} of {total} rows of {what}; --limit N shows more, --limit 0 all",
            summary.rows
        ),
        None => format!(
            "the first {} of {what}; --limit N shows more, --limit 0 all",
            count(summary.rows, "row")
        ),
    }
}
