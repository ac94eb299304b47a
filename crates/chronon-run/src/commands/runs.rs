//! `chronon-run runs` and `chronon-run logs`.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    thread,
    time::Duration,
};

use chronon_run_core::{ds::format_instant, shown::shown_log};
use chronon_run_ledger::{AttemptRecord, Ledger, RunDetail, RunRecord, RunState, StepRecord};
use chronon_run_report::{Column, count, duration, outcome};

use crate::{
    cli::{LogsArgs, Output, RunsArgs, RunsCommand},
    context::Context,
    failure::Failure,
    output::{json, note, on_screen, print},
};

const RUNS: [Column; 7] = [
    Column::new("run", 0),
    Column::new("started", 3),
    Column::new("took", 2),
    Column::new("state", 0),
    Column::new("succeeded", 1),
    Column::new("failed", 0),
    Column::new("not run", 1),
];
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
    let context = Context::load()?;
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
fn prune(context: &Context, ledger: &mut Ledger, keep: u32, output: Output) -> Result<(), Failure> {
    let forgotten = ledger.prune(keep);
    let runs = context.workspace.state_dir.join("runs");
    for run in &forgotten {
        // A run's id is a plain name; anything else was not written by us.
        let plain = Path::new(run)
            .file_name()
            .is_some_and(|name| name == run.as_str());
        let folder = runs.join(run);
        if plain
            && folder.exists()
            && let Err(error) = fs::remove_dir_all(&folder)
        {
            note(&format!("cannot delete {}: {error}", folder.display()));
        }
    }
    match output {
        Output::Text => print(&format!(
            "forgot {}\n",
            count(forgotten.len() as u64, "run")
        )),
        Output::Json => print(&json(&forgotten)?),
    }
}

/// `chronon-run logs`.
pub(crate) fn logs(args: &LogsArgs) -> Result<(), Failure> {
    let context = Context::load()?;
    let mut ledger = Ledger::open(&context.ledger_path());
    let asset = context.asset_named(&args.asset.asset)?;
    let attempts = ledger.attempts(&asset, args.asset.ds);
    tell(&mut ledger);
    let wanted =
        |attempt: &&AttemptRecord| args.attempt.is_none_or(|number| attempt.attempt == number);
    let found = attempts.iter().rfind(wanted).ok_or_else(|| {
        Failure::hinted(
            format!("nothing was ever run for {asset}"),
            "`chronon-run runs` lists what was run",
        )
    })?;
    if found.log.as_os_str().is_empty() && args.output == Output::Text {
        let why = found.message.as_deref().unwrap_or("no reason was recorded");
        return Err(Failure::hinted(
            format!(
                "{asset} {} has no log: attempt {} of run {} could not be started: {why}",
                found.range, found.attempt, found.run
            ),
            format!("`chronon-run runs show {}` shows the whole run", found.run),
        ));
    }
    if args.path {
        return print(&format!("{}\n", found.log.display()));
    }
    if args.output == Output::Json {
        return print(&json(found)?);
    }
    if args.follow {
        return follow(&mut ledger, found);
    }
    copy(&found.log, 0, true).map(|_| ())
}

/// How much of a log is held at one time.
const PIECE: usize = 1 << 16;

/// Prints what a log has from byte `from` on, a piece at a time; returns where it ended. The end of what
/// is there may be within a character, which the next call then begins with, unless it is the `last`.
fn copy(log: &Path, from: u64, last: bool) -> Result<u64, Failure> {
    let failed =
        |error: io::Error| Failure::setup(format!("cannot read {}: {error}", log.display()));
    let mut file = File::open(log).map_err(failed)?;
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    let mut printed = from;
    let mut piece: Vec<u8> = Vec::with_capacity(PIECE);
    loop {
        let room = (PIECE - piece.len()) as u64;
        let read = Read::by_ref(&mut file).take(room).read_to_end(&mut piece);
        let is_end = read.map_err(failed)? == 0;
        let whole = match is_end && last {
            true => piece.len(),
            false => whole_characters(&piece),
        };
        print(&shown_log(&String::from_utf8_lossy(&piece[..whole])))?;
        printed += whole as u64;
        piece.drain(..whole);
        if is_end {
            return Ok(printed);
        }
    }
}

/// How many bytes end with a whole character, and not between the two characters of a line end. What is
/// no UTF-8 counts as whole.
fn whole_characters(bytes: &[u8]) -> usize {
    let begun = (1..=3.min(bytes.len())).find(|back| {
        let byte = bytes[bytes.len() - back];
        let length = match byte {
            b'\r' => 2,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 0,
        };
        length > *back
    });
    bytes.len() - begun.unwrap_or(0)
}

/// Between two looks at a growing log.
const PAUSE: Duration = Duration::from_millis(200);

/// Prints a log as it grows, until its attempt is over.
fn follow(ledger: &mut Ledger, attempt: &AttemptRecord) -> Result<(), Failure> {
    let mut at = 0;
    loop {
        // Asked before reading, so that the last words are not missed.
        let over = is_over(ledger, attempt);
        if over || attempt.log.exists() {
            at = copy(&attempt.log, at, over)?;
        }
        if over {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}

/// Whether the attempt's log is complete. An attempt that is not known any more, e.g.
/// because the ledger was deleted, is over.
fn is_over(ledger: &mut Ledger, attempt: &AttemptRecord) -> bool {
    let Some(run) = ledger.run(&attempt.run) else {
        return true;
    };
    let steps = run.steps.iter().filter(|step| step.step == attempt.step);
    let mut attempts = steps.flat_map(|step| &step.attempts);
    let now = attempts.find(|found| found.attempt == attempt.attempt);
    run.record.state != RunState::Running || now.is_none_or(|now| now.finished.is_some())
}

fn tell(ledger: &mut Ledger) {
    for notice in ledger.take_notices() {
        note(&notice);
    }
}

fn runs_text(runs: &[RunRecord]) -> String {
    if runs.is_empty() {
        return "nothing was run yet\n".to_owned();
    }
    let row = |run: &RunRecord| {
        let took = run
            .finished
            .map(|finished| duration(u64::try_from(finished - run.started).unwrap_or(0)));
        vec![
            run.run.clone(),
            format_instant(run.started),
            took.unwrap_or_default(),
            state(run).to_owned(),
            format!("{} of {}", run.succeeded, run.steps),
            run.failed.to_string(),
            run.skipped.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    on_screen(&RUNS, &rows)
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
