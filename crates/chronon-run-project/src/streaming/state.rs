//! How an app is, without changing anything.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, AssetKind, ConfType};
use chronon_run_engine::streaming::Liveness;

use crate::{failure::Failure, listing::session::CatalogSession};

use super::{
    App, AppStatus, Health, Streams,
    apps::{Running, Seen},
    record::Record,
    watched::{self, Watched},
};

impl Streams<'_> {
    pub(super) fn status(
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
        let watched = self.watched(app, record, &running, &launchers)?;
        let lives = !running.is_empty() || !launchers.is_empty();
        let outdated = match lives {
            true => self.differences(app, record),
            false => Vec::new(),
        };
        let health = match (running.len(), launchers.len()) {
            (2.., _) => Health::Twice,
            (1, _) | (0, 1..) if matches!(watched.liveness, Liveness::Over { .. }) => Health::Over,
            (1, _) if matches!(watched.liveness, Liveness::Stalled { .. }) => Health::Stalled,
            (1, _) if !outdated.is_empty() => Health::Outdated,
            (1, _) => Health::Running,
            (0, 1..) if record.pending => Health::Starting,
            (0, 1..) => Health::Unlisted,
            (0, 0) if record.failures >= settings.tries => Health::GivenUp,
            (0, 0) if next_try.is_some_and(|at| at > now) => Health::BackingOff,
            (0, 0) if self.is_uploaded(app)? => Health::Absent,
            (0, 0) => Health::NotUploaded,
        };
        let restart_waits = health == Health::Outdated
            && settings.restart_outdated
            && !self.is_todays_conf_loaded(app, record);
        let shown = if running.is_empty() {
            launchers
        } else {
            running
        };
        let message = match &watched.liveness {
            Liveness::Over { why } if health == Health::Over => Some(why.clone()),
            _ => record.message.clone(),
        };
        let log = watched.followed.map(|followed| followed.log);
        let log = log.filter(|_| lives).unwrap_or_default();
        Ok(AppStatus {
            asset: app.asset.clone(),
            app_name: app.name.clone(),
            health,
            running: shown.iter().map(Running::id).collect(),
            started: record.started,
            failures: record.failures,
            next_try: next_try.filter(|_| health == Health::BackingOff),
            log: record.log.clone(),
            message,
            alive_at: log.alive_at,
            rows_at: log.rows_at,
            progress: log.progress,
            stalled_since: match watched.liveness {
                Liveness::Stalled { since } if health == Health::Stalled => Some(since),
                _ => None,
            },
            outdated,
            restart_waits,
        })
    }

    /// What the log says of an app that lives and whose log is here.
    pub(super) fn watched(
        &self,
        app: &App,
        record: &Record,
        running: &[Running],
        launchers: &[Running],
    ) -> Result<Watched, Failure> {
        let here = match self.lister.is_local() {
            true => !running.is_empty(),
            // Its driver runs here, or the log ended when another start, elsewhere, took its place.
            false => !launchers.is_empty(),
        };
        match here {
            true => watched::watch(self.context, app, record),
            false => Ok(Watched::unknown()),
        }
    }

    /// An app reads its serving information from the KV store (§8.1), and would die without it. Where
    /// no loader is known, only the upload can be asked for.
    fn is_uploaded(&self, app: &App) -> Result<bool, Failure> {
        let of = |step| AssetId::new(ConfType::GroupBy, &app.asset.conf.name, step);
        if self.context.workspace.hooks.kv_upload.is_some() {
            return Ok(self.uploaded.contains_key(&of(AssetKind::Kv)));
        }
        let upload = of(AssetKind::Upload);
        if self.uploaded.contains_key(&upload) {
            return Ok(true);
        }
        let Some(index) = self.context.graph.find(&upload) else {
            return Ok(true);
        };
        // Another program may have filled it.
        let table = self.context.graph.assets[index].table.clone();
        let tables = BTreeMap::from([(table.clone(), Default::default())]);
        let workspace = &self.context.workspace;
        let warehouse = match self.may_install {
            true => Some(CatalogSession::look(workspace)?),
            false => CatalogSession::look_without_install(workspace)?,
        };
        let Some(warehouse) = warehouse else {
            return Ok(false);
        };
        let snapshot = warehouse.snapshot(&self.context.workspace, &tables)?;
        Ok(snapshot.table(&table).is_some())
    }
}
