//! The one owner of a run's state.

use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use chronon_run_core::{
    event::{CancelReason, Outcome, SkipReason, StepInfo, What},
    secret::mask_text,
};
use chronon_run_process::{Tail, Target};
use crossbeam_channel::{Receiver, Sender, never, select, unbounded};

use crate::{
    Job, JobsError, ScriptMark, Sink, StageProgress, Work,
    options::{Control, OnFailure, Options, Summary},
    pieces::{Next, Pieces},
    queue::{Position, Queue},
    sink::Sinks,
    vigil::{self, Vigil},
    worker::{Ending, Message, Report, SlotCommand, SlotEvent, Worker},
};

/// How often the logs of running steps are looked at for progress.
const TICK: Duration = Duration::from_millis(250);
/// How much of a log's end is looked at per tick.
const TICK_BYTES: u64 = 64 << 10;

/// Runs `jobs` to the end, or until `control` says otherwise, and tells every sink.
///
/// # Errors
/// [`JobsError`] if the jobs cannot be ordered; then nothing was started or told.
pub fn run(
    jobs: &[Job],
    work: &dyn Work,
    options: &Options<'_>,
    sinks: &mut [&mut dyn Sink],
    control: &Receiver<Control>,
) -> Result<Summary, JobsError> {
    let queue = Queue::new(jobs)?;
    let started = Instant::now();
    let slots = options
        .jobs
        .max(1)
        .min(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
    let (news_sender, news) = unbounded();
    let (interrupt, interrupted) = unbounded();
    let summary = thread::scope(|scope| {
        let mut coordinator = Coordinator {
            jobs,
            work,
            options,
            queue,
            sinks: Sinks::new(sinks),
            slots: Vec::new(),
            attempts: vec![0; jobs.len()],
            pieces: jobs.iter().map(|job| Pieces::new(job.range)).collect(),
            delayed: BTreeMap::new(),
            starts: Vec::new(),
            groups: HashMap::new(),
            interrupt: Some(interrupt),
            kill_at: None,
            summary: Summary::default(),
        };
        for slot in 0..slots as usize {
            let (commands, received) = unbounded();
            let ending = Arc::<Ending>::default();
            let worker = Worker {
                slot,
                work,
                options,
                commands: received,
                news: news_sender.clone(),
                ending: Arc::clone(&ending),
                interrupted: interrupted.clone(),
                sessions: HashMap::new(),
            };
            scope.spawn(|| worker.run());
            coordinator.slots.push(Slot {
                commands: Some(commands),
                ending,
                running: None,
            });
        }
        // So that the channel ends with the last slot.
        drop(news_sender);
        coordinator.begin();
        coordinator.event_loop(&news, control);
        coordinator.finish(started)
    });
    Ok(summary)
}

struct Coordinator<'a> {
    jobs: &'a [Job],
    work: &'a dyn Work,
    options: &'a Options<'a>,
    queue: Queue,
    sinks: Sinks<'a, 'a>,
    slots: Vec<Slot>,
    /// Attempts made so far, by position.
    attempts: Vec<u32>,
    /// Which days are tried next, by position.
    pieces: Vec<Pieces>,
    /// Jobs that wait for their next attempt, with how the last one went.
    delayed: BTreeMap<(Instant, Position), Report>,
    /// Slots whose child may start as soon as the sinks are flushed.
    starts: Vec<usize>,
    /// Every group that may still live, warm sessions included, by its number and slot.
    groups: HashMap<(u32, usize), Target>,
    /// Dropped when the run is interrupted, which wakes every slot that waits.
    interrupt: Option<Sender<()>>,
    /// When the grace period of an interrupted run is over.
    kill_at: Option<Instant>,
    summary: Summary,
}

struct Slot {
    /// Dropped when there is nothing more to do.
    commands: Option<Sender<SlotCommand>>,
    ending: Arc<Ending>,
    running: Option<Running>,
}

/// An attempt that occupies a slot.
struct Running {
    position: Position,
    group: Option<Target>,
    times_out: Option<Instant>,
    kill_at: Option<Instant>,
    tail: Option<Tail>,
    vigil: Option<Vigil>,
    progress: Option<StageProgress>,
    /// Statements of its script that have ended; `None`: it has not begun.
    statements: Option<usize>,
    application: Option<String>,
}

/// What is new in the log of a running attempt.
#[derive(Default)]
struct Seen {
    progress: Option<StageProgress>,
    application: Option<String>,
}

impl Coordinator<'_> {
    fn begin(&mut self) {
        let info = |job: &Job| StepInfo {
            step: job.step,
            asset: job.asset.clone(),
            range: job.range,
        };
        self.sinks.emit(What::RunStarted {
            run: self.options.run.clone(),
            steps: self.jobs.iter().map(info).collect(),
            jobs: self.options.jobs.max(1),
        });
    }

    /// Until every job is over and every slot is closed.
    fn event_loop(&mut self, news: &Receiver<Message>, control: &Receiver<Control>) {
        let silence = never();
        let mut control = control;
        let mut tick = Instant::now() + TICK;
        loop {
            self.fill_slots();
            self.release_starts();
            if self.is_idle() {
                self.close_slots();
            }
            if self.slots.is_empty() {
                return;
            }
            let wait = self
                .next_deadline(tick)
                .saturating_duration_since(Instant::now());
            select! {
                recv(news) -> message => match message {
                    Ok(message) => {
                        self.on_message(message);
                        // What came meanwhile shares one flush of the sinks.
                        news.try_iter().for_each(|message| self.on_message(message));
                    }
                    // Every slot thread is gone.
                    Err(_) => return,
                },
                recv(control) -> word => match word {
                    Ok(word) => self.on_control(word),
                    Err(_) => control = &silence,
                },
                default(wait) => {}
            }
            let now = Instant::now();
            self.meet_deadlines(now);
            if now >= tick {
                tick = now + TICK;
                self.look_at_logs();
            }
        }
    }

    fn finish(mut self, started: Instant) -> Summary {
        self.sinks.emit(What::RunFinished {
            succeeded: self.summary.all_succeeded(),
            millis: millis(started.elapsed()),
        });
        self.sinks.flush();
        self.summary
    }

    /// Gives ready jobs to free slots, the lowest first: that is where sessions are warm.
    fn fill_slots(&mut self) {
        if self.summary.cancelled.is_some() {
            return;
        }
        for slot in &mut self.slots {
            if slot.running.is_some() {
                continue;
            }
            let Some(commands) = &slot.commands else {
                continue;
            };
            let Some(position) = self.queue.pop() else {
                return;
            };
            self.attempts[position] += 1;
            slot.ending.reset();
            slot.running = Some(Running::new(position));
            // A slot thread lives until its commands end.
            let job = self.pieces[position].job(&self.jobs[position]);
            let _ = commands.send(SlotCommand::Prepare(Box::new(job), self.attempts[position]));
        }
    }

    fn is_idle(&self) -> bool {
        let busy = self.slots.iter().any(|slot| slot.running.is_some());
        !busy && self.delayed.is_empty()
    }

    /// Lets the slots go; what has not started by now will not.
    fn close_slots(&mut self) {
        for slot in &mut self.slots {
            slot.commands = None;
        }
        for position in self.queue.drain() {
            self.skip(position, SkipReason::Cancelled);
        }
    }

    fn next_deadline(&self, tick: Instant) -> Instant {
        let running = self.slots.iter().filter_map(|slot| slot.running.as_ref());
        let of_running = running.flat_map(|running| [running.times_out, running.kill_at]);
        let retry = self.delayed.keys().next().map(|&(due, _)| due);
        let all = of_running
            .chain([retry, self.kill_at, self.sinks.flush_due()])
            .flatten();
        all.min().map_or(tick, |first| first.min(tick))
    }

    fn on_message(&mut self, message: Message) {
        let Message { slot, news } = message;
        match news {
            SlotEvent::Notice(message) => {
                let message = mask_text(&message);
                self.sinks.emit(What::Notice { message });
            }
            SlotEvent::Closed => {
                // Slots are only counted from here on.
                self.slots.pop();
            }
            SlotEvent::Finished(report) => {
                // Its last lines.
                self.look_at_log(slot);
                if let Some(running) = self.slots[slot].running.take() {
                    self.end_attempt(running.position, report);
                }
            }
            SlotEvent::Prepared { argv, log } => self.start(slot, argv, log),
            SlotEvent::Spawned(group) => self.spawned(slot, group),
        }
    }

    fn start(&mut self, slot: usize, argv: Vec<String>, log: PathBuf) {
        let interrupted = self.interrupt.is_none();
        let place = &mut self.slots[slot];
        let (Some(running), Some(commands)) = (&mut place.running, &place.commands) else {
            return;
        };
        if interrupted {
            let _ = commands.send(SlotCommand::Abandon);
            return;
        }
        let job = &self.jobs[running.position];
        running.tail = Some(Tail::new(&log));
        let stuck_after = self.options.stuck_after;
        running.vigil = Some(Vigil::new(stuck_after, &log, Instant::now()));
        self.sinks.emit(What::AttemptStarting {
            step: job.step,
            attempt: self.attempts[running.position],
            range: self.pieces[running.position].current(),
            argv,
            log,
        });
        self.starts.push(slot);
    }

    /// Lets the children go that every sink now knows of, safely.
    fn release_starts(&mut self) {
        let now = Instant::now();
        if !self.starts.is_empty() || self.sinks.flush_due().is_some_and(|due| due <= now) {
            self.sinks.flush();
        }
        for slot in std::mem::take(&mut self.starts) {
            if let Some(commands) = &self.slots[slot].commands {
                let _ = commands.send(SlotCommand::Start);
            }
        }
    }

    fn spawned(&mut self, slot: usize, group: Target) {
        let interrupted = self.interrupt.is_none();
        let Some(running) = &mut self.slots[slot].running else {
            return;
        };
        let process = group.leader();
        let job = &self.jobs[running.position];
        running.times_out = job.timeout.map(|timeout| Instant::now() + timeout);
        running.group = Some(group.clone());
        self.sinks.emit(What::AttemptSpawned {
            step: job.step,
            attempt: self.attempts[running.position],
            process,
        });
        if interrupted {
            group.terminate();
        }
        self.groups.insert((process.pid, slot), group);
    }

    fn end_attempt(&mut self, position: Position, report: Report) {
        self.groups.retain(|_, group| !group.is_over());
        let job = &self.jobs[position];
        let attempt = self.attempts[position];
        let pieces = &mut self.pieces[position];
        let next = pieces.after(job, &report.outcome, &report.verdict, report.decision);
        let delay = match next {
            Next::Attempt(delay) if self.summary.cancelled.is_none() => Some(delay),
            _ => None,
        };
        self.sinks.emit(What::AttemptFinished {
            step: job.step,
            attempt,
            outcome: report.outcome.clone(),
            millis: millis(report.took),
            message: report.message.clone(),
            retry_in: delay.map(millis),
            next: delay.map(|_| pieces.current()),
            may_write: report.may_write,
        });
        match delay {
            Some(delay) => {
                self.delayed
                    .insert((Instant::now() + delay, position), report);
            }
            None => self.end_step(position, report),
        }
    }

    fn end_step(&mut self, position: Position, report: Report) {
        let step = self.queue.step(position);
        let end = self.pieces[position].clone().conclude(report.outcome);
        let succeeded = end.outcome.succeeded();
        let interrupted = end.outcome == Outcome::Interrupted;
        self.sinks.emit(What::StepFinished {
            step,
            outcome: end.outcome,
            filled: end.filled,
            empty: end.empty,
            bad: end.bad,
            compared: end.compared,
            checked: end.checked,
        });
        match succeeded {
            true => self.summary.succeeded.push(step),
            false => self.summary.failed.push(step),
        }
        if report.may_write {
            for skipped in self.queue.stop_family(position) {
                self.skip(skipped, SkipReason::MayBeWritten { step });
            }
        }
        for skipped in self.queue.finish(position, succeeded) {
            let reason = match interrupted {
                true => SkipReason::Cancelled,
                false => SkipReason::Upstream { step },
            };
            self.skip(skipped, reason);
        }
        let rest = self.queue.has_waiting() || !self.delayed.is_empty();
        if !succeeded && rest && self.options.on_failure == OnFailure::Stop {
            self.cancel(CancelReason::StepFailed);
        }
    }

    fn skip(&mut self, position: Position, reason: SkipReason) {
        let step = self.queue.step(position);
        self.summary.skipped.push(step);
        self.sinks.emit(What::StepSkipped { step, reason });
    }

    /// From now on nothing starts. Jobs that wait for a retry have had their last attempt.
    fn cancel(&mut self, reason: CancelReason) {
        // An interrupt outranks a failed step, and nothing outranks an interrupt.
        let known = self.summary.cancelled;
        if known.is_some_and(|known| known != CancelReason::StepFailed || known == reason) {
            return;
        }
        self.summary.cancelled = Some(reason);
        self.sinks.emit(What::Cancelling { reason });
        for ((_, position), report) in std::mem::take(&mut self.delayed) {
            self.end_step(position, report);
        }
    }

    fn on_control(&mut self, word: Control) {
        match word {
            Control::Stop(reason) => {
                self.cancel(reason);
                self.interrupt();
            }
            Control::Kill => {
                self.cancel(CancelReason::Interrupt);
                self.interrupt();
                self.groups.values().for_each(Target::kill);
                self.kill_at = Some(Instant::now());
            }
        }
    }

    /// TERM to everything that runs.
    fn interrupt(&mut self) {
        if self.interrupt.take().is_none() {
            return;
        }
        self.kill_at = Some(Instant::now() + self.options.grace);
        for slot in &self.slots {
            if slot.running.is_some() {
                slot.ending.interrupt();
            }
        }
        self.groups.values().for_each(Target::terminate);
    }

    fn meet_deadlines(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            let ((_, position), _) = entry.remove_entry();
            self.queue.put_back(position);
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.groups.values().for_each(Target::kill);
            // What is started in this very moment is met next time.
            self.kill_at = Some(now + TICK);
        }
        for slot in &mut self.slots {
            if let Some(running) = &mut slot.running {
                running.meet_deadlines(now, &slot.ending, self.options.grace);
            }
        }
    }

    fn look_at_logs(&mut self) {
        for slot in 0..self.slots.len() {
            self.look_at_log(slot);
            self.look_for_progress(slot);
        }
    }

    /// Tells of an attempt that has become stuck, or moves again.
    fn look_for_progress(&mut self, slot: usize) {
        let Some(running) = &mut self.slots[slot].running else {
            return;
        };
        let (Some(group), Some(vigil)) = (&running.group, &mut running.vigil) else {
            return;
        };
        let step = self.queue.step(running.position);
        let attempt = self.attempts[running.position];
        let leader = group.leader();
        match vigil.look(group, Instant::now()) {
            Some(vigil::Seen::Stuck {
                idle,
                usage,
                last_line,
            }) => self.sinks.emit(What::StepStuck {
                step,
                attempt,
                millis: millis(idle),
                process: usage.as_ref().map_or(leader, |usage| usage.process),
                state: usage.map(|usage| usage.state.to_owned()),
                last_line,
            }),
            Some(vigil::Seen::Moves) => self.sinks.emit(What::StepMoves { step, attempt }),
            None => {}
        }
    }

    fn look_at_log(&mut self, slot: usize) {
        let Some(running) = &mut self.slots[slot].running else {
            return;
        };
        let seen = running.look_at_log(self.work, &self.jobs[running.position]);
        let step = self.queue.step(running.position);
        let attempt = self.attempts[running.position];
        if let Some(application) = seen.application {
            self.sinks.emit(What::ApplicationSeen {
                step,
                attempt,
                application,
            });
        }
        if let Some(progress) = seen.progress {
            self.sinks.emit(What::Progress {
                step,
                done: progress.done,
                total: progress.total,
                stage: progress.stage,
            });
        }
    }
}

impl Running {
    fn new(position: Position) -> Self {
        Self {
            position,
            group: None,
            times_out: None,
            kill_at: None,
            tail: None,
            vigil: None,
            progress: None,
            statements: None,
            application: None,
        }
    }

    fn meet_deadlines(&mut self, now: Instant, ending: &Ending, grace: Duration) {
        let Some(group) = &self.group else { return };
        if self.times_out.is_some_and(|at| at <= now) {
            self.times_out = None;
            if ending.time_out() {
                group.terminate();
                self.kill_at = Some(now + grace);
            }
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            group.kill();
        }
    }

    /// What the log tells that was not known.
    fn look_at_log(&mut self, work: &dyn Work, job: &Job) -> Seen {
        let (Some(_), Some(tail)) = (&self.group, &mut self.tail) else {
            return Seen::default();
        };
        // A log that cannot be read shows nothing, and that is all.
        let lines = tail.last_lines(TICK_BYTES).unwrap_or_default();
        let unknown = self.application.is_none();
        let mut statements = self.statements;
        let is_first_look = self.progress.is_none();
        let mut look = || Seen {
            progress: progress(work, job, &lines, &mut statements, is_first_look),
            application: unknown
                .then(|| lines.iter().find_map(|line| work.application(line)))
                .flatten(),
        };
        // A reader of logs that panics must not stop the run.
        let mut seen = catch_unwind(AssertUnwindSafe(&mut look)).unwrap_or_default();
        self.statements = statements;
        match (&seen.progress, &self.progress) {
            (Some(_), known) if seen.progress != *known => {
                self.progress.clone_from(&seen.progress);
            }
            _ => seen.progress = None,
        }
        if seen.application.is_some() {
            self.application.clone_from(&seen.application);
        }
        seen
    }
}

/// What the newest lines tell: the stages that run, else the statement.
fn progress(
    work: &dyn Work,
    job: &Job,
    lines: &[String],
    ended: &mut Option<usize>,
    is_first_look: bool,
) -> Option<StageProgress> {
    let mut stages = None;
    let mut is_news = is_first_look;
    for line in lines {
        let mark = work.mark(line);
        is_news |= mark.is_some();
        match mark {
            Some(ScriptMark::Begins) => *ended = Some(0),
            Some(ScriptMark::Ended) => (*ended, stages) = (Some(ended.unwrap_or(0) + 1), None),
            None => stages = work.progress(line).or(stages),
        }
    }
    let statement = work.statement(job, *ended);
    match (stages, statement) {
        (Some(stages), Some(statement)) => Some(StageProgress {
            stage: format!("{}, {}", statement.stage, stages.stage),
            ..stages
        }),
        (Some(stages), None) => Some(stages),
        (None, statement) => statement.filter(|_| is_news),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
