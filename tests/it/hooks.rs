//! Hooks: told what happened, ended when they hang, and never a reason for a step to fail.

use std::fs;

use chronon_run_testkit::scripted::{Fault, Output};
use insta::assert_snapshot;
use serde_json::Value;

use crate::{
    staged::{Staged, anybody, days, fault_of},
    support::{files_with, steady, wait_until},
};

/// Writes its arguments and its stdin into `told.jsonl`, one line per hook.
const TELL: &str = r#"import json, sys
event = json.load(sys.stdin)
with open("told.jsonl", "a") as out:
    out.write(json.dumps({"argv": sys.argv[1:], "event": event}) + "\n")
"#;

fn with_hooks(hooks: &str) -> Staged {
    let staged = Staged::chain();
    staged.workspace.write("hooks/tell.py", TELL);
    staged.workspace.edit(
        "workspace.toml",
        "[run]",
        &format!("[hooks]\n{hooks}\n\n[run]"),
    );
    staged
}

fn told(staged: &Staged) -> Vec<Value> {
    let text = staged.workspace.read("told.jsonl");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn hooks_are_told_of_success_failure_and_waiting() {
    let command = |word: &str| {
        format!(
            r#"on_{word} = ["python3", "hooks/tell.py", "{{event}}", "{{asset}} {{ds}}; $(x)"]"#
        )
    };
    let hooks = ["success", "failure", "waiting"].map(command).join("\n");
    let staged = with_hooks(&hooks);
    staged.set_source("lake.b", days("2026-01-01", "2026-01-02"));
    staged.faults(&[Fault {
        exit: Some(1),
        output: Output::None,
        ..fault_of("two")
    }]);
    staged.run(&["materialize", "--jobs", "1"]).expect(1);
    let mut told = told(&staged);
    told.sort_by_key(|told| told["argv"].to_string());
    for event in told.iter().map(|told| &told["event"]) {
        assert_eq!(event["version"], 1, "{event}");
        let at = event["at"].as_str().unwrap();
        assert_eq!(at.len(), "2026-01-31T00:00:00.000Z".len(), "{event}");
    }
    let argv: Vec<String> = told.iter().map(|told| told["argv"].to_string()).collect();
    assert_eq!(
        argv,
        [
            r#"["failure","staging_query/team.two/backfill 2026-01-03; $(x)"]"#,
            r#"["success","staging_query/team.alone/backfill 2026-01-02; $(x)"]"#,
            r#"["success","staging_query/team.one/backfill 2026-01-03; $(x)"]"#,
            r#"["waiting","staging_query/team.alone/backfill 2026-01-03; $(x)"]"#,
        ]
    );
    let failure = &told[0]["event"];
    assert_eq!(failure["outcome"]["code"], 1);
    assert_eq!(failure["table"], "out.team_two");
    assert!(fs::exists(failure["log"].as_str().unwrap()).unwrap());
    let waiting = &told[3]["event"];
    assert_eq!(waiting["inputs"]["lake.b"][0]["start"], "2026-01-03");
    // The run keeps how they ended, also of the one that ran after it.
    let kept = files_with("jsonl", &staged.workspace.path(".chronon-run/runs"));
    let kept = fs::read_to_string(&kept[0]).unwrap();
    let kept = kept.lines().map(|line| serde_json::from_str(line).unwrap());
    let ended: Vec<Value> = kept
        .filter(|one: &Value| one["event"] == "hook_ended")
        .collect();
    assert_eq!(ended.len(), 4, "{ended:?}");
    assert!(ended.iter().all(|one| one["message"].is_null()));
    assert_eq!(ended[3]["hook"], "on_waiting");
}

#[test]
fn a_hook_that_fails_or_hangs_is_told_and_fails_nothing() {
    let _steady = steady();
    let staged = with_hooks(
        r#"on_success = ["sh", "-c", "echo no; exit 3"]
on_waiting = ["sh", "-c", "trap '' TERM; sleep 1000 & while :; do sleep 1; done"]
timeout = "1s""#,
    );
    staged.set_source("lake.b", days("2026-01-01", "2026-01-01"));
    let screen = staged.run(&["materialize", "--jobs", "1", "-s", "team.alone"]);
    assert_snapshot!(screen.expect(3).text());
    wait_until("no process is left", || {
        anybody(staged.workspace.root()).is_empty()
    });
}
