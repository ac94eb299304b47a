//! Which filled days are out of date, and which days without rows have to be looked at again.
//!
//! A day is compared with how it was made ([`Memory`]): the conf's content, and what was seen of the
//! input days that it needs. The comparison is a question for the newest change in a range of days
//! (`versions.rs`), so that it costs the same for a window of a year as for one day.

mod assess;
mod parts;
mod versions;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, DayEvidence, Digest, Ds, Memory, PartitionRange, RangeSet,
    Slice, TableName,
};
use serde::{Deserialize, Serialize};

use crate::{
    graph::{Asset, AssetIndex, Graph, Input, Role},
    left_times::{FAR_DAYS, LeftTimes},
    need::Need,
    planner::{History, PlanInput},
};

pub(crate) use assess::{Assessed, assess};

/// How days were made, and what the same things look like now.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    /// How days were made.
    pub memory: Memory,
    /// What is seen now of the input days that were asked for, see [`evidence_wanted`].
    pub now: BTreeMap<Slice, DayEvidence>,
    /// The digest of each asset's conf as it is now. An asset that is not there is not compared.
    pub confs: BTreeMap<AssetId, i64>,
    /// What was edited since a conf had a digest, in words.
    pub edits: BTreeMap<AssetId, BTreeMap<i64, Vec<String>>>,
}

/// Why a day is out of date.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// The conf was edited after the day was filled.
    ConfEdited {
        /// What, in words.
        edits: Vec<String>,
    },
    /// Input partitions appeared or were written again after the day was filled.
    InputsChanged {
        /// Which.
        inputs: Vec<ChangedInput>,
    },
    /// The plan fills days again that it was made of.
    InputsFilledAgain {
        /// The tables and the days.
        inputs: BTreeMap<TableName, RangeSet>,
    },
    /// A part of the join was filled again for the day, and the output was not.
    PartsFilledAgain {
        /// The part tables.
        tables: BTreeSet<TableName>,
    },
    /// The join's output is filled again from this part, which must have the keys of the day then.
    OutputFilledAgain,
    /// The Driver made the day without the days that it has to fill in the same job, because all rows
    /// of one of them are early or all are late.
    MadeAlone {
        /// The days that belong together.
        beside: PartitionRange,
    },
    /// An attempt to fill the day again began and did not end.
    Unfinished,
    /// An earlier version of this program found no rows, and did not record what it saw.
    NothingRecorded,
}

/// Days of one input that are no longer what they were.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangedInput {
    /// The table.
    pub table: TableName,
    /// Days that were not there.
    pub appeared: RangeSet,
    /// Days that were written again.
    pub rewritten: RangeSet,
}

/// How much of the evidence a command needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// That of days without rows: they decide what runs.
    EmptyDays,
    /// That of every filled day.
    FilledDays,
}

/// The input days of which evidence is wanted before a plan is made: those that recorded days of the
/// selected assets were made of and that are there now.
#[must_use]
pub fn evidence_wanted(
    world: PlanInput<'_>,
    selected: &BTreeSet<AssetIndex>,
    memory: &Memory,
    depth: Depth,
) -> BTreeMap<Slice, RangeSet> {
    let mut wanted: BTreeMap<Slice, RangeSet> = BTreeMap::new();
    for asset in selected.iter().map(|&index| &world.graph.assets[index]) {
        let Some(made) = memory.made.get(&asset.id) else {
            continue;
        };
        let empty = world.history.empty.get(&asset.id).cloned();
        let days: RangeSet = match depth {
            Depth::EmptyDays => empty.unwrap_or_default(),
            Depth::FilledDays => {
                let observed = parts::filled_days(world, asset);
                observed.union(&empty.unwrap_or_default())
            }
        };
        let days: RangeSet = days.iter().filter(|ds| made.contains_key(ds)).collect();
        let needed = inputs_needed(asset, &days, world.snapshot, &|ds| {
            offsets(world, asset, ds)
        });
        for (slice, days) in needed {
            let all = wanted.entry(slice).or_default();
            *all = all.union(&days);
        }
    }
    wanted.retain(|_, days| !days.is_empty());
    wanted
}

/// Of what [`Freshness::memory`] is wanted: the selected assets, and the slices of their inputs, as text.
#[must_use]
pub fn memory_wanted(
    graph: &Graph,
    selected: &BTreeSet<AssetIndex>,
) -> (BTreeSet<AssetId>, BTreeSet<String>) {
    let assets = || selected.iter().map(|&index| &graph.assets[index]);
    let inputs = assets().flat_map(|asset| &asset.inputs);
    let slices = inputs.map(|input| slice_of(input).to_string());
    (
        assets().map(|asset| asset.id.clone()).collect(),
        slices.collect(),
    )
}

/// The input days that are there and that `days` of an asset may be made of: the rows' times are not
/// known yet.
#[must_use]
pub fn inputs_seen(
    asset: &Asset,
    days: &RangeSet,
    snapshot: &CatalogSnapshot,
) -> BTreeMap<Slice, RangeSet> {
    inputs_needed(asset, days, snapshot, &|_| (-FAR_DAYS, FAR_DAYS))
}

/// The input days that are there and that `days` of an asset are made of, where `offsets` tells how far
/// the times of a day's left rows reach.
fn inputs_needed(
    asset: &Asset,
    days: &RangeSet,
    snapshot: &CatalogSnapshot,
    offsets: &dyn Fn(Ds) -> (i32, i32),
) -> BTreeMap<Slice, RangeSet> {
    let mut seen: BTreeMap<Slice, RangeSet> = BTreeMap::new();
    for input in &asset.inputs {
        let there = days_of(input, snapshot);
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
fn offsets(world: PlanInput<'_>, asset: &Asset, ds: Ds) -> (i32, i32) {
    left_times(world.history, asset).map_or((0, 0), |times| times.offsets(ds))
}

/// What is known of the times of the left rows of a join.
pub(crate) fn left_times<'h>(history: &'h History, asset: &Asset) -> Option<&'h LeftTimes> {
    let step = match asset.id.step {
        AssetKind::Backfill => AssetKind::Backfill,
        AssetKind::Left | AssetKind::Part(_) | AssetKind::Final => AssetKind::Left,
        _ => return None,
    };
    let conf = asset.id.conf.clone();
    history.left_times.get(&AssetId { conf, step })
}

/// What the inputs of an asset are, apart from what they hold: as long as it is the same, days that
/// were not seen were not there.
#[must_use]
pub fn inputs_digest(asset: &Asset) -> i64 {
    let mut texts: Vec<String> = Vec::new();
    for input in asset.inputs.iter().filter(|input| is_content(input)) {
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
fn is_content(input: &Input) -> bool {
    input.need != Need::Table && input.role != Role::Parent
}

pub(crate) fn slice_of(input: &Input) -> Slice {
    Slice {
        table: input.spec.table.clone(),
        day_column: input.day_column.clone(),
        sub_partitions: input.spec.sub_partitions.clone(),
    }
}

fn days_of(input: &Input, snapshot: &CatalogSnapshot) -> RangeSet {
    let spec = &input.spec;
    snapshot.days(&spec.table, &input.day_column, &spec.sub_partitions)
}

/// The days of an input, from `first` on, that the days of `range` are made of. Unlike what is waited
/// for, history before the first partition counts: it may appear.
fn needed_of(input: &Input, range: PartitionRange, first: Ds) -> Option<PartitionRange> {
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
fn followed(need: Need) -> Need {
    match need {
        Need::Newest { hi } => Need::Days { lo: hi, hi },
        other => other,
    }
}

#[cfg(test)]
mod tests;
