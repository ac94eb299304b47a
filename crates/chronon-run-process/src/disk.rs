//! How full a disk is, and what a folder takes of it.

use std::{fs, path::Path};

use nix::sys::statvfs::statvfs;

/// A file system, as its user may fill it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disk {
    /// Bytes that may still be written.
    pub free: u64,
    /// Its size in bytes.
    pub total: u64,
}

/// The file system of a folder, or of the nearest one above it that exists.
#[must_use]
pub fn disk(folder: &Path) -> Option<Disk> {
    let found = folder.ancestors().find_map(|place| statvfs(place).ok())?;
    // The types differ between systems.
    #[allow(clippy::useless_conversion, reason = "not on every system")]
    let (block, free, total) = (
        u64::from(found.fragment_size()),
        u64::from(found.blocks_available()),
        u64::from(found.blocks()),
    );
    Some(Disk {
        free: block.saturating_mul(free),
        total: block.saturating_mul(total),
    })
}

/// What is in a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Used {
    /// How many files.
    pub files: u64,
    /// Their lengths in bytes.
    pub bytes: u64,
}

/// The files below a folder, as far as they can be seen; links are not followed.
#[must_use]
pub fn used(folder: &Path) -> Used {
    let mut all = Used::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => {
                    all.files += 1;
                    all.bytes += found.len();
                }
                Err(_) => {}
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_size_and_a_disk() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/a"), "12345").unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("link")).unwrap();
        let found = used(folder.path());
        assert_eq!(found.files, 2, "a link is not followed");
        assert!(found.bytes < 100);
        let there = disk(folder.path()).unwrap();
        assert!(there.free <= there.total);
        let missing = folder.path().join("not/yet");
        assert_eq!(disk(&missing).map(|disk| disk.total), Some(there.total));
        assert_eq!(used(&missing), Used::default());
    }
}
