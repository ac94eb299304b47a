//! What the steps of a plan are expected to take and to read.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, DayEvidence, RangeSet, Slice, TableName};
use chronon_run_ledger::{Durations, Expected};
use chronon_run_plan::{
    Estimates, Millis, Plan, PlanInput, Reads, Step, StepEstimate, reads, unsized_reads,
};
use chronon_run_report::{count, duration, size};

/// Of how many days of an input the size is asked for: more tell little about the others, and the catalog
/// sends a long answer for each.
const ASKED_DAYS: u64 = 40;

/// The days whose sizes tell how much a plan reads of inputs of which no size was seen.
pub fn sizes_wanted(plan: &Plan, world: PlanInput<'_>) -> BTreeMap<Slice, RangeSet> {
    let unknown = unsized_reads(world, plan).into_iter();
    unknown
        .map(|(slice, days)| (slice, spread_over(days, ASKED_DAYS)))
        .collect()
}

/// At most so many of the days, the first and the last among them, equally far from each other.
fn spread_over(days: RangeSet, at_most: u64) -> RangeSet {
    let all = days.days();
    if all <= at_most {
        return days;
    }
    let places = (0..at_most).map(|at| at * (all - 1) / (at_most - 1));
    let mut places = places.peekable();
    let days = (0..).zip(days.iter());
    days.filter(|(at, _)| places.next_if_eq(at).is_some())
        .map(|(_, ds)| ds)
        .collect()
}

/// What `durations` and what was seen of inputs, then and as `sizes` now, tell of each step of a plan.
pub fn of(
    plan: &Plan,
    world: PlanInput<'_>,
    durations: &BTreeMap<AssetId, Durations>,
    sizes: &BTreeMap<Slice, DayEvidence>,
) -> Estimates {
    let read = reads(world, plan, sizes);
    let steps = plan.steps.iter().zip(read).map(|(step, reads)| {
        let known = durations.get(&step.asset);
        let days = u64::from(step.range.days());
        let expected = known.and_then(|known| known.expected(days));
        StepEstimate {
            step: step.index,
            runs_seen: known.map_or(0, |known| known.0.len() as u64),
            expected: expected.map(millis),
            reads,
        }
    });
    let steps: Vec<StepEstimate> = steps.collect();
    let bytes = steps
        .iter()
        .filter_map(|step| Some(step.reads.as_ref()?.bytes));
    Estimates {
        total: sum(steps.iter().filter_map(|step| step.expected)),
        unknown_steps: steps.iter().filter(|step| step.expected.is_none()).count() as u64,
        reads_bytes: bytes.reduce(u64::saturating_add),
        steps,
    }
}

fn millis(expected: Expected) -> Millis {
    Millis {
        median_millis: expected.median,
        least_millis: expected.least,
        most_millis: expected.most,
    }
}

fn sum(all: impl Iterator<Item = Millis>) -> Option<Millis> {
    all.reduce(|all, one| Millis {
        median_millis: all.median_millis + one.median_millis,
        least_millis: all.least_millis + one.least_millis,
        most_millis: all.most_millis + one.most_millis,
    })
}

/// The estimates of a plan for people: a line for each asset of which something is known, then what each step
/// reads. Empty if nothing is known.
pub fn text(plan: &Plan) -> String {
    let Some(estimates) = &plan.estimates else {
        return String::new();
    };
    times_total(estimates)
        + &times_text(plan, estimates)
        + &reads_total(estimates)
        + &reads_text(plan, estimates)
}

/// How long the steps are expected to take, in one line; empty if nothing is known.
pub fn headline(plan: &Plan) -> String {
    let line = |all| format!("expected to take {all}, one step after another");
    let estimates = plan.estimates.as_ref();
    estimates.map_or(String::new(), |estimates| with_total(estimates, line))
}

/// How long the steps of each asset are expected to take, of assets of which something is known.
pub fn by_asset(plan: &Plan) -> BTreeMap<&AssetId, String> {
    let Some(estimates) = &plan.estimates else {
        return BTreeMap::new();
    };
    let all = steps_by_asset(plan, estimates).into_iter();
    let known = all.filter_map(|(asset, steps)| Some((asset, spread(steps.expected?))));
    known.collect()
}

/// The sums alone.
pub fn totals(plan: &Plan) -> String {
    let estimates = plan.estimates.as_ref();
    estimates
        .map(|estimates| times_total(estimates) + &reads_total(estimates))
        .unwrap_or_default()
}

fn times_total(estimates: &Estimates) -> String {
    let line = |all| format!("expected, by the last steps of each asset: {all} of steps in all");
    with_total(estimates, line)
}

/// A line about what all steps are expected to take, with how many it does not count; empty if nothing is known.
fn with_total(estimates: &Estimates, line: impl Fn(String) -> String) -> String {
    let Some(all) = estimates.total else {
        return String::new();
    };
    line(spread(all)) + &not_counted(estimates) + "\n"
}

/// How many steps a sum does not count.
fn not_counted(estimates: &Estimates) -> String {
    match estimates.unknown_steps {
        0 => String::new(),
        some => format!(
            "; {} of assets that never ran not counted",
            count(some, "step")
        ),
    }
}

fn reads_total(estimates: &Estimates) -> String {
    let line = |all| {
        let all = size(all);
        format!("reads, by the sizes of input partitions: {all} by steps in all\n")
    };
    estimates.reads_bytes.map(line).unwrap_or_default()
}

/// The steps of an asset.
#[derive(Default)]
struct Steps {
    number: u64,
    days: u64,
    /// `None` if no earlier step of the asset is known.
    expected: Option<Millis>,
}

fn steps_by_asset<'a>(plan: &'a Plan, estimates: &Estimates) -> BTreeMap<&'a AssetId, Steps> {
    let mut assets: BTreeMap<&AssetId, Steps> = BTreeMap::new();
    for (step, estimate) in plan.steps.iter().zip(&estimates.steps) {
        let steps = assets.entry(&step.asset).or_default();
        steps.number += 1;
        steps.days += u64::from(step.range.days());
        steps.expected = sum(steps.expected.into_iter().chain(estimate.expected));
    }
    assets
}

/// A line for each asset with steps of which a duration is known.
fn times_text(plan: &Plan, estimates: &Estimates) -> String {
    let assets = steps_by_asset(plan, estimates);
    let line = |(asset, steps): (&&AssetId, &Steps)| {
        let (number, days) = (count(steps.number, "step"), count(steps.days, "day"));
        let spread = spread(steps.expected?);
        Some(format!("  {asset}  {number}, {days}: {spread}\n"))
    };
    assets.iter().filter_map(line).collect()
}

/// A line for each step of which a size is known.
fn reads_text(plan: &Plan, estimates: &Estimates) -> String {
    let line = |(step, estimate): (&Step, &StepEstimate)| {
        let (number, asset, range) = (step.index + 1, &step.asset, step.range);
        let read = read(estimate.reads.as_ref()?);
        Some(format!("  {number}. {asset} {range}: {read}\n"))
    };
    let steps = plan.steps.iter().zip(&estimates.steps);
    steps.filter_map(line).collect()
}

/// What a step reads: `1.2 GB of 31 input days, 1 of them guessed; without lake.x, of unknown size`.
fn read(reads: &Reads) -> String {
    let guessed = match reads.input_days - reads.known_days {
        0 => String::new(),
        some => format!(", {some} of them guessed"),
    };
    let unknown: Vec<String> = reads.unknown.iter().map(TableName::to_string).collect();
    let without = match unknown.is_empty() {
        true => String::new(),
        false => format!("; without {}, of unknown size", unknown.join(", ")),
    };
    let days = count(reads.input_days, "input day");
    format!("{} of {days}{guessed}{without}", size(reads.bytes))
}

fn spread(expected: Millis) -> String {
    let (median, least, most) = (
        duration(expected.median_millis),
        duration(expected.least_millis),
        duration(expected.most_millis),
    );
    match expected.least_millis == expected.most_millis {
        true => median,
        false => format!("{median} ({least} to {most})"),
    }
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{Ds, PartitionRange};

    use super::*;

    #[test]
    fn days_to_be_asked_for_are_few_and_reach_from_the_first_to_the_last() {
        let day = |text: &str| text.parse::<Ds>().unwrap();
        let range = PartitionRange::new(day("2025-01-01"), day("2025-12-31")).unwrap();
        let found = spread_over(range.into(), 40);
        assert_eq!((found.days(), found.first()), (40, Some(range.start)));
        assert_eq!(found.last(), Some(range.end));
        let few = PartitionRange::new(day("2025-01-01"), day("2025-01-03")).unwrap();
        assert_eq!(spread_over(few.into(), 3), RangeSet::from(few));
    }
}
