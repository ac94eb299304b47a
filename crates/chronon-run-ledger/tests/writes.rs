//! Every write that the ledger's files get is recorded, in order, and the files are made again as they were
//! between any two of them: after a kill, and after a power loss, which also loses any of the writes that were
//! not synced. The recorder is loaded into a helper process (`writes/recorder.c`).
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    thread,
};

use chronon_run_ledger::Ledger;
use common::{run, tell};
use proptest::prelude::*;

const LEDGER: &str = "ledger.db";
/// The helper's own file, of what it was told to be recorded.
const TOLD: &str = "told";
/// How many runs pruning keeps.
const KEPT: usize = 5;
const RUNS: usize = 14;
/// After how many runs the helper prunes.
const PRUNED: usize = 9;
/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// One change of a file.
#[derive(Clone, Debug)]
enum Change {
    Write {
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate(usize),
    Sync,
    /// The folder was synced.
    SyncFolder,
    Unlink,
}

type Files = BTreeMap<String, Vec<u8>>;

fn apply(files: &mut Files, name: &str, change: &Change) {
    match change {
        Change::Write { at, bytes } => {
            let file = files.entry(name.to_owned()).or_default();
            let end = at + bytes.len();
            file.resize(file.len().max(end), 0);
            file[*at..end].copy_from_slice(bytes);
        }
        Change::Truncate(length) => files.entry(name.to_owned()).or_default().resize(*length, 0),
        Change::Sync | Change::SyncFolder => {}
        Change::Unlink => drop(files.remove(name)),
    }
}

#[test]
#[ignore = "helper process of the tests below"]
fn helper_writes_runs() {
    let folder = PathBuf::from(std::env::var_os("RECORD_FOLDER").unwrap());
    let path = folder.join(LEDGER);
    let told = |text: &str| {
        let mut file = OpenOptions::new();
        let mut file = file
            .append(true)
            .create(true)
            .open(folder.join(TOLD))
            .unwrap();
        file.write_all(format!("{text}\n").as_bytes()).unwrap();
    };
    let mut ledger = Ledger::open(&path);
    for number in 0..RUNS {
        if number == PRUNED {
            told("prune");
            let kept = u32::try_from(KEPT).unwrap();
            assert_eq!(ledger.prune(kept, |_| ()).unwrap().len(), 2 * PRUNED - KEPT);
        }
        // Closing copies the log back and removes it.
        if number % 4 == 3 {
            drop(ledger);
            ledger = Ledger::open(&path);
        }
        let name = format!("r{number:03}");
        for what in run(&name, 2) {
            tell(&mut ledger, vec![what]);
        }
        tell(&mut ledger, run(&format!("{name}b"), 9));
        assert_eq!(ledger.take_notices(), Vec::<String>::new());
        told(&name);
    }
}

/// What the helper's process did.
fn changes() -> &'static [(String, Change)] {
    static CHANGES: OnceLock<Vec<(String, Change)>> = OnceLock::new();
    CHANGES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let recorder = folder.path().join("recorder.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/writes/recorder.c");
        let built = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&recorder, &source])
            .status();
        assert!(
            built.unwrap().success(),
            "a C compiler is needed, as for SQLite"
        );
        let recorded = folder.path().join("recorded");
        fs::create_dir(&recorded).unwrap();
        let log = folder.path().join("log");
        let helped = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "helper_writes_runs", "--ignored"])
            .env("LD_PRELOAD", &recorder)
            .env("RECORD_FOLDER", recorded.canonicalize().unwrap())
            .env("RECORD_LOG", &log)
            .output()
            .unwrap();
        assert!(helped.status.success(), "{helped:?}");
        let changes = read_log(&fs::read(&log).unwrap());
        let mut files = Files::new();
        for (name, change) in &changes {
            apply(&mut files, name, change);
        }
        let on_disk = fs::read(recorded.join(LEDGER)).unwrap();
        assert_eq!(files[LEDGER], on_disk, "every write was recorded");
        changes
    })
}

fn read_log(log: &[u8]) -> Vec<(String, Change)> {
    let mut changes = Vec::new();
    let mut rest = log;
    let mut take = |length: usize| {
        let (taken, after) = rest.split_at(length);
        rest = after;
        (taken.to_vec(), after.is_empty())
    };
    loop {
        let kind = take(1).0[0];
        let length = usize::from(take(1).0[0]);
        let name = String::from_utf8(take(length).0).unwrap();
        let mut number = || usize::from_le_bytes(take(8).0.try_into().unwrap());
        let (at, length) = (number(), number());
        let (bytes, is_end) = take(length);
        let change = match kind {
            b'w' => Change::Write { at, bytes },
            b't' => Change::Truncate(at),
            b's' => Change::Sync,
            b'd' => Change::SyncFolder,
            b'u' => Change::Unlink,
            other => panic!("kind {other}"),
        };
        changes.push((name, change));
        if is_end {
            return changes;
        }
    }
}

/// The finished runs of a copy of these files.
fn finished(files: &Files) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mut ledger = Ledger::open(&folder.path().join(LEDGER));
    let runs = ledger.runs(1_000).into_iter();
    let runs = runs.filter(|run| run.finished.is_some());
    let mut runs: Vec<String> = runs.map(|run| run.run).collect();
    assert_eq!(ledger.take_notices(), Vec::<String>::new());
    runs.retain(|run| !run.ends_with('b'));
    runs.sort();
    runs
}

/// What must be there once this was told: all runs, or those that pruning keeps.
fn expected(told: &str) -> Vec<&str> {
    match told.split_once("prune\n") {
        Some((before, after)) => {
            let before: Vec<&str> = before.lines().collect();
            // Of the last runs half are of the other kind.
            let kept = before.len() - KEPT / 2;
            before[kept..]
                .iter()
                .copied()
                .chain(after.lines())
                .collect()
        }
        None => told.lines().collect::<Vec<_>>(),
    }
}

/// The names of the runs that are there have no gap.
fn is_gapless(runs: &[String]) -> bool {
    let numbers: Vec<usize> = runs.iter().map(|run| run[1..].parse().unwrap()).collect();
    numbers.windows(2).all(|two| two[0] + 1 == two[1])
}

#[test]
fn a_kill_between_any_two_writes_loses_nothing_that_was_recorded() {
    let changes = changes();
    let workers = 4;
    assert!(changes.len() > 500, "{} changes", changes.len());
    thread::scope(|scope| {
        for worker in 0..workers {
            scope.spawn(move || {
                let mut files = Files::new();
                for (number, (name, change)) in changes.iter().enumerate() {
                    apply(&mut files, name, change);
                    let changes_a_file = !matches!(change, Change::Sync | Change::SyncFolder);
                    if number % workers != worker || !changes_a_file || name == TOLD {
                        continue;
                    }
                    let told = files.get(TOLD).cloned().unwrap_or_default();
                    let told = String::from_utf8(told).unwrap();
                    let runs = finished(&files);
                    let missing = expected(&told)
                        .into_iter()
                        .find(|name| !runs.contains(&(*name).to_owned()));
                    assert_eq!(missing, None, "killed after change {number} ({name})");
                    assert!(is_gapless(&runs), "killed after change {number}: {runs:?}");
                }
            });
        }
    });
}

/// The files after a power loss that follows `count` changes: what was synced, and of the rest what `keeps`
/// says in turn: nothing, a part or all of a write. Returns also what is certain.
fn after_power_loss(count: usize, keeps: &[u8]) -> (Files, Files) {
    let changes = &changes()[..count];
    let (mut certain, mut found) = (Files::new(), Files::new());
    let mut keeps = keeps.iter().cycle();
    let mut gone: Vec<&str> = Vec::new();
    for (number, (name, change)) in changes.iter().enumerate() {
        let later = &changes[number..];
        let is_synced = match change {
            Change::Unlink => later
                .iter()
                .any(|(_, later)| matches!(later, Change::SyncFolder)),
            _ => later
                .iter()
                .any(|(other, later)| other == name && matches!(later, Change::Sync)),
        };
        if is_synced {
            apply(&mut certain, name, change);
            apply(&mut found, name, change);
            continue;
        }
        let keep = *keeps.next().unwrap();
        // What is written to a new file of the name is not there while the old one is.
        if keep == 0 && matches!(change, Change::Unlink) {
            gone.push(name);
        }
        if keep == 0 || gone.contains(&name.as_str()) {
            continue;
        }
        match change {
            Change::Write { at, bytes } => {
                let sectors = bytes.len().div_ceil(SECTOR).min(usize::from(keep));
                let bytes = bytes[..(sectors * SECTOR).min(bytes.len())].to_vec();
                apply(&mut found, name, &Change::Write { at: *at, bytes });
            }
            other => apply(&mut found, name, other),
        }
    }
    certain.remove(TOLD);
    found.remove(TOLD);
    (certain, found)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_power_loss_loses_nothing_that_was_synced(
        place in 0..10_000_usize,
        keeps in prop::collection::vec(prop::sample::select(vec![0_u8, 0, 1, 3, 8, 8, 8]), 1..60),
    ) {
        let count = changes().len() * place / 10_000;
        let (certain, found) = after_power_loss(count, &keeps);
        let (certain, found) = (finished(&certain), finished(&found));
        prop_assert!(is_gapless(&found), "{:?}", found);
        prop_assert!(found.last() >= certain.last(), "{:?} {:?}", certain, found);
    }
}
