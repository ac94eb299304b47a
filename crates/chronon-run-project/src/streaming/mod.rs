//! Keeping the streaming apps of online GroupBys alive (§2.6): what runs is left alone, what does
//! not is started, detached from this process.
//!
//! An app is known by its name, `chronon_group_bys_streaming_<env>_<GroupBy>` (§2.5). Who runs is
//! asked anew each time (`apps`); what is remembered of each app (`record`) is its last start,
//! so that one which dies soon is not started for ever.

pub mod apps;
mod class_path;
mod keeper;
mod launch;
mod outdated;
mod record;
mod state;
mod told;
mod watched;

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use chronon_run_core::{AssetId, AssetKind, Ds};
use chronon_run_engine::streaming::Progress;
use chronon_run_exec::{
    Control,
    lock::{self, Guard, LockError},
};
use chronon_run_ledger::Ledger;
use chronon_run_plan::AssetIndex;
use crossbeam_channel::Receiver;
use serde::Serialize;

use crate::{
    failure::Failure,
    loading::project::{Project, now_millis},
    output::note,
    planning::prepared::uploaded,
};

use self::{apps::Lister, record::Record, told::Told};
pub use keeper::stalled;

/// One app that is to be kept alive.
#[derive(Clone, Debug)]
pub struct App {
    /// `group_by/<name>/streaming`.
    pub asset: AssetId,
    index: AssetIndex,
    /// Its `APP_NAME`.
    pub name: String,
}

/// How an app is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// One of its name runs.
    Running,
    /// One runs, and has made no progress for `stalled_after`.
    Stalled,
    /// A process lives, but its query is over; the next `stream` ends it.
    Over,
    /// One runs that was started with another conf, jar, class or settings than today's.
    Outdated,
    /// Its launcher lives, and the cluster does not list it yet.
    Starting,
    /// Its launcher has lived for `settle`, and the cluster does not list it.
    Unlisted,
    /// Several of its name run.
    Twice,
    /// None runs; the next `stream` starts it.
    Absent,
    /// None runs, and none is started before its first upload.
    NotUploaded,
    /// None runs; the last start died soon, and it is too early for the next.
    BackingOff,
    /// None runs, and too many starts died soon.
    GivenUp,
}

/// One app and how it is.
#[derive(Clone, Debug, Serialize)]
pub struct AppStatus {
    /// `group_by/<name>/streaming`.
    pub asset: AssetId,
    /// Its `APP_NAME`.
    pub app_name: String,
    /// How it is.
    pub health: Health,
    /// Who runs, e.g. `process 123` or `application_1769860800000_0001`.
    pub running: Vec<String>,
    /// When it was last started here, in milliseconds since the epoch.
    pub started: Option<i64>,
    /// Starts in a row that died soon.
    pub failures: u32,
    /// When the next start may be made, in milliseconds since the epoch, if not at once.
    pub next_try: Option<i64>,
    /// The output of the last start.
    pub log: Option<std::path::PathBuf>,
    /// Why the last start died, or its query is over, in one line.
    pub message: Option<String>,
    /// The last sign of life in its log, in milliseconds since the epoch.
    pub alive_at: Option<i64>,
    /// The last progress with rows, in milliseconds since the epoch.
    pub rows_at: Option<i64>,
    /// The last progress that its log reports.
    pub progress: Option<Progress>,
    /// Since when it has made no progress, if it is stalled.
    pub stalled_since: Option<i64>,
    /// What is another today than when it was started.
    pub outdated: Vec<String>,
    /// Whether an outdated app waits for the load of an upload with today's conf.
    pub restart_waits: bool,
}

/// The apps of `selected`.
pub fn apps_of(context: &Project, selected: impl IntoIterator<Item = AssetIndex>) -> Vec<App> {
    let assets = selected
        .into_iter()
        .map(|index| (index, &context.graph.assets[index]));
    assets
        .filter(|(_, asset)| asset.id.step == AssetKind::Streaming)
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
