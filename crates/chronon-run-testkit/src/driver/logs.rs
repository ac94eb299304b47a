//! Jobs over logged rows and statistics; all skip a first hole (§5.1, §8.3).

use chronon_run_conf::Join;
use chronon_run_core::{RangeSet, TableName, TableSpec};

use super::{
    DriverArgs,
    facts::Failure,
    join::output_of,
    unfilled::{steps, unfilled_ranges},
    world::{World, Write},
};

/// Fills `outputs` for the days of `input` that the first of them lacks.
fn follow(
    world: &mut World<'_>,
    input: &RangeSet,
    outputs: &[TableName],
    args: &DriverArgs,
) -> Result<(), Failure> {
    let (Some(first), Some(output)) = (input.first(), outputs.first()) else {
        return Err(Failure::new(
            "assertion failed: partition not found in the input table",
        ));
    };
    let existing = world.outputs(output);
    let unfilled = unfilled_ranges(&existing, first, args.end_date, Some(input), false)?;
    for step in unfilled
        .ranges()
        .iter()
        .flat_map(|range| steps(*range, args.step_days))
    {
        let write = |table: &TableName| Write::days(table.clone(), step.into());
        world.commit(outputs.iter().map(write).collect());
    }
    Ok(())
}

/// `stats-summary` of `O`, or with `_logged` `log-summary` of `O_logged`.
pub(crate) fn stats(
    world: &mut World<'_>,
    join: &Join,
    args: &DriverArgs,
    suffix: &str,
) -> Result<String, Failure> {
    let input = output_of(join)?.suffixed(suffix);
    let stats = input.suffixed("_daily_stats");
    let days = world.outputs(&input);
    follow(
        world,
        &days,
        &[stats.clone(), stats.suffixed("_upload")],
        args,
    )?;
    Ok(format!("Wrote to table {stats}"))
}

/// `log-flattener`: `O_logged` from the rows of the log table that are this join's.
pub(crate) fn flatten(
    world: &mut World<'_>,
    join: &Join,
    args: &DriverArgs,
) -> Result<String, Failure> {
    if join
        .meta_data
        .sample_percent
        .is_none_or(|percent| percent <= 0.0)
    {
        return Ok("samplePercent is unset, exiting".to_owned());
    }
    let log = args
        .values
        .get("log-table")
        .map(String::as_str)
        .unwrap_or_default();
    let log: TableSpec = log
        .parse()
        .map_err(|_| Failure::new(format!("no table {log}")))?;
    // Listed as Hive escapes it, or plain.
    let logged = join.meta_data.name.replacen('.', "/", 1);
    let days = [logged.replace('/', "%2F"), logged].map(|name| {
        let filtered = TableSpec {
            table: log.table.clone(),
            sub_partitions: vec![("name".to_owned(), name)],
        };
        world.inputs(&filtered, &chronon_run_conf::Query::default(), true)
    });
    let days = days[0].union(&days[1]);
    if days.is_empty() {
        let name = &join.meta_data.name;
        return Err(Failure::new(format!(
            "{name} does not have available logged data yet"
        )));
    }
    let output = output_of(join)?.suffixed("_logged");
    follow(world, &days, std::slice::from_ref(&output), args)?;
    Ok(format!("Wrote to table {output}"))
}

/// `consistency-metrics-compute`: the comparison and its metrics.
pub(crate) fn consistency(
    world: &mut World<'_>,
    join: &Join,
    args: &DriverArgs,
) -> Result<String, Failure> {
    if join.meta_data.consistency_sample_percent == Some(0.0) {
        return Ok("consistencySamplePercent is 0, exiting".to_owned());
    }
    let output = output_of(join)?;
    let logged = world.outputs(&output.suffixed("_logged"));
    let comparison = output.suffixed("_comparison");
    follow(
        world,
        &logged,
        &[comparison.clone(), comparison.suffixed("_bootstrap")],
        args,
    )?;
    let metrics = output.suffixed("_consistency");
    let compared = world.outputs(&comparison);
    follow(
        world,
        &compared,
        &[metrics.clone(), metrics.suffixed("_upload")],
        args,
    )?;
    Ok(format!("Wrote to table {metrics}"))
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{CatalogSnapshot, Ds, PartitionRange};

    use super::*;
    use crate::driver::Facts;

    #[test]
    fn a_missing_input_is_a_failure_and_earlier_days_are_ignored() {
        let facts = Facts::default();
        let mut world = World::new(&CatalogSnapshot::default(), &facts);
        let join: Join = serde_json::from_value(serde_json::json!({
            "metaData": {"name": "t.j", "outputNamespace": "ns"},
            "left": {"events": {"table": "a.b"}}
        }))
        .unwrap();
        let argv = ["stats-summary", "--conf-path=p", "--end-date=2026-01-10"].map(String::from);
        let args = DriverArgs::parse(&argv).unwrap();
        assert!(stats(&mut world, &join, &args, "").is_err());

        let day = |day: &str| day.parse::<Ds>().unwrap();
        let days = PartitionRange::new(day("2026-01-01"), day("2026-01-10")).unwrap();
        let later = PartitionRange::day(day("2026-01-05"));
        world.commit(vec![Write::days("ns.t_j".parse().unwrap(), days.into())]);
        world.commit(vec![Write::days(
            "ns.t_j_daily_stats".parse().unwrap(),
            later.into(),
        )]);
        stats(&mut world, &join, &args, "").unwrap();
        let filled = world.outputs(&"ns.t_j_daily_stats".parse().unwrap());
        assert_eq!(filled.to_string(), "2026-01-05..2026-01-10");
    }
}
