//! What Chronon's Driver cannot do with a sound conf, or does silently although no user would
//! want it (§10, engine-semantics 2). An error is what fails whenever the conf runs; a warning is
//! what fails in some modes, or only changes values.

use std::collections::BTreeSet;

use chronon_run_core::Diagnostic;

use crate::{
    check::place,
    model::{
        Accuracy, Aggregation, DataModel, GroupBy, Join, Query, Source, TimeUnit, Window,
        is_null_literal,
    },
    repo::{ConfFile, ConfRepo},
};

impl ConfRepo {
    /// Every finding about confs that the Driver is to run, in the order of the files.
    #[must_use]
    pub fn check_driver(&self) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for file in self.group_bys.values() {
            let conf = &file.conf;
            findings.extend(group_by_findings(file, conf));
            if conf.backfill_start_date.is_some() && has_hours(conf) {
                let message =
                    "windows of hours fail in mode `backfill`, which takes the end of each day";
                let finding = Diagnostic::warning("driver-hours", message);
                findings.push(
                    finding
                        .at(place(file, "windows", None))
                        .hint("give the windows in whole days, or leave `backfillStartDate` out"),
                );
            }
        }
        for file in self.joins.values() {
            findings.extend(join_findings(file));
        }
        findings
    }
}

fn group_by_findings<T>(file: &ConfFile<T>, conf: &GroupBy) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let aggregations = conf.aggregations.as_deref().unwrap_or_default();
    if conf.is_incremental == Some(true) && !can_be_incremental(conf) {
        findings.push(
            Diagnostic::error(
                "driver-incremental",
                "`isIncremental` works for SNAPSHOT events of which every aggregation has windows",
            )
            .at(place(file, "isIncremental", None))
            .hint("give every aggregation a window, or leave `isIncremental` out"),
        );
    }
    let events = conf.data_model() == DataModel::Events;
    if events
        && aggregations
            .iter()
            .any(|one| one.element_wise == Some(true))
    {
        findings.push(
            Diagnostic::warning(
                "driver-element-wise",
                "`elementWise` over events fails as soon as two days are merged",
            )
            .at(place(file, "elementWise", None)),
        );
    }
    for source in &conf.sources {
        findings.extend(source_findings(file, conf, source));
    }
    findings
}

fn can_be_incremental(conf: &GroupBy) -> bool {
    let aggregations = conf.aggregations.as_deref().unwrap_or_default();
    let windowed = |one: &Aggregation| one.windows().all(|window| window.is_some());
    conf.data_model() == DataModel::Events
        && conf.accuracy() == Accuracy::Snapshot
        && !aggregations.is_empty()
        && aggregations.iter().all(windowed)
}

fn source_findings<T>(file: &ConfFile<T>, conf: &GroupBy, source: &Source) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let query = source.query();
    if let Source::JoinSource(parent) = source
        && conf.accuracy() == Accuracy::Temporal
        && parent.join.left.data_model() == DataModel::Entities
    {
        findings.push(
            Diagnostic::error(
                "driver-chained-entities",
                "TEMPORAL values over a parent join of entities are not supported by the Driver",
            )
            .at(place(file, "joinSource", None))
            .hint("make it SNAPSHOT"),
        );
    }
    let Some(column) = custom_column(query) else {
        return findings;
    };
    if source.is_cumulative() && query.end_partition.is_none() {
        findings.push(
            Diagnostic::error(
                "driver-partition-column",
                format!("the Driver looks for the newest partition of a cumulative source in `ds`, not in `{column}`, and fails"),
            )
            .at(place(file, "partitionColumn", Some(column)))
            .hint("add an `endPartition`, or read the table through a view with a column `ds`"),
        );
    } else if query.start_partition.is_none() && conf.max_window_days().is_none() {
        findings.push(
            Diagnostic::warning(
                "driver-partition-column",
                format!("the Driver looks for the first partition in `ds`, not in `{column}`, and so scans the whole table each time"),
            )
            .at(place(file, "partitionColumn", Some(column)))
            .hint("add a `startPartition`"),
        );
    }
    findings
}

/// A partition column that is not the Driver's usual one.
fn custom_column(query: &Query) -> Option<&str> {
    let column = query.partition_column.as_deref()?;
    (column != "ds").then_some(column)
}

fn join_findings(file: &ConfFile<Join>) -> Vec<Diagnostic> {
    let join = &file.conf;
    let mut findings = Vec::new();
    for part in join.offline_parts() {
        if join.left.data_model() == DataModel::Entities && has_hours(part.group_by) {
            findings.push(
                Diagnostic::error(
                    "driver-hours",
                    format!(
                        "windows of hours in `{}` fail with an entities left, which takes the end of each day",
                        part.group_by.meta_data.name
                    ),
                )
                .at(place(file, "name", Some(&part.group_by.meta_data.name)))
                .hint("give the windows in whole days"),
            );
        }
    }
    let columns = join.bootstrap_parts.iter().flatten();
    for column in columns.filter_map(|part| part.query.as_ref()?.partition_column.as_deref()) {
        findings.push(
            Diagnostic::error(
                "driver-partition-column",
                format!("a bootstrap part with the partition column `{column}` fails: the Driver looks for `ds`"),
            )
            .at(place(file, "partitionColumn", Some(column)))
            .hint("read the table through a view with a column `ds`"),
        );
    }
    findings.extend(skew_findings(file));
    findings.extend(label_findings(file));
    findings
}

/// Rows with NULL in a skewed column disappear too, which its name does not tell. The Driver's condition on
/// a column without a literal, or on no column, is no SQL.
fn skew_findings(file: &ConfFile<Join>) -> Option<Diagnostic> {
    let keys = file.conf.skew_keys.as_ref()?;
    let bare = keys
        .iter()
        .find(|(_, values)| values.iter().all(|value| is_null_literal(value)));
    if keys.is_empty() || bare.is_some() {
        let of = bare.map_or(String::new(), |(column, _)| format!(" for `{column}`"));
        let message = format!("`skewKeys` has no literal{of}: the Driver fails");
        return Some(
            Diagnostic::error("driver-skew-keys", message)
                .at(place(file, "skewKeys", None))
                .hint("name the values, or leave it out"),
        );
    }
    let skewed: Vec<&str> = keys.keys().map(String::as_str).collect();
    let message = format!(
        "left rows whose {} is one of the skewed values, and those where it is NULL, are not in the output",
        skewed.join(" or ")
    );
    Some(
        Diagnostic::warning("driver-skew-keys", message)
            .at(place(file, "skewKeys", None))
            .hint("the values are SQL literals: texts need single quotes within the quotes"),
    )
}

/// Labels are joined on the row ids, after the label table was written.
fn label_findings(file: &ConfFile<Join>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let ids: BTreeSet<&str> = file
        .conf
        .row_ids
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let labels = file.conf.label_part.iter().flat_map(|label| &label.labels);
    for part in labels {
        let keys = part.left_columns().map(|(_, left)| left);
        let missing: Vec<&str> = keys.filter(|key| !ids.contains(key)).collect();
        if !missing.is_empty() {
            findings.push(
                Diagnostic::warning(
                    "driver-label-keys",
                    format!(
                        "`rowIds` lacks {} of the label `{}`: mode `label-join` fails after it has written the label table",
                        missing.join(", "),
                        part.group_by.meta_data.name
                    ),
                )
                .at(place(file, "rowIds", None))
                .hint("name every key of the labels in `rowIds`"),
            );
        }
        if !has_one_label(&part.group_by) {
            findings.push(
                Diagnostic::warning(
                    "driver-label",
                    format!(
                        "the label `{}` must be one aggregation with one window in days, or none",
                        part.group_by.meta_data.name
                    ),
                )
                .at(place(file, "labelPart", None)),
            );
        }
    }
    findings
}

fn has_one_label(group_by: &GroupBy) -> bool {
    let aggregations = group_by.aggregations.as_deref().unwrap_or_default();
    let in_days = |window: &Window| window.time_unit == TimeUnit::Days;
    match aggregations {
        [] => true,
        [one] => matches!(one.windows.as_deref(), Some([window]) if in_days(window)),
        _ => false,
    }
}

/// Windows in hours, 24 of them too, over events; snapshots take any window at the end of a day.
fn has_hours(conf: &GroupBy) -> bool {
    if conf.data_model() == DataModel::Entities {
        return false;
    }
    let in_hours = |window: &Window| window.time_unit == TimeUnit::Hours;
    let windows = conf
        .aggregations
        .iter()
        .flatten()
        .flat_map(|one| one.windows.iter().flatten());
    windows.into_iter().any(in_hours)
}
