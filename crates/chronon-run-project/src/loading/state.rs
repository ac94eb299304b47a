//! The state folder of a workspace: created with its record, and put in order after it was moved or
//! copied, before anything else reads it.

use std::{fs, io, path::PathBuf};

use chronon_run_catalog::embedded;
use chronon_run_ledger::Ledger;
use chronon_run_workspace::{Arrival, Relocation, StateFolder, Workspace};

use crate::{
    engines::keeping::end_kept,
    failure::Failure,
    output::note,
    paths::{SCRATCH_ID_FILE, metastore_directory, scratch_root},
    program::now_millis,
};

/// What of a copied folder names processes of the original: locks and streaming apps.
const OF_PROCESSES: [&str; 3] = ["locks", "streaming", SCRATCH_ID_FILE];

fn folder(workspace: &Workspace) -> StateFolder {
    StateFolder::new(&workspace.state_dir, &workspace.root)
}

/// Creates the folder, its record and its `.gitignore`.
pub fn create(workspace: &Workspace) -> Result<(), Failure> {
    let created = folder(workspace).create();
    created.map_err(|error| unusable(workspace, &error))
}

/// Puts a folder in order that was moved or copied since it was last used: paths in the ledger, and
/// what belongs to processes of the original. What is written from then on has the permissions of the group that
/// the folder's owner means. The metastore follows when it is opened next, see
/// [`relocations`].
pub fn settle(workspace: &Workspace) -> Result<(), Failure> {
    let folder = folder(workspace);
    let failed = |error: io::Error| unusable(workspace, &error);
    chronon_run_process::respect_group(&workspace.state_dir);
    if workspace.state_dir.exists() && !chronon_run_process::is_writable(&workspace.state_dir) {
        // A user who may only read uses the folder as it is.
        return Ok(());
    }
    if let Some(other) = folder.other_user().map_err(failed)? {
        return Err(Failure::hinted(
            format!(
                "the state folder {} belongs to the workspace in {}",
                workspace.state_dir.display(),
                other.display()
            ),
            "give this workspace one of its own with `state_dir` under [workspace] or the variable CHRONON_RUN_STATE",
        ));
    }
    let arrival = folder.arrival().map_err(failed)?;
    let (changes, copied) = match &arrival {
        Arrival::Same => return Ok(()),
        Arrival::Moved(changes) => (changes, false),
        Arrival::Copied(changes) => (changes, true),
    };
    let from = changes.first().map(|change| change.from.clone());
    let from = from.unwrap_or_default();
    await_metastore(workspace, &from)?;
    // Its server has another folder.
    remove(metastore_directory(workspace).join(embedded::STATE_FILE)).map_err(failed)?;
    remove(scratch_root(workspace)).map_err(failed)?;
    if copied {
        for name in OF_PROCESSES {
            remove(workspace.state_dir.join(name)).map_err(failed)?;
        }
    }
    relocate_ledgers(workspace, changes, copied);
    folder.settle(&arrival).map_err(failed)?;
    note(&match copied {
        true => format!(
            "this workspace is a copy of {}: it has tables, history and locks of its own from now on",
            from.display()
        ),
        false => format!(
            "this workspace was at {}: its tables and history follow",
            from.display()
        ),
    });
    Ok(())
}

/// Changes of path that the metastore has not yet applied.
pub fn relocations(workspace: &Workspace) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    let changes = folder(workspace).relocations();
    changes
        .map(|changes| pairs(&changes))
        .map_err(|error| unusable(workspace, &error))
}

/// The metastore has applied them.
pub fn relocated(workspace: &Workspace) -> Result<(), Failure> {
    let done = folder(workspace).relocated();
    done.map_err(|error| unusable(workspace, &error))
}

fn pairs(changes: &[Relocation]) -> Vec<(PathBuf, PathBuf)> {
    let pair = |change: &Relocation| (change.from.clone(), change.to.clone());
    changes.iter().map(pair).collect()
}

/// A metastore of the former place ends by itself as soon as it sees that its folder is gone; where the
/// folder is at both places (a mount), it ends on request if no run uses it.
fn await_metastore(workspace: &Workspace, from: &std::path::Path) -> Result<(), Failure> {
    // Spark processes that were kept are connected to it.
    let in_use = !end_kept(workspace)?.is_empty();
    let directory = metastore_directory(workspace);
    if !in_use && embedded::end_if_idle(&directory).map_err(|error| unusable(workspace, &error))? {
        return Ok(());
    }
    Err(Failure::Locked {
        message: format!(
            "{} is in use by a run that sees it as {}, e.g. in another container",
            workspace.state_dir.display(),
            from.display()
        ),
    })
}

/// The ledger of production and those of targets.
fn relocate_ledgers(workspace: &Workspace, changes: &[Relocation], copied: bool) {
    let targets = fs::read_dir(workspace.state_dir.join("targets"));
    let targets = targets.into_iter().flatten().flatten();
    let folders = targets.map(|target| target.path());
    for folder in std::iter::once(workspace.state_dir.clone()).chain(folders) {
        let path = folder.join("ledger.db");
        if !path.exists() {
            continue;
        }
        let mut ledger = Ledger::open(&path);
        ledger.relocate(&pairs(changes));
        if copied {
            ledger.disown_running(now_millis());
        }
        for notice in ledger.take_notices() {
            note(&notice);
        }
    }
}

fn remove(path: PathBuf) -> io::Result<()> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(&path),
        false => fs::remove_file(&path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn unusable(workspace: &Workspace, error: &io::Error) -> Failure {
    Failure::hinted(
        format!(
            "cannot use the state folder {}: {error}",
            workspace.state_dir.display()
        ),
        "it must be writable and its disk must have free space; `state_dir` under [workspace] or the variable CHRONON_RUN_STATE puts it elsewhere",
    )
}
