//! Airflow DAGs: one Python file for each kind of DAG, and a JSON manifest that they read (§7.1).
//!
//! The Python files are the same for every workspace; all that is the workspace's own is in the
//! manifest. Same input, same bytes.

mod cadence;
mod dags;
mod manifest;
mod names;
mod python;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chronon_run_conf::Teams;
use chronon_run_core::AssetId;
use chronon_run_plan::Graph;
use chronon_run_workspace::Airflow;
use serde_json::Value;

pub use dags::AirflowError;
pub use python::AirflowMajor;

/// The manifest's file name.
const MANIFEST: &str = "chronon_run.json";
/// The file name of the user's own operators.
const OPERATORS: &str = "chronon_operators.py";

/// What the DAGs are made from.
#[derive(Clone, Copy, Debug)]
pub struct AirflowExport<'a> {
    /// The assets.
    pub graph: &'a Graph,
    /// Assets that get no task.
    pub left_out: &'a BTreeSet<AssetId>,
    /// Owners, queues, e-mails and start dates (§1.6).
    pub teams: &'a Teams,
    /// `[airflow]` of workspace.toml.
    pub settings: &'a Airflow,
    /// IANA time zone in which a day closes.
    pub timezone: &'a str,
    /// Names of time-based partition columns, left out of task ids.
    pub time_parts: &'a [String],
    /// Where the workers find the folder of workspace.toml.
    pub workspace: &'a Path,
    /// The user's file that may define `get_kv_store_upload_operator`.
    pub operators: Option<&'a OwnOperators>,
}

/// A user's file of operators, and what its functions are called with.
#[derive(Clone, PartialEq, Debug)]
pub struct OwnOperators {
    /// The text of the file.
    pub source: String,
    /// The whole of teams.json.
    pub teams: Value,
    /// The whole conf of every online GroupBy, by name.
    pub confs: BTreeMap<String, Value>,
}

impl AirflowExport<'_> {
    /// Every file to be written, by name.
    ///
    /// # Errors
    /// If two DAGs or two tasks of a DAG would have one id, or an id is longer than Airflow's 250
    /// characters.
    pub fn files(&self, major: AirflowMajor) -> Result<BTreeMap<String, String>, AirflowError> {
        let manifest = dags::manifest(self)?;
        let mut files: BTreeMap<String, String> = python::files(major);
        files.insert(MANIFEST.to_owned(), manifest.to_json());
        if let Some(operators) = self.operators {
            files.insert(OPERATORS.to_owned(), operators.source.clone());
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests;
