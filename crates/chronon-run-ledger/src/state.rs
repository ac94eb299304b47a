//! What `status` and the next run ask of every asset, kept up to date with each attempt, so that
//! neither reads the whole history.

use std::collections::BTreeMap;

use chronon_run_core::{
    Ds, PartitionRange, RangeSet,
    event::{Outcome, StepIndex},
};
use rusqlite::{Connection, OptionalExtension, params};

/// How many of an asset's last steps make its pace.
pub(crate) const PACE_STEPS: usize = 20;

/// What is known of one asset.
#[derive(Default)]
struct State {
    /// Days whose last attempt failed.
    failing: RangeSet,
    /// Days and milliseconds of its last successful attempts, oldest first.
    pace: Vec<(u64, u64)>,
}

/// The last attempt at one asset.
#[derive(Default)]
struct Last {
    seq: i64,
    run: String,
    step: i64,
    attempt: i64,
}

/// An attempt that has ended.
struct Ended {
    range: Option<PartitionRange>,
    /// Days of the whole step.
    days: u64,
    millis: u64,
    outcome: Outcome,
}

impl State {
    fn add(&mut self, ended: &Ended) {
        let Some(range) = ended.range else {
            return;
        };
        if ended.outcome == Outcome::Interrupted {
            return;
        }
        if ended.outcome.succeeded() {
            self.failing = self.failing.minus(&range.into());
            self.pace.push((ended.days, ended.millis));
            let surplus = self.pace.len().saturating_sub(PACE_STEPS);
            self.pace.drain(..surplus);
        } else {
            self.failing = self.failing.union(&range.into());
        }
    }
}

/// Notes that an attempt exists.
pub(crate) fn begin(
    connection: &Connection,
    run: &str,
    step: StepIndex,
    attempt: u32,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO asset_state (asset, seq, run, step, attempt)
             SELECT s.asset, r.seq, s.run, s.step, ?3 FROM steps s JOIN runs r USING (run)
             WHERE s.run = ?1 AND s.step = ?2
             ON CONFLICT DO UPDATE SET seq = excluded.seq, run = excluded.run,
                 step = excluded.step, attempt = excluded.attempt
             WHERE (excluded.seq, excluded.step, excluded.attempt) >=
                 (asset_state.seq, asset_state.step, asset_state.attempt)",
        )?
        .execute(params![run, step, attempt])
        .map(|_| ())
}

/// Notes how an attempt that is in the file has ended.
pub(crate) fn end(
    connection: &Connection,
    run: &str,
    step: StepIndex,
    attempt: u32,
    outcome: &Outcome,
) -> rusqlite::Result<()> {
    begin(connection, run, step, attempt)?;
    let found = connection
        .prepare_cached(
            "SELECT t.asset, t.failing, t.pace, coalesce(a.first, s.first),
                coalesce(a.last, s.last), s.last - s.first + 1, a.millis
             FROM attempts a JOIN steps s USING (run, step) JOIN asset_state t USING (asset)
             WHERE a.run = ?1 AND a.step = ?2 AND a.attempt = ?3",
        )?
        .query_row(params![run, step, attempt], |row| {
            let state = State {
                failing: from_json(&row.get::<_, String>(1)?),
                pace: from_json(&row.get::<_, String>(2)?),
            };
            let ended = Ended {
                range: range(row.get(3)?, row.get(4)?),
                days: row.get(5)?,
                millis: row.get::<_, Option<u64>>(6)?.unwrap_or(0),
                outcome: outcome.clone(),
            };
            Ok((row.get::<_, String>(0)?, state, ended))
        })
        .optional()?;
    let Some((asset, mut state, ended)) = found else {
        return Ok(());
    };
    state.add(&ended);
    connection
        .prepare_cached("UPDATE asset_state SET failing = ?2, pace = ?3 WHERE asset = ?1")?
        .execute(params![
            asset,
            to_json(&state.failing)?,
            to_json(&state.pace)?
        ])
        .map(|_| ())
}

/// Works everything out again from the attempts that are in the file. Rows that cannot be understood
/// are left out.
pub(crate) fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM asset_state", [])?;
    let mut all: BTreeMap<String, (State, Last)> = BTreeMap::new();
    let mut runs = connection.prepare("SELECT run, seq FROM runs ORDER BY seq")?;
    let mut attempts = connection.prepare(
        "SELECT s.asset, a.step, a.attempt, coalesce(a.first, s.first), coalesce(a.last, s.last),
            s.last - s.first + 1, a.millis, a.outcome
         FROM attempts a JOIN steps s USING (run, step) WHERE a.run = ?1
         ORDER BY a.step, a.attempt",
    )?;
    let mut found = runs.query([])?;
    while let Some(row) = found.next()? {
        let (Ok(run), Ok(seq)) = (row.get::<_, String>(0), row.get::<_, i64>(1)) else {
            continue;
        };
        let mut rows = attempts.query([&run])?;
        while let Some(row) = rows.next()? {
            let (Ok(asset), Ok(step), Ok(attempt)) = (row.get(0), row.get(1), row.get(2)) else {
                continue;
            };
            let (state, last) = all.entry(asset).or_default();
            *last = Last {
                seq,
                run: run.clone(),
                step,
                attempt,
            };
            if let Ok(Some(ended)) = ended(row) {
                state.add(&ended);
            }
        }
    }
    let mut insert = connection.prepare(
        "INSERT INTO asset_state (asset, seq, run, step, attempt, failing, pace)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (asset, (state, last)) in all {
        let Last {
            seq,
            run,
            step,
            attempt,
        } = last;
        let (failing, pace) = (to_json(&state.failing)?, to_json(&state.pace)?);
        insert.execute(params![asset, seq, run, step, attempt, failing, pace])?;
    }
    Ok(())
}

fn ended(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Ended>> {
    let outcome: Option<String> = row.get(7)?;
    let Some(outcome) = outcome.and_then(|text| serde_json::from_str(&text).ok()) else {
        return Ok(None);
    };
    Ok(Some(Ended {
        range: range(row.get(3)?, row.get(4)?),
        days: row.get(5)?,
        millis: row.get::<_, Option<u64>>(6)?.unwrap_or(0),
        outcome,
    }))
}

fn range(first: i32, last: i32) -> Option<PartitionRange> {
    PartitionRange::new(Ds::from_epoch_days(first), Ds::from_epoch_days(last))
}

fn from_json<T: serde::de::DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

fn to_json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
