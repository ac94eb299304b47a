//! Live lines at the bottom of a terminal.
//!
//! What they say is computed by pure functions from the view and the time; `indicatif` draws them
//! by the templates below. A thread redraws them a few times a second.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use chronon_run_core::{
    epoch_millis,
    event::{Event, Sink, StepIndex},
    shown::shown,
};
use console::{measure_text_width, style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    Phase, RunView, StepView, activity,
    fit::{shorten, shorten_name},
    lines::{Layout, attempt_note, describe},
    links::{LINK, To, linked},
    words::duration,
};

/// Running steps that are shown at most; the others are counted.
const MOST_LINES: usize = 8;
/// Between two redraws.
const REDRAW: Duration = Duration::from_millis(100);
/// Terminals that are narrower show no bars for steps.
const NARROW: u16 = 60;
/// Terminals that are wider show the whole ids of steps and wider bars.
const WIDE: u16 = 120;

const BAR: &str = "=>-";

/// One line at the bottom of the terminal.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    kind: Kind,
    /// What it is about; cut if the terminal is too narrow.
    text: String,
    /// Done and all; all is 0 where it is not known.
    progress: (u64, u64),
    /// What is right of the bar.
    note: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Step,
    Stuck,
    /// What the step above does now.
    Detail,
    More,
    Total,
}

impl Line {
    /// The template for a terminal of this width.
    fn template(&self, width: u16) -> &'static str {
        let is_known = self.progress.1 > 0;
        match self.kind {
            Kind::Detail | Kind::More => "  {wide_msg:.dim}",
            Kind::Stuck => "{spinner:.yellow} {wide_msg} {prefix:.yellow}",
            Kind::Step if width >= WIDE && is_known => {
                "{spinner:.cyan} {wide_msg} {bar:20.green/dim} {pos:>3}/{len:<3} {prefix:.dim}"
            }
            Kind::Step if width >= NARROW && is_known => {
                "{spinner:.cyan} {wide_msg} {bar:8.green/dim} {prefix:.dim}"
            }
            Kind::Step => "{spinner:.cyan} {wide_msg} {prefix:.dim}",
            Kind::Total if width >= NARROW => {
                "{spinner:.cyan} {bar:20.green/dim} {pos}/{len} {wide_msg}"
            }
            Kind::Total => "{pos}/{len} {wide_msg}",
        }
    }

    /// The columns that the template of a running step leaves for its text.
    fn room(&self, width: u16) -> usize {
        let bar = if width >= NARROW && self.progress.1 > 0 {
            9
        } else {
            0
        };
        let around = 3 + bar + measure_text_width(&self.note);
        usize::from(width).saturating_sub(around)
    }

    /// Puts it on `bar`, which shows `before` now: only what is new, because each change is drawn.
    fn show(&self, bar: &ProgressBar, width: u16, before: Option<(&Self, u16)>) {
        let is_new = |differs: &dyn Fn(&Self, u16) -> bool| {
            before.is_none_or(|(line, width)| differs(line, width))
        };
        let template = self.template(width);
        // The templates have no part that could be wrong.
        if is_new(&|line, width| line.template(width) != template)
            && let Ok(style) = ProgressStyle::with_template(template)
        {
            bar.set_style(
                style
                    .tick_chars(crate::activity::SPINNER)
                    .progress_chars(BAR),
            );
        }
        if is_new(&|line, _| line.progress != self.progress) {
            bar.set_length(self.progress.1);
            bar.set_position(self.progress.0);
        }
        if is_new(&|line, _| line.note != self.note) {
            bar.set_prefix(shown(&self.note).into_owned());
        }
        if is_new(&|line, _| line.text != self.text) {
            // The total has colours of its own, and nothing that others wrote.
            bar.set_message(match self.kind {
                Kind::Total => self.text.clone(),
                _ => shown(&self.text).into_owned(),
            });
        }
    }
}

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
    /// Each with what it shows and for which width.
    lines: Vec<(ProgressBar, Line, u16)>,
    /// Rows and columns of the terminal.
    size: fn() -> (u16, u16),
}

impl Bars {
    /// Draws on stderr. `expected` is what steps are expected to take, in milliseconds, as far
    /// as the ledger knows; it makes the total's ETA.
    #[must_use]
    pub fn new(expected: BTreeMap<StepIndex, u64>) -> Self {
        Self::on(ProgressDrawTarget::stderr(), expected, || {
            console::Term::stderr().size()
        })
    }

    fn on(
        target: ProgressDrawTarget,
        expected: BTreeMap<StepIndex, u64>,
        size: fn() -> (u16, u16),
    ) -> Self {
        let multi = MultiProgress::with_draw_target(target);
        *activity::live() = Some(activity::Live::Many(multi.clone()));
        let shared = Arc::new(Mutex::new(Live {
            view: RunView::default(),
            expected,
            multi,
            lines: Vec::new(),
            size,
        }));
        let (stop, stopped) = mpsc::channel::<()>();
        let live = Arc::clone(&shared);
        let redraw = move || {
            while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                lock(&live).redraw();
            }
        };
        // Without a thread the bars change with events only.
        let redrawing = thread::Builder::new().spawn(redraw).ok();
        Self {
            shared,
            stop: Some(stop),
            redrawing,
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
        let columns = usize::from((live.size)().1);
        if let Some(text) = describe(&live.view, event, Layout::Above(columns)) {
            for line in text.lines() {
                let line = shown(line);
                let text = coloured(&linked(&line, To::Stderr));
                // A terminal that is gone shows nothing. The width of a link cannot be told by the bars.
                let _ = match text.contains(LINK) {
                    true => live
                        .multi
                        .suspend(|| writeln!(anstream::stderr(), "{text}")),
                    false => live.multi.println(text),
                };
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
        for (bar, ..) in &live.lines {
            bar.finish_and_clear();
        }
        *activity::live() = None;
    }
}

impl Live {
    fn redraw(&mut self) {
        let now = epoch_millis(SystemTime::now());
        let (rows, columns) = (self.size)();
        let texts = live_lines(&self.view, &self.expected, now, (rows, columns));
        while self.lines.len() > texts.len() {
            if let Some((bar, ..)) = self.lines.pop() {
                bar.finish_and_clear();
                self.multi.remove(&bar);
            }
        }
        for (place, line) in texts.into_iter().enumerate() {
            match self.lines.get_mut(place) {
                Some((bar, shown, width)) => {
                    line.show(bar, columns, Some((shown, *width)));
                    (*shown, *width) = (line, columns);
                    bar.tick();
                }
                None => {
                    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
                    line.show(&bar, columns, None);
                    let bar = self.multi.add(bar);
                    bar.tick();
                    self.lines.push((bar, line, columns));
                }
            }
        }
    }
}

/// What is at the bottom of a terminal of so many rows and columns at `now`; nothing before and
/// after the run.
fn live_lines(
    view: &RunView,
    expected: &BTreeMap<StepIndex, u64>,
    now: i64,
    (rows, columns): (u16, u16),
) -> Vec<Line> {
    if view.steps.is_empty() || view.finished.is_some() {
        return Vec::new();
    }
    let running = view.running();
    // One line for the total, one for the cursor, and one for those that are only counted.
    let room = usize::from(rows.saturating_sub(2)).min(MOST_LINES + 1);
    let most = match running.len() > room.min(MOST_LINES) {
        true => room.saturating_sub(1),
        false => room,
    };
    let has_details = columns < WIDE && 2 * running.len() <= room;
    let shown = running.iter().take(most);
    let mut lines: Vec<Line> = shown
        .flat_map(|(since, step)| {
            let detail = detail_line(step, columns).filter(|_| has_details);
            let elapsed = elapsed(*since, now);
            let line = running_line(step, now, elapsed, columns, detail.is_some());
            [Some(line), detail].into_iter().flatten()
        })
        .collect();
    if running.len() > most && room > 0 {
        lines.push(Line {
            kind: Kind::More,
            text: format!("and {} more", running.len() - most),
            progress: (0, 0),
            note: String::new(),
        });
    }
    lines.push(total_line(view, expected, now));
    lines
}

/// The line of a running step, whose stage is in the line below if it `has_detail`.
fn running_line(step: &StepView, now: i64, elapsed: u64, columns: u16, has_detail: bool) -> Line {
    if let Some(since) = step.stuck_since {
        return stuck_line(step, self::elapsed(since, now), columns);
    }
    let attempt = attempt_note(step.attempt);
    let progress = match &step.progress {
        Some((done, total, _)) => (u64::from(*done), u64::from(*total)),
        None => (0, 0),
    };
    let stage = step.progress.as_ref().map(|(.., stage)| stage.as_str());
    let elapsed = duration(elapsed);
    if columns >= WIDE {
        let stage = stage.map_or_else(String::new, |stage| format!("  {stage}"));
        return Line {
            kind: Kind::Step,
            text: format!("{}{attempt}{stage}", step.name()),
            progress,
            note: elapsed,
        };
    }
    let note = match stage {
        Some(stage) if !has_detail => format!("{}  {elapsed}", short_stage(stage, progress)),
        _ => elapsed,
    };
    let mut line = Line {
        kind: Kind::Step,
        text: String::new(),
        progress,
        note,
    };
    line.text = shorten_name(&(step.short_name() + &attempt), line.room(columns));
    line
}

/// Which table is being made, where the line of the step has no room for it: of the stage
/// `statement 4 of 11 (out.a), stage 3` as much as fits, the table's name last.
fn detail_line(step: &StepView, columns: u16) -> Option<Line> {
    let (done, all, stage) = step.progress.as_ref()?;
    let (statement, rest) = stage.split_once(" (")?;
    let (table, stage) = rest.split_once(')')?;
    let room = usize::from(columns).saturating_sub(4);
    let tasks = match stage.is_empty() {
        true => String::new(),
        false => format!("{stage} {done}/{all}"),
    };
    let short = statement.replace("statement ", "").replace(" of ", "/");
    let name = table.rsplit('.').next().unwrap_or(table);
    let texts = [
        format!("{statement}: {table}{tasks}"),
        format!("{statement}: {table}"),
        format!("{short} {table}"),
    ];
    let fitting = |text: &String| measure_text_width(text) <= room;
    let text = texts.into_iter().find(fitting).unwrap_or_else(|| {
        let room = room.saturating_sub(measure_text_width(&short) + 1);
        format!("{short} {}", shorten(name, room))
    });
    Some(Line {
        kind: Kind::Detail,
        text: format!("  {text}"),
        progress: (0, 0),
        note: String::new(),
    })
}

/// `statement 4 of 11 (out.a), stage 3` in few words: `stage 3 2/8`.
fn short_stage(stage: &str, (done, all): (u64, u64)) -> String {
    let last = stage.rsplit(", stage").next().unwrap_or(stage);
    if last.len() < stage.len() {
        return format!("stage{last} {done}/{all}");
    }
    match stage.split_once(" (") {
        Some((statement, _)) => statement.replace(" of ", "/"),
        None if stage.starts_with("statement") => stage.replace(" of ", "/"),
        None if stage.starts_with("stage") => format!("{stage} {done}/{all}"),
        None => stage.to_owned(),
    }
}

/// A step that makes no progress; why it may be so was said above.
fn stuck_line(step: &StepView, idle: u64, columns: u16) -> Line {
    let mut line = Line {
        kind: Kind::Stuck,
        text: step.short_name() + &attempt_note(step.attempt),
        progress: (0, 0),
        note: format!("stuck for {}", duration(idle)),
    };
    line.text = shorten_name(&line.text, line.room(columns));
    line
}

fn total_line(view: &RunView, expected: &BTreeMap<StepIndex, u64>, now: i64) -> Line {
    let mut text = format!("steps  {}", duration(elapsed(view.started, now)));
    // A step that takes longer than expected leaves nothing to tell.
    if let Some(millis) = remaining(view, expected, now).filter(|&millis| millis >= 1_000) {
        text += &format!(", about {} left", duration(millis));
    }
    let failed = view.ended(|outcome| !outcome.succeeded()).count();
    let waits = |step: &&StepView| matches!(step.phase, Phase::Retrying(_));
    let retrying = view.steps.values().filter(waits).count();
    let of_stderr = |text: String| style(text).for_stderr();
    if failed > 0 {
        text += &of_stderr(format!(", {failed} failed")).red().to_string();
    }
    if retrying > 0 {
        let waiting = of_stderr(format!(", {retrying} waiting for a retry"));
        text += &waiting.yellow().to_string();
    } else if view.running().is_empty() && view.over() < view.steps.len() {
        text += ", preparing the next step";
    }
    Line {
        kind: Kind::Total,
        text,
        progress: (view.over() as u64, view.steps.len() as u64),
        note: String::new(),
    }
}

/// A line of what happened, its first word in the colour of what it means.
fn coloured(line: &str) -> String {
    let word = line.split(' ').next().unwrap_or_default();
    let style = |text: &str| style(text.to_owned()).for_stderr();
    let shown = match word {
        "done" | "part" => style(word).green(),
        "failed" => style(word).red().bold(),
        "retry" | "skip" | "stuck" | "stopping:" => style(word).yellow(),
        // Details, such as where a log is; but why something failed is read.
        "note" => return style(line).dim().to_string(),
        "" if line.trim_start().starts_with("log: ") => return style(line).dim().to_string(),
        _ => return line.to_owned(),
    };
    format!("{shown}{}", &line[word.len()..])
}

/// Wall time left in milliseconds, by the expected times and, where there is none, by the
/// average of this run's finished steps; `None` if there is nothing to go by. `expected` and `now` are in
/// milliseconds.
#[must_use]
pub fn remaining(view: &RunView, expected: &BTreeMap<StepIndex, u64>, now: i64) -> Option<u64> {
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

#[cfg(test)]
#[path = "bars_tests.rs"]
mod tests;
