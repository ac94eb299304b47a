//! What was installed, file by file: a list of sizes and checksums is written beside it, and what is there
//! later is compared with the list before it is used.
//!
//! The content decides. A file whose identity (inode, size, times) is as it was when it was last read is
//! not read again, so that the comparison costs a few milliseconds; every other file is.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::maven::{Identity, bytes_sha256, sha256};

/// The list.
const LIST: &str = "files.json";
/// What the files looked like when they were last read.
const SEEN: &str = "files.seen.json";
/// What was downloaded.
const RECORD: &str = "install.json";

/// One file of the list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Listed {
    bytes: u64,
    sha256: String,
}

/// A file that is not as it was installed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Its content is another.
    Changed {
        /// The file, below the home.
        file: String,
        /// Its SHA-256.
        found: String,
        /// The one that was installed.
        installed: String,
    },
    /// It is gone.
    Missing {
        /// The file, below the home.
        file: String,
        /// The SHA-256 that was installed.
        installed: String,
    },
    /// It was not installed.
    Added {
        /// The file, below the home.
        file: String,
    },
}

impl Change {
    /// The file, below the home.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Changed { file, .. } | Self::Missing { file, .. } | Self::Added { file } => file,
        }
    }

    /// Whether it may change what runs. Users put settings into `conf`.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        !(matches!(self, Self::Added { .. }) && self.file().starts_with("conf/"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed {
                file,
                found,
                installed,
            } => write!(
                f,
                "{file} was changed: its SHA-256 is {found}, but {installed} was installed"
            ),
            Self::Missing { file, installed } => {
                write!(f, "{file} is missing; its SHA-256 was {installed}")
            }
            Self::Added { file } => write!(f, "{file} was added"),
        }
    }
}

/// What was downloaded to install a home.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Download {
    /// The file, as the registry names it.
    pub file: String,
    /// Its SHA-256.
    pub sha256: String,
}

/// What the home was installed from; `None` if it was not installed by this program.
#[must_use]
pub fn download(home: &Path) -> Option<Download> {
    serde_json::from_slice(&fs::read(home.join(RECORD)).ok()?).ok()
}

/// Writes the list of a home that has just been installed.
pub(super) fn write(home: &Path) -> io::Result<()> {
    let mut list = BTreeMap::new();
    for (file, path) in files(home)? {
        let bytes = fs::symlink_metadata(&path)?.len();
        let sha256 = digest(&path)?;
        list.insert(file, Listed { bytes, sha256 });
    }
    let text = serde_json::to_string_pretty(&list).map_err(io::Error::other)?;
    fs::write(home.join(LIST), text)
}

/// How many files the list of a home has; `None` if it has none (an earlier version has installed it).
#[must_use]
pub fn listed(home: &Path) -> Option<usize> {
    Some(list(home)?.len())
}

/// What is not as it was installed; `None` without a list. `thorough` reads every file, else only those
/// that look different from when they were last read.
///
/// # Errors
/// A file cannot be read.
pub fn changes(home: &Path, thorough: bool) -> io::Result<Option<Vec<Change>>> {
    let Some(list) = list(home) else {
        return Ok(None);
    };
    let seen: BTreeMap<String, Identity> = fs::read(home.join(SEEN))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let there = files(home)?;
    let mut found = Vec::new();
    let mut now = BTreeMap::new();
    for (file, listed) in &list {
        let Some(path) = there.get(file) else {
            found.push(Change::Missing {
                file: file.clone(),
                installed: listed.sha256.clone(),
            });
            continue;
        };
        let metadata = fs::symlink_metadata(path)?;
        let identity = Identity::of(&metadata);
        if !thorough && seen.get(file) == Some(&identity) {
            now.insert(file.clone(), identity);
            continue;
        }
        let sha256 = digest(path)?;
        match sha256 == listed.sha256 {
            true => drop(now.insert(file.clone(), identity)),
            false => found.push(Change::Changed {
                file: file.clone(),
                found: sha256,
                installed: listed.sha256.clone(),
            }),
        }
    }
    let added = there.into_keys().filter(|file| !list.contains_key(file));
    found.extend(added.map(|file| Change::Added { file }));
    if now != seen {
        keep(home, &now);
    }
    Ok(Some(found))
}

/// What the files of a home that another program has installed look like: size and time of change.
pub type Looks = BTreeMap<String, (u64, i64, i64)>;

/// How the files of a home look now.
///
/// # Errors
/// A folder cannot be read.
pub fn looks(home: &Path) -> io::Result<Looks> {
    use std::os::unix::fs::MetadataExt;
    let mut all = Looks::new();
    for (file, path) in files(home)? {
        let found = fs::symlink_metadata(&path)?;
        all.insert(file, (found.len(), found.mtime(), found.mtime_nsec()));
    }
    Ok(all)
}

/// What differs between two looks at a home, e.g. `jars/a.jar (changed)`.
#[must_use]
pub fn differences(before: &Looks, now: &Looks) -> Vec<String> {
    let gone = before.keys().filter(|file| !now.contains_key(*file));
    let gone = gone.map(|file| format!("{file} (missing)"));
    let other = now
        .iter()
        .filter_map(|(file, look)| match before.get(file) {
            None => Some(format!("{file} (added)")),
            Some(earlier) if earlier != look => Some(format!("{file} (changed)")),
            Some(_) => None,
        });
    gone.chain(other).collect()
}

fn list(home: &Path) -> Option<BTreeMap<String, Listed>> {
    serde_json::from_slice(&fs::read(home.join(LIST)).ok()?).ok()
}

/// Without it the files are read again next time, e.g. where the cache cannot be written.
fn keep(home: &Path, seen: &BTreeMap<String, Identity>) {
    let draft = tempfile::NamedTempFile::new_in(home);
    let written = draft.and_then(|draft| {
        serde_json::to_writer(&draft, seen).map_err(io::Error::other)?;
        Ok(draft)
    });
    if let Ok(draft) = written {
        let _ = draft.persist(home.join(SEEN));
    }
}

/// Of a link what it says: following it would tell of another file.
fn digest(path: &Path) -> io::Result<String> {
    match fs::symlink_metadata(path)?.is_symlink() {
        true => {
            let target = fs::read_link(path)?;
            Ok(bytes_sha256(
                format!("link to {}", target.display()).as_bytes(),
            ))
        }
        false => sha256(path),
    }
}

/// Everything below a home that is no folder, but for what this module writes.
fn files(home: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.strip_prefix(home).unwrap_or(&path);
            let name = name.to_string_lossy().into_owned();
            let is_own = [LIST, SEEN].contains(&name.as_str()) || name.starts_with(".tmp");
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => folders.push(path),
                Ok(_) if !is_own => drop(found.insert(name, path)),
                Ok(_) => {}
                // Another process has just replaced its own file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("jars")).unwrap();
        for (name, text) in [
            ("jars/a.jar", "aaaa"),
            ("jars/b.jar", "b"),
            ("install.json", "{}"),
        ] {
            fs::write(home.path().join(name), text).unwrap();
        }
        home
    }

    fn found(home: &Path, thorough: bool) -> Vec<String> {
        let found = changes(home, thorough).unwrap().unwrap();
        let word = |change: &Change| match change {
            Change::Changed { file, .. } => format!("changed {file}"),
            Change::Missing { file, .. } => format!("missing {file}"),
            Change::Added { file } => format!("added {file}"),
        };
        found.iter().map(word).collect()
    }

    #[test]
    fn changed_added_and_missing_files_are_found_by_their_content() {
        let home = home();
        let home = home.path();
        assert_eq!(changes(home, true).unwrap(), None);
        write(home).unwrap();
        assert_eq!(listed(home), Some(3));
        for thorough in [true, false, false] {
            assert_eq!(found(home, thorough), Vec::<String>::new());
        }
        // Of the same size, and with the times that it had.
        let jar = home.join("jars/a.jar");
        let modified = fs::metadata(&jar).unwrap().modified().unwrap();
        fs::write(&jar, "aaab").unwrap();
        let file = fs::File::options().write(true).open(&jar).unwrap();
        file.set_modified(modified).unwrap();
        fs::remove_file(home.join("jars/b.jar")).unwrap();
        fs::write(home.join("jars/c.jar"), "c").unwrap();
        let wanted = [
            "changed jars/a.jar",
            "missing jars/b.jar",
            "added jars/c.jar",
        ];
        assert_eq!(found(home, false), wanted);
        assert_eq!(found(home, true), wanted);
        let text = changes(home, false).unwrap().unwrap()[0].to_string();
        for content in ["aaaa", "aaab"] {
            assert!(text.contains(&bytes_sha256(content.as_bytes())), "{text}");
        }
    }

    #[test]
    fn a_link_in_place_of_a_file_is_a_change() {
        let home = home();
        let home = home.path();
        write(home).unwrap();
        let other = tempfile::NamedTempFile::new().unwrap();
        fs::write(other.path(), "aaaa").unwrap();
        fs::remove_file(home.join("jars/a.jar")).unwrap();
        std::os::unix::fs::symlink(other.path(), home.join("jars/a.jar")).unwrap();
        assert_eq!(found(home, false), ["changed jars/a.jar"]);
    }

    #[test]
    fn a_file_that_was_touched_or_copied_is_the_same() {
        let home = home();
        let home = home.path();
        write(home).unwrap();
        fs::write(home.join("jars/a.jar"), "aaaa").unwrap();
        assert_eq!(found(home, false), Vec::<String>::new());
    }

    #[test]
    fn a_home_of_another_program_is_compared_by_size_and_time() {
        let home = home();
        let home = home.path();
        let before = looks(home).unwrap();
        assert_eq!(
            differences(&before, &looks(home).unwrap()),
            Vec::<String>::new()
        );
        fs::write(home.join("jars/a.jar"), "aaaaa").unwrap();
        fs::remove_file(home.join("jars/b.jar")).unwrap();
        fs::write(home.join("jars/c.jar"), "c").unwrap();
        assert_eq!(
            differences(&before, &looks(home).unwrap()),
            [
                "jars/b.jar (missing)",
                "jars/a.jar (changed)",
                "jars/c.jar (added)"
            ]
        );
    }

    #[test]
    fn settings_of_the_user_are_no_danger() {
        let added = |file: &str| Change::Added {
            file: file.to_owned(),
        };
        assert!(!added("conf/spark-defaults.conf").is_fatal());
        assert!(added("jars/evil.jar").is_fatal());
    }
}
