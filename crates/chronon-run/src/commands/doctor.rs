//! `chronon-run doctor`, and what `--version` prints.

use chronon_run_project::{
    doctor,
    failure::Failure,
    output::{document, print},
};
use chronon_run_report::{Check, Verdict, checkup, having, screen_width};
use serde::Serialize;

use crate::cli::{DoctorArgs, Output};

pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let checks = doctor::checks(&version());
    let problems = having(&checks, Verdict::Problem);
    print(&match args.output {
        Output::Text => checkup(&checks, screen_width()),
        Output::Json => document(&Report {
            problems,
            checks: &checks,
        })?,
    })?;
    match problems {
        0 => Ok(()),
        _ => Err(Failure::StepFailed),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    problems: usize,
    checks: &'a [Check],
}

/// Version and commit of this program.
pub(crate) fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match env!("CHRONON_RUN_COMMIT") {
        "" => format!("{version} (commit not known)"),
        commit => format!("{version} ({commit})"),
    }
}

/// What `--version` prints: this program, and the Spark and Java that it finds here.
pub(crate) fn versions() -> String {
    doctor::versions(&version())
}
