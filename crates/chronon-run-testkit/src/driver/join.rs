//! Joins: whole, modular, and after models (§4.1, §5, §6).

use chronon_run_conf::{Join, OfflinePart, Source};
use chronon_run_core::{Ds, PartitionRange, RangeSet, TableName};

use super::{
    DriverArgs,
    archive::{Comparer, archive, stamp},
    facts::Failure,
    parts::{Left, check_tables, fill, parent_end},
    unfilled::{steps, unfilled_ranges},
    values,
    world::{World, Write, day, table_of},
};

/// What a run of a join fills, apart from which days.
struct Job<'a> {
    join: &'a Join,
    output: TableName,
    bootstrap: TableName,
    run_first_hole: bool,
    step_days: u32,
}

impl<'a> Job<'a> {
    fn new(join: &'a Join, args: &DriverArgs) -> Result<Self, Failure> {
        let o = output_of(join)?;
        Ok(Self {
            join,
            output: join
                .backfill_table()
                .map_err(|error| Failure::new(error.to_string()))?,
            bootstrap: o.suffixed("_bootstrap"),
            run_first_hole: args.run_first_hole,
            step_days: args.step_days,
        })
    }
}

/// `O`.
pub(crate) fn output_of(join: &Join) -> Result<TableName, Failure> {
    let output = join.meta_data.output_table();
    output.map_err(|error| Failure::new(error.to_string()))
}

/// A part's table, `O[_prefix]_<gb>` (§3).
pub(crate) fn part_table(join: &Join, suffix: &str) -> Result<TableName, Failure> {
    Ok(output_of(join)?.suffixed(&format!("_{suffix}")))
}

/// The join's own left.
pub(crate) fn own_left(world: &World<'_>, join: &Join) -> Result<Left, Failure> {
    let spec = table_of(&join.left)?;
    let days = world.inputs(&spec, join.left.query(), true);
    Ok(Left {
        model: join.left.data_model(),
        rows: world.with_rows(&spec.table, &days),
        table: spec.table,
        days,
    })
}

/// The first and last day that may be filled (§4.1).
fn candidate(join: &Join, args: &DriverArgs, left: &RangeSet) -> Result<(Ds, Ds), Failure> {
    if join.meta_data.latest_day_only() {
        return Ok((args.end_date, args.end_date));
    }
    let query = join.left.query();
    let until = day(query.end_partition.as_deref())?;
    let end = until.map_or(args.end_date, |until| until.min(args.end_date));
    let from = day(query.start_partition.as_deref())?.or(left.first());
    match args.start.or(from) {
        Some(start) => Ok((start, end)),
        None => Err(Failure::new("java.util.NoSuchElementException: None.get")),
    }
}

/// `join`: all in one job, or selected parts only.
pub(crate) fn whole(
    world: &mut World<'_>,
    join: &Join,
    args: &DriverArgs,
) -> Result<String, Failure> {
    if !args.selected_parts.is_empty() {
        return selected(world, join, args);
    }
    let job = Job::new(join, args)?;
    let left = own_left(world, join)?;
    archive(world, Comparer::Whole, &job.bootstrap, &job.output);
    let (start, end) = candidate(join, args, &left.days)?;
    let existing = world.outputs(&job.output);
    let unfilled = unfilled_ranges(&existing, start, end, Some(&left.days), job.run_first_hole)?;
    if unfilled.is_empty() {
        return nothing(world, &job);
    }
    check_inputs(world, join)?;
    for step in unfilled
        .ranges()
        .iter()
        .flat_map(|range| steps(*range, job.step_days))
    {
        let rows = left.rows.intersect(&step.into());
        if rows.is_empty() {
            continue;
        }
        let ready = bootstrap(world, &job, &left, step)?;
        if ready.is_empty() {
            return Err(Failure::new(
                "java.lang.UnsupportedOperationException: empty.min",
            ));
        }
        for part in join.offline_parts() {
            parents(world, join, &part, step.end)?;
            fill(
                world,
                &left,
                &part,
                &part_table(join, &part.table_suffix)?,
                step,
            )?;
        }
        let read = world.ts_span(&left.table, &left.rows.intersect(&step.into()));
        output(world, &job, &left, &ready, read)?;
        stamp(world, &job.bootstrap);
        stamp(world, &job.output);
    }
    Ok(format!("Wrote to table {}", job.output))
}

/// Writes the output's days. `read` are the days whose part partitions are read: of the rows' times in
/// a whole join, of the partitions after the modular steps.
fn output(
    world: &mut World<'_>,
    job: &Job<'_>,
    left: &Left,
    days: &RangeSet,
    read: Option<PartitionRange>,
) -> Result<(), Failure> {
    let Some(rows) = world.left_rows(&left.table, days) else {
        world.commit(vec![Write::days(job.output.clone(), days.clone())]);
        return Ok(());
    };
    let mut parts = Vec::new();
    for part in job.join.offline_parts() {
        let table = part_table(job.join, &part.table_suffix)?;
        let read = match values::is_shifted(left.model, &part) {
            true => RangeSet::from(read).widen(-1, -1),
            false => days.clone(),
        };
        parts.push((part, table, read));
    }
    let values = values::joined(world, left.model, &parts, &rows);
    world.commit(values::write(world, &job.output, values));
    Ok(())
}

/// Nothing to fill: the result is read from the output table, which must exist (§5.2).
fn nothing(world: &World<'_>, job: &Job<'_>) -> Result<String, Failure> {
    if world.exists(&job.output) {
        return Ok(
            "There is no data to compute based on end partition and start partition".to_owned(),
        );
    }
    let message = format!("AnalysisException: Table or view not found: {}", job.output);
    Err(Failure::new(message))
}

fn check_inputs(world: &World<'_>, join: &Join) -> Result<(), Failure> {
    for part in join.offline_parts() {
        // A chained parent is computed by the job itself.
        let chained = |source: &Source| matches!(source, Source::JoinSource(_));
        if !part.group_by.sources.iter().any(chained) {
            check_tables(world, part.group_by)?;
        }
    }
    for part in join.bootstrap_parts.iter().flatten() {
        let exists = part.table.parse().is_ok_and(|table| world.exists(&table));
        if !exists {
            return Err(Failure::new(format!(
                "Bootstrap table {} does NOT exist!",
                part.table
            )));
        }
    }
    Ok(())
}

/// Fills `O_bootstrap` for one step and returns its days there. It skips its own first hole, which
/// is how an earlier slice loses against a later one (§5.3).
fn bootstrap(
    world: &mut World<'_>,
    job: &Job<'_>,
    left: &Left,
    step: PartitionRange,
) -> Result<RangeSet, Failure> {
    let existing = world.outputs(&job.bootstrap);
    let unfilled = unfilled_ranges(
        &existing,
        step.start,
        step.end,
        Some(&left.days),
        job.run_first_hole,
    )?;
    let rows = left.rows.intersect(&step.into());
    world.commit(vec![Write::days(
        job.bootstrap.clone(),
        unfilled.intersect(&rows),
    )]);
    Ok(world.outputs(&job.bootstrap).intersect(&rows))
}

/// Computes the parents of a chained part (§4.3).
fn parents(
    world: &mut World<'_>,
    join: &Join,
    part: &OfflinePart<'_>,
    end: Ds,
) -> Result<(), Failure> {
    for source in &part.group_by.sources {
        if let Source::JoinSource(parent) = source {
            let end = parent_end(part.group_by, join.left.data_model(), end);
            compute_parent(world, &parent.join, end)?;
        }
    }
    Ok(())
}

/// A parent join up to `end`, with default flags and in one step.
pub(crate) fn compute_parent(world: &mut World<'_>, parent: &Join, end: Ds) -> Result<(), Failure> {
    let args = DriverArgs {
        subcommand: "join".to_owned(),
        conf_path: String::new(),
        end_date: end,
        start: None,
        run_first_hole: false,
        step_days: u32::MAX,
        selected_parts: Vec::new(),
        use_cached_left: false,
        values: std::collections::BTreeMap::new(),
    };
    // The parent's own hashes are not known here.
    let own = std::mem::take(&mut world.hashes);
    let computed = whole(world, parent, &args);
    world.hashes = own;
    computed.map(|_| ())
}

/// `join --selected-join-parts`: part tables only, gated by what the *output* lacks (§6).
fn selected(world: &mut World<'_>, join: &Join, args: &DriverArgs) -> Result<String, Failure> {
    let job = Job::new(join, args)?;
    archive(world, Comparer::Parts, &job.bootstrap, &job.output);
    let left = if args.use_cached_left {
        cached_left(world, &job)?
    } else {
        own_left(world, join)?
    };
    let (start, end) = candidate(join, args, &left.days)?;
    let existing = world.outputs(&job.output);
    let unfilled = unfilled_ranges(&existing, start, end, Some(&left.days), job.run_first_hole)?;
    if unfilled.intersect(&left.rows).is_empty() {
        return Ok("no data to compute".to_owned());
    }
    let parts = chosen_parts(join, &args.selected_parts)?;
    for step in unfilled
        .ranges()
        .iter()
        .flat_map(|range| steps(*range, job.step_days))
    {
        if !args.use_cached_left {
            bootstrap(world, &job, &left, step)?;
        }
        for part in &parts {
            check_tables(world, part.group_by)?;
            fill(
                world,
                &left,
                part,
                &part_table(join, &part.table_suffix)?,
                step,
            )?;
        }
    }
    Ok("computed the selected join parts".to_owned())
}

fn chosen_parts<'a>(join: &'a Join, names: &[String]) -> Result<Vec<OfflinePart<'a>>, Failure> {
    let all: Vec<_> = join.offline_parts().collect();
    let known = |name: &&String| all.iter().any(|part| part.full_prefix == **name);
    match names.iter().find(|name| !known(name)) {
        None => Ok(all
            .into_iter()
            .filter(|part| names.contains(&part.full_prefix))
            .collect()),
        Some(name) => {
            let valid: Vec<_> = all.iter().map(|part| part.full_prefix.as_str()).collect();
            let valid = valid.join(", ");
            let message =
                format!("IllegalArgumentException: {name} is not a join part; valid: {valid}");
            Err(Failure::new(message))
        }
    }
}

/// `O_bootstrap` in place of the left. It is looked at along the left's own partition column,
/// which it does not have (§6).
fn cached_left(world: &World<'_>, job: &Job<'_>) -> Result<Left, Failure> {
    let own = own_left(world, job.join)?;
    let renamed = job.join.left.query().partition_column.as_deref();
    let days = match renamed {
        Some(column) if column != super::world::DS => RangeSet::new(),
        _ => world.outputs(&job.bootstrap),
    };
    Ok(Left {
        rows: days.clone(),
        days,
        ..own
    })
}

/// `join-left`: `O_bootstrap`, each unfilled range at once.
pub(crate) fn left(
    world: &mut World<'_>,
    join: &Join,
    args: &DriverArgs,
) -> Result<String, Failure> {
    let job = Job::new(join, args)?;
    let left = own_left(world, join)?;
    let (start, end) = candidate(join, args, &left.days)?;
    archive(world, Comparer::Left, &job.bootstrap, &job.output);
    let existing = world.outputs(&job.bootstrap);
    let unfilled = unfilled_ranges(&existing, start, end, Some(&left.days), job.run_first_hole)?;
    if unfilled.is_empty() {
        return Ok("nothing to backfill".to_owned());
    }
    for part in join.offline_parts() {
        check_tables(world, part.group_by)?;
    }
    check_inputs(world, join)?;
    for range in unfilled.ranges() {
        let rows = left.rows.intersect(&(*range).into());
        world.commit(vec![Write::days(job.bootstrap.clone(), rows)]);
        stamp(world, &job.bootstrap);
    }
    Ok(format!("Wrote to table {}", job.bootstrap))
}

/// `join-final`: the output from `O_bootstrap`, whatever the part tables hold (§6).
pub(crate) fn last(
    world: &mut World<'_>,
    join: &Join,
    args: &DriverArgs,
) -> Result<String, Failure> {
    let job = Job::new(join, args)?;
    let left = own_left(world, join)?;
    archive(world, Comparer::Last, &job.bootstrap, &job.output);
    let (start, end) = candidate(join, args, &left.days)?;
    let existing = world.outputs(&job.output);
    let unfilled = unfilled_ranges(&existing, start, end, Some(&left.days), job.run_first_hole)?;
    if unfilled.is_empty() {
        return Ok("nothing to backfill".to_owned());
    }
    if !world.exists(&job.bootstrap) {
        let message = format!(
            "AnalysisException: Table or view not found: {}",
            job.bootstrap
        );
        return Err(Failure::new(message));
    }
    let ready = world.outputs(&job.bootstrap);
    for range in unfilled.ranges() {
        let days = ready.intersect(&(*range).into());
        output(world, &job, &left, &days, Some(*range))?;
        stamp(world, &job.output);
    }
    Ok(format!("Wrote to table {}", job.output))
}

/// `model-transform-batch`: `O` from `O_pre_mt`; a first hole is always skipped (§5.1).
pub(crate) fn model_transform(
    world: &mut World<'_>,
    join: &Join,
    args: &DriverArgs,
) -> Result<String, Failure> {
    let (output, before) = (output_of(join)?, Job::new(join, args)?.output);
    let inputs = world.outputs(&before);
    let (start, end) = candidate(join, args, &inputs)?;
    let unfilled = unfilled_ranges(&world.outputs(&output), start, end, Some(&inputs), false)?;
    for step in unfilled
        .ranges()
        .iter()
        .flat_map(|range| steps(*range, args.step_days))
    {
        world.commit(vec![Write::days(output.clone(), step.into())]);
    }
    Ok(format!("Wrote to table {output}"))
}
