//! What an app's log says, remembered from one call to the next.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use chronon_run_engine::streaming::{Facts, Followed, Liveness, judge};

use crate::{failure::Failure, loading::project::Project, program::now_millis};

use super::{
    app::{App, millis},
    record::{Record, file_name, folder},
};

/// What is known of the query of an app that lives.
pub(super) struct Watched {
    /// The log, as far as it was read; `None` if there is none here.
    pub(super) followed: Option<Followed>,
    pub(super) liveness: Liveness,
}

impl Watched {
    /// Of an app whose log is not here.
    pub(super) fn unknown() -> Self {
        Self {
            followed: None,
            liveness: Liveness::Unknown,
        }
    }
}

/// Reads what was added to the log of the app's last start.
pub(super) fn watch(context: &Project, app: &App, record: &Record) -> Result<Watched, Failure> {
    let (Some(log), Some(started)) = (&record.log, record.started) else {
        return Ok(Watched::unknown());
    };
    let path = path(context, app);
    let known = fs::read(&path).unwrap_or_default();
    let known: Option<Followed> = serde_json::from_slice(&known).ok();
    let known = known.filter(|known| known.path() == log);
    let mut followed = known.clone().unwrap_or_else(|| Followed::new(log));
    let now = now_millis();
    followed.catch_up(now, started).map_err(|error| {
        Failure::setup(format!("cannot read the log {}: {error}", log.display()))
    })?;
    if known.as_ref() != Some(&followed) {
        // Without it the log is read once more.
        let _ = write(&path, &followed);
    }
    let settings = &context.workspace.streaming;
    let in_cluster = context.workspace.engine.deploy_mode.as_deref() == Some("cluster");
    let liveness = judge(
        &followed.log,
        Facts {
            now,
            started,
            stalled_after: millis(settings.stalled_after),
            prints: settings.names_stalled_after || (settings.command.is_none() && !in_cluster),
        },
    );
    Ok(Watched {
        followed: Some(followed),
        liveness,
    })
}

fn write(path: &Path, followed: &Followed) -> io::Result<()> {
    chronon_run_process::replace(path, serde_json::to_vec(followed)?)
}

fn path(context: &Project, app: &App) -> PathBuf {
    folder(context).join(format!("{}.progress.json", file_name(&app.name)))
}
