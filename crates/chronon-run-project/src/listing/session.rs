//! The catalog that a command looks at, and the Spark that writes to it.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Once, OnceLock},
    time::Duration,
};

use chronon_run_catalog::{
    Catalog, CatalogError, EvidenceRequest, Timeouts,
    embedded::{self, Embedded, Watched},
    recorded,
};
use chronon_run_core::{
    CatalogSnapshot, DayEvidence, PartitionFormat, RangeSet, Slice, ds::format_instant,
};
use chronon_run_plan::Tables;
use chronon_run_process::User;
use chronon_run_report::Activity;
use chronon_run_spark::{
    self as spark, Environment, Found, Java, Jvm, Origin, Spark,
    command::{LOG_CONFIG, log_config_path},
    common_env, common_options,
};
use chronon_run_workspace::{Catalog as CatalogSettings, EngineKind, Pins, Workspace};

use crate::{
    engines::{hosts::Hosts, keeping::is_shared, spark_sql::SparkSql},
    failure::Failure,
    listing::snapshot::Formats,
    loading::{
        installing::Installing,
        machine::{self, Machine},
        seed_days, state, supply,
    },
    output::note,
    runs::archives::{Purpose, archive},
};

/// Where partitions are listed.
pub struct CatalogSession {
    // Before the metastore that it uses and the folder in which its files are.
    hosts: Arc<Hosts>,
    catalog: Option<Catalog>,
    uri: String,
    spark: Option<Spark>,
    /// Keeps the embedded metastore running.
    _lease: Option<Watched>,
    machine: OnceLock<Machine>,
}

impl CatalogSession {
    /// To look at: nothing is installed, and an embedded metastore that never ran is not started;
    /// it is known to be empty.
    pub fn look(workspace: &Workspace) -> Result<Self, Failure> {
        match &workspace.catalog {
            CatalogSettings::Embedded { .. } if !has_database(workspace)? => Ok(Self {
                catalog: None,
                uri: String::new(),
                spark: None,
                _lease: None,
                machine: OnceLock::new(),
                hosts: Arc::default(),
            }),
            CatalogSettings::Embedded { .. }
                if !embedded::is_usable(&metastore_directory(workspace)) =>
            {
                Self::recorded(workspace)
            }
            CatalogSettings::Embedded { idle } => {
                state::create(workspace)?;
                Self::open_embedded(workspace, *idle, installed_spark(workspace)?)
            }
            CatalogSettings::Hive { .. } | CatalogSettings::Fixture { .. } => {
                Self::connect(workspace)
            }
        }
    }

    /// The tables as the owner of the embedded metastore listed them last.
    fn recorded(workspace: &Workspace) -> Result<Self, Failure> {
        let path = recorded_path(workspace);
        let Some(at) = recorded::time(&path) else {
            return Err(Failure::hinted(
                metastore_of_another(workspace),
                "ask that user to run `chronon-run plan` once: it records the tables for everyone who may read the state folder",
            ));
        };
        static NOTED: Once = Once::new();
        NOTED.call_once(|| {
            note(&format!(
                "{}; tables are shown as that user listed them last, at {}, and inputs that were rewritten are not seen",
                metastore_of_another(workspace),
                format_instant(at)
            ));
        });
        Ok(Self {
            catalog: Some(Catalog::fixture(path)),
            uri: String::new(),
            spark: None,
            _lease: None,
            machine: OnceLock::new(),
            hosts: Arc::default(),
        })
    }

    /// Fails where tables are known from another user's listing only, which has no rows.
    pub fn check_rows(&self, workspace: &Workspace) -> Result<(), Failure> {
        let is_embedded = matches!(workspace.catalog, CatalogSettings::Embedded { .. });
        if !is_embedded || self.catalog.is_none() || self._lease.is_some() {
            return Ok(());
        }
        Err(Failure::hinted(
            metastore_of_another(workspace),
            "only that user can read rows with `show` and `query`; `ls`, `plan`, `status`, `runs` and `diff` work for everyone who may read the state folder",
        ))
    }

    /// Keeps a listing of the embedded metastore for users who may only read the state folder.
    fn record(&self, workspace: &Workspace, snapshot: &CatalogSnapshot) {
        if self._lease.is_some() {
            // The listing is a convenience for others: it never fails a command.
            let _ = recorded::add(&recorded_path(workspace), snapshot);
        }
    }

    /// Lists the tables that a run has written, for `record`.
    pub fn record_tables(&self, workspace: &Workspace, tables: &Tables) {
        if self._lease.is_some() {
            let _ = self.snapshot(workspace, tables);
        }
    }

    /// The same, or `None` if the embedded metastore could be started only after Spark was installed.
    pub fn look_without_install(workspace: &Workspace) -> Result<Option<Self>, Failure> {
        if matches!(workspace.catalog, CatalogSettings::Embedded { .. }) {
            let found = spark::find(&spark_environment(Some(workspace)));
            let is_there = found.is_ok_and(|found| found.spark.is_some() && found.java.is_some());
            if !is_there && metastore_directory(workspace).join("db").exists() {
                return Ok(None);
            }
        }
        Self::look(workspace).map(Some)
    }

    /// To write to: finds or installs Spark, and starts the embedded metastore.
    pub fn open(workspace: &Workspace) -> Result<Self, Failure> {
        if matches!(workspace.catalog, CatalogSettings::Embedded { .. })
            && !embedded::is_usable(&metastore_directory(workspace))
        {
            return Err(Failure::hinted(
                metastore_of_another(workspace),
                "only that user can fill these tables; `ls`, `plan`, `status`, `runs` and `diff` work for everyone who may read the state folder",
            ));
        }
        state::create(workspace)?;
        Self::connect(workspace)
    }

    fn connect(workspace: &Workspace) -> Result<Self, Failure> {
        match &workspace.catalog {
            CatalogSettings::Hive { uri, timeout } => {
                let timeouts = Timeouts {
                    call: *timeout,
                    ..Timeouts::default()
                };
                let catalog = Catalog::connect(uri, timeouts).map_err(Failure::setup)?;
                Ok(Self {
                    catalog: Some(catalog),
                    uri: uri.clone(),
                    spark: None,
                    _lease: None,
                    machine: OnceLock::new(),
                    hosts: Arc::default(),
                })
            }
            CatalogSettings::Fixture { path } => {
                let catalog = Catalog::fixture(path);
                Ok(Self {
                    catalog: Some(catalog),
                    uri: String::new(),
                    spark: None,
                    _lease: None,
                    machine: OnceLock::new(),
                    hosts: Arc::default(),
                })
            }
            CatalogSettings::Embedded { idle } => {
                machine::check_user(&User::current())?;
                machine::check_folder(&workspace.state_dir)?;
                Self::open_embedded(workspace, *idle, find_spark(workspace)?)
            }
        }
    }

    fn open_embedded(workspace: &Workspace, idle: Duration, spark: Spark) -> Result<Self, Failure> {
        machine::check_user(&User::current())?;
        machine::check_folder(&workspace.state_dir)?;
        machine::check_limits(&spark)?;
        let archive = archive(Purpose::Metastore, &spark);
        let mut java_options = common_options();
        java_options.extend(archive.map(|archive| archive.options()).unwrap_or_default());
        let embedded = Embedded {
            java: spark.java.program(),
            java_options,
            env: common_env(),
            jars: spark.jars(),
            directory: metastore_directory(workspace),
            warehouse: warehouse_directory(workspace),
            idle,
            start: START,
        };
        let changes = state::relocations(workspace)?;
        if !changes.is_empty() {
            embedded.relocate(&changes).map_err(Failure::setup)?;
            state::relocated(workspace)?;
        }
        let warehouse = Self {
            hosts: Arc::default(),
            catalog: None,
            uri: String::new(),
            spark: Some(spark),
            _lease: None,
            machine: OnceLock::new(),
        };
        let is_new = !has_database(workspace)?;
        let starting = Activity::start("starting the metastore");
        if is_new {
            // Nothing is filled, so Spark will be needed: it starts beside the metastore.
            warehouse.start_host(workspace);
        }
        let lease = embedded.join().map_err(Failure::setup)?;
        drop(starting);
        if let Some(aside) = lease.replaced() {
            note(&format!(
                "warning: the metastore's database was incomplete (its creation was interrupted, or files of it were removed); it is now {} and a new one is used. Tables have to be filled again",
                aside.display()
            ));
        }
        let lease = embedded.watch(lease, |what| note(&what));
        let lease = lease.map_err(Failure::setup)?;
        let uri = lease.uri().to_owned();
        let catalog = Catalog::connect(&uri, Timeouts::default()).map_err(Failure::setup)?;
        Ok(Self {
            catalog: Some(catalog),
            uri,
            _lease: Some(lease),
            ..warehouse
        })
    }

    /// Starts the Spark that slots share, so that it is there when the first script is. What goes wrong is
    /// told by that script.
    pub fn start_host(&self, workspace: &Workspace) {
        let engine = &workspace.engine;
        let is_needed = engine.kind == EngineKind::Sql || !workspace.seeds.is_empty();
        if !is_needed || !is_shared(workspace) {
            return;
        }
        let shared = SparkSql::new(workspace, self).and_then(|sql| sql.shared(workspace));
        if let Ok(Some(shared)) = shared {
            let _ = self.hosts.host(&shared);
        }
    }

    /// What the tables look like now. Seeds that are not loaded yet count as loaded: `materialize`
    /// loads them first.
    pub fn snapshot(
        &self,
        workspace: &Workspace,
        tables: &Tables,
    ) -> Result<CatalogSnapshot, Failure> {
        let mut snapshot = match &self.catalog {
            Some(catalog) => {
                let requests: Vec<_> = tables
                    .iter()
                    .map(|(table, columns)| (table.clone(), columns.iter().cloned().collect()))
                    .collect();
                let what = chronon_run_report::count(requests.len() as u64, "table");
                let _listing = Activity::start(&format!("listing {what}"));
                let snapshot = catalog.snapshot(&requests).map_err(unavailable)?;
                self.record(workspace, &snapshot);
                snapshot
            }
            None => CatalogSnapshot {
                tables: tables.keys().map(|table| (table.clone(), None)).collect(),
            },
        };
        seed_days::add_unloaded(&mut snapshot, workspace, tables)?;
        Ok(snapshot)
    }

    /// What is seen of single partitions of inputs. It only explains, so what cannot be learnt is left
    /// out. `loaded` is the catalog as it is now, where seeds have been loaded already; `formats` are those
    /// of tables whose days are not of the form `yyyy-MM-dd`.
    pub fn evidence(
        &self,
        workspace: &Workspace,
        wanted: &BTreeMap<Slice, RangeSet>,
        loaded: Option<&CatalogSnapshot>,
        formats: &Formats,
    ) -> BTreeMap<Slice, DayEvidence> {
        let mut found = BTreeMap::new();
        let mut asked = Vec::new();
        for (slice, days) in wanted {
            let seed = workspace.seeds.iter().find(|s| s.table == slice.table);
            let format = formats.get(&slice.table).map(|(format, _)| format.clone());
            let format = format.unwrap_or_else(PartitionFormat::iso);
            match seed.and_then(|seed| seed_days::evidence(seed, slice, days, loaded, &format)) {
                Some(evidence) => {
                    found.insert(slice.clone(), evidence);
                }
                None => asked.push(EvidenceRequest {
                    slice: slice.clone(),
                    days: days.clone(),
                    format,
                }),
            }
        }
        if let Some(catalog) = self.catalog.as_ref().filter(|_| !asked.is_empty()) {
            found.extend(catalog.evidence(&asked).unwrap_or_default());
        }
        found
    }

    /// The catalog itself, if there is one yet.
    pub fn catalog(&self) -> Option<&Catalog> {
        self.catalog.as_ref()
    }

    /// The Spark that the slots of this process share.
    pub fn hosts(&self) -> &Arc<Hosts> {
        &self.hosts
    }

    /// `thrift://…`, empty if there is none.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The folders of the JVMs of this process, created when they are first needed.
    pub fn jvm(&self, workspace: &Workspace) -> Result<Jvm, Failure> {
        if let Some(machine) = self.machine.get() {
            return Ok(machine.jvm().clone());
        }
        let machine = Machine::prepare(workspace, self.known_spark(workspace).as_ref())?;
        Ok(self.machine.get_or_init(|| machine).jvm().clone())
    }

    /// The Spark that would run the jobs, if there is one already.
    pub fn known_spark(&self, workspace: &Workspace) -> Option<Spark> {
        self.spark.clone().or_else(|| {
            let found = spark::find(&spark_environment(Some(workspace))).ok()?;
            found.complete()
        })
    }

    /// The Spark that runs the jobs, found or installed now if it was not needed before.
    pub fn spark(&self, workspace: &Workspace) -> Result<Spark, Failure> {
        let spark = match &self.spark {
            Some(spark) => spark.clone(),
            None => find_spark(workspace)?,
        };
        machine::check_limits(&spark)?;
        Ok(spark)
    }
}

/// A catalog that is out of reach may come back; another trouble will not go away by waiting.
fn unavailable(error: CatalogError) -> Failure {
    match error {
        CatalogError::Unreachable { .. } | CatalogError::TimedOut { .. } => Failure::OutOfReach {
            message: error.to_string(),
        },
        other => Failure::setup(other),
    }
}

/// How long a metastore may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);

/// Where the embedded metastore keeps its database.
pub fn metastore_directory(workspace: &Workspace) -> PathBuf {
    workspace.state_dir.join("metastore")
}

/// Whether the embedded metastore has ever run.
fn has_database(workspace: &Workspace) -> Result<bool, Failure> {
    let database = metastore_directory(workspace).join("db");
    database.try_exists().map_err(|error| {
        Failure::hinted(
            format!("cannot read {}: {error}", database.display()),
            "ask the owner of the state folder for the right to read it",
        )
    })
}

/// The last listing of the embedded metastore.
fn recorded_path(workspace: &Workspace) -> PathBuf {
    workspace.state_dir.join("catalog.json")
}

/// That the embedded metastore cannot be used by this user.
fn metastore_of_another(workspace: &Workspace) -> String {
    let directory = metastore_directory(workspace);
    let owner = User::owner_of(&directory);
    let owner = match owner.and_then(|owner| owner.name) {
        Some(name) => format!("user {name}"),
        None => "another user".to_owned(),
    };
    format!(
        "the embedded metastore {} can only be used by {owner}",
        directory.display()
    )
}

/// Where managed tables' files go.
fn warehouse_directory(workspace: &Workspace) -> PathBuf {
    workspace.state_dir.join("warehouse")
}

/// Where jobs put the files of new databases: beside the embedded metastore, or wherever the user's
/// own metastore and Spark configuration say.
pub fn own_warehouse(workspace: &Workspace) -> Option<PathBuf> {
    match workspace.catalog {
        CatalogSettings::Embedded { .. } => Some(warehouse_directory(workspace)),
        CatalogSettings::Hive { .. } | CatalogSettings::Fixture { .. } => None,
    }
}

/// The environment, as the engine takes it.
pub fn spark_environment(workspace: Option<&Workspace>) -> Environment {
    let engine = workspace.map(|workspace| &workspace.engine);
    let mut found = Environment::new(
        engine.and_then(|engine| engine.spark_home.clone()),
        |name| env::var_os(name),
    );
    found.workspace_java_home = engine.and_then(|engine| engine.java_home.clone());
    // A lock that cannot be read is reported where it is needed.
    if let Some(Ok(pins)) = workspace.map(|workspace| Pins::load(&workspace.root)) {
        found.pins = pins.packages().clone();
    }
    found
}

/// The workspace's Spark, installed if there is none.
pub fn find_spark(workspace: &Workspace) -> Result<Spark, Failure> {
    let environment = spark_environment(Some(workspace));
    if let Some(home) = &workspace.engine.java_home {
        let found = spark::find(&environment).map_err(Failure::setup)?;
        let used = found.java.as_ref().is_some_and(|java| java.home == *home);
        if !used {
            let why = found.unfit_text();
            let why = why.unwrap_or_else(|| format!("{} has no bin/java", home.display()));
            return Err(Failure::hinted(
                why,
                "correct `java_home` under [engine] in workspace.toml, or remove it to have a Java found or installed",
            ));
        }
    }
    let is_new = !spark::find(&environment)
        .map_err(Failure::setup)?
        .downloads()
        .is_empty();
    let spark = supply::verified(workspace, install_spark(&environment)?)?;
    if is_new && let Err(Failure::Setup { message, .. }) = supply::pin(workspace, &spark) {
        note(&format!("warning: Spark is not pinned: {message}"));
    }
    Ok(spark)
}

/// The workspace's Spark, if it can be had without a download: a question downloads nothing.
fn installed_spark(workspace: &Workspace) -> Result<Spark, Failure> {
    let found = spark::find(&spark_environment(Some(workspace))).map_err(Failure::setup)?;
    let missing = downloads(&found);
    match found.complete() {
        Some(spark) => supply::verified(workspace, spark),
        None => Err(Failure::hinted(
            format!(
                "the tables of this workspace are in its own metastore, which cannot be read without {missing}"
            ),
            "`chronon-run engine install` downloads it once; or set `spark_home` under [engine], SPARK_HOME or JAVA_HOME to one that is there",
        )),
    }
}

/// What is missing, with its size.
fn downloads(found: &Found) -> String {
    let missing: Vec<String> = found
        .downloads()
        .into_iter()
        .map(|(what, bytes)| format!("{what} ({} MB)", bytes / 1_000_000))
        .collect();
    missing.join(" and ")
}

/// The Spark of these environment, installed with progress on stderr if there is none.
pub fn install_spark(environment: &Environment) -> Result<Spark, Failure> {
    let found = spark::find(environment).map_err(Failure::setup)?;
    let is_named = |java: &Java| matches!(java.origin, Origin::Environment | Origin::Workspace);
    if let Some(why) = found.unfit_text()
        && (found.java.is_none() || found.unfit.iter().any(is_named))
    {
        note(&format!("warning: {why}; another one is used"));
    }
    if !found.downloads().is_empty() {
        let place = environment.cache.as_deref().unwrap_or(Path::new(""));
        note(&format!(
            "downloading {} with pip into {}, once",
            downloads(&found),
            place.display()
        ));
    }
    let mut shown = Installing::default();
    let found = spark::locate(environment, &mut |progress| shown.update(progress));
    shown.finish();
    found.map_err(Failure::setup)
}

/// Writes the logging configuration of SQL jobs and returns its path.
pub fn log_config(state: &Path) -> Result<PathBuf, Failure> {
    let path = log_config_path(state);
    fs::create_dir_all(state)
        .and_then(|()| chronon_run_process::replace(&path, LOG_CONFIG))
        .map_err(|error| Failure::setup(format!("cannot write {}: {error}", path.display())))?;
    Ok(path)
}
