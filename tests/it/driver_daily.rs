//! Part partitions that early left rows made too soon, with the scripted Driver: the plan names them,
//! and they are dropped before the step.

use std::fs;

use chronon_run_core::{PartitionRange, RangeSet};
use chronon_run_testkit::driver::Write;

use crate::driven::Driven;

const JOIN: &str = "stays.search_boot.v1";
/// A part of it that is written one day back.
const PART: &str = "stays_out.stays_search_boot_v1_stays_bookings_listing_daily_v1";

fn day(text: &str) -> RangeSet {
    PartitionRange::day(text.parse().unwrap()).into()
}

#[test]
fn premature_partitions_are_named_and_dropped() {
    let driven = Driven::scripted("premature_parts", "");
    driven
        .run(&["materialize", JOIN, "--end-ds", "2026-01-20"])
        .expect(0);
    // What a left row of 01-20 makes whose time is on 01-21.
    driven.write(Write::days(driven.table(PART), day("2026-01-20")));
    let asked = [JOIN, "--end-ds", "2026-01-21"];

    let plan = driven.run(&[&["plan"], &asked[..]].concat()).expect(0);
    let said = format!("{PART}: 2026-01-20 (1 partition)");
    assert!(
        plan.stdout.contains("  drop      part partitions"),
        "{}",
        plan.stdout
    );
    assert!(plan.stdout.contains(&said), "{}", plan.stdout);
    let typed = driven.run(&[&["plan", "--as", "run.py"], &asked[..]].concat());
    let typed = typed.expect(0).stdout;
    let statement = format!(
        r"spark-sql -e 'ALTER TABLE {PART} DROP IF EXISTS PARTITION (ds='\''2026-01-20'\'')'"
    );
    assert_eq!(typed.lines().next(), Some(statement.as_str()), "{typed}");

    driven
        .run(&[&["materialize"], &asked[..]].concat())
        .expect(0);
    let calls = driven.calls();
    let made = calls.last().unwrap().writes.iter();
    let mut made = made.filter(|(table, _)| **table == driven.table(PART));
    let (_, days) = made.next().unwrap();
    assert_eq!(*days, day("2026-01-20"), "made again");
    let dropped = dropped_statements(&driven);
    assert!(dropped.contains("PARTITION (ds='2026-01-20')"), "{dropped}");
    let plan = driven.run(&[&["plan"], &asked[..]].concat()).expect(0);
    assert!(!plan.stdout.contains("drop"), "{}", plan.stdout);
}

/// The statements in the folder of the newest step that has some.
fn dropped_statements(driven: &Driven) -> String {
    let runs = driven.workspace.path(".chronon-run/runs");
    let folders = fs::read_dir(runs).unwrap().map(|run| run.unwrap().path());
    let steps = folders.flat_map(|run| fs::read_dir(run).unwrap().flatten());
    let steps = steps.filter(|step| step.path().is_dir());
    let files = steps.flat_map(|step| fs::read_dir(step.path()).unwrap().flatten());
    let mut dropped =
        files.filter(|file| file.file_name().to_string_lossy().starts_with("dropped-"));
    fs::read_to_string(dropped.next().unwrap().path()).unwrap()
}

/// The Driver stops at parts of the rows' times if it is not to look at them.
#[test]
fn a_join_without_left_times_is_refused() {
    let more = "[[override]]\nselect = \"stays.search_boot.v1\"\n\
                conf = { \"spark.chronon.join.backfill.left_time_range.enabled\" = \"false\" }\n";
    let driven = Driven::scripted("no_left_times", more);
    let refused = driven.run(&["materialize", JOIN]).expect(2).stderr;
    assert!(refused.contains("left_time_range.enabled"), "{refused}");
    let found = driven.run(&["check"]).stderr;
    assert!(found.contains("left_time_range.enabled"), "{found}");
}

/// Modular joins whose early rows the Driver's join-final does not see are named without being asked.
#[test]
fn modular_joins_with_early_rows_are_named() {
    let more =
        "[[override]]\nselect = \"stays.search_train.modular_v1\"\njoin_flow = \"modular\"\n";
    let driven = Driven::scripted("early_modular", more);
    let join = "stays.search_train.modular_v1";
    driven
        .run(&["materialize", join, "--end-ds", "2026-01-21"])
        .expect(0);
    let plan = |driven: &Driven| driven.run(&["plan", join]).expect(0).stdout;
    assert!(!plan(&driven).contains("left rows are early"));
    let part = "stays_out.stays_search_train_modular_v1_stays_listings_dim_v1";
    driven.write(Write::days(driven.table(part), day("2026-01-21")));
    let said = plan(&driven);
    assert!(said.contains("left rows are early"), "{said}");
    assert!(said.contains("join_flow = \"whole\""), "{said}");
    let found = driven.run(&["check"]).stderr;
    assert!(found.contains("times-not-joined"), "{found}");
}
