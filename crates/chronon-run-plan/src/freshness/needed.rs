//! Which input days the days of an asset are made of, and what its inputs are.

use std::{collections::BTreeMap, fmt::Write as _};

use chronon_run_core::{CatalogSnapshot, Digest, Ds, PartitionRange, RangeSet, Slice};

use crate::{
    graph::{Asset, Input, Role},
    left_times::FAR_DAYS,
    need::Need,
    world::PlanInput,
};

/// The input days that are there and that `days` of an asset may be made of: the rows' times are not
/// known yet.
#[must_use]
pub fn inputs_seen(
    asset: &Asset,
    days: &RangeSet,
    snapshot: &CatalogSnapshot,
) -> BTreeMap<Slice, RangeSet> {
    let there = |input: &Input| days_of(input, snapshot);
    inputs_needed(asset, days, &there, &|_| (-FAR_DAYS, FAR_DAYS))
}

/// The days of inputs whose rows a step that fills `days` reads, of those that are `there` then.
pub(crate) fn inputs_of_step(
    world: PlanInput<'_>,
    asset: &Asset,
    days: &RangeSet,
    there: &dyn Fn(&Input) -> RangeSet,
) -> BTreeMap<Slice, RangeSet> {
    let read = |input: &Input| match is_content(input) {
        true => there(input),
        false => RangeSet::new(),
    };
    inputs_needed(asset, days, &read, &|ds| offsets(world, asset, ds))
}

/// The input days, of those that are `there`, that `days` of an asset are made of, where `offsets` tells
/// how far the times of a day's left rows reach.
pub(super) fn inputs_needed(
    asset: &Asset,
    days: &RangeSet,
    there: &dyn Fn(&Input) -> RangeSet,
    offsets: &dyn Fn(Ds) -> (i32, i32),
) -> BTreeMap<Slice, RangeSet> {
    let mut seen: BTreeMap<Slice, RangeSet> = BTreeMap::new();
    for input in asset.reads() {
        let there = there(input);
        let around = match input.follows_times {
            true => around(days, offsets),
            false => days.clone(),
        };
        let needed: RangeSet = around
            .ranges()
            .iter()
            .filter_map(|range| needed_of(input, *range, there.first()?))
            .collect();
        let found = seen.entry(slice_of(input)).or_default();
        *found = found.union(&needed.intersect(&there));
    }
    seen
}

/// `days`, and as far as the times of their rows reach.
fn around(days: &RangeSet, offsets: &dyn Fn(Ds) -> (i32, i32)) -> RangeSet {
    let off = days.iter().filter_map(|ds| {
        let (lo, hi) = offsets(ds);
        ((lo, hi) != (0, 0)).then(|| PartitionRange::day(ds).widen(lo, hi))?
    });
    days.union(&off.collect())
}

/// How far the times of the left rows of a day of `asset` reach, as far as that is known.
pub(super) fn offsets(world: PlanInput<'_>, asset: &Asset, ds: Ds) -> (i32, i32) {
    let times = world.history.times_of(asset);
    times.map_or((0, 0), |times| times.offsets(ds))
}

/// What the inputs of an asset are, apart from what they hold: as long as it is the same, days that
/// were not seen were not there.
#[must_use]
pub fn inputs_digest(asset: &Asset) -> i64 {
    let mut texts: Vec<String> = Vec::new();
    for input in asset.reads().filter(|input| is_content(input)) {
        let mut text = slice_of(input).to_string();
        // Infallible: writing to a String.
        let _ = write!(text, " {:?} {:?} {:?}", input.need, input.from, input.until);
        if input.follows_times {
            // Days around those of the need are looked at as well.
            let _ = write!(text, " {FAR_DAYS}");
        }
        texts.push(text);
    }
    texts.sort();
    texts.dedup();
    let digest = texts.iter();
    digest
        .fold(Digest::default(), |all, text| all.text(text))
        .value()
}

/// Whether days are made of what the input holds. That a chained parent is complete is a matter of the
/// Driver; what is read of it is an input of its own.
pub(super) fn is_content(input: &Input) -> bool {
    input.need != Need::Table && input.role != Role::Parent
}

pub(crate) fn slice_of(input: &Input) -> Slice {
    Slice {
        table: input.spec.table.clone(),
        day_column: input.day_column.clone(),
        sub_partitions: input.spec.sub_partitions.clone(),
    }
}

pub(crate) fn days_of(input: &Input, snapshot: &CatalogSnapshot) -> RangeSet {
    let spec = &input.spec;
    snapshot.days(&spec.table, &input.day_column, &spec.sub_partitions)
}

/// The days of an input, from `first` on, that the days of `range` are made of. Unlike what is waited
/// for, history before the first partition counts: it may appear.
pub(super) fn needed_of(input: &Input, range: PartitionRange, first: Ds) -> Option<PartitionRange> {
    let needed = match input.need {
        Need::Days { lo, hi } => range.widen(lo, hi)?,
        Need::Since { hi } => PartitionRange::new(first, range.end.plus(hi))?,
        // What is read besides is the newest partition of the moment, of which no day is made alone.
        Need::Newest { hi } => range.widen(hi, hi)?,
        Need::Table => return None,
    };
    let start = input
        .from
        .map_or(needed.start, |from| from.max(needed.start));
    let end = input
        .until
        .map_or(needed.end, |until| until.min(needed.end));
    PartitionRange::new(start, end)
}

/// The need by which changes are followed downstream.
pub(super) fn followed(need: Need) -> Need {
    match need {
        Need::Newest { hi } => Need::Days { lo: hi, hi },
        other => other,
    }
}
