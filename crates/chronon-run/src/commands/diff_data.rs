//! `chronon-run diff --data`: what the confs as they are now make of days that are filled, row by row.

use chronon_run_exec::signals;
use chronon_run_project::{
    changes::{
        confs::Changes,
        rows::{self, Compared, Comparer},
    },
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    output::{list, print},
    scratch::Scratch,
};

use crate::cli::{DiffArgs, Output, SelectArgs};

pub(crate) fn run(args: &DiffArgs) -> Result<(), Failure> {
    let context = Project::load()?;
    let select = match args.select.is_empty() {
        true => edited(&context)?,
        false => args.select.clone(),
    };
    if select.is_empty() {
        return match args.output {
            Output::Json => print(&list("tables", &[] as &[Compared])?),
            Output::Text => print("no conf was edited since its tables were filled\n"),
        };
    }
    let (_listener, control) = signals::listen()?;
    let warehouse = CatalogSession::open(&context.workspace)?;
    let days = rows::days(&context, &warehouse, &args.days.as_days(), &select)?;
    let scratch = Scratch::enter(&select, &warehouse)?;
    let ended = scratch.fill(&warehouse, &control, &days, args.jobs)?;
    if ended.stopped() {
        let outcome = ended.outcome();
        scratch.end(true)?;
        return outcome;
    }
    let comparer = Comparer {
        project: &context,
        scratch: &scratch,
        warehouse: &warehouse,
        on: &args.on,
        columns: &args.columns,
        limit: args.limit,
    };
    let found = comparer.compare(&ended, &days)?;
    scratch.end(false)?;
    match args.output {
        Output::Json => print(&list("tables", &found)?)?,
        Output::Text => rows::page(&found).print()?,
    }
    ended.outcome()?;
    match args.exit_code && found.iter().any(Compared::differs) {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}

/// The confs that were edited since their tables were filled.
fn edited(context: &Project) -> Result<SelectArgs, Failure> {
    let found = Changes::of(context, &SelectArgs::default())?;
    Ok(SelectArgs {
        selectors: found.edited_names().into_iter().collect(),
        ..SelectArgs::default()
    })
}
