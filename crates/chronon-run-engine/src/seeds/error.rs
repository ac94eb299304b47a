//! Why a seed cannot be loaded.

use std::path::{Path, PathBuf};

use chronon_run_core::TableName;

/// Why a seed cannot be loaded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be read.
    #[error("cannot read {path} for seed {table}: {why}")]
    Unreadable {
        /// The table.
        table: TableName,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file's name is one that Spark would not read.
    #[error("Spark cannot read {path} for seed {table}: {why}; rename the file")]
    BadName {
        /// The table.
        table: TableName,
        /// The file.
        path: PathBuf,
        /// What is wrong with the name.
        why: &'static str,
    },
    /// A file in the seed's folder is not one of its data.
    #[error("{path} is in the folder of seed {table} and is {why}; Spark would load it")]
    Stray {
        /// The table.
        table: TableName,
        /// The file.
        path: PathBuf,
        /// What it is.
        why: &'static str,
    },
    /// A line cannot be understood.
    #[error("{path}:{line}: {why} (seed {table})")]
    Malformed {
        /// The table.
        table: TableName,
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        why: String,
    },
    /// A column that the configuration names is not in the file.
    #[error("{path} has no column `{column}`, which {key} of seed {table} names; it has {}", known.join(", "))]
    NoColumn {
        /// The table.
        table: TableName,
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The key that names it.
        key: &'static str,
        /// The columns of the file.
        known: Vec<String>,
    },
    /// A value of the configuration makes no sense.
    #[error("`{value}` in {key} of seed {table} {why}")]
    BadValue {
        /// The table.
        table: TableName,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl SeedError {
    /// The file that is wrong, or whose configuration is.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unreadable { path, .. }
            | Self::BadName { path, .. }
            | Self::Stray { path, .. }
            | Self::Malformed { path, .. }
            | Self::NoColumn { path, .. } => Some(path),
            Self::BadValue { .. } => None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn cure(&self) -> String {
        match self {
            Self::Unreadable { table, .. } => {
                format!("correct `path` of `[seeds.\"{table}\"]` in workspace.toml, or the file")
            }
            Self::BadName { .. } => "rename the file, and `path` in workspace.toml".to_owned(),
            Self::Stray { table, .. } => format!(
                "delete the file, move it elsewhere, or name one file as `path` of `[seeds.\"{table}\"]` in workspace.toml"
            ),
            Self::Malformed { why, .. } if why.contains("UTF-8") => {
                "save the file as UTF-8".to_owned()
            }
            Self::Malformed { .. } => "correct this line of the file".to_owned(),
            Self::NoColumn { table, key, .. } => format!(
                "add the column to the header line, or correct {key} of `[seeds.\"{table}\"]` in workspace.toml"
            ),
            Self::BadValue { table, .. } => {
                format!("correct `[seeds.\"{table}\"]` in workspace.toml")
            }
        }
    }
}
