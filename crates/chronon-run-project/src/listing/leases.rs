//! The claims of runs, kept in the metastore that several checkouts and hosts share.
//!
//! A claim is a view without any file, `chronon_run_lock_<id>`, whose properties hold who claims
//! what: creating, listing, altering and dropping a view is what every metastore offers. It lies in
//! the databases of the run's tables, and in `default` as long as one of those does not exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    sync::Arc,
};

use chronon_run_catalog::{CatalogError, Hive, Timeouts};
use chronon_run_core::TableName;
use chronon_run_exec::{
    Control,
    lease::{self, Claim, Lease, LeaseError, Store, StoreError, Timing},
};
use chronon_run_workspace::{Catalog as CatalogSettings, Workspace};
use crossbeam_channel::Receiver;

use crate::{
    failure::Failure, loading::project::Project, output::note, program::now_millis,
    runs::control::interrupted,
};

const NAME: &str = "chronon_run_lock_";
/// Parts of the claim's JSON text, each shorter than what a metastore keeps of a property.
const PART: &str = "chronon_run.claim.";
const PART_LENGTH: usize = 3_000;
/// Every metastore has it.
const DEFAULT: &str = "default";

/// Claims `families` in the workspace's own Hive metastore. An embedded one belongs to one checkout,
/// whose lock files are enough.
pub fn acquire(
    context: &Project,
    run: &str,
    families: &BTreeSet<String>,
    control: &Receiver<Control>,
) -> Result<Option<Lease>, Failure> {
    let CatalogSettings::Hive { uri, timeout } = &context.workspace.catalog else {
        return Ok(None);
    };
    let timeouts = Timeouts {
        call: *timeout,
        ..Timeouts::default()
    };
    let hive = Hive::new(uri, timeouts).map_err(Failure::setup)?;
    let claimed = match MetastoreClaims::new(hive, families) {
        Ok(store) => {
            let claim = claim(&context.workspace, run, families);
            let stop = || !control.is_empty();
            lease::acquire(Arc::new(store), claim, Timing::default(), &stop, lost)
        }
        Err(why) => Err(why.into()),
    };
    let local_only = local_only(&context.workspace);
    match claimed {
        Ok(lease) => {
            // A file that is not there is what is wanted.
            let _ = fs::remove_file(local_only);
            Ok(Some(lease))
        }
        Err(error @ LeaseError::Held { .. }) => Err(Failure::Locked {
            message: error.to_string(),
        }),
        // Whether another run writes these tables is not known, and the run needs the metastore anyway.
        Err(LeaseError::OutOfReach(message)) => Err(Failure::OutOfReach { message }),
        Err(LeaseError::Interrupted) => {
            interrupted(control)?;
            Err(Failure::setup(LeaseError::Interrupted))
        }
        Err(LeaseError::Unavailable(why)) => {
            note(&format!(
                "locks hold for this checkout only: the metastore keeps no claim: {why}"
            ));
            let _ = fs::write(local_only, &why);
            Ok(None)
        }
    }
}

/// Why the last run had locks for this checkout only, if it had.
pub fn only_local(workspace: &Workspace) -> Option<String> {
    fs::read_to_string(local_only(workspace)).ok()
}

fn local_only(workspace: &Workspace) -> PathBuf {
    workspace.state_dir.join("locks").join("local-only")
}

/// Another host took this process for dead, and may write the same tables by now.
fn lost() {
    note("another run took the claim on these tables over; this one stops");
    chronon_run_process::terminate_self();
}

fn claim(workspace: &Workspace, run: &str, families: &BTreeSet<String>) -> Claim {
    let host = lease::host();
    let process = chronon_run_process::identify(std::process::id());
    let millis = now_millis();
    let random = RandomState::new().hash_one((millis, process.pid, &host));
    Claim {
        id: format!("{millis:013}_{random:016x}"),
        run: run.to_owned(),
        workspace: workspace.root.display().to_string(),
        machine: lease::machine(&host),
        host,
        pid: process.pid,
        start_ticks: process.start_ticks,
        since: millis,
        families: families.clone(),
        held: false,
        beat: 0,
    }
}

/// Claims in one metastore.
struct MetastoreClaims {
    hive: Hive,
    /// Where this run puts its claim.
    homes: Vec<String>,
    /// Where claims of others may be.
    databases: BTreeSet<String>,
}

impl MetastoreClaims {
    fn new(hive: Hive, families: &BTreeSet<String>) -> Result<Self, StoreError> {
        let tables = families.iter().map(|family| {
            let table = family.split_whitespace().next().unwrap_or(family);
            table
                .split_once('.')
                .map_or(DEFAULT, |(database, _)| database)
        });
        let wanted: BTreeSet<String> = tables.map(str::to_lowercase).collect();
        let mut homes = Vec::new();
        for database in &wanted {
            if hive.has_database(database).map_err(failed)? {
                homes.push(database.clone());
            }
        }
        if homes.len() < wanted.len() && !homes.iter().any(|home| home == DEFAULT) {
            homes.push(DEFAULT.to_owned());
        }
        let mut databases = wanted;
        databases.insert(DEFAULT.to_owned());
        Ok(Self {
            hive,
            homes,
            databases,
        })
    }

    fn views(&self, id: &str) -> Result<Vec<TableName>, StoreError> {
        let views = self.homes.iter().map(|home| view(home, id));
        views.collect()
    }
}

/// The view that holds a claim in a database.
fn view(home: &str, id: &str) -> Result<TableName, StoreError> {
    let name = TableName::new(home, &format!("{NAME}{id}"));
    name.map_err(|error| StoreError::Refused(error.to_string()))
}

fn failed(error: CatalogError) -> StoreError {
    match error {
        CatalogError::Unreachable { .. } | CatalogError::TimedOut { .. } => {
            StoreError::OutOfReach(error.to_string())
        }
        other => StoreError::Refused(other.to_string()),
    }
}

impl Store for MetastoreClaims {
    fn put(&self, claim: &Claim, must_exist: bool) -> Result<bool, StoreError> {
        let properties = properties(claim)?;
        for view in self.views(&claim.id)? {
            let done = match must_exist {
                true => self.hive.update_properties(&view, &properties),
                false => self.hive.create_record(&view, &properties),
            };
            if !done.map_err(failed)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn list(&self) -> Result<Vec<Claim>, StoreError> {
        let mut found: BTreeMap<String, Claim> = BTreeMap::new();
        for database in &self.databases {
            let views = self
                .hive
                .tables_like(database, &format!("{NAME}*"))
                .map_err(failed)?;
            let requests: Vec<_> = views.into_iter().map(|view| (view, Vec::new())).collect();
            let snapshot = self.hive.snapshot(&requests).map_err(failed)?;
            let states = snapshot.tables.values().flatten();
            // A view of this name that holds no claim is none of ours.
            let claims = states.filter_map(|state| parse(&state.info.properties));
            found.extend(claims.map(|claim| (claim.id.clone(), claim)));
        }
        Ok(found.into_values().collect())
    }

    fn remove(&self, id: &str) -> Result<(), StoreError> {
        for database in &self.databases {
            let view = view(database, id)?;
            if self.hive.has_database(database).map_err(failed)? {
                self.hive.drop_table(&view, false).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn properties(claim: &Claim) -> Result<Vec<(String, String)>, StoreError> {
    let text = serde_json::to_string(claim);
    let text = text.map_err(|error| StoreError::Refused(error.to_string()))?;
    let characters: Vec<char> = text.chars().collect();
    let parts = characters.chunks(PART_LENGTH).enumerate();
    let parts = parts.map(|(at, part)| (format!("{PART}{at}"), part.iter().collect()));
    Ok(parts.collect())
}

fn parse(properties: &BTreeMap<String, String>) -> Option<Claim> {
    let parts = (0..).map_while(|at: usize| properties.get(&format!("{PART}{at}")));
    let text: String = parts.map(String::as_str).collect();
    serde_json::from_str(&text).ok()
}
