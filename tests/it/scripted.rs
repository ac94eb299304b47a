//! Runs on a scripted `spark-submit`: order, retries, verification, limits, interruption and what
//! is left behind, without a JVM.

use std::{
    fs,
    process::{Child, Stdio},
};

use chronon_run_testkit::scripted::{Fault, Output, Record};
use insta::assert_snapshot;

use crate::{
    staged::{Staged, all_days, anybody, days, fault_of, name_of},
    support::{Screen, signal, steady, wait_until},
};

/// Whatever happens to the test, its run does not outlive it.
pub(crate) struct Run(Option<Child>);

impl Run {
    pub(crate) fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn start(staged: &Staged, args: &[&str]) -> Run {
    let mut command = staged.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Run(Some(command.spawn().unwrap()))
}

pub(crate) fn end(staged: &Staged, mut run: Run) -> Screen {
    let output = run.0.take().unwrap().wait_with_output().unwrap();
    Screen::new(output, staged.workspace.root())
}

/// Nothing that a test on this workspace started is left.
pub(crate) fn no_process_is_left(staged: &Staged) {
    let mut left = Vec::new();
    wait_until("no process is left", || {
        left = anybody(staged.workspace.root());
        left.is_empty()
    });
}

pub(crate) fn hangs(name: &str) -> Fault {
    Fault {
        hang: true,
        output: Output::None,
        ..fault_of(name)
    }
}

pub(crate) fn fails(name: &str) -> Fault {
    Fault {
        exit: Some(1),
        output: Output::None,
        ..fault_of(name)
    }
}

#[test]
fn a_run_and_then_nothing_to_do() {
    let _steady = steady();
    let staged = Staged::chain();
    // One after the other, so that the lines are always in this order.
    assert_snapshot!("run", staged.run(&["materialize", "--jobs", "1"]).text());
    assert_snapshot!("nothing_to_do", staged.run(&["materialize"]).text());
    assert_eq!(staged.calls().len(), 4);
}

#[test]
fn steps_wait_for_what_they_need() {
    let staged = Staged::chain();
    let slow = |name| Fault {
        slow_millis: 200,
        ..fault_of(name)
    };
    staged.faults(&[slow("one"), slow("two")]);
    staged.run(&["materialize", "--jobs", "4"]).expect(0);
    let calls = staged.calls();
    let call = |name: &str| calls.iter().find(|call| name_of(call) == name).unwrap();
    for (before, after) in [("one", "two"), ("two", "three")] {
        assert!(call(before).end.unwrap() <= call(after).start);
    }
    for name in ["one", "two", "three", "alone"] {
        assert_eq!(staged.filled(name), all_days());
    }
}

#[test]
fn a_failure_is_tried_again() {
    let staged = Staged::chain();
    staged
        .workspace
        .edit("workspace.toml", "retries = 0", "retries = 2");
    staged.faults(&[Fault {
        nth: Some(1),
        ..fails("one")
    }]);
    let screen = staged.run(&["materialize", "--output", "json"]).expect(0);
    let calls = staged.started();
    assert_eq!(calls.iter().filter(|name| *name == "one").count(), 2);
    let events = Staged::events(&screen);
    let finished = |attempt: u32| {
        let wanted = |event: &&serde_json::Value| {
            event["event"] == "attempt_finished" && event["attempt"] == attempt
        };
        events.iter().find(wanted).unwrap()
    };
    assert!(events.iter().any(|event| event["retry_in"] == 10));
    assert_eq!(finished(2)["outcome"]["kind"], "succeeded");
}

#[test]
fn exit_0_without_output_is_a_failure() {
    let _steady = steady();
    let staged = Staged::chain();
    staged.faults(&[Fault {
        output: Output::None,
        ..fault_of("two")
    }]);
    let screen = staged.run(&["materialize", "--jobs", "1"]);
    assert_snapshot!(screen.expect(1).text());
    assert!(staged.filled("three").is_empty());
    assert_eq!(staged.filled("alone"), all_days());
}

#[test]
fn exit_0_with_half_of_the_output_is_a_failure_and_the_rest_is_run() {
    let _steady = steady();
    let staged = Staged::chain();
    staged.faults(&[Fault {
        nth: Some(1),
        output: Output::Days(1),
        ..fault_of("two")
    }]);
    let screen = staged.run(&["materialize", "--jobs", "1", "-s", "team.one", "team.two"]);
    assert_snapshot!(screen.expect(1).text());
    staged.run(&["materialize"]).expect(0);
    let last = staged
        .calls()
        .into_iter()
        .rfind(|call| name_of(call) == "two");
    let days_written = last.unwrap().writes.into_values().next().unwrap();
    assert_eq!(days_written, days("2026-01-02", "2026-01-03"));
}

#[test]
fn a_step_that_hangs_is_ended_with_all_that_it_started() {
    let _steady = steady();
    let staged = Staged::chain();
    staged.workspace.edit(
        "workspace.toml",
        "[run]",
        "[[override]]\nselect = \"team.two\"\ntimeout = \"2s\"\n\n[run]",
    );
    staged.faults(&[Fault {
        ignore_term: true,
        fork: true,
        ..hangs("two")
    }]);
    let screen = staged.run(&["materialize", "--jobs", "1"]);
    assert_snapshot!(screen.expect(1).text());
    no_process_is_left(&staged);
}

#[test]
fn after_a_failure_the_rest_goes_on_or_stops() {
    let _steady = steady();
    let staged = Staged::chain();
    staged.faults(&[fails("two")]);
    let args = ["materialize", "--jobs", "1", "--on-failure"];
    let stopped = staged.run(&[&args[..], &["stop"]].concat());
    assert_snapshot!("stop", stopped.expect(1).text());
    assert_eq!(staged.started(), ["one", "two"]);
    let went_on = staged.run(&[&args[..], &["continue"]].concat());
    assert_snapshot!("continue", went_on.expect(1).text());
    let mut started = staged.started().split_off(2);
    started.sort();
    assert_eq!(started, ["alone", "two"]);
}

#[test]
fn no_more_than_jobs_run_at_once() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let queries = names.map(|name| (name, &["lake.a"][..]));
    for jobs in [1, 3] {
        let staged = Staged::new(&queries);
        staged.faults(&[Fault {
            slow_millis: 300,
            ..Fault::default()
        }]);
        staged
            .run(&["materialize", "--jobs", &jobs.to_string()])
            .expect(0);
        assert_eq!(most_at_once(&staged.calls()), jobs);
    }
}

fn most_at_once(calls: &[Record]) -> usize {
    let running = |at: u64| {
        let during = |call: &&Record| call.start <= at && at < call.end.unwrap();
        calls.iter().filter(during).count()
    };
    calls.iter().map(|call| running(call.start)).max().unwrap()
}

#[test]
fn what_waits_is_said_and_run_once_the_source_lands() {
    let _steady = steady();
    let staged = Staged::chain();
    staged.set_source("lake.a", days("2026-01-01", "2026-01-02"));
    let first = staged.run(&["materialize", "--jobs", "1"]);
    assert_snapshot!("some_days", first.expect(3).text());
    let second = staged.run(&["materialize", "--jobs", "1"]);
    assert_snapshot!("nothing_but_waiting", second.expect(3).text());
    staged.set_source("lake.a", all_days());
    let before = staged.calls().len();
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.started()[before..], ["one", "two", "three"]);
    assert_eq!(staged.filled("three"), all_days());
}

#[test]
fn a_step_that_was_killed_from_outside() {
    let _steady = steady();
    let staged = Staged::chain();
    staged.faults(&[hangs("two")]);
    let child = start(&staged, &["materialize", "--jobs", "1"]);
    let running = || {
        let mut calls = staged.calls().into_iter();
        calls.find(|call| name_of(call) == "two")
    };
    wait_until("two runs", || running().is_some());
    signal(running().unwrap().pid, "KILL");
    assert_snapshot!(end(&staged, child).expect(1).text());
}

#[test]
fn ctrl_c_and_term_stop_in_order() {
    let _steady = steady();
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let staged = Staged::chain();
        staged.faults(&[hangs("two")]);
        let child = start(&staged, &["materialize", "--jobs", "1"]);
        wait_until("two runs", || staged.started().contains(&"two".to_owned()));
        signal(child.id(), name);
        assert_snapshot!(name, end(&staged, child).expect(code).text());
        no_process_is_left(&staged);
        staged.faults(&[]);
        staged.run(&["materialize"]).expect(0);
        assert_eq!(
            staged
                .started()
                .iter()
                .filter(|name| *name == "one")
                .count(),
            1
        );
    }
}

#[test]
fn a_second_run_says_who_holds_the_lock() {
    let _steady = steady();
    let staged = Staged::chain();
    staged.faults(&[Fault {
        nth: Some(1),
        ..hangs("one")
    }]);
    let child = start(&staged, &["materialize", "-s", "team.one+"]);
    wait_until("one runs", || !staged.calls().is_empty());
    assert_snapshot!(staged.run(&["materialize"]).expect(4).text());
    // Tables that no run writes are free.
    staged.run(&["materialize", "-s", "team.alone"]).expect(0);
    signal(child.id(), "KILL");
    end(&staged, child);
    no_process_is_left(&staged);
    // A dead owner holds nothing.
    staged.run(&["materialize"]).expect(0);
}

#[test]
fn a_ledger_that_cannot_be_used_does_not_stop_a_run() {
    let _steady = steady();
    let staged = Staged::chain();
    let ledger = staged.workspace.path(".chronon-run/ledger.db");
    staged.run(&["materialize", "-s", "team.alone"]).expect(0);

    fs::remove_file(&ledger).unwrap();
    staged.run(&["materialize", "-s", "team.one"]).expect(0);
    assert_eq!(runs(&staged), 1);

    fs::write(
        &ledger,
        "no database at all, but long enough to look like one",
    )
    .unwrap();
    let screen = staged.run(&["materialize", "-s", "team.two"]);
    assert_snapshot!("damaged", screen.expect(0).text());

    for path in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = fs::remove_file(staged.workspace.path(".chronon-run").join(path));
    }
    fs::create_dir(&ledger).unwrap();
    let screen = staged.run(&["materialize", "-s", "team.three"]);
    assert_snapshot!("unwritable", screen.expect(0).text());
    assert_eq!(staged.calls().len(), 4);
}

fn runs(staged: &Staged) -> usize {
    let screen = staged.run(&["runs", "--output", "json"]).expect(0);
    let runs: serde_json::Value = serde_json::from_str(&screen.stdout).unwrap();
    runs["runs"].as_array().unwrap().len()
}

#[test]
fn json_is_one_event_a_line() {
    let staged = Staged::chain();
    let screen = staged.run(&["materialize", "--output", "json"]).expect(0);
    assert_eq!(screen.stderr, "");
    let events = Staged::events(&screen);
    let first = events.first().unwrap();
    assert_eq!(first["event"], "run_started");
    assert_eq!(first["steps"].as_array().unwrap().len(), 4);
    let last = events.last().unwrap();
    assert_eq!(last["event"], "run_finished");
    assert_eq!(last["succeeded"], true);
    let finished = events
        .iter()
        .filter(|event| event["event"] == "step_finished");
    assert_eq!(finished.count(), 4);
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let staged = Staged::chain();
    for args in [
        &["ls"][..],
        &["ls", "--output", "json"],
        &["plan"],
        &["plan", "--output", "json"],
        &["reference", "workspace"],
    ] {
        let mut child = start(&staged, args);
        drop(child.0.as_mut().unwrap().stdout.take());
        let screen = end(&staged, child).expect(0);
        assert_eq!(screen.stderr, "", "{args:?}");
    }
}

#[test]
fn runs_and_logs_show_what_failed() {
    let _steady = steady();
    let staged = Staged::chain();
    staged.faults(&[fails("two")]);
    staged.run(&["materialize", "--jobs", "1"]).expect(1);
    let runs = staged.run(&["runs", "--output", "json"]).expect(0).stdout;
    let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
    let id = runs["runs"][0]["run"].as_str().unwrap();
    assert_snapshot!(
        "runs_show",
        staged.run(&["runs", "show", id]).expect(0).text()
    );
    let log = staged.run(&["logs", "staging_query/team.two/backfill"]);
    let log = log.expect(0);
    assert_snapshot!("logs", log.text());
    let logs = |option: &[&str]| staged.run(&[&["logs", "team.two"], option].concat());
    let lines = logs(&["--grep", "^Exception in"]).expect(0).stdout;
    assert!(
        !lines.is_empty() && log.stdout.len() > lines.len(),
        "{lines}"
    );
    assert!(
        lines.lines().all(|line| log.stdout.contains(line)),
        "{lines}"
    );
    assert_eq!(logs(&["--grep", "no such line"]).expect(0).stdout, "");
    assert!(
        logs(&["--grep", "("])
            .expect(2)
            .stderr
            .contains("regex parse error")
    );
    let command = logs(&["--command"]).expect(0).stdout;
    assert!(command.contains("spark-submit --master"), "{command}");
    let sql = logs(&["--sql"]).expect(0).stdout;
    assert!(
        sql.contains("INSERT OVERWRITE") && sql.contains("team_two"),
        "{sql}"
    );
    let unknown = staged.run(&["logs", "staging_query/team.three/backfill"]);
    assert_snapshot!("logs_of_nothing", unknown.expect(2).text());
}

#[test]
fn a_report_is_a_page_about_the_newest_run() {
    let staged = Staged::chain();
    staged.run(&["report"]).expect(2);
    staged.faults(&[fails("two")]);
    staged.run(&["materialize", "--jobs", "1"]).expect(1);
    staged.run(&["report", "--out", "run.html"]).expect(0);
    let page = staged.workspace.read("run.html");
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
    assert!(
        page.contains("<td>staging_query/team.two/backfill</td>"),
        "{page}"
    );
    assert!(page.contains("2 of 4 steps filled 6 days"), "{page}");
    staged.run(&["report", "no-such-run"]).expect(2);
}

#[test]
fn a_saved_plan_is_applied() {
    let staged = Staged::chain();
    staged
        .run(&["plan", "-s", "team.one+", "--out", "plan.json"])
        .expect(0);
    staged
        .run(&["materialize", "--plan", "plan.json"])
        .expect(0);
    assert_eq!(staged.started(), ["one", "two", "three"]);
}

#[test]
fn a_saved_plan_that_no_longer_fits_is_refused_with_the_difference() {
    let staged = Staged::chain();
    staged.run(&["plan", "--out", "plan.json"]).expect(0);
    staged.set_source("lake.a", days("2026-01-02", "2026-01-03"));
    let args = ["materialize", "--plan", "plan.json"];
    assert_snapshot!("partitions", staged.run(&args).expect(2).text());
    staged.set_source("lake.a", all_days());
    staged.workspace.edit(
        "production/staging_queries/team/two",
        "SELECT *",
        "SELECT 1, *",
    );
    assert_snapshot!("conf", staged.run(&args).expect(2).text());
    staged.workspace.edit(
        "production/staging_queries/team/two",
        "SELECT 1, *",
        "SELECT *",
    );
    staged
        .workspace
        .edit("workspace.toml", "jobs = 2", "jobs = 2\nstep_days = 1");
    assert_snapshot!("settings", staged.run(&args).expect(2).text());
    assert_eq!(staged.calls().len(), 0);
}

/// A workspace in which `alone` hangs, and a step is stuck after a second.
fn stuck() -> Staged {
    let staged = Staged::chain();
    let short = "grace = \"1s\"\nstuck_after = \"1s\"";
    staged
        .workspace
        .edit("workspace.toml", "grace = \"1s\"", short);
    staged.faults(&[Fault {
        says: "waiting for the moon".to_owned(),
        ..hangs("alone")
    }]);
    staged
}

#[test]
fn a_step_without_progress_is_said_to_be_stuck_and_goes_on() {
    let staged = stuck();
    let log = staged.workspace.path("events");
    let mut command = staged.command(&["materialize", "--output", "json"]);
    command.stdout(fs::File::create(&log).unwrap());
    let run = Run(Some(command.stderr(Stdio::piped()).spawn().unwrap()));
    let stuck = || {
        let text = fs::read_to_string(&log).unwrap();
        let mut lines = text.lines().map(serde_json::from_str::<serde_json::Value>);
        lines.find_map(|event| event.ok().filter(|event| event["event"] == "step_stuck"))
    };
    wait_until("it is stuck", || stuck().is_some());
    let event = stuck().unwrap();
    let call = |name: &str| {
        let mut calls = staged.calls().into_iter();
        calls.find(|call| name_of(call) == name).unwrap()
    };
    assert_eq!(event["process"]["pid"], call("alone").pid);
    assert_eq!(event["state"], "sleeping");
    assert!(event["millis"].as_u64().unwrap() >= 1_000, "{event}");
    let line = event["last_line"].as_str().unwrap();
    assert!(!line.is_empty(), "{event}");
    // It is not ended by that, and what the ledger knows of it is shown.
    let steps = || {
        let runs = staged.run(&["runs", "--output", "json"]).expect(0);
        let runs: serde_json::Value = serde_json::from_str(&runs.stdout).unwrap();
        let id = runs["runs"][0]["run"].as_str().unwrap().to_owned();
        staged
            .run(&["runs", "show", &id, "--output", "json"])
            .stdout
    };
    wait_until("the ledger knows", || steps().contains("no progress for"));
    assert!(anybody(staged.workspace.root()).len() >= 2);
    signal(run.id(), "INT");
    end(&staged, run).expect(130);
    let times = fs::read_to_string(&log).unwrap();
    assert_eq!(times.matches("step_stuck").count(), 1, "{times}");
}

#[test]
fn a_stopped_process_is_named_and_moves_again() {
    let staged = stuck();
    let child = start(&staged, &["materialize", "-s", "team.alone"]);
    wait_until("it runs", || !staged.calls().is_empty());
    let pid = staged.calls()[0].pid;
    signal(pid, "STOP");
    // So long that it is stuck while it is stopped.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let log = fs::read_dir(staged.workspace.path(".chronon-run/runs")).unwrap();
    let run = log.map(|entry| entry.unwrap().path()).next().unwrap();
    let step = fs::read_dir(&run)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let step = step
        .filter(|path| path.is_dir())
        .find(|path| path.join("attempt-1.log").exists());
    let mut log = fs::OpenOptions::new();
    let mut log = log
        .append(true)
        .open(step.unwrap().join("attempt-1.log"))
        .unwrap();
    std::io::Write::write_all(&mut log, b"one more line\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    signal(pid, "CONT");
    signal(child.id(), "INT");
    let screen = end(&staged, child).expect(130);
    let said = &screen.stderr;
    assert!(
        said.contains("stuck  staging_query/team.alone/backfill"),
        "{said}"
    );
    assert!(
        said.contains(&format!("process {pid} is stopped by a signal")),
        "{said}"
    );
    assert!(
        said.contains("moves  staging_query/team.alone/backfill"),
        "{said}"
    );
    // Each failure is said once.
    assert_eq!(said.matches("interrupted: filled").count(), 1, "{said}");
}
