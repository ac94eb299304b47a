//! Finds an interpreter that has chronon-ai.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use chronon_run_core::CommandLine;
use chronon_run_process::Helper;

/// The requirement that is installed where nothing else is said; its compile.py is the one that is
/// tested.
pub const CHRONON_AI: &str = "chronon-ai==0.0.115";
/// What an interpreter is asked: the version, if its compile.py can be imported.
const QUESTION: &str = "import ai.chronon.repo.compile
try:
    from importlib.metadata import version
    print('@@version', version('chronon-ai'))
except Exception:
    print('@@version unknown')";
/// It may have to fetch the package.
const LIMIT: Duration = Duration::from_secs(300);

/// An interpreter that has chronon-ai.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Python {
    /// How it is started.
    pub argv: Vec<String>,
    /// The version of chronon-ai.
    pub version: String,
}

/// Where an interpreter is looked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Environment {
    /// The one that `workspace.toml` names: an interpreter or the folder of a virtual environment.
    pub named: Option<PathBuf>,
    /// The virtual environment that is active.
    pub active: Option<PathBuf>,
    /// Folders that may hold `.venv` or `venv`.
    pub folders: Vec<PathBuf>,
    /// `$PATH`.
    pub path: Option<std::ffi::OsString>,
}

/// Why no interpreter was found.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// The named one has no chronon-ai.
    #[error("the interpreter `{python}` of workspace.toml cannot import chronon-ai: {why}")]
    Named {
        /// It.
        python: String,
        /// What it says.
        why: String,
    },
    /// There is none.
    #[error("no Python with chronon-ai was found; looked at {0}")]
    None(String),
}

impl Python {
    /// The named interpreter, else the first of: the active virtual environment, `.venv` and `venv` of
    /// the folders, `python3` on `PATH`, and a temporary environment of `uv`.
    ///
    /// # Errors
    /// [`PythonError`] if none can import chronon-ai, or the named one cannot.
    pub fn find(environment: &Environment) -> Result<Self, PythonError> {
        if let Some(named) = &environment.named {
            let argv = vec![interpreter(named).to_string_lossy().into_owned()];
            return asked(argv).map_err(|why| PythonError::Named {
                python: named.display().to_string(),
                why,
            });
        }
        let mut looked = Vec::new();
        for argv in environment.candidates() {
            let shown = argv.join(" ");
            match asked(argv) {
                Ok(found) => return Ok(found),
                Err(why) => looked.push(format!("`{shown}` ({why})")),
            }
        }
        if looked.is_empty() {
            looked.push(
                "the active virtual environment, .venv, venv, python3 and uv, and none is there"
                    .to_owned(),
            );
        }
        Err(PythonError::None(looked.join(", ")))
    }
}

impl Environment {
    fn candidates(&self) -> Vec<Vec<String>> {
        let of_folders = self.folders.iter();
        let venvs = of_folders.flat_map(|folder| [".venv", "venv"].map(|name| folder.join(name)));
        let venvs = self.active.iter().cloned().chain(venvs);
        let pythons = venvs.map(|venv| venv.join("bin/python"));
        let pythons = pythons.filter(|python| python.is_file());
        let on_path = self.on_path("python3");
        let pythons = pythons.chain(on_path);
        let mut found: Vec<Vec<String>> = Vec::new();
        for python in pythons {
            let argv = vec![python.to_string_lossy().into_owned()];
            if !found.contains(&argv) {
                found.push(argv);
            }
        }
        found.extend(self.on_path("uv").map(|uv| {
            let uv = uv.to_string_lossy().into_owned();
            let rest = [
                "run",
                "--quiet",
                "--no-project",
                "--with",
                CHRONON_AI,
                "python",
            ];
            std::iter::once(uv).chain(rest.map(str::to_owned)).collect()
        }));
        found
    }

    fn on_path(&self, program: &str) -> Option<PathBuf> {
        let folders = env::split_paths(self.path.as_ref()?);
        let mut files = folders.map(|folder| folder.join(program));
        files.find(|file| file.is_file())
    }
}

fn interpreter(named: &Path) -> PathBuf {
    match named.is_dir() {
        true => named.join("bin/python"),
        false => named.to_owned(),
    }
}

/// What the interpreter answers, or why it cannot.
fn asked(argv: Vec<String>) -> Result<Python, String> {
    let mut command = CommandLine {
        argv: argv.clone(),
        ..CommandLine::default()
    };
    command.argv.extend(["-c", QUESTION].map(str::to_owned));
    command
        .env
        .push(("PYTHONDONTWRITEBYTECODE".to_owned(), Some("1".to_owned())));
    let asked = Helper::new(&command).limit(LIMIT).output();
    let (_, printed) = asked.map_err(|error| error.to_string())?;
    let version = printed
        .lines()
        .find_map(|line| line.strip_prefix("@@version "));
    match version {
        Some(version) => Ok(Python {
            argv,
            version: version.trim().to_owned(),
        }),
        None => {
            let mut lines = printed
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty());
            Err(lines.next_back().unwrap_or("it printed nothing").to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn program(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_first_interpreter_with_chronon_ai_is_taken_and_uv_last() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        program(
            &at("repo/.venv/bin/python"),
            "echo No module named ai >&2; exit 1",
        );
        program(&at("bin/python3"), "exit 1");
        program(&at("bin/uv"), "echo @@version $5");
        let mut environment = Environment {
            folders: vec![at("repo")],
            path: Some(at("bin").into_os_string()),
            ..Environment::default()
        };
        let found = Python::find(&environment).unwrap();
        assert_eq!(found.version, CHRONON_AI);
        assert_eq!(found.argv[1..4], ["run", "--quiet", "--no-project"]);
        program(&at("active/bin/python"), "echo @@version 1");
        environment.active = Some(at("active"));
        assert_eq!(Python::find(&environment).unwrap().version, "1");
        environment.named = Some(at("repo/.venv"));
        let error = Python::find(&environment).unwrap_err().to_string();
        assert!(
            error.ends_with("cannot import chronon-ai: No module named ai"),
            "{error}"
        );
    }

    #[test]
    fn what_was_looked_at_is_named() {
        let folder = tempfile::tempdir().unwrap();
        program(&folder.path().join("python3"), "echo broken; exit 1");
        let path = Some(folder.path().as_os_str().to_owned());
        let error = Python::find(&Environment {
            path,
            ..Environment::default()
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains("python3` (broken)"), "{error}");
    }
}
