//! What the state folder knows of the Python sources: which confs are older than theirs.

use std::{env, path::PathBuf};

use chronon_run_compile::{Confs, Environment, Record, Sources, Stale};
use chronon_run_core::{Diagnostic, Location};
use chronon_run_workspace::Workspace;

use crate::{loading::located::shortened, output::note};

/// How many stale sources are named where the command is about something else.
const SHOWN: usize = 5;

/// The compiled confs of the workspace.
pub fn confs(workspace: &Workspace) -> Confs<'_> {
    Confs {
        repo: &workspace.repo,
        production: &workspace.production,
    }
}

/// Where an interpreter with chronon-ai is looked for.
pub fn spark_environment(workspace: &Workspace) -> Environment {
    Environment {
        named: workspace.python.clone(),
        active: env::var_os("VIRTUAL_ENV").map(PathBuf::from),
        folders: vec![workspace.repo.clone(), workspace.root.clone()],
        path: env::var_os("PATH"),
    }
}

/// Findings about confs that are older than their source.
pub fn stale(workspace: &Workspace) -> Vec<Diagnostic> {
    let found = found(workspace);
    let findings = found.iter().map(Stale::finding);
    findings.map(|finding| placed(finding, workspace)).collect()
}

/// The same finding, its path as the user would type it.
pub fn placed(mut finding: Diagnostic, workspace: &Workspace) -> Diagnostic {
    if let Some(Location { path, .. }) = &mut finding.location {
        *path = workspace.repo.join(&*path);
    }
    shortened(finding)
}

/// Notes confs that are older than their source: what follows is about the earlier source.
pub fn tell_stale(workspace: &Workspace) {
    tell(&found(workspace));
}

/// The same, and puts down which sources and confs a run has seen together. A record that cannot be
/// written does not fail the run.
pub fn tell_stale_and_see(workspace: &Workspace) {
    let mut record = Record::load(&workspace.state_dir);
    let sources = Sources::read(&workspace.repo).ok();
    tell(&stale_of(&record, workspace, || {
        sources.clone().unwrap_or_default()
    }));
    if sources.is_some_and(|sources| record.see(&sources, &confs(workspace))) {
        let _ = record.save(&workspace.state_dir);
    }
}

fn tell(found: &[Stale]) {
    for stale in found.iter().take(SHOWN) {
        note(&format!("note: {}", stale.finding().message));
    }
    match found.len() {
        0 => {}
        few if few <= SHOWN => note("hint: `chronon-run compile` compiles what was edited"),
        many => note(&format!(
            "hint: and {} more; `chronon-run compile` compiles what was edited",
            many - SHOWN
        )),
    }
}

fn found(workspace: &Workspace) -> Vec<Stale> {
    let record = Record::load(&workspace.state_dir);
    stale_of(&record, workspace, || {
        Sources::read(&workspace.repo).unwrap_or_default()
    })
}

/// Where nothing is recorded yet, no source is read.
fn stale_of(
    record: &Record,
    workspace: &Workspace,
    sources: impl FnOnce() -> Sources,
) -> Vec<Stale> {
    match *record == Record::default() {
        true => Vec::new(),
        false => record.stale(&sources(), &confs(workspace)),
    }
}
