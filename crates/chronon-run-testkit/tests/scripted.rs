//! The scripted `spark-submit` as a process: catalog, faults and record.

#![allow(clippy::unwrap_used, reason = "a test helper panics")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use chronon_run_core::{CatalogSnapshot, PartitionRange, RangeSet, TableName};
use chronon_run_testkit::{
    driver::Write,
    scripted::{CALLS, CATALOG, FAULTS, Record, install, records},
};

struct Bench {
    folder: tempfile::TempDir,
    program: PathBuf,
}

fn days(from: &str, to: &str) -> RangeSet {
    PartitionRange::new(from.parse().unwrap(), to.parse().unwrap()).into()
}

impl Bench {
    /// A catalog with `a.events` of January.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = install(
            &folder.path().join("spark"),
            Path::new(env!("CARGO_BIN_EXE_scripted-spark-submit")),
        )
        .unwrap();
        let mut catalog = CatalogSnapshot::default();
        Write::days(
            "a.events".parse().unwrap(),
            days("2026-01-01", "2026-01-31"),
        )
        .apply(&mut catalog);
        std::fs::write(
            folder.path().join("catalog.json"),
            serde_json::to_vec(&catalog).unwrap(),
        )
        .unwrap();
        let conf = r#"{"metaData": {"name": "t.g", "outputNamespace": "ns"}, "keyColumns": ["k"],
            "backfillStartDate": "2026-01-01", "sources": [{"events": {"table": "a.events", "query": {"setups": []}}}]}"#;
        std::fs::write(folder.path().join("g"), conf).unwrap();
        Self { folder, program }
    }

    fn command(&self, faults: &str) -> Command {
        let path = |name: &str| self.folder.path().join(name);
        std::fs::write(path("faults.json"), faults).unwrap();
        let mut command = Command::new(&self.program);
        command
            .args([
                "--class",
                "ai.chronon.spark.Driver",
                "/c.jar",
                "group-by-backfill",
            ])
            .args(["--conf-path=g", "--end-date=2026-01-31", "--step-days=10"])
            .current_dir(self.folder.path())
            .env(CATALOG, path("catalog.json"))
            .env(FAULTS, path("faults.json"))
            .env(CALLS, path("calls.jsonl"));
        command
    }

    fn run(&self, faults: &str) -> Output {
        self.command(faults).output().unwrap()
    }

    fn filled(&self) -> String {
        let text = std::fs::read(self.folder.path().join("catalog.json")).unwrap();
        let catalog: CatalogSnapshot = serde_json::from_slice(&text).unwrap();
        catalog
            .days(&"ns.t_g".parse::<TableName>().unwrap(), "ds", &[])
            .to_string()
    }

    fn records(&self) -> Vec<Record> {
        records(&self.folder.path().join("calls.jsonl")).unwrap()
    }
}

#[test]
fn faults_come_in_turn_and_calls_are_recorded() {
    let bench = Bench::new();
    let faults = r#"[
        {"asset": "group_by/t.g/backfill", "nth": 1, "exit": 137, "output": "none"},
        {"table": "ns.t_g", "nth": 2, "exit": 0, "output": "none"},
        {"subcommand": "group-by-backfill", "nth": 3, "exit": 1, "output": {"days": 12}}
    ]"#;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let output = bench.run(faults);
        seen.push((output.status.code().unwrap(), bench.filled()));
    }
    let expected = [
        (137, ""),
        (0, ""),
        (1, "2026-01-01..2026-01-12"),
        (0, "2026-01-01..2026-01-31"),
    ];
    assert_eq!(seen, expected.map(|(exit, days)| (exit, days.to_owned())));
    let records = bench.records();
    let exits: Vec<_> = records.iter().map(|record| record.exit.unwrap()).collect();
    assert_eq!(exits, [137, 0, 1, 0]);
    assert!(
        records
            .iter()
            .all(|record| record.end.unwrap() >= record.start)
    );
    assert_eq!(
        records[3].writes.values().next().unwrap().to_string(),
        "2026-01-13..2026-01-31"
    );
}

#[test]
fn a_killed_call_has_no_end_and_ignores_term_when_told() {
    let bench = Bench::new();
    let mut command =
        bench.command(r#"[{"hang": true, "ignore_term": true, "output": {"days": 1}}]"#);
    let mut child = command.spawn().unwrap();
    while bench.filled() != "2026-01-01" {
        assert!(child.try_wait().unwrap().is_none(), "it hangs");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let term = |pid: u32| Command::new("kill").arg(pid.to_string()).status().unwrap();
    assert!(term(child.id()).success());
    assert!(child.try_wait().unwrap().is_none(), "TERM is ignored");
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let records = bench.records();
    assert_eq!((records.len(), records[0].exit), (1, None));
}

#[test]
fn bad_arguments_and_versions() {
    let bench = Bench::new();
    let run = |args: &[&str]| {
        Command::new(&bench.program)
            .args(args)
            .current_dir(bench.folder.path())
            .output()
            .unwrap()
    };
    let version = run(&["--version"]);
    assert!(version.status.success());
    assert!(String::from_utf8_lossy(&version.stderr).contains("version 3.3.1"));
    let driver = [
        "--class",
        "ai.chronon.spark.Driver",
        "/c.jar",
        "join",
        "--conf-path=g",
    ];
    assert_eq!(run(&driver).status.code(), Some(1), "no end date");
    assert_eq!(run(&["--master", "local"]).status.code(), Some(70));
}
