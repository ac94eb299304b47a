//! What a Spark job's log says of an attempt, and what is done about a failed one, for both engines.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use chronon_run_core::{event::Outcome, secret::mask_text};
use chronon_run_exec::{Job, RetryDecision, StageProgress};
use chronon_run_plan::AssetIndex;
use chronon_run_spark::{Cause, cause, log};

use crate::loading::project::Project;

/// The end of a log that is read: enough for any error and its cause.
const TAIL: u64 = 256 << 10;

/// Characters of a last line that are quoted.
const LINE: usize = 200;

/// How far the stages are that run now, if this line of the log tells it.
pub fn progress(line: &str) -> Option<StageProgress> {
    let found = log::parse_progress(line)?;
    Some(StageProgress {
        done: found.done,
        total: found.total,
        stage: found.stage,
    })
}

/// The one line of the log that tells why an attempt failed.
pub fn explain(log: &Path, outcome: &Outcome) -> Option<String> {
    match outcome {
        // The outcome's own words say it all.
        Outcome::OutputMissing { .. }
        | Outcome::OutputPartial { .. }
        | Outcome::EmptyUpload
        | Outcome::ChecksFailed => None,
        // Before it is shortened: what is left of a token would not be known as one.
        _ => log::quote_error(&mask_text(&tail(log)?)),
    }
}

/// The same for programs of all sorts: without a line that looks like an error, the last one.
pub fn explain_any(log: &Path, outcome: &Outcome) -> Option<String> {
    explain(log, outcome).or_else(|| {
        let text = mask_text(&tail(log)?);
        let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(line.trim().chars().take(LINE).collect())
    })
}

/// Whether a failed attempt is worth another, by its cause.
pub fn decide(
    context: &Project,
    job: &Job,
    outcome: &Outcome,
    log: Option<&Path>,
) -> RetryDecision {
    let ended_badly = match outcome {
        Outcome::Failed { .. } | Outcome::Killed { .. } => true,
        Outcome::NotStarted | Outcome::Panicked => return RetryDecision::GiveUp,
        // Its inputs were there; another attempt would find the same.
        Outcome::EmptyUpload | Outcome::ChecksFailed => return RetryDecision::GiveUp,
        _ => false,
    };
    let log = log.and_then(tail).unwrap_or_default();
    // What a job that ended well, or was ended, says in its log is no cause.
    let cause = match ended_badly {
        true => cause(outcome, &log),
        false => Cause::Unknown,
    };
    match cause {
        Cause::Permanent => RetryDecision::GiveUp,
        Cause::OutOfMemory if has_more_memory(context, job) => RetryDecision::MoreMemory,
        Cause::OutOfMemory => RetryDecision::Split,
        Cause::Infrastructure | Cause::Unknown => RetryDecision::Retry,
    }
}

/// Spark configuration of an attempt: that of the asset, and more memory if it is to have that.
pub fn spark_conf(context: &Project, job: &Job) -> Vec<(String, String)> {
    let index = context.graph.find(&job.asset).unwrap_or_default();
    let mut conf = context.spark_conf(index);
    if job.more_memory {
        // Later values win.
        conf.extend(context.more_memory(index));
    }
    conf
}

fn has_more_memory(context: &Project, job: &Job) -> bool {
    let index: Option<AssetIndex> = context.graph.find(&job.asset);
    index.is_some_and(|index| !context.more_memory(index).is_empty())
}

/// The end of a log, of any size.
pub fn tail(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))
        .ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
