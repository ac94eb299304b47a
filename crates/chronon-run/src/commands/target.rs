//! `chronon-run target`: what the targets hold, and dropping one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use chronon_run_catalog::{Catalog, Hive};
use chronon_run_conf::target::TARGET_PROPERTY;
use chronon_run_core::TableName;
use chronon_run_exec::lock::{self, LockError};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        project::{Project, now_millis},
        targets::{self, InTarget, Unselected},
    },
    output::{agreed, json, note, print},
};
use chronon_run_report::{count, table};
use serde::Serialize;

use crate::cli::{Output, SelectArgs, TargetCommand};

pub(crate) fn run(command: &TargetCommand) -> Result<(), Failure> {
    match command {
        TargetCommand::List { output } => list(*output),
        TargetCommand::Drop { name, yes } => drop_target(name, *yes),
    }
}

/// A target and what it holds.
#[derive(Serialize)]
struct Listed {
    target: String,
    namespaces: BTreeMap<String, String>,
    tables: Vec<TableName>,
}

fn list(output: Output) -> Result<(), Failure> {
    let context = Project::load()?;
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut found = Vec::new();
    for (name, settings) in &context.workspace.targets {
        let namespaces = targets::namespaces(settings, &context.workspace, &context.graph)?;
        let tables = match warehouse.catalog() {
            Some(Catalog::Hive(hive)) => {
                Holdings::of(hive, name, &namespaces, &BTreeSet::new())?.own
            }
            _ => Vec::new(),
        };
        found.push(Listed {
            target: name.clone(),
            namespaces,
            tables,
        });
    }
    match output {
        Output::Json => print(&json(&found)?),
        Output::Text if found.is_empty() => print(
            "workspace.toml has no targets; `[targets.dev]` with `namespace = \"dev_{user}_{namespace}\"` adds one\n",
        ),
        Output::Text => {
            let row = |listed: &Listed| {
                let own: BTreeSet<&str> = listed.namespaces.values().map(String::as_str).collect();
                let own: Vec<&str> = own.into_iter().collect();
                let tables = listed.tables.len().to_string();
                vec![listed.target.clone(), tables, own.join(" ")]
            };
            let rows: Vec<Vec<String>> = found.iter().map(row).collect();
            print(&table(&["target", "tables", "namespaces"], &rows))
        }
    }
}

/// The tables in a target's namespaces.
struct Holdings {
    /// Those that runs in the target filled.
    own: Vec<TableName>,
    /// Those of others.
    foreign: Vec<TableName>,
}

impl Holdings {
    /// A table is the target's if its properties say so, or if it is one of `known`: helper tables and seeds
    /// have no such property.
    fn of(
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

fn drop_target(name: &str, yes: bool) -> Result<(), Failure> {
    let context = targets::load(Some(name), &SelectArgs::default(), Unselected::All)?;
    let Some(target) = &context.target else {
        return Err(Failure::setup(format!(
            "workspace.toml has no target `{name}`"
        )));
    };
    let warehouse = CatalogSession::look(&context.workspace)?;
    let history = InTarget::folder(&context.workspace, name);
    let hive = match warehouse.catalog() {
        Some(Catalog::Hive(hive)) => Some(hive),
        Some(Catalog::Fixture { .. }) => {
            return Err(Failure::setup(
                "tables of a saved snapshot (`catalog.kind = \"fixture\"`) cannot be dropped",
            ));
        }
        None => None,
    };
    let known = known(&context);
    let found = hive.map(|hive| Holdings::of(hive, name, &target.namespaces, &known));
    let found = found.transpose()?;
    let (own, foreign) = found.map_or_else(Default::default, |found| (found.own, found.foreign));
    if own.is_empty() && !history.exists() {
        return print(&format!("target {name} has no tables\n"));
    }
    for table in &own {
        note(&format!("  {table}"));
    }
    for table in &foreign {
        note(&format!(
            "  {table} stays: it is not a table of the target {name}"
        ));
    }
    let question = format!(
        "drop {} of target {name}? [y/N]",
        count(own.len() as u64, "table")
    );
    if !yes && !agreed(&question)? {
        return Err(Failure::setup("nothing was dropped"));
    }
    let _guard = locked(&context, &own)?;
    if let Some(hive) = hive {
        drop_tables(hive, &own, &target.namespaces, !foreign.is_empty())?;
    }
    remove_history(&history)?;
    let dropped = count(own.len() as u64, "table");
    print(&format!("dropped {dropped} of target {name}\n"))
}

/// Everything that a run in the target may write.
fn known(context: &Project) -> BTreeSet<TableName> {
    let assets = context.graph.assets.iter();
    let tables = assets.flat_map(|asset| asset.may_write(false));
    let seeds = context
        .target
        .iter()
        .flat_map(|target| target.seeds.clone());
    tables.chain(seeds).collect()
}

fn drop_tables(
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

/// The tables of a run that is going on in the target are not dropped.
fn locked(context: &Project, tables: &[TableName]) -> Result<lock::Guard, Failure> {
    let folder = context.workspace.state_dir.join("locks");
    let names: BTreeSet<String> = context
        .graph
        .assets
        .iter()
        .map(|asset| asset.family.clone())
        .chain(tables.iter().map(ToString::to_string))
        .collect();
    let grace = context.workspace.run.grace;
    let names = names.iter().map(String::as_str);
    let guard = lock::acquire(&folder, "target drop", now_millis(), names, grace);
    guard.map_err(|error| match error {
        LockError::Held { .. } => Failure::Locked {
            message: error.to_string(),
        },
        LockError::Io { .. } => Failure::setup(error),
    })
}

fn remove_history(folder: &std::path::Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::setup(format!(
            "cannot remove {}: {error}",
            folder.display()
        ))),
        _ => Ok(()),
    }
}
