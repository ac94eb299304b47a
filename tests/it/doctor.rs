//! `doctor` and `--version`: what a report of a bug needs, without a secret and without a download.

use std::fs;

use serde_json::Value;

use crate::{
    staged::Staged,
    support::{Screen, Workspace},
};

fn doctor(staged: &Staged, args: &[&str]) -> Screen {
    let mut command = staged.command(&[&["doctor"], args].concat());
    command
        .env("COLUMNS", "80")
        .env("SPARK_SUBMIT_OPTS", "-Dx.password=hunter2 -Da=b");
    Screen::new(command.output().unwrap(), staged.workspace.root())
}

/// The check of this name, by section.
fn check<'a>(report: &'a Value, section: &str, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks
        .iter()
        .find(|it| it["section"] == section && it["name"] == name);
    found.unwrap_or_else(|| panic!("no {section}/{name} in {report:#}"))
}

fn report(staged: &Staged, code: i32) -> Value {
    let screen = doctor(staged, &["--output", "json"]).expect(code);
    serde_json::from_str(&screen.stdout).unwrap()
}

#[test]
fn a_sound_workspace_has_no_problem() {
    let staged = Staged::chain();
    let before = report(&staged, 0);
    assert_eq!(before["version"], 1);
    let ledger = check(&before, "state folder", "free");
    assert_ne!(ledger["value"], "not known");
    assert!(
        !staged.workspace.path(".chronon-run").exists(),
        "{before:#}"
    );
    staged.run(&["materialize"]).expect(0);
    let screen = doctor(&staged, &[]).expect(0);
    for line in screen.stdout.lines() {
        // Paths may be longer than what stands for them here.
        let width = line.replace("[ROOT]", "").chars().count();
        assert!(width <= 80, "{line}");
    }
    assert!(!screen.text().contains("hunter2"), "{}", screen.text());
    let after = report(&staged, 0);
    let value = |section, name| check(&after, section, name)["value"].as_str().unwrap();
    assert_eq!(value("state folder", "ledger"), "1 run, 4 steps, no damage");
    assert_eq!(value("workspace", "confs"), "4 confs, 4 assets");
    assert!(value("engine", "Spark").contains("3.3.1"));
    assert!(value("engine", "Spark").ends_with("from `spark_home` of workspace.toml"));
    assert!(value("engine", "Java").starts_with("17.0.1"));
    assert!(value("environment", "SPARK_SUBMIT_OPTS").contains("password=***"));
    assert!(value("catalog", "metastore").starts_with("fixture"));
    assert_eq!(check(&after, "engine", "files of Spark")["verdict"], "ok");
}

#[test]
fn what_is_broken_is_a_problem_with_an_exit_code() {
    let staged = Staged::chain();
    staged.run(&["materialize"]).expect(0);
    staged.workspace.write("spark/jars/evil.jar", "x");
    staged
        .workspace
        .write("production/staging_queries/team/broken", "{");
    let ledger = staged.workspace.path(".chronon-run/ledger.db");
    fs::write(
        &ledger,
        "no database at all, but long enough to be looked at".repeat(9),
    )
    .unwrap();
    fs::remove_file(staged.workspace.path("catalog.json")).unwrap();
    let report = report(&staged, 1);
    let verdict = |section, name| check(&report, section, name)["verdict"].as_str().unwrap();
    assert_eq!(verdict("state folder", "ledger"), "problem");
    assert_eq!(verdict("workspace", "findings"), "problem");
    assert_eq!(verdict("catalog", "metastore"), "problem");
    assert_eq!(verdict("engine", "files of Spark"), "warning");
    assert_eq!(report["problems"], 3);
    let kept = fs::read_to_string(&ledger).unwrap();
    assert!(kept.starts_with("no database"), "it is only looked at");
}

#[test]
fn without_a_workspace_and_without_a_spark() {
    let empty = Workspace::empty();
    let mut command = empty.command(&["doctor", "--output", "json"]);
    command
        .env("PATH", empty.root())
        .env("CHRONON_RUN_CACHE", empty.path("cache"))
        .env_remove("JAVA_HOME");
    let screen = Screen::new(command.output().unwrap(), empty.root()).expect(0);
    let report: Value = serde_json::from_str(&screen.stdout).unwrap();
    assert_eq!(check(&report, "engine", "Spark")["value"], "none found");
    assert_eq!(check(&report, "workspace", "file")["verdict"], "warning");
    assert!(!empty.path("cache").exists(), "nothing is downloaded");
}

#[test]
fn the_version_names_commit_spark_and_java() {
    let staged = Staged::chain();
    let shown = staged.run(&["--version"]).expect(0).stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("chronon-run 0.") && lines[0].ends_with(')'));
    assert_eq!(lines[1], "Spark 3.3.1 in [ROOT]/spark");
    assert_eq!(lines[2], "Java 17.0.1 in [ROOT]/java");
}
