//! When the steps of a run ran, as bars; which of them the run's length hangs on.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, event::StepIndex};
use chronon_run_ledger::{AttemptRecord, RunDetail, RunState, StepRecord};
use chronon_run_report::{RunView, StepView, duration, outcome};
use maud::{Markup, html};

use crate::{days::DayState, links::Links, safe::safe};

/// How wide the time of a run is in its own units.
const WIDTH: i64 = 10_000;

/// The time that is shown.
struct Span {
    start: i64,
    end: i64,
}

impl Span {
    fn of(run: &RunDetail, now: i64) -> Self {
        let attempts = run.steps.iter().flat_map(|step| &step.attempts);
        let ends = attempts.filter_map(|attempt| attempt.finished);
        let start = run.record.started;
        let running = (run.record.state == RunState::Running).then_some(now);
        let end = ends.chain(run.record.finished).chain(running).max();
        Self {
            start,
            end: end.unwrap_or(start).max(start + 1),
        }
    }

    fn place(&self, instant: i64) -> i64 {
        let instant = instant.clamp(self.start, self.end);
        (instant - self.start) * WIDTH / (self.end - self.start)
    }
}

/// What a step is shown as.
pub(crate) fn step_state(step: &StepRecord, run: &RunDetail) -> (DayState, String) {
    let open = step
        .attempts
        .iter()
        .any(|attempt| attempt.finished.is_none() && !attempt.abandoned);
    let running = run.record.state == RunState::Running;
    match (&step.outcome, &step.skipped) {
        (Some(how), _) if how.succeeded() => (DayState::Done, "succeeded".to_owned()),
        (Some(how), _) => (DayState::Failed, outcome(how)),
        (None, Some(_)) => (DayState::Blocked, "not run".to_owned()),
        (None, None) if running && open => (DayState::Running, "running".to_owned()),
        (None, None) if running => (DayState::Waiting, "queued".to_owned()),
        (None, None) => (DayState::Failed, "unfinished".to_owned()),
    }
}

fn started(step: &StepRecord) -> Option<i64> {
    step.attempts.first()?.started
}

fn finished(step: &StepRecord) -> Option<i64> {
    step.attempts.last()?.finished
}

/// The steps that the run's length hangs on: the one that ended last, before it the input that ended last
/// before it began, and where it waited for none, the step whose end made room for it.
pub(crate) fn critical(
    run: &RunDetail,
    upstream: &BTreeMap<AssetId, BTreeSet<AssetId>>,
) -> BTreeSet<StepIndex> {
    let mut path = BTreeSet::new();
    let last = run.steps.iter().filter(|step| finished(step).is_some());
    let mut current = last.max_by_key(|step| finished(step));
    while let Some(step) = current {
        if !path.insert(step.step) {
            break;
        }
        let Some(began) = started(step) else { break };
        let before = |other: &&StepRecord| {
            other.step != step.step && finished(other).is_some_and(|end| end <= began)
        };
        let inputs = upstream.get(&step.asset);
        let feeds =
            |other: &&StepRecord| inputs.is_some_and(|inputs| inputs.contains(&other.asset));
        let earlier = run.steps.iter().filter(before);
        let input = earlier
            .clone()
            .filter(feeds)
            .max_by_key(|other| finished(other));
        let room = earlier.max_by_key(|other| finished(other));
        current = match (input, room) {
            // An input that ended long before is not what it waited for.
            (Some(input), Some(room)) if finished(input) < finished(room) => Some(room),
            (input, room) => input.or(room),
        };
    }
    path
}

/// One line for each asset, one bar for each attempt. `live` tells how far the running ones are.
pub(crate) fn chart(
    run: &RunDetail,
    upstream: &BTreeMap<AssetId, BTreeSet<AssetId>>,
    live: &RunView,
    now: i64,
    links: Links,
) -> Markup {
    let span = Span::of(run, now);
    let critical = critical(run, upstream);
    let mut lanes: Vec<(&AssetId, Vec<&StepRecord>)> = Vec::new();
    let mut steps: Vec<&StepRecord> = run.steps.iter().collect();
    steps.sort_by_key(|step| (started(step).unwrap_or(i64::MAX), step.step));
    for step in steps {
        match lanes.iter_mut().find(|(asset, _)| **asset == step.asset) {
            Some((_, steps)) => steps.push(step),
            None => lanes.push((&step.asset, vec![step])),
        }
    }
    html! {
        div.gantt {
            div.scale aria-hidden="true" {
                div {
                    span { "0" }
                    span { (duration(u64::try_from((span.end - span.start) / 2).unwrap_or(0))) }
                    span { (duration(u64::try_from(span.end - span.start).unwrap_or(0))) }
                }
            }
            @for (asset, steps) in &lanes {
                div.lane {
                    a.name href=(links.asset(asset)) title=(asset) { (short(asset)) }
                    svg viewBox={ "0 0 " (WIDTH) " 22" } preserveAspectRatio="none" role="group" aria-label={ "attempts of " (asset) } {
                        @for at in 1..4 { line.tick x1=(at * WIDTH / 4) x2=(at * WIDTH / 4) y1="0" y2="22" {} }
                        @for step in steps {
                            @for attempt in &step.attempts {
                                (bar(run, attempt, live.steps.get(&step.step), &span, critical.contains(&step.step), links))
                            }
                        }
                    }
                }
            }
        }
        p.legend {
            span { span.swatch.critical {} " The critical path is outlined: the steps that the length of the run hangs on." }
            @if run.record.state == RunState::Running { span { span.swatch.share {} " The lower part of a running bar is its share that is done." } }
        }
    }
}

fn bar(
    run: &RunDetail,
    attempt: &AttemptRecord,
    live: Option<&StepView>,
    span: &Span,
    critical: bool,
    links: Links,
) -> Markup {
    let Some(began) = attempt.started else {
        return html! {};
    };
    let running = run.record.state == RunState::Running && !attempt.abandoned;
    let (state, word) = match &attempt.outcome {
        Some(how) if how.succeeded() => (DayState::Done, "succeeded".to_owned()),
        Some(how) => (DayState::Failed, outcome(how)),
        None if running => (DayState::Running, "running".to_owned()),
        None => (DayState::Failed, "unfinished".to_owned()),
    };
    let left = span.place(began);
    let end = attempt
        .finished
        .unwrap_or(if running { span.end } else { began });
    let width = (span.place(end) - left).max(30);
    let goes_on = live.filter(|_| state == DayState::Running && attempt.finished.is_none());
    let more = match (attempt.millis, goes_on.and_then(StepView::doing)) {
        (Some(millis), _) => format!(" in {}", duration(millis)),
        (None, Some(doing)) => format!(", {}", safe(&doing)),
        (None, None) => String::new(),
    };
    let text = format!(
        "{} {}, attempt {}: {word}{more}",
        attempt.asset, attempt.range, attempt.attempt
    );
    let done = goes_on.and_then(StepView::share);
    html! {
        a href=(links.step(&run.record.run, attempt.step, Some(attempt.attempt))) aria-label=(text) {
            rect class={ "s-" (state.class()) @if critical { " critical" } } x=(left) y="4" width=(width) height="14" { title { (text) } }
            @if let Some(done) = done { rect.share x=(left) y="13" width=((width as f64 * done) as i64) height="5" {} }
        }
    }
}

/// An asset's id without its type, which its name usually tells.
pub(crate) fn short(asset: &AssetId) -> String {
    match asset.mode {
        chronon_run_core::AssetKind::Backfill => asset.conf.name.clone(),
        _ => format!("{} {}", asset.conf.name, asset.mode),
    }
}

/// The same for a cell of a table, which breaks only between the words of the name.
pub(crate) fn in_cell(asset: &AssetId) -> Markup {
    let name = short(asset);
    html! {
        @for word in name.split_inclusive(['.', '_', ' ']) { (word) wbr; }
    }
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{PartitionRange, RangeSet, event::Outcome};
    use chronon_run_ledger::RunRecord;

    use super::*;

    fn step(index: u32, name: &str, began: i64, ended: i64) -> StepRecord {
        let asset: AssetId = format!("join/{name}/backfill").parse().unwrap();
        let range = PartitionRange::day("2026-01-01".parse().unwrap());
        StepRecord {
            step: index,
            asset: asset.clone(),
            range,
            outcome: Some(Outcome::Succeeded),
            skipped: None,
            filled: range.into(),
            empty: RangeSet::new(),
            bad: RangeSet::new(),
            checked: Vec::new(),
            attempts: vec![AttemptRecord {
                run: "r".to_owned(),
                step: index,
                asset,
                range,
                attempt: 1,
                started: Some(began),
                finished: Some(ended),
                abandoned: false,
                millis: Some(1),
                outcome: Some(Outcome::Succeeded),
                message: None,
                argv: Vec::new(),
                log: "l".into(),
                application: None,
                may_write: false,
            }],
        }
    }

    #[test]
    fn the_critical_path_is_what_the_end_of_the_run_waited_for() {
        let run = RunDetail {
            record: RunRecord {
                run: "r".to_owned(),
                state: RunState::Finished,
                started: 0,
                finished: Some(100),
                all_succeeded: Some(true),
                cancelled: None,
                jobs: 2,
                steps: 4,
                succeeded: 4,
                failed: 0,
                skipped: 0,
                interrupted: 0,
            },
            steps: vec![
                step(0, "a", 0, 50),
                step(1, "b", 0, 10),
                step(2, "c", 10, 20),
                step(3, "d", 50, 100),
            ],
        };
        let id = |name: &str| format!("join/{name}/backfill").parse::<AssetId>().unwrap();
        let upstream = BTreeMap::from([(id("d"), BTreeSet::from([id("a"), id("c")]))]);
        assert_eq!(critical(&run, &upstream), BTreeSet::from([0, 3]));
        let live = RunView::recorded(&run);
        let page = chart(&run, &upstream, &live, 100, Links::top()).into_string();
        assert_eq!(page.matches("s-done critical").count(), 2, "{page}");
    }
}
