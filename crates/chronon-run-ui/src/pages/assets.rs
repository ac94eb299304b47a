//! The list of assets.

use std::collections::BTreeSet;

use chronon_run_core::AssetId;
use maud::{Markup, html};

use super::{Known, Running, assets, or_problem};
use crate::{
    days::{DayState, badge, bar, legend, newest_state},
    frame::{Frame, Page, trouble},
    gantt::in_cell,
    source::{Source, Trouble, View},
};

/// What the list is limited to.
#[derive(Default, Clone, serde::Deserialize)]
pub(crate) struct Wanted {
    /// Part of a name, or selectors.
    pub(crate) q: Option<String>,
    /// A [`DayState`]'s class: only assets that have such days.
    pub(crate) state: Option<String>,
}

/// Assets on one page; more are found by searching.
const MOST: usize = 1_000;

pub(crate) fn page(
    frame: &Frame<'_>,
    view: &View,
    source: &dyn Source,
    running: &Running,
    wanted: &Wanted,
) -> Page {
    let q = wanted.q.as_deref().unwrap_or("").trim();
    let (chosen, problem) = or_problem(chosen(view, source, q));
    let state = DayState::ALL
        .into_iter()
        .find(|state| Some(state.class()) == wanted.state.as_deref());
    let found: Vec<Known<'_>> = assets(view)
        .filter(|known| {
            chosen
                .as_ref()
                .is_none_or(|chosen| chosen.contains(&known.plan.asset))
        })
        .filter(|known| state.is_none_or(|state| has(known, state, running)))
        .collect();
    let body = html! {
        div.title { h1 { "Assets" } p.muted { (found.len()) " of " (view.plan.assets.len()) @if !q.is_empty() { " for “" (q) "”" } } }
        @if !frame.links.site { (filters(frame, q, state)) }
        @if let Some(problem) = &problem { (trouble(problem)) }
        section #assets data-live { (table(frame, &found, running)) }
        (legend())
    };
    Page {
        title: "Assets".to_owned(),
        under: "assets",
        body,
    }
}

/// The assets that a search means: part of an id, a table or a team, else selectors.
fn chosen(view: &View, source: &dyn Source, q: &str) -> Result<Option<BTreeSet<AssetId>>, Trouble> {
    if q.is_empty() {
        return Ok(None);
    }
    let part = q.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&part);
    let found: BTreeSet<AssetId> = view
        .rows
        .iter()
        .filter(|row| has(&row.asset.to_string()) || has(&row.table.to_string()) || has(&row.team))
        .map(|row| row.asset.clone())
        .collect();
    match found.is_empty() {
        false => Ok(Some(found)),
        true => source.select(q).map(Some),
    }
}

fn has(known: &Known<'_>, state: DayState, running: &Running) -> bool {
    let status = known.status;
    match state {
        DayState::Failed => !status.failed.is_empty(),
        DayState::Running => running.days.contains_key(&known.plan.asset),
        DayState::Run => !status.missing.is_empty(),
        DayState::Waiting | DayState::Blocked => !status.waiting.is_empty(),
        DayState::Stale => !status.stale.is_empty(),
        DayState::Empty => !status.empty.is_empty(),
        DayState::Done => !status.done.is_empty(),
        DayState::Excluded => !status.excluded.is_empty(),
    }
}

fn filters(frame: &Frame<'_>, q: &str, state: Option<DayState>) -> Markup {
    let shown = [
        DayState::Failed,
        DayState::Running,
        DayState::Run,
        DayState::Waiting,
        DayState::Stale,
        DayState::Empty,
    ];
    let q = match q {
        "" => String::new(),
        q => format!("&q={}", crate::links::query(q)),
    };
    let page = frame.links.page("assets");
    html! {
        nav.filters aria-label="Only assets with days that are" {
            a href={ (page) "?" (q.trim_start_matches('&')) } aria-current=[state.is_none().then_some("true")] { "all" }
            @for each in shown {
                a href={ (page) "?state=" (each.class()) (q) } aria-current=[(state == Some(each)).then_some("true")] { (badge(each)) }
            }
        }
    }
}

fn table(frame: &Frame<'_>, found: &[Known<'_>], running: &Running) -> Markup {
    html! {
        table.assets {
            thead { tr { th { "Asset" } th { "Newest day" } th.days-bar { "Days" } th.number { "Filled" } th.wide { "Team" } th.wide { "Last attempt" } } }
            tbody {
                @for known in found.iter().take(MOST) {
                    @let stretches = known.stretches(running);
                    @let status = known.status;
                    tr {
                        td.name {
                            a href=(frame.links.asset(&status.asset)) { (in_cell(&status.asset)) }
                            div.muted.small { (status.asset.conf.conf_type) " · " (status.table) }
                        }
                        td { @if let Some(state) = newest_state(&stretches) { (badge(state)) } @else { (badge(DayState::Excluded)) } div.muted.small { (status.freshness_text()) } }
                        td.days-bar { (bar(&stretches, &status.open_text())) }
                        td.number { (status.filled_text()) }
                        td.wide { (known.row.team) }
                        td.wide.small { @if let Some(last) = &status.last_attempt { a href=(frame.links.run(&last.run)) { (last.outcome) } } }
                    }
                }
            }
        }
        @if found.len() > MOST { p.muted { "The first " (MOST) " are shown: search for the others." } }
    }
}
