//! From graph, catalog snapshot and history to a [`Plan`]. Ranges all the way: cost grows with
//! the number of holes, not of days.

mod history;
mod stale;

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetKind, Ds, PartitionRange, RangeSet, TableName, event::StepIndex};

use self::{driver::archives, history::Before, steps::archive_alone};
use crate::{
    freshness::{Assessed, assess},
    graph::{Asset, AssetIndex, Fill, Graph, Input, Role},
    need::Need,
    plan::{AssetPlan, Cells, MissingInput, Note, PLAN_VERSION, Plan, Reason, State, Step, Totals},
};

mod beside;
mod driver;
mod inputs;
mod parts;
mod steps;
mod times;
mod world;

pub use history::unfounded;
pub(crate) use inputs::{Available, available, bounds_of, existing, missing, needed, starved};
pub(crate) use parts::is_shifted_part;
pub use steps::first_hole;
pub use times::{TimesSeen, times_seen};
pub use world::{
    ArchivedTables, AssetSettings, DayLimit, DriverInput, History, PlanInput, Request,
};

pub use parts::{
    EARLY_DAYS, dropped_before, dropped_first, dropped_of, parts_of_times, premature_parts,
};

/// The plan for `request`.
#[must_use]
pub fn plan(world: PlanInput<'_>, request: &Request<'_>) -> Plan {
    let (assessed, history) = assess(world, request);
    let world = PlanInput {
        history: &history,
        ..world
    };
    let mut planner = Planner {
        world,
        request,
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
        version: PLAN_VERSION,
        as_of: request.as_of,
        start_ds: request.start_ds,
        end_ds: request.end_ds,
        recompute: request.recompute,
        stale: request.stale,
        totals: totals(&assets, &steps),
        confs: confs(world.graph, &request.selected),
        observed: observed(world, &request.selected),
        target: None,
        assets,
        steps,
    }
}

/// The state of the walk over the assets, producers first.
struct Planner<'a> {
    world: PlanInput<'a>,
    request: &'a Request<'a>,
    /// Per asset: what is out of date.
    assessed: Vec<Assessed>,
    /// Per planned asset: the days that it has once the plan has run.
    filled: Vec<Option<RangeSet>>,
    /// Per asset: days that will never exist.
    never: Vec<RangeSet>,
    /// Per asset: days that will never exist, because something begins later.
    before: Vec<Before>,
    /// Per asset: its steps.
    steps_of: Vec<Vec<(PartitionRange, StepIndex)>>,
    steps: Vec<Step>,
}

/// The days of one asset that are asked for.
struct Target {
    /// Days that may be filled.
    days: RangeSet,
    /// Days asked for that may not, and why.
    outside: Vec<(RangeSet, Reason)>,
    /// `latest_date` of the steps.
    last: Ds,
}

impl Planner<'_> {
    fn asset(&mut self, index: AssetIndex) -> AssetPlan {
        let asset = &self.world.graph.assets[index];
        let made = match self.target(index) {
            Ok(target) if self.request.stale => {
                let target = self.only_stale(index, target);
                self.cells(index, &target)
            }
            Ok(target) => self.cells(index, &target),
            Err(reason) => Err(reason),
        };
        let (cells, excluded) = match made {
            Ok(cells) => (cells, None),
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

    /// Which days are asked for, or why there are none.
    fn target(&self, index: AssetIndex) -> Result<Target, Reason> {
        let asset = &self.world.graph.assets[index];
        if let Some(why) = self.world.refused.get(&asset.id) {
            return Err(Reason::EngineCannot { why: why.clone() });
        }
        if asset.fill == Fill::App {
            return Err(Reason::LongRunning);
        }
        let settings = (self.request.settings)(index);
        let closed = self.closed(asset, settings);
        if asset.day_column.is_none() && self.request.start_ds.is_some_and(|start| start > closed) {
            return Err(Reason::NotOverYet);
        }
        let asked_end = self.request.end_ds.unwrap_or(closed);
        let only = self.request.only.get(&index);
        let last = match only {
            Some(DayLimit { last: None, .. }) => return Err(Reason::NotDue),
            Some(DayLimit {
                last: Some(due), ..
            }) => asked_end.min(closed).min(*due),
            None => asked_end.min(closed),
        };
        let end = asset.until.map_or(last, |until| until.min(last));
        let outside_conf = Reason::OutsideConf {
            first: asset.from,
            last: asset.until,
        };
        if asset.fill == Fill::LastDay {
            let kept = asset.from.is_none_or(|from| from <= end);
            let days: RangeSet = if kept {
                PartitionRange::day(end).into()
            } else {
                RangeSet::new()
            };
            return if kept {
                Ok(Target {
                    days,
                    outside: Vec::new(),
                    last,
                })
            } else {
                Err(outside_conf)
            };
        }
        let first = match asset.from {
            Some(from) => from,
            None => self.first_gate_day(asset)?,
        };
        let start = self
            .request
            .start_ds
            .map_or(first, |start| start.max(first));
        let days: RangeSet = PartitionRange::new(start, end).into();
        if let Some(only) = only {
            let days = days.intersect(&only.days);
            let outside = Vec::new();
            return Ok(Target {
                days,
                outside,
                last,
            });
        }
        let asked: RangeSet = self
            .request
            .start_ds
            .and_then(|start| PartitionRange::new(start, asked_end))
            .into();
        let after: RangeSet = PartitionRange::new(closed.plus(1), asked_end).into();
        let outside = vec![
            (asked.minus(&days).minus(&after), outside_conf.clone()),
            (after, Reason::AfterAsOf),
        ];
        if days.is_empty() && outside.iter().all(|(days, _)| days.is_empty()) {
            let begins_later = asset.from.is_some_and(|from| from > end);
            return Err(match self.request.start_ds {
                Some(asked) if asked > closed && !begins_later => Reason::AfterAsOf,
                _ => outside_conf,
            });
        }
        Ok(Target {
            days,
            outside,
            last,
        })
    }

    /// The last day that may be filled.
    fn closed(&self, asset: &Asset, settings: AssetSettings) -> Ds {
        let lag = i32::try_from(settings.lag).unwrap_or(i32::MAX);
        let closed = self.request.as_of.plus(-lag);
        let today = self.world.driver.and_then(|driver| driver.today);
        match today.filter(|_| matches!(asset.id.step, AssetKind::Upload | AssetKind::Kv)) {
            Some(today) => closed.min(today.plus(-1)),
            None => closed,
        }
    }

    /// The first day of the inputs that decide which days exist (§4.1).
    fn first_gate_day(&self, asset: &Asset) -> Result<Ds, Reason> {
        let gates = asset.inputs.iter().filter(|input| input.gates);
        let first = gates
            .clone()
            .filter_map(|input| self.existing(input).first())
            .min();
        first.ok_or_else(|| match gates.map(|input| &input.spec.table).next() {
            Some(table) => Reason::NoLeftPartition {
                table: table.clone(),
            },
            None => Reason::OutsideConf {
                first: asset.from,
                last: asset.until,
            },
        })
    }

    /// Days that exist now or will once the plan has run.
    fn existing(&self, input: &Input) -> RangeSet {
        let all = existing(self.world, input, &|producer| {
            self.filled[producer].as_ref()
        });
        match input.producer {
            Some(producer) => all.minus(&self.unchecked(producer)),
            None => all,
        }
    }

    /// Partitions of an asset that did not pass their checks and that this plan does not fill again.
    fn unchecked(&self, index: AssetIndex) -> RangeSet {
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
    fn check_failed(&self, index: AssetIndex, partitions: &RangeSet) -> Option<String> {
        let asset = &self.world.graph.assets[index];
        let failed = self.world.history.failed_checks.get(&asset.id)?;
        let mut days = failed.iter();
        let found = days.find(|(ds, _)| partitions.contains(ds.plus(asset.shift)));
        found.map(|(_, text)| text.clone())
    }

    fn available(&self, input: &Input) -> Available {
        let never = input.producer.map(|producer| &self.never[producer]);
        available(
            self.world,
            input,
            self.existing(input),
            never,
            &|producer| !self.steps_of[producer].is_empty(),
        )
    }

    fn cells(&mut self, index: AssetIndex, target: &Target) -> Result<Vec<Cells>, Reason> {
        let asset = &self.world.graph.assets[index];
        let existing = self.done(index, target);
        let done = existing.days.intersect(&target.days);
        let never = self.never_exists(asset, &target.days).minus(&done);
        // A filled day that is out of date loses its rows with those of its input.
        let known_empty_inputs = self
            .known_empty_inputs(asset, &target.days)
            .minus(&done)
            .minus(&never)
            .minus(&self.assessed[index].refilled);
        let never = never.union(&known_empty_inputs);
        let todo = target.days.minus(&done).minus(&never);
        let before = todo.intersect(&self.before_days(index));
        let todo = todo.minus(&before);
        let starving: Vec<(&Input, RangeSet, Available)> = asset
            .inputs
            .iter()
            .map(|input| {
                let available = self.available(input);
                (input, starved(input, &todo, &available), available)
            })
            .collect();
        let starved = starving
            .iter()
            .fold(RangeSet::new(), |all, (_, days, _)| all.union(days));
        let run = todo.minus(&starved);
        let again = self.filled_beside(index, &done, &run);
        let (done, run) = (done.minus(&again), run.union(&again));

        let mut cells = Vec::new();
        let refused = self.driver_refuses(index, target, &run);
        for (days, state, reason) in &refused {
            push(&mut cells, days, *state, reason);
        }
        let run = refused.iter().fold(run, |run, (days, ..)| run.minus(days));
        let known_empty = self
            .known_empty(asset)
            .intersect(&done)
            .minus(&existing.observed);
        push(&mut cells, &known_empty, State::Done, &Reason::KnownEmpty);
        let passed = existing.passed.intersect(&done).minus(&known_empty);
        if let Some(table) = &asset.final_table {
            let reason = Reason::OutputExists {
                table: table.clone(),
            };
            push(&mut cells, &passed, State::Done, &reason);
        }
        let done_otherwise = done.minus(&known_empty).minus(&passed);
        let done_otherwise = self.push_stale(&mut cells, index, &done_otherwise, State::Done);
        push(&mut cells, &done_otherwise, State::Done, &existing.reason);
        let gates = asset.inputs.iter().filter(|input| input.gates);
        let gate_tables: BTreeSet<TableName> =
            gates.map(|input| input.spec.table.clone()).collect();
        let (ended, tables) = self.after_the_end(asset, &never.minus(&known_empty_inputs));
        let ends = Reason::SourceEnds { tables };
        push(&mut cells, &ended, State::Excluded, &ends);
        push(
            &mut cells,
            &never.minus(&known_empty_inputs).minus(&ended),
            State::Excluded,
            &Reason::SourceNeverLands {
                tables: gate_tables.clone(),
            },
        );
        push(
            &mut cells,
            &known_empty_inputs,
            State::Excluded,
            &Reason::NoRowsThere {
                tables: gate_tables,
            },
        );
        let begins_later = Reason::BeforeHistory {
            tables: self.before[index].tables.clone(),
        };
        push(&mut cells, &before, State::Excluded, &begins_later);
        for (days, reason) in &target.outside {
            push(&mut cells, days, State::Excluded, reason);
        }
        let run_otherwise = self.push_stale(&mut cells, index, &run, State::Run);
        let run_otherwise = self.push_reopened(&mut cells, index, &run_otherwise);
        push(&mut cells, &again, State::Run, &Reason::MadeAlone);
        self.push_run(&mut cells, asset, &run_otherwise.minus(&again));
        self.push_starved(&mut cells, &starved, &starving);
        cells.sort_by_key(|cell: &Cells| cell.range);

        self.never[index] = never.widen(asset.shift, asset.shift);
        let every = match asset.day_column {
            Some(_) => {
                let there = existing.days.minus(&existing.passed);
                there.union(&run).widen(asset.shift, asset.shift)
            }
            None if run.is_empty() => held(self.world, asset),
            None => run.clone(),
        };
        self.filled[index] = Some(every);
        self.add_steps(index, &run, &again, target.last);
        Ok(cells)
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
    fn known_empty(&self, asset: &Asset) -> RangeSet {
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
        let is_kv = asset.id.step == AssetKind::Kv;
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

    /// What should be known of an asset besides its days' states.
    fn notes(&self, index: AssetIndex, cells: &[Cells]) -> Vec<Note> {
        let asset = &self.world.graph.assets[index];
        let mut notes = self.freshness_notes(index, cells);
        let Some(driver) = self.world.driver else {
            return notes;
        };
        let days_in = |state: State| -> RangeSet {
            let matching = cells.iter().filter(|cells| cells.state == state);
            matching.map(|cells| cells.range).collect()
        };
        let run = days_in(State::Run);
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
        let there = run.union(&days_in(State::Done));
        notes.extend(self.unknown_times_note(asset, &there));
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

    /// The days of one of the asset's tables.
    fn days_of(&self, asset: &Asset, table: &TableName) -> RangeSet {
        let column = asset.day_column.as_deref().unwrap_or_default();
        let sub_partitions: &[(String, String)] = match *table == asset.table {
            true => &asset.sub_partitions,
            false => &[],
        };
        self.world.snapshot.days(table, column, sub_partitions)
    }

    /// The table's partitions as days of the asset.
    fn observed_days(&self, asset: &Asset) -> RangeSet {
        self.world.observed_days(asset)
    }

    /// Days of `days` that no input which decides about existence will ever have (§4.1).
    fn never_exists(&self, asset: &Asset, days: &RangeSet) -> RangeSet {
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

    /// Days of `days` that every input which decides about existence has without any row: the
    /// Driver leaves no partition for them, so it knows nothing of them further down (§4.1).
    fn known_empty_inputs(&self, asset: &Asset, days: &RangeSet) -> RangeSet {
        let mut gates = asset.inputs.iter().filter(|input| input.gates).peekable();
        // The last step of a modular join looks at the left side itself, where an empty partition
        // is a day (golden a: modular_v1).
        if gates.peek().is_none() || asset.id.step == AssetKind::Final {
            return RangeSet::new();
        }
        gates.fold(days.clone(), |left, input| {
            let of = |producer: AssetIndex| known_empty(self.world, producer);
            left.intersect(&input.producer.map(of).unwrap_or_default())
        })
    }

    fn push_run(&self, cells: &mut Vec<Cells>, asset: &Asset, run: &RangeSet) {
        if self.request.recompute {
            return push(cells, run, State::Run, &Reason::Recompute);
        }
        let premature = self.premature_days(asset, run);
        let run = &run.minus(&premature);
        push(cells, &premature, State::Run, &Reason::NotHandedOver);
        if asset.day_column.is_none() {
            let reason = match asset.id.step {
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

struct Done {
    days: RangeSet,
    /// Those of them that the table has.
    observed: RangeSet,
    /// Those of them that the join's output has and the table has not.
    passed: RangeSet,
    reason: Reason,
}

/// The day that an upload's table holds, or the newest that the KV store has; as the ledger knows it,
/// if the table is still there.
fn held(world: PlanInput<'_>, asset: &Asset) -> RangeSet {
    let exists = asset.day_column.is_none() && world.snapshot.table(&asset.table).is_some();
    let day = world.history.uploaded.get(&asset.id).filter(|_| exists);
    day.copied().map(PartitionRange::day).into()
}

/// Days of an asset's table that earlier runs found to have no rows.
fn known_empty(world: PlanInput<'_>, asset: AssetIndex) -> RangeSet {
    let asset = &world.graph.assets[asset];
    let days = world.history.empty.get(&asset.id);
    days.map(|days| days.widen(asset.shift, asset.shift))
        .unwrap_or_default()
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

fn push(cells: &mut Vec<Cells>, days: &RangeSet, state: State, reason: &Reason) {
    let range = |&range: &PartitionRange| Cells {
        range,
        state,
        reason: reason.clone(),
    };
    cells.extend(days.ranges().iter().map(range));
}

fn totals(assets: &[AssetPlan], steps: &[Step]) -> Totals {
    let mut days: BTreeMap<State, u64> = State::ALL.into_iter().map(|state| (state, 0)).collect();
    for cells in assets.iter().flat_map(|asset| &asset.cells) {
        *days.entry(cells.state).or_default() += u64::from(cells.range.days());
    }
    Totals {
        days,
        steps: steps.len() as u64,
        assets: assets.len() as u64,
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
