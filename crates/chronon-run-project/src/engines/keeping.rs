//! Spark processes that outlive the commands that start them (`keep_spark`), and the metastore beside them:
//! which there are, and how they are ended.

use std::{
    env, fs,
    io::{self, IsTerminal},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use chronon_run_catalog::embedded;
use chronon_run_core::epoch_millis;
use chronon_run_process::{Keep, KeptStatus};
use chronon_run_report::{ago, count, duration, size};
use chronon_run_workspace::{Catalog, Engine, Workspace};

use crate::{
    failure::Failure,
    paths::{kept_root, metastore_directory},
    program::now_millis,
};

/// Whether this command was told to leave no process behind.
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// From now on no Spark is kept, and none that was kept is used.
pub fn forbid_keeping() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

/// How long a Spark process that is started now is to stay; `None` if it ends with this process.
///
/// Without `keep_spark` one is kept where a person waits for the next command: not from cron, and not below
/// another program. Under continuous integration, which names itself by the variable `CI`, none is.
pub fn keep_for(workspace: &Workspace) -> Option<Duration> {
    let is_forbidden = FORBIDDEN.load(Ordering::Relaxed);
    let is_ci = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    if is_forbidden || is_ci {
        return None;
    }
    let engine = &workspace.engine;
    let attended =
        || (io::stdin().is_terminal() && io::stderr().is_terminal()).then_some(Engine::KEEP);
    let idle = engine.keep_spark.or_else(attended)?;
    (!idle.is_zero()).then_some(idle)
}

/// Whether the slots of a run share one Spark process: one JVM is started and warmed instead of one for each.
pub fn is_shared(workspace: &Workspace) -> bool {
    let engine = &workspace.engine;
    engine.share_spark.unwrap_or(engine.sessions) && engine.master.starts_with("local")
}

/// Every place where a Spark process of the workspace is or was kept.
pub fn kept(workspace: &Workspace) -> Vec<Keep> {
    let entries = fs::read_dir(kept_root(workspace)).into_iter().flatten();
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let idle = workspace.engine.keep_spark.unwrap_or_default();
    let keep = |folder| Keep { folder, idle };
    folders.into_iter().map(keep).collect()
}

/// Ends the kept Spark processes that no command uses; the process ids of those that are used.
pub fn end_kept(workspace: &Workspace) -> Result<Vec<u32>, Failure> {
    let mut used = Vec::new();
    for keep in kept(workspace) {
        let ended = keep.end().map_err(|error| {
            Failure::setup(format!("cannot write {}: {error}", keep.folder.display()))
        })?;
        if !ended {
            used.extend(keep.status().map(|status| status.process.pid));
        }
    }
    Ok(used)
}

/// Ends the kept processes and the metastore.
///
/// # Errors
/// A command uses one of them, or their folders cannot be written.
pub fn stop(workspace: &Workspace) -> Result<&'static str, Failure> {
    let is_embedded = matches!(workspace.catalog, Catalog::Embedded { .. });
    let metastore = metastore_directory(workspace);
    let mut kept = kept(workspace).into_iter();
    let any = kept.any(|keep| keep.is_running()) || is_embedded && embedded::is_running(&metastore);
    if !any {
        return Ok("nothing runs\n");
    }
    if let Some(pid) = end_kept(workspace)?.first() {
        return Err(Failure::Locked {
            message: format!("a command uses Spark (process {pid})"),
        });
    }
    if is_embedded && !embedded::end_if_idle(&metastore)? {
        return Err(Failure::Locked {
            message: "a command uses the metastore".to_owned(),
        });
    }
    Ok("stopped\n")
}

/// A line for each process that runs.
pub fn described(workspace: &Workspace) -> String {
    let mut text = String::new();
    for keep in kept(workspace) {
        if let Some(status) = keep.status() {
            text += &of_spark(&keep, &status);
        }
    }
    let directory = metastore_directory(workspace);
    if let Catalog::Embedded { idle } = workspace.catalog
        && embedded::is_running(&directory)
    {
        let idle = duration(millis(idle));
        text += &format!("metastore: runs, ends {idle} after its last use\n");
    }
    if text.is_empty() {
        "nothing runs\n".to_owned()
    } else {
        text
    }
}

fn of_spark(keep: &Keep, status: &KeptStatus) -> String {
    let pid = status.process.pid;
    let Some(users) = status.users() else {
        let log = keep.log();
        return format!(
            "Spark (process {pid}): does not answer; its log is {}\n",
            log.display()
        );
    };
    let since = status
        .since
        .map(|since| format!(", started {}", ago(now_millis(), epoch_millis(since))));
    let doing = match (users, status.figure("idle"), status.figure("limit")) {
        (0, Some(idle), Some(limit)) => {
            format!("not used, ends in {}", duration(limit.saturating_sub(idle)))
        }
        _ => format!("used by {}", count(users, "connection")),
    };
    let figure = |name| status.figure(name).unwrap_or_default();
    format!(
        "Spark (process {pid}): {doing}{}, {} so far, {} of {} of memory used\n",
        since.unwrap_or_default(),
        count(figure("scripts"), "script"),
        size(figure("heap")),
        size(figure("most")),
    )
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
