//! What is done about a failure depends on its cause: more memory, half of the days, once more,
//! or nothing. On a scripted `spark-submit`.

use chronon_run_testkit::scripted::{Fault, Output};
use insta::assert_snapshot;

use crate::{
    staged::{Staged, all_days, days, fault_of},
    support::steady,
};

/// One staging query whose step may be tried once more.
fn alone() -> Staged {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    staged
        .workspace
        .edit("workspace.toml", "retries = 0", "retries = 1");
    staged
}

fn settings(staged: &Staged, lines: &str) {
    let retries = format!("retries = 1\n{lines}");
    staged
        .workspace
        .edit("workspace.toml", "retries = 1", &retries);
}

/// A call that writes nothing and says why.
fn fails(exit: i32, says: &str) -> Fault {
    Fault {
        exit: Some(exit),
        says: says.to_owned(),
        output: Output::None,
        ..fault_of("one")
    }
}

/// The days of every attempt, in order.
fn tried(staged: &Staged) -> Vec<String> {
    let calls = staged.calls();
    calls.iter().map(|call| days_of(&call.argv)).collect()
}

/// The days of the script that a call ran, from its own words.
fn days_of(argv: &[String]) -> String {
    let script = std::fs::read_to_string(argv.last().unwrap()).unwrap();
    let between = script.split("BETWEEN '").nth(1).unwrap();
    let (first, rest) = between.split_once('\'').unwrap();
    let last = rest.split('\'').nth(1).unwrap();
    format!("{}..{}", &first[8..], &last[8..])
}

#[test]
fn the_bad_day_is_named_and_the_others_are_filled() {
    let _steady = steady();
    let staged = alone();
    settings(&staged, "bisect = true\n");
    staged.faults(&[Fault {
        day: Some("2026-01-02".parse().unwrap()),
        ..fails(1, "26/01/04 00:00:00 ERROR Executor: Exception in task 0.0\njava.lang.ClassCastException: [J cannot be cast to java.lang.Long\n\tat a.b(C.java:1)")
    }]);
    let screen = staged.run(&["materialize", "--jobs", "1"]);
    assert_snapshot!(screen.expect(1).text());
    assert_eq!(
        staged.filled("one"),
        all_days().minus(&days("2026-01-02", "2026-01-02"))
    );
    let wanted = [
        "01..03", "01..03", "01..01", "02..03", "02..03", "02..02", "02..02", "03..03",
    ];
    assert_eq!(tried(&staged), wanted);
    let shown = staged.run(&["runs", "show", &last_run(&staged), "--output", "json"]);
    let detail: serde_json::Value = serde_json::from_str(&shown.expect(0).stdout).unwrap();
    let step = &detail["step_list"][0];
    assert_eq!(step["bad"][0]["start"], "2026-01-02");
    assert_eq!(step["attempts"][2]["range"]["end"], "2026-01-01");
    // Only the bad day is left.
    staged.faults(&[]);
    staged.run(&["materialize"]).expect(0);
    assert_eq!(tried(&staged).last().unwrap(), "02..02");
}

fn last_run(staged: &Staged) -> String {
    let runs = staged.run(&["runs", "--output", "json"]);
    let runs: serde_json::Value = serde_json::from_str(&runs.expect(0).stdout).unwrap();
    runs["runs"][0]["run"].as_str().unwrap().to_owned()
}

#[test]
fn without_bisect_a_bad_day_takes_the_whole_step_along() {
    let staged = alone();
    staged.faults(&[Fault {
        day: Some("2026-01-02".parse().unwrap()),
        ..fails(1, "")
    }]);
    staged.run(&["materialize"]).expect(1);
    assert_eq!(tried(&staged), ["01..03", "01..03"]);
}

#[test]
fn out_of_memory_means_half_of_the_days() {
    let staged = alone();
    staged.faults(&[Fault {
        nth: Some(1),
        ..fails(137, "")
    }]);
    staged.run(&["materialize"]).expect(0);
    assert_eq!(tried(&staged), ["01..03", "01..01", "02..03"]);
    assert_eq!(staged.filled("one"), all_days());
}

#[test]
fn out_of_memory_means_more_memory_where_there_is_more() {
    let staged = alone();
    settings(
        &staged,
        "more_memory = { \"spark.driver.memory\" = \"7g\" }\n",
    );
    staged.faults(&[Fault {
        nth: Some(1),
        ..fails(1, "java.lang.OutOfMemoryError: Java heap space")
    }]);
    staged.run(&["materialize"]).expect(0);
    let more_memory = |call: &chronon_run_testkit::scripted::Record| {
        call.argv.contains(&"spark.driver.memory=7g".to_owned())
    };
    let calls = staged.calls();
    assert_eq!(
        calls.iter().map(more_memory).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(tried(&staged), ["01..03", "01..03"]);
}

#[test]
fn what_will_always_fail_is_tried_once() {
    let staged = alone();
    settings(&staged, "bisect = true\n");
    staged.faults(&[fails(
        1,
        "Error in query: Table or view not found: lake.b; line 3 pos 2;",
    )]);
    let screen = staged.run(&["materialize"]).expect(1);
    assert_eq!(tried(&staged), ["01..03"]);
    let line = "exit code 1: Error in query: Table or view not found: lake.b; line 3 pos 2";
    assert!(screen.stderr.contains(line), "{}", screen.stderr);
}

#[test]
fn a_lost_executor_is_tried_again() {
    let staged = alone();
    staged.faults(&[Fault {
        nth: Some(1),
        ..fails(
            1,
            "26/01/04 00:00:00 ERROR TaskSchedulerImpl: Lost executor 1 on 10.0.0.4: worker lost",
        )
    }]);
    staged.run(&["materialize"]).expect(0);
    assert_eq!(tried(&staged), ["01..03", "01..03"]);
}

#[test]
fn half_of_the_output_is_not_taken_for_all_of_it_when_a_step_is_split() {
    let staged = alone();
    settings(&staged, "bisect = true\n");
    staged.faults(&[Fault {
        day: Some("2026-01-03".parse().unwrap()),
        output: Output::Days(1),
        ..fault_of("one")
    }]);
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("one"), all_days());
}
