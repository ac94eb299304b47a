//! `chronon-run runs`.

use chronon_run_ledger::{RunDetail, RunRecord};
use chronon_run_project::{
    failure::Failure,
    output::{Page, document, list},
    program::now_millis,
    runs::history,
};
use chronon_run_report::{STEP_COLUMNS, count, messages_text, run_rows, step_rows};

use crate::cli::{Output, RunsArgs, RunsCommand};

/// How many runs `runs` lists.
const NEWEST: u32 = 30;

pub(crate) fn run(args: &RunsArgs) -> Result<(), Failure> {
    let context = args.target.project()?;
    context.check_ledger_readable()?;
    // Before the first run there is none, and none is made.
    let mut ledger = context.existing_ledger();
    let mut page = Page::default();
    match &args.command {
        None => {
            let runs = ledger.as_mut().map(|ledger| ledger.runs(NEWEST));
            let runs = runs.unwrap_or_default();
            match args.output {
                Output::Text => add_runs(&mut page, &runs),
                Output::Json => page.whole(&list("runs", &runs)?),
            }
        }
        Some(RunsCommand::Show { id }) => {
            let run = ledger.as_mut().and_then(|ledger| ledger.run(id));
            let run = run.ok_or_else(|| history::no_run(id))?;
            match args.output {
                Output::Text => add_run(&mut page, &run),
                Output::Json => page.whole(&document(&run)?),
            }
        }
        Some(RunsCommand::Prune { keep }) => {
            let forgotten = ledger.as_mut();
            let forgotten = forgotten.map(|ledger| history::prune(&context, ledger, *keep));
            let forgotten = forgotten.transpose()?.unwrap_or_default();
            match args.output {
                Output::Text => {
                    page.say(&format!(
                        "forgot {}\n",
                        count(forgotten.len() as u64, "run")
                    ));
                }
                Output::Json => page.whole(&list("forgotten", &forgotten)?),
            }
        }
    }
    page.print()?;
    ledger.iter_mut().for_each(history::report_notices);
    Ok(())
}

/// A line for each run.
fn add_runs(page: &mut Page, runs: &[RunRecord]) {
    if runs.is_empty() {
        return page.say("nothing was run yet\n");
    }
    let (columns, rows) = run_rows(runs, now_millis());
    page.table(&columns, &rows);
}

/// A run with its steps, and what their attempts reported.
fn add_run(page: &mut Page, run: &RunDetail) {
    add_runs(page, std::slice::from_ref(&run.record));
    page.say("\n");
    page.table(&STEP_COLUMNS, &step_rows(run));
    page.whole(&messages_text(run));
}
