//! The partition format of all tables, which the Driver can be told and chronon-run does not support: every
//! output would be written in it, too.

use std::{collections::BTreeSet, env, fs, path::Path};

use chronon_run_conf::{ConfRepo, MetaData};
use chronon_run_core::{Diagnostic, Location};
use chronon_run_workspace::Workspace;

/// The Driver's property.
const PROPERTY: &str = "spark.chronon.partition.format";
/// The variable that `scripts/spark_submit.sh` takes it from (§2.4).
const VARIABLE: &str = "PARTITION_FORMAT";
/// What chronon-run reads and writes.
const SUPPORTED: &str = "yyyy-MM-dd";

/// Everything that sets another format: Spark properties of workspace.toml, the environment, teams.json,
/// `modeToEnvMap` of confs. A team's setting excludes the confs of the team.
pub fn findings(workspace: &Workspace, repo: &ConfRepo) -> Vec<Diagnostic> {
    let mut findings: Vec<Diagnostic> = of_workspace(workspace).into_iter().collect();
    if let Some(format) = env::var(VARIABLE).ok().filter(|format| is_other(format)) {
        let what = format!("the environment variable `{VARIABLE}`");
        findings.push(finding(&what, &format));
    }
    let default = repo.teams.variable("default", VARIABLE);
    if let Some(format) = default.into_iter().find(|format| is_other(format)) {
        let what = format!("`{VARIABLE}` of teams.json");
        let teams_json = workspace.repo.join("teams.json");
        findings.push(finding(&what, format).at(place(&teams_json, VARIABLE)));
        return findings;
    }
    for view in repo.views() {
        findings.extend(of_conf(repo, workspace, view.path, view.conf.meta()));
    }
    findings
}

fn of_workspace(workspace: &Workspace) -> Option<Diagnostic> {
    let overrides = workspace.overrides.iter().map(|settings| &settings.conf);
    let mut all = std::iter::once(&workspace.engine.conf).chain(overrides);
    let format = all.find_map(|conf| conf.get(PROPERTY).filter(|format| is_other(format)))?;
    let finding = finding(&format!("`{PROPERTY}`"), format);
    Some(finding.at(place(&workspace.file, PROPERTY)))
}

fn of_conf(
    repo: &ConfRepo,
    workspace: &Workspace,
    path: &Path,
    meta: &MetaData,
) -> Option<Diagnostic> {
    let modes = meta.mode_to_env_map.iter().flatten();
    let mut own = modes.filter_map(|(_, variables)| variables.get(VARIABLE));
    if let Some(format) = own.find(|format| is_other(format)) {
        let file = workspace.repo.join(path);
        let what = format!("`{VARIABLE}` of `modeToEnvMap`");
        return Some(finding(&what, format).at(place(&file, VARIABLE)));
    }
    let of_team: BTreeSet<&str> = repo.teams.variable(meta.team(), VARIABLE);
    let format = of_team.into_iter().find(|format| is_other(format))?;
    let what = format!("`{VARIABLE}` of team `{}` in teams.json", meta.team());
    Some(finding(&what, format).at(Location::file(path)))
}

fn is_other(format: &str) -> bool {
    !format.is_empty() && format != SUPPORTED
}

/// Where `word` is first written in a file.
pub fn place(file: &Path, word: &str) -> Location {
    let text = fs::read_to_string(file).unwrap_or_default();
    match text.find(word) {
        Some(at) => Location::bytes(file, at..at + word.len()),
        None => Location::file(file),
    }
}

fn finding(what: &str, format: &str) -> Diagnostic {
    let message = format!(
        "{what} = `{format}` is not supported: every output would be written in that format, too"
    );
    Diagnostic::error("partition-format", message).hint(format!(
        "remove it, and set `partition_format = \"{format}\"` under `[sources.\"db.table\"]` for each source that has it"
    ))
}
