//! What `clean` removes of a state folder.
//!
//! Only entries that chronon-run writes are removed, and links are removed themselves, never what they
//! point to. Everything is renamed before anything is deleted, the metastore first: a
//! removal that is killed never leaves a metastore whose tables have lost files.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::StateFolder;

/// The embedded metastore and the files of its tables. The metastore is first.
const TABLES: [&str; 2] = ["metastore", "warehouse"];
/// Everything else that is written into the folder. The locks are last: as long as they are there,
/// no other run starts.
const HISTORY: [&str; 15] = [
    "catalog.json",
    "checks",
    "compiled.json",
    "filled",
    "home",
    "log4j2.properties",
    "queries",
    "runs",
    "samples",
    "scratch",
    "seeds",
    "spark-home.json",
    "streaming",
    "targets",
    "locks",
];
/// How the ledger's files begin: the database, its log, and damaged ones that were put aside.
const LEDGER: &str = "ledger.db";
/// Written with the folder; they go when nothing else is left.
const IGNORE: &str = ".gitignore";
/// How the folders begin into which entries are renamed before they are deleted.
const DOOMED: &str = ".removing-";

/// One entry of the folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Bytes of its files; 0 for a link.
    pub bytes: u64,
    /// Where it points, if it is a symbolic link.
    pub link: Option<PathBuf>,
    path: PathBuf,
}

/// What is in a state folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inventory {
    /// What is removed, in this order.
    pub remove: Vec<Entry>,
    /// The tables of the embedded metastore, if they stay.
    pub tables: Vec<Entry>,
    /// Names of what chronon-run did not write; it stays.
    pub foreign: Vec<String>,
}

impl Inventory {
    /// Bytes of everything that is removed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.remove.iter().map(|entry| entry.bytes).sum()
    }

    fn leaves_nothing(&self) -> bool {
        self.tables.is_empty() && self.foreign.is_empty()
    }
}

/// Why nothing is removed, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// The folder has no record of chronon-run, or that of another folder.
    #[error(
        "{0} is no state folder of this workspace: its workspace.json is missing or names another folder"
    )]
    NotOurs(PathBuf),
    /// The folder is not one of its own.
    #[error("the state folder {state} is or contains the folder {other}")]
    Shared {
        /// The state folder.
        state: PathBuf,
        /// The folder of workspace.toml or the repo.
        other: PathBuf,
    },
    /// A file cannot be looked at or removed.
    #[error("cannot remove {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> CleanError {
    let path = path.to_owned();
    move |source| CleanError::Io { path, source }
}

impl StateFolder {
    /// What would be removed; `tables` means the embedded metastore and its tables as well. `None` if
    /// there is no folder. `repo` is the folder of the compiled confs.
    ///
    /// # Errors
    /// [`CleanError`] if the folder is not this workspace's own, or cannot be read.
    pub fn inventory(&self, tables: bool, repo: &Path) -> Result<Option<Inventory>, CleanError> {
        if !self.state.exists() {
            return Ok(None);
        }
        let repo = fs::canonicalize(repo).unwrap_or_else(|_| repo.to_owned());
        let others = [&self.root, &repo];
        if let Some(other) = others
            .into_iter()
            .find(|path| path.starts_with(&self.state))
        {
            return Err(CleanError::Shared {
                state: self.state.clone(),
                other: other.clone(),
            });
        }
        let is_ours = self.records_itself().map_err(failed(&self.state))?;
        if !is_ours {
            return Err(CleanError::NotOurs(self.state.clone()));
        }
        self.list(tables).map(Some).map_err(failed(&self.state))
    }

    fn list(&self, tables: bool) -> io::Result<Inventory> {
        let mut found = Inventory::default();
        let mut ranked = Vec::new();
        for entry in fs::read_dir(&self.state)? {
            let entry = entry?;
            match rank(&entry.file_name()) {
                Rank::Own => {}
                Rank::Foreign => found.foreign.push(text(&entry.file_name())),
                Rank::Tables(_) if !tables => found.tables.push(look(&entry)?),
                Rank::Tables(rank) | Rank::History(rank) => ranked.push((rank, look(&entry)?)),
            }
        }
        ranked.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.name.cmp(&other.name)));
        found.remove = ranked.into_iter().map(|(_, entry)| entry).collect();
        found.foreign.sort();
        Ok(found)
    }

    /// Removes what the inventory lists, and the folder itself if nothing else is in it. What is not
    /// there any more counts as removed.
    ///
    /// # Errors
    /// [`CleanError::Io`] for the first entry that cannot be removed.
    pub fn remove(&self, inventory: &Inventory) -> Result<(), CleanError> {
        let doomed = self.state.join(format!("{DOOMED}{}", std::process::id()));
        fs::create_dir_all(&doomed).map_err(failed(&doomed))?;
        let mut waiting = vec![doomed.clone()];
        for entry in &inventory.remove {
            let is_renamed = entry.link.is_none()
                && !entry.name.starts_with(DOOMED)
                && fs::rename(&entry.path, doomed.join(&entry.name)).is_ok();
            if !is_renamed {
                // A link, or the root of another file system.
                waiting.push(entry.path.clone());
            }
        }
        for path in waiting.iter().rev() {
            delete(path).map_err(failed(path))?;
        }
        if inventory.leaves_nothing() {
            for name in [IGNORE, Self::RECORD] {
                let path = self.state.join(name);
                delete(&path).map_err(failed(&path))?;
            }
            // A link to the folder stays, and so does a folder into which a process writes now.
            let _ = fs::remove_dir(&self.state);
        }
        Ok(())
    }
}

/// What an entry is, and its place in the order of removal.
enum Rank {
    /// Says whose folder it is.
    Own,
    Tables(usize),
    History(usize),
    Foreign,
}

fn rank(name: &OsString) -> Rank {
    let Some(name) = name.to_str() else {
        return Rank::Foreign;
    };
    let place = |names: &[&str]| names.iter().position(|known| *known == name);
    if [IGNORE, StateFolder::RECORD].contains(&name) {
        return Rank::Own;
    }
    if let Some(place) = place(&TABLES) {
        return Rank::Tables(place);
    }
    let after_tables = TABLES.len() + 1;
    if let Some(place) = place(&HISTORY) {
        return Rank::History(after_tables + place);
    }
    // Drafts of the record have its name with another extension.
    let is_own = [LEDGER, DOOMED, "workspace.new-"]
        .iter()
        .any(|start| name.starts_with(start));
    match is_own {
        true => Rank::History(TABLES.len()),
        false => Rank::Foreign,
    }
}

fn look(entry: &fs::DirEntry) -> io::Result<Entry> {
    let path = entry.path();
    Ok(Entry {
        name: text(&entry.file_name()),
        bytes: size(&path)?,
        link: fs::read_link(&path).ok(),
        path,
    })
}

/// Bytes of a file, or of all files below a folder; links are not followed.
fn size(path: &Path) -> io::Result<u64> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    if found.is_symlink() {
        return Ok(0);
    }
    if !found.is_dir() {
        return Ok(found.len());
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        bytes += size(&entry?.path())?;
    }
    Ok(bytes)
}

/// Deletes a link, a file, or a folder with everything in it.
fn delete(path: &Path) -> io::Result<()> {
    let deleted = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match deleted {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // The root of a file system that is mounted there stays, empty.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy && is_empty(path) => Ok(()),
        deleted => deleted,
    }
}

fn is_empty(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn text(name: &OsString) -> String {
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder {
        _dir: tempfile::TempDir,
        root: PathBuf,
        state: StateFolder,
    }

    impl Folder {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().canonicalize().unwrap().join("ws");
            fs::create_dir_all(root.join("state")).unwrap();
            let state = StateFolder::new(&root.join("state"), &root);
            state.create().unwrap();
            let folder = Self {
                _dir: dir,
                root,
                state,
            };
            for name in ["metastore/db/seg0/c1", "warehouse/a.db/t/ds=1/part-0"] {
                folder.write(name);
            }
            for name in [
                "runs/1/plan.json",
                "locks/gate",
                "ledger.db",
                "ledger.db-wal",
            ] {
                folder.write(name);
            }
            folder
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.join("state").join(name)
        }

        fn write(&self, name: &str) {
            fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            fs::write(self.path(name), "12345").unwrap();
        }

        fn inventory(&self, tables: bool) -> Inventory {
            let found = self.state.inventory(tables, &self.root);
            found.unwrap().unwrap()
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.path("")).unwrap();
            let mut names: Vec<String> = entries.map(|e| text(&e.unwrap().file_name())).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn the_history_goes_and_the_tables_stay() {
        let folder = Folder::new();
        folder.write("notes.txt");
        let inventory = folder.inventory(false);
        let names: Vec<&str> = inventory.remove.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["ledger.db", "ledger.db-wal", "runs", "locks"]);
        assert_eq!((inventory.bytes(), inventory.tables.len()), (20, 2));
        assert_eq!(inventory.foreign, ["notes.txt"]);
        folder.state.remove(&inventory).unwrap();
        let left = [
            ".gitignore",
            "metastore",
            "notes.txt",
            "warehouse",
            "workspace.json",
        ];
        assert_eq!(folder.names(), left);
        assert!(folder.path("warehouse/a.db/t/ds=1/part-0").exists());
        assert!(folder.inventory(false).remove.is_empty());
    }

    #[test]
    fn with_the_tables_the_folder_goes_too_and_links_are_not_followed() {
        let folder = Folder::new();
        let elsewhere = folder.root.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("part-0"), "x").unwrap();
        symlink(&elsewhere, folder.path("samples")).unwrap();
        symlink(&elsewhere, folder.path("runs/1/link")).unwrap();
        let inventory = folder.inventory(true);
        assert_eq!(inventory.remove[0].name, "metastore");
        assert_eq!(inventory.remove[1].name, "warehouse");
        let link = inventory.remove.iter().find(|e| e.name == "samples");
        assert_eq!(link.unwrap().link, Some(elsewhere.clone()));
        folder.state.remove(&inventory).unwrap();
        assert!(!folder.path("").exists());
        assert!(elsewhere.join("part-0").exists());
    }

    #[test]
    fn a_removal_that_was_killed_is_finished_by_the_next() {
        let folder = Folder::new();
        folder.write(".removing-1/metastore/db/seg0/c1");
        fs::remove_dir_all(folder.path("metastore")).unwrap();
        let inventory = folder.inventory(false);
        assert_eq!(inventory.remove[0].name, ".removing-1");
        folder.state.remove(&folder.inventory(true)).unwrap();
        assert!(!folder.path("").exists());
        assert_eq!(folder.state.inventory(true, &folder.root).unwrap(), None);
    }

    #[test]
    fn folders_of_others_are_refused() {
        let folder = Folder::new();
        fs::remove_file(folder.path("workspace.json")).unwrap();
        let refused = folder.state.inventory(true, &folder.root);
        assert!(
            matches!(refused, Err(CleanError::NotOurs(_))),
            "{refused:?}"
        );
        let whole = StateFolder::new(&folder.root, &folder.root);
        whole.create().unwrap();
        let refused = whole.inventory(true, &folder.root);
        assert!(
            matches!(refused, Err(CleanError::Shared { .. })),
            "{refused:?}"
        );
        let within = StateFolder::new(&folder.root, &folder.path(""));
        let refused = within.inventory(true, &folder.root);
        assert!(
            matches!(refused, Err(CleanError::Shared { .. })),
            "{refused:?}"
        );
    }
}
