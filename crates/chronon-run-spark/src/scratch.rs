//! A folder for the temporary files of one process and its JVMs: removed at the end, and by the next
//! process if this one is killed.
//!
//! A process holds a lock on a file in its folder for as long as it lives; the operating system
//! releases it however the process ends. A second lock, on the folder of all of them, is held
//! while folders are created or removed, so that a new folder is never taken for a dead one.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use chronon_run_process::open_lock;

/// How the folders begin.
const PREFIX: &str = "process-";
/// The file in a folder on which its process holds a lock.
const LOCK: &str = "lock";

/// The folder of this process.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Removes what dead processes left below `root`, and creates a folder for this process.
    ///
    /// # Errors
    /// An [`io::Error`] if `root` cannot be written, or the file of its lock is a symbolic link.
    pub fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let all = open_lock(&root.join(LOCK))?;
        // Where files cannot be locked, nothing is removed either.
        let locked = all.lock().is_ok();
        if locked {
            remove_dead(root)?;
        }
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir_in(root)?
            .keep();
        let lock = open_lock(&folder.join(LOCK))?;
        if locked {
            lock.lock()?;
        }
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

/// The processes that have a folder below `root` and live; 0 stands for an unknown number.
///
/// # Errors
/// An [`io::Error`] if `root` exists and cannot be read.
pub fn living_owners(root: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    let owner = |name: &str| {
        let number = name.strip_prefix(PREFIX)?.split('-').next()?;
        let lock = File::open(root.join(name).join(LOCK)).ok()?;
        let lives = matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
        lives.then(|| number.parse().unwrap_or(0))
    };
    Ok(names.filter_map(|name| owner(name.to_str()?)).collect())
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next process tries again.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes the folders whose process is gone. One that cannot be removed does no harm.
fn remove_dead(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)?.filter_map(Result::ok) {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let dead = match File::open(entry.path().join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if dead {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lives_as_long_as_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let first = Scratch::create(root.path()).unwrap();
        fs::write(first.path().join("a"), "").unwrap();
        let second = Scratch::create(root.path()).unwrap();
        assert_ne!(first.path(), second.path());
        let me = std::process::id();
        assert_eq!(living_owners(root.path()).unwrap(), [me, me]);
        assert!(first.path().join("a").exists(), "its owner lives");
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
        assert!(second.path().exists());
    }

    #[test]
    fn a_link_in_place_of_the_lock_is_an_error_and_its_target_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let (other, missing) = (root.path().join("other"), root.path().join("missing"));
        fs::write(&other, "precious").unwrap();
        for target in [&other, &missing] {
            let lock = root.path().join(LOCK);
            std::os::unix::fs::symlink(target, &lock).unwrap();
            Scratch::create(root.path()).unwrap_err();
            fs::remove_file(lock).unwrap();
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        assert!(!missing.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_removed_by_the_next() {
        let root = tempfile::tempdir().unwrap();
        for name in ["process-1-locked", "process-2-half"] {
            fs::create_dir_all(root.path().join(name).join("tmp/blockmgr-1")).unwrap();
        }
        fs::write(root.path().join("process-1-locked/lock"), "").unwrap();
        fs::create_dir(root.path().join("other")).unwrap();
        let scratch = Scratch::create(root.path()).unwrap();
        let left = fs::read_dir(root.path()).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
        left.sort();
        assert_eq!(
            left,
            [
                root.path().join("lock"),
                root.path().join("other"),
                scratch.path().to_owned()
            ]
        );
    }
}
