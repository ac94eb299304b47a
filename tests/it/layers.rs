//! Which crate may use which: what ARCHITECTURE.md says of each crate is held here.

use std::{collections::BTreeSet, fs, path::PathBuf};

use regex::Regex;
use toml::{Table, Value};

use crate::support::{files_with, repository};

/// The crates of this project that each crate may use, in its code and in its tests.
const ALLOWED: [(&str, &[&str], &[&str]); 18] = [
    ("core", &[], &[]),
    ("process", &["core"], &[]),
    ("compile", &["core", "process"], &[]),
    ("conf", &["core"], &[]),
    ("workspace", &["core", "process"], &[]),
    ("plan", &["core", "conf"], &["ledger", "testkit"]),
    ("ledger", &["core", "process"], &[]),
    ("catalog", &["core", "process"], &["spark"]),
    ("sql", &["core", "conf"], &[]),
    ("spark", &["core", "process"], &[]),
    (
        "engine",
        &["core", "conf", "process", "spark", "sql"],
        &["catalog"],
    ),
    ("exec", &["core", "process"], &["ledger"]),
    ("export", &["core", "conf", "plan", "workspace"], &[]),
    ("report", &["core", "ledger", "process"], &[]),
    ("rows", &[], &[]),
    (
        "ui",
        &[
            "core", "export", "ledger", "plan", "process", "report", "rows",
        ],
        &[],
    ),
    (
        "project",
        &[
            "core",
            "process",
            "compile",
            "conf",
            "workspace",
            "plan",
            "ledger",
            "catalog",
            "spark",
            "sql",
            "engine",
            "exec",
            "export",
            "report",
            "rows",
        ],
        &[],
    ),
    (
        "testkit",
        &["core", "conf", "catalog"],
        &["engine", "spark"],
    ),
];
/// Crates that reach files, processes, the network, a terminal or a clock.
const IO: [&str; 14] = [
    "duct",
    "nix",
    "libc",
    "tokio",
    "ureq",
    "rusqlite",
    "hive_metastore",
    "indicatif",
    "console",
    "signal-hook",
    "tempfile",
    "zip",
    "tar",
    "csv",
];
/// Crates whose functions give the same answer to the same arguments.
const PURE: [&str; 5] = ["core", "conf", "plan", "sql", "export"];

fn manifest(folder: &str) -> Option<Table> {
    let path = repository().join("crates").join(folder).join("Cargo.toml");
    Some(fs::read_to_string(path).ok()?.parse().unwrap())
}

fn names(manifest: &Table, section: &str) -> BTreeSet<String> {
    let section = manifest.get(section).and_then(Value::as_table);
    section
        .into_iter()
        .flat_map(|table| table.keys().cloned())
        .collect()
}

fn own(names: &BTreeSet<String>) -> BTreeSet<&str> {
    names
        .iter()
        .filter_map(|name| name.strip_prefix("chronon-run-"))
        .collect()
}

#[test]
fn every_crate_uses_only_those_below_it() {
    for (name, code, tests) in ALLOWED {
        let Some(manifest) = manifest(&format!("chronon-run-{name}")) else {
            panic!("there is no crate {name}: remove its line");
        };
        let code: BTreeSet<&str> = code.iter().copied().collect();
        let used = names(&manifest, "dependencies");
        let beyond: Vec<_> = own(&used).difference(&code).copied().collect();
        assert!(beyond.is_empty(), "{name} must not use {beyond:?}");
        let tests: BTreeSet<&str> = tests.iter().chain(&code).copied().collect();
        let used = names(&manifest, "dev-dependencies");
        let beyond: Vec<_> = own(&used).difference(&tests).copied().collect();
        assert!(beyond.is_empty(), "tests of {name} must not use {beyond:?}");
    }
}

#[test]
fn every_crate_has_a_line() {
    let folders = fs::read_dir(repository().join("crates")).unwrap();
    let found: BTreeSet<String> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_prefix("chronon-run-").map(str::to_owned))
        .collect();
    let lines = ALLOWED.iter().map(|(name, ..)| (*name).to_owned());
    assert_eq!(found, lines.collect());
}

#[test]
fn pure_crates_use_no_crate_that_does_io() {
    for name in PURE {
        let manifest = manifest(&format!("chronon-run-{name}")).unwrap();
        let used = names(&manifest, "dependencies");
        let io: Vec<_> = IO.iter().filter(|io| used.contains(**io)).collect();
        assert!(io.is_empty(), "{name} must not use {io:?}");
    }
}

/// Those of the names in a section of a manifest that no source in these folders has.
fn unused(manifest: &Table, section: &str, folders: &[PathBuf]) -> Vec<String> {
    let text: String = folders
        .iter()
        .filter(|folder| folder.exists())
        .flat_map(|folder| files_with("rs", folder))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let named = |name: &String| {
        let word = format!(r"\b{}\b", name.replace('-', "_"));
        Regex::new(&word).unwrap().is_match(&text)
    };
    let names = names(manifest, section).into_iter();
    names.filter(|name| !named(name)).collect()
}

#[test]
fn every_dependency_is_used() {
    for entry in fs::read_dir(repository().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let manifest = manifest(&name).unwrap();
        let src = path.join("src");
        let mut all = vec![src.clone(), path.join("tests"), path.join("benches")];
        if name == "chronon-run" {
            all.push(repository().join("tests"));
            // Its benchmark includes this one.
            all.push(repository().join("crates/chronon-run-exec/benches"));
        }
        let code = unused(&manifest, "dependencies", &[src]);
        assert!(code.is_empty(), "{name} does not use {code:?}");
        let tests = unused(&manifest, "dev-dependencies", &all);
        assert!(tests.is_empty(), "tests of {name} do not use {tests:?}");
    }
}
