//! The days that a seed's file holds, read without Spark, so that a plan can be made before
//! anything is loaded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader},
};

use chronon_run_core::{CatalogSnapshot, Column, Ds, Partitions, RangeSet, TableInfo, TableState};
use chronon_run_engine::seeds::{self, State};
use chronon_run_plan::Tables;
use chronon_run_workspace::{Seed, SeedFormat, Workspace};

use crate::{failure::Failure, seeding::of_workspace};

/// Adds to `snapshot` the days of seeds that are not loaded yet, or whose file has changed since, as
/// if they were loaded.
pub(crate) fn add_unloaded(
    snapshot: &mut CatalogSnapshot,
    workspace: &Workspace,
    tables: &Tables,
) -> Result<(), Failure> {
    for seed in &workspace.seeds {
        let Some(columns) = tables.get(&seed.table) else {
            continue;
        };
        let existing = snapshot.table(&seed.table).map(|state| &state.info);
        if existing.is_some_and(|table| is_loaded(seed, table)) {
            continue;
        }
        let mut partitions = BTreeMap::new();
        for column in columns {
            partitions.insert(column.clone(), Partitions::of_days(days(seed, column)?));
        }
        let state = TableState {
            info: declared(seed),
            partitions,
        };
        snapshot.tables.insert(seed.table.clone(), Some(state));
    }
    Ok(())
}

/// Whether the table is one that was made from the seed's file as it is now. A Parquet file's days
/// are only known once it is loaded, so its table counts as it is; a table that is no seed's is the
/// loader's to complain about.
fn is_loaded(seed: &Seed, table: &TableInfo) -> bool {
    if seed.format == SeedFormat::Parquet {
        return table.properties.contains_key(seeds::PROPERTY);
    }
    let prepared = seeds::prepare(of_workspace(seed));
    // A file that cannot be read is an error when it is loaded.
    prepared
        .is_ok_and(|prepared| matches!(prepared.state(Some(table)), State::Loaded | State::Foreign))
}

/// The seed's table, as far as workspace.toml declares it.
fn declared(seed: &Seed) -> TableInfo {
    let column = |(name, data_type): (&String, &String)| Column {
        name: name.to_lowercase(),
        data_type: data_type.clone(),
    };
    let (partition_columns, columns) = seed
        .columns
        .iter()
        .map(column)
        .partition(|column| seed.partition_by.contains(&column.name));
    TableInfo {
        columns,
        partition_columns,
        ..TableInfo::default()
    }
}

/// The values of `column` in the seed's file that are days, with its declared empty partitions.
/// A Parquet file is not looked into: its days are known once it is loaded.
fn days(seed: &Seed, column: &str) -> Result<RangeSet, Failure> {
    let values = match seed.format {
        SeedFormat::Csv => csv_values(seed, column)?,
        SeedFormat::Json => json_values(seed, column)?,
        SeedFormat::Parquet => BTreeSet::new(),
    };
    let empty = seed
        .empty_partitions
        .iter()
        .map(|text| day_of(text, column));
    let filled = values.iter().map(|value| value.parse::<Ds>().ok());
    Ok(empty.chain(filled).flatten().collect())
}

/// `2026-01-23` or `ds=2026-01-23[/…]`.
fn day_of(partition: &str, column: &str) -> Option<Ds> {
    let mut pieces = partition.split('/');
    let named = pieces.find_map(|piece| piece.strip_prefix(column)?.strip_prefix('='));
    named.unwrap_or(partition).parse().ok()
}

fn csv_values(seed: &Seed, column: &str) -> Result<BTreeSet<String>, Failure> {
    let failed = |error: csv::Error| unreadable(seed, &error);
    let mut reader = csv::Reader::from_path(&seed.path).map_err(failed)?;
    let headers = reader.headers().map_err(failed)?;
    let Some(at) = headers
        .iter()
        .position(|header| header.eq_ignore_ascii_case(column))
    else {
        return Ok(BTreeSet::new());
    };
    let mut values = BTreeSet::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(failed)? {
        if let Some(value) = record.get(at)
            && !values.contains(value)
        {
            values.insert(value.to_owned());
        }
    }
    Ok(values)
}

fn json_values(seed: &Seed, column: &str) -> Result<BTreeSet<String>, Failure> {
    let file = File::open(&seed.path).map_err(|error| unreadable(seed, &error))?;
    let mut values = BTreeSet::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| unreadable(seed, &error))?;
        if line.trim().is_empty() {
            continue;
        }
        let row: serde_json::Value = serde_json::from_str(&line)
            .map_err(|error| unreadable(seed, &format!("line {}: {error}", number + 1)))?;
        if let Some(value) = row.get(column).and_then(serde_json::Value::as_str) {
            values.insert(value.to_owned());
        }
    }
    Ok(values)
}

fn unreadable(seed: &Seed, error: &dyn std::fmt::Display) -> Failure {
    Failure::hinted(
        format!(
            "cannot read the seed {} of {}: {error}",
            seed.path.display(),
            seed.table
        ),
        format!("check `[seeds]` `\"{}\"` in workspace.toml", seed.table),
    )
}
