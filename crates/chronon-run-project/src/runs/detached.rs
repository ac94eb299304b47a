//! Runs in processes of their own, which are started, and asked to end, by another one.

use chronon_run_core::CommandLine;
use chronon_run_ledger::RunState;
use chronon_run_process::{Detached, ask_to_end};

use crate::{
    failure::Failure, loading::project::Project, program::own_program, runs::history::no_run,
};

/// Starts this program with these arguments in a session of its own. Returns the command as a user would have
/// typed it.
pub fn start(context: &Project, arguments: Vec<String>) -> Result<String, Failure> {
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

/// Fails if there is no such run.
pub fn check_known(context: &Project, run: &str) -> Result<(), Failure> {
    let ledger = context.existing_ledger();
    let found = ledger.and_then(|mut ledger| ledger.run(run));
    found.map(drop).ok_or_else(|| no_run(run))
}

/// As Ctrl-C does: steps are ended in order, and what is filled stays.
pub fn stop(context: &Project, run: &str) -> Result<String, Failure> {
    let mut ledger = context.existing_ledger();
    let found = ledger.as_mut().and_then(|ledger| ledger.run(run));
    let runs = found.ok_or_else(|| no_run(run))?.record.state == RunState::Running;
    let owner = ledger.as_mut().filter(|_| runs);
    match owner.and_then(|ledger| ledger.owner(run)) {
        Some(owner) if ask_to_end(owner) => Ok(format!("asked run {run} to end")),
        _ => Err(Failure::setup(format!(
            "run {run} does not run any more, or is not of this user"
        ))),
    }
}
