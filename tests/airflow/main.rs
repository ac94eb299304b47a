//! The exported DAGs on a real Airflow 3 and a real Airflow 2, with real Spark.
//!
//! Run by name: `cargo test -p chronon-run --test airflow`. The first run installs both Airflows
//! from PyPI into virtual environments in the test cache; it needs Python 3.11 or 3.12.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]

mod airflow;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod support;
#[path = "../it/tables.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod tables;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    airflow::{Airflow, Major},
    support::{Workspace, wait_until},
};

/// The run's day is the one before.
const RUN: &str = "2026-01-31";

/// The example, with settings that a test has time for.
fn example() -> Workspace {
    let example = Workspace::example("stays");
    let text = example.read("workspace.toml");
    let settings = format!(
        "\n[streaming]\ncommand = [\"sleep\", \"600\"]\nsettle = \"1s\"\n\n[airflow]\ncommand = [{:?}]\n\
         emails = [\"features@example.com\"]\nstart_date = \"2026-01-01\"\npoke_every = \"2s\"\n\
         retry_delay = \"2s\"\noperators = \"operators.py\"\nmetadata_upload = [\"true\"]\n",
        env!("CARGO_BIN_EXE_chronon-run")
    );
    example.write("workspace.toml", &(text + &settings));
    example.write("operators.py", include_str!("operators.py"));
    example
}

fn dags(airflow: &Airflow<'_>) -> BTreeMap<String, Value> {
    let found = airflow.look();
    assert_eq!(found["errors"], json!({}));
    assert_eq!(found["warnings"], json!([]));
    serde_json::from_value(found["dags"].clone()).unwrap()
}

#[test]
fn every_dag_imports_without_a_warning() {
    let example = example();
    let three = dags(&Airflow::new(Major::Three, &example));
    let two = dags(&Airflow::new(Major::Two, &example));
    assert_eq!(two, three);
    for id in [
        "chronon_batch_dag_stays",
        "chronon_batch_dag_trust",
        "chronon_streaming_dag_stays",
        "chronon_staging_query_stays",
        "chronon_join_stays__sessions__v1",
        "chronon_metadata_upload",
    ] {
        assert!(three.contains_key(id), "no {id} in {:?}", three.keys());
    }
    let batch = &three["chronon_batch_dag_stays"];
    let upload = "group_by_batch__stays__listings__dim_v1";
    assert_eq!(batch["load__stays_listings_dim_v1"], json!([upload]));
    assert_eq!(batch[upload], json!([format!("ready__{upload}")]));
}

/// The tables that the DAGs of the next test fill.
const FILLED: [&str; 7] = [
    "stays_bookings_confirmed_v1",
    "stays_sessions_daily_v1",
    "stays_bookings_listing_daily_v1",
    "stays_bookings_spend_v1",
    "stays_listings_dim_v1",
    "stays_reviews_listing_v1",
    "stays_search_ranking_v1",
];

#[test]
fn airflow_3_fills_what_materialize_fills() {
    let example = example();
    let airflow = Airflow::new(Major::Three, &example);
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

    let clean = Workspace::example("stays");
    let select: Vec<String> = FILLED
        .iter()
        .map(|table| format!("table:stays_out.{table}"))
        .collect();
    let mut args = vec!["materialize"];
    args.extend(select.iter().map(String::as_str));
    clean.run(&args).expect(0);
    let names: Vec<_> = FILLED
        .iter()
        .map(|table| format!("stays_out.{table}").parse().unwrap())
        .collect();
    let (ours, wanted) = (tables::read(&example, &names), tables::read(&clean, &names));
    assert_eq!(wanted.len(), FILLED.len());
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
        states[0]["running"].clone()
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
    let waits = |log: &str| log.matches("\"ready\": false").count() >= 2;
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
    airflow.run("chronon_batch_dag_trust");
    let table = "trust_out.trust_hosts_profile_v1".parse().unwrap();
    let found = tables::read(&example, std::slice::from_ref(&table));
    assert_eq!(found[&table].content.partitions.as_ref().unwrap().len(), 21);
}
