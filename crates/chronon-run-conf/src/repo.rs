//! Reads a whole Chronon repo: every compiled conf, in parallel, and `teams.json`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use chronon_run_core::{BYTE_ORDER_MARK, ConfType, Diagnostic, Location, is_stray};
use rayon::prelude::*;
use serde::de::DeserializeOwned;

use crate::{
    json::parse,
    model::{GroupBy, Join, MetaData, StagingQuery},
    teams::Teams,
};

/// A conf and the file it comes from.
#[derive(Clone, PartialEq, Debug)]
pub struct ConfFile<T> {
    /// Relative to the repo root, as run.py is given it: `production/joins/team/file`.
    pub path: PathBuf,
    /// Digest of the file's bytes: equal for equal files.
    pub digest: String,
    /// The file's text; spans of diagnostics point into it.
    pub text: String,
    /// The conf.
    pub conf: T,
}

/// Everything compiled of one Chronon repo, by `metaData.name`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ConfRepo {
    /// `production/group_bys`.
    pub group_bys: BTreeMap<String, ConfFile<GroupBy>>,
    /// `production/joins`.
    pub joins: BTreeMap<String, ConfFile<Join>>,
    /// `production/staging_queries`.
    pub staging_queries: BTreeMap<String, ConfFile<StagingQuery>>,
    /// `teams.json`.
    pub teams: Teams,
}

/// A repo, as far as it could be read, and what could not be.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Loaded {
    /// Every conf that could be read.
    pub repo: ConfRepo,
    /// What is wrong, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
}

impl ConfRepo {
    /// Reads `<root>/teams.json` and every file below `<root>/<production>/{group_bys, joins,
    /// staging_queries}`; hidden files are skipped (§1.1).
    ///
    /// Whatever cannot be read becomes a diagnostic; the rest is still there.
    #[must_use]
    pub fn load(root: &Path, production: &str) -> Loaded {
        let mut loaded = Loaded::default();
        let (teams, findings) = Teams::load(&root.join("teams.json"));
        loaded.repo.teams = teams;
        loaded.diagnostics.extend(findings);
        let folder = root.join(production);
        if !folder.is_dir() {
            loaded.diagnostics.push(
                Diagnostic::error("no-production", "there are no compiled confs here")
                    .at(Location::file(&folder))
                    .hint("compile the repo with Chronon's compile.py, or set `repo` and `production` in workspace.toml"),
            );
            return loaded;
        }
        let mut reader = Reader {
            root,
            production,
            diagnostics: Vec::new(),
        };
        loaded.repo.group_bys = reader.read(ConfType::GroupBy, |conf: &GroupBy| &conf.meta_data);
        loaded.repo.joins = reader.read(ConfType::Join, |conf: &Join| &conf.meta_data);
        loaded.repo.staging_queries = reader.read(ConfType::StagingQuery, |conf: &StagingQuery| {
            &conf.meta_data
        });
        loaded.diagnostics.extend(reader.diagnostics);
        loaded
    }
}

struct Reader<'a> {
    root: &'a Path,
    production: &'a str,
    diagnostics: Vec<Diagnostic>,
}

/// `work` for each of `items`, in parallel where the system allows threads (`ulimit -u`).
fn each<I: Send, T: Send>(items: Vec<I>, work: impl Fn(I) -> T + Send + Sync) -> Vec<T> {
    match rayon::ThreadPoolBuilder::new().build() {
        Ok(pool) => pool.install(|| items.into_par_iter().map(work).collect()),
        Err(_) => items.into_iter().map(work).collect(),
    }
}

impl Reader<'_> {
    /// Every conf of one type, by name.
    fn read<T: DeserializeOwned + Send>(
        &mut self,
        conf_type: ConfType,
        meta: fn(&T) -> &MetaData,
    ) -> BTreeMap<String, ConfFile<T>> {
        let relative = Path::new(self.production).join(conf_type.folder());
        let mut walk = Walk::new(self.root);
        walk.folder(&relative);
        self.diagnostics.append(&mut walk.diagnostics);
        let mut paths = walk.paths;
        paths.sort();
        let read: Vec<Result<ConfFile<T>, Diagnostic>> =
            each(paths, |path| read_file(self.root, path));
        let mut found: BTreeMap<String, Vec<ConfFile<T>>> = BTreeMap::new();
        for file in read {
            match file.and_then(|file| self.named(file, meta)) {
                Ok(file) => {
                    let name = meta(&file.conf).name.clone();
                    found.entry(name).or_default().push(file);
                }
                Err(diagnostic) => self.diagnostics.push(diagnostic),
            }
        }
        let only = found.into_iter().filter_map(|(name, files)| {
            let file = self.one_of(&name, files, meta)?;
            Some((name, file))
        });
        only.collect()
    }

    /// Of several files with one name, the one that lies where the compiler writes it; none, if that
    /// cannot be told.
    fn one_of<T>(
        &mut self,
        name: &str,
        mut files: Vec<ConfFile<T>>,
        meta: fn(&T) -> &MetaData,
    ) -> Option<ConfFile<T>> {
        if files.len() < 2 {
            return files.pop();
        }
        let team = meta(&files[0].conf).team().to_owned();
        let file_name = name.strip_prefix(&format!("{team}.")).unwrap_or(name);
        let compiled = Path::new(&team).join(file_name);
        let place = files.iter().position(|file| file.path.ends_with(&compiled));
        let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        for (index, path) in paths.iter().enumerate() {
            if Some(index) != place {
                let other = place.unwrap_or(usize::from(index == 0));
                self.diagnostics.push(twice(name, path, &paths[other]));
            }
        }
        place.map(|place| files.swap_remove(place))
    }

    /// The file, if it has the name and team without which Chronon's own walkers skip it (§1.1).
    fn named<T>(
        &self,
        file: ConfFile<T>,
        meta: fn(&T) -> &MetaData,
    ) -> Result<ConfFile<T>, Diagnostic> {
        let found = meta(&file.conf);
        let missing = match (found.name.is_empty(), &found.team) {
            (true, _) => "name",
            (false, None) => "team",
            (false, Some(_)) => return Ok(file),
        };
        Err(Diagnostic::warning(
            "unnamed-conf",
            format!("this conf has no `metaData.{missing}` and is skipped"),
        )
        .at(Location::file(&file.path))
        .hint("compile it with Chronon's compile.py"))
    }
}

/// The files below a folder that may be confs, and what is wrong with others.
struct Walk<'a> {
    root: &'a Path,
    paths: Vec<PathBuf>,
    /// The folders that are being read, links resolved.
    above: Vec<PathBuf>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            paths: Vec::new(),
            above: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    fn folder(&mut self, relative: &Path) {
        let folder = self.root.join(relative);
        if fs::symlink_metadata(&folder).is_err() {
            return;
        }
        let resolved = match fs::canonicalize(&folder) {
            Ok(resolved) => resolved,
            Err(error) => return self.diagnostics.push(unreadable(relative, &error)),
        };
        if self.above.contains(&resolved) {
            let finding =
                Diagnostic::warning("stray-file", "a link to a folder above it is skipped");
            self.diagnostics.push(finding.at(Location::file(relative)));
            return;
        }
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => return self.diagnostics.push(unreadable(relative, &error)),
        };
        self.above.push(resolved);
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(relative, &entry),
                Err(error) => self.diagnostics.push(unreadable(relative, &error)),
            }
        }
        self.above.pop();
    }

    fn entry(&mut self, relative: &Path, entry: &fs::DirEntry) {
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        if shown.starts_with('.') {
            return;
        }
        let path = relative.join(&name);
        if is_stray(&shown) {
            let message = "this file is no compiled conf and is skipped";
            let finding = Diagnostic::warning("stray-file", message).at(Location::file(&path));
            return self
                .diagnostics
                .push(finding.hint("delete it, or move it elsewhere"));
        }
        match fs::metadata(entry.path()) {
            Ok(found) if found.is_dir() => self.folder(&path),
            Ok(found) if found.is_file() => self.paths.push(path),
            Ok(_) => {
                let message = "this is neither a file nor a folder and is skipped";
                let finding = Diagnostic::warning("stray-file", message);
                self.diagnostics.push(finding.at(Location::file(&path)));
            }
            Err(error) => self.diagnostics.push(unreadable(&path, &error)),
        }
    }
}

fn read_file<T: DeserializeOwned>(root: &Path, path: PathBuf) -> Result<ConfFile<T>, Diagnostic> {
    let bytes = fs::read(root.join(&path)).map_err(|error| unreadable(&path, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Diagnostic::error("bad-conf", "the file is not UTF-8 text")
            .at(Location::bytes(&path, at..at))
            .hint(RECOMPILE)
    })?;
    // Editors of Windows write a byte order mark.
    let text = text.trim_start_matches(BYTE_ORDER_MARK).to_owned();
    match parse(&text) {
        Ok(conf) => Ok(ConfFile {
            digest: digest(&text),
            path,
            text,
            conf,
        }),
        Err((message, at)) => Err(Diagnostic::error("bad-conf", message)
            .at(Location::bytes(&path, at..at))
            .hint(RECOMPILE)),
    }
}

const RECOMPILE: &str =
    "compile the conf again with Chronon's compile.py; compiled files are not edited by hand";

/// 64-bit FNV-1a: only equality matters, and it must be the same on every machine.
pub(crate) fn digest(text: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::error("unreadable", format!("cannot read it: {error}")).at(Location::file(path))
}

fn twice(name: &str, path: &Path, other: &Path) -> Diagnostic {
    Diagnostic::error(
        "duplicate-name",
        format!("`{name}` is also the name of {}", other.display()),
    )
    .at(Location::file(path))
    .hint("`metaData.name` must be unique; delete the stale file")
}
