//! Live lines at the bottom of a terminal.
//!
//! What they say is computed by pure functions from the view and the time; `indicatif` only
//! keeps them in place. A thread redraws them a few times a second.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chronon_run_core::event::{Event, Sink, StepIndex};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    Phase, RunView, StepView,
    lines::{Starts, attempt_note, describe},
    words::duration,
};

/// Running steps that are shown; the others are counted.
const MOST_LINES: usize = 8;
/// Between two redraws.
const REDRAW: Duration = Duration::from_millis(200);
/// Width of a drawn bar, in characters.
const WIDTH: usize = 20;

/// Progress on a terminal's stderr: one line per running step, one for the whole; what ended
/// scrolls away above. Dropping it clears the live lines.
#[derive(Debug)]
pub struct Bars {
    shared: Arc<Mutex<Live>>,
    stop: Option<Sender<()>>,
    redrawing: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Live {
    view: RunView,
    expected: BTreeMap<StepIndex, u64>,
    multi: MultiProgress,
    lines: Vec<ProgressBar>,
}

impl Bars {
    /// Draws on stderr. `expected` is what steps are expected to take, in milliseconds, as far
    /// as the ledger knows; it makes the total's ETA.
    #[must_use]
    pub fn new(expected: BTreeMap<StepIndex, u64>) -> Self {
        Self::on(ProgressDrawTarget::stderr(), expected)
    }

    fn on(target: ProgressDrawTarget, expected: BTreeMap<StepIndex, u64>) -> Self {
        let shared = Arc::new(Mutex::new(Live {
            view: RunView::default(),
            expected,
            multi: MultiProgress::with_draw_target(target),
            lines: Vec::new(),
        }));
        let (stop, stopped) = mpsc::channel::<()>();
        let live = Arc::clone(&shared);
        let redrawing = thread::spawn(move || {
            while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                lock(&live).redraw();
            }
        });
        Self {
            shared,
            stop: Some(stop),
            redrawing: Some(redrawing),
        }
    }

    /// The run as seen so far, e.g. for [`summary`](crate::summary()).
    #[must_use]
    pub fn view(&self) -> RunView {
        lock(&self.shared).view.clone()
    }
}

fn lock(live: &Mutex<Live>) -> std::sync::MutexGuard<'_, Live> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink for Bars {
    fn emit(&mut self, event: &Event) {
        let mut live = lock(&self.shared);
        live.view.apply(event);
        if let Some(text) = describe(&live.view, event, Starts::Hidden) {
            for line in text.lines() {
                // A terminal that is gone shows nothing.
                let _ = live.multi.println(line);
            }
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.redrawing.take() {
            // It only draws; how it ended does not matter.
            let _ = thread.join();
        }
        let live = lock(&self.shared);
        for line in &live.lines {
            line.finish_and_clear();
        }
    }
}

impl Live {
    fn redraw(&mut self) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let texts = live_lines(&self.view, &self.expected, now);
        while self.lines.len() > texts.len() {
            if let Some(line) = self.lines.pop() {
                line.finish_and_clear();
                self.multi.remove(&line);
            }
        }
        while self.lines.len() < texts.len() {
            let line = self.multi.add(ProgressBar::new_spinner());
            // The template has no part that could be wrong.
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                line.set_style(style);
            }
            self.lines.push(line);
        }
        for (line, text) in self.lines.iter().zip(texts) {
            line.set_message(text);
            line.tick();
        }
    }
}

/// What is at the bottom of the terminal at `now`; nothing before and after the run.
fn live_lines(view: &RunView, expected: &BTreeMap<StepIndex, u64>, now: i64) -> Vec<String> {
    if view.steps.is_empty() || view.finished.is_some() {
        return Vec::new();
    }
    let running = view.running();
    let shown = running.iter().take(MOST_LINES);
    let mut lines: Vec<String> = shown
        .map(|(since, step)| running_line(step, elapsed(*since, now)))
        .collect();
    if running.len() > MOST_LINES {
        lines.push(format!("  and {} more", running.len() - MOST_LINES));
    }
    lines.push(total_line(view, expected, now));
    lines
}

fn running_line(step: &StepView, elapsed: u64) -> String {
    let progress = match &step.progress {
        Some((done, total, stage)) => {
            format!(
                "  {} {done}/{total} {stage}",
                bar(u64::from(*done), u64::from(*total))
            )
        }
        None => String::new(),
    };
    let attempt = attempt_note(step.attempt);
    format!(
        "  {}{attempt}{progress}  {}",
        step.name(),
        duration(elapsed)
    )
}

fn total_line(view: &RunView, expected: &BTreeMap<StepIndex, u64>, now: i64) -> String {
    let (over, all) = (view.over(), view.steps.len());
    let waits = |step: &&StepView| matches!(step.phase, Phase::Retrying(_));
    let retrying = match view.steps.values().filter(waits).count() {
        0 => String::new(),
        number => format!(", {number} waiting for a retry"),
    };
    let eta = match remaining(view, expected, now) {
        Some(millis) => format!(", about {} left", duration(millis)),
        None => String::new(),
    };
    let elapsed = duration(elapsed(view.started, now));
    let bar = bar(over as u64, all as u64);
    format!("{bar} {over}/{all} steps  {elapsed}{eta}{retrying}")
}

/// Wall time left in milliseconds, by the expected times and, where there is none, by the
/// average of this run's finished steps; `None` if there is nothing to go by.
fn remaining(view: &RunView, expected: &BTreeMap<StepIndex, u64>, now: i64) -> Option<u64> {
    let done: Vec<u64> = view.ended(|_| true).map(|step| step.millis).collect();
    let average = done.iter().sum::<u64>().checked_div(done.len() as u64);
    let usual = |step: &StepView| expected.get(&step.info.step).copied().or(average);
    let mut total = 0_u64;
    let mut longest = 0_u64;
    for step in view.steps.values() {
        let left = match step.phase {
            Phase::Ended(_) | Phase::Skipped(_) => continue,
            Phase::Running(since) => usual(step)?.saturating_sub(elapsed(since, now)),
            Phase::Waiting | Phase::Retrying(_) => usual(step)?,
        };
        total = total.saturating_add(left);
        longest = longest.max(left);
    }
    Some(longest.max(total / u64::from(view.jobs.max(1))))
}

fn elapsed(since: i64, now: i64) -> u64 {
    // A clock that was set back shows no time, not a huge one.
    u64::try_from(now.saturating_sub(since)).unwrap_or(0)
}

fn bar(done: u64, all: u64) -> String {
    let full = done.min(all).saturating_mul(WIDTH as u64).checked_div(all);
    let full = usize::try_from(full.unwrap_or(0)).unwrap_or(WIDTH);
    format!("[{}{}]", "#".repeat(full), "-".repeat(WIDTH - full))
}

#[cfg(test)]
#[path = "bars_tests.rs"]
mod tests;
