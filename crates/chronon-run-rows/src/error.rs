//! Why rows cannot be read or written.

use std::{io, path::PathBuf};

/// Why rows cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// A folder or file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not a complete Parquet file.
    #[error("{path} is not a complete Parquet file ({why})")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file has another type than the table.
    #[error(
        "column `{column}` is {wanted} in the catalog but {found} in {path}: Spark cannot read it either"
    )]
    OtherType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The table's type.
        wanted: String,
        /// The file's type.
        found: String,
    },
    /// A date or instant that was, or may have been, written in another calendar.
    #[error(
        "column `{column}` in {path} has days before 1582 or instants before 1900 in the calendar of Spark 2 or Hive, which only Spark reads: ask with `query` or `--where true`"
    )]
    OldCalendar {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// There is no such column.
    #[error("there is no column `{name}`{}; the columns are {}",
        .nearest.as_ref().map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default(), .known.join(", "))]
    NoColumn {
        /// What was asked for.
        name: String,
        /// The nearest name.
        nearest: Option<String>,
        /// All names.
        known: Vec<String>,
    },
    /// The value of a partition column is not one of its type.
    #[error("the partition value `{value}` of column `{column}` is no {wanted}")]
    BadPartition {
        /// The column.
        column: String,
        /// Its type.
        wanted: String,
        /// The value.
        value: String,
    },
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// The rows cannot be written as Parquet.
    #[error("cannot write Parquet: {0}")]
    Parquet(String),
}
