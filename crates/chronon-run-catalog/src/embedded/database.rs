//! Whether the database is one: Derby cannot open one whose creation was cut short, and every later
//! start would fail.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::error::{EmbeddedError, file_error};

/// Renames an incomplete database; returns its new name.
pub(super) fn put_aside_if_incomplete(database: &Path) -> Result<Option<PathBuf>, EmbeddedError> {
    if !database.exists() || is_complete(database) {
        return Ok(None);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_millis();
    let aside = database.with_extension(format!("incomplete-{now}"));
    match fs::rename(database, &aside) {
        Ok(()) => Ok(Some(aside)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error(database, error)),
    }
}

/// Derby writes these while it creates a database, and needs all of them.
fn is_complete(database: &Path) -> bool {
    let is_file = |name: &str| fs::metadata(database.join(name)).is_ok_and(|file| file.len() > 0);
    let has_segments = fs::read_dir(database.join("seg0")).is_ok_and(|files| {
        files
            .flatten()
            .any(|file| file.path().extension().is_some())
    });
    is_file("service.properties") && is_file("log/log.ctrl") && has_segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_incomplete_database_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("db");
        assert_eq!(put_aside_if_incomplete(&database).unwrap(), None);
        for folder in ["seg0", "log"] {
            fs::create_dir_all(database.join(folder)).unwrap();
        }
        for file in ["service.properties", "log/log.ctrl", "seg0/c10.dat"] {
            fs::write(database.join(file), "x").unwrap();
        }
        assert_eq!(put_aside_if_incomplete(&database).unwrap(), None);
        for missing in ["service.properties", "log/log.ctrl", "seg0/c10.dat"] {
            let text = fs::read(database.join(missing)).unwrap();
            fs::remove_file(database.join(missing)).unwrap();
            let aside = put_aside_if_incomplete(&database).unwrap().unwrap();
            assert!(!database.exists());
            fs::rename(&aside, &database).unwrap();
            fs::write(database.join(missing), text).unwrap();
        }
        assert_eq!(put_aside_if_incomplete(&database).unwrap(), None);
    }
}
