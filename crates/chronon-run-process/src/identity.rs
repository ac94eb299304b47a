//! Which process a number means: `/proc/<pid>/stat`.

use std::fs;

use chronon_run_core::event::ProcessId;

/// What one line of `/proc/<pid>/stat` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    pub(crate) id: ProcessId,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
    /// Exited, and not yet reaped by its parent.
    pub(crate) zombie: bool,
    /// The letter of its state, as in proc(5).
    pub(crate) state: char,
    /// Processor time of it and of its children that have ended, in clock ticks.
    pub(crate) cpu_ticks: u64,
}

impl Stat {
    /// The process `pid`, if it exists.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The second field is the program's name in parentheses and may hold anything.
        let (pid, rest) = line.split_once(' ')?;
        let (_, rest) = rest.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered from 1 in proc(5); `fields` begins with the third.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            id: ProcessId {
                pid: pid.parse().ok()?,
                start_ticks: field(22)?.parse().ok()?,
            },
            parent: field(4)?.parse().ok()?,
            group: field(5)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            zombie: matches!(field(3)?, "Z" | "X" | "x"),
            state: field(3)?.chars().next()?,
            // utime, stime, cutime and cstime.
            cpu_ticks: (14..=17)
                .filter_map(|number| field(number)?.parse::<u64>().ok())
                .sum(),
        })
    }

    /// Every living process of the group or session that `leader` leads or led: a shell with job
    /// control gives its jobs groups of their own, which stay in the session.
    pub(crate) fn living_members(leader: u32) -> Vec<Self> {
        let stats = all_pids().filter_map(Self::of);
        stats
            .filter(|stat| [stat.group, stat.session].contains(&leader) && !stat.zombie)
            .collect()
    }

    /// Every living process that was started with `variable` (`NAME=value`) in its
    /// environment, as far as its owner lets us see, this one excepted.
    pub(crate) fn living_with(variable: &str) -> Vec<Self> {
        let marked = Self::living_with_prefix(variable);
        marked
            .filter(|(_, found)| found == variable)
            .map(|(stat, _)| stat)
            .collect()
    }

    /// The same for variables that begin with `prefix`, each with the whole of it.
    pub(crate) fn living_with_prefix(prefix: &str) -> impl Iterator<Item = (Self, String)> {
        let variable_of = move |pid: u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mut variables = environment.split(|&byte| byte == 0);
            let found = variables.find(|entry| entry.starts_with(prefix.as_bytes()))?;
            Some((pid, String::from_utf8_lossy(found).into_owned()))
        };
        let others = all_pids().filter(|&pid| pid != std::process::id());
        let marked = others.filter_map(variable_of);
        let stats = marked.filter_map(|(pid, variable)| Some((Self::of(pid)?, variable)));
        stats.filter(|(stat, _)| !stat.zombie)
    }
}

fn all_pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The process that has the number `pid` now, with its start time; a zombie counts.
/// `start_ticks` is 0 where `/proc` does not tell.
#[must_use]
pub fn identify(pid: u32) -> ProcessId {
    Stat::of(pid).map_or(
        ProcessId {
            pid,
            start_ticks: 0,
        },
        |stat| stat.id,
    )
}

/// Whether this very process still runs: same number, same start time, not a zombie. A process that
/// `/proc` does not show (it may be mounted with `hidepid`) counts as alive if its number is in use.
#[must_use]
pub fn is_alive(process: ProcessId) -> bool {
    match Stat::of(process.pid) {
        Some(stat) => stat.id == process && !stat.zombie,
        None => crate::sys::process_exists(process.pid),
    }
}

/// Asks a process to end in order (TERM), if it still is the one that had this number and start time.
/// Returns whether it was asked.
#[must_use]
pub fn ask_to_end(process: ProcessId) -> bool {
    let same = Stat::of(process.pid).is_some_and(|stat| stat.id == process && !stat.zombie);
    if same {
        crate::sys::signal_process(process.pid, crate::sys::Signal::Term);
    }
    same
}

/// Asks this very process to end in order, as TERM from outside does.
pub fn terminate_self() {
    crate::sys::signal_self();
}

/// Names the current boot of this machine: start times of another boot mean nothing now.
/// Empty where the system does not tell.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The name of this host; `None` where the system does not tell.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line =
            "4242 (a) b (c) S 1 77 78 0 -1 4194560 1 0 0 0 4 3 2 1 20 0 1 0 987654 0 0 18446744";
        let id = ProcessId {
            pid: 4242,
            start_ticks: 987_654,
        };
        let stat = Stat {
            id,
            parent: 1,
            group: 77,
            session: 78,
            zombie: false,
            state: 'S',
            cpu_ticks: 10,
        };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("4242 (a) Z 1"), None);
    }

    #[test]
    fn this_process_is_alive_and_its_number_with_another_start_is_not() {
        let me = identify(std::process::id());
        assert!(me.start_ticks > 0);
        assert!(is_alive(me));
        let later = ProcessId {
            start_ticks: me.start_ticks + 1,
            ..me
        };
        assert!(!is_alive(later));
    }
}
