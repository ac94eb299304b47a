//! Reading the golden corpora: source partitions from CSV, ranges from records.

use std::{collections::BTreeMap, path::Path};

use chronon_run_core::{CatalogSnapshot, Ds, PartitionRange, RangeSet, TableName};
use serde_json::Value;

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
