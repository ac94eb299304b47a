//! One writer per output table family, across processes (§10.6).
//!
//! Every run that writes keeps one *owner file* in the lock folder: locked by the kernel as
//! long as the run lives, however it ends, and holding the families that the run writes. A
//! second run looks through the owner files; one that it can lock has no owner. What that owner's
//! children left running is ended, then the file is removed: this needs no ledger, and works if the
//! watchdog was killed too. Looking and claiming are one step, under a lock on the folder itself.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use chronon_run_core::event::ProcessId;
use chronon_run_process::{end_children_of, identify, open_lock};
use serde::{Deserialize, Serialize};

/// What an owner file says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Owner {
    run: String,
    pid: u32,
    /// When the process began; 0 in files of earlier versions.
    #[serde(default)]
    start_ticks: u64,
    since: i64,
    families: BTreeSet<String>,
}

impl Owner {
    fn process(&self) -> ProcessId {
        ProcessId {
            pid: self.pid,
            start_ticks: self.start_ticks,
        }
    }
}

/// Why the families could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run writes one of them.
    #[error("`{family}` is being written by run {run} (process {pid})")]
    Held {
        /// The first of the wanted families that is taken.
        family: String,
        /// The other run.
        run: String,
        /// Its process.
        pid: u32,
        /// When it took the lock, in milliseconds since the epoch.
        since: i64,
    },
    /// The lock folder cannot be used.
    #[error("cannot lock in `{path}`: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Holds the families until it is dropped or the process ends.
#[derive(Debug)]
pub struct Guard {
    path: PathBuf,
    // Its lock is what others see; the kernel lets go of it when the file is closed.
    _file: File,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // If it stays, the next run sees that it is not held, and removes it.
        let _ = fs::remove_file(&self.path);
    }
}

const EXTENSION: &str = "owner";

/// Takes all `families` for `run`, or none. `now` is milliseconds since the epoch, for others
/// to read. The folder is made if needed. Children of dead owners get `grace` between TERM and KILL.
///
/// # Errors
/// [`LockError::Held`] if a living run holds one of them; [`LockError::Io`] if the folder
/// cannot be used.
pub fn acquire<'a>(
    folder: &Path,
    run: &str,
    now: i64,
    families: impl IntoIterator<Item = &'a str>,
    grace: Duration,
) -> Result<Guard, LockError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LockError::Io { path, source }
    };
    let me = identify(std::process::id());
    let wanted = Owner {
        run: run.to_owned(),
        pid: me.pid,
        start_ticks: me.start_ticks,
        since: now,
        families: families.into_iter().map(str::to_owned).collect(),
    };
    let _gate = enter(folder).map_err(failed(folder))?;
    for owner in living_owners(folder, grace).map_err(failed(folder))? {
        if let Some(family) = wanted.families.intersection(&owner.families).next() {
            return Err(LockError::Held {
                family: family.clone(),
                run: owner.run,
                pid: owner.pid,
                since: owner.since,
            });
        }
    }
    let path = free_name(folder);
    let file = claim(&path, &wanted).map_err(failed(&path))?;
    Ok(Guard { path, _file: file })
}

/// Keeps every run from taking locks in a folder until it is dropped or the process ends.
#[derive(Debug)]
pub struct Closed {
    _gate: File,
}

/// Closes the lock folder, which is made if needed. It may be removed while it is closed. Children of
/// dead owners get `grace` between TERM and KILL.
///
/// # Errors
/// [`LockError::Held`] if a living run holds anything; [`LockError::Io`] if the folder cannot be used.
pub fn close(folder: &Path, grace: Duration) -> Result<Closed, LockError> {
    let failed = |source| LockError::Io {
        path: folder.to_owned(),
        source,
    };
    let gate = enter(folder).map_err(failed)?;
    match living_owners(folder, grace)
        .map_err(failed)?
        .into_iter()
        .next()
    {
        None => Ok(Closed { _gate: gate }),
        Some(owner) => Err(LockError::Held {
            family: owner.families.first().cloned().unwrap_or_default(),
            run: owner.run,
            pid: owner.pid,
            since: owner.since,
        }),
    }
}

/// Takes the lock on the folder itself, which is made if needed.
fn enter(folder: &Path) -> io::Result<File> {
    let path = folder.join("gate");
    loop {
        fs::create_dir_all(folder)?;
        let gate = match open_lock(&path) {
            Ok(gate) => gate,
            // The folder was removed in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        gate.lock()?;
        if is_file_at(&gate, &path)? {
            return Ok(gate);
        }
    }
}

/// Whether the path still leads to this open file.
fn is_file_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A name that no owner file has; the folder's gate is held.
fn free_name(folder: &Path) -> PathBuf {
    let pid = std::process::id();
    let name = |number: u32| folder.join(format!("{pid}-{number}.{EXTENSION}"));
    let mut number = 0;
    while name(number).exists() {
        number += 1;
    }
    name(number)
}

fn claim(path: &Path, owner: &Owner) -> io::Result<File> {
    let mut file = open_lock(path)?;
    file.lock()?;
    serde_json::to_writer(&file, owner).map_err(io::Error::from)?;
    file.flush()?;
    Ok(file)
}

/// What the owner files of living runs say. Those of dead runs are removed, after what their children
/// left running was ended.
fn living_owners(folder: &Path, grace: Duration) -> io::Result<Vec<Owner>> {
    let mut owners = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != EXTENSION)
        {
            continue;
        }
        let mut file = match open_lock(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let locked = file.try_lock();
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        match locked {
            Ok(()) => {
                // A file that is half there was written by a process that had no child yet.
                if let Ok(dead) = serde_json::from_str::<Owner>(&text) {
                    end_children_of(dead.process(), grace);
                }
                fs::remove_file(&path)?;
            }
            Err(TryLockError::WouldBlock) => {
                // Written under the gate, which we hold: never half there.
                owners.push(serde_json::from_str(&text).map_err(io::Error::from)?);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(owners)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::ZERO;

    /// In a folder that others write, a link could make or fill any file of this user.
    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        for name in ["gate", "1-0.owner"] {
            let locks = folder.path().join(name);
            fs::create_dir(&locks).unwrap();
            std::os::unix::fs::symlink(&victim, locks.join(name)).unwrap();
            let refused = acquire(&locks, "run-1", 17, ["a"], GRACE);
            assert!(matches!(refused, Err(LockError::Io { .. })), "{name}");
        }
        assert!(!victim.exists());
    }

    #[test]
    fn the_second_run_is_told_who_holds_what() {
        let folder = tempfile::tempdir().unwrap();
        let locks = folder.path().join("locks");
        let first = acquire(&locks, "run-1", 17, ["a", "b"], GRACE).unwrap();
        let other = acquire(&locks, "run-2", 18, ["c"], GRACE).unwrap();
        let error = acquire(&locks, "run-3", 19, ["c", "b"], GRACE).unwrap_err();
        let LockError::Held {
            family,
            run,
            pid,
            since,
        } = error
        else {
            panic!("{error}");
        };
        // Owners are looked at in no particular order.
        assert!(
            (family.as_str(), run.as_str(), since) == ("b", "run-1", 17)
                || (family.as_str(), run.as_str(), since) == ("c", "run-2", 18)
        );
        assert_eq!(pid, std::process::id());
        drop((first, other));
        acquire(&locks, "run-3", 20, ["c", "b"], GRACE).unwrap();
        let left = fs::read_dir(&locks).unwrap().count();
        assert_eq!(left, 1, "only the gate stays");
    }

    #[test]
    fn a_folder_is_closed_only_without_owners_and_can_be_removed_then() {
        let folder = tempfile::tempdir().unwrap();
        let locks = folder.path().join("locks");
        let run = acquire(&locks, "run-1", 17, ["a"], GRACE).unwrap();
        let refused = close(&locks, GRACE).unwrap_err();
        assert!(matches!(refused, LockError::Held { run, .. } if run == "run-1"));
        drop(run);
        let closed = close(&locks, GRACE).unwrap();
        let waiting = {
            let locks = locks.clone();
            std::thread::spawn(move || acquire(&locks, "run-2", 18, ["a"], GRACE).map(|_guard| ()))
        };
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished());
        fs::rename(&locks, folder.path().join("removed")).unwrap();
        drop(closed);
        waiting.join().unwrap().unwrap();
        assert!(locks.join("gate").exists());
    }

    #[test]
    fn what_a_dead_run_left_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("4711-0.owner"), "{\"half").unwrap();
        acquire(folder.path(), "run", 0, ["a"], GRACE).unwrap();
        assert!(!folder.path().join("4711-0.owner").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = acquire(&file.join("locks"), "run", 0, ["a"], GRACE).unwrap_err();
        assert!(matches!(error, LockError::Io { .. }), "{error}");
    }
}
