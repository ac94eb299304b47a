//! What a step means: given by the caller, asked by the slots.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use chronon_run_core::{
    CommandLine, RangeSet,
    event::{Checked, Compared, Outcome},
};

use chronon_run_process::Host;

use crate::Job;

/// Turns jobs into child processes and looks at what they did. Called from the slot threads
/// (except [`Work::progress`]), one call per job at a time.
pub trait Work: Sync {
    /// The work whose answers this one changes, if there is one: what this one does not answer itself is
    /// asked of it.
    fn inner(&self) -> Option<&dyn Work> {
        None
    }

    /// What to start for this attempt (1 is the first). Files that the child needs, such as a
    /// script, are written here.
    ///
    /// # Errors
    /// [`WorkError`]: wait and ask again, or give up the attempt.
    fn prepare(&self, job: &Job, attempt: u32) -> Result<Task, WorkError>;

    /// Looks which of the job's days exist now. Asked after exit 0, because exit 0 proves
    /// nothing, and after failures, to tell what was filled all the same.
    ///
    /// # Errors
    /// [`WorkError`]: wait and ask again, or the outcome is unknown.
    fn verify(&self, job: &Job) -> Result<Verdict, WorkError>;

    /// The one line that tells why an attempt failed, e.g. from the end of its log. Not asked of
    /// interrupted attempts.
    fn explain(&self, job: &Job, log: &Path, outcome: &Outcome) -> Option<String> {
        self.inner()?.explain(job, log, outcome)
    }

    /// Called after an attempt did not succeed and its child is gone, before anything else
    /// happens to the job: the place to end what the child started elsewhere, such as an
    /// application on a cluster, and to wait until it has ended.
    ///
    /// # Errors
    /// Why it may still write, as a fragment. Then there is no other attempt, and the later jobs
    /// of the family are skipped.
    fn settle(&self, job: &Job, log: &Path, outcome: &Outcome) -> Result<(), String> {
        let inner = self.inner();
        inner.map_or(Ok(()), |inner| inner.settle(job, log, outcome))
    }

    /// The name under which a cluster knows the attempt's application, if this line of a log
    /// tells it. Called by the coordinator; must be quick and do no I/O.
    fn application(&self, line: &str) -> Option<String> {
        self.inner()?.application(line)
    }

    /// What a line of a log says of the attempt's progress, if anything. Called by the
    /// coordinator; must be quick and do no I/O.
    fn progress(&self, line: &str) -> Option<StageProgress> {
        self.inner()?.progress(line)
    }

    /// What a line of a log says of the statements of the attempt's script, if anything. Called
    /// by the coordinator; must be quick and do no I/O.
    fn mark(&self, line: &str) -> Option<ScriptMark> {
        self.inner()?.mark(line)
    }

    /// How far the attempt is once `ended` statements of its script have ended (`None`: it has not
    /// begun); none if it has no script. Called by the coordinator; must be quick and do no I/O.
    fn statement(&self, job: &Job, ended: Option<usize>) -> Option<StageProgress> {
        self.inner()?.statement(job, ended)
    }

    /// Whether an attempt that ended like this is worth another, as far as [`Job::retries`]
    /// allows. Not asked for interrupted attempts. `log` is absent if there was no child.
    fn retry(&self, job: &Job, outcome: &Outcome, log: Option<&Path>) -> RetryDecision {
        match (self.inner(), outcome) {
            (Some(inner), _) => inner.retry(job, outcome, log),
            (None, Outcome::NotStarted | Outcome::Panicked) => RetryDecision::GiveUp,
            (None, _) => RetryDecision::Retry,
        }
    }
}

/// One attempt to make.
#[derive(Clone, Debug)]
pub struct Task {
    /// The child to start; for a session the interpreter, used if none is warm.
    pub command: CommandLine,
    /// Where the attempt's output goes. One file per attempt.
    pub log: PathBuf,
    /// Whether it is a child of its own.
    pub kind: TaskKind,
}

/// How a task meets its child.
#[derive(Clone)]
pub enum TaskKind {
    /// A child of its own.
    Process,
    /// A task for a warm interpreter: each slot keeps one per `key` until the run ends.
    Session {
        /// Sessions of one key are interchangeable. Include everything that shapes the command.
        key: String,
        /// Where the session's own output goes.
        log: PathBuf,
        /// What to write to its stdin.
        input: String,
        /// Says of a line of output that the task is over, and whether well.
        marker: Arc<Marker>,
    },
    /// A script for a process that all slots share.
    Shared {
        /// Finds or starts it.
        host: Arc<SharedHost>,
        /// What it is asked.
        fields: Vec<(String, String)>,
    },
}

/// Finds or starts a process that runs scripts side by side; why there is none, as a sentence.
pub type SharedHost = dyn Fn() -> Result<Arc<Host>, String> + Send + Sync;

impl fmt::Debug for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("Process"),
            Self::Session { key, .. } => write!(f, "Session({key})"),
            Self::Shared { .. } => f.write_str("Shared"),
        }
    }
}

/// Says of a line of output that a session's task is over, and whether well.
pub type Marker = dyn Fn(&str) -> Option<bool> + Send + Sync;

/// What was seen of a job's days after an attempt.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Verdict {
    /// Days that are there, with rows.
    pub filled: RangeSet,
    /// Days that are legitimately without rows; done all the same.
    pub empty: RangeSet,
    /// Days that should be there and are not.
    pub missing: RangeSet,
    /// An upload that wrote no row (§4.6, §8.1).
    pub empty_upload: bool,
    /// What a comparison of logged features found.
    pub compared: Vec<Compared>,
    /// What the data checks of the days found.
    pub checked: Vec<Checked>,
}

impl Verdict {
    /// What exit 0 and this verdict mean together.
    pub(crate) fn outcome(&self) -> Outcome {
        let missing = self.missing.clone();
        if self.empty_upload {
            Outcome::EmptyUpload
        } else if missing.is_empty() && self.checked.iter().any(Checked::fails) {
            Outcome::ChecksFailed
        } else if missing.is_empty() {
            Outcome::Succeeded
        } else if self.filled.is_empty() && self.empty.is_empty() {
            Outcome::OutputMissing { missing }
        } else {
            Outcome::OutputPartial { missing }
        }
    }
}

/// Why a question about a job has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WorkError {
    /// Something that may come back, such as the catalog, is out of reach: asked again until
    /// [`Options::patience`](crate::Options::patience) is over.
    #[error("{0}")]
    Unavailable(String),
    /// Asking again will not help.
    #[error("{0}")]
    Failed(String),
}

/// Whether to make another attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryDecision {
    /// Yes, if the job has attempts left; then in halves, if it may be split.
    Retry,
    /// Once more with more memory ([`Job::more_memory`]), beyond the attempts that are left; then as
    /// [`RetryDecision::Split`].
    MoreMemory,
    /// In halves, if the job may have another attempt at all.
    Split,
    /// No.
    GiveUp,
}

/// What a line of a log means for the count of a script's statements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScriptMark {
    /// The script begins: what was counted before belongs to something else.
    Begins,
    /// One more statement has ended.
    Ended,
}

/// How far an attempt is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StageProgress {
    /// Tasks finished.
    pub done: u32,
    /// Tasks known.
    pub total: u32,
    /// What they belong to, e.g. `stage 3`.
    pub stage: String,
}
