//! One line per thing that happened, as text or as JSON.

use std::{collections::BTreeSet, io::Write};

use chronon_run_core::event::{CancelReason, Event, Outcome, Sink, SkipReason, StepIndex, What};

use crate::{
    Output, RunView, StepView, comparison_text,
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
        if let Some(text) = describe(&self.view, event, Starts::Shown) {
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

/// Whether the start of a step is worth a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starts {
    Shown,
    Hidden,
}

/// What to say of `event`, which `view` already knows. Several lines for failures.
pub(crate) fn describe(view: &RunView, event: &Event, starts: Starts) -> Option<String> {
    let step = |step: &StepIndex| view.steps.get(step);
    match &event.what {
        What::AttemptStarting {
            step: index,
            attempt,
            ..
        } if starts == Starts::Shown => Some(format!(
            "start  {}{}{}",
            step(index)?.name(),
            step(index)?.part(),
            attempt_note(*attempt)
        )),
        What::AttemptFinished {
            step: index,
            attempt,
            outcome,
            retry_in: Some(wait),
            next: Some(next),
            ..
        } => {
            let view = step(index)?;
            let ending = match outcome.succeeded() {
                true => self::outcome(outcome),
                false => why(view, outcome),
            };
            let then = match *next == view.trying {
                true => format!("again in {}", duration(*wait)),
                false => format!("{next} next"),
            };
            let (name, part) = (view.name(), view.part());
            let word = if outcome.succeeded() {
                "part "
            } else {
                "retry"
            };
            Some(format!(
                "{word}  {name}{part}  attempt {attempt}: {ending}; {then}"
            ))
        }
        What::StepFinished {
            step: index,
            outcome,
            ..
        } => Some(ending(step(index)?, outcome)),
        What::StepSkipped {
            step: index,
            reason,
        } => Some(skipping(view, step(index)?, reason)),
        What::Notice { message } => Some(format!("note   {message}")),
        What::Cancelling { reason } => Some(cancelling(*reason).to_owned()),
        _ => None,
    }
}

fn ending(step: &StepView, outcome: &Outcome) -> String {
    let name = step.name();
    let took = duration(step.millis);
    if outcome.succeeded() {
        let mut notes = Vec::new();
        if !step.empty.is_empty() {
            notes.push(format!("no rows on {}", step.empty));
        }
        if !step.compared.is_empty() {
            notes.push(comparison_text(&step.compared));
        }
        let notes = match notes.is_empty() {
            true => String::new(),
            false => format!(" ({})", notes.join("; ")),
        };
        return format!("done   {name}  {took}{notes}");
    }
    let mut text = format!("failed {name}  {took}: {}", why(step, outcome));
    if let Some(log) = &step.log {
        text += &format!("\n       log: {}", log.display());
    }
    text
}

fn skipping(view: &RunView, step: &StepView, reason: &SkipReason) -> String {
    let why = match reason {
        SkipReason::Cancelled => "the run was stopped".to_owned(),
        SkipReason::MayBeWritten { step } => match view.steps.get(step) {
            Some(earlier) => format!("what is left of {} may still write", earlier.name()),
            None => "its tables may still be written".to_owned(),
        },
        SkipReason::Upstream { step } => match view.steps.get(step) {
            Some(upstream) => format!("needs {}, which failed", upstream.info.asset),
            None => "what it needs failed".to_owned(),
        },
    };
    format!("skip   {}: {why}", step.name())
}

fn cancelling(reason: CancelReason) -> &'static str {
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
