//! Files that are replaced as a whole: a reader sees the old or the new content, never a part of it, and
//! a symbolic link that was planted in a shared folder is replaced, never followed.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use tempfile::Builder;

/// Writes `content` to `path`, with the permissions that the umask leaves. Anything but a regular file, for
/// example `/dev/stdout` or a named pipe, is opened and written to.
///
/// # Errors
/// An [`io::Error`] if the folder cannot be written or its disk is full; the old content is kept then.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::write(path, content);
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // `make_in` and the file itself: other errors of `tempfile` name the temporary file, which the user never sees.
    let new = |path: &Path| {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o666)
            .open(path)
    };
    let mut file = Builder::new()
        .prefix(".")
        .suffix(".new")
        .make_in(folder, new)?;
    file.as_file_mut().write_all(content.as_ref())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (other, path) = (folder.path().join("other"), folder.path().join("out"));
        fs::write(&other, "precious").unwrap();
        symlink(&other, &path).unwrap();
        replace(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
        let names = fs::read_dir(folder.path()).unwrap();
        assert_eq!(names.count(), 2, "no temporary file is left");
    }

    #[test]
    fn an_error_names_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = replace(&folder.path().join("missing").join("out"), "new").unwrap_err();
        assert_eq!(error.to_string(), "No such file or directory (os error 2)");
    }

    #[test]
    fn other_users_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, path) = (folder.path().join("plain"), folder.path().join("out"));
        fs::write(&plain, "").unwrap();
        replace(&path, "new").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn a_device_is_written_to() {
        replace(Path::new("/dev/null"), "gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_folder_without_the_right_to_write_keeps_what_it_has() {
        assert!(replace(Path::new("/proc/self/out"), "new").is_err());
    }
}
