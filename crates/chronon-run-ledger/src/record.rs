//! Events into rows.

use chronon_run_core::{
    PartitionRange, RangeSet,
    event::{Event, StepIndex, StepInfo, What},
};
use chronon_run_process::{boot_id, identify};
use rusqlite::{Connection, Error, TransactionBehavior, params};
use serde::Serialize;

use crate::state;

/// What happens to a run that is in the file when it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It is another one, of the same name, and replaced.
    Replace,
    /// It is this one, as far as it could be read of a damaged file.
    Keep,
}

impl Begin {
    fn verb(self) -> &'static str {
        match self {
            Self::Replace => "INSERT OR REPLACE",
            Self::Keep => "INSERT OR IGNORE",
        }
    }
}

/// Writes down what `events` say of `run`, all or nothing.
pub(crate) fn insert(
    connection: &mut Connection,
    run: &str,
    events: &[Event],
    how: Begin,
) -> rusqlite::Result<()> {
    // Writing from the start, so that waiting for another writer is possible.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for event in events {
        insert_one(&transaction, run, event, how)?;
    }
    transaction.commit()
}

fn insert_one(
    connection: &Connection,
    run: &str,
    event: &Event,
    how: Begin,
) -> rusqlite::Result<()> {
    match &event.what {
        What::RunStarted { run, steps, jobs } => {
            begin(connection, run, event.at, *jobs, steps, how)
        }
        What::AttemptStarting { .. } => attempt_starting(connection, run, event),
        What::AttemptSpawned {
            step,
            attempt,
            process,
        } => execute(
            connection,
            "UPDATE attempts SET pid = ?4, pid_ticks = ?5
             WHERE run = ?1 AND step = ?2 AND attempt = ?3",
            params![run, step, attempt, process.pid, process.start_ticks],
        ),
        What::ApplicationSeen {
            step,
            attempt,
            application,
        } => execute(
            connection,
            "UPDATE attempts SET application = ?4
             WHERE run = ?1 AND step = ?2 AND attempt = ?3",
            params![run, step, attempt, application],
        ),
        What::StepStuck { step, attempt, .. } | What::StepMoves { step, attempt } => execute(
            connection,
            "UPDATE attempts SET message = ?4
             WHERE run = ?1 AND step = ?2 AND attempt = ?3 AND finished IS NULL",
            params![run, step, attempt, event.what.stuck_text()],
        ),
        What::AttemptFinished { .. } => attempt_finished(connection, run, event),
        What::StepFinished { .. } => step_finished(connection, run, event),
        What::StepSkipped { step, reason } => execute(
            connection,
            "UPDATE steps SET finished = ?3, skipped = ?4 WHERE run = ?1 AND step = ?2",
            params![run, step, event.at, json(reason)?],
        ),
        What::Cancelling { reason } => execute(
            connection,
            "UPDATE runs SET cancelled = ?2 WHERE run = ?1",
            params![run, json(reason)?],
        ),
        What::RunFinished { succeeded, .. } => execute(
            connection,
            "UPDATE runs SET finished = ?2, succeeded = ?3 WHERE run = ?1",
            params![run, event.at, succeeded],
        ),
        What::Progress { .. } | What::Notice { .. } | What::HookEnded { .. } => Ok(()),
    }
}

fn attempt_starting(connection: &Connection, run: &str, event: &Event) -> rusqlite::Result<()> {
    let What::AttemptStarting {
        step,
        attempt,
        range,
        argv,
        log,
    } = &event.what
    else {
        return Ok(());
    };
    execute(
        connection,
        "INSERT OR REPLACE INTO attempts
            (run, step, attempt, started, argv, log, first, last)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            run,
            step,
            attempt,
            event.at,
            json(argv)?,
            log.to_string_lossy(),
            range.start.epoch_days(),
            range.end.epoch_days()
        ],
    )?;
    state::begin(connection, run, *step, *attempt)
}

fn attempt_finished(connection: &Connection, run: &str, event: &Event) -> rusqlite::Result<()> {
    let What::AttemptFinished {
        step,
        attempt,
        outcome,
        millis,
        message,
        may_write,
        ..
    } = &event.what
    else {
        return Ok(());
    };
    execute(
        connection,
        // There is no row yet if the attempt could not even be prepared.
        "INSERT INTO attempts
            (run, step, attempt, started, finished, millis, outcome, message, may_write)
         VALUES (?1, ?2, ?3, ?4 - ?5, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET
            finished = excluded.finished, millis = excluded.millis,
            outcome = excluded.outcome, message = excluded.message,
            may_write = excluded.may_write",
        params![
            run,
            step,
            attempt,
            event.at,
            millis,
            json(outcome)?,
            message,
            may_write
        ],
    )?;
    state::end(connection, run, *step, *attempt, outcome)
}

fn step_finished(connection: &Connection, run: &str, event: &Event) -> rusqlite::Result<()> {
    let What::StepFinished {
        step,
        outcome,
        filled,
        empty,
        bad,
        compared,
        checked,
    } = &event.what
    else {
        return Ok(());
    };
    execute(
        connection,
        "UPDATE steps SET finished = ?3, outcome = ?4, filled = ?5, empty = ?6, bad = ?7,
         compared = ?8, checked = ?9
         WHERE run = ?1 AND step = ?2",
        params![
            run,
            step,
            event.at,
            json(outcome)?,
            json(filled)?,
            json(empty)?,
            json(bad)?,
            (!compared.is_empty()).then(|| json(compared)).transpose()?,
            (!checked.is_empty()).then(|| json(checked)).transpose()?
        ],
    )?;
    keep_empty_days(connection, run, *step, filled, empty)
}

fn begin(
    connection: &Connection,
    run: &str,
    at: i64,
    jobs: u32,
    steps: &[StepInfo],
    how: Begin,
) -> rusqlite::Result<()> {
    let verb = how.verb();
    let me = identify(std::process::id());
    execute(
        connection,
        &format!(
            "{verb} INTO runs (run, started, jobs, boot, pid, pid_ticks, seq)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT coalesce(max(seq), 0) + 1 FROM runs))"
        ),
        params![run, at, jobs, boot_id(), me.pid, me.start_ticks],
    )?;
    for info in steps {
        let PartitionRange { start, end } = info.range;
        execute(
            connection,
            &format!(
                "{verb} INTO steps (run, step, asset, first, last) VALUES (?1, ?2, ?3, ?4, ?5)"
            ),
            params![
                run,
                info.step,
                info.asset.to_string(),
                start.epoch_days(),
                end.epoch_days()
            ],
        )?;
    }
    Ok(())
}

/// Remembers which days need no second attempt, and forgets those that have rows after all.
fn keep_empty_days(
    connection: &Connection,
    run: &str,
    step: StepIndex,
    filled: &RangeSet,
    empty: &RangeSet,
) -> rusqlite::Result<()> {
    for range in filled.ranges() {
        execute(
            connection,
            "DELETE FROM empty_days WHERE ds BETWEEN ?3 AND ?4
             AND asset = (SELECT asset FROM steps WHERE run = ?1 AND step = ?2)",
            params![run, step, range.start.epoch_days(), range.end.epoch_days()],
        )?;
    }
    for ds in empty.iter() {
        execute(
            connection,
            "INSERT OR REPLACE INTO empty_days (asset, ds, run)
             SELECT asset, ?3, ?1 FROM steps WHERE run = ?1 AND step = ?2",
            params![run, step, ds.epoch_days()],
        )?;
    }
    Ok(())
}

fn execute(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(params).map(|_| ())
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))
}
