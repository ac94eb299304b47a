//! Orphans of the children, where this process is the first of its container.
//!
//! The kernel gives process 1 every process whose parent has ended, and keeps what is left of them
//! (zombies) until process 1 asks how they ended. Children that were started here are left to those
//! who wait for them: they are registered while no orphan is being looked for.

use std::{
    collections::HashSet,
    fs, io,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use chronon_run_core::event::ProcessId;

use crate::{identity::Stat, sys};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Every child that was started here, by number and start time.
static CHILDREN: Mutex<Option<HashSet<ProcessId>>> = Mutex::new(None);

fn children() -> MutexGuard<'static, Option<HashSet<ProcessId>>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to reap orphans if this is process 1; nothing otherwise.
///
/// # Errors
/// If no thread can be started.
pub fn reap_orphans() -> io::Result<()> {
    if std::process::id() != 1 {
        return Ok(());
    }
    *children() = Some(HashSet::new());
    let reap = || {
        loop {
            reap_once();
            thread::sleep(PAUSE);
        }
    };
    let builder = thread::Builder::new().name("reaper".to_owned());
    builder.spawn(reap).map(|_| ())
}

/// Runs `start`, which starts a child, and registers it by `pid`.
pub(crate) fn registering<T>(
    start: impl FnOnce() -> io::Result<T>,
    pid: impl FnOnce(&T) -> u32,
) -> io::Result<T> {
    let mut children = children();
    let Some(known) = children.as_mut() else {
        drop(children);
        return start();
    };
    // Held, so that a child that ends at once is not taken for an orphan.
    let started = start()?;
    if let Some(stat) = Stat::of(pid(&started)) {
        known.insert(stat.id);
    }
    Ok(started)
}

/// Reaps every zombie whose parent is this process, number 1, and that was not started here. (Tested
/// end to end: in a process that runs other tests it would take their children.)
fn reap_once() {
    let mut children = children();
    let Some(known) = children.as_mut() else {
        return;
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut living = HashSet::new();
    for stat in pids.filter_map(Stat::of).filter(|stat| stat.parent == 1) {
        match known.contains(&stat.id) {
            true => {
                living.insert(stat.id);
            }
            false if stat.zombie => sys::reap(stat.id.pid),
            false => {}
        }
    }
    // Numbers are used again.
    *known = living;
}
