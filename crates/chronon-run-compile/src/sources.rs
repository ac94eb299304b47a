//! Every Python file that may define confs, with everything of the repo that it is made of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::imports::{files_of, imported, module_of};

/// The folders of confs, in the order in which they are compiled.
const FOLDERS: [&str; 3] = ["staging_queries", "group_bys", "joins"];
/// It is part of every conf.
const TEAMS: &str = "teams.json";

/// One Python file that may define confs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// Relative to the repo.
    pub path: PathBuf,
    /// The files that its confs are made of, itself, its imports within the repo and `teams.json`,
    /// with a digest of the content of each.
    pub inputs: BTreeMap<PathBuf, String>,
}

/// The Python sources of a repo, imported ones before those that import them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    /// The sources.
    pub all: Vec<Source>,
}

impl Sources {
    /// Reads the sources below `repo`. Files without text are left out.
    ///
    /// # Errors
    /// An [`io::Error`] if a file or folder cannot be read.
    pub fn read(repo: &Path) -> io::Result<Self> {
        let mut reader = Reader {
            repo,
            files: BTreeMap::new(),
        };
        let mut paths = Vec::new();
        for folder in FOLDERS {
            // A file right in the folder has no team.
            for team in entries(&repo.join(folder))? {
                if team.is_dir() {
                    python_files(&team, &mut paths)?;
                }
            }
        }
        let relative = paths.iter().filter_map(|path| path.strip_prefix(repo).ok());
        let mut ordered = Vec::new();
        let mut seen = BTreeSet::new();
        let relative: Vec<PathBuf> = relative.map(Path::to_owned).collect();
        for path in &relative {
            reader.after_its_imports(path, &mut seen, &mut ordered)?;
        }
        let wanted: BTreeSet<&PathBuf> = relative.iter().collect();
        let ordered = ordered.into_iter().filter(|path| wanted.contains(path));
        let mut all = Vec::new();
        for path in ordered {
            let inputs = reader.inputs(&path)?;
            if reader.file(&path)?.is_some_and(|file| !file.blank) {
                all.push(Source { path, inputs });
            }
        }
        Ok(Self { all })
    }

    /// The source at `path`, relative to the repo.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Source> {
        self.all.iter().find(|source| source.path == path)
    }
}

/// The digest of some bytes, as in the record.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

struct File {
    digest: String,
    blank: bool,
    /// The files of the repo that it imports.
    imports: Vec<PathBuf>,
}

struct Reader<'a> {
    repo: &'a Path,
    /// `None` is a file that is not there.
    files: BTreeMap<PathBuf, Option<File>>,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path) -> io::Result<Option<&File>> {
        if !self.files.contains_key(path) {
            let read = match fs::read(self.repo.join(path)) {
                Ok(bytes) => Some(self.parsed(path, &bytes)),
                Err(error) if is_absent(&error) => None,
                Err(error) => {
                    return Err(io::Error::new(
                        error.kind(),
                        format!("{}: {error}", path.display()),
                    ));
                }
            };
            self.files.insert(path.to_owned(), read);
        }
        Ok(self.files.get(path).and_then(Option::as_ref))
    }

    fn parsed(&self, path: &Path, bytes: &[u8]) -> File {
        let text = String::from_utf8_lossy(bytes);
        let (module, package) = module_of(path);
        let modules = imported(&text, &module, package);
        // Importing `a.b.c` runs the packages `a` and `a.b`, too.
        let parents = path
            .ancestors()
            .skip(1)
            .map(|folder| folder.join("__init__.py"));
        let named = modules.iter().flat_map(|module| files_of(module));
        let there = |file: &PathBuf| file != path && self.repo.join(file).is_file();
        let imports: BTreeSet<PathBuf> = named.chain(parents).filter(there).collect();
        File {
            digest: digest(bytes),
            blank: text.trim().is_empty(),
            imports: imports.into_iter().collect(),
        }
    }

    fn imports_of(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let file = self.file(path)?;
        Ok(file.map(|file| file.imports.clone()).unwrap_or_default())
    }

    /// Puts `path` behind everything that it imports; files that import each other in any order.
    fn after_its_imports(
        &mut self,
        path: &Path,
        seen: &mut BTreeSet<PathBuf>,
        ordered: &mut Vec<PathBuf>,
    ) -> io::Result<()> {
        let mut stack = vec![(path.to_owned(), false)];
        while let Some((path, imports_done)) = stack.pop() {
            if imports_done {
                ordered.push(path);
            } else if seen.insert(path.clone()) {
                stack.push((path.clone(), true));
                let imports = self.imports_of(&path)?;
                stack.extend(imports.into_iter().rev().map(|file| (file, false)));
            }
        }
        Ok(())
    }

    fn inputs(&mut self, path: &Path) -> io::Result<BTreeMap<PathBuf, String>> {
        let mut inputs = BTreeMap::new();
        let mut waiting = vec![path.to_owned(), PathBuf::from(TEAMS)];
        while let Some(path) = waiting.pop() {
            if inputs.contains_key(&path) {
                continue;
            }
            if let Some(file) = self.file(&path)? {
                waiting.extend(file.imports.iter().cloned());
                inputs.insert(path, file.digest.clone());
            }
        }
        Ok(inputs)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What is in a folder, sorted; nothing if it is not there. Hidden entries are left out.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => {
            return Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", folder.display()),
            ));
        }
    };
    let mut paths = Vec::new();
    for entry in read {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with('.') && name != "__pycache__" {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn python_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for path in entries(folder)? {
        // A link to a folder may lead back; a link to a file is read.
        let link = fs::symlink_metadata(&path).is_ok_and(|data| data.is_symlink());
        if path.is_dir() {
            if !link {
                python_files(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "py") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_source_depends_on_everything_that_it_imports_and_comes_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "teams.json", "{}");
        write(root, "lib/common.py", "X = 1");
        write(root, "group_bys/__init__.py", "");
        write(
            root,
            "group_bys/shop/a.py",
            "from lib.common import X\nfrom joins.shop import chained",
        );
        write(root, "group_bys/shop/b.py", "import os");
        write(
            root,
            "joins/shop/chained.py",
            "from group_bys.shop import b",
        );
        write(root, "joins/shop/__init__.py", "  \n");
        write(root, "joins/no_team.py", "x = 1");
        let sources = Sources::read(root).unwrap();
        let paths: Vec<&str> = sources
            .all
            .iter()
            .map(|s| s.path.to_str().unwrap())
            .collect();
        assert_eq!(
            paths,
            [
                "group_bys/shop/b.py",
                "joins/shop/chained.py",
                "group_bys/shop/a.py"
            ]
        );
        let inputs: Vec<&str> = sources.all[2]
            .inputs
            .keys()
            .map(|p| p.to_str().unwrap())
            .collect();
        let expected = [
            "group_bys/__init__.py",
            "group_bys/shop/a.py",
            "group_bys/shop/b.py",
            "joins/shop/__init__.py",
            "joins/shop/chained.py",
            "lib/common.py",
            "teams.json",
        ];
        assert_eq!(inputs, expected);
    }

    #[test]
    fn files_that_import_each_other_are_read() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "joins/t/a.py", "from joins.t import b");
        write(folder.path(), "joins/t/b.py", "from joins.t import a");
        let sources = Sources::read(folder.path()).unwrap();
        assert_eq!(sources.all.len(), 2);
        assert_eq!(sources.all[0].inputs, sources.all[1].inputs);
    }
}
