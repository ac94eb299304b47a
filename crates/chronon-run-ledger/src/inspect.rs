//! What a ledger's file is like. It is only read.

use std::path::Path;

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
