//! The exported DAGs on a real Airflow 3 and a real Airflow 2, with real Spark.
//!
//! Run by name: `cargo test --workspace --test airflow`. The first run installs both Airflows
//! from PyPI into virtual environments in the test cache; it needs Python 3.11 or 3.12.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]

mod airflow;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod support;
#[path = "../it/support/tables.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod tables;

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use crate::{
    airflow::{Airflow, Major},
    support::{Workspace, wait_until},
};

/// The run's day is the one before.
const RUN: &str = "2026-01-31";

/// Ends with `[airflow]`.
const SETTINGS: &str = r#"
[streaming]
command = ["sleep", "600"]
settle = "1s"

[airflow]
owner = "features"
emails = ["features@example.com"]
queue = "spark"
retries = 2
retry_delay = "2s"
start_date = "2026-01-01"
poke_every = "2s"
operators = "operators.py"
metadata_upload = ["true"]
"#;

/// The example, with settings that a test has time for.
fn example() -> Workspace {
    let example = Workspace::example("stays");
    let text = example.read("workspace.toml");
    let command = format!("command = [{:?}]\n", env!("CARGO_BIN_EXE_chronon-run"));
    example.write("workspace.toml", &(text + SETTINGS + &command));
    example.write("operators.py", include_str!("operators.py"));
    example
}

/// Every DAG is there, on both versions the same, and nothing is complained about.
fn every_dag_imports_without_a_warning(airflow: &Airflow<'_>) {
    let found = airflow.look();
    assert_eq!(found["errors"], json!({}));
    assert_eq!(found["warnings"], json!([]));
    let settings = json!(["2026-01-01", false, "features", "spark", "default_pool", 2]);
    assert_eq!(found["settings"], json!([settings]));
    let dags: BTreeMap<String, BTreeMap<String, Vec<String>>> =
        serde_json::from_value(found["dags"].clone()).unwrap();
    let mut outline = String::new();
    for (dag, tasks) in dags {
        let _ = writeln!(outline, "{dag}");
        for (task, after) in tasks {
            let _ = writeln!(outline, "  {after:?} → {task}");
        }
    }
    insta::assert_snapshot!("dags", outline);
}

/// Airflow signals the whole process group and calls `on_kill`; a second signal would be "at once".
fn a_killed_task_stops_its_chronon_run_once(airflow: &Airflow<'_>) {
    assert_eq!(airflow.kill(), json!(1));
}

/// The tables that the DAGs of Airflow 3 fill.
const FILLED: [&str; 8] = [
    "stays_bookings_confirmed_v1",
    "stays_sessions_daily_v1",
    "stays_bookings_listing_daily_v1",
    "stays_bookings_spend_v1",
    "stays_listings_dim_v1",
    "stays_reviews_listing_v1",
    "stays_search_ranking_v1",
    "stays_search_ranking_v1_consistency",
];

#[test]
fn airflow_3_fills_what_materialize_fills() {
    let example = example();
    let airflow = Airflow::new(Major::Three, &example);
    every_dag_imports_without_a_warning(&airflow);
    a_killed_task_stops_its_chronon_run_once(&airflow);

    let hosts = example.read("data/lake.hosts.csv");
    let late: Vec<&str> = hosts
        .lines()
        .filter(|line| !line.ends_with("2026-01-29") && !line.ends_with("2026-01-30"))
        .collect();
    example.write("data/lake.hosts.csv", &(late.join("\n") + "\n"));
    airflow.run("chronon_staging_query_stays");
    airflow.run("chronon_batch_dag_stays");
    streaming_apps_are_kept_alive(&example, &airflow);
    a_late_source_leaves_the_sensor_waiting(&example, &airflow, &hosts);
    airflow.run("chronon_online_offline_comparison_stays__search_ranking__v1");
    the_tables_are_those_of_materialize(&example, &FILLED);
}

/// Of a workspace in which nothing else ran.
fn the_tables_are_those_of_materialize(example: &Workspace, filled: &[&str]) {
    let clean = Workspace::example("stays");
    let mut args = vec!["materialize".to_owned()];
    args.extend(
        filled
            .iter()
            .map(|table| format!("table:stays_out.{table}")),
    );
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    clean.run(&args).expect(0);
    let names: Vec<_> = filled
        .iter()
        .map(|table| format!("stays_out.{table}").parse().unwrap())
        .collect();
    let (ours, wanted) = (tables::read(example, &names), tables::read(&clean, &names));
    assert_eq!(wanted.len(), filled.len());
    for (name, wanted) in wanted {
        let found = &ours[&name].content;
        assert_eq!(found.partitions, wanted.content.partitions, "{name}");
        assert_eq!(sorted(found), sorted(&wanted.content), "{name}");
    }
}

fn sorted(rows: &chronon_run_testkit::golden::Rows) -> Vec<String> {
    let rows = rows.rows.iter().flatten();
    let mut texts: Vec<String> = rows.map(|row| json!(row).to_string()).collect();
    texts.sort();
    texts
}

/// The first run starts the app, the second one leaves it alone.
fn streaming_apps_are_kept_alive(example: &Workspace, airflow: &Airflow<'_>) {
    let status = || example.run(&["stream", "--status", "--output", "json"]);
    airflow.run("chronon_streaming_dag_stays");
    let running = status().expect(0).stdout;
    airflow.run("chronon_streaming_dag_stays");
    let process = |text: &str| {
        let states: Value = serde_json::from_str(text).unwrap();
        states["apps"][0]["running"].clone()
    };
    assert_ne!(process(&running), json!([]), "{running}");
    assert_eq!(process(&status().expect(0).stdout), process(&running));
    example.run(&["stream", "--stop"]).expect(0);
}

/// The sensor waits, without a worker's slot, and goes on when the source is there.
fn a_late_source_leaves_the_sensor_waiting(
    example: &Workspace,
    airflow: &Airflow<'_>,
    hosts: &str,
) {
    let dag = "chronon_join_stays__search_ranking__v1";
    let ready = "join/stays.search_ranking.v1/backfill";
    let screen = example
        .run(&["ready", ready, "--ds", "2026-01-30"])
        .expect(3);
    assert!(screen.stdout.contains("lake.hosts"), "{}", screen.text());
    let mut run = airflow.start(dag);
    let waits = |log: &str| log.matches("\"ready\":false").count() >= 2;
    wait_until("the sensor looks again", || {
        assert!(run.is_running(), "{}", run.log());
        waits(&run.log())
    });
    assert!(!run.log().contains(" materialize "), "{}", run.log());
    example.write("data/lake.hosts.csv", hosts);
    run.expect_success();
}

#[test]
fn airflow_2_runs_a_batch_dag() {
    let example = example();
    let airflow = Airflow::new(Major::Two, &example);
    every_dag_imports_without_a_warning(&airflow);
    a_killed_task_stops_its_chronon_run_once(&airflow);
    airflow.run("chronon_batch_dag_trust");
    let table = "trust_out.trust_hosts_profile_v1".parse().unwrap();
    let found = tables::read(&example, std::slice::from_ref(&table));
    assert_eq!(found[&table].content.partitions.as_ref().unwrap().len(), 21);
}
