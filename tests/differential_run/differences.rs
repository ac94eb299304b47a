//! The documented differences between the `sql` engine and the Driver, one by one, in one run of Spark.
//! Every row of "Approximations" in docs/sql-engine.md is asserted here or names the test that does.

use std::{collections::BTreeSet, fs};

use chronon_run_core::TableName;
use serde_json::{Value, json};

use crate::{
    support::{Workspace, repository},
    tables,
};

/// 2026-04-01.
const D1: i64 = 20_544 * 86_400_000;
const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;

/// Rows of "Approximations", and where they are tested: `here`, or a test of this name in this file.
const TESTED: [(&str, &str); 11] = [
    ("APPROX_UNIQUE_COUNT", "here"),
    ("APPROX_PERCENTILE", "here"),
    ("APPROX_HISTOGRAM_K", "here"),
    ("consistency and statistics percentiles", "here"),
    (
        "AVERAGE, VARIANCE, SKEW, KURTOSIS",
        "crates/chronon-run-testkit/src/golden/tests.rs: order_last_bits_and_widened_singles_do_not_count",
    ),
    ("HISTOGRAM with k", "here"),
    ("NaN in TOP_K, BOTTOM_K", "here"),
    (
        "BOUNDED_UNIQUE_COUNT in the partial results of an upload",
        "here",
    ),
    (
        "order of a map's entries",
        "tests/golden_run/main.rs: every_table_is_what_the_real_engine_wrote",
    ),
    (
        "sets and lists in `_daily_inc` tables and in partial results of uploads",
        "tests/golden_run/main.rs: every_table_is_what_the_real_engine_wrote",
    ),
    ("ties in time", "here"),
];

#[test]
fn documented_differences_are_as_documented() {
    let workspace = workspace();
    let run = |day: &str, selectors: &[&str]| {
        let mut args = vec!["materialize", "--as-of", day];
        args.extend(selectors);
        workspace.run(&args).expect(0);
    };
    let joins = [
        "join/diff.train.v1/backfill",
        "join/diff.train.v1/stats-summary",
    ];
    run("2026-04-02", &joins);
    let all = [
        &joins[..],
        &[
            "group_by/diff.odd.v1/backfill",
            "group_by/diff.pair.v1/backfill",
            "group_by/diff.served.v1/upload",
            "join/diff.labelled.v1/backfill",
            "join/diff.labelled.v1/label-join",
        ],
    ]
    .concat();
    run("2026-04-03", &all);
    let found = Found::of(&workspace);
    approximations(&found);
    right_where_the_driver_is_not(&found);
    statistics(&found);
    uploads(&found);
}

/// The column of a key of `odd` on the day of its rows.
fn approximations(found: &Found) {
    let odd =
        |key: &str, column: &str| found.cell("odd_v1", &[("k", key), ("ds", "2026-04-01")], column);
    // APPROX_UNIQUE_COUNT: a CPC sketch of 2^8 rows is 3.7 % off in one case of three.
    assert_eq!(odd("many", "i_approx_unique_count"), json!(3000));
    // An empty string is not counted.
    assert_eq!(odd("blank", "w_approx_unique_count"), json!(1));
    // APPROX_PERCENTILE: a KLL sketch holds about 128 of the 3000 values.
    assert_eq!(odd("many", "i_approx_percentile"), json!([1500.0, 2970.0]));
    // APPROX_HISTOGRAM_K: 61 values, k = 2.
    assert_eq!(
        odd("many", "w_approx_histogram_k"),
        json!({ "top": 60, "w1": 50 })
    );
    // HISTOGRAM with k: of values that are equally frequent, as many as the cut leaves.
    assert_eq!(odd("tie", "w_histogram").as_object().unwrap().len(), 1);
    // NaN is the largest number.
    assert_eq!(odd("nan", "x_top2"), json!(["NaN", 5.0]));
    assert_eq!(odd("nan", "x_bottom2"), json!([1.0, 5.0]));
    // Only empty maps: an empty map, as with the Driver.
    assert_eq!(odd("empty", "m_sum"), json!({}));
    // Ties: the smallest value of equal times.
    assert_eq!(odd("tie", "v_first"), json!(1.0));
    assert_eq!(odd("tie", "v_last"), json!(1.0));
    assert_eq!(odd("tie", "v_last1"), json!([1.0]));
}

fn right_where_the_driver_is_not(found: &Found) {
    // Letters in sequence: (ab, c) and (a, bc) are two keys.
    let pair = |k: &str, n: &str| {
        found.cell(
            "pair_v1",
            &[("k", k), ("n", n), ("ds", "2026-04-01")],
            "i_count",
        )
    };
    assert_eq!((pair("ab", "c"), pair("a", "bc")), (json!(1), json!(2)));
    let train = |id: &str, column: &str| found.cell("train_v1", &[("id", id)], column);
    // A backslash in a key is a character.
    assert_eq!(train("slash", "diff_odd_v1_v_first"), json!(8.0));
    // One instant in two left partitions has values in both.
    assert_eq!(train("twin1", "diff_now_v1_i_count_7d"), json!(2));
    assert_eq!(train("twin2", "diff_now_v1_i_count_7d"), json!(2));
    // An early left row of the first run, and the other keys of its day in the second.
    assert_eq!(train("early", "diff_odd_v1_v_first"), json!(1.0));
    assert_eq!(train("ontime", "diff_odd_v1_v_first"), json!(5.0));
    // A label whose key is no row id.
    let label = found.cell(
        "labelled_v1_labeled_latest",
        &[("id", "slash")],
        "label_diff_dim_v1_a",
    );
    assert_eq!(label, json!(3));
}

/// Hours of more rows than a sketch holds, and late rows of a second run.
fn statistics(found: &Found) {
    let hour = (D1 + DAY).to_string();
    let stats = |column: &str| found.cell("train_v1_daily_stats", &[("ts", &hour)], column);
    // 1000 rows in one hour, of two runs: 998 of the first, two late ones of the second.
    assert_eq!(stats("total_count"), json!(1000));
    assert_eq!(stats("price__null_sum"), json!(0));
    let percentiles = stats("price_approx_percentile_finalized");
    assert_eq!(
        (&percentiles["0.5"], &percentiles["0.99"]),
        (&json!("500.0"), &json!("990.0"))
    );
    assert_eq!(percentiles.as_object().unwrap().len(), 21);
}

fn uploads(found: &Found) {
    let key = "{\"k\":\"many\"}";
    let value = found.cell("served_v1_upload", &[("key_json", key)], "value_json");
    let value = value.as_str().unwrap();
    // Values of smallint, with which the Driver's upload fails.
    assert!(value.contains("\"s_max_7d\":7"), "{value}");
    // A full set of numbers keeps its values; one of texts leaves the marker.
    let sets: Value = serde_json::from_str(value).unwrap();
    let sets = &sets["collapsedIr"];
    assert_eq!(
        sets["i_bounded_unique_count_7d"].as_array().unwrap().len(),
        2,
        "{value}"
    );
    assert_eq!(
        sets["w_bounded_unique_count_7d"],
        json!(["__SENTINEL__"]),
        "{value}"
    );
}

/// Every row of the table is tested, and nothing else claims to be one.
#[test]
fn every_documented_approximation_is_tested() {
    let text = fs::read_to_string(repository().join("docs/sql-engine.md")).unwrap();
    let section = text.split("## Approximations").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let rows: BTreeSet<&str> = rows.filter(|row| *row != "operation").collect();
    let tested: BTreeSet<&str> = TESTED.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, tested);
    for (row, test) in TESTED.iter().filter(|(_, test)| *test != "here") {
        let (file, name) = test.split_once(": ").unwrap();
        let code = fs::read_to_string(repository().join(file)).unwrap();
        assert!(code.contains(&format!("fn {name}()")), "{row}: {test}");
    }
}

/// All tables that are looked at.
struct Found(std::collections::BTreeMap<TableName, tables::Found>);

impl Found {
    fn of(workspace: &Workspace) -> Self {
        let names = [
            "odd_v1",
            "pair_v1",
            "train_v1",
            "train_v1_daily_stats",
            "served_v1_upload",
            "labelled_v1_labeled_latest",
        ];
        let names: Vec<TableName> = names
            .iter()
            .map(|name| format!("diff.diff_{name}").parse().unwrap())
            .collect();
        Self(tables::read(workspace, &names))
    }

    /// The value of a column in the one row with these values.
    fn cell(&self, table: &str, place: &[(&str, &str)], column: &str) -> Value {
        let name: TableName = format!("diff.diff_{table}").parse().unwrap();
        let content = &self.0[&name].content;
        let at = |column: &str| {
            let mut names = content.columns.iter();
            names
                .position(|(name, _)| name == column)
                .unwrap_or_else(|| panic!("{table} has no {column}"))
        };
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let rows = content.rows.iter().flatten();
        let rows: Vec<_> = rows
            .filter(|row| {
                place
                    .iter()
                    .all(|(name, value)| text(&row[at(name)]) == *value)
            })
            .collect();
        assert_eq!(rows.len(), 1, "{table} {place:?}");
        rows[0][at(column)].clone()
    }
}

fn meta(name: &str) -> Value {
    json!({ "name": format!("diff.{name}.v1"), "team": "diff", "outputNamespace": "diff", "online": 1 })
}

fn events(name: &str, accuracy: u8, keys: &[&str], aggregations: Value) -> Value {
    let selects = json!({ "k": "k", "n": "n", "v": "v", "i": "i", "s": "s", "w": "w", "m": "m",
        "x": "IF(w = 'nan', CAST('NaN' AS DOUBLE), v)" });
    json!({
        "metaData": meta(name), "keyColumns": keys, "accuracy": accuracy, "aggregations": aggregations,
        "backfillStartDate": "2026-04-01",
        "sources": [{ "events": { "table": "src.events", "query": { "selects": selects, "timeColumn": "ts",
            "startPartition": "2026-04-01", "setups": [] } } }],
    })
}

fn one(input: &str, operation: u8, arguments: Value) -> Value {
    json!({ "inputColumn": input, "operation": operation, "argMap": arguments })
}

fn week(input: &str, operation: u8, arguments: Value) -> Value {
    let mut found = one(input, operation, arguments);
    found["windows"] = json!([{ "length": 7, "timeUnit": 1 }]);
    found
}

fn workspace() -> Workspace {
    let mut workspace = Workspace::empty();
    workspace.keeps_spark();
    let conf = |folder: &str, conf: &Value| {
        let name = conf["metaData"]["name"]
            .as_str()
            .unwrap()
            .strip_prefix("diff.")
            .unwrap();
        workspace.write(
            &format!("production/{folder}/diff/{name}"),
            &conf.to_string(),
        );
    };
    let none = || json!({});
    let k = |k: &str| json!({ "k": k });
    let odd = events(
        "odd",
        1,
        &["k"],
        json!([
            one("i", 5, none()),
            one("i", 12, json!({ "percentiles": "[0.5, 0.99]" })),
            one("w", 5, none()),
            one("w", 18, k("2")),
            one("w", 17, k("1")),
            one("x", 15, k("2")),
            one("x", 16, k("2")),
            one("m", 7, none()),
            one("v", 2, none()),
            one("v", 3, none()),
            one("v", 13, k("1")),
        ]),
    );
    let pair = events("pair", 1, &["k", "n"], json!([one("i", 6, none())]));
    let now = events("now", 0, &["k"], json!([week("i", 6, none())]));
    let served = events(
        "served",
        0,
        &["k"],
        json!([
            week("s", 1, none()),
            week("i", 19, k("2")),
            week("w", 19, k("2")),
        ]),
    );
    let dim = json!({ "metaData": meta("dim"), "keyColumns": ["k"], "accuracy": 1,
        "sources": [{ "entities": { "snapshotTable": "src.dim", "query": { "selects": { "k": "k", "a": "a" },
            "startPartition": "2026-04-01", "setups": [] } } }] });
    let left = json!({ "events": { "table": "src.left", "query": { "selects": { "id": "id", "k": "k", "price": "price" },
        "timeColumn": "ts", "startPartition": "2026-04-02", "setups": [] } } });
    for group_by in [&odd, &pair, &served] {
        conf("group_bys", group_by);
    }
    conf(
        "joins",
        &json!({ "metaData": meta("train"), "left": left,
        "joinParts": [{ "groupBy": odd }, { "groupBy": now }] }),
    );
    conf(
        "joins",
        &json!({ "metaData": meta("labelled"), "left": left, "joinParts": [{ "groupBy": now }],
        "rowIds": ["id"], "labelPart": { "leftStartOffset": 1, "leftEndOffset": 1, "labels": [{ "groupBy": dim }] } }),
    );
    workspace.write(
        "teams.json",
        "{\"default\": {\"namespace\": \"diff\"}, \"diff\": {\"namespace\": \"diff\"}}",
    );
    workspace.write("workspace.toml", TOML);
    write_rows(&workspace);
    workspace
}

fn write_rows(workspace: &Workspace) {
    let lines =
        |rows: Vec<Value>| -> String { rows.iter().map(|row| format!("{row}\n")).collect() };
    let event = |k: &str, at: i64| json!({ "k": k, "ts": D1 + at * MINUTE, "ds": "2026-04-01" });
    let with = |mut row: Value, more: Value| {
        let more = more.as_object().unwrap().clone();
        row.as_object_mut().unwrap().extend(more);
        row
    };
    let mut events: Vec<Value> = (0..3000)
        .map(|i| {
            let w = match i {
                0..60 => "top".to_owned(),
                60..110 => "w1".to_owned(),
                _ => format!("w{}", 2 + i % 100),
            };
            with(event("many", i / 10), json!({ "i": i, "s": i % 8, "w": w }))
        })
        .collect();
    events.extend([
        with(event("nan", 1), json!({ "v": 1.0 })),
        with(event("nan", 2), json!({ "v": 9.0, "w": "nan" })),
        with(event("nan", 3), json!({ "v": 5.0 })),
        with(event("blank", 1), json!({ "w": "" })),
        with(event("blank", 2), json!({ "w": "a" })),
        with(event("empty", 1), json!({ "v": 1.0, "m": {} })),
        with(event("tie", 1), json!({ "v": 2.0, "w": "b" })),
        with(event("tie", 1), json!({ "v": 1.0, "w": "a" })),
        with(event("ab", 1), json!({ "n": "c", "i": 1 })),
        with(event("a", 1), json!({ "n": "bc", "i": 1 })),
        with(event("a", 2), json!({ "n": "bc", "i": 2 })),
        with(event("b\\", 1), json!({ "v": 8.0 })),
    ]);
    // The second day's own event of the keys of early and of other rows.
    let second =
        |k: &str, v: f64| json!({ "k": k, "v": v, "ts": D1 + DAY + MINUTE, "ds": "2026-04-02" });
    events.extend([second("early", 1.0), second("ontime", 5.0)]);
    events.push(json!({ "ts": D1 + 2 * DAY, "ds": "2026-04-03" }));
    workspace.write("data/events.json", &lines(events));
    let left = |id: &str, k: &str, price: i64, at: i64, ds: &str| json!({ "id": id, "k": k, "price": price as f64, "ts": D1 + at, "ds": ds });
    let mut rows: Vec<Value> = (0..994)
        .map(|n| left(&format!("n{n}"), "none", n, DAY + n, "2026-04-02"))
        .collect();
    rows.extend([
        left("twin1", "a", 994, DAY + 5 * MINUTE, "2026-04-02"),
        left("more", "x", 995, DAY + MINUTE, "2026-04-02"),
        left("more2", "x", 996, DAY + MINUTE, "2026-04-02"),
        left("more3", "x", 997, DAY + MINUTE, "2026-04-02"),
        // Its time is on the next day: the part partition of 04-02 is made for it alone.
        left("early", "early", 0, 2 * DAY + MINUTE, "2026-04-02"),
        left("twin2", "a", 998, DAY + 5 * MINUTE, "2026-04-03"),
        left("late", "x", 999, DAY + MINUTE, "2026-04-03"),
        left("ontime", "ontime", 0, 2 * DAY + MINUTE, "2026-04-03"),
        left("slash", "b\\", 0, 2 * DAY + MINUTE, "2026-04-03"),
    ]);
    workspace.write("data/left.json", &lines(rows));
    let dim = |ds: &str| json!({ "k": "b\\", "a": 3, "ds": ds });
    workspace.write(
        "data/dim.json",
        &lines(["2026-04-01", "2026-04-02", "2026-04-03"].map(dim).into()),
    );
}

const TOML: &str = r#"
[workspace]
repo = "."
env = "production"
timezone = "UTC"

[engine]
kind = "sql"
master = "local[2]"
keep_spark = "5m"
conf = { "spark.sql.shuffle.partitions" = "1" }

[catalog]
kind = "embedded"

[run]
jobs = 1
retries = 0

[seeds."src.events"]
path = "data/events.json"
columns = { k = "string", n = "string", v = "double", i = "bigint", s = "smallint", w = "string", m = "map<string,int>", ts = "bigint", ds = "string" }
partition_by = ["ds"]

[seeds."src.left"]
path = "data/left.json"
columns = { id = "string", k = "string", price = "double", ts = "bigint", ds = "string" }
partition_by = ["ds"]

[seeds."src.dim"]
path = "data/dim.json"
columns = { k = "string", a = "int", ds = "string" }
partition_by = ["ds"]
"#;
