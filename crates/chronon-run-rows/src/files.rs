//! The files of a partition, as Spark lists them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::RowsError;

/// How deep files may lie, so that a link that loops ends.
const DEPTH: u32 = 8;
/// Folders in which Spark and Hive write before they commit.
const UNFINISHED: [&str; 3] = ["_temporary", ".spark-staging", ".hive-staging"];

/// What lies in a folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// The files that hold rows, by name.
    pub files: Vec<PathBuf>,
    /// Files without a byte. Spark ignores them.
    pub empty: Vec<PathBuf>,
    /// A folder of a job that has not committed, if there is one.
    pub unfinished: Option<PathBuf>,
}

/// Lists the files of a folder; `None` if there is no such folder.
///
/// # Errors
/// [`RowsError::Unreadable`] if it cannot be listed.
pub fn list_files(folder: &Path) -> Result<Option<Listing>, RowsError> {
    let mut listing = Listing::default();
    match list(folder, DEPTH, &mut listing) {
        Err(RowsError::Unreadable { path, source })
            if path == folder && source.kind() == io::ErrorKind::NotFound =>
        {
            return Ok(None);
        }
        other => other?,
    }
    listing.files.sort();
    listing.empty.sort();
    Ok(Some(listing))
}

fn list(folder: &Path, depth: u32, listing: &mut Listing) -> Result<(), RowsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| RowsError::Unreadable { path, source }
    };
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if UNFINISHED.iter().any(|start| name.starts_with(start)) {
            listing.unfinished = Some(path);
            continue;
        }
        // As Spark: hidden files, and files that are being copied.
        let hidden = name.starts_with('.') || (name.starts_with('_') && !name.contains('='));
        if hidden || name.ends_with("._COPYING_") {
            continue;
        }
        let metadata = fs::metadata(&path).map_err(unreadable(&path))?;
        if metadata.is_dir() {
            if depth > 0 {
                list(&path, depth - 1, listing)?;
            }
        } else if metadata.len() == 0 {
            listing.empty.push(path);
        } else {
            listing.files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spark_ignores_is_ignored_and_what_is_odd_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(list_files(&at("ds=none")).unwrap(), None);
        fs::create_dir_all(at("_temporary/0")).unwrap();
        fs::create_dir(at("deeper")).unwrap();
        for (name, text) in [
            ("part-1.parquet", "x"),
            ("deeper/part-0.parquet", "x"),
            ("_SUCCESS", ""),
            (".part-1.parquet.crc", "x"),
            ("part-2.parquet._COPYING_", "x"),
            ("part-3.parquet", ""),
            ("_temporary/0/part-4.parquet", "x"),
        ] {
            fs::write(at(name), text).unwrap();
        }
        let found = list_files(folder.path()).unwrap().unwrap();
        assert_eq!(
            found.files,
            [at("deeper/part-0.parquet"), at("part-1.parquet")]
        );
        assert_eq!(found.empty, [at("part-3.parquet")]);
        assert_eq!(found.unfinished, Some(at("_temporary")));
    }
}
