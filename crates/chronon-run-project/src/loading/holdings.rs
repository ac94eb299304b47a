//! What a target holds: its tables and its history, and dropping them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use chronon_run_catalog::Hive;
use chronon_run_conf::target::TARGET_PROPERTY;
use chronon_run_core::TableName;

use crate::{failure::Failure, loading::project::Project};

/// The tables in a target's namespaces.
pub struct Holdings {
    /// Those that runs in the target filled.
    pub own: Vec<TableName>,
    /// Those of others.
    pub foreign: Vec<TableName>,
}

impl Holdings {
    /// A table is the target's if its properties say so, or if it is one of `known`: helper tables and seeds
    /// have no such property.
    pub fn of(
        hive: &Hive,
        name: &str,
        namespaces: &BTreeMap<String, String>,
        known: &BTreeSet<TableName>,
    ) -> Result<Self, Failure> {
        let spaces: BTreeSet<&String> = namespaces.values().collect();
        let mut all = Vec::new();
        for space in spaces {
            all.extend(hive.tables_like(space, "*").map_err(Failure::setup)?);
        }
        let requests: Vec<_> = all
            .iter()
            .map(|table| (table.clone(), Vec::new()))
            .collect();
        let listed = hive.snapshot(&requests).map_err(Failure::setup)?;
        let is_own = |table: &TableName| {
            let state = listed.table(table);
            let property = state.and_then(|state| state.info.properties.get(TARGET_PROPERTY));
            property.is_some_and(|target| target == name) || known.contains(table)
        };
        let (own, foreign) = all.into_iter().partition(is_own);
        Ok(Self { own, foreign })
    }
}

/// Everything that a run in the target may write.
pub fn known(context: &Project) -> BTreeSet<TableName> {
    let assets = context.graph.assets.iter();
    let tables = assets.flat_map(|asset| asset.may_write(false));
    let seeds = context
        .target
        .iter()
        .flat_map(|target| target.seeds.clone());
    tables.chain(seeds).collect()
}

/// Drops these tables of a target, and its namespaces if nothing is left in them and they are not `shared`.
pub fn drop_tables(
    hive: &Hive,
    tables: &[TableName],
    namespaces: &BTreeMap<String, String>,
    shared: bool,
) -> Result<(), Failure> {
    for table in tables {
        hive.drop_table(table, true).map_err(Failure::setup)?;
    }
    let spaces: BTreeSet<&String> = namespaces.values().collect();
    for space in spaces.into_iter().filter(|_| !shared) {
        if !hive.has_database(space).map_err(Failure::setup)? {
            continue;
        }
        let left = hive.tables_like(space, "*").map_err(Failure::setup)?;
        if left.is_empty() {
            hive.drop_empty_database(space).map_err(Failure::setup)?;
        }
    }
    Ok(())
}

/// Removes what is known of a target's runs.
pub fn remove_history(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::setup(format!(
            "cannot remove {}: {error}",
            folder.display()
        ))),
        _ => Ok(()),
    }
}
