//! Seeds: small sources that the workspace itself loads from files into Hive tables.
//!
//! [`prepare`] reads a seed's file once: it finds the columns, infers the types that were not
//! declared, and takes a fingerprint. [`Prepared::state`] compares that with the table in the
//! catalog, and [`script`] is one SQL script for all seeds that have to be loaded, so that they
//! cost one Spark start together.
//!
//! Safety: a table that was not made from a seed is never touched ([`State::Foreign`]). A table
//! that is being loaded says so in its properties, so that a load that was cut off is repeated.

mod changed;
mod infer;
mod read;
mod rows;
mod script;

use std::{collections::BTreeMap, path::PathBuf};

use chronon_run_core::{Column, Ds, PartitionFormat, RangeSet, TableInfo, TableName};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use changed::Loaded;
pub use read::prepare;
pub use script::script;

/// The table property that holds the fingerprint of what was loaded.
pub const PROPERTY: &str = "chronon_run.seed";
/// Its value while the table is being loaded.
pub(crate) const LOADING: &str = "loading";

/// The directory value of Hive for a NULL.
pub(crate) const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// One seed as workspace.toml has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Seed {
    /// The table to fill.
    pub table: TableName,
    /// The file, absolute.
    #[serde(skip)]
    pub path: PathBuf,
    /// What kind of file it is.
    pub format: Format,
    /// Declared Hive types by column; the types of other columns are inferred.
    pub columns: IndexMap<String, String>,
    /// Partition columns, in order. A column that the file does not have is an error, except the
    /// sole default `ds`, see [`Partitioning::DsIfPresent`].
    pub partition_by: Partitioning,
    /// What stands for NULL in a CSV file, besides an unquoted empty field.
    pub null: Option<String>,
    /// Partitions to register although the file has no rows for them: `2026-01-23`, or
    /// `ds=2026-01-23/hr=10` where there are several partition columns.
    pub empty_partitions: Vec<String>,
    /// Further options for Spark's reader; they win over those that this module chooses.
    pub options: IndexMap<String, String>,
}

/// How the table is partitioned.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub enum Partitioning {
    /// By `ds` if the file has such a column, else not at all. A Parquet file without declared
    /// columns is taken to have it.
    #[default]
    DsIfPresent,
    /// By these columns; none for an unpartitioned table.
    By(Vec<String>),
}

/// What kind of file a seed is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// RFC 4180 with a header line.
    Csv,
    /// One JSON object per line.
    Json,
    /// A Parquet file or a directory of them.
    Parquet,
}

impl Format {
    /// By the ending of the file's name.
    #[must_use]
    pub fn of(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// A seed whose file was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared {
    pub(crate) seed: Seed,
    /// Every column of the file in its order, with its type; empty where only Spark can tell.
    pub(crate) file_columns: Vec<Column>,
    pub(crate) partition_by: Vec<String>,
    pub(crate) fingerprint: String,
    /// The partitions to load; all, if there is no such list.
    pub(crate) changes: Option<changed::Changes>,
    /// Values of the partition columns → a digest of the rows.
    pub(crate) digests: BTreeMap<Vec<String>, String>,
    /// Values of the partition columns → file and line of the first row.
    pub(crate) first_rows: BTreeMap<Vec<String>, (PathBuf, u64)>,
}

/// What the catalog has of a seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No such table.
    Missing,
    /// The table was loaded from an older file or configuration, or not to the end.
    Stale,
    /// Nothing to do.
    Loaded,
    /// There is a table of this name that no seed made. It must not be touched.
    Foreign,
}

impl Prepared {
    /// The table.
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.seed.table
    }

    /// SHA-256 over the file and everything in the configuration that changes the table.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Every column of the file, with its type; empty where only Spark can tell.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.file_columns
    }

    /// The partition columns that the table has.
    #[must_use]
    pub fn partition_by(&self) -> &[String] {
        &self.partition_by
    }

    /// The days of the table along one of its partition columns once the files are loaded, with
    /// declared empty partitions. Those of a Parquet seed are only known once it is loaded.
    #[must_use]
    pub fn days(&self, column: &str) -> RangeSet {
        let Some(at) = self.partition_by.iter().position(|name| name == column) else {
            return RangeSet::new();
        };
        let filled = self.digests.keys().filter_map(|values| values.get(at));
        let empty = self.seed.empty_partitions.iter();
        let empty = empty.filter_map(|partition| {
            let piece = partition.split('/').nth(at)?;
            Some(piece.split_once('=').map_or(piece, |(_, value)| value))
        });
        let days = filled.map(String::as_str).chain(empty);
        days.filter_map(|value| value.parse::<Ds>().ok()).collect()
    }

    /// The values of the partition columns of every partition that the table has once the files are loaded,
    /// declared empty partitions included. Those of a Parquet seed are only known once it is loaded.
    #[must_use]
    pub fn partitions(&self) -> Vec<Vec<String>> {
        let empty = self.seed.empty_partitions.iter().map(|partition| {
            let value = |piece: &str| match piece.split_once('=') {
                Some((_, value)) => value.to_owned(),
                None => piece.to_owned(),
            };
            partition.split('/').map(value).collect()
        });
        self.digests.keys().cloned().chain(empty).collect()
    }

    /// A digest of the rows of each day, written in `format`, along one partition column. Days without
    /// rows are not there.
    #[must_use]
    pub fn day_digests(&self, column: &str, format: &PartitionFormat) -> BTreeMap<Ds, String> {
        let mut days: BTreeMap<Ds, String> = BTreeMap::new();
        let Some(at) = self.partition_by.iter().position(|name| name == column) else {
            return days;
        };
        for (values, digest) in &self.digests {
            if let Some(time) = values.get(at).and_then(|value| format.read(value)) {
                let all = days.entry(time.ds).or_default();
                // Which of the day's partitions counts, too.
                for text in values.iter().chain([digest]) {
                    all.push_str(text);
                    all.push('/');
                }
            }
        }
        days
    }

    /// The first row whose value of a partition column is no day, as `is_day` tells.
    #[must_use]
    pub fn no_day(
        &self,
        column: &str,
        is_day: &dyn Fn(&str) -> bool,
    ) -> Option<(&std::path::Path, u64, &str)> {
        let at = self.partition_by.iter().position(|name| name == column)?;
        let rows = self.first_rows.iter();
        let rows = rows.filter_map(|(values, (path, line))| {
            let value = values.get(at)?.as_str();
            (!is_day(value)).then_some((path.as_path(), *line, value))
        });
        rows.min()
    }

    /// Whether a row's value of a partition column is a day, as `is_day` tells.
    #[must_use]
    pub fn has_day(&self, column: &str, is_day: &dyn Fn(&str) -> bool) -> bool {
        let at = self.partition_by.iter().position(|name| name == column);
        let mut rows = self.first_rows.keys();
        rows.any(|values| {
            let value = at.and_then(|at| values.get(at));
            value.is_some_and(|value| is_day(value))
        })
    }

    /// Whether any file has a row; unknown, so false, of Parquet.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        !self.digests.is_empty()
    }

    /// Whether it has to be loaded, given the table in the catalog.
    #[must_use]
    pub fn state(&self, existing: Option<&TableInfo>) -> State {
        let Some(table) = existing else {
            return State::Missing;
        };
        match table.properties.get(PROPERTY) {
            None => State::Foreign,
            Some(loaded) if *loaded == self.fingerprint => State::Loaded,
            Some(_) => State::Stale,
        }
    }
}

/// Why a seed cannot be loaded.
#[derive(Debug, thiserror::Error)]
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
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Unreadable { path, .. }
            | Self::BadName { path, .. }
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
