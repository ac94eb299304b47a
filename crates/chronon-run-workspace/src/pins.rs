//! `chronon-run.lock`, beside `workspace.toml`: the checksums of the jars that are named by Maven
//! coordinates, and of the files that Spark and Java are installed from, so that everyone who has the
//! workspace runs the same bytes.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use chronon_run_process::replace;

/// The pinned jars of one workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pins {
    path: PathBuf,
    sha256: BTreeMap<String, String>,
    packages: BTreeMap<String, String>,
}

/// Why the lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// It cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{} cannot be read: {why}; delete it and run `chronon-run engine install chronon`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

const HEAD: &str =
    "# Written by `chronon-run engine install`: commit it. SHA-256 of each jar, by coordinates.\n";

impl Pins {
    /// The lock of the workspace in folder `root`; empty if there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn load(root: &Path) -> Result<Self, PinsError> {
        let path = root.join("chronon-run.lock");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(PinsError::Io { path, source }),
        };
        let read: Result<BTreeMap<String, BTreeMap<String, String>>, _> = toml::from_str(&text);
        match read {
            Ok(mut sections) => Ok(Self {
                path,
                sha256: sections.remove("jars").unwrap_or_default(),
                packages: sections.remove("packages").unwrap_or_default(),
            }),
            Err(error) => Err(PinsError::Unreadable {
                path,
                why: error.message().to_owned(),
            }),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pinned SHA-256 of a jar, in hexadecimal digits.
    #[must_use]
    pub fn sha256(&self, coordinates: &str) -> Option<&str> {
        self.sha256.get(coordinates).map(String::as_str)
    }

    /// Every pinned jar: its coordinates, and its SHA-256 in hexadecimal digits.
    pub fn jars(&self) -> impl Iterator<Item = (&str, &str)> {
        let jars = self.sha256.iter();
        jars.map(|(name, sha256)| (name.as_str(), sha256.as_str()))
    }

    /// Pins a jar and writes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn pin(&mut self, coordinates: &str, sha256: &str) -> Result<(), PinsError> {
        (self.sha256).insert(coordinates.to_owned(), sha256.to_owned());
        self.save()
    }

    /// The pinned SHA-256 of the files that Spark and Java are installed from, by their names.
    #[must_use]
    pub fn packages(&self) -> &BTreeMap<String, String> {
        &self.packages
    }

    /// Pins a file that Spark or Java is installed from, and writes the lock.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn pin_package(&mut self, file: &str, sha256: &str) -> Result<(), PinsError> {
        (self.packages).insert(file.to_owned(), sha256.to_owned());
        self.save()
    }

    fn save(&self) -> Result<(), PinsError> {
        let mut text = HEAD.to_owned();
        for (section, pinned) in [("jars", &self.sha256), ("packages", &self.packages)] {
            if pinned.is_empty() {
                continue;
            }
            text += &format!("[{section}]\n");
            for (name, sha256) in pinned {
                text += &format!("\"{name}\" = \"{sha256}\"\n");
            }
        }
        replace(&self.path, text).map_err(|source| PinsError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut pins = Pins::load(folder.path()).unwrap();
        assert_eq!(pins.sha256("a:b:1"), None);
        pins.pin("a:b:1", "00ff").unwrap();
        pins.pin("a:c:1:assembly", "11").unwrap();
        assert_eq!(Pins::load(folder.path()).unwrap(), pins);
        assert_eq!(pins.sha256("a:b:1"), Some("00ff"));
        let jars: Vec<_> = pins.jars().collect();
        assert_eq!(jars, [("a:b:1", "00ff"), ("a:c:1:assembly", "11")]);
        fs::write(pins.path(), "jars = 1").unwrap();
        assert!(matches!(
            Pins::load(folder.path()),
            Err(PinsError::Unreadable { .. })
        ));
    }
}
