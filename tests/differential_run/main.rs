//! Random confs over random tables, filled by the `sql` engine on a real Spark, and every cell compared
//! with the oracle of the test kit, which knows no SQL.
//!
//! `CHRONON_RUN_CASES` (3) cases beginning with the number `CHRONON_RUN_SEED` (fixed) are filled in one
//! workspace. A case that fails is made smaller by `CHRONON_RUN_SHRINK` (0) more runs, and is written to
//! `target/differential/<number>`: workspace, confs, tables, and what differs.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]
#![expect(clippy::print_stdout, reason = "the comparison is what the test shows")]

mod differences;
mod generate;
mod random;
mod shrink;
#[expect(dead_code, reason = "the other end-to-end tests use more of it")]
#[path = "../it/support.rs"]
mod support;
#[path = "../it/tables.rs"]
#[expect(dead_code, reason = "the other end-to-end tests use more of it")]
mod tables;

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use chronon_run_conf::{GroupBy, Join};
use chronon_run_core::{Ds, TableName};
use chronon_run_testkit::oracle::{
    confs::{self, Comparison, Tables},
    expression::Row,
};
use serde_json::{Value, json};

use crate::{
    generate::{Case, LEFT_FIRST, LEFT_LAST, case, day_text},
    support::{Workspace, repository},
};

const FIXED_SEED: u64 = 20_260_310;

#[test]
fn random_confs_have_the_values_of_the_oracle() {
    let (first, count) = (
        number("CHRONON_RUN_SEED", FIXED_SEED),
        number("CHRONON_RUN_CASES", 3),
    );
    let cases: BTreeMap<u64, Case> = (first..first + count)
        .map(|seed| (seed, case(&format!("c{seed}"), seed)))
        .collect();
    let results = run(&cases.values().collect::<Vec<_>>());
    let mut total = Comparison::default();
    let (mut tables, mut rows) = (0, 0);
    let mut failed = Vec::new();
    for ((seed, case), outcome) in cases.iter().zip(&results) {
        for table in outcome {
            tables += 1;
            rows += table.rows;
            total.cells += table.comparison.cells;
            total.undefined += table.comparison.undefined;
            total.filled += table.comparison.filled;
            for wrong in table.comparison.wrong.iter().take(3) {
                println!("{seed} {}: {wrong}", table.name);
            }
        }
        if outcome.iter().any(Outcome::is_wrong) {
            failed.push((*seed, case));
        }
    }
    println!(
        "{} confs, {tables} tables, {rows} rows, {} cells ({} filled, {} undefined); {} cases differ",
        cases
            .values()
            .map(|case| case.group_bys.len() + case.joins.len())
            .sum::<usize>(),
        total.cells,
        total.filled,
        total.undefined,
        failed.len()
    );
    for (seed, case) in &failed {
        let smallest = shrink::smallest(case, number("CHRONON_RUN_SHRINK", 0));
        keep(*seed, &smallest);
    }
    let failed: Vec<u64> = failed.into_iter().map(|(seed, _)| seed).collect();
    assert!(
        failed.is_empty(),
        "these differ: {failed:?}; CHRONON_RUN_SEED={first}"
    );
    // A comparison of nothing proves nothing.
    assert!(
        total.filled * 4 > total.cells && total.undefined * 5 < total.cells,
        "{total:?}"
    );
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A table that was compared.
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) comparison: Comparison,
}

impl Outcome {
    pub(crate) fn is_wrong(&self) -> bool {
        !self.comparison.wrong.is_empty()
    }
}

/// Fills all cases in one workspace and compares their tables, case by case.
pub(crate) fn run(cases: &[&Case]) -> Vec<Vec<Outcome>> {
    let workspace = Workspace::empty();
    write(cases, &|path, text| workspace.write(path, text));
    let last = day_text(LEFT_LAST);
    let screen = workspace.run(&[
        "materialize",
        "mode:backfill",
        "--as-of",
        &last,
        "--on-failure",
        "continue",
    ]);
    if screen.code != Some(0) {
        println!("{}", screen.text());
    }
    let names: Vec<TableName> = cases
        .iter()
        .flat_map(|case| case.group_bys.iter().chain(&case.joins))
        .map(|conf| table_of(conf).parse().unwrap())
        .collect();
    let found = tables::read(&workspace, &names);
    let rows_of = |conf: &Value| -> Vec<Row> {
        let table = found.get(&table_of(conf).parse::<TableName>().unwrap());
        let content = table.map(|table| &table.content);
        let names = || {
            content
                .iter()
                .flat_map(|content| content.columns.iter().map(|(name, _)| name.clone()))
        };
        let rows = content
            .into_iter()
            .flat_map(|content| content.rows.iter().flatten());
        rows.map(|row| names().zip(row.iter().cloned()).collect())
            .collect()
    };
    cases.iter().map(|case| compared(case, &rows_of)).collect()
}

fn compared(case: &Case, rows_of: &dyn Fn(&Value) -> Vec<Row>) -> Vec<Outcome> {
    let sources = sources(case);
    let (first, last): (Ds, Ds) = (
        day_text(LEFT_FIRST).parse().unwrap(),
        day_text(LEFT_LAST).parse().unwrap(),
    );
    let mut outcomes = Vec::new();
    let mut add = |conf: &Value, expected: Vec<confs::Expected>| {
        let found = rows_of(conf);
        outcomes.push(Outcome {
            name: table_of(conf),
            rows: found.len(),
            comparison: confs::compare(&expected, &found),
        });
    };
    for conf in &case.group_bys {
        let typed: GroupBy = serde_json::from_value(conf.clone()).unwrap();
        add(
            conf,
            confs::group_by(&typed, &sources, first, last).unwrap(),
        );
    }
    for conf in &case.joins {
        let typed: Join = serde_json::from_value(conf.clone()).unwrap();
        add(conf, confs::join(&typed, &sources, first, last).unwrap());
    }
    outcomes
}

/// The tables as the oracle reads them: every row has every column.
fn sources(case: &Case) -> Tables {
    let tables = case.tables.iter().map(|(name, table)| {
        let rows = table.rows.iter().map(|row| {
            let columns = table.columns.iter();
            let cell = |name: &String| row.get(name).cloned().unwrap_or(Value::Null);
            columns
                .map(|(name, _)| (name.clone(), cell(name)))
                .collect()
        });
        (name.clone(), rows.collect())
    });
    tables.collect()
}

fn table_of(conf: &Value) -> String {
    let name = conf["metaData"]["name"].as_str().unwrap();
    format!("dif.{}", name.replace('.', "_"))
}

/// The files of a workspace.
fn write(cases: &[&Case], file: &dyn Fn(&str, &str)) {
    let mut toml = TOML.to_owned();
    for case in cases {
        for (name, table) in &case.tables {
            let columns: Vec<String> = table
                .columns
                .iter()
                .map(|(name, kind)| format!("{name} = \"{kind}\""))
                .collect();
            let _ = write!(
                toml,
                "\n[seeds.\"{name}\"]\npath = \"data/{name}.json\"\ncolumns = {{ {} }}\npartition_by = [\"ds\"]\n",
                columns.join(", ")
            );
            let lines: String = table
                .rows
                .iter()
                .map(|row| format!("{}\n", json!(row)))
                .collect();
            file(&format!("data/{name}.json"), &lines);
        }
        for (folder, confs) in [("group_bys", &case.group_bys), ("joins", &case.joins)] {
            for conf in confs {
                let name = conf["metaData"]["name"].as_str().unwrap();
                let name = name.strip_prefix("dif.").unwrap();
                file(
                    &format!("production/{folder}/dif/{name}"),
                    &format!("{conf:#}"),
                );
            }
        }
    }
    let teams = json!({ "default": { "namespace": "dif" }, "dif": { "namespace": "dif" } });
    file("teams.json", &teams.to_string());
    file("workspace.toml", &toml);
}

const TOML: &str = r#"
[workspace]
repo = "."
env = "production"
timezone = "UTC"

[engine]
kind = "sql"
master = "local[2]"
conf = { "spark.sql.shuffle.partitions" = "1" }

[catalog]
kind = "embedded"

[run]
jobs = 1
retries = 0
step_days = 10000
"#;

/// Writes a case that fails where it can be looked at.
fn keep(seed: u64, case: &Case) {
    let folder = repository().join(format!("target/differential/{seed}"));
    let put = |path: &str, text: &str| {
        let path: &Path = &folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let _ = fs::remove_dir_all(&folder);
    write(&[case], &put);
    let outcomes: Vec<Outcome> = run(&[case]).into_iter().flatten().collect();
    let mut readme = format!(
        "# Case {seed}\n\n`chronon-run materialize mode:backfill --as-of {}` in this folder.\n",
        day_text(LEFT_LAST)
    );
    for outcome in &outcomes {
        for wrong in &outcome.comparison.wrong {
            let _ = write!(readme, "\n* {}: {wrong}\n", outcome.name);
        }
    }
    put("README.md", &readme);
    println!("kept: {}", folder.display());
}
