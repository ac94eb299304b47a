//! What a killed Spark job leaves in the folder of its table: files that it had written and not yet
//! moved into place. No reader sees them, and no later job takes them away.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use chronon_run_core::TableName;
use chronon_run_plan::Plan;
use chronon_run_workspace::Workspace;

use crate::{context::Context, output::note, warehouse::own_warehouse};

/// How the folders of unfinished writes begin: of Spark's committer, of its dynamic overwrite, and
/// of Hive's.
const UNFINISHED: [&str; 3] = ["_temporary", ".spark-staging", ".hive-staging"];

/// Removes unfinished writes from the tables that `plan` fills. The caller holds their locks, and
/// has ended what was left of earlier runs: nobody writes them now.
///
/// Only below the embedded metastore: in a warehouse of the user's, others may be writing.
/// What cannot be removed is said, and is in nobody's way.
pub(crate) fn remove(context: &Context, plan: &Plan) {
    for step in &plan.steps {
        let index = context.graph.find(&step.asset);
        let Some(table) = index.map(|index| &context.graph.assets[index].table) else {
            continue;
        };
        if let Err(error) = remove_of(&context.workspace, table) {
            note(&format!(
                "cannot remove what a killed job left of {table}: {error}"
            ));
        }
    }
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
            "ds=2026-01-01",
        ] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join("_SUCCESS"), "").unwrap();
        remove_below(&folder).unwrap();
        let left = fs::read_dir(warehouse.path().join("lake.db/visits")).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["_SUCCESS", "ds=2026-01-01"]);
    }

    #[test]
    fn tables_of_the_default_database_are_at_the_top() {
        let folder = folder(Path::new("/w"), &"default.visits".parse().unwrap());
        assert_eq!(folder, Path::new("/w/visits"));
    }
}
