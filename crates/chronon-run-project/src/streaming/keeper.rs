//! Starting apps, ending those that do nothing any more, and watching what was started.

use std::{path::PathBuf, time::Duration};

use chronon_run_engine::streaming::Liveness;
use chronon_run_exec::Control;
use chronon_run_process::Detached;
use chronon_run_report::duration;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::{failure::Failure, output::note, program::now_millis};

use super::{
    App, AppStatus, Health, Streams,
    app::millis,
    apps::{self, Seen},
    launch::{self, launch},
    outdated,
    record::{self, Record},
    told::{Event, Told},
    watched,
};

/// Between two looks at apps that were just started.
const PAUSE: Duration = Duration::from_millis(50);
/// A query that was terminated without an exception may be started again by its own app.
const AGAIN: Duration = Duration::from_secs(2);
/// The log of an app that was just started is read so often.
const LOOK: i64 = 1_000;

/// An app that was just started.
pub(super) struct Started {
    app: App,
    record: Record,
    process: Detached,
    at: i64,
    looked: i64,
    /// Why it was started, if it ran before.
    reason: Option<String>,
}

impl Streams<'_> {
    /// Ends what does nothing any more, or may be started anew. Whether anything was ended.
    pub(super) fn tidy(
        &self,
        app: &App,
        record: &mut Record,
        seen: &Seen,
    ) -> Result<bool, Failure> {
        let settings = &self.context.workspace.streaming;
        let mut status = self.status(app, record, seen, now_millis())?;
        if status.health == Health::Over && record.message != status.message {
            std::thread::sleep(AGAIN);
            status = self.status(app, record, seen, now_millis())?;
        }
        let reason = match status.health {
            Health::Over => {
                let why = status.message.clone().unwrap_or_default();
                format!("its query is over: {why}")
            }
            Health::Stalled => {
                let reason = stalled(&status);
                self.tell_once(app, record, Event::Stalled, &reason);
                if !settings.restart_stalled {
                    return Ok(false);
                }
                reason
            }
            Health::Outdated if settings.restart_outdated && !status.restart_waits => {
                format!("started with another {}", status.outdated.join(", "))
            }
            _ => {
                self.make_peace(app, record, &status);
                return Ok(false);
            }
        };
        self.end(app, record, seen)?;
        note(&format!(
            "ended {} ({}): {reason}",
            app.name,
            status.running.join(", ")
        ));
        if status.health == Health::Over {
            record.died(now_millis(), Some(reason.clone()));
            self.tell_once(app, record, Event::Down, &reason);
        }
        record.restart = Some(reason);
        self.remember(app, record);
        Ok(true)
    }

    /// An app that makes progress again has no failures and no alarm.
    fn make_peace(&self, app: &App, record: &mut Record, status: &AppStatus) {
        let well = matches!(status.health, Health::Running | Health::Outdated);
        let progress = status.progress.is_some();
        let alarmed = record.stalled || (progress && record.failures > 0 && !record.pending);
        if well && alarmed {
            record.stalled = false;
            record.settled(true);
            self.remember(app, record);
        }
    }

    fn end(&self, app: &App, record: &Record, seen: &Seen) -> Result<(), Failure> {
        let mut all = seen.running(&app.name, record);
        all.extend(seen.launchers(&app.name, record));
        all.iter().try_for_each(|running| running.end(self.context))
    }

    /// Hands an event to the hooks, unless its hook was called for the same trouble before.
    fn tell_once(&self, app: &App, record: &mut Record, event: Event, reason: &str) {
        let told = match event {
            Event::Down => &mut record.down,
            Event::Stalled => &mut record.stalled,
            Event::Restarted => &mut false,
        };
        if std::mem::replace(told, true) {
            return;
        }
        self.events.borrow_mut().push(Told {
            app: app.clone(),
            event,
            reason: reason.to_owned(),
        });
        self.remember(app, record);
    }

    /// Brings the record up to what happened since: a start that was not watched to its end has
    /// settled, or has died soon.
    pub(super) fn catch_up(&self, app: &App, record: &mut Record, seen: &Seen) {
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
            (true, true) => record.settled(self.is_heard(app, record)),
            (false, _) => record.died(now, None),
        }
        self.remember(app, record);
    }

    /// Whether the app has made progress, or never prints any.
    fn is_heard(&self, app: &App, record: &Record) -> bool {
        let Ok(watched) = watched::watch(self.context, app, record) else {
            return true;
        };
        let log = watched.followed.map(|followed| followed.log);
        log.is_none_or(|log| !log.speaks || log.reports > 0)
    }

    /// Starts an app that does not run, unless it died too often or too recently; a new command
    /// line is a new beginning.
    pub(super) fn start(
        &self,
        app: &App,
        record: &mut Record,
        seen: &Seen,
    ) -> Result<Option<Started>, Failure> {
        let command = launch(self.context, app)?;
        let argv = command.masked().argv;
        let ran = record.started.is_some();
        if record.argv != argv {
            *record = Record {
                restart: record.restart.clone(),
                down: record.down,
                ..Record::default()
            };
        }
        let status = self.status(app, record, seen, now_millis())?;
        if status.health != Health::Absent {
            return Ok(None);
        }
        if ran && record.restart.is_none() && record.failures == 0 {
            self.tell_once(app, record, Event::Down, "its process is gone");
        }
        let at = now_millis();
        let log = self.begin(app, record, argv, at)?;
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
                    looked: at,
                    reason: ran.then(|| restarted(record)),
                }))
            }
            Err(error) => {
                record.died(now_millis(), Some(error.to_string()));
                self.remember(app, record);
                Ok(None)
            }
        }
    }

    /// Writes down that an app is being started, before its process exists: should this process be killed, the
    /// next one still finds it, by its mark. Returns where its log will be.
    fn begin(
        &self,
        app: &App,
        record: &mut Record,
        argv: Vec<String>,
        at: i64,
    ) -> Result<PathBuf, Failure> {
        let log = record::new_log(self.context, app, at);
        let started_with = outdated::today(self.context, app, record.started_with.as_ref());
        *record = Record {
            argv,
            started: Some(at),
            log: Some(log.clone()),
            pending: true,
            process: None,
            stalled: false,
            started_with: Some(started_with),
            boot: chronon_run_process::boot_id(),
            ..record.clone()
        };
        record.save(self.context, app)?;
        Ok(log)
    }

    /// Waits until every started app has settled or died.
    pub(super) fn watch(
        &self,
        mut started: Vec<Started>,
        control: &Receiver<Control>,
    ) -> Result<(), Failure> {
        while !started.is_empty() {
            let mut left = Vec::new();
            for mut one in started {
                if !self.is_decided(&mut one)? {
                    left.push(one);
                }
            }
            started = left;
            if started.is_empty() {
                break;
            }
            match control.recv_timeout(PAUSE) {
                Ok(Control::Stop(reason)) => return Err(Failure::Interrupted(reason)),
                Ok(Control::Kill) | Err(RecvTimeoutError::Timeout) => {}
                // The sender is gone, so no stop can arrive; continue.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(PAUSE),
            }
        }
        Ok(())
    }

    /// Whether an app that was just started has settled or died.
    fn is_decided(&self, one: &mut Started) -> Result<bool, Failure> {
        let now = now_millis();
        let took = now - one.at;
        if let Some(exit) = one.process.exit().map_err(Failure::setup)? {
            if self.goes_on_elsewhere(one, exit)? {
                self.settle(one);
            } else {
                let why = launch::explain(&one.record, exit);
                self.died_soon(one, took, &why);
            }
            return Ok(true);
        }
        if now - one.looked >= LOOK || took >= millis(self.context.workspace.streaming.settle) {
            one.looked = now;
            if let Some(why) = self.over(one)? {
                let seen = self.lister.look()?;
                self.end(&one.app, &one.record, &seen)?;
                self.died_soon(one, took, &format!("its query is over: {why}"));
                return Ok(true);
            }
        }
        let settled = took >= millis(self.context.workspace.streaming.settle);
        if settled {
            self.settle(one);
        }
        Ok(settled)
    }

    /// Why the query of an app that was just started is over, if it is for certain.
    fn over(&self, one: &Started) -> Result<Option<String>, Failure> {
        let look = || -> Result<Option<String>, Failure> {
            let watched = watched::watch(self.context, &one.app, &one.record)?;
            Ok(match watched.liveness {
                Liveness::Over { why } => Some(why),
                _ => None,
            })
        };
        if look()?.is_none() {
            return Ok(None);
        }
        std::thread::sleep(AGAIN);
        look()
    }

    fn settle(&self, one: &mut Started) {
        let heard = self.is_heard(&one.app, &one.record);
        one.record.settled(heard);
        one.record.down = false;
        one.record.restart = None;
        if let Some(reason) = one.reason.take() {
            self.events.borrow_mut().push(Told {
                app: one.app.clone(),
                event: Event::Restarted,
                reason,
            });
        }
        self.remember(&one.app, &one.record);
    }

    fn died_soon(&self, one: &mut Started, took: i64, why: &str) {
        let took = duration(u64::try_from(took).unwrap_or_default());
        let message = format!("after {took}: {why}");
        one.record.died(now_millis(), Some(message.clone()));
        self.tell_once(&one.app, &mut one.record, Event::Down, &message);
        self.remember(&one.app, &one.record);
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

    /// A record that cannot be written is reported; the app runs all the same.
    pub(super) fn remember(&self, app: &App, record: &Record) {
        if let Err(Failure::Setup { message, .. }) = record.save(self.context, app) {
            note(&message);
        }
    }
}

/// Since when an app is stalled, in words.
pub(super) fn stalled(status: &AppStatus) -> String {
    let since = status.stalled_since.unwrap_or_default();
    let ago = duration(u64::try_from(now_millis() - since).unwrap_or_default());
    match status.progress.is_some() {
        true => format!("no progress for {ago}"),
        false => format!("no progress in the {ago} since its start"),
    }
}

fn restarted(record: &Record) -> String {
    let reason = record.restart.as_ref().or(record.message.as_ref());
    reason.map_or_else(|| "its process was gone".to_owned(), Clone::clone)
}
