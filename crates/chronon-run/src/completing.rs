//! Words that a shell completes: names of assets, ids of runs, targets. What cannot be read completes nothing.

use std::{collections::BTreeSet, ffi::OsStr};

use clap::Command;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use chronon_run_project::loading::project::Project;

/// Arguments of [`SelectArgs`](chronon_run_project::options::SelectArgs), which several commands share.
const SELECTORS: [&str; 3] = ["selectors", "select", "exclude"];

/// The command with names of assets where it takes selectors.
pub(crate) fn with_selectors(command: Command) -> Command {
    let command = command.mut_args(|arg| match SELECTORS.contains(&arg.get_id().as_str()) {
        true => arg.add(assets()),
        false => arg,
    });
    command.mut_subcommands(with_selectors)
}

/// Runs that are offered, the newest first.
const RUNS: u32 = 50;

/// Names and ids of assets, also after a `+`, and of tables.
pub(crate) fn assets() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let typed = current.to_string_lossy();
        let prefix = match typed.starts_with('+') {
            true => "+",
            false => "",
        };
        starting(
            &typed,
            asset_names()
                .into_iter()
                .map(|name| format!("{prefix}{name}")),
        )
    })
}

/// Ids of the last runs.
pub(crate) fn runs() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let context = Project::load_quietly().ok();
        let ledger = context.and_then(|(context, _)| context.existing_ledger());
        let runs = ledger
            .map(|mut ledger| ledger.runs(RUNS))
            .unwrap_or_default();
        starting(
            &current.to_string_lossy(),
            runs.into_iter().map(|run| run.run),
        )
    })
}

/// Names of targets.
pub(crate) fn targets() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let context = Project::load_quietly().ok();
        let targets = context.map(|(context, _)| context.workspace.targets);
        let names = targets.unwrap_or_default().into_keys();
        starting(&current.to_string_lossy(), names)
    })
}

fn starting(typed: &str, words: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let fitting = words.filter(|word| word.starts_with(typed));
    fitting.map(CompletionCandidate::new).collect()
}

/// Names of confs first; the id of an asset is offered once it is begun.
fn asset_names() -> BTreeSet<String> {
    let Ok((context, _)) = Project::load_quietly() else {
        return BTreeSet::new();
    };
    let assets = context.graph.assets.iter();
    let words = assets.flat_map(|asset| {
        let name = asset.id.conf.name.clone();
        [name, asset.id.to_string(), asset.table.to_string()]
    });
    words.collect()
}
