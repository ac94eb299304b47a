//! What the DAGs are made from.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chronon_run_conf::Teams;
use chronon_run_core::AssetId;
use chronon_run_plan::Graph;
use chronon_run_workspace::Airflow;
use serde_json::Value;

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
