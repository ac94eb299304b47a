//! Keeping the streaming apps of online GroupBys alive (§2.6): what runs is left alone, what does
//! not is started, detached from this process.
//!
//! An app is known by its name, `chronon_group_bys_streaming_<env>_<GroupBy>` (§2.5). Who runs is
//! asked anew each time (`apps`); what is remembered of each app (`record`) is its last start,
//! so that one which dies soon is not started for ever.

mod app;
pub mod apps;
mod class_path;
mod keeper;
mod launch;
mod outdated;
mod record;
mod shown;
mod state;
mod told;
mod watched;

use std::{cell::RefCell, collections::BTreeMap};

use chronon_run_core::{AssetId, AssetKind, Ds};
use chronon_run_exec::{
    Control,
    lock::{self, Guard, LockError},
};
use chronon_run_ledger::Ledger;
use chronon_run_plan::AssetIndex;
use crossbeam_channel::Receiver;

use crate::{
    failure::Failure, loading::project::Project, output::note, planning::prepared::uploaded,
    program::now_millis,
};

use self::{apps::Lister, record::Record, told::Told};
pub use app::{App, AppStatus, Health};
pub use shown::{add_to, outcome, tell};

/// The apps of `selected`.
pub fn apps_of(context: &Project, selected: impl IntoIterator<Item = AssetIndex>) -> Vec<App> {
    let assets = selected
        .into_iter()
        .map(|index| (index, &context.graph.assets[index]));
    assets
        .filter(|(_, asset)| asset.id.mode == AssetKind::Streaming)
        .map(|(index, asset)| App {
            asset: asset.id.clone(),
            index,
            name: launch::app_name(context, &asset.id),
        })
        .collect()
}

/// How every app of `apps` is, without changing anything.
pub fn look(
    context: &Project,
    apps: &[App],
    ledger: Option<&mut Ledger>,
) -> Result<Vec<AppStatus>, Failure> {
    let streams = Streams::new(context, ledger, false)?;
    let seen = streams.lister.look()?;
    apps.iter()
        .map(|app| {
            let record = Record::load(context, app);
            streams.status(app, &record, &seen, now_millis())
        })
        .collect()
}

/// Starts every app of `apps` that does not run, and watches it until it has settled. Says what it
/// does; returns how every app is afterwards.
pub fn keep(
    context: &Project,
    apps: &[App],
    ledger: Option<&mut Ledger>,
    control: &Receiver<Control>,
) -> Result<Vec<AppStatus>, Failure> {
    let _guard = lock(context, apps)?;
    let streams = Streams::new(context, ledger, true)?;
    let mut seen = streams.lister.look()?;
    let mut ended = false;
    for app in apps {
        let mut record = Record::load(context, app);
        streams.catch_up(app, &mut record, &seen);
        ended |= streams.tidy(app, &mut record, &seen)?;
    }
    if ended {
        seen = streams.lister.look()?;
    }
    let mut started = Vec::new();
    for app in apps {
        let mut record = Record::load(context, app);
        let status = streams.status(app, &record, &seen, now_millis())?;
        let absent = matches!(
            status.health,
            Health::Absent | Health::BackingOff | Health::GivenUp
        );
        if absent {
            started.extend(streams.start(app, &mut record, &seen)?);
        }
    }
    let watched = streams.watch(started, control);
    let seen = streams.lister.look()?;
    let states: Result<Vec<AppStatus>, Failure> = apps
        .iter()
        .map(|app| {
            let record = Record::load(context, app);
            streams.status(app, &record, &seen, now_millis())
        })
        .collect();
    let states = states?;
    told::tell(context, &streams.events.borrow(), &states);
    watched?;
    Ok(states)
}

/// Ends every app of `apps` that runs, and forgets its failures. Says what it does; returns how
/// every app is afterwards.
pub fn stop(
    context: &Project,
    apps: &[App],
    ledger: Option<&mut Ledger>,
) -> Result<Vec<AppStatus>, Failure> {
    let _guard = lock(context, apps)?;
    let seen = Streams::new(context, None, false)?.lister.look()?;
    for app in apps {
        let record = Record::load(context, app);
        let mut running = seen.running(&app.name, &record);
        running.extend(seen.launchers(&app.name, &record));
        if running.is_empty() {
            note(&format!("{} does not run", app.name));
        }
        for found in running {
            found.end(context)?;
            note(&format!("stopped {} ({})", app.name, found.id()));
        }
        Record::default().save(context, app)?;
    }
    look(context, apps, ledger)
}

/// Two invocations must not start the same app.
fn lock(context: &Project, apps: &[App]) -> Result<Guard, Failure> {
    let folder = context.workspace.state_dir.join("locks");
    let families = apps
        .iter()
        .map(|app| context.graph.assets[app.index].family.as_str());
    let grace = context.workspace.run.grace;
    lock::acquire(&folder, "`stream`", now_millis(), families, grace).map_err(|error| match error {
        LockError::Held { pid, .. } => Failure::Locked {
            message: format!("another `chronon-run stream` looks after these apps (process {pid})"),
        },
        LockError::Io { .. } => Failure::setup(error),
    })
}

struct Streams<'a> {
    context: &'a Project,
    lister: Lister<'a>,
    /// Uploads and loads into the KV store that the ledger knows.
    uploaded: BTreeMap<AssetId, Ds>,
    /// Whether Spark may be installed to ask the embedded metastore.
    may_install: bool,
    /// What the hooks are called for in the end.
    events: RefCell<Vec<Told>>,
}

impl<'a> Streams<'a> {
    fn new(
        context: &'a Project,
        ledger: Option<&mut Ledger>,
        may_install: bool,
    ) -> Result<Self, Failure> {
        Ok(Self {
            context,
            lister: Lister::of(context),
            uploaded: ledger.map(uploaded).unwrap_or_default(),
            may_install,
            events: RefCell::default(),
        })
    }
}
