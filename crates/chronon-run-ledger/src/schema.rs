//! The tables, and how an older file is brought up to date.

use rusqlite::{Connection, TransactionBehavior};

use crate::{blocks, state};

/// One script per version; the file's `user_version` counts those that were applied.
/// Never change one that was released: append.
const MIGRATIONS: [&str; 10] = [
    // Days are days since 1970-01-01, times are milliseconds since the epoch, and outcomes,
    // skip reasons, argument vectors and day sets are JSON as in the event stream.
    "
    CREATE TABLE runs (
        run TEXT PRIMARY KEY,
        started INTEGER NOT NULL,
        jobs INTEGER NOT NULL,
        boot TEXT NOT NULL,
        pid INTEGER NOT NULL,
        pid_ticks INTEGER NOT NULL,
        cancelled TEXT,
        finished INTEGER,
        succeeded INTEGER
    ) WITHOUT ROWID;

    CREATE TABLE steps (
        run TEXT NOT NULL,
        step INTEGER NOT NULL,
        asset TEXT NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        finished INTEGER,
        outcome TEXT,
        skipped TEXT,
        filled TEXT,
        empty TEXT,
        PRIMARY KEY (run, step)
    ) WITHOUT ROWID;
    CREATE INDEX steps_by_asset ON steps (asset, last);

    CREATE TABLE attempts (
        run TEXT NOT NULL,
        step INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        started INTEGER,
        argv TEXT NOT NULL DEFAULT '[]',
        log TEXT NOT NULL DEFAULT '',
        pid INTEGER,
        pid_ticks INTEGER,
        finished INTEGER,
        abandoned INTEGER NOT NULL DEFAULT 0,
        millis INTEGER,
        outcome TEXT,
        message TEXT,
        PRIMARY KEY (run, step, attempt)
    ) WITHOUT ROWID;
    CREATE INDEX attempts_open ON attempts (run) WHERE finished IS NULL;

    CREATE TABLE empty_days (
        asset TEXT NOT NULL,
        ds INTEGER NOT NULL,
        run TEXT NOT NULL,
        PRIMARY KEY (asset, ds)
    ) WITHOUT ROWID;
    ",
    // An attempt may be for fewer days than its step; NULL means all of them. What it started on
    // a cluster may outlive it.
    "
    ALTER TABLE attempts ADD COLUMN first INTEGER;
    ALTER TABLE attempts ADD COLUMN last INTEGER;
    ALTER TABLE attempts ADD COLUMN application TEXT;
    ALTER TABLE attempts ADD COLUMN may_write INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE steps ADD COLUMN bad TEXT;
    ",
    // The order of the runs: clocks jump back, and what came last decides what a table holds.
    "
    ALTER TABLE runs ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
    UPDATE runs SET seq = (
        SELECT count(*) FROM runs other
        WHERE (other.started, other.run) <= (runs.started, runs.run)
    );
    ",
    // What a comparison of logged features found, as in the event stream; NULL if nothing was compared.
    "
    ALTER TABLE steps ADD COLUMN compared TEXT;
    ",
    // How each day was filled: one number for each attempt, in the order in which the attempts looked
    // at their inputs, and for each day of an input the attempts that saw it first and saw it change.
    "
    CREATE TABLE contents (
        conf INTEGER PRIMARY KEY,
        content TEXT NOT NULL
    );
    CREATE TABLE looks (
        look INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL,
        step INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        asset TEXT NOT NULL,
        conf INTEGER NOT NULL,
        inputs INTEGER NOT NULL
    );
    CREATE TABLE assets (
        id INTEGER PRIMARY KEY,
        asset TEXT NOT NULL UNIQUE
    );
    CREATE TABLE made_days (
        asset INTEGER NOT NULL,
        ds INTEGER NOT NULL,
        look INTEGER NOT NULL,
        unfinished INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (asset, ds)
    ) WITHOUT ROWID;
    CREATE TABLE slices (
        id INTEGER PRIMARY KEY,
        slice TEXT NOT NULL UNIQUE
    );
    CREATE TABLE seen_days (
        slice INTEGER NOT NULL,
        ds INTEGER NOT NULL,
        files INTEGER,
        catalog INTEGER,
        born INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        PRIMARY KEY (slice, ds)
    ) WITHOUT ROWID;
    ",
    // What is asked of every asset, kept with each attempt (`state.rs`), and indexes for the few rows
    // that are looked for among all: a history of a million steps is not read as a whole.
    "
    CREATE TABLE asset_state (
        asset TEXT PRIMARY KEY,
        seq INTEGER NOT NULL,
        run TEXT NOT NULL,
        step INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        failing TEXT NOT NULL DEFAULT '[]',
        pace TEXT NOT NULL DEFAULT '[]'
    ) WITHOUT ROWID;
    CREATE INDEX runs_by_seq ON runs (seq);
    CREATE INDEX steps_compared ON steps (run) WHERE compared IS NOT NULL;
    CREATE INDEX attempts_may_write ON attempts (run) WHERE may_write <> 0;
    ",
    // One asset's rows among those of all.
    "
    CREATE INDEX made_days_by_look ON made_days (look);
    DROP INDEX IF EXISTS steps_compared;
    CREATE INDEX steps_compared_by_day ON steps (asset, last) WHERE compared IS NOT NULL;
    ",
    // First and last day of the times of the left rows that a join holds for a day, and whether the
    // Driver filled the day without the days that belong to the same job.
    "
    CREATE TABLE left_times (
        asset INTEGER NOT NULL,
        ds INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        alone INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (asset, ds)
    ) WITHOUT ROWID;
    ",
    // What the data checks of a step found, as in the event stream; NULL if it has none.
    "
    ALTER TABLE steps ADD COLUMN checked TEXT;
    ",
    // How days were filled, in blocks of days (`blocks.rs`): a day of each of a thousand assets is not a
    // row that `status` reads.
    "
    CREATE TABLE made_blocks (
        asset INTEGER NOT NULL,
        block INTEGER NOT NULL,
        days BLOB NOT NULL,
        PRIMARY KEY (asset, block)
    ) WITHOUT ROWID;
    CREATE TABLE seen_blocks (
        slice INTEGER NOT NULL,
        block INTEGER NOT NULL,
        days BLOB NOT NULL,
        PRIMARY KEY (slice, block)
    ) WITHOUT ROWID;
    ",
];

/// The version that has `asset_state`.
const WITH_STATE: usize = 6;

/// The version that has `made_blocks` and `seen_blocks`.
const WITH_BLOCKS: usize = 10;

/// The version that is written.
pub(crate) const VERSION: usize = MIGRATIONS.len();

/// Gives runs of a file that does not number them the order of their clock.
pub(crate) const NUMBER_RUNS: &str = "
    UPDATE runs SET seq = (
        SELECT count(*) FROM runs other
        WHERE (other.started, other.run) <= (runs.started, runs.run)
    );";

/// How far a file can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Up to date now.
    Write,
    /// Written by a newer version.
    ReadOnly,
}

/// Brings the file up to date, unless it is ahead.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<Access> {
    if version(connection)? == MIGRATIONS.len() {
        return Ok(Access::Write);
    }
    // Under a write lock from the start: another process may be migrating just now.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let Some(missing) = MIGRATIONS.get(found..) else {
        return Ok(Access::ReadOnly);
    };
    for script in missing {
        transaction.execute_batch(script)?;
    }
    if found < WITH_STATE {
        state::rebuild(&transaction)?;
    }
    if found < WITH_BLOCKS {
        blocks::rebuild(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()?;
    Ok(Access::Write)
}

/// The version of a file.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Whether another program has begun the file: it has tables, but not ours.
pub(crate) fn is_foreign(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = match version(connection)? {
        // In one statement: another process may begin the file just now.
        0 => {
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema) AND (SELECT user_version FROM pragma_user_version) = 0"
        }
        // A newer version may have other tables.
        found if found > VERSION => return Ok(false),
        _ => "SELECT NOT EXISTS (SELECT 1 FROM pragma_table_info('runs') WHERE name = 'pid_ticks')",
    };
    connection.query_row(sql, [], |row| row.get(0))
}
