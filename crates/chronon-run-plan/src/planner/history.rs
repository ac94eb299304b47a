//! Days before the first partition of a source: nothing will ever land there, so nothing waits.
//!
//! A day of which every input day lies there is excluded; of a window, the partitions before the first
//! are simply not there. An earlier partition that appears later makes the days planned.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, Ds, PartitionRange, RangeSet, TableName};

use super::{
    inputs::{bounds_of, existing},
    walk::{Before, Planner},
};
use crate::{
    graph::{Asset, AssetIndex, Fill, Input, Role},
    need::Need,
    plan::{Plan, State},
    world::PlanInput,
};

/// So many days are filled without any input only after the user was asked: ten years.
const MANY_DAYS: u64 = 3_653;

/// The days that a plan fills before the first day of any input, of the assets where these are more than
/// ten years.
#[must_use]
pub fn unfounded(world: PlanInput<'_>, plan: &Plan) -> Vec<(AssetId, RangeSet)> {
    let found = plan.assets.iter().filter_map(|planned| {
        let asset = &world.graph.assets[world.graph.find(&planned.asset)?];
        let run = planned.days_in(State::Run);
        let first = asset.inputs.iter().filter_map(|input| {
            let of_plan = |producer: AssetIndex| {
                let id = &world.graph.assets[producer].id;
                let planned = plan.assets.iter().find(|other| other.asset == *id);
                planned.and_then(|planned| planned.days_in(State::Run).first())
            };
            let there = existing(world, input, &|_| None).first();
            there
                .into_iter()
                .chain(input.producer.and_then(of_plan))
                .min()
        });
        let before = first.min().map(|first| first.plus(-1));
        let last = before.or(run.last());
        let hull = run.first().zip(last);
        let early = hull.and_then(|(first, last)| PartitionRange::new(first, last));
        let days = run.intersect(&early.into());
        (days.days() > MANY_DAYS).then(|| (planned.asset.clone(), days))
    });
    found.collect()
}

impl Planner<'_> {
    /// Notes which days of an asset lie before the first partition of what they need, as far as the
    /// asset's own first day and the last closed day reach.
    pub(super) fn look_before(&mut self, index: AssetIndex) {
        let asset = &self.world.graph.assets[index];
        if asset.fill == Fill::App || asset.day_column.is_none() {
            return;
        }
        let first = asset.from.or_else(|| self.first_gate_day(asset).ok());
        let all: RangeSet = first
            .and_then(|first| PartitionRange::new(first, self.request.as_of))
            .into();
        let mut before = self.before_history(asset, &all);
        let shift = asset.shift;
        before.days = before.days.widen(shift, shift);
        before.first = first.map(|first| first.plus(shift));
        self.before[index] = before;
    }

    /// The days of an asset that lie before the first partition of what they need.
    pub(super) fn before_days(&self, index: AssetIndex) -> RangeSet {
        let shift = self.world.graph.assets[index].shift;
        self.before[index].days.widen(-shift, -shift)
    }

    /// Those of `days` whose newest input day lies before the first partition of an input.
    fn before_history(&self, asset: &Asset, days: &RangeSet) -> Before {
        let mut all = Before::default();
        let Some(domain) = days.hull() else {
            return all;
        };
        for input in asset.inputs.iter().filter(|i| i.role != Role::Bootstrap) {
            let (Need::Days { hi, .. } | Need::Since { hi }) = input.need else {
                continue;
            };
            let newest = Need::Days { lo: hi, hi };
            let bounds = bounds_of(self.world, input);
            let needed = newest.inputs_of(days, bounds);
            let (gone, tables) = self.gone(input, &needed);
            let outputs = newest.outputs_of(&gone, bounds, domain).intersect(days);
            if !outputs.is_empty() {
                all.days = all.days.union(&outputs);
                all.tables.extend(tables);
            }
        }
        all
    }

    /// Those of `days` that lie after the `endPartition` of every input which decides whether a day exists,
    /// and those inputs with their last days.
    pub(super) fn after_the_end(
        &self,
        asset: &Asset,
        days: &RangeSet,
    ) -> (RangeSet, BTreeMap<TableName, Ds>) {
        let gates = asset.inputs.iter().filter(|input| input.gates);
        let ends = gates.map(|input| Some((input.spec.table.clone(), input.until?)));
        let ends: Option<BTreeMap<TableName, Ds>> = ends.collect();
        let ends = ends.unwrap_or_default();
        let after = ends.values().max().zip(days.last());
        let after = after.and_then(|(end, last)| PartitionRange::new(end.plus(1), last));
        (days.intersect(&after.into()), ends)
    }

    /// Those of the `needed` days that an input will never have, and the tables that begin later.
    fn gone(&self, input: &Input, needed: &RangeSet) -> (RangeSet, BTreeMap<TableName, Ds>) {
        let existing = self.existing(input);
        let table = &input.spec.table;
        let earlier = |first: Ds| -> RangeSet {
            let start = needed.first().filter(|start| *start < first);
            let range = start.and_then(|start| PartitionRange::new(start, first.plus(-1)));
            needed.intersect(&range.into())
        };
        let mut tables = BTreeMap::new();
        let mut gone = RangeSet::new();
        let mut begins = |first: Option<Ds>| {
            let Some(first) = first else {
                return RangeSet::new();
            };
            let earlier = earlier(first);
            if !earlier.is_empty() {
                tables.insert(table.clone(), first);
            }
            earlier
        };
        match input.producer {
            // A declared first day says that the source has history still to come.
            None if self.world.first_day(input).is_some() => {}
            None => gone = begins(existing.first()),
            Some(producer) => match self.world.graph.assets[producer].fill {
                Fill::Daily => {
                    let before = &self.before[producer];
                    gone = begins(before.first).union(&before.days.intersect(needed));
                    tables.extend(before.tables.clone());
                }
                // Earlier days than the first one that it has are never filled.
                Fill::LastDay => gone = begins(existing.first()),
                Fill::App => {}
            },
        }
        let never = input.producer.map(|producer| &self.never[producer]);
        let never = never.into_iter().chain(self.world.never.get(table));
        let there = never.fold(existing, |there, never| there.union(never));
        (gone.minus(&there), tables)
    }
}
