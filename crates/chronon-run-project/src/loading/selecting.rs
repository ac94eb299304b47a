//! The selectors of the command line.

use std::{collections::BTreeSet, env, path::Path};

use chronon_run_core::AssetId;
use chronon_run_plan::{AssetIndex, Selection, States};
use chronon_run_workspace::Workspace;

use crate::{
    failure::Failure,
    loading::{
        naming::{named, not_one},
        project::Project,
    },
    options::SelectArgs,
    planning::prepared as planning,
};

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

impl Project {
    /// The selected assets. With `every_mode` no selector selects all, uploads and apps included.
    pub fn select(
        &self,
        args: &SelectArgs,
        every_mode: bool,
    ) -> Result<BTreeSet<AssetIndex>, Failure> {
        let target = self.target.as_ref();
        if let Some(found) = target.and_then(|target| target.selected(args, &self.graph)) {
            return Ok(found);
        }
        let selection = selection(args, &self.workspace)?;
        let states = match selection.asks_for_state() {
            Some(_) => planning::states(self)?,
            None => States::default(),
        };
        self.warn_of_idle_excludes(&selection);
        let resolved = selection.resolve_with(&self.graph, every_mode, &states);
        resolved.map_err(|error| {
            let mut meant = self.meant_left_out(&selection);
            match meant.next().filter(|_| !selection.is_everything()) {
                Some((path, why)) => Failure::hinted(
                    format!("{} has errors: {why}", path.display()),
                    "`chronon-run check` shows them",
                ),
                None => bad_selection(error),
            }
        })
    }

    /// The asset of this id, or the only offline table of the conf of this name. An id need not be
    /// in the graph: what a deleted conf once ran is still history.
    pub fn asset_named(&self, name: &str) -> Result<AssetId, Failure> {
        named(name)?;
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        let select = SelectArgs {
            select: vec![name.to_owned()],
            ..SelectArgs::default()
        };
        let found = self.select(&select, false)?;
        let found = found.iter().map(|&index| &self.graph.assets[index].id);
        match found.collect::<Vec<_>>().as_slice() {
            [only] => Ok((*only).clone()),
            several => Err(not_one(name, "asset", several)),
        }
    }

    /// Where the asset is in the graph.
    pub fn index_of(&self, asset: &AssetId) -> Result<AssetIndex, Failure> {
        self.graph
            .find(asset)
            .ok_or_else(|| bad_selection(format!("there is no asset `{asset}`")))
    }
}

/// A selector that means nothing, with where to look.
fn bad_selection(error: impl ToString) -> Failure {
    Failure::hinted(error, "`chronon-run ls` lists the assets")
}
