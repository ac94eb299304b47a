//! Workspaces whose tables the Driver fills: the scripted one, on a metastore that all of these tests
//! share, or, if `CHRONON_RUN_TEST_JAR` names its jar, the real one on a real Spark.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use chronon_run_catalog::{
    Hive, Timeouts,
    embedded::{Embedded, Lease},
};
use chronon_run_core::{CatalogSnapshot, RangeSet, TableName};
use chronon_run_engine::spark::{Surroundings, locate};
use chronon_run_testkit::{
    driver::{Commit, Facts, Write},
    golden,
    scripted::{self, Backend, CALLS, CATALOG, FACTS, FAULTS, Fault, Record},
};
use serde_json::Value;

use crate::{
    jars,
    staged::scripted_spark_submit,
    support::{Screen, Workspace, cache, repository},
};

/// The metastore that every test of this process shares: starting one takes seconds.
fn metastore() -> &'static Lease {
    static LEASE: OnceLock<Lease> = OnceLock::new();
    LEASE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("driver-metastore");
        // What earlier processes left; a living metastore keeps its own.
        for old in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let alive = Path::new("/proc").join(old.file_name()).exists();
            if !alive {
                fs::remove_dir_all(old.path()).unwrap();
            }
        }
        let folder = folder.join(std::process::id().to_string());
        fs::create_dir_all(&folder).unwrap();
        let surroundings = Surroundings::new(None, |name| match name {
            "CHRONON_RUN_CACHE" => Some(cache().into()),
            "SPARK_HOME" => None,
            other => std::env::var_os(other),
        });
        let spark = locate(&surroundings, &mut |_| ()).unwrap();
        let embedded = Embedded {
            java: spark.java.program(),
            java_options: vec!["-XX:TieredStopAtLevel=1".into(), "-XX:+UseSerialGC".into()],
            jars: spark.jars(),
            directory: folder.join("metastore"),
            warehouse: folder.join("warehouse"),
            idle: Duration::from_secs(1),
            start: Duration::from_secs(120),
        };
        embedded.join().unwrap()
    })
}

/// The corpus of recorded runs.
fn corpus() -> PathBuf {
    repository().join("tests/golden/a")
}

/// The databases of the corpus.
const DATABASES: [&str; 3] = ["lake", "stays_out", "trust_out"];

/// A copy of the corpus' repo, its databases renamed so that tests do not meet.
pub(crate) struct Driven {
    pub(crate) workspace: Workspace,
    prefix: String,
}

impl Driven {
    /// Filled by the scripted Driver; `prefix` is unique among the tests. `more` is added to
    /// workspace.toml.
    pub(crate) fn scripted(prefix: &str, more: &str) -> Self {
        let driven = Self {
            workspace: Workspace::copy_of(&corpus().join("repo")),
            prefix: prefix.to_owned(),
        };
        driven.rename_databases();
        driven.install();
        let (catalog, facts) = driven.sources();
        let missing = driven.declare_holes(&catalog);
        driven
            .workspace
            .write("facts.json", &serde_json::to_string(&facts).unwrap());
        driven.publish(&catalog);
        driven.workspace.write(
            "workspace.toml",
            &format!(
                r#"[workspace]
as_of = "2026-01-30"

[engine]
kind = "chronon"
chronon_jar = "chronon.jar"
online_jar = "online.jar"
online_class = "com.example.Online"
spark_home = "spark"
java_home = "java"
fast_start = "never"

[catalog]
kind = "hive"
uri = "{}"

[run]
retries = 0
retry_delay = "10ms"
grace = "1s"

{missing}
{more}"#,
                metastore().uri()
            ),
        );
        driven
    }

    fn install(&self) {
        let workspace = &self.workspace;
        scripted::install(&workspace.path("spark"), scripted_spark_submit()).unwrap();
        workspace.write("spark/jars/spark-core_2.12-3.3.1.jar", "");
        workspace.write("java/release", "JAVA_VERSION=\"17.0.1\"\n");
        workspace.write("java/bin/java", "");
        fs::write(workspace.path("chronon.jar"), jars::jar(&[jars::DRIVER])).unwrap();
        workspace.write("online.jar", "");
    }

    /// `lake.searches` → `t1_lake.searches` in every conf.
    fn rename_databases(&self) {
        for path in files(self.workspace.root()) {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, self.renamed(&text)).unwrap();
        }
    }

    fn renamed(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for name in DATABASES {
            for quote in ["\"", " ", "=", "("] {
                for end in [".", "\""] {
                    let from = format!("{quote}{name}{end}");
                    text = text.replace(&from, &format!("{quote}{}_{name}{end}", self.prefix));
                }
            }
        }
        text
    }

    /// A table of the corpus as it is called here.
    pub(crate) fn table(&self, name: &str) -> TableName {
        format!("{}_{name}", self.prefix).parse().unwrap()
    }

    fn sources(&self) -> (CatalogSnapshot, Facts) {
        let (catalog, facts) = golden::sources(&corpus().join("data"), &BTreeMap::new()).unwrap();
        let here = |table: TableName| self.table(table.as_str());
        let tables = catalog.tables.into_iter();
        let empty = facts.empty.into_iter();
        (
            CatalogSnapshot {
                tables: tables.map(|(table, state)| (here(table), state)).collect(),
            },
            Facts {
                empty: empty.map(|(table, days)| (here(table), days)).collect(),
                ts_days: BTreeMap::new(),
            },
        )
    }

    /// Days between a source's first and last one that will never land.
    fn declare_holes(&self, catalog: &CatalogSnapshot) -> String {
        let mut toml = String::new();
        for (table, state) in &catalog.tables {
            let days = state.iter().flat_map(|state| state.partitions.values());
            let days = days.fold(RangeSet::new(), |all, days| all.union(&days.days()));
            let holes = RangeSet::from(days.hull()).minus(&days);
            if !holes.is_empty() {
                let holes: Vec<String> = holes.iter().map(|day| day.to_string()).collect();
                toml += &format!("[sources.\"{table}\"]\nmissing = {holes:?}\n");
            }
        }
        toml
    }

    /// Puts tables into the metastore, and makes the databases of the outputs.
    fn publish(&self, catalog: &CatalogSnapshot) {
        let hive = Hive::new(&metastore().uri(), Timeouts::default()).unwrap();
        for name in DATABASES {
            hive.ensure_database(&format!("{}_{name}", self.prefix))
                .unwrap();
        }
        for (table, state) in &catalog.tables {
            let partitions = state.iter().flat_map(|state| &state.partitions);
            for (column, partitions) in partitions {
                self.write(Write::Partitions {
                    table: table.clone(),
                    others: Vec::new(),
                    column: column.clone(),
                    days: partitions.days(),
                });
            }
        }
    }

    /// Makes partitions or a table visible.
    pub(crate) fn write(&self, write: Write) {
        let backend = Backend::open(&metastore().uri()).unwrap();
        backend
            .apply(&[Commit {
                writes: vec![write],
            }])
            .unwrap();
    }

    /// Takes days away from a table that is partitioned by `ds` alone.
    pub(crate) fn drop_days(&self, table: &str, days: &RangeSet) {
        let hive = Hive::new(&metastore().uri(), Timeouts::default()).unwrap();
        let rows: Vec<Vec<String>> = days.iter().map(|day| vec![day.to_string()]).collect();
        hive.drop_partitions(&self.table(table), &rows, true)
            .unwrap();
    }

    /// The days of a table; `None` if it does not exist.
    pub(crate) fn days(&self, table: &str) -> Option<RangeSet> {
        self.days_along(table, "ds")
    }

    pub(crate) fn days_along(&self, table: &str, column: &str) -> Option<RangeSet> {
        let table = self.table(table);
        let hive = Hive::new(&metastore().uri(), Timeouts::default()).unwrap();
        let request = [(table.clone(), vec![column.to_owned()])];
        let snapshot = hive.snapshot(&request).unwrap();
        snapshot
            .table(&table)
            .map(|_| snapshot.days(&table, column, &[]))
    }

    /// What goes wrong from now on.
    pub(crate) fn faults(&self, faults: &[Fault]) {
        let text = serde_json::to_string(faults).unwrap();
        self.workspace.write("faults.json", &text);
    }

    /// `chronon-run`, whose Spark is the scripted one.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.workspace.command(args);
        command
            .env(CATALOG, metastore().uri())
            .env(CALLS, self.workspace.path("calls.jsonl"))
            .env(FACTS, self.workspace.path("facts.json"))
            .env("USER", "somebody");
        if self.workspace.path("faults.json").exists() {
            command.env(FAULTS, self.workspace.path("faults.json"));
        }
        command
    }

    /// Runs it to its end; the tables' prefix is taken out of what it says.
    pub(crate) fn run(&self, args: &[&str]) -> Screen {
        let output = self.command(args).output().unwrap();
        let mut screen = Screen::new(output, self.workspace.root());
        let prefix = format!("{}_", self.prefix);
        screen.stdout = screen.stdout.replace(&prefix, "");
        screen.stderr = screen.stderr.replace(&prefix, "");
        screen
    }

    /// The plan as JSON.
    pub(crate) fn plan(&self, args: &[&str]) -> Value {
        let mut all = vec!["plan", "--output", "json"];
        all.extend(args);
        serde_json::from_str(&self.run(&all).expect(0).stdout).unwrap()
    }

    /// Every call of `spark-submit` so far, in the order of their starts.
    pub(crate) fn calls(&self) -> Vec<Record> {
        scripted::records(&self.workspace.path("calls.jsonl")).unwrap()
    }

    /// The Driver's own arguments of every call so far that started it.
    pub(crate) fn driver_lines(&self) -> Vec<String> {
        let calls = self.calls().into_iter();
        let lines = calls.filter_map(|call| {
            let class = call
                .argv
                .iter()
                .position(|word| word == "ai.chronon.spark.Driver")?;
            Some(call.argv[class + 2..].join(" "))
        });
        lines.collect()
    }

    /// The Driver's subcommands that were used.
    pub(crate) fn subcommands(&self) -> BTreeSet<String> {
        let first = |line: &String| line.split(' ').next().unwrap().to_owned();
        self.driver_lines().iter().map(first).collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
