//! A seed as workspace.toml has it.

use std::path::{Path, PathBuf};

use chronon_run_core::TableName;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

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
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}
