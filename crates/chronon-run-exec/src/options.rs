//! How a run is done, what it is asked for while it goes on, and how it went.

use std::time::Duration;

use chronon_run_core::event::{CancelReason, StepIndex};
use chronon_run_process::Watchdog;

/// A word to a run from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    /// Start nothing more; TERM to every child, KILL after the grace period.
    Stop(CancelReason),
    /// KILL to every child, now.
    Kill,
}

/// What happens to the rest when the last attempt of a step has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFailure {
    /// No new step starts; running ones finish.
    #[default]
    Stop,
    /// Only what needs the failed step is skipped.
    Continue,
}

/// How to run.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// The run's id, for [`RunStarted`](chronon_run_core::event::What::RunStarted).
    pub run: String,
    /// Slots; at least 1.
    pub jobs: u32,
    /// What a failure means for the rest.
    pub on_failure: OnFailure,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// How long a slot waits for something that is out of reach, such as the catalog.
    pub patience: Duration,
    /// Between two questions while waiting.
    pub pause: Duration,
    /// After how long without progress a step is said to be stuck.
    pub stuck_after: Duration,
    /// Gets every child, so that none survives a hard kill of this process.
    pub watchdog: Option<&'a Watchdog>,
}

/// How a run went. The details were in the events.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Steps that succeeded.
    pub succeeded: Vec<StepIndex>,
    /// Steps that failed or were interrupted, in the order in which they ended.
    pub failed: Vec<StepIndex>,
    /// Steps that were not started.
    pub skipped: Vec<StepIndex>,
    /// Why the run was stopped early, if it was.
    pub cancelled: Option<CancelReason>,
}

impl Summary {
    /// Whether every step succeeded.
    #[must_use]
    pub fn all_succeeded(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}
