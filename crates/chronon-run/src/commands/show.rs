//! `chronon-run show`: rows of a table, or what its columns look like.

use chronon_run_engine::query;
use chronon_run_project::{
    failure::Failure,
    fetching,
    listing::session::CatalogSession,
    loading::project::Project,
    output::{document, note, print},
    rows::{self, Asked, Place, Rows, Target},
};
use chronon_run_report::count;
use chronon_run_rows::Profile;

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
    let asked = Asked {
        columns: &args.columns,
        condition: condition.as_deref(),
        // A profile is of all rows.
        limit: (!args.profile && args.limit > 0).then_some(args.limit),
    };
    let found = Rows::read(&context, &warehouse, &place, &asked)?;
    let what = rows::of_place(&place);
    if args.profile {
        let profile = Profile::of(&found.columns(), found.rows()).map_err(rows::failure)?;
        note(&format!("{} of {what}", count(profile.rows, "row")));
        return rows::print_profile(&profile, args.output);
    }
    let summary = rows::print(&found.columns(), found.rows(), args.output)?;
    note(&rows::shown_text(&summary, found.total, &what));
    Ok(())
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
    print(&match as_json {
        true => document(&found)?,
        false => found.text(),
    })
}
