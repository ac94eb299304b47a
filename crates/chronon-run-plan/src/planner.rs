//! From graph, catalog snapshot and history to a [`Plan`]. Ranges all the way: cost grows with
//! the number of holes, not of days.

mod history;
mod stale;

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{
    AssetId, CatalogSnapshot, ConfId, Ds, PartitionRange, RangeSet, StepKind, TableName,
    event::StepIndex,
};

use self::history::Before;
use crate::{
    freshness::{Assessed, Freshness, assess},
    graph::{Asset, AssetIndex, Fill, Graph, Input, Role},
    left_times::LeftTimes,
    need::{Bounds, Need},
    plan::{
        Archived, AssetPlan, Blame, Cells, Note, PLAN_VERSION, Plan, Reason, State, Step, Totals,
    },
};

mod beside;
mod parts;
mod times;

pub use history::unfounded;
pub(crate) use parts::is_shifted_part;
pub use times::{TimesSeen, times_seen};

pub use parts::{
    EARLY_DAYS, dropped_before, dropped_first, dropped_of, parts_of_times, premature_parts,
};

/// What the ledger knows and the warehouse cannot tell.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Days that an earlier run found to have no rows.
    pub empty: BTreeMap<AssetId, RangeSet>,
    /// The day that each upload's table holds, and the newest day that each `kv` has loaded.
    pub uploaded: BTreeMap<AssetId, Ds>,
    /// How days were made; `None` if there is no ledger.
    pub freshness: Option<Freshness>,
    /// The times of left rows, by the asset that stores them: a join's backfill, or its left step.
    pub left_times: BTreeMap<AssetId, LeftTimes>,
}

/// Everything that a plan is made from, besides what the user asks for.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The assets.
    pub graph: &'a Graph,
    /// What the catalog showed.
    pub snapshot: &'a CatalogSnapshot,
    /// What the ledger knows.
    pub history: &'a History,
    /// Days of sources that the workspace declares never to land.
    pub never: &'a BTreeMap<TableName, RangeSet>,
    /// The first days of sources, as the workspace declares them: later days are waited for, even if the
    /// first partition is newer; earlier ones are never needed.
    pub first_ds: &'a BTreeMap<TableName, Ds>,
    /// Assets that the engine cannot fill, and why.
    pub refused: &'a BTreeMap<AssetId, String>,
    /// What counts besides where the real Driver fills the tables; `None` for the `sql` engine.
    pub driver: Option<&'a DriverWorld>,
}

impl World<'_> {
    /// The declared first day of an input's table, or of the view that it stands for.
    pub(crate) fn first_day(&self, input: &Input) -> Option<Ds> {
        let view = match &input.role {
            Role::Behind { view, .. } => self.first_ds.get(view),
            _ => None,
        };
        self.first_ds.get(&input.spec.table).or(view).copied()
    }

    /// The partitions of an asset's table as days of the asset.
    pub(crate) fn observed_days(&self, asset: &Asset) -> RangeSet {
        let column = asset.day_column.as_deref().unwrap_or_default();
        let days = self
            .snapshot
            .days(&asset.table, column, &asset.sub_partitions);
        days.widen(-asset.shift, -asset.shift)
    }
}

/// What is known of the real Driver's own decisions.
#[derive(Clone, Debug, Default)]
pub struct DriverWorld {
    /// Today in UTC: no upload of this day or a later one (§8.1).
    pub today: Option<Ds>,
    /// Tables that the Driver would rename in the next run of an asset, because its conf was
    /// edited (§5.5). The snapshot shows them as gone already.
    pub archived: BTreeMap<AssetId, ArchivedTables>,
    /// Edits that the Driver does not notice, by asset, in words.
    pub unnoticed: BTreeMap<AssetId, Vec<String>>,
}

/// What the Driver would rename, and why.
#[derive(Clone, Debug, Default)]
pub struct ArchivedTables {
    /// The tables, with their days.
    pub tables: BTreeMap<TableName, RangeSet>,
    /// What was edited, in words.
    pub because: Vec<String>,
}

/// Per-asset settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AssetSettings {
    /// Longest step in days; 0 does not cut.
    pub step_days: u32,
    /// Days that the asset stays behind the last closed day.
    pub lag: u32,
}

/// What the user asks for.
pub struct Request<'a> {
    /// The assets.
    pub selected: BTreeSet<AssetIndex>,
    /// First day, inclusive; default each asset's own.
    pub start_ds: Option<Ds>,
    /// Last day, inclusive; default `as_of` minus the asset's lag.
    pub end_ds: Option<Ds>,
    /// The last closed day.
    pub as_of: Ds,
    /// Fill filled days again.
    pub recompute: bool,
    /// Plan only filled days that are out of date, and what is made of them.
    pub stale: bool,
    /// The days of each asset that may be planned; all, for an asset that is not there.
    pub only: &'a BTreeMap<AssetIndex, Only>,
    /// Settings by asset.
    pub settings: &'a dyn Fn(AssetIndex) -> AssetSettings,
}

/// The days to which an asset is limited: those that its schedule calls for, or those of an
/// earlier run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Only {
    /// The days.
    pub days: RangeSet,
    /// The last day of the request that they belong to, for `latest_date` and for assets of which
    /// only the last day is ever filled; `None` if nothing is due.
    pub last: Option<Ds>,
}

/// The plan for `request`.
#[must_use]
pub fn plan(world: World<'_>, request: &Request<'_>) -> Plan {
    let (assessed, history) = assess(world, request);
    let world = World {
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
            planner.foresee(index);
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
        assets,
        steps,
    }
}

/// Of the parts of a join that the Driver archives, one runs first and alone: two that start together
/// destroy the output table (engine-semantics 1 [6], E23).
fn archive_alone(steps: &mut [Step], driver: &DriverWorld) {
    let mut first: BTreeMap<ConfId, StepIndex> = BTreeMap::new();
    for step in steps {
        let is_part = matches!(step.asset.step, StepKind::Part(_));
        if !is_part || !driver.archived.contains_key(&step.asset) {
            continue;
        }
        match first.get(&step.asset.conf) {
            Some(archiving) if !step.after.contains(archiving) => step.after.push(*archiving),
            Some(_) => {}
            None => {
                first.insert(step.asset.conf.clone(), step.index);
            }
        }
        step.after.sort_unstable();
    }
}

/// The state of the walk over the assets, producers first.
struct Planner<'a> {
    world: World<'a>,
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

/// What an input holds.
pub(crate) struct Available {
    /// Days that exist, will exist before they are needed, or are declared never to land.
    pub(crate) days: RangeSet,
    /// What can be needed of the history.
    pub(crate) bounds: Bounds,
    /// What can be needed of the newest day.
    pub(crate) declared: Bounds,
    /// Whether the table is there or will be.
    pub(crate) table: bool,
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
            Some(Only { last: None, .. }) => return Err(Reason::NotDue),
            Some(Only {
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
            return Err(outside_conf);
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
        match today.filter(|_| matches!(asset.id.step, StepKind::Upload | StepKind::Kv)) {
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
        existing(self.world, input, &|producer| {
            self.filled[producer].as_ref()
        })
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
        let rowless = self.rowless(asset, &target.days).minus(&done).minus(&never);
        let never = never.union(&rowless);
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
        if let Some(table) = &asset.towards {
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
        push(
            &mut cells,
            &never.minus(&rowless),
            State::Excluded,
            &Reason::SourceNeverLands {
                tables: gate_tables.clone(),
            },
        );
        push(
            &mut cells,
            &rowless,
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
            Some(_) => existing.days.union(&run).widen(asset.shift, asset.shift),
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
        match (&asset.towards, self.world.driver) {
            (Some(output), Some(_)) => self.days_of(asset, output),
            _ => RangeSet::new(),
        }
    }

    /// Days that the Driver will not or must not fill, though their inputs are there.
    fn driver_refuses(
        &self,
        index: AssetIndex,
        target: &Target,
        run: &RangeSet,
    ) -> Vec<(RangeSet, State, Reason)> {
        let asset = &self.world.graph.assets[index];
        if self.world.driver.is_none() {
            return Vec::new();
        }
        let mut refused = Vec::new();
        let observed = self.days_of(asset, &asset.table);
        let kept = match self.request.recompute {
            true => observed.minus(&target.days),
            false => observed.minus(&self.assessed[index].refilled),
        };
        if let Some(first) = kept
            .first()
            .filter(|_| asset.id.step.never_fills_first_hole())
        {
            let left: RangeSet = run
                .first()
                .and_then(|start| PartitionRange::new(start, first.plus(-1)))
                .into();
            refused.push((
                run.intersect(&left),
                State::Excluded,
                Reason::FirstHole { first },
            ));
        }
        if let Some(day) = self.earlier_day_that_waits(index, run, &kept) {
            let from = run.last().and_then(|last| PartitionRange::new(day, last));
            let later = run.intersect(&from.into());
            refused.push((later, State::Blocked, Reason::EarlierDayWaits { day }));
        }
        refused
    }

    /// Days that the Driver fills up to the last day of `run` where it takes no first day: those
    /// that have their input and no partition yet (§5.1).
    fn driver_would_fill(&self, asset: &Asset, run: &RangeSet, kept: &RangeSet) -> RangeSet {
        let Some(last) = run
            .last()
            .filter(|_| asset.id.step.fills_everything_before())
        else {
            return RangeSet::new();
        };
        let gates = asset.inputs.iter().filter(|input| input.gates);
        let there = gates.fold(RangeSet::new(), |all, input| {
            all.union(&self.existing(input))
        });
        let first = there.first().max(kept.first());
        let asked: RangeSet = first
            .and_then(|first| PartitionRange::new(first, last))
            .into();
        there.intersect(&asked).minus(kept)
    }

    /// The first day that the Driver would fill too and that lacks an input.
    fn earlier_day_that_waits(
        &self,
        index: AssetIndex,
        run: &RangeSet,
        kept: &RangeSet,
    ) -> Option<Ds> {
        let asset = &self.world.graph.assets[index];
        let extra = self.driver_would_fill(asset, run, kept).minus(run);
        // Nothing is going to land for them; the Driver computes them with what there is.
        let extra = extra.minus(&self.before_days(index));
        let starved_by = |input: &Input| starved(input, &extra, &self.available(input)).first();
        asset.inputs.iter().filter_map(starved_by).min()
    }

    /// The table, or the KV store, holds one day only, and just the ledger knows which. An older day
    /// never overwrites a newer one (§8.1), not even with `--recompute`, so it counts as done too.
    fn uploaded(&self, asset: &Asset, target: &Target) -> Done {
        let is_kv = asset.id.step == StepKind::Kv;
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
    fn foresee(&mut self, index: AssetIndex) {
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
    fn rowless(&self, asset: &Asset, days: &RangeSet) -> RangeSet {
        let mut gates = asset.inputs.iter().filter(|input| input.gates).peekable();
        // The last step of a modular join looks at the left side itself, where an empty partition
        // is a day (golden a: modular_v1).
        if gates.peek().is_none() || asset.id.step == StepKind::Final {
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
                StepKind::Kv => Reason::NotLoaded,
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

    /// Cuts the starved days wherever the set of inputs to blame changes.
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
        let guilty = starving
            .iter()
            .filter(|(_, days, _)| days.contains(range.start));
        let mut inputs: Vec<Blame> = Vec::new();
        for (input, _, available) in guilty {
            let missing = missing(input, &range.into(), available);
            let asset = input
                .producer
                .map(|producer| self.world.graph.assets[producer].id.clone());
            let blame = Blame {
                table: input.spec.table.clone(),
                asset,
                missing,
                role: input.role.describe(),
            };
            merge(&mut inputs, blame);
        }
        let waits_for_source = inputs.iter().any(|blame| blame.asset.is_none());
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

    fn add_steps(&mut self, index: AssetIndex, run: &RangeSet, again: &RangeSet, latest_date: Ds) {
        let asset = &self.world.graph.assets[index];
        let settings = (self.request.settings)(index);
        let pieces = run
            .ranges()
            .iter()
            .flat_map(|range| range.cut_aligned(settings.step_days));
        let cuts = self.cuts_of_parts(asset);
        let pieces = pieces.flat_map(|range| parts::cut_before(range, &cuts));
        let pieces = beside::joined(pieces, &self.bonds(asset, run));
        let upstream = self.upstream(asset);
        let mut steps: Vec<Step> = Vec::new();
        for range in pieces {
            let place = self.steps.len() + steps.len();
            steps.push(Step {
                index: StepIndex::try_from(place).unwrap_or(StepIndex::MAX),
                asset: asset.id.clone(),
                range,
                latest_date,
                after: self.after(&asset.family, &upstream, range),
                family: asset.family.clone(),
                run_first_hole: self.world.driver.is_some()
                    && first_hole(asset, range, &|table| self.days_of(asset, table)),
                once_over: Vec::new(),
                again: again.intersect(&range.into()),
                command: None,
            });
        }
        self.steps_of[index] = steps.iter().map(|step| (step.range, step.index)).collect();
        self.steps.append(&mut steps);
    }

    /// The inputs of `asset` that this plan fills, at least in part.
    fn upstream<'b>(&self, asset: &'b Asset) -> Vec<Upstream<'b>> {
        let filled = asset.inputs.iter().filter_map(|input| {
            let producer = input.producer?;
            (!self.steps_of[producer].is_empty()).then(|| Upstream {
                input,
                producer,
                bounds: self.available(input).bounds,
            })
        });
        filled.collect()
    }

    /// The steps of this plan that fill what `range` needs.
    fn after(
        &self,
        family: &str,
        upstream: &[Upstream<'_>],
        range: PartitionRange,
    ) -> Vec<StepIndex> {
        let mut after = BTreeSet::new();
        for Upstream {
            input,
            producer,
            bounds,
        } in upstream
        {
            // Oldest first, and no two overlap.
            let steps = &self.steps_of[*producer];
            if input.need == Need::Table || self.is_made_first(input, *producer, family) {
                after.extend(steps.first().map(|(_, place)| *place));
            }
            if input.need == Need::Table {
                continue;
            }
            let shift = self.world.graph.assets[*producer].shift;
            let needed = input
                .need
                .inputs_of(&range.into(), *bounds)
                .widen(-shift, -shift);
            for needed in needed.ranges() {
                let first = steps.partition_point(|(filled, _)| filled.end < needed.start);
                let matching = steps[first..]
                    .iter()
                    .take_while(|(filled, _)| filled.start <= needed.end);
                after.extend(matching.map(|(_, place)| *place));
            }
        }
        after.into_iter().collect()
    }

    /// Whether a step of `family` waits for the first step of an input's producer, because the table does not
    /// exist: Spark reads the columns of a table of which no day is needed, too. Steps of one family have
    /// their own order.
    fn is_made_first(&self, input: &Input, producer: AssetIndex, family: &str) -> bool {
        self.world.snapshot.table(&input.spec.table).is_none()
            && self.world.graph.assets[producer].family != family
    }
}

/// Whether the Driver would take days of `range` for days before the asset's beginning, and so has
/// to be told to fill them (§5.1): some table by which it decides begins later. `days_of` tells a
/// table's days.
#[must_use]
pub fn first_hole(
    asset: &Asset,
    range: PartitionRange,
    days_of: &dyn Fn(&TableName) -> RangeSet,
) -> bool {
    if asset.id.step.never_fills_first_hole() || asset.day_column.is_none() {
        return false;
    }
    let bootstrap = asset.also_writes.iter().filter(|side| side.what == "left");
    let deciding: Vec<&TableName> = match (&asset.id.step, &asset.towards) {
        // A part looks at the output, not at its own table (§6).
        (StepKind::Part(_), Some(output)) => vec![output],
        _ => std::iter::once(&asset.table)
            .chain(bootstrap.map(|side| &side.table))
            .collect(),
    };
    let begins_later = |table: &TableName| {
        days_of(table)
            .first()
            .is_some_and(|first| first > range.start)
    };
    deciding.into_iter().any(begins_later)
}

/// An input that other steps of the plan fill.
struct Upstream<'a> {
    input: &'a Input,
    producer: AssetIndex,
    /// What can be needed of it.
    bounds: Bounds,
}

/// What the Driver would rename, beside what a plan that fills `run` computes again.
fn archives(archived: &ArchivedTables, run: &RangeSet) -> Note {
    let filled = archived.tables.iter().filter(|(_, days)| !days.is_empty());
    let tables = filled.map(|(table, days)| Archived {
        table: table.clone(),
        // Some parts are written one day back (§4.2).
        recomputed: days.intersect(&run.union(&run.widen(-1, -1))),
        thrown_away: days.clone(),
    });
    Note::Archives {
        tables: tables.collect(),
        because: archived.because.clone(),
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

/// What can be needed of an input: as its source's query says, and from the first day on that the workspace
/// declares.
pub(crate) fn bounds_of(world: World<'_>, input: &Input) -> Bounds {
    Bounds {
        from: input.from.max(world.first_day(input)),
        until: input.until,
    }
}

/// Days of an input that the catalog shows, that are known to be empty, or that the plan fills.
pub(crate) fn existing<'a>(
    world: World<'a>,
    input: &Input,
    filled: &dyn Fn(AssetIndex) -> Option<&'a RangeSet>,
) -> RangeSet {
    let observed = world.snapshot.days(
        &input.spec.table,
        &input.day_column,
        &input.spec.sub_partitions,
    );
    let Some(producer) = input.producer else {
        return observed;
    };
    let planned = filled(producer).cloned();
    // A partition of a part that is planned too proves nothing by itself: it may be premature.
    let part = parts::is_shifted_part(&world.graph.assets[producer]);
    let observed = match part && planned.is_some() {
        true => RangeSet::new(),
        false => observed,
    };
    let planned = planned.unwrap_or_else(|| held(world, &world.graph.assets[producer]));
    observed
        .union(&planned)
        .union(&known_empty(world, producer))
}

/// The day that an upload's table holds, or the newest that the KV store has; as the ledger knows it,
/// if the table is still there.
fn held(world: World<'_>, asset: &Asset) -> RangeSet {
    let exists = asset.day_column.is_none() && world.snapshot.table(&asset.table).is_some();
    let day = world.history.uploaded.get(&asset.id).filter(|_| exists);
    day.copied().map(PartitionRange::day).into()
}

/// Days of an asset's table that earlier runs found to have no rows.
fn known_empty(world: World<'_>, asset: AssetIndex) -> RangeSet {
    let asset = &world.graph.assets[asset];
    let days = world.history.empty.get(&asset.id);
    days.map(|days| days.widen(asset.shift, asset.shift))
        .unwrap_or_default()
}

/// What `input` can be asked for and what of that is there.
pub(crate) fn available(
    world: World<'_>,
    input: &Input,
    existing: RangeSet,
    never: Option<&RangeSet>,
    will_run: &dyn Fn(AssetIndex) -> bool,
) -> Available {
    let declared = bounds_of(world, input);
    let first_known = match input.producer.map(|producer| &world.graph.assets[producer]) {
        // Logs begin when the join goes online, whatever its first day is.
        Some(producer) if producer.id.step == StepKind::LogFlattener => existing.first(),
        // Its partitions, which may be written one day back.
        Some(producer) => {
            let from = producer.from.map(|from| from.plus(producer.shift));
            from.or(existing.first())
        }
        None => world.first_day(input).or(existing.first()),
    };
    let bounds = Bounds {
        from: declared.from.max(first_known),
        until: declared.until,
    };
    let declared_never = world
        .never
        .get(&input.spec.table)
        .cloned()
        .unwrap_or_default();
    let never = never.cloned().unwrap_or_default().union(&declared_never);
    let exists = world.snapshot.table(&input.spec.table).is_some();
    Available {
        days: existing.union(&never),
        bounds,
        declared,
        table: exists || input.producer.is_some_and(will_run),
    }
}

/// The days of `wanted` for which something of `input` is missing.
pub(crate) fn starved(input: &Input, wanted: &RangeSet, available: &Available) -> RangeSet {
    match input.need {
        Need::Table if available.table => RangeSet::new(),
        Need::Table => wanted.clone(),
        Need::Newest { .. } => input
            .need
            .starved(wanted, &available.days, available.declared),
        // Only the table must exist (§4.2): there is nothing to wait for before its first day. Later
        // days are waited for, because rows that arrive after a day was filled are never used.
        Need::Days { .. } if input.role == Role::Bootstrap => {
            if available.table {
                input
                    .need
                    .starved(wanted, &available.days, available.bounds)
            } else {
                wanted.clone()
            }
        }
        // Spark reads the columns of a table of which no day is needed, too.
        Need::Days { .. } | Need::Since { .. } if !available.table => wanted.clone(),
        Need::Days { hi, .. } | Need::Since { hi } => {
            // A history may begin late; its newest day must be there whatever the history.
            let newest =
                Need::Days { lo: hi, hi }.starved(wanted, &available.days, available.declared);
            newest.union(
                &input
                    .need
                    .starved(wanted, &available.days, available.bounds),
            )
        }
    }
}

/// The days of `input` that `outputs` need.
pub(crate) fn needed(input: &Input, outputs: &RangeSet, available: &Available) -> RangeSet {
    let needed = input.need.inputs_of(outputs, available.bounds);
    let newest = match input.need {
        Need::Days { .. } if input.role == Role::Bootstrap => RangeSet::new(),
        Need::Days { hi, .. } | Need::Since { hi } => {
            Need::Days { lo: hi, hi }.inputs_of(outputs, available.declared)
        }
        Need::Newest { .. } | Need::Table => RangeSet::new(),
    };
    needed.union(&newest)
}

/// The days of `input` that `outputs` need and that are not there.
pub(crate) fn missing(input: &Input, outputs: &RangeSet, available: &Available) -> RangeSet {
    let newest = match input.need {
        Need::Newest { .. } => input.need.inputs_of(outputs, available.declared),
        _ => RangeSet::new(),
    };
    needed(input, outputs, available)
        .union(&newest)
        .minus(&available.days)
}

/// Adds `blame`, joining it with one for the same table and role.
fn merge(inputs: &mut Vec<Blame>, blame: Blame) {
    let same = |other: &&mut Blame| other.table == blame.table;
    match inputs.iter_mut().find(same) {
        Some(other) => {
            other.missing = other.missing.union(&blame.missing);
            if !other.role.split(", ").any(|role| role == blame.role) {
                other.role = format!("{}, {}", other.role, blame.role);
            }
        }
        None => inputs.push(blame),
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
    world: World<'_>,
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
