//! Airflow DAGs: one Python file for each kind of DAG, and a JSON manifest that they read (§7.1).
//!
//! The Python files are the same for every workspace; all that is the workspace's own is in the
//! manifest. Same input, same bytes.

mod cadence;
mod dags;
mod input;
mod manifest;
mod names;
mod python;

use std::collections::BTreeMap;

pub use dags::AirflowError;
pub use input::{AirflowExport, OwnOperators};
pub use python::AirflowMajor;

/// The manifest's file name.
const MANIFEST: &str = "chronon_run.json";
/// The file name of the user's own operators.
const OPERATORS: &str = "chronon_operators.py";

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
