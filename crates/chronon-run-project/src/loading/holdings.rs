//! What targets hold: tables and a history.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use chronon_run_catalog::{Catalog, Hive};
use chronon_run_conf::target::TARGET_PROPERTY;
use chronon_run_core::TableName;
use chronon_run_report::Column;
use serde::Serialize;

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{project::Project, targets},
    output::on_screen,
};

/// A target of workspace.toml and what it holds.
#[derive(Serialize)]
pub struct Listed {
    /// The target.
    pub target: String,
    /// Its namespace for each namespace of production.
    pub namespaces: BTreeMap<String, String>,
    /// The tables that runs in it filled.
    pub tables: Vec<TableName>,
}

impl Listed {
    /// Every target of a workspace, in the order of their names. `context` is that of production.
    pub fn all(context: &Project) -> Result<Vec<Self>, Failure> {
        let warehouse = CatalogSession::look(&context.workspace)?;
        let mut all = Vec::new();
        for (name, settings) in &context.workspace.targets {
            let namespaces = targets::namespaces(settings, &context.workspace, &context.graph)?;
            let held = match warehouse.catalog() {
                Some(Catalog::Hive(hive)) => {
                    Holdings::of(hive, name, &namespaces, &BTreeSet::new())?
                }
                _ => Holdings::default(),
            };
            all.push(Self {
                target: name.clone(),
                namespaces,
                tables: held.own,
            });
        }
        Ok(all)
    }
}

/// On narrow screens the namespaces are left out.
const COLUMNS: [Column; 3] = [
    Column::id("target"),
    Column::new("tables", 0),
    Column::new("namespaces", 1),
];

/// A line for each target, as wide as the screen at most.
#[must_use]
pub fn text(targets: &[Listed]) -> String {
    let row = |listed: &Listed| {
        let own: BTreeSet<&str> = listed.namespaces.values().map(String::as_str).collect();
        let own: Vec<&str> = own.into_iter().collect();
        let tables = listed.tables.len().to_string();
        vec![listed.target.clone(), tables, own.join(" ")]
    };
    let rows: Vec<Vec<String>> = targets.iter().map(row).collect();
    on_screen(&COLUMNS, &rows)
}

/// The tables in a target's namespaces.
#[derive(Default)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_several_is_listed_once() {
        let own = [("a", "dev"), ("b", "dev"), ("c", "dev_c")];
        let own = own.map(|(of, own)| (of.to_owned(), own.to_owned()));
        let listed = Listed {
            target: "dev".to_owned(),
            namespaces: BTreeMap::from(own),
            tables: vec!["dev.t".parse().unwrap()],
        };
        let wanted = "target  tables  namespaces\ndev     1       dev dev_c\n";
        assert_eq!(text(&[listed]), wanted);
    }
}
