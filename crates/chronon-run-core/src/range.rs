//! Contiguous day ranges and sets of them. Cost grows with the number of holes, never of days.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Ds;

/// A non-empty run of days; both ends are inclusive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PartitionRange {
    /// First day, inclusive.
    pub start: Ds,
    /// Last day, inclusive; never before `start`.
    pub end: Ds,
}

impl PartitionRange {
    /// `start..=end`, or `None` if `end` is before `start`.
    #[must_use]
    pub fn new(start: Ds, end: Ds) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// The single day `ds`.
    #[must_use]
    pub fn day(ds: Ds) -> Self {
        Self { start: ds, end: ds }
    }

    /// Number of days, at least 1.
    #[must_use]
    pub fn days(self) -> u32 {
        self.end.epoch_days().abs_diff(self.start.epoch_days()) + 1
    }

    /// Every day, oldest first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Ds> {
        (self.start.epoch_days()..=self.end.epoch_days()).map(Ds::from_epoch_days)
    }

    /// Whether `ds` lies within.
    #[must_use]
    pub fn contains(self, ds: Ds) -> bool {
        self.start <= ds && ds <= self.end
    }

    /// The days of both, if any.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// `start + lo ..= end + hi`, or `None` if that is empty.
    #[must_use]
    pub fn widen(self, lo: i32, hi: i32) -> Option<Self> {
        Self::new(self.start.plus(lo), self.end.plus(hi))
    }

    /// Cuts at multiples of `days` since the epoch, oldest first, so that a day always
    /// lands in the same piece whatever range it came in. `days == 0` does not cut.
    pub fn cut_aligned(self, days: u32) -> impl Iterator<Item = Self> {
        let width = i32::try_from(days).unwrap_or(i32::MAX);
        let mut next = Some(self.start);
        std::iter::from_fn(move || {
            let start = next?;
            let last = if width == 0 {
                self.end
            } else {
                let block = start.epoch_days().div_euclid(width);
                Ds::from_epoch_days(block.saturating_mul(width)).plus(width - 1)
            };
            let end = last.min(self.end);
            next = (end < self.end).then(|| end.plus(1));
            Some(Self { start, end })
        })
    }
}

impl fmt::Display for PartitionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == self.end {
            write!(f, "{}", self.start)
        } else {
            write!(f, "{}..{}", self.start, self.end)
        }
    }
}

/// A set of days, kept as sorted ranges that neither touch nor overlap.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(from = "Vec<PartitionRange>", into = "Vec<PartitionRange>")]
pub struct RangeSet(Vec<PartitionRange>);

impl RangeSet {
    /// No day.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The ranges, oldest first; no two touch.
    #[must_use]
    pub fn ranges(&self) -> &[PartitionRange] {
        &self.0
    }

    /// Whether there is no day.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of days.
    #[must_use]
    pub fn days(&self) -> u64 {
        self.0.iter().map(|range| u64::from(range.days())).sum()
    }

    /// Oldest day.
    #[must_use]
    pub fn first(&self) -> Option<Ds> {
        self.0.first().map(|range| range.start)
    }

    /// Newest day.
    #[must_use]
    pub fn last(&self) -> Option<Ds> {
        self.0.last().map(|range| range.end)
    }

    /// The smallest single range that holds every day.
    #[must_use]
    pub fn hull(&self) -> Option<PartitionRange> {
        PartitionRange::new(self.first()?, self.last()?)
    }

    /// Whether `ds` is in the set.
    #[must_use]
    pub fn contains(&self, ds: Ds) -> bool {
        let after = self.0.partition_point(|range| range.start <= ds);
        after > 0 && self.0[after - 1].contains(ds)
    }

    /// Every day, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Ds> {
        self.0.iter().flat_map(|range| range.iter())
    }

    /// Days in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.is_empty() {
            return other.clone();
        }
        if other.is_empty() {
            return self.clone();
        }
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// Days in both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut out = Vec::new();
        while let (Some(&&a), Some(&&b)) = (left.peek(), right.peek()) {
            out.extend(a.intersect(b));
            if a.end < b.end {
                left.next();
            } else {
                right.next();
            }
        }
        Self(out)
    }

    /// Days of `self` that are not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut out = Vec::new();
        let mut holes = other.0.iter().peekable();
        for &range in &self.0 {
            let mut rest = Some(range);
            while let (Some(current), Some(&&hole)) = (rest, holes.peek()) {
                if hole.end < current.start {
                    holes.next();
                    continue;
                }
                if hole.start > current.end {
                    break;
                }
                out.extend(PartitionRange::new(current.start, hole.start.plus(-1)));
                rest = PartitionRange::new(hole.end.plus(1), current.end);
            }
            out.extend(rest);
        }
        Self(out)
    }

    /// Every range widened to `start + lo ..= end + hi`; ranges that become empty vanish.
    #[must_use]
    pub fn widen(&self, lo: i32, hi: i32) -> Self {
        self.0
            .iter()
            .filter_map(|range| range.widen(lo, hi))
            .collect()
    }
}

impl From<PartitionRange> for RangeSet {
    fn from(range: PartitionRange) -> Self {
        Self(vec![range])
    }
}

impl From<Option<PartitionRange>> for RangeSet {
    fn from(range: Option<PartitionRange>) -> Self {
        Self(range.into_iter().collect())
    }
}

impl From<Vec<PartitionRange>> for RangeSet {
    fn from(ranges: Vec<PartitionRange>) -> Self {
        ranges.into_iter().collect()
    }
}

impl From<RangeSet> for Vec<PartitionRange> {
    fn from(set: RangeSet) -> Self {
        set.0
    }
}

impl FromIterator<Ds> for RangeSet {
    fn from_iter<I: IntoIterator<Item = Ds>>(days: I) -> Self {
        days.into_iter().map(PartitionRange::day).collect()
    }
}

impl FromIterator<PartitionRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = PartitionRange>>(ranges: I) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut out: Vec<PartitionRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match out.last_mut() {
                Some(last) if range.start <= last.end.plus(1) => last.end = last.end.max(range.end),
                _ => out.push(range),
            }
        }
        Self(out)
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{range}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    type Days = BTreeSet<i32>;

    fn set(days: &Days) -> RangeSet {
        days.iter().map(|&day| Ds::from_epoch_days(day)).collect()
    }

    fn days(set: &RangeSet) -> Days {
        set.iter().map(Ds::epoch_days).collect()
    }

    fn some_days() -> impl Strategy<Value = Days> {
        prop::collection::btree_set(-40..40_i32, 0..40)
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_days(a in some_days(), b in some_days(), lo in -5..5_i32, hi in -5..5_i32) {
            let (sa, sb) = (set(&a), set(&b));
            prop_assert_eq!(days(&sa), a.clone());
            prop_assert_eq!(days(&sa.union(&sb)), &a | &b);
            prop_assert_eq!(days(&sa.intersect(&sb)), &a & &b);
            prop_assert_eq!(days(&sa.minus(&sb)), &a - &b);
            prop_assert_eq!(sa.days(), a.len() as u64);
            for day in -45..45 {
                prop_assert_eq!(sa.contains(Ds::from_epoch_days(day)), a.contains(&day));
            }
            if lo <= hi {
                let widened: Days = a.iter().flat_map(|day| day + lo..=day + hi).collect();
                prop_assert_eq!(days(&sa.widen(lo, hi)), widened);
            }
        }

        #[test]
        fn aligned_cuts_depend_on_the_day_only(start in -500..500_i32, length in 0..200_i32, width in 0..60_u32) {
            let range = PartitionRange::new(Ds::from_epoch_days(start), Ds::from_epoch_days(start + length)).unwrap();
            let pieces: Vec<_> = range.cut_aligned(width).collect();
            prop_assert_eq!(pieces.iter().flat_map(|piece| piece.iter()).collect::<Vec<_>>(), range.iter().collect::<Vec<_>>());
            if width == 0 {
                prop_assert_eq!(pieces.len(), 1);
            } else {
                for pair in pieces.windows(2) {
                    prop_assert_eq!(pair[1].start.epoch_days().rem_euclid(width as i32), 0);
                }
            }
        }
    }

    #[test]
    fn prints_ranges_as_ranges() {
        let text = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-05"];
        let set: RangeSet = text.iter().map(|ds| ds.parse::<Ds>().unwrap()).collect();
        assert_eq!(set.to_string(), "2026-01-01..2026-01-03, 2026-01-05");
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<RangeSet>(&json).unwrap(), set);
    }
}
