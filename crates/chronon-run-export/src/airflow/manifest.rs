//! What the Python files read. Every field is an argument of a DAG or of a task.

use std::collections::BTreeMap;

use chronon_run_core::Ds;
use serde::Serialize;
use serde_json::Value;

/// The file.
#[derive(Serialize, Debug)]
pub(super) struct Manifest {
    /// IANA time zone in which a day closes and schedules are read.
    pub(super) timezone: String,
    /// Seconds between two looks of a sensor.
    pub(super) poke_interval: u64,
    /// Seconds after which a sensor fails.
    pub(super) sensor_timeout: u64,
    /// Seconds until a task that found its tables locked tries again.
    pub(super) locked_poke_interval: u64,
    /// The whole of teams.json, for the user's operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) teams: Option<Value>,
    /// DAGs by kind.
    pub(super) dags: BTreeMap<DagKind, Vec<Dag>>,
}

impl Manifest {
    /// Indented JSON with a newline at its end.
    pub(super) fn to_json(&self) -> String {
        // Every key is a text and nothing else can fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// The kinds of DAG.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "snake_case")]
pub(super) enum DagKind {
    Batch,
    Streaming,
    StagingQuery,
    Join,
    LabelJoin,
    Stats,
    LogFlattening,
    Consistency,
    MetadataUpload,
}

impl DagKind {
    pub(super) const ALL: [Self; 9] = [
        Self::Batch,
        Self::Streaming,
        Self::StagingQuery,
        Self::Join,
        Self::LabelJoin,
        Self::Stats,
        Self::LogFlattening,
        Self::Consistency,
        Self::MetadataUpload,
    ];

    /// The word for it in the manifest and in file names.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Streaming => "streaming",
            Self::StagingQuery => "staging_query",
            Self::Join => "join",
            Self::LabelJoin => "label_join",
            Self::Stats => "stats",
            Self::LogFlattening => "log_flattening",
            Self::Consistency => "consistency",
            Self::MetadataUpload => "metadata_upload",
        }
    }

    /// A sentence on it.
    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Batch => {
                "Chronon's batch DAGs, one for each team: backfills of GroupBys, uploads, KV loads."
            }
            Self::Streaming => {
                "Chronon's streaming DAGs, one for each team: keep the apps of online GroupBys alive."
            }
            Self::StagingQuery => "Chronon's staging query DAGs, one for each team.",
            Self::Join => "Chronon's join DAGs, one for each join that has a schedule.",
            Self::LabelJoin => "Label join DAGs, one for each join with labels.",
            Self::Stats => "Chronon's statistics DAG: daily statistics of every join.",
            Self::LogFlattening => {
                "Chronon's log flattening DAGs, one for each team: logged features as tables."
            }
            Self::Consistency => {
                "Chronon's online/offline comparison DAGs, one for each join that asks for it."
            }
            Self::MetadataUpload => "Chronon's metadata upload DAG: publishes the compiled confs.",
        }
    }
}

/// One DAG.
#[derive(Serialize, PartialEq, Debug)]
pub(super) struct Dag {
    pub(super) dag_id: String,
    pub(super) description: String,
    pub(super) schedule: When,
    pub(super) start_date: Ds,
    pub(super) max_active_runs: u32,
    pub(super) max_active_tasks: u32,
    /// Seconds.
    pub(super) dagrun_timeout: u64,
    pub(super) tags: Vec<String>,
    /// Each after those that it names in `after`.
    pub(super) tasks: Vec<Task>,
}

/// When a DAG runs.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
#[serde(untagged)]
pub(super) enum When {
    /// A word of Airflow, or five fields of cron.
    Cron(String),
    /// Every so many seconds.
    Every(u64),
}

/// One task, and the sensor before it.
#[derive(Serialize, PartialEq, Debug)]
pub(super) struct Task {
    pub(super) task_id: String,
    /// The command line; `{ds}` stands for the day.
    pub(super) argv: Vec<String>,
    /// The command line that tells whether its inputs are there.
    pub(super) ready: Option<Vec<String>>,
    /// The sensor that asks, if the task before it does not say enough.
    pub(super) sensor_id: Option<String>,
    /// Whether a day is skipped if a newer one is ready.
    pub(super) newest: bool,
    /// Tasks of the same DAG that must have succeeded.
    pub(super) after: Vec<String>,
    pub(super) args: TaskArgs,
    /// The whole conf, for the user's operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conf: Option<Value>,
}

/// Arguments of every operator.
#[derive(Serialize, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct TaskArgs {
    pub(super) owner: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) emails: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pool: Option<String>,
    pub(super) retries: u32,
    /// Seconds.
    pub(super) retry_delay: u64,
}
