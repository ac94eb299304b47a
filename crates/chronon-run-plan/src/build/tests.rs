//! Which tables become the inputs of staging queries.

use std::path::Path;

use super::*;

/// A staging query that fills `lake.<name>` and declares these dependencies.
fn query(name: &str, sql: &str, dependencies: &[&str], view: bool) -> StagingQuery {
    let text = serde_json::json!({
        "metaData": {
            "name": format!("t.{name}"),
            "team": "t",
            "outputNamespace": "lake",
            "dependencies": dependencies,
        },
        "query": sql,
        "startPartition": "2026-01-01",
        "createView": view,
    });
    serde_json::from_value(text).unwrap()
}

fn build(queries: &[StagingQuery]) -> Graph {
    let view = |conf| ConfView {
        path: Path::new("production/staging_queries/t/x"),
        digest: "",
        conf: AnyConf::StagingQuery(conf),
    };
    let views: Vec<ConfView<'_>> = queries.iter().map(view).collect();
    let (graph, findings) = Graph::build(&views, &BuildOptions::default());
    assert_eq!(findings, []);
    graph
}

fn names(inputs: &[Input]) -> Vec<String> {
    let dated = inputs.iter().filter(|input| input.need != Need::Table);
    dated.map(|input| input.spec.table.to_string()).collect()
}

/// The tables waited for and those only read by the asset that fills `lake.t_<name>`.
fn reads(graph: &Graph, name: &str) -> (Vec<String>, Vec<String>) {
    let is_named = |asset: &&Asset| asset.id.conf.name == format!("t.{name}");
    let asset = graph.assets.iter().find(is_named).unwrap();
    (names(&asset.inputs), names(&asset.also_reads))
}

#[test]
fn tables_that_declared_dependencies_leave_out_are_read_without_waiting() {
    let sql = "WITH c AS (SELECT * FROM lake.a) SELECT * FROM c JOIN lake.b JOIN lake.late JOIN tmp \
               JOIN lake.t_q WHERE ds > '{{ max_date(table=lake.n) }}'";
    let declared = ["lake.a/ds={{ ds }}", "lake.late"];
    let mut conf = query("q", sql, &declared, false);
    conf.setups = Some(vec!["CREATE TEMPORARY VIEW tmp AS SELECT 1".to_owned()]);
    let graph = build(&[conf]);
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        reads(&graph, "q"),
        (owned(&["lake.a"]), owned(&["lake.b", "lake.late"]))
    );
    assert!(graph.assets[0].also_reads.iter().all(|input| !input.gates));
    // Declared days of an earlier day count, and a query without dependencies waits for what it reads.
    let graph = build(&[
        query(
            "y",
            "SELECT * FROM lake.a",
            &["lake.a/ds={{ yesterday_ds }}"],
            false,
        ),
        query("z", "SELECT * FROM lake.a", &[], false),
    ]);
    assert_eq!(reads(&graph, "y"), (owned(&["lake.a"]), Vec::new()));
    assert_eq!(reads(&graph, "z"), (owned(&["lake.a"]), Vec::new()));
}

#[test]
fn what_is_read_without_waiting_orders_nothing_and_never_comes_from_the_readers_output() {
    let signal = ["lake.signal/ds={{ ds }}"];
    let graph = build(&[
        // Each reads what the other fills; neither waits.
        query("one", "SELECT * FROM lake.t_two", &signal, false),
        query("two", "SELECT * FROM lake.t_one", &signal, false),
        query(
            "view",
            "SELECT * FROM lake.base JOIN lake.t_view",
            &signal,
            true,
        ),
        query("reader", "SELECT * FROM lake.t_view", &signal, false),
    ]);
    let read: Vec<String> = ["one", "two"]
        .iter()
        .flat_map(|name| reads(&graph, name).1)
        .collect();
    assert_eq!(read.len(), 1, "{read:?}");
    assert!(graph.readers.iter().all(BTreeSet::is_empty));
    assert_eq!(reads(&graph, "view").1, ["lake.base"]);
    assert_eq!(reads(&graph, "reader").1, ["lake.signal"]);
}
