//! Parts of modular joins in a plan: which of their days are done, and in which order their steps run.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, AssetKind, ConfId, Ds, PartitionRange, RangeSet, TableName};

use super::{inputs::known_empty, walk::Planner};
use crate::{
    graph::{Asset, AssetIndex, Graph},
    parts::{by_table, premature_parts},
    plan::{Note, Step},
};

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
        match asset.is_shifted_part() {
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
        let is_part = matches!(asset.id.mode, AssetKind::Part(_));
        let output = asset.final_table.as_ref().filter(|_| is_part)?;
        let graph = self.world.graph;
        let last = AssetId {
            conf: asset.id.conf.clone(),
            mode: AssetKind::Final,
        };
        let without_rows = graph.find(&last).map(|last| known_empty(self.world, last));
        let joined = self.days_of(asset, output);
        Some(joined.union(&without_rows.unwrap_or_default()))
    }

    /// The first days of the part steps that a final step must not reach beyond: it reads the parts before
    /// a later part step writes into partitions that its rows need.
    pub(super) fn cuts_of_parts(&self, asset: &Asset) -> BTreeSet<Ds> {
        if asset.id.mode != AssetKind::Final {
            return BTreeSet::new();
        }
        let producers = asset.inputs.iter().filter_map(|input| input.producer);
        let parts = producers.filter(|&part| self.world.graph.assets[part].is_shifted_part());
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
        if step.asset.mode == AssetKind::Final {
            finals.entry(&step.asset.conf).or_default().push(position);
        }
    }
    let is_part = |step: &Step| {
        let index = graph.find(&step.asset);
        index.is_some_and(|index| graph.assets[index].is_shifted_part())
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
