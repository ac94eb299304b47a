//! Numbers of texts that occur in many rows.

use rusqlite::{Connection, OptionalExtension, params};

/// The number under which a text is kept in one of the tables of names.
pub(crate) fn id_of(
    connection: &Connection,
    table: &str,
    column: &str,
    text: &str,
) -> rusqlite::Result<i64> {
    let sql = format!("SELECT id FROM {table} WHERE {column} = ?1");
    let mut select = connection.prepare_cached(&sql)?;
    if let Some(id) = select
        .query_row(params![text], |row| row.get(0))
        .optional()?
    {
        return Ok(id);
    }
    let sql = format!("INSERT INTO {table} ({column}) VALUES (?1)");
    connection.prepare_cached(&sql)?.execute(params![text])?;
    Ok(connection.last_insert_rowid())
}
