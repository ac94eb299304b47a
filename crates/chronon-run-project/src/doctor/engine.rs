//! Spark, Java, their files and the cache.

use chronon_run_core::{Diagnostic, secret::mask_text};
use chronon_run_process::{is_writable, used};
use chronon_run_report::{Check, Verdict, size};
use chronon_run_spark::{Found, Origin, Spark};
use chronon_run_workspace::{EngineKind, Workspace};

use super::disk::room;
use crate::{
    failure::Failure,
    loading::{jars, machine, spark::spark_environment, supply},
};

const SECTION: &str = "engine";
const INSTALL: &str = "`chronon-run engine install` installs what is missing";

pub(super) fn of_engine(
    workspace: Option<&Workspace>,
    found: &Result<Found, String>,
) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(workspace) = workspace {
        let kind = match workspace.engine.kind {
            EngineKind::Sql => "sql",
            EngineKind::Chronon => "chronon",
        };
        checks.push(Check::info(SECTION, "kind", kind));
    }
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            checks.push(Check::new(SECTION, "Spark", Verdict::Problem, error));
            return checks;
        }
    };
    checks.push(of_spark(found));
    checks.push(of_java(found));
    if let Some(unfit) = found.unfit_text() {
        checks.push(Check::info(SECTION, "not used", unfit));
    }
    if let Some(spark) = found.clone().complete() {
        checks.extend(files(workspace, &spark));
    }
    checks.extend(of_cache(workspace));
    checks
}

fn of_spark(found: &Found) -> Check {
    let Some(spark) = &found.spark else {
        return Check::new(SECTION, "Spark", Verdict::Warning, "none found").hint(INSTALL);
    };
    let text = format!(
        "{} (Scala {}) in {}, {}",
        spark.version,
        spark.scala,
        spark.home.display(),
        whence(spark.origin, "spark_home", "SPARK_HOME")
    );
    Check::new(SECTION, "Spark", Verdict::Ok, text)
}

fn of_java(found: &Found) -> Check {
    let Some(java) = &found.java else {
        return Check::new(SECTION, "Java", Verdict::Warning, "none found").hint(INSTALL);
    };
    let text = format!(
        "{} in {}, {}",
        java.version,
        java.home.display(),
        whence(java.origin, "java_home", "JAVA_HOME")
    );
    Check::new(SECTION, "Java", Verdict::Ok, text)
}

fn whence(origin: Origin, key: &str, variable: &str) -> String {
    match origin {
        Origin::Workspace => format!("from `{key}` of workspace.toml"),
        Origin::Environment => format!("from {variable}"),
        Origin::Path => "from PATH".to_owned(),
        Origin::Installed => "installed by chronon-run".to_owned(),
    }
}

/// Whether the files of Spark, Java and the jars are those that were installed, and the machine's limits
/// are high enough for this Spark.
fn files(workspace: Option<&Workspace>, spark: &Spark) -> Vec<Check> {
    let mut findings = supply::findings(workspace, spark, false);
    if let Some(workspace) = workspace {
        findings.extend(jars::findings(workspace, Some(spark), false));
    }
    let mut checks: Vec<Check> = findings.iter().map(of_finding).collect();
    if checks.is_empty() {
        let homes = supply::installed(spark).into_iter();
        checks.extend(homes.map(|(what, home)| {
            let name = format!("files of {what}");
            Check::info(SECTION, &name, supply::words(home))
        }));
    }
    if let Some(words) = supply::foreign_words(workspace, spark) {
        let differs = words.starts_with("since");
        let verdict = if differs {
            Verdict::Warning
        } else {
            Verdict::Ok
        };
        checks.push(Check::new(SECTION, "files of Spark", verdict, words));
    }
    if let Err(Failure::Setup { message, hint }) = machine::check_limits(spark) {
        let check = Check::new(SECTION, "limits", Verdict::Problem, message);
        checks.push(check.hint(hint.unwrap_or_default()));
    }
    checks
}

fn of_finding(finding: &Diagnostic) -> Check {
    let verdict = match finding.is_error() {
        true => Verdict::Problem,
        false => Verdict::Warning,
    };
    let check = Check::new(SECTION, finding.code, verdict, mask_text(&finding.message));
    match &finding.hint {
        Some(hint) => check.hint(hint.as_str()),
        None => check,
    }
}

fn of_cache(workspace: Option<&Workspace>) -> Vec<Check> {
    let Some(cache) = spark_environment(workspace).cache else {
        let nowhere = "none: neither CHRONON_RUN_CACHE nor HOME is set";
        return vec![Check::new(SECTION, "cache", Verdict::Warning, nowhere)];
    };
    let there = match cache.is_dir() {
        true if is_writable(&cache) => format!("{}, {}", cache.display(), size(used(&cache).bytes)),
        true => format!("{}, not writable", cache.display()),
        false => format!("{}, not there yet", cache.display()),
    };
    vec![
        Check::info(SECTION, "cache", there),
        room(SECTION, "free in cache", &cache),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_problem_and_secrets_are_masked() {
        let error = Diagnostic::error("changed-file", "see https://u:hunter2@host/x").hint("look");
        let check = of_finding(&error);
        assert_eq!(check.verdict, Verdict::Problem);
        assert_eq!(check.hint.as_deref(), Some("look"));
        assert!(!check.value.contains("hunter2"), "{}", check.value);
        let warning = of_finding(&Diagnostic::warning("odd-file", "x"));
        assert_eq!((warning.verdict, warning.hint), (Verdict::Warning, None));
    }

    #[test]
    fn where_a_home_comes_from_is_told_by_its_key_or_variable() {
        let told = |origin| whence(origin, "spark_home", "SPARK_HOME");
        assert_eq!(
            told(Origin::Workspace),
            "from `spark_home` of workspace.toml"
        );
        assert_eq!(told(Origin::Environment), "from SPARK_HOME");
    }
}
