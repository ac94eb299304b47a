//! Random confs over random tables, filled by the `sql` engine on a real Spark, and every cell compared
//! with the oracle of the test kit, which knows no SQL.
//!
//! `CHRONON_RUN_CASES` (3) cases beginning with the number `CHRONON_RUN_SEED` (fixed) are filled in one
//! workspace. A case that fails is made smaller by `CHRONON_RUN_SHRINK` (0) more runs, and is written to
//! `target/differential/<number>`: workspace, confs, tables, and what differs.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]
#![expect(clippy::print_stdout, reason = "the comparison is what the test shows")]

mod differences;
mod extras;
mod generate;
mod histories;
mod random;
mod shrink;
#[expect(dead_code, reason = "the other end-to-end tests use more of it")]
#[path = "../it/support/mod.rs"]
mod support;
#[path = "../it/support/tables.rs"]
#[expect(dead_code, reason = "the other end-to-end tests use more of it")]
mod tables;

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use chronon_run_conf::{GroupBy, Join};
use chronon_run_core::{Ds, TableName};
use chronon_run_testkit::{
    golden::Rows,
    oracle::{
        confs::{self, Comparison, Expected, Tables},
        expression::{Row, Unknown},
        joins, labels,
    },
};
use serde_json::{Value, json};

use crate::{
    generate::{Case, LEFT_LAST, case, day_text},
    support::{Workspace, repository},
};

pub(crate) const FIXED_SEED: u64 = 20_260_310;

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

pub(crate) fn number(name: &str, default: u64) -> u64 {
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
    let mut workspace = Workspace::empty();
    workspace.keeps_spark();
    write(cases, ONE_STEP, &|path, text| workspace.write(path, text));
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
    let has_labels = |case: &&&Case| case.joins.iter().any(|conf| !conf["labelPart"].is_null());
    if cases.iter().any(|case| has_labels(&case)) {
        for day in LABEL_DAYS {
            let screen =
                workspace.run(&["materialize", "mode:label-join", "--as-of", &day_text(day)]);
            if screen.code != Some(0) {
                println!("{}", screen.text());
            }
        }
    }
    let expected = cases.iter().map(|case| expected(case).unwrap());
    compared(&workspace, expected.collect())
}

/// What the tables of each case must be, by their names.
type ExpectedTables = Vec<(String, Vec<Expected>)>;

/// Compares the tables of all cases with those of a workspace.
pub(crate) fn compared(workspace: &Workspace, expected: Vec<ExpectedTables>) -> Vec<Vec<Outcome>> {
    let names = expected.iter().flatten().map(|(name, _)| name);
    let names: Vec<TableName> = names.map(|name| name.parse().unwrap()).collect();
    let found = tables::read(workspace, &names);
    let outcomes = |tables: ExpectedTables| {
        let tables = tables.into_iter().map(|(name, rows)| {
            let found = found.get(&name.parse::<TableName>().unwrap());
            let found = found.map_or_else(Vec::new, |table| rows_of(&table.content));
            let comparison = confs::compare(&rows, &found);
            Outcome {
                name,
                rows: found.len(),
                comparison,
            }
        });
        tables.collect()
    };
    expected.into_iter().map(outcomes).collect()
}

/// The days on which labels are known.
const LABEL_DAYS: [i64; 2] = [LEFT_LAST - 1, LEFT_LAST];

fn rows_of(content: &Rows) -> Vec<Row> {
    let names = || content.columns.iter().map(|(name, _)| name.clone());
    let rows = content.rows.iter().flatten();
    rows.map(|row| names().zip(row.iter().cloned()).collect())
        .collect()
}

/// What every table of a case must be, by its name.
pub(crate) fn expected(case: &Case) -> Result<ExpectedTables, Unknown> {
    let mut sources = sources(case);
    let last: Ds = day_text(LEFT_LAST).parse().unwrap();
    let mut tables = Vec::new();
    for conf in &case.joins {
        let name = table_of(conf);
        let conf: Join = serde_json::from_value(conf.clone()).unwrap();
        let first = conf.left.query().start_partition.as_ref().unwrap();
        let first: Ds = first.parse().unwrap();
        let rows = joins::join(&conf, &sources, first, last)?;
        tables.push((
            format!("{name}_bootstrap"),
            joins::left_table(&conf, &sources, first, last)?,
        ));
        for (suffix, rows) in joins::part_tables(&conf, &sources, first, last)? {
            tables.push((format!("{name}_{suffix}"), rows));
        }
        if conf.label_part.is_some() {
            let days = LABEL_DAYS.map(|day| day_text(day).parse().unwrap());
            tables.push((
                format!("{name}_labels"),
                labels::table(&conf, &sources, &days)?,
            ));
        }
        sources.insert(name.clone(), rows.iter().map(Expected::row).collect());
        tables.push((name, rows));
    }
    for conf in &case.group_bys {
        let name = table_of(conf);
        let conf: GroupBy = serde_json::from_value(conf.clone()).unwrap();
        let first = conf.backfill_start_date.as_ref().unwrap().parse().unwrap();
        tables.push((name, confs::group_by(&conf, &sources, first, last)?));
    }
    Ok(tables)
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

/// The files of a workspace, with these settings after `[run]`.
pub(crate) fn write(cases: &[&Case], settings: &str, file: &dyn Fn(&str, &str)) {
    let mut toml = TOML.to_owned() + settings;
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

const ONE_STEP: &str = "step_days = 10000\n";

const TOML: &str = r#"
[workspace]
repo = "."
env = "production"
timezone = "UTC"

[engine]
kind = "sql"
master = "local[2]"
keep_spark = "5m"
conf = { "spark.sql.shuffle.partitions" = "1" }

[catalog]
kind = "embedded"

[run]
jobs = 1
retries = 0
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
    write(&[case], ONE_STEP, &put);
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
