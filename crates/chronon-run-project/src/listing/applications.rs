//! What the jobs of this workspace start on a cluster, and how it ends: never only the child.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    time::Duration,
};

use chronon_run_engine::cluster::{Cluster, Programs, application_id};
use chronon_run_ledger::AttemptRecord;
use chronon_run_spark::{Spark, command::launcher_env};
use chronon_run_workspace::Workspace;

use crate::{failure::Failure, loading::spark::spark_environment};

/// How long an application may take to end, beyond the grace period of its child.
const PATIENCE: Duration = Duration::from_secs(30);

/// The applications of the workspace's jobs.
pub struct Applications {
    /// None for a local master: the child is all there is.
    cluster: Option<Cluster>,
    patience: Duration,
}

impl Applications {
    /// Knows whom to ask; `spark` is needed by Kubernetes only.
    pub fn of(workspace: &Workspace, spark: Option<&Spark>) -> Result<Self, Failure> {
        let engine = &workspace.engine;
        let programs = Programs {
            spark_submit: spark.map(|spark| spark.submit()),
            yarn: spark_environment(Some(workspace)).on_path("yarn"),
            env: spark.map(launcher_env).unwrap_or_default(),
        };
        let user = env::var("USER").ok();
        let cluster = Cluster::of(
            &engine.master,
            engine.cluster_url.as_deref(),
            &programs,
            user.as_deref(),
        );
        Ok(Self {
            cluster: cluster.map_err(Failure::setup)?,
            patience: workspace.run.grace + PATIENCE,
        })
    }

    /// Whether jobs start anything beyond their own process.
    pub fn elsewhere(&self) -> bool {
        self.cluster.is_some()
    }

    /// The application that this line of a job's log names.
    pub fn named(&self, line: &str) -> Option<String> {
        self.cluster.as_ref()?;
        application_id(line).map(str::to_owned)
    }

    /// Ends the application of the job that wrote this log, and waits until it has ended.
    ///
    /// The error says why it may still write. A log that names none is that of a job that never
    /// came so far, or whose driver was the child itself.
    pub fn end(&self, log: &Path) -> Result<(), String> {
        self.end_named(None, log)
    }

    /// The same for an attempt of a run that died.
    pub fn end_abandoned(&self, attempt: &AttemptRecord) -> Result<(), String> {
        self.end_named(attempt.application.as_deref(), &attempt.log)
    }

    fn end_named(&self, known: Option<&str>, log: &Path) -> Result<(), String> {
        let Some(cluster) = &self.cluster else {
            return Ok(());
        };
        let found = known.map(str::to_owned).or_else(|| first_named(log));
        let Some(id) = found else {
            return Ok(());
        };
        let ended = cluster.end(&id, self.patience);
        ended
            .map(|_| ())
            .map_err(|error| format!("application {id} may still write: {error}"))
    }
}

/// Jobs name their application early: more of a log is not read.
fn first_named(log: &Path) -> Option<String> {
    const LINES: usize = 100_000;
    let file = fs::File::open(log).ok()?;
    let lines = BufReader::new(file).split(b'\n').take(LINES);
    lines
        .map_while(Result::ok)
        .find_map(|line| application_id(&String::from_utf8_lossy(&line)).map(str::to_owned))
}
