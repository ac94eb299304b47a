//! What the machine says about the user of this process and about a folder.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{
    sys::{
        stat::{Mode, umask},
        statvfs::{FsFlags, statvfs},
    },
    unistd::{AccessFlags, Uid, User as Entry, access},
};

/// The user that this process runs as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The number.
    pub uid: u32,
    /// The name; `None` if the number has no entry in the user database.
    pub name: Option<String>,
    /// The home folder of that entry, whether it exists or not.
    pub home: Option<PathBuf>,
}

impl User {
    /// Looks the user up.
    #[must_use]
    pub fn current() -> Self {
        Self::of(Uid::current())
    }

    /// The owner of a file or folder, if it can be seen.
    #[must_use]
    pub fn owner_of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self::of(Uid::from_raw(found.uid())))
    }

    fn of(uid: Uid) -> Self {
        let entry = Entry::from_uid(uid).ok().flatten();
        let (name, home) = entry.map(|entry| (entry.name, entry.dir)).unzip();
        Self {
            uid: uid.as_raw(),
            name,
            home,
        }
    }
}

/// Whether files of this folder may be executed, as far as its file system decides it. True where
/// the system does not answer.
#[must_use]
pub fn allows_execution(folder: &Path) -> bool {
    statvfs(folder).map_or(true, |found| !found.flags().contains(FsFlags::ST_NOEXEC))
}

/// Whether this process may create files in the folder.
#[must_use]
pub fn is_writable(folder: &Path) -> bool {
    folder.is_dir() && access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// Gives files that this process and its children make from now on the permissions for the group that the owner of
/// `folder` means. In a folder that hands its group on (set-group-ID), or whose nearest existing parent does, these
/// are the folder's own, whatever the umask says of the group. Elsewhere the umask decides alone.
pub fn respect_group(folder: &Path) {
    let found = folder.ancestors().find_map(|at| fs::metadata(at).ok());
    let meant = found.map_or(0, |found| found.mode());
    if meant & Mode::S_ISGID.bits() != 0 {
        // Reading the umask means setting one: for a moment the strictest.
        let before = umask(Mode::S_IRWXG | Mode::S_IRWXO);
        umask(before & !Mode::from_bits_truncate(meant & Mode::S_IRWXG.bits()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_user_and_a_folder() {
        assert_eq!(User::current().uid, Uid::current().as_raw());
        let folder = tempfile::tempdir().unwrap();
        assert!(is_writable(folder.path()));
        assert!(!is_writable(&folder.path().join("missing")));
        assert_eq!(User::owner_of(folder.path()), Some(User::current()));
        assert_eq!(User::owner_of(Path::new("/no/such/folder")), None);
        assert!(allows_execution(Path::new("/no/such/folder")), "not known");
    }
}
