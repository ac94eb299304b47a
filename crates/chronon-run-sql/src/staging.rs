//! Staging queries: macros, tables, views with their signal partition (§4.4).

use std::{borrow::Cow, sync::LazyLock};

use chronon_run_conf::StagingQuery;
use chronon_run_core::{Ds, PartitionRange};
use regex::Regex;
use serde::Deserialize;

use super::{
    DRIVER_TOO, Refusal, Request, Types,
    output::Output,
    script::Script,
    select,
    text::{ident, printed, text},
};

/// Fields of a staging query that the engine cannot do, as `(field, why)`.
pub(super) fn check(conf: &StagingQuery) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    for name in macros(&conf.query) {
        let (word, is_known) = match name.as_str() {
            "start_date" | "end_date" => (&name, conf.create_view != Some(true)),
            "latest_date" => (&name, true),
            other => (&name, max_date_table(other).is_some()),
        };
        if !is_known {
            problems.push((
                "query".to_owned(),
                format!("the macro `{word}` cannot be resolved; {DRIVER_TOO}"),
            ));
        }
    }
    problems
}

/// `{{ … }}`. Compiled once: a plan looks at every conf.
static MACRO: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\{\{\s*(.*?)\s*\}\}").ok());

/// A name that `AS` gives.
static ALIAS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)\bas\s+`?(\w+)").ok());

/// The insides of every `{{ … }}`.
fn macros(query: &str) -> Vec<String> {
    let found = MACRO
        .iter()
        .flat_map(|pattern| pattern.captures_iter(query));
    found.map(|found| found[1].to_owned()).collect()
}

/// The table of `max_date(table=db.t)`.
fn max_date_table(inside: &str) -> Option<&str> {
    let arguments = inside.strip_prefix("max_date")?.trim();
    let arguments = arguments.strip_prefix('(')?.strip_suffix(')')?;
    let (name, table) = arguments.split_once('=')?;
    (name.trim() == "table").then_some(table.trim())
}

/// The script of one step.
pub(super) fn compile(
    request: &Request<'_>,
    conf: &StagingQuery,
    script: &mut Script<'_>,
) -> Result<(), Refusal> {
    let table = request.output_table(&conf.meta_data)?;
    let query = substitute(request, conf).map_err(|why| request.refuse("query", why))?;
    for setup in conf.setups.iter().flatten() {
        script.heading("setups");
        script.statement(setup);
    }
    if conf.create_view == Some(true) {
        script.statement(&format!(
            "CREATE DATABASE IF NOT EXISTS {}",
            table.namespace()
        ));
        script.heading("query, createView: the view");
        script.statement(&format!("CREATE OR REPLACE VIEW {table} AS\n{query}"));
        signal(request, conf, &table, script)
            .map_err(|why| request.refuse("metaData.outputNamespace", why))?;
        return Ok(());
    }
    script.view("staging_query", "query, with its macros replaced", &query);
    let mut partitioned_by = vec![request.partition_column.to_owned()];
    partitioned_by.extend(additional_partitions(conf));
    let output = Output {
        table,
        kind: conf.start_partition.is_some().then_some("staging_query"),
        meta: &conf.meta_data,
        columns: select::columns(&query).map(|columns| last(columns, &partitioned_by)),
        types: Types::new(),
        likely: select::types(&query, request.tables),
        partitioned_by,
    };
    // Without startPartition the engine writes whatever days come out, without properties (§4.4).
    let no_properties = chronon_run_conf::MetaData::default();
    let (output, range) = match conf.start_partition {
        Some(_) => (output, Some(request.range)),
        None => (
            Output {
                meta: &no_properties,
                ..output
            },
            None,
        ),
    };
    match range {
        Some(range) => write_step(request.partition_column, range, &query, &output, script),
        None => {
            script.create(&output, "staging_query");
            script.overwrite(&output, "staging_query", None);
        }
    }
    Ok(())
}

/// Writes the rows of the step's days.
fn write_step(
    ds: &str,
    range: PartitionRange,
    query: &str,
    output: &Output<'_>,
    script: &mut Script<'_>,
) {
    script.view(
        "step_rows",
        "rows of other days would replace what these days have",
        &format!(
            "SELECT * FROM staging_query\nWHERE {}",
            is_of_step(ds, range)
        ),
    );
    script.create(output, "step_rows");
    script.overwrite(output, "step_rows", Some(range));
    if computes(query, ds) {
        script.heading("rows that were left out");
        script.statement(&left_out(ds, range));
    }
}

/// Whether a row belongs to the step. The Driver writes all rows: late ones replace all that their day has,
/// and early ones make a day that then counts as filled. Rows without a day and days in other forms stay,
/// so that they are seen.
fn is_of_step(ds: &str, range: PartitionRange) -> String {
    let (ds, start, end) = (ident(ds), range.start, range.end);
    format!(
        "({ds} IS NULL OR {ds} BETWEEN '{start}' AND '{end}'\n  OR CAST({ds} AS STRING) NOT RLIKE '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$')"
    )
}

/// Whether a query gives a column its name: then the partitions that it reads do not tell its days.
fn computes(query: &str, ds: &str) -> bool {
    let mut names = ALIAS.iter().flat_map(|alias| alias.captures_iter(query));
    names.any(|found| found[1].eq_ignore_ascii_case(ds))
}

/// What every line about rows that were left out begins with.
const LEFT_OUT: &str = "chronon-run-left-out";

/// Prints how many rows of other days the query has.
fn left_out(ds: &str, range: PartitionRange) -> String {
    let day = format!("CAST({} AS STRING)", ident(ds));
    format!(
        "SELECT CONCAT('{LEFT_OUT} ', TO_JSON(NAMED_STRUCT('ds', {day}, 'rows', COUNT(1))))\nFROM staging_query\nWHERE NOT {}\nGROUP BY {day}\nORDER BY {day}\nLIMIT {SHOWN}",
        is_of_step(ds, range)
    )
}

/// Of so many days it is printed.
const SHOWN: usize = 20;

/// Rows of a day that the step does not fill.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct LeftOut {
    /// The day.
    pub ds: Ds,
    /// How many.
    pub rows: u64,
}

/// What the script of a staging query printed of the rows that it left out: the oldest 20 days.
#[must_use]
pub fn parse_left_out(log: &str) -> Vec<LeftOut> {
    printed(log, LEFT_OUT).collect()
}

/// `customJson.additional_partition_cols`: further partition columns of the table.
fn additional_partitions(conf: &StagingQuery) -> Vec<String> {
    let custom = conf.meta_data.custom();
    let columns = custom.get("additional_partition_cols");
    let columns = columns.and_then(serde_json::Value::as_array);
    let names = columns
        .into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_str);
    names.map(str::to_owned).collect()
}

/// The columns with the partition columns moved to the end.
fn last(mut columns: Vec<String>, partitioned_by: &[String]) -> Vec<String> {
    columns.retain(|column| !partitioned_by.contains(column));
    columns.extend_from_slice(partitioned_by);
    columns
}

/// The row that says that a view is ready for the end date.
fn signal(
    request: &Request<'_>,
    conf: &StagingQuery,
    view: &chronon_run_core::TableName,
    script: &mut Script<'_>,
) -> Result<(), String> {
    let signals = chronon_run_core::TableName::new(view.namespace(), "chronon_signal_partitions")
        .map_err(|error| error.to_string())?;
    let ds = request.partition_column.to_owned();
    script.query(
        "signal",
        "createView: the signal partition",
        &format!(
            "SELECT CAST(CURRENT_TIMESTAMP() AS STRING) AS created_at, {} AS {ds}, {} AS table_name",
            text(&request.range.end.to_string()),
            text(view.as_str())
        ),
    );
    let output = Output {
        table: signals,
        kind: Some("staging_query"),
        meta: &conf.meta_data,
        columns: Some(vec!["created_at".into(), ds.clone(), "table_name".into()]),
        types: Types::new(),
        likely: Types::new(),
        partitioned_by: vec![ds, "table_name".into()],
    };
    script.create(&output, "signal");
    script.overwrite(&output, "signal", None);
    Ok(())
}

/// Replaces the macros (§4.4).
pub(super) fn substitute(request: &Request<'_>, conf: &StagingQuery) -> Result<String, String> {
    let bounded = conf.start_partition.is_some();
    let bound = |day: chronon_run_core::Ds| {
        if bounded {
            day.to_string()
        } else {
            "null".to_owned()
        }
    };
    let mut problem = None;
    let value = |found: &regex::Captures<'_>| match &found[1] {
        "start_date" => bound(request.range.start),
        "end_date" => bound(request.range.end),
        "latest_date" => request.latest_date.to_string(),
        other => match max_date(request, other) {
            Ok(day) => day,
            Err(why) => {
                problem = Some(why);
                String::new()
            }
        },
    };
    let query = match &*MACRO {
        Some(pattern) => pattern.replace_all(&conf.query, value),
        None => Cow::Borrowed(conf.query.as_str()),
    };
    match problem {
        Some(why) => Err(why),
        None => Ok(query.trim().trim_end_matches(';').to_owned()),
    }
}

/// The newest partition of the macro's table.
fn max_date(request: &Request<'_>, inside: &str) -> Result<String, String> {
    let name =
        max_date_table(inside).ok_or_else(|| format!("the macro `{inside}` cannot be resolved"))?;
    let table: chronon_run_core::TableName = name
        .parse()
        .map_err(|error: chronon_run_core::TableNameError| error.to_string())?;
    let days = request.tables.days(&table, request.partition_column, &[]);
    days.last()
        .map(|day| day.to_string())
        .ok_or_else(|| format!("{table} has no partition, so max_date has no value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_left_out_are_read_behind_a_progress_bar_too() {
        let log = "Time taken: 1.2 seconds\n\
                   [Stage 3:=====>      (1 + 1) / 2]\r                 \r\
                   chronon-run-left-out {\"ds\":\"2026-01-01\",\"rows\":2}\n\
                   chronon-run-left-out {\"ds\":\"2026-01-03\",\"rows\":1}\n\
                   spark-sql> SELECT CONCAT('chronon-run-left-out ', 1)\n";
        let found = parse_left_out(log).into_iter();
        let found: Vec<String> = found
            .map(|one| format!("{} {}", one.ds, one.rows))
            .collect();
        assert_eq!(found, ["2026-01-01 2", "2026-01-03 1"]);
    }

    #[test]
    fn a_query_that_names_its_day_computes_it() {
        assert!(computes("SELECT a, DATE(ts) AS ds FROM t", "ds"));
        assert!(computes("SELECT a, day as `ds` FROM t", "ds"));
        assert!(!computes("SELECT a AS ds_of, ds FROM t", "ds"));
    }
}
