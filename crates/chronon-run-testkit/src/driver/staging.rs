//! Staging queries (§4.1, §4.4).

use chronon_run_conf::StagingQuery;
use chronon_run_core::{RangeSet, TableSpec};

use super::{
    DriverArgs,
    facts::Failure,
    unfilled::{steps, unfilled_ranges},
    world::{DS, World, Write, day},
};

/// `staging-query-backfill`: a table, or a view with its signal partition.
pub(crate) fn backfill(
    world: &mut World<'_>,
    query: &StagingQuery,
    args: &DriverArgs,
) -> Result<String, Failure> {
    let output = query.meta_data.output_table();
    let output = output.map_err(|error| Failure::new(error.to_string()))?;
    if query.create_view == Some(true) {
        let signal = format!("{}.chronon_signal_partitions", output.namespace());
        let table = signal.parse().map_err(|_| Failure::new(signal))?;
        let signal = Write::Partitions {
            table,
            others: vec![("table_name".to_owned(), output.to_string())],
            column: DS.to_owned(),
            days: RangeSet::from_iter([args.end_date]),
        };
        world.commit(vec![Write::View { table: output }, signal]);
        return Ok("created the view".to_owned());
    }
    let rows = driving_rows(world, query);
    let Some(first) = day(query.start_partition.as_deref())? else {
        // Runs once, over all days that the SQL selects.
        let days = rows.unwrap_or_else(|| RangeSet::from_iter([args.end_date]));
        let future = |day: &chronon_run_core::Ds| *day <= args.end_date;
        world.commit(vec![Write::days(
            output,
            days.iter().filter(future).collect(),
        )]);
        return Ok("ran once".to_owned());
    };
    let (start, end) = if query.meta_data.latest_day_only() {
        (args.end_date, args.end_date)
    } else {
        (args.start.unwrap_or(first), args.end_date)
    };
    let unfilled = unfilled_ranges(
        &world.outputs(&output),
        start,
        end,
        None,
        args.run_first_hole,
    )?;
    for step in unfilled
        .ranges()
        .iter()
        .flat_map(|range| steps(*range, args.step_days))
    {
        let all = RangeSet::from(step);
        let days = rows
            .as_ref()
            .map_or(all.clone(), |rows| rows.intersect(&all));
        world.commit(vec![Write::days(output.clone(), days)]);
    }
    Ok(format!("Wrote to table {output}"))
}

/// The days on which the SQL probably has rows: those of the first dependency that the catalog
/// knows. `None` if there is none: then every day has.
fn driving_rows(world: &World<'_>, query: &StagingQuery) -> Option<RangeSet> {
    let dependencies = query.meta_data.dependencies.iter().flatten();
    let mut tables = dependencies.filter_map(|text| {
        let spec: TableSpec = text.split('/').next()?.parse().ok()?;
        world.exists(&spec.table).then_some(spec)
    });
    let spec = tables.next()?;
    let days = world.inputs(&spec, &chronon_run_conf::Query::default(), false);
    Some(world.with_rows(&spec.table, &days))
}
