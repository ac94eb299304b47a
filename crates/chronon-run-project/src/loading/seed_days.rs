//! The days that a seed's file holds, so that a plan can be made before anything is loaded, and what
//! `check` says of seeds. Both read the files as loading does.

use std::collections::BTreeMap;

use chronon_run_core::{
    CatalogSnapshot, Column, DayEvidence, Diagnostic, Digest, Ds, Evidence, Location,
    PartitionFormat, Partitions, RangeSet, Slice, TableInfo, TableName, TableState,
};
use chronon_run_engine::seeds::{self, NoDay, Prepared, SeedError, State};
use chronon_run_plan::Tables;
use chronon_run_workspace::{Seed, SeedFormat, Workspace};

use crate::{
    failure::Failure,
    loading::{
        day_formats::{Formats, formats},
        project::Project,
    },
};

/// Adds to `snapshot` the days of seeds that are not loaded yet, or whose file has changed since, as
/// if they were loaded.
pub fn add_unloaded(
    snapshot: &mut CatalogSnapshot,
    workspace: &Workspace,
    tables: &Tables,
) -> Result<(), Failure> {
    for seed in &workspace.seeds {
        let Some(columns) = tables.get(&seed.table) else {
            continue;
        };
        let existing = snapshot.table(&seed.table).map(|state| &state.info);
        let made_of_seed = |table: &TableInfo| table.properties.contains_key(seeds::PROPERTY);
        // A Parquet file's days are only known once it is loaded, so its table counts as it is.
        if seed.format == SeedFormat::Parquet && existing.is_some_and(made_of_seed) {
            continue;
        }
        // What reads a seed that cannot be loaded is excluded.
        let Ok(prepared) = prepare(seed) else {
            continue;
        };
        // A table that is no seed's is the loader's to complain about.
        if matches!(prepared.state(existing), State::Loaded | State::Foreign) {
            continue;
        }
        let rows = prepared.partitions();
        let days = |column: &String| {
            let partitions = Partitions::along(column, prepared.partition_by(), &rows);
            (column.clone(), partitions)
        };
        let own = columns.iter();
        let own = own.filter(|column| prepared.partition_by().contains(column));
        let partitions: BTreeMap<_, _> = own.map(days).collect();
        let state = TableState {
            info: info(&prepared),
            partitions,
            ..TableState::default()
        };
        snapshot.tables.insert(seed.table.clone(), Some(state));
    }
    Ok(())
}

/// The seeds that cannot be loaded, and why.
pub fn broken(workspace: &Workspace) -> BTreeMap<TableName, String> {
    let seeds = workspace.seeds.iter();
    seeds
        .filter_map(|seed| {
            let error = seeds::prepare(of_workspace(seed)).err()?;
            Some((seed.table.clone(), error.to_string()))
        })
        .collect()
}

/// The seed's file, read.
pub fn prepare(seed: &Seed) -> Result<Prepared, Failure> {
    seeds::prepare(of_workspace(seed)).map_err(|error| {
        let cure = error.cure();
        Failure::hinted(error, cure)
    })
}

/// What is seen of the days of a seed: their rows in the file, which are what is or will be loaded.
/// With `loaded`, the catalog as it is now, rows that are not loaded yet never equal others. `None`
/// where the file's days cannot be read.
pub fn evidence(
    seed: &Seed,
    slice: &Slice,
    wanted: &RangeSet,
    loaded: Option<&CatalogSnapshot>,
    format: &PartitionFormat,
) -> Option<DayEvidence> {
    if seed.format == SeedFormat::Parquet {
        return None;
    }
    let prepared = seeds::prepare(of_workspace(seed)).ok()?;
    let is_loaded = loaded.is_none_or(|snapshot| {
        let table = snapshot.table(&seed.table).map(|state| &state.info);
        matches!(prepared.state(table), State::Loaded | State::Foreign)
    });
    let salt = if is_loaded { "" } else { "not loaded" };
    let declared = serde_json::to_string(&seed.columns).ok()?;
    let empty = Digest::default().text(salt).text(&declared);
    let digests = prepared.day_digests(&slice.day_column, format);
    let sizes = prepared.day_sizes(&slice.day_column, format);
    let day = |ds: Ds| {
        let rows = digests.get(&ds).map_or("", String::as_str);
        let evidence = Evidence {
            files: Some(empty.text(rows).value()),
            catalog: None,
            bytes: Some(sizes.get(&ds).copied().unwrap_or_default()),
        };
        (ds, evidence)
    };
    Some(wanted.iter().map(day).collect())
}

/// The table as it will be loaded.
fn info(prepared: &Prepared) -> TableInfo {
    let is_partition = |column: &&Column| prepared.partition_by().contains(&column.name);
    let (partition_columns, columns) = prepared
        .columns()
        .iter()
        .cloned()
        .partition(|column| is_partition(&column));
    TableInfo {
        columns,
        partition_columns,
        ..TableInfo::default()
    }
}

/// Everything that is wrong with the workspace's seeds.
pub fn findings(context: &Project) -> Vec<Diagnostic> {
    let workspace = &context.workspace;
    let formats = formats(context);
    let found =
        workspace
            .seeds
            .iter()
            .filter_map(|seed| match seeds::prepare(of_workspace(seed)) {
                Ok(prepared) => doubt(&prepared, seed, &workspace.partition_column, &formats),
                Err(error) => Some(refusal(&error, seed)),
            });
    found.collect()
}

fn refusal(error: &SeedError, seed: &Seed) -> Diagnostic {
    let path = error.path().unwrap_or(&seed.path);
    Diagnostic::error("bad-seed", error.to_string())
        .at(Location::file(path))
        .hint(error.cure())
}

/// What loads, and is probably not what the user means.
fn doubt(prepared: &Prepared, seed: &Seed, column: &str, formats: &Formats) -> Option<Diagnostic> {
    let format = formats.get(&seed.table).map(|(format, _)| format);
    let iso = PartitionFormat::iso();
    let is_day = |value: &str| format.unwrap_or(&iso).read(value).is_some();
    if let Some(found) = prepared.no_day(column, &is_day) {
        let NoDay { path, value, .. } = found;
        let form = format.map_or("YYYY-MM-DD".to_owned(), PartitionFormat::to_string);
        let message = no_day_text(&found, column, &form, &seed.table);
        let finding = Diagnostic::warning("seed-without-days", message).at(Location::file(path));
        if prepared.has_day(column, &is_day) {
            return Some(
                finding.hint(
                    "nothing reads rows that belong to no day; correct what is in the column",
                ),
            );
        }
        let other = PartitionFormat::offer(&PartitionFormat::guesses([value]));
        let other =
            other.map(|lines| format!(", or set {lines} under `[sources.\"{}\"]`", seed.table));
        return Some(finding.hint(format!(
            "no day of this seed is found, so everything that reads it waits; write the days as {form}{}",
            other.unwrap_or_default()
        )));
    }
    if seed.format == SeedFormat::Parquet || prepared.has_rows() {
        return None;
    }
    let message = format!("seed {} has no rows", seed.table);
    let finding = Diagnostic::warning("empty-seed", message).at(Location::file(&seed.path));
    Some(finding.hint("add rows, or name its days as `empty_partitions`"))
        .filter(|_| seed.empty_partitions.is_empty())
}

fn no_day_text(found: &NoDay<'_>, column: &str, form: &str, seed: &TableName) -> String {
    let others = match found.others {
        0 => String::new(),
        1 => "; nor is 1 other value of the column".to_owned(),
        more => format!("; nor are {more} other values of the column"),
    };
    format!(
        "{}:{}: `{}` in column `{column}` is no day of the form {form} (seed {seed}){others}",
        found.path.display(),
        found.line,
        found.value
    )
}

/// The seed as the engine takes it.
fn of_workspace(seed: &Seed) -> seeds::Seed {
    seeds::Seed {
        table: seed.table.clone(),
        path: seed.path.clone(),
        format: match seed.format {
            SeedFormat::Csv => seeds::Format::Csv,
            SeedFormat::Json => seeds::Format::Json,
            SeedFormat::Parquet => seeds::Format::Parquet,
        },
        columns: seed.columns.clone(),
        partition_by: seeds::Partitioning::By(seed.partition_by.clone()),
        null: seed.null.clone(),
        empty_partitions: seed.empty_partitions.clone(),
        options: Default::default(),
    }
}
