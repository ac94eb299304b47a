//! A run as one HTML page that needs nothing else: to attach to a ticket, or to keep.

use chronon_run_core::{AssetId, ds::format_instant, event::Checked, shown::shown};
use chronon_run_ledger::{AttemptRecord, RunDetail, RunState, StepRecord};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{count, duration, outcome};

/// The page. `table_of` gives the name of an asset's table.
#[must_use]
pub fn page(run: &RunDetail, table_of: &dyn Fn(&AssetId) -> String) -> String {
    let record = &run.record;
    let title = format!("chronon-run {}", record.run);
    let span = Span::of(run);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p { (headline(run)) }
                h2 { "When" }
                (timeline(run, &span))
                h2 { "What" }
                (steps(run, table_of))
                (failures(run))
                (checks(run))
            }
        }
    }
    .into_string();
    shown(&page).into_owned()
}

const STYLE: &str = "
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; vertical-align: top; }
th { border-bottom: 1px solid #8888; }
td, .lane { font-variant-numeric: tabular-nums; }
.lane { display: grid; grid-template-columns: 24rem 1fr; gap: .5rem; font-size: .85rem; }
.lane > span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.track { position: relative; height: 1.1rem; }
.track i { position: absolute; height: .8rem; top: .15rem; min-width: 2px; border-radius: 2px; }
.good { background: #2a9d5c; } .bad { background: #d1495b; } .open { background: #8888; }
pre { white-space: pre-wrap; }
";

/// The milliseconds that the page shows, first to last.
struct Span {
    start: i64,
    end: i64,
}

impl Span {
    fn of(run: &RunDetail) -> Self {
        let attempts = run.steps.iter().flat_map(|step| &step.attempts);
        let ends = attempts.filter_map(|attempt| attempt.finished);
        let start = run.record.started;
        let end = ends.chain(run.record.finished).max().unwrap_or(start);
        Self {
            start,
            end: end.max(start + 1),
        }
    }

    /// Where an instant lies, in percent.
    fn place(&self, instant: i64) -> f64 {
        let share = (instant - self.start) as f64 / (self.end - self.start) as f64;
        (share * 100.0).clamp(0.0, 100.0)
    }
}

fn headline(run: &RunDetail) -> String {
    let record = &run.record;
    let how = match (record.state, record.all_succeeded) {
        (RunState::Running, _) => "still running",
        (RunState::Crashed, _) => "killed",
        (RunState::Finished, Some(true)) => "succeeded",
        (RunState::Finished, _) if record.cancelled.is_some() => "stopped early",
        (RunState::Finished, _) => "failed",
    };
    let filled: u64 = run.steps.iter().map(|step| step.filled.days()).sum();
    let took = record
        .finished
        .and_then(|end| u64::try_from(end - record.started).ok())
        .map(|millis| format!(" in {}", duration(millis)))
        .unwrap_or_default();
    let interrupted = match record.interrupted {
        0 => String::new(),
        some => format!("{some} interrupted, "),
    };
    format!(
        "{how}; began {}; {} of {} filled {}{took}; {} failed, {interrupted}{} not run",
        format_instant(record.started),
        record.succeeded,
        count(record.steps.into(), "step"),
        count(filled, "day"),
        record.failed,
        record.skipped,
    )
}

/// One lane for each asset, one bar for each attempt.
fn timeline(run: &RunDetail, span: &Span) -> Markup {
    let mut assets: Vec<&AssetId> = Vec::new();
    for step in &run.steps {
        if !assets.contains(&&step.asset) {
            assets.push(&step.asset);
        }
    }
    html! {
        @for asset in assets {
            div.lane {
                span title=(asset) { (asset) }
                div.track {
                    @for step in run.steps.iter().filter(|step| step.asset == *asset) {
                        @for attempt in &step.attempts { (bar(attempt, span)) }
                    }
                }
            }
        }
    }
}

fn bar(attempt: &AttemptRecord, span: &Span) -> Markup {
    let Some(started) = attempt.started else {
        return html! {};
    };
    let left = span.place(started);
    let width = span.place(attempt.finished.unwrap_or(span.end)) - left;
    let class = match &attempt.outcome {
        Some(how) if how.succeeded() => "good",
        Some(_) => "bad",
        None => "open",
    };
    let how = attempt
        .outcome
        .as_ref()
        .map_or("unfinished".to_owned(), outcome);
    let title = format!("{} attempt {}: {how}", attempt.range, attempt.attempt);
    html! { i class=(class) style=(format!("left:{left:.2}%;width:{width:.2}%")) title=(title) {} }
}

fn steps(run: &RunDetail, table_of: &dyn Fn(&AssetId) -> String) -> Markup {
    html! {
        table {
            tr { @for name in ["step", "table", "days", "attempts", "how", "took", "log"] { th { (name) } } }
            @for step in &run.steps {
                tr {
                    td { (step.asset) }
                    td { (table_of(&step.asset)) }
                    td { (step.range) }
                    td { (step.attempts.len()) }
                    td { (how(step)) }
                    td { (step.attempts.last().and_then(|last| last.millis).map(duration).unwrap_or_default()) }
                    td { (step.attempts.last().map(|last| last.log.display().to_string()).unwrap_or_default()) }
                }
            }
        }
    }
}

fn how(step: &StepRecord) -> String {
    match (&step.outcome, &step.skipped) {
        (Some(how), _) => outcome(how),
        (None, Some(_)) => "not run".to_owned(),
        (None, None) => "unfinished".to_owned(),
    }
}

/// The one line that matters of each attempt that failed.
fn failures(run: &RunDetail) -> Markup {
    let attempts = run.steps.iter().flat_map(|step| &step.attempts);
    let told: Vec<(&AttemptRecord, &String)> = attempts
        .filter_map(|attempt| Some((attempt, attempt.message.as_ref()?)))
        .collect();
    html! {
        @if !told.is_empty() {
            h2 { "Why not" }
            @for (attempt, message) in told {
                p { (attempt.asset) " " (attempt.range) " attempt " (attempt.attempt) }
                pre { (message) }
            }
        }
    }
}

/// What data checks found, those that did not pass first.
fn checks(run: &RunDetail) -> Markup {
    let steps = run.steps.iter();
    let mut all: Vec<(&AssetId, &Checked)> = steps
        .flat_map(|step| step.checked.iter().map(|found| (&step.asset, found)))
        .collect();
    all.sort_by_key(|(_, found)| found.passed);
    html! {
        @if !all.is_empty() {
            h2 { "Data checks" }
            table {
                tr { @for name in ["step", "day", "check", "how", "found"] { th { (name) } } }
                @for (asset, found) in all {
                    tr {
                        td { (asset) }
                        td { (found.ds) }
                        td { (found.check) }
                        td { (check_word(found)) }
                        td { (found.message.as_deref().unwrap_or_default()) }
                    }
                }
            }
        }
    }
}

fn check_word(found: &Checked) -> &'static str {
    match (found.passed, found.blocks) {
        (true, _) => "passed",
        (false, true) => "failed",
        (false, false) => "warning",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::recorded;

    #[test]
    fn every_attempt_is_a_bar_in_its_place() {
        let text = page(&recorded(), &|_| "db.one".to_owned());
        assert!(text.contains("succeeded; began 1970-01-01"), "{text}");
        assert!(text.contains("1 of 1 step filled 2 days in 4.0s"), "{text}");
        assert!(
            text.contains(r#"class="bad" style="left:0.00%;width:25.00%""#),
            "{text}"
        );
        assert!(
            text.contains(r#"class="good" style="left:50.00%;width:25.00%""#),
            "{text}"
        );
        assert!(text.contains("<td>db.one</td>"), "{text}");
    }

    #[test]
    fn what_a_log_says_cannot_become_markup() {
        let text = page(&recorded(), &|_| String::new());
        assert!(!text.contains("<script>"));
        assert!(
            text.contains("a &lt; b &amp; &quot;c&quot; &lt;script&gt;"),
            "{text}"
        );
    }
}
