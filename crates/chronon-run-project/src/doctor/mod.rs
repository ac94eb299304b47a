//! What a report of a bug needs: versions, limits, files of Spark, disk, ledger and catalog. Downloads and
//! starts nothing.

mod disk;
mod engine;
mod machine;
mod state;

use std::env;

use chronon_run_core::Diagnostic;
use chronon_run_report::Check;
use chronon_run_spark as spark;
use chronon_run_workspace::Workspace;

use crate::{
    failure::Failure,
    loading::{here, spark::spark_environment},
};

/// Everything that is looked at, in the order in which it is shown. `version` is that of the program.
#[must_use]
pub fn checks(version: &str) -> Vec<Check> {
    let workspace = workspace();
    let of_workspace = workspace.as_ref().ok().and_then(Option::as_ref);
    let found = spark::find(&spark_environment(of_workspace)).map_err(|error| error.to_string());
    let mut checks = program(version);
    checks.extend(machine::of_machine());
    checks.extend(machine::environment());
    checks.extend(engine::of_engine(of_workspace, &found));
    checks.extend(state::of_confs(&workspace));
    if let Some(workspace) = of_workspace {
        checks.extend(state::of_state(workspace));
        checks.push(state::of_catalog(workspace));
    }
    checks
}

/// The workspace around here; an error says why it cannot be read.
fn workspace() -> Result<Option<Workspace>, Vec<Diagnostic>> {
    here::workspace().map_err(|failure| match failure {
        Failure::Findings(findings) => findings,
        other => vec![Diagnostic::error("environment", other.text())],
    })
}

/// This program, and the Spark and Java that it finds here.
#[must_use]
pub fn versions(version: &str) -> String {
    let mut text = format!("chronon-run {version}\n");
    let workspace = workspace().ok().flatten();
    let found = match spark::find(&spark_environment(workspace.as_ref())) {
        Ok(found) => found,
        Err(error) => return text + &format!("Spark: {error}\n"),
    };
    text += &match &found.spark {
        Some(spark) => format!("Spark {} in {}\n", spark.version, spark.home.display()),
        None => "Spark: none found\n".to_owned(),
    };
    text += &match &found.java {
        Some(java) => format!("Java {} in {}\n", java.version, java.home.display()),
        None => "Java: none found\n".to_owned(),
    };
    text
}

fn program(version: &str) -> Vec<Check> {
    const SECTION: &str = "chronon-run";
    let path =
        env::current_exe().map_or_else(|error| error.to_string(), |it| it.display().to_string());
    vec![
        Check::info(SECTION, "version", version),
        Check::info(SECTION, "program", path),
    ]
}
