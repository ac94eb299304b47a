//! What bootstraps and external sources add to left rows, as `Join.computeBootstrapTable` does it.

use chronon_run_conf::Join;
use chronon_run_core::{
    AssetKind, CatalogSnapshot, Column, PartitionRange, TableInfo, TableName, TableState,
};
use serde_json::{Value, json};

use super::{Conf, Refusal, Request, compile};

/// A join with a ready value `a` of its only part, and these external sources.
fn join(selects: Value, ready: Value, external: Value) -> Join {
    let query = |selects: Value| json!({ "selects": selects, "setups": [], "timeColumn": "ts", "startPartition": "2026-01-01" });
    let group_by = json!({ "metaData": { "name": "t.g" }, "keyColumns": ["k"], "accuracy": 1,
        "sources": [{ "events": { "table": "s.events", "query": query(json!({ "k": "k", "v": "v" })) } }],
        "aggregations": [{ "inputColumn": "v", "operation": 6, "argMap": {} }] });
    let conf = json!({ "metaData": { "name": "t.j", "outputNamespace": "o" }, "rowIds": ["id"],
        "left": { "events": { "table": "s.left", "query": query(selects) } },
        "joinParts": [{ "groupBy": group_by }], "onlineExternalParts": external,
        "bootstrapParts": [{ "table": "s.ready", "query": { "selects": ready, "setups": [] } }] });
    serde_json::from_value(conf).unwrap()
}

fn catalog() -> CatalogSnapshot {
    let column = |(name, kind): &(&str, &str)| Column {
        name: (*name).to_owned(),
        data_type: (*kind).to_owned(),
    };
    let table = |columns: &[(&str, &str)]| {
        let info = TableInfo {
            columns: columns.iter().map(column).collect(),
            partition_columns: vec![column(&("ds", "string"))],
            ..TableInfo::default()
        };
        Some(TableState {
            info,
            ..TableState::default()
        })
    };
    let mut tables = CatalogSnapshot::default();
    for (name, columns) in [
        (
            "s.events",
            &[("k", "string"), ("v", "int"), ("ts", "bigint")][..],
        ),
        (
            "s.left",
            &[
                ("id", "string"),
                ("k", "string"),
                ("x", "int"),
                ("ts", "bigint"),
            ],
        ),
        (
            "s.ready",
            &[("id", "string"), ("b", "bigint"), ("c", "int")],
        ),
    ] {
        tables
            .tables
            .insert(name.parse::<TableName>().unwrap(), table(columns));
    }
    tables
}

fn script(conf: &Join) -> String {
    made(conf, &catalog()).unwrap()
}

fn made(conf: &Join, tables: &CatalogSnapshot) -> Result<String, Vec<Refusal>> {
    let day = |text: &str| text.parse().unwrap();
    let request = Request {
        conf: Conf::Join(conf),
        mode: &AssetKind::Backfill,
        range: PartitionRange::new(day("2026-01-05"), day("2026-01-08")).unwrap(),
        latest_date: day("2026-01-08"),
        partition_column: "ds",
        tables,
    };
    compile(&request)
}

/// The schemas of an external source whose keys and values are one column of type int.
fn external(name: &str, key: &str, value: &str) -> Value {
    let schema =
        |name: &str| json!({ "kind": 13, "params": [{ "name": name, "dataType": { "kind": 3 } }] });
    json!([{ "source": { "metadata": { "name": name }, "keySchema": schema(key), "valueSchema": schema(value) } }])
}

/// Both are the left's own value, or that of a bootstrap where the left has none.
#[test]
fn a_contextual_feature_and_its_column_have_one_value() {
    let selects = json!({ "id": "id", "k": "k", "x": "x" });
    let ready = json!({ "id": "id", "ext_contextual_x": "c" });
    let script = script(&join(selects, ready, external("contextual", "x", "x")));
    let both = "COALESCE(l.x, b1.ext_contextual_x)";
    assert!(script.contains(&format!("{both} AS x,")), "{script}");
    assert!(
        script.contains(&format!("{both} AS ext_contextual_x")),
        "{script}"
    );
}

/// The engine pads it with NULL (`padExternalFields`), and it is a column of the output.
#[test]
fn a_key_of_an_external_source_that_the_left_lacks_is_null() {
    let ready = json!({ "id": "id", "t_g_v_count": "b" });
    let of_key = |key: &str| {
        let selects = json!({ "id": "id", "k": "k" });
        script(&join(
            selects,
            ready.clone(),
            external("scores", key, "risk"),
        ))
    };
    let lacking = of_key("elsewhere");
    assert!(
        lacking.contains("CAST(NULL AS INT) AS elsewhere"),
        "{lacking}"
    );
    assert!(lacking.contains("l.elsewhere"), "{lacking}");
    let known = of_key("k");
    assert!(!known.contains("AS INT) AS k"), "{known}");
}

/// Days on which every row has its values ready have no partition in the part's table.
#[test]
fn a_part_is_computed_for_the_days_of_rows_that_lack_something() {
    let selects = json!({ "id": "id", "k": "k" });
    let ready = json!({ "id": "id", "t_g_v_count": "b" });
    let mut conf = join(selects, ready, json!([]));
    let with = script(&conf);
    let days = "MIN(ts_ds) AS first_ds, MAX(ts_ds) AS last_ds FROM left_rows WHERE NOT";
    assert!(with.contains(days), "{with}");
    assert!(with.contains("FROM left_days_of_part_1)"), "{with}");
    conf.bootstrap_parts = None;
    let without = script(&conf);
    assert!(!without.contains("left_days_of_part"), "{without}");
}

/// It marks the rows that it matches, and has no values for them.
#[test]
fn a_bootstrap_of_keys_alone_is_made() {
    let selects = json!({ "id": "id", "k": "k" });
    let script = script(&join(selects, json!({ "id": "id" }), json!([])));
    assert!(script.contains("LEFT JOIN bootstrap_1 b1 ON"), "{script}");
}

/// `bootstrap_from_log`: the Driver makes it, by the schema of each row.
#[test]
fn a_log_as_bootstrap_is_refused_unless_features_are_selected() {
    let selects = json!({ "id": "id", "k": "k" });
    let mut conf = join(
        selects,
        json!({ "id": "id", "t_g_v_count": "b" }),
        json!([]),
    );
    let mut tables = catalog();
    let ready = tables
        .tables
        .get_mut(&"s.ready".parse::<TableName>().unwrap());
    let info = &mut ready.unwrap().as_mut().unwrap().info;
    info.properties
        .insert("chronon_log_table".to_owned(), "true".to_owned());
    assert!(made(&conf, &tables).is_ok());
    conf.bootstrap_parts.as_mut().unwrap()[0].query = None;
    let refused = made(&conf, &tables).unwrap_err();
    assert_eq!(refused[0].field, "bootstrapParts[0].table");
    assert!(
        refused[0].why.ends_with("use engine kind = \"chronon\""),
        "{refused:?}"
    );
    assert!(
        !refused[0].why.contains("the Driver fails too"),
        "{refused:?}"
    );
}
