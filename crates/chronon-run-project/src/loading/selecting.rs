//! The selectors of the command line.

use std::{env, path::Path};

use chronon_run_plan::Selection;
use chronon_run_workspace::Workspace;

use crate::{failure::Failure, loading::project::bad_selection, options::SelectArgs};

/// What the arguments select.
pub fn selection(args: &SelectArgs, workspace: &Workspace) -> Result<Selection, Failure> {
    let here = |text: &String| {
        let words = text.split(' ').map(|word| in_repo(word, workspace));
        words.collect::<Vec<_>>().join(" ")
    };
    let include: Vec<String> = args
        .selectors
        .iter()
        .chain(&args.select)
        .map(here)
        .collect();
    let exclude: Vec<String> = args.exclude.iter().map(here).collect();
    Selection::parse(&include, &exclude).map_err(bad_selection)
}

/// A selector that is a path relative to the current directory, e.g. completed by a shell below the repo,
/// as a path relative to the repo; any other as it is.
fn in_repo(word: &str, workspace: &Workspace) -> String {
    let path = word.trim_matches('+');
    let found = || {
        let path = env::current_dir().ok()?.join(path).canonicalize().ok()?;
        let repo = workspace.repo.canonicalize().ok()?;
        let inside = path.strip_prefix(repo).ok()?.to_str()?.to_owned();
        let is_conf = Path::new(&inside).starts_with(&workspace.production);
        let folder = if path.is_dir() { "/" } else { "" };
        is_conf.then(|| word.replacen(word.trim_matches('+'), &format!("{inside}{folder}"), 1))
    };
    let plain = !path.is_empty() && !path.contains([':', ',', '*']);
    let found = plain.then(found).flatten();
    found.unwrap_or_else(|| word.to_owned())
}
