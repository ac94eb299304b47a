//! What a report of a bug needs: versions, limits, files of Spark, disk, ledger and catalog. Downloads and
//! starts nothing.

mod engine;
mod machine;
mod state;

use std::{env, path::Path};

use chronon_run_core::Diagnostic;
use chronon_run_process::{Disk, disk};
use chronon_run_report::{Check, Verdict, size};
use chronon_run_spark as spark;
use chronon_run_workspace::Workspace;

use crate::{failure::Failure, listing::session::spark_environment, loading::project};

/// Below this many free bytes nothing of use can be written.
const LEAST_ROOM: u64 = 64 << 20;
/// Below this many, a run may fill the disk.
const LITTLE_ROOM: u64 = 1 << 30;

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
    project::workspace().map_err(|failure| match failure {
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
    let path = env::current_exe().map_or_else(|error| error.to_string(), |it| shown(&it));
    vec![
        Check::info(SECTION, "version", version),
        Check::info(SECTION, "program", path),
    ]
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// How much room a folder's disk has.
fn room(section: &'static str, name: &str, folder: &Path) -> Check {
    of_disk(section, name, folder, disk(folder))
}

fn of_disk(section: &'static str, name: &str, folder: &Path, found: Option<Disk>) -> Check {
    let Some(found) = found else {
        return Check::info(section, name, "not known");
    };
    let text = format!("{} of {}", size(found.free), size(found.total));
    match found.free {
        0..LEAST_ROOM => Check::new(section, name, Verdict::Problem, text)
            .hint(format!("make room on the disk of {}", folder.display())),
        LEAST_ROOM..LITTLE_ROOM => Check::new(section, name, Verdict::Warning, text),
        _ => Check::new(section, name, Verdict::Ok, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_a_warning_and_no_room_a_problem() {
        let of = |free| {
            let total = 1 << 40;
            let found = Some(Disk { free, total });
            of_disk("state folder", "free", Path::new("/x"), found)
        };
        assert_eq!(of(LEAST_ROOM - 1).verdict, Verdict::Problem);
        assert_eq!(
            of(0).hint.as_deref(),
            Some("make room on the disk of /x"),
            "what to do"
        );
        assert_eq!(of(LEAST_ROOM).verdict, Verdict::Warning);
        assert_eq!(of(LITTLE_ROOM - 1).verdict, Verdict::Warning);
        assert_eq!(of(LITTLE_ROOM).verdict, Verdict::Ok);
        let unknown = of_disk("state folder", "free", Path::new("/x"), None);
        assert_eq!(
            (unknown.verdict, unknown.value.as_str()),
            (Verdict::Info, "not known")
        );
    }
}
