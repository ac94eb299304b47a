//! The files of a seed, and what is wrong with one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use chronon_run_core::is_stray;

use super::{
    error::SeedError,
    seed::{Format, Seed},
};

/// The file, or those of the folder that Spark would read, in the order of their names.
pub(super) fn files(seed: &Seed) -> Result<Vec<PathBuf>, SeedError> {
    if !seed.path.is_dir() {
        return Ok(vec![seed.path.clone()]);
    }
    let files = entries(seed)?;
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

/// That a seed's folder, if it is one, holds nothing but data: Spark reads every file in it that is not
/// hidden.
pub(super) fn check_folder(seed: &Seed) -> Result<(), SeedError> {
    if !seed.path.is_dir() {
        return Ok(());
    }
    let entries = entries(seed)?;
    let texts = entries.iter().all(|path| name(path).ends_with(".txt"));
    for path in entries {
        let why = match () {
            () if is_stray(name(&path)) && !texts => "a backup, a copy or a note, not data",
            () if is_of_other_format(&path, seed.format) => "of another format than the seed",
            () => continue,
        };
        return Err(SeedError::Stray {
            table: seed.table.clone(),
            path,
            why,
        });
    }
    Ok(())
}

/// What the seed's folder holds besides hidden files, in the order of the names.
fn entries(seed: &Seed) -> Result<Vec<PathBuf>, SeedError> {
    let entries = fs::read_dir(&seed.path).map_err(|error| unreadable(seed, &seed.path, &error))?;
    let hidden = |path: &Path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.starts_with(b"_") || name.starts_with(b".")
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| !hidden(path))
        .collect();
    found.sort();
    Ok(found)
}

fn name(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str());
    name.unwrap_or_default()
}

/// Whether a file's ending, before that of its compression, is one of another format.
fn is_of_other_format(path: &Path, format: Format) -> bool {
    let bare = path.with_extension("");
    let compressed = path.extension().is_some_and(|end| end == "gz");
    let found = Format::of(if compressed { &bare } else { path });
    found.is_some_and(|found| found != format)
}

pub(super) fn unreadable(seed: &Seed, path: &Path, error: &io::Error) -> SeedError {
    SeedError::Unreadable {
        table: seed.table.clone(),
        path: path.to_owned(),
        why: match error.kind() {
            io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
            _ => error.to_string(),
        },
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
