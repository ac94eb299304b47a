//! Rows of Parquet files, read and shown as Spark reads and shows them.
//!
//! - [`Schema`] is the columns of a table with Spark's types, from Hive's type names or from the JSON
//!   that Spark keeps beside them;
//! - [`Scan`] reads the files of some partitions as [`Value`]s, with projection and limit;
//! - [`Writer`] writes rows as a table for the width of the screen, as JSON, CSV or Parquet;
//! - [`Profile`] summarises every column in one pass; [`ColumnDays`] compares those of several days.
//!
//! Invariant: a value is shown as Spark shows it, or not at all: a file whose types Spark could not
//! read as the table's is an error, never a guess. Nothing here knows where tables come from, asks a
//! catalog, or writes anywhere but to the writer that it is given.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

mod arrays;
mod calendar;
mod checks;
mod convert;
mod error;
mod figures;
mod files;
mod guarded;
mod number;
mod partition;
mod profile;
mod scan;
mod screen;
mod text;
mod time;
mod types;
mod value;
mod write;

pub use checks::{ChecksError, Rules, Violation, percent, ratio};
pub use error::RowsError;
pub use figures::{ColumnDays, ColumnFigures, FirstRows};
pub use files::{Listing, list_files};
pub use profile::{ColumnProfile, Histogram, MOST_DISTINCT, Profile};
pub use scan::{Part, Scan};
pub use types::{Column, Field, Schema, SparkType, TypeError};
pub use value::Value;
pub use write::{Form, Summary, Writer};

/// A value as text, as Spark casts it: `NULL` for none.
#[must_use]
pub fn text_of(value: &Value) -> String {
    text::plain(value)
}

/// The known name that is nearest to one that is not known, if any is near.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&name.to_lowercase(), &word), name))
        .filter(|(near, _)| *near >= 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
