//! Which days a step's next attempt is for. Pure: no threads, no clock.
//!
//! Most steps are one piece, tried as often as [`Retries`](crate::Retries) say. A step that may
//! be split is halved where it fails, oldest days first, down to single days; a day that fails
//! alone is *bad*, and the pieces after it are tried all the same. Whole halves are tried, not
//! only the days that are missing, because days that were there before prove nothing.

use std::time::Duration;

use chronon_run_core::{
    Ds, PartitionRange, RangeSet,
    event::{Checked, Compared, Outcome},
};

use crate::{Job, RetryDecision, Verdict};

/// How far one step is.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    /// The days of the current attempt, or of the next one.
    current: PartitionRange,
    /// Days that are still to be tried, the next piece last.
    pending: Vec<PartitionRange>,
    /// Whether the next attempt is to have more memory.
    more_memory: bool,
    /// Failed attempts at the current piece that count against the retries.
    tries: u32,
    split: bool,
    complete: bool,
    filled: RangeSet,
    empty: RangeSet,
    bad: RangeSet,
    compared: Vec<Compared>,
    checked: Vec<Checked>,
    failure: Option<Outcome>,
}

/// What happens after an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Another attempt, after this wait.
    Attempt(Duration),
    /// The step is over.
    Over,
}

/// How a step ended.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Conclusion {
    pub(crate) outcome: Outcome,
    pub(crate) filled: RangeSet,
    pub(crate) empty: RangeSet,
    pub(crate) bad: RangeSet,
    pub(crate) compared: Vec<Compared>,
    pub(crate) checked: Vec<Checked>,
}

impl Pieces {
    pub(crate) fn new(range: PartitionRange) -> Self {
        Self {
            current: range,
            pending: Vec::new(),
            more_memory: false,
            tries: 0,
            split: false,
            complete: false,
            filled: RangeSet::new(),
            empty: RangeSet::new(),
            bad: RangeSet::new(),
            compared: Vec::new(),
            checked: Vec::new(),
            failure: None,
        }
    }

    /// The days of the current attempt, or of the next one.
    pub(crate) fn current(&self) -> PartitionRange {
        self.current
    }

    /// The job as the next attempt is to see it.
    pub(crate) fn job(&self, job: &Job) -> Job {
        Job {
            range: self.current,
            more_memory: self.more_memory,
            ..job.clone()
        }
    }

    /// Takes an attempt's end into account.
    pub(crate) fn after(
        &mut self,
        job: &Job,
        outcome: &Outcome,
        verdict: &Verdict,
        decision: RetryDecision,
    ) -> Next {
        self.filled = self.filled.union(&verdict.filled);
        self.empty = self.empty.union(&verdict.empty);
        self.compared.extend_from_slice(&verdict.compared);
        // What was found of a day before counts no more.
        self.checked
            .retain(|known| !verdict.checked.iter().any(|new| new.ds == known.ds));
        self.checked.extend_from_slice(&verdict.checked);
        if outcome.succeeded() {
            return self.go_on();
        }
        self.failure = Some(outcome.clone());
        match decision {
            RetryDecision::GiveUp if self.split && *outcome != Outcome::Interrupted => {
                self.mark_bad();
                Next::Over
            }
            RetryDecision::GiveUp => Next::Over,
            RetryDecision::MoreMemory if !self.more_memory => {
                self.more_memory = true;
                Next::Attempt(Duration::ZERO)
            }
            RetryDecision::Retry if self.tries < job.retries.count => {
                self.tries += 1;
                Next::Attempt(job.retries.backoff.after(self.tries))
            }
            _ if self.may_split(job, decision) => self.halve(),
            _ => Next::Over,
        }
    }

    /// How the step ended, or would if no other attempt were made; `outcome` is that of its last.
    pub(crate) fn conclude(self, outcome: Outcome) -> Conclusion {
        let outcome = match self.complete {
            true => Outcome::Succeeded,
            false => self.failure.unwrap_or(outcome),
        };
        Conclusion {
            outcome,
            filled: self.filled,
            empty: self.empty,
            bad: self.bad,
            compared: self.compared,
            checked: self.checked,
        }
    }

    /// A step that ran out of memory is halved if it may be retried at all.
    fn may_split(&self, job: &Job, decision: RetryDecision) -> bool {
        let for_memory = matches!(decision, RetryDecision::Split | RetryDecision::MoreMemory);
        self.split || job.bisect || for_memory && job.retries.count > 0
    }

    fn halve(&mut self) -> Next {
        let PartitionRange { start, end } = self.current;
        let days = self.current.days();
        if days == 1 && self.split {
            self.mark_bad();
            return self.go_on();
        }
        let half = i32::try_from(days / 2).unwrap_or(1);
        let middle = Ds::from_epoch_days(start.epoch_days() + half);
        let before = Ds::from_epoch_days(start.epoch_days() + half - 1);
        let halves = (
            PartitionRange::new(start, before),
            PartitionRange::new(middle, end),
        );
        let (Some(first), Some(second)) = halves else {
            return Next::Over;
        };
        self.split = true;
        self.pending.push(second);
        self.start(first)
    }

    /// A day that fails alone, if the step was split down to it.
    fn mark_bad(&mut self) {
        if self.split && self.current.days() == 1 {
            self.bad = self.bad.union(&self.current.into());
        }
    }

    fn go_on(&mut self) -> Next {
        if let Some(next) = self.pending.pop() {
            return self.start(next);
        }
        self.complete = self.bad.is_empty();
        Next::Over
    }

    fn start(&mut self, piece: PartitionRange) -> Next {
        self.current = piece;
        self.tries = 0;
        Next::Attempt(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Backoff, Retries};

    const FAILED: Outcome = Outcome::Failed { code: 1 };

    fn range(start: i32, end: i32) -> PartitionRange {
        PartitionRange::new(Ds::from_epoch_days(start), Ds::from_epoch_days(end)).unwrap()
    }

    fn job(days: i32, bisect: bool, retries: u32) -> Job {
        Job {
            step: 0,
            asset: "join/a.b/backfill".parse().unwrap(),
            range: range(0, days - 1),
            family: String::new(),
            after: Vec::new(),
            once_over: Vec::new(),
            timeout: None,
            retries: Retries {
                count: retries,
                backoff: Backoff::Fixed(Duration::from_secs(1)),
            },
            bisect,
            more_memory: false,
            cost: 0,
        }
    }

    /// Runs `job` against days that fail; the ranges that were tried, and the end.
    fn run(job: &Job, bad: &[i32], decision: RetryDecision) -> (Vec<PartitionRange>, Conclusion) {
        let mut pieces = Pieces::new(job.range);
        let mut tried = Vec::new();
        loop {
            let current = pieces.current();
            tried.push(current);
            let fails = bad
                .iter()
                .any(|day| current.contains(Ds::from_epoch_days(*day)));
            let (outcome, verdict) = match fails {
                true => (FAILED, Verdict::default()),
                false => (
                    Outcome::Succeeded,
                    Verdict {
                        filled: current.into(),
                        ..Verdict::default()
                    },
                ),
            };
            if pieces.after(job, &outcome, &verdict, decision) == Next::Over {
                return (tried, pieces.conclude(outcome));
            }
        }
    }

    #[test]
    fn the_bad_day_is_found_and_the_others_are_filled() {
        let (tried, end) = run(&job(4, true, 0), &[2], RetryDecision::Retry);
        let wanted = [
            range(0, 3),
            range(0, 1),
            range(2, 3),
            range(2, 2),
            range(3, 3),
        ];
        assert_eq!(tried, wanted);
        assert_eq!(end.outcome, FAILED);
        assert_eq!(end.bad, range(2, 2).into());
        assert_eq!(
            end.filled,
            RangeSet::from(range(0, 3)).minus(&range(2, 2).into())
        );
    }

    #[test]
    fn what_must_not_be_split_is_tried_as_often_as_it_may() {
        let (tried, end) = run(&job(4, false, 2), &[2], RetryDecision::Retry);
        assert_eq!(tried, [range(0, 3); 3]);
        assert_eq!((end.outcome, end.bad), (FAILED, RangeSet::new()));
        assert_eq!(
            run(&job(4, true, 2), &[2], RetryDecision::GiveUp).0.len(),
            1
        );
    }

    #[test]
    fn memory_first_then_halves() {
        let (tried, end) = run(&job(2, false, 1), &[0, 1], RetryDecision::MoreMemory);
        assert_eq!(tried, [range(0, 1), range(0, 1), range(0, 0), range(1, 1)]);
        assert_eq!(end.bad, range(0, 1).into());
        let never = run(&job(2, false, 0), &[0], RetryDecision::Split).0;
        assert_eq!(never.len(), 1, "no retries, no halves");
    }

    #[test]
    fn a_stop_between_two_pieces_is_no_success() {
        let job = job(2, true, 0);
        let mut pieces = Pieces::new(job.range);
        let none = Verdict::default();
        pieces.after(&job, &FAILED, &none, RetryDecision::Retry);
        pieces.after(&job, &Outcome::Succeeded, &none, RetryDecision::Retry);
        assert_eq!(pieces.conclude(Outcome::Succeeded).outcome, FAILED);
    }

    proptest! {
        /// Whatever days fail: exactly they are bad, all others are filled, and it ends soon.
        #[test]
        fn exactly_the_bad_days_are_named(
            days in 1..40_i32,
            bad in prop::collection::btree_set(0..40_i32, 0..4),
            retries in 0..3_u32,
        ) {
            let job = job(days, true, retries);
            let bad: Vec<i32> = bad.into_iter().filter(|day| *day < days).collect();
            let (tried, end) = run(&job, &bad, RetryDecision::Retry);
            let named: RangeSet = bad.iter().map(|day| Ds::from_epoch_days(*day)).collect();
            prop_assert_eq!(end.outcome.succeeded(), bad.is_empty());
            prop_assert_eq!(&end.filled, &RangeSet::from(job.range).minus(&named));
            if days > 1 {
                prop_assert_eq!(end.bad, named);
            }
            let depth = 7 * (retries as usize + 1);
            prop_assert!(tried.len() <= 1 + 2 * depth * (bad.len() + 1));
        }
    }
}
