//! A file that SQLite cannot use: it is kept under another name, and what can be read of it is read.
//!
//! Invariant: a file that any process has open is never renamed. Every connection in WAL mode holds a
//! lock on its file as long as it lives, so an exclusive lock proves that there is none.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use nix::fcntl::{FcntlArg, fcntl};
use rusqlite::Connection;

use crate::{
    copying::{Salvaged, copy_tables},
    open::{beside, raw},
};

/// Where SQLite's locks on a file are.
const LOCKS: i64 = 0x4000_0000;
/// How many bytes they take.
const LOCK_BYTES: i64 = 512;

/// Which file a path names: device and inode.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// What became of a damaged file.
pub(crate) enum Aside {
    /// It has this name now.
    Moved(PathBuf),
    /// Another process has put another file in its place.
    Replaced,
    /// It stays, for this reason.
    Kept(String),
}

/// Renames the damaged file, which was `found` under `path`, and its companions.
pub(crate) fn set_aside(path: &Path, found: Option<(u64, u64)>) -> Aside {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Aside::Replaced,
        Err(error) => return Aside::Kept(error.to_string()),
    };
    if let Err(why) = lock(&file) {
        return Aside::Kept(why);
    }
    let opened = file.metadata().ok().map(|file| (file.dev(), file.ino()));
    if found.is_some() && opened != found || opened != identity(path) {
        return Aside::Replaced;
    }
    match rename(path) {
        Ok(aside) => Aside::Moved(aside),
        Err(error) => Aside::Kept(error.to_string()),
    }
}

/// Takes the lock that proves that no connection to the file is open. It ends with `file`.
fn lock(file: &File) -> Result<(), String> {
    let wanted = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: LOCKS,
        l_len: LOCK_BYTES,
        l_pid: 0,
    };
    #[cfg(target_os = "linux")]
    let argument = FcntlArg::F_OFD_SETLK(&wanted);
    #[cfg(not(target_os = "linux"))]
    let argument = FcntlArg::F_SETLK(&wanted);
    match fcntl(file, argument) {
        Ok(_) => Ok(()),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => {
            Err("another process has it open".to_owned())
        }
        Err(error) => Err(format!("cannot lock it: {error}")),
    }
}

fn rename(path: &Path) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_millis();
    let free = |number: &u128| !beside(path, &format!(".damaged-{number}")).exists();
    let number = (now..).find(free).unwrap_or(now);
    let aside = beside(path, &format!(".damaged-{number}"));
    fs::rename(path, &aside)?;
    for companion in ["-wal", "-shm"] {
        let from = beside(path, companion);
        if from.exists() {
            fs::rename(&from, beside(&aside, companion))?;
        }
    }
    Ok(aside)
}

/// What is read of a damaged file. How days were filled is not: numbers that compare with each other
/// would be missing, and a day may be unknown but never wrongly up to date.
const HISTORY: [&str; 4] = ["runs", "steps", "attempts", "empty_days"];

/// Copies every row of the history that can be read of the file at `from`.
pub(crate) fn salvage(from: &Path, into: &mut Connection) -> Salvaged {
    match raw(from) {
        Ok(source) => copy_tables(&source.connection, into, |table| HISTORY.contains(&table)),
        Err(_) => Salvaged { runs: 0, rows: 0 },
    }
}
