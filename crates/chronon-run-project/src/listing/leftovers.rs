//! What a killed or failed script leaves: helper tables, folders without a table, and files that it had
//! written and not yet moved into place. A later script would stop at the first two; nothing else
//! removes any of them.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use chronon_run_catalog::{Catalog, CatalogError, Hive, NewTable};
use chronon_run_core::{Column, Ds, TableName};
use chronon_run_plan::{Asset, Plan};
use chronon_run_report::Activity;
use chronon_run_sql::helpers::{self, Repair, TYPES};
use chronon_run_workspace::Workspace;

use crate::{
    listing::session::CatalogSession, loading::project::Project, output::note, paths::own_warehouse,
};

/// How the folders of unfinished writes begin: of Spark's committer, of its dynamic overwrite, and
/// of Hive's.
const UNFINISHED: [&str; 3] = ["_temporary", ".spark-staging", ".hive-staging"];

/// Removes what is left in and of the tables that `plan` fills. The caller holds their locks, and
/// has ended what was left of earlier runs: no process writes them now.
///
/// Files are only touched below the embedded metastore: in a warehouse of the user's, others may be
/// writing. What cannot be removed is reported, and does no harm.
pub fn remove(context: &Project, warehouse: &CatalogSession, plan: &Plan, run: &str) {
    let mut done = BTreeSet::new();
    let doing = Activity::start("looking for what earlier runs left");
    for (place, step) in plan.steps.iter().enumerate() {
        let Some(index) = context.graph.find(&step.asset) else {
            continue;
        };
        let asset = &context.graph.assets[index];
        doing.say(&format!(
            "step {} of {}: looking for what earlier runs left of {}",
            place + 1,
            plan.steps.len(),
            asset.table
        ));
        for table in tables_of(asset) {
            if !done.insert((table.clone(), step.range.start)) {
                continue;
            }
            let removed = remove_all(context, warehouse, &table, step.range.start, run);
            if let Err(why) = removed {
                note(&format!(
                    "cannot remove what a killed job left of {table}: {why}"
                ));
            }
        }
    }
}

fn remove_all(
    context: &Project,
    warehouse: &CatalogSession,
    table: &TableName,
    first: Ds,
    run: &str,
) -> Result<(), String> {
    let workspace = &context.workspace;
    remove_of(workspace, table).map_err(|error| error.to_string())?;
    let Some(Catalog::Hive(hive)) = warehouse.catalog() else {
        return Ok(());
    };
    let existing = repair(hive, table).map_err(|error| error.to_string())?;
    if existing.contains(table) || context.uses_driver() {
        return Ok(());
    }
    let types = table.suffixed(&format!("{TYPES}{}", first.to_string().replace('-', "")));
    // A folder of this machine is looked for first: asking the metastore takes longest of all.
    let may_exist = own_warehouse(workspace).is_none_or(|own| folder(&own, &types).exists());
    if may_exist {
        remove_folder(hive, &types).map_err(|error| error.to_string())?;
    }
    set_orphan_aside(workspace, table, run).map_err(|error| error.to_string())
}

/// Removes the helper tables of an asset after a failed attempt. What stays is removed by the next run.
pub fn remove_helpers(warehouse: &CatalogSession, asset: &Asset) {
    if let Some(Catalog::Hive(hive)) = warehouse.catalog() {
        for table in tables_of(asset) {
            let _ = repair(hive, &table);
        }
    }
}

/// The tables that a script of the asset may create.
fn tables_of(asset: &Asset) -> BTreeSet<TableName> {
    let side = asset.also_writes.iter().map(|side| side.table.clone());
    let increments = asset.table.suffixed("_daily_inc");
    side.chain([asset.table.clone(), increments]).collect()
}

/// Undoes what is left of the helpers of a table; the tables of such names that exist then.
fn repair(hive: &Hive, table: &TableName) -> Result<BTreeSet<TableName>, CatalogError> {
    if !hive.has_database(table.namespace())? {
        return Ok(BTreeSet::new());
    }
    let pattern = format!("{}*", table.name().to_lowercase());
    let existing = hive.tables_like(table.namespace(), &pattern)?;
    let mut existing: BTreeSet<TableName> = existing.into_iter().collect();
    for repair in helpers::repairs(table, &existing) {
        match repair {
            Repair::Rename(from, to) => {
                hive.rename_table(&from, &to)?;
                existing.insert(to);
            }
            Repair::Drop(helper) => hive.drop_table(&helper, true)?,
        }
    }
    Ok(existing)
}

/// Removes the folder of a helper table that is not in the catalog: Spark refuses to create a table
/// over files. The metastore does it, wherever its warehouse is.
fn remove_folder(hive: &Hive, helper: &TableName) -> Result<(), CatalogError> {
    if !hive.has_database(helper.namespace())? {
        return Ok(());
    }
    let created = hive.create_table(&NewTable {
        table: helper.clone(),
        columns: vec![Column {
            name: "unused".to_owned(),
            data_type: "string".to_owned(),
        }],
        partition_columns: Vec::new(),
        properties: Vec::new(),
    })?;
    match created {
        true => hive.drop_table(helper, true),
        false => Ok(()),
    }
}

/// A folder of the embedded warehouse whose table does not exist: without rows it is removed, with rows
/// it gets another name, because a lost metastore leaves such folders too.
fn set_orphan_aside(workspace: &Workspace, table: &TableName, run: &str) -> io::Result<()> {
    let Some(warehouse) = own_warehouse(workspace) else {
        return Ok(());
    };
    let folder = folder(&warehouse, table);
    if !folder.exists() {
        return Ok(());
    }
    if !has_rows(&folder)? {
        return fs::remove_dir_all(&folder);
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.with_file_name(format!("{name}__orphan_{}", run.replace('-', "_")));
    fs::rename(&folder, &aside)?;
    note(&format!(
        "{} belongs to no table of the catalog; it is now {}",
        folder.display(),
        aside.display()
    ));
    Ok(())
}

/// Whether there is a file that a reader of the table would see.
fn has_rows(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let hidden =
            name.as_encoded_bytes().starts_with(b"_") || name.as_encoded_bytes().starts_with(b".");
        let is_folder = entry.file_type()?.is_dir();
        if !hidden && (!is_folder || has_rows(&entry.path())?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove_of(workspace: &Workspace, table: &TableName) -> io::Result<()> {
    let Some(warehouse) = own_warehouse(workspace) else {
        return Ok(());
    };
    match remove_below(&folder(&warehouse, table)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Where Spark puts the table: tables of `default` are at the top, the others in `<database>.db`.
fn folder(warehouse: &Path, table: &TableName) -> PathBuf {
    let name = table.name().to_lowercase();
    match table.namespace().to_lowercase().as_str() {
        "default" => warehouse.join(name),
        database => warehouse.join(format!("{database}.db")).join(name),
    }
}

fn remove_below(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if UNFINISHED.iter().any(|start| name.starts_with(start)) {
            fs::remove_dir_all(entry.path())?;
        } else if name.contains('=') && entry.file_type()?.is_dir() {
            remove_below(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unfinished_writes_go() {
        let warehouse = tempfile::tempdir().unwrap();
        let table = "Lake.Visits".parse().unwrap();
        let folder = folder(warehouse.path(), &table);
        for name in [
            ".spark-staging-0b1c/_temporary/0",
            "_temporary/0",
            ".hive-staging_hive_1",
            "ds=2026-01-01/_temporary/0",
        ] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join("_SUCCESS"), "").unwrap();
        remove_below(&folder).unwrap();
        let left = fs::read_dir(warehouse.path().join("lake.db/visits")).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["_SUCCESS", "ds=2026-01-01"]);
        assert!(!folder.join("ds=2026-01-01/_temporary").exists());
        assert!(!has_rows(&folder).unwrap());
        fs::write(folder.join("ds=2026-01-01/part-0"), "x").unwrap();
        assert!(has_rows(&folder).unwrap());
    }

    #[test]
    fn tables_of_the_default_database_are_at_the_top() {
        let folder = folder(Path::new("/w"), &"default.visits".parse().unwrap());
        assert_eq!(folder, Path::new("/w/visits"));
    }
}
