//! The slots of a run share one Spark: a step that fails, one that takes too long, and the end of the JVM,
//! beside steps that go on.

use std::{fs, path::Path, process::Stdio};

use serde_json::{Value, json};

use crate::{
    staged::{anybody, processes},
    support::{Workspace, signal, wait_until},
};

/// Two days with three rows each.
const ROWS: &str = "SELECT id, ds FROM range(3) CROSS JOIN (SELECT explode(array('2026-01-01', '2026-01-02')) AS ds)";

fn query(name: &str, select: &str) -> String {
    json!({
        "metaData": {"name": format!("shop.{name}"), "outputNamespace": "shop_out", "team": "shop", "dependencies": []},
        "query": format!("{select} WHERE ds BETWEEN '{{{{ start_date }}}}' AND '{{{{ end_date }}}}'"),
        "startPartition": "2026-01-01",
    })
    .to_string()
}

fn workspace() -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("teams.json", r#"{"default": {}, "shop": {}}"#);
    workspace.write(
        "workspace.toml",
        r#"[workspace]
as_of = "2026-01-02"

[engine]
master = "local[2]"
share_spark = true
conf = { "spark.sql.shuffle.partitions" = "1" }

[run]
jobs = 2
retries = 0
on_failure = "continue"

[[override]]
select = "shop.endless"
timeout = "15s"

[[override]]
select = "shop.other"
conf = { "spark.sql.shuffle.partitions" = "3" }
"#,
    );
    // To add up so many numbers takes hours.
    let hours = "(SELECT sum(id % 7) AS n FROM range(100000000000000)) AS h";
    let bad = "assert_true(id < 2, concat('bad id ', id)) IS NULL AS checked";
    for (name, select) in [
        ("calm", format!("SELECT * FROM ({ROWS}) AS r")),
        ("other", format!("SELECT * FROM ({ROWS}) AS r")),
        (
            "failing",
            format!("SELECT {bad}, id, ds FROM ({ROWS}) AS r"),
        ),
        (
            "endless",
            format!("SELECT r.*, n FROM ({ROWS}) AS r CROSS JOIN {hours}"),
        ),
    ] {
        let path = format!("production/staging_queries/shop/{name}");
        workspace.write(&path, &query(name, &select));
    }
    workspace
}

/// The attempts of the newest run: name, outcome, whether it had a JVM of its own, log.
fn attempts(workspace: &Workspace) -> Vec<(String, String, bool, String)> {
    let runs = workspace
        .run(&["runs", "--output", "json"])
        .expect(0)
        .stdout;
    let runs: Value = serde_json::from_str(&runs).unwrap();
    let id = runs["runs"][0]["run"].as_str().unwrap();
    let shown = workspace.run(&["runs", "show", id, "--output", "json"]);
    let shown: Value = serde_json::from_str(&shown.expect(0).stdout).unwrap();
    let steps = shown["step_list"].as_array().unwrap().iter();
    let attempts = steps.flat_map(|step| step["attempts"].as_array().unwrap());
    let mut found: Vec<_> = attempts
        .map(|attempt| {
            let asset = attempt["asset"].as_str().unwrap();
            let name = asset.split('/').nth(1).unwrap().to_owned();
            let outcome = attempt["outcome"]["kind"].as_str().unwrap().to_owned();
            let log = attempt["log"].as_str().unwrap();
            // Screens name the workspace's folder like this.
            let log = log.replace("[ROOT]", &workspace.root().display().to_string());
            let own = log.replace("attempt-", "session-");
            let text = fs::read_to_string(&log).unwrap();
            (name, outcome, Path::new(&own).exists(), text)
        })
        .collect();
    found.sort();
    found
}

/// The rows of a table, as `day rows`.
fn rows(workspace: &Workspace, table: &str) -> String {
    let query = format!("SELECT ds, count(*) AS n FROM shop_out.{table} GROUP BY ds ORDER BY ds");
    workspace
        .run(&["query", &query, "--output", "csv"])
        .expect(0)
        .stdout
}

const BOTH_DAYS: &str = "ds,n\n2026-01-01,3\n2026-01-02,3\n";

#[test]
fn a_step_ends_alone() {
    let workspace = workspace();
    let run = workspace.run(&["materialize"]).expect(1).text();
    assert!(run.contains("bad id 2"), "{run}");
    assert!(run.contains("; in statement "), "{run}");
    let found = attempts(&workspace);
    let outcomes: Vec<_> = found
        .iter()
        .map(|(name, outcome, ..)| format!("{name} {outcome}"))
        .collect();
    assert_eq!(
        outcomes,
        [
            "shop.calm succeeded",
            "shop.endless timed_out",
            "shop.failing failed",
            "shop.other succeeded",
        ]
    );
    // One JVM, in which each attempt has a log of its own.
    assert!(
        found.iter().all(|(_, _, is_alone, _)| !is_alone),
        "{found:?}"
    );
    for (name, _, _, log) in &found {
        assert_eq!(
            log.contains("bad id 2"),
            name == "shop.failing",
            "{name}: {log}"
        );
        assert!(
            name == "shop.endless" || log.contains("; statement 1 of "),
            "{name}: {log}"
        );
        assert_eq!(
            log.contains("Failed: statement "),
            name == "shop.failing",
            "{name}: {log}"
        );
        assert!(
            !log.contains("spark.sql.session.timeZone\t"),
            "{name}: {log}"
        );
    }
    wait_until("the JVM ends with the run", || {
        anybody(workspace.root()).is_empty()
    });
    for table in ["shop_calm", "shop_other"] {
        assert_eq!(rows(&workspace, table), BOTH_DAYS, "{table}");
    }
}

/// The JVM is killed under two steps: both are tried again, each in a JVM of its own.
#[test]
#[ignore = "needs a machine on which both queries still run when the JVM is killed; by name"]
fn steps_of_a_killed_jvm_are_tried_again() {
    let workspace = &workspace();
    workspace.edit(
        "workspace.toml",
        "retries = 0",
        "retries = 1\nretry_delay = \"0s\"",
    );
    for name in ["first", "second"] {
        let sum = "(SELECT sum(id % 7) AS n FROM range(300000000)) AS a";
        let select = format!("SELECT r.*, n FROM ({ROWS}) AS r CROSS JOIN {sum}");
        let path = format!("production/staging_queries/shop/{name}");
        workspace.write(&path, &query(name, &select));
    }
    let args = ["materialize", "shop.first", "shop.second"];
    let mut command = workspace.command(&args);
    let mut run = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = || {
        let folders = fs::read_dir(workspace.path(".chronon-run/runs")).into_iter();
        let newest = folders.flatten().flatten().map(|entry| entry.path()).max();
        let steps = newest.into_iter().filter_map(|run| fs::read_dir(run).ok());
        let steps = steps.flatten().flatten();
        let logs = steps.map(|step| step.path().join("attempt-1.log"));
        let texts = logs.filter_map(|log| fs::read_to_string(log).ok());
        texts.filter(|text| text.contains("Time taken: ")).count()
    };
    wait_until("both steps run", || begun() == 2);
    for (pid, line) in processes(workspace.root()) {
        if line.contains("SessionHost") {
            signal(pid, "KILL");
        }
    }
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let found = attempts(workspace);
    // A JVM that was killed may have had too little memory: halves are tried.
    let mut outcomes: Vec<_> = found
        .iter()
        .map(|(name, outcome, ..)| format!("{name} {outcome}"))
        .collect();
    outcomes.dedup();
    assert_eq!(
        outcomes,
        [
            "shop.first killed",
            "shop.first succeeded",
            "shop.second killed",
            "shop.second succeeded",
        ]
    );
    // Those that came after had a shell of their own.
    for (name, outcome, _, log) in &found {
        let is_alone = log.contains("spark-sql> ");
        assert_eq!(is_alone, outcome == "succeeded", "{name}: {log}");
    }
    for table in ["shop_first", "shop_second"] {
        assert_eq!(rows(workspace, table), BOTH_DAYS, "{table}");
    }
}
