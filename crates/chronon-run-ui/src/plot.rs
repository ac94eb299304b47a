//! Durations over time as dots, figures over days as lines, distributions as bars.

use chronon_run_core::{Ds, ds::format_instant};
use chronon_run_ledger::AttemptRecord;
use chronon_run_report::{duration, outcome};
use chronon_run_rows::Histogram;
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

/// The size of small plots, and the room that lines keep from their edges.
const SMALL: (f64, f64) = (120.0, 28.0);
const SMALL_EDGE: f64 = 3.0;

/// A line of the values of some days, oldest first; its words have every value.
pub(crate) fn sparkline(
    what: &str,
    values: &[(Ds, Option<f64>)],
    text: &dyn Fn(f64) -> String,
) -> Markup {
    let known: Vec<(usize, f64)> = values
        .iter()
        .enumerate()
        .filter_map(|(at, (_, value))| Some((at, (*value).filter(|value| value.is_finite())?)))
        .collect();
    let Some((last, points)) = line(&known, values.len()) else {
        return html! {};
    };
    let words = values.iter().map(|(ds, value)| match value {
        Some(value) => format!("{ds} {}", text(*value)),
        None => format!("{ds} none"),
    });
    let words = format!("{what}: {}", words.collect::<Vec<_>>().join(", "));
    html! {
        svg.spark viewBox={ "0 0 " (SMALL.0) " " (SMALL.1) } role="img" aria-label=(words) {
            title { (words) }
            path d=(points) {}
            circle cx=(format!("{:.1}", last.0)) cy=(format!("{:.1}", last.1)) r="2.5" {}
        }
    }
}

/// The last point and the path through all points; days without a value interrupt it.
fn line(known: &[(usize, f64)], days: usize) -> Option<((f64, f64), String)> {
    let all = || known.iter().map(|(_, value)| *value);
    let (least, greatest) = (all().reduce(f64::min)?, all().reduce(f64::max)?);
    let (width, height) = (SMALL.0 - 2.0 * SMALL_EDGE, SMALL.1 - 2.0 * SMALL_EDGE);
    let point = |at: usize, value: f64| {
        let x = at as f64 / (days.max(2) - 1) as f64;
        let half = greatest / 2.0 - least / 2.0;
        let y = match half > 0.0 {
            true => (value / 2.0 - least / 2.0) / half,
            false => 0.5,
        };
        (SMALL_EDGE + x * width, SMALL_EDGE + (1.0 - y) * height)
    };
    let mut path = String::new();
    let mut before = None;
    let mut last = (0.0, 0.0);
    for (at, value) in known {
        last = point(*at, *value);
        let follows = before.is_some_and(|before| before + 1 == *at);
        let word = if follows { 'L' } else { 'M' };
        path.push_str(&format!("{word}{:.1} {:.1}", last.0, last.1));
        before = Some(*at);
    }
    Some((last, path))
}

/// How often numbers occur in equal parts, as bars.
pub(crate) fn bins(name: &str, found: &Histogram) -> Markup {
    let most = found.counts.iter().copied().max().unwrap_or(0).max(1);
    let width = SMALL.0 / found.counts.len().max(1) as f64;
    let counts: Vec<String> = found.counts.iter().map(u64::to_string).collect();
    let words = format!(
        "{name} in {} equal parts from {} to {}: {}",
        counts.len(),
        number(found.least),
        number(found.greatest),
        counts.join(", ")
    );
    html! {
        svg.spark viewBox={ "0 0 " (SMALL.0) " " (SMALL.1) } role="img" aria-label=(words) {
            title { (words) }
            @for (at, count) in found.counts.iter().enumerate() {
                @let height = *count as f64 / most as f64 * SMALL.1;
                rect x=(format!("{:.1}", at as f64 * width)) y=(format!("{:.1}", SMALL.1 - height))
                    width=(format!("{:.1}", width - 1.0)) height=(format!("{height:.1}")) {}
            }
        }
        div.muted.small { (number(found.least)) " to " (number(found.greatest)) }
    }
}

/// A number with about four digits.
pub(crate) fn number(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        0.01..1e7 => {
            let text = format!("{number:.3}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            text.to_owned()
        }
        _ => format!("{number:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_interrupted_where_a_day_has_no_value() {
        let (last, path) = line(&[(0, 1.0), (1, 3.0), (3, 2.0)], 4).unwrap();
        assert_eq!(path, "M3.0 25.0L41.0 3.0M117.0 14.0");
        assert_eq!(last, (117.0, 14.0));
        let (last, _) = line(&[(0, 5.0)], 1).unwrap();
        assert_eq!(last, (3.0, 14.0));
        assert!(line(&[], 3).is_none());
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 12.0, -1.23456, 0.0001, 3.0e9, 1_234.5];
        let all = all.map(number);
        assert_eq!(all, ["0", "12", "-1.235", "1.000e-4", "3.000e9", "1234.5"]);
    }
}
