//! What is asked before and after every run costs the same however long the history is. Counted are the
//! steps of SQLite's virtual machine, because times differ between machines.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use chronon_run_core::{
    AssetId, DayEvidence, Ds, Evidence, PartitionRange, RangeSet, Slice,
    event::{Event, Outcome, Sink, StepInfo, What},
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{Ledger, Look, Provenance, open};

/// Virtual-machine steps between two counts.
const GRAIN: u64 = 50;
/// Assets of a generated history: ten uploads, ten loads, ten comparisons, and backfills.
const ASSETS: u32 = 50;

/// The asset with this number.
fn asset(number: u32) -> AssetId {
    let text = match number {
        0..10 => format!("group_by/team.a{number}/upload"),
        10..20 => format!("group_by/team.a{}/kv", number - 10),
        20..30 => format!("join/team.j{number}/consistency"),
        _ => format!("group_by/team.b{number}/backfill"),
    };
    text.parse().unwrap()
}

/// A history of `steps` steps in runs of 100, with how each day was filled. Some days still fail.
fn generate(path: &Path, steps: u32) {
    drop(Ledger::open(path));
    let raw = Connection::open(path).unwrap();
    let names: Vec<String> = (0..ASSETS)
        .map(|number| format!("({number}, '{}')", asset(number)))
        .collect();
    raw.execute_batch(&format!(
        "BEGIN;
         CREATE TEMP TABLE name (number INTEGER PRIMARY KEY, asset TEXT);
         INSERT INTO name VALUES {names};
         CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS
            (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i + 1 < {steps})
            SELECT i, printf('r%08d', i / 100) AS run, i % 100 AS step, asset, number,
                18000 + (i / {ASSETS}) AS ds, i % 97 = 0 AND i < 4000 AS fails
            FROM c JOIN name ON number = i % {ASSETS};
         INSERT INTO runs (run, started, jobs, boot, pid, pid_ticks, finished, succeeded, seq)
            SELECT run, i, 4, 'b', 1, 1, i + 9, 1, i / 100 + 1 FROM n WHERE step = 0;
         INSERT INTO steps (run, step, asset, first, last, finished, outcome, filled, empty, bad, compared)
            SELECT run, step, asset, ds, ds, i, '{{\"kind\":\"succeeded\"}}', '[]', '[]', '[]',
                CASE WHEN number BETWEEN 20 AND 29 THEN '[]' END FROM n;
         INSERT INTO attempts (run, step, attempt, started, argv, log, finished, millis, outcome)
            SELECT run, step, 1, i, '[\"spark-submit\"]', '/state/runs/' || run || '/x.log', i + 5, 5,
                CASE WHEN fails THEN '{{\"kind\":\"failed\",\"code\":1}}'
                    ELSE '{{\"kind\":\"succeeded\"}}' END FROM n;
         INSERT INTO contents (conf, content) VALUES (1, '{{}}');
         INSERT INTO assets SELECT number, asset FROM name;
         INSERT INTO looks SELECT i, run, step, 1, asset, 1, 1 FROM n WHERE i > 0;
         INSERT OR IGNORE INTO made_days SELECT number, ds, i, 0 FROM n WHERE i > 0;
         INSERT INTO slices SELECT number, 'lake.t' || number || '/ds' FROM name;
         INSERT OR IGNORE INTO seen_days SELECT number, ds, NULL, 1, i, i FROM n;
         COMMIT; DROP TABLE n; DROP TABLE name;",
        names = names.join(", ")
    ))
    .unwrap();
    drop(raw);
    let (mut connection, _) = open::writable(path, false).unwrap();
    let transaction = connection.transaction().unwrap();
    crate::state::rebuild(&transaction).unwrap();
    crate::blocks::rebuild(&transaction).unwrap();
    transaction.commit().unwrap();
}

/// Counts the steps of a connection's virtual machine from now on.
fn counted(connection: &Connection) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let more = count.clone();
    let each = move || {
        more.fetch_add(GRAIN, Ordering::Relaxed);
        false
    };
    let grain = i32::try_from(GRAIN).unwrap();
    connection.progress_handler(grain, Some(each));
    count
}

/// What `status` and the beginning of a run ask.
fn ask(ledger: &mut Ledger) -> usize {
    let some: BTreeSet<AssetId> = BTreeSet::new();
    ledger.last_attempts().len()
        + ledger.failing_days().len()
        + ledger.uploaded().len()
        + ledger.loaded().len()
        + ledger.compared().len()
        + ledger.all_empty_days().len()
        + ledger.survivors().len()
        + ledger.paces().len()
        + ledger.runs(20).len()
        + ledger.run("r00000007").map_or(0, |run| run.steps.len())
        + ledger.memory(&some, &BTreeSet::new()).made.len()
}

/// A run of one step, as its events tell it.
fn one_step(ledger: &mut Ledger, run: &str) {
    let day = PartitionRange::day(Ds::from_epoch_days(18_000));
    let outcome = Outcome::Succeeded;
    let events = [
        What::RunStarted {
            run: run.to_owned(),
            jobs: 1,
            steps: vec![StepInfo {
                step: 0,
                asset: asset(40),
                range: day,
            }],
        },
        What::AttemptStarting {
            step: 0,
            attempt: 1,
            range: day,
            argv: vec!["spark-submit".to_owned()],
            log: "/x.log".into(),
        },
        What::AttemptFinished {
            step: 0,
            attempt: 1,
            outcome: outcome.clone(),
            millis: 5,
            message: None,
            retry_in: None,
            next: None,
            may_write: false,
        },
        What::StepFinished {
            step: 0,
            outcome,
            filled: day.into(),
            empty: RangeSet::new(),
            bad: RangeSet::new(),
            compared: Vec::new(),
            checked: Vec::new(),
        },
    ];
    for what in events {
        ledger.emit(&Event { at: 1, what });
    }
    ledger.flush();
}

/// Virtual-machine steps of the questions, and of recording a run of one step.
fn costs(path: &Path) -> (u64, u64) {
    let mut ledger = Ledger::open(path);
    let count = counted(ledger.connection().unwrap());
    let found = ask(&mut ledger);
    assert!(found > 150, "{found}");
    let asked = count.swap(0, Ordering::Relaxed);
    one_step(&mut ledger, "new");
    assert_eq!(ledger.take_notices(), Vec::<String>::new());
    (asked, count.load(Ordering::Relaxed))
}

#[test]
fn a_history_a_hundred_times_as_long_costs_the_same() {
    let folder = TempDir::new().unwrap();
    let (short, long) = (folder.path().join("a.db"), folder.path().join("b.db"));
    generate(&short, 4_000);
    generate(&long, 400_000);
    let (few, many) = (costs(&short), costs(&long));
    assert!(many.0 < few.0 * 3 / 2, "asked: {few:?}, {many:?}");
    assert!(
        many.1 <= few.1 * 3 / 2 + GRAIN,
        "recorded: {few:?}, {many:?}"
    );
}

/// Virtual-machine steps of recording what one attempt starts from, and how its day was filled.
fn provenance_cost(path: &Path) -> u64 {
    let provenance = Provenance::open(path);
    let count = provenance.with_connection(counted).unwrap();
    let ds = Ds::from_epoch_days(18_040);
    let slice = Slice {
        table: "lake.t40".parse().unwrap(),
        day_column: "ds".to_owned(),
        sub_partitions: Vec::new(),
    };
    let seen: DayEvidence = [(ds, Evidence::default())].into();
    provenance.look(&Look {
        run: "new",
        step: 0,
        attempt: 1,
        asset: &asset(40),
        range: PartitionRange::day(ds),
        conf: 1,
        content: "{}",
        inputs: 1,
        seen: &[(slice, seen)].into(),
        there: &RangeSet::new(),
    });
    let mut sink = &provenance;
    let what = What::StepFinished {
        step: 0,
        outcome: Outcome::Succeeded,
        filled: PartitionRange::day(ds).into(),
        empty: RangeSet::new(),
        bad: RangeSet::new(),
        compared: Vec::new(),
        checked: Vec::new(),
    };
    sink.emit(&Event { at: 1, what });
    assert_eq!(provenance.take_notices(), Vec::<String>::new());
    count.load(Ordering::Relaxed)
}

#[test]
fn recording_how_a_day_was_filled_reads_nothing_of_other_days() {
    let folder = TempDir::new().unwrap();
    let (short, long) = (folder.path().join("a.db"), folder.path().join("b.db"));
    generate(&short, 4_000);
    generate(&long, 200_000);
    let (few, many) = (provenance_cost(&short), provenance_cost(&long));
    assert!(many <= few * 3 / 2 + GRAIN, "{few}, {many}");
}

/// Days are not a row each, and take a few bytes each.
#[test]
fn how_days_were_filled_is_read_in_blocks() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.db");
    generate(&path, 100_000);
    let mut ledger = Ledger::open(&path);
    let count = counted(ledger.connection().unwrap());
    let assets = (0..ASSETS).map(asset).collect();
    let slices = (0..ASSETS).map(|number| format!("lake.t{number}/ds"));
    let memory = ledger.memory(&assets, &slices.collect());
    let made = memory.made.values().map(|days| days.iter().count());
    let seen = memory.seen.values().map(|days| days.iter().count());
    let days = made.sum::<usize>() + seen.sum::<usize>();
    assert_eq!(days, 199_999);
    let steps = count.load(Ordering::Relaxed);
    assert!(steps < days as u64 / 4, "{steps} steps for {days} days");
    let made = memory.made.values().map(|days| days.bytes().len());
    let seen = memory.seen.values().map(|days| days.bytes().len());
    let bytes = made.sum::<usize>() + seen.sum::<usize>();
    assert!(bytes < 5 * days, "{bytes} bytes for {days} days");
}

/// Prints what a million steps take.
#[test]
#[ignore = "takes half a minute and a gigabyte; set CHRONON_RUN_LEDGER to keep the file"]
fn a_million_steps() {
    let folder = TempDir::new().unwrap();
    let path = std::env::var_os("CHRONON_RUN_LEDGER")
        .map_or_else(|| folder.path().join("ledger.db"), Into::into);
    generate(&path, 1_000_000);
    let began = Instant::now();
    let mut ledger = Ledger::open(&path);
    let found = ask(&mut ledger);
    println!("{found} answers in {:?}", began.elapsed());
    let began = Instant::now();
    one_step(&mut ledger, "new");
    println!("one step recorded in {:?}", began.elapsed());
    drop(ledger);
    let began = Instant::now();
    println!("{} steps", provenance_cost(&path));
    println!("how it was filled recorded in {:?}", began.elapsed());
}
