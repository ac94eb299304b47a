//! `frontfill` and `retry` on a scripted Spark: what is due, what waits and how late it is, two at
//! once, waiting, catching up.

use std::{fs, process::Stdio};

use chronon_run_core::{Ds, RangeSet};
use chronon_run_testkit::scripted::{Fault, Output};
use insta::assert_snapshot;
use serde_json::Value;

use crate::{
    staged::{Staged, all_days, days, fault_of, name_of},
    support::{Screen, steady, wait_until},
};

/// A staging query's schedule.
fn schedule(staged: &Staged, name: &str, schedule: &str) {
    let path = format!("production/staging_queries/team/{name}");
    let mut conf: Value = serde_json::from_str(&staged.workspace.read(&path)).unwrap();
    conf["metaData"]["offlineSchedule"] = schedule.into();
    staged.workspace.write(&path, &conf.to_string());
}

/// Adds lines before `[run]`.
fn settings(staged: &Staged, lines: &str) {
    staged
        .workspace
        .edit("workspace.toml", "[run]", &format!("{lines}\n\n[run]"));
}

fn fails(name: &str) -> Fault {
    Fault {
        exit: Some(1),
        output: Output::None,
        ..fault_of(name)
    }
}

#[test]
fn what_is_due_is_filled_and_then_nothing_happens() {
    let _steady = steady();
    let staged = Staged::chain();
    // 2026-01-03 is a Saturday: what @weekly calls for on Sunday ends with it.
    for (name, cadence) in [("one", "@daily"), ("two", "@weekly"), ("alone", "@never")] {
        schedule(&staged, name, cadence);
    }
    schedule(&staged, "three", "0 5 * * *");
    staged
        .run(&["frontfill", "--as-of", "2026-01-02"])
        .expect(3);
    assert_eq!(staged.filled("one"), days("2026-01-01", "2026-01-02"));
    assert!(
        staged.filled("two").is_empty(),
        "only the week before is due"
    );

    staged.run(&["frontfill", "--quiet"]).expect(0);
    for name in ["one", "two", "three"] {
        assert_eq!(staged.filled(name), all_days(), "{name}");
    }
    assert!(staged.filled("alone").is_empty());
    let quiet = staged.run(&["frontfill", "--quiet"]).expect(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    assert_snapshot!(staged.run(&["frontfill"]).text());
    assert_eq!(staged.calls().len(), 4);
}

#[test]
fn days_of_downtime_are_caught_up_in_one_range_of_at_most_max_days() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    staged.run(&["frontfill", "--ds", "2026-01-01"]).expect(0);
    staged.run(&["frontfill", "--max-days", "1"]).expect(0);
    let newest = days("2026-01-03", "2026-01-03");
    assert_eq!(
        staged.filled("one").minus(&newest),
        days("2026-01-01", "2026-01-01")
    );
    staged.run(&["frontfill"]).expect(0);
    assert_eq!(staged.filled("one"), all_days());
    assert_eq!(staged.calls().len(), 3);
    let not_yet = staged.run(&["frontfill", "--ds", "2026-01-04"]).expect(2);
    assert!(
        not_yet.stderr.contains("has not closed yet"),
        "{}",
        not_yet.text()
    );
}

#[test]
fn a_lag_stays_behind_and_a_bad_schedule_is_said() {
    let staged = Staged::chain();
    schedule(&staged, "alone", "every day");
    settings(&staged, "[[override]]\nselect = \"team.one\"\nlag = 1");
    let screen = staged
        .run(&["frontfill", "-s", "team.one", "team.alone"])
        .expect(2);
    assert_eq!(staged.filled("one"), days("2026-01-01", "2026-01-02"));
    assert!(staged.filled("alone").is_empty());
    let said = "staging_query/team.alone/backfill is left out: `every day` is not a schedule";
    assert!(screen.stderr.contains(said), "{}", screen.text());
    let left_out = "left out, everything else is done: staging_query/team.alone/backfill";
    assert!(screen.stderr.contains(left_out), "{}", screen.text());
    let check = staged.run(&["check", "--offline"]).expect(0);
    assert!(
        check.stderr.contains("`every day` is not a schedule"),
        "{}",
        check.text()
    );
    let named = ["frontfill", "-s", "team.one", "team.alone"];
    let excluded = [&named[..], &["--exclude", "team.alone"]].concat();
    staged.run(&excluded).expect(0);
    schedule(&staged, "alone", "@never");
    staged.run(&named).expect(0);
}

#[test]
fn a_plan_whose_days_are_all_declared_missing_says_so() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    settings(
        &staged,
        "[sources.\"lake.a\"]\nmissing = [\"2026-01-01..2026-01-03\"]",
    );
    staged.set_source("lake.a", days("2025-12-31", "2025-12-31"));
    let why = "2026-01-01..2026-01-03 this day is declared missing in lake.a";
    for command in ["materialize", "frontfill"] {
        let screen = staged.run(&[command]).expect(0);
        assert!(screen.stderr.contains(why), "{}", screen.text());
    }
    let quiet = staged.run(&["frontfill", "--quiet"]).expect(0);
    assert!(!quiet.text().contains(why), "{}", quiet.text());
}

#[test]
fn what_waits_is_listed_with_what_it_waits_for() {
    let _steady = steady();
    let staged = Staged::chain();
    settings(&staged, "[sources.\"lake.a\"]\nlands_after = \"3h\"");
    staged.set_source("lake.a", days("2026-01-01", "2026-01-02"));
    assert_snapshot!(
        "waiting",
        staged.run(&["frontfill", "--jobs", "1"]).expect(3).text()
    );
    let screen = staged.run(&["frontfill", "--output", "json"]).expect(3);
    let event = Staged::events(&screen).pop().unwrap();
    assert_eq!(event["event"], "waiting");
    assert_eq!(event["table"], "lake.a");
    assert_eq!(event["lands_after_seconds"], 10_800);
    assert_eq!(
        event["late_seconds"],
        Value::Null,
        "the day is only simulated"
    );
}

/// How late the source is when yesterday is really yesterday.
fn late(lands_after: &str) -> Screen {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    staged
        .workspace
        .edit("workspace.toml", "as_of = \"2026-01-03\"", "");
    settings(
        &staged,
        &format!("[sources.\"lake.a\"]\nlands_after = \"{lands_after}\""),
    );
    let millis = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let today = Ds::at(i64::try_from(millis).unwrap(), "UTC").unwrap();
    let there: RangeSet = days("2026-01-01", &today.plus(-3).to_string());
    staged.set_source("lake.a", there);
    staged
        .run(&["frontfill", "--quiet", "--max-days", "2"])
        .expect(3)
}

#[test]
fn late_is_said_even_when_quiet_and_in_time_is_not() {
    // The day before yesterday ended at least a day and at most two days ago.
    let screen = late("1s");
    assert!(
        screen.stderr.contains("waiting for lake.a"),
        "{}",
        screen.text()
    );
    assert!(screen.stderr.contains("late"), "{}", screen.text());
    let screen = late("3d");
    assert_eq!((screen.stdout.as_str(), screen.stderr.as_str()), ("", ""));
}

#[test]
fn waiting_in_one_process_until_the_source_lands() {
    let staged = Staged::chain();
    staged.set_source("lake.a", days("2026-01-01", "2026-01-01"));
    let args = ["frontfill", "--wait", "10m", "--poll", "50ms"];
    let mut command = staged.command(&args);
    let waiting = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("what is ready is filled", || {
        staged.filled("three") == days("2026-01-01", "2026-01-01")
    });
    staged.set_source("lake.a", all_days());
    let screen = Screen::new(waiting.wait_with_output().unwrap(), staged.workspace.root());
    assert_eq!(screen.code, Some(0), "{}", screen.text());
    for name in ["one", "two", "three", "alone"] {
        assert_eq!(staged.filled(name), all_days(), "{name}");
    }
    let told = screen.stderr.matches("waiting for lake.a").count();
    assert_eq!(told, 1, "{}", screen.text());
}

#[test]
fn waiting_ends_when_time_is_over_and_on_a_failure() {
    let staged = Staged::chain();
    staged.set_source("lake.a", days("2026-01-01", "2026-01-01"));
    let args = ["frontfill", "--wait", "1s", "--poll", "100ms"];
    staged.run(&args).expect(3);
    assert_eq!(staged.filled("three"), days("2026-01-01", "2026-01-01"));
    staged.set_source("lake.a", days("2026-01-01", "2026-01-02"));
    staged.faults(&[fails("two")]);
    staged
        .run(&["frontfill", "--wait", "10m", "--poll", "50ms"])
        .expect(1);
}

#[test]
fn of_two_at_once_one_works() {
    let staged = Staged::chain();
    staged.faults(&[Fault {
        slow_millis: 500,
        ..Fault::default()
    }]);
    let start = || {
        let mut command = staged.command(&["frontfill", "--quiet"]);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let both = [start(), start()].map(|mut child| child.wait().unwrap().code());
    let mut codes = both.map(Option::unwrap);
    codes.sort_unstable();
    assert!(codes == [0, 4] || codes == [0, 0], "{codes:?}");
    assert_eq!(staged.calls().len(), 4, "nothing is done twice");
}

#[test]
fn figures_for_prometheus() {
    let staged = Staged::chain();
    staged.set_source("lake.b", days("2026-01-01", "2026-01-02"));
    staged.faults(&[fails("two")]);
    let file = staged.workspace.path("chronon.prom");
    let path = file.display().to_string();
    staged
        .run(&["frontfill", "--jobs", "1", "--metrics-file", &path])
        .expect(1);
    let text = fs::read_to_string(&file).unwrap();
    let figures: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("_seconds"))
        .collect();
    assert_snapshot!(figures.join("\n"));
    let newest = "chronon_run_asset_newest_timestamp_seconds{asset=\"staging_query/team.one/backfill\"} 1767484800";
    assert!(text.contains(newest), "{text}");
    let left: Vec<_> = fs::read_dir(staged.workspace.root())
        .unwrap()
        .flatten()
        .collect();
    assert!(
        left.iter()
            .all(|entry| !entry.file_name().to_string_lossy().ends_with(".new"))
    );
}

#[test]
fn retry_runs_what_did_not_succeed_for_the_same_days() {
    let _steady = steady();
    let staged = Staged::chain();
    assert_snapshot!("nothing_yet", staged.run(&["retry"]).expect(2).text());
    staged.faults(&[fails("two")]);
    staged
        .run(&["materialize", "--as-of", "2026-01-02"])
        .expect(1);
    let before = staged.calls().len();
    staged.faults(&[]);
    assert_snapshot!(
        "retried",
        staged.run(&["retry", "--jobs", "1"]).expect(0).text()
    );
    let calls = staged.calls();
    let again: Vec<String> = calls[before..].iter().map(name_of).collect();
    assert_eq!(again, ["two", "three"]);
    // Not the third day, which is there as well by now.
    assert_eq!(staged.filled("three"), days("2026-01-01", "2026-01-02"));
    assert_snapshot!("nothing_left", staged.run(&["retry"]).expect(0).text());
}

#[test]
fn retry_of_a_recompute_recomputes() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.a"])]);
    staged.run(&["materialize"]).expect(0);
    staged.faults(&[fails("two")]);
    staged
        .run(&["materialize", "--recompute", "--jobs", "1"])
        .expect(1);
    staged.faults(&[]);
    let before = staged.calls().len();
    staged.run(&["retry"]).expect(0);
    let again: Vec<String> = staged.calls()[before..].iter().map(name_of).collect();
    assert_eq!(again, ["two"]);
}
