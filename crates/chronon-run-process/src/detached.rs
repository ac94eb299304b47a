//! A process that is meant to outlive the one that starts it, and how it is found again.

use std::{
    fs::File,
    io,
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use chronon_run_core::{CommandLine, event::ProcessId};

use crate::{
    Exit, LogMode, StartError,
    child::open_log,
    group::{end_group, end_marked},
    identity::{Stat, identify},
    launch::{self, Fate},
    watchdog::VARIABLE as WATCHDOG_VARIABLE,
};

/// Set to the mark in the environment of every detached process, and so of its children.
const VARIABLE: &str = "PROCESS_DETACHED_MARK";
/// Between the parts of a mark; in no path or name that anybody would choose.
const SEPARATOR: char = '\u{1f}';

/// A detached process, as the one that started it sees it. Dropping it changes nothing for it.
#[derive(Debug)]
pub struct Detached {
    handle: duct::Handle,
    id: ProcessId,
}

/// What runs of one start: the process itself, or what it left behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// The name under which it was started.
    pub name: String,
    /// Its oldest living process: usually the one that was started.
    pub process: ProcessId,
    /// Tells it from other starts of the name.
    mark: String,
}

impl Detached {
    /// Starts `command` in a session of its own, stdin empty, its output appended to `log` (the
    /// folder is made if needed). No watchdog, terminal or end of this process ends it.
    ///
    /// `scope` and `name` are what [`instances`] finds it by: say, a folder and a word.
    ///
    /// # Errors
    /// [`StartError`] if the log or the program cannot be used.
    pub fn start(
        command: &CommandLine,
        log: &Path,
        scope: &str,
        name: &str,
    ) -> Result<Self, StartError> {
        let output = open_log(log, LogMode::Append).map_err(|source| StartError::Log {
            path: log.display().to_string(),
            source,
        })?;
        let expression = launch::expression(command, Fate::Own)?
            .stdin_null()
            .stderr_to_stdout()
            .stdout_file(output)
            .env_remove(WATCHDOG_VARIABLE)
            .env(VARIABLE, mark(scope, name));
        Ok(Self::of(launch::start(&expression, command)?))
    }

    /// Starts `command` in a session of its own, with `stdin` and, if there is one, with `output`
    /// as stdout and stderr. Nothing of this process ends it, and [`instances`] does not find it.
    ///
    /// # Errors
    /// [`StartError`] if the program cannot be used.
    pub fn start_unmarked(
        command: &CommandLine,
        stdin: Option<File>,
        output: Option<File>,
    ) -> Result<Self, StartError> {
        let expression = launch::expression(command, Fate::Own)?.stderr_to_stdout();
        let expression = match stdin {
            Some(stdin) => expression.stdin_file(stdin),
            None => expression.stdin_null(),
        };
        let expression = match output {
            Some(output) => expression.stdout_file(output),
            None => expression.stdout_null(),
        };
        Ok(Self::of(launch::start(&expression, command)?))
    }

    fn of(handle: duct::Handle) -> Self {
        let id = identify(launch::pid(&handle));
        Self { handle, id }
    }

    /// Its number and start time.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Ends it, with its session: TERM, up to `grace`, KILL.
    pub fn end(&self, grace: Duration) {
        end_group(self.id, grace);
        // Reaped, if it is gone by now.
        let _ = self.handle.try_wait();
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn exit(&self) -> io::Result<Option<Exit>> {
        let output = self.handle.try_wait()?;
        Ok(output.map(|output| output.status.into()))
    }
}

/// Everything detached that lives of `scope`, in the order of names and starts. What emptied its
/// environment, or belongs to another user, is not seen.
#[must_use]
pub fn instances(scope: &str) -> Vec<Instance> {
    let prefix = format!("{VARIABLE}={scope}{SEPARATOR}");
    let mut found: Vec<Instance> = Vec::new();
    for (stat, variable) in Stat::living_with_prefix(&prefix) {
        let mark = variable[VARIABLE.len() + 1..].to_owned();
        let rest = &mark[scope.len() + SEPARATOR.len_utf8()..];
        let Some((name, _)) = rest.split_once(SEPARATOR) else {
            continue;
        };
        let name = name.to_owned();
        match found.iter_mut().find(|instance| instance.mark == mark) {
            Some(known) if known.process.start_ticks <= stat.id.start_ticks => {}
            Some(known) => known.process = stat.id,
            None => found.push(Instance {
                name,
                process: stat.id,
                mark,
            }),
        }
    }
    found.sort_by(|a, b| {
        let key = |instance: &Instance| (instance.process.start_ticks, instance.process.pid);
        a.name.cmp(&b.name).then(key(a).cmp(&key(b)))
    });
    found
}

/// Ends every process of `instance`: TERM, up to `grace`, KILL.
pub fn end_instance(instance: &Instance, grace: Duration) {
    end_marked(&format!("{VARIABLE}={}", instance.mark), grace);
}

/// A mark that no other start has.
fn mark(scope: &str, name: &str) -> String {
    static STARTS: AtomicU32 = AtomicU32::new(0);
    let start = STARTS.fetch_add(1, Ordering::Relaxed);
    let me = identify(process::id());
    format!(
        "{scope}{SEPARATOR}{name}{SEPARATOR}{}-{}-{start}",
        me.pid, me.start_ticks
    )
}
