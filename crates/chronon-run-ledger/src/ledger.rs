//! Recording and reading, and what happens when the file fails.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chronon_run_core::event::{Event, Sink, What};
use rusqlite::{Connection, Row, ToSql};

use crate::{
    damage::{self, Aside},
    open::{self, Readable, explain, is_damage, is_disk_full, is_transient},
    record::{Begin, insert},
    schema::Access,
};

/// Between two attempts to open a file for writing that could not be written.
const REOPEN: Duration = Duration::from_secs(5);
/// Events that are kept for a file that cannot be written at the moment.
const PENDING: usize = 200_000;
/// How often opening starts again because another process has replaced the file meanwhile.
const REPLACED: usize = 3;

/// The history of one workspace. See the crate's page for what it promises.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Option<(Connection, Access)>,
    /// A private copy that is read instead of the file.
    copy: Option<tempfile::TempDir>,
    notices: Vec<String>,
    /// Why the file cannot be written at the moment, to be reported once something is to be written.
    unwritable: Option<String>,
    /// When opening for writing failed last.
    failed_at: Option<Instant>,
    /// Whether it failed because the disk is full.
    pub(crate) is_disk_full: bool,
    /// The current run's beginning, to be recorded again in a file that replaces a damaged one.
    run: Option<(String, Event)>,
    /// Taken and not yet written.
    pending: Vec<Event>,
    /// How often a damaged file was replaced.
    replaced: usize,
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
            copy: None,
            notices: Vec::new(),
            unwritable: None,
            failed_at: None,
            is_disk_full: false,
            run: None,
            pending: Vec::new(),
            replaced: 0,
        };
        ledger.connect(false);
        ledger
    }

    /// Takes one event of the current run; [`Ledger::flush`] writes it down.
    pub fn record(&mut self, event: &Event) {
        if let What::RunStarted { run, .. } = &event.what {
            self.flush();
            self.pending.clear();
            self.run = Some((run.clone(), event.clone()));
        }
        // None of these changes a row.
        if !matches!(
            event.what,
            What::Progress { .. } | What::Notice { .. } | What::HookEnded { .. }
        ) {
            self.pending.push(event.clone());
        }
    }

    /// Writes down every event taken so far, as one transaction. When this returns they would
    /// survive a hard kill, unless a notice says that they could not be written; then the next call
    /// tries again.
    pub fn flush(&mut self) {
        let Some((run, beginning)) = self.run.clone() else {
            self.pending.clear();
            return;
        };
        if self.pending.is_empty() || !self.is_writable() {
            self.pending.truncate(PENDING);
            return;
        }
        let events = std::mem::take(&mut self.pending);
        let before = self.replaced;
        let mut written = self.write(&run, &events, Begin::Replace);
        if !written && self.replaced > before {
            // The new file knows of the run at most what could be read of the damaged one.
            written = self.write(&run, &[beginning], Begin::Keep)
                && self.write(&run, &events, Begin::Keep);
        }
        if !written && matches!(self.file, Some((_, Access::Write))) {
            self.pending = events;
            self.pending.truncate(PENDING);
        }
    }

    fn write(&mut self, run: &str, events: &[Event], begin: Begin) -> bool {
        let insert = |connection: &mut Connection| insert(connection, run, events, begin);
        self.once("record the run", insert).is_some()
    }

    /// What went wrong since the last call, as sentence fragments.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Every row of a query that can be understood; a notice says how many could not.
    pub(crate) fn rows<T>(
        &mut self,
        what: &str,
        sql: &str,
        params: &[&dyn ToSql],
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let found = self.attempt(what, |connection| {
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            while let Some(row) = rows.next()? {
                match read(row) {
                    Ok(value) => good.push(value),
                    Err(error) => bad.push(error.to_string()),
                }
            }
            Ok((good, bad))
        });
        let (good, bad) = found.unwrap_or_default();
        if let Some(first) = bad.first() {
            self.notice(format!(
                "cannot {what} completely: {} of `{}` not valid and left out ({first})",
                match bad.len() {
                    1 => "1 row is".to_owned(),
                    rows => format!("{rows} rows are"),
                },
                self.path.display()
            ));
        }
        good
    }

    /// Runs `action` on the file, if there is one, and once more on what could be read of a file that
    /// turns out to be damaged. A failure becomes a notice and `None`.
    pub(crate) fn attempt<T>(
        &mut self,
        what: &str,
        mut action: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Option<T> {
        let before = self.replaced;
        self.once(what, &mut action).or_else(|| {
            let again = self.replaced > before;
            again.then(|| self.once(what, &mut action)).flatten()
        })
    }

    fn once<T>(
        &mut self,
        what: &str,
        action: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Option<T> {
        let (connection, _) = self.file.as_mut()?;
        match action(connection) {
            Ok(value) => return Some(value),
            Err(error) if is_damage(&error) => self.connect(true),
            Err(error) => self.notice(format!(
                "cannot {what} in `{}`: {}",
                self.path.display(),
                explain(&error)
            )),
        }
        None
    }

    #[cfg(test)]
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.file.as_ref().map(|(connection, _)| connection)
    }

    /// Changes something, and whether it did: nothing happens to a file that must not be written.
    pub(crate) fn change(
        &mut self,
        what: &str,
        action: impl FnMut(&mut Connection) -> rusqlite::Result<()>,
    ) -> bool {
        self.is_writable() && self.attempt(what, action).is_some()
    }

    /// Whether something can be written now. A file that could not be written is tried again after a
    /// while: space or access may be back.
    pub(crate) fn is_writable(&mut self) -> bool {
        if matches!(self.file, Some((_, Access::Write))) {
            return true;
        }
        let due = self.failed_at.is_some_and(|at| at.elapsed() >= REOPEN);
        if due {
            self.connect(false);
        }
        if let Some(why) = self.unwritable.take() {
            self.notice(why);
        }
        matches!(self.file, Some((_, Access::Write)))
    }

    /// The same after something was done about it.
    pub(crate) fn is_writable_now(&mut self) -> bool {
        if self.is_disk_full {
            self.connect(false);
        }
        self.is_writable()
    }

    /// Opens the file. One that is `suspect` (SQLite has reported damage) is checked as a whole.
    fn connect(&mut self, suspect: bool) {
        self.file = None;
        if let Some(why) = open::no_file(&self.path) {
            return self.give_up(why);
        }
        for _ in 0..REPLACED {
            let found = damage::identity(&self.path);
            let error = match open::writable(&self.path, suspect) {
                Ok(file) => return self.opened(file),
                Err(error) => error,
            };
            if open::is_foreign(&error) {
                return self.give_up(&explain(&error));
            }
            if !is_damage(&error) {
                return self.read_only(&error);
            }
            match damage::set_aside(&self.path, found) {
                Aside::Moved(aside) => return self.begin_anew(&aside, &error),
                Aside::Replaced => {}
                Aside::Kept(why) => return self.read_damaged(&error, &why),
            }
        }
        self.give_up("other processes keep replacing it");
    }

    fn opened(&mut self, (connection, access): (Connection, Access)) {
        if access == Access::ReadOnly {
            self.notice(format!(
                "`{}` was written by a newer version; this run is not recorded there",
                self.path.display()
            ));
        }
        self.failed_at = None;
        self.is_disk_full = false;
        self.unwritable = None;
        self.copy = None;
        self.file = Some((connection, access));
    }

    /// Begins a new file with what can be read of the damaged one, which is now `aside`.
    fn begin_anew(&mut self, aside: &Path, why: &rusqlite::Error) {
        self.replaced += 1;
        match open::writable(&self.path, false) {
            Ok((mut connection, access)) => {
                let read = damage::salvage(aside, &mut connection);
                self.file = Some((connection, access));
                self.notice(format!(
                    "the ledger was damaged ({why}); it is kept as `{}` and a new one was begun; \
                     {read}; tables are not affected",
                    aside.display()
                ));
            }
            Err(error) => {
                self.notice(format!(
                    "the ledger was damaged ({why}); it is kept as `{}`",
                    aside.display()
                ));
                self.give_up(&explain(&error));
            }
        }
    }

    /// Reads what can be read of a damaged file that must stay where it is.
    fn read_damaged(&mut self, error: &rusqlite::Error, why: &str) {
        self.replaced += 1;
        let Ok(mut memory) = open::in_memory() else {
            return self.give_up(&error.to_string());
        };
        let read = damage::salvage(&self.path, &mut memory);
        self.file = Some((memory, Access::ReadOnly));
        self.notice(format!(
            "the ledger `{}` is damaged ({error}) and stays as it is ({why}): {read}; nothing is \
             recorded",
            self.path.display()
        ));
    }

    /// Reads a file that cannot be written, e.g. because it belongs to another user or the disk is full.
    fn read_only(&mut self, error: &rusqlite::Error) {
        if is_transient(error) {
            self.failed_at = Some(Instant::now());
        }
        self.is_disk_full = is_disk_full(error);
        match open::readable(&self.path) {
            Ok(Readable { connection, copy }) => {
                self.file = Some((connection, Access::ReadOnly));
                self.copy = copy;
                self.unwritable = Some(format!(
                    "cannot record in `{}`: {}",
                    self.path.display(),
                    explain(error)
                ));
            }
            Err(damaged) if is_damage(&damaged) => {
                self.read_damaged(&damaged, "it cannot be written");
            }
            Err(_) => self.give_up(&explain(error)),
        }
    }

    fn give_up(&mut self, why: &str) {
        self.notice(format!(
            "cannot use the ledger `{}`: {why}; history is not recorded",
            self.path.display()
        ));
    }

    /// The same notice at every event is given once.
    pub(crate) fn notice(&mut self, notice: String) {
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }
}
