//! What happened in a run, newest first.

use std::collections::BTreeMap;

use chronon_run_core::{
    ds::format_instant,
    event::{Event, StepIndex},
};
use chronon_run_ledger::{RunDetail, StepRecord};
use chronon_run_report::{RunView, Told, ToldKind, count, duration, told};
use maud::{Markup, html};

use crate::{
    days::{DayState, labelled},
    frame::Frame,
    gantt::short,
    log::clean_text,
    safe::safe,
};

/// Entries that are shown where not all are asked for.
const FEW: usize = 100;
/// Entries that are shown at most.
const MOST: usize = 2_000;

/// What is shown of the events.
#[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shown {
    #[default]
    Newest,
    All,
    Problems,
}

pub(crate) fn list(
    frame: &Frame<'_>,
    run: &RunDetail,
    events: &[Event],
    wanted: Option<Shown>,
) -> Markup {
    let all = told(RunView::planned(run), events);
    let wanted = wanted.unwrap_or_default();
    let most = if wanted == Shown::Newest { FEW } else { MOST };
    let shown = all
        .iter()
        .rev()
        .filter(|one| wanted != Shown::Problems || is_problem(one.kind));
    let shown: Vec<&Told> = shown.take(most).collect();
    let steps: BTreeMap<StepIndex, &StepRecord> =
        run.steps.iter().map(|step| (step.step, step)).collect();
    html! {
        @if all.is_empty() { p.muted { "No events were kept of this run." } }
        @else {
            @if !frame.links.site { (filters(frame, run, &all, wanted)) }
            @if shown.is_empty() { p.good { "Nothing went wrong." } }
            @else {
                ol.events reversed {
                    @for one in &shown { (entry(frame, run, &steps, one)) }
                }
            }
            @if shown.len() == most && all.len() > most { p.muted { "The newest " (most) " of " (all.len()) " are shown." } }
        }
    }
}

fn filters(frame: &Frame<'_>, run: &RunDetail, all: &[Told], wanted: Shown) -> Markup {
    let problems = all.iter().filter(|one| is_problem(one.kind)).count() as u64;
    let link = |query: &str| format!("{}{query}#events", frame.links.run(&run.record.run));
    let choices = [
        (Shown::Newest, link(""), "Newest".to_owned(), true),
        (
            Shown::All,
            link("?events=all"),
            format!("All {}", all.len()),
            all.len() > FEW,
        ),
        (
            Shown::Problems,
            link("?events=problems"),
            count(problems, "problem"),
            true,
        ),
    ];
    html! {
        nav.filters aria-label="Events" {
            @for (shown, link, text, _) in choices.iter().filter(|(.., offered)| *offered) {
                a href=(link) aria-current=[(*shown == wanted).then_some("true")] { (text) }
            }
        }
    }
}

fn entry(
    frame: &Frame<'_>,
    run: &RunDetail,
    steps: &BTreeMap<StepIndex, &StepRecord>,
    one: &Told,
) -> Markup {
    let instant = format_instant(one.at);
    let since = u64::try_from(one.at - run.record.started).unwrap_or(0);
    let step = one.step.and_then(|step| steps.get(&step));
    html! {
        li {
            time datetime=(instant) title=(instant) { (instant.get(11..19).unwrap_or(&instant)) span.muted.since { "+" (duration(since)) } }
            span.kind { (labelled(state(one.kind), one.kind.word())) }
            div {
                @if let Some(step) = step {
                    a href=(frame.links.step(&run.record.run, step.step, one.attempt)) { (short(&step.asset)) } " " span.muted { (step.range) } " "
                } @else if let Some(asset) = &one.asset {
                    a href=(frame.links.asset(asset)) { (short(asset)) } " "
                }
                span.said { (clean_text(&safe(&one.text))) }
            }
        }
    }
}

fn state(kind: ToldKind) -> DayState {
    match kind {
        ToldKind::Began | ToldKind::Started | ToldKind::Moves => DayState::Running,
        ToldKind::Part | ToldKind::Verified | ToldKind::Succeeded | ToldKind::Hook => {
            DayState::Done
        }
        ToldKind::Failed | ToldKind::HookFailed | ToldKind::Ended => DayState::Failed,
        ToldKind::Retry => DayState::Run,
        ToldKind::Warning => DayState::Stale,
        ToldKind::NotRun | ToldKind::Stopping => DayState::Blocked,
        ToldKind::Stuck | ToldKind::Note | ToldKind::Application => DayState::Waiting,
    }
}

fn is_problem(kind: ToldKind) -> bool {
    matches!(
        kind,
        ToldKind::Retry
            | ToldKind::Failed
            | ToldKind::NotRun
            | ToldKind::Stuck
            | ToldKind::Warning
            | ToldKind::HookFailed
            | ToldKind::Stopping
    )
}
