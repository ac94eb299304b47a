//! What the Driver cannot do, or does silently wrong, with a conf that is sound.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]

use std::fs;

use chronon_run_conf::ConfRepo;
use chronon_run_core::Severity;
use serde_json::{Value, json};

fn meta(name: &str) -> Value {
    json!({"name": name, "team": "team", "outputNamespace": "out"})
}

fn events(query: Value) -> Value {
    json!({"events": {"table": "lake.events", "query": query}})
}

fn entities() -> Value {
    json!({"entities": {"snapshotTable": "lake.users", "query": {"selects": {"id": "id"}}}})
}

fn query() -> Value {
    json!({"selects": {"id": "id", "price": "price"}, "timeColumn": "ts", "startPartition": "2026-01-01"})
}

/// SUM of `price`, over windows `[length, unit]`.
fn sum(windows: &[[i32; 2]]) -> Value {
    let window = |[length, unit]: &[i32; 2]| json!({"length": length, "timeUnit": unit});
    let windows: Vec<Value> = windows.iter().map(window).collect();
    json!({"inputColumn": "price", "operation": 7, "windows": windows})
}

const WEEK: [i32; 2] = [7, 1];
const HOURS: [i32; 2] = [12, 0];

fn group_by(source: Value, aggregations: &[Value]) -> Value {
    json!({
        "metaData": meta("team.g.v1"), "sources": [source], "keyColumns": ["id"],
        "aggregations": aggregations, "accuracy": 1,
    })
}

fn join(left: Value, part: &Value) -> Value {
    json!({
        "metaData": meta("team.j.v1"), "left": left, "joinParts": [{"groupBy": part}],
        "rowIds": ["row"],
    })
}

fn with(mut conf: Value, field: &str, value: Value) -> Value {
    conf[field] = value;
    conf
}

/// The findings about one conf, as `error code: message`.
fn findings(folder: &str, conf: &Value) -> Vec<String> {
    let repo = tempfile::tempdir().unwrap();
    fs::write(
        repo.path().join("teams.json"),
        r#"{"default": {}, "team": {}}"#,
    )
    .unwrap();
    let path = repo.path().join("production").join(folder).join("team");
    fs::create_dir_all(&path).unwrap();
    fs::write(
        path.join("conf.v1"),
        serde_json::to_string_pretty(conf).unwrap(),
    )
    .unwrap();
    let loaded = ConfRepo::load(repo.path(), "production");
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let all = loaded
        .repo
        .check()
        .into_iter()
        .chain(loaded.repo.check_driver());
    let text = |finding: chronon_run_core::Diagnostic| {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        format!("{severity} {}: {}", finding.code, finding.message)
    };
    all.map(text).collect()
}

/// Exactly one finding, of this kind, that says this.
fn one(folder: &str, conf: &Value, kind: &str, words: &str) {
    let found = findings(folder, conf);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with(kind) && found[0].contains(words),
        "{found:#?}"
    );
}

#[test]
fn a_plain_conf_has_no_hazard() {
    let part = group_by(events(query()), &[sum(&[WEEK])]);
    assert!(findings("group_bys", &part).is_empty());
    assert!(findings("joins", &join(events(query()), &part)).is_empty());
}

#[test]
fn two_aggregations_with_one_name() {
    let percentile =
        |p: &str| json!({"inputColumn": "price", "operation": 12, "argMap": {"percentiles": p}});
    let conf = group_by(events(query()), &[percentile("[0.5]"), percentile("[0.9]")]);
    one(
        "group_bys",
        &conf,
        "error column-twice",
        "`price_approx_percentile`",
    );
    let last = |k: &str| json!({"inputColumn": "price", "operation": 13, "argMap": {"k": k}});
    let conf = group_by(
        events(query()),
        &[last("3"), last("4"), sum(&[WEEK]), sum(&[HOURS])],
    );
    assert!(findings("group_bys", &conf).is_empty());
}

#[test]
fn incremental_needs_windows_over_snapshot_events() {
    let incremental = |conf| with(conf, "isIncremental", json!(1));
    let kind = "error driver-incremental";
    let unbounded = group_by(events(query()), &[sum(&[WEEK]), sum(&[])]);
    one(
        "group_bys",
        &incremental(unbounded),
        kind,
        "every aggregation has windows",
    );
    let temporal = with(
        group_by(events(query()), &[sum(&[WEEK])]),
        "accuracy",
        json!(0),
    );
    one("group_bys", &incremental(temporal), kind, "SNAPSHOT");
    let fine = group_by(events(query()), &[sum(&[WEEK])]);
    assert!(findings("group_bys", &incremental(fine)).is_empty());
}

#[test]
fn windows_of_hours_fail_at_the_end_of_a_day() {
    let conf = group_by(events(query()), &[sum(&[HOURS])]);
    assert!(findings("group_bys", &conf).is_empty());
    let backfilled = with(conf.clone(), "backfillStartDate", json!("2026-01-01"));
    one(
        "group_bys",
        &backfilled,
        "warning driver-hours",
        "mode `backfill`",
    );
    one(
        "joins",
        &join(entities(), &conf),
        "error driver-hours",
        "entities left",
    );
    assert!(findings("joins", &join(events(query()), &conf)).is_empty());
}

#[test]
fn element_wise_over_events_merges_no_days() {
    let conf = group_by(
        events(query()),
        &[with(sum(&[WEEK]), "elementWise", json!(1))],
    );
    one(
        "group_bys",
        &conf,
        "warning driver-element-wise",
        "two days",
    );
}

#[test]
fn custom_partition_columns_where_the_driver_ignores_them() {
    let custom = with(query(), "partitionColumn", json!("day"));
    let mut cumulative = events(custom.clone());
    cumulative["events"]["isCumulative"] = json!(1);
    let conf = group_by(cumulative.clone(), &[sum(&[])]);
    one(
        "group_bys",
        &conf,
        "error driver-partition-column",
        "newest partition",
    );
    cumulative["events"]["query"]["endPartition"] = json!("2026-02-01");
    assert!(findings("group_bys", &group_by(cumulative, &[sum(&[])])).is_empty());
    let open = with(custom.clone(), "startPartition", Value::Null);
    let conf = group_by(events(open.clone()), &[sum(&[])]);
    one(
        "group_bys",
        &conf,
        "warning driver-partition-column",
        "whole table",
    );
    assert!(findings("group_bys", &group_by(events(open), &[sum(&[WEEK])])).is_empty());
    let part = group_by(events(query()), &[sum(&[WEEK])]);
    let bootstrap = json!([{"table": "lake.boot", "query": {"partitionColumn": "day"}}]);
    let conf = with(join(events(query()), &part), "bootstrapParts", bootstrap);
    one(
        "joins",
        &conf,
        "error driver-partition-column",
        "bootstrap part",
    );
}

#[test]
fn temporal_values_over_a_parent_of_entities() {
    let parent = join(entities(), &group_by(events(query()), &[sum(&[WEEK])]));
    let source = json!({"joinSource": {"join": parent, "query": {"selects": {"id": "id"}}}});
    let temporal = with(group_by(source, &[sum(&[])]), "accuracy", json!(0));
    one(
        "group_bys",
        &temporal,
        "error driver-chained-entities",
        "not supported",
    );
}

#[test]
fn skewed_keys_take_rows_along() {
    let part = group_by(events(query()), &[sum(&[WEEK])]);
    let conf = with(
        join(events(query()), &part),
        "skewKeys",
        json!({"id": ["1"]}),
    );
    one(
        "joins",
        &conf,
        "warning driver-skew-keys",
        "where it is NULL",
    );
}

#[test]
fn skewed_keys_need_a_literal() {
    let part = group_by(events(query()), &[sum(&[WEEK])]);
    for keys in [json!({}), json!({"id": []}), json!({"id": ["NULL"]})] {
        let conf = with(join(events(query()), &part), "skewKeys", keys);
        one("joins", &conf, "error driver-skew-keys", "the Driver fails");
    }
}

#[test]
fn labels_need_their_keys_in_the_row_ids() {
    let part = group_by(events(query()), &[sum(&[WEEK])]);
    let label = json!({"labels": [{"groupBy": part, "keyMapping": {"user": "id"}}]});
    let conf = with(join(events(query()), &part), "labelPart", label);
    one("joins", &conf, "warning driver-label-keys", "lacks user");
    let named = with(conf.clone(), "rowIds", json!(["row", "user"]));
    assert!(findings("joins", &named).is_empty());
    let mut two = named;
    two["labelPart"]["labels"][0]["groupBy"]["aggregations"] =
        json!([sum(&[WEEK]), sum(&[[1, 1]])]);
    one("joins", &two, "warning driver-label", "one aggregation");
}

#[test]
fn table_properties_that_no_writing_job_survives() {
    let mut conf = group_by(events(query()), &[sum(&[WEEK])]);
    conf["metaData"]["tableProperties"] = json!({"owner": "x"});
    one("group_bys", &conf, "warning table-properties", "`owner`");
}

#[test]
fn a_left_side_that_the_driver_refuses() {
    let part = group_by(events(query()), &[sum(&[WEEK])]);
    let mut left = events(query());
    left["events"]["isCumulative"] = json!(1);
    one(
        "joins",
        &join(left, &part),
        "error join-left",
        "neither cumulative",
    );
}
