//! The files of a seed, and what is wrong with one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{error::SeedError, seed::Seed};

/// The file, or those of the folder that Spark would read, in the order of their names.
pub(super) fn files(seed: &Seed) -> Result<Vec<PathBuf>, SeedError> {
    if !seed.path.is_dir() {
        return Ok(vec![seed.path.clone()]);
    }
    let entries = fs::read_dir(&seed.path).map_err(|error| unreadable(seed, &seed.path, &error))?;
    let hidden = |path: &Path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.starts_with(b"_") || name.starts_with(b".")
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| !hidden(path))
        .collect();
    files.sort();
    if let Some(other) = files.iter().find(|path| !path.is_file()) {
        let why = io::Error::other("only files may be in a seed's folder");
        return Err(unreadable(seed, other, &why));
    }
    if files.is_empty() {
        let why = io::Error::other("the folder holds no file");
        return Err(unreadable(seed, &seed.path, &why));
    }
    Ok(files)
}

pub(super) fn unreadable(seed: &Seed, path: &Path, error: &io::Error) -> SeedError {
    SeedError::Unreadable {
        table: seed.table.clone(),
        path: path.to_owned(),
        why: error.to_string(),
    }
}

pub(super) fn malformed(seed: &Seed, path: &Path, line: u64, why: String) -> SeedError {
    SeedError::Malformed {
        table: seed.table.clone(),
        path: path.to_owned(),
        line,
        why,
    }
}
