//! What is done about each day that is asked for, and why.

use std::collections::BTreeSet;

use chronon_run_core::{AssetKind, Ds, PartitionRange, RangeSet, TableName};

use super::{
    inputs::{Available, bounds_of, held, known_empty, missing, starved},
    target::Target,
    walk::Planner,
};
use crate::{
    graph::{Asset, AssetIndex, Input},
    need::Need,
    plan::{Cells, MissingInput, Reason, State},
};

/// Days that are filled.
struct Done {
    days: RangeSet,
    /// Those of them that the table has.
    observed: RangeSet,
    /// Those of them that the join's output has and the table has not.
    passed: RangeSet,
    reason: Reason,
}

/// The days of one asset that are asked for, by what is done about them.
struct Sorted<'a> {
    existing: Done,
    /// Filled, and not filled again.
    done: RangeSet,
    /// No input that decides about existence will ever have them.
    never: RangeSet,
    /// Every input that decides about existence has them without rows.
    without_rows: RangeSet,
    /// Before the first partition of something that they need.
    before: RangeSet,
    /// Filled by the plan.
    run: RangeSet,
    /// Those of them that are filled already.
    again: RangeSet,
    /// Lack an input.
    starved: RangeSet,
    /// Each input, the days that lack it, and what it has.
    starving: Vec<(&'a Input, RangeSet, Available)>,
}

impl<'a> Planner<'a> {
    /// Sorts the days asked for and makes the steps that fill those to be filled.
    pub(super) fn cells(&mut self, index: AssetIndex, target: &Target) -> Vec<Cells> {
        let asset = &self.world.graph.assets[index];
        let mut sorted = self.sort(index, target);
        let mut cells = Vec::new();
        for (days, state, reason) in self.driver_refuses(index, target, &sorted.run) {
            push(&mut cells, &days, state, &reason);
            sorted.run = sorted.run.minus(&days);
        }
        self.push_done(&mut cells, index, &sorted);
        self.push_excluded(&mut cells, index, target, &sorted);
        let run = self.push_stale(&mut cells, index, &sorted.run, State::Run);
        let run = self.push_reopened(&mut cells, index, &run);
        push(&mut cells, &sorted.again, State::Run, &Reason::MadeAlone);
        self.push_run(&mut cells, asset, &run.minus(&sorted.again));
        self.push_starved(&mut cells, &sorted.starved, &sorted.starving);
        cells.sort_by_key(|cell: &Cells| cell.range);
        self.note_filled(index, &sorted);
        self.add_steps(index, &sorted.run, &sorted.again, target.last);
        cells
    }

    fn sort(&self, index: AssetIndex, target: &Target) -> Sorted<'a> {
        let asset = &self.world.graph.assets[index];
        let existing = self.done(index, target);
        let done = existing.days.intersect(&target.days);
        let never = self.never_exists(asset, &target.days).minus(&done);
        // A filled day that is out of date loses its rows with those of its input, and what reads it is out of
        // date once its step has ended: one that was killed is run again.
        let assessed = &self.assessed[index];
        let without_rows = self
            .known_empty_inputs(asset, &target.days)
            .minus(&done)
            .minus(&never)
            .minus(&assessed.refilled)
            .minus(&assessed.lost);
        let todo = target.days.minus(&done).minus(&never).minus(&without_rows);
        let before = todo.intersect(&self.before_days(index));
        let todo = todo.minus(&before);
        let starving = asset.inputs.iter().map(|input| {
            let available = self.available(input);
            (input, starved(input, &todo, &available), available)
        });
        let starving: Vec<(&Input, RangeSet, Available)> = starving.collect();
        let starved = starving
            .iter()
            .fold(RangeSet::new(), |all, (_, days, _)| all.union(days));
        let run = todo.minus(&starved);
        let again = self.filled_beside(index, &done, &run);
        Sorted {
            done: done.minus(&again),
            run: run.union(&again),
            existing,
            never,
            without_rows,
            before,
            again,
            starved,
            starving,
        }
    }

    /// What later assets find filled, or never to be filled.
    fn note_filled(&mut self, index: AssetIndex, sorted: &Sorted<'_>) {
        let asset = &self.world.graph.assets[index];
        let never = sorted.never.union(&sorted.without_rows);
        self.never[index] = never.widen(asset.shift, asset.shift);
        let every = match asset.day_column {
            Some(_) => {
                let there = sorted.existing.days.minus(&sorted.existing.passed);
                there.union(&sorted.run).widen(asset.shift, asset.shift)
            }
            None if sorted.run.is_empty() => held(self.world, asset),
            None => sorted.run.clone(),
        };
        self.filled[index] = Some(every);
    }

    /// Days of `asset` that are filled, in the asset's own days.
    fn done(&self, index: AssetIndex, target: &Target) -> Done {
        let asset = &self.world.graph.assets[index];
        if asset.day_column.is_none() {
            return self.uploaded(asset, target);
        }
        let all = self.proven_days(index);
        if self.request.recompute {
            let observed = all.minus(&target.days);
            return Done {
                days: observed.clone(),
                observed,
                passed: RangeSet::new(),
                reason: Reason::PartitionExists,
            };
        }
        let all = all.minus(&self.assessed[index].refilled);
        let passed = self.passed(asset).minus(&all);
        // The output's day goes, too, so that the part is filled again.
        let passed = passed.minus(&self.assessed[index].refilled);
        let empty = self.known_empty(asset);
        let empty = empty.minus(&self.assessed[index].refilled);
        Done {
            days: all.union(&empty).union(&passed),
            observed: all,
            passed,
            reason: Reason::PartitionExists,
        }
    }

    /// Days that an earlier run found to have no rows.
    pub(super) fn known_empty(&self, asset: &Asset) -> RangeSet {
        let known = self.world.history.empty.get(&asset.id);
        known.cloned().unwrap_or_default()
    }

    /// Days that the join's output has: the Driver takes them for done in every step towards it
    /// (§6), and they are not needed.
    fn passed(&self, asset: &Asset) -> RangeSet {
        match (&asset.final_table, self.world.driver) {
            (Some(output), Some(_)) => self.days_of(asset, output),
            _ => RangeSet::new(),
        }
    }

    /// The table, or the KV store, holds one day only, and just the ledger knows which. An older day
    /// never overwrites a newer one (§8.1), not even with `--recompute`, so it counts as done too.
    fn uploaded(&self, asset: &Asset, target: &Target) -> Done {
        let is_kv = asset.id.mode == AssetKind::Kv;
        // What is uploaded again is loaded again.
        let producers = asset.inputs.iter().filter_map(|input| input.producer);
        let again = is_kv
            && producers
                .into_iter()
                .any(|up| !self.steps_of[up].is_empty());
        let again = again || self.request.recompute;
        let newest = held(self.world, asset).last();
        let done =
            newest.is_some_and(|newest| newest > target.last || newest == target.last && !again);
        Done {
            days: done.then(|| PartitionRange::day(target.last)).into(),
            observed: RangeSet::new(),
            passed: RangeSet::new(),
            reason: if is_kv {
                Reason::Loaded
            } else {
                Reason::Uploaded
            },
        }
    }

    /// Days of `days` that no input which decides about existence will ever have (§4.1).
    pub(super) fn never_exists(&self, asset: &Asset, days: &RangeSet) -> RangeSet {
        let mut gates = asset.inputs.iter().filter(|input| input.gates).peekable();
        if gates.peek().is_none() {
            return RangeSet::new();
        }
        gates.fold(days.clone(), |left, input| {
            let declared = self
                .world
                .never
                .get(&input.spec.table)
                .cloned()
                .unwrap_or_default();
            let produced = input.producer.map(|producer| self.never[producer].clone());
            let within = Need::Days { lo: 0, hi: 0 }.inputs_of(days, bounds_of(self.world, input));
            let outside = days.minus(&within).minus(&self.existing(input));
            let never = declared
                .union(&produced.unwrap_or_default())
                .minus(&self.existing(input));
            left.intersect(&never.union(&outside))
        })
    }

    /// Days of `days` that every input which decides about existence has without any row: the
    /// Driver leaves no partition for them, so it knows nothing of them further down (§4.1).
    fn known_empty_inputs(&self, asset: &Asset, days: &RangeSet) -> RangeSet {
        let mut gates = asset.inputs.iter().filter(|input| input.gates).peekable();
        // The last step of a modular join looks at the left side itself, where an empty partition
        // is a day (golden a: modular_v1).
        if gates.peek().is_none() || asset.id.mode == AssetKind::Final {
            return RangeSet::new();
        }
        gates.fold(days.clone(), |left, input| {
            let of = |producer: AssetIndex| known_empty(self.world, producer);
            left.intersect(&input.producer.map(of).unwrap_or_default())
        })
    }

    fn push_done(&self, cells: &mut Vec<Cells>, index: AssetIndex, sorted: &Sorted<'_>) {
        let asset = &self.world.graph.assets[index];
        let existing = &sorted.existing;
        let known_empty = self
            .known_empty(asset)
            .intersect(&sorted.done)
            .minus(&existing.observed);
        push(cells, &known_empty, State::Done, &Reason::KnownEmpty);
        let passed = existing.passed.intersect(&sorted.done).minus(&known_empty);
        if let Some(table) = &asset.final_table {
            let table = table.clone();
            let reason = Reason::OutputExists { table };
            push(cells, &passed, State::Done, &reason);
        }
        let otherwise = sorted.done.minus(&known_empty).minus(&passed);
        let otherwise = self.push_stale(cells, index, &otherwise, State::Done);
        push(cells, &otherwise, State::Done, &existing.reason);
    }

    fn push_excluded(
        &self,
        cells: &mut Vec<Cells>,
        index: AssetIndex,
        target: &Target,
        sorted: &Sorted<'_>,
    ) {
        let asset = &self.world.graph.assets[index];
        let gates = asset.inputs.iter().filter(|input| input.gates);
        let gate_tables: BTreeSet<TableName> =
            gates.map(|input| input.spec.table.clone()).collect();
        let (ended, tables) = self.after_the_end(asset, &sorted.never);
        let never = sorted.never.minus(&ended);
        let [declared, excluded] = self.why_never(asset, &never);
        let begins_later = self.before[index].tables.clone();
        for (days, reason) in [
            (ended, Reason::SourceEnds { tables }),
            declared,
            excluded,
            (
                sorted.without_rows.clone(),
                Reason::NoRowsThere {
                    tables: gate_tables,
                },
            ),
            (
                sorted.before.clone(),
                Reason::BeforeHistory {
                    tables: begins_later,
                },
            ),
        ] {
            push(cells, &days, State::Excluded, &reason);
        }
        for (days, reason) in &target.outside {
            push(cells, days, State::Excluded, reason);
        }
    }

    /// Why `days`, which no input that decides about existence will ever have, are excluded: a source
    /// is declared without them, or all of these inputs are filled by assets that exclude them.
    fn why_never(&self, asset: &Asset, days: &RangeSet) -> [(RangeSet, Reason); 2] {
        let gates = || asset.inputs.iter().filter(|input| input.gates);
        let mut declared = RangeSet::new();
        let mut sources = BTreeSet::new();
        for table in gates().map(|input| &input.spec.table) {
            let of_table = self.world.never.get(table);
            let of_table = of_table.map(|never| never.intersect(days));
            if let Some(of_table) = of_table.filter(|of_table| !of_table.is_empty()) {
                declared = declared.union(&of_table);
                sources.insert(table.clone());
            }
        }
        let made: Vec<&Input> = gates().filter(|input| input.producer.is_some()).collect();
        let tables = match made.is_empty() {
            true => gates().map(|input| input.spec.table.clone()).collect(),
            false => made.iter().map(|input| input.spec.table.clone()).collect(),
        };
        let excluded = days.minus(&declared);
        [
            (declared, Reason::SourceNeverLands { tables: sources }),
            (excluded, Reason::UpstreamExcludes { tables }),
        ]
    }

    fn push_run(&self, cells: &mut Vec<Cells>, asset: &Asset, run: &RangeSet) {
        if self.request.recompute {
            return push(cells, run, State::Run, &Reason::Recompute);
        }
        let premature = self.premature_days(asset, run);
        let run = &run.minus(&premature);
        push(cells, &premature, State::Run, &Reason::NotHandedOver);
        if asset.day_column.is_none() {
            let reason = match asset.id.mode {
                AssetKind::Kv => Reason::NotLoaded,
                _ => Reason::AlwaysRedone,
            };
            return push(cells, run, State::Run, &reason);
        }
        if self.world.snapshot.table(&asset.table).is_none() {
            let archived = self
                .world
                .driver
                .and_then(|driver| driver.archived.get(&asset.id));
            let gone = archived.is_some_and(|found| found.tables.contains_key(&asset.table));
            let reason = if gone {
                Reason::Archived
            } else {
                Reason::TableMissing
            };
            return push(cells, run, State::Run, &reason);
        }
        let first = self.observed_days(asset).first();
        let (Some(first), Some(hull)) = (first, run.hull()) else {
            return push(cells, run, State::Run, &Reason::PartitionMissing);
        };
        let left: RangeSet = PartitionRange::new(hull.start, first.plus(-1)).into();
        push(
            cells,
            &run.intersect(&left),
            State::Run,
            &Reason::BeforeFirstPartition,
        );
        push(
            cells,
            &run.minus(&left),
            State::Run,
            &Reason::PartitionMissing,
        );
    }

    /// Cuts the starved days wherever the set of missing inputs changes.
    fn push_starved(
        &self,
        cells: &mut Vec<Cells>,
        starved: &RangeSet,
        starving: &[(&Input, RangeSet, Available)],
    ) {
        let edges: BTreeSet<Ds> = starving
            .iter()
            .flat_map(|(_, days, _)| days.ranges())
            .flat_map(|range| [range.start, range.end.plus(1)])
            .collect();
        for range in starved.ranges() {
            let mut start = range.start;
            while start <= range.end {
                let next = edges.range(start.plus(1)..).next();
                let end = next.map_or(range.end, |edge| edge.plus(-1).min(range.end));
                let Some(piece) = PartitionRange::new(start, end) else {
                    break;
                };
                cells.push(self.starved_cells(piece, starving));
                start = end.plus(1);
            }
        }
    }

    fn starved_cells(
        &self,
        range: PartitionRange,
        starving: &[(&Input, RangeSet, Available)],
    ) -> Cells {
        let unsatisfied = starving
            .iter()
            .filter(|(_, days, _)| days.contains(range.start));
        let mut inputs: Vec<MissingInput> = Vec::new();
        for (input, _, available) in unsatisfied {
            let missing = missing(input, &range.into(), available);
            let asset = input
                .producer
                .map(|producer| self.world.graph.assets[producer].id.clone());
            let check = input
                .producer
                .and_then(|producer| self.check_failed(producer, &missing));
            let missing = MissingInput {
                no_table: asset.is_none() && !available.table,
                check,
                table: input.spec.table.clone(),
                asset,
                missing,
                role: input.role.describe(),
            };
            merge(&mut inputs, missing);
        }
        let waits_for_source = inputs.iter().any(|missing| missing.asset.is_none());
        let (state, reason) = if waits_for_source {
            (State::Waiting, Reason::InputsMissing { inputs })
        } else {
            (State::Blocked, Reason::UpstreamNotFilled { inputs })
        };
        Cells {
            range,
            state,
            reason,
        }
    }
}

/// Adds `missing`, joining it with one for the same table and role.
fn merge(inputs: &mut Vec<MissingInput>, missing: MissingInput) {
    let same = |other: &&mut MissingInput| other.table == missing.table;
    match inputs.iter_mut().find(same) {
        Some(other) => {
            other.missing = other.missing.union(&missing.missing);
            if !other.role.split(", ").any(|role| role == missing.role) {
                other.role = format!("{}, {}", other.role, missing.role);
            }
        }
        None => inputs.push(missing),
    }
}

/// Adds `days` with their state and its reason.
pub(super) fn push(cells: &mut Vec<Cells>, days: &RangeSet, state: State, reason: &Reason) {
    let range = |&range: &PartitionRange| Cells {
        range,
        state,
        reason: reason.clone(),
    };
    cells.extend(days.ranges().iter().map(range));
}
