//! `ready` and `export airflow`, without an Airflow; with one: tests/airflow.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{
    staged::{Staged, days},
    support::{Workspace, steady},
};

/// What `ready --output json` says: exit code, state, newer day.
fn ready(staged: &Staged, name: &str, ds: &str) -> (i32, String, Value) {
    let asset = format!("staging_query/team.{name}/backfill");
    let screen = staged.run(&["ready", &asset, "--ds", ds, "--output", "json"]);
    let answer: Value = serde_json::from_str(&screen.stdout).unwrap();
    let code = screen.code.unwrap();
    assert_eq!(answer["ready"], json!(code == 0));
    let state = answer["state"].as_str().unwrap().to_owned();
    (code, state, answer["newer_ds"].clone())
}

#[test]
fn ready_tells_what_a_day_needs_and_whether_a_newer_one_is_ready() {
    let staged = Staged::chain();
    staged.set_source("lake.a", days("2026-01-01", "2026-01-02"));
    let newer = json!("2026-01-02");
    assert_eq!(
        ready(&staged, "one", "2026-01-01"),
        (0, "run".into(), newer)
    );
    assert_eq!(
        ready(&staged, "one", "2026-01-02"),
        (0, "run".into(), Value::Null)
    );
    assert_eq!(
        ready(&staged, "one", "2026-01-03"),
        (3, "waiting".into(), Value::Null)
    );
    assert_eq!(
        ready(&staged, "two", "2026-01-02"),
        (3, "blocked".into(), Value::Null)
    );
    // A day that has not closed.
    assert_eq!(
        ready(&staged, "one", "2026-01-04"),
        (3, "waiting".into(), Value::Null)
    );

    staged.run(&["materialize", "team.one"]).expect(3);
    assert_eq!(
        ready(&staged, "one", "2026-01-02"),
        (0, "done".into(), Value::Null)
    );
    assert_eq!(
        ready(&staged, "two", "2026-01-02"),
        (0, "run".into(), Value::Null)
    );
    assert_eq!(staged.calls().len(), 1, "asking starts nothing");
}

#[test]
fn ready_explains_itself_and_refuses_what_it_cannot_tell() {
    let _steady = steady();
    let staged = Staged::chain();
    assert_snapshot!(
        staged
            .run(&["ready", "team.two", "--ds", "2026-01-02"])
            .text()
    );
    assert_snapshot!(
        staged
            .run(&["ready", "team.nine", "--ds", "2026-01-02"])
            .text()
    );
    let example = Workspace::example("stays");
    let app = "group_by/stays.bookings.guest_v1/streaming";
    assert_snapshot!(example.run(&["ready", app, "--ds", "2026-01-02"]).text());
}

/// The lag of an asset is taken off, as in a run.
#[test]
fn ready_stays_behind_by_the_lag() {
    let staged = Staged::chain();
    staged.workspace.edit(
        "workspace.toml",
        "[engine]",
        "[[override]]\nselect = \"team.one\"\nlag = 1\n\n[engine]",
    );
    staged.set_source("lake.a", days("2026-01-01", "2026-01-02"));
    assert_eq!(
        ready(&staged, "one", "2026-01-03"),
        (0, "run".into(), Value::Null)
    );
}

/// Asked about alone, an asset does not wait for days of another that will never be.
#[test]
fn a_day_that_never_lands_is_not_waited_for_further_down() {
    let staged = Staged::chain();
    staged.set_source("lake.a", days("2026-01-03", "2026-01-03"));
    staged.workspace.edit(
        "workspace.toml",
        "[run]",
        "[sources.\"lake.a\"]\nmissing = [\"2026-01-01..2026-01-02\"]\n\n[run]",
    );
    staged.run(&["materialize", "team.one"]).expect(0);
    assert_eq!(
        ready(&staged, "two", "2026-01-02"),
        (2, "excluded".into(), json!("2026-01-03"))
    );
    assert_eq!(
        ready(&staged, "three", "2026-01-02"),
        (2, "excluded".into(), Value::Null)
    );
    staged.run(&["materialize", "team.two"]).expect(0);
    assert_eq!(staged.filled("two"), days("2026-01-03", "2026-01-03"));
}

#[test]
fn an_exported_folder_is_compared_with_what_would_be_written() {
    let _steady = steady();
    let staged = Staged::chain();
    let export = ["export", "airflow", "--out", "dags"];
    let check = ["export", "airflow", "--out", "dags", "--check"];
    staged.run(&check).expect(1);
    assert!(
        !staged.workspace.path("dags").exists(),
        "--check writes nothing"
    );
    staged.run(&export).expect(0);
    staged.run(&check).expect(0);
    let names = fs::read_dir(staged.workspace.path("dags")).unwrap();
    assert_eq!(names.count(), 10, "nothing is left over");

    let conf = "production/staging_queries/team/alone";
    staged
        .workspace
        .edit(conf, "\"team.alone\"", "\"team.renamed\"");
    let screen = staged.run(&check).expect(1);
    assert_snapshot!(screen.text());
    staged.run(&export).expect(0);
    staged.run(&check).expect(0);
    staged
        .run(&[
            "export",
            "airflow",
            "--out",
            "dags",
            "--airflow",
            "2",
            "--check",
        ])
        .expect(1);
}

#[test]
fn a_conf_with_errors_is_left_out_and_the_rest_is_written() {
    let staged = Staged::chain();
    let conf = "production/staging_queries/team/alone";
    staged.workspace.edit(conf, "\"out\"", "\"not a database\"");
    let screen = staged
        .run(&["export", "airflow", "--out", "dags"])
        .expect(2);
    let why = format!("no task for {conf}: ");
    let left_out = format!("left out, everything else is exported: {conf}");
    for words in [why, left_out] {
        assert!(screen.stderr.contains(&words), "{}", screen.text());
    }
    let manifest = || {
        let folder = staged.workspace.path("dags");
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        let texts = files.map(|file| fs::read_to_string(file).unwrap());
        texts.collect::<String>()
    };
    let has = |name: &str| manifest().contains(&format!("team.{name}"));
    assert!(has("three") && !has("alone"));
    let check = ["export", "airflow", "--out", "dags", "--check"];
    staged.run(&check).expect(2);
    let path = format!("path:{conf}");
    let excluding = [&check[..], &["--exclude", &path]].concat();
    staged.run(&excluding).expect(0);

    // A file that is no conf at all.
    staged.workspace.write(conf, "{");
    let screen = staged.run(&check).expect(2);
    assert!(screen.stderr.contains(conf), "{}", screen.text());

    // What is not selected has no task.
    let one = ["export", "airflow", "--out", "dags", "team.one"];
    staged.run(&one).expect(0);
    assert!(has("one") && !has("three"));
}

#[test]
fn the_example_is_exported_with_what_its_engine_can_do() {
    let _steady = steady();
    let example = Workspace::example("stays");
    assert_snapshot!(example.run(&["export", "airflow", "--out", "dags"]).text());
}
