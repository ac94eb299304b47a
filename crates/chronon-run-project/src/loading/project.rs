//! What every command needs: the workspace, its confs, their graph, and the settings of each asset.

use std::{collections::BTreeMap, fs::File, io::ErrorKind, path::PathBuf, sync::OnceLock};

use chronon_run_conf::ConfRepo;
use chronon_run_core::{AssetId, ConfId, ConfType, Ds, RangeSet, TableName};
use chronon_run_ledger::Ledger;
use chronon_run_plan::{Asset, AssetIndex, AssetSettings, BuildOptions, Graph};
use chronon_run_sql as sql;
use chronon_run_workspace::{EngineKind, Override, Workspace};

use crate::{
    failure::Failure,
    loading::{
        graph::log_tables,
        in_target::{InTarget, SCRATCH_NAME},
    },
    program::now_millis,
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
    pub(super) own_findings: usize,
    /// Confs with errors, by file relative to the repo: what is wrong.
    pub(super) broken: BTreeMap<PathBuf, String>,
    /// Files with errors that have no asset: what cannot be read, and names of tables that are none.
    pub(super) left_out: Vec<LeftOut>,
    /// Seeds that cannot be loaded, read when they are first asked for.
    pub(super) bad_seeds: OnceLock<BTreeMap<TableName, String>>,
    /// For each asset, the overrides that select it, in the order of the file.
    pub(super) overrides: BTreeMap<AssetIndex, Vec<Override>>,
    /// How the graph was built.
    pub(super) options: BuildOptions,
    /// The target that it is for; production, if absent.
    pub target: Option<InTarget>,
}

impl Project {
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

    /// The folder of the runs.
    pub fn runs_dir(&self) -> PathBuf {
        self.history_dir().join("runs")
    }

    /// A command that a user of this context is told to type: with the context's target. Nothing for the target
    /// of `diff --data`, which no command can name.
    pub fn in_its_target(&self, command: &str) -> Option<String> {
        match &self.target {
            Some(target) if target.name == SCRATCH_NAME => None,
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

/// A file below `production/` that has errors and no asset.
pub(super) struct LeftOut {
    /// Relative to the repo.
    pub(super) path: PathBuf,
    /// The conf, as its file's place names it if it cannot be read.
    pub(super) id: ConfId,
    pub(super) team: String,
    /// The table that it would fill, as far as that can be told.
    pub(super) table: Option<TableName>,
    /// What is wrong.
    pub(super) why: String,
}
