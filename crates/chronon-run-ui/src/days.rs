//! The days of an asset: their states, as bars and as a calendar.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, Ds, PartitionRange, RangeSet};
use chronon_run_export::{AssetStatus, reason_text};
use chronon_run_plan::{AssetPlan, State};
use maud::{Markup, html};

use crate::{links::Links, safe::safe};

/// What a day is shown as. Each has a colour, a character and a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum DayState {
    Failed,
    Running,
    Run,
    Waiting,
    Blocked,
    Stale,
    Empty,
    Done,
    Excluded,
}

impl DayState {
    pub(crate) const ALL: [Self; 9] = [
        Self::Failed,
        Self::Running,
        Self::Run,
        Self::Waiting,
        Self::Blocked,
        Self::Stale,
        Self::Empty,
        Self::Done,
        Self::Excluded,
    ];

    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Run => "run",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Stale => "stale",
            Self::Empty => "empty",
            Self::Done => "done",
            Self::Excluded => "excluded",
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Run => "to run",
            Self::Empty => "no rows",
            Self::Stale => "out of date",
            other => other.class(),
        }
    }

    /// As in the bars of `chronon-run status`.
    pub(crate) const fn mark(self) -> &'static str {
        match self {
            Self::Failed => "!",
            Self::Running => "▶",
            Self::Run => "-",
            Self::Waiting => "·",
            Self::Blocked => "×",
            Self::Stale => "~",
            Self::Empty => "o",
            Self::Done => "✓",
            Self::Excluded => "",
        }
    }
}

/// A word with its colour and mark.
pub(crate) fn badge(state: DayState) -> Markup {
    labelled(state, state.word())
}

pub(crate) fn labelled(state: DayState, text: &str) -> Markup {
    html! { span class={ "badge s-" (state.class()) } { span.mark aria-hidden="true" { (state.mark()) } (text) } }
}

/// Some days in one state for one reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) range: PartitionRange,
    pub(crate) state: DayState,
    pub(crate) reason: String,
}

/// The days of an asset, oldest first.
pub(crate) fn stretches(
    plan: &AssetPlan,
    status: &AssetStatus,
    running: Option<&RangeSet>,
) -> Vec<Stretch> {
    let nothing = RangeSet::new();
    let running = running.unwrap_or(&nothing);
    let mut found = Vec::new();
    for cells in &plan.cells {
        let all = RangeSet::from(cells.range);
        let reason = safe(&reason_text(&cells.reason));
        let mut rest = all.clone();
        for (state, days, why) in [
            (DayState::Running, running, "a run fills it now"),
            (DayState::Failed, &status.failed, "the last attempt failed"),
            (DayState::Stale, &status.stale, ""),
            (DayState::Empty, &status.empty, ""),
        ] {
            let days = rest.intersect(days);
            rest = rest.minus(&days);
            let reason = match why {
                "" => reason.clone(),
                why => format!("{why}; {reason}"),
            };
            for &range in days.ranges() {
                let reason = reason.clone();
                found.push(Stretch {
                    range,
                    state,
                    reason,
                });
            }
        }
        let state = match cells.state {
            State::Done => DayState::Done,
            State::Run => DayState::Run,
            State::Waiting => DayState::Waiting,
            State::Blocked => DayState::Blocked,
            State::Excluded => DayState::Excluded,
        };
        for &range in rest.ranges() {
            let reason = reason.clone();
            found.push(Stretch {
                range,
                state,
                reason,
            });
        }
    }
    found.sort_by_key(|stretch| stretch.range.start);
    found
}

/// The state of the newest day that can be filled.
pub(crate) fn newest_state(stretches: &[Stretch]) -> Option<DayState> {
    let shown = stretches.iter().rev();
    let mut shown = shown.filter(|stretch| stretch.state != DayState::Excluded);
    shown.next().map(|stretch| stretch.state)
}

/// How wide a bar is in its own units.
const WIDTH: i64 = 1_000;

/// All days in one line. Its text for screen readers is what it sums up.
pub(crate) fn bar(stretches: &[Stretch], summary: &str) -> Markup {
    let shown = stretches.iter().filter(|s| s.state != DayState::Excluded);
    let days: RangeSet = shown.clone().map(|stretch| stretch.range).collect();
    let Some(hull) = days.hull() else {
        return html! { span.muted { "no days" } };
    };
    let summary = match summary {
        "" => "all days are filled",
        summary => summary,
    };
    let all = i64::from(hull.days());
    let at = |ds: Ds| i64::from(ds.epoch_days() - hull.start.epoch_days()) * WIDTH / all;
    let mut merged: Vec<(PartitionRange, DayState)> = Vec::new();
    for stretch in shown {
        match merged.last_mut() {
            Some((range, state))
                if *state == stretch.state && range.end.plus(1) == stretch.range.start =>
            {
                range.end = stretch.range.end;
            }
            _ => merged.push((stretch.range, stretch.state)),
        }
    }
    html! {
        svg.bar viewBox={ "0 0 " (WIDTH) " 14" } preserveAspectRatio="none" role="img" aria-label=(summary) {
            @for (range, state) in merged {
                @let left = at(range.start);
                @let height = if matches!(state, DayState::Done | DayState::Stale | DayState::Empty | DayState::Running) { 14 } else { 8 };
                rect class={ "s-" (state.class()) } x=(left) y=(14 - height) height=(height)
                    width=((at(range.end.plus(1)) - left).max(6)) { title { (range) ": " (state.word()) } }
            }
        }
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A calendar, month by month, newest month last. Each day is a link; hovering tells the reason.
pub(crate) fn calendar(
    asset: &AssetId,
    stretches: &[Stretch],
    chosen: Option<Ds>,
    links: Links,
) -> Markup {
    let mut days: BTreeMap<Ds, &Stretch> = BTreeMap::new();
    // Decades of days before a conf's first one tell nothing.
    let all: RangeSet = stretches
        .iter()
        .filter(|s| s.state != DayState::Excluded)
        .map(|s| s.range)
        .collect();
    for stretch in stretches {
        for ds in stretch
            .range
            .iter()
            .filter(|ds| all.hull().is_some_and(|hull| hull.contains(*ds)))
        {
            days.insert(ds, stretch);
        }
    }
    let mut months: BTreeMap<String, Vec<(Ds, &Stretch)>> = BTreeMap::new();
    for (ds, stretch) in days {
        let text = ds.to_string();
        let month = text
            .rsplit_once('-')
            .map_or(text.as_str(), |(month, _)| month);
        months
            .entry(month.to_owned())
            .or_default()
            .push((ds, stretch));
    }
    html! {
        div.calendar {
            @for (month, days) in &months {
                (month_block(asset, month, days, chosen, links))
            }
        }
    }
}

fn month_block(
    asset: &AssetId,
    month: &str,
    days: &[(Ds, &Stretch)],
    chosen: Option<Ds>,
    links: Links,
) -> Markup {
    let (year, number) = month.rsplit_once('-').unwrap_or((month, "01"));
    let name = number
        .parse::<usize>()
        .ok()
        .and_then(|n| MONTHS.get(n.checked_sub(1)?));
    let first = days.first().map(|(ds, _)| *ds);
    // Monday is 0; 1970-01-01 was a Thursday.
    let offset = first.map_or(0, |ds| (ds.epoch_days() + 3).rem_euclid(7));
    html! {
        section.month {
            h3 { (name.unwrap_or(&"")) " " (year) }
            div.days {
                @for _ in 0..offset { i {} }
                @for (ds, stretch) in days {
                    @let text = ds.to_string();
                    @let number = text.rsplit('-').next().unwrap_or_default().trim_start_matches('0');
                    @let label = format!("{ds}: {}, {}", stretch.state.word(), stretch.reason);
                    a id={ "d" (ds) } class={ "day s-" (stretch.state.class()) @if chosen == Some(*ds) { " chosen" } }
                        href=(links.day(asset, *ds)) title=(label) aria-label=(label) {
                        (number) span.mark aria-hidden="true" { (stretch.state.mark()) }
                    }
                }
            }
        }
    }
}

/// What the colours and marks mean.
pub(crate) fn legend() -> Markup {
    html! {
        p.legend {
            @for state in DayState::ALL { (badge(state)) " " }
        }
    }
}

#[cfg(test)]
mod tests {
    use chronon_run_plan::{Cells, Reason};

    use super::*;

    fn range(first: &str, last: &str) -> PartitionRange {
        PartitionRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
    }

    #[test]
    fn what_is_known_of_runs_is_shown_before_what_the_plan_says() {
        let plan = AssetPlan {
            asset: "join/a.b/backfill".parse().unwrap(),
            table: "a.b".parse().unwrap(),
            cells: vec![Cells {
                range: range("2026-01-01", "2026-01-05"),
                state: State::Run,
                reason: Reason::PartitionMissing,
            }],
            excluded: None,
            notes: Vec::new(),
        };
        let whole = chronon_run_plan::Plan {
            version: 1,
            as_of: "2026-01-05".parse().unwrap(),
            start_ds: None,
            end_ds: None,
            recompute: false,
            stale: false,
            assets: vec![plan.clone()],
            steps: Vec::new(),
            totals: chronon_run_plan::Totals::default(),
            confs: BTreeMap::new(),
            observed: BTreeMap::new(),
            target: None,
            estimates: None,
            left_out: std::collections::BTreeSet::new(),
        };
        let facts = chronon_run_export::Facts {
            failing: BTreeMap::from([(
                plan.asset.clone(),
                range("2026-01-02", "2026-01-02").into(),
            )]),
            ..Default::default()
        };
        let status = chronon_run_export::status(&whole, &facts).remove(0);
        let running = RangeSet::from(range("2026-01-04", "2026-01-05"));
        let found = stretches(&plan, &status, Some(&running));
        let shown: Vec<_> = found
            .iter()
            .map(|s| (s.range.to_string(), s.state))
            .collect();
        assert_eq!(
            shown,
            [
                ("2026-01-01".to_owned(), DayState::Run),
                ("2026-01-02".to_owned(), DayState::Failed),
                ("2026-01-03".to_owned(), DayState::Run),
                ("2026-01-04..2026-01-05".to_owned(), DayState::Running),
            ]
        );
        assert_eq!(newest_state(&found), Some(DayState::Running));
        let page = calendar(&plan.asset, &found, None, Links::top()).into_string();
        // 2026-01-01 is a Thursday: three places are left free.
        assert_eq!(page.matches("<i></i>").count(), 3);
        assert!(
            page.contains("2026-01-02: failed, the last attempt failed; no partition"),
            "{page}"
        );
    }
}
