//! What the processes of a session have used, and what they are doing.

use std::time::Duration;

use chronon_run_core::event::ProcessId;

use crate::identity::Stat;

/// Of a clock tick in `/proc/<pid>/stat`: Linux shows a hundred a second on every machine that
/// Spark runs on.
const TICK: Duration = Duration::from_millis(10);

/// The processes of a child's session at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Processor time that they and their children that have ended have used so far.
    pub cpu: Duration,
    /// The process that explains most: one that is stopped or waits for a disk, else the leader.
    pub process: ProcessId,
    /// What that process does, in a word or two.
    pub state: &'static str,
}

impl Usage {
    /// Of the session that `leader` leads; `None` where `/proc` does not show it.
    pub(crate) fn of(leader: ProcessId) -> Option<Self> {
        Self::of_members(leader, &Stat::living_members(leader.pid))
    }

    fn of_members(leader: ProcessId, members: &[Stat]) -> Option<Self> {
        let rank = |stat: &&Stat| {
            let held = match stat.state {
                'T' | 't' => 0,
                'D' => 1,
                _ => 2,
            };
            (held, stat.id != leader, stat.id.pid)
        };
        let shown = members.iter().min_by_key(rank)?;
        let ticks: u64 = members.iter().map(|stat| stat.cpu_ticks).sum();
        Some(Self {
            cpu: TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)),
            process: shown.id,
            state: word(shown.state),
        })
    }
}

fn word(state: char) -> &'static str {
    match state {
        'R' => "running",
        'S' | 'I' => "sleeping",
        'D' => "waiting for a disk",
        'T' => "stopped by a signal",
        't' => "stopped by a debugger",
        _ => "ending",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: u32, state: char, cpu_ticks: u64) -> Stat {
        Stat {
            id: ProcessId {
                pid,
                start_ticks: 1,
            },
            parent: 1,
            group: 7,
            session: 7,
            zombie: false,
            state,
            cpu_ticks,
        }
    }

    #[test]
    fn all_members_count_and_the_one_that_is_held_is_shown() {
        let leader = stat(7, 'S', 30);
        let usage = |others: &[Stat]| {
            let members = [&[stat(3, 'R', 1), leader], others].concat();
            Usage::of_members(leader.id, &members).unwrap()
        };
        let alone = usage(&[]);
        assert_eq!((alone.process.pid, alone.state), (7, "sleeping"));
        assert_eq!(alone.cpu, Duration::from_millis(310));
        let held = usage(&[stat(9, 'D', 0), stat(8, 'T', 0)]);
        assert_eq!((held.process.pid, held.state), (8, "stopped by a signal"));
        assert_eq!(Usage::of_members(leader.id, &[]), None);
    }

    #[test]
    fn this_session_has_used_something_and_is_seen() {
        let me = crate::identify(std::process::id());
        let session = Stat::of(me.pid).unwrap().session;
        let leader = crate::identify(session);
        // Without a hundred milliseconds of work there might not be a tick.
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(200) {}
        assert!(Usage::of(leader).unwrap().cpu > Duration::ZERO);
    }
}
