//! What a run of the Driver is given besides its arguments, and why it fails.

use std::collections::BTreeMap;

use chronon_run_core::{Ds, RangeSet, TableName};
use serde::{Deserialize, Serialize};

use super::unfilled::InvalidRange;

/// What partitions alone do not show.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Days whose partition exists but has no rows, by table.
    pub empty: BTreeMap<TableName, RangeSet>,
    /// First and last day that the rows' `ts` falls on, as offsets from the partition's day, for
    /// partitions where that is not the day itself: late rows are negative, early ones positive.
    pub ts_days: BTreeMap<TableName, BTreeMap<Ds, (i32, i32)>>,
    /// The rows of left tables, by partition. Where they are known, joins over them write values too,
    /// and `ts_days` of that table is not looked at.
    pub left_rows: BTreeMap<TableName, BTreeMap<Ds, Vec<LeftRow>>>,
    /// Whether the left side is too large for the Driver's small mode, which fills the gaps of a part
    /// table in one piece.
    pub large: bool,
}

/// A failure: the exit code is always 1, the message goes to the log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(pub(super) String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl From<InvalidRange> for Failure {
    fn from(error: InvalidRange) -> Self {
        Self(error.to_string())
    }
}

/// A left row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeftRow {
    /// Its name.
    pub id: String,
    /// The key of every part.
    pub key: String,
    /// The day of its time.
    pub time: Ds,
}
