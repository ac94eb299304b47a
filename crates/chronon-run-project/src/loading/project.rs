//! What every command needs: the workspace, its confs, their graph, and the settings of each asset.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::File,
    io::ErrorKind,
    path::PathBuf,
    sync::OnceLock,
    time::SystemTime,
};

use chronon_run_conf::{ConfRepo, target::Retarget};
use chronon_run_core::{AssetId, ConfType, Diagnostic, Ds, RangeSet, TableName, epoch_millis};
use chronon_run_ledger::Ledger;
use chronon_run_plan::{Asset, AssetIndex, AssetSettings, BuildOptions, Graph, States};
use chronon_run_report::Activity;
use chronon_run_sql as sql;
use chronon_run_workspace::{EngineKind, Override, Workspace};

use crate::{
    failure::Failure,
    loading::{
        excluded::LeftOut,
        formats,
        graph::{build_graph, log_tables},
        jars,
        selecting::selection,
        state,
        targets::{self, InTarget},
    },
    options::SelectArgs,
    output,
    planning::prepared as planning,
    scratch,
};

/// A loaded workspace.
pub struct Project {
    /// workspace.toml, with the environment applied.
    pub workspace: Workspace,
    /// The compiled confs and teams.json.
    pub repo: ConfRepo,
    /// The assets of all confs without errors that stop everything.
    pub graph: Graph,
    /// How many of the findings are about workspace.toml; they come first.
    own_findings: usize,
    /// Confs with errors, by file relative to the repo: what is wrong.
    pub(super) broken: BTreeMap<PathBuf, String>,
    /// Files with errors that have no asset: what cannot be read, and names of tables that are none.
    pub(super) left_out: Vec<LeftOut>,
    /// Seeds that cannot be loaded, read when they are first asked for.
    pub(super) bad_seeds: OnceLock<BTreeMap<TableName, String>>,
    /// For each asset, the overrides that select it, in the order of the file.
    overrides: BTreeMap<AssetIndex, Vec<Override>>,
    /// How the graph was built.
    options: BuildOptions,
    /// The target that it is for; production, if absent.
    pub target: Option<InTarget>,
}

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
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        let select = SelectArgs {
            select: vec![name.to_owned()],
            ..SelectArgs::default()
        };
        let found = self.select(&select, false)?;
        let names = found.iter().map(|&index| &self.graph.assets[index].id);
        match names.collect::<Vec<_>>().as_slice() {
            [only] => Ok((*only).clone()),
            several => {
                let names: Vec<String> = several.iter().map(ToString::to_string).collect();
                Err(Failure::hinted(
                    format!("`{name}` stands for {} assets", names.len()),
                    format!("name one of {}", names.join(", ")),
                ))
            }
        }
    }

    /// Where the asset is in the graph.
    pub fn index_of(&self, asset: &AssetId) -> Result<AssetIndex, Failure> {
        self.graph
            .find(asset)
            .ok_or_else(|| bad_selection(format!("there is no asset `{asset}`")))
    }

    /// The last closed day: the command line's, workspace.toml's, or yesterday in its time zone.
    pub fn as_of(&self, given: Option<Ds>) -> Result<Ds, Failure> {
        if let Some(day) = given.or(self.workspace.as_of) {
            return Ok(day);
        }
        let today = Ds::at(now_millis(), &self.workspace.timezone).map_err(Failure::setup)?;
        Ok(today.plus(-1))
    }

    /// Days that sources are declared never to have.
    pub fn never(&self) -> BTreeMap<TableName, RangeSet> {
        let sources = self.workspace.sources.iter();
        sources
            .map(|(table, settings)| (table.clone(), settings.missing.clone()))
            .collect()
    }

    /// The first days of sources, as workspace.toml declares them.
    pub fn first_days(&self) -> BTreeMap<TableName, Ds> {
        let sources = self.workspace.sources.iter();
        sources
            .filter_map(|(table, settings)| Some((table.clone(), settings.first_ds?)))
            .collect()
    }

    /// Views, and the table whose days each has, as workspace.toml declares them.
    pub fn days_from(&self) -> BTreeMap<TableName, TableName> {
        let sources = self.workspace.sources.iter();
        sources
            .filter_map(|(view, settings)| Some((view.clone(), settings.days_from.clone()?)))
            .collect()
    }

    /// The raw log of served features and the table of its schemas, as teams.json names them (§1.6).
    pub fn log_tables(&self) -> Option<(TableName, TableName)> {
        log_tables(&self.repo)
    }

    /// Whether the real Driver fills the tables.
    pub fn uses_driver(&self) -> bool {
        self.workspace.engine.kind == EngineKind::Chronon
    }

    /// The conf of an asset, as the `sql` engine takes it.
    pub fn conf(&self, asset: &AssetId) -> Option<sql::Conf<'_>> {
        self.repo.find(&asset.conf)
    }

    /// The folder of the ledger, the runs and the records of what was filled. A target has one of its own,
    /// so that what happens there never counts for production.
    pub fn history_dir(&self) -> PathBuf {
        match &self.target {
            Some(target) => InTarget::folder(&self.workspace, &target.name),
            None => self.workspace.state_dir.clone(),
        }
    }

    /// A command that a user of this context is told to type: with the context's target. Nothing for the target
    /// of `diff --data`, which no command can name.
    pub fn in_its_target(&self, command: &str) -> Option<String> {
        match &self.target {
            Some(target) if target.name == scratch::NAME => None,
            Some(target) => Some(format!("{command} --target {}", target.name)),
            None => Some(command.to_owned()),
        }
    }

    /// Where the ledger is.
    pub fn ledger_path(&self) -> PathBuf {
        self.history_dir().join("ledger.db")
    }

    /// The file of an asset's conf that the Driver reads: relative to the repo, or the target's copy.
    pub fn conf_path(&self, asset: &Asset) -> PathBuf {
        match &self.target {
            Some(_) => self.history_dir().join("confs").join(&asset.path),
            None => asset.path.clone(),
        }
    }

    /// A property that the conf of an asset gives to its tables.
    pub fn table_property(&self, asset: &AssetId, name: &str) -> Option<&str> {
        let properties = self
            .repo
            .find(&asset.conf)?
            .meta()
            .table_properties
            .as_ref()?;
        properties.get(name).map(String::as_str)
    }

    /// The ledger, if anything was ever run: looking does not begin one.
    pub fn existing_ledger(&self) -> Option<Ledger> {
        let path = self.ledger_path();
        path.exists().then(|| Ledger::open(&path))
    }

    /// Fails if there may be a history that this user must not read.
    pub fn check_ledger_readable(&self) -> Result<(), Failure> {
        let path = self.ledger_path();
        match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(Failure::hinted(
                format!("cannot read {}: {error}", path.display()),
                "ask the owner of the state folder for the right to read it",
            )),
            _ => Ok(()),
        }
    }

    /// How many confs there are.
    pub fn conf_count(&self) -> u64 {
        let repo = &self.repo;
        (repo.group_bys.len() + repo.joins.len() + repo.staging_queries.len()) as u64
    }

    /// What the planner needs to know of an asset's settings.
    pub fn settings(&self, asset: AssetIndex) -> AssetSettings {
        let step_days = self
            .last(asset, |settings| settings.step_days)
            .unwrap_or(self.workspace.run.step_days);
        AssetSettings {
            step_days: match self.knows_its_day(asset) {
                true => 1,
                false => step_days,
            },
            lag: self.last(asset, |settings| settings.lag).unwrap_or(0),
        }
    }

    /// Whether the conf names the day of its scan, which the Driver takes only if that is one day
    /// (engine-semantics 2, hazard 16).
    fn knows_its_day(&self, asset: AssetIndex) -> bool {
        let conf = &self.graph.assets[asset].id.conf;
        let names_it = |text: &str| text.contains("CHRONON_RUN_DS");
        self.uses_driver()
            && conf.conf_type != ConfType::StagingQuery
            && self.repo.text(conf).is_some_and(names_it)
    }

    /// The last override of an asset that sets it.
    pub fn last<T>(&self, asset: AssetIndex, pick: impl Fn(&Override) -> Option<T>) -> Option<T> {
        self.overrides.get(&asset)?.iter().rev().find_map(pick)
    }

    /// Spark properties of an attempt after one that ran out of memory.
    pub fn more_memory(&self, asset: AssetIndex) -> BTreeMap<String, String> {
        let mut conf = self.workspace.run.more_memory.clone();
        for settings in self.overrides.get(&asset).into_iter().flatten() {
            conf.extend(settings.more_memory.clone());
        }
        conf
    }

    /// Spark configuration: the engine's, then that of each override.
    pub fn spark_conf(&self, asset: AssetIndex) -> Vec<(String, String)> {
        let mut conf = self.workspace.engine.conf.clone();
        for settings in self.overrides.get(&asset).into_iter().flatten() {
            conf.extend(settings.conf.clone());
        }
        conf.into_iter().collect()
    }

    /// What the Driver gets besides its own arguments in a run.py mode: the list of the last override
    /// that has one, else that of `engine.driver_args`.
    pub fn driver_args(&self, asset: AssetIndex, mode: &str) -> &[String] {
        let overrides = self.overrides.get(&asset).into_iter().flatten();
        let mut of_overrides = overrides.filter_map(|settings| settings.driver_args.get(mode));
        let found = of_overrides.next_back();
        let found = found.or_else(|| self.workspace.engine.driver_args.get(mode));
        found.map(Vec::as_slice).unwrap_or_default()
    }
}

/// Conf paths are relative to the repo; show them relative to where the user is.
pub(super) fn relative_to(mut finding: Diagnostic, workspace: &Workspace) -> Diagnostic {
    if let Some(location) = &mut finding.location
        && location.path.is_relative()
    {
        location.path = workspace.repo.join(&location.path);
    }
    shortened(finding)
}

/// The same finding, its path relative to the current directory if it is below it.
pub fn shortened(mut finding: Diagnostic) -> Diagnostic {
    if let Some(location) = &mut finding.location
        && let Ok(here) = env::current_dir()
        && let Ok(short) = location.path.strip_prefix(here)
    {
        location.path = short.to_owned();
    }
    finding
}

/// A selector that means nothing, with where to look.
pub fn bad_selection(error: impl ToString) -> Failure {
    Failure::hinted(error, "`chronon-run ls` lists the assets")
}

/// This very program, to be started again. Where the system has a name for it that stays when
/// the file is replaced, e.g. by an update in the middle of a run, that name.
pub fn own_program() -> std::io::Result<PathBuf> {
    let lasting = PathBuf::from("/proc/self/exe");
    if lasting.exists() {
        return Ok(lasting);
    }
    env::current_exe()
}

/// Milliseconds since the epoch.
pub fn now_millis() -> i64 {
    epoch_millis(SystemTime::now())
}

/// The workspace around here.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn required_workspace() -> Result<Workspace, Failure> {
    workspace()?.ok_or_else(|| {
        Failure::hinted(
            "there is no workspace.toml here or above",
            "`-C DIR` runs in another folder",
        )
    })
}

/// The workspace around here, if there is one: it may name a Spark.
pub fn workspace() -> Result<Option<Workspace>, Failure> {
    let Some(file) = Workspace::find(&std::env::current_dir()?) else {
        return Ok(None);
    };
    let workspace = Workspace::load(&file).map_err(Failure::Findings)?.workspace;
    Ok(Some(
        workspace.with_environment(|name| std::env::var_os(name))?,
    ))
}
