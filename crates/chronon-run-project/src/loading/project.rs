//! What every command needs: the workspace, its confs, their graph, and the settings of each asset.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
    sync::{Once, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use chronon_run_conf::{ConfRepo, target::Retarget};
use chronon_run_core::{
    AssetId, AssetKind, ConfId, ConfType, Diagnostic, Ds, Location, RangeSet, TableName, clean,
};
use chronon_run_ledger::Ledger;
use chronon_run_plan::{
    Asset, AssetIndex, AssetSettings, BuildOptions, DriverOptions, Graph, JoinFlow, Role,
    Selection, States,
};
use chronon_run_report::{Activity, count};
use chronon_run_sql as sql;
use chronon_run_workspace::{EngineKind, Override, Workspace};

use crate::{
    engines::{driver::Driver, kv},
    failure::Failure,
    loading::{
        formats, jars, seed_days,
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
    broken: BTreeMap<PathBuf, String>,
    /// Files with errors that have no asset: what cannot be read, and names of tables that are none.
    left_out: Vec<LeftOut>,
    /// Seeds that cannot be loaded, read when they are first asked for.
    bad_seeds: OnceLock<BTreeMap<TableName, String>>,
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

    /// The files with errors that have no asset, relative to the repo, and what is wrong.
    pub fn files_left_out(&self) -> impl Iterator<Item = (&Path, &str)> {
        let files = self.left_out.iter();
        files.map(|file| (file.path.as_path(), file.why.as_str()))
    }

    /// Names the files with errors.
    fn warn_of_errors(&self) {
        let total = self.broken.len() + self.left_out.len();
        if total == 0 {
            return;
        }
        let confs = count(total as u64, "conf");
        output::note(&format!(
            "warning: {confs} with errors will not be filled; `chronon-run check` shows them"
        ));
        let broken = self.broken.iter();
        let left_out = self.left_out.iter().map(|conf| (&conf.path, &conf.why));
        for (path, why) in broken.chain(left_out).take(SHOWN) {
            output::note(&format!("  {}: {why}", path.display()));
        }
        if total > SHOWN {
            output::note(&format!("  and {} more", total - SHOWN));
        }
    }

    /// Whether an error excludes one conf only.
    fn excludes(&self, finding: &Diagnostic) -> bool {
        self.conf_at(finding).is_some()
            || self.path_in_repo(finding).is_some_and(|path| {
                let mut left_out = self.left_out.iter();
                left_out.any(|conf| conf.path == path)
            })
    }

    /// The path of a finding relative to the repo, if it is about a file of the compiled confs.
    fn path_in_repo(&self, finding: &Diagnostic) -> Option<PathBuf> {
        let here = env::current_dir().ok()?;
        let path = here.join(&finding.location.as_ref()?.path);
        let relative = path.strip_prefix(here.join(&self.workspace.repo)).ok()?;
        let confs = relative.strip_prefix(&self.workspace.production).ok()?;
        let in_folder = |conf_type: ConfType| confs.starts_with(conf_type.folder());
        let known = [ConfType::StagingQuery, ConfType::GroupBy, ConfType::Join];
        known
            .into_iter()
            .any(in_folder)
            .then(|| relative.to_owned())
    }

    /// The files with errors that have no asset.
    fn find_left_out(&self, findings: &[Diagnostic]) -> Vec<LeftOut> {
        let mut found: Vec<LeftOut> = Vec::new();
        for finding in findings.iter().filter(|finding| finding.is_error()) {
            if self.conf_at(finding).is_some() {
                continue;
            }
            let Some(path) = self.path_in_repo(finding) else {
                continue;
            };
            match found.iter_mut().find(|conf| conf.path == path) {
                Some(conf) => conf.why = format!("{}; {}", conf.why, finding.message),
                None => found.extend(LeftOut::new(self, path, finding)),
            }
        }
        found
    }

    /// What cannot be filled of what a command was asked to fill, in words: confs with errors, and with
    /// `refusals` also what the engine cannot do.
    pub fn not_filled(
        &self,
        args: &SelectArgs,
        selected: &BTreeSet<AssetIndex>,
        refusals: bool,
    ) -> Result<BTreeSet<String>, Failure> {
        let selection = selection(args, &self.workspace)?;
        let left_out = self.left_out.iter();
        let left_out = left_out.filter(|conf| selection.means(&conf.id, &conf.path, &conf.team));
        let mut names: BTreeSet<String> = left_out
            .map(|conf| conf.path.display().to_string())
            .collect();
        for &index in selected {
            let asset = &self.graph.assets[index];
            let offline = asset.id.step.is_offline_table();
            let wrong = self.has_errors(index) || self.needs_left_out(asset).is_some();
            if offline && (wrong || refusals && self.refusal(&asset.id).is_some()) {
                names.insert(asset.id.to_string());
            }
        }
        Ok(names)
    }

    /// The seeds whose files cannot be read or understood, and why.
    pub fn bad_seeds(&self) -> &BTreeMap<TableName, String> {
        self.bad_seeds
            .get_or_init(|| seed_days::broken(&self.workspace))
    }

    /// Why an asset cannot be filled: it reads a seed that cannot be loaded.
    fn needs_bad_seed(&self, asset: &chronon_run_plan::Asset) -> Option<String> {
        asset.inputs.iter().find_map(|input| {
            let table = &input.spec.table;
            let why = self.bad_seeds().get(table)?;
            Some(format!(
                "it needs {table}, a seed that cannot be loaded: {why}"
            ))
        })
    }

    /// Why an asset cannot be filled: a conf or seed that would fill one of its inputs has errors.
    fn needs_left_out(&self, asset: &chronon_run_plan::Asset) -> Option<String> {
        if let Some(why) = self.needs_bad_seed(asset) {
            return Some(why);
        }
        let tables: BTreeSet<&TableName> = asset.inputs.iter().map(|i| &i.spec.table).collect();
        let needed = self.left_out.iter().find(|conf| {
            let table = conf.table.as_ref();
            table.is_some_and(|table| tables.contains(table))
        })?;
        let table = needed.table.as_ref()?;
        Some(format!(
            "it needs {table}, which {} fills, and that conf has errors: {}",
            needed.path.display(),
            needed.why
        ))
    }

    /// The file, relative to the repo, of the conf in the graph that a finding is about.
    fn conf_at(&self, finding: &Diagnostic) -> Option<&Path> {
        let path = &finding.location.as_ref()?.path;
        let here = env::current_dir().ok()?;
        let at =
            |relative: &Path| here.join(&self.workspace.repo).join(relative) == here.join(path);
        let assets = self.graph.assets.iter();
        assets.map(|asset| asset.path.as_path()).find(|p| at(p))
    }

    /// What is wrong with the confs that have assets.
    fn broken(&self, findings: &[Diagnostic]) -> BTreeMap<PathBuf, String> {
        let mut broken: BTreeMap<PathBuf, String> = BTreeMap::new();
        for finding in findings.iter().filter(|finding| finding.is_error()) {
            let Some(path) = self.conf_at(finding) else {
                continue;
            };
            let texts = broken.entry(path.to_owned()).or_default();
            if !texts.is_empty() {
                texts.push_str("; ");
            }
            texts.push_str(&finding.message);
        }
        broken
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
            let mut left_out = self.left_out.iter();
            let meant = left_out.find(|conf| selection.means(&conf.id, &conf.path, &conf.team));
            match meant.filter(|_| !selection.is_everything()) {
                Some(conf) => Failure::hinted(
                    format!("{} has errors: {}", conf.path.display(), conf.why),
                    "`chronon-run check` shows them",
                ),
                None => bad_selection(error),
            }
        })
    }

    /// Names the excluded selectors that exclude nothing, once.
    fn warn_of_idle_excludes(&self, selection: &Selection) {
        static NOTED: Once = Once::new();
        let left_out = self.left_out.iter();
        let left_out: Vec<_> = left_out
            .map(|conf| (&conf.id, conf.path.as_path(), conf.team.as_str()))
            .collect();
        let idle = selection.idle_excludes(&self.graph, &left_out);
        if idle.is_empty() {
            return;
        }
        NOTED.call_once(|| {
            for term in idle {
                output::note(&format!("warning: `--exclude {term}` matches no asset"));
            }
        });
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

    /// Why the Driver cannot read a source of an asset: it has one format for all tables, which is that of
    /// its outputs, too. The SQL of staging queries is the author's own.
    fn other_format(&self, asset: &chronon_run_plan::Asset) -> Option<String> {
        if asset.id.conf.conf_type == ConfType::StagingQuery || !self.uses_driver() {
            return None;
        }
        asset.inputs.iter().find_map(|input| {
            let read = !matches!(input.role, Role::Dependency | Role::OwnStep);
            let settings = self.workspace.sources.get(&input.spec.table)?;
            let format = settings.partition_format.as_ref().filter(|format| !format.is_iso())?;
            read.then(|| {
                format!(
                    "it reads {}, whose partitions are days of the form {format}; the Driver reads and writes every table in one format, here yyyy-MM-dd: write such a table with a staging query, and read that, or use `kind = \"sql\"`",
                    input.spec.table
                )
            })
        })
    }

    /// What cannot be filled, because its conf has errors or the engine cannot do it, by asset.
    pub fn refused(&self, selected: &BTreeSet<AssetIndex>) -> BTreeMap<AssetId, String> {
        let assets = selected.iter().map(|&index| &self.graph.assets[index].id);
        assets
            .filter_map(|asset| Some((asset.clone(), self.refusal(asset)?)))
            .collect()
    }

    /// Whether the conf of an asset has errors.
    pub fn has_errors(&self, asset: AssetIndex) -> bool {
        self.broken.contains_key(&self.graph.assets[asset].path)
    }

    /// Fails if none of the selected assets can be filled whatever the catalog holds.
    pub fn check_fillable(&self, selected: &BTreeSet<AssetIndex>) -> Result<(), Failure> {
        let findings: Vec<Diagnostic> = selected
            .iter()
            .filter_map(|&index| self.cannot(index))
            .collect();
        if findings.len() < selected.len() || selected.is_empty() {
            Ok(())
        } else {
            Err(Failure::Findings(findings))
        }
    }

    fn cannot(&self, index: AssetIndex) -> Option<Diagnostic> {
        let asset = &self.graph.assets[index];
        let why = self.refusal(&asset.id)?;
        let wrong = self.has_errors(index) || self.needs_left_out(asset).is_some();
        let (code, instead) = if self.needs_bad_seed(asset).is_some() {
            ("bad-seed", "correct the seed's file")
        } else if wrong {
            ("conf-error", "correct the conf")
        } else if asset.id.step == AssetKind::Kv {
            ("no-hook", "add the hook")
        } else {
            ("engine-cannot", "use the engine that can")
        };
        let finding = Diagnostic::error(code, format!("{}: {why}", asset.id));
        let finding = relative_to(finding.at(Location::file(&asset.path)), &self.workspace);
        Some(finding.hint(format!(
            "{instead}, or leave it out with `--exclude {}`",
            asset.id.conf.name
        )))
    }

    fn refusal(&self, asset: &AssetId) -> Option<String> {
        let found = &self.graph.assets[self.graph.find(asset)?];
        if let Some(why) = self.broken.get(&found.path) {
            return Some(why.clone());
        }
        let target = self.target.as_ref();
        if let Some(why) = target.and_then(|target| target.refusal(found, self.uses_driver())) {
            return Some(why);
        }
        if let Some(why) = self.needs_left_out(found) {
            return Some(why);
        }
        if let Some(why) = self.other_format(found) {
            return Some(why);
        }
        if asset.step == AssetKind::Kv {
            let hook = &self.workspace.hooks.kv_upload;
            return hook.is_none().then(|| kv::NO_HOOK.to_owned());
        }
        if self.uses_driver() {
            let index = self.graph.find(asset)?;
            return Driver::new(self, None).check(&self.graph.assets[index]);
        }
        let refusals = sql::check(self.conf(asset)?, &asset.step);
        let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
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

/// How many files with errors are named where the command is about something else.
const SHOWN: usize = 5;

/// A file below `production/` that has errors and no asset.
struct LeftOut {
    /// Relative to the repo.
    path: PathBuf,
    /// The conf, as its file's place names it if it cannot be read.
    id: ConfId,
    team: String,
    /// The table that it would fill, as far as that can be told.
    table: Option<TableName>,
    /// What is wrong.
    why: String,
}

impl LeftOut {
    fn new(context: &Project, path: PathBuf, finding: &Diagnostic) -> Option<Self> {
        let known = [ConfType::StagingQuery, ConfType::GroupBy, ConfType::Join];
        let confs = path.strip_prefix(&context.workspace.production).ok()?;
        let conf_type = known
            .into_iter()
            .find(|known| confs.starts_with(known.folder()))?;
        let inside = confs.strip_prefix(conf_type.folder()).ok()?;
        let views = context.repo.views();
        let read = views.iter().find(|view| view.path == path);
        let (name, team, table) = match read.map(|view| view.conf.meta()) {
            Some(meta) => {
                let table = meta.output_table().ok();
                (meta.name.clone(), meta.team().to_owned(), table)
            }
            None => {
                let mut parts = inside.iter().map(|part| part.to_string_lossy());
                let team = parts.next().unwrap_or_default().into_owned();
                let name: Vec<_> = std::iter::once(team.clone().into()).chain(parts).collect();
                let name = name.join(".");
                let namespace = context.repo.teams.text(&team, "namespace");
                let table = TableName::new(namespace.unwrap_or_default(), &clean(&name)).ok();
                (name, team, table)
            }
        };
        let why = finding.message.clone();
        let id = ConfId { conf_type, name };
        Some(Self {
            path,
            id,
            team,
            table,
            why,
        })
    }
}

/// Conf paths are relative to the repo; show them relative to where the user is.
fn relative_to(mut finding: Diagnostic, workspace: &Workspace) -> Diagnostic {
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

/// The graph, and which overrides apply to which asset. Overrides may change the flow of joins,
/// and with it the graph, so selectors are resolved on the graph of the default flow first.
fn build_graph(
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

fn log_tables(repo: &ConfRepo) -> Option<(TableName, TableName)> {
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
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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
