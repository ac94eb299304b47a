//! Whether a file system has the locks that SQLite needs.

use std::{fs::File, path::Path};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
};

/// Why files in this folder cannot be locked; `None` if they can, or if no file can be made there to try.
///
/// The file is a new one without a name: when a file is closed, POSIX ends every lock that the process has on it,
/// so the ledger itself must not be opened for this.
pub(crate) fn refusal(folder: &Path) -> Option<String> {
    // The parent of a bare file name.
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let file = tempfile::tempfile_in(folder).ok()?;
    words(lock(&file))
}

fn lock(file: &File) -> nix::Result<()> {
    let wanted = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_SETLK(&wanted)).map(drop)
}

/// What an answer says against the file system. Another owner of the lock, or a signal, says nothing.
fn words(answer: nix::Result<()>) -> Option<String> {
    match answer {
        Ok(()) | Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) => None,
        Err(error) => Some(format!("cannot lock a file ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_lock_is_told_from_one_that_is_taken() {
        let why = words(Err(Errno::ENOLCK)).unwrap();
        assert!(why.contains("ENOLCK"), "{why}");
        assert_eq!(words(Err(Errno::EAGAIN)), None);
        assert_eq!(words(Ok(())), None);
    }

    #[test]
    fn a_folder_of_this_machine_has_locks() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(refusal(folder.path()), None);
        assert_eq!(refusal(&folder.path().join("none")), None);
        assert!(folder.path().read_dir().unwrap().next().is_none());
    }
}
