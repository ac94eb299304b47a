//! Builds the class-data archives that let JVMs start fast: at `engine install`, or in the
//! background of the first run that has none.
//!
//! The builder in the background is a copy of the program that gives itself the lowest priority. It
//! carries the mark of the run's watchdog, so it does not outlive a run that was killed. A run that ends does not wait for it: most runs are shorter than what the builder needs
//! beside them, and ended with them it would never get done. So it goes on alone for at most
//! `BACKGROUND_LIMIT`, and an interrupted run ends it. Whatever goes wrong, jobs only start more slowly.

use std::{
    io,
    num::NonZero,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use chronon_run_catalog::embedded::{Embedded, EmbeddedError};
use chronon_run_core::CommandLine;
use chronon_run_process::{Detached, Exit, Helper, HelperError, Watchdog};
use chronon_run_spark::{
    self as spark, Phase, Progress, Spark,
    archive::Archive,
    recording::{Recorder, Recording},
};

use crate::{
    failure::Failure,
    loading::{here::workspace, spark::spark_environment},
    program::{BUILD_ARCHIVES, own_program},
};

/// How long `engine install` may take to build both archives; on an idle machine it takes half a minute.
const LIMIT: Duration = Duration::from_secs(300);
/// How long the builder in the background may take: it gets only what a busy machine has left.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(1_800);
/// Between two looks at something that takes seconds.
const POLL: Duration = Duration::from_millis(50);
/// What an interrupted run gives its builder.
const GRACE: Duration = Duration::from_secs(1);

/// What an archive is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Spark SQL jobs.
    Sql,
    /// The embedded metastore.
    Metastore,
}

impl Purpose {
    const ALL: [Self; 2] = [Self::Sql, Self::Metastore];

    /// Part of the archive's file name.
    fn name(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Metastore => "metastore",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Sql => "the class-data archive of Spark SQL",
            Self::Metastore => "the class-data archive of the metastore",
        }
    }
}

/// Why an archive could not be built.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it took longer than {} minutes; the machine is busy", .0.as_secs() / 60)]
    Slow(Duration),
    #[error("it was interrupted")]
    Stopped,
    #[error("the recorded job failed; its log is {0}")]
    Job(PathBuf),
    #[error("{0}")]
    Other(String),
}

/// When a build is over at the latest.
#[derive(Clone, Copy)]
struct Deadline {
    limit: Duration,
    at: Instant,
}

impl Deadline {
    fn after(limit: Duration) -> Self {
        Self {
            limit,
            at: Instant::now() + limit,
        }
    }

    fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// The archive for `purpose`, if this Java can use one and the cache can be used.
pub fn archive(purpose: Purpose, spark: &Spark) -> Option<Archive> {
    let cache = spark_environment(None).cache?;
    // Without an archive jobs only start more slowly.
    Archive::new(&cache, purpose.name(), spark).ok().flatten()
}

/// Builds what is missing, now; waits while another process builds. Problems are reported and are no
/// failure.
pub fn build(spark: &Spark, show: &mut dyn FnMut(Progress), tell: &dyn Fn(&str)) {
    if missing(spark).is_empty() {
        return;
    }
    let deadline = Deadline::after(LIMIT);
    let lock = patient_lock(deadline, || show(progress(Purpose::Sql, Phase::Waiting)));
    match lock {
        Ok(_lock) => build_missing(
            spark,
            deadline,
            &mut |purpose| show(progress(purpose, Phase::Preparing)),
            tell,
        ),
        Err(error) => tell(&format!("no class-data archive can be built: {error}")),
    }
}

/// Builds what is missing; the caller holds the lock.
fn build_missing(
    spark: &Spark,
    deadline: Deadline,
    starting: &mut dyn FnMut(Purpose),
    tell: &dyn Fn(&str),
) {
    for (purpose, archive) in missing(spark) {
        starting(purpose);
        if let Err(error) = build_one(purpose, &archive, spark, deadline) {
            match error {
                BuildError::Stopped => return,
                // A machine that is too busy now may not be the next time.
                BuildError::Slow(_) => archive.note(&error.to_string()),
                _ => archive.mark_failed(&error.to_string()),
            }
            tell(&format!(
                "{} could not be built, so jobs start more slowly: {error}",
                purpose.what()
            ));
        }
    }
}

fn progress(purpose: Purpose, phase: Phase) -> Progress {
    Progress {
        what: purpose.what(),
        phase,
        bytes: 0,
        total: 0,
    }
}

fn missing(spark: &Spark) -> Vec<(Purpose, Archive)> {
    let archives = Purpose::ALL.map(|purpose| Some((purpose, archive(purpose, spark)?)));
    let archives = archives.into_iter().flatten();
    archives
        .filter(|(_, archive)| !archive.is_ready())
        .collect()
}

fn patient_lock(deadline: Deadline, mut waiting: impl FnMut()) -> Result<Recorder, BuildError> {
    let Some(cache) = spark_environment(None).cache else {
        return Err(BuildError::Other("there is no cache directory".to_owned()));
    };
    loop {
        if let Some(lock) = Recorder::try_lock(&cache)? {
            return Ok(lock);
        }
        if deadline.left().is_zero() {
            return Err(BuildError::Slow(deadline.limit));
        }
        waiting();
        thread::sleep(POLL);
    }
}

fn build_one(
    purpose: Purpose,
    archive: &Archive,
    spark: &Spark,
    deadline: Deadline,
) -> Result<(), BuildError> {
    let recording = Recording::new(archive)?;
    match purpose {
        Purpose::Sql => run_job(&recording, &archive.log(), spark, deadline)?,
        Purpose::Metastore => run_for_recording(&recording, spark, deadline)?,
    }
    Ok(recording.publish()?)
}

fn run_job(
    recording: &Recording,
    log: &Path,
    spark: &Spark,
    deadline: Deadline,
) -> Result<(), BuildError> {
    let command = recording.sql_job(spark)?;
    match Helper::new(&command).limit(deadline.left()).run(log) {
        Ok(Exit::Code(0)) => Ok(()),
        Ok(_) => Err(BuildError::Job(log.to_owned())),
        Err(HelperError::TimedOut { .. }) => Err(BuildError::Slow(deadline.limit)),
        Err(HelperError::Stopped(_)) => Err(BuildError::Stopped),
        Err(error) => Err(BuildError::Other(error.to_string())),
    }
}

fn run_for_recording(
    recording: &Recording,
    spark: &Spark,
    deadline: Deadline,
) -> Result<(), BuildError> {
    let mut java_options = spark::common_options();
    java_options.extend(recording.options());
    let embedded = Embedded {
        java: spark.java.program(),
        java_options,
        env: spark::common_env(),
        jars: spark.jars(),
        directory: recording.directory().join("metastore"),
        warehouse: recording.directory().join("warehouse"),
        idle: Duration::ZERO,
        start: deadline.left(),
    };
    embedded.run_for_recording().map_err(|error| match error {
        EmbeddedError::Slow { .. } => BuildError::Slow(deadline.limit),
        EmbeddedError::Stopped => BuildError::Stopped,
        error => BuildError::Other(error.to_string()),
    })
}

/// The builder in the background of a run.
pub struct Background(Detached);

impl Background {
    /// Starts it if an archive is missing and there is a processor to spare; `None` otherwise, and
    /// if it cannot be started.
    pub fn start(spark: &Spark, watchdog: &Watchdog) -> Option<Self> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let missing = missing(spark);
        let is_pointless = |(_, archive): &(_, Archive)| archive.failed_recently();
        if processors < 2 || missing.iter().all(is_pointless) {
            return None;
        }
        let (name, mark) = watchdog.mark();
        let program = own_program().ok()?.to_str()?.to_owned();
        let command = CommandLine {
            argv: vec![program, BUILD_ARCHIVES.to_owned()],
            env: vec![(name.to_owned(), Some(mark.to_owned()))],
            cwd: None,
        };
        Detached::start_unmarked(&command, None, None)
            .ok()
            .map(Self)
    }

    /// Ends it and what it has started.
    pub fn end(self) {
        self.0.end(GRACE);
    }
}

/// What the builder in the background does: builds what is missing unless another process does.
pub fn builder_main() -> Result<(), Failure> {
    // Without it the run's own jobs are only a little slower.
    let _ = chronon_run_process::lower_own_priority();
    let deadline = Deadline::after(BACKGROUND_LIMIT);
    let workspace = workspace()?;
    let found = spark::find(&spark_environment(workspace.as_ref())).map_err(Failure::setup)?;
    let Some(spark) = found.complete() else {
        return Ok(());
    };
    let Some(cache) = spark_environment(None).cache else {
        return Ok(());
    };
    let Some(_lock) = Recorder::try_lock(&cache)? else {
        return Ok(());
    };
    build_missing(&spark, deadline, &mut |_| (), &|_| ());
    Ok(())
}
