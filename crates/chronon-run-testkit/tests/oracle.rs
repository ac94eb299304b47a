//! The oracle against the recorded corpora: what it says of each conf that it understands is what the real
//! Driver wrote.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should stop here, and shows what it compared"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use chronon_run_conf::{GroupBy, Join};
use chronon_run_core::{Ds, PartitionRange, RangeSet};
use chronon_run_testkit::{
    golden::{Recorded, recorded_days},
    oracle::{
        confs::{self, Comparison, Expected, Tables},
        expression::{Row, Unknown},
        joins, labels,
    },
};
use serde_json::{Value, json};

fn corpus(name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    golden.join(name)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The source tables of a corpus that are partitioned by `ds` alone, with the types of their columns.
fn sources(root: &Path) -> Tables {
    let schema = json_of(&root.join("data/schema.json"));
    let tables = schema["tables"].as_object().unwrap().iter();
    let tables = tables.filter(|(_, table)| table["partition_columns"] == json!(["ds"]));
    tables
        .map(|(name, table)| {
            let columns = table["columns"].as_array().unwrap().iter();
            let types: Vec<&str> = columns
                .map(|column| column["type"].as_str().unwrap())
                .collect();
            let text = fs::read_to_string(root.join(format!("data/{name}.csv"))).unwrap();
            let mut lines = text.lines();
            let names: Vec<&str> = lines.next().unwrap().split(',').collect();
            let row = |line: &str| -> Row {
                let cells = line.split(',').zip(&types);
                let cells = cells.map(|(text, data_type)| value(text, data_type));
                names
                    .iter()
                    .map(|name| (*name).to_owned())
                    .zip(cells)
                    .collect()
            };
            (name.clone(), lines.map(row).collect())
        })
        .collect()
}

fn value(text: &str, data_type: &str) -> Value {
    if text == "\\N" {
        return Value::Null;
    }
    match data_type {
        "string" => json!(text.trim_matches('"')),
        _ => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}

/// `--step-days 5`, `--step-days=5`.
fn option<'a>(run: &'a Value, name: &str) -> Option<&'a str> {
    let words: Vec<&str> = run["argv"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    words
        .iter()
        .enumerate()
        .find_map(|(at, word)| match word.strip_prefix(name) {
            Some("") => words.get(at + 1).copied(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        })
}

/// The steps of a run: days that it filled, without a hole, cut as the Driver does.
fn steps(run: &Value, table: &str) -> Vec<PartitionRange> {
    let change = &run["tables_changed"][table];
    let filled =
        recorded_days(&change["after"], "ds").minus(&recorded_days(&change["before"], "ds"));
    let cut = option(run, "--step-days").map_or(30, |text| text.parse().unwrap());
    let mut steps = Vec::new();
    for range in filled.ranges() {
        let days: Vec<Ds> = range.iter().collect();
        let pieces = days.chunks(cut);
        steps
            .extend(pieces.map(|days| PartitionRange::new(days[0], days[days.len() - 1]).unwrap()));
    }
    steps
}

/// What the oracle says of one run.
fn expected(
    conf: &Value,
    group_by: bool,
    tables: &Tables,
    steps: &[PartitionRange],
) -> Result<Vec<Expected>, Unknown> {
    let mut rows = Vec::new();
    for step in steps {
        rows.extend(match group_by {
            true => {
                let conf: GroupBy = serde_json::from_value(conf.clone()).unwrap();
                confs::group_by(&conf, tables, step.start, step.end)?
            }
            false => {
                let conf: Join = serde_json::from_value(conf.clone()).unwrap();
                joins::join(&conf, tables, step.start, step.end)?
            }
        });
    }
    Ok(rows)
}

/// The recorded rows of these days.
fn recorded(root: &Path, table: &str, steps: &[PartitionRange]) -> Vec<Row> {
    let recorded = Recorded::read(&root.join("expected"), table).unwrap();
    let days: RangeSet = steps.iter().copied().collect();
    let columns = &recorded.content.columns;
    let rows = recorded.content.rows.iter().flatten().map(|row| {
        let names = columns.iter().map(|(name, _)| name.clone());
        names.zip(row.iter().cloned()).collect::<Row>()
    });
    let of_days = |row: &Row| {
        let day = row["ds"].as_str().and_then(|text| text.parse::<Ds>().ok());
        day.is_some_and(|day| days.contains(day))
    };
    rows.filter(of_days).collect()
}

/// A sketch's estimate, which the oracle does not know.
fn is_estimate(wrong: &str) -> bool {
    wrong.contains("_approx_unique_count") || wrong.contains("_approx_histogram_k")
}

/// What was compared of all tables.
#[derive(Default, Debug)]
struct Total(Comparison);

impl Total {
    fn take(&mut self, table: &str, result: Comparison) {
        self.0.cells += result.cells;
        self.0.filled += result.filled;
        self.0.undefined += result.undefined;
        let wrong = result.wrong.into_iter().filter(|wrong| !is_estimate(wrong));
        self.0
            .wrong
            .extend(wrong.map(|wrong| format!("{table}: {wrong}")));
    }
}

/// The tables of the left and of the parts that a whole join wrote in one step.
fn made_on_the_way(
    conf: &Value,
    root: &Path,
    table: &str,
    tables: &Tables,
    step: PartitionRange,
) -> Result<Vec<(String, Comparison)>, Unknown> {
    let conf: Join = serde_json::from_value(conf.clone()).unwrap();
    let mut expected = joins::part_tables(&conf, tables, step.start, step.end)?;
    let left = joins::left_table(&conf, tables, step.start, step.end)?;
    expected.insert("bootstrap".to_owned(), left);
    let of_table = |(suffix, rows): (String, Vec<Expected>)| {
        let name = format!("{table}_{suffix}");
        let days = rows
            .iter()
            .filter_map(|row| row.key["ds"].as_str()?.parse().ok());
        let days: Vec<PartitionRange> = days
            .map(|day: Ds| PartitionRange::new(day, day).unwrap())
            .collect();
        let found = recorded(root, &name, &days);
        (name, confs::compare(&rows, &found))
    };
    let is_recorded = |suffix: &String| {
        let file = format!("expected/{table}_{suffix}.schema");
        root.join(file).exists()
    };
    expected.retain(|suffix, _| is_recorded(suffix));
    Ok(expected.into_iter().map(of_table).collect())
}

/// The table of labels of the day of a run.
fn labels_of(root: &Path, run: &Value, tables: &Tables) -> (String, Comparison) {
    let conf = json_of(&root.join("repo").join(option(run, "--conf-path").unwrap()));
    let conf: Join = serde_json::from_value(conf).unwrap();
    let day = option(run, "--end-date").unwrap();
    let table = conf.meta_data.output_table().unwrap().suffixed("_labels");
    let expected = labels::table(&conf, tables, &[day.parse().unwrap()]).unwrap();
    let content = Recorded::read(&root.join("expected"), &table.to_string())
        .unwrap()
        .content;
    let rows = content.rows.iter().flatten().map(|row| {
        let names = content.columns.iter().map(|(name, _)| name.clone());
        names.zip(row.iter().cloned()).collect::<Row>()
    });
    let found: Vec<Row> = rows.filter(|row| row["label_ds"] == *day).collect();
    (table.to_string(), confs::compare(&expected, &found))
}

#[test]
fn the_oracle_says_what_the_driver_wrote() {
    let mut total = Total::default();
    let mut compared = Vec::new();
    for name in ["a", "b", "c"] {
        let root = corpus(name);
        let mut tables = sources(&root);
        let runs = fs::read_to_string(root.join("runs.jsonl")).unwrap();
        for run in runs
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
        {
            let mode = run["argv"][0].as_str().unwrap_or_default();
            if mode == "label-join" && run["exit"] == 0 {
                let (table, result) = labels_of(&root, &run, &tables);
                println!("{name} {table}: {} cells", result.cells);
                total.take(&table, result);
                compared.push(table);
                continue;
            }
            if run["exit"] != 0
                || !["group-by-backfill", "join"].contains(&mode)
                || option(&run, "--selected-join-parts").is_some()
            {
                continue;
            }
            let conf = json_of(&root.join("repo").join(option(&run, "--conf-path").unwrap()));
            let meta = &conf["metaData"];
            let table = meta["name"]
                .as_str()
                .unwrap()
                .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            let table = format!("{}.{table}", meta["outputNamespace"].as_str().unwrap());
            let steps = steps(&run, &table);
            let found = recorded(&root, &table, &steps);
            let result = expected(&conf, mode != "join", &tables, &steps);
            // What later confs read: chained GroupBys.
            tables
                .entry(table.clone())
                .or_default()
                .extend(found.clone());
            match result {
                Err(unknown) => println!("{name} {table}: {unknown}"),
                Ok(rows) if rows.is_empty() => {}
                Ok(rows) => {
                    let result = confs::compare(&rows, &found);
                    println!(
                        "{name} {table}: {} rows, {} cells",
                        rows.len(),
                        result.cells
                    );
                    total.take(&table, result);
                    compared.push(table.clone());
                }
            }
            if mode == "join" && steps.len() == 1 {
                let found = made_on_the_way(&conf, &root, &table, &tables, steps[0]);
                for (table, result) in found.unwrap_or_default() {
                    println!("{name} {table}: {} cells", result.cells);
                    total.take(&table, result);
                    compared.push(table);
                }
            }
        }
    }
    println!(
        "{} tables, {} cells, {} filled, {} undefined",
        compared.len(),
        total.0.cells,
        total.0.filled,
        total.0.undefined
    );
    assert_eq!(total.0.wrong, Vec::<String>::new());
    assert!(
        compared.len() >= 20 && total.0.filled > 20_000,
        "{compared:?} {total:?}"
    );
}
