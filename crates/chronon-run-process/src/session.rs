//! A child that is fed one task after another: an interpreter kept warm.

use std::{
    fs::File,
    io::{self, PipeWriter, Write},
    path::Path,
    thread,
    time::Duration,
};

use chronon_run_core::{CommandLine, event::ProcessId};

use crate::{
    Child, Exit, Group, LogMode, StartError, Tail, Watchdog,
    child::{Stdin, open_log},
};

/// Between two looks at the log, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(25));

/// How a task of a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionOutcome {
    /// The marker came: whether it said success. The session can take the next task.
    Done {
        /// Whether the task succeeded.
        ok: bool,
    },
    /// The child is gone, by itself or because its group was ended; so is the session.
    Died(Exit),
}

/// Why a task could not be given or watched. The session should be dropped.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct SessionError {
    what: &'static str,
    source: io::Error,
}

impl SessionError {
    pub(crate) fn of(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { what, source }
    }
}

/// A child with an open stdin whose stdout and stderr go to a session log.
///
/// Time-outs and cancelling come from outside, through [`Session::group`]: an ended group makes
/// [`Session::run`] return [`SessionOutcome::Died`].
#[derive(Debug)]
pub struct Session {
    child: Child,
    stdin: Option<PipeWriter>,
    tail: Tail,
}

impl Session {
    /// Starts `command`; `log` is begun again with its output. What [`Child::start`] says of
    /// the watchdog holds here too.
    ///
    /// # Errors
    /// [`StartError`] if the log or the program cannot be used.
    pub fn start(
        command: &CommandLine,
        log: &Path,
        watchdog: Option<&Watchdog>,
    ) -> Result<Self, StartError> {
        let (reader, writer) = io::pipe().map_err(|source| StartError::Program {
            program: command.argv.first().cloned().unwrap_or_default(),
            source,
        })?;
        let child = Child::start_with(
            command,
            log,
            LogMode::Truncate,
            watchdog,
            Stdin::Pipe(reader),
        )?;
        Ok(Self {
            child,
            stdin: Some(writer),
            tail: Tail::new(log),
        })
    }

    /// The child's number and start time.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.child.id()
    }

    /// The child's group, to be ended from any thread.
    #[must_use]
    pub fn group(&self) -> Group {
        self.child.group()
    }

    /// Whether the child is gone, so that no task can be given any more.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        self.child.has_exited()
    }

    /// Gives one task to the child and waits for it.
    ///
    /// Writes `input` to stdin, then copies every new line of the session log to `log` until
    /// `marker` says of one that the task is over (and whether well). The marker's own line is
    /// not copied.
    ///
    /// # Errors
    /// [`SessionError`] if `log` cannot be written or the child cannot be watched.
    pub fn run(
        &mut self,
        input: &str,
        marker: &dyn Fn(&str) -> Option<bool>,
        log: &Path,
    ) -> Result<SessionOutcome, SessionError> {
        let failed = SessionError::of;
        let mut log = open_log(log, LogMode::Append).map_err(failed("write the task's log"))?;
        self.send(input);
        let mut pause = PAUSES.0;
        loop {
            // Asked before reading, so that the last words of a dying child are not missed.
            let exited = self.child.has_exited();
            let ok = self
                .copy(marker, &mut log, exited)
                .map_err(failed("copy the log"))?;
            if let Some(ok) = ok {
                return Ok(SessionOutcome::Done { ok });
            }
            if exited {
                let exit = self.child.wait(Duration::ZERO);
                return exit
                    .map(SessionOutcome::Died)
                    .map_err(failed("wait for the session"));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Closes stdin and waits up to `grace` for the child to end by itself; then TERM, `grace`
    /// again, and KILL.
    pub fn close(mut self, grace: Duration) {
        self.stdin = None;
        let group = self.group();
        let ended = |patience| {
            let steps = Duration::from_millis(10);
            let mut left: Duration = patience;
            while !self.child.has_exited() && !left.is_zero() {
                thread::sleep(steps.min(left));
                left = left.saturating_sub(steps);
            }
            self.child.has_exited()
        };
        if !ended(grace) {
            group.terminate();
            if !ended(grace) {
                group.kill();
            }
        }
        // How an idle session ended is not reported.
        let _ = self.child.wait(grace);
    }

    /// A child that does not read any more is noticed by its exit, not here.
    fn send(&mut self, input: &str) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin
                .write_all(input.as_bytes())
                .and_then(|()| stdin.flush());
        }
    }

    /// Copies new lines; `Some` if the marker was among them.
    fn copy(
        &mut self,
        marker: &dyn Fn(&str) -> Option<bool>,
        log: &mut File,
        last: bool,
    ) -> io::Result<Option<bool>> {
        loop {
            let mut lines = self.tail.lines()?;
            if lines.is_empty() {
                if !last {
                    return Ok(None);
                }
                let Some(rest) = self.tail.rest() else {
                    return Ok(None);
                };
                lines.push(rest);
            }
            let over = lines.iter().find_map(|line| marker(line));
            let mut text = String::new();
            for line in lines.iter().filter(|line| marker(line).is_none()) {
                text.push_str(line);
                text.push('\n');
            }
            log.write_all(text.as_bytes())?;
            if over.is_some() {
                return Ok(over);
            }
        }
    }
}
