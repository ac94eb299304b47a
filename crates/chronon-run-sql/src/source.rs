//! What is read from the inputs: scan ranges and selects (§4.2).

use std::sync::LazyLock;

use chronon_run_conf::{Accuracy, DataModel, GroupBy, Query, Source};
use chronon_run_core::{CatalogSnapshot, Ds, PartitionRange};
use regex::{NoExpand, Regex};

use super::{
    DRIVER_TOO,
    aggregate::SIGN,
    day::DayColumn,
    inputs,
    order::engine_order,
    text::{ident, indent, text},
    types,
};

/// The days that are computed: known now, or those of the left rows' own times.
#[derive(Clone, Copy)]
pub(super) enum Span {
    /// These days.
    Days(PartitionRange),
    /// From the first to the last day of left rows, moved by so many days.
    LeftDays(LeftOf, i32),
}

/// Which left rows: a view has one row with `first_ds` and `last_ds` of their times.
#[derive(Clone, Copy)]
pub(super) enum LeftOf {
    /// All of the step.
    Step,
    /// Those that the part at this place is computed for, where bootstraps have values for the others.
    Part(usize),
}

impl LeftOf {
    /// The name of the view.
    pub(super) fn view(self) -> String {
        match self {
            Self::Step => "left_days".to_owned(),
            Self::Part(index) => format!("left_days_of_part_{}", index + 1),
        }
    }
}

impl Span {
    /// The first day moved by `days`, as SQL of type string.
    pub(super) fn first(self, days: i32) -> String {
        match self {
            Self::Days(range) => text(&range.start.plus(days).to_string()),
            Self::LeftDays(rows, shift) => left_day(rows, "first_ds", shift + days),
        }
    }

    /// The last day moved by `days`, as SQL of type string.
    pub(super) fn last(self, days: i32) -> String {
        match self {
            Self::Days(range) => text(&range.end.plus(days).to_string()),
            Self::LeftDays(rows, shift) => left_day(rows, "last_ds", shift + days),
        }
    }

    /// Moved by so many days.
    pub(super) fn shifted(self, days: i32) -> Self {
        match self {
            Self::Days(range) => Self::Days(PartitionRange {
                start: range.start.plus(days),
                end: range.end.plus(days),
            }),
            Self::LeftDays(rows, shift) => Self::LeftDays(rows, shift + days),
        }
    }
}

fn left_day(rows: LeftOf, column: &str, days: i32) -> String {
    let view = rows.view();
    match days {
        0 => format!("(SELECT {column} FROM {view})"),
        _ => format!("(SELECT CAST(DATE_ADD({column}, {days}) AS STRING) FROM {view})"),
    }
}

/// The larger (or smaller) of a computed day and a day of the conf, folded if both are literals.
fn bound(span: &str, conf: Option<&str>, function: &str) -> String {
    let Some(conf) = conf else {
        return span.to_owned();
    };
    let literal = span
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''));
    match literal {
        Some(day) if function == "GREATEST" => text(day.max(conf)),
        Some(day) => text(day.min(conf)),
        None => format!("{function}({span}, {})", text(conf)),
    }
}

/// Which rows of a table are read: the conditions on the partition column.
pub(super) struct Scan {
    conditions: Vec<String>,
}

/// What a scan is for.
#[derive(Clone, Copy)]
pub(super) enum Reach {
    /// Only the days of the span.
    Span,
    /// So many days more to the left, `None` for all of them.
    Back(Option<i32>),
}

impl Scan {
    /// The days of `range` that the query admits, of a table with a partition column.
    pub(super) fn days(query: &Query, day: &DayColumn, range: PartitionRange) -> Self {
        let span = Span::Days(range);
        let first = bound(&span.first(0), query.start_partition.as_deref(), "GREATEST");
        let last = bound(&span.last(0), query.end_partition.as_deref(), "LEAST");
        let conditions = vec![day.from(&first), day.until(&last)];
        Self { conditions }
    }

    /// The partitions of `source` that are read for the span (§4.2).
    ///
    /// # Errors
    /// Why the partitions cannot be known.
    pub(super) fn of(
        source: &Source,
        table: &chronon_run_core::TableName,
        span: Span,
        reach: Reach,
        tables: &CatalogSnapshot,
        ds: &str,
    ) -> Result<Self, String> {
        let query = source.query();
        let column = query.partition_column.as_deref().unwrap_or(ds);
        let known = tables.table(table).map(|state| &state.info);
        let unpartitioned = known.is_some_and(|info| {
            let mut all = info.columns.iter().chain(&info.partition_columns);
            !info.columns.is_empty() && !all.any(|c| c.name.eq_ignore_ascii_case(column))
        });
        if unpartitioned {
            return Ok(Self {
                conditions: Vec::new(),
            });
        }
        let partition = DayColumn::of(query, table, tables, ds);
        let start = query.start_partition.as_deref();
        let end = query.end_partition.as_deref();
        if source.is_cumulative() {
            let newest = || {
                let spec = source.table().ok()?;
                let days = tables.days(table, column, &spec.sub_partitions);
                days.last()
            };
            let end = end.and_then(|end| end.parse::<Ds>().ok());
            let day = end.or_else(newest).ok_or_else(|| {
                format!("{table} is cumulative and has no partition yet, so nothing can be read")
            })?;
            return Ok(Self {
                conditions: partition.on(day),
            });
        }
        let first = match reach {
            Reach::Span => Some(bound(&span.first(0), start, "GREATEST")),
            Reach::Back(Some(days)) => Some(bound(&span.first(-days), start, "GREATEST")),
            Reach::Back(None) => start.map(text),
        };
        let first = first.map(|day| partition.from(&day));
        let last = bound(&span.last(0), end, "LEAST");
        Ok(Self {
            conditions: first.into_iter().chain([partition.until(&last)]).collect(),
        })
    }
}

/// The implicit columns of a source: `(alias, expression)`.
pub(super) fn implicit(day: &DayColumn, ds: &str, time: Option<String>) -> Vec<(String, String)> {
    let time = time.map(|expression| ("ts".to_owned(), expression));
    time.into_iter()
        .chain([(ds.to_owned(), day.day())])
        .collect()
}

/// `SELECT … FROM … WHERE …` of one source in the engine's column order, and the names.
pub(super) fn select(
    query: &Query,
    table: &chronon_run_core::TableName,
    implicit: &[(String, String)],
    scan: &Scan,
    tables: &CatalogSnapshot,
) -> (String, Vec<String>) {
    let everything = explicit(query, table, implicit_day(implicit), tables);
    let implicit_names: Vec<&str> = implicit.iter().map(|(name, _)| name.as_str()).collect();
    let names: Vec<&str> = everything.iter().map(|(name, _)| name.as_str()).collect();
    let order = match &query.selects {
        Some(_) if has_selects(query) => engine_order(&implicit_names, &names),
        _ => {
            let mut order: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            order.extend(
                implicit_names
                    .iter()
                    .filter(|n| !names.contains(n))
                    .map(|&n| n.to_owned()),
            );
            order
        }
    };
    let lines: Vec<String> = order
        .iter()
        .filter_map(|name| {
            // A select of the same name wins over an implicit column.
            let (_, expression) = everything
                .iter()
                .chain(implicit)
                .find(|(alias, _)| alias == name)?;
            let same = expression == name;
            Some(match same {
                true => ident(name),
                false => format!("{expression} AS {}", ident(name)),
            })
        })
        .collect();
    let wheres = query
        .wheres
        .iter()
        .flatten()
        .map(|condition| format!("({condition})"));
    let conditions: Vec<String> = scan.conditions.iter().cloned().chain(wheres).collect();
    let filter = match conditions.is_empty() {
        true => String::new(),
        false => format!("\nWHERE {}", conditions.join("\n  AND ")),
    };
    let sql = format!("SELECT\n  {}\nFROM {table}{filter}", lines.join(",\n  "));
    (sql, order)
}

/// The selects of a source, or all columns of its table.
fn explicit(
    query: &Query,
    table: &chronon_run_core::TableName,
    ds: &str,
    tables: &CatalogSnapshot,
) -> Vec<(String, String)> {
    let day = DayColumn::of(query, table, tables, ds);
    // The day of a column in another format or of another type is computed.
    let is_raw_day = |name: &str, expression: &str| {
        let expression = expression.trim_matches('`');
        !day.is_plain()
            && name.eq_ignore_ascii_case(ds)
            && expression.eq_ignore_ascii_case(day.name())
    };
    let everything: Vec<(String, String)> = match &query.selects {
        Some(selects) if has_selects(query) => selects
            .iter()
            .map(|(a, e)| (a.clone(), e.clone()))
            .collect(),
        _ => raw_columns(table, tables),
    };
    let dated = |(name, expression): (String, String)| match is_raw_day(&name, &expression) {
        true => (name, day.day()),
        false => (name, expression),
    };
    everything.into_iter().map(dated).collect()
}

/// The name of the implicit day.
fn implicit_day(implicit: &[(String, String)]) -> &str {
    let mut names = implicit.iter().map(|(name, _)| name.as_str());
    names.find(|name| *name != "ts").unwrap_or("ds")
}

/// Whether a query says which columns it reads; else it reads all.
pub(super) fn has_selects(query: &Query) -> bool {
    query.selects.as_ref().is_some_and(|all| !all.is_empty())
}

/// All columns of a table, for a source without selects.
pub(super) fn raw_columns(
    table: &chronon_run_core::TableName,
    tables: &CatalogSnapshot,
) -> Vec<(String, String)> {
    let Some(state) = tables.table(table) else {
        return Vec::new();
    };
    let mut names: Vec<String> = Vec::new();
    for column in state
        .info
        .columns
        .iter()
        .chain(&state.info.partition_columns)
    {
        if !names.contains(&column.name) {
            names.push(column.name.clone());
        }
    }
    names
        .into_iter()
        .map(|name| (name.clone(), ident(&name)))
        .collect()
}

/// The rows of all sources of a GroupBy.
pub(super) struct Rows {
    pub(super) sql: String,
    /// Their columns, in the engine's order.
    pub(super) columns: Vec<String>,
}

/// Why the rows' times are none: they must be milliseconds of type bigint.
pub(super) fn no_time(sources: &[Source], tables: &CatalogSnapshot) -> Option<String> {
    let time = types::time_type(sources, tables).filter(|time| time != "bigint")?;
    Some(format!("the time is {time}, not bigint; {DRIVER_TOO}"))
}

/// The union of the sources, by the names of the first (events, or snapshots).
///
/// # Errors
/// The field and why it cannot be read.
pub(super) fn rows(
    conf: &GroupBy,
    span: Span,
    reach: Reach,
    tables: &CatalogSnapshot,
    ds: &str,
) -> Result<Rows, (String, String)> {
    if let Some(rejected) = inputs::rejected(conf, tables) {
        return Err(rejected);
    }
    let needed = conf.data_model() == DataModel::Events || inputs::needs_time(conf);
    if let Some(why) = no_time(&conf.sources, tables).filter(|_| needed) {
        return Err(("sources.query.timeColumn".into(), why));
    }
    let mut selects = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    for (index, source) in conf.sources.iter().enumerate() {
        let field = |name: &str| format!("sources[{index}].{name}");
        let table = source
            .table()
            .map_err(|error| (field("table"), error.to_string()))?
            .table;
        let day = DayColumn::of(source.query(), &table, tables, ds);
        let query = resolved(conf, source, &day);
        let scan = Scan::of(source, &table, span, reach, tables, ds)
            .map_err(|why| (field("isCumulative"), why))?;
        let implicit = implicit_of(conf, source, &day, ds);
        if !has_selects(&query) && raw_columns(&table, tables).is_empty() {
            let why = format!("{table} is not known, so its columns are not");
            return Err((field("query.selects"), why));
        }
        let (sql, names) = select(&query, &table, &implicit, &scan, tables);
        if index == 0 {
            columns = names;
        }
        selects.push((table, sql));
    }
    let single = selects.len() == 1;
    let sql = match selects.pop() {
        Some((_, sql)) if single => sql,
        Some(last) => {
            selects.push(last);
            let parts: Vec<String> = selects
                .iter()
                .enumerate()
                .map(|(index, (_, sql))| {
                    format!(
                        "-- sources[{index}]\nSELECT {} FROM (\n  {}\n)",
                        super::text::list(&columns),
                        indent(sql, 2)
                    )
                })
                .collect();
            parts.join("\nUNION ALL\n")
        }
        None => return Err(("sources".into(), "there is no source".into())),
    };
    Ok(Rows { sql, columns })
}

/// The column of the day whose instants see a snapshot row or a mutation, in days since 1970.
pub(super) const MUTATION_DAY: &str = "__mutation_day";
/// The column of the time of a mutation; 0 for snapshot rows.
pub(super) const MUTATION_TS: &str = "__mutation_ts";

/// Snapshots and mutations of entities as one list of signed rows: the snapshot of a day is seen
/// by the instants of the next one, a mutation by those of its own day.
///
/// # Errors
/// The field and why it cannot be read.
pub(super) fn mutated_rows(
    conf: &GroupBy,
    span: Span,
    tables: &CatalogSnapshot,
    ds: &str,
) -> Result<Rows, (String, String)> {
    let snapshots = rows(conf, span.shifted(-1), Reach::Span, tables, ds)?;
    let columns = super::text::list(&snapshots.columns);
    let partition = ident(ds);
    let mut pieces = vec![format!(
        "SELECT {columns}, UNIX_DATE(CAST({partition} AS DATE)) + 1 AS {MUTATION_DAY}, 0L AS {MUTATION_TS}, 1 AS {SIGN}\nFROM (\n  {}\n)",
        indent(&snapshots.sql, 2)
    )];
    for (index, source) in conf.sources.iter().enumerate() {
        let Source::Entities(entities) = source else {
            continue;
        };
        let Some(table) = &entities.mutation_table else {
            continue;
        };
        let field = |name: &str| format!("sources[{index}].entities.{name}");
        let table = table
            .parse::<chronon_run_core::TableSpec>()
            .map_err(|error| (field("mutationTable"), error.to_string()))?
            .table;
        let day = DayColumn::of(source.query(), &table, tables, ds);
        let query = resolved(conf, source, &day);
        let scan = Scan::of(source, &table, span, Reach::Span, tables, ds)
            .map_err(|why| (field("query"), why))?;
        let mut implicit = implicit_of(conf, source, &day, ds);
        let or = |column: &Option<String>, default: &str| {
            column.clone().unwrap_or_else(|| default.to_owned())
        };
        let reversed = or(&query.reversal_column, "is_before");
        implicit.extend([
            (
                MUTATION_TS.to_owned(),
                or(&query.mutation_time_column, "mutation_ts"),
            ),
            (
                SIGN.to_owned(),
                format!("IF(CAST({reversed} AS BOOLEAN), -1, 1)"),
            ),
        ]);
        let (sql, _) = select(&query, &table, &implicit, &scan, tables);
        pieces.push(format!(
            "-- sources[{index}].entities.mutationTable, without what came late\nSELECT {columns}, UNIX_DATE(CAST({partition} AS DATE)) AS {MUTATION_DAY}, {MUTATION_TS}, {SIGN}\nFROM (\n  {}\n)\nWHERE {MUTATION_TS} >= UNIX_DATE(CAST({partition} AS DATE)) * 86400000L",
            indent(&sql, 2)
        ));
    }
    let mut columns = snapshots.columns;
    columns.extend([MUTATION_DAY, MUTATION_TS, SIGN].map(str::to_owned));
    Ok(Rows {
        sql: pieces.join("\nUNION ALL\n"),
        columns,
    })
}

/// The implicit columns of a GroupBy's source: its time, its day, and keys that are not selected.
fn implicit_of(
    conf: &GroupBy,
    source: &Source,
    day: &DayColumn,
    ds: &str,
) -> Vec<(String, String)> {
    let mut all = implicit(day, ds, time(conf, source, day));
    let keys = conf.key_columns.iter();
    all.extend(keys.map(|key| (key.clone(), ident(key))));
    all
}

/// The query of a GroupBy's source: the macro of the run's day, which the engine takes only where
/// that is the partition's own day, is the partition; a selected time is [`time`].
fn resolved(conf: &GroupBy, source: &Source, day: &DayColumn) -> Query {
    let mut query = source.query().clone();
    let partition = day.day();
    let time = time(conf, source, day);
    for (name, expression) in query.selects.iter_mut().flatten() {
        match &time {
            Some(time) if name == "ts" => expression.clone_from(time),
            _ => {}
        }
        *expression = with_run_day(expression, &partition);
    }
    query
}

/// The literal `'{{ CHRONON_RUN_DS }}'`. Compiled once: a plan looks at every expression.
static RUN_DAY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"['"]\{\{\s*CHRONON_RUN_DS\s*\}\}['"]"#).ok());

/// Replaces the literal `'{{ CHRONON_RUN_DS }}'` by the partition.
pub(super) fn with_run_day(expression: &str, partition: &str) -> String {
    match &*RUN_DAY {
        Some(literal) => literal
            .replace_all(expression, NoExpand(partition))
            .into_owned(),
        None => expression.to_owned(),
    }
}

/// The event time of a source of a GroupBy: `timeColumn`, or the select `ts`, which wins. A
/// TEMPORAL source without any has a column `ts`. Events of other sources without any count at the last
/// millisecond of their partition; a NULL time counts as 0, so in unbounded aggregations only.
fn time(conf: &GroupBy, source: &Source, day: &DayColumn) -> Option<String> {
    let query = source.query();
    let selected = query.selects.as_ref().and_then(|selects| selects.get("ts"));
    let declared = selected.or(query.time_column.as_ref()).cloned();
    if source.data_model() == DataModel::Entities {
        let aggregated = conf
            .aggregations
            .as_ref()
            .is_some_and(|all| !all.is_empty());
        return match aggregated {
            true => declared.map(|expression| format!("COALESCE({expression}, 0L)")),
            false => declared,
        };
    }
    let temporal = conf.accuracy() == Accuracy::Temporal;
    let declared = declared.or_else(|| temporal.then(|| "ts".to_owned()));
    Some(match declared {
        Some(expression) => format!("COALESCE({expression}, 0L)"),
        None => {
            let partition = day.day();
            format!("(UNIX_DATE(CAST({partition} AS DATE)) + 1) * 86400000L - 1")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_day_is_that_of_the_row() {
        let replaced = |expression| with_run_day(expression, "snap");
        assert_eq!(
            replaced("DATEDIFF('{{ CHRONON_RUN_DS }}', born)"),
            "DATEDIFF(snap, born)"
        );
        assert_eq!(
            replaced("'{{CHRONON_RUN_DS}}' > a AND \"{{ CHRONON_RUN_DS }}\" < b"),
            "snap > a AND snap < b"
        );
        assert_eq!(
            replaced("'x{{ CHRONON_RUN_DS }}'"),
            "'x{{ CHRONON_RUN_DS }}'"
        );
    }
}
