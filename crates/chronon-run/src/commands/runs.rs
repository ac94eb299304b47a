//! `chronon-run runs`.

use std::{fs, path::Path};

use chronon_run_ledger::{Ledger, RunDetail, RunRecord, RunState, StepRecord};
use chronon_run_project::{
    failure::Failure,
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
    output::{json, note, on_screen, print},
    program::now_millis,
};
use chronon_run_report::{Column, ago, count, duration, outcome};

use crate::cli::{Output, RunsArgs, RunsCommand, SelectArgs};

const RUNS: [Column; 8] = [
    Column::new("run", 0),
    Column::new("started", 3),
    Column::new("took", 2),
    Column::new("state", 0),
    Column::new("succeeded", 1),
    Column::new("failed", 0),
    INTERRUPTED,
    Column::new("not run", 1),
];
/// Only there if a step of a run that is listed was interrupted.
const INTERRUPTED: Column = Column::new("interrupted", 0);
const STEPS: [Column; 7] = [
    Column::new("step", 3),
    Column::new("asset", 0),
    Column::new("range", 1),
    Column::new("attempts", 4),
    Column::new("outcome", 0),
    Column::new("took", 2),
    Column::new("log", 5),
];

/// How many runs `runs` lists.
const NEWEST: u32 = 30;

pub(crate) fn run(args: &RunsArgs) -> Result<(), Failure> {
    let context = targets::load(
        args.target.name(),
        &SelectArgs::default(),
        Unselected::Built,
    )?;
    context.check_ledger_readable()?;
    let Some(mut ledger) = context.existing_ledger() else {
        return without_ledger(args);
    };
    match &args.command {
        None => {
            let runs = ledger.runs(NEWEST);
            print(&match args.output {
                Output::Text => runs_text(&runs),
                Output::Json => json(&runs)?,
            })?;
        }
        Some(RunsCommand::Show { id }) => {
            let detail = ledger.run(id).ok_or_else(|| no_run(id))?;
            print(&match args.output {
                Output::Text => detail_text(&detail),
                Output::Json => json(&detail)?,
            })?;
        }
        Some(RunsCommand::Prune { keep }) => prune(&context, &mut ledger, *keep, args.output)?,
    }
    tell(&mut ledger);
    Ok(())
}

fn no_run(id: &str) -> Failure {
    Failure::hinted(
        format!("there is no run `{id}`"),
        "`chronon-run runs` lists them",
    )
}

/// Answers before the first run, without creating anything.
fn without_ledger(args: &RunsArgs) -> Result<(), Failure> {
    match (&args.command, args.output) {
        (Some(RunsCommand::Show { id }), _) => Err(no_run(id)),
        (Some(RunsCommand::Prune { .. }), Output::Text) => {
            print(&format!("forgot {}\n", count(0, "run")))
        }
        (None, Output::Text) => print(&runs_text(&[])),
        (_, Output::Json) => print(&json(&Vec::<RunRecord>::new())?),
    }
}

/// Forgets old runs and deletes their folders.
fn prune(context: &Project, ledger: &mut Ledger, keep: u32, output: Output) -> Result<(), Failure> {
    let runs = context.history_dir().join("runs");
    let delete_logs = |run: &str| {
        // A run's id is a plain name; anything else was not written by us.
        let plain = Path::new(run).file_name().is_some_and(|name| name == run);
        let folder = runs.join(run);
        if plain
            && folder.exists()
            && let Err(error) = fs::remove_dir_all(&folder)
        {
            note(&format!("cannot delete {}: {error}", folder.display()));
        }
    };
    let forgotten = ledger.prune(keep, delete_logs);
    tell(ledger);
    let Some(forgotten) = forgotten else {
        return Err(Failure::hinted(
            "no run was forgotten",
            "the ledger must be writable and its disk must have room",
        ));
    };
    match output {
        Output::Text => print(&format!(
            "forgot {}\n",
            count(forgotten.len() as u64, "run")
        )),
        Output::Json => print(&json(&forgotten)?),
    }
}

pub(super) fn tell(ledger: &mut Ledger) {
    for notice in ledger.take_notices() {
        note(&notice);
    }
}

fn runs_text(runs: &[RunRecord]) -> String {
    if runs.is_empty() {
        return "nothing was run yet\n".to_owned();
    }
    let now = now_millis();
    let row = |run: &RunRecord| {
        let took = run
            .finished
            .map(|finished| duration(u64::try_from(finished - run.started).unwrap_or(0)));
        vec![
            run.run.clone(),
            ago(now, run.started),
            took.unwrap_or_default(),
            state(run).to_owned(),
            format!("{} of {}", run.succeeded, run.steps),
            run.failed.to_string(),
            run.interrupted.to_string(),
            run.skipped.to_string(),
        ]
    };
    let mut columns = RUNS.to_vec();
    let mut rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    let at = columns.iter().position(|column| *column == INTERRUPTED);
    if let Some(at) = at.filter(|_| runs.iter().all(|run| run.interrupted == 0)) {
        columns.remove(at);
        for row in &mut rows {
            row.remove(at);
        }
    }
    on_screen(&columns, &rows)
}

fn state(run: &RunRecord) -> &'static str {
    match (run.state, run.all_succeeded, run.cancelled) {
        (RunState::Running, ..) => "running",
        (RunState::Crashed, ..) => "crashed",
        (RunState::Finished, _, Some(_)) => "stopped",
        (RunState::Finished, Some(true), None) => "succeeded",
        (RunState::Finished, _, None) => "failed",
    }
}

fn detail_text(detail: &RunDetail) -> String {
    let mut text = runs_text(std::slice::from_ref(&detail.record));
    text.push('\n');
    let rows: Vec<Vec<String>> = detail.steps.iter().map(step_row).collect();
    text.push_str(&on_screen(&STEPS, &rows));
    for attempt in detail.steps.iter().flat_map(|step| &step.attempts) {
        if let Some(message) = &attempt.message {
            text.push_str(&format!(
                "\n{} {} attempt {}: {message}\n",
                attempt.asset, attempt.range, attempt.attempt
            ));
        }
    }
    text
}

fn step_row(step: &StepRecord) -> Vec<String> {
    let last = step.attempts.last();
    let how = match (&step.outcome, &step.skipped) {
        (Some(how), _) => outcome(how),
        (None, Some(_)) => "not run".to_owned(),
        (None, None) => "unfinished".to_owned(),
    };
    vec![
        (step.step + 1).to_string(),
        step.asset.to_string(),
        step.range.to_string(),
        step.attempts.len().to_string(),
        how,
        last.and_then(|attempt| attempt.millis)
            .map(duration)
            .unwrap_or_default(),
        last.map(|attempt| attempt.log.display().to_string())
            .unwrap_or_default(),
    ]
}
