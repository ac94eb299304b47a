//! How long the steps of a plan are expected to take.

use std::collections::BTreeMap;

use chronon_run_core::AssetId;
use chronon_run_ledger::{Durations, Expected};
use chronon_run_plan::Plan;
use chronon_run_report::{count, duration};

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
