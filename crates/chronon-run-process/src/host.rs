//! A process that runs several scripts side by side, each asked for over a connection of its own: a child
//! of this process, or one that outlives it ([`Kept`]).
//!
//! It writes its port, a token and its process id to a state file that only this user can read. A request
//! is a list of fields; the answer is output for the script's log, then whether the script succeeded.
//! Closing the connection cancels the script, so a killed client leaves none running.

use std::{
    fs::{self, File},
    io::{self, BufReader, PipeWriter, Read, Seek, SeekFrom, Write},
    net::{Shutdown, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chronon_run_core::{CommandLine, event::ProcessId};

use crate::{
    Child, Exit, Group, HelperError, LogMode, SessionError, SessionOutcome, StartError, Stop,
    Usage, Watchdog,
    child::{Stdin, open_log},
    hold::Kept,
    protocol::{Address, copy},
};

/// Between two looks at whether the child listens.
const POLL: Duration = Duration::from_millis(10);
/// How long a child may take until it listens.
const START: Duration = Duration::from_secs(300);
/// How long a child whose connection ended may take to exit.
const EXIT: Duration = Duration::from_secs(10);
/// How much of the end of the child's own log is added to a task's log, in bytes.
const LOG_TAIL: u64 = 256 << 10;

/// A running host. Dropped, it is ended, unless it outlives this process.
#[derive(Debug)]
pub struct Host {
    life: Life,
    state: PathBuf,
    log: PathBuf,
    /// Where the part of its log begins that is about this use of it, in bytes.
    log_start: u64,
}

/// How a host is tied to this process.
#[derive(Debug)]
enum Life {
    /// It ends with this process.
    Owned {
        child: Child,
        /// Whose end tells the child to end.
        _stdin: PipeWriter,
    },
    /// It outlives this process.
    Kept(Kept),
}

/// One script that runs in a host.
#[derive(Debug)]
pub struct Guest {
    host: Arc<Host>,
    stream: TcpStream,
    over: Arc<AtomicBool>,
}

/// What is ended when an attempt has to end: a group of processes, or one script of a host.
#[derive(Clone, Debug)]
pub enum Target {
    /// A group of its own.
    Group(Group),
    /// A script of a host.
    Guest(GuestHandle),
}

/// A script, from any thread.
#[derive(Clone, Debug)]
pub struct GuestHandle {
    group: Group,
    stream: Arc<Mutex<Option<TcpStream>>>,
    over: Arc<AtomicBool>,
}

impl Host {
    /// Starts `command`, which writes `state` once it listens, with its output in `log`.
    ///
    /// # Errors
    /// [`StartError`] if the log or the program cannot be used.
    pub fn start(
        command: &CommandLine,
        state: &Path,
        log: &Path,
        watchdog: &Watchdog,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Program {
            program: command.argv.first().cloned().unwrap_or_default(),
            source,
        };
        match fs::remove_file(state) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let (reader, writer) = io::pipe().map_err(failed)?;
        let child = Child::start_with(
            command,
            log,
            LogMode::Truncate,
            Some(watchdog),
            Stdin::Pipe(reader),
        )?;
        Ok(Self {
            life: Life::Owned {
                child,
                _stdin: writer,
            },
            state: state.to_owned(),
            log: log.to_owned(),
            log_start: 0,
        })
    }

    /// One that outlives this process.
    pub(crate) fn kept(kept: Kept, state: &Path, log: &Path, log_start: u64) -> Self {
        Self {
            life: Life::Kept(kept),
            state: state.to_owned(),
            log: log.to_owned(),
            log_start,
        }
    }

    /// Whether it is gone.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        match &self.life {
            Life::Owned { child, .. } => child.has_exited(),
            Life::Kept(kept) => kept.has_exited(),
        }
    }

    /// Whether it outlives this process.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(self.life, Life::Kept(_))
    }

    /// Its processes.
    #[must_use]
    pub fn group(&self) -> Group {
        match &self.life {
            Life::Owned { child, .. } => child.group(),
            Life::Kept(kept) => kept.group(),
        }
    }

    /// Asks the host for a script; waits until it listens. `given_up` is asked again and again meanwhile.
    ///
    /// # Errors
    /// [`GuestError`] if the host has ended or does not take the request.
    pub fn ask(
        self: &Arc<Self>,
        fields: &[(String, String)],
        given_up: &dyn Fn() -> bool,
    ) -> Result<Guest, GuestError> {
        let address = self.address(given_up)?;
        if let Life::Kept(kept) = &self.life
            && !kept.hold(&address)?
        {
            return Err(GuestError::Unfit);
        }
        let stream = address.send(fields)?;
        Ok(Guest {
            host: Arc::clone(self),
            stream,
            over: Arc::default(),
        })
    }

    fn address(&self, given_up: &dyn Fn() -> bool) -> Result<Address, GuestError> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(address) = Address::of(&self.state) {
                return Ok(address);
            }
            if self.has_exited() {
                return Err(GuestError::Gone);
            }
            if given_up() {
                return Err(GuestError::GivenUp);
            }
            if Instant::now() > deadline {
                self.group().kill();
                return Err(GuestError::Slow);
            }
            thread::sleep(POLL);
        }
    }

    /// How it ended, after a connection to it broke; one that does not end by then is killed.
    fn wait_for_exit(&self) -> io::Result<Exit> {
        let deadline = Instant::now() + EXIT;
        while !self.has_exited() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        if !self.has_exited() {
            self.group().kill();
        }
        match &self.life {
            Life::Owned { child, .. } => child.wait(Duration::ZERO),
            Life::Kept(kept) => Ok(kept.exit()),
        }
    }

    /// How it ended; the end of its own log, which tells why, is added to `log`.
    ///
    /// # Errors
    /// [`SessionError`] if a log cannot be used or the child cannot be watched.
    pub fn explain_exit(&self, log: &Path) -> Result<SessionOutcome, SessionError> {
        let exit = self
            .wait_for_exit()
            .map_err(SessionError::of("wait for the shared process"))?;
        open_log(log, LogMode::Append)
            .and_then(|mut log| log.write_all(&last_bytes(&self.log, self.log_start)?))
            .map_err(SessionError::of("write the task's log"))?;
        Ok(SessionOutcome::Died(exit))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Life::Kept(kept) = &self.life {
            kept.leave(Address::of(&self.state).as_ref());
        }
    }
}

/// Why a host runs no script.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// It has ended.
    #[error("the shared process has ended")]
    Gone,
    /// The caller did not want to wait any longer.
    #[error("stopped while waiting for the shared process")]
    GivenUp,
    /// It did not listen in time and was ended.
    #[error("the shared process did not start within {} s", START.as_secs())]
    Slow,
    /// It says that it serves something else.
    #[error("the shared process cannot be used: it uses another metastore")]
    Unfit,
    /// It could not be asked.
    #[error("cannot ask the shared process: {0}")]
    Io(#[from] io::Error),
}

impl Guest {
    /// How it is ended from another thread.
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn handle(&self) -> io::Result<GuestHandle> {
        Ok(GuestHandle {
            group: self.host.group(),
            stream: Arc::new(Mutex::new(Some(self.stream.try_clone()?))),
            over: Arc::clone(&self.over),
        })
    }

    /// Copies its output to `log` until it is over. The log of a host that ends meanwhile is added.
    ///
    /// # Errors
    /// [`SessionError`] if `log` cannot be written or the host cannot be watched.
    pub fn wait(self, log: &Path) -> Result<SessionOutcome, SessionError> {
        let mut output =
            open_log(log, LogMode::Append).map_err(SessionError::of("write the task's log"))?;
        match copy(BufReader::new(&self.stream), &mut output)? {
            Some(ok) => Ok(SessionOutcome::Done { ok }),
            None => self.host.explain_exit(log),
        }
    }
}

impl Guest {
    /// The same for a command that runs only this script: it is ended at a stop of this process and after
    /// `limit`, as a [`Helper`](crate::Helper) is, and `beat` is called again and again.
    ///
    /// # Errors
    /// [`HelperError`] if the script did not come to its own end.
    pub fn watch(
        self,
        log: &Path,
        limit: Duration,
        grace: Duration,
        beat: &mut dyn FnMut(),
    ) -> Result<SessionOutcome, HelperError> {
        let stop = Stop::of_process();
        let _entered = stop.enter();
        let handle = self.handle()?;
        let target = Target::Guest(handle);
        let started = Instant::now();
        let mut early: Option<(HelperError, Instant)> = None;
        thread::scope(|scope| {
            let waiting = scope.spawn(|| self.wait(log));
            while !waiting.is_finished() {
                beat();
                match &early {
                    Some((_, kill_at)) if *kill_at <= Instant::now() || stop.is_urgent() => {
                        target.kill();
                    }
                    Some(_) => {}
                    None => {
                        early =
                            why_end(stop, started, limit).map(|why| (why, Instant::now() + grace));
                        if early.is_some() {
                            target.terminate();
                        }
                    }
                }
                thread::sleep(POLL);
            }
            let outcome = waiting.join();
            match (early, outcome) {
                (Some((why, _)), _) => Err(why),
                (None, Ok(Ok(outcome))) => Ok(outcome),
                (None, Ok(Err(error))) => Err(HelperError::Wait(io::Error::other(error))),
                (None, Err(_)) => Err(HelperError::Wait(io::Error::other("a panic"))),
            }
        })
    }
}

/// Why a script is to be ended before its own end, if it is.
fn why_end(stop: &Stop, started: Instant, limit: Duration) -> Option<HelperError> {
    if let Some(reason) = stop.reason() {
        stop.give_up();
        return Some(HelperError::Stopped(reason));
    }
    (started.elapsed() >= limit).then_some(HelperError::TimedOut { limit })
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}

impl Target {
    /// The process that stands for it.
    #[must_use]
    pub fn leader(&self) -> ProcessId {
        self.group().leader()
    }

    /// Asks it to end: TERM, or the end of the request.
    pub fn terminate(&self) {
        match self {
            Self::Group(group) => group.terminate(),
            Self::Guest(guest) => guest.cancel(),
        }
    }

    /// Ends it at once. A script's host ends with it: there is no other way to be sure.
    pub fn kill(&self) {
        match self {
            Self::Group(group) => group.kill(),
            Self::Guest(guest) if guest.over.load(Ordering::Acquire) => {}
            Self::Guest(guest) => guest.group.kill(),
        }
    }

    /// What its processes have used.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.group().usage()
    }

    /// Whether nothing of it is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self {
            Self::Group(group) => group.is_over(),
            Self::Guest(guest) => guest.over.load(Ordering::Acquire),
        }
    }

    fn group(&self) -> &Group {
        match self {
            Self::Group(group) => group,
            Self::Guest(guest) => &guest.group,
        }
    }
}

impl GuestHandle {
    /// Cancels the script; its answer comes when it has ended.
    pub fn cancel(&self) {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = stream.take() {
            // A connection that is gone is cancelled already.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

/// The end of a log, but nothing before `start`.
fn last_bytes(path: &Path, start: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        length.saturating_sub(LOG_TAIL).max(start.min(length)),
    ))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    Ok(bytes)
}
