//! A workspace is read: workspace.toml, the confs, their graph, and what is wrong with them.

use std::{collections::BTreeMap, env, sync::OnceLock};

use chronon_run_conf::{ConfRepo, target::Retarget};
use chronon_run_core::Diagnostic;
use chronon_run_plan::Graph;
use chronon_run_report::Activity;
use chronon_run_workspace::{EngineKind, Workspace};

use crate::{
    failure::Failure,
    loading::{
        formats,
        graph::build_graph,
        in_target::InTarget,
        jars,
        located::{relative_to, shortened},
        project::Project,
        state, targets,
    },
    output,
};

impl Project {
    /// The workspace of the current directory or the nearest one above it. Shows warnings about
    /// workspace.toml; fails on errors in it, in teams.json and where there are no confs at all. A file
    /// with errors only excludes its own assets: one team's mistake does not stop the others.
    pub fn load() -> Result<Self, Failure> {
        let _reading = Activity::start("reading the confs");
        let (context, findings) = Self::load_quietly()?;
        output::show(&findings[..context.own_findings]);
        context.warn_of_errors();
        Ok(context)
    }

    /// The same, with all findings instead of showing some.
    pub fn load_quietly() -> Result<(Self, Vec<Diagnostic>), Failure> {
        let (context, findings) = Self::load_with_findings()?;
        let stops = |finding: &&Diagnostic| finding.is_error() && !context.excludes(finding);
        if findings.iter().any(|finding| stops(&finding)) {
            return Err(Failure::Findings(
                findings.into_iter().filter(|f| stops(&f)).collect(),
            ));
        }
        Ok((context, findings))
    }

    /// The workspace, and everything that is wrong with it and its confs.
    pub fn load_with_findings() -> Result<(Self, Vec<Diagnostic>), Failure> {
        let here = env::current_dir()?;
        let file = Workspace::find(&here).ok_or_else(|| {
            Failure::hinted(
                format!("there is no workspace.toml in {} or above it", here.display()),
                "`chronon-run init REPO` writes one for an existing Chronon repo; `-C DIR` runs elsewhere",
            )
        })?;
        let near = |findings: Vec<Diagnostic>| findings.into_iter().map(shortened).collect();
        let loaded =
            Workspace::load(&file).map_err(|findings| Failure::Findings(near(findings)))?;
        let mut workspace = loaded
            .workspace
            .with_environment(|name| env::var_os(name))?;
        state::settle(&workspace)?;
        jars::resolve(&mut workspace);
        let mut findings: Vec<Diagnostic> = near(loaded.warnings);
        let own_findings = findings.len();
        let read = ConfRepo::load(&workspace.repo, &workspace.production);
        let repo = read.repo;
        let of_driver = match workspace.engine.kind {
            EngineKind::Chronon => repo.check_driver(),
            EngineKind::Sql => Vec::new(),
        };
        findings.extend(
            read.diagnostics
                .into_iter()
                .chain(repo.check())
                .chain(of_driver)
                .map(|finding| relative_to(finding, &workspace)),
        );
        let formats = formats::findings(&workspace, &repo).into_iter();
        findings.extend(formats.map(|finding| relative_to(finding, &workspace)));
        let (graph, overrides, options) = build_graph(&workspace, &repo, &mut findings);
        findings.extend(
            targets::findings(&workspace, &graph)
                .into_iter()
                .map(shortened),
        );
        let mut context = Self {
            workspace,
            repo,
            graph,
            own_findings,
            overrides,
            bad_seeds: OnceLock::new(),
            broken: BTreeMap::new(),
            left_out: Vec::new(),
            options,
            target: None,
        };
        context.broken = context.broken(&findings);
        context.left_out = context.find_left_out(&findings);
        Ok((context, findings))
    }

    /// The same workspace as a target sees it: `repo` holds its confs, `workspace` its settings.
    pub fn in_target(
        self,
        workspace: Workspace,
        repo: ConfRepo,
        retarget: &Retarget,
        target: InTarget,
    ) -> Self {
        let mut options = self.options;
        for texts in options.dependencies.values_mut().flatten() {
            *texts = retarget.reference(texts);
        }
        // What is wrong with the confs is known from production.
        let (graph, _) = Graph::build(&repo.views(), &options);
        let of_assets = self.overrides.into_iter();
        let overrides = of_assets.filter_map(|(index, settings)| {
            let id = &self.graph.assets[index].id;
            Some((graph.find(id)?, settings))
        });
        Self {
            overrides: overrides.collect(),
            own_findings: self.own_findings,
            broken: self.broken,
            left_out: self.left_out,
            bad_seeds: OnceLock::new(),
            target: Some(target),
            workspace,
            repo,
            graph,
            options,
        }
    }
}
