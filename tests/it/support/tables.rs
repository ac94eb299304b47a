//! The tables of a workspace, read back with one Spark SQL script: rows as JSON, partitions,
//! columns and properties.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use chronon_run_catalog::{
    Catalog, Timeouts,
    embedded::{Embedded, Lease},
};
use chronon_run_core::{CatalogSnapshot, CommandLine, Ds, PartitionFormat, TableInfo, TableName};
use chronon_run_spark::{
    Environment, InheritedOptions, Jvm, Spark,
    archive::Archive,
    command::{LOG_CONFIG, Length, SqlJobs},
    locate,
};
use chronon_run_testkit::golden::Rows;
use serde_json::Value;

use crate::support::{Workspace, cache};

/// A table as it was found.
pub(crate) struct Found {
    pub(crate) content: Rows,
}

/// The embedded metastore of a workspace, and a Spark to ask it with.
pub(crate) struct Warehouse {
    state: PathBuf,
    spark: Spark,
    lease: Lease,
}

impl Warehouse {
    pub(crate) fn of(workspace: &Workspace) -> Self {
        let state = workspace.path(".chronon-run");
        let mut environment = Environment::new(None, |name| env::var_os(name));
        environment.cache = Some(cache());
        environment.spark_home = None;
        let spark = locate(&environment, &mut |_| {}).unwrap();
        let metastore = Embedded {
            java: spark.java.program(),
            java_options: archive("metastore", &spark)
                .map(|archive| archive.options())
                .unwrap_or_default(),
            env: Vec::new(),
            jars: spark.jars(),
            directory: state.join("metastore"),
            warehouse: state.join("warehouse"),
            idle: Duration::from_secs(60),
            start: Duration::from_secs(120),
        };
        let lease = metastore.join().unwrap();
        Self {
            state,
            spark,
            lease,
        }
    }

    /// Where the metastore is.
    pub(crate) fn uri(&self) -> String {
        self.lease.uri()
    }

    /// What the catalog knows of the tables.
    pub(crate) fn snapshot(&self, names: &[TableName]) -> CatalogSnapshot {
        let catalog = Catalog::connect(&self.lease.uri(), Timeouts::default()).unwrap();
        let requests: Vec<_> = names
            .iter()
            .map(|name| (name.clone(), Vec::new()))
            .collect();
        catalog.snapshot(&requests).unwrap()
    }

    /// When the newest days of a table were entered, in milliseconds since the epoch.
    pub(crate) fn landings(&self, table: &TableName, newest: usize) -> BTreeMap<Ds, i64> {
        let catalog = Catalog::connect(&self.lease.uri(), Timeouts::default()).unwrap();
        catalog
            .landings(table, "ds", &PartitionFormat::iso(), newest)
            .unwrap()
    }

    /// What a script prints, run in a process of its own.
    pub(crate) fn printed(&self, script: &str) -> String {
        self.printed_with(script, &[("spark.sql.shuffle.partitions", "2")])
    }

    /// The same with a Spark configuration of the caller's.
    pub(crate) fn printed_with(&self, script: &str, conf: &[(&str, &str)]) -> String {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let conf: Vec<(String, String)> = conf.iter().map(owned).collect();
        let path = self.state.join("test.sql");
        let log = self.state.join("test-log4j2.properties");
        fs::write(&path, script).unwrap();
        fs::write(&log, LOG_CONFIG).unwrap();
        let archive = archive("sql", &self.spark);
        let jvm = Jvm::below(self.state.join("scratch"));
        jvm.create_folders().unwrap();
        let jobs = SqlJobs {
            spark: &self.spark,
            master: "local[2]",
            conf: &conf,
            metastore_uri: &self.lease.uri(),
            warehouse: Some(&self.state.join("warehouse")),
            jvm: &jvm,
            log_config: Some(&log),
            archive: archive.as_ref(),
            inherited_options: &InheritedOptions::default(),
        };
        output(&jobs.script(&path, "test", Length::Short))
    }
}

fn archive(purpose: &str, spark: &Spark) -> Option<Archive> {
    Archive::new(&cache(), purpose, spark).ok().flatten()
}

/// Those of `names` that exist, read from the embedded metastore of `workspace`.
pub(crate) fn read(workspace: &Workspace, names: &[TableName]) -> BTreeMap<TableName, Found> {
    let warehouse = Warehouse::of(workspace);
    let tables: BTreeMap<TableName, TableInfo> = warehouse
        .snapshot(names)
        .tables
        .into_iter()
        .filter_map(|(name, state)| Some((name, state?.info)))
        .collect();
    let printed = warehouse.printed(&text(&tables));
    parse(tables, &printed)
}

/// One line before each answer says what it answers.
fn text(tables: &BTreeMap<TableName, TableInfo>) -> String {
    let mut text = String::new();
    for (name, info) in tables {
        if !info.partition_columns.is_empty() {
            text += &format!("SELECT '@partitions {name}';\nSHOW PARTITIONS {name};\n");
        }
        text += &format!(
            "SELECT '@columns {name}';\nDESCRIBE {name};\n\
             SELECT '@rows {name}';\n\
             SELECT to_json(struct(*), map('ignoreNullFields', 'false')) FROM {name};\n"
        );
    }
    text
}

fn output(command: &CommandLine) -> String {
    let mut child = Command::new(&command.argv[0]);
    child.args(&command.argv[1..]);
    for (name, value) in &command.env {
        match value {
            Some(value) => child.env(name, value),
            None => child.env_remove(name),
        };
    }
    let output = child.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the script fails:\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn parse(tables: BTreeMap<TableName, TableInfo>, printed: &str) -> BTreeMap<TableName, Found> {
    let mut partitions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut at = ("", "");
    for line in printed.lines() {
        if let Some(header) = line.strip_prefix('@') {
            at = header.split_once(' ').unwrap();
        } else if at.0 == "columns" {
            columns
                .entry(at.1.to_owned())
                .or_default()
                .push(line.to_owned());
        } else if at.0 == "partitions" {
            partitions
                .entry(at.1.to_owned())
                .or_default()
                .insert(line.to_owned());
        } else {
            let row = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            rows.entry(at.1.to_owned()).or_default().push(row);
        }
    }
    let found = tables.into_iter().map(|(name, info)| {
        let columns = described(
            columns
                .get(&name.to_string())
                .map_or(&[][..], Vec::as_slice),
        );
        let objects = rows.remove(&name.to_string()).unwrap_or_default();
        let rows = objects.iter().map(|row| {
            let cell = |(name, _): &(String, String)| row.get(name).cloned().unwrap_or(Value::Null);
            columns.iter().map(cell).collect()
        });
        let rows = rows.collect();
        let partitions = (!info.partition_columns.is_empty())
            .then(|| partitions.remove(&name.to_string()).unwrap_or_default());
        let content = Rows {
            columns,
            partitions,
            rows: Some(rows),
        };
        (name, Found { content })
    });
    found.collect()
}

/// Names and types of what `DESCRIBE` prints: padded, tab-separated, up to the part that tells
/// the partition columns again.
fn described(lines: &[String]) -> Vec<(String, String)> {
    let lines = lines
        .iter()
        .take_while(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .filter_map(|line| {
            let mut fields = line.split('\t').map(|field| field.trim().to_owned());
            Some((fields.next()?, fields.next()?))
        })
        .collect()
}
