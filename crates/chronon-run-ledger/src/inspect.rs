//! What a ledger's file is like. It is only read.

use std::{fs, path::Path, time::UNIX_EPOCH};

use rusqlite::Connection;

use crate::{
    open::{self, explain},
    schema,
};

/// A ledger that can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// Runs in it.
    pub runs: u64,
    /// Steps in it.
    pub steps: u64,
    /// Whether it was written by a newer version of this program.
    pub is_newer: bool,
    /// What SQLite's integrity check finds wrong, if anything.
    pub damage: Option<String>,
}

/// A number that is another one after the ledger at `path` was written. 0 if there is none.
#[must_use]
pub fn stamp(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let of = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        let written = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(written.as_nanos() as u64 ^ metadata.len().rotate_left(48))
    };
    of(path).unwrap_or(0) ^ of(Path::new(&log)).unwrap_or(0).rotate_left(1)
}

/// Checks the whole file at `path`.
///
/// # Errors
/// Why it cannot be read.
pub fn inspect(path: &Path) -> Result<Condition, String> {
    if let Some(why) = open::no_file(path) {
        return Err(why.to_owned());
    }
    let found = open::raw(path).map_err(|error| explain(&error))?;
    condition(&found.connection).map_err(|error| explain(&error))
}

fn condition(connection: &Connection) -> rusqlite::Result<Condition> {
    if schema::is_foreign(connection)? {
        return Err(open::foreign());
    }
    let damage: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    let rows = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0))
    };
    Ok(Condition {
        // A damaged or newer file may not have them.
        runs: rows("runs").unwrap_or(0),
        steps: rows("steps").unwrap_or(0),
        is_newer: schema::version(connection)? > schema::VERSION,
        damage: (damage != "ok").then(|| damage.lines().last().unwrap_or_default().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_to_the_database_or_its_log_changes_the_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        assert_eq!(stamp(&path), 0);
        fs::write(&path, "one").unwrap();
        let first = stamp(&path);
        fs::write(folder.path().join("ledger.db-wal"), "two").unwrap();
        let second = stamp(&path);
        assert!(first != 0 && second != 0 && first != second);
    }
}
