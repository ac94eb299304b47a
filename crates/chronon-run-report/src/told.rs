//! What happened in a run, for people: one entry for each thing, in the order in which it happened.

use chronon_run_core::{
    AssetId,
    event::{Event, StepIndex, What},
};

use crate::{
    RunView, StepView,
    lines::{cancelling, notes, skipping, why},
    words::{count, duration, outcome},
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When, in milliseconds since the epoch.
    pub at: i64,
    /// Which sort of thing.
    pub kind: ToldKind,
    /// The step that it is about, if it is about one.
    pub step: Option<StepIndex>,
    /// The attempt of that step, if it is about one.
    pub attempt: Option<u32>,
    /// What it is about where it belongs to no step.
    pub asset: Option<AssetId>,
    /// What there is to say besides; may have several lines, and parts that others wrote.
    pub text: String,
}

/// Which sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldKind {
    /// The run began.
    Began,
    /// An attempt started.
    Started,
    /// An attempt failed, and another follows.
    Retry,
    /// An attempt filled a part of the step, and another follows.
    Part,
    /// A step succeeded: what it should fill was seen in the catalog.
    Verified,
    /// A step failed.
    Failed,
    /// A step was not started.
    NotRun,
    /// A step makes no progress.
    Stuck,
    /// A step that was stuck makes progress again.
    Moves,
    /// A data check did not pass.
    Warning,
    /// A cluster gave the application a name.
    Application,
    /// Something that belongs to no step.
    Note,
    /// A hook ended well.
    Hook,
    /// A hook did not do its work.
    HookFailed,
    /// The run is being stopped.
    Stopping,
    /// The run is over, every step succeeded.
    Succeeded,
    /// The run is over, not every step succeeded.
    Ended,
}

impl ToldKind {
    /// One or two words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Began => "run began",
            Self::Started => "started",
            Self::Retry => "retry",
            Self::Part => "part done",
            Self::Verified => "verified",
            Self::Failed => "failed",
            Self::NotRun => "not run",
            Self::Stuck => "stuck",
            Self::Moves => "moves",
            Self::Warning => "warning",
            Self::Application => "application",
            Self::Note => "note",
            Self::Hook => "hook",
            Self::HookFailed => "hook failed",
            Self::Stopping => "stopping",
            Self::Succeeded => "run succeeded",
            Self::Ended => "run ended",
        }
    }
}

/// What `events` tell. `view` is the run before the first of them, see [`RunView::planned`].
#[must_use]
pub fn told(mut view: RunView, events: &[Event]) -> Vec<Told> {
    let mut all = Vec::new();
    for event in events {
        view.apply(event);
        if let Some((kind, text)) = text(&view, &event.what) {
            let (step, attempt, asset) = about(&event.what);
            all.push(Told {
                at: event.at,
                kind,
                step,
                attempt,
                asset,
                text,
            });
        }
        all.extend(warnings(&view, event));
    }
    all
}

/// The step, the attempt, and without a step the asset.
fn about(what: &What) -> (Option<StepIndex>, Option<u32>, Option<AssetId>) {
    match what {
        What::AttemptStarting { step, attempt, .. }
        | What::ApplicationSeen { step, attempt, .. }
        | What::StepStuck { step, attempt, .. }
        | What::StepMoves { step, attempt }
        | What::AttemptFinished { step, attempt, .. } => (Some(*step), Some(*attempt), None),
        What::StepFinished { step, .. } | What::StepSkipped { step, .. } => {
            (Some(*step), None, None)
        }
        What::HookEnded { asset, .. } => (None, None, asset.clone()),
        _ => (None, None, None),
    }
}

/// `None` for what is no news to a person.
fn text(view: &RunView, what: &What) -> Option<(ToldKind, String)> {
    let step = |step: &StepIndex| view.steps.get(step);
    Some(match what {
        What::RunStarted { steps, jobs, .. } => {
            let steps = count(steps.len() as u64, "step");
            (ToldKind::Began, format!("{steps}, {jobs} at once"))
        }
        What::AttemptStarting {
            step: index,
            attempt,
            ..
        } => {
            let part = step(index)?.part();
            (ToldKind::Started, format!("attempt {attempt}{part}"))
        }
        What::ApplicationSeen { application, .. } => (ToldKind::Application, application.clone()),
        What::StepStuck { .. } => (ToldKind::Stuck, what.stuck_text()?),
        What::StepMoves { .. } => (ToldKind::Moves, String::new()),
        What::AttemptFinished { step: index, .. } => trying_again(step(index)?, what)?,
        What::StepFinished {
            step: index,
            outcome,
            ..
        } => match outcome.succeeded() {
            true => (ToldKind::Verified, seen(step(index)?)),
            false => (ToldKind::Failed, why(step(index)?, outcome)),
        },
        What::StepSkipped { reason, .. } => (ToldKind::NotRun, skipping(view, reason)),
        What::Notice { message } => (ToldKind::Note, message.clone()),
        What::HookEnded {
            hook,
            millis,
            message,
            ..
        } => match message {
            Some(message) => (ToldKind::HookFailed, format!("{hook}: {message}")),
            None => (ToldKind::Hook, format!("{hook}, {}", duration(*millis))),
        },
        What::Cancelling { reason } => {
            let text = cancelling(*reason);
            let text = text.strip_prefix("stopping: ").unwrap_or(text);
            (ToldKind::Stopping, text.to_owned())
        }
        What::RunFinished { succeeded, millis } => match succeeded {
            true => (ToldKind::Succeeded, duration(*millis)),
            false => (ToldKind::Ended, duration(*millis)),
        },
        What::AttemptSpawned { .. } | What::Progress { .. } => return None,
    })
}

/// An attempt that is followed by another; `None` for the last one, whose step tells more.
fn trying_again(step: &StepView, what: &What) -> Option<(ToldKind, String)> {
    let What::AttemptFinished {
        outcome: how,
        message,
        retry_in: Some(wait),
        next: Some(next),
        ..
    } = what
    else {
        return None;
    };
    let then = match *next == step.trying {
        true => format!("again in {}", duration(*wait)),
        false => format!("{next} next"),
    };
    let message = message.as_ref().map(|message| format!(": {message}"));
    let text = format!("{}{}; {then}", outcome(how), message.unwrap_or_default());
    let kind = match how.succeeded() {
        true => ToldKind::Part,
        false => ToldKind::Retry,
    };
    Some((kind, text))
}

/// What was seen of a step that succeeded.
fn seen(step: &StepView) -> String {
    let mut parts = Vec::new();
    if !step.filled.is_empty() {
        parts.push(format!("{} filled", count(step.filled.days(), "day")));
    }
    let notes = notes(step);
    if !notes.is_empty() {
        parts.push(notes);
    }
    parts.push(duration(step.millis));
    parts.join(", ")
}

/// The data checks of a step that did not pass.
fn warnings(view: &RunView, event: &Event) -> Vec<Told> {
    let What::StepFinished { step, checked, .. } = &event.what else {
        return Vec::new();
    };
    let Some(known) = view.steps.get(step) else {
        return Vec::new();
    };
    let found = checked.iter();
    let texts = found.filter_map(|found| found.text(&known.info.asset));
    texts
        .map(|text| Told {
            at: event.at,
            kind: ToldKind::Warning,
            step: Some(*step),
            attempt: None,
            asset: None,
            text,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chronon_run_core::event::{Checked, Outcome};

    use super::*;
    use crate::test_run::{finished, mixed_run, range, started, starting, timed};

    fn lines(events: &[Event]) -> Vec<String> {
        let told = told(RunView::default(), events).into_iter();
        told.map(|one| {
            let step = one.step.map(|step| format!(" {step}"));
            let step = step.unwrap_or_default();
            format!("{}{step}: {}", one.kind.word(), one.text)
        })
        .collect()
    }

    #[test]
    fn every_thing_that_happened_is_told_once() {
        assert_eq!(
            lines(&mixed_run()),
            [
                "run began: 4 steps, 2 at once",
                "started 0: attempt 1",
                "retry 0: killed (signal 9; out of memory?); again in 1m00s",
                "started 1: attempt 1",
                "started 0: attempt 2",
                "note: waiting: metastore at thrift://localhost:9083 does not answer",
                "verified 0: 9 days filled, no rows on 2026-01-10, 24s",
                "failed 1: exit code 1: cannot resolve `x`",
                "not run 2: needs group_by/a.one/backfill, which failed",
                "stopping: a step failed; running steps finish, nothing new starts",
                "not run 3: the run was stopped",
                "run ended: 13s",
            ]
        );
    }

    #[test]
    fn checks_that_do_not_pass_and_hooks_are_told() {
        let asset: AssetId = "join/a.j/backfill".parse().unwrap();
        let mut ending = finished(
            0,
            Outcome::Succeeded,
            range("2026-01-01", "2026-01-10").into(),
            chronon_run_core::RangeSet::new(),
        );
        if let What::StepFinished { checked, .. } = &mut ending {
            checked.push(Checked {
                ds: "2026-01-03".parse().unwrap(),
                check: "rows".to_owned(),
                passed: false,
                blocks: false,
                column: None,
                message: Some("2, at least 5".to_owned()),
            });
        }
        let hook = |message: Option<&str>| What::HookEnded {
            hook: "on_success".to_owned(),
            asset: Some(asset.clone()),
            millis: 200,
            message: message.map(str::to_owned),
        };
        let events = timed(vec![
            started(&["join/a.j/backfill"], 1),
            starting(0, 1),
            ending,
            hook(None),
            hook(Some("exit code 3")),
        ]);
        let told = lines(&events);
        assert_eq!(
            told[3..],
            [
                "warning 0: check `rows` of join/a.j/backfill failed on 2026-01-03: 2, at least 5",
                "hook: on_success, 0.2s",
                "hook failed: on_success: exit code 3",
            ]
        );
    }
}
