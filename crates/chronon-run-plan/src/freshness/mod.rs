//! Which filled days are out of date, and which days without rows have to be looked at again.
//!
//! A day is compared with how it was made ([`Memory`]): the conf's content, and what was seen of the
//! input days that it needs. The comparison is a question for the newest change in a range of days
//! (`versions.rs`), so that it costs the same for a window of a year as for one day.

mod assess;
mod assessed;
mod needed;
mod parts;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, Memory, RangeSet, Slice};

use crate::{
    graph::{Asset, AssetIndex, Graph, Input},
    world::PlanInput,
};

pub(crate) use assess::assess;
pub(crate) use assessed::Assessed;
pub(crate) use needed::{days_of, inputs_of_step, slice_of};
pub use needed::{inputs_digest, inputs_seen};
use needed::{inputs_needed, offsets};

/// How much of the evidence a command needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// That of days without rows: they decide what runs.
    EmptyDays,
    /// That of every filled day.
    FilledDays,
}

/// The input days of which evidence is wanted before a plan is made: those that recorded days of the
/// selected assets were made of and that are there now.
#[must_use]
pub fn evidence_wanted(
    world: PlanInput<'_>,
    selected: &BTreeSet<AssetIndex>,
    memory: &Memory,
    depth: Depth,
) -> BTreeMap<Slice, RangeSet> {
    let mut wanted: BTreeMap<Slice, RangeSet> = BTreeMap::new();
    for asset in selected.iter().map(|&index| &world.graph.assets[index]) {
        let Some(made) = memory.made.get(&asset.id) else {
            continue;
        };
        let empty = world.history.empty.get(&asset.id).cloned();
        let days: RangeSet = match depth {
            Depth::EmptyDays => empty.unwrap_or_default(),
            Depth::FilledDays => {
                let observed = parts::filled_days(world, asset);
                observed.union(&empty.unwrap_or_default())
            }
        };
        if days.is_empty() {
            continue;
        }
        let days = days.intersect(&made.days());
        let there = |input: &Input| days_of(input, world.snapshot);
        let needed = inputs_needed(asset, &days, &there, &|ds| offsets(world, asset, ds));
        for (slice, days) in needed {
            let all = wanted.entry(slice).or_default();
            *all = all.union(&days);
        }
    }
    wanted.retain(|_, days| !days.is_empty());
    wanted
}

/// Of what [`crate::Freshness::memory`] is wanted: the selected assets, those that fill their tables in the other
/// flow, and the slices of their inputs, as text.
#[must_use]
pub fn memory_wanted(
    graph: &Graph,
    selected: &BTreeSet<AssetIndex>,
) -> (BTreeSet<AssetId>, BTreeSet<String>) {
    let assets = || selected.iter().map(|&index| &graph.assets[index]);
    let inputs = assets().flat_map(Asset::reads);
    let slices = inputs.map(|input| slice_of(input).to_string());
    let ids = assets().flat_map(|asset| [Some(asset.id.clone()), asset.in_other_flow()]);
    (ids.flatten().collect(), slices.collect())
}

#[cfg(test)]
mod tests;
