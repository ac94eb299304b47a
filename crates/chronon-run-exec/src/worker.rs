//! One slot: a thread that makes one attempt at a time and otherwise waits.
//!
//! Children and warm sessions are started on this thread and never outlive it, because the
//! kernel kills a child when the thread that started it ends.

use std::{
    any::Any,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use chronon_run_core::{event::Outcome, secret::mask_text};
use chronon_run_process::{
    Child, Exit, GuestError, LogMode, Session, SessionError, SessionOutcome, Target,
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use crate::{Job, Options, RetryDecision, SharedHost, Task, TaskKind, Verdict, Work, WorkError};

/// From the coordinator to a slot.
pub(crate) enum SlotCommand {
    /// Prepare this attempt at a job, whose range is that of the attempt.
    Prepare(Box<Job>, u32),
    /// All sinks have got the attempt: start its child.
    Start,
    /// Do not start it, the run is being stopped.
    Abandon,
}

/// From a slot to the coordinator.
pub(crate) struct Message {
    pub(crate) slot: usize,
    pub(crate) news: SlotEvent,
}

pub(crate) enum SlotEvent {
    /// The child is about to be started; the slot waits for [`SlotCommand::Start`].
    Prepared { argv: Vec<String>, log: PathBuf },
    /// The child runs.
    Spawned(Target),
    /// Something to tell the user.
    Notice(String),
    /// The attempt is over and the slot is free.
    Finished(Report),
    /// The slot has ended its sessions and takes no more commands.
    Closed,
}

/// How an attempt went.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    pub(crate) message: Option<String>,
    pub(crate) verdict: Verdict,
    pub(crate) decision: RetryDecision,
    /// Whether what it started elsewhere may still write.
    pub(crate) may_write: bool,
    pub(crate) took: Duration,
}

/// Whether an attempt's child is still to be waited for, and if not, why. Shared, because the
/// child may end by itself at the moment at which the coordinator decides to end it.
#[derive(Default)]
pub(crate) struct Ending(AtomicU8);

impl Ending {
    const RUNNING: u8 = 0;
    const TIMED_OUT: u8 = 1;
    const INTERRUPTED: u8 = 2;
    const BY_ITSELF: u8 = 3;

    /// A new attempt.
    pub(crate) fn reset(&self) {
        self.0.store(Self::RUNNING, Ordering::Release);
    }

    /// The attempt took too long. False if its child had already ended, or was being ended.
    pub(crate) fn time_out(&self) -> bool {
        self.leave_running(Self::TIMED_OUT)
    }

    /// The run is being stopped, whatever the attempt is doing.
    pub(crate) fn interrupt(&self) {
        self.0.store(Self::INTERRUPTED, Ordering::Release);
    }

    /// The child has ended; only an interrupt can still end the attempt.
    fn by_itself(&self) {
        self.leave_running(Self::BY_ITSELF);
    }

    fn leave_running(&self, to: u8) -> bool {
        let result =
            (self.0).compare_exchange(Self::RUNNING, to, Ordering::AcqRel, Ordering::Acquire);
        result.is_ok()
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.0.load(Ordering::Acquire) {
            Self::TIMED_OUT => Some(Outcome::TimedOut),
            Self::INTERRUPTED => Some(Outcome::Interrupted),
            _ => None,
        }
    }
}

/// What one slot thread works with.
pub(crate) struct Worker<'a> {
    pub(crate) slot: usize,
    pub(crate) work: &'a dyn Work,
    pub(crate) options: &'a Options<'a>,
    pub(crate) commands: Receiver<SlotCommand>,
    pub(crate) news: Sender<Message>,
    pub(crate) ending: Arc<Ending>,
    /// Disconnected when the run is interrupted: no slot may wait any longer.
    pub(crate) interrupted: Receiver<()>,
    pub(crate) sessions: HashMap<String, Session>,
}

/// How a child ended, before anybody looked at its output.
enum Ended {
    Well,
    Badly(Outcome),
    /// It never ran, and why.
    Never(String),
}

impl Worker<'_> {
    /// Takes commands until the coordinator hangs up, then ends the sessions.
    pub(crate) fn run(mut self) {
        while let Ok(command) = self.commands.recv() {
            if let SlotCommand::Prepare(job, attempt) = command {
                let report = self.guarded_attempt(&job, attempt);
                self.tell(SlotEvent::Finished(report));
            }
        }
        let sessions = std::mem::take(&mut self.sessions);
        for session in sessions.into_values() {
            self.close(session);
        }
        self.tell(SlotEvent::Closed);
    }

    /// An attempt that panics is an outcome, not the end of the run.
    fn guarded_attempt(&mut self, job: &Job, attempt: u32) -> Report {
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| self.attempt(job, attempt)));
        let mut report = result.unwrap_or_else(|panic| {
            // A session may have been left in the middle of a task.
            self.sessions.clear();
            Report::of(Outcome::Panicked, Some(panic_text(&*panic)))
        });
        report.took = started.elapsed();
        report
    }

    fn attempt(&mut self, job: &Job, attempt: u32) -> Report {
        let task = match self.retry_until_available(|work| work.prepare(job, attempt)) {
            Ok(task) => task,
            Err(message) => {
                let outcome = self.ending.outcome().unwrap_or(Outcome::NotStarted);
                return self.judge_failure(job, None, outcome, Some(message));
            }
        };
        self.tell(SlotEvent::Prepared {
            argv: task.command.masked().argv,
            log: task.log.clone(),
        });
        if !matches!(self.commands.recv(), Ok(SlotCommand::Start)) {
            return Report::of(Outcome::Interrupted, None);
        }
        let ended = match &task.kind {
            TaskKind::Process => self.run_child(&task),
            TaskKind::Session { .. } => self.run_in_session(&task),
            TaskKind::Shared { host, fields } => self.run_as_guest(&task, &**host, fields),
        };
        self.ending.by_itself();
        self.judge(job, &task.log, ended)
    }

    fn run_child(&mut self, task: &Task) -> Ended {
        let child = match Child::start(
            &task.command,
            &task.log,
            LogMode::Truncate,
            self.options.watchdog,
        ) {
            Ok(child) => child,
            Err(error) => return Ended::Never(error.to_string()),
        };
        self.tell(SlotEvent::Spawned(Target::Group(child.group())));
        let exit = child.wait(self.options.grace);
        match exit {
            Ok(exit) => exit.into(),
            Err(error) => Ended::Never(format!("cannot wait for the child: {error}")),
        }
    }

    fn run_in_session(&mut self, task: &Task) -> Ended {
        let TaskKind::Session {
            key,
            log,
            input,
            marker,
        } = &task.kind
        else {
            return self.run_child(task);
        };
        let mut session = match self.session(key, task, log) {
            Ok(session) => session,
            Err(message) => return Ended::Never(message),
        };
        self.tell(SlotEvent::Spawned(Target::Group(session.group())));
        let outcome = session.run(input, &**marker, &task.log);
        match &outcome {
            Ok(SessionOutcome::Done { .. }) => {
                self.sessions.insert(key.clone(), session);
            }
            Ok(SessionOutcome::Died(_)) => {}
            Err(_) => self.close(session),
        }
        Ended::of_result(outcome)
    }

    /// In a process that other slots use, too.
    fn run_as_guest(
        &mut self,
        task: &Task,
        host: &SharedHost,
        fields: &[(String, String)],
    ) -> Ended {
        let host = match host() {
            Ok(host) => host,
            Err(message) => return Ended::Never(message),
        };
        let is_interrupted = || self.interrupted.try_recv() == Err(TryRecvError::Disconnected);
        let guest = match host.ask(fields, &is_interrupted) {
            Ok(guest) => guest,
            Err(GuestError::GivenUp) => return Ended::Badly(Outcome::Interrupted),
            // It may be dying.
            Err(error) if host.has_exited() => {
                let ended = host.explain_exit(&task.log).map(Ended::of_session);
                return ended.unwrap_or_else(|_| Ended::Never(error.to_string()));
            }
            Err(error) => return Ended::Never(error.to_string()),
        };
        match guest.handle() {
            Ok(handle) => self.tell(SlotEvent::Spawned(Target::Guest(handle))),
            Err(error) => return Ended::Never(error.to_string()),
        }
        Ended::of_result(guest.wait(&task.log))
    }

    /// The warm session of this key, or a new one.
    fn session(&mut self, key: &str, task: &Task, log: &Path) -> Result<Session, String> {
        if let Some(session) = self.sessions.remove(key) {
            if !session.has_exited() {
                return Ok(session);
            }
            self.close(session);
        }
        Session::start(&task.command, log, self.options.watchdog).map_err(|error| error.to_string())
    }

    fn close(&self, session: Session) {
        session.close(self.options.grace);
    }

    fn judge(&self, job: &Job, log: &Path, ended: Ended) -> Report {
        match (self.ending.outcome(), ended) {
            (_, Ended::Never(message)) => {
                self.judge_failure(job, Some(log), Outcome::NotStarted, Some(message))
            }
            (Some(Outcome::Interrupted), Ended::Well) => self.judge_interrupted(job, log),
            (None, Ended::Well) => self.judge_output(job, log),
            (Some(outcome), _) | (None, Ended::Badly(outcome)) => {
                self.judge_failure(job, Some(log), outcome, None)
            }
        }
    }

    /// Exit 0: what does the catalog say?
    fn judge_output(&self, job: &Job, log: &Path) -> Report {
        let verdict = match self.retry_until_available(|work| work.verify(job)) {
            Ok(verdict) => verdict,
            Err(message) => {
                let outcome = self.ending.outcome().unwrap_or(Outcome::Unverified);
                return self.judge_failure(job, Some(log), outcome, Some(message));
            }
        };
        let outcome = verdict.outcome();
        let mut report = if outcome.succeeded() {
            Report::of(outcome, None)
        } else {
            self.judge_failure(job, Some(log), outcome, None)
        };
        report.verdict = verdict;
        report
    }

    /// It ended well although it was told to stop: it counts if one look shows all its days.
    fn judge_interrupted(&self, job: &Job, log: &Path) -> Report {
        match self.work.verify(job) {
            Ok(verdict) if verdict.outcome().succeeded() => Report {
                verdict,
                ..Report::of(Outcome::Succeeded, None)
            },
            _ => self.judge_failure(job, Some(log), Outcome::Interrupted, None),
        }
    }

    /// What is said of a failure, what it left behind, and whether to try again.
    fn judge_failure(
        &self,
        job: &Job,
        log: Option<&Path>,
        outcome: Outcome,
        message: Option<String>,
    ) -> Report {
        let mut report = Report::of(outcome, message);
        if let Some(log) = log {
            let settled = self.work.settle(job, log, &report.outcome);
            // What a job logs of its own end is not the cause of an interruption.
            if report.message.is_none() && report.outcome != Outcome::Interrupted {
                report.message = self.work.explain(job, log, &report.outcome);
            }
            if let Err(why) = settled {
                report.may_write = true;
                let said = report
                    .message
                    .map(|message| format!("{message}; "))
                    .unwrap_or_default();
                report.message = Some(said + &why);
            }
        }
        // A log may quote a URL with its password.
        report.message = report.message.map(|message| mask_text(&message));
        if report.outcome == Outcome::Interrupted {
            return report;
        }
        if !report.may_write {
            report.decision = self.work.retry(job, &report.outcome, log);
        }
        let ran = matches!(
            report.outcome,
            Outcome::Failed { .. } | Outcome::Killed { .. } | Outcome::TimedOut
        );
        if ran && let Ok(verdict) = self.work.verify(job) {
            report.verdict = verdict;
        }
        report
    }

    /// Asks until there is an answer, patience is over or the run is interrupted. The message
    /// says why there is none.
    fn retry_until_available<T>(
        &self,
        ask: impl Fn(&dyn Work) -> Result<T, WorkError>,
    ) -> Result<T, String> {
        let deadline = Instant::now() + self.options.patience;
        let mut told = false;
        loop {
            let reason = match ask(self.work) {
                Ok(answer) => return Ok(answer),
                Err(WorkError::Failed(reason)) => return Err(reason),
                Err(WorkError::Unavailable(reason)) => reason,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(reason);
            }
            if !told {
                told = true;
                self.tell(SlotEvent::Notice(format!("waiting: {reason}")));
            }
            let pause = self.options.pause.min(left);
            if self.interrupted.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return Err(reason);
            }
        }
    }

    fn tell(&self, news: SlotEvent) {
        let slot = self.slot;
        // The coordinator outlives its slots, unless it panicked; then no one receives.
        let _ = self.news.send(Message { slot, news });
    }
}

impl Report {
    fn of(outcome: Outcome, message: Option<String>) -> Self {
        Self {
            outcome,
            message,
            verdict: Verdict::default(),
            decision: RetryDecision::GiveUp,
            may_write: false,
            took: Duration::ZERO,
        }
    }
}

impl Ended {
    fn of_result(result: Result<SessionOutcome, SessionError>) -> Self {
        result.map_or_else(|error| Self::Never(error.to_string()), Self::of_session)
    }

    fn of_session(outcome: SessionOutcome) -> Self {
        match outcome {
            SessionOutcome::Done { ok: true } => Self::Well,
            SessionOutcome::Done { ok: false } => Self::Badly(Outcome::Failed { code: 1 }),
            SessionOutcome::Died(exit) => match exit.into() {
                // It ended before it said that the task was done.
                Self::Well => Self::Badly(Outcome::Failed { code: 0 }),
                badly => badly,
            },
        }
    }
}

impl From<Exit> for Ended {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(0) => Self::Well,
            Exit::Code(code) => Self::Badly(Outcome::Failed { code }),
            Exit::Signal(signal) => Self::Badly(Outcome::Killed { signal }),
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the runner panicked: {}", text.unwrap_or("no message"))
}
