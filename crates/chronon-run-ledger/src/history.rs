//! What can be asked of the ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use chronon_run_core::{
    AssetId, Ds, PartitionRange, RangeSet,
    event::{CancelReason, Checked, Compared, Outcome, ProcessId, SkipReason, StepIndex},
};
use chronon_run_process::{boot_id, end_children_of, end_group, is_alive};
use rusqlite::{Connection, Error, Row, ToSql, params, types::Type};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Durations, Ledger, Pace, state};

/// How far a run came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its process lives.
    Running,
    /// It ended in order.
    Finished,
    /// Its process is gone and recorded no end.
    Crashed,
}

/// One run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RunRecord {
    /// Its id.
    pub run: String,
    /// How far it came.
    pub state: RunState,
    /// When it began, in milliseconds since the epoch.
    #[serde(serialize_with = "chronon_run_core::instant::serialize")]
    pub started: i64,
    /// When it ended, if it did in order.
    #[serde(serialize_with = "chronon_run_core::instant::serialize")]
    pub finished: Option<i64>,
    /// Whether every step succeeded; `None` unless it ended in order.
    pub all_succeeded: Option<bool>,
    /// Why it was stopped early, if it was.
    pub cancelled: Option<CancelReason>,
    /// Slots.
    pub jobs: u32,
    /// Steps that it set out to run.
    pub steps: u32,
    /// Of these, succeeded.
    pub succeeded: u32,
    /// Of these, failed.
    pub failed: u32,
    /// Of these, ended because the run was stopped.
    pub interrupted: u32,
    /// Of these, not started.
    pub skipped: u32,
}

impl RunRecord {
    /// The steps of which nothing more is to come.
    #[must_use]
    pub fn over(&self) -> u32 {
        self.succeeded + self.failed + self.interrupted + self.skipped
    }
}

/// One step of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StepRecord {
    /// Its place in the plan.
    pub step: StepIndex,
    /// What it fills.
    pub asset: AssetId,
    /// The days that it fills.
    pub range: PartitionRange,
    /// How it ended, if it ran to an end.
    pub outcome: Option<Outcome>,
    /// Why it was not started, if so.
    pub skipped: Option<SkipReason>,
    /// Its days that were there afterwards.
    pub filled: RangeSet,
    /// Its days that are legitimately empty.
    pub empty: RangeSet,
    /// Its days that failed alone, after the step was split down to them.
    pub bad: RangeSet,
    /// What its data checks found.
    pub checked: Vec<Checked>,
    /// Every attempt, first to last.
    pub attempts: Vec<AttemptRecord>,
}

/// One attempt of a step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AttemptRecord {
    /// The run.
    pub run: String,
    /// The step's place in the plan.
    pub step: StepIndex,
    /// What it fills.
    pub asset: AssetId,
    /// The days that it fills: the step's, or a part of them once the step was split.
    pub range: PartitionRange,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// When it began, in milliseconds since the epoch.
    #[serde(serialize_with = "chronon_run_core::instant::serialize")]
    pub started: Option<i64>,
    /// When it ended, or was found abandoned.
    #[serde(serialize_with = "chronon_run_core::instant::serialize")]
    pub finished: Option<i64>,
    /// Whether its run died before it ended.
    pub abandoned: bool,
    /// Wall time in milliseconds.
    pub millis: Option<u64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why it failed, in one line.
    pub message: Option<String>,
    /// The command line, secrets masked.
    pub argv: Vec<String>,
    /// Its log; empty if it was never started.
    pub log: PathBuf,
    /// The name under which a cluster knows its application, if it told one.
    pub application: Option<String>,
    /// Whether that application may still write, because it could not be ended.
    pub may_write: bool,
}

/// A run and its steps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub record: RunRecord,
    /// Its steps in plan order.
    #[serde(rename = "step_list")]
    pub steps: Vec<StepRecord>,
}

/// An attempt whose run died before it ended, or could not end it. Its process, or its
/// application on a cluster, may still write.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Survivor {
    /// The attempt.
    pub attempt: AttemptRecord,
    /// The leader of its process group, if it may still live: it was started since this
    /// machine booted.
    pub process: Option<ProcessId>,
    /// The process of the dead run itself, if it ran since this machine booted.
    pub owner: Option<ProcessId>,
    /// Why its application may still write, after [`Ledger::end_survivors`] tried to end it.
    pub may_write: Option<String>,
}

const ATTEMPT_COLUMNS: &str = "a.run, a.step, s.asset, coalesce(a.first, s.first),
    coalesce(a.last, s.last), a.attempt, a.started, a.finished, a.abandoned, a.millis, a.outcome,
    a.message, a.argv, a.log, a.application, a.may_write";

const RUN_COLUMNS: &str = "r.run, r.started, r.finished, r.succeeded, r.cancelled, r.jobs,
    r.boot, r.pid, r.pid_ticks,
    (SELECT count(*) FROM steps s WHERE s.run = r.run),
    (SELECT count(*) FROM steps s WHERE s.run = r.run AND s.outcome = '{\"kind\":\"succeeded\"}'),
    (SELECT count(*) FROM steps s WHERE s.run = r.run AND s.outcome NOT IN
        ('{\"kind\":\"succeeded\"}', '{\"kind\":\"interrupted\"}')),
    (SELECT count(*) FROM steps s WHERE s.run = r.run AND s.outcome = '{\"kind\":\"interrupted\"}'),
    (SELECT count(*) FROM steps s WHERE s.run = r.run AND s.skipped IS NOT NULL)";

impl Ledger {
    /// The last `limit` runs, newest first.
    pub fn runs(&mut self, limit: u32) -> Vec<RunRecord> {
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs r ORDER BY seq DESC LIMIT ?1");
        self.rows("read the runs", &sql, params![limit], run_record)
    }

    /// One run with its steps and attempts; `None` if there is no such run.
    pub fn run(&mut self, run: &str) -> Option<RunDetail> {
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs r WHERE run = ?1");
        let record = self.rows("read a run", &sql, params![run], run_record);
        let record = record.into_iter().next()?;
        let sql = "SELECT step, asset, first, last, outcome, skipped, filled, empty, bad, checked
             FROM steps WHERE run = ?1 ORDER BY step";
        let mut steps = self.rows("read a run", sql, params![run], step_record);
        for attempt in self.attempts_where("read a run", "a.run = ?1", params![run]) {
            let index = steps.binary_search_by_key(&attempt.step, |step| step.step);
            if let Some(step) = index.ok().and_then(|index| steps.get_mut(index)) {
                step.attempts.push(attempt);
            }
        }
        Some(RunDetail { record, steps })
    }

    /// The process that runs a run, if it was started since this machine booted.
    pub fn owner(&mut self, run: &str) -> Option<ProcessId> {
        let sql = "SELECT boot, pid, pid_ticks FROM runs WHERE run = ?1";
        let owner = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, process(row, 1)?));
        let found = self.rows("read a run", sql, params![run], owner);
        let (boot, owner) = found.into_iter().next()?;
        (boot == boot_id()).then_some(owner)
    }

    /// Every attempt at an asset, or at one of its days, oldest first.
    pub fn attempts(&mut self, asset: &AssetId, ds: Option<Ds>) -> Vec<AttemptRecord> {
        let (first, last) = match ds {
            Some(ds) => (ds.epoch_days(), ds.epoch_days()),
            None => (i32::MIN, i32::MAX),
        };
        let condition = "s.asset = ?1 AND coalesce(a.first, s.first) <= ?3
            AND coalesce(a.last, s.last) >= ?2";
        let asset = asset.to_string();
        self.attempts_where("read the attempts", condition, params![asset, first, last])
    }

    fn attempts_where(
        &mut self,
        what: &str,
        condition: &str,
        params: &[&dyn ToSql],
    ) -> Vec<AttemptRecord> {
        let sql = format!(
            "SELECT {ATTEMPT_COLUMNS}
             FROM attempts a JOIN steps s USING (run, step) JOIN runs r USING (run)
             WHERE {condition} ORDER BY r.seq, a.step, a.attempt"
        );
        self.rows(what, &sql, params, attempt_record)
    }

    /// Ends the processes that dead runs left behind (TERM, up to `grace`, KILL), then what they
    /// started elsewhere, with `end_elsewhere`, and notes at `at` (milliseconds since the epoch)
    /// that their attempts will never finish. To be called before a new run writes to the same
    /// tables. Returns what was found; a survivor that `end_elsewhere` could not end, for the
    /// reason that it returns, is found again by the next call.
    pub fn end_survivors(
        &mut self,
        grace: Duration,
        at: i64,
        end_elsewhere: &mut dyn FnMut(&AttemptRecord) -> Result<(), String>,
    ) -> Vec<Survivor> {
        let mut survivors = self.survivors();
        let owners: BTreeSet<(u32, u64)> = survivors
            .iter()
            .filter_map(|survivor| survivor.owner)
            .map(|owner| (owner.pid, owner.start_ticks))
            .collect();
        for (pid, start_ticks) in owners {
            end_children_of(ProcessId { pid, start_ticks }, grace);
        }
        for survivor in &mut survivors {
            if let Some(process) = survivor.process {
                end_group(process, grace);
            }
            survivor.may_write = end_elsewhere(&survivor.attempt).err();
            self.mark_abandoned(&survivor.attempt, at, survivor.may_write.is_some());
        }
        survivors
    }

    /// Attempts that no living run will ever finish, because their run died or could not end
    /// their application.
    pub fn survivors(&mut self) -> Vec<Survivor> {
        let sql = format!(
            "SELECT {ATTEMPT_COLUMNS}, r.boot, r.pid, r.pid_ticks, a.pid, a.pid_ticks
             FROM (
                SELECT run, step, attempt FROM attempts WHERE finished IS NULL
                UNION SELECT run, step, attempt FROM attempts WHERE may_write <> 0
             ) open CROSS JOIN attempts a USING (run, step, attempt)
                JOIN steps s USING (run, step) JOIN runs r USING (run)
             ORDER BY a.started"
        );
        let boot = boot_id();
        let survivor = |row: &Row<'_>| {
            let same_boot = row.get::<_, String>(16)? == boot;
            let orphaned = !(same_boot && is_alive(process(row, 17)?));
            let process = match row.get::<_, Option<u32>>(19)? {
                Some(_) if same_boot => Some(process(row, 19)?),
                _ => None,
            };
            let owner = match same_boot {
                true => Some(self::process(row, 17)?),
                false => None,
            };
            let attempt = attempt_record(row)?;
            Ok(orphaned.then_some(Survivor {
                attempt,
                process,
                owner,
                may_write: None,
            }))
        };
        let all = self.rows("look for survivors", &sql, params![], survivor);
        all.into_iter().flatten().collect()
    }

    /// Notes at `at` (milliseconds since the epoch) that an attempt will never finish, and whether
    /// its application may still write.
    pub fn mark_abandoned(&mut self, attempt: &AttemptRecord, at: i64, may_write: bool) {
        let AttemptRecord {
            run, step, attempt, ..
        } = attempt;
        self.change("note an abandoned attempt", |connection| {
            connection
                .execute(
                    "UPDATE attempts SET may_write = ?5,
                        abandoned = abandoned OR finished IS NULL, finished = coalesce(finished, ?4)
                     WHERE run = ?1 AND step = ?2 AND attempt = ?3",
                    params![run, step, attempt, at, may_write],
                )
                .map(|_| ())
        });
    }

    /// The durations of the last successful steps of every asset.
    pub fn durations(&mut self) -> BTreeMap<AssetId, Durations> {
        let sql = "SELECT asset, pace FROM asset_state WHERE pace <> '[]'";
        let last = |row: &Row<'_>| {
            let last: Vec<(u64, u64)> = optional_json(row, 1)?.unwrap_or_default();
            Ok((parsed(row, 0)?, Durations(last)))
        };
        let all = self.rows("read the durations", sql, params![], last);
        all.into_iter().collect()
    }

    /// How long the last successful steps of every asset took.
    pub fn paces(&mut self) -> BTreeMap<AssetId, Pace> {
        let all = self.durations().into_iter();
        all.map(|(asset, last)| (asset, last.pace())).collect()
    }

    /// The day that each upload's table holds: that of its last attempt, if it succeeded. An upload
    /// replaces its whole table, so after a failure its content is unknown (§5.4).
    pub fn uploaded(&mut self) -> BTreeMap<AssetId, Ds> {
        let sql = "
            SELECT s.asset, s.last FROM asset_state t
                JOIN attempts a USING (run, step, attempt) JOIN steps s USING (run, step)
            WHERE t.asset LIKE '%/upload' AND a.outcome = '{\"kind\":\"succeeded\"}'";
        let day = |row: &Row<'_>| Ok((parsed(row, 0)?, Ds::from_epoch_days(row.get(1)?)));
        let all = self.rows("read the uploads", sql, params![], day);
        all.into_iter().collect()
    }

    /// What the last comparison of each join's logged features found, of all days that it was about.
    pub fn compared(&mut self) -> BTreeMap<AssetId, Vec<Compared>> {
        // The last step of the newest day, found in the index; the history before it is not read.
        let sql = "
            SELECT s.asset, s.compared FROM asset_state t CROSS JOIN steps s ON (s.run, s.step) = (
                SELECT c.run, c.step FROM steps c JOIN runs r USING (run)
                WHERE c.asset = t.asset AND c.compared IS NOT NULL AND c.last = (
                    SELECT max(last) FROM steps WHERE asset = t.asset AND compared IS NOT NULL
                ) ORDER BY r.seq DESC, c.step DESC LIMIT 1
            )";
        let found = |row: &Row<'_>| {
            let compared = optional_json(row, 1)?.unwrap_or_default();
            Ok((parsed(row, 0)?, compared))
        };
        let all = self.rows("read the comparisons", sql, params![], found);
        all.into_iter().collect()
    }

    /// What the newest comparisons of an asset's logged features found, by day; of the newest `steps` steps that
    /// compared.
    pub fn compared_days(&mut self, asset: &AssetId, steps: u32) -> BTreeMap<Ds, Vec<Compared>> {
        let sql = "
            SELECT s.compared FROM steps s JOIN runs r USING (run)
            WHERE s.asset = ?1 AND s.compared IS NOT NULL
            ORDER BY s.last DESC, r.seq DESC, s.step DESC LIMIT ?2";
        let found = |row: &Row<'_>| Ok(optional_json(row, 0)?.unwrap_or_default());
        let asset = asset.to_string();
        let all: Vec<Vec<Compared>> =
            self.rows("read the comparisons", sql, params![asset, steps], found);
        let mut days: BTreeMap<Ds, Vec<Compared>> = BTreeMap::new();
        for compared in all {
            let mut newer: BTreeMap<Ds, Vec<Compared>> = BTreeMap::new();
            for one in compared {
                newer.entry(one.ds).or_default().push(one);
            }
            for (ds, found) in newer {
                days.entry(ds).or_insert(found);
            }
        }
        days
    }

    /// The newest day that each `kv` has loaded into the KV store. A day that was uploaded again since,
    /// well or not, does not count.
    pub fn loaded(&mut self) -> BTreeMap<AssetId, Ds> {
        // From the newest day backwards: the first that fits is the answer.
        let sql = "
            SELECT asset, newest FROM (
                SELECT t.asset AS asset, (
                    SELECT s.last
                    FROM steps s CROSS JOIN attempts a USING (run, step) CROSS JOIN runs r USING (run)
                    WHERE s.asset = t.asset AND a.outcome = '{\"kind\":\"succeeded\"}'
                        AND NOT EXISTS (
                            SELECT 1 FROM steps u CROSS JOIN attempts b USING (run, step)
                                CROSS JOIN runs q USING (run)
                            WHERE u.asset = substr(t.asset, 1, length(t.asset) - 2) || 'upload'
                                AND u.last = s.last AND (q.seq, u.step) > (r.seq, s.step)
                        )
                    ORDER BY s.last DESC LIMIT 1
                ) AS newest FROM asset_state t WHERE t.asset LIKE '%/kv'
            ) WHERE newest IS NOT NULL";
        let day = |row: &Row<'_>| Ok((parsed(row, 0)?, Ds::from_epoch_days(row.get(1)?)));
        let all = self.rows("read the loads", sql, params![], day);
        all.into_iter().collect()
    }

    /// Days of `asset` that are legitimately without rows, as far as runs saw.
    pub fn empty_days(&mut self, asset: &AssetId) -> RangeSet {
        self.all_empty_days().remove(asset).unwrap_or_default()
    }

    /// The same for every asset that has such days.
    pub fn all_empty_days(&mut self) -> BTreeMap<AssetId, RangeSet> {
        let sql = "SELECT asset, ds FROM empty_days ORDER BY asset, ds";
        let day = |row: &Row<'_>| Ok((parsed(row, 0)?, Ds::from_epoch_days(row.get(1)?)));
        let all = self.rows("read the empty days", sql, params![], day);
        let mut days: BTreeMap<AssetId, Vec<Ds>> = BTreeMap::new();
        for (asset, ds) in all {
            days.entry(asset).or_default().push(ds);
        }
        let sets = days.into_iter();
        sets.map(|(asset, days)| (asset, days.into_iter().collect()))
            .collect()
    }

    /// Lets the days of `range` be tried again.
    pub fn forget_empty(&mut self, asset: &AssetId, range: PartitionRange) {
        self.change("forget empty days", |connection| {
            connection
                .execute(
                    "DELETE FROM empty_days WHERE asset = ?1 AND ds BETWEEN ?2 AND ?3",
                    params![
                        asset.to_string(),
                        range.start.epoch_days(),
                        range.end.epoch_days()
                    ],
                )
                .map(|_| ())
        });
    }

    /// The last attempt at every asset: those that failed, were abandoned or still run too.
    pub fn last_attempts(&mut self) -> BTreeMap<AssetId, AttemptRecord> {
        let sql = format!(
            "SELECT {ATTEMPT_COLUMNS}
             FROM asset_state t CROSS JOIN attempts a USING (run, step, attempt)
                JOIN steps s USING (run, step) JOIN runs r USING (run)"
        );
        let all = self.rows("read the last attempts", &sql, params![], attempt_record);
        let all = all.into_iter();
        all.map(|attempt| (attempt.asset.clone(), attempt))
            .collect()
    }

    /// Days of every asset whose last attempt failed.
    pub fn failing_days(&mut self) -> BTreeMap<AssetId, RangeSet> {
        let sql = "SELECT asset, failing FROM asset_state WHERE failing <> '[]'";
        let failing = |row: &Row<'_>| {
            let days: RangeSet = optional_json(row, 1)?.unwrap_or_default();
            Ok((parsed(row, 0)?, days))
        };
        let all = self.rows("read what failed", sql, params![], failing);
        let found = all.into_iter();
        found.filter(|(_, days)| !days.is_empty()).collect()
    }

    /// The runs that alone tell how far something without partitions is: of every upload and every
    /// load into the KV store the last one, and the last one that went well.
    fn telling_runs(&mut self) -> BTreeSet<String> {
        let sql = "
            SELECT run FROM (
                SELECT a.run, row_number() OVER (
                    PARTITION BY s.asset, a.outcome = '{\"kind\":\"succeeded\"}'
                    ORDER BY r.seq DESC, a.step DESC, a.attempt DESC
                ) AS age
                FROM attempts a JOIN steps s USING (run, step) JOIN runs r USING (run)
                WHERE s.asset LIKE '%/upload' OR s.asset LIKE '%/kv'
            ) WHERE age = 1";
        let all = self.rows("read which runs are needed", sql, params![], |row| {
            row.get(0)
        });
        all.into_iter().collect()
    }

    /// Forgets all but the newest `keep` runs, and returns the ids of the forgotten ones; `None` if the file
    /// cannot be written. `delete_logs` gets each id before anything is forgotten: a full disk has room
    /// afterwards. Kept: runs whose process lives, runs with an attempt whose end is not recorded, the last
    /// runs of every upload and load (they tell which day is there), and what is known of empty days.
    pub fn prune(&mut self, keep: u32, mut delete_logs: impl FnMut(&str)) -> Option<Vec<String>> {
        let all = self.runs(u32::MAX);
        let old = all.into_iter().skip(keep as usize);
        let mut old: Vec<String> = old
            .filter(|run| run.state != RunState::Running)
            .map(|run| run.run)
            .collect();
        let mut needed = self.telling_runs();
        let survivors = self.survivors().into_iter();
        needed.extend(survivors.map(|survivor| survivor.attempt.run));
        old.retain(|run| !needed.contains(run));
        if old.is_empty() {
            return Some(old);
        }
        if !self.is_writable() && !self.is_disk_full {
            return None;
        }
        old.iter().for_each(|run| delete_logs(run));
        if !self.is_writable_now() {
            return None;
        }
        if !self.change("prune the runs", |connection| forget(connection, &old)) {
            return None;
        }
        self.change("give back the space of pruned runs", give_back);
        Some(old)
    }
}

/// Forgets these runs, all or none.
fn forget(connection: &mut Connection, runs: &[String]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for run in runs {
        for table in ["attempts", "steps", "runs"] {
            let sql = format!("DELETE FROM {table} WHERE run = ?1");
            transaction.prepare_cached(&sql)?.execute(params![run])?;
        }
    }
    forget_unused(&transaction)?;
    state::rebuild(&transaction)?;
    transaction.commit()
}

/// Forgets attempts of which no day is left (their run was killed), and confs of which no attempt is.
fn forget_unused(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DELETE FROM looks WHERE run NOT IN (SELECT run FROM runs)
            AND NOT EXISTS (SELECT 1 FROM made_days d WHERE d.look = looks.look);
         DELETE FROM contents WHERE conf NOT IN (SELECT conf FROM looks);",
    )
}

/// Makes the file as small as what is in it.
fn give_back(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch("VACUUM")?;
    // What others read at the moment stays in the log until they are done.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn run_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let finished: Option<i64> = row.get(2)?;
    let lives =
        || Ok::<_, Error>(row.get::<_, String>(6)? == boot_id() && is_alive(process(row, 7)?));
    let state = match finished {
        Some(_) => RunState::Finished,
        None if lives()? => RunState::Running,
        None => RunState::Crashed,
    };
    Ok(RunRecord {
        run: row.get(0)?,
        state,
        started: row.get(1)?,
        finished,
        all_succeeded: row.get(3)?,
        cancelled: optional_json(row, 4)?,
        jobs: row.get(5)?,
        steps: row.get(9)?,
        succeeded: row.get(10)?,
        failed: row.get(11)?,
        interrupted: row.get(12)?,
        skipped: row.get(13)?,
    })
}

fn step_record(row: &Row<'_>) -> rusqlite::Result<StepRecord> {
    Ok(StepRecord {
        step: row.get(0)?,
        asset: parsed(row, 1)?,
        range: range(row, 2)?,
        outcome: optional_json(row, 4)?,
        skipped: optional_json(row, 5)?,
        filled: optional_json(row, 6)?.unwrap_or_default(),
        empty: optional_json(row, 7)?.unwrap_or_default(),
        bad: optional_json(row, 8)?.unwrap_or_default(),
        checked: optional_json(row, 9)?.unwrap_or_default(),
        attempts: Vec::new(),
    })
}

fn attempt_record(row: &Row<'_>) -> rusqlite::Result<AttemptRecord> {
    Ok(AttemptRecord {
        run: row.get(0)?,
        step: row.get(1)?,
        asset: parsed(row, 2)?,
        range: range(row, 3)?,
        attempt: row.get(5)?,
        started: row.get(6)?,
        finished: row.get(7)?,
        abandoned: row.get(8)?,
        millis: row.get(9)?,
        outcome: optional_json(row, 10)?,
        message: row.get(11)?,
        argv: optional_json(row, 12)?.unwrap_or_default(),
        log: row.get::<_, String>(13)?.into(),
        application: row.get(14)?,
        may_write: row.get(15)?,
    })
}

/// The process in columns `at` (number) and `at + 1` (start time).
fn process(row: &Row<'_>, at: usize) -> rusqlite::Result<ProcessId> {
    Ok(ProcessId {
        pid: row.get(at)?,
        start_ticks: row.get(at + 1)?,
    })
}

/// The days in columns `at` (first) and `at + 1` (last).
fn range(row: &Row<'_>, at: usize) -> rusqlite::Result<PartitionRange> {
    let day = |at| row.get(at).map(Ds::from_epoch_days);
    let range = PartitionRange::new(day(at)?, day(at + 1)?);
    range.ok_or_else(|| unreadable(at, Type::Integer, "days out of order".into()))
}

fn parsed(row: &Row<'_>, at: usize) -> rusqlite::Result<AssetId> {
    let text: String = row.get(at)?;
    text.parse()
        .map_err(|error: chronon_run_core::AssetIdError| unreadable(at, Type::Text, error.into()))
}

fn optional_json<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(at)?;
    let value = text.map(|text| serde_json::from_str(&text)).transpose();
    value.map_err(|error| unreadable(at, Type::Text, error.into()))
}

fn unreadable(
    at: usize,
    data_type: Type,
    error: Box<dyn std::error::Error + Send + Sync>,
) -> Error {
    Error::FromSqlConversionFailure(at, data_type, error)
}
