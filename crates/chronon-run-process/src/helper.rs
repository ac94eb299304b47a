//! Running a helper to its end: a child that is started, waited for, and never left behind.

use std::{
    fs::File,
    io::{self, Read, Seek},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use chronon_run_core::{CommandLine, event::CancelReason};

use crate::{
    Child, Exit, LogMode, StartError, Stop, Watchdog,
    child::{Output, Stdin, open_log},
    sys,
};

/// Between two looks at a running helper, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(25));
/// What a helper gets between TERM and KILL unless something else is said.
const GRACE: Duration = Duration::from_secs(10);

/// Why a helper did not run to its own end.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It took too long and was ended.
    #[error("it took longer than {} s and was ended", .limit.as_secs_f32())]
    TimedOut {
        /// How long it may take.
        limit: Duration,
    },
    /// It was ended, or not started, because this process is to stop.
    #[error("it was stopped")]
    Stopped(CancelReason),
    /// Its output could not be read, or the system cannot tell how it ended.
    #[error("cannot wait for it: {0}")]
    Wait(#[from] io::Error),
}

/// When a helper heeds [`Stop`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Heed {
    /// At the first request.
    First,
    /// At the second: it is part of ending things in order.
    Urgent,
}

/// One helper: a command that is run to its end.
///
/// It is ended, with its whole session, by TERM, the grace period and KILL, as soon as it takes
/// longer than its limit or [`Stop`] is requested; by KILL at once if the request is urgent. By
/// default it has no limit, watches the stop of this process, and reads nothing from stdin.
pub struct Helper<'a> {
    command: &'a CommandLine,
    input: Vec<u8>,
    limit: Option<Duration>,
    grace: Duration,
    stops: Vec<&'a Stop>,
    heed: Heed,
    watchdog: Option<&'a Watchdog>,
    beat: Option<&'a mut dyn FnMut()>,
}

impl<'a> Helper<'a> {
    /// To run `command`.
    #[must_use]
    pub fn new(command: &'a CommandLine) -> Self {
        Self {
            command,
            input: Vec::new(),
            limit: None,
            grace: GRACE,
            stops: vec![Stop::of_process()],
            heed: Heed::First,
            watchdog: None,
            beat: None,
        }
    }

    /// What it reads from stdin.
    #[must_use]
    pub fn input(mut self, input: Vec<u8>) -> Self {
        self.input = input;
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// What it gets between TERM and KILL.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Another stop that ends it.
    #[must_use]
    pub fn stop(mut self, stop: &'a Stop) -> Self {
        self.stops.push(stop);
        self
    }

    /// It is part of ending things in order, so only an urgent request ends it.
    #[must_use]
    pub fn until_urgent(mut self) -> Self {
        self.heed = Heed::Urgent;
        self
    }

    /// Ends it, and all that it started, if this process is killed.
    #[must_use]
    pub fn watchdog(mut self, watchdog: &'a Watchdog) -> Self {
        self.watchdog = Some(watchdog);
        self
    }

    /// Called again and again while it runs, for those who show that it does.
    #[must_use]
    pub fn beat(mut self, beat: &'a mut dyn FnMut()) -> Self {
        self.beat = Some(beat);
        self
    }

    /// Runs it with its output in `log`, which is begun again.
    ///
    /// # Errors
    /// [`HelperError`] if it did not run to its own end.
    pub fn run(self, log: &Path) -> Result<Exit, HelperError> {
        let output = open_log(log, LogMode::Truncate).map_err(|source| StartError::Log {
            path: log.display().to_string(),
            source,
        })?;
        self.run_into(Output::Both(output))
    }

    /// Runs it; how it ended, and what it printed to stdout and stderr.
    ///
    /// # Errors
    /// [`HelperError`] if it did not run to its own end.
    pub fn output(self) -> Result<(Exit, String), HelperError> {
        // A file, because a pipe would not be read while the program is waited for.
        let mut output: File = sys::memory_file().or_else(|_| tempfile::tempfile())?;
        let exit = self.run_into(Output::Both(output.try_clone()?))?;
        output.rewind()?;
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes)?;
        Ok((exit, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Runs it and drops what it prints.
    ///
    /// # Errors
    /// [`HelperError`] if it did not run to its own end.
    pub fn silently(self) -> Result<Exit, HelperError> {
        self.run_into(Output::None)
    }

    fn run_into(mut self, output: Output) -> Result<Exit, HelperError> {
        let stops = std::mem::take(&mut self.stops);
        let _entered: Vec<_> = stops.iter().map(|stop| stop.enter()).collect();
        if let Some(reason) = self.stopped(&stops) {
            stops.iter().for_each(|stop| stop.give_up());
            return Err(HelperError::Stopped(reason));
        }
        let stdin = match std::mem::take(&mut self.input) {
            input if input.is_empty() => Stdin::Empty,
            input => Stdin::Bytes(input),
        };
        let child = Child::start_into(self.command, output, self.watchdog, stdin)?;
        let early = self.watch(&child, &stops);
        if matches!(early, Some(HelperError::Stopped(_))) {
            stops.iter().for_each(|stop| stop.give_up());
        }
        if early.is_some() {
            end(&child, self.grace, &stops);
        }
        let exit = child.wait(self.grace)?;
        early.map_or(Ok(exit), Err)
    }

    /// Waits for the child to exit; why it has to be ended, if it has.
    fn watch(&mut self, child: &Child, stops: &[&Stop]) -> Option<HelperError> {
        let started = Instant::now();
        let mut pause = PAUSES.0;
        while !child.has_exited() {
            if let Some(reason) = self.stopped(stops) {
                return Some(HelperError::Stopped(reason));
            }
            if let Some(limit) = self.limit.filter(|&limit| started.elapsed() >= limit) {
                return Some(HelperError::TimedOut { limit });
            }
            if let Some(beat) = &mut self.beat {
                beat();
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
        None
    }

    fn stopped(&self, stops: &[&Stop]) -> Option<CancelReason> {
        let heeded = |stop: &&Stop| self.heed == Heed::First || stop.is_urgent();
        let mut stops = stops.iter().copied().filter(heeded);
        stops.find_map(Stop::reason)
    }
}

/// TERM, grace, KILL; KILL at once when it is urgent.
fn end(child: &Child, grace: Duration, stops: &[&Stop]) {
    let urgent = || stops.iter().any(|stop| stop.is_urgent());
    if !urgent() {
        child.group().terminate();
    }
    let deadline = Instant::now() + grace;
    while !child.has_exited() && Instant::now() < deadline && !urgent() {
        thread::sleep(PAUSES.1);
    }
    if !child.has_exited() {
        child.group().kill();
    }
}
