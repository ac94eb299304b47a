//! Durations over time, as dots.

use chronon_run_core::ds::format_instant;
use chronon_run_ledger::AttemptRecord;
use chronon_run_report::{duration, outcome};
use maud::{Markup, html};

use crate::links::Links;

const WIDTH: i64 = 640;
const HEIGHT: i64 = 120;
/// Room for a dot at the edges, and for the scale.
const EDGE: i64 = 8;
/// How many attempts are shown; older ones are left out.
const MOST: usize = 200;

/// How long each attempt took, in the order in which they ran.
pub(crate) fn durations(attempts: &[AttemptRecord], links: Links) -> Markup {
    let known: Vec<(&AttemptRecord, u64)> = attempts
        .iter()
        .filter_map(|attempt| Some((attempt, attempt.millis?)))
        .collect();
    let shown = &known[known.len().saturating_sub(MOST)..];
    let Some(longest) = shown.iter().map(|(_, millis)| *millis).max() else {
        return html! {};
    };
    let longest = i64::try_from(longest.max(1)).unwrap_or(i64::MAX);
    let step = (WIDTH - 2 * EDGE) / i64::try_from(shown.len().max(2) - 1).unwrap_or(1).max(1);
    html! {
        figure {
            figcaption { "Duration of each attempt, oldest first; the longest took " (duration(longest.unsigned_abs())) "." }
            svg.plot viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="group" aria-label="Durations of attempts" {
                @for part in [0, 1, 2] {
                    @let y = EDGE + part * (HEIGHT - 2 * EDGE) / 2;
                    line.tick x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
                }
                @for (at, (attempt, millis)) in shown.iter().enumerate() {
                    @let good = attempt.outcome.as_ref().is_some_and(chronon_run_core::event::Outcome::succeeded);
                    @let x = EDGE + step * i64::try_from(at).unwrap_or(0);
                    @let height = i64::try_from(*millis).unwrap_or(i64::MAX).saturating_mul(HEIGHT - 2 * EDGE) / longest;
                    @let y = HEIGHT - EDGE - height;
                    @let how = attempt.outcome.as_ref().map(outcome).unwrap_or_default();
                    @let text = format!("{} {}: {} {how}", attempt.started.map(format_instant).unwrap_or_default(), attempt.range, duration(*millis));
                    a href=(links.step(&attempt.run, attempt.step, Some(attempt.attempt))) aria-label=(text) {
                        @if good { circle.s-done cx=(x) cy=(y) r="5" { title { (text) } } }
                        @else { path.s-failed d={ "M" (x - 5) " " (y + 5) "l5 -10 5 10z" } { title { (text) } } }
                    }
                }
            }
        }
    }
}
