//! Runs that a page starts and stops: children of their own session, as if a user had typed the command.

use chronon_run_core::CommandLine;
use chronon_run_ledger::RunState;
use chronon_run_process::{Detached, ask_to_end};
use chronon_run_project::{failure::Failure, loading::project::Project, program::own_program};
use chronon_run_ui::Action;

use crate::cli::SelectArgs;

pub(super) fn act(context: &Project, action: &Action) -> Result<String, Failure> {
    match action {
        Action::Materialize(form) => {
            // Wrong selectors and days are reported on the page, not in a log.
            context.select(&selected(&form.select), false)?;
            start(context, form.materialize())
        }
        Action::Retry(run) => {
            known(context, run)?;
            start(context, ["retry", "--", run].map(str::to_owned).to_vec())
        }
        Action::Stop(run) => stop(context, run),
    }
}

fn start(context: &Project, arguments: Vec<String>) -> Result<String, Failure> {
    let program = own_program()?;
    let text = format!("chronon-run {}", arguments.join(" "));
    let command = CommandLine {
        argv: std::iter::once(program.display().to_string())
            .chain(arguments)
            .collect(),
        ..CommandLine::default()
    };
    let state = &context.workspace.state_dir;
    let log = state.join("ui.log");
    Detached::start(&command, &log, &state.display().to_string(), "ui").map_err(Failure::setup)?;
    Ok(text)
}

fn known(context: &Project, run: &str) -> Result<(), Failure> {
    let found = context
        .existing_ledger()
        .and_then(|mut ledger| ledger.run(run));
    found
        .map(|_| ())
        .ok_or_else(|| Failure::setup(format!("there is no run `{run}`")))
}

/// As Ctrl-C does: steps are ended in order, and what is filled stays.
fn stop(context: &Project, run: &str) -> Result<String, Failure> {
    known(context, run)?;
    let mut ledger = context.existing_ledger();
    let running = ledger.as_mut().and_then(|ledger| {
        let record = ledger.run(run)?.record;
        (record.state == RunState::Running)
            .then(|| ledger.owner(run))
            .flatten()
    });
    match running {
        Some(owner) if ask_to_end(owner) => Ok(format!("asked run {run} to end")),
        _ => Err(Failure::setup(format!(
            "run {run} does not run any more, or is not of this user"
        ))),
    }
}

/// Selectors as a user types them, separated by spaces.
pub(super) fn selected(text: &str) -> SelectArgs {
    SelectArgs {
        select: text.split_whitespace().map(str::to_owned).collect(),
        ..SelectArgs::default()
    }
}
