//! Runs compile.py for some sources.

use std::path::{Path, PathBuf};

use chronon_run_core::CommandLine;
use chronon_run_process::{Exit, Helper, HelperError};

use crate::{
    Python,
    outcome::{Outcome, Told},
};

const DRIVER: &str = include_str!("driver.py");
/// What the driver's own lines begin with.
const MARK: &str = "@@chronon-run ";

/// What is to be compiled.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The folder of `teams.json`, absolute.
    pub repo: &'a Path,
    /// The folder of the confs, relative to `repo`.
    pub production: &'a str,
    /// Whether confs that are online are overwritten, and confs written that compile.py would skip
    /// (`--force-overwrite`).
    pub force: bool,
    /// The sources, relative to `repo`, imported ones first.
    pub sources: &'a [PathBuf],
}

/// Why compile.py could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The interpreter was not started, or was ended.
    #[error("cannot run compile.py: {0}")]
    Helper(#[from] HelperError),
    /// The interpreter ended before all sources were compiled.
    #[error("compile.py ended ({exit}) before {source} was compiled: {last}", source = .source_path.display())]
    Ended {
        /// How.
        exit: String,
        /// The first source that was not compiled.
        source_path: PathBuf,
        /// Its last line.
        last: String,
    },
}

/// Compiles the sources, each in a process of its own.
///
/// # Errors
/// [`CompileError`] if not every source was tried; what went wrong with a source is in its outcome.
pub fn compile(python: &Python, job: &Job<'_>) -> Result<Vec<Outcome>, CompileError> {
    let (exit, printed) = Helper::new(&command(python, job)).output()?;
    let told = printed.lines().filter_map(|line| line.strip_prefix(MARK));
    let told = told.filter_map(|line| serde_json::from_str::<Told>(line).ok());
    let outcomes: Vec<Outcome> = told.map(|told| Outcome::new(told, job.repo)).collect();
    match job.sources.get(outcomes.len()) {
        None => Ok(outcomes),
        Some(next) => Err(ended(&exit, next, &printed)),
    }
}

fn ended(exit: &Exit, next: &Path, printed: &str) -> CompileError {
    let mut lines = printed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    CompileError::Ended {
        exit: exit.to_string(),
        source_path: next.to_owned(),
        last: lines.next_back().unwrap_or("it printed nothing").to_owned(),
    }
}

fn command(python: &Python, job: &Job<'_>) -> CommandLine {
    let repo = job.repo.to_string_lossy().into_owned();
    let mut argv = python.argv.clone();
    let force = if job.force { "1" } else { "0" };
    argv.extend(["-c", DRIVER, &repo, job.production, force].map(str::to_owned));
    let sources = job.sources.iter();
    argv.extend(sources.map(|path| path.to_string_lossy().into_owned()));
    let set = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
    CommandLine {
        argv,
        env: vec![
            set("PYTHONDONTWRITEBYTECODE", "1"),
            set("PYTHONIOENCODING", "utf-8"),
            // It would win over the repo.
            ("CHRONON_ROOT".to_owned(), None),
        ],
        cwd: Some(job.repo.to_owned()),
    }
}
