//! How days were filled, as the ledger remembers it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use chronon_run_core::{
    AssetId, DayEvidence, Ds, Evidence, MadeDay, Memory, PartitionRange, RangeSet, SeenDay, Slice,
    event::{Event, Outcome, Sink, What},
};
use chronon_run_ledger::{Ledger, Look, Provenance};

fn day(n: i32) -> Ds {
    Ds::from_epoch_days(20_000 + n)
}

fn range(first: i32, last: i32) -> PartitionRange {
    PartitionRange::new(day(first), day(last)).unwrap()
}

fn asset(number: usize) -> AssetId {
    format!("group_by/team.a{number}/backfill").parse().unwrap()
}

fn slice(number: usize) -> Slice {
    Slice {
        table: format!("lake.s{number}").parse().unwrap(),
        day_column: "ds".to_owned(),
        sub_partitions: Vec::new(),
    }
}

fn evidence(range: PartitionRange, stamp: i64) -> DayEvidence {
    let seen = Evidence {
        files: None,
        catalog: Some(stamp),
        bytes: None,
    };
    range.iter().map(|ds| (ds, seen)).collect()
}

struct Book {
    folder: tempfile::TempDir,
    provenance: Provenance,
    step: u32,
    /// The asset's days before the attempt.
    there: RangeSet,
}

impl Book {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            provenance: Provenance::open(&folder.path().join("ledger.db")),
            folder,
            step: 0,
            there: RangeSet::new(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.path().join("ledger.db"))
    }

    /// What is remembered of everything that the tests record. It is what the rows say.
    fn memory(&self) -> Memory {
        let memory = self.read();
        assert_eq!(memory, self.rows());
        memory
    }

    fn read(&self) -> Memory {
        let assets = (0..200).map(asset).collect();
        let slices = (0..400).map(|number| slice(number).to_string()).collect();
        self.ledger().memory(&assets, &slices)
    }

    /// The same, read from the tables of days.
    fn rows(&self) -> Memory {
        let raw = rusqlite::Connection::open(self.path().join("ledger.db")).unwrap();
        let mut made: BTreeMap<AssetId, Vec<(Ds, MadeDay)>> = BTreeMap::new();
        let mut seen: BTreeMap<String, Vec<(Ds, SeenDay)>> = BTreeMap::new();
        let sql = "SELECT a.asset, ds, look, conf, inputs, unfinished FROM made_days d
            JOIN assets a ON a.id = d.asset JOIN looks USING (look) ORDER BY ds";
        let mut statement = raw.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let asset: String = row.get(0).unwrap();
            let state: i64 = row.get(5).unwrap();
            let day = MadeDay {
                attempt: row.get(2).unwrap(),
                conf: row.get(3).unwrap(),
                inputs: row.get(4).unwrap(),
                unfinished: state == 1,
                begun: state == 2,
            };
            let days = made.entry(asset.parse().unwrap()).or_default();
            days.push((Ds::from_epoch_days(row.get(1).unwrap()), day));
        }
        let sql = "SELECT s.slice, ds, born, changed, files, catalog FROM seen_days d
            JOIN slices s ON s.id = d.slice ORDER BY ds";
        let mut statement = raw.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let evidence = [4, 5].map(|at| row.get::<_, Option<i64>>(at).unwrap());
            let day = SeenDay {
                born: row.get(2).unwrap(),
                changed: row.get(3).unwrap(),
                evident: evidence != [None, None],
            };
            let days = seen.entry(row.get(0).unwrap()).or_default();
            days.push((Ds::from_epoch_days(row.get(1).unwrap()), day));
        }
        Memory {
            made: made
                .into_iter()
                .map(|(asset, days)| (asset, days.into_iter().collect()))
                .collect(),
            seen: seen
                .into_iter()
                .map(|(slice, days)| (slice, days.into_iter().collect()))
                .collect(),
        }
    }

    fn look(&self, number: usize, range: PartitionRange, seen: &BTreeMap<Slice, DayEvidence>) {
        self.provenance.look(&Look {
            run: "20260101-000000",
            step: self.step,
            attempt: 1,
            asset: &asset(number),
            range,
            conf: 7,
            content: "{}",
            inputs: 8,
            seen,
            there: &self.there,
        });
    }

    fn attempt_ends(&self, attempt: u32, outcome: Outcome) {
        let what = What::AttemptFinished {
            step: self.step,
            attempt,
            outcome,
            millis: 0,
            message: None,
            retry_in: None,
            next: None,
            may_write: false,
        };
        (&self.provenance).emit(&Event { at: 0, what });
    }

    fn end(&mut self, filled: RangeSet) {
        let what = What::StepFinished {
            step: self.step,
            outcome: Outcome::Succeeded,
            filled,
            empty: RangeSet::new(),
            bad: RangeSet::new(),
            compared: Vec::new(),
            checked: Vec::new(),
        };
        (&self.provenance).emit(&Event { at: 0, what });
        self.step += 1;
    }
}

#[test]
fn what_was_seen_already_is_not_written_again() {
    let book = Book::new();
    let mut days = evidence(range(0, 3), 1);
    days.values_mut().for_each(|seen| seen.bytes = Some(10));
    let seen = BTreeMap::from([(slice(0), days)]);
    book.look(0, range(0, 3), &seen);
    let raw = rusqlite::Connection::open(book.path().join("ledger.db")).unwrap();
    raw.execute_batch(
        "CREATE TRIGGER refused BEFORE UPDATE ON seen_days
         BEGIN SELECT RAISE(ABORT, 'written again'); END",
    )
    .unwrap();
    book.look(0, range(0, 3), &seen);
    assert_eq!(book.provenance.take_notices(), Vec::<String>::new());
}

#[test]
fn a_day_is_filled_by_the_last_attempt_that_was_about_it() {
    let mut book = Book::new();
    let seen = |stamp| BTreeMap::from([(slice(0), evidence(range(0, 3), stamp))]);
    book.look(0, range(0, 3), &seen(1));
    book.look(0, range(0, 1), &seen(1));
    book.look(0, range(2, 3), &seen(2));
    book.end(range(0, 2).into());
    let memory = book.memory();
    let attempts: Vec<(Ds, i64)> = memory.made[&asset(0)]
        .iter()
        .map(|(ds, made)| (ds, made.attempt))
        .collect();
    assert_eq!(attempts, [(day(0), 2), (day(1), 2), (day(2), 3)]);
    let seen = memory.seen[&slice(0).to_string()].get(day(0)).unwrap();
    assert_eq!((seen.born, seen.changed), (1, 3));
    assert_eq!(book.ledger().conf_content(7).as_deref(), Some("{}"));
    assert_eq!(book.ledger().conf_content(6), None);
}

#[test]
fn an_attempt_whose_end_was_not_seen_leaves_its_days_unfinished() {
    let mut book = Book::new();
    book.look(0, range(0, 3), &BTreeMap::new());
    book.end(range(0, 3).into());
    book.look(0, range(1, 2), &BTreeMap::new());
    let unfinished = |book: &Book| -> Vec<bool> {
        let memory = book.memory();
        memory.made[&asset(0)]
            .iter()
            .map(|(_, made)| made.unfinished)
            .collect()
    };
    assert_eq!(unfinished(&book), [false, true, true, false]);
    book.end(range(1, 1).into());
    assert_eq!(unfinished(&book), [false, false, true, false]);
}

/// The catalog shows days that a failed attempt has left as they were.
#[test]
fn a_failed_attempt_makes_only_the_days_that_were_not_there() {
    let mut book = Book::new();
    book.look(0, range(0, 1), &BTreeMap::new());
    book.end(range(0, 1).into());
    book.there = range(0, 2).into();
    book.look(0, range(0, 3), &BTreeMap::new());
    book.attempt_ends(1, Outcome::Failed { code: 1 });
    book.end(range(0, 3).into());
    let made = |book: &Book| -> Vec<(Ds, i64, bool)> {
        let memory = book.memory();
        let days = memory.made[&asset(0)].iter();
        days.map(|(ds, made)| (ds, made.attempt, made.unfinished))
            .collect()
    };
    let expected = [(day(0), 1, true), (day(1), 1, true), (day(3), 2, false)];
    assert_eq!(made(&book), expected, "day 2 was filled by others");
    book.look(0, range(0, 3), &BTreeMap::new());
    book.attempt_ends(1, Outcome::Succeeded);
    book.end(range(0, 3).into());
    assert!(
        made(&book)
            .iter()
            .all(|(_, attempt, unfinished)| *attempt == 3 && !unfinished)
    );
}

/// Days on both sides of the ends of blocks, of attempts that end, fail and are killed.
#[test]
fn what_is_read_in_blocks_is_what_the_rows_say() {
    let mut book = Book::new();
    let mut seed = 7_u32;
    for attempt in 0..60_i64 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let first = i32::try_from(seed >> 24).unwrap() - 20_128;
        let days = range(first, first + i32::try_from(seed >> 8 & 0x3f).unwrap());
        let number = usize::try_from(attempt % 3).unwrap();
        let seen = BTreeMap::from([(slice(number), evidence(days, attempt / 20))]);
        book.look(number, days, &seen);
        if attempt % 5 != 0 {
            book.there = book.there.union(&days.into());
            book.end(days.into());
        } else {
            book.step += 1;
        }
        book.memory();
    }
    let path = book.path().join("ledger.db");
    let memory = book.memory();
    assert_eq!((memory.made.len(), memory.seen.len()), (3, 3));
    let now = BTreeMap::from([(slice(0), evidence(range(-20_128, -19_900), 2))]);
    assert!(book.ledger().evidence(&now)[&slice(0)].len() > 100);

    // As an older version leaves it.
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("DROP TABLE made_blocks; DROP TABLE seen_blocks; PRAGMA user_version = 9")
        .unwrap();
    assert_eq!(book.memory(), memory);
}

#[test]
fn a_file_that_cannot_be_opened_fails_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    fs::create_dir(&path).unwrap();
    let mut book = Book {
        provenance: Provenance::open(&path),
        folder,
        step: 0,
        there: RangeSet::new(),
    };
    book.look(0, range(0, 3), &BTreeMap::new());
    book.end(range(0, 3).into());
}

/// A year of 200 assets with two inputs each.
#[test]
fn a_year_of_many_assets_is_small_and_read_at_once() {
    let mut book = Book::new();
    let year = range(0, 364);
    for number in 0..200 {
        let inputs = [2 * number, 2 * number + 1];
        let seen = inputs.map(|input| (slice(input), evidence(year, 1)));
        book.look(number, year, &seen.into());
        book.end(year.into());
    }
    let started = Instant::now();
    let memory = book.read();
    let took = started.elapsed();
    assert_eq!(memory.made.len(), 200);
    assert_eq!(memory.seen.len(), 400);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let files = fs::read_dir(book.path()).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes < 40_000_000, "{bytes} bytes");
    println!("{bytes} bytes with the write-ahead log, read in {took:?}");
}
