//! The files that define an asset: its compiled conf, and the Python source of that.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use chronon_run_core::{ConfType, secret::mask_text};
use chronon_run_plan::Asset;

use super::project::Project;

/// The longest file that is read.
const LONGEST: u64 = 1 << 20;

/// The files that define an asset, with secrets masked.
pub struct Definition {
    /// The compiled conf; empty if it cannot be read.
    pub conf: String,
    /// The Python file that it was compiled from, relative to the repo, with its text, if it is there.
    pub python: Option<(PathBuf, String)>,
}

impl Definition {
    /// Reads them.
    #[must_use]
    pub fn of(project: &Project, asset: &Asset) -> Self {
        let repo = &project.workspace.repo;
        let conf = read_below(repo, &asset.path);
        let python = python(&asset.id.conf.name, asset.id.conf.conf_type);
        Self {
            conf: mask_text(&conf.unwrap_or_default()),
            python: python.and_then(|path| {
                let text = read_below(repo, &path)?;
                Some((path, mask_text(&text)))
            }),
        }
    }
}

/// The file from which a conf of this name was compiled: `team.file.variable` is in `<type>/team/file.py`.
fn python(name: &str, conf_type: ConfType) -> Option<PathBuf> {
    let (file, _) = name.rsplit_once('.')?;
    Some(Path::new(conf_type.folder()).join(format!("{}.py", file.replace('.', "/"))))
}

/// A file of the repo. Names with `..` and links that lead out of the repo are not followed.
fn read_below(repo: &Path, path: &Path) -> Option<String> {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let repo = repo.canonicalize().ok()?;
    let file = repo.join(path).canonicalize().ok()?;
    let short = fs::metadata(&file).ok()?.len() <= LONGEST;
    let text = (plain && short && file.starts_with(&repo)).then(|| fs::read(&file).ok())??;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_repo_are_definitions() {
        let folder = tempfile::tempdir().unwrap();
        let repo = folder.path().join("repo");
        fs::create_dir_all(repo.join("joins")).unwrap();
        fs::write(folder.path().join("secret.py"), "secret").unwrap();
        fs::write(repo.join("joins/a.py"), "a = 1").unwrap();
        std::os::unix::fs::symlink("../../secret.py", repo.join("joins/b.py")).unwrap();
        let read = |name: &str| read_below(&repo, &python(name, ConfType::Join).unwrap());
        assert_eq!(read("a.v1").as_deref(), Some("a = 1"));
        assert_eq!(read("b.v1"), None);
        assert_eq!(read("../../secret.v1"), None);
        assert_eq!(read_below(&repo, Path::new("../secret.py")), None);
    }
}
