//! The state folder: which workspace it belongs to, and that it is not for git.
//!
//! Tables, history and locks hold absolute paths, and a copied state folder names the original's
//! processes. So the folder records where it is. If it finds itself elsewhere it was moved, copied,
//! or is mounted at another path, and [`StateFolder::open`] tells which; the caller corrects what is
//! in its hands, and the changes of path that only the metastore can apply wait in
//! [`StateFolder::relocations`] until it is started.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use chronon_run_process::replace;
use serde::{Deserialize, Serialize};

use crate::FILE_NAME;

/// A path prefix that has changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Relocation {
    /// What paths began with; absolute, without a slash at the end.
    pub from: PathBuf,
    /// What they begin with now.
    pub to: PathBuf,
}

/// What the record says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Record {
    /// The same in all copies.
    id: String,
    /// The state folder.
    state: PathBuf,
    /// The folder of workspace.toml.
    root: PathBuf,
    /// Changes of path that are not yet in the metastore, oldest first.
    #[serde(default)]
    relocations: Vec<Relocation>,
}

/// How the folder came to be where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It was here before.
    Same,
    /// It was moved, or is mounted at another path: nothing is at its old place.
    Moved(Vec<Relocation>),
    /// It was copied: the original is still at its place.
    Copied(Vec<Relocation>),
}

/// The state folder of one workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateFolder {
    pub(crate) state: PathBuf,
    pub(crate) root: PathBuf,
}

impl StateFolder {
    /// The file that says whose folder it is.
    pub(crate) const RECORD: &str = "workspace.json";

    /// The state folder `state` of the workspace in `root`.
    #[must_use]
    pub fn new(state: &Path, root: &Path) -> Self {
        // A folder has one name, whatever symbolic links lead to it.
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Self {
            state: real(state),
            root: real(root),
        }
    }

    /// Creates the folder with its record, and a `.gitignore` for everything in it.
    ///
    /// # Errors
    /// An [`io::Error`] if it cannot be written.
    pub fn create(&self) -> io::Result<()> {
        fs::create_dir_all(&self.state)?;
        let ignore = self.state.join(".gitignore");
        if fs::read(&ignore).unwrap_or_default().is_empty() {
            replace(
                &ignore,
                "# Written by chronon-run: do not commit this folder.\n*\n",
            )?;
        }
        if self.read()?.is_some() {
            return Ok(());
        }
        // Only now that it exists its real name is known.
        let created = Self::new(&self.state, &self.root);
        created.write(&created.new_record())
    }

    /// Whether the folder has a record that names it.
    pub(crate) fn records_itself(&self) -> io::Result<bool> {
        Ok(self
            .read()?
            .is_some_and(|record| record.state == self.state))
    }

    /// The folder of another workspace that uses this state folder: its record names it, and it still
    /// has a workspace.toml.
    ///
    /// # Errors
    /// An [`io::Error`] if the record is there and cannot be read.
    pub fn other_user(&self) -> io::Result<Option<PathBuf>> {
        let record = self.read()?.filter(|record| {
            record.state == self.state
                && record.root != self.root
                && record.root.join(FILE_NAME).is_file()
        });
        Ok(record.map(|record| record.root))
    }

    /// Compares the record with where the folder is. A folder without a record is taken to be where
    /// it always was.
    ///
    /// # Errors
    /// An [`io::Error`] if the record is there and cannot be read.
    pub fn arrival(&self) -> io::Result<Arrival> {
        let Some(record) = self.read()? else {
            return Ok(Arrival::Same);
        };
        if record.state == self.state && record.root == self.root {
            return Ok(Arrival::Same);
        }
        if record.state == self.state {
            return Ok(Arrival::Moved(self.changes(&record)));
        }
        let relocations = self.changes(&record);
        let original = Self::new(&record.state, &record.root).read();
        let copied = original.is_ok_and(|other| other.is_some_and(|other| other.id == record.id));
        Ok(match copied {
            true => Arrival::Copied(relocations),
            false => Arrival::Moved(relocations),
        })
    }

    /// Records that the folder is here now, and `relocations` for the metastore. A copy becomes a
    /// workspace of its own.
    ///
    /// # Errors
    /// An [`io::Error`] if the record cannot be written.
    pub fn settle(&self, arrival: &Arrival) -> io::Result<()> {
        let (relocations, copied) = match arrival {
            Arrival::Same => return Ok(()),
            Arrival::Moved(relocations) => (relocations, false),
            Arrival::Copied(relocations) => (relocations, true),
        };
        let before = self.read()?;
        let mut record = self.new_record();
        if let Some(before) = before {
            record.relocations = before.relocations;
            if !copied {
                record.id = before.id;
            }
        }
        record.relocations.extend_from_slice(relocations);
        self.write(&record)
    }

    /// Changes of path that are not yet in the metastore, oldest first.
    ///
    /// # Errors
    /// An [`io::Error`] if the record is there and cannot be read.
    pub fn relocations(&self) -> io::Result<Vec<Relocation>> {
        Ok(self
            .read()?
            .map(|record| record.relocations)
            .unwrap_or_default())
    }

    /// The metastore has applied every change.
    ///
    /// # Errors
    /// An [`io::Error`] if the record cannot be written.
    pub fn relocated(&self) -> io::Result<()> {
        match self.read()? {
            Some(record) if !record.relocations.is_empty() => self.write(&Record {
                relocations: Vec::new(),
                ..record
            }),
            _ => Ok(()),
        }
    }

    /// Each path is changed by one of them: the state folder needs its own only where it does not
    /// move with the workspace.
    fn changes(&self, record: &Record) -> Vec<Relocation> {
        let root = Relocation {
            from: record.root.clone(),
            to: self.root.clone(),
        };
        let state = Relocation {
            from: record.state.clone(),
            to: self.state.clone(),
        };
        let with_root = root.apply(&state.from).as_ref() == Some(&state.to);
        let all = [Some(state).filter(|_| !with_root), Some(root)];
        let all = all.into_iter().flatten();
        all.filter(|change| change.from != change.to).collect()
    }

    fn new_record(&self) -> Record {
        Record {
            id: fresh_id(),
            state: self.state.clone(),
            root: self.root.clone(),
            relocations: Vec::new(),
        }
    }

    fn read(&self) -> io::Result<Option<Record>> {
        match fs::read(self.state.join(Self::RECORD)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let path = self.state.join(Self::RECORD);
        replace(&path, serde_json::to_vec_pretty(record)?)
    }
}

impl Relocation {
    /// The path as it is now, if this change is about it.
    #[must_use]
    pub fn apply(&self, path: &Path) -> Option<PathBuf> {
        let rest = path.strip_prefix(&self.from).ok()?;
        Some(self.to.join(rest))
    }
}

fn fresh_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to.join(".chronon-run")).unwrap();
        for name in [StateFolder::RECORD, ".gitignore"] {
            let name = Path::new(".chronon-run").join(name);
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }

    fn folder(root: &Path) -> StateFolder {
        StateFolder::new(&root.join(".chronon-run"), root)
    }

    #[test]
    fn a_folder_that_stays_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let state = folder(dir.path());
        assert_eq!(state.arrival().unwrap(), Arrival::Same);
        state.create().unwrap();
        let state = folder(dir.path());
        state.create().unwrap();
        assert_eq!(state.arrival().unwrap(), Arrival::Same);
        let ignored = fs::read_to_string(dir.path().join(".chronon-run/.gitignore")).unwrap();
        assert!(ignored.lines().any(|line| line == "*"));
    }

    #[test]
    fn a_state_folder_elsewhere_belongs_to_one_workspace() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        for name in ["a", "b", "state"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("a").join(FILE_NAME), "").unwrap();
        let of = |name: &str| StateFolder::new(&at("state"), &at(name));
        of("a").create().unwrap();
        assert_eq!(of("a").other_user().unwrap(), None);
        assert_eq!(of("b").other_user().unwrap(), Some(at("a")));
        fs::remove_dir(at("b")).unwrap();
        fs::rename(at("a"), at("b")).unwrap();
        assert_eq!(of("b").other_user().unwrap(), None);
        let moved = of("b").arrival().unwrap();
        assert!(matches!(&moved, Arrival::Moved(changes) if changes.len() == 1));
        of("b").settle(&moved).unwrap();
        assert_eq!(of("b").arrival().unwrap(), Arrival::Same);
    }

    #[test]
    fn a_moved_folder_and_a_copied_one_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        fs::create_dir(at("a")).unwrap();
        fs::create_dir_all(at("a/.chronon-run")).unwrap();
        folder(&at("a")).create().unwrap();
        copy(&at("a"), &at("b"));
        let copied = folder(&at("b")).arrival().unwrap();
        let Arrival::Copied(changes) = &copied else {
            panic!("{copied:?}");
        };
        assert_eq!((changes.len(), &changes[0].from), (1, &at("a")));
        assert_eq!(
            changes[0].apply(&at("a/.chronon-run/warehouse/x")),
            Some(at("b/.chronon-run/warehouse/x"))
        );
        assert_eq!(changes[0].apply(&at("ab/.chronon-run/x")), None);
        folder(&at("b")).settle(&copied).unwrap();
        assert_eq!(folder(&at("b")).arrival().unwrap(), Arrival::Same);
        assert_eq!(folder(&at("b")).relocations().unwrap(), *changes);
        folder(&at("b")).relocated().unwrap();
        assert!(folder(&at("b")).relocations().unwrap().is_empty());

        fs::rename(at("b"), at("c")).unwrap();
        let moved = folder(&at("c")).arrival().unwrap();
        assert!(matches!(moved, Arrival::Moved(_)), "{moved:?}");
        folder(&at("c")).settle(&moved).unwrap();
        fs::rename(at("c"), at("d")).unwrap();
        let again = folder(&at("d")).arrival().unwrap();
        folder(&at("d")).settle(&again).unwrap();
        let waiting = folder(&at("d")).relocations().unwrap();
        assert_eq!(waiting.len(), 2, "one change of each move");
        assert!(matches!(folder(&at("a")).arrival().unwrap(), Arrival::Same));
    }
}
