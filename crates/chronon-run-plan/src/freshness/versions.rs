//! When each day of an input changed last, and the newest change in any range of days.

use std::collections::BTreeMap;

use chronon_run_core::{DayEvidence, Days, Ds, PartitionRange, RangeSet, SeenDay};

/// Later than every attempt: changed since it was seen last.
const REWRITTEN: i64 = i64::MAX;
/// Later than every attempt: never seen before.
const APPEARED: i64 = i64::MAX - 1;

/// The changes of one slice.
pub(crate) struct Versions {
    first: i32,
    /// The attempt that first saw each day as it is; 0 for a day that is not there.
    changed: Vec<i64>,
    /// The attempt that first saw each day at all.
    born: Vec<i64>,
    /// `maxima[k][i]` is the newest change of the `2^k` days from `i` on.
    maxima: Vec<Vec<i64>>,
}

impl Versions {
    /// Of the days that are `there`, with what was `seen` of them, and of those that were `emptied`, with
    /// the attempt that did it. A day whose `evidence`, as it was seen last and as it is now, was not
    /// fetched counts as unchanged.
    pub(crate) fn new(
        there: &RangeSet,
        seen: Option<&Days<SeenDay>>,
        evidence: Option<(&DayEvidence, &DayEvidence)>,
        emptied: &BTreeMap<Ds, i64>,
    ) -> Self {
        let all = there.union(&emptied.keys().copied().collect());
        let (Some(first), Some(last)) = (all.first(), all.last()) else {
            return Self {
                first: 0,
                changed: Vec::new(),
                born: Vec::new(),
                maxima: Vec::new(),
            };
        };
        let length = usize::try_from(last.epoch_days() - first.epoch_days()).unwrap_or(0) + 1;
        let (mut changed, mut born) = (vec![0; length], vec![0; length]);
        let place = |ds: Ds| usize::try_from(ds.epoch_days() - first.epoch_days()).ok();
        for at in there.iter().filter_map(place) {
            (changed[at], born[at]) = (APPEARED, APPEARED);
        }
        let rewritten = |ds: Ds| {
            let both = evidence.and_then(|(before, now)| Some((before.get(&ds)?, now.get(&ds)?)));
            both.is_some_and(|(before, now)| now.differs(*before))
        };
        for (ds, known) in seen.into_iter().flat_map(Days::iter) {
            let at = place(ds).filter(|&at| changed.get(at) == Some(&APPEARED));
            let Some(at) = at else { continue };
            born[at] = known.born;
            changed[at] = match rewritten(ds) {
                true => REWRITTEN,
                false => known.changed,
            };
        }
        for (ds, attempt) in emptied {
            if let Some(at) = place(*ds) {
                changed[at] = *attempt;
            }
        }
        let maxima = maxima(&changed);
        Self {
            first: first.epoch_days(),
            changed,
            born,
            maxima,
        }
    }

    /// The first day that is there, as days since the epoch.
    pub(crate) fn first(&self) -> i32 {
        self.first
    }

    /// Whether a day of `range` changed after `attempt` had looked.
    pub(crate) fn changed_in(&self, range: PartitionRange, attempt: i64) -> bool {
        let Some((from, to)) = self.places(range) else {
            return false;
        };
        let level = (to - from + 1).ilog2() as usize;
        let last = to + 1 - (1 << level);
        let row = &self.maxima[level];
        row[from].max(row[last]) > attempt
    }

    /// The days of `range` that appeared, and those that were written again, after `attempt`.
    pub(crate) fn changes(&self, range: PartitionRange, attempt: i64) -> (RangeSet, RangeSet) {
        let Some((from, to)) = self.places(range) else {
            return (RangeSet::new(), RangeSet::new());
        };
        let days = |new: bool| {
            let changed = (from..=to)
                .filter(|&at| self.changed[at] > attempt && (self.born[at] > attempt) == new);
            changed
                .filter_map(|at| i32::try_from(at).ok())
                .map(|at| Ds::from_epoch_days(self.first + at))
                .collect()
        };
        (days(true), days(false))
    }

    fn places(&self, range: PartitionRange) -> Option<(usize, usize)> {
        let last = i32::try_from(self.changed.len()).ok()? - 1;
        let from = (range.start.epoch_days().saturating_sub(self.first)).max(0);
        let to = (range.end.epoch_days().saturating_sub(self.first)).min(last);
        (from <= to).then_some((usize::try_from(from).ok()?, usize::try_from(to).ok()?))
    }
}

fn maxima(values: &[i64]) -> Vec<Vec<i64>> {
    let mut levels = vec![values.to_vec()];
    let mut width = 1;
    while 2 * width <= values.len() {
        let below = &levels[levels.len() - 1];
        let pairs = below.iter().zip(&below[width..]);
        levels.push(pairs.map(|(a, b)| *a.max(b)).collect());
        width *= 2;
    }
    levels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_newest_change_of_a_range_is_found(
            changes in prop::collection::btree_map(0..40_i32, 1..9_i64, 1..30),
            start in -5..45_i32, length in 0..50_i32, attempt in 0..9_i64,
        ) {
            let there: RangeSet = changes.keys().map(|&day| Ds::from_epoch_days(day)).collect();
            let day = |(&day, &changed): (&i32, &i64)| {
                let seen = SeenDay { born: 1, changed, evident: false };
                (Ds::from_epoch_days(day), seen)
            };
            let seen = changes.iter().map(day).collect();
            let versions = Versions::new(&there, Some(&seen), None, &BTreeMap::new());
            let range = PartitionRange::new(Ds::from_epoch_days(start), Ds::from_epoch_days(start + length)).unwrap();
            let expected = changes.range(start..=start + length).any(|(_, &changed)| changed > attempt);
            prop_assert_eq!(versions.changed_in(range, attempt), expected);
            let (appeared, rewritten) = versions.changes(range, attempt);
            prop_assert_eq!(appeared.is_empty() && rewritten.is_empty(), !expected);
        }
    }
}
