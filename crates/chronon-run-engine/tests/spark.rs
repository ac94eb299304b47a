//! Real Spark: seeds, errors, the warm session and the class-data archive, on the Spark that is
//! here or the one that gets installed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop here"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use chronon_run_catalog::{
    Catalog, Timeouts,
    embedded::{Embedded, Lease},
};
use chronon_run_core::{CatalogSnapshot, CommandLine, TableName};
use chronon_run_engine::seeds::{self, Format, Partitioning, Prepared, Seed, State};
use chronon_run_spark::{
    Environment, InheritedOptions, Jvm, Spark,
    archive::Archive,
    command::{LOG_CONFIG, Length, SqlJobs},
    locate, log,
    recording::Recording,
    session,
};
use indexmap::IndexMap;
use serde_json::Value;

/// A workspace with its metastore.
struct Workspace {
    directory: tempfile::TempDir,
    spark: Spark,
    metastore: Lease,
}

impl Workspace {
    fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("workspace")
            .tempdir()
            .unwrap();
        let environment = Environment::new(None, |name| std::env::var_os(name));
        let spark = locate(&environment, &mut |_| ()).unwrap();
        fs::write(directory.path().join("log4j2.properties"), LOG_CONFIG).unwrap();
        let metastore = Embedded {
            java: spark.java.program(),
            java_options: Vec::new(),
            env: Vec::new(),
            jars: spark.jars(),
            directory: directory.path().join("metastore"),
            warehouse: directory.path().join("warehouse"),
            idle: Duration::from_secs(1),
            start: Duration::from_secs(120),
        };
        let metastore = metastore.join().unwrap();
        Self {
            directory,
            spark,
            metastore,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// `build` with what all jobs of this workspace have in common.
    fn command(&self, build: impl FnOnce(&SqlJobs<'_>) -> CommandLine) -> Command {
        let warehouse = self.path("warehouse");
        let jvm = Jvm::below(self.path("scratch"));
        jvm.create_folders().unwrap();
        let log_config = self.path("log4j2.properties");
        let uri = self.metastore.uri();
        let jobs = SqlJobs {
            spark: &self.spark,
            master: "local[2]",
            conf: &[("spark.sql.shuffle.partitions".to_owned(), "2".to_owned())],
            metastore_uri: &uri,
            warehouse: Some(&warehouse),
            jvm: &jvm,
            log_config: Some(&log_config),
            archive: None,
            inherited_options: &InheritedOptions::default(),
        };
        command(&build(&jobs))
    }

    fn run(&self, script: &Path) -> Output {
        self.command(|jobs| jobs.script(script, "test", Length::Short))
            .output()
            .unwrap()
    }

    fn snapshot(&self, table: &str, day_column: &str) -> CatalogSnapshot {
        let catalog = Catalog::connect(&self.metastore.uri(), Timeouts::default()).unwrap();
        let request = (table.parse().unwrap(), vec![day_column.to_owned()]);
        catalog.snapshot(&[request]).unwrap()
    }
}

fn command(line: &CommandLine) -> Command {
    let mut command = Command::new(&line.argv[0]);
    command.args(&line.argv[1..]).stdin(Stdio::null());
    for (name, value) in &line.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(cwd) = &line.cwd {
        command.current_dir(cwd);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The seeds of the golden corpus, with their declared types.
fn golden_seeds() -> Vec<Prepared> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/a/data");
    let schema = fs::read_to_string(data.join("schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let strings = |value: &Value| -> Vec<String> {
        let items = value.as_array().unwrap().iter();
        items
            .map(|item| item.as_str().unwrap().to_owned())
            .collect()
    };
    let tables = schema["tables"].as_object().unwrap().iter();
    let seed = |(table, of): (&String, &Value)| {
        let columns = of["columns"].as_array().unwrap().iter().map(|column| {
            let field = |name: &str| column[name].as_str().unwrap().to_owned();
            (field("name"), field("type"))
        });
        seeds::prepare(Seed {
            table: table.parse().unwrap(),
            path: fs::canonicalize(data.join(format!("{table}.csv"))).unwrap(),
            format: Format::Csv,
            columns: columns.collect(),
            partition_by: Partitioning::By(strings(&of["partition_columns"])),
            null: Some("\\N".to_owned()),
            empty_partitions: strings(&of["empty_partitions"]),
            options: IndexMap::new(),
        })
        .unwrap()
    };
    tables.map(seed).collect()
}

fn seed(workspace: &Workspace, table: &str, name: &str, text: &str) -> Seed {
    let path = workspace.write(name, text);
    Seed {
        table: table.parse().unwrap(),
        format: Format::of(&path).unwrap(),
        path,
        columns: IndexMap::new(),
        partition_by: Partitioning::default(),
        null: Some("\\N".to_owned()),
        empty_partitions: Vec::new(),
        options: IndexMap::new(),
    }
}

/// Awkward text in every format that can hold it.
fn small_seeds(workspace: &Workspace) -> Vec<Prepared> {
    let csv = "id,note,tags,ds\n\
               1,\"\",\"[1,2]\",2026-01-01\n\
               2,\\N,\\N,2026-01-01\n\
               3,,[],2026-01-02\n\
               4,\"say \"\"hi\"\", it's\nme\\n\",[3],2026-01-02\n";
    let mut quoted = seed(workspace, "small.quoted", "quoted's.csv", csv);
    quoted.columns.insert("tags".into(), "array<bigint>".into());
    let json = "{\"id\":1,\"place\":{\"city\":\"Oslo\"},\"ds\":\"2026-01-01\"}\n\
                {\"id\":2,\"place\":null,\"ds\":\"2026-01-02\"}\n";
    let nested = seed(workspace, "small.nested", "nested.jsonl", json);
    let plain = seed(workspace, "small.plain", "plain.csv", "k,v\na,1\nb,2.5\n");
    [quoted, nested, plain]
        .map(|seed| seeds::prepare(seed).unwrap())
        .into()
}

/// Rows of `SELECT`s, tab-separated, without the log.
fn select(workspace: &Workspace, sql: &str) -> Vec<String> {
    let script = workspace.write("select.sql", sql);
    let output = workspace.run(&script);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn seeds_steps_and_errors_on_real_spark() {
    let workspace = Workspace::new();
    all_seeds_are_loaded_by_one_script(&workspace);
    errors_are_quoted(&workspace);
    a_session_survives_failing_scripts(&workspace);
}

fn all_seeds_are_loaded_by_one_script(workspace: &Workspace) {
    let mut all = golden_seeds();
    all.extend(small_seeds(workspace));
    let script = workspace.write("seeds.sql", &seeds::script(&all));
    let output = workspace.run(&script);
    assert!(output.status.success(), "{}", text(&output.stderr));

    // Parquet is read from what the first load has written, and one seed is loaded again.
    let parquet = workspace.path("copy.parquet");
    let mut again = golden_seeds().split_off(11);
    let copy = seeds::prepare(Seed {
        table: "small.copy".parse().unwrap(),
        path: parquet.clone(),
        format: Format::Parquet,
        columns: IndexMap::new(),
        partition_by: Partitioning::default(),
        null: None,
        empty_partitions: vec!["2026-03-01".to_owned()],
        options: IndexMap::new(),
    });
    assert!(copy.is_err(), "there is no such file yet");
    let script = format!(
        "INSERT OVERWRITE DIRECTORY '{}' USING parquet SELECT * FROM small.quoted;\n",
        parquet.display()
    );
    select(workspace, &script);
    let copy = seeds::prepare(Seed {
        table: "small.copy".parse().unwrap(),
        path: parquet,
        format: Format::Parquet,
        columns: IndexMap::new(),
        partition_by: Partitioning::default(),
        null: None,
        empty_partitions: vec!["2026-03-01".to_owned()],
        options: IndexMap::new(),
    });
    again.push(copy.unwrap());
    let rows = select(
        workspace,
        &format!(
            "{}
            SELECT id, note IS NULL, length(note), size(tags), ds FROM small.quoted ORDER BY id;
            SELECT id, replace(note, '\\n', '|'), tags[0] FROM small.copy WHERE id = 4;
            SELECT id, place.city, ds FROM small.nested ORDER BY id;
            SELECT sum(v) FROM small.plain;
            SELECT count(*), count(status), count(coupon), count(if(coupon = '', 1, NULL)) FROM lake.bookings;
            SELECT count(*) FROM lake.searches;
            SELECT count(*), count(IF(superhost, 1, NULL)) FROM lake.hosts WHERE snap_date = '2026-01-01';",
            seeds::script(&again)
        ),
    );
    insta::assert_snapshot!(rows.join("\n").replace('\t', " | "), @r#"
    1 | false | 0 | 2 | 2026-01-01
    2 | true | NULL | -1 | 2026-01-01
    3 | true | NULL | 0 | 2026-01-02
    4 | false | 19 | 1 | 2026-01-02
    4 | say "hi", it's|me\n | 3
    1 | Oslo | 2026-01-01
    2 | NULL | 2026-01-02
    3.5
    865 | 860 | 255 | 0
    444
    6 | 3
    "#);

    let searches: TableName = "lake.searches".parse().unwrap();
    let snapshot = workspace.snapshot("lake.searches", "ds");
    let days = snapshot.days(&searches, "ds", &[]);
    assert!(
        days.contains("2026-01-23".parse().unwrap()),
        "registered although empty"
    );
    assert!(!days.contains("2026-01-17".parse().unwrap()));
    let loaded = golden_seeds();
    let loaded = loaded
        .iter()
        .find(|seed| *seed.table() == searches)
        .unwrap();
    let info = &snapshot.table(&searches).unwrap().info;
    assert_eq!(loaded.state(Some(info)), State::Loaded);
    let copy: TableName = "small.copy".parse().unwrap();
    let days = workspace
        .snapshot("small.copy", "ds")
        .days(&copy, "ds", &[]);
    assert_eq!(days.to_string(), "2026-01-01..2026-01-02, 2026-03-01");
}

/// The line of the log that tells why, for each way to fail.
fn errors_are_quoted(workspace: &Workspace) {
    let quoted = |sql: &str| {
        let script = workspace.write("bad.sql", sql);
        let output = workspace.run(&script);
        assert!(!output.status.success(), "{sql}");
        let log = text(&output.stdout) + &text(&output.stderr);
        log::quote_error(&log).unwrap_or_else(|| panic!("{log}"))
    };
    insta::assert_snapshot!(quoted("SELECT 1;\nSELECT nope FROM\n  does.not_exist;\n"), @"Error in query: Table or view not found: does.not_exist; line 3 pos 2");
    insta::assert_snapshot!(quoted("SELECT 1;\nSELECT raise_error('boom') FROM range(10);\n"), @"java.lang.RuntimeException: boom");
}

struct Session {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Session {
    fn run(&mut self, script: &Path, token: &str) -> BTreeSet<String> {
        let input = self.child.stdin.as_mut().unwrap();
        let request = session::request(script, token).unwrap();
        input.write_all(request.as_bytes()).unwrap();
        input.flush().unwrap();
        let mut seen = BTreeSet::new();
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            let marker = session::parse_marker(&line, token);
            seen.extend(marker.map(|marker| format!("{marker:?}")));
            if marker == Some(session::Marker::End) {
                break;
            }
            if line.starts_with("spark.sql.shuffle.partitions") || line.starts_with("row ") {
                seen.insert(line.trim().replace('\t', " "));
            }
            line.clear();
        }
        seen
    }
}

fn a_session_survives_failing_scripts(workspace: &Workspace) {
    let script = |name: &str, token: &str, sql: &str| {
        workspace.write(name, &format!("{sql}\n{}\n", session::ok_statement(token)))
    };
    let good = script(
        "good 1.sql",
        "s1",
        "SET spark.sql.shuffle.partitions=7;\nSET hive.exec.dynamic.partition.mode;\nUSE small;\nSELECT concat('row ', k) FROM plain ORDER BY k;",
    );
    let bad = script("bad1.sql", "s2", "SELECT nope FROM small.plain;");
    let worse = script("bad2.sql", "s3", "SELECT raise_error('x') FROM range(3);");
    let after = script(
        "after.sql",
        "s4",
        "SET spark.sql.shuffle.partitions;\nSELECT concat('row ', count(*)) FROM small.plain;",
    );
    let mut child = workspace
        .command(|jobs| jobs.session("test", Length::Short))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut session = Session { child, output };
    let seen = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(", ");
    assert_eq!(
        seen(session.run(&good, "s1")),
        "End, Ok, row a, row b, spark.sql.shuffle.partitions 7"
    );
    assert_eq!(seen(session.run(&bad, "s2")), "End");
    assert_eq!(seen(session.run(&worse, "s3")), "End");
    assert_eq!(
        seen(session.run(&after, "s4")),
        "End, Ok, row 2, spark.sql.shuffle.partitions 2"
    );
    drop(session.child.stdin.take());
    assert!(session.child.wait().unwrap().success());
}

#[test]
fn a_recorded_archive_is_used_and_a_damaged_one_is_not() {
    let cache = tempfile::tempdir().unwrap();
    let environment = Environment::new(None, |name| std::env::var_os(name));
    let spark = locate(&environment, &mut |_| ()).unwrap();
    let archive = Archive::new(cache.path(), "sql", &spark).unwrap();
    let archive = archive.expect("a Java of Spark 3.3.1 has class-data archives");
    let recording = Recording::new(&archive).unwrap();
    let job = recording.sql_job(&spark).unwrap();
    let output = command(&job).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    recording.publish().unwrap();
    assert!(archive.is_ready());
    let version = Command::new(spark.java.program())
        .args(archive.options())
        .arg("-version")
        .output()
        .unwrap();
    assert!(version.status.success());
    let quiet = text(&version.stderr);
    assert!(
        !quiet.contains("warning") && version.stdout.is_empty(),
        "{quiet}"
    );
}
