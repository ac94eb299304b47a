//! Removing the state folder of a workspace: what is in it, what uses it, and what a killed run left.

use std::fmt::Write;

use chronon_run_catalog::embedded;
use chronon_run_exec::lock::{self, Closed, LockError};
use chronon_run_ledger::{AttemptRecord, Ledger};
use chronon_run_report::size;
use chronon_run_spark::{self as spark, Found};
use chronon_run_workspace::{CleanError, Entry, Inventory, StateFolder, Workspace};

use crate::{
    engines::keeping,
    failure::Failure,
    listing::applications::Applications,
    loading::spark::spark_environment,
    paths::{metastore_directory, scratch_root},
    program::now_millis,
};

/// The removal of a workspace's state.
pub struct Cleaning<'w> {
    workspace: &'w Workspace,
    folder: StateFolder,
    tables: bool,
}

impl<'w> Cleaning<'w> {
    /// `tables`: of the embedded metastore and its tables, too.
    #[must_use]
    pub fn new(workspace: &'w Workspace, tables: bool) -> Self {
        Self {
            folder: StateFolder::new(&workspace.state_dir, &workspace.root),
            workspace,
            tables,
        }
    }

    /// What is in the folder; `None` if there is none.
    ///
    /// # Errors
    /// The folder is not this workspace's own, or cannot be read.
    pub fn inventory(&self) -> Result<Option<Inventory>, Failure> {
        let found = self.folder.inventory(self.tables, &self.workspace.repo);
        found.map_err(refusal)
    }

    /// What is lost.
    #[must_use]
    pub fn consequence(&self) -> &'static str {
        match self.tables {
            false => {
                "the history of all runs (ledger, logs, plans) is lost; tables and their files stay (`--all` removes those of the embedded metastore too)"
            }
            true => {
                "the history of all runs (ledger, logs, plans) and all tables of the embedded metastore are lost; seeds are loaded again, everything else has to be filled again"
            }
        }
    }

    /// Fails if anything uses the folder.
    pub fn check_unused(&self) -> Result<(), Failure> {
        self.close().map(drop)
    }

    /// Ends what a killed run left, and removes what is in the folder by then. No run starts meanwhile.
    ///
    /// # Errors
    /// Something uses the folder, may still write its tables, or cannot be removed.
    pub fn remove(&self) -> Result<(), Failure> {
        let _closed = self.close()?;
        self.end_survivors()?;
        match self.inventory()? {
            Some(inventory) => self.folder.remove(&inventory).map_err(refusal),
            None => Ok(()),
        }
    }

    /// Keeps runs from starting. Fails if anything uses the folder.
    fn close(&self) -> Result<Closed, Failure> {
        let workspace = self.workspace;
        let state = workspace.state_dir.display().to_string();
        let used = |by: String| Failure::Locked {
            message: format!("{state} is in use by {by}"),
        };
        let closed = lock::close(&workspace.state_dir.join("locks"), workspace.run.grace);
        let closed = closed.map_err(|error| match error {
            LockError::Held { run, pid, .. } => used(format!("run {run} (process {pid})")),
            LockError::Io { .. } => error.into(),
        })?;
        if let Some(pid) = spark::living_owners(&scratch_root(workspace))?.first() {
            return Err(used(format!("process {pid}")));
        }
        if let Some(app) = chronon_run_process::instances(&state).first() {
            return Err(used(format!(
                "the streaming app {} (process {}); `chronon-run stream --stop` ends it",
                app.name, app.process.pid
            )));
        }
        if let Some(pid) = keeping::end_kept(workspace)?.first() {
            return Err(used(format!("a command that uses Spark (process {pid})")));
        }
        if self.tables && !embedded::end_if_idle(&metastore_directory(workspace))? {
            return Err(used(
                "a process that is connected to its metastore".to_owned(),
            ));
        }
        Ok(closed)
    }

    /// Ends what a killed run left, as the next run would: only the ledger knows of it.
    fn end_survivors(&self) -> Result<(), Failure> {
        let workspace = self.workspace;
        let path = workspace.state_dir.join("ledger.db");
        if !path.exists() {
            return Ok(());
        }
        let found = spark::find(&spark_environment(Some(workspace))).ok();
        let spark = found.and_then(Found::complete);
        let applications = Applications::of(workspace, spark.as_ref())?;
        let mut end = |attempt: &AttemptRecord| applications.end_abandoned(attempt);
        let mut ledger = Ledger::open(&path);
        for survivor in ledger.end_survivors(workspace.run.grace, now_millis(), &mut end) {
            if let Some(why) = survivor.may_write {
                return Err(Failure::Locked {
                    message: format!(
                        "run {} ended while it filled {}, and {why}",
                        survivor.attempt.run, survivor.attempt.asset
                    ),
                });
            }
        }
        Ok(())
    }
}

fn refusal(error: CleanError) -> Failure {
    let hint = match &error {
        CleanError::NotOurs(_) => {
            "if it is a state folder of an older version or of another workspace, remove it by hand"
        }
        CleanError::Shared { .. } => {
            "set `state_dir` under [workspace] to a folder of its own, or remove the files by hand"
        }
        CleanError::Io { .. } => "correct this and run the same command again: it continues",
    };
    Failure::hinted(error, hint)
}

/// What is removed and what stays, with sizes.
#[must_use]
pub fn inventory_text(inventory: &Inventory) -> String {
    let mut text = String::new();
    let mut line = |what: &str, entry: &Entry| {
        let bytes = match &entry.link {
            Some(target) => format!("link to {}, which stays", target.display()),
            None => size(entry.bytes),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {what}  {}  {bytes}", entry.name);
    };
    for entry in &inventory.remove {
        line("remove", entry);
    }
    for entry in &inventory.tables {
        line("keep  ", entry);
    }
    for name in &inventory.foreign {
        let _ = writeln!(text, "  keep    {name}  not written by chronon-run");
    }
    let _ = writeln!(text, "{} in all", size(inventory.bytes()));
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_stays_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("state");
        let folder = StateFolder::new(&state, root.path());
        folder.create().unwrap();
        let write = |name: &str, bytes: usize| {
            let path = state.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x".repeat(bytes)).unwrap();
        };
        write("runs/r1/attempt-1.log", 1_500);
        write("warehouse/t/part-0", 9_000);
        write("notes.txt", 7);
        std::os::unix::fs::symlink("/big", state.join("samples")).unwrap();
        let inventory = folder.inventory(false, root.path()).unwrap().unwrap();
        let wanted = "  remove  runs  1.5 kB
  remove  samples  link to /big, which stays
  keep    warehouse  9.0 kB
  keep    notes.txt  not written by chronon-run
1.5 kB in all
";
        assert_eq!(inventory_text(&inventory), wanted);
    }
}
