//! Keeping the streaming apps of online GroupBys alive (§2.6): what runs is left alone, what does
//! not is started, detached from this process.
//!
//! An app is known by its name, `chronon_group_bys_streaming_<env>_<GroupBy>` (§2.5). Who runs is
//! asked anew each time ([`apps`]); what is remembered of each app ([`record`]) is its last start,
//! so that one which dies soon is not started for ever.

pub(crate) mod apps;
mod class_path;
mod launch;
mod record;

use std::{collections::BTreeMap, time::Duration};

use chronon_run_core::{AssetId, ConfType, StepKind};
use chronon_run_exec::{
    Control,
    lock::{self, Guard, LockError},
};
use chronon_run_ledger::Ledger;
use chronon_run_plan::AssetIndex;
use chronon_run_process::Detached;
use chronon_run_report::duration;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde::Serialize;

use crate::{
    context::{Context, now_millis},
    failure::Failure,
    output::note,
    planning::uploaded,
    warehouse::Warehouse,
};

use self::{
    apps::{Lister, Running, Seen},
    launch::launch,
    record::Record,
};

/// Between two looks at apps that were just started.
const PAUSE: Duration = Duration::from_millis(50);

/// One app that is to be kept alive.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// `group_by/<name>/streaming`.
    pub(crate) asset: AssetId,
    index: AssetIndex,
    /// Its `APP_NAME`.
    pub(crate) name: String,
}

/// How an app is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    /// One of its name runs.
    Running,
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
pub(crate) struct AppStatus {
    /// `group_by/<name>/streaming`.
    pub(crate) asset: AssetId,
    /// Its `APP_NAME`.
    pub(crate) app_name: String,
    /// How it is.
    pub(crate) health: Health,
    /// Who runs, e.g. `process 123` or `application_1769860800000_0001`.
    pub(crate) running: Vec<String>,
    /// When it was last started here, in milliseconds since the epoch.
    pub(crate) started: Option<i64>,
    /// Starts in a row that died soon.
    pub(crate) failures: u32,
    /// When the next start may be made, in milliseconds since the epoch, if not at once.
    pub(crate) next_try: Option<i64>,
    /// The output of the last start.
    pub(crate) log: Option<std::path::PathBuf>,
    /// Why the last start died, in one line.
    pub(crate) message: Option<String>,
}

/// The apps of `selected`.
pub(crate) fn apps_of(
    context: &Context,
    selected: impl IntoIterator<Item = AssetIndex>,
) -> Vec<App> {
    let assets = selected
        .into_iter()
        .map(|index| (index, &context.graph.assets[index]));
    assets
        .filter(|(_, asset)| asset.id.step == StepKind::Streaming)
        .map(|(index, asset)| App {
            asset: asset.id.clone(),
            index,
            name: launch::app_name(context, &asset.id),
        })
        .collect()
}

/// How every app of `apps` is, without changing anything.
pub(crate) fn look(
    context: &Context,
    apps: &[App],
    ledger: Option<&mut Ledger>,
) -> Result<Vec<AppStatus>, Failure> {
    let streams = Streams::new(context, ledger)?;
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
pub(crate) fn keep(
    context: &Context,
    apps: &[App],
    ledger: Option<&mut Ledger>,
    control: &Receiver<Control>,
) -> Result<Vec<AppStatus>, Failure> {
    let _guard = lock(context, apps)?;
    let streams = Streams::new(context, ledger)?;
    let seen = streams.lister.look()?;
    let mut started = Vec::new();
    for app in apps {
        let mut record = Record::load(context, app);
        streams.catch_up(app, &mut record, &seen);
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
    watched?;
    apps.iter()
        .map(|app| {
            let record = Record::load(context, app);
            streams.status(app, &record, &seen, now_millis())
        })
        .collect()
}

/// Ends every app of `apps` that runs, and forgets its failures. Says what it does; returns how
/// every app is afterwards.
pub(crate) fn stop(
    context: &Context,
    apps: &[App],
    ledger: Option<&mut Ledger>,
) -> Result<Vec<AppStatus>, Failure> {
    let _guard = lock(context, apps)?;
    let seen = Streams::new(context, None)?.lister.look()?;
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
fn lock(context: &Context, apps: &[App]) -> Result<Guard, Failure> {
    let folder = context.workspace.state_dir.join("locks");
    let families = apps
        .iter()
        .map(|app| context.graph.assets[app.index].family.as_str());
    lock::acquire(&folder, "`stream`", now_millis(), families).map_err(|error| match error {
        LockError::Held { pid, .. } => Failure::Locked {
            message: format!("another `chronon-run stream` looks after these apps (process {pid})"),
        },
        LockError::Io { .. } => Failure::setup(error),
    })
}

struct Streams<'a> {
    context: &'a Context,
    lister: Lister<'a>,
    /// Uploads and loads into the KV store that the ledger knows.
    uploaded: BTreeMap<AssetId, chronon_run_core::Ds>,
}

/// An app that was just started.
struct Started {
    app: App,
    record: Record,
    process: Detached,
    at: i64,
}

impl<'a> Streams<'a> {
    fn new(context: &'a Context, ledger: Option<&mut Ledger>) -> Result<Self, Failure> {
        Ok(Self {
            context,
            lister: Lister::of(context),
            uploaded: ledger.map(uploaded).unwrap_or_default(),
        })
    }

    fn status(
        &self,
        app: &App,
        record: &Record,
        seen: &Seen,
        now: i64,
    ) -> Result<AppStatus, Failure> {
        let running = seen.running(&app.name, record);
        let launchers = seen.launchers(&app.name, record);
        let settings = &self.context.workspace.streaming;
        let next_try = record.next_try(settings.backoff);
        let health = match (running.len(), launchers.len()) {
            (1, _) => Health::Running,
            (2.., _) => Health::Twice,
            (0, 1..) if record.pending => Health::Starting,
            (0, 1..) => Health::Unlisted,
            (0, 0) if record.failures >= settings.tries => Health::GivenUp,
            (0, 0) if next_try.is_some_and(|at| at > now) => Health::BackingOff,
            (0, 0) if self.is_uploaded(app)? => Health::Absent,
            (0, 0) => Health::NotUploaded,
        };
        let shown = if running.is_empty() {
            launchers
        } else {
            running
        };
        Ok(AppStatus {
            asset: app.asset.clone(),
            app_name: app.name.clone(),
            health,
            running: shown.iter().map(Running::id).collect(),
            started: record.started,
            failures: record.failures,
            next_try: next_try.filter(|_| health == Health::BackingOff),
            log: record.log.clone(),
            message: record.message.clone(),
        })
    }

    /// An app reads its serving information from the KV store (§8.1), and would die without it. Where
    /// nobody is known to load it, the upload is all that can be asked for.
    fn is_uploaded(&self, app: &App) -> Result<bool, Failure> {
        let of = |step| AssetId::new(ConfType::GroupBy, &app.asset.conf.name, step);
        if self.context.workspace.hooks.kv_upload.is_some() {
            return Ok(self.uploaded.contains_key(&of(StepKind::Kv)));
        }
        let upload = of(StepKind::Upload);
        if self.uploaded.contains_key(&upload) {
            return Ok(true);
        }
        let Some(index) = self.context.graph.find(&upload) else {
            return Ok(true);
        };
        // Somebody else may have filled it.
        let table = self.context.graph.assets[index].table.clone();
        let tables = BTreeMap::from([(table.clone(), Default::default())]);
        let warehouse = Warehouse::look(&self.context.workspace)?;
        let snapshot = warehouse.snapshot(&self.context.workspace, &tables)?;
        Ok(snapshot.table(&table).is_some())
    }

    /// Brings the record up to what happened since: a start that nobody watched to its end has
    /// settled, or has died soon.
    fn catch_up(&self, app: &App, record: &mut Record, seen: &Seen) {
        if !record.pending {
            return;
        }
        let lives = !seen.running(&app.name, record).is_empty()
            || !seen.launchers(&app.name, record).is_empty();
        let now = now_millis();
        let settled = record
            .started
            .is_none_or(|at| now - at >= millis(self.context.workspace.streaming.settle));
        match (lives, settled) {
            (true, false) => return,
            (true, true) => record.settled(),
            (false, _) => record.died(now, None),
        }
        self.remember(app, record);
    }

    /// Starts an app that does not run, unless it died too often or too recently; a new command
    /// line is a new beginning.
    fn start(
        &self,
        app: &App,
        record: &mut Record,
        seen: &Seen,
    ) -> Result<Option<Started>, Failure> {
        let command = launch(self.context, app)?;
        let argv = command.masked().argv;
        if record.argv != argv {
            *record = Record::default();
        }
        let status = self.status(app, record, seen, now_millis())?;
        if status.health != Health::Absent {
            return Ok(None);
        }
        let at = now_millis();
        let log = record::new_log(self.context, app, at);
        *record = Record {
            argv,
            started: Some(at),
            log: Some(log.clone()),
            pending: true,
            process: None,
            boot: chronon_run_process::boot_id(),
            ..record.clone()
        };
        // Written before the process exists: should this process be killed now, the next one still
        // finds it, by its mark.
        record.save(self.context, app)?;
        let scope = apps::scope(self.context);
        match Detached::start(&command, &log, &scope, &app.name) {
            Ok(process) => {
                let id = process.id();
                record.process = Some(id);
                self.remember(app, record);
                note(&format!(
                    "started {} (process {}); log: {}",
                    app.name,
                    id.pid,
                    log.display()
                ));
                Ok(Some(Started {
                    app: app.clone(),
                    record: record.clone(),
                    process,
                    at,
                }))
            }
            Err(error) => {
                record.died(now_millis(), Some(error.to_string()));
                self.remember(app, record);
                Ok(None)
            }
        }
    }

    /// Waits until every started app has settled or died.
    fn watch(&self, mut started: Vec<Started>, control: &Receiver<Control>) -> Result<(), Failure> {
        let settle = millis(self.context.workspace.streaming.settle);
        while !started.is_empty() {
            let mut left = Vec::new();
            for mut one in started {
                let ended = one.process.exit().map_err(Failure::setup)?;
                let took = now_millis() - one.at;
                match ended {
                    Some(exit) if !self.goes_on_elsewhere(&one, exit)? => {
                        let took = duration(u64::try_from(took).unwrap_or_default());
                        let why = launch::explain(&one.record, exit);
                        let message = format!("after {took}: {why}");
                        one.record.died(now_millis(), Some(message));
                        self.remember(&one.app, &one.record);
                    }
                    None if took < settle => left.push(one),
                    _ => {
                        one.record.settled();
                        self.remember(&one.app, &one.record);
                    }
                }
            }
            started = left;
            if started.is_empty() {
                break;
            }
            match control.recv_timeout(PAUSE) {
                Ok(Control::Stop(reason)) => return Err(Failure::Interrupted(reason)),
                Ok(Control::Kill) | Err(RecvTimeoutError::Timeout) => {}
                // Nobody can stop us any more; go on looking.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(PAUSE),
            }
        }
        Ok(())
    }

    /// Whether only the launcher has ended, and the cluster runs what it submitted.
    fn goes_on_elsewhere(
        &self,
        one: &Started,
        exit: chronon_run_process::Exit,
    ) -> Result<bool, Failure> {
        if exit != chronon_run_process::Exit::Code(0) || self.lister.is_local() {
            return Ok(false);
        }
        let seen = self.lister.look()?;
        Ok(!seen.running(&one.app.name, &one.record).is_empty())
    }

    /// A record that cannot be written is told; the app runs all the same.
    fn remember(&self, app: &App, record: &Record) {
        if let Err(Failure::Setup { message, .. }) = record.save(self.context, app) {
            note(&message);
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
