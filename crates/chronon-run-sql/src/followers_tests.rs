//! Uploads, label joins and consistency, as far as they can be seen in the scripts.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop here"
)]

use chronon_run_conf::{GroupBy, Join};
use chronon_run_core::{
    AssetKind, CatalogSnapshot, Column, PartitionRange, TableInfo, TableName, TableState,
};

use super::{Conf, Request, check, compile};

/// A catalog with these tables: name, then `column type` words, the last is the partition.
fn catalog(tables: &[(&str, &str)]) -> CatalogSnapshot {
    let mut snapshot = CatalogSnapshot::default();
    for (name, columns) in tables {
        let mut columns: Vec<Column> = columns
            .split(", ")
            .map(|column| {
                let (name, data_type) = column.split_once(' ').unwrap();
                Column {
                    name: name.to_owned(),
                    data_type: data_type.to_owned(),
                }
            })
            .collect();
        let partition = columns.pop().unwrap();
        let info = TableInfo {
            columns,
            partition_columns: vec![partition],
            ..TableInfo::default()
        };
        let state = TableState {
            info,
            ..TableState::default()
        };
        let name: TableName = name.parse().unwrap();
        snapshot.tables.insert(name, Some(state));
    }
    snapshot
}

fn script(conf: Conf<'_>, step: &AssetKind, tables: &CatalogSnapshot) -> String {
    let day = "2026-01-03".parse().unwrap();
    let request = Request {
        conf,
        mode: step,
        range: PartitionRange::new(day, day).unwrap(),
        latest_date: day,
        partition_column: "ds",
        tables,
    };
    compile(&request).unwrap()
}

fn fields(conf: Conf<'_>, step: &AssetKind) -> Vec<String> {
    let refusals = check(conf, step).into_iter();
    refusals.map(|refusal| refusal.field).collect()
}

fn group_by(accuracy: u8, windows: &str) -> GroupBy {
    let text = format!(
        r#"{{"metaData": {{"name": "shop.buys.v1", "team": "shop", "outputNamespace": "out", "online": 1}},
        "sources": [{{"events": {{"table": "in.buys", "query": {{"selects": {{"user": "user", "price": "price"}}, "timeColumn": "ts", "startPartition": "2026-01-01", "setups": []}}}}}}],
        "keyColumns": ["user"], "accuracy": {accuracy},
        "aggregations": [{{"inputColumn": "price", "operation": 8, "windows": [{windows}]}}]}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn join(row_ids: &str, label_accuracy: u8) -> Join {
    let day = r#"{"length": 3, "timeUnit": 1}"#;
    let embedded = |name: &str, accuracy: u8| {
        format!(
            r#"{{"groupBy": {{"metaData": {{"name": "shop.{name}.v1", "team": "shop"}},
            "sources": [{{"events": {{"table": "in.buys", "query": {{"selects": {{"user": "user", "price": "price"}}, "timeColumn": "ts", "setups": []}}}}}}],
            "keyColumns": ["user"], "accuracy": {accuracy},
            "aggregations": [{{"inputColumn": "price", "operation": 7, "windows": [{day}]}}]}}}}"#
        )
    };
    let text = format!(
        r#"{{"metaData": {{"name": "shop.train.v1", "team": "shop", "outputNamespace": "out", "samplePercent": 100.0, "consistencySamplePercent": 50.0}},
        "left": {{"events": {{"table": "in.views", "query": {{"selects": {{"view": "view", "user": "user"}}, "timeColumn": "ts", "startPartition": "2026-01-01", "setups": []}}}}}},
        "joinParts": [{}], "rowIds": [{row_ids}],
        "labelPart": {{"labels": [{}], "leftStartOffset": 3, "leftEndOffset": 2}}}}"#,
        embedded("buys", 1),
        embedded("later", label_accuracy),
    );
    serde_json::from_str(&text).unwrap()
}

const BUYS: (&str, &str) = ("in.buys", "user string, price float, ts bigint, ds string");
const VIEWS: (&str, &str) = ("in.views", "view string, user string, ts bigint, ds string");

#[test]
fn an_upload_of_partial_results_keeps_two_days_of_hops() {
    let conf = group_by(
        0,
        r#"{"length": 3, "timeUnit": 1}, {"length": 1, "timeUnit": 0}"#,
    );
    let sql = script(Conf::GroupBy(&conf), &AssetKind::Upload, &catalog(&[BUYS]));
    let end = 1_767_484_800_000_i64; // 2026-01-04 00:00
    let day = 86_400_000;
    // Three days: the last one is merged as a whole, the two before per hour; strictly after the start.
    let whole = format!("__level = -1 AND ts >= {}L AND ts < {end}L", end - day);
    assert!(sql.contains(&whole), "{sql}");
    let hours = format!("(ts > {}L AND ts < {}L)", end - 3 * day, end - day);
    assert!(sql.contains(&format!("__level = 1 AND ({hours})")), "{sql}");
    // One hour: all of it per five minutes, nothing merged as a whole.
    let minutes = format!("(ts > {}L AND ts < {end}L)", end - 3_600_000);
    assert!(
        sql.contains(&format!("__level = 2 AND ({minutes})")),
        "{sql}"
    );
    assert!(sql.contains("__level = -1 AND false"), "{sql}");
    // Avro allows a name only once in a schema.
    for name in [
        "'sum', ",
        "'sum_REPEATED_NAME_0', ",
        "'count_REPEATED_NAME_1', ",
    ] {
        assert!(sql.contains(name), "{name} {sql}");
    }
    assert!(sql.contains(r#"{"batchEndDate":"2026-01-04""#), "{sql}");
}

#[test]
fn an_upload_of_finished_values() {
    let conf = group_by(1, r#"{"length": 3, "timeUnit": 1}"#);
    let sql = script(Conf::GroupBy(&conf), &AssetKind::Upload, &catalog(&[BUYS]));
    let tail = sql.split("-- keys and values as JSON").nth(1).unwrap();
    insta::assert_snapshot!(tail);
}

#[test]
fn labels_are_joined_to_older_left_rows() {
    let conf = join(r#""view", "user""#, 1);
    let features = (
        "out.shop_train_v1",
        "view string, user string, ts bigint, f double, ds string",
    );
    let tables = catalog(&[BUYS, VIEWS, features]);
    let sql = script(Conf::Join(&conf), &AssetKind::LabelJoin, &tables);
    let words: Vec<&str> = sql.split_whitespace().collect();
    let days = "ds >= '2026-01-01' AND ds <= '2026-01-02'";
    assert!(words.join(" ").contains(days), "{sql}");
    let tail = sql
        .split("-- labelPart: one row per row identifier")
        .nth(1)
        .unwrap();
    insta::assert_snapshot!(tail);
}

#[test]
fn a_label_is_found_by_a_key_that_is_no_row_id() {
    let conf = join(r#""view""#, 1);
    let features = ("out.shop_train_v1", "view string, user string, ds string");
    let tables = catalog(&[BUYS, VIEWS, features]);
    let sql = script(Conf::Join(&conf), &AssetKind::LabelJoin, &tables);
    assert!(sql.contains("SELECT view, ds, user\n"), "{sql}");
    assert!(sql.contains("GROUP BY view, ds\n"), "{sql}");
    assert!(
        sql.contains("SELECT view, shop_later_v1_price_sum_3d, label_ds, ds\n"),
        "{sql}"
    );
}

#[test]
fn a_label_needs_the_join_output() {
    let conf = join(r#""view", "user""#, 1);
    assert!(fields(Conf::Join(&conf), &AssetKind::LabelJoin).is_empty());
    let day = "2026-01-03".parse().unwrap();
    let refused = compile(&Request {
        conf: Conf::Join(&conf),
        mode: &AssetKind::LabelJoin,
        range: PartitionRange::new(day, day).unwrap(),
        latest_date: day,
        partition_column: "ds",
        tables: &catalog(&[BUYS, VIEWS]),
    });
    let why = refused.unwrap_err().pop().unwrap().why;
    assert_eq!(
        why,
        "out.shop_train_v1 does not exist yet; run the join first"
    );
}

#[test]
fn consistency_compares_the_log_with_the_join() {
    let mut conf = join("", 1);
    conf.row_ids = None;
    let logged = (
        "out.shop_train_v1_logged",
        "user string, ts bigint, shop_buys_v1_price_sum_3d double, ds string",
    );
    let tables = catalog(&[BUYS, VIEWS, logged]);
    let sql = script(Conf::Join(&conf), &AssetKind::Consistency, &tables);
    assert!(sql.contains("(RAND() <= 0.5)"), "{sql}");
    assert!(
        sql.contains("-- writes: out.shop_train_v1_comparison_bootstrap"),
        "{sql}"
    );
    let tail = sql
        .split("-- computed and logged rows side by side")
        .nth(1)
        .unwrap();
    insta::assert_snapshot!(tail);
    let found = sql.split("-- what was found\n").nth(1).unwrap();
    insta::assert_snapshot!("findings", found);
}

const OUTPUT: (&str, &str) = (
    "out.shop_train_v1",
    "user string, view string, ts bigint, flag boolean, small tinyint, price double, ds string",
);

#[test]
fn statistics_count_nulls_and_keep_percentiles() {
    let conf = join("", 1);
    let sql = script(
        Conf::Join(&conf),
        &AssetKind::StatsSummary,
        &catalog(&[OUTPUT]),
    );
    insta::assert_snapshot!(sql.split("partitionOverwriteMode").nth(1).unwrap());
}

/// The columns of the log, its own table, and no key of a part.
#[test]
fn statistics_of_a_log_are_in_a_table_of_their_own() {
    let conf = join("", 1);
    let logged = (
        "out.shop_train_v1_logged",
        "user string, ts bigint, price double, ds string",
    );
    let sql = script(
        Conf::Join(&conf),
        &AssetKind::LogSummary,
        &catalog(&[OUTPUT, logged]),
    );
    assert!(
        sql.contains("-- writes: out.shop_train_v1_logged_daily_stats\n"),
        "{sql}"
    );
    assert!(sql.contains("price__null_sum"), "{sql}");
    assert!(!sql.contains("user__null_sum"), "{sql}");
    assert!(!sql.contains("view__null_sum"), "{sql}");
}

/// Without a time of their own, rows are of the beginning of their day.
#[test]
fn statistics_of_entities_have_one_row_per_day() {
    let conf = join("", 1);
    let output = ("out.shop_train_v1", "user string, price double, ds string");
    let sql = script(
        Conf::Join(&conf),
        &AssetKind::StatsSummary,
        &catalog(&[output]),
    );
    assert!(
        sql.contains("UNIX_DATE(CAST(ds AS DATE)) * 86400000L"),
        "{sql}"
    );
    assert!(!sql.contains("summarized_days"), "{sql}");
}

#[test]
fn names_of_statistics_have_the_capitals_that_spark_wrote() {
    let conf = join("", 1);
    let mut tables = catalog(&[(
        "out.shop_train_v1",
        "user string, pricesum double, ds string",
    )]);
    let schema = r#"{"type":"struct","fields":[{"name":"user","type":"string","nullable":true,"metadata":{}},{"name":"priceSum","type":"double","nullable":true,"metadata":{}}]}"#;
    for state in tables.tables.values_mut().flatten() {
        let (one, two) = schema.split_at(40);
        let properties = &mut state.info.properties;
        properties.insert("spark.sql.sources.schema.numParts".into(), "2".into());
        properties.insert("spark.sql.sources.schema.part.0".into(), one.into());
        properties.insert("spark.sql.sources.schema.part.1".into(), two.into());
    }
    let sql = script(Conf::Join(&conf), &AssetKind::StatsSummary, &tables);
    assert!(sql.contains("priceSum__null_sum"), "{sql}");
}

#[test]
fn statistics_need_the_table_that_they_are_of() {
    let conf = join("", 1);
    let day = "2026-01-03".parse().unwrap();
    let refused = |step: AssetKind| {
        let refused = compile(&Request {
            conf: Conf::Join(&conf),
            mode: &step,
            range: PartitionRange::new(day, day).unwrap(),
            latest_date: day,
            partition_column: "ds",
            tables: &CatalogSnapshot::default(),
        });
        refused.unwrap_err().pop().unwrap().why
    };
    assert_eq!(
        refused(AssetKind::StatsSummary),
        "out.shop_train_v1 does not exist yet; run the join first"
    );
    assert_eq!(
        refused(AssetKind::LogSummary),
        "out.shop_train_v1_logged does not exist yet; flatten the log first"
    );
}

#[test]
fn findings_are_read_from_what_the_script_printed() {
    let log = r#"chronon-run-compared {"ds":"2026-01-02","column":"a","compared":2,"equal":1,"different":1,"null_computed":0,"null_logged":0,"distance":"2.5"}
26/01/03 WARN something else
chronon-run-compared {"ds":"2026-01-01","column":"b","compared":1,"equal":0,"different":1,"null_computed":0,"null_logged":0,"distance":"Infinity"}
chronon-run-compared {"ds":"2026-01-01","column":"c","compared":1,"equal":1,"different":0,"null_computed":0,"null_logged":0}
"#;
    let found = super::parse_findings(log);
    let texts: Vec<_> = found
        .iter()
        .map(|found| (found.column.as_str(), found.is_equal(), found.worst))
        .collect();
    let wanted = [
        ("b", false, Some(f64::INFINITY)),
        ("c", true, None),
        ("a", false, Some(2.5)),
    ];
    assert_eq!(texts, wanted);
}

#[test]
fn row_ids_that_are_not_compared_are_refused() {
    let conf = join(r#""view", "user""#, 1);
    let found = fields(Conf::Join(&conf), &AssetKind::Consistency);
    // `view` is not a key of any part, and there is no time.
    assert_eq!(found, ["rowIds", "rowIds"]);
}
