//! `chronon-run runs`.

use chronon_run_project::{
    failure::Failure,
    output::{json, print},
    runs::history,
};
use chronon_run_report::count;

use crate::cli::{Output, RunsArgs, RunsCommand};

/// How many runs `runs` lists.
const NEWEST: u32 = 30;

pub(crate) fn run(args: &RunsArgs) -> Result<(), Failure> {
    let context = args.target.project()?;
    context.check_ledger_readable()?;
    // Before the first run there is none, and none is made.
    let mut ledger = context.existing_ledger();
    let text = match &args.command {
        None => {
            let runs = ledger.as_mut().map(|ledger| ledger.runs(NEWEST));
            let runs = runs.unwrap_or_default();
            match args.output {
                Output::Text => history::text(&runs),
                Output::Json => json(&runs)?,
            }
        }
        Some(RunsCommand::Show { id }) => {
            let run = ledger.as_mut().and_then(|ledger| ledger.run(id));
            let run = run.ok_or_else(|| history::no_run(id))?;
            match args.output {
                Output::Text => history::detail_text(&run),
                Output::Json => json(&run)?,
            }
        }
        Some(RunsCommand::Prune { keep }) => {
            let forgotten = ledger.as_mut();
            let forgotten = forgotten.map(|ledger| history::prune(&context, ledger, *keep));
            let forgotten = forgotten.transpose()?.unwrap_or_default();
            match args.output {
                Output::Text => format!("forgot {}\n", count(forgotten.len() as u64, "run")),
                Output::Json => json(&forgotten)?,
            }
        }
    };
    print(&text)?;
    ledger.iter_mut().for_each(history::report_notices);
    Ok(())
}
