//! The graph of a workspace's assets, and the settings of `[[override]]` that apply to each.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ops::Range,
    path::Path,
};

use chronon_run_conf::{ConfRepo, Dependency};
use chronon_run_core::{ConfType, Diagnostic, Location, TableName};
use chronon_run_plan::{AssetIndex, BuildOptions, DriverOptions, Graph, JoinFlow, Selection};
use chronon_run_workspace::{EngineKind, Override, Placed, Workspace};

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
            if let Some(entries) = &settings.dependencies {
                let daily = repo.find(conf).is_none_or(|conf| conf.meta().is_daily());
                let mut wrong = not_understood(entries, daily, &workspace.file);
                wrong.retain(|finding| !findings.contains(finding));
                findings.append(&mut wrong);
                let texts = entries.iter().map(|entry| entry.text.clone());
                options.dependencies.insert(conf.clone(), texts.collect());
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

/// The dependencies of an override that cannot be waited for, each at its place in `file`.
fn not_understood(entries: &[Placed], daily: bool, file: &Path) -> Vec<Diagnostic> {
    let finding = |entry: &Placed| {
        let error = Dependency::parse(&entry.text, daily).err()?;
        Some(
            error
                .finding()
                .at(Location::bytes(file, place_in(entry, &error.fragment)))
                .hint("write it as `db.t/ds={{ ds }}[/column=value]`"),
        )
    };
    entries.iter().filter_map(finding).collect()
}

/// Bytes of a fragment of an entry; all of the entry if its string has escapes.
fn place_in(entry: &Placed, fragment: &str) -> Range<usize> {
    let is_verbatim = entry.span.len() == entry.text.len() + 2;
    let found = entry.text.find(fragment);
    match found.filter(|_| is_verbatim && !fragment.is_empty()) {
        Some(at) => {
            let start = entry.span.start + 1 + at;
            start..start + fragment.len()
        }
        None => entry.span.clone(),
    }
}

/// Whether a finding is about the conf's own dependencies, which workspace.toml replaces.
fn is_about_dependencies(finding: &Diagnostic, path: &Path) -> bool {
    let about = [
        "dependency",
        "derived-dependencies",
        "undeclared-dependency",
        "unknown-dependencies",
    ];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_an_override_that_nothing_can_be_waited_for_with_are_errors_at_their_places()
    {
        let toml = r#"dependencies = ["s3://x", "lake.b/ds={{ ds }}", "ice.lake.a/ds={{ ds }}", "lake.a/ds={{ foo }}", "lake.a/ds={{ next_ds }}"]"#;
        let texts = toml.split('"').skip(1).step_by(2);
        let placed = |text: &str| {
            let start = toml.find(&format!("\"{text}\"")).unwrap();
            Placed {
                text: text.to_owned(),
                span: start..start + text.len() + 2,
            }
        };
        let entries: Vec<Placed> = texts.map(placed).collect();
        let fragments = |daily: bool| {
            let found = not_understood(&entries, daily, Path::new("workspace.toml"));
            let shown = found.into_iter().map(|finding| {
                assert!(finding.is_error(), "{finding:?}");
                let at = finding.location.unwrap();
                assert_eq!(at.path, Path::new("workspace.toml"));
                toml[at.span.unwrap()].to_owned()
            });
            shown.collect::<Vec<_>>()
        };
        let always = ["s3:", "ice.lake.a", "{{ foo }}"];
        assert_eq!(fragments(true), always);
        assert_eq!(fragments(false), [&always[..], &["{{ next_ds }}"]].concat());
        let escaped = Placed {
            text: "s3://x".to_owned(),
            span: 0..20,
        };
        assert_eq!(place_in(&escaped, "s3:"), 0..20);
    }
}
