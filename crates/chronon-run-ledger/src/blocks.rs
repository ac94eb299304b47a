//! How days were filled, in blocks of days: what `status` asks of every day of every asset is read in a
//! row for each block instead of one for each day.
//!
//! Derived from `made_days`, `looks` and `seen_days`, and written in the transactions that change them.

use std::collections::BTreeSet;

use chronon_run_core::{Days, Ds, MadeDay, Packed, RangeSet, SeenDay};
use rusqlite::{Connection, Row, params};

/// Days in a block; the queries divide by it with `>> 6`. Writing a day writes its block.
const BLOCK: i32 = 1 << 6;

/// A table of days and that of its blocks.
pub(crate) struct Kind<T> {
    /// The rows of a block: of an asset or slice, from a day to a day.
    rows: &'static str,
    forget: &'static str,
    keep: &'static str,
    /// The blocks of an asset or slice, by its text.
    read: &'static str,
    /// Every block that has rows.
    all: &'static str,
    day: fn(&Row<'_>) -> rusqlite::Result<T>,
}

/// How the days of assets were made.
pub(crate) const MADE: Kind<MadeDay> = Kind {
    rows: "SELECT d.ds, d.look, l.conf, l.inputs, d.unfinished
        FROM made_days d CROSS JOIN looks l ON l.look = d.look
        WHERE d.asset = ?1 AND d.ds BETWEEN ?2 AND ?3 ORDER BY d.ds",
    forget: "DELETE FROM made_blocks WHERE asset = ?1 AND block = ?2",
    keep: "INSERT OR REPLACE INTO made_blocks (asset, block, days) VALUES (?1, ?2, ?3)",
    read: "SELECT b.days FROM assets a CROSS JOIN made_blocks b ON b.asset = a.id
        WHERE a.asset = ?1 ORDER BY b.block",
    all: "SELECT DISTINCT asset, ds >> 6 FROM made_days",
    day: |row| {
        let state: i64 = row.get(4)?;
        Ok(MadeDay {
            attempt: row.get(1)?,
            conf: row.get(2)?,
            inputs: row.get(3)?,
            unfinished: state == state::UNFINISHED,
            begun: state == state::BEGUN,
        })
    },
};

/// What was seen of the days of inputs.
pub(crate) const SEEN: Kind<SeenDay> = Kind {
    rows: "SELECT ds, born, changed, files IS NOT NULL OR catalog IS NOT NULL FROM seen_days
        WHERE slice = ?1 AND ds BETWEEN ?2 AND ?3 ORDER BY ds",
    forget: "DELETE FROM seen_blocks WHERE slice = ?1 AND block = ?2",
    keep: "INSERT OR REPLACE INTO seen_blocks (slice, block, days) VALUES (?1, ?2, ?3)",
    read: "SELECT b.days FROM slices s CROSS JOIN seen_blocks b ON b.slice = s.id
        WHERE s.slice = ?1 ORDER BY b.block",
    all: "SELECT DISTINCT slice, ds >> 6 FROM seen_days",
    day: |row| {
        Ok(SeenDay {
            born: row.get(1)?,
            changed: row.get(2)?,
            evident: row.get(3)?,
        })
    },
};

/// What `made_days.unfinished` says of a day.
pub(crate) mod state {
    /// The attempt ended, and no later one began.
    pub(crate) const WHOLE: i64 = 0;
    /// A later attempt began and its end was not seen.
    pub(crate) const UNFINISHED: i64 = 1;
    /// The attempt began where the day did not exist, and its end was not seen.
    pub(crate) const BEGUN: i64 = 2;
}

impl<T: Packed> Kind<T> {
    /// The days of an asset or slice, by its text.
    pub(crate) fn read(&self, connection: &Connection, name: &str) -> rusqlite::Result<Days<T>> {
        let mut statement = connection.prepare_cached(self.read)?;
        let mut rows = statement.query(params![name])?;
        let mut days = Days::default();
        while let Some(row) = rows.next()? {
            if let Ok(bytes) = row.get_ref(0)?.as_blob() {
                days.add_bytes(bytes);
            }
        }
        Ok(days)
    }

    /// Writes the blocks of `days` of an asset or slice, by its number.
    pub(crate) fn write(
        &self,
        connection: &Connection,
        id: i64,
        days: &RangeSet,
    ) -> rusqlite::Result<()> {
        let block = |ds: Ds| i64::from(ds.epoch_days().div_euclid(BLOCK));
        let ranges = days.ranges().iter();
        let blocks = ranges.flat_map(|range| block(range.start)..=block(range.end));
        for block in blocks.collect::<BTreeSet<i64>>() {
            self.write_block(connection, id, block)?;
        }
        Ok(())
    }

    /// Writes every block anew.
    fn rebuild(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(self.all)?;
        let mut blocks = statement.query([])?;
        while let Some(row) = blocks.next()? {
            // A row that is no row is left out.
            if let (Ok(id), Ok(block)) = (row.get(0), row.get(1)) {
                self.write_block(connection, id, block)?;
            }
        }
        Ok(())
    }

    fn write_block(&self, connection: &Connection, id: i64, block: i64) -> rusqlite::Result<()> {
        let first = block.saturating_mul(BLOCK.into());
        let last = first.saturating_add(i64::from(BLOCK) - 1);
        let mut statement = connection.prepare_cached(self.rows)?;
        let mut rows = statement.query(params![id, first, last])?;
        let mut days: Vec<(Ds, T)> = Vec::new();
        while let Some(row) = rows.next()? {
            if let (Ok(ds), Ok(day)) = (row.get(0), (self.day)(row)) {
                days.push((Ds::from_epoch_days(ds), day));
            }
        }
        if days.is_empty() {
            let mut forget = connection.prepare_cached(self.forget)?;
            forget.execute(params![id, block])?;
            return Ok(());
        }
        let days: Days<T> = days.into_iter().collect();
        let mut keep = connection.prepare_cached(self.keep)?;
        keep.execute(params![id, block, days.bytes()])?;
        Ok(())
    }
}

/// Writes the blocks of all days anew.
pub(crate) fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM made_blocks; DELETE FROM seen_blocks;")?;
    MADE.rebuild(connection)?;
    SEEN.rebuild(connection)
}
