//! What the runner needs to know of a step.

use std::time::Duration;

use chronon_run_core::{AssetId, PartitionRange, event::StepIndex};

/// One step to run. The jobs of a run are given in plan order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Its place in the plan; unique in the run.
    pub step: StepIndex,
    /// What it fills.
    pub asset: AssetId,
    /// The days that it fills. [`Work`](crate::Work) is given the job with the days of the
    /// attempt, which are fewer once the step was split.
    pub range: PartitionRange,
    /// Jobs of one family never run at once, and run in plan order (§10.6). A job that failed
    /// does not stop the later ones of its family; `after` does.
    pub family: String,
    /// Steps that must have succeeded before; each comes earlier in plan order. Steps that are
    /// not in the run count as done.
    pub after: Vec<StepIndex>,
    /// Steps that must be over before, whether they succeeded or not; each comes earlier in plan
    /// order.
    pub once_over: Vec<StepIndex>,
    /// How long one attempt may take; for ever if absent.
    pub timeout: Option<Duration>,
    /// What to do when an attempt fails.
    pub retries: Retries,
    /// Whether it is split when it keeps failing, down to the days that fail alone.
    pub bisect: bool,
    /// Whether the attempt is to have more memory, because an earlier one ran out of it. Set by
    /// the run; false in the jobs of a run.
    pub more_memory: bool,
    /// What it is expected to cost, in milliseconds, e.g. from the ledger; 0 if unknown.
    /// The jobs at the head of the costliest chain start first.
    pub cost: u64,
}

/// How often and how soon a failed attempt is made again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retries {
    /// Attempts after the first.
    pub count: u32,
    /// How long to wait before each.
    pub backoff: Backoff,
}

impl Retries {
    /// One attempt and no more.
    pub const NONE: Self = Self {
        count: 0,
        backoff: Backoff::Fixed(Duration::ZERO),
    };
}

/// How long to wait before an attempt is made again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backoff {
    /// Always as long.
    Fixed(Duration),
    /// Twice as long each time.
    Exponential {
        /// Before the second attempt.
        first: Duration,
        /// Never longer than this.
        most: Duration,
    },
}

impl Backoff {
    /// The wait after attempt number `attempt` (1 is the first) has failed.
    #[must_use]
    pub fn after(self, attempt: u32) -> Duration {
        match self {
            Self::Fixed(delay) => delay,
            Self::Exponential { first, most } => {
                let doublings = attempt.saturating_sub(1).min(31);
                first.saturating_mul(1 << doublings).min(most)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most() {
        let backoff = Backoff::Exponential {
            first: Duration::from_secs(1),
            most: Duration::from_secs(5),
        };
        let waits = [1, 2, 3, 4, 4_000_000_000].map(|attempt| backoff.after(attempt).as_secs());
        assert_eq!(waits, [1, 2, 4, 5, 5]);
    }
}
