//! What an input holds, and what of it output days need and lack (§4.2).

use chronon_run_core::{AssetKind, PartitionRange, RangeSet};

use crate::{
    graph::{Asset, AssetIndex, Input, Role},
    need::{Bounds, Need},
    world::PlanInput,
};

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

/// What can be needed of an input: as its source's query says, and from the first day on that the workspace
/// declares.
pub(crate) fn bounds_of(world: PlanInput<'_>, input: &Input) -> Bounds {
    Bounds {
        from: input.from.max(world.first_day(input)),
        until: input.until,
    }
}

/// Days of an input that the catalog shows, that are known to be empty, or that the plan fills.
pub(crate) fn existing<'a>(
    world: PlanInput<'a>,
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
    let part = world.graph.assets[producer].is_shifted_part();
    let observed = match part && planned.is_some() {
        true => RangeSet::new(),
        false => observed,
    };
    let planned = planned.unwrap_or_else(|| held(world, &world.graph.assets[producer]));
    observed
        .union(&planned)
        .union(&known_empty(world, producer))
}

/// What `input` can be asked for and what of that is there.
pub(crate) fn available(
    world: PlanInput<'_>,
    input: &Input,
    existing: RangeSet,
    never: Option<&RangeSet>,
    will_run: &dyn Fn(AssetIndex) -> bool,
) -> Available {
    let declared = bounds_of(world, input);
    let first_known = match input.producer.map(|producer| &world.graph.assets[producer]) {
        // Logs begin when the join goes online, whatever its first day is.
        Some(producer) if producer.id.mode == AssetKind::LogFlattener => existing.first(),
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
        Need::Days { .. } | Need::Since { .. } if !available.table && is_read(&input.role) => {
            wanted.clone()
        }
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

/// Whether a step fails without the table although it needs no day of it: Spark reads its columns. A
/// chained parent is computed by the job, and the steps of one conf have an order of their own.
pub(super) fn is_read(role: &Role) -> bool {
    !matches!(role, Role::OwnStep | Role::Parent)
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

/// The day that an upload's table holds, or the newest that the KV store has; as the ledger knows it,
/// if the table is still there.
pub(super) fn held(world: PlanInput<'_>, asset: &Asset) -> RangeSet {
    let exists = asset.day_column.is_none() && world.snapshot.table(&asset.table).is_some();
    let day = world.history.uploaded.get(&asset.id).filter(|_| exists);
    day.copied().map(PartitionRange::day).into()
}

/// Days of an asset's table that earlier runs found to have no rows.
pub(super) fn known_empty(world: PlanInput<'_>, asset: AssetIndex) -> RangeSet {
    let asset = &world.graph.assets[asset];
    let days = world.history.empty.get(&asset.id);
    days.map(|days| days.widen(asset.shift, asset.shift))
        .unwrap_or_default()
}
