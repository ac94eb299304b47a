//! `chronon-run clean`: removes the state folder of a workspace, after asking.

use std::fmt::Write;

use chronon_run_catalog::embedded;
use chronon_run_exec::lock::{self, Closed, LockError};
use chronon_run_ledger::{AttemptRecord, Ledger};
use chronon_run_project::{
    engines::keeping,
    failure::Failure,
    listing::applications::Applications,
    loading::{here::required_workspace, state},
    output::{agreed, note, print},
    paths::{metastore_directory, scratch_root},
    program::now_millis,
};
use chronon_run_report::size;
use chronon_run_spark::{self as spark, Found};
use chronon_run_workspace::{CleanError, Entry, Inventory, StateFolder, Workspace};

use crate::cli::CleanArgs;

pub(crate) fn run(args: &CleanArgs) -> Result<(), Failure> {
    let workspace = required_workspace()?;
    // A copied workspace gets a state of its own first.
    state::settle(&workspace)?;
    let folder = StateFolder::new(&workspace.state_dir, &workspace.root);
    let Some(inventory) = inventory(&folder, &workspace, args.all)? else {
        return print("nothing to remove: there is no state folder\n");
    };
    if inventory.remove.is_empty() {
        return print("nothing to remove\n");
    }
    print(&list(&workspace, &inventory))?;
    if args.dry_run {
        return Ok(());
    }
    drop(close(&workspace, args.all)?);
    note(consequence(args.all));
    if !args.yes && !agreed("remove it? [y/N]")? {
        return Err(Failure::setup("nothing was removed"));
    }
    let closed = close(&workspace, args.all)?;
    end_survivors(&workspace)?;
    if let Some(inventory) = self::inventory(&folder, &workspace, args.all)? {
        folder.remove(&inventory).map_err(refusal)?;
    }
    drop(closed);
    print(&format!(
        "removed {} from {}\n",
        size(inventory.bytes()),
        workspace.state_dir.display()
    ))
}

fn inventory(
    folder: &StateFolder,
    workspace: &Workspace,
    tables: bool,
) -> Result<Option<Inventory>, Failure> {
    folder.inventory(tables, &workspace.repo).map_err(refusal)
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

fn list(workspace: &Workspace, inventory: &Inventory) -> String {
    let mut text = format!("{}\n", workspace.state_dir.display());
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

fn consequence(tables: bool) -> &'static str {
    match tables {
        false => {
            "the history of all runs (ledger, logs, plans) is lost; tables and their files stay (`--all` removes those of the embedded metastore too)"
        }
        true => {
            "the history of all runs (ledger, logs, plans) and all tables of the embedded metastore are lost; seeds are loaded again, everything else has to be filled again"
        }
    }
}

/// Keeps runs from starting. Fails if anything uses the folder.
fn close(workspace: &Workspace, tables: bool) -> Result<Closed, Failure> {
    let shown = workspace.state_dir.display();
    let used = |by: String| Failure::Locked {
        message: format!("{shown} is in use by {by}"),
    };
    let closed = lock::close(&workspace.state_dir.join("locks"), workspace.run.grace);
    let closed = closed.map_err(|error| match error {
        LockError::Held { run, pid, .. } => used(format!("run {run} (process {pid})")),
        LockError::Io { .. } => Failure::setup(error),
    })?;
    if let Some(pid) = spark::living_owners(&scratch_root(workspace))?.first() {
        return Err(used(format!("process {pid}")));
    }
    let scope = workspace.state_dir.display().to_string();
    if let Some(app) = chronon_run_process::instances(&scope).first() {
        return Err(used(format!(
            "the streaming app {} (process {}); `chronon-run stream --stop` ends it",
            app.name, app.process.pid
        )));
    }
    if let Some(pid) = keeping::end_kept(workspace)?.first() {
        return Err(used(format!("a command that uses Spark (process {pid})")));
    }
    if tables && !embedded::end_if_idle(&metastore_directory(workspace))? {
        return Err(used(
            "a process that is connected to its metastore".to_owned(),
        ));
    }
    Ok(closed)
}

/// Ends what a killed run left, as the next run would: without the ledger no one knows of it.
fn end_survivors(workspace: &Workspace) -> Result<(), Failure> {
    let path = workspace.state_dir.join("ledger.db");
    if !path.exists() {
        return Ok(());
    }
    let found = spark::find(&chronon_run_project::loading::spark::spark_environment(
        Some(workspace),
    ))
    .ok();
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
