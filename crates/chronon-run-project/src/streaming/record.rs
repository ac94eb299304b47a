//! What is remembered of each app's last start: one small file for each.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use chronon_run_core::{ds::format_instant, event::ProcessId};
use chronon_run_engine::streaming::StartedWith;
use serde::{Deserialize, Serialize};

use crate::{failure::Failure, loading::project::Project};

use super::app::{App, millis};

/// So many logs of each app are kept.
const LOGS: usize = 10;

/// The last start of an app.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// Its command line, secrets masked.
    pub(super) argv: Vec<String>,
    /// When, in milliseconds since the epoch.
    pub(super) started: Option<i64>,
    /// What was started, in the boot of this machine that `boot` names.
    pub(super) process: Option<ProcessId>,
    pub(super) boot: String,
    /// Its output.
    pub(super) log: Option<PathBuf>,
    /// Whether it is not known yet whether it lives long enough.
    pub(super) pending: bool,
    /// Starts in a row that died soon, this one included.
    pub(super) failures: u32,
    /// When the last of them died, or was found dead, in milliseconds since the epoch.
    pub(super) failed_at: Option<i64>,
    /// Why.
    pub(super) message: Option<String>,
    /// What it was started with; unknown of starts by earlier versions.
    pub(super) started_with: Option<StartedWith>,
    /// Why it was ended to be started again.
    pub(super) restart: Option<String>,
    /// Whether the hook `on_stream_down` was called, and it has not settled since.
    pub(super) down: bool,
    /// Whether the hook `on_stream_stalled` was called, and it has made no progress since.
    pub(super) stalled: bool,
}

impl Record {
    /// What is remembered of an app; nothing, if the file is gone or cannot be read: then the app
    /// is still found by its mark.
    pub(super) fn load(context: &Project, app: &App) -> Self {
        let text = fs::read(path(context, app)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Replaces what is remembered.
    pub(super) fn save(&self, context: &Project, app: &App) -> Result<(), Failure> {
        let path = path(context, app);
        let written = || -> io::Result<()> {
            fs::create_dir_all(folder(context))?;
            chronon_run_process::replace(&path, serde_json::to_vec_pretty(self)?)
        };
        written()
            .map_err(|error| Failure::setup(format!("cannot write {}: {error}", path.display())))
    }

    /// It lived long enough. One that has not made progress, and should, keeps its failures.
    pub(super) fn settled(&mut self, heard: bool) {
        self.pending = false;
        if !heard {
            return;
        }
        self.failures = 0;
        self.failed_at = None;
        self.message = None;
    }

    /// It died too soon.
    pub(super) fn died(&mut self, at: i64, message: Option<String>) {
        self.pending = false;
        self.failures += 1;
        self.failed_at = Some(at);
        self.message = message;
    }

    /// When the next start may be made, in milliseconds since the epoch: `backoff` after the first
    /// failure, twice as long after each further one.
    pub(super) fn next_try(&self, backoff: Duration) -> Option<i64> {
        let doublings = self.failures.checked_sub(1)?;
        let factor = 1_i64.checked_shl(doublings).unwrap_or(i64::MAX);
        let wait = millis(backoff).saturating_mul(factor.max(1));
        Some(self.failed_at?.saturating_add(wait))
    }
}

/// Where records and logs are.
pub(super) fn folder(context: &Project) -> PathBuf {
    context.workspace.state_dir.join("streaming")
}

fn path(context: &Project, app: &App) -> PathBuf {
    folder(context).join(format!("{}.json", file_name(&app.name)))
}

/// A log for a start at `at`, in milliseconds since the epoch; the oldest ones make room.
pub(super) fn new_log(context: &Project, app: &App, at: i64) -> PathBuf {
    let folder = folder(context);
    let name = file_name(&app.name);
    let mut old = logs(&folder, &name);
    old.sort();
    for path in old.iter().rev().skip(LOGS - 1) {
        // If it stays, it does no harm.
        let _ = fs::remove_file(path);
    }
    let instant = format_instant(at);
    let digits: String = instant.chars().filter(char::is_ascii_digit).collect();
    folder.join(format!("{name}.{digits}.log"))
}

fn logs(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of_app = |path: &PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str());
        file.and_then(|file| file.strip_prefix(name)?.strip_suffix(".log"))
            .and_then(|middle| middle.strip_prefix('.'))
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    entries.map(|entry| entry.path()).filter(of_app).collect()
}

pub(super) fn file_name(app: &str) -> String {
    let plain = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
        _ => '_',
    };
    app.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_and_a_settled_app_starts_over() {
        let backoff = Duration::from_secs(60);
        let mut record = Record::default();
        assert_eq!(record.next_try(backoff), None);
        let waits: Vec<_> = (0..4)
            .map(|_| {
                record.died(1_000, None);
                record.next_try(backoff).unwrap() - 1_000
            })
            .collect();
        assert_eq!(waits, [60_000, 120_000, 240_000, 480_000]);
        record.failures = 200;
        assert!(record.next_try(backoff).unwrap() > 0);
        record.settled(false);
        assert_eq!(record.failures, 200);
        record.settled(true);
        assert_eq!(record.next_try(backoff), None);
    }
}
