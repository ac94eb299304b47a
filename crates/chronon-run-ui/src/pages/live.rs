//! How far the running steps of a run are: what the bars of a terminal show.

use chronon_run_core::event::{Event, What};
use chronon_run_ledger::{RunDetail, RunState};
use chronon_run_report::{RunView, StepView, duration};
use maud::{Markup, html};

use crate::{
    days::{DayState, labelled},
    frame::Frame,
    gantt::short,
    log::clean_text,
    safe::safe,
};

/// Steps that are shown.
const MOST: usize = 50;

/// A run as the ledger knows it, with the progress that events tell.
pub(crate) fn view(run: &RunDetail, events: &[Event]) -> RunView {
    let mut view = RunView::recorded(run);
    let progress = |event: &&Event| matches!(event.what, What::Progress { .. });
    events
        .iter()
        .filter(progress)
        .for_each(|event| view.apply(event));
    view
}

/// Each running step; empty if the run is over.
pub(crate) fn running(frame: &Frame<'_>, run: &RunDetail, view: &RunView) -> Markup {
    let running = view.running();
    html! {
        @if run.record.state == RunState::Running {
            h2 { "Running now" }
            @if running.is_empty() { p.muted { "No step runs at the moment." } }
            ul.running {
                @for (since, step) in running.iter().take(MOST) { (bar(frame, run, *since, step)) }
            }
            @if running.len() > MOST { p.muted { "and " (running.len() - MOST) " more" } }
        }
    }
}

fn bar(frame: &Frame<'_>, run: &RunDetail, since: i64, step: &StepView) -> Markup {
    let elapsed = duration(u64::try_from(frame.now - since).unwrap_or(0));
    let share = step.share();
    let name = short(&step.info.asset);
    let link = frame
        .links
        .step(&run.record.run, step.info.step, Some(step.attempt));
    html! {
        li {
            div.what {
                a href=(link) { (name) } " " span.muted { (step.trying) }
                @if step.attempt > 1 { " " (labelled(DayState::Run, &format!("attempt {}", step.attempt))) }
                span.number.took { (elapsed) }
            }
            // Without a value the bar says that it is not known how far it is.
            progress max="1" value=[share.map(|share| format!("{share:.3}"))] aria-label={ "how far " (name) " is" } {}
            p.muted.small { (clean_text(&safe(&step.doing().unwrap_or_else(|| "starting".to_owned())))) }
            // Until it ends, the message of an attempt is why it is stuck.
            @if let Some(message) = &step.message { p.note { (clean_text(&safe(message))) } }
        }
    }
}
