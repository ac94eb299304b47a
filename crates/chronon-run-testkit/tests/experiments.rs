//! The rule of §5.1 against single runs of the real Driver: whatever it added to an existing
//! output table is among the days that `unfilled_ranges` names for the same arguments.

#![allow(clippy::unwrap_used, reason = "a test helper panics")]

use chronon_run_core::{Ds, RangeSet};
use chronon_run_testkit::{driver::unfilled_ranges, golden::recorded_days};
use serde_json::Value;

/// The value of `--name=value` or `--name value`.
fn option<'a>(argv: &[&'a str], name: &str) -> Option<&'a str> {
    let inline = argv
        .iter()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let index = argv.iter().position(|word| *word == name);
    inline.or_else(|| argv.get(index? + 1).copied())
}

/// The table whose partitions the job decides by, as the experiments name it.
fn deciding_table(argv: &[&str]) -> Option<String> {
    let conf = option(argv, "--conf-path")?;
    let mut tokens = conf.rsplit('/');
    let (name, team) = (tokens.next()?, tokens.next()?);
    let table = format!("{team}_{name}").replace('.', "_");
    match *argv.first()? {
        "join" | "join-final" | "group-by-backfill" | "staging-query-backfill" => Some(table),
        "join-left" => Some(format!("{table}_bootstrap")),
        _ => None,
    }
}

#[test]
fn added_days_are_among_the_unfilled_ones() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/experiments.jsonl"
    );
    let mut compared = 0;
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let run: Value = serde_json::from_str(line).unwrap();
        let words = run["argv"].as_array().into_iter().flatten();
        let argv: Vec<&str> = words.filter_map(Value::as_str).collect();
        let Some(table) = deciding_table(&argv) else {
            continue;
        };
        let change = &run["changed"][table.as_str()];
        let end = option(&argv, "--end-date").and_then(|text| text.parse::<Ds>().ok());
        let (Some(end), true, true) =
            (end, change["before"].is_array(), change["after"].is_array())
        else {
            continue;
        };
        let before: RangeSet = recorded_days(&change["before"], "ds");
        let added = recorded_days(&change["after"], "ds").minus(&before);
        let start = option(&argv, "--start-partition-override").map(|text| text.parse().unwrap());
        let start = start.unwrap_or(Ds::from_epoch_days(0));
        let flag = argv.contains(&"--run-first-hole");
        let unfilled = unfilled_ranges(&before, start, end, None, flag).unwrap();
        let stray = added.minus(&unfilled);
        assert!(
            stray.is_empty(),
            "{} {}: {stray}",
            run["experiment"],
            run["n"]
        );
        compared += u32::from(!added.is_empty());
    }
    assert!(compared >= 20, "{compared}");
}
