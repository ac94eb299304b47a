//! The golden corpora: source partitions from CSV, ranges from records, and the comparison of a
//! table with the recorded one.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chronon_run_core::{CatalogSnapshot, Ds, PartitionRange, RangeSet, TableName};
use serde_json::{Map, Value};

use crate::driver::{Facts, Write};

/// Why a corpus cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// A file.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// Its content.
    #[error("{0}: {1}")]
    Content(String, String),
}

fn read(path: &Path) -> Result<String, GoldenError> {
    std::fs::read_to_string(path)
        .map_err(|error| GoldenError::File(path.display().to_string(), error))
}

/// The source tables of a corpus as a catalog, with the facts that its rows tell. `time_columns`
/// names the millisecond column of tables that have one.
///
/// # Errors
/// [`GoldenError`] if `data/schema.json` or a table's file is missing or malformed.
pub fn sources(
    data: &Path,
    time_columns: &BTreeMap<&str, &str>,
) -> Result<(CatalogSnapshot, Facts), GoldenError> {
    let schema_path = data.join("schema.json");
    let bad = |why: &str| GoldenError::Content(schema_path.display().to_string(), why.to_owned());
    let schema: Value =
        serde_json::from_str(&read(&schema_path)?).map_err(|error| bad(&error.to_string()))?;
    let (mut catalog, mut facts) = (CatalogSnapshot::default(), Facts::default());
    for (name, table) in schema["tables"]
        .as_object()
        .ok_or_else(|| bad("no tables"))?
    {
        let table_name: TableName = name.parse().map_err(|_| bad(name))?;
        let column = table["partition_columns"][0]
            .as_str()
            .ok_or_else(|| bad(name))?;
        let rows = rows(&data.join(format!("{name}.csv")))?;
        let filled: RangeSet = rows
            .iter()
            .filter_map(|row| row.get(column)?.parse::<Ds>().ok())
            .collect();
        let empty: RangeSet = table["empty_partitions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|text| text.as_str()?.split_once('=')?.1.parse::<Ds>().ok())
            .collect();
        let write = Write::Partitions {
            table: table_name.clone(),
            others: Vec::new(),
            column: column.to_owned(),
            days: filled.union(&empty),
        };
        write.apply(&mut catalog);
        if let Some(time_column) = time_columns.get(name.as_str()) {
            facts
                .ts_days
                .insert(table_name.clone(), ts_days(&rows, column, time_column));
        }
        facts.empty.insert(table_name, empty);
    }
    Ok((catalog, facts))
}

/// First and last day of `time_column` per partition, as offsets, where that is not the day itself.
fn ts_days(
    rows: &[BTreeMap<String, String>],
    column: &str,
    time_column: &str,
) -> BTreeMap<Ds, (i32, i32)> {
    let mut all: BTreeMap<Ds, (i32, i32)> = BTreeMap::new();
    for row in rows {
        let day = row.get(column).and_then(|text| text.parse::<Ds>().ok());
        let millis = row
            .get(time_column)
            .and_then(|text| text.parse::<i64>().ok());
        let (Some(day), Some(millis)) = (day, millis) else {
            continue;
        };
        let ts_day = i32::try_from(millis.div_euclid(86_400_000)).unwrap_or_default();
        let offset = ts_day - day.epoch_days();
        let (lo, hi) = all.entry(day).or_insert((offset, offset));
        *lo = (*lo).min(offset);
        *hi = (*hi).max(offset);
    }
    all.retain(|_, span| *span != (0, 0));
    all
}

/// The rows of a corpus' CSV file. Its values hold neither commas nor line ends; quotes appear
/// around empty texts only.
fn rows(path: &Path) -> Result<Vec<BTreeMap<String, String>>, GoldenError> {
    let text = read(path)?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    Ok(lines
        .map(|line| {
            let names = header.iter().map(|name| (*name).to_owned());
            names.zip(line.split(',').map(str::to_owned)).collect()
        })
        .collect())
}

/// `["ds=2026-01-01..2026-01-05", "ds=2026-01-07"]` as days along `column`; other partitions of a
/// nested table count by that column too.
#[must_use]
pub fn recorded_days(partitions: &Value, column: &str) -> RangeSet {
    let texts = partitions
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let pieces = texts.flat_map(|text| text.split('/'));
    let ranges = pieces.filter_map(|piece| {
        let (_, days) = piece.split_once('=').filter(|(name, _)| *name == column)?;
        let (from, to) = days.split_once("..").unwrap_or((days, days));
        PartitionRange::new(from.parse().ok()?, to.parse().ok()?)
    });
    ranges.collect()
}

/// What a table is in a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A partitioned or unpartitioned table.
    Table,
    /// A view.
    View,
    /// An upload table, recorded as decoded keys and values.
    Upload,
}

/// A table with its rows: recorded, or found in a warehouse.
#[derive(Clone, PartialEq, Debug)]
pub struct Rows {
    /// Names and Spark types, in order, partition columns last.
    pub columns: Vec<(String, String)>,
    /// `ds=2026-01-14`, `a=1/b=2`; `None` for views and unpartitioned tables.
    pub partitions: Option<BTreeSet<String>>,
    /// Rows in the order of `columns`; `None` if they were not recorded.
    pub rows: Option<Vec<Vec<Value>>>,
}

/// A table of `expected/`.
#[derive(Clone, PartialEq, Debug)]
pub struct Recorded {
    /// `db.table`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its content. Of an upload: the columns of the table, and rows of `[key, value]`.
    pub content: Rows,
    /// Columns of the table whose values were not recorded.
    pub unrecorded: BTreeSet<String>,
    /// Its table properties, without those that hold a hash.
    pub properties: BTreeMap<String, String>,
}

impl Recorded {
    /// Reads `<name>.schema` and, if there is one, `<name>.jsonl` below `directory`.
    ///
    /// # Errors
    /// [`GoldenError`] if a file is missing or malformed.
    pub fn read(directory: &Path, name: &str) -> Result<Self, GoldenError> {
        let path = directory.join(format!("{name}.schema"));
        let bad = |why: &dyn std::fmt::Display| {
            GoldenError::Content(path.display().to_string(), why.to_string())
        };
        let schema: Value = serde_json::from_str(&read(&path)?).map_err(|error| bad(&error))?;
        let kind = match schema["kind"].as_str() {
            Some("upload") => Kind::Upload,
            Some("view") => Kind::View,
            _ => Kind::Table,
        };
        let partitioned = schema["partition_columns"]
            .as_array()
            .is_some_and(|columns| !columns.is_empty());
        Ok(Self {
            name: name.to_owned(),
            kind,
            content: Rows {
                columns: columns(&schema),
                partitions: (kind == Kind::Table && partitioned)
                    .then(|| texts(&schema["partitions"])),
                rows: recorded_rows(&directory.join(format!("{name}.jsonl")), kind)?,
            },
            unrecorded: texts(&schema["columns_not_exported"]),
            properties: properties(&schema["tblproperties"]),
        })
    }
}

fn texts(list: &Value) -> BTreeSet<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some(item.as_str()?.to_owned()))
        .collect()
}

fn columns(schema: &Value) -> Vec<(String, String)> {
    if let Some(names) = schema["columns_of_the_table"].as_array() {
        let names = names.iter().filter_map(Value::as_str);
        return names.map(|name| (name.to_owned(), String::new())).collect();
    }
    let columns = schema["columns"].as_array().into_iter().flatten();
    columns
        .filter_map(|column| {
            Some((
                column[0].as_str()?.to_owned(),
                column[1].as_str()?.to_owned(),
            ))
        })
        .collect()
}

fn properties(object: &Value) -> BTreeMap<String, String> {
    let entries = object.as_object().into_iter().flatten();
    entries
        .filter(|(key, _)| !key.starts_with("semantic_hash"))
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn recorded_rows(path: &Path, kind: Kind) -> Result<Option<Vec<Vec<Value>>>, GoldenError> {
    if !path.exists() {
        return Ok(None);
    }
    let bad = |error: serde_json::Error| {
        GoldenError::Content(path.display().to_string(), error.to_string())
    };
    let text = read(path)?;
    let mut rows = Vec::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).map_err(bad)?;
        rows.push(match (kind, row) {
            (Kind::Upload, row) => vec![row["key"].clone(), row["value"].clone()],
            (_, Value::Array(cells)) => cells,
            (_, other) => vec![other],
        });
    }
    Ok(Some(rows))
}

/// Rows of which the recorded value is a defect of the recording engine; they are named, and
/// the others are compared.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
pub struct Defect {
    /// `db.table`.
    pub table: String,
    /// Column and text of each value that a row must have to be meant.
    pub rows: BTreeMap<String, String>,
    /// Why the record is wrong.
    pub why: String,
}

/// What [`compare`] found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Rows compared.
    pub rows: usize,
    /// What differs, the most telling first; equal if there is nothing.
    pub differences: Vec<String>,
    /// What may be so, but is said: named rows, empty partitions.
    pub notes: Vec<String>,
}

/// Compares what was found with the record: columns with types and order, partitions, rows in any
/// order. Numbers may differ by 1e-9 of their size; an approximate count by its error.
#[must_use]
pub fn compare(recorded: &Recorded, found: &Rows, defects: &[Defect]) -> Verdict {
    let mut verdict = Verdict::default();
    let visible: Vec<_> = found
        .columns
        .iter()
        .filter(|(name, _)| !recorded.unrecorded.contains(name))
        .cloned()
        .collect();
    compare_columns(recorded, &visible, &mut verdict);
    let Some(wanted) = &recorded.content.rows else {
        verdict.notes.push("rows are not recorded".to_owned());
        return verdict;
    };
    let rows = found.rows.as_deref().unwrap_or_default();
    if recorded.kind == Kind::Upload {
        let columns = [
            ("key".to_owned(), "key".to_owned()),
            ("value".to_owned(), "value".to_owned()),
        ];
        compare_rows(&columns, wanted.clone(), rows.to_vec(), &mut verdict);
        return verdict;
    }
    compare_partitions(recorded, found, &mut verdict);
    let (common, wanted) = project(&recorded.content.columns, &visible, wanted);
    let (_, rows) = project(&found.columns, &common, rows);
    let meant = |row: &Vec<Value>, defect: &Defect| {
        defect.rows.iter().all(|(name, value)| {
            let at = common.iter().position(|(column, _)| column == name);
            at.is_some_and(|at| text(&row[at]) == *value)
        })
    };
    let (mut wanted, mut rows) = (wanted, rows);
    for defect in defects
        .iter()
        .filter(|defect| defect.table == recorded.name)
    {
        let (theirs, rest): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|row| meant(row, defect));
        wanted = rest;
        let (ours, rest): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| meant(row, defect));
        rows = rest;
        let mut named = Verdict::default();
        compare_rows(&common, theirs, ours, &mut named);
        for difference in named.differences {
            verdict.notes.push(format!(
                "defect of the record ({}): {difference}",
                defect.why
            ));
        }
    }
    compare_rows(&common, wanted, rows, &mut verdict);
    verdict
}

fn compare_columns(recorded: &Recorded, visible: &[(String, String)], verdict: &mut Verdict) {
    let wanted = &recorded.content.columns;
    let names = |columns: &[(String, String)]| -> Vec<String> {
        columns.iter().map(|(name, _)| name.clone()).collect()
    };
    if recorded.kind == Kind::Upload {
        if names(visible) != names(wanted) {
            verdict.differences.push(format!(
                "columns {:?}, recorded {:?}",
                names(visible),
                names(wanted)
            ));
        }
        return;
    }
    let show = |columns: Vec<&(String, String)>| -> String {
        let columns = columns.iter().map(|(name, kind)| format!("{name} {kind}"));
        columns.collect::<Vec<_>>().join(", ")
    };
    let missing: Vec<_> = wanted
        .iter()
        .filter(|column| !visible.contains(column))
        .collect();
    let more: Vec<_> = visible
        .iter()
        .filter(|column| !wanted.contains(column))
        .collect();
    if !missing.is_empty() {
        verdict
            .differences
            .push(format!("columns missing: {}", show(missing)));
    }
    if !more.is_empty() {
        verdict
            .differences
            .push(format!("columns too many: {}", show(more)));
    }
    if verdict.differences.is_empty() && visible != wanted.as_slice() {
        let order = (names(visible), names(wanted));
        verdict.differences.push(format!(
            "columns in another order: {:?}, recorded {:?}",
            order.0, order.1
        ));
    }
}

fn compare_partitions(recorded: &Recorded, found: &Rows, verdict: &mut Verdict) {
    let Some(wanted) = &recorded.content.partitions else {
        return;
    };
    let Some(partitions) = &found.partitions else {
        verdict.differences.push("not partitioned".to_owned());
        return;
    };
    let missing: Vec<_> = wanted.difference(partitions).collect();
    if !missing.is_empty() {
        verdict
            .differences
            .push(format!("partitions missing: {missing:?}"));
    }
    let more: Vec<_> = partitions.difference(wanted).collect();
    if !more.is_empty() {
        verdict
            .differences
            .push(format!("partitions too many: {more:?}"));
    }
}

type Columns = Vec<(String, String)>;

/// The columns of `from` that `to` has as well, in the order of `to`, and the rows cut to them.
fn project(
    from: &[(String, String)],
    to: &[(String, String)],
    rows: &[Vec<Value>],
) -> (Columns, Vec<Vec<Value>>) {
    let position = |name: &String| from.iter().position(|(column, _)| column == name);
    let both: Vec<(usize, (String, String))> = to
        .iter()
        .filter_map(|(name, _)| Some((position(name)?, from[position(name)?].clone())))
        .collect();
    let rows = rows.iter().map(|row| {
        let cells = both
            .iter()
            .map(|(at, _)| row.get(*at).cloned().unwrap_or(Value::Null));
        cells.collect()
    });
    let rows = rows.collect();
    (both.into_iter().map(|(_, column)| column).collect(), rows)
}

/// A value as text: strings bare, everything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as a sort key: floating point rounded, keys of objects in order.
fn key(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            format!("{:.5e}", number.as_f64().unwrap_or_default())
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(key).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(entries) => {
            let entries: BTreeMap<_, _> = entries
                .iter()
                .map(|(name, value)| (name, key(value)))
                .collect();
            format!("{entries:?}")
        }
        other => other.to_string(),
    }
}

/// How many differences of one table are shown.
const SHOWN: usize = 6;

fn compare_rows(
    columns: &[(String, String)],
    mut wanted: Vec<Vec<Value>>,
    mut found: Vec<Vec<Value>>,
    verdict: &mut Verdict,
) {
    let order = telling_order(columns.len(), &wanted, &found);
    let sort = |rows: &mut Vec<Vec<Value>>| {
        rows.sort_by_cached_key(|row| -> Vec<String> {
            order.iter().map(|at| key(&row[*at])).collect()
        });
    };
    sort(&mut wanted);
    sort(&mut found);
    verdict.rows += wanted.len();
    let place = |row: &[Value]| {
        let cells = order.iter().take(SHOWN);
        let cells = cells.map(|at| format!("{}={}", columns[*at].0, text(&row[*at])));
        cells.collect::<Vec<_>>().join(" ")
    };
    if wanted.len() != found.len() {
        let count = format!("{} rows, recorded {}", found.len(), wanted.len());
        let (more, less) = unmatched(&wanted, &found);
        let more = more
            .iter()
            .map(|row| format!("  only found: {}", place(row)));
        let less = less
            .iter()
            .map(|row| format!("  only recorded: {}", place(row)));
        verdict.differences.push(count);
        verdict.differences.extend(more.take(3).chain(less.take(3)));
        return;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shown = Vec::new();
    for (wanted, found) in wanted.iter().zip(&found) {
        for (at, (name, kind)) in columns.iter().enumerate() {
            if equal(name, kind, &wanted[at], &found[at]) {
                continue;
            }
            let count = counts.entry(name).or_default();
            *count += 1;
            if *count <= 2 && shown.len() < SHOWN {
                shown.push(format!(
                    "{name}: {}, recorded {}, where {}",
                    found[at],
                    wanted[at],
                    place(found)
                ));
            }
        }
    }
    if !counts.is_empty() {
        verdict
            .differences
            .push(format!("cells that differ: {counts:?}"));
        verdict.differences.append(&mut shown);
    }
}

/// Rows that only one of two sorted lists has, by their keys.
fn unmatched<'r>(
    wanted: &'r [Vec<Value>],
    found: &'r [Vec<Value>],
) -> (Vec<&'r Vec<Value>>, Vec<&'r Vec<Value>>) {
    let keyed = |rows: &'r [Vec<Value>]| -> Vec<(String, &'r Vec<Value>)> {
        let mut keyed: Vec<_> = rows
            .iter()
            .map(|row| (row.iter().map(key).collect::<Vec<_>>().join("\u{1}"), row))
            .collect();
        keyed.sort_by(|left, right| left.0.cmp(&right.0));
        keyed
    };
    let (wanted, found) = (keyed(wanted), keyed(found));
    let (mut more, mut less) = (Vec::new(), Vec::new());
    let (mut i, mut j) = (0, 0);
    while i < wanted.len() || j < found.len() {
        let order = match (wanted.get(i), found.get(j)) {
            (Some(left), Some(right)) => left.0.cmp(&right.0),
            (Some(_), None) => Ordering::Less,
            _ => Ordering::Greater,
        };
        match order {
            Ordering::Less => less.push(wanted[i].1),
            Ordering::Greater => more.push(found[j].1),
            Ordering::Equal => {}
        }
        i += usize::from(order != Ordering::Greater);
        j += usize::from(order != Ordering::Less);
    }
    (more, less)
}

/// The columns, those first whose values are the same on both sides: they pair the rows up.
fn telling_order(columns: usize, wanted: &[Vec<Value>], found: &[Vec<Value>]) -> Vec<usize> {
    let values = |rows: &[Vec<Value>], at: usize| {
        let mut values: Vec<String> = rows.iter().map(|row| key(&row[at])).collect();
        values.sort_unstable();
        values
    };
    let rank = |at: &usize| {
        let numbers = wanted.iter().any(|row| row[*at].is_f64());
        if values(wanted, *at) != values(found, *at) {
            2
        } else {
            i32::from(numbers)
        }
    };
    let mut order: Vec<usize> = (0..columns).collect();
    order.sort_by_cached_key(rank);
    order
}

/// Whether two values are the same; `kind` is the Spark type of the whole column.
fn equal(name: &str, kind: &str, left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) if name.contains("_approx_unique_count") => close_counts(a, b),
            (Some(a), Some(b)) => a == b,
            _ => close(
                kind,
                a.as_f64().unwrap_or(f64::NAN),
                b.as_f64().unwrap_or(f64::NAN),
            ),
        },
        // What a fetcher merges on: sets and heaps, in whatever order they were held in memory.
        (Value::Array(a), Value::Array(b)) if kind == "value" => {
            let (a, b) = (sorted(a), sorted(b));
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| equal(name, kind, a, b))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(name, kind, a, b))
        }
        (Value::Object(a), Value::Object(b)) if kind == "value" => {
            // A record: a field that is not there is NULL.
            let names: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            names
                .into_iter()
                .all(|field| equal(field, kind, &left[field.as_str()], &right[field.as_str()]))
        }
        // The bytes of the other engine's own sketch, beside what ours holds instead of one.
        (Value::Array(_), Value::String(sketch)) | (Value::String(sketch), Value::Array(_))
            if kind == "value" =>
        {
            name.contains("_approx_") && sketch.starts_with("base64:")
        }
        (Value::Object(a), Value::Object(b)) if name.contains("_histogram") => {
            same_but_for_ties(a, b)
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(field, value)| {
                    b.get(field)
                        .is_some_and(|other| equal(name, kind, value, other))
                })
        }
        (Value::String(a), Value::String(b)) if kind == "binary" => {
            a.trim_start_matches("base64:") == b.trim_start_matches("base64:")
        }
        _ => left == right,
    }
}

fn sorted(items: &[Value]) -> Vec<Value> {
    let mut items = items.to_vec();
    items.sort_by_cached_key(|item| key(&in_order(item)));
    items
}

/// A value with every list in it sorted, whatever order it was held in.
fn in_order(value: &Value) -> Value {
    match value {
        Value::Array(items) => sorted(&items.iter().map(in_order).collect::<Vec<_>>()).into(),
        Value::Object(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|(name, value)| (name.clone(), in_order(value)));
            Value::Object(entries.collect())
        }
        other => other.clone(),
    }
}

/// Two histograms cut to their most frequent keys: which of the keys with the lowest kept count are
/// among them is undefined.
fn same_but_for_ties(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    let lowest = a.values().chain(b.values()).filter_map(Value::as_i64).min();
    let tied = |count: &Value| count.as_i64() == lowest;
    let matched = |from: &Map<String, Value>, to: &Map<String, Value>| {
        from.iter().all(|(name, count)| match to.get(name) {
            Some(other) => count == other,
            None => tied(count),
        })
    };
    a.len() == b.len() && matched(a, b) && matched(b, a)
}

fn close(kind: &str, a: f64, b: f64) -> bool {
    // A 32-bit number is recorded as the double it widens to.
    #[expect(clippy::cast_possible_truncation, reason = "that is the comparison")]
    let same_single = kind.contains("float") && a as f32 == b as f32;
    same_single || a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// Two estimates of one count by different sketches: within 15 %, three times the standard error
/// of Spark's default, and never less than one.
fn close_counts(a: i64, b: i64) -> bool {
    let size = a.abs().max(b.abs());
    (a - b).abs() <= (size * 15 / 100).max(1)
}

#[cfg(test)]
mod tests;
