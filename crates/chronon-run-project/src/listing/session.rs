//! The catalog that a command looks at, and the Spark that writes to it.

use std::{collections::BTreeMap, path::PathBuf, sync::Once, time::Duration};

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
use chronon_run_spark::{self as spark, Spark, common_env, common_options};
use chronon_run_workspace::{Catalog as CatalogSettings, Workspace};

use crate::{
    engines::{access::SparkAccess, spark_sql::start_host},
    failure::Failure,
    loading::{
        day_formats::Formats,
        machine::{self},
        seed_days,
        spark::{find_spark, installed_spark, spark_environment},
        state,
    },
    output::note,
    paths::{metastore_directory, warehouse_directory},
    runs::archives::{Purpose, archive},
};

/// Where partitions are listed.
pub struct CatalogSession {
    // Before the metastore that its processes use.
    spark: SparkAccess,
    catalog: Option<Catalog>,
    /// Keeps the embedded metastore running.
    _lease: Option<Watched>,
}

impl CatalogSession {
    /// To look at: nothing is installed, and an embedded metastore that never ran is not started;
    /// it is known to be empty.
    pub fn look(workspace: &Workspace) -> Result<Self, Failure> {
        match &workspace.catalog {
            CatalogSettings::Embedded { .. } if !has_database(workspace)? => Ok(Self {
                catalog: None,
                spark: SparkAccess::default(),
                _lease: None,
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
            spark: SparkAccess::default(),
            _lease: None,
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
                    spark: SparkAccess::new(uri.clone(), None),
                    _lease: None,
                })
            }
            CatalogSettings::Fixture { path } => {
                let catalog = Catalog::fixture(path);
                Ok(Self {
                    catalog: Some(catalog),
                    spark: SparkAccess::default(),
                    _lease: None,
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
        let access = SparkAccess::new(String::new(), Some(spark));
        let is_new = !has_database(workspace)?;
        let starting = Activity::start("starting the metastore");
        if is_new {
            // Nothing is filled, so Spark will be needed: it starts beside the metastore.
            start_host(workspace, &access);
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
            spark: access.at(uri),
            _lease: Some(lease),
        })
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

    /// The Spark that writes to it.
    pub fn spark(&self) -> &SparkAccess {
        &self.spark
    }

    /// The catalog itself, if there is one yet.
    pub fn catalog(&self) -> Option<&Catalog> {
        self.catalog.as_ref()
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
