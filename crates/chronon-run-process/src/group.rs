//! A child's process group and session, and how they are ended.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use chronon_run_core::event::ProcessId;

use crate::{
    Usage,
    identity::Stat,
    sys::{self, Signal},
};

/// How long to wait for processes that were sent KILL: the kernel may take a moment.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// How long a process may be without an environment while it executes another program: far less,
/// but on a machine under load 30 ms were not enough once. Only waited for after something died.
const EXEC_PAUSE: Duration = Duration::from_millis(150);

/// The group of one [`Child`](crate::Child), to be signalled from any thread.
///
/// Knows when the group is over, so a late signal never reaches a stranger.
#[derive(Clone, Debug)]
pub struct Group {
    leader: ProcessId,
    over: Arc<Mutex<bool>>,
}

impl Group {
    pub(crate) fn new(leader: ProcessId) -> Self {
        let over = Arc::new(Mutex::new(false));
        Self { leader, over }
    }

    /// The leader; its number is also the group's.
    #[must_use]
    pub fn leader(&self) -> ProcessId {
        self.leader
    }

    /// Sends TERM to every process of the group; nothing if the group is over.
    pub fn terminate(&self) {
        self.signal(Signal::Term);
    }

    /// Sends KILL to every process of the group; nothing if the group is over.
    pub fn kill(&self) {
        self.signal(Signal::Kill);
    }

    fn signal(&self, signal: Signal) {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if !*over {
            sys::signal_group(self.leader.pid, signal);
        }
    }

    /// What its session has used so far; `None` if it is over, or if the system does not show it.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        match self.is_over() {
            true => None,
            false => Usage::of(self.leader),
        }
    }

    /// Whether nothing of it is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reaps the leader with `reap`, ends what else the group holds, and marks it over.
    pub(crate) fn finish<T>(&self, grace: Duration, reap: impl FnOnce() -> T) -> T {
        let result = {
            // Held so that no signal falls between the reaping and the look at the group.
            let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
            let result = reap();
            if *over {
                return result;
            }
            // A number is not given out again while a group or session of that number has members.
            *over = Stat::living_members(self.leader.pid).is_empty()
                && !sys::group_exists(self.leader.pid);
            if *over {
                return result;
            }
            result
        };
        let members = || Stat::living_members(self.leader.pid);
        end_all(grace, members, |found, signal| {
            signal_session(self.leader.pid, found, signal)
        });
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        result
    }
}

/// Ends the group that `leader` led in this or an earlier run, if any of it is left:
/// TERM, up to `grace`, KILL. Returns whether there was something to end.
///
/// Start times are compared, so a stranger that got the number later is left alone; an
/// unknown start time (0) ends nothing.
pub fn end_group(leader: ProcessId, grace: Duration) -> bool {
    if leader.start_ticks == 0 {
        return false;
    }
    let ours = || {
        let members = Stat::living_members(leader.pid);
        let strange = |stat: &Stat| {
            // The number is a stranger's now, or this member is older than the leader.
            (stat.id.pid == leader.pid && stat.id != leader)
                || stat.id.start_ticks < leader.start_ticks
        };
        if members.iter().any(strange) {
            Vec::new()
        } else {
            members
        }
    };
    end_all(grace, ours, |found, signal| {
        signal_session(leader.pid, found, signal)
    })
}

/// Signals the group of `leader` at once, and what has left it for another group of its session.
fn signal_session(leader: u32, found: &[Stat], signal: Signal) {
    sys::signal_group(leader, signal);
    for stat in found.iter().filter(|stat| stat.group != leader) {
        sys::signal_process(stat.id.pid, signal);
    }
}

/// Ends every process that was started with `variable` (`NAME=value`) in its environment, and
/// everything that these start meanwhile. Whether there was anything.
pub(crate) fn end_marked(variable: &str, grace: Duration) -> bool {
    let marked = || {
        let found = Stat::living_with(variable);
        if found.is_empty() {
            // A process has no environment while it is being replaced by another program.
            thread::sleep(EXEC_PAUSE);
            return Stat::living_with(variable);
        }
        found
    };
    end_all(grace, marked, |found, signal| {
        for stat in found {
            sys::signal_process(stat.id.pid, signal);
        }
    })
}

/// TERM, grace, KILL, until `living` finds no process. Whether there was any.
fn end_all(
    grace: Duration,
    living: impl Fn() -> Vec<Stat>,
    signal: impl Fn(&[Stat], Signal),
) -> bool {
    let found = living();
    if found.is_empty() {
        return false;
    }
    signal(&found, Signal::Term);
    if !wait_until(grace, || living().is_empty()) {
        wait_until(KILL_PATIENCE, || {
            // Every time: a process may have started between the look and the signal.
            let found = living();
            signal(&found, Signal::Kill);
            found.is_empty()
        });
    }
    true
}

/// Looks ever more rarely until `done` or `patience` is over; whether it was done.
fn wait_until(patience: Duration, done: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        if done() {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
