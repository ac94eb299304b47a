//! How long the steps of a plan are expected to take.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, event::StepIndex};
use chronon_run_ledger::{Durations, Expected};
use chronon_run_plan::{Plan, Step};
use chronon_run_report::{count, duration};
use serde::Serialize;

/// A plan with how long its steps are expected to take, for programs.
#[derive(Serialize)]
pub struct WithEstimates<'p> {
    #[serde(flatten)]
    plan: &'p Plan,
    estimates: Estimates,
}

/// What is expected of a plan.
#[derive(Serialize)]
struct Estimates {
    /// Of all steps of which something is known, one after another.
    total: Option<Millis>,
    /// Steps of which nothing is known.
    unknown_steps: u64,
    steps: Vec<StepEstimate>,
}

/// What is expected of a step.
#[derive(Serialize)]
struct StepEstimate {
    step: StepIndex,
    /// How many earlier steps of the asset it is expected by.
    runs_seen: u64,
    #[serde(flatten)]
    expected: Option<Millis>,
}

/// An expected wall time and its spread, in milliseconds.
#[derive(Serialize)]
struct Millis {
    median_millis: u64,
    least_millis: u64,
    most_millis: u64,
}

impl From<Expected> for Millis {
    fn from(expected: Expected) -> Self {
        Self {
            median_millis: expected.median,
            least_millis: expected.least,
            most_millis: expected.most,
        }
    }
}

impl<'p> WithEstimates<'p> {
    /// What `durations` tell of each step of a plan.
    pub fn new(plan: &'p Plan, durations: &BTreeMap<AssetId, Durations>) -> Self {
        let of = |step: &Step| {
            let known = durations.get(&step.asset);
            let days = u64::from(step.range.days());
            (known, known.and_then(|known| known.expected(days)))
        };
        let steps = plan.steps.iter().map(|step| {
            let (known, expected) = of(step);
            StepEstimate {
                step: step.index,
                runs_seen: known.map_or(0, |known| known.0.len() as u64),
                expected: expected.map(Millis::from),
            }
        });
        let steps: Vec<StepEstimate> = steps.collect();
        let known = plan.steps.iter().filter_map(|step| of(step).1);
        let unknown = steps.iter().filter(|step| step.expected.is_none());
        Self {
            plan,
            estimates: Estimates {
                total: known.reduce(|all, one| all + one).map(Millis::from),
                unknown_steps: unknown.count() as u64,
                steps,
            },
        }
    }
}

/// The steps of an asset.
#[derive(Default)]
struct Steps {
    number: u64,
    days: u64,
    /// `None` if no earlier step of the asset is known.
    expected: Option<Expected>,
}

/// A line for each asset with steps, and one for all; empty if nothing is known of any.
pub fn text(plan: &Plan, durations: &BTreeMap<AssetId, Durations>) -> String {
    let mut assets: BTreeMap<&AssetId, Steps> = BTreeMap::new();
    for step in &plan.steps {
        let days = u64::from(step.range.days());
        let steps = assets.entry(&step.asset).or_default();
        steps.number += 1;
        steps.days += days;
        let known = durations.get(&step.asset);
        if let Some(expected) = known.and_then(|known| known.expected(days)) {
            steps.expected = Some(steps.expected.unwrap_or_default() + expected);
        }
    }
    let known = assets.values().filter_map(|steps| steps.expected);
    let Some(all) = known.reduce(|all, expected| all + expected) else {
        return String::new();
    };
    let unknown: u64 = assets
        .values()
        .filter(|steps| steps.expected.is_none())
        .map(|steps| steps.number)
        .sum();
    let without = match unknown {
        0 => String::new(),
        some => format!(
            "; {} of assets that never ran not counted",
            count(some, "step")
        ),
    };
    let mut text = format!(
        "expected, by the last steps of each asset: {} of steps in all{without}\n",
        spread(all)
    );
    for (asset, steps) in &assets {
        if let Some(expected) = steps.expected {
            let (number, days) = (count(steps.number, "step"), count(steps.days, "day"));
            text.push_str(&format!(
                "  {asset}  {number}, {days}: {}\n",
                spread(expected)
            ));
        }
    }
    text
}

fn spread(expected: Expected) -> String {
    let Expected {
        median,
        least,
        most,
    } = expected;
    match least == most {
        true => duration(median),
        false => format!(
            "{} ({} to {})",
            duration(median),
            duration(least),
            duration(most)
        ),
    }
}
