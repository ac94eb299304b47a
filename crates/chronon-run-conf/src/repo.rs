//! Reads a whole Chronon repo: every compiled conf, in parallel, and `teams.json`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use chronon_run_core::{ConfType, Diagnostic, Location};
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

impl Reader<'_> {
    /// Every conf of one type, by name.
    fn read<T: DeserializeOwned + Send>(
        &mut self,
        conf_type: ConfType,
        meta: fn(&T) -> &MetaData,
    ) -> BTreeMap<String, ConfFile<T>> {
        let relative = Path::new(self.production).join(conf_type.folder());
        let mut paths = Vec::new();
        if let Err(error) = walk(self.root, &relative, &mut paths) {
            self.diagnostics.push(unreadable(&relative, &error));
        }
        paths.sort();
        let read: Vec<Result<ConfFile<T>, Diagnostic>> = paths
            .into_par_iter()
            .map(|path| read_file(self.root, path))
            .collect();
        let mut found: BTreeMap<String, ConfFile<T>> = BTreeMap::new();
        for file in read {
            match file.and_then(|file| self.named(file, meta)) {
                Ok(file) => {
                    let name = meta(&file.conf).name.clone();
                    if let Some(other) = found.get(&name) {
                        self.diagnostics.push(twice(&name, &file.path, &other.path));
                    } else {
                        found.insert(name, file);
                    }
                }
                Err(diagnostic) => self.diagnostics.push(diagnostic),
            }
        }
        found
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

fn walk(root: &Path, relative: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    let folder = root.join(relative);
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        let path = relative.join(&name);
        if entry.path().is_dir() {
            walk(root, &path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

fn read_file<T: DeserializeOwned>(root: &Path, path: PathBuf) -> Result<ConfFile<T>, Diagnostic> {
    let bytes = fs::read(root.join(&path)).map_err(|error| unreadable(&path, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Diagnostic::error("bad-conf", "the file is not UTF-8 text")
            .at(Location::bytes(&path, at..at))
            .hint(RECOMPILE)
    })?;
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
fn digest(text: &str) -> String {
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
