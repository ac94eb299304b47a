//! The Spark of a workspace: found, or installed with progress on stderr.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use chronon_run_spark::{
    self as spark, Environment, Found, Java, Origin, Spark,
    command::{LOG_CONFIG, log_config_path},
};
use chronon_run_workspace::{Pins, Workspace};

use crate::{
    failure::Failure,
    loading::{installing::Installing, supply},
    output::note,
};

/// The environment, as the engine takes it.
pub fn spark_environment(workspace: Option<&Workspace>) -> Environment {
    let engine = workspace.map(|workspace| &workspace.engine);
    let mut found = Environment::new(
        engine.and_then(|engine| engine.spark_home.clone()),
        |name| env::var_os(name),
    );
    found.workspace_java_home = engine.and_then(|engine| engine.java_home.clone());
    // A lock that cannot be read is reported where it is needed.
    if let Some(Ok(pins)) = workspace.map(|workspace| Pins::load(&workspace.root)) {
        found.pins = pins.packages().clone();
    }
    found
}

/// The workspace's Spark, installed if there is none.
pub fn find_spark(workspace: &Workspace) -> Result<Spark, Failure> {
    let environment = spark_environment(Some(workspace));
    if let Some(home) = &workspace.engine.java_home {
        let found = spark::find(&environment).map_err(Failure::setup)?;
        let used = found.java.as_ref().is_some_and(|java| java.home == *home);
        if !used {
            let why = found.unfit_text();
            let why = why.unwrap_or_else(|| format!("{} has no bin/java", home.display()));
            return Err(Failure::hinted(
                why,
                "correct `java_home` under [engine] in workspace.toml, or remove it to have a Java found or installed",
            ));
        }
    }
    let is_new = !spark::find(&environment)
        .map_err(Failure::setup)?
        .downloads()
        .is_empty();
    let spark = supply::verified(workspace, install_spark(&environment)?)?;
    if is_new && let Err(Failure::Setup { message, .. }) = supply::pin(workspace, &spark) {
        note(&format!("warning: Spark is not pinned: {message}"));
    }
    Ok(spark)
}

/// The workspace's Spark, if it can be had without a download: a question downloads nothing.
pub fn installed_spark(workspace: &Workspace) -> Result<Spark, Failure> {
    let found = spark::find(&spark_environment(Some(workspace))).map_err(Failure::setup)?;
    let missing = downloads(&found);
    match found.complete() {
        Some(spark) => supply::verified(workspace, spark),
        None => Err(Failure::hinted(
            format!(
                "the tables of this workspace are in its own metastore, which cannot be read without {missing}"
            ),
            "`chronon-run engine install` downloads it once; or set `spark_home` under [engine], SPARK_HOME or JAVA_HOME to one that is there",
        )),
    }
}

/// What is missing, with its size.
fn downloads(found: &Found) -> String {
    let missing: Vec<String> = found
        .downloads()
        .into_iter()
        .map(|(what, bytes)| format!("{what} ({} MB)", bytes / 1_000_000))
        .collect();
    missing.join(" and ")
}

/// The Spark of these environment, installed with progress on stderr if there is none.
pub fn install_spark(environment: &Environment) -> Result<Spark, Failure> {
    let found = spark::find(environment).map_err(Failure::setup)?;
    let is_named = |java: &Java| matches!(java.origin, Origin::Environment | Origin::Workspace);
    if let Some(why) = found.unfit_text()
        && (found.java.is_none() || found.unfit.iter().any(is_named))
    {
        note(&format!("warning: {why}; another one is used"));
    }
    if !found.downloads().is_empty() {
        let place = environment.cache.as_deref().unwrap_or(Path::new(""));
        note(&format!(
            "downloading {} with pip into {}, once",
            downloads(&found),
            place.display()
        ));
    }
    let mut shown = Installing::default();
    let found = spark::locate(environment, &mut |progress| shown.update(progress));
    shown.finish();
    found.map_err(Failure::setup)
}

/// Writes the logging configuration of SQL jobs and returns its path.
pub fn log_config(state: &Path) -> Result<PathBuf, Failure> {
    let path = log_config_path(state);
    fs::create_dir_all(state)
        .and_then(|()| chronon_run_process::replace(&path, LOG_CONFIG))
        .map_err(|error| Failure::setup(format!("cannot write {}: {error}", path.display())))?;
    Ok(path)
}
