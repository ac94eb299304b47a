//! Which days of an input one day of an output needs, in both directions (§4.2).

use chronon_run_core::{Ds, PartitionRange, RangeSet};
use serde::Serialize;

/// What one output day `d` needs of one input table, before the source's own
/// `startPartition` and `endPartition` are applied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Need {
    /// Every day of `d + lo ..= d + hi`.
    Days {
        /// Offset of the first day, inclusive; at most `hi`.
        lo: i32,
        /// Offset of the last day, inclusive.
        hi: i32,
    },
    /// Every day from the source's first one to `d + hi`: an unbounded aggregation.
    Since {
        /// Offset of the last day, inclusive.
        hi: i32,
    },
    /// At least one partition that is not older than `d + hi`: a cumulative source, of which
    /// only the newest partition is read.
    Newest {
        /// Offset of the oldest partition that will do.
        hi: i32,
    },
    /// The table must exist; no particular day.
    Table,
}

/// The days that an input can be asked for: what lies outside is never needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bounds {
    /// First day, inclusive.
    pub(crate) from: Option<Ds>,
    /// Last day, inclusive.
    pub(crate) until: Option<Ds>,
}

impl Bounds {
    fn clip(self, range: PartitionRange) -> Option<PartitionRange> {
        let start = self.from.map_or(range.start, |from| from.max(range.start));
        let end = self.until.map_or(range.end, |until| until.min(range.end));
        PartitionRange::new(start, end)
    }
}

impl Need {
    /// The same day, and no other.
    pub(crate) const SAME_DAY: Self = Self::Days { lo: 0, hi: 0 };

    /// A history whose start is not known counts as its last day only.
    fn bounded(self, bounds: Bounds) -> Self {
        match (self, bounds.from) {
            (Self::Since { hi }, None) => Self::Days { lo: hi, hi },
            _ => self,
        }
    }

    /// The input days that the output days need.
    ///
    /// [`Need::Table`] needs no day. A [`Need::Since`] without a lower bound needs nothing but
    /// its last days, since the start of the history is not known.
    pub(crate) fn inputs_of(self, outputs: &RangeSet, bounds: Bounds) -> RangeSet {
        let per_range = |range: &PartitionRange| {
            let needed = match self {
                Self::Days { lo, hi } => range.widen(lo, hi),
                Self::Since { hi } => {
                    let end = range.end.plus(hi);
                    let start = bounds.from.unwrap_or(range.start.plus(hi));
                    PartitionRange::new(start.min(end), end)
                }
                Self::Newest { hi } => {
                    let newest = range.end.plus(hi);
                    let newest = bounds.until.map_or(newest, |until| until.min(newest));
                    return Some(PartitionRange::day(newest));
                }
                Self::Table => None,
            };
            needed.and_then(|needed| bounds.clip(needed))
        };
        outputs.ranges().iter().filter_map(per_range).collect()
    }

    /// The output days within `domain` that need at least one of the input days.
    pub(crate) fn outputs_of(
        self,
        inputs: &RangeSet,
        bounds: Bounds,
        domain: PartitionRange,
    ) -> RangeSet {
        let touched: RangeSet = match self.bounded(bounds) {
            Self::Days { lo, hi } => {
                let possible = inputs
                    .ranges()
                    .iter()
                    .filter_map(|range| bounds.clip(*range));
                possible.collect::<RangeSet>().widen(-hi, -lo)
            }
            Self::Since { hi } => {
                let possible = inputs
                    .ranges()
                    .iter()
                    .filter_map(|range| bounds.clip(*range));
                let oldest = possible.map(|range| range.start).min();
                let from = oldest.map(|oldest| oldest.plus(-hi));
                from.and_then(|from| PartitionRange::new(from, domain.end))
                    .into()
            }
            Self::Newest { hi } => {
                let newest = inputs.last().map(|newest| newest.plus(-hi));
                newest
                    .and_then(|newest| PartitionRange::new(domain.start, newest))
                    .into()
            }
            Self::Table => RangeSet::new(),
        };
        touched.intersect(&domain.into())
    }

    /// The output days of `wanted` for which something is missing when exactly `available` of
    /// the input exists.
    pub(crate) fn starved(
        self,
        wanted: &RangeSet,
        available: &RangeSet,
        bounds: Bounds,
    ) -> RangeSet {
        let Some(domain) = wanted.hull() else {
            return RangeSet::new();
        };
        match self {
            Self::Newest { hi } => {
                let newest = available.last();
                let enough = |day: Ds| {
                    let needed = day.plus(hi);
                    let needed = bounds.until.map_or(needed, |until| until.min(needed));
                    newest.is_some_and(|newest| newest >= needed)
                };
                // Monotone in the day: once one day asks too much, so do all later ones.
                wanted.minus(&first_that(domain, |day| !enough(day)).map_or_else(
                    || domain.into(),
                    |start| RangeSet::from(PartitionRange::new(domain.start, start.plus(-1))),
                ))
            }
            Self::Table => RangeSet::new(),
            Self::Days { .. } | Self::Since { .. } => {
                let missing = self.inputs_of(&domain.into(), bounds).minus(available);
                self.outputs_of(&missing, bounds, domain).intersect(wanted)
            }
        }
    }
}

/// The first day of `domain` for which `test` holds, given that it then holds for all later ones.
fn first_that(domain: PartitionRange, test: impl Fn(Ds) -> bool) -> Option<Ds> {
    let (mut low, mut high) = (domain.start.epoch_days(), domain.end.epoch_days() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if test(Ds::from_epoch_days(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    (low <= domain.end.epoch_days()).then(|| Ds::from_epoch_days(low))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn day(n: i32) -> Ds {
        Ds::from_epoch_days(n)
    }

    fn set(days: &BTreeSet<i32>) -> RangeSet {
        days.iter().map(|&n| day(n)).collect()
    }

    fn needs() -> impl Strategy<Value = Need> {
        prop_oneof![
            (-40..3_i32, -1..2_i32).prop_map(|(lo, hi)| Need::Days { lo: lo.min(hi), hi }),
            (-1..2_i32).prop_map(|hi| Need::Since { hi }),
        ]
    }

    fn bounds() -> impl Strategy<Value = Bounds> {
        (prop::option::of(-20..20_i32), prop::option::of(0..40_i32)).prop_map(|(from, until)| {
            Bounds {
                from: from.map(day),
                until: until.map(day),
            }
        })
    }

    fn days() -> impl Strategy<Value = BTreeSet<i32>> {
        prop::collection::btree_set(-10..30_i32, 1..20)
    }

    /// What one day needs, spelt out day by day.
    fn oracle(need: Need, d: i32, bounds: Bounds) -> BTreeSet<i32> {
        let span = match need {
            Need::Days { lo, hi } => d + lo..=d + hi,
            Need::Since { hi } => {
                bounds
                    .from
                    .map_or(d + hi, |from| from.epoch_days().min(d + hi))..=d + hi
            }
            Need::Newest { .. } | Need::Table => unreachable!("not generated"),
        };
        span.filter(|n| bounds.from.is_none_or(|from| *n >= from.epoch_days()))
            .filter(|n| bounds.until.is_none_or(|until| *n <= until.epoch_days()))
            .collect()
    }

    proptest! {
        #[test]
        fn needs_agree_with_the_day_by_day_oracle(need in needs(), bounds in bounds(), wanted in days()) {
            let expected: BTreeSet<i32> = wanted.iter().flat_map(|&d| oracle(need, d, bounds)).collect();
            prop_assert_eq!(need.inputs_of(&set(&wanted), bounds), set(&expected));
        }

        #[test]
        fn the_needs_of_a_union_are_the_union_of_needs(need in needs(), bounds in bounds(), a in days(), b in days()) {
            let (a, b) = (set(&a), set(&b));
            prop_assert_eq!(
                need.inputs_of(&a.union(&b), bounds),
                need.inputs_of(&a, bounds).union(&need.inputs_of(&b, bounds))
            );
        }

        #[test]
        fn outputs_of_inputs_cover_the_outputs(need in needs(), bounds in bounds(), wanted in days()) {
            let domain = PartitionRange::new(day(-10), day(30)).unwrap();
            let needing: BTreeSet<i32> = wanted.iter().copied().filter(|&d| !oracle(need, d, bounds).is_empty()).collect();
            let inputs = need.inputs_of(&set(&wanted), bounds);
            let outputs = need.outputs_of(&inputs, bounds, domain);
            prop_assert!(set(&needing).minus(&outputs).is_empty());
        }

        #[test]
        fn a_day_starves_iff_one_of_its_inputs_is_missing(need in needs(), bounds in bounds(), wanted in days(), available in prop::collection::btree_set(-60..45_i32, 0..90)) {
            let expected: BTreeSet<i32> = wanted.iter().copied()
                .filter(|&d| !oracle(need, d, bounds).is_subset(&available)).collect();
            prop_assert_eq!(need.starved(&set(&wanted), &set(&available), bounds), set(&expected));
        }

        #[test]
        fn a_cumulative_source_must_reach_the_day(hi in -1..2_i32, until in prop::option::of(0..30_i32), wanted in days(), available in prop::collection::btree_set(-20..45_i32, 0..9)) {
            let need = Need::Newest { hi };
            let bounds = Bounds { from: None, until: until.map(day) };
            let expected: BTreeSet<i32> = wanted.iter().copied()
                .filter(|&d| available.last().is_none_or(|&newest| newest < (d + hi).min(until.unwrap_or(i32::MAX)))).collect();
            prop_assert_eq!(need.starved(&set(&wanted), &set(&available), bounds), set(&expected));
        }
    }
}
