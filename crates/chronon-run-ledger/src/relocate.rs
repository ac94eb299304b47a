//! A ledger whose workspace was moved or copied.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::Ledger;

impl Ledger {
    /// Gives every log its new path: the first of `changes`, `(from, to)`, that is about it.
    pub fn relocate(&mut self, changes: &[(PathBuf, PathBuf)]) {
        self.change("correct the paths of logs", |connection| {
            relocate(connection, changes)
        });
    }

    /// What runs according to this copy of a ledger belongs to the original, which ends it: here, at
    /// `at` (milliseconds since the epoch), nothing runs.
    pub fn disown_running(&mut self, at: i64) {
        self.change("close the original's runs", |connection| {
            connection.execute(
                "UPDATE attempts SET abandoned = 1, finished = ?1 WHERE finished IS NULL",
                params![at],
            )?;
            connection.execute("UPDATE attempts SET may_write = 0 WHERE may_write", [])?;
            connection.execute(
                "UPDATE runs SET pid = 0, pid_ticks = 0 WHERE finished IS NULL",
                [],
            )?;
            Ok(())
        });
    }
}

fn relocate(connection: &mut Connection, changes: &[(PathBuf, PathBuf)]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut logs = transaction.prepare("SELECT DISTINCT log FROM attempts WHERE log <> ''")?;
        let mut update = transaction.prepare("UPDATE attempts SET log = ?2 WHERE log = ?1")?;
        let found: Vec<String> = logs
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for log in found {
            if let Some(new) = relocated(Path::new(&log), changes) {
                update.execute(params![log, new.display().to_string()])?;
            }
        }
    }
    transaction.commit()
}

fn relocated(path: &Path, changes: &[(PathBuf, PathBuf)]) -> Option<PathBuf> {
    let mut changes = changes.iter();
    changes.find_map(|(from, to)| Some(to.join(path.strip_prefix(from).ok()?)))
}
