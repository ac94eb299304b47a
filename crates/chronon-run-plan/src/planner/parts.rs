//! When the day of a join part is done, and which part partitions have to go first.
//!
//! The part of a join with events on the left and SNAPSHOT accuracy is partitioned by the day before
//! the row's *time*. A left row that is early (its time is on a later day than its partition) creates a
//! part partition that belongs to a later left day, with the keys of the earlier day only. So the
//! partition's existence does not mean that the left rows of its day were handed to the part; the
//! join's output tells that: it has a day only after its part steps were run.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, ConfId, Ds, PartitionRange, RangeSet, TableName,
};

use super::{Planner, known_empty};
use crate::{
    graph::{Asset, AssetIndex, Graph, SideTable},
    plan::{Note, Plan, Step},
};

/// How many days early the left rows of a filled gap may be: part partitions up to so many days after
/// a step's last one are dropped before it, although the output has their days.
pub const EARLY_DAYS: i32 = 10;

/// The part partitions that exist before the left rows of `range` were handed to the part, and those of
/// `range` itself that a killed job left. The Driver
/// skips part partitions that exist (§5.4), so they have to be dropped before it fills `range` of
/// `asset`; nothing else needs them any more, because the days whose output exists were joined
/// already. `days_of` tells a table's days.
#[must_use]
pub fn premature_parts(
    asset: &Asset,
    range: PartitionRange,
    days_of: &dyn Fn(&TableName) -> RangeSet,
) -> BTreeMap<TableName, RangeSet> {
    let found = parts_of_times(asset).into_iter().map(|(table, shift)| {
        let days = RangeSet::from(PartitionRange {
            start: range.start.plus(shift),
            end: range.end.plus(shift + EARLY_DAYS),
        });
        (table.clone(), days_of(table).intersect(&days))
    });
    let is_part = matches!(asset.id.step, AssetKind::Part(_)) && asset.shift == 0;
    let own = is_part.then(|| {
        let days = days_of(&asset.table).intersect(&range.into());
        (asset.table.clone(), days)
    });
    let whole = asset.id.step == AssetKind::Backfill;
    let sides = asset
        .also_writes
        .iter()
        .filter(|side| whole && is_own_part(side));
    let left_over = sides.map(|side| {
        let days = days_of(&side.table).intersect(&range.into());
        (side.table.clone(), days)
    });
    by_table(found.chain(left_over).chain(own))
}

/// Everything that exists and has to be dropped so that the Driver really computes `days` of `asset`
/// again, by table.
#[must_use]
pub fn dropped_first(
    asset: &Asset,
    days: &RangeSet,
    days_of: &dyn Fn(&TableName) -> RangeSet,
) -> BTreeMap<TableName, RangeSet> {
    let own = asset.dropped_for(days).into_iter().map(|(table, days)| {
        let there = days_of(&table).intersect(&days);
        (table, there)
    });
    let ranges = days.ranges().iter();
    let parts = ranges.flat_map(|range| premature_parts(asset, *range, days_of));
    by_table(own.chain(parts))
}

/// What has to be dropped before `step`, where the catalog is as in `snapshot` and the plan's earlier
/// steps have run: for people who run the steps themselves. After an earlier step of the same table,
/// partitions from the day before the step on may be there, made by early rows.
#[must_use]
pub fn dropped_before(
    plan: &Plan,
    snapshot: &CatalogSnapshot,
    step: &Step,
    asset: &Asset,
) -> BTreeMap<TableName, RangeSet> {
    let column = asset.day_column.as_deref().unwrap_or_default();
    let before = step.range.start.plus(-1);
    let mut earlier = plan
        .steps
        .iter()
        .take_while(|other| other.index < step.index);
    let early = PartitionRange::day(before).widen(0, EARLY_DAYS - 1);
    let follows = earlier.any(|other| other.asset == step.asset && other.range.end == before);
    let days_of = |table: &TableName| {
        let there = snapshot.days(table, column, &[]);
        match follows && parts_of_times(asset).iter().any(|part| part.0 == table) {
            true => there.union(&early.into()),
            false => there,
        }
    };
    match plan.recompute || plan.stale {
        true => dropped_first(asset, &step.range.into(), &days_of),
        false => dropped_of(asset, step, &days_of),
    }
}

/// What a run drops before a step that is not to compute everything again: premature part partitions,
/// and days of the output that the step fills again.
#[must_use]
pub fn dropped_of(
    asset: &Asset,
    step: &Step,
    days_of: &dyn Fn(&TableName) -> RangeSet,
) -> BTreeMap<TableName, RangeSet> {
    let again = days_of(&asset.table).intersect(&step.again);
    let own = std::iter::once((asset.table.clone(), again));
    by_table(own.chain(premature_parts(asset, step.range, days_of)))
}

fn by_table(all: impl Iterator<Item = (TableName, RangeSet)>) -> BTreeMap<TableName, RangeSet> {
    let mut tables: BTreeMap<TableName, RangeSet> = BTreeMap::new();
    for (table, days) in all.filter(|(_, days)| !days.is_empty()) {
        let known = tables.entry(table).or_default();
        *known = known.union(&days);
    }
    tables
}

/// The part tables that a job of `asset` fills for the day before the left rows' time.
#[must_use]
pub fn parts_of_times(asset: &Asset) -> Vec<(&TableName, i32)> {
    let own = is_shifted_part(asset).then_some((&asset.table, asset.shift));
    let sides = asset.also_writes.iter().filter(|side| is_shifted(side));
    own.into_iter()
        .chain(sides.map(|side| (&side.table, side.shift)))
        .collect()
}

/// A part table that the same job fills, by the days of the left rows. A partition of a day that the
/// output lacks was left by a job that was killed, and its inputs may have changed since.
fn is_own_part(side: &SideTable) -> bool {
    side.shift == 0 && side.what.starts_with("part/")
}

/// A part table that the same job fills, written one day back.
fn is_shifted(side: &SideTable) -> bool {
    let word = side.what.split('/').next().unwrap_or_default();
    side.shift != 0 && ["part", "comparison part"].contains(&word)
}

/// Whether the asset is a part whose partitions are one day before the left rows' time.
pub(crate) fn is_shifted_part(asset: &Asset) -> bool {
    matches!(asset.id.step, AssetKind::Part(_)) && asset.shift != 0 && asset.final_table.is_some()
}

impl Planner<'_> {
    /// The asset's partitions, in the asset's days, without those that prove nothing: of a part whose
    /// partitions may be premature, only days that the join's output has, or is known to have no rows
    /// for, are done. Of another part, those are not that a killed step left: it is not recorded what
    /// they were made of, and no output day was made of them yet.
    pub(super) fn proven_days(&self, index: AssetIndex) -> RangeSet {
        let asset = &self.world.graph.assets[index];
        let all = self.observed_days(asset);
        let Some(joined) = self.joined_days(asset) else {
            return all;
        };
        match is_shifted_part(asset) {
            true => all.intersect(&joined),
            false => all.minus(&self.assessed[index].unknown.minus(&joined)),
        }
    }

    /// Days of `run` that have a partition although their left rows were not handed to the part.
    pub(super) fn premature_days(&self, asset: &Asset, run: &RangeSet) -> RangeSet {
        let all = self.observed_days(asset);
        match self.joined_days(asset) {
            Some(joined) => run.intersect(&all).minus(&joined),
            None => RangeSet::new(),
        }
    }

    /// The days of a part's join whose left rows were joined; `None` if the asset is no part.
    fn joined_days(&self, asset: &Asset) -> Option<RangeSet> {
        let is_part = matches!(asset.id.step, AssetKind::Part(_));
        let output = asset.final_table.as_ref().filter(|_| is_part)?;
        let graph = self.world.graph;
        let last = AssetId {
            conf: asset.id.conf.clone(),
            step: AssetKind::Final,
        };
        let without_rows = graph.find(&last).map(|last| known_empty(self.world, last));
        let joined = self.days_of(asset, output);
        Some(joined.union(&without_rows.unwrap_or_default()))
    }

    /// The first days of the part steps that a final step must not reach beyond: it reads the parts before
    /// a later part step writes into partitions that its rows need.
    pub(super) fn cuts_of_parts(&self, asset: &Asset) -> BTreeSet<Ds> {
        if asset.id.step != AssetKind::Final {
            return BTreeSet::new();
        }
        let producers = asset.inputs.iter().filter_map(|input| input.producer);
        let parts = producers.filter(|&part| is_shifted_part(&self.world.graph.assets[part]));
        let steps = parts.flat_map(|part| &self.steps_of[part]);
        steps.map(|(range, _)| range.start).collect()
    }

    /// The partitions that a run of `run` drops first because they were made too soon.
    pub(super) fn premature_note(&self, asset: &Asset, run: &RangeSet) -> Option<Note> {
        // What the `sql` engine computes again, it overwrites.
        self.world.driver?;
        let days_of = |table: &TableName| self.days_of(asset, table);
        let ranges = run.ranges().iter();
        let tables = by_table(ranges.flat_map(|range| premature_parts(asset, *range, &days_of)));
        (!tables.is_empty()).then_some(Note::Premature { tables })
    }
}

/// The pieces of a range, each of which ends before the next of `cuts`.
pub(super) fn cut_before(range: PartitionRange, cuts: &BTreeSet<Ds>) -> Vec<PartitionRange> {
    let mut starts = vec![range.start];
    starts.extend(
        cuts.iter()
            .filter(|&&cut| cut > range.start && cut <= range.end),
    );
    let ends = starts.iter().skip(1).map(|start| start.plus(-1));
    let ends: Vec<Ds> = ends.chain([range.end]).collect();
    let pieces = starts.into_iter().zip(ends);
    pieces
        .map(|(start, end)| PartitionRange { start, end })
        .collect()
}

/// Lets the part steps of later days wait until the final steps of earlier days are over: a part step
/// may write partitions that earlier days read, with the keys of its own days only. A step that
/// failed lets the later ones go on; its days are handed to the parts again by the next run.
///
/// The steps are in plan order afterwards: each waits for steps before it only.
pub(super) fn final_before_later_parts(graph: &Graph, steps: &mut Vec<Step>) {
    let edges = edges(graph, steps);
    if edges.is_empty() {
        return;
    }
    for (part, last) in edges {
        let last = steps[last].index;
        steps[part].once_over.push(last);
    }
    *steps = in_order(std::mem::take(steps));
}

/// Positions of part steps, each with the latest final step of earlier days.
fn edges(graph: &Graph, steps: &[Step]) -> Vec<(usize, usize)> {
    let mut finals: BTreeMap<&ConfId, Vec<usize>> = BTreeMap::new();
    for (position, step) in steps.iter().enumerate() {
        if step.asset.step == AssetKind::Final {
            finals.entry(&step.asset.conf).or_default().push(position);
        }
    }
    let is_part = |step: &Step| {
        let index = graph.find(&step.asset);
        index.is_some_and(|index| is_shifted_part(&graph.assets[index]))
    };
    let parts = steps.iter().enumerate().filter(|(_, step)| is_part(step));
    let before = parts.filter_map(|(part, step)| {
        let finals = finals.get(&step.asset.conf)?.iter().copied();
        let mut earlier = finals.filter(|&last| steps[last].range.end < step.range.start);
        Some((part, earlier.next_back()?))
    });
    before.collect()
}

/// The steps in an order in which each comes after those that it waits for, otherwise as they were,
/// numbered anew.
fn in_order(steps: Vec<Step>) -> Vec<Step> {
    let mut waits: Vec<BTreeSet<usize>> =
        steps.iter().map(|step| waits_for(step).collect()).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
    for (position, earlier) in waits.iter().enumerate() {
        for &earlier in earlier {
            followers[earlier].push(position);
        }
    }
    let mut ready: BTreeSet<usize> = (0..steps.len())
        .filter(|&at| waits[at].is_empty())
        .collect();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for &follower in &followers[next] {
            waits[follower].remove(&next);
            if waits[follower].is_empty() {
                ready.insert(follower);
            }
        }
    }
    numbered(steps, &order)
}

fn waits_for(step: &Step) -> impl Iterator<Item = usize> + '_ {
    let all = step.after.iter().chain(&step.once_over);
    all.map(|&index| index as usize)
}

fn numbered(steps: Vec<Step>, order: &[usize]) -> Vec<Step> {
    let mut places = vec![0; steps.len()];
    for (place, &position) in order.iter().enumerate() {
        places[position] = place;
    }
    let index = |position: usize| u32::try_from(places[position]).unwrap_or(u32::MAX);
    let renamed = |indexes: &[u32]| {
        let mut new: Vec<u32> = indexes.iter().map(|&old| index(old as usize)).collect();
        new.sort_unstable();
        new
    };
    let mut all: Vec<Step> = steps
        .into_iter()
        .map(|step| Step {
            index: index(step.index as usize),
            after: renamed(&step.after),
            once_over: renamed(&step.once_over),
            ..step
        })
        .collect();
    all.sort_by_key(|step| step.index);
    all
}
