//! A run: when each step ran, why one failed, and the log of an attempt.

use std::{collections::BTreeMap, path::Path};

use chronon_run_core::{ds::format_instant, event::StepIndex};
use chronon_run_ledger::{AttemptRecord, RunDetail, RunState, StepRecord};
use chronon_run_report::{RunView, count, duration, outcome, remaining, size};
use maud::{Markup, html};

use super::{events, live, upstream};
use crate::{
    days::labelled,
    frame::{Frame, Page, ago, command, run_badge, took, trouble},
    gantt::{chart, in_cell, short, step_state},
    log::{self, Piece},
    safe::safe,
    source::{Source, Trouble, View},
};

/// What is shown of the run.
#[derive(Default, Clone, serde::Deserialize)]
pub(crate) struct Wanted {
    /// The step; without one, the first that failed.
    pub(crate) step: Option<u32>,
    /// The attempt; without one, the last.
    pub(crate) attempt: Option<u32>,
    /// Where the shown piece of the log begins; without it, the end of the log.
    pub(crate) from: Option<u64>,
    /// What is searched for in the log.
    pub(crate) find: Option<String>,
    /// Which events are shown.
    pub(crate) events: Option<events::Shown>,
}

/// Steps in the table; of longer runs those that failed and the first ones.
const STEPS: usize = 500;

pub(crate) fn page(
    frame: &Frame<'_>,
    view: &View,
    source: &dyn Source,
    run: &RunDetail,
    wanted: &Wanted,
) -> Page {
    let record = &run.record;
    let logs = &source.logs();
    let events = source.events(&record.run);
    let live = live::view(run, &events);
    let body = html! {
        div.title {
            h1 { "Run " (record.run) }
            p.muted { "began " (format_instant(record.started)) ", " (ago(record.started, frame.now)) }
        }
        section #head data-live { (head(frame, run, time_left(frame, view, run, &live))) }
        section #now data-live { (live::running(frame, run, &live)) }
        section #when data-live { h2 { "Steps over time" } (chart(run, &upstream(view), &live, frame.now, frame.links)) }
        @if frame.links.site {
            @for step in run.steps.iter().filter(|step| step_state(step, run).1 != "succeeded") { (step_section(frame, run, step, logs, wanted)) }
        } @else {
            // There from the start, so that a step that fails later appears.
            div #chosen data-live { @if let Some(step) = chosen(run, wanted) { (step_section(frame, run, step, logs, wanted)) } }
        }
        section #steps data-live { h2 { "Steps" } (steps(frame, run)) }
        section #events data-live { h2 { "Events" } (events::list(frame, run, &events, wanted.events)) }
    };
    Page {
        title: format!("Run {}", record.run),
        under: "runs",
        body,
    }
}

/// Milliseconds until the run is over, by how long the last steps of its assets took.
fn time_left(frame: &Frame<'_>, view: &View, run: &RunDetail, live: &RunView) -> Option<u64> {
    if run.record.state != RunState::Running {
        return None;
    }
    let expected = run.steps.iter().filter_map(|step| {
        let pace = view.paces.get(&step.asset)?;
        Some((step.step, pace.estimate(step.range.days())?))
    });
    let expected: BTreeMap<StepIndex, u64> = expected.collect();
    // A step that takes longer than expected leaves nothing to tell.
    remaining(live, &expected, frame.now).filter(|millis| *millis >= 1_000)
}

fn chosen<'r>(run: &'r RunDetail, wanted: &Wanted) -> Option<&'r StepRecord> {
    let asked = |step: &&StepRecord| Some(step.step) == wanted.step;
    let failed = |step: &&StepRecord| step.outcome.as_ref().is_some_and(|how| !how.succeeded());
    let mut steps = run.steps.iter();
    match wanted.step {
        Some(_) => steps.find(asked),
        None => steps.find(failed),
    }
}

fn head(frame: &Frame<'_>, run: &RunDetail, left: Option<u64>) -> Markup {
    let record = &run.record;
    let filled: u64 = run.steps.iter().map(|step| step.filled.days()).sum();
    let over = record.over();
    html! {
        p.facts {
            (run_badge(record)) " "
            strong { (record.succeeded) } " of " (count(record.steps.into(), "step")) " succeeded, "
            strong { (record.failed) } " failed, "
            @if record.interrupted > 0 { (record.interrupted) " interrupted, " }
            (record.skipped) " not run; "
            (count(filled, "day")) " filled in " (took(record, frame.now)) " with " (count(record.jobs.into(), "job"))
            @if let Some(left) = left { ", about " (duration(left)) " left" }
        }
        @if record.state == RunState::Running {
            progress max=(record.steps.max(1)) value=(over) aria-label="steps that are over" {}
            @if frame.allow_runs { (act(frame, &record.run, "stop", "Stop this run")) }
        } @else if record.succeeded < record.steps {
            (command(&format!("chronon-run retry {}", record.run)))
            @if frame.allow_runs { (act(frame, &record.run, "retry", "Retry what failed")) }
        }
    }
}

fn act(frame: &Frame<'_>, run: &str, what: &str, text: &str) -> Markup {
    html! {
        form method="post" action={ (frame.links.root) "act/" (what) } {
            input type="hidden" name="run" value=(run);
            button type="submit" { (text) }
        }
    }
}

fn steps(frame: &Frame<'_>, run: &RunDetail) -> Markup {
    let failed = |step: &&StepRecord| step.outcome.as_ref().is_some_and(|how| !how.succeeded());
    let mut shown: Vec<&StepRecord> = run.steps.iter().filter(failed).collect();
    shown.extend(run.steps.iter().filter(|step| !failed(step)));
    html! {
        table {
            thead { tr { th { "Step" } th.wide { "Days" } th { "State" } th.wide { "Attempts" } th.number { "Took" } } }
            tbody {
                @for step in shown.iter().take(STEPS) {
                    @let (state, word) = step_state(step, run);
                    tr {
                        td.name {
                            a href=(frame.links.step(&run.record.run, step.step, None)) { (in_cell(&step.asset)) }
                            div.narrow.muted.small { (step.range) }
                        }
                        td.wide { (step.range) }
                        td { (labelled(state, &word)) }
                        td.wide.number { (step.attempts.len()) }
                        td.number { (step.attempts.last().and_then(|last| last.millis).map(duration).unwrap_or_default()) }
                    }
                }
            }
        }
        @if shown.len() > STEPS { p.muted { (STEPS) " of " (shown.len()) " steps are shown, those that failed first." } }
    }
}

fn step_section(
    frame: &Frame<'_>,
    run: &RunDetail,
    step: &StepRecord,
    logs: &Path,
    wanted: &Wanted,
) -> Markup {
    let (state, word) = step_state(step, run);
    let asked = |attempt: &&AttemptRecord| {
        wanted
            .attempt
            .is_none_or(|number| attempt.attempt == number)
    };
    let attempt = step.attempts.iter().rfind(asked).or(step.attempts.last());
    let id = if frame.links.site {
        format!("step-{}", step.step)
    } else {
        "step".to_owned()
    };
    html! {
        section.card.step id=(id) {
            h2 { a href=(frame.links.asset(&step.asset)) { (short(&step.asset)) } " " (step.range) " " (labelled(state, &word)) }
            (verified(step))
            (checks(step))
            @if step.attempts.len() > 1 && !frame.links.site {
                nav.filters aria-label="Attempts" {
                    @for each in &step.attempts {
                        a href=(frame.links.step(&run.record.run, step.step, Some(each.attempt))) aria-current=[attempt.is_some_and(|a| a.attempt == each.attempt).then_some("true")] { "attempt " (each.attempt) }
                    }
                }
            }
            @if let Some(attempt) = attempt { (attempt_part(frame, run, attempt, logs, wanted)) }
            @else { p.muted { "It was not started." } }
        }
    }
}

/// What was seen in the catalog afterwards.
fn verified(step: &StepRecord) -> Markup {
    html! {
        dl.facts {
            @for (word, days) in [("seen filled", &step.filled), ("without rows", &step.empty), ("missing afterwards", &step.bad)] {
                @if !days.is_empty() { div { dt { (word) } dd { (days) } } }
            }
        }
    }
}

/// What data checks found that did not pass, and how many did.
fn checks(step: &StepRecord) -> Markup {
    let failed: Vec<String> = step
        .checked
        .iter()
        .filter_map(|found| found.text(&step.asset))
        .collect();
    let passed = step.checked.iter().filter(|found| found.passed).count();
    html! {
        @if !step.checked.is_empty() {
            dl.facts { div { dt { "data checks" } dd { (passed) " passed, " (failed.len()) " not" } } }
            @for text in &failed { pre.message tabindex="0" { (log::clean_text(&safe(text))) } }
        }
    }
}

fn attempt_part(
    frame: &Frame<'_>,
    run: &RunDetail,
    attempt: &AttemptRecord,
    logs: &Path,
    wanted: &Wanted,
) -> Markup {
    let how = match &attempt.outcome {
        Some(how) => outcome(how),
        None if attempt.abandoned => "killed with its run".to_owned(),
        None => "not over".to_owned(),
    };
    html! {
        dl.facts {
            div { dt { "attempt" } dd { (attempt.attempt) } }
            div { dt { "ended" } dd { (how) } }
            @if let Some(started) = attempt.started { div { dt { "started" } dd { (format_instant(started)) } } }
            @if let Some(millis) = attempt.millis { div { dt { "took" } dd { (duration(millis)) } } }
            @if let Some(application) = &attempt.application { div { dt { "application" } dd { (application) } } }
            @if let Some(page) = spark_page(run, attempt, logs) { div { dt { "Spark" } dd { a href=(page) rel="noreferrer" { "its own page" } } } }
        }
        @if let Some(message) = &attempt.message { pre.message tabindex="0" { (log::clean_text(&safe(message))) } }
        (log_part(frame, run, attempt, logs, wanted))
        @if !attempt.argv.is_empty() {
            details { summary { "Command line" } (command(&quoted(&attempt.argv))) }
        }
    }
}

/// The address of Spark's own page, which is there as long as the attempt runs.
fn spark_page(run: &RunDetail, attempt: &AttemptRecord, logs: &Path) -> Option<String> {
    let runs =
        run.record.state == RunState::Running && attempt.finished.is_none() && !attempt.abandoned;
    let log = runs.then(|| log::allowed(logs, &attempt.log).ok())??;
    log::spark_page(&log).ok()?
}

/// The arguments as a shell takes them.
fn quoted(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let one = |argument: &String| match !argument.is_empty() && argument.chars().all(plain) {
        true => argument.clone(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    };
    safe(&argv.iter().map(one).collect::<Vec<_>>().join(" "))
}

fn log_part(
    frame: &Frame<'_>,
    run: &RunDetail,
    attempt: &AttemptRecord,
    logs: &Path,
    wanted: &Wanted,
) -> Markup {
    let found = log::allowed(logs, &attempt.log).and_then(|path| {
        let find = wanted
            .find
            .as_deref()
            .map(str::trim)
            .filter(|find| !find.is_empty());
        match find {
            Some(find) => Ok(hits(frame, run, attempt, find, log::search(&path, find)?)),
            None => Ok(text(frame, run, attempt, &log::piece(&path, wanted.from)?)),
        }
    });
    html! {
        h3 { "Log" }
        @match found {
            Ok(part) => (part),
            Err(error) => (trouble(&Trouble { message: format!("the log cannot be read: {error}"), hint: None })),
        }
        p.muted.small { code { (attempt.log.display()) } }
    }
}

fn address(
    frame: &Frame<'_>,
    run: &RunDetail,
    attempt: &AttemptRecord,
    more: &str,
    fragment: &str,
) -> String {
    format!(
        "{}?step={}&attempt={}{more}#{fragment}",
        frame.links.run(&run.record.run),
        attempt.step,
        attempt.attempt
    )
}

fn tools(frame: &Frame<'_>, run: &RunDetail, attempt: &AttemptRecord, find: &str) -> Markup {
    html! {
        @if !frame.links.site {
            form.inline method="get" action=(frame.links.run(&run.record.run)) {
                input type="hidden" name="step" value=(attempt.step);
                input type="hidden" name="attempt" value=(attempt.attempt);
                input type="search" name="find" value=(find) aria-label="Search this log" placeholder="Search this log";
                button type="submit" { "Search" }
            }
        }
    }
}

fn text(frame: &Frame<'_>, run: &RunDetail, attempt: &AttemptRecord, piece: &Piece) -> Markup {
    let matter = log::that_matter(&piece.lines, attempt.message.as_deref().unwrap_or(""));
    let last = matter.last().copied();
    let earlier = piece.from.saturating_sub(log::PIECE);
    html! {
        div.logbar {
            (tools(frame, run, attempt, ""))
            @if last.is_some() { a href="#matters" { "Jump to the line that matters" } }
            @if !frame.links.site {
                @if piece.from > 0 {
                    a href=(address(frame, run, attempt, "&from=0", "step")) { "Beginning" }
                    a href=(address(frame, run, attempt, &format!("&from={earlier}"), "step")) { "Earlier" }
                }
                @if piece.to < piece.size {
                    a href=(address(frame, run, attempt, &format!("&from={}", piece.to), "step")) { "Later" }
                    a href=(address(frame, run, attempt, "", "step")) { "End" }
                }
            }
            span.muted.small { (size(piece.to - piece.from)) " of " (size(piece.size)) }
        }
        pre.log tabindex="0" aria-label="Log" data-tail[piece.to == piece.size] {
            @for (at, line) in piece.lines.iter().enumerate() {
                @if matter.contains(&at) { mark id=[(Some(at) == last).then_some("matters")] { (safe(line)) } } @else { (safe(line)) }
                "\n"
            }
        }
    }
}

fn hits(
    frame: &Frame<'_>,
    run: &RunDetail,
    attempt: &AttemptRecord,
    find: &str,
    (hits, more): (Vec<log::Hit>, bool),
) -> Markup {
    html! {
        div.logbar {
            (tools(frame, run, attempt, find))
            a href=(address(frame, run, attempt, "", "step")) { "Whole log" }
            span.muted.small { @if more { "the first " } (count(hits.len() as u64, "line")) " with “" (find) "”" }
        }
        ol.hits {
            @for hit in &hits {
                li value=(hit.number) { a href=(address(frame, run, attempt, &format!("&from={}", hit.at.saturating_sub(2_000)), "step")) { code { (safe(&hit.line)) } } }
            }
        }
    }
}
