//! `chronon-run target`: what the targets hold, and dropping one.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_catalog::Catalog;
use chronon_run_core::TableName;
use chronon_run_exec::lock::{self, LockError};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        holdings::{self, Holdings},
        in_target::InTarget,
        project::Project,
        targets::{self, Unselected},
    },
    output::{agreed, json, note, print},
    program::now_millis,
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
    let known = holdings::known(&context);
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
        holdings::drop_tables(hive, &own, &target.namespaces, !foreign.is_empty())?;
    }
    holdings::remove_history(&history)?;
    let dropped = count(own.len() as u64, "table");
    print(&format!("dropped {dropped} of target {name}\n"))
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
