//! `label-join` (§4.2).

use chronon_run_conf::{Join, JoinPart, LabelPart};
use chronon_run_core::{Ds, PartitionRange, RangeSet};

use super::{
    DriverArgs,
    facts::Failure,
    join::{output_of, part_table},
    parts::{check_tables, snapshot_days},
    values,
    world::{DS, World, Write, table_of},
};

const LABEL_DS: &str = "label_ds";

/// Labels of the end date for the left days that they become known for; always redone.
pub(crate) fn label_join(
    world: &mut World<'_>,
    join: &Join,
    args: &DriverArgs,
) -> Result<String, Failure> {
    let Some(labels) = &join.label_part else {
        return Err(Failure::new("requirement failed: no labelPart"));
    };
    let output = output_of(join)?;
    let spec = table_of(&join.left)?;
    let left_days = world.inputs(&spec, join.left.query(), true);
    let rows = world.with_rows(&spec.table, &left_days);
    let left_days = rows.intersect(&left_range(labels, args.end_date).into());
    let label_day = PartitionRange::day(args.end_date);
    if left_days.is_empty() {
        return Ok("no left rows for these labels".to_owned());
    }
    for label in &labels.labels {
        check_tables(world, &label.group_by)?;
        if snapshot_days(world, &label.group_by, label_day)?.is_empty() {
            return Ok("no labels on this day".to_owned());
        }
        if label
            .group_by
            .aggregations
            .as_ref()
            .is_some_and(|all| !all.is_empty())
        {
            let table = part_table(join, &label.full_prefix())?;
            world.commit(vec![Write::Partitions {
                table,
                others: Vec::new(),
                column: LABEL_DS.to_owned(),
                days: label_day.into(),
            }]);
        }
        check_row_ids(join, label)?;
    }
    write_labels(world, join, labels, args.end_date, &left_days)?;
    if !world.exists(&output) {
        let message = format!("AnalysisException: Table or view not found: {output}");
        return Err(Failure::new(message));
    }
    let view = |suffix| Write::View {
        table: output.suffixed(suffix),
    };
    world.commit(vec![view("_labeled"), view("_labeled_latest")]);
    Ok("labelled".to_owned())
}

/// A label join by a script of the `sql` engine, which reads the join's output.
pub(crate) fn label_by_sql(world: &mut World<'_>, join: &Join, day: Ds) -> Option<()> {
    let labels = join.label_part.as_ref()?;
    let output = output_of(join).ok()?;
    let left_days = world.outputs(&output);
    let left_days = left_days.intersect(&left_range(labels, day).into());
    write_labels(world, join, labels, day, &left_days).ok()
}

/// Writes the labels of `day` for the left rows of `left_days`, with values where the rows are known.
fn write_labels(
    world: &mut World<'_>,
    join: &Join,
    labels: &LabelPart,
    day: Ds,
    left_days: &RangeSet,
) -> Result<(), Failure> {
    let table = output_of(join)?.suffixed("_labels");
    let mut writes = vec![Write::Partitions {
        table: table.clone(),
        others: vec![(LABEL_DS.to_owned(), day.to_string())],
        column: DS.to_owned(),
        days: left_days.clone(),
    }];
    let left = table_of(&join.left)?.table;
    if let Some(rows) = world.left_rows(&left, left_days) {
        let mut found = values::labels_of(world.catalog(), &table);
        found.insert(day, values::labels(world.catalog(), labels, day, &rows));
        writes.push(values::property(table, &found));
    }
    world.commit(writes);
    Ok(())
}

/// `[L − (S − 1), L − (E − 1)]`.
fn left_range(labels: &LabelPart, day: Ds) -> Option<PartitionRange> {
    let back = |offset: Option<i32>| day.plus(1 - offset.unwrap_or(1));
    PartitionRange::new(back(labels.left_start_offset), back(labels.left_end_offset))
}

/// The label's keys must be among the row ids (engine-semantics 2, hazard 12).
fn check_row_ids(join: &Join, label: &JoinPart) -> Result<(), Failure> {
    let Some(row_ids) = &join.row_ids else {
        return Ok(());
    };
    let keys = label.group_by.key_columns.iter().map(|key| {
        let mapping = label.key_mapping.iter().flatten();
        let renamed = mapping.into_iter().find(|(_, right)| *right == key);
        renamed.map_or(key, |(left, _)| left)
    });
    match keys.into_iter().find(|key| !row_ids.contains(key)) {
        None => Ok(()),
        Some(key) => Err(Failure::new(format!(
            "AnalysisException: Column '{key}' does not exist"
        ))),
    }
}
