//! One line per thing that happened, as text or as JSON.

use std::{collections::BTreeSet, io::Write};

use chronon_run_core::{
    PartitionRange,
    event::{CancelReason, Event, Outcome, Sink, SkipReason, StepIndex, What},
};
use console::measure_text_width;

use crate::{
    Output, RunView, StepView, comparison_text,
    fit::{step_name, wrap},
    words::{duration, outcome},
};

/// Plain lines for logs and pipes: starts, ends, failures, notices.
#[derive(Debug)]
pub struct Lines<W> {
    output: Output<W>,
    view: RunView,
}

impl<W: Write> Lines<W> {
    /// Writes to `writer`, usually stderr.
    pub fn new(writer: W) -> Self {
        Self {
            output: Output::new(writer),
            view: RunView::default(),
        }
    }

    /// The run as seen so far, e.g. for [`summary`](crate::summary()).
    pub fn view(&self) -> &RunView {
        &self.view
    }
}

impl<W: Write> Sink for Lines<W> {
    fn emit(&mut self, event: &Event) {
        self.view.apply(event);
        if let Some(text) = describe(&self.view, event, Layout::Plain) {
            self.output.line(&text);
        }
    }
}

/// The event stream itself, one JSON object a line.
#[derive(Debug)]
pub struct JsonLines<W> {
    output: Output<W>,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `writer`, usually stdout.
    pub fn new(writer: W) -> Self {
        let output = Output::new(writer);
        Self { output }
    }
}

impl<W: Write> Sink for JsonLines<W> {
    fn emit(&mut self, event: &Event) {
        // Events hold nothing that JSON cannot say, except a log path that is not UTF-8.
        if let Ok(line) = serde_json::to_string(event) {
            self.output.line(&line);
        }
    }
}

/// How lines are laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One line for each event, however long: for logs and pipes.
    Plain,
    /// Lines of at most so many columns, above bars that show what has started.
    Above(usize),
}

/// Below the first word of a line.
const INDENT: &str = "       ";

/// What a line says of a step after its name.
struct Said {
    /// Where lines may be long.
    inline: String,
    /// Where they may not: beside the name,
    beside: String,
    /// and on lines of its own.
    below: String,
}

impl Said {
    /// Nothing beside the name.
    fn below(inline: String, below: String) -> Self {
        Self {
            inline,
            beside: String::new(),
            below,
        }
    }
}

impl Layout {
    /// The line of a step. Where it is too long, the name is shortened and the rest follows on lines
    /// of its own.
    fn line(self, word: &str, step: &StepView, said: &Said) -> String {
        let whole = format!("{word:<7}{}{}", step.name(), said.inline);
        let width = match self {
            Self::Above(width) if measure_text_width(&whole) > width => width,
            _ => return whole,
        };
        let room = width.saturating_sub(INDENT.len() + measure_text_width(&said.beside));
        let name = step_name(step, Some(room));
        let mut text = format!("{word:<7}{name}{}", said.beside);
        if !said.below.is_empty() {
            text += "\n";
            text += &wrap(&said.below, INDENT, width);
        }
        text
    }
}

/// What to say of `event`, which `view` already knows. Several lines for failures.
pub(crate) fn describe(view: &RunView, event: &Event, layout: Layout) -> Option<String> {
    let step = |step: &StepIndex| view.steps.get(step);
    match &event.what {
        What::AttemptStarting {
            step: index,
            attempt,
            ..
        } if layout == Layout::Plain => {
            let step = step(index)?;
            let (part, attempt) = (step.part(), attempt_note(*attempt));
            Some(format!("start  {}{part}{attempt}", step.name()))
        }
        What::AttemptFinished {
            step: index,
            attempt,
            outcome,
            retry_in: Some(wait),
            next: Some(next),
            ..
        } => {
            let next = (*wait, *next);
            Some(trying_again(layout, step(index)?, *attempt, outcome, next))
        }
        What::StepFinished {
            step: index,
            outcome,
            ..
        } => Some(ending(layout, step(index)?, outcome)),
        What::StepSkipped {
            step: index,
            reason,
        } => {
            let why = skipping(view, reason);
            let said = Said::below(format!(": {why}"), why);
            Some(layout.line("skip", step(index)?, &said))
        }
        What::StepStuck { step: index, .. } => {
            let why = event.what.stuck_text()?;
            let said = Said::below(format!("  {why}"), why);
            Some(layout.line("stuck", step(index)?, &said))
        }
        What::StepMoves { step: index, .. } => {
            let said = Said::below(String::new(), String::new());
            Some(layout.line("moves", step(index)?, &said))
        }
        What::Notice { message } => Some(format!("note   {message}")),
        What::Cancelling { reason } => Some(cancelling(*reason).to_owned()),
        _ => None,
    }
}

/// An attempt that is followed by another, after so many milliseconds, at these days.
fn trying_again(
    layout: Layout,
    step: &StepView,
    attempt: u32,
    outcome: &Outcome,
    (wait, next): (u64, PartitionRange),
) -> String {
    let (word, ending) = match outcome.succeeded() {
        true => ("part", self::outcome(outcome)),
        false => ("retry", why(step, outcome)),
    };
    let then = match next == step.trying {
        true => format!("again in {}", duration(wait)),
        false => format!("{next} next"),
    };
    let part = step.part();
    let attempt = format!("  attempt {attempt}");
    let said = Said {
        inline: format!("{part}{attempt}: {ending}; {then}"),
        below: format!("{part} {ending}; {then}").trim_start().to_owned(),
        beside: attempt,
    };
    layout.line(word, step, &said)
}

fn ending(layout: Layout, step: &StepView, outcome: &Outcome) -> String {
    let took = format!("  {}", duration(step.millis));
    if outcome.succeeded() {
        let below = notes(step);
        let inline = match below.is_empty() {
            true => took.clone(),
            false => format!("{took} ({below})"),
        };
        let said = Said {
            inline,
            beside: took,
            below,
        };
        return layout.line("done", step, &said);
    }
    let below = why(step, outcome);
    let said = Said {
        inline: format!("{took}: {below}"),
        beside: took,
        below,
    };
    let mut text = layout.line("failed", step, &said);
    if let Some(log) = &step.log {
        text += &format!("\n{INDENT}log: {}", log.display());
    }
    text
}

/// What is worth saying of a step that succeeded.
pub(crate) fn notes(step: &StepView) -> String {
    let mut notes = Vec::new();
    if !step.empty.is_empty() {
        notes.push(format!("no rows on {}", step.empty));
    }
    if !step.compared.is_empty() {
        notes.push(comparison_text(&step.compared));
    }
    notes.join("; ")
}

pub(crate) fn skipping(view: &RunView, reason: &SkipReason) -> String {
    match reason {
        SkipReason::Cancelled => "the run was stopped".to_owned(),
        SkipReason::MayBeWritten { step } => match view.steps.get(step) {
            Some(earlier) => format!("what is left of {} may still write", earlier.name()),
            None => "its tables may still be written".to_owned(),
        },
        SkipReason::Upstream { step } => match view.steps.get(step) {
            Some(upstream) => format!("needs {}, which failed", upstream.info.asset),
            None => "what it needs failed".to_owned(),
        },
    }
}

pub(crate) fn cancelling(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::Interrupt => "stopping: interrupted; once more to kill at once",
        CancelReason::Terminate => "stopping: terminated",
        CancelReason::HangUp => "stopping: the terminal was closed",
        CancelReason::StepFailed => {
            "stopping: a step failed; running steps finish, nothing new starts"
        }
    }
}

/// The ending and the one line that tells why, if there is one.
pub(crate) fn why(step: &StepView, outcome: &Outcome) -> String {
    let alone = match step.bad.is_empty() {
        true => String::new(),
        false => format!("{} failed alone: ", step.bad),
    };
    let ending = alone + &self::outcome(outcome);
    match &step.message {
        Some(message) => format!("{ending}: {message}"),
        None => ending,
    }
}

pub(crate) fn attempt_note(attempt: u32) -> String {
    match attempt {
        0 | 1 => String::new(),
        _ => format!("  attempt {attempt}"),
    }
}

/// The assets of a set of steps, each once, sorted.
pub(crate) fn assets<'a>(steps: impl Iterator<Item = &'a StepView>) -> BTreeSet<String> {
    steps.map(|step| step.info.asset.to_string()).collect()
}
