//! How the cost of point-in-time values grows with days and aggregations, against the range join
//! that one would write by hand, on a real Spark with a million events; and how much of the work one
//! task does if one key has half of the events. Run by name:
//! `cargo test --workspace --test cost -- --nocapture`.
//!
//! Nothing that is asserted depends on time: both compute the same sums, and no task of a shuffle gets
//! a fifth of the events.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]

#[expect(dead_code, reason = "the other end-to-end tests use more of it")]
#[path = "it/support/mod.rs"]
mod support;
#[expect(dead_code, reason = "the other end-to-end tests use more of it")]
#[path = "it/support/tables.rs"]
mod tables;

use std::{collections::BTreeMap, fs};

use chronon_run_conf::Join;
use chronon_run_core::{AssetKind, Ds, PartitionRange};
use chronon_run_sql::{Conf, Request, compile};
use serde_json::{Value, json};

use crate::{support::Workspace, tables::Warehouse};

/// The days of the events, of which the left has the last ones.
const DAYS: i64 = 181;
const EVENTS: u32 = 1_000_000;
/// Left rows of a day.
const LEFT_ROWS: u32 = 500;
const KEYS: u32 = 1_000;
const FIRST: &str = "2026-01-01";

/// Days and aggregations for which the naive join is run as well; the others would take hours.
const NAIVE: [(i32, usize); 6] = [(1, 1), (1, 10), (1, 50), (30, 1), (30, 10), (180, 1)];

#[test]
fn cost_grows_with_days_and_aggregations() {
    let workspace = Workspace::empty();
    fs::create_dir_all(workspace.path(".chronon-run")).unwrap();
    let warehouse = Warehouse::of(&workspace);
    let seeds = warehouse.printed(&data());
    println!("{seeds}");
    let names = [
        "lake.events",
        "lake.requests",
        "lake.hot_events",
        "lake.hot_requests",
    ];
    let snapshot = warehouse.snapshot(&names.map(|name| name.parse().unwrap()));

    let mut script = String::new();
    let mut cell = |name: String, statements: &str| {
        script += &format!("SELECT concat('@begin {name} ', UNIX_MILLIS(CURRENT_TIMESTAMP()));\n");
        script += statements;
        script += &format!("SELECT concat('@end {name} ', UNIX_MILLIS(CURRENT_TIMESTAMP()));\n");
    };
    let compiled = |kind: &str, days: i32, aggregations: usize| {
        let conf = join(kind, days, aggregations);
        compile(&Request {
            conf: Conf::Join(&conf),
            mode: &AssetKind::Backfill,
            range: range(days),
            latest_date: range(days).end,
            partition_column: "ds",
            tables: &snapshot,
        })
        .unwrap()
    };
    cell("warm-up".to_owned(), &compiled("", 2, 1));
    for days in [1, 30, 180] {
        for aggregations in [1, 10, 50] {
            let name = format!("{days}-{aggregations}");
            cell(format!("sql-{name}"), &compiled("", days, aggregations));
            if NAIVE.contains(&(days, aggregations)) {
                cell(format!("naive-{name}"), &naive(days, aggregations));
                cell(format!("check-{name}"), &check(days, aggregations));
            }
        }
    }
    let printed = warehouse.printed(&script);
    let times = times(&printed);
    println!("{EVENTS} events of {KEYS} keys, {LEFT_ROWS} left rows a day; seconds");
    println!(
        "{:>5} {:>13} {:>8} {:>8}",
        "days", "aggregations", "sql", "naive"
    );
    for days in [1, 30, 180] {
        for aggregations in [1, 10, 50] {
            let time = |kind: &str| {
                let millis = times.get(&format!("{kind}-{days}-{aggregations}"));
                millis.map_or_else(
                    || "-".to_owned(),
                    |millis| format!("{:.1}", *millis / 1000.0),
                )
            };
            println!(
                "{days:>5} {aggregations:>13} {:>8} {:>8}",
                time("sql"),
                time("naive")
            );
        }
    }
    let wrong: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("@differs"))
        .collect();
    assert_eq!(wrong, Vec::<&str>::new());
    let same = printed.lines().filter(|line| line.starts_with("@same"));
    assert_eq!(same.count(), NAIVE.len(), "{printed}");

    println!("30 days, 10 aggregations, {PARTITIONS} tasks a shuffle");
    for (kind, words) in [("", "keys alike"), ("hot_", "one key has half of all rows")] {
        let tasks = tasks(&warehouse, &workspace, kind, &compiled(kind, 30, 10));
        println!("{words}: {}", tasks.text());
        assert!(
            tasks.largest_read * 5 < u64::from(EVENTS),
            "{}",
            tasks.text()
        );
    }
}

/// Tasks of each shuffle where skew is looked at.
const PARTITIONS: &str = "16";

/// The tasks of a script.
#[derive(Default)]
struct Tasks {
    /// Milliseconds of CPU of each task, by stage.
    stages: BTreeMap<u64, Vec<u64>>,
    /// Rows that the task with most of them reads from shuffles.
    largest_read: u64,
}

impl Tasks {
    /// Of the stage with the longest task, of those with at least one task a partition.
    fn text(&self) -> String {
        let partitions: usize = PARTITIONS.parse().unwrap();
        let wide = self
            .stages
            .values()
            .filter(|tasks| tasks.len() >= partitions);
        let longest = wide.max_by_key(|tasks| tasks.iter().max());
        let mut tasks = longest.cloned().unwrap_or_default();
        tasks.sort_unstable();
        format!(
            "longest task {} ms of CPU, median of its stage {} ms; at most {} rows read by one task of a shuffle",
            tasks.last().unwrap_or(&0),
            tasks.get(tasks.len() / 2).unwrap_or(&0),
            self.largest_read
        )
    }
}

/// Runs a script and reads its tasks from Spark's event log.
fn tasks(warehouse: &Warehouse, workspace: &Workspace, kind: &str, script: &str) -> Tasks {
    let folder = workspace.path(&format!("events-{kind}"));
    fs::create_dir_all(&folder).unwrap();
    let conf = [
        ("spark.sql.shuffle.partitions", PARTITIONS),
        ("spark.sql.adaptive.coalescePartitions.enabled", "false"),
        ("spark.eventLog.enabled", "true"),
        ("spark.eventLog.dir", folder.to_str().unwrap()),
    ];
    warehouse.printed_with(script, &conf);
    let log = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    let mut tasks = Tasks::default();
    for line in fs::read_to_string(log.path()).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["Event"] != "SparkListenerTaskEnd" {
            continue;
        }
        let metrics = &event["Task Metrics"];
        let stage = tasks.stages.entry(event["Stage ID"].as_u64().unwrap());
        let time = metrics["Executor CPU Time"].as_u64().unwrap();
        stage.or_default().push(time / 1_000_000);
        let read = &metrics["Shuffle Read Metrics"]["Total Records Read"];
        tasks.largest_read = tasks.largest_read.max(read.as_u64().unwrap());
    }
    tasks
}

fn range(days: i32) -> PartitionRange {
    let first: Ds = FIRST.parse().unwrap();
    let last = first.plus(i32::try_from(DAYS).unwrap() - 1);
    PartitionRange::new(last.plus(1 - days), last).unwrap()
}

/// Events and requests, each spread over keys and days; once evenly, once with half of the rows
/// on one key.
fn data() -> String {
    let day = |ts: &str| {
        format!("CAST(DATE_FROM_UNIX_DATE(CAST(FLOOR({ts} / 86400000) AS INT)) AS STRING) AS ds")
    };
    let start = format!("UNIX_DATE(DATE'{FIRST}') * 86400000L");
    let spread = format!("PMOD(HASH(id, 7), {DAYS}L * 86400000L / 1000) * 1000");
    let table = |name: &str, rows: String, key: &str, columns: &str| {
        format!(
            "CREATE TABLE lake.{name} STORED AS PARQUET PARTITIONED BY (ds) AS\n\
             SELECT /*+ REPARTITION(2, ds) */ {key} AS user, {columns}, ts, {}\n\
             FROM (SELECT id, {start} + {spread} AS ts FROM RANGE({rows}));\n",
            day("ts")
        )
    };
    let even = format!("PMOD(HASH(id, 1), {KEYS})");
    let hot = format!("IF(id % 2 = 0, 0, {even})");
    let requests = i64::from(LEFT_ROWS) * DAYS;
    let mut script =
        "CREATE DATABASE lake;\nSET hive.exec.dynamic.partition.mode=nonstrict;\n".to_owned();
    for (prefix, key) in [("", &even), ("hot_", &hot)] {
        script += &table(
            &format!("{prefix}events"),
            EVENTS.to_string(),
            key,
            "CAST(PMOD(HASH(id, 3), 400) AS DOUBLE) / 4 AS price",
        );
        script += &table(
            &format!("{prefix}requests"),
            requests.to_string(),
            key,
            "id AS request",
        );
    }
    script
}

/// Operations of Chronon, and how a hand-written query does them.
const OPERATIONS: [(i32, &str); 5] = [(7, "sum"), (6, "count"), (8, "avg"), (0, "min"), (1, "max")];
/// Lengths in days.
const WINDOWS: [i64; 10] = [30, 7, 1, 2, 3, 14, 21, 60, 90, 180];

/// How many operations and windows make so many aggregations.
fn shape(aggregations: usize) -> (&'static [(i32, &'static str)], &'static [i64]) {
    match aggregations {
        1 => (&OPERATIONS[..1], &WINDOWS[..1]),
        10 => (&OPERATIONS, &WINDOWS[..2]),
        _ => (&OPERATIONS, &WINDOWS),
    }
}

fn name(kind: &str, days: i32, aggregations: usize) -> String {
    format!("{kind}{days}_{aggregations}")
}

fn join(kind: &str, days: i32, aggregations: usize) -> Join {
    let meta = |name: &str| json!({ "name": format!("cost.{name}"), "outputNamespace": "out", "team": "cost", "online": 0, "production": 0 });
    let source = |table: &str, columns: &[&str]| {
        let selects: BTreeMap<&str, &str> = columns.iter().map(|name| (*name, *name)).collect();
        json!({ "events": { "table": format!("lake.{kind}{table}"), "query": { "selects": selects, "timeColumn": "ts", "setups": [] } } })
    };
    let (operations, windows) = shape(aggregations);
    let windows: Vec<_> = windows
        .iter()
        .map(|days| json!({ "length": days, "timeUnit": 1 }))
        .collect();
    let aggregations_of = operations.iter().map(|(number, _)| {
        json!({ "inputColumn": "price", "operation": number, "argMap": {}, "windows": windows })
    });
    let group_by = json!({
        "metaData": meta("prices"),
        "sources": [source("events", &["user", "price"])],
        "keyColumns": ["user"],
        "aggregations": aggregations_of.collect::<Vec<_>>(),
        "accuracy": 0,
    });
    let join = json!({
        "metaData": meta(&name(kind, days, aggregations)),
        "left": source("requests", &["user", "request"]),
        "joinParts": [{ "groupBy": group_by }],
    });
    serde_json::from_value(join).unwrap()
}

/// The range join of every request with all earlier events of its user.
fn naive(days: i32, aggregations: usize) -> String {
    let (operations, windows) = shape(aggregations);
    let mut features = Vec::new();
    for (_, operation) in operations {
        for window in windows {
            // The engine's hops: a window begins at a whole hour or day.
            let hop = if *window < 12 { 3_600_000 } else { 86_400_000 };
            let lower = format!("q.ts - PMOD(q.ts, {hop}) - {window} * 86400000L");
            features.push(format!(
                "{operation}(IF(e.ts >= {lower}, e.price, NULL)) AS price_{operation}_{window}d"
            ));
        }
    }
    let PartitionRange { start, end } = range(days);
    format!(
        "CREATE TABLE out.{} STORED AS PARQUET AS\n\
         SELECT q.user, q.ts, q.request, {}\n\
         FROM lake.requests q LEFT JOIN lake.events e ON q.user = e.user AND e.ts < q.ts\n\
         WHERE q.ds >= '{start}' AND q.ds <= '{end}'\n\
         GROUP BY q.user, q.ts, q.request;\n",
        name("naive", days, aggregations),
        features.join(", ")
    )
}

/// Compares the first feature of all rows.
fn check(days: i32, aggregations: usize) -> String {
    let sum = |table: &str, column: &str| {
        format!("(SELECT SUM({column} * (request % 97)) FROM out.{table})")
    };
    format!(
        "SELECT IF({} = {}, '@same', '@differs {days} {aggregations}');\n",
        sum(
            &format!("cost_{}", name("", days, aggregations)),
            "cost_prices_price_sum_30d"
        ),
        sum(&name("naive", days, aggregations), "price_sum_30d"),
    )
}

/// Milliseconds between the two marks of each cell.
fn times(printed: &str) -> BTreeMap<String, f64> {
    let mut begun = BTreeMap::new();
    let mut times = BTreeMap::new();
    for line in printed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["@begin", name, at] => _ = begun.insert(*name, at.parse::<f64>().unwrap()),
            ["@end", name, at] => {
                let took = at.parse::<f64>().unwrap() - begun[name];
                times.insert((*name).to_owned(), took);
            }
            _ => {}
        }
    }
    times
}
