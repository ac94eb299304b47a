//! The scripted Driver against the record of the real one: every engine run of corpus A, with the
//! catalog as it was before, must leave the partitions that the real run left.

#![allow(clippy::unwrap_used, reason = "a test helper panics")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use chronon_run_core::{CatalogSnapshot, RangeSet, TableName};
use chronon_run_testkit::{
    driver::{self, Facts, Write},
    golden::{recorded_days, sources},
};
use serde_json::Value;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/a")
}

/// Partitions of these depend on rows, not on partitions: statistics and consistency are
/// partitioned by the day of `ts` (engine-semantics 1 [8.4]).
const BY_ROWS: [&str; 2] = ["a81_consistency", "a82_stats"];

/// The day column of a recorded table; views and unpartitioned tables have none.
fn column_of(partitions: &Value) -> &'static str {
    let text = partitions[0].as_str().unwrap_or_default();
    if text.starts_with("label_ds=") && !text.contains('/') {
        "label_ds"
    } else {
        "ds"
    }
}

/// Puts the recorded state of a table into the catalog.
fn set(catalog: &mut CatalogSnapshot, table: &TableName, partitions: &Value) {
    catalog.tables.remove(table);
    let texts: Vec<&str> = partitions
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for text in texts {
        let write = match text {
            "<view>" => Write::View {
                table: table.clone(),
            },
            "<unpartitioned>" => Write::Unpartitioned {
                table: table.clone(),
                ds: "2026-01-01".parse().unwrap(),
                rows: 1,
            },
            _ => {
                let column = column_of(partitions);
                let others = text.split('/').filter_map(|piece| piece.split_once('='));
                let others = others.filter(|(name, _)| *name != column);
                Write::Partitions {
                    table: table.clone(),
                    others: others
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                    column: column.to_owned(),
                    days: recorded_days(&serde_json::json!([text]), column),
                }
            }
        };
        write.apply(catalog);
    }
}

/// A table's days, or `None` if it does not exist.
fn state(catalog: &CatalogSnapshot, table: &TableName, column: &str) -> Option<RangeSet> {
    catalog
        .table(table)
        .map(|_| catalog.days(table, column, &[]))
}

/// The staging query's output has a `ts` of its own; its late rows are read from its rows.
fn session_facts(facts: &mut Facts) {
    let path = corpus().join("expected/stays_out.stays_sessions_daily_v1.jsonl");
    let mut late: BTreeMap<_, (i32, i32)> = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let day: chronon_run_core::Ds = row[6].as_str().unwrap().parse().unwrap();
        let ts_day = i32::try_from(row[3].as_i64().unwrap().div_euclid(86_400_000)).unwrap();
        let span = late.entry(day).or_insert((0, 0));
        span.0 = span.0.min(ts_day - day.epoch_days());
    }
    late.retain(|_, span| *span != (0, 0));
    facts
        .ts_days
        .insert("stays_out.stays_sessions_daily_v1".parse().unwrap(), late);
}

#[test]
fn every_run_leaves_the_recorded_partitions() {
    let time_columns = BTreeMap::from([("lake.searches", "ts")]);
    let (mut catalog, mut facts) = sources(&corpus().join("data"), &time_columns).unwrap();
    session_facts(&mut facts);
    let repo = corpus().join("repo");
    let (mut runs, mut tables) = (0, 0);
    for line in std::fs::read_to_string(corpus().join("runs.jsonl"))
        .unwrap()
        .lines()
    {
        let run: Value = serde_json::from_str(line).unwrap();
        let id = run["id"].as_str().unwrap();
        let changed = run["tables_changed"].as_object().unwrap();
        if run["kind"] == "engine" && !BY_ROWS.contains(&id) {
            let argv = run["argv"].as_array().unwrap();
            let argv: Vec<_> = argv
                .iter()
                .map(|word| word.as_str().unwrap().to_owned())
                .collect();
            let outcome = driver::run(&argv, &repo, &catalog, &facts);
            assert_eq!(
                Value::from(outcome.exit),
                run["exit"],
                "{id}: {}",
                outcome.message
            );
            let mut after = catalog.clone();
            let mut touched = BTreeSet::new();
            for write in outcome.commits.iter().flat_map(|commit| &commit.writes) {
                write.apply(&mut after);
                touched.insert(write.table().to_string());
            }
            let recorded: BTreeSet<_> = changed.keys().cloned().collect();
            // Always redone, but with the same partitions as before.
            let same: BTreeSet<_> = touched.difference(&recorded).cloned().collect();
            for table in &same {
                let table = table.parse().unwrap();
                assert_eq!(
                    state(&after, &table, "ds"),
                    state(&catalog, &table, "ds"),
                    "{id} {table}"
                );
            }
            for (name, change) in changed {
                let (table, wanted) = (name.parse().unwrap(), &change["after"]);
                let column = column_of(wanted);
                let days = recorded_days(wanted, column);
                assert_eq!(state(&after, &table, column), Some(days), "{id} {table}");
                tables += 1;
            }
            runs += 1;
        }
        for (name, change) in changed {
            set(&mut catalog, &name.parse().unwrap(), &change["after"]);
        }
    }
    assert_eq!((runs, tables), (49, 101), "runs and tables compared");
}

/// Engine-semantics 1 [5.3]: the earlier of two slices dies once the later has written, its retry
/// does nothing, and only `--run-first-hole` repairs the hole.
#[test]
fn the_race_between_slices_is_reproduced() {
    let (mut catalog, facts) = sources(&corpus().join("data"), &BTreeMap::new()).unwrap();
    let repo = corpus().join("repo");
    let output: TableName = "stays_out.stays_search_train_derived_only_v1"
        .parse()
        .unwrap();
    // The later slice has written its bootstrap and is not done yet.
    let later = "2026-01-29".parse::<chronon_run_core::Ds>().unwrap();
    let mut meanwhile = catalog.clone();
    let days = RangeSet::from_iter([later]);
    Write::days(output.suffixed("_bootstrap"), days).apply(&mut meanwhile);
    let argv = [
        "join",
        "--conf-path=production/joins/stays/search_train.derived_only_v1",
        "--end-date=2026-01-28",
    ];
    let outcome = driver::run(&argv.map(str::to_owned), &repo, &meanwhile, &facts);
    assert_eq!((outcome.exit, outcome.commits.len()), (1, 0));
    assert!(outcome.message.contains("empty.min"));

    let mut run = |extra: &[&str]| {
        let base = [
            "join",
            "--conf-path=production/joins/stays/search_train.derived_only_v1",
        ];
        let argv: Vec<_> = base
            .iter()
            .chain(extra)
            .map(|word| (*word).to_owned())
            .collect();
        let outcome = driver::run(&argv, &repo, &catalog, &facts);
        for write in outcome.commits.iter().flat_map(|commit| &commit.writes) {
            write.apply(&mut catalog);
        }
        let table = "stays_out.stays_search_train_derived_only_v1"
            .parse()
            .unwrap();
        (outcome.exit, catalog.days(&table, "ds", &[]).to_string())
    };
    let late = "2026-01-29..2026-01-30".to_owned();
    let all = "2026-01-26..2026-01-30".to_owned();
    assert_eq!(
        run(&[
            "--end-date=2026-01-30",
            "--start-partition-override=2026-01-29"
        ]),
        (0, late.clone())
    );
    assert_eq!(run(&["--end-date=2026-01-28"]), (0, late.clone()));
    assert_eq!(run(&["--end-date=2026-01-30"]), (0, late));
    assert_eq!(
        run(&["--end-date=2026-01-30", "--run-first-hole"]),
        (0, all)
    );
}
