//! Everything that happens in a run. The only contract between running and showing:
//! bars, plain lines, JSON lines, the ledger and reports all read these and nothing else.
//!
//! To add an event: add the variant here, emit it in `chronon-run-exec`, and let the
//! compiler point at the readers (`chronon-run-ledger`, `chronon-run-report`).

use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use crate::{AssetId, Ds, PartitionRange, RangeSet};

/// A reader of events. Called by the thread that runs the run, so it must not take long.
pub trait Sink {
    /// Takes one event. Infallible: implementations handle their own errors.
    fn emit(&mut self, event: &Event);

    /// Everything emitted so far is about to have consequences, such as a child that starts:
    /// a reader that keeps a record makes it safe now. Several events may share one call.
    fn flush(&mut self) {}
}

impl<F: FnMut(&Event)> Sink for F {
    fn emit(&mut self, event: &Event) {
        self(event);
    }
}

/// A step's place in its plan: 0 is the first. Stable within one run.
pub type StepIndex = u32;

/// Version of the JSON of events.
pub const EVENT_VERSION: u32 = 1;

/// One thing that happened, and when. Its JSON has `version`, [`EVENT_VERSION`], besides.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Event {
    /// Milliseconds since the epoch.
    #[serde(with = "crate::instant")]
    pub at: i64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            version: u32,
            #[serde(with = "crate::instant")]
            at: i64,
            #[serde(flatten)]
            what: &'a What,
        }
        let line = Line {
            version: EVENT_VERSION,
            at: self.at,
            what: &self.what,
        };
        line.serialize(serializer)
    }
}

/// What happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The run exists; nothing has started yet.
    RunStarted {
        /// The run's id, unique in its workspace and sortable by time.
        run: String,
        /// Every step that is to run, in plan order.
        steps: Vec<StepInfo>,
        /// How many may run at once.
        jobs: u32,
    },
    /// A child is about to be started. Written down before the child exists.
    AttemptStarting {
        /// Which step.
        step: StepIndex,
        /// 1 for the first attempt.
        attempt: u32,
        /// Its days: the step's, or a part of them once the step was split.
        range: PartitionRange,
        /// The command line, secrets already masked.
        argv: Vec<String>,
        /// Where the child's stdout and stderr go.
        log: PathBuf,
    },
    /// The child runs.
    AttemptSpawned {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u32,
        /// Process id, which is also its process group.
        process: ProcessId,
    },
    /// The child told under which name a cluster knows its application.
    ApplicationSeen {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u32,
        /// e.g. `application_1769860800000_0001`.
        application: String,
    },
    /// Spark told how far it is.
    Progress {
        /// Which step.
        step: StepIndex,
        /// Tasks finished in the stages seen so far.
        done: u32,
        /// Tasks known so far; may grow.
        total: u32,
        /// Spark's own words, e.g. `stage 3`.
        stage: String,
    },
    /// The step has made no progress for a while: no output, and next to no processor time used by its
    /// processes. It goes on all the same.
    StepStuck {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u32,
        /// For how long, in milliseconds.
        millis: u64,
        /// The process that explains most: one that is stopped, else the child itself.
        process: ProcessId,
        /// What that process does, e.g. `sleeping`; `None` where the system does not show it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<String>,
        /// The last line of the attempt's log, secrets masked; `None` if it is empty.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_line: Option<String>,
    },
    /// A step that was stuck makes progress again.
    StepMoves {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u32,
    },
    /// A child ended, and its output was looked at.
    AttemptFinished {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// Wall time in milliseconds.
        millis: u64,
        /// The one line that tells why, if it failed.
        message: Option<String>,
        /// Milliseconds until the next attempt, if there is one.
        retry_in: Option<u64>,
        /// The days of the next attempt, if there is one.
        next: Option<PartitionRange>,
        /// Whether its application may still write on the cluster, because it could not be ended.
        may_write: bool,
    },
    /// No further attempt of this step will be made in this run.
    StepFinished {
        /// Which step.
        step: StepIndex,
        /// How it ended.
        outcome: Outcome,
        /// Its days that the catalog shows afterwards.
        filled: RangeSet,
        /// Its days that are legitimately empty: done, but without rows.
        empty: RangeSet,
        /// Its days that failed alone, after the step was split down to them.
        bad: RangeSet,
        /// What a comparison of logged features found; empty for every other step.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compared: Vec<Compared>,
        /// What its data checks found; empty for assets without.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checked: Vec<Checked>,
    },
    /// A step was not started and will not be in this run.
    StepSkipped {
        /// Which step.
        step: StepIndex,
        /// Why.
        reason: SkipReason,
    },
    /// Something to say that belongs to no step, e.g. the catalog is out of reach.
    Notice {
        /// A sentence fragment.
        message: String,
    },
    /// A hook of the user ended. Hooks run beside the run, so this may come after [`What::RunFinished`];
    /// it is kept with the run and is not in the stream of `--output json`.
    HookEnded {
        /// Its key in `[hooks]`, e.g. `on_failure`.
        hook: String,
        /// The asset that it was called for.
        asset: Option<AssetId>,
        /// Wall time in milliseconds.
        millis: u64,
        /// Why it did not do its work; `None` if it exited with 0.
        message: Option<String>,
    },
    /// The run is being stopped.
    Cancelling {
        /// Why.
        reason: CancelReason,
    },
    /// The run is over.
    RunFinished {
        /// Whether every step succeeded.
        succeeded: bool,
        /// Wall time in milliseconds.
        millis: u64,
    },
}

impl What {
    /// What [`What::StepStuck`] says, as a fragment: for how long, which process, what it does, and
    /// the last line of the log. `None` for every other event.
    #[must_use]
    pub fn stuck_text(&self) -> Option<String> {
        let Self::StepStuck {
            millis,
            process,
            state,
            last_line,
            ..
        } = self
        else {
            return None;
        };
        let state = state.as_deref().map(|state| format!(" is {state}"));
        let line = match last_line {
            Some(line) => format!("last line of the log: {line}"),
            None => "the log is empty".to_owned(),
        };
        Some(format!(
            "no progress for {}: process {}{}; {line}",
            short(*millis),
            process.pid,
            state.unwrap_or_default()
        ))
    }
}

/// `30s`, `10m`, `2h05m`.
fn short(millis: u64) -> String {
    let seconds = millis / 1_000;
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h{minutes:02}m"),
    }
}

/// What a reader needs to know of a step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StepInfo {
    /// Its place in the plan.
    pub step: StepIndex,
    /// What it fills.
    pub asset: AssetId,
    /// The days that it fills.
    pub range: PartitionRange,
}

/// A process that can be told from a later one with the same number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number.
    pub pid: u32,
    /// Start time in clock ticks since boot (`/proc/<pid>/stat` field 22); 0 where unknown.
    pub start_ticks: u64,
}

/// How an attempt, or a step, ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The child exited 0 and every day is there or known to be empty.
    Succeeded,
    /// The child exited with another code than 0.
    Failed {
        /// The exit code.
        code: i32,
    },
    /// A signal ended the child.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// It ran longer than allowed and was ended.
    TimedOut,
    /// It could not be started.
    NotStarted,
    /// The run was stopped while it ran.
    Interrupted,
    /// The child exited 0, but the catalog stayed out of reach, so the outcome is unknown.
    Unverified,
    /// The runner itself failed at this step: a defect of it, not of the step.
    Panicked,
    /// The child exited 0 but none of the step's days is in the catalog.
    OutputMissing {
        /// The days.
        missing: RangeSet,
    },
    /// The child exited 0 but some of the step's days are not in the catalog.
    OutputPartial {
        /// The days that are not there.
        missing: RangeSet,
    },
    /// An upload exited 0 but wrote no row for the day (§4.6, §8.1).
    EmptyUpload,
    /// The child exited 0 and every day is there, but the rows of one do not pass a data check that blocks.
    ChecksFailed,
}

impl Outcome {
    /// Whether it is [`Outcome::Succeeded`].
    #[must_use]
    pub fn succeeded(&self) -> bool {
        *self == Self::Succeeded
    }
}

/// How one logged feature compares with what its join computes for the same requests of a day (§8.3).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Compared {
    /// The day of the requests.
    pub ds: Ds,
    /// The feature's column.
    pub column: String,
    /// Requests that were compared: `equal + different + null_computed + null_logged`.
    pub compared: u64,
    /// Requests with the same value, or none, on both sides.
    pub equal: u64,
    /// Requests with two values that are not the same.
    pub different: u64,
    /// Requests with a logged value where the join computes none.
    pub null_computed: u64,
    /// Requests without a logged value where the join computes one.
    pub null_logged: u64,
    /// The largest distance of two numbers; none for other types, and if no request has both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
}

impl Compared {
    /// Whether every request has the same value on both sides.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.equal == self.compared
    }
}

/// What a data check found of a day.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checked {
    /// The day.
    pub ds: Ds,
    /// The name of the check.
    pub check: String,
    /// Whether the day is as the check wants it.
    pub passed: bool,
    /// Whether nothing is made of the day if it did not pass.
    pub blocks: bool,
    /// The column that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What was found and what is the bound, if it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Checked {
    /// Whether the step fails because of it.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.blocks && !self.passed
    }

    /// `check guests of out.a failed on 2026-01-03: …`, if it failed; `asset` is what it checks.
    #[must_use]
    pub fn text(&self, asset: &AssetId) -> Option<String> {
        let message = self.message.as_ref().filter(|_| !self.passed)?;
        Some(format!(
            "check `{}` of {asset} failed on {}: {message}",
            self.check, self.ds
        ))
    }
}

/// Why a step was not started.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SkipReason {
    /// A step that it needs did not succeed.
    Upstream {
        /// That step.
        step: StepIndex,
    },
    /// What a step of the same family left on the cluster may still write to its tables.
    MayBeWritten {
        /// That step.
        step: StepIndex,
    },
    /// The run was stopped first.
    Cancelled,
}

/// Why a run stops early.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal was closed.
    HangUp,
    /// A step failed and `--on-failure stop` is in force.
    StepFailed,
}
