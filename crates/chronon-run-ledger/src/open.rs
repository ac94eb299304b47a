//! Ways to open the file: for writing, for reading only, and as a copy.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, Error, ErrorCode, OpenFlags, ffi};
use tempfile::TempDir;

use crate::{
    copying, locking,
    schema::{self, Access, VERSION, migrate, version},
};

/// How long one process waits for another that is writing.
const BUSY: Duration = Duration::from_secs(10);
/// Between two attempts at something for which SQLite does not wait itself.
const PAUSE: Duration = Duration::from_millis(20);
/// Pages in the write-ahead log before it is copied back, which syncs the disk. A step writes some 25: the log
/// stays below half a megabyte, so that a small disk has room for what steps write.
const CHECKPOINT_PAGES: u32 = 100;

/// Why a file that another program has begun is not used.
const FOREIGN: &str = "it is a database of another program and stays as it is; move it away";

/// Why nothing can be done with what is at `path`: SQLite would wait for ever for a writer of a pipe, and a link
/// that another member of the group has made could make it write any file of this user.
pub(crate) fn no_file(path: &Path) -> Option<&'static str> {
    let found = fs::symlink_metadata(path).ok()?;
    match found.is_symlink() {
        true => Some("it is a link, which is not followed; move it away"),
        false => (!found.is_file()).then_some("it is not a file; move it away"),
    }
}

/// The error of a file that another program has begun.
pub(crate) fn foreign() -> Error {
    failure(ffi::SQLITE_MISMATCH, FOREIGN)
}

/// Whether the file is of another program.
pub(crate) fn is_foreign(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::TypeMismatch)
}

/// Opens the file, or begins it (folder included), and brings it up to date. A file that is `suspect` is
/// checked as a whole.
pub(crate) fn writable(path: &Path, suspect: bool) -> rusqlite::Result<(Connection, Access)> {
    create(path);
    without_locks(path).map_or(Ok(()), Err)?;
    if is_no_header(path) {
        return Err(failure(ffi::SQLITE_NOTADB, "file is not a database"));
    }
    let began = Instant::now();
    loop {
        match write_ahead(path) {
            // Beginning a file needs it alone, and SQLite does not wait for that.
            Err(error) if is_busy(&error) && began.elapsed() < BUSY => thread::sleep(PAUSE),
            Err(error) => return Err(error),
            Ok(mut connection) => {
                let access = migrate(&mut connection)?;
                if suspect {
                    check(&connection)?;
                }
                return Ok((connection, access));
            }
        }
    }
}

fn write_ahead(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(resolved(path), flags)?;
    connection.busy_timeout(BUSY)?;
    if schema::is_foreign(&connection)? {
        return Err(foreign());
    }
    let mode: String =
        connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))?;
    if mode != "wal" {
        connection.pragma_update(None, "journal_mode", "WAL")?;
    }
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.set_prepared_statement_cache_capacity(64);
    if connection.is_readonly("main")? {
        return Err(failure(
            ffi::SQLITE_READONLY,
            "attempt to write a readonly database",
        ));
    }
    Ok(connection)
}

/// The path without links in the names of its folders, which SQLite would refuse like a link to the file.
fn resolved(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Makes the file with the permissions that the umask leaves, which SQLite's own files beside it then
/// get too; SQLite alone would not let a group write.
fn create(path: &Path) {
    if let Some(folder) = path.parent() {
        // If this or the next fails, opening the file says why.
        let _ = fs::create_dir_all(folder);
    }
    let mut options = OpenOptions::new();
    let _ = options.write(true).create_new(true).mode(0o666).open(path);
}

/// The error of a file system on which SQLite cannot lock. SQLite itself takes its answer for that of another
/// process that writes, and waits at every statement.
fn without_locks(path: &Path) -> Option<Error> {
    let why = locking::refusal(path.parent()?)?;
    Some(failure(ffi::SQLITE_IOERR_LOCK, &why))
}

/// Whether the file is less than the header of a database, with nothing beside it from which SQLite would
/// complete it: SQLite would write over it.
fn is_no_header(path: &Path) -> bool {
    let is_short =
        fs::metadata(path).is_ok_and(|file| file.is_file() && (1..100).contains(&file.len()));
    is_short
        && !["-journal", "-wal"]
            .iter()
            .any(|name| beside(path, name).exists())
}

/// Whether SQLite finds the whole file in order.
fn check(connection: &Connection) -> rusqlite::Result<()> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    match found.as_str() {
        "ok" => Ok(()),
        // The first line only says in which file.
        found => {
            let what = found.lines().last().unwrap_or(found);
            Err(failure(ffi::SQLITE_CORRUPT, what))
        }
    }
}

/// A file that is only read.
pub(crate) struct Readable {
    pub(crate) connection: Connection,
    /// Where a copy of it is, if it cannot be read in place.
    pub(crate) copy: Option<TempDir>,
}

/// Opens a file for reading, also in a folder that cannot be written: in place together with its
/// write-ahead log, alone if there is no log, else as a copy.
pub(crate) fn readable(path: &Path) -> rusqlite::Result<Readable> {
    let found = raw(path)?;
    match version(&found.connection)? {
        older if older < VERSION => {
            let mut connection = in_memory()?;
            copying::copy(&found.connection, &mut connection);
            Ok(Readable {
                connection,
                copy: None,
            })
        }
        _ => Ok(found),
    }
}

/// The same whatever the version, and also if the file is shorter than it says.
pub(crate) fn raw(path: &Path) -> rusqlite::Result<Readable> {
    let log = beside(path, "-wal");
    let is_logged = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    let in_place = match without_locks(path) {
        Some(error) => Err(error),
        None => read(&uri(path, "mode=ro")),
    };
    let opened = in_place.or_else(|error| match is_logged {
        false if !is_damage(&error) => read(&uri(path, "mode=ro&immutable=1")),
        _ => Err(error),
    });
    match opened {
        Ok(connection) => Ok(Readable {
            connection,
            copy: None,
        }),
        Err(error) if is_logged && !is_damage(&error) => copied(path).map_err(|_| error),
        Err(error) => Err(error),
    }
}

fn copied(path: &Path) -> rusqlite::Result<Readable> {
    let failed = |error: io::Error| failure(ffi::SQLITE_CANTOPEN, &error.to_string());
    let folder = TempDir::new().map_err(failed)?;
    let copy = folder.path().join("ledger.db");
    fs::copy(path, &copy).map_err(failed)?;
    fs::copy(beside(path, "-wal"), beside(&copy, "-wal")).map_err(failed)?;
    Ok(Readable {
        connection: read(&uri(&copy, "mode=rw"))?,
        copy: Some(folder),
    })
}

fn read(uri: &str) -> rusqlite::Result<Connection> {
    let flags = match uri.contains("mode=ro") {
        true => OpenFlags::SQLITE_OPEN_READ_ONLY,
        false => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(BUSY)?;
    // Reads what is there of a file that is shorter than it says.
    connection.pragma_update(None, "writable_schema", true)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn uri(path: &Path, query: &str) -> String {
    let mut text = "file:".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => text.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("{text}?{query}")
}

/// A ledger without a file.
pub(crate) fn in_memory() -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// The file beside `path` whose name has `suffix` more.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether SQLite says that the file is damaged.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn is_busy(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Whether the disk has no room.
pub(crate) fn is_disk_full(error: &Error) -> bool {
    let Error::SqliteFailure(failure, _) = error else {
        return false;
    };
    let full = [ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_WRITE];
    failure.code == ErrorCode::DiskFull || full.contains(&failure.extended_code)
}

/// Whether writing may be possible later.
pub(crate) fn is_transient(error: &Error) -> bool {
    is_busy(error)
        || matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::CannotOpen
                    | ErrorCode::ReadOnly
            )
        )
}

/// The error, with what to do about a file system on which SQLite cannot lock.
pub(crate) fn explain(error: &Error) -> String {
    let extended = match error {
        Error::SqliteFailure(failure, _) => failure.extended_code,
        _ => 0,
    };
    match extended {
        ffi::SQLITE_PROTOCOL
        | ffi::SQLITE_IOERR_LOCK
        | ffi::SQLITE_IOERR_RDLOCK
        | ffi::SQLITE_IOERR_UNLOCK
        | ffi::SQLITE_IOERR_CHECKRESERVEDLOCK
        | ffi::SQLITE_IOERR_SHMLOCK
        | ffi::SQLITE_IOERR_SHMMAP => format!(
            "{error}: its file system has no locks (a network file system?); set `state_dir` to a \
             folder on a local disk"
        ),
        _ if extended != ffi::SQLITE_FULL && is_disk_full(error) => {
            format!("{error}; is the disk full?")
        }
        _ => error.to_string(),
    }
}

fn failure(code: i32, why: &str) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), Some(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_named() {
        for code in [
            ffi::SQLITE_IOERR_LOCK,
            ffi::SQLITE_PROTOCOL,
            ffi::SQLITE_IOERR_SHMMAP,
        ] {
            assert!(
                explain(&failure(code, "no lock")).contains("`state_dir`"),
                "{code}"
            );
        }
        assert_eq!(
            explain(&failure(ffi::SQLITE_FULL, "disk full")),
            "disk full"
        );
    }

    #[test]
    fn a_path_in_a_uri_keeps_its_characters() {
        let path = Path::new("/a b/50%?#ö");
        assert_eq!(
            uri(path, "mode=ro"),
            "file:/a%20b/50%25%3F%23%C3%B6?mode=ro"
        );
    }
}
