//! How each day was filled: with which conf, and what its inputs looked like before.
//!
//! Steps are prepared by several threads while the run's own thread writes events, so this has a
//! connection of its own to the same file. It keeps the ledger's promise: recording never fails a run.
//! What could not be recorded is unknown, never taken for fresh.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chronon_run_core::{
    AssetId, DayEvidence, Ds, Evidence, Memory, PartitionRange, RangeSet, Slice,
    event::{Event, Sink, StepIndex, What},
};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::{
    Ledger,
    blocks::{self, state},
    ids::id_of,
    left_times, open,
    schema::Access,
};

/// An attempt that is about to be started, and what it was seen to start from.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The run.
    pub run: &'a str,
    /// The step's place in the plan.
    pub step: StepIndex,
    /// Which attempt.
    pub attempt: u32,
    /// What it fills.
    pub asset: &'a AssetId,
    /// The days that it fills.
    pub range: PartitionRange,
    /// Digest of the conf's content.
    pub conf: i64,
    /// The conf's content, as text.
    pub content: &'a str,
    /// Digest of what the asset's inputs are.
    pub inputs: i64,
    /// What was seen of the input days that the attempt needs.
    pub seen: &'a BTreeMap<Slice, DayEvidence>,
    /// The days of the asset that exist already.
    pub there: &'a RangeSet,
}

/// A look that was recorded.
#[derive(Debug)]
struct Looked {
    attempt: u32,
    range: PartitionRange,
    number: i64,
    there: RangeSet,
    succeeded: bool,
}

impl Looked {
    /// Whether the day, which exists now, is known to be of this attempt: a failed one may have left a
    /// day as it was.
    fn has_made(&self, ds: Ds) -> bool {
        self.range.contains(ds) && (self.succeeded || !self.there.contains(ds))
    }
}

/// Writes down how days are filled, for one run.
#[derive(Debug)]
pub struct Provenance {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Connection>,
    /// The looks of each step that is under way, first to last.
    looks: BTreeMap<StepIndex, (AssetId, Vec<Looked>)>,
    notices: Vec<String>,
}

impl Provenance {
    /// Opens the ledger at `path` a second time. Never fails: look at [`Provenance::take_notices`].
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let mut state = State::default();
        match open::writable(path, false) {
            Ok((connection, Access::Write)) => state.connection = Some(connection),
            // The ledger itself says why.
            Ok((_, Access::ReadOnly)) | Err(_) => {}
        }
        Self {
            path: path.to_owned(),
            state: Mutex::new(state),
        }
    }

    /// Records what an attempt starts from. Until [`Sink::emit`] sees the step's end, its days that
    /// were filled before count as unfinished.
    pub fn look(&self, look: &Look<'_>) {
        let mut state = self.state();
        let Some(connection) = state.connection.as_mut() else {
            return;
        };
        match begin(connection, look) {
            Ok(number) => {
                let entry = state.looks.entry(look.step);
                let entry = entry.or_insert_with(|| (look.asset.clone(), Vec::new()));
                entry.1.push(Looked {
                    attempt: look.attempt,
                    range: look.range,
                    number,
                    there: look.there.clone(),
                    succeeded: false,
                });
            }
            Err(error) => self.notice(&mut state, &error),
        }
    }

    /// Records the times of the left rows of the days of `range` that a join holds now, and which of the
    /// days were filled without those that belong to the same job.
    pub fn note_times(
        &self,
        asset: &AssetId,
        range: PartitionRange,
        times: &BTreeMap<Ds, PartitionRange>,
        alone: &RangeSet,
    ) {
        let mut state = self.state();
        let Some(connection) = state.connection.as_mut() else {
            return;
        };
        if let Err(error) = left_times::note(connection, asset, range, times, alone) {
            self.notice(&mut state, &error);
        }
    }

    #[cfg(test)]
    pub(crate) fn with_connection<T>(&self, action: impl FnOnce(&Connection) -> T) -> Option<T> {
        self.state().connection.as_ref().map(action)
    }

    /// What went wrong since the last call, as sentence fragments.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.state().notices)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notice(&self, state: &mut State, error: &rusqlite::Error) {
        let path = self.path.display();
        let text = format!("cannot record in `{path}` how days are filled: {error}");
        if !state.notices.contains(&text) {
            state.notices.push(text);
        }
    }
}

impl Sink for &Provenance {
    fn emit(&mut self, event: &Event) {
        match &event.what {
            What::AttemptFinished {
                step,
                attempt,
                outcome,
                ..
            } if outcome.succeeded() => self.note_success(*step, *attempt),
            What::StepFinished {
                step,
                filled,
                empty,
                ..
            } => self.finish(*step, &filled.union(empty)),
            _ => {}
        }
    }
}

impl Provenance {
    fn note_success(&self, step: StepIndex, attempt: u32) {
        let mut state = self.state();
        let looks = state.looks.get_mut(&step).into_iter();
        let looks = looks.flat_map(|(_, looks)| looks);
        for look in looks.filter(|look| look.attempt == attempt) {
            look.succeeded = true;
        }
    }

    /// Records how `days`, which exist or have no rows now that the step is over, were made.
    fn finish(&self, step: StepIndex, days: &RangeSet) {
        let mut state = self.state();
        let Some((asset, looks)) = state.looks.remove(&step) else {
            return;
        };
        let Some(connection) = state.connection.as_mut() else {
            return;
        };
        if let Err(error) = end(connection, &asset, &looks, days) {
            self.notice(&mut state, &error);
        }
    }
}

fn begin(connection: &mut Connection, look: &Look<'_>) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .prepare_cached("INSERT OR IGNORE INTO contents (conf, content) VALUES (?1, ?2)")?
        .execute(params![look.conf, look.content])?;
    transaction
        .prepare_cached(
            "INSERT INTO looks (run, step, attempt, asset, conf, inputs)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            look.run,
            look.step,
            look.attempt,
            look.asset.to_string(),
            look.conf,
            look.inputs
        ])?;
    let number = transaction.last_insert_rowid();
    for (slice, days) in look.seen {
        see(&transaction, &slice.to_string(), days, number)?;
    }
    let id = id_of(&transaction, "assets", "asset", &look.asset.to_string())?;
    transaction
        .prepare_cached(
            "UPDATE made_days SET unfinished = ?4
             WHERE ds BETWEEN ?2 AND ?3 AND asset = ?1 AND unfinished = ?5",
        )?
        .execute(params![
            id,
            look.range.start.epoch_days(),
            look.range.end.epoch_days(),
            state::UNFINISHED,
            state::WHOLE
        ])?;
    // If this process is killed, the days that exist afterwards are known to be of this attempt.
    let mut insert = transaction.prepare_cached(
        "INSERT INTO made_days (asset, ds, look, unfinished) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET look = excluded.look WHERE unfinished = ?4",
    )?;
    let missing = RangeSet::from(look.range).minus(look.there);
    for ds in missing.iter() {
        insert.execute(params![id, ds.epoch_days(), number, state::BEGUN])?;
    }
    drop(insert);
    blocks::MADE.write(&transaction, id, &look.range.into())?;
    transaction.commit()?;
    Ok(number)
}

/// Writes down the days that look different from what was seen last.
fn see(
    connection: &Connection,
    slice: &str,
    days: &DayEvidence,
    number: i64,
) -> rusqlite::Result<()> {
    let id = id_of(connection, "slices", "slice", slice)?;
    let Some(range) = hull(days) else {
        return Ok(());
    };
    let known = seen_last(connection, id, range)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO seen_days (slice, ds, files, catalog, born, changed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)
         ON CONFLICT DO UPDATE SET files = excluded.files, catalog = excluded.catalog,
            changed = CASE WHEN ?6 THEN excluded.changed ELSE changed END",
    )?;
    let mut written: Vec<Ds> = Vec::new();
    for (ds, now) in days {
        let before = known.get(ds);
        let differs = before.is_some_and(|before| now.differs(*before));
        // Evidence of another kind is kept for the next comparison; sizes are not kept.
        let kept = Evidence {
            bytes: None,
            ..*now
        };
        if before != Some(&kept) {
            let day = ds.epoch_days();
            insert.execute(params![id, day, now.files, now.catalog, number, differs])?;
            written.push(*ds);
        }
    }
    blocks::SEEN.write(connection, id, &written.into_iter().collect())
}

fn end(
    connection: &mut Connection,
    asset: &AssetId,
    looks: &[Looked],
    days: &RangeSet,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id = id_of(&transaction, "assets", "asset", &asset.to_string())?;
    // Of which days may be left: those of this step, and those whose days it fills again.
    let mut replaced: BTreeSet<i64> = looks.iter().map(|look| look.number).collect();
    {
        let mut earlier = transaction
            .prepare_cached("SELECT look FROM made_days WHERE asset = ?1 AND ds = ?2")?;
        let mut forget = transaction
            .prepare_cached("DELETE FROM made_days WHERE look = ?1 AND unfinished = ?2")?;
        for look in looks {
            forget.execute(params![look.number, state::BEGUN])?;
        }
        let mut insert = transaction.prepare_cached(
            "INSERT OR REPLACE INTO made_days (asset, ds, look) VALUES (?1, ?2, ?3)",
        )?;
        for ds in days.iter() {
            let last = looks.iter().rev().find(|look| look.has_made(ds));
            if let Some(look) = last {
                let day = params![id, ds.epoch_days()];
                replaced.extend(
                    earlier
                        .query_row(day, |row| row.get::<_, i64>(0))
                        .optional()?,
                );
                insert.execute(params![id, ds.epoch_days(), look.number])?;
            }
        }
    }
    // No other days were written.
    let looked: RangeSet = looks.iter().map(|look| look.range).collect();
    blocks::MADE.write(&transaction, id, &looked)?;
    for look in replaced {
        transaction
            .prepare_cached(
                "DELETE FROM looks WHERE look = ?1
                 AND NOT EXISTS (SELECT 1 FROM made_days WHERE look = ?1)",
            )?
            .execute(params![look])?;
    }
    transaction.commit()
}

/// From the first to the last of the days.
fn hull(days: &DayEvidence) -> Option<PartitionRange> {
    PartitionRange::new(*days.first_key_value()?.0, *days.last_key_value()?.0)
}

/// What was seen last of the days of a slice.
fn seen_last(
    connection: &Connection,
    slice: i64,
    range: PartitionRange,
) -> rusqlite::Result<DayEvidence> {
    let (first, last) = (range.start.epoch_days(), range.end.epoch_days());
    let sql = "SELECT ds, files, catalog FROM seen_days WHERE slice = ?1 AND ds BETWEEN ?2 AND ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let days = statement.query_map(params![slice, first, last], |row| {
        let evidence = Evidence {
            files: row.get(1)?,
            catalog: row.get(2)?,
            bytes: None,
        };
        Ok((Ds::from_epoch_days(row.get(0)?), evidence))
    })?;
    days.collect()
}

impl Ledger {
    /// How the days of `assets` were filled and what was seen of the `slices` (by their text), as far as
    /// runs recorded it. What is recorded of others is not read.
    pub fn memory(&mut self, assets: &BTreeSet<AssetId>, slices: &BTreeSet<String>) -> Memory {
        let memory = self.attempt("read how days were filled", |connection| {
            let mut memory = Memory::default();
            for asset in assets {
                let days = blocks::MADE.read(connection, &asset.to_string())?;
                if !days.is_empty() {
                    memory.made.insert(asset.clone(), days);
                }
            }
            for slice in slices {
                let days = blocks::SEEN.read(connection, slice)?;
                if !days.is_empty() {
                    memory.seen.insert(slice.clone(), days);
                }
            }
            Ok(memory)
        });
        memory.unwrap_or_default()
    }

    /// What was seen last of the days of `now`.
    pub fn evidence(&mut self, now: &BTreeMap<Slice, DayEvidence>) -> BTreeMap<Slice, DayEvidence> {
        let seen = self.attempt("read what was seen of inputs", |connection| {
            let mut seen = BTreeMap::new();
            for (slice, days) in now {
                if let Some(range) = hull(days) {
                    let id = "SELECT id FROM slices WHERE slice = ?1";
                    let mut id = connection.prepare_cached(id)?;
                    let id = id.query_row(params![slice.to_string()], |row| row.get(0));
                    let days = id.optional()?;
                    let days = days
                        .map(|id| seen_last(connection, id, range))
                        .transpose()?;
                    seen.extend(days.map(|days| (slice.clone(), days)));
                }
            }
            Ok(seen)
        });
        seen.unwrap_or_default()
    }

    /// The content of a conf that some day was filled with, by its digest.
    pub fn conf_content(&mut self, conf: i64) -> Option<String> {
        let sql = "SELECT content FROM contents WHERE conf = ?1";
        self.attempt("read a conf", |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let row = statement.query_row(params![conf], |row| row.get(0));
            row.optional()
        })
        .flatten()
    }
}
