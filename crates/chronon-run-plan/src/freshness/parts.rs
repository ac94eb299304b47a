//! What is out of date of joins for reasons of their parts and their left rows' times.
//!
//! The partitions of a part with SNAPSHOT accuracy are written for the day before the rows' time, by
//! the steps of several left days, each with the keys of its own rows. So a partition that was written
//! again does not make the output out of date; a part that was filled again for the output's day does.
//! And an output day is filled again from parts that were filled for it right before.

use std::collections::BTreeSet;

use chronon_run_core::{AssetKind, Ds, PartitionRange, RangeSet, TableName};

use super::assessed::Assessed;
use crate::{
    graph::{Asset, AssetIndex, Graph, Input, Role},
    parts::parts_of_times,
    plan::Cause,
    world::{History, PlanInput},
};

/// Whether the input is the table of a part whose partitions are one day before the rows' time.
pub(super) fn is_part(graph: &Graph, input: &Input) -> bool {
    let producer = input.producer.map(|index| &graph.assets[index]);
    producer.is_some_and(Asset::is_shifted_part)
}

/// The days of an asset that are filled. Of a part these are also days that the join's output has and the
/// part no partition for: all of their rows are early or late, or the partition was dropped since.
pub(super) fn filled_days(world: PlanInput<'_>, asset: &Asset) -> RangeSet {
    let observed = world.observed_days(asset);
    let is_part = matches!(asset.id.mode, AssetKind::Part(_));
    let Some(output) = asset.final_table.as_ref().filter(|_| is_part) else {
        return observed;
    };
    let column = asset.day_column.as_deref().unwrap_or_default();
    observed.union(&world.snapshot.days(output, column, &[]))
}

/// The cause for inputs at `places`.
pub(super) fn cause(asset: &Asset, places: &[usize]) -> Option<Cause> {
    let inputs = places.iter().filter_map(|&place| asset.read_at(place));
    let tables: BTreeSet<TableName> = inputs.map(|input| input.spec.table.clone()).collect();
    (!tables.is_empty()).then_some(Cause::PartsFilledAgain { tables })
}

/// Lets the parts be filled for the days whose output is filled again.
pub(super) fn parts_with_output(world: PlanInput<'_>, all: &mut [Assessed], last: AssetIndex) {
    let asset = &world.graph.assets[last];
    if asset.id.mode != AssetKind::Final || all[last].refilled.is_empty() {
        return;
    }
    let days = all[last].refilled.clone();
    let inputs = asset.inputs.iter();
    let inputs = inputs.filter(|input| is_part(world.graph, input));
    for part in inputs.filter_map(|input| input.producer) {
        fill_again(&mut all[part], &days);
        lacking_steps(world, all, part);
    }
}

/// Lets the earlier steps of a join be run for days that are filled again and whose partitions are gone:
/// as long as the output has a day, it is not missed in their tables.
pub(super) fn lacking_steps(world: PlanInput<'_>, all: &mut [Assessed], index: AssetIndex) {
    let days = all[index].refilled.clone();
    let inputs = world.graph.assets[index].inputs.iter();
    let own = inputs.filter(|input| input.role == Role::OwnStep);
    for step in own.filter_map(|input| input.producer) {
        let asset = &world.graph.assets[step];
        let towards_output = matches!(asset.id.mode, AssetKind::Left | AssetKind::Part(_));
        if !towards_output || asset.is_shifted_part() {
            continue;
        }
        let empty = world.history.empty.get(&asset.id).cloned();
        let there = world.observed_days(asset).union(&empty.unwrap_or_default());
        let gone = days.minus(&there);
        if !gone.is_empty() {
            fill_again(&mut all[step], &gone);
            lacking_steps(world, all, step);
        }
    }
}

fn fill_again(step: &mut Assessed, days: &RangeSet) {
    let more = days.minus(&step.refilled);
    step.refilled = step.refilled.union(&more);
    if !more.is_empty() {
        step.stale.push((more, vec![Cause::OutputFilledAgain]));
    }
}

/// Filled days of a whole join that the Driver made alone, and with them, if they are filled again, the
/// days that belong to the same job.
pub(super) fn beside(
    world: PlanInput<'_>,
    history: &History,
    asset: &Asset,
    again: bool,
    found: &mut Assessed,
) {
    let driven = world.driver.is_some() && asset.id.mode == AssetKind::Backfill;
    let Some(times) = history.times_of(asset).filter(|_| driven) else {
        return;
    };
    if parts_of_times(asset).is_empty() {
        return;
    }
    let empty = world.history.empty.get(&asset.id).cloned();
    let observed = world.observed_days(asset).union(&empty.unwrap_or_default());
    let beside = |ds: Ds| {
        let range = times.beside(ds)?;
        let is_there = RangeSet::from(range).minus(&observed).is_empty();
        is_there.then_some(range)
    };
    let mut asked: RangeSet = times.alone.intersect(&observed);
    if !again {
        for range in asked.iter().filter_map(|ds| Some((ds, beside(ds)?))) {
            let cause = Cause::MadeAlone { beside: range.1 };
            let days = PartitionRange::day(range.0);
            found.stale.push((days.into(), vec![cause]));
        }
        return;
    }
    asked = asked.union(&found.refilled);
    // What is filled again may need other days again.
    while !asked.is_empty() {
        let mut more = RangeSet::new();
        for range in asked.iter().filter_map(beside) {
            let new = RangeSet::from(range).minus(&found.refilled);
            if !new.is_empty() {
                let cause = Cause::MadeAlone { beside: range };
                found.stale.push((new.clone(), vec![cause]));
            }
            found.refilled = found.refilled.union(&new);
            more = more.union(&new);
        }
        asked = more;
    }
}
