//! From the edit of a conf to a right table, with the `sql` engine on a real Spark.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::{
    support::{Workspace, signal},
    tables::Warehouse,
};

const GROUP_BY: &str = "production/group_bys/shop/spend.v1";
const QUERY: &str = "production/staging_queries/shop/clean.v1";

const SUM: u32 = 7;
const AVERAGE: u32 = 8;

fn aggregations(operations: &[u32]) -> Value {
    let window = json!([{"length": 7, "timeUnit": 1}]);
    let one = |operation: &u32| json!({"inputColumn": "amount", "operation": operation, "argMap": {}, "windows": window});
    operations.iter().map(one).collect()
}

fn write_group_by(workspace: &Workspace, operations: &[u32]) {
    let query = json!({"selects": {"user": "user", "amount": "amount"}, "startPartition": "2026-01-01", "timeColumn": "ts", "setups": []});
    let conf = json!({
        "metaData": {"name": "shop.spend.v1", "outputNamespace": "shop_out", "team": "shop"},
        "sources": [{"events": {"table": "src.events", "query": query, "isCumulative": 0}}],
        "keyColumns": ["user"],
        "aggregations": aggregations(operations),
        "accuracy": 1,
        "backfillStartDate": "2026-01-01",
    });
    workspace.write(GROUP_BY, &conf.to_string());
}

fn write_query(workspace: &Workspace, amount: &str) {
    let dependency = json!({"name": "wait", "spec": "src.events/ds={{ ds }}", "start": "2026-01-01", "end": null});
    let conf = json!({
        "metaData": {"name": "shop.clean.v1", "outputNamespace": "shop_out", "team": "shop", "dependencies": [dependency.to_string()]},
        "query": format!("SELECT user, {amount} AS amount, ds FROM src.events WHERE ds BETWEEN '{{{{ start_date }}}}' AND '{{{{ end_date }}}}'"),
        "startPartition": "2026-01-01",
        "setups": [],
    });
    workspace.write(QUERY, &conf.to_string());
}

fn workspace() -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("teams.json", r#"{"default": {}, "shop": {}}"#);
    workspace.write(
        "data/events.csv",
        "user,amount,ts,ds\nu1,10,1767229200000,2026-01-01\nu1,20,1767315600000,2026-01-02\nu1,60,1767402000000,2026-01-03\n",
    );
    workspace.write(
        "workspace.toml",
        r#"[workspace]
as_of = "2026-01-03"

[engine]
master = "local[2]"
conf = { "spark.sql.shuffle.partitions" = "2", "spark.ui.enabled" = "false" }

[run]
retries = 0

[seeds."src.events"]
path = "data/events.csv"
partition_by = ["ds"]
"#,
    );
    write_group_by(&workspace, &[SUM]);
    write_query(&workspace, "amount");
    workspace
}

/// The values of a table of one user, a line for each day.
fn rows(workspace: &Workspace, table: &str) -> Vec<String> {
    let script = format!(
        "SELECT '@', to_json(struct(*), map('ignoreNullFields', 'false')) FROM shop_out.{table} ORDER BY ds;\nSHOW TABLES IN shop_out;\n"
    );
    let printed = Warehouse::of(workspace).printed(&script);
    printed.lines().map(str::to_owned).collect()
}

/// One run of a warm Spark after another: a feature is added, a type is changed, a feature is
/// removed, and a rebuild is killed.
#[test]
fn from_an_edit_to_a_right_table_in_two_commands() {
    let mut workspace = workspace();
    workspace.keep_spark();
    workspace
        .run(&["materialize", "--end-ds", "2026-01-02"])
        .expect(0);
    added_features_are_added(&workspace);
    what_does_not_fit_is_rebuilt_after_asking(&workspace);
    a_killed_rebuild_is_finished_by_any_run(&workspace);
}

fn added_features_are_added(workspace: &Workspace) {
    write_group_by(workspace, &[SUM, AVERAGE]);
    write_query(workspace, "concat('USD ', amount)");
    let plan = workspace.run(&["plan"]).expect(0).stdout;
    assert!(
        plan.contains("columns   shop_out.shop_spend_v1: added amount_average_7d\n"),
        "{plan}"
    );
    let retyped = "columns   shop_out.shop_clean_v1: retyped amount (bigint → string)\n";
    assert!(plan.contains(retyped), "{plan}");
    let check = workspace.run(&["check"]).expect(0);
    let finding = "warning[columns-differ]: shop_out.shop_spend_v1: added amount_average_7d";
    let text = format!("{}{}", check.stdout, check.stderr);
    assert!(text.contains(finding), "{text}");

    let refused = workspace.run(&["materialize", "shop.clean.v1"]).expect(2);
    let why = "existing tables cannot take the columns of their confs";
    assert!(refused.stderr.contains(why), "{}", refused.stderr);
    let others = workspace.run(&["materialize"]).expect(2).stderr;
    assert!(
        others.contains("left out: staging_query/shop.clean.v1/backfill: the table has other columns than the conf (shop_out.shop_clean_v1: retyped amount (bigint → string)); `materialize --rebuild` makes it anew"),
        "{others}"
    );
    let left_out = "left out, everything else is done: staging_query/shop.clean.v1/backfill";
    assert!(others.contains(left_out), "{others}");
    workspace.run(&["materialize", "shop.spend.v1"]).expect(0);
    let found = rows(workspace, "shop_spend_v1").join("\n");
    for row in [
        r#"{"user":"u1","amount_sum_7d":30,"amount_average_7d":null,"ds":"2026-01-02"}"#,
        r#"{"user":"u1","amount_sum_7d":90,"amount_average_7d":30.0,"ds":"2026-01-03"}"#,
    ] {
        assert!(found.contains(row), "{row} in {found}");
    }
}

fn what_does_not_fit_is_rebuilt_after_asking(workspace: &Workspace) {
    // Cron has no user who could answer, and the days of the table stay open.
    let cron = workspace.run(&["frontfill"]).expect(2).stderr;
    let why = "left out, everything else is done: staging_query/shop.clean.v1/backfill";
    assert!(cron.contains(why), "{cron}");
    let refused = workspace.run(&["materialize", "shop.clean.v1", "--rebuild"]);
    assert!(refused.expect(2).stderr.contains("--yes"));
    // As a JVM leaves it that was killed while it made the helper table.
    let helper = ".chronon-run/warehouse/shop_out.db/shop_clean_v1__types_20260101";
    workspace.write(&format!("{helper}/part-0.parquet"), "half");
    let done = workspace.run(&["materialize", "shop.clean.v1", "--rebuild", "--yes"]);
    let told = done.expect(0).stderr;
    assert!(!workspace.path(helper).exists());
    assert!(told.contains("shop_out.shop_clean_v1 is complete; shop_out.shop_clean_v1__before_"));
    let found = rows(workspace, "shop_clean_v1").join("\n");
    assert!(
        found.contains(r#"{"user":"u1","amount":"USD 10","ds":"2026-01-01"}"#),
        "{found}"
    );
    assert!(found.contains(r#""amount":"USD 60""#), "{found}");
    assert!(!found.contains("__"), "no helper table stays: {found}");
}

fn a_killed_rebuild_is_finished_by_any_run(workspace: &Workspace) {
    write_group_by(workspace, &[AVERAGE]);
    let plan = workspace
        .run(&["plan", "shop.spend.v1", "--rebuild"])
        .expect(0)
        .stdout;
    assert!(plan.contains("removed amount_sum_7d"), "{plan}");
    assert!(
        plan.contains("2026-01-01..2026-01-03 (3 days): the table is rebuilt"),
        "{plan}"
    );
    let mut run = workspace
        .command(&["materialize", "shop.spend.v1", "--rebuild", "--yes"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.contains("is kept as shop_out.shop_spend_v1__before_")));
    signal(run.id(), "KILL");
    run.wait().unwrap();
    let told = workspace
        .run(&["materialize", "shop.spend.v1"])
        .expect(0)
        .stderr;
    assert!(
        told.contains("shop_out.shop_spend_v1 is complete"),
        "{told}"
    );
    let found = rows(workspace, "shop_spend_v1").join("\n");
    for row in [
        r#"{"user":"u1","amount_average_7d":10.0,"ds":"2026-01-01"}"#,
        r#"{"user":"u1","amount_average_7d":30.0,"ds":"2026-01-03"}"#,
    ] {
        assert!(found.contains(row), "{row} in {found}");
    }
    assert!(!found.contains("__"), "no helper table stays: {found}");
}
