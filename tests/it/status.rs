//! `status`, `logs -f` and `runs prune` on a scripted Spark.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use chronon_run_testkit::scripted::{Fault, Output};
use insta::assert_snapshot;
use serde_json::Value;

use crate::{
    staged::{Staged, days, fault_of},
    support::{Workspace, signal, steady, wait_until},
};

const TWO: &str = "staging_query/team.two/backfill";

/// Fills what can be: `two` fails after its first day, and `alone` waits for its last one.
pub(crate) fn run_with_a_failure(staged: &Staged) {
    staged.set_source("lake.b", days("2026-01-01", "2026-01-02"));
    staged.faults(&[Fault {
        exit: Some(1),
        output: Output::Days(1),
        ..fault_of("two")
    }]);
    staged.run(&["materialize", "--jobs", "1"]).expect(1);
}

#[test]
fn status_tells_done_failed_missing_and_waiting_days() {
    let _steady = steady();
    let staged = Staged::chain();
    assert_snapshot!("before", staged.run(&["status"]).expect(0).text());
    run_with_a_failure(&staged);
    assert_snapshot!("after", staged.run(&["status"]).expect(0).text());
    let json = staged
        .run(&["status", "--output", "json", "-s", "team.two"])
        .expect(0)
        .stdout;
    let status: Value = serde_json::from_str(&json).unwrap();
    let asset = &status["assets"][0];
    assert_eq!(asset["failed"][0]["start"], "2026-01-02");
    assert_eq!(asset["behind_days"], 2);
    assert_eq!(asset["last_attempt"]["outcome"], "exit code 1");
}

#[test]
fn a_log_is_followed_until_its_attempt_is_over() {
    let staged = Staged::chain();
    staged.faults(&[Fault {
        hang: true,
        output: Output::None,
        ..fault_of("two")
    }]);
    let mut run = staged.command(&["materialize", "--jobs", "1"]);
    let mut run = run
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("two runs", || staged.started().contains(&"two".to_owned()));
    let mut logs = staged.command(&["logs", TWO, "-f"]);
    let mut logs = logs.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(!first.is_empty());
    assert_eq!(logs.try_wait().unwrap(), None, "it goes on");
    signal(run.id(), "TERM");
    assert_eq!(run.wait().unwrap().code(), Some(143));
    assert!(logs.wait().unwrap().success());
    let record = staged
        .run(&["logs", TWO, "--output", "json"])
        .expect(0)
        .stdout;
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["outcome"]["kind"], "interrupted");
}

#[test]
fn old_runs_are_pruned_with_their_logs() {
    let staged = Staged::chain();
    for day in ["2026-01-01", "2026-01-02", "2026-01-03"] {
        staged
            .run(&["materialize", "--ds", day, "-s", "team.one"])
            .expect(0);
    }
    let folders = || {
        let runs = fs::read_dir(staged.workspace.path(".chronon-run/runs")).unwrap();
        let mut names: Vec<_> = runs.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = folders();
    assert_eq!(before.len(), 3);
    let screen = staged.run(&["runs", "prune", "--keep", "1"]).expect(0);
    assert_eq!(screen.stdout, "forgot 2 runs\n");
    assert_eq!(folders(), before[2..]);
    let runs = staged.run(&["runs", "--output", "json"]).expect(0).stdout;
    let runs: Value = serde_json::from_str(&runs).unwrap();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    // Nothing is done again because of it.
    staged.run(&["materialize", "-s", "team.one"]).expect(0);
    assert_eq!(staged.calls().len(), 3);
    // A ledger of a newer version is not written, and keeps its logs.
    let ledger = staged.workspace.path(".chronon-run/ledger.db");
    let mut bytes = fs::read(&ledger).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&ledger, bytes).unwrap();
    let screen = staged.run(&["runs", "prune", "--keep", "0"]).expect(2);
    assert!(
        screen.stderr.contains("no run was forgotten"),
        "{}",
        screen.text()
    );
    assert_eq!(folders(), before[2..]);
}

/// The example before its first run: nothing is started to look at it.
#[test]
fn status_names_the_missing_link_of_what_is_served_online() {
    let example = Workspace::example("stays");
    let screen = example.run(&["status", "mode:upload"]).expect(0);
    let online = screen.stdout.split("online\n").nth(1).unwrap();
    assert_snapshot!("online", online);
    assert!(!example.path(".chronon-run").exists());
}
