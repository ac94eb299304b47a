//! From graph, catalog snapshot and history to a [`Plan`]. Ranges all the way: cost grows with
//! the number of holes, not of days.

mod history;
mod stale;

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{RangeSet, TableName};

use self::{
    driver::archives,
    steps::archive_alone,
    walk::{Before, Planner},
};
use crate::{
    freshness::assess,
    graph::{AssetIndex, Graph, Role},
    need::Need,
    parts::dropped_first,
    plan::{AssetPlan, Cells, Note, Plan, Reason, State, Totals},
    world::{PlanInput, Request},
};

mod beside;
mod cells;
mod driver;
mod inputs;
mod parts;
mod steps;
mod target;
mod times;
mod walk;

pub use history::unfounded;
pub(crate) use inputs::{Available, available, existing, missing, needed, starved};
pub use steps::first_hole;
pub use times::times_seen;

/// The plan for `request`.
#[must_use]
pub fn plan(world: PlanInput<'_>, request: &Request<'_>) -> Plan {
    let has_records = world.history.freshness.is_some();
    let (assessed, history) = assess(world, request);
    let world = PlanInput {
        history: &history,
        ..world
    };
    let mut planner = Planner {
        world,
        request,
        has_records,
        assessed,
        filled: vec![None; world.graph.assets.len()],
        never: vec![RangeSet::new(); world.graph.assets.len()],
        before: vec![Before::default(); world.graph.assets.len()],
        steps_of: vec![Vec::new(); world.graph.assets.len()],
        steps: Vec::new(),
    };
    let mut assets = Vec::new();
    for index in 0..world.graph.assets.len() {
        planner.look_before(index);
        if request.selected.contains(&index) {
            assets.push(planner.asset(index));
        } else {
            planner.mark_unselected(index);
        }
    }
    let mut steps = planner.steps;
    if let Some(driver) = world.driver {
        archive_alone(&mut steps, driver);
    }
    parts::final_before_later_parts(world.graph, &mut steps);
    Plan {
        start_ds: request.start_ds,
        end_ds: request.end_ds,
        recompute: request.recompute,
        stale: request.stale,
        totals: Totals::of(&assets, &steps),
        confs: confs(world.graph, &request.selected),
        observed: observed(world, &request.selected),
        assets,
        steps,
        ..Plan::empty(request.as_of)
    }
}

impl Planner<'_> {
    fn asset(&mut self, index: AssetIndex) -> AssetPlan {
        let asset = &self.world.graph.assets[index];
        let (cells, excluded) = match self.target(index) {
            Ok(target) if self.request.stale => {
                let target = self.only_stale(index, target);
                (self.cells(index, &target), None)
            }
            Ok(target) => (self.cells(index, &target), None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        AssetPlan {
            asset: asset.id.clone(),
            table: asset.table.clone(),
            notes: self.notes(index, &cells),
            cells,
            excluded,
        }
    }

    /// What should be known of an asset besides its days' states.
    fn notes(&self, index: AssetIndex, cells: &[Cells]) -> Vec<Note> {
        let asset = &self.world.graph.assets[index];
        let mut notes = self.freshness_notes(index, cells);
        let days_in = |state: State| -> RangeSet {
            let matching = cells.iter().filter(|cells| cells.state == state);
            matching.map(|cells| cells.range).collect()
        };
        let (run, done) = (days_in(State::Run), days_in(State::Done));
        let empty = cells
            .iter()
            .filter(|cells| cells.reason == Reason::KnownEmpty);
        let empty: RangeSet = empty.map(|cells| cells.range).collect();
        let unknown = self.unknown_times_note(asset, [&run, &done, &empty], &notes);
        let Some(driver) = self.world.driver else {
            notes.extend(unknown);
            return notes;
        };
        let cumulative = asset.inputs.iter().filter(|input| {
            matches!(input.role, Role::Source { .. }) && matches!(input.need, Need::Newest { .. })
        });
        let tables: BTreeSet<TableName> =
            cumulative.map(|input| input.spec.table.clone()).collect();
        if !tables.is_empty() && !run.is_empty() {
            notes.push(Note::NotReproducible { tables });
        }
        let kept = self.days_of(asset, &asset.table);
        let days = self.driver_would_fill(asset, &run, &kept).minus(&run);
        if !days.is_empty() {
            notes.push(Note::AlsoFills { days });
        }
        if !self.request.recompute {
            notes.extend(self.premature_note(asset, &run));
        }
        notes.extend(self.alone_note(index, &run));
        let seen = times_seen(self.world, asset);
        notes.extend(seen.map(|seen| Note::TimesNotJoined { seen }));
        notes.extend(unknown);
        if let Some(archived) = driver.archived.get(&asset.id).filter(|_| !run.is_empty()) {
            notes.push(archives(archived, &run));
        }
        if self.request.recompute || self.request.stale {
            let column = asset.day_column.as_deref().unwrap_or_default();
            let there = |table: &TableName| self.world.snapshot.days(table, column, &[]);
            let tables = dropped_first(asset, &run, &there);
            if !tables.is_empty() {
                notes.push(Note::Drops { tables });
            }
        } else {
            notes.extend(beside::dropped_note(asset, cells));
        }
        if let Some(because) = driver.unnoticed.get(&asset.id) {
            notes.push(Note::EditedOverFilled {
                days: self.observed_days(asset),
                because: because.clone(),
            });
        }
        notes
    }

    /// An asset that is not planned: days that a source is declared never to have are not waited for
    /// further down either.
    fn mark_unselected(&mut self, index: AssetIndex) {
        let asset = &self.world.graph.assets[index];
        let gates = asset.inputs.iter().filter(|input| input.gates);
        let doubtful = gates.fold(RangeSet::new(), |days, input| {
            let declared = self.world.never.get(&input.spec.table);
            let produced = input.producer.map(|producer| &self.never[producer]);
            let both = declared.into_iter().chain(produced);
            both.fold(days, |days, never| days.union(never))
        });
        let never = self.never_exists(asset, &doubtful);
        self.never[index] = never.widen(asset.shift, asset.shift);
    }
}

fn confs(graph: &Graph, selected: &BTreeSet<AssetIndex>) -> BTreeMap<String, String> {
    let assets = selected.iter().map(|&index| &graph.assets[index]);
    assets
        .map(|asset| (asset.path.display().to_string(), asset.digest.clone()))
        .collect()
}

fn observed(
    world: PlanInput<'_>,
    selected: &BTreeSet<AssetIndex>,
) -> BTreeMap<TableName, Option<RangeSet>> {
    let tables = world.graph.tables_of(selected);
    tables
        .into_iter()
        .map(|(table, columns)| {
            let days = |column: &String| world.snapshot.days(&table, column, &[]);
            let all = columns
                .iter()
                .map(days)
                .fold(RangeSet::new(), |all, days| all.union(&days));
            let exists = world.snapshot.table(&table).is_some();
            (table, exists.then_some(all))
        })
        .collect()
}

#[cfg(test)]
mod tests;
