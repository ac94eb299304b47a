//! With which conf each table was filled last. Kept beside the ledger, a file for each table, because
//! neither the warehouse nor the Driver says what has been edited since (§5.5). Only ever a hint:
//! writing one down never fails a run.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use chronon_run_core::{AssetId, CatalogSnapshot, TableName};
use chronon_run_plan::Asset;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{loading::project::Project, program::now_millis};

/// The property in which the Driver keeps what it compares (§5.5).
pub const SEMANTIC_HASH: &str = "semantic_hash";

/// What is known of a table that was filled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Filled {
    /// Who filled it.
    pub asset: AssetId,
    /// When, in milliseconds since the epoch.
    pub at: i64,
    /// The compiled conf, as it was then.
    pub conf: Value,
    /// The table's [`SEMANTIC_HASH`] afterwards.
    pub semantic_hash: Option<String>,
}

/// The records of a workspace.
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// The records in the state folder of `context`.
    pub fn of(context: &Project) -> Self {
        Self {
            folder: context.history_dir().join("filled"),
        }
    }

    /// The record of a table, if there is one that can be read.
    pub fn get(&self, table: &TableName) -> Option<Filled> {
        let text = fs::read(self.path(table)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Every record.
    pub fn all(&self) -> BTreeMap<TableName, Filled> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let tables = names.filter_map(|name| name.strip_suffix(".json")?.parse().ok());
        tables
            .filter_map(|table: TableName| Some((table.clone(), self.get(&table)?)))
            .collect()
    }

    /// Writes down that a step of `asset` has filled its tables with the conf as it is now.
    pub fn note(&self, context: &Project, asset: &Asset, snapshot: &CatalogSnapshot) {
        let Some(conf) = conf_of(context, &asset.id) else {
            return;
        };
        let side = asset.also_writes.iter().map(|side| &side.table);
        for table in side.chain([&asset.table]) {
            let state = snapshot.table(table);
            let hash = state.and_then(|state| state.info.properties.get(SEMANTIC_HASH));
            let filled = Filled {
                asset: asset.id.clone(),
                at: now_millis(),
                conf: conf.clone(),
                semantic_hash: hash.cloned(),
            };
            // Without the record an edit is only noticed later, or not.
            let _ = write(&self.folder, &self.path(table), &filled);
        }
    }

    fn path(&self, table: &TableName) -> PathBuf {
        self.folder.join(format!("{table}.json"))
    }
}

fn write(folder: &Path, path: &Path, filled: &Filled) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    chronon_run_process::replace(path, serde_json::to_vec(filled)?)
}

/// The compiled conf of an asset as a tree.
pub fn conf_of(context: &Project, asset: &AssetId) -> Option<Value> {
    serde_json::from_str(context.repo.text(&asset.conf)?).ok()
}
