//! GroupBy backfill and upload (§4.1, §4.3).

use chronon_run_conf::{GroupBy, Source};
use chronon_run_core::{PartitionRange, RangeSet, TableName};

use super::{
    DriverArgs,
    facts::Failure,
    join::compute_parent,
    parts::{check_tables, snapshot_days},
    unfilled::{steps, unfilled_ranges},
    world::{World, Write, day, table_of},
};

fn output_of(group_by: &GroupBy) -> Result<TableName, Failure> {
    let output = group_by.meta_data.output_table();
    output.map_err(|error| Failure::new(error.to_string()))
}

/// The days that any one source has; no gate if a source is cumulative (§4.1).
fn gate(world: &World<'_>, group_by: &GroupBy) -> Result<Option<RangeSet>, Failure> {
    if group_by.sources.iter().any(Source::is_cumulative) {
        return Ok(None);
    }
    let mut days = RangeSet::new();
    for source in &group_by.sources {
        days = days.union(&world.inputs(&table_of(source)?, source.query(), false));
    }
    Ok(Some(days))
}

/// `group-by-backfill`.
pub(crate) fn backfill(
    world: &mut World<'_>,
    group_by: &GroupBy,
    args: &DriverArgs,
) -> Result<String, Failure> {
    let Some(first) = day(group_by.backfill_start_date.as_deref())? else {
        return Err(Failure::new(
            "assertion failed: GroupBy backfillStartDate is null",
        ));
    };
    let (start, end) = if group_by.meta_data.latest_day_only() {
        (args.end_date, args.end_date)
    } else {
        (args.start.unwrap_or(first), args.end_date)
    };
    let output = output_of(group_by)?;
    let gate = gate(world, group_by)?;
    let existing = world.outputs(&output);
    let unfilled = unfilled_ranges(&existing, start, end, gate.as_ref(), args.run_first_hole)?;
    if unfilled.is_empty() {
        return Ok("Nothing to backfill".to_owned());
    }
    check_tables(world, group_by)?;
    for step in unfilled
        .ranges()
        .iter()
        .flat_map(|range| steps(*range, args.step_days))
    {
        increments(world, group_by, step)?;
        let days = snapshot_days(world, group_by, step)?;
        world.commit(vec![Write::days(output.clone(), days)]);
    }
    Ok(format!("Wrote to table {output}"))
}

/// `O_daily_inc` for everything that the windows of `range` reach (§3).
fn increments(
    world: &mut World<'_>,
    group_by: &GroupBy,
    range: PartitionRange,
) -> Result<(), Failure> {
    if group_by.is_incremental != Some(true) {
        return Ok(());
    }
    let Some(window) = group_by.max_window_days() else {
        return Err(Failure::new(
            "an incremental GroupBy needs windows everywhere",
        ));
    };
    let table = output_of(group_by)?.suffixed("_daily_inc");
    let mut rows = RangeSet::new();
    for source in &group_by.sources {
        let spec = table_of(source)?;
        let days = world.inputs(&spec, source.query(), false);
        rows = rows.union(&world.with_rows(&spec.table, &days));
    }
    let reach = RangeSet::from(range.widen(-window, 0));
    let holes = reach.minus(&world.outputs(&table)).intersect(&rows);
    world.commit(vec![Write::days(table, holes)]);
    Ok(())
}

/// `group-by-upload`: the end date, whatever its sources have; always redone (§5.4).
pub(crate) fn upload(
    world: &mut World<'_>,
    group_by: &GroupBy,
    args: &DriverArgs,
) -> Result<String, Failure> {
    for source in &group_by.sources {
        if let Source::JoinSource(parent) = source {
            compute_parent(world, &parent.join, args.end_date)?;
        }
    }
    check_tables(world, group_by)?;
    increments(world, group_by, PartitionRange::day(args.end_date))?;
    let table = output_of(group_by)?.suffixed("_upload");
    let days = snapshot_days(world, group_by, PartitionRange::day(args.end_date))?;
    world.commit(vec![Write::Unpartitioned {
        table,
        ds: args.end_date,
        rows: days.days(),
    }]);
    Ok("Upload done".to_owned())
}
