//! A streaming app, and how it is.

use std::{path::PathBuf, time::Duration};

use chronon_run_core::AssetId;
use chronon_run_engine::streaming::Progress;
use chronon_run_plan::AssetIndex;
use serde::Serialize;

/// One app that is to be kept alive.
#[derive(Clone, Debug)]
pub struct App {
    /// `group_by/<name>/streaming`.
    pub asset: AssetId,
    pub(super) index: AssetIndex,
    /// Its `APP_NAME`.
    pub name: String,
}

/// How an app is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// One of its name runs.
    Running,
    /// One runs, and has made no progress for `stalled_after`.
    Stalled,
    /// A process lives, but its query is over; the next `stream` ends it.
    Over,
    /// One runs that was started with another conf, jar, class or settings than today's.
    Outdated,
    /// Its launcher lives, and the cluster does not list it yet.
    Starting,
    /// Its launcher has lived for `settle`, and the cluster does not list it.
    Unlisted,
    /// Several of its name run.
    Twice,
    /// None runs; the next `stream` starts it.
    Absent,
    /// None runs, and none is started before its first upload.
    NotUploaded,
    /// None runs; the last start died soon, and it is too early for the next.
    BackingOff,
    /// None runs, and too many starts died soon.
    GivenUp,
}

/// One app and how it is.
#[derive(Clone, Debug, Serialize)]
pub struct AppStatus {
    /// `group_by/<name>/streaming`.
    pub asset: AssetId,
    /// Its `APP_NAME`.
    pub app_name: String,
    /// How it is.
    pub health: Health,
    /// Who runs, e.g. `process 123` or `application_1769860800000_0001`.
    pub running: Vec<String>,
    /// When it was last started here, in milliseconds since the epoch.
    #[serde(serialize_with = "chronon_run_core::instant::seconds")]
    pub started: Option<i64>,
    /// Starts in a row that died soon.
    pub failures: u32,
    /// When the next start may be made, in milliseconds since the epoch, if not at once.
    #[serde(serialize_with = "chronon_run_core::instant::seconds")]
    pub next_try: Option<i64>,
    /// The output of the last start.
    pub log: Option<PathBuf>,
    /// Why the last start died, or its query is over, in one line.
    pub message: Option<String>,
    /// The last sign of life in its log, in milliseconds since the epoch.
    #[serde(serialize_with = "chronon_run_core::instant::seconds")]
    pub alive_at: Option<i64>,
    /// The last progress with rows, in milliseconds since the epoch.
    #[serde(serialize_with = "chronon_run_core::instant::seconds")]
    pub rows_at: Option<i64>,
    /// The last progress that its log reports.
    pub progress: Option<Progress>,
    /// Since when it has made no progress, if it is stalled.
    #[serde(serialize_with = "chronon_run_core::instant::seconds")]
    pub stalled_since: Option<i64>,
    /// What is another today than when it was started.
    pub outdated: Vec<String>,
    /// Whether an outdated app waits for the load of an upload with today's conf.
    pub restart_waits: bool,
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
