//! Starting a child and waiting for it.

use std::{
    fmt,
    fs::{self, File},
    io::{self, PipeReader},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::ExitStatus,
    time::Duration,
};

use chronon_run_core::{CommandLine, event::ProcessId};

use crate::{
    Group, StartError, Watchdog,
    identity::identify,
    launch::{self, Fate},
    nofollow::open_append,
    sys,
};

/// What to do with a log file that exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogMode {
    /// Write after what is there.
    Append,
    /// Begin again.
    Truncate,
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

/// What a child reads.
pub(crate) enum Stdin {
    /// Nothing.
    Empty,
    /// What comes through a pipe.
    Pipe(PipeReader),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Where a child writes.
pub(crate) enum Output {
    /// stdout and stderr go to this file.
    Both(File),
    /// Nowhere.
    None,
}

/// A running child: leader of its own session and process group, stdin never the terminal, stdout and stderr in one log.
///
/// Dropped without [`Child::wait`], it is killed with its group and reaped.
#[derive(Debug)]
pub struct Child {
    handle: duct::Handle,
    group: Group,
}

impl Child {
    /// Starts `command`, its output going to `log` (the folder is made if needed).
    ///
    /// With a `watchdog`, the child carries its mark and is ended in order, TERM first, should
    /// this process be killed. Without one the kernel kills the child, and only it, when the
    /// *thread* that called this ends, not only the process; so start such a child on the
    /// thread that waits for it.
    ///
    /// # Errors
    /// [`StartError`] if the log or the program cannot be used.
    pub fn start(
        command: &CommandLine,
        log: &Path,
        mode: LogMode,
        watchdog: Option<&Watchdog>,
    ) -> Result<Self, StartError> {
        Self::start_with(command, log, mode, watchdog, Stdin::Empty)
    }

    pub(crate) fn start_with(
        command: &CommandLine,
        log: &Path,
        mode: LogMode,
        watchdog: Option<&Watchdog>,
        stdin: Stdin,
    ) -> Result<Self, StartError> {
        let output = open_log(log, mode).map_err(|source| StartError::Log {
            path: log.display().to_string(),
            source,
        })?;
        Self::start_into(command, Output::Both(output), watchdog, stdin)
    }

    pub(crate) fn start_into(
        command: &CommandLine,
        output: Output,
        watchdog: Option<&Watchdog>,
        stdin: Stdin,
    ) -> Result<Self, StartError> {
        let fate = match watchdog {
            Some(_) => Fate::Own,
            None => Fate::DiesWithParent,
        };
        let expression = launch::expression(command, fate)?.stderr_to_stdout();
        let mut expression = match output {
            Output::Both(file) => expression.stdout_file(file),
            Output::None => expression.stdout_null(),
        };
        if let Some(watchdog) = watchdog {
            let (name, value) = watchdog.mark();
            expression = expression.env(name, value);
        }
        let expression = match stdin {
            Stdin::Empty => expression.stdin_null(),
            Stdin::Pipe(pipe) => expression.stdin_file(pipe),
            Stdin::Bytes(input) => expression.stdin_bytes(input),
        };
        let handle = launch::start(&expression, command)?;
        let group = Group::new(identify(launch::pid(&handle)));
        Ok(Self { handle, group })
    }

    /// Its number and start time.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.group.leader()
    }

    /// Its group, to be ended from any thread.
    #[must_use]
    pub fn group(&self) -> Group {
        self.group.clone()
    }

    /// Whether the leader has exited; [`Child::wait`] will then not wait for it.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        // An error means that there is no such child any more.
        self.group.is_over() || sys::has_exited(self.id().pid).unwrap_or(true)
    }

    /// Waits for the leader; then whatever it left behind in its group gets TERM, up to `grace`
    /// to end, and KILL. Only then is the child over.
    ///
    /// # Errors
    /// If the system cannot tell how it ended.
    pub fn wait(&self, grace: Duration) -> io::Result<Exit> {
        // Over means reaped: the number may already be another child's.
        if !self.group.is_over() {
            sys::wait_for_exit(self.id().pid)?;
        }
        let reap = || self.handle.wait().map(|output| output.status.into());
        self.group.finish(grace, reap)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.group.kill();
        // A failure here cannot be reported.
        let _ = self.wait(Duration::ZERO);
    }
}

/// Opened for appending in both modes, so that nothing overwrites a line of another writer. A symbolic link is an
/// error: emptying the log would empty what it points at.
pub(crate) fn open_log(path: &Path, mode: LogMode) -> io::Result<File> {
    let file = match (open_append(path), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            open_append(path)?
        }
        (result, _) => result?,
    };
    if mode == LogMode::Truncate {
        file.set_len(0)?;
    }
    Ok(file)
}
