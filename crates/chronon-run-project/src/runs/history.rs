//! Earlier runs, as the ledger has them and as people read them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chronon_run_ledger::{Ledger, RunDetail};

use crate::{failure::Failure, loading::project::Project, output::note};

/// The run of that id, or the newest.
pub fn find(ledger: &mut Ledger, id: Option<&str>) -> Option<RunDetail> {
    let newest = || ledger.runs(1).pop().map(|run| run.run);
    let id = id.map(str::to_owned).or_else(newest)?;
    ledger.run(&id)
}

/// The folder of a run below `runs`. A run's id is a plain name; anything else was not written by us.
#[must_use]
pub fn folder(runs: &Path, run: &str) -> Option<PathBuf> {
    let plain = Path::new(run).file_name().is_some_and(|name| name == run);
    plain.then(|| runs.join(run))
}

/// What a command reports that is to show a run that is not there.
pub fn no_run(id: &str) -> Failure {
    Failure::hinted(
        format!("there is no run `{id}`"),
        "`chronon-run runs` lists them",
    )
}

/// Forgets all but the newest `keep` runs and deletes their folders. Returns the ids of the forgotten ones.
///
/// # Errors
/// The ledger cannot be written.
pub fn prune(context: &Project, ledger: &mut Ledger, keep: u32) -> Result<Vec<String>, Failure> {
    let runs = context.runs_dir();
    let forgotten = ledger.prune(keep, |run| delete_folder(&runs, run));
    report_notices(ledger);
    forgotten.ok_or_else(|| {
        Failure::hinted(
            "no run was forgotten",
            "the ledger must be writable and its disk must have free space",
        )
    })
}

/// Deletes the folder of a run below `runs`, if it has one.
fn delete_folder(runs: &Path, run: &str) {
    if let Some(folder) = folder(runs, run)
        && folder.exists()
        && let Err(error) = fs::remove_dir_all(&folder)
    {
        note(&format!("cannot delete {}: {error}", folder.display()));
    }
}

/// Reports what the ledger could not do.
pub fn report_notices(ledger: &mut Ledger) {
    for notice in ledger.take_notices() {
        note(&notice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_runs_are_deleted() {
        let state = tempfile::tempdir().unwrap();
        let runs = state.path().join("runs");
        let beside = state.path().join("beside");
        for folder in [&beside, &runs.join("r1"), &runs.join("r2")] {
            fs::create_dir_all(folder).unwrap();
        }
        for run in ["r1", "missing", "../beside", "..", ".", "", "r2/."] {
            delete_folder(&runs, run);
        }
        assert!(beside.exists() && runs.join("r2").exists());
        assert!(!runs.join("r1").exists());
    }
}
