//! Reads the times of left rows from the files that lie on this machine: of what was filled, which is
//! recorded; and, for the Driver, of left partitions that are about to be read.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::Join;
use chronon_run_core::{AssetId, AssetKind, CatalogSnapshot, Ds, PartitionRange, RangeSet, Slice};
use chronon_run_exec::Job;
use chronon_run_ledger::{Ledger, Provenance};
use chronon_run_plan::{Asset, AssetIndex, Graph, LeftTimes, Role};
use chronon_run_sql as sql;

use crate::{listing::session::CatalogSession, loading::project::Project};

/// The column of a join's output, and of its stored left rows, with their times.
const TIME: &str = "ts";
/// Left partitions of one join that are looked at before they are filled: the newest.
const AHEAD: i32 = 400;

/// What is known of the times of the left rows of the selected joins.
pub fn read(
    context: &Project,
    graph: &Graph,
    snapshot: &CatalogSnapshot,
    selected: &BTreeSet<AssetIndex>,
    warehouse: &CatalogSession,
    ledger: Option<&mut Ledger>,
) -> BTreeMap<AssetId, LeftTimes> {
    let confs: BTreeSet<_> = selected
        .iter()
        .map(|&index| &graph.assets[index].id.conf)
        .collect();
    let storing = graph.assets.iter().filter(|asset| stores_left(asset));
    let storing: Vec<&Asset> = storing
        .filter(|asset| confs.contains(&asset.id.conf))
        .collect();
    let ids = storing.iter().map(|asset| asset.id.clone()).collect();
    let known = ledger.map(|ledger| ledger.left_times(&ids));
    let mut all: BTreeMap<AssetId, LeftTimes> = known
        .unwrap_or_default()
        .into_iter()
        .map(|(id, (days, alone))| (id, LeftTimes { days, alone }))
        .collect();
    if context.uses_driver() {
        add_ahead(context, snapshot, &storing, warehouse, &mut all);
    }
    all
}

/// Whether the asset's table holds the left rows of a join.
fn stores_left(asset: &Asset) -> bool {
    let mode = &asset.id.mode;
    let joins = asset.inputs.iter().any(|input| input.role == Role::Left);
    joins && matches!(mode, AssetKind::Backfill | AssetKind::Left)
}

/// Adds the times of left partitions that were not filled yet.
fn add_ahead(
    context: &Project,
    snapshot: &CatalogSnapshot,
    storing: &[&Asset],
    warehouse: &CatalogSession,
    all: &mut BTreeMap<AssetId, LeftTimes>,
) {
    let Some(catalog) = warehouse.catalog() else {
        return;
    };
    for asset in storing {
        let Some((slice, column)) = left_of(context, asset) else {
            continue;
        };
        let there = snapshot.days(&slice.table, &slice.day_column, &slice.sub_partitions);
        let known = all.entry(asset.id.clone()).or_default();
        let recorded: RangeSet = known.days.keys().copied().collect();
        let newest = there.last().and_then(|last| {
            let newest = PartitionRange::new(last.plus(-AHEAD), last)?;
            Some(there.minus(&recorded).intersect(&newest.into()))
        });
        let Some(days) = newest.filter(|days| !days.is_empty()) else {
            continue;
        };
        let found = catalog.row_times(&[(slice, days, column)]);
        let found = found.unwrap_or_default().into_values().flatten();
        known.days.extend(found.filter_map(in_days));
    }
}

/// The left table of a join of events, and the plain column that holds the rows' times.
fn left_of(context: &Project, asset: &Asset) -> Option<(Slice, String)> {
    let sql::Conf::Join(join) = context.conf(&asset.id)? else {
        return None;
    };
    let input = asset.inputs.iter().find(|input| input.role == Role::Left)?;
    let slice = Slice {
        table: input.spec.table.clone(),
        day_column: input.day_column.clone(),
        sub_partitions: input.spec.sub_partitions.clone(),
    };
    Some((slice, time_column(join)?))
}

fn time_column(join: &Join) -> Option<String> {
    let query = join.left.query();
    let selected = query
        .selects
        .as_ref()
        .and_then(|all| all.get(TIME).cloned());
    let text = query.time_column.clone().or(selected)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!text.is_empty() && text.chars().all(plain)).then_some(text)
}

/// Milliseconds as days in UTC, as the Driver and the `sql` engine cut days.
fn in_days((ds, (first, last)): (Ds, (i64, i64))) -> Option<(Ds, PartitionRange)> {
    let day = |millis: i64| Ds::at(millis, "UTC").ok();
    Some((ds, PartitionRange::new(day(first)?, day(last)?)?))
}

/// Records the times of the rows that a step has filled. What cannot be learnt stays unknown.
pub fn record(
    context: &Project,
    warehouse: &CatalogSession,
    provenance: &Provenance,
    job: &Job,
    asset: &Asset,
    filled: &RangeSet,
) {
    let (Some(catalog), Some(column)) = (warehouse.catalog(), &asset.day_column) else {
        return;
    };
    if !stores_left(asset) || filled.is_empty() {
        return;
    }
    let slice = Slice {
        table: asset.table.clone(),
        day_column: column.clone(),
        sub_partitions: Vec::new(),
    };
    let found = catalog.row_times(&[(slice, filled.clone(), TIME.to_owned())]);
    let found = found.unwrap_or_default().into_values().flatten();
    let times = LeftTimes {
        days: found.filter_map(in_days).collect(),
        alone: RangeSet::new(),
    };
    let alone = match context.uses_driver() {
        true => times.alone_in(job.range),
        false => RangeSet::new(),
    };
    provenance.note_times(&asset.id, job.range, &times.days, &alone);
}
