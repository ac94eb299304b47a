//! The graph of a workspace's assets, and the settings of `[[override]]` that apply to each.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
};

use chronon_run_conf::ConfRepo;
use chronon_run_core::{ConfType, Diagnostic, Location, TableName};
use chronon_run_plan::{AssetIndex, BuildOptions, DriverOptions, Graph, JoinFlow, Selection};
use chronon_run_workspace::{EngineKind, Override, Workspace};

use crate::loading::located::relative_to;

/// The graph, and which overrides apply to which asset. Overrides may change the flow of joins,
/// and with it the graph, so selectors are resolved on the graph of the default flow first.
pub(super) fn build_graph(
    workspace: &Workspace,
    repo: &ConfRepo,
    findings: &mut Vec<Diagnostic>,
) -> (Graph, BTreeMap<AssetIndex, Vec<Override>>, BuildOptions) {
    let views = repo.views();
    let mut options = BuildOptions {
        partition_column: workspace.partition_column.clone(),
        flow: flow(workspace.run.join_flow),
        flows: BTreeMap::new(),
        upload_schedule_key: workspace.run.upload_schedule_key.clone(),
        upload_schedule: workspace.run.upload_schedule.clone(),
        dependencies: BTreeMap::new(),
        driver: (workspace.engine.kind == EngineKind::Chronon).then(|| DriverOptions {
            log_tables: log_tables(repo),
        }),
    };
    let (first, _) = Graph::build(&views, &options);
    for settings in &workspace.overrides {
        if settings.join_flow.is_none() && settings.dependencies.is_none() {
            continue;
        }
        for index in resolve(workspace, settings, &first, &mut Vec::new()) {
            let asset = &first.assets[index];
            let conf = &asset.id.conf;
            if let Some(wanted) = settings.join_flow
                && conf.conf_type == ConfType::Join
            {
                options.flows.insert(conf.name.clone(), flow(wanted));
            }
            if let Some(texts) = &settings.dependencies {
                options.dependencies.insert(conf.clone(), texts.clone());
                let at = workspace.repo.join(&asset.path);
                findings.retain(|finding| !is_about_dependencies(finding, &at));
            }
        }
    }
    if workspace.engine.kind == EngineKind::Chronon {
        findings.extend(keep_whole(workspace, repo, &mut options));
    }
    let (graph, found) = Graph::build(&views, &options);
    findings.extend(
        found
            .into_iter()
            .map(|finding| relative_to(finding, workspace)),
    );
    let mut overrides: BTreeMap<AssetIndex, Vec<Override>> = BTreeMap::new();
    for settings in &workspace.overrides {
        for index in resolve(workspace, settings, &graph, findings) {
            overrides.entry(index).or_default().push(settings.clone());
        }
    }
    (graph, overrides, options)
}

/// Whether a finding is about the conf's own dependencies, which workspace.toml replaces.
fn is_about_dependencies(finding: &Diagnostic, path: &Path) -> bool {
    let about = ["dependency", "derived-dependencies", "unknown-dependencies"];
    let here = env::current_dir().unwrap_or_default();
    let at = finding.location.as_ref();
    about.contains(&finding.code) && at.is_some_and(|at| here.join(&at.path) == here.join(path))
}

pub(super) fn log_tables(repo: &ConfRepo) -> Option<(TableName, TableName)> {
    let env = repo.teams.common_env();
    let table = |name: &str| env.get(name)?.parse().ok();
    Some((table("CHRONON_LOG_TABLE")?, table("CHRONON_SCHEMA_TABLE")?))
}

/// Joins whose parts the Driver cannot compute one by one, because it looks for the wrong partition
/// column there (§6, §3): they are filled whole, whatever the settings say.
fn keep_whole(
    workspace: &Workspace,
    repo: &ConfRepo,
    options: &mut BuildOptions,
) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for file in repo.joins.values() {
        let conf = &file.conf;
        let column = conf.left.query().partition_column.as_deref();
        let column = column.unwrap_or(&workspace.partition_column);
        let name = &conf.meta_data.name;
        let wanted = options.flows.get(name).copied().unwrap_or(options.flow);
        if column == "ds" || wanted == JoinFlow::Whole {
            continue;
        }
        options.flows.insert(name.clone(), JoinFlow::Whole);
        let message = format!(
            "filled whole, not modular: the Driver's single steps look for `ds`, not for `{column}`"
        );
        findings.push(
            Diagnostic::warning("modular-partition-column", message)
                .at(Location::file(workspace.repo.join(&file.path))),
        );
    }
    findings
}

fn flow(flow: chronon_run_workspace::JoinFlow) -> JoinFlow {
    match flow {
        chronon_run_workspace::JoinFlow::Whole => JoinFlow::Whole,
        chronon_run_workspace::JoinFlow::Modular => JoinFlow::Modular,
    }
}

/// The assets that an override selects; a selector that selects none is a finding.
fn resolve(
    workspace: &Workspace,
    settings: &Override,
    graph: &Graph,
    findings: &mut Vec<Diagnostic>,
) -> BTreeSet<AssetIndex> {
    let parsed = Selection::parse(std::slice::from_ref(&settings.select), &[]);
    parsed
        .and_then(|selection| selection.resolve(graph, true))
        .unwrap_or_else(|error| {
            // It may mean a conf that is left out because of its errors.
            let finding = match findings.iter().any(Diagnostic::is_error) {
                true => Diagnostic::warning("override", error.to_string()),
                false => Diagnostic::error("override", error.to_string()),
            };
            findings.push(finding.at(Location::bytes(&workspace.file, settings.span.clone())));
            BTreeSet::new()
        })
}
