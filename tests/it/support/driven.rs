//! Workspaces whose tables the Driver fills: the scripted one, on a metastore that all of these tests
//! share, and, if `CHRONON_RUN_TEST_JAR` names its jar, the real one on a real Spark. A test that needs
//! no injected fault has one body for both; see [`on_both`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use chronon_run_catalog::{
    Hive, Timeouts,
    embedded::{Embedded, Lease},
};
use chronon_run_core::{CatalogSnapshot, RangeSet, TableName};
use chronon_run_spark::{Environment, Spark, locate};
use chronon_run_testkit::{
    driver::{Commit, Facts, Write},
    golden,
    scripted::{self, Backend, CALLS, CATALOG, FACTS, FAULTS, Fault, Record},
};
use serde_json::Value;

use crate::{
    corpus::{Corpus, texts},
    jars,
    staged::scripted_spark_submit,
    support::{Screen, Workspace, cache, files_below, repository},
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
        join_metastore(&folder, &folder.join("warehouse"))
    })
}

/// The metastore of `folder`, as a workspace would start it.
fn join_metastore(folder: &Path, warehouse: &Path) -> Lease {
    let spark = spark();
    let embedded = Embedded {
        java: spark.java.program(),
        java_options: Vec::new(),
        env: Vec::new(),
        jars: spark.jars(),
        directory: folder.join("metastore"),
        warehouse: warehouse.to_owned(),
        idle: Duration::from_secs(1),
        start: Duration::from_secs(120),
    };
    embedded.join().unwrap()
}

/// The Spark of the tests, installed if it is missing.
fn spark() -> Spark {
    let environment = Environment::new(None, |name| match name {
        "CHRONON_RUN_CACHE" => Some(cache().into()),
        "SPARK_HOME" => None,
        other => std::env::var_os(other),
    });
    locate(&environment, &mut |_| ()).unwrap()
}

/// The jar with the real Driver. A relative path may start where cargo was called.
fn real_jar() -> PathBuf {
    let jar = std::env::var_os("CHRONON_RUN_TEST_JAR").unwrap_or_default();
    let here = std::path::absolute(&jar).unwrap();
    let jar = match here.exists() {
        true => here,
        false => repository().join(jar),
    };
    assert!(
        jar.is_file(),
        "CHRONON_RUN_TEST_JAR: no file {}",
        jar.display()
    );
    jar
}

/// Two tests over one body: the scripted Driver, and the real one if there is a jar.
macro_rules! on_both {
    ($name:ident, $more:expr, $body:ident) => {
        mod $name {
            use super::*;

            #[test]
            fn scripted() {
                super::$body(&Driven::scripted(stringify!($name), $more));
            }

            #[test]
            #[ignore = "needs CHRONON_RUN_TEST_JAR, a jar with Chronon's Driver"]
            fn real() {
                super::$body(&Driven::real($more));
            }
        }
    };
}
pub(crate) use on_both;

/// The corpus of recorded runs.
fn corpus() -> PathBuf {
    repository().join("tests/golden/a")
}

/// The databases of the corpus.
const DATABASES: [&str; 3] = ["lake", "stays_out", "trust_out"];

/// A copy of the corpus' repo. On the shared metastore its databases are renamed so that tests do not
/// meet.
pub(crate) struct Driven {
    pub(crate) workspace: Workspace,
    /// What the databases' names begin with.
    prefix: String,
    /// Set if the Driver is the real one.
    real: Option<Real>,
}

/// What a workspace of the real Driver has of its own.
struct Real {
    metastore: Lease,
    /// One after the other: each takes every processor that there is.
    _turn: MutexGuard<'static, ()>,
}

/// Small data on few processors: one file and one task where a cluster has hundreds.
const SMALL: &str = r#"{ "spark.sql.shuffle.partitions" = "2", "spark.default.parallelism" = "2", "spark.chronon.outputParallelismOverride" = "1", "spark.chronon.group_by.parallelism" = "2" }"#;

impl Driven {
    /// Filled by the scripted Driver; `prefix` is unique among the tests. `more` is added to
    /// workspace.toml.
    pub(crate) fn scripted(prefix: &str, more: &str) -> Self {
        let driven = Self {
            workspace: Workspace::copy_of(&corpus().join("repo")),
            prefix: format!("{prefix}_"),
            real: None,
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

    /// Filled by the real Driver, from seeds in a metastore of its own. `more` is added to workspace.toml.
    pub(crate) fn real(more: &str) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let jar = real_jar();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let workspace = Corpus::open("a").workspace();
        let text = workspace.read("workspace.toml");
        let head = format!(
            r#"[workspace]
as_of = "2026-01-30"

[engine]
kind = "chronon"
chronon_jar = "{}"
online_jar = "online.jar"
online_class = "com.example.Online"
master = "local[2]"
conf = {SMALL}

[catalog]
kind = "embedded"

[run]
jobs = 2
retries = 0

"#,
            jar.display()
        );
        let seeds = text.find("[seeds.").unwrap();
        let overrides = text.find("[[override]]").unwrap_or(text.len());
        let seeds = &text[seeds..overrides];
        workspace.write("workspace.toml", &format!("{head}{seeds}{more}"));
        workspace.write("online.jar", "");
        let state = workspace.path(".chronon-run");
        Self {
            prefix: String::new(),
            real: Some(Real {
                metastore: join_metastore(&state, &state.join("warehouse")),
                _turn: turn,
            }),
            workspace,
        }
    }

    /// Where the tables are listed.
    fn uri(&self) -> String {
        let lease = self.real.as_ref().map(|real| &real.metastore);
        lease.unwrap_or_else(|| metastore()).uri()
    }

    fn hive(&self) -> Hive {
        Hive::new(&self.uri(), Timeouts::default()).unwrap()
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
        for path in files_below(self.workspace.root()) {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, self.renamed(&text)).unwrap();
        }
    }

    fn renamed(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for name in DATABASES {
            for quote in ["\"", " ", "=", "(", "wait_for_"] {
                for end in [".", "\""] {
                    let from = format!("{quote}{name}{end}");
                    text = text.replace(&from, &format!("{quote}{}{name}{end}", self.prefix));
                }
            }
        }
        text
    }

    /// A table of the corpus as it is called here.
    pub(crate) fn table(&self, name: &str) -> TableName {
        format!("{}{name}", self.prefix).parse().unwrap()
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
                ..Facts::default()
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
        let hive = self.hive();
        for name in DATABASES {
            hive.ensure_database(&format!("{}{name}", self.prefix))
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
        let backend = Backend::open(&self.uri()).unwrap();
        backend
            .apply(&[Commit {
                writes: vec![write],
            }])
            .unwrap();
    }

    /// Takes days of a table that is partitioned by `ds` alone out of the catalog. Their files stay, so
    /// that [`Driven::write`] brings them back.
    pub(crate) fn hide_days(&self, table: &str, days: &RangeSet) {
        self.drop_days(table, days, false);
    }

    fn drop_days(&self, table: &str, days: &RangeSet, delete_data: bool) {
        let rows: Vec<Vec<String>> = days.iter().map(|day| vec![day.to_string()]).collect();
        let table = self.table(table);
        self.hive()
            .drop_partitions(&table, &rows, delete_data)
            .unwrap();
    }

    /// Makes days of a table that is partitioned by `ds` alone partitions without rows.
    pub(crate) fn empty_days(&self, table: &str, days: &RangeSet) {
        if self.real.is_some() {
            self.drop_days(table, days, true);
            return self.write(Write::days(self.table(table), days.clone()));
        }
        let mut facts: Value = serde_json::from_str(&self.workspace.read("facts.json")).unwrap();
        facts["empty"][self.table(table).as_str()] = serde_json::to_value(days).unwrap();
        self.workspace.write("facts.json", &facts.to_string());
    }

    /// Adds a file to a partition of a table that is partitioned by `ds` alone, unseen by the catalog.
    pub(crate) fn add_file(&self, table: &str, ds: &str) {
        let table = self.table(table);
        let request = [(table.clone(), Vec::new())];
        let snapshot = self.hive().snapshot(&request).unwrap();
        let location = snapshot.table(&table).unwrap().info.location.clone();
        let location = location.unwrap();
        let folder = Path::new(location.trim_start_matches("file:")).join(format!("ds={ds}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("part-late"), "rows").unwrap();
    }

    /// The days of a table; `None` if it does not exist.
    pub(crate) fn days(&self, table: &str) -> Option<RangeSet> {
        self.days_along(table, "ds")
    }

    pub(crate) fn days_along(&self, table: &str, column: &str) -> Option<RangeSet> {
        let table = self.table(table);
        let hive = self.hive();
        let request = [(table.clone(), vec![column.to_owned()])];
        let snapshot = hive.snapshot(&request).unwrap();
        snapshot
            .table(&table)
            .map(|_| snapshot.days(&table, column, &[]))
    }

    /// The name that the Driver gave a table when it put it aside.
    pub(crate) fn archived(&self, table: &str) -> String {
        if self.real.is_none() {
            return format!("{table}_00000000000001");
        }
        let (database, name) = table.split_once('.').unwrap();
        let folder = format!(".chronon-run/warehouse/{database}.db");
        let names = fs::read_dir(self.workspace.path(&folder)).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let is_archive = |found: &String| {
            let rest = found
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('_'));
            rest.is_some_and(|rest| rest.len() == 14 && rest.bytes().all(|b| b.is_ascii_digit()))
        };
        let found: Vec<String> = names.filter(is_archive).collect();
        assert_eq!(found.len(), 1, "{table}: {found:?}");
        format!("{database}.{}", found[0])
    }

    pub(crate) fn is_real(&self) -> bool {
        self.real.is_some()
    }

    /// What goes wrong from now on.
    pub(crate) fn faults(&self, faults: &[Fault]) {
        let text = serde_json::to_string(faults).unwrap();
        self.workspace.write("faults.json", &text);
    }

    /// `chronon-run`, with what the scripted Spark wants to know.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.workspace.command(args);
        command.env("USER", "somebody");
        if self.real.is_some() {
            return command;
        }
        command
            .env(CATALOG, self.uri())
            .env(CALLS, self.workspace.path("calls.jsonl"))
            .env(FACTS, self.workspace.path("facts.json"));
        if self.workspace.path("faults.json").exists() {
            command.env(FAULTS, self.workspace.path("faults.json"));
        }
        command
    }

    /// Runs it to its end; the tables' prefix is taken out of what it says.
    pub(crate) fn run(&self, args: &[&str]) -> Screen {
        let output = self.command(args).output().unwrap();
        let mut screen = Screen::new(output, self.workspace.root());
        if !self.prefix.is_empty() {
            screen.stdout = screen.stdout.replace(&self.prefix, "");
            screen.stderr = screen.stderr.replace(&self.prefix, "");
        }
        screen
    }

    /// The plan as JSON.
    pub(crate) fn plan(&self, args: &[&str]) -> Value {
        let mut all = vec!["plan"];
        all.extend(args);
        self.json(&all)
    }

    fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.extend(["--output", "json"]);
        serde_json::from_str(&self.run(&all).expect(0).stdout).unwrap()
    }

    /// Every call of the scripted `spark-submit` so far, in the order of their starts.
    pub(crate) fn calls(&self) -> Vec<Record> {
        scripted::records(&self.workspace.path("calls.jsonl")).unwrap()
    }

    /// The Driver's own arguments of every attempt so far, in the order of their starts, as the history
    /// tells them.
    pub(crate) fn driver_lines(&self) -> Vec<String> {
        let mut attempts: Vec<(String, i64, String)> = Vec::new();
        for run in self.json(&["runs"])["runs"].as_array().unwrap() {
            let detail = self.json(&["runs", "show", run["run"].as_str().unwrap()]);
            for step in detail["step_list"].as_array().unwrap() {
                for attempt in step["attempts"].as_array().unwrap() {
                    let started = attempt["started"].as_str().unwrap().to_owned();
                    let step = attempt["step"].as_i64().unwrap();
                    let line = driver_line(&texts(&attempt["argv"]));
                    attempts.push((started, step, line));
                }
            }
        }
        attempts.sort();
        attempts.into_iter().map(|(_, _, line)| line).collect()
    }

    /// The Driver's subcommands that were used.
    pub(crate) fn subcommands(&self) -> BTreeSet<String> {
        let first = |line: &String| line.split(' ').next().unwrap().to_owned();
        self.driver_lines().iter().map(first).collect()
    }
}

/// What follows the jar.
fn driver_line(argv: &[&str]) -> String {
    let class = argv
        .iter()
        .position(|word| *word == "ai.chronon.spark.Driver");
    argv[class.unwrap() + 2..].join(" ")
}
