//! A repo of staging queries that a scripted `spark-submit` fills: a run without a JVM, in which
//! every call, what it wrote and what went wrong is known.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::SystemTime,
};

use chronon_run_core::{CatalogSnapshot, PartitionRange, RangeSet, TableName};
use chronon_run_testkit::{
    driver::Write,
    scripted::{self, CALLS, CATALOG, FAULTS, Fault, Record},
};
use serde_json::json;

use crate::support::{Screen, Workspace, files_below, repository};

/// First day of every asset and source.
pub(crate) const FIRST: &str = "2026-01-01";
/// Last day, the workspace's `as_of`. `FIRST` is the first day of a step of three days.
pub(crate) const LAST: &str = "2026-01-03";

/// The scripted `spark-submit` of the testkit, which `cargo test --workspace` builds.
///
/// # Panics
/// If it is not there, or older than its source.
pub(crate) fn scripted_spark_submit() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let program =
            Path::new(env!("CARGO_BIN_EXE_chronon-run")).with_file_name("scripted-spark-submit");
        let built = modified(&program);
        let source = repository().join("crates/chronon-run-testkit/src");
        let sources = files_below(&source);
        let newest = sources.iter().filter_map(|file| modified(file)).max();
        assert!(
            built.is_some() && built >= newest,
            "{} is missing, or older than {}: run `cargo test --workspace --no-run`",
            program.display(),
            source.display()
        );
        program
    })
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

/// A workspace of staging queries on a scripted Spark.
pub(crate) struct Staged {
    pub(crate) workspace: Workspace,
}

impl Staged {
    /// One staging query for each name, with the tables that it reads; `lake.…` tables are
    /// sources that have every day.
    pub(crate) fn new(queries: &[(&str, &[&str])]) -> Self {
        let staged = Self {
            workspace: Workspace::empty(),
        };
        staged.install();
        let mut catalog = CatalogSnapshot::default();
        for (name, inputs) in queries {
            staged.add_query(name, inputs);
            for source in inputs.iter().filter(|input| input.starts_with("lake.")) {
                Write::days(source.parse().unwrap(), all_days()).apply(&mut catalog);
            }
        }
        staged.save(&catalog);
        staged
    }

    /// `one` ← `two` ← `three`, and `alone`, which reads nothing of them.
    pub(crate) fn chain() -> Self {
        Self::new(&[
            ("one", &["lake.a"]),
            ("two", &["out.team_one"]),
            ("three", &["out.team_two"]),
            ("alone", &["lake.b"]),
        ])
    }

    fn install(&self) {
        let workspace = &self.workspace;
        scripted::install(&workspace.path("spark"), scripted_spark_submit()).unwrap();
        workspace.write("spark/jars/spark-core_2.12-3.3.1.jar", "");
        // Nothing starts it, but a Spark without a Java is none.
        workspace.write("java/release", "JAVA_VERSION=\"17.0.1\"\n");
        workspace.write("java/bin/java", "");
        workspace.write("teams.json", r#"{"default": {}, "team": {}}"#);
        workspace.write(
            "workspace.toml",
            &format!(
                r#"[workspace]
as_of = "{LAST}"

[engine]
spark_home = "spark"
java_home = "java"
sessions = false
fast_start = "never"

[catalog]
kind = "fixture"
path = "catalog.json"

[run]
jobs = 2
retries = 0
retry_delay = "10ms"
grace = "1s"
"#
            ),
        );
    }

    fn add_query(&self, name: &str, inputs: &[&str]) {
        let dependencies: Vec<String> = inputs
            .iter()
            .map(|input| format!("{input}/ds={{{{ ds }}}}"))
            .collect();
        let conf = json!({
            "metaData": {
                "name": format!("team.{name}"),
                "team": "team",
                "outputNamespace": "out",
                "dependencies": dependencies,
                "tableProperties": {},
            },
            "query": format!(
                "SELECT * FROM {} WHERE ds BETWEEN '{{{{ start_date }}}}' AND '{{{{ end_date }}}}'",
                inputs.join(", ")
            ),
            "startPartition": FIRST,
        });
        let path = format!("production/staging_queries/team/{name}");
        self.workspace
            .write(&path, &serde_json::to_string_pretty(&conf).unwrap());
    }

    /// What the catalog shows.
    pub(crate) fn catalog(&self) -> CatalogSnapshot {
        serde_json::from_str(&self.workspace.read("catalog.json")).unwrap()
    }

    fn save(&self, catalog: &CatalogSnapshot) {
        let text = serde_json::to_string(catalog).unwrap();
        self.workspace.write("catalog.json", &text);
    }

    /// The days that a source has from now on.
    pub(crate) fn set_source(&self, table: &str, days: RangeSet) {
        let mut catalog = self.catalog();
        let name = table.parse::<TableName>().unwrap();
        let before = catalog.tables.remove(&name).flatten().unwrap_or_default();
        Write::days(name.clone(), days).apply(&mut catalog);
        // Days that were there are not written again.
        if let Some(Some(state)) = catalog.tables.get_mut(&name) {
            let days = before.partitions.values().map(|p| p.days());
            let kept = days.fold(RangeSet::new(), |all, days| all.union(&days));
            let kept = before
                .stamps
                .into_iter()
                .filter(|(ds, _)| kept.contains(*ds));
            state.stamps.extend(kept);
        }
        self.save(&catalog);
    }

    /// The days of a staging query's table.
    pub(crate) fn filled(&self, name: &str) -> RangeSet {
        self.catalog().days(&output(name), "ds", &[])
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
            .env(CATALOG, self.workspace.path("catalog.json"))
            .env(CALLS, self.workspace.path("calls.jsonl"));
        let faults = self.workspace.path("faults.json");
        if faults.exists() {
            command.env(FAULTS, faults);
        }
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Screen {
        let output = self.command(args).output().unwrap();
        Screen::new(output, self.workspace.root())
    }

    /// Every call of `spark-submit` so far, in the order of their starts.
    pub(crate) fn calls(&self) -> Vec<Record> {
        scripted::records(&self.workspace.path("calls.jsonl")).unwrap()
    }

    /// The names of the staging queries that were started, in order.
    pub(crate) fn started(&self) -> Vec<String> {
        self.calls().iter().map(name_of).collect()
    }

    /// The events of `materialize --output json`.
    pub(crate) fn events(screen: &Screen) -> Vec<serde_json::Value> {
        let lines = screen.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Every day of the workspace.
pub(crate) fn all_days() -> RangeSet {
    days(FIRST, LAST)
}

/// From the first to the last day, both inclusive.
pub(crate) fn days(first: &str, last: &str) -> RangeSet {
    PartitionRange::new(first.parse().unwrap(), last.parse().unwrap())
        .unwrap()
        .into()
}

/// The output table of a staging query.
pub(crate) fn output(name: &str) -> TableName {
    format!("out.team_{name}").parse().unwrap()
}

/// `one` of `staging_query/team.one/backfill`.
pub(crate) fn name_of(call: &Record) -> String {
    let asset = call.asset.as_ref().unwrap();
    asset.conf.name.trim_start_matches("team.").to_owned()
}

/// A fault of one staging query's calls.
pub(crate) fn fault_of(name: &str) -> Fault {
    Fault {
        table: Some(output(name)),
        ..Fault::default()
    }
}

/// The command lines of living processes that a test on this folder started, the metastore
/// excepted.
pub(crate) fn anybody(folder: &Path) -> Vec<String> {
    let lines = processes(folder).into_iter().map(|(_, line)| line);
    lines.filter(|line| !line.contains(METASTORE)).collect()
}

/// The command lines of the folder's metastores.
pub(crate) fn metastores(folder: &Path) -> Vec<String> {
    let lines = processes(folder).into_iter().map(|(_, line)| line);
    lines.filter(|line| line.contains(METASTORE)).collect()
}

const METASTORE: &str = "EmbeddedMetastore";

/// The ids and command lines of living processes that a test on this folder started. Tests give each
/// workspace a home of its own, and children inherit it.
pub(crate) fn processes(folder: &Path) -> Vec<(u32, String)> {
    let home = format!("HOME={}", folder.display());
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let living = entries.filter_map(|entry| {
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        variables.find(|variable| *variable == home.as_bytes())?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        // A zombie has none.
        let pid = entry.file_name().to_str()?.parse().ok()?;
        (!line.is_empty()).then_some((pid, line))
    });
    living.collect()
}
