//! A second process that ends the children when the first is killed hard.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{self, BufRead, PipeWriter, Write},
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use chronon_run_core::event::ProcessId;

use crate::{StartError, end_group, sys};

/// The last word of a run that ended in order.
const BYE: &str = "bye";

/// The running watchdog, as its owner sees it. Dropping it says that all is well.
///
/// The watchdog holds the reading end of a pipe. While the owner lives it is told which groups
/// exist; when the pipe ends without a farewell, the owner was killed.
#[derive(Debug)]
pub struct Watchdog {
    stdin: Mutex<Option<PipeWriter>>,
    handle: duct::Handle,
}

impl Watchdog {
    /// Starts `program arguments…`, which must call [`watchdog_main`] with its stdin.
    /// It runs in a session of its own, so that Ctrl-C does not reach it.
    ///
    /// # Errors
    /// [`StartError`] if the program cannot be executed.
    pub fn start<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Result<Self, StartError> {
        let failed = |source| StartError::Program {
            program: program.display().to_string(),
            source,
        };
        let (reader, writer) = io::pipe().map_err(failed)?;
        let arguments = arguments.iter().map(AsRef::as_ref);
        let handle = duct::cmd(program.as_os_str(), arguments)
            .unchecked()
            .stdin_file(reader)
            .stdout_null()
            .stderr_null()
            .before_spawn(|command| {
                sys::own_session(command);
                Ok(())
            })
            .start()
            .map_err(failed)?;
        let stdin = Mutex::new(Some(writer));
        Ok(Self { stdin, handle })
    }

    /// From now on the group of `leader` dies with this process: TERM, `grace`, KILL.
    pub fn register(&self, leader: ProcessId, grace: Duration) {
        let ProcessId { pid, start_ticks } = leader;
        self.say(&format!("+{pid} {start_ticks} {}\n", grace.as_millis()));
    }

    /// The group of `leader` is over.
    pub fn release(&self, leader: ProcessId) {
        self.say(&format!("-{}\n", leader.pid));
    }

    /// A watchdog that died is no reason to fail a run: the kernel still kills the leaders.
    fn say(&self, line: &str) {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = stdin.as_mut()
            && pipe.write_all(line.as_bytes()).is_err()
        {
            *stdin = None;
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.say(&format!("{BYE}\n"));
        *self.stdin.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // It has nothing left to do and ends at once.
        let _ = self.handle.wait();
    }
}

/// What the watchdog process does: listens to `input` until its end, then ends every group
/// that is registered, unless the last line was the farewell.
pub fn watchdog_main(input: impl BufRead) {
    let mut groups: BTreeMap<u32, (ProcessId, Duration)> = BTreeMap::new();
    for line in input.lines().map_while(Result::ok) {
        if line == BYE {
            return;
        }
        if let Some(pid) = line.strip_prefix('-').and_then(|pid| pid.parse().ok()) {
            groups.remove(&pid);
        } else if let Some((leader, grace)) = parse_registration(&line) {
            groups.insert(leader.pid, (leader, grace));
        }
    }
    thread::scope(|scope| {
        for &(leader, grace) in groups.values() {
            scope.spawn(move || end_group(leader, grace));
        }
    });
}

/// `+<pid> <start ticks> <grace in milliseconds>`.
fn parse_registration(line: &str) -> Option<(ProcessId, Duration)> {
    let mut numbers = line.strip_prefix('+')?.split(' ');
    let leader = ProcessId {
        pid: numbers.next()?.parse().ok()?,
        start_ticks: numbers.next()?.parse().ok()?,
    };
    let grace = Duration::from_millis(numbers.next()?.parse().ok()?);
    Some((leader, grace))
}
