//! The state of the walk over the assets, and what every part of the planner asks it.

use std::collections::BTreeMap;

use chronon_run_core::{Ds, PartitionRange, RangeSet, TableName, event::StepIndex};

use super::inputs::{Available, available, existing};
use crate::{
    freshness::Assessed,
    graph::{Asset, AssetIndex, Input},
    plan::Step,
    world::{PlanInput, Request},
};

/// The state of the walk over the assets, producers first.
pub(super) struct Planner<'a> {
    pub(super) world: PlanInput<'a>,
    pub(super) request: &'a Request<'a>,
    /// Whether there are records of how days were made.
    pub(super) has_records: bool,
    /// Per asset: what is out of date.
    pub(super) assessed: Vec<Assessed>,
    /// Per planned asset: the days that it has once the plan has run.
    pub(super) filled: Vec<Option<RangeSet>>,
    /// Per asset: days that will never exist.
    pub(super) never: Vec<RangeSet>,
    /// Per asset: days that will never exist, because something begins later.
    pub(super) before: Vec<Before>,
    /// Per asset: its steps.
    pub(super) steps_of: Vec<Vec<(PartitionRange, StepIndex)>>,
    pub(super) steps: Vec<Step>,
}

/// Partitions of an asset's table that will never exist, because something that they need begins later.
#[derive(Clone, Default)]
pub(super) struct Before {
    /// The partitions.
    pub(super) days: RangeSet,
    /// The first day that the table can have, if it is known: every earlier one belongs to `days`, too.
    pub(super) first: Option<Ds>,
    /// The tables that begin later, with their first partitions.
    pub(super) tables: BTreeMap<TableName, Ds>,
}

impl Planner<'_> {
    /// Days that exist now or will once the plan has run.
    pub(super) fn existing(&self, input: &Input) -> RangeSet {
        let all = existing(self.world, input, &|producer| {
            self.filled[producer].as_ref()
        });
        match input.producer {
            Some(producer) => all.minus(&self.unchecked(producer)),
            None => all,
        }
    }

    /// Partitions of an asset that did not pass their checks and that this plan does not fill again.
    pub(super) fn unchecked(&self, index: AssetIndex) -> RangeSet {
        let asset = &self.world.graph.assets[index];
        let failed = self.world.history.failed_checks.get(&asset.id);
        let failed: RangeSet = failed
            .into_iter()
            .flat_map(BTreeMap::keys)
            .copied()
            .collect();
        let steps = self.steps_of[index].iter();
        let run = steps.fold(RangeSet::new(), |all, (range, _)| {
            all.union(&(*range).into())
        });
        failed.minus(&run).widen(asset.shift, asset.shift)
    }

    /// What the checks found of the first of these partitions of an asset.
    pub(super) fn check_failed(&self, index: AssetIndex, partitions: &RangeSet) -> Option<String> {
        let asset = &self.world.graph.assets[index];
        let failed = self.world.history.failed_checks.get(&asset.id)?;
        let mut days = failed.iter();
        let found = days.find(|(ds, _)| partitions.contains(ds.plus(asset.shift)));
        found.map(|(_, text)| text.clone())
    }

    pub(super) fn available(&self, input: &Input) -> Available {
        let never = input.producer.map(|producer| &self.never[producer]);
        available(
            self.world,
            input,
            self.existing(input),
            never,
            &|producer| !self.steps_of[producer].is_empty(),
        )
    }

    /// The days of one of the asset's tables.
    pub(super) fn days_of(&self, asset: &Asset, table: &TableName) -> RangeSet {
        let column = asset.day_column.as_deref().unwrap_or_default();
        let sub_partitions: &[(String, String)] = match *table == asset.table {
            true => &asset.sub_partitions,
            false => &[],
        };
        self.world.snapshot.days(table, column, sub_partitions)
    }

    /// The table's partitions as days of the asset.
    pub(super) fn observed_days(&self, asset: &Asset) -> RangeSet {
        self.world.observed_days(asset)
    }
}
