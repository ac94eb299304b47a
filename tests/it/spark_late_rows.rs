//! A day that was first without rows, on a real Spark.

use crate::support::{Screen, Workspace, repository};

fn has(screen: &Screen, line: &str) {
    assert!(screen.stdout.contains(line), "{}", screen.stdout);
}

/// Two confs whose day was first without rows, on a real Spark: the cases that were reported.
#[test]
fn rows_that_arrive_after_an_empty_day_are_filled_on_a_real_spark() {
    let example = Workspace::copy_of(&repository().join("tests/it/late_rows"));
    let settings = example.read("workspace.toml");
    example.run(&["materialize"]).expect(0);
    let empty = "2026-01-04 (1 day): known to have no rows";
    has(&example.run(&["plan"]).expect(0), empty);
    let data = example.read("data/src.events.csv");
    example.write(
        "data/src.events.csv",
        &format!("{data}u0,1000,1767488400000,2026-01-04\n"),
    );
    example.write(
        "workspace.toml",
        &settings.replace("empty_partitions = [\"2026-01-04\"]\n", ""),
    );
    let plan = example.run(&["plan"]).expect(0);
    has(
        &plan,
        "known to have no rows until now: src.events 2026-01-04 rewritten",
    );
    has(&plan, "out of date: src.events 2026-01-04 rewritten");
    example.run(&["materialize"]).expect(0);
    example.run(&["materialize", "--stale"]).expect(0);
    let plan = example.run(&["plan"]).expect(0);
    has(&plan, "days: 12 done\n");
    has(
        &example.run(&["status", "--stale"]).expect(0),
        "no filled day is known to be out of date",
    );
}
