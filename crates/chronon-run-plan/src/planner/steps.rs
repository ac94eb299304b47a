//! From the days to run of an asset to steps, and which steps of other assets come before.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{
    AssetKind, ConfId, Ds, PartitionRange, RangeSet, TableName, event::StepIndex,
};

use super::{beside, inputs::is_read, parts, walk::Planner};
use crate::{
    graph::{Asset, AssetIndex, Input},
    need::{Bounds, Need},
    plan::Step,
    world::DriverInput,
};

impl Planner<'_> {
    pub(super) fn add_steps(
        &mut self,
        index: AssetIndex,
        run: &RangeSet,
        again: &RangeSet,
        latest_date: Ds,
    ) {
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
                after: self.after(&upstream, range),
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
    pub(super) fn upstream<'b>(&self, asset: &'b Asset) -> Vec<Upstream<'b>> {
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
    pub(super) fn after(&self, upstream: &[Upstream<'_>], range: PartitionRange) -> Vec<StepIndex> {
        let mut after = BTreeSet::new();
        for Upstream {
            input,
            producer,
            bounds,
        } in upstream
        {
            // Oldest first, and no two overlap.
            let steps = &self.steps_of[*producer];
            if input.need == Need::Table {
                after.extend(steps.first().map(|(_, place)| *place));
                continue;
            }
            let shift = self.world.graph.assets[*producer].shift;
            let needed = input.need.inputs_of(&range.into(), *bounds);
            let needed = match input.need {
                Need::Newest { .. } => from_then_on(&needed, steps, shift),
                _ => needed,
            };
            let needed = needed.widen(-shift, -shift);
            let matching: Vec<StepIndex> = needed
                .ranges()
                .iter()
                .flat_map(|needed| overlapping(steps, *needed))
                .collect();
            if matching.is_empty() && self.is_made_first(input) {
                after.extend(steps.first().map(|(_, place)| *place));
            }
            after.extend(matching);
        }
        after.into_iter().collect()
    }

    /// Whether a step that needs no day of an input waits for the first step of its producer, because the
    /// table does not exist.
    fn is_made_first(&self, input: &Input) -> bool {
        is_read(&input.role) && self.world.snapshot.table(&input.spec.table).is_none()
    }
}

/// From the first of the `needed` days on to the last one that the producer's steps, oldest first, fill: the
/// newest partition is read, whichever it is.
fn from_then_on(needed: &RangeSet, steps: &[(PartitionRange, StepIndex)], shift: i32) -> RangeSet {
    let last = steps.last().map(|(filled, _)| filled.end.plus(shift));
    let range = needed.first().zip(last);
    let later = range.and_then(|(first, last)| PartitionRange::new(first, last));
    needed.union(&later.into())
}

/// Of `steps`, oldest first, those that fill days of `needed`.
fn overlapping(
    steps: &[(PartitionRange, StepIndex)],
    needed: PartitionRange,
) -> impl Iterator<Item = StepIndex> + '_ {
    let first = steps.partition_point(|(filled, _)| filled.end < needed.start);
    let matching = steps[first..]
        .iter()
        .take_while(move |(filled, _)| filled.start <= needed.end);
    matching.map(|(_, place)| *place)
}

/// Of the parts of a join that the Driver archives, one runs first and alone: two that start together
/// destroy the output table (engine-semantics 1 [6], E23).
pub(super) fn archive_alone(steps: &mut [Step], driver: &DriverInput) {
    let mut first: BTreeMap<ConfId, StepIndex> = BTreeMap::new();
    for step in steps {
        let is_part = matches!(step.asset.mode, AssetKind::Part(_));
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

/// Whether the Driver would take days of `range` for days before the asset's beginning, and so has
/// to be told to fill them (§5.1): some table by which it decides begins later. `days_of` tells a
/// table's days.
#[must_use]
pub fn first_hole(
    asset: &Asset,
    range: PartitionRange,
    days_of: &dyn Fn(&TableName) -> RangeSet,
) -> bool {
    if asset.id.mode.never_fills_first_hole() || asset.day_column.is_none() {
        return false;
    }
    let bootstrap = asset.also_writes.iter().filter(|side| side.what == "left");
    let deciding: Vec<&TableName> = match (&asset.id.mode, &asset.final_table) {
        // A part looks at the output, not at its own table (§6).
        (AssetKind::Part(_), Some(output)) => vec![output],
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
pub(super) struct Upstream<'a> {
    input: &'a Input,
    producer: AssetIndex,
    /// What can be needed of it.
    bounds: Bounds,
}
