//! `unfilledRanges`, the Driver's decision which days to fill (§5.1).

use chronon_run_core::{Ds, PartitionRange, RangeSet};

/// `start` is after `end`; the Driver stops with exit 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("java.lang.AssertionError: assertion failed: Invalid partition range {0} to {1}")]
pub struct InvalidRange(pub Ds, pub Ds);

/// The contiguous runs of days that a job decides to fill.
///
/// `inputs` are the partitions of its input tables, already shifted onto output days; `None`
/// stands for a job without input gate. A missing `start` is the first input day.
/// Without `run_first_hole` nothing before the first existing output day is filled.
///
/// # Errors
/// [`InvalidRange`] if the range is upside down.
pub fn unfilled_ranges(
    existing: &RangeSet,
    start: Ds,
    end: Ds,
    inputs: Option<&RangeSet>,
    run_first_hole: bool,
) -> Result<RangeSet, InvalidRange> {
    let valid = PartitionRange::new(start, end).ok_or(InvalidRange(start, end))?;
    let cutoff = existing.first().map_or(start, |first| first.max(start));
    let fillable = if run_first_hole {
        Some(valid)
    } else {
        PartitionRange::new(cutoff, end)
    };
    let missing = RangeSet::from(fillable).minus(existing);
    Ok(match inputs {
        Some(inputs) => missing.intersect(inputs),
        None => missing,
    })
}

/// Cuts a run of days into pieces of `days`, counted from its own start, as the Driver does.
pub(crate) fn steps(range: PartitionRange, days: u32) -> impl Iterator<Item = PartitionRange> {
    let width = i32::try_from(days).unwrap_or(i32::MAX).max(1);
    let mut next = Some(range.start);
    std::iter::from_fn(move || {
        let start = next.filter(|start| *start <= range.end)?;
        next = Some(start.plus(width));
        PartitionRange::new(start, start.plus(width - 1).min(range.end))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn days(text: &str) -> RangeSet {
        let day = |text: &str| text.parse::<Ds>().unwrap();
        text.split(", ")
            .filter(|text| !text.is_empty())
            .map(|range| match range.split_once("..") {
                Some((from, to)) => PartitionRange::new(day(from), day(to)).unwrap(),
                None => PartitionRange::day(day(range)),
            })
            .collect()
    }

    /// The contract's example.
    #[test]
    fn days_before_the_first_output_need_the_flag() {
        let existing = days("2026-11-20..2026-11-30");
        let (start, end) = ("2026-11-01".parse().unwrap(), "2026-11-10".parse().unwrap());
        let decide = |flag| unfilled_ranges(&existing, start, end, None, flag).unwrap();
        assert_eq!(decide(false), RangeSet::new());
        assert_eq!(decide(true).to_string(), "2026-11-01..2026-11-10");
        assert!(unfilled_ranges(&existing, end, start, None, true).is_err());
    }

    proptest! {
        /// §5.1, one day at a time.
        #[test]
        fn agrees_with_the_definition(
            existing in prop::collection::btree_set(0..30_i32, 0..20),
            inputs in prop::option::of(prop::collection::btree_set(0..30_i32, 0..30)),
            start in 0..30_i32, length in 0..30_i32, flag: bool,
        ) {
            let set = |days: &std::collections::BTreeSet<i32>| -> RangeSet {
                days.iter().map(|day| Ds::from_epoch_days(*day)).collect()
            };
            let end = start + length;
            let got = unfilled_ranges(
                &set(&existing),
                Ds::from_epoch_days(start),
                Ds::from_epoch_days(end),
                inputs.as_ref().map(&set).as_ref(),
                flag,
            ).unwrap();
            let cutoff = existing.first().map_or(start, |first| *first.max(&start));
            let wanted: std::collections::BTreeSet<i32> = (start..=end)
                .filter(|day| flag || *day >= cutoff)
                .filter(|day| !existing.contains(day))
                .filter(|day| inputs.as_ref().is_none_or(|inputs| inputs.contains(day)))
                .collect();
            prop_assert_eq!(got, set(&wanted));
        }

        #[test]
        fn steps_cover_the_range(start in 0..100_i32, length in 0..100_i32, width in 1..40_u32) {
            let range = PartitionRange::new(Ds::from_epoch_days(start), Ds::from_epoch_days(start + length)).unwrap();
            let all: Vec<_> = steps(range, width).flat_map(|step| step.iter().collect::<Vec<_>>()).collect();
            prop_assert_eq!(all, range.iter().collect::<Vec<_>>());
            prop_assert!(steps(range, width).all(|step| step.days() <= width));
        }
    }
}
