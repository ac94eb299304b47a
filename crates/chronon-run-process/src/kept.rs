//! A host that outlives the command that starts it, and is found again by the next one.
//!
//! The operating system guards what has to be true, so nothing has to be cleaned up after a crash:
//! - *one for each folder*: its standard input is a file on which the starter took an exclusive lock; the
//!   lock lasts exactly as long as the process;
//! - *who uses it*: every open connection counts, and the kernel closes those of a killed process. A
//!   command holds one connection for as long as it may still ask for scripts;
//! - *no orphan*: a command that ends in order says so before it closes its connection. One that is killed or
//!   interrupted does not, and the host ends when no other command has it;
//! - *its end*: it ends after [`Keep::idle`] without a connection, after a second if the file of
//!   [`Keep::end`] is there, and at once when its state file is gone or another one's, because its folder
//!   was removed or moved.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant, SystemTime},
};

use chronon_run_core::{CommandLine, event::ProcessId};

use crate::{
    Detached, Host, StartError, Stop, Usage,
    hold::{ANSWER, Kept, ask, field},
    identify,
    nofollow::open_lock,
    protocol::Address,
};

/// Between two looks.
const POLL: Duration = Duration::from_millis(10);
/// How long another command's start of the same host is waited for.
const START: Duration = Duration::from_secs(120);

/// How long a process without connections may take to end.
const END: Duration = Duration::from_secs(20);
/// A log larger than this (in bytes) begins again at the next start.
const LOG_LIMIT: u64 = 1 << 20;
const STATE: &str = "state";
const LOCK: &str = "lock";
const LOG: &str = "log";
/// The end of the name of the file that asks a host to end: the host knows the path of its state file.
const END_REQUEST: &str = "state.end";

/// Where a host is kept, and for how long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Its folder: lock, state, log. Absolute.
    pub folder: PathBuf,
    /// How long it stays without a connection.
    pub idle: Duration,
}

/// What runs in a folder.
#[derive(Clone, Debug)]
pub struct KeptStatus {
    /// The process.
    pub process: ProcessId,
    /// When it was ready for its first script.
    pub since: Option<SystemTime>,
    /// What it uses of the machine.
    pub usage: Option<Usage>,
    /// What it says about itself, as words `name=number`; empty if it does not answer.
    says: String,
}

/// Why there is no kept host.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A file of its folder cannot be used.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// One runs and does not answer, or serves something else.
    #[error("the process that runs in {folder} cannot be used: {why}")]
    Unfit {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// This process was stopped while it waited.
    #[error("stopped while waiting for a process that was being started")]
    Stopped,
}

impl Keep {
    /// The host of this folder; `command` makes one if none runs, and gets three more arguments: the state file,
    /// the idle time in milliseconds, and the id of this process. `claim` is sent by each connection that keeps the host; one that
    /// answers that it does not fit is not used.
    ///
    /// # Errors
    /// [`KeepError`] if the folder cannot be used, or the host that runs does not fit or cannot be started.
    pub fn host(
        &self,
        claim: &[(String, String)],
        command: &dyn Fn() -> Result<CommandLine, StartError>,
    ) -> Result<Host, KeepError> {
        let deadline = Instant::now() + START;
        let mut silent = None;
        loop {
            fs::create_dir_all(&self.folder).map_err(|source| file_error(&self.folder, source))?;
            if let Some(lock) = self.try_lock()? {
                return self.start(lock, claim, command()?);
            }
            if let Some(address) = Address::of(&self.path(STATE)) {
                let kept = Kept::found(&address, claim);
                match kept.hold(&address) {
                    Ok(true) if self.is_current(&address) => {
                        return Ok(self.as_host(kept, self.log_length()));
                    }
                    // It was just ending.
                    Ok(true) => {}
                    Ok(false) => return Err(self.unfit("it uses another metastore")),
                    // A process that was killed has its lock for a moment longer.
                    Err(_) => {
                        let since = *silent.get_or_insert_with(Instant::now);
                        if since.elapsed() > ANSWER {
                            return Err(self.unfit("it does not answer"));
                        }
                    }
                }
            }
            if Stop::of_process().reason().is_some() {
                return Err(KeepError::Stopped);
            }
            if Instant::now() > deadline {
                return Err(self.unfit("it is not ready"));
            }
            thread::sleep(POLL);
        }
    }

    /// The log of its hosts.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path(LOG)
    }

    /// Whether a host runs in this folder, or is being started.
    #[must_use]
    pub fn is_running(&self) -> bool {
        is_locked(&self.path(LOCK))
    }

    /// What runs in this folder; `None` if nothing does.
    #[must_use]
    pub fn status(&self) -> Option<KeptStatus> {
        let state = self.path(STATE);
        let address = Address::of(&state).filter(|_| self.is_running())?;
        let process = identify(address.pid);
        let mut says = Vec::new();
        let asked = ask(&address, &[field("ask", "status")], &mut says);
        let says = asked.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&says).into());
        Some(KeptStatus {
            process,
            since: fs::metadata(state).and_then(|state| state.modified()).ok(),
            usage: Usage::of(process),
            says,
        })
    }

    /// Ends the host of this folder if no command uses it; whether none runs now.
    ///
    /// # Errors
    /// An [`io::Error`] if the folder cannot be written.
    pub fn end(&self) -> io::Result<bool> {
        let is_used = || self.status().is_some_and(|status| status.users() > Some(0));
        end_unused(&self.path(LOCK), &self.path(END_REQUEST), is_used)
    }

    fn start(
        &self,
        lock: File,
        claim: &[(String, String)],
        mut command: CommandLine,
    ) -> Result<Host, KeepError> {
        // The one that wrote them is dead: it held the lock.
        for name in [STATE, END_REQUEST] {
            let path = self.path(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(file_error(&path, error));
                }
                _ => {}
            }
        }
        let state = self.path(STATE).display().to_string();
        let idle = self.idle.as_millis().to_string();
        command
            .argv
            .extend([state, idle, process::id().to_string()]);
        let log = self.open_log()?;
        let log_start = log.metadata().map_or(0, |log| log.len());
        let started = Detached::start_unmarked(&command, Some(lock), Some(log))?;
        let kept = Kept::of(started.id(), Some(started), claim);
        Ok(self.as_host(kept, log_start))
    }

    fn as_host(&self, kept: Kept, log_start: u64) -> Host {
        Host::kept(kept, &self.path(STATE), &self.path(LOG), log_start)
    }

    /// Whether the host at `address` still counts on being used: it removes its state file before it decides
    /// to end, so a connection that was answered before is known to it.
    fn is_current(&self, address: &Address) -> bool {
        Address::of(&self.path(STATE)).as_ref() == Some(address)
    }

    fn try_lock(&self) -> Result<Option<File>, KeepError> {
        let path = self.path(LOCK);
        try_lock(&path).map_err(|source| file_error(&path, source))
    }

    fn open_log(&self) -> Result<File, KeepError> {
        let path = self.path(LOG);
        let is_long = fs::metadata(&path).is_ok_and(|log| log.len() > LOG_LIMIT);
        let mut options = OpenOptions::new();
        match is_long {
            true => options.write(true).truncate(true),
            false => options.append(true),
        };
        let opened = options
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path);
        opened.map_err(|source| file_error(&path, source))
    }

    fn log_length(&self) -> u64 {
        fs::metadata(self.path(LOG)).map_or(0, |log| log.len())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn unfit(&self, why: &str) -> KeepError {
        KeepError::Unfit {
            folder: self.folder.clone(),
            why: why.to_owned(),
        }
    }
}

impl KeptStatus {
    /// A figure that it says, by its name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<u64> {
        let mut words = self.says.split_whitespace();
        let number = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        number.parse().ok()
    }

    /// How many connections keep it; `None` if it does not answer.
    #[must_use]
    pub fn users(&self) -> Option<u64> {
        self.figure("users")
    }
}

/// Whether another process has the lock of the file at `path`.
#[must_use]
pub fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|lock| matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Asks the process that has the lock of the file at `lock` to end, by a file at `request`, which it only looks
/// for while it has no connection; whether none runs now. It is not waited for once `is_used`.
///
/// # Errors
/// An [`io::Error`] if the request cannot be written or taken back.
pub fn end_unused(lock: &Path, request: &Path, is_used: impl Fn() -> bool) -> io::Result<bool> {
    if !is_locked(lock) {
        return Ok(true);
    }
    fs::write(request, "")?;
    let deadline = Instant::now() + END;
    while is_locked(lock) && Instant::now() < deadline && !is_used() {
        thread::sleep(POLL * 10);
    }
    // A process that is in use must not end later because of it.
    match fs::remove_file(request) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(!is_locked(lock)),
    }
}

/// The lock of the file at `path`, which is made if it is not there; `None` if another process has it.
///
/// # Errors
/// An [`io::Error`] if the file cannot be written, or its file system has no locks.
pub fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(source)) => Err(source),
    }
}

fn file_error(path: &Path, source: io::Error) -> KeepError {
    KeepError::File {
        path: path.to_owned(),
        source,
    }
}
