//! GroupBy sources, and the tables of join parts (§4.2).

use chronon_run_conf::{Accuracy, DataModel, GroupBy, OfflinePart, Source};
use chronon_run_core::{Ds, PartitionRange, RangeSet, TableName};

use super::{
    facts::Failure,
    unfilled::unfilled_ranges,
    values,
    world::{World, Write, day, table_of},
};

/// The left side of a join run: what gates it, what has rows, whose `ts` counts.
pub(crate) struct Left {
    /// Events or entities.
    pub(crate) model: DataModel,
    /// Whose facts about `ts` apply.
    pub(crate) table: TableName,
    /// Partitions: the gate.
    pub(crate) days: RangeSet,
    /// Partitions with rows.
    pub(crate) rows: RangeSet,
}

/// Every source's table must exist: schemas are read.
pub(crate) fn check_tables(world: &World<'_>, group_by: &GroupBy) -> Result<(), Failure> {
    for source in &group_by.sources {
        let table = table_of(source)?.table;
        if !world.exists(&table) {
            let message = format!("AnalysisException: Table or view not found: {table}");
            return Err(Failure::new(message));
        }
    }
    Ok(())
}

/// The days of `range` for which a GroupBy has at least one row as of the end of the day.
pub(crate) fn snapshot_days(
    world: &World<'_>,
    group_by: &GroupBy,
    range: PartitionRange,
) -> Result<RangeSet, Failure> {
    let mut all = RangeSet::new();
    for source in &group_by.sources {
        all = all.union(&source_days(world, group_by, source, range)?);
    }
    Ok(all.intersect(&range.into()))
}

fn source_days(
    world: &World<'_>,
    group_by: &GroupBy,
    source: &Source,
    range: PartitionRange,
) -> Result<RangeSet, Failure> {
    let (spec, query) = (table_of(source)?, source.query());
    let partitions = world.inputs(&spec, query, false);
    let rows = world.with_rows(&spec.table, &partitions);
    let from = day(query.start_partition.as_deref())?.or(rows.first());
    let until = day(query.end_partition.as_deref())?
        .unwrap_or(range.end)
        .min(range.end);
    if source.is_cumulative() {
        // Only the newest partition is read, whatever the day (engine-semantics 1).
        return Ok(if rows.is_empty() { rows } else { range.into() });
    }
    let bounds = from.and_then(|from| PartitionRange::new(from, until));
    let scanned = rows.intersect(&bounds.into());
    Ok(match (source.data_model(), group_by.max_window_days()) {
        (DataModel::Entities, _) => scanned,
        (DataModel::Events, Some(window)) => scanned.widen(0, window - 1),
        (DataModel::Events, None) => {
            let since = scanned
                .first()
                .and_then(|first| PartitionRange::new(first, range.end));
            since.into()
        }
    })
}

/// Fills one part's table for one step.
pub(crate) fn fill(
    world: &mut World<'_>,
    left: &Left,
    part: &OfflinePart<'_>,
    table: &TableName,
    step: PartitionRange,
) -> Result<(), Failure> {
    let step_rows = left.rows.intersect(&step.into());
    let Some(span) = world.ts_span(&left.table, &step_rows) else {
        return Ok(());
    };
    let shifted = left.model == DataModel::Events && part.group_by.accuracy() == Accuracy::Snapshot;
    let shift = if shifted { -1 } else { 0 };
    let range = if shifted { shift_range(span, -1) } else { step };
    let gate = left.days.widen(shift, shift);
    let unfilled = unfilled_ranges(
        &world.outputs(table),
        range.start,
        range.end,
        Some(&gate),
        true,
    )?;
    let pieces = match unfilled.hull() {
        Some(hull) if world.is_small() && shifted => vec![hull],
        _ => unfilled.ranges().to_vec(),
    };
    let mut written = RangeSet::new();
    for piece in pieces {
        let pruned = step_rows.intersect(&shift_range(piece, -shift).into());
        written = written.union(&piece_days(world, left, part, shifted, &pruned)?);
    }
    let writes = match world.left_rows(&left.table, &step_rows) {
        Some(rows) => values::write(
            world,
            table,
            part_values(world, left, part, &written, &rows),
        ),
        None => vec![Write::days(table.clone(), written)],
    };
    world.commit(writes);
    Ok(())
}

/// What a part writes: end-of-day values of all keys of the step, or values of the rows' own keys.
fn part_values(
    world: &World<'_>,
    left: &Left,
    part: &OfflinePart<'_>,
    written: &RangeSet,
    rows: &[(Ds, super::facts::LeftRow)],
) -> values::Values {
    if values::is_shifted(left.model, part) {
        return values::day_ends(world, part, written, &values::keys(rows));
    }
    let landed = values::landed(world, part);
    values::own_values(left.model, &landed, rows, written)
}

/// The partitions that computing a part for these left days writes.
fn piece_days(
    world: &World<'_>,
    left: &Left,
    part: &OfflinePart<'_>,
    shifted: bool,
    pruned: &RangeSet,
) -> Result<RangeSet, Failure> {
    let Some(span) = world.ts_span(&left.table, pruned) else {
        return Ok(RangeSet::new());
    };
    match (left.model, part.group_by.accuracy()) {
        // One row per key and instant of the left, NULLs included.
        (DataModel::Events, Accuracy::Temporal) => Ok(pruned.clone()),
        _ if shifted => snapshot_days(world, part.group_by, shift_range(span, -1)),
        _ => match pruned.hull() {
            Some(hull) => snapshot_days(world, part.group_by, hull),
            None => Ok(RangeSet::new()),
        },
    }
}

fn shift_range(range: PartitionRange, by: i32) -> PartitionRange {
    PartitionRange {
        start: range.start.plus(by),
        end: range.end.plus(by),
    }
}

/// The last day of the parent that a chained part computes for a child that ends at `end` (§4.3).
pub(crate) fn parent_end(group_by: &GroupBy, left: DataModel, end: Ds) -> Ds {
    let temporal = group_by.accuracy() == Accuracy::Temporal;
    match (left, group_by.data_model(), temporal) {
        (DataModel::Events, DataModel::Events, true) => end.plus(-1),
        (DataModel::Events, _, false) => end.plus(-1),
        _ => end,
    }
}
