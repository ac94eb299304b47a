//! When the day of a join part is done, and which part partitions have to go first.
//!
//! The part of a join with events on the left and SNAPSHOT accuracy is partitioned by the day before
//! the row's *time*. A left row that is early (its time is on a later day than its partition) creates a
//! part partition that belongs to a later left day, with the keys of the earlier day only. So the
//! partition's existence does not mean that the left rows of its day were handed to the part; the
//! join's output tells that: it has a day only after its part steps were run.

use std::collections::BTreeMap;

use chronon_run_core::{AssetKind, CatalogSnapshot, PartitionRange, RangeSet, TableName};

use crate::{
    graph::{Asset, SideTable},
    plan::{Plan, Step},
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
    let is_part = matches!(asset.id.mode, AssetKind::Part(_)) && asset.shift == 0;
    let own = is_part.then(|| {
        let days = days_of(&asset.table).intersect(&range.into());
        (asset.table.clone(), days)
    });
    let whole = asset.id.mode == AssetKind::Backfill;
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

pub(crate) fn by_table(
    all: impl Iterator<Item = (TableName, RangeSet)>,
) -> BTreeMap<TableName, RangeSet> {
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
    let own = asset
        .is_shifted_part()
        .then_some((&asset.table, asset.shift));
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
