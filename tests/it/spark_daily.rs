//! Left rows whose time is on the day after their partition, on a real Spark: all days at once, a day
//! at a time, in steps of one day or two, and by a run that is killed give the same features, in both flows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Stdio,
};

use chronon_run_core::TableName;
use serde_json::{Value, json};

use crate::{
    support::{Workspace, wait_until},
    tables,
};

/// Loads of each bird and day, and the calls: petrel and auk are early.
const LOADS: &str = "bird,load,at_ms,ds
gannet,10,1772334000000,2026-03-01
petrel,20,1772337600000,2026-03-01
puffin,30,1772341200000,2026-03-01
auk,40,1772344800000,2026-03-01
gannet,10,1772420400000,2026-03-02
petrel,20,1772424000000,2026-03-02
puffin,30,1772427600000,2026-03-02
auk,40,1772431200000,2026-03-02
gannet,10,1772506800000,2026-03-03
petrel,20,1772510400000,2026-03-03
puffin,30,1772514000000,2026-03-03
auk,40,1772517600000,2026-03-03
";
const CALLS: &str = "call,bird,at_ms,ds
1,gannet,1772442000000,2026-03-02
2,petrel,1772528400000,2026-03-02
3,puffin,1772532000000,2026-03-03
5,auk,1772611200000,2026-03-03
4,gannet,1772618400000,2026-03-04
";
/// What one clean backfill holds, by call.
const RIGHT: [(i64, i64); 5] = [(1, 10), (2, 40), (3, 60), (4, 30), (5, 120)];
/// The flows, and the ways in which they are filled.
const FLOWS: [&str; 2] = ["whole", "modular"];
const WAYS: [&str; 5] = ["once", "daily", "steps", "pairs", "killed"];

#[test]
fn a_day_at_a_time_is_one_backfill() {
    let mut workspace = workspace();
    workspace.keep_spark();
    for day in ["2026-03-02", "2026-03-03", "2026-03-04"] {
        let daily = ["-s", "quay.calls.whole_daily", "quay.calls.modular_daily"];
        let run = [&["materialize"], &daily[..], &["--as-of", day]].concat();
        workspace.run(&run).expect(0);
    }
    kill_a_run(&workspace);
    workspace
        .run(&["materialize", "--as-of", "2026-03-04"])
        .expect(0);
    let found = features(&workspace);
    let right: BTreeMap<i64, Option<i64>> = RIGHT
        .iter()
        .map(|(call, load)| (*call, Some(*load)))
        .collect();
    for (name, features) in &found {
        assert_eq!(*features, right, "{name}");
    }
    assert_eq!(found.len(), FLOWS.len() * WAYS.len());
    // The part step of the second day took the keys of all rows that the output lacked.
    let again = workspace.run(&["materialize", "--as-of", "2026-03-04"]);
    let again = again.expect(0).text();
    assert!(again.contains("nothing to do"), "{again}");
}

/// A run of two joins is killed when a step of it has run some statements.
fn kill_a_run(workspace: &Workspace) {
    let runs = || {
        let folders = fs::read_dir(workspace.path(".chronon-run/runs")).unwrap();
        folders.flatten().map(|entry| entry.path()).collect()
    };
    let before: BTreeSet<PathBuf> = runs();
    let mut command = workspace.command(&["materialize", "*_killed", "--as-of", "2026-03-03"]);
    let mut run = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let has_begun = || {
        let new: BTreeSet<PathBuf> = runs().difference(&before).cloned().collect();
        let steps = new.iter().filter_map(|run| fs::read_dir(run).ok());
        let logs = steps.flatten().flatten();
        let logs = logs.map(|step| step.path().join("attempt-1.log"));
        let texts = logs.filter_map(|log| fs::read_to_string(log).ok());
        let mut counts = texts.map(|log| log.matches("Time taken: ").count());
        counts.any(|count| count > 12)
    };
    wait_until("statements have run", has_begun);
    run.kill().unwrap();
    run.wait().unwrap();
}

fn names() -> impl Iterator<Item = String> {
    let ways = |flow| WAYS.iter().map(move |way| format!("{flow}_{way}"));
    FLOWS.iter().flat_map(ways)
}

/// The load of each call, by join.
fn features(workspace: &Workspace) -> BTreeMap<String, BTreeMap<i64, Option<i64>>> {
    let table =
        |name: &String| -> TableName { format!("quay_out.quay_calls_{name}").parse().unwrap() };
    let tables: Vec<TableName> = names().map(|name| table(&name)).collect();
    let found = tables::read(workspace, &tables);
    let of_join = |name: String| {
        let content = &found[&table(&name)].content;
        let at = |column: &str| {
            let mut columns = content.columns.iter();
            columns.position(|(name, _)| name == column).unwrap()
        };
        let (call, load) = (at("call"), at("quay_loads_v1_load_sum_7d"));
        let rows = content.rows.iter().flatten();
        let values = rows.map(|row| (row[call].as_i64().unwrap(), row[load].as_i64()));
        (name, values.collect())
    };
    names().map(of_join).collect()
}

fn workspace() -> Workspace {
    let workspace = Workspace::empty();
    workspace.write(
        "teams.json",
        &json!({
            "default": { "table_properties": {}, "common_env": {}, "production": {} },
            "quay": { "description": "birds", "namespace": "quay_out" },
        })
        .to_string(),
    );
    workspace.write("data/loads.csv", LOADS);
    workspace.write("data/calls.csv", CALLS);
    let mut toml = String::from(
        "[engine]\nkind = \"sql\"\nmaster = \"local[2]\"\n\
         conf = { \"spark.sql.shuffle.partitions\" = \"1\" }\n\
         [catalog]\nkind = \"embedded\"\n[run]\njobs = 2\nretries = 0\n\
         [seeds.\"quay_raw.loads\"]\npath = \"data/loads.csv\"\npartition_by = [\"ds\"]\n\
         columns = { bird = \"string\", load = \"bigint\", at_ms = \"bigint\", ds = \"string\" }\n\
         [seeds.\"quay_raw.calls\"]\npath = \"data/calls.csv\"\npartition_by = [\"ds\"]\n\
         columns = { call = \"bigint\", bird = \"string\", at_ms = \"bigint\", ds = \"string\" }\n",
    );
    for name in names() {
        let conf = join(&name).to_string();
        workspace.write(&format!("production/joins/quay/calls.{name}"), &conf);
        toml += &format!("[[override]]\nselect = \"quay.calls.{name}\"\n");
        if name.starts_with("modular") {
            toml += "join_flow = \"modular\"\n";
        }
        if name.ends_with("steps") || name.ends_with("killed") {
            toml += "step_days = 1\n";
        }
        if name.ends_with("pairs") {
            toml += "step_days = 2\n";
        }
    }
    workspace.write("workspace.toml", &toml);
    workspace
}

fn join(name: &str) -> Value {
    let events = |table: &str, selects: Value, start: &str| {
        json!({ "events": { "table": table, "query": {
            "selects": selects, "startPartition": start, "timeColumn": "at_ms", "setups": [],
        } } })
    };
    json!({
        "metaData": {
            "name": format!("quay.calls.{name}"), "online": 0, "production": 0,
            "outputNamespace": "quay_out", "team": "quay", "offlineSchedule": "@daily",
        },
        "left": events(
            "quay_raw.calls",
            json!({ "call": "call", "bird": "bird", "ts": "at_ms" }),
            "2026-03-02",
        ),
        "joinParts": [{ "groupBy": {
            "metaData": { "name": "quay.loads.v1", "team": "quay" },
            "sources": [events("quay_raw.loads", json!({ "bird": "bird", "load": "load" }), "2026-03-01")],
            "keyColumns": ["bird"],
            "aggregations": [{
                "inputColumn": "load", "operation": 7, "argMap": {},
                "windows": [{ "length": 7, "timeUnit": 1 }],
            }],
            "accuracy": 1,
        } }],
        "rowIds": ["call"],
    })
}
