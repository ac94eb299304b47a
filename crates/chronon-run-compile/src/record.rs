//! Of which content of the sources each conf was compiled, kept in the state folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Source, Sources, sources::digest};

/// What is known of the confs of a repo.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// By source, relative to the repo.
    sources: BTreeMap<PathBuf, Entry>,
}

/// What is known of the confs of one source.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Whether compile.py made the confs of the inputs, rather than that both were there together when
    /// a run looked.
    pub compiled: bool,
    /// Digests of the files that the confs are made of, relative to the repo.
    pub inputs: BTreeMap<PathBuf, String>,
    /// Digests of the confs, relative to the repo.
    pub confs: BTreeMap<PathBuf, String>,
}

/// Confs that are not what their source says now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stale {
    /// Sources, or files that they import, were edited since their confs were compiled.
    Edited {
        /// The files that were edited.
        edited: Vec<PathBuf>,
        /// The confs.
        confs: Vec<PathBuf>,
    },
    /// The source was never compiled, or not without errors.
    Never {
        /// The source.
        source: PathBuf,
    },
    /// The source is no longer there, but its confs are.
    Gone {
        /// The source.
        source: PathBuf,
        /// The confs.
        confs: Vec<PathBuf>,
    },
}

impl Record {
    /// Its file's name in the state folder.
    pub const FILE: &str = "compiled.json";

    /// Reads the record; an empty one if there is none that can be read.
    #[must_use]
    pub fn load(state: &Path) -> Self {
        let text = fs::read(state.join(Self::FILE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// An [`io::Error`] if it cannot be written.
    pub fn save(&self, state: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        chronon_run_process::replace(&state.join(Self::FILE), text)
    }

    /// The sources that are to be compiled: new ones, those of which an input was edited, and those
    /// whose confs are not what was compiled.
    #[must_use]
    pub fn changed<'a>(&self, sources: &'a Sources, confs: &Confs<'_>) -> Vec<&'a Source> {
        let is_same = |source: &&Source| {
            let entry = self.sources.get(&source.path);
            entry.is_some_and(|entry| {
                entry.compiled && entry.inputs == source.inputs && confs.are(&entry.confs)
            })
        };
        sources
            .all
            .iter()
            .filter(|source| !is_same(source))
            .collect()
    }

    /// Whether compile.py made the confs of this very content of a source before.
    #[must_use]
    pub fn knows(&self, source: &Source) -> bool {
        let entry = self.sources.get(&source.path);
        entry.is_some_and(|entry| entry.compiled && entry.inputs == source.inputs)
    }

    /// The confs that are not what their source says now. Confs that were compiled by other means
    /// since are taken to be what their source says.
    #[must_use]
    pub fn stale(&self, sources: &Sources, confs: &Confs<'_>) -> Vec<Stale> {
        let mut found: Vec<Stale> = Vec::new();
        let compiles = self.sources.values().any(|entry| entry.compiled);
        for source in &sources.all {
            match self.sources.get(&source.path) {
                Some(entry) if !confs.are(&entry.confs) => {}
                Some(entry) => add(&mut found, edited(source, entry)),
                None if compiles && confs.of(&source.path).is_empty() => found.push(Stale::Never {
                    source: source.path.clone(),
                }),
                None => {}
            }
        }
        let gone = self
            .sources
            .keys()
            .filter(|path| !confs.repo.join(path).exists());
        found.extend(gone.filter_map(|path| {
            let confs: Vec<PathBuf> = confs.of(path).into_keys().collect();
            let source = path.clone();
            (!confs.is_empty()).then_some(Stale::Gone { source, confs })
        }));
        found
    }

    /// Puts down that compile.py made the confs of `source` without problem.
    pub fn compiled(&mut self, source: &Source, confs: &Confs<'_>) {
        let entry = Entry {
            compiled: true,
            inputs: source.inputs.clone(),
            confs: confs.of(&source.path),
        };
        self.sources.insert(source.path.clone(), entry);
    }

    /// Puts down that not all of `source` was compiled: its confs stay older than it.
    pub fn failed(&mut self, source: &Source, confs: &Confs<'_>) {
        let entry = self.sources.entry(source.path.clone()).or_default();
        entry.compiled = false;
        if entry.inputs == source.inputs {
            entry.inputs.clear();
        }
        entry.confs = confs.of(&source.path);
    }

    /// Puts down which sources and confs are there together, of sources of which nothing is known and
    /// of confs that were compiled by other means since. Whether anything was new.
    pub fn see(&mut self, sources: &Sources, confs: &Confs<'_>) -> bool {
        let before = self.clone();
        for source in &sources.all {
            let there = confs.of(&source.path);
            let known = self.sources.get(&source.path);
            if there.is_empty() || known.is_some_and(|entry| entry.confs == there) {
                continue;
            }
            let entry = Entry {
                compiled: false,
                inputs: source.inputs.clone(),
                confs: there,
            };
            self.sources.insert(source.path.clone(), entry);
        }
        *self != before
    }

    /// Drops sources that are gone together with their confs.
    pub fn forget_gone(&mut self, confs: &Confs<'_>) {
        self.sources
            .retain(|path, _| confs.repo.join(path).exists() || !confs.of(path).is_empty());
    }
}

/// Adds one; those of the same edit become one.
fn add(found: &mut Vec<Stale>, stale: Option<Stale>) {
    if let Some(Stale::Edited { edited, confs }) = &stale {
        for known in found.iter_mut() {
            if let Stale::Edited {
                edited: of,
                confs: all,
            } = known
                && of == edited
            {
                all.extend(confs.iter().cloned());
                return;
            }
        }
    }
    found.extend(stale);
}

fn edited(source: &Source, entry: &Entry) -> Option<Stale> {
    let path = &source.path;
    if entry.inputs == source.inputs {
        return None;
    }
    if entry.inputs.is_empty() {
        return Some(Stale::Never {
            source: path.clone(),
        });
    }
    let names: BTreeSet<&PathBuf> = source.inputs.keys().chain(entry.inputs.keys()).collect();
    let edited = names
        .into_iter()
        .filter(|name| source.inputs.get(*name) != entry.inputs.get(*name));
    Some(Stale::Edited {
        edited: edited.cloned().collect(),
        confs: entry.confs.keys().cloned().collect(),
    })
}

/// The compiled confs of a repo.
#[derive(Clone, Copy, Debug)]
pub struct Confs<'a> {
    /// The folder of `teams.json`.
    pub repo: &'a Path,
    /// The folder of the confs, relative to it.
    pub production: &'a str,
}

impl Confs<'_> {
    /// The confs of a source that are there, with digests. compile.py writes variable `v1` of
    /// `group_bys/team/file.py` to `group_bys/team/file.v1`.
    #[must_use]
    pub fn of(&self, source: &Path) -> BTreeMap<PathBuf, String> {
        let stem = source.with_extension("");
        let mut parts = stem.iter().map(|part| part.to_string_lossy().into_owned());
        let (Some(folder), Some(team)) = (parts.next(), parts.next()) else {
            return BTreeMap::new();
        };
        let prefix: Vec<String> = parts.collect();
        let prefix = format!("{}.", prefix.join("."));
        let folder = Path::new(self.production).join(folder).join(team);
        let Ok(entries) = fs::read_dir(self.repo.join(&folder)) else {
            return BTreeMap::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let own = names.filter(|name| {
            name.strip_prefix(&prefix)
                .is_some_and(|variable| !variable.is_empty() && !variable.contains('.'))
        });
        let found = own.filter_map(|name| {
            let path = folder.join(name);
            let bytes = fs::read(self.repo.join(&path)).ok()?;
            Some((path, digest(&bytes)))
        });
        found.collect()
    }

    /// Every conf that is there, with its digest.
    #[must_use]
    pub fn all(&self) -> BTreeMap<PathBuf, String> {
        let folders = ["staging_queries", "group_bys", "joins"];
        let files = folders.into_iter().flat_map(|folder| self.files(folder));
        let digests = files.map(|(path, bytes)| (path, digest(&bytes)));
        digests.collect()
    }

    /// The joins that name a share of their requests to be logged.
    #[must_use]
    pub fn sampled(&self) -> BTreeSet<PathBuf> {
        let joins = self.files("joins").into_iter();
        let sampled = joins.filter(|(_, bytes)| {
            let conf: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
            let share = conf.and_then(|conf| conf.pointer("/metaData/samplePercent")?.as_f64());
            share.is_some_and(|share| share > 0.0)
        });
        sampled.map(|(path, _)| path).collect()
    }

    /// Whether a join has a part with the GroupBy `name`.
    pub(crate) fn embeds(&self, name: &str) -> bool {
        self.files("joins").iter().any(|(_, bytes)| {
            let conf: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
            let parts = conf.and_then(|conf| conf.get("joinParts")?.as_array().cloned());
            let named = |part: &serde_json::Value| {
                part.pointer("/groupBy/metaData/name")
                    .and_then(|name| name.as_str())
                    == Some(name)
            };
            parts.is_some_and(|parts| parts.iter().any(named))
        })
    }

    /// The files right below the teams of a folder of confs, with their bytes.
    fn files(&self, folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = Path::new(self.production).join(folder);
        let names = |folder: &Path| {
            let entries = fs::read_dir(self.repo.join(folder)).into_iter().flatten();
            let names: Vec<_> = entries
                .filter_map(|entry| Some(entry.ok()?.file_name()))
                .collect();
            names
        };
        let teams = names(&folder).into_iter().map(|team| folder.join(team));
        let files =
            teams.flat_map(|team| names(&team).into_iter().map(move |name| team.join(name)));
        let read =
            files.filter_map(|path| Some((path.clone(), fs::read(self.repo.join(path)).ok()?)));
        read.collect()
    }

    /// Whether all of these are there with these digests.
    fn are(&self, recorded: &BTreeMap<PathBuf, String>) -> bool {
        recorded.iter().all(|(path, recorded)| {
            fs::read(self.repo.join(path)).is_ok_and(|bytes| digest(&bytes) == *recorded)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "group_bys/shop/a.py";
    const CONF: &str = "production/group_bys/shop/a.v1";

    struct Repo(tempfile::TempDir);

    impl Repo {
        fn new() -> Self {
            let repo = Self(tempfile::tempdir().unwrap());
            repo.write(SOURCE, "v1 = 1");
            repo.write(CONF, "{}");
            repo
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn confs(&self) -> Confs<'_> {
            Confs {
                repo: self.0.path(),
                production: "production",
            }
        }

        fn sources(&self) -> Sources {
            Sources::read(self.0.path()).unwrap()
        }

        fn compiled(&self) -> Record {
            let mut record = Record::default();
            record.compiled(&self.sources().all[0], &self.confs());
            record
        }
    }

    #[test]
    fn an_edit_is_known_until_the_source_is_compiled() {
        let repo = Repo::new();
        let mut record = repo.compiled();
        assert!(record.changed(&repo.sources(), &repo.confs()).is_empty());
        repo.write(SOURCE, "v1 = 2");
        let stale = Stale::Edited {
            edited: vec![SOURCE.into()],
            confs: vec![CONF.into()],
        };
        assert_eq!(record.stale(&repo.sources(), &repo.confs()), [stale]);
        // A run that sees both together does not hide it.
        assert!(!record.see(&repo.sources(), &repo.confs()));
        record.compiled(&repo.sources().all[0], &repo.confs());
        assert!(record.stale(&repo.sources(), &repo.confs()).is_empty());
        // The same text again, written later, is no edit.
        repo.write(SOURCE, "v1 = 2");
        assert!(record.changed(&repo.sources(), &repo.confs()).is_empty());
    }

    #[test]
    fn confs_compiled_by_other_means_are_not_stale() {
        let repo = Repo::new();
        let mut record = repo.compiled();
        repo.write(SOURCE, "v1 = 2");
        repo.write(CONF, "{\"a\": 1}");
        assert!(record.stale(&repo.sources(), &repo.confs()).is_empty());
        assert!(record.see(&repo.sources(), &repo.confs()));
        repo.write(SOURCE, "v1 = 3");
        assert_eq!(record.stale(&repo.sources(), &repo.confs()).len(), 1);
        // Only compile.py's own work is trusted by `compile`.
        assert_eq!(record.changed(&repo.sources(), &repo.confs()).len(), 1);
    }

    #[test]
    fn a_failure_leaves_the_source_uncompiled() {
        let repo = Repo::new();
        let mut record = repo.compiled();
        repo.write(SOURCE, "v1 = broken");
        record.failed(&repo.sources().all[0], &repo.confs());
        assert_eq!(record.stale(&repo.sources(), &repo.confs()).len(), 1);
        assert_eq!(record.changed(&repo.sources(), &repo.confs()).len(), 1);
        // Back to what was compiled: it is not known whether the failure wrote anything.
        repo.write(SOURCE, "v1 = 1");
        assert_eq!(record.changed(&repo.sources(), &repo.confs()).len(), 1);
    }

    #[test]
    fn new_and_deleted_sources_are_known() {
        let repo = Repo::new();
        let mut record = repo.compiled();
        repo.write("joins/shop/b.py", "v1 = 1");
        let never = Stale::Never {
            source: "joins/shop/b.py".into(),
        };
        assert_eq!(record.stale(&repo.sources(), &repo.confs()), [never]);
        fs::remove_file(repo.0.path().join("joins/shop/b.py")).unwrap();
        fs::remove_file(repo.0.path().join(SOURCE)).unwrap();
        let gone = Stale::Gone {
            source: SOURCE.into(),
            confs: vec![CONF.into()],
        };
        assert_eq!(record.stale(&repo.sources(), &repo.confs()), [gone]);
        fs::remove_file(repo.0.path().join(CONF)).unwrap();
        record.forget_gone(&repo.confs());
        assert_eq!(record, Record::default());
    }

    #[test]
    fn the_confs_of_a_source_are_those_that_compile_py_writes_for_it() {
        let repo = Repo::new();
        repo.write("production/group_bys/shop/a.sub.v1", "{}");
        repo.write("production/group_bys/shop/ab.v1", "{}");
        let of = |source: &str| {
            repo.confs()
                .of(Path::new(source))
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(of(SOURCE), [PathBuf::from(CONF)]);
        assert_eq!(
            of("group_bys/shop/a/sub.py"),
            [PathBuf::from("production/group_bys/shop/a.sub.v1")]
        );
    }
}
