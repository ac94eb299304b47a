//! Files that are opened without following a symbolic link in their place: in a folder that others write it could
//! make or change any file of this user.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// The file at `path` to lock, which is made if it is not there and keeps what it holds.
///
/// # Errors
/// An [`io::Error`] if the file cannot be written or is a link.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    options.custom_flags(libc::O_NOFOLLOW).open(path)
}

/// The file at `path` to append to, which is made if it is not there.
///
/// # Errors
/// An [`io::Error`] if the file cannot be written or is a link.
pub fn open_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    options.custom_flags(libc::O_NOFOLLOW).open(path)
}
