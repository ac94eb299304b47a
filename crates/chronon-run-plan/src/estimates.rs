//! What the steps of a plan are expected to take and to read.

use std::collections::BTreeSet;

use chronon_run_core::{TableName, event::StepIndex};
use serde::{Deserialize, Serialize};

/// What is expected of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Estimates {
    /// Of all steps of which a duration is known, one after another.
    pub total: Option<Millis>,
    /// Steps of which no duration is known.
    pub unknown_steps: u64,
    /// Bytes that all steps read, one after another; `None` if no size is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads_bytes: Option<u64>,
    /// Each step.
    pub steps: Vec<StepEstimate>,
}

/// What is expected of a step.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StepEstimate {
    /// The step.
    pub step: StepIndex,
    /// How many earlier steps of the asset it is expected by.
    pub runs_seen: u64,
    /// How long it takes; `None` if no earlier step of the asset is known.
    #[serde(flatten)]
    pub expected: Option<Millis>,
    /// What it reads; `None` if no size is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Reads>,
}

/// An expected wall time and its spread, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Millis {
    /// By the middle one of the last steps.
    pub median_millis: u64,
    /// By the fastest.
    pub least_millis: u64,
    /// By the slowest.
    pub most_millis: u64,
}

/// The size of the input partitions of a step, as they are stored: Spark reads less of them where a query
/// needs few columns.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reads {
    /// Bytes of all input days; a day of unknown size counts as the mean of the known days of its table.
    pub bytes: u64,
    /// Days of all inputs but the unknown ones.
    pub input_days: u64,
    /// Those whose size is known.
    pub known_days: u64,
    /// Inputs of which no day's size is known; they are not counted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unknown: BTreeSet<TableName>,
}
