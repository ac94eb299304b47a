//! `plan --explain ASSET@DS`: one cell, with the state of every input that it needs.

use chronon_run_core::{AssetId, Ds, PartitionRange, RangeSet, TableName};
use serde::Serialize;

use crate::{
    graph::Input,
    need::Need,
    plan::{Cells, Plan, State},
    planner::{Available, available, existing, missing, needed, starved},
    world::PlanInput,
};

/// One cell and its inputs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Explanation {
    /// The asset.
    pub asset: AssetId,
    /// The day.
    pub ds: Ds,
    /// Its state and reason; `None` if the plan does not hold the day.
    pub cell: Option<Cells>,
    /// Every input that the day needs, then those that it reads without waiting for them.
    pub inputs: Vec<InputState>,
}

/// What one cell needs of one input.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InputState {
    /// The input's table.
    pub table: TableName,
    /// Its partition column.
    pub day_column: String,
    /// The asset that fills it, if one of this workspace does.
    pub asset: Option<AssetId>,
    /// What it is to the asset.
    pub role: String,
    /// Whether the day waits for it. Days of other inputs only make it out of date when they land or change.
    pub waited_for: bool,
    /// The rule.
    pub need: Need,
    /// The days that the rule asks for.
    pub needed: RangeSet,
    /// Of those, the ones that are there.
    pub present: RangeSet,
    /// Of those, the ones that this plan fills first.
    pub planned: RangeSet,
    /// Of those, the ones that are declared never to land.
    pub never: RangeSet,
    /// Of those, the ones that are missing.
    pub missing: RangeSet,
    /// Whether the table exists or will.
    pub table_exists: bool,
}

/// The cell of `asset` on `ds`, or `None` if the graph has no such asset.
#[must_use]
pub fn explain(world: PlanInput<'_>, plan: &Plan, asset: &AssetId, ds: Ds) -> Option<Explanation> {
    let found = &world.graph.assets[world.graph.find(asset)?];
    let planned = plan.assets.iter().find(|planned| planned.asset == *asset);
    let waited = found.inputs.iter().map(|input| (input, true));
    let read = found.also_reads.iter().map(|input| (input, false));
    let inputs = waited.chain(read);
    let inputs = inputs.map(|(input, waited_for)| InputState {
        waited_for,
        ..input_state(world, plan, input, ds)
    });
    Some(Explanation {
        asset: asset.clone(),
        ds,
        cell: planned.and_then(|planned| planned.cell(ds)).cloned(),
        inputs: inputs.collect(),
    })
}

fn input_state(world: PlanInput<'_>, plan: &Plan, input: &Input, ds: Ds) -> InputState {
    let producer = input.producer.map(|producer| &world.graph.assets[producer]);
    let of_plan = |state: State| {
        let asset = producer?;
        let planned = plan
            .assets
            .iter()
            .find(|planned| planned.asset == asset.id)?;
        Some(planned.days_in(state).widen(asset.shift, asset.shift))
    };
    let planned = of_plan(State::Run).unwrap_or_default();
    let will_run = |_| !planned.is_empty();
    let present = existing(world, input, &|_| None);
    let never = world
        .never
        .get(&input.spec.table)
        .cloned()
        .unwrap_or_default();
    let never = never
        .union(&of_plan(State::Excluded).unwrap_or_default())
        .minus(&present);
    let available = available(
        world,
        input,
        present.union(&planned),
        Some(&never),
        &will_run,
    );
    let day = RangeSet::from(PartitionRange::day(ds));
    let needed = needed(input, &day, &available);
    InputState {
        table: input.spec.table.clone(),
        day_column: input.day_column.clone(),
        asset: producer.map(|asset| asset.id.clone()),
        role: input.role.describe(),
        waited_for: true,
        need: input.need,
        present: needed.intersect(&present),
        planned: needed.intersect(&planned).minus(&present),
        never: needed.intersect(&never),
        missing: if matches!(input.need, Need::Newest { .. })
            && starves_not(input, &day, &available)
        {
            RangeSet::new()
        } else {
            missing(input, &day, &available)
        },
        needed,
        table_exists: available.table,
    }
}

/// A cumulative source is satisfied by any partition that is new enough.
fn starves_not(input: &Input, day: &RangeSet, available: &Available) -> bool {
    starved(input, day, available).is_empty()
}
