//! What is known of the times of left rows, day by day, and which days the Driver computes only beside
//! others.
//!
//! A row is early if its time is on a later day than its partition, late if on an earlier one. The
//! planner never sees rows; what it knows are the first and last day of the times in a partition, from
//! the statistics of files that were written or are about to be read.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{Ds, PartitionRange, RangeSet};

/// How far from its partition a row's time is looked for.
pub const FAR_DAYS: i32 = 10;

/// The times of the left rows of one join.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeftTimes {
    /// First and last day of the rows' times, by left partition. A day that is not there is unknown.
    pub days: BTreeMap<Ds, PartitionRange>,
    /// Filled days that were not made beside the days which [`LeftTimes::beside`] says.
    pub alone: RangeSet,
}

impl LeftTimes {
    /// How far the times of `ds` reach before and after it: at most 0, and at least 0.
    pub(crate) fn offsets(&self, ds: Ds) -> (i32, i32) {
        let Some(times) = self.days.get(&ds) else {
            return (0, 0);
        };
        let from = |day: Ds| day.epoch_days() - ds.epoch_days();
        (
            from(times.start).clamp(-FAR_DAYS, 0),
            from(times.end).clamp(0, FAR_DAYS),
        )
    }

    /// A day of `days` with an early or late row, and whether that row is early.
    pub(crate) fn off_their_day(&self) -> Option<(Ds, bool)> {
        self.days.keys().find_map(|&ds| match self.offsets(ds) {
            (0, 0) => None,
            (_, late) => Some((ds, late > 0)),
        })
    }

    /// The days that one job of the Driver has to fill so that `ds` comes out right, if all of its rows
    /// are early or all late: the Driver computes the parts only of days some of whose rows need a part
    /// partition that the job lacks, and of a day alone no row does. `None` if `ds` is right by itself,
    /// or if no day near it helps.
    #[must_use]
    pub fn beside(&self, ds: Ds) -> Option<PartitionRange> {
        let times = *self.days.get(&ds)?;
        if times.start > ds {
            let mut before = (1..=FAR_DAYS).map(|back| ds.plus(-back));
            let first = before.find(|day| self.has_own(*day));
            let range = first.and_then(|first| PartitionRange::new(first, ds));
            return range.or_else(|| self.after(ds, times));
        }
        if times.end < ds {
            let mut after = (1..=FAR_DAYS).map(|on| ds.plus(on));
            let last = after.find(|day| self.days.get(day).is_some_and(|times| times.end >= ds))?;
            return PartitionRange::new(ds, last);
        }
        None
    }

    /// Whether some row of the day may be neither early nor late.
    fn has_own(&self, ds: Ds) -> bool {
        self.days.get(&ds).is_some_and(|times| times.contains(ds))
    }

    /// The same for early rows, whose times are `times`, that no day before helps: later days have rows
    /// of those times.
    fn after(&self, ds: Ds, times: PartitionRange) -> Option<PartitionRange> {
        let mut covered: Option<PartitionRange> = None;
        for day in (1..=FAR_DAYS).map(|on| ds.plus(on)) {
            let Some(more) = self.days.get(&day).filter(|_| day >= times.start) else {
                continue;
            };
            let known = covered.unwrap_or(*more);
            let hull = PartitionRange {
                start: known.start.min(more.start),
                end: known.end.max(more.end),
            };
            covered = Some(hull);
            if hull.contains(times.start) && hull.contains(times.end) && self.has_own(day) {
                return PartitionRange::new(ds, day);
            }
        }
        None
    }

    /// Whether all rows of a day are early, or all late.
    #[must_use]
    pub fn is_one_sided(&self, ds: Ds) -> bool {
        self.days.get(&ds).is_some_and(|times| !times.contains(ds))
    }

    /// The days of a job over `range` that it did not fill beside those that they need.
    #[must_use]
    pub fn alone_in(&self, range: PartitionRange) -> RangeSet {
        let inside =
            |beside: PartitionRange| range.contains(beside.start) && range.contains(beside.end);
        let one_sided = range.iter().filter(|&ds| self.is_one_sided(ds));
        one_sided
            .filter(|&ds| !self.beside(ds).is_some_and(inside))
            .collect()
    }

    /// Takes those of `days` for made alone that the Driver cannot fill alone.
    pub(crate) fn made_alone(&mut self, days: &RangeSet) {
        let one_sided = days.iter().filter(|&ds| self.is_one_sided(ds));
        self.alone = self.alone.union(&one_sided.collect());
    }

    /// The last days of pieces that must not end there: the next day belongs to the same job.
    pub(crate) fn bonds(&self, days: &RangeSet) -> BTreeSet<Ds> {
        let beside = self.days.keys().filter(|ds| days.contains(**ds));
        let ranges = beside.filter_map(|ds| self.beside(*ds));
        ranges
            .flat_map(|range| {
                range
                    .iter()
                    .take_while(move |ds| *ds < range.end)
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The days of `done` that have to be filled again in one job with `run`.
    pub(crate) fn again(&self, done: &RangeSet, run: &RangeSet) -> RangeSet {
        let of_run = run.iter().filter(|ds| self.is_one_sided(*ds));
        let of_done = self.alone.intersect(done);
        let ranges = of_run
            .chain(of_done.iter())
            .filter_map(|ds| self.beside(ds));
        let all = done.union(run);
        let needed = ranges
            .map(RangeSet::from)
            .filter(|range| !range.intersect(run).is_empty() && range.minus(&all).is_empty());
        needed
            .fold(RangeSet::new(), |all, range| all.union(&range))
            .intersect(done)
    }
}
