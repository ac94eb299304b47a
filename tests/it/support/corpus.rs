//! A folder of the golden material: a repo, its sources, and the recorded runs of the real engine.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use chronon_run_core::{Ds, PartitionRange, RangeSet};
use chronon_run_testkit::golden::Recorded;
use serde_json::{Value, json};

use crate::support::{Workspace, repository};

/// A folder of recorded runs.
pub(crate) struct Corpus {
    pub(crate) root: PathBuf,
    pub(crate) runs: Vec<Value>,
}

impl Corpus {
    /// A folder, if relative then of `tests/golden`.
    pub(crate) fn open(folder: impl AsRef<Path>) -> Self {
        let root = repository().join("tests/golden").join(folder);
        let text = fs::read_to_string(root.join("runs.jsonl")).unwrap();
        let runs = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        Self { root, runs }
    }

    /// Tables that were put there by hand between two runs: inputs.
    pub(crate) fn prepared_names(&self) -> BTreeSet<String> {
        let runs = self.runs.iter().filter(|run| run["kind"] == "preparation");
        let names = runs.flat_map(|run| run["tables_changed"].as_object().unwrap().keys());
        names.cloned().collect()
    }

    /// The repo with a workspace.toml: the sources as seeds, holes declared, no cuts of our own.
    pub(crate) fn workspace(&self) -> Workspace {
        let workspace = Workspace::copy_of(&self.root.join("repo"));
        let mut toml = String::from(
            "[workspace]\nrepo = \".\"\nenv = \"production\"\ntimezone = \"UTC\"\n\
             [engine]\nkind = \"sql\"\nmaster = \"local[2]\"\n\
             conf = { \"spark.sql.shuffle.partitions\" = \"1\" }\n\
             [catalog]\nkind = \"embedded\"\n\
             [run]\njobs = 2\nretries = 0\nstep_days = 10000\n",
        );
        let schema = self.root.join("data/schema.json");
        let schema: Value = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
        for (name, table) in schema["tables"].as_object().unwrap() {
            toml += &self.source(name, table);
        }
        for name in self.prepared_names() {
            toml += &self.prepared(&workspace, &name);
        }
        for conf in self.modular() {
            toml += &format!("[[override]]\nselect = \"{conf}\"\njoin_flow = \"modular\"\n");
        }
        workspace.write("workspace.toml", &toml);
        workspace
    }

    fn source(&self, name: &str, table: &Value) -> String {
        let columns = table["columns"].as_array().unwrap().iter();
        let columns = columns.map(|column| pair(&column["name"], &column["type"]));
        let empty = texts(&table["empty_partitions"]);
        let empty: Vec<&str> = empty
            .iter()
            .map(|text| text.split_once('=').map_or(*text, |pair| pair.1))
            .collect();
        let path = self.root.join("data").join(format!("{name}.csv"));
        let mut toml = seed(
            name,
            &path,
            columns.collect(),
            &texts(&table["partition_columns"]),
        );
        toml += &format!("null = \"\\\\N\"\nempty_partitions = {}\n", json!(empty));
        let day_column = texts(&table["partition_columns"])[0];
        let missing = holes(&path, day_column, &empty);
        if !missing.is_empty() {
            toml += &format!("[sources.\"{name}\"]\nmissing = {}\n", json!(missing));
        }
        toml
    }

    /// A table that was put there by hand between two runs: a seed made of its recorded rows.
    fn prepared(&self, workspace: &Workspace, name: &str) -> String {
        let table = Recorded::read(&self.root.join("expected"), name).unwrap();
        let columns = &table.content.columns;
        let mut lines = String::new();
        for row in table.content.rows.iter().flatten() {
            let names = columns.iter().map(|(name, _)| name.clone());
            let row: serde_json::Map<_, _> = names.zip(row.iter().cloned()).collect();
            lines += &format!("{}\n", Value::Object(row));
        }
        let file = format!("prepared/{name}.json");
        workspace.write(&file, &lines);
        let columns = columns
            .iter()
            .map(|(name, kind)| pair(&json!(name), &json!(kind)));
        let partition = table.content.partitions.iter().flatten().next();
        let pieces = partition.into_iter().flat_map(|name| name.split('/'));
        let partition_by = pieces.map(|piece| piece.split_once('=').unwrap().0);
        let partition_by: Vec<&str> = partition_by.collect();
        seed(
            name,
            &workspace.path(&file),
            columns.collect(),
            &partition_by,
        )
    }

    /// Names of the joins that were run in parts.
    pub(crate) fn modular(&self) -> BTreeSet<String> {
        let runs = self.runs.iter().filter(|run| run["argv"][0] == "join-left");
        runs.map(|run| {
            self.conf(run)["metaData"]["name"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
    }

    /// The conf of a recorded run.
    pub(crate) fn conf(&self, run: &Value) -> Value {
        let path = self
            .root
            .join("repo")
            .join(option(run, "--conf-path").unwrap());
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }
}

/// `--name=value` or `--name value` of a recorded command line.
pub(crate) fn option<'r>(run: &'r Value, name: &str) -> Option<&'r str> {
    let words = texts(&run["argv"]);
    words.iter().enumerate().find_map(|(at, word)| {
        if *word == name {
            return words.get(at + 1).copied();
        }
        word.strip_prefix(name)?.strip_prefix('=')
    })
}

pub(crate) fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn pair(name: &Value, kind: &Value) -> String {
    format!("{name} = {kind}")
}

fn seed(name: &str, path: &Path, columns: Vec<String>, partition_by: &[&str]) -> String {
    format!(
        "[seeds.\"{name}\"]\npath = {}\ncolumns = {{ {} }}\npartition_by = {}\n",
        json!(path),
        columns.join(", "),
        json!(partition_by)
    )
}

/// The days between the first and the last of a source that it does not have.
fn holes(path: &Path, column: &str, empty: &[&str]) -> Vec<String> {
    let mut rows = csv::Reader::from_path(path).unwrap();
    let at = rows
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == column);
    let at = at.unwrap();
    let filled: BTreeSet<String> = rows
        .records()
        .map(|row| row.unwrap()[at].to_owned())
        .collect();
    let days: RangeSet = filled
        .iter()
        .map(String::as_str)
        .chain(empty.iter().copied())
        .filter_map(|text| text.parse::<Ds>().ok())
        .collect();
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return Vec::new();
    };
    let all = PartitionRange::new(first, last).unwrap();
    all.iter()
        .filter(|day| !days.contains(*day))
        .map(|day| day.to_string())
        .collect()
}
