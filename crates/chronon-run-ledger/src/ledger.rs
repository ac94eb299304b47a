//! The file: opening it, surviving its troubles.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chronon_run_core::event::{Event, Sink, What};
use rusqlite::{Connection, ErrorCode};

use crate::{
    record::insert,
    schema::{Access, migrate},
};

/// How long one process waits for another that is writing.
const BUSY: Duration = Duration::from_secs(10);
/// Pages in the write-ahead log before it is copied back (which syncs the disk).
const CHECKPOINT_PAGES: u32 = 8_000;

/// The history of one workspace. See the crate's page for what it promises.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Option<(Connection, Access)>,
    notices: Vec<String>,
    /// The current run's beginning, to be told again to a file that is begun anew.
    run: Option<(String, Event)>,
    /// Taken and not yet written.
    pending: Vec<Event>,
    /// How often a damaged file was replaced.
    began_anew: usize,
}

impl Sink for Ledger {
    fn emit(&mut self, event: &Event) {
        self.record(event);
    }

    fn flush(&mut self) {
        Self::flush(self);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Ledger {
    /// Opens the ledger at `path`, or begins it (folder included). Never fails: look at
    /// [`Ledger::take_notices`].
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let mut ledger = Self {
            path: path.to_owned(),
            file: None,
            notices: Vec::new(),
            run: None,
            pending: Vec::new(),
            began_anew: 0,
        };
        ledger.connect();
        ledger
    }

    /// Takes one event of the current run; [`Ledger::flush`] writes it down.
    pub fn record(&mut self, event: &Event) {
        if let What::RunStarted { run, .. } = &event.what {
            self.flush();
            self.run = Some((run.clone(), event.clone()));
        }
        // Neither changes a row.
        if !matches!(event.what, What::Progress { .. } | What::Notice { .. }) {
            self.pending.push(event.clone());
        }
    }

    /// Writes down every event taken so far, as one transaction. When this returns they would
    /// survive a hard kill.
    pub fn flush(&mut self) {
        let events = std::mem::take(&mut self.pending);
        let Some((run, beginning)) = self.run.clone() else {
            return;
        };
        if events.is_empty() || !matches!(self.file, Some((_, Access::Write))) {
            return;
        }
        let before = self.began_anew;
        self.attempt("record the run", |connection| {
            insert(connection, &run, &events)
        });
        if self.began_anew > before {
            self.attempt("record the run", |connection| {
                insert(connection, &run, &[beginning])?;
                insert(connection, &run, &events)
            });
        }
    }

    /// What went wrong since the last call, as sentence fragments.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Runs `action` on the file, if there is one; its failure becomes a notice and `None`.
    pub(crate) fn attempt<T>(
        &mut self,
        what: &str,
        action: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Option<T> {
        let (connection, _) = self.file.as_mut()?;
        match action(connection) {
            Ok(value) => Some(value),
            Err(error) if is_damage(&error) => {
                self.begin_anew(&error.to_string());
                None
            }
            Err(error) => {
                self.notice(format!(
                    "cannot {what} in `{}`: {error}",
                    self.path.display()
                ));
                None
            }
        }
    }

    /// The same, but nothing happens to a file that must not be written.
    pub(crate) fn change(
        &mut self,
        what: &str,
        action: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
    ) {
        if matches!(self.file, Some((_, Access::Write))) {
            self.attempt(what, action);
        }
    }

    fn connect(&mut self) {
        if is_truncated(&self.path) {
            return self.begin_anew("it is shorter than it says");
        }
        match open(&self.path) {
            Ok(file) => {
                if file.1 == Access::ReadOnly {
                    self.notice(format!(
                        "`{}` was written by a newer version; this run is not recorded there",
                        self.path.display()
                    ));
                }
                self.file = Some(file);
            }
            Err(error) if is_damage(&error) => self.begin_anew(&error.to_string()),
            Err(error) => self.give_up(&error.to_string()),
        }
    }

    /// Moves the damaged file aside and begins a new one.
    fn begin_anew(&mut self, why: &str) {
        self.file = None;
        self.began_anew += 1;
        match move_aside(&self.path) {
            Ok(aside) => self.notice(format!(
                "the ledger was damaged ({why}); it is now `{}` and a new one was begun; \
                 tables are not affected",
                aside.display()
            )),
            Err(error) => return self.give_up(&format!("damaged ({why}), and {error}")),
        }
        match open(&self.path) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.give_up(&error.to_string()),
        }
    }

    fn give_up(&mut self, why: &str) {
        self.notice(format!(
            "cannot use the ledger `{}`: {why}; history is not recorded",
            self.path.display()
        ));
    }

    /// The same trouble at every event is said once.
    fn notice(&mut self, notice: String) {
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }
}

pub(crate) fn open(path: &Path) -> rusqlite::Result<(Connection, Access)> {
    if let Some(folder) = path.parent() {
        // If this fails, opening the file says why.
        let _ = fs::create_dir_all(folder);
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.set_prepared_statement_cache_capacity(64);
    let access = migrate(&mut connection)?;
    Ok((connection, access))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Whether the file is shorter than its own header says. SQLite would notice only when it
/// needs one of the missing pages.
fn is_truncated(path: &Path) -> bool {
    let mut header = [0_u8; 32];
    let Ok(mut file) = File::open(path) else {
        return false;
    };
    let Ok(length) = file.metadata().map(|metadata| metadata.len()) else {
        return false;
    };
    if file.read_exact(&mut header).is_err() {
        // An empty file is a database without tables; a few bytes are none.
        return length > 0;
    }
    let number = |at: usize, width: usize| {
        let bytes = &header[at..at + width];
        bytes
            .iter()
            .fold(0_u64, |value, &byte| value << 8 | u64::from(byte))
    };
    let page_size = match number(16, 2) {
        1 => 65_536,
        size => size,
    };
    length < page_size * number(28, 4)
}

/// Renames the file and its companions; returns its new name.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_millis();
    let beside = |path: &Path, suffix: &str| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = beside(path, &format!(".damaged-{now}"));
    fs::rename(path, &aside)?;
    for companion in ["-wal", "-shm"] {
        let from = beside(path, companion);
        if from.exists() {
            fs::rename(&from, beside(&aside, companion))?;
        }
    }
    Ok(aside)
}
