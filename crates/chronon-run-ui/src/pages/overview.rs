//! What needs attention, what runs, and what would run.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, PartitionRange, RangeSet};
use chronon_run_ledger::RunRecord;
use chronon_run_report::{count, duration};
use maud::{Markup, html};

use super::{Known, Running, assets};
use crate::{
    days::{DayState, badge, bar, labelled, newest_state},
    frame::{Frame, Page, ago, command, run_badge, took},
    gantt::short,
    links::Links,
    safe::safe,
    source::{OnlinePath, View},
};

/// Assets that are named here; the list of assets has all.
const NAMED: usize = 15;
/// Runs that are shown here.
const RUNS: usize = 8;

pub(crate) fn page(frame: &Frame<'_>, view: &View, runs: &[RunRecord], running: &Running) -> Page {
    let all: Vec<Known<'_>> = assets(view).collect();
    let links = frame.links;
    let body = html! {
        div.title {
            h1 { "Overview" }
            p.muted { (count(all.len() as u64, "asset")) " · as of " strong { (view.plan.as_of) } " · catalog listed " (ago(view.at, frame.now)) }
        }
        (findings(&view.findings))
        section #tiles.tiles data-live aria-label="Days by state" { (tiles(&all, running, links)) }
        section #now data-live { (now(frame, running)) }
        div.columns {
            section #attention data-live { h2 { "Needs attention" } (attention(&all, running, links)) }
            section #last-runs data-live { h2 { "Last runs" } (last_runs(frame, runs)) p { a href=(links.page("runs")) { "All runs" } } }
        }
        section #next data-live { h2 { "What would run now" } (next(view, links)) }
        section #teams data-live { h2 { "Teams" } (teams(&all, running, links)) }
        @if !view.online.is_empty() { section #online data-live { h2 { "Served online" } (online(&view.online)) } }
    };
    Page {
        title: "Overview".to_owned(),
        under: "",
        body,
    }
}

fn findings(findings: &[String]) -> Markup {
    html! {
        @if !findings.is_empty() {
            details.trouble {
                summary { strong { (count(findings.len() as u64, "finding")) " in the workspace and its confs" } " (" code { "chronon-run check" } " shows them with their lines)" }
                ul { @for finding in findings.iter().take(100) { li { (safe(finding)) } } }
            }
        }
    }
}

fn tiles(all: &[Known<'_>], running: &Running, links: Links) -> Markup {
    let days = |of: &dyn Fn(&Known<'_>) -> u64| all.iter().map(of).sum::<u64>();
    let assets = |of: &dyn Fn(&Known<'_>) -> u64| all.iter().filter(|known| of(known) > 0).count();
    let failed = |known: &Known<'_>| known.status.failed.days();
    let missing = |known: &Known<'_>| known.status.missing.days();
    let waiting = |known: &Known<'_>| known.status.waiting.days();
    let stale = |known: &Known<'_>| known.status.stale.days();
    let done = |known: &Known<'_>| known.status.done.days() + known.status.empty.days();
    let active = |known: &Known<'_>| {
        running
            .days
            .get(&known.plan.asset)
            .map_or(0, |days| days.days())
    };
    type Days<'f> = &'f dyn Fn(&Known<'_>) -> u64;
    let tiles: [(DayState, Days<'_>); 6] = [
        (DayState::Failed, &failed),
        (DayState::Running, &active),
        (DayState::Run, &missing),
        (DayState::Waiting, &waiting),
        (DayState::Stale, &stale),
        (DayState::Done, &done),
    ];
    html! {
        @for (state, of) in tiles {
            @let number = days(of);
            a.tile.quiet[number == 0] href=(links.assets_in(state.class())) {
                (badge(state))
                strong { (number) }
                span.muted { (if number == 1 { "day" } else { "days" }) " in " (count(assets(of) as u64, "asset")) }
            }
        }
    }
}

fn now(frame: &Frame<'_>, running: &Running) -> Markup {
    html! {
        @for run in &running.runs {
            @let over = run.record.over();
            div.card.now {
                h2 { "Running now: " a href=(frame.links.run(&run.record.run)) { (run.record.run) } }
                p { (over) " of " (count(run.record.steps.into(), "step")) " over, " (run.record.failed) " failed, for " (took(&run.record, frame.now)) }
                progress max=(run.record.steps.max(1)) value=(over) aria-label="steps that are over" {}
            }
        }
    }
}

fn attention(all: &[Known<'_>], running: &Running, links: Links) -> Markup {
    let mut found: Vec<&Known<'_>> = all
        .iter()
        .filter(|known| known.status.has_problems())
        .collect();
    found.sort_by_key(|known| {
        let status = known.status;
        (
            status.failed.is_empty(),
            status.stale.is_empty(),
            status.missing.is_empty(),
        )
    });
    html! {
        @if found.is_empty() { p.good { "Every asset is filled and up to date." } }
        @else {
            ul.list {
                @for known in found.iter().take(NAMED) {
                    li {
                        @let stretches = known.stretches(running);
                        a href=(links.asset(&known.plan.asset)) { (short(&known.plan.asset)) }
                        @if let Some(state) = newest_state(&stretches) { " " (badge(state)) }
                        (bar(&stretches, &format!("{}: {}", known.plan.asset, known.status.open_text())))
                        span.muted.small { (known.status.open_text()) }
                    }
                }
            }
            @if found.len() > NAMED { p { a href=(links.page("assets")) { "and " (found.len() - NAMED) " more" } } }
        }
    }
}

pub(crate) fn last_runs(frame: &Frame<'_>, runs: &[RunRecord]) -> Markup {
    html! {
        @if runs.is_empty() { p.muted { "Nothing was run yet." } (command("chronon-run materialize")) }
        @else {
            ul.list {
                @for run in runs.iter().take(RUNS) {
                    li {
                        a href=(frame.links.run(&run.run)) { (run.run) } " " (run_badge(run))
                        span.muted.small { (run.succeeded) " of " (count(run.steps.into(), "step")) " in " (took(run, frame.now)) ", began " (ago(run.started, frame.now)) }
                    }
                }
            }
        }
    }
}

fn next(view: &View, links: Links) -> Markup {
    let mut planned: BTreeMap<&AssetId, (u64, PartitionRange)> = BTreeMap::new();
    // `materialize` without selectors fills offline tables.
    let steps = view
        .plan
        .steps
        .iter()
        .filter(|step| step.asset.mode.is_offline_table());
    for step in steps.clone() {
        let entry = planned.entry(&step.asset).or_insert((0, step.range));
        entry.0 += u64::from(step.range.days());
        entry.1.start = entry.1.start.min(step.range.start);
        entry.1.end = entry.1.end.max(step.range.end);
    }
    let estimate: Option<u64> = steps
        .clone()
        .map(|step| view.paces.get(&step.asset)?.estimate(step.range.days()))
        .sum();
    html! {
        @if planned.is_empty() { p.good { "Nothing: whatever can be filled is filled." } }
        @else {
            p {
                (count(steps.count() as u64, "step")) " of " (count(planned.len() as u64, "asset"))
                @if let Some(millis) = estimate { "; by history about " (duration(millis)) " of steps" }
            }
            ul.chips {
                @for (asset, (days, range)) in planned.iter().take(NAMED) {
                    li { a href=(links.asset(asset)) { (short(asset)) } " " span.muted { (count(*days, "day")) ", " (range) } }
                }
                @if planned.len() > NAMED { li { a href=(links.page("plan")) { "and " (planned.len() - NAMED) " more" } } }
            }
            (command("chronon-run materialize"))
        }
    }
}

#[derive(Default)]
struct Team {
    assets: u64,
    by_state: BTreeMap<DayState, u64>,
    late: u64,
}

fn teams(all: &[Known<'_>], running: &Running, links: Links) -> Markup {
    let mut teams: BTreeMap<(&str, &str), Team> = BTreeMap::new();
    for known in all {
        let key = (
            known.row.team.as_str(),
            known.plan.asset.conf.conf_type.as_str(),
        );
        let team = teams.entry(key).or_default();
        team.assets += 1;
        team.late += u64::from(known.status.behind_days.is_some_and(|days| days > 0));
        let none = RangeSet::new();
        let active = running.days.get(&known.plan.asset).unwrap_or(&none);
        for (state, days) in [
            (DayState::Failed, &known.status.failed),
            (DayState::Running, active),
            (DayState::Run, &known.status.missing),
            (DayState::Waiting, &known.status.waiting),
            (DayState::Stale, &known.status.stale),
        ] {
            *team.by_state.entry(state).or_default() += u64::from(!days.is_empty());
        }
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label="Assets by team and type" {
            table {
                thead { tr { th { "Team" } th { "Type" } th.number { "Assets" } th.number { "Behind" } th { "Assets with days that are" } } }
                tbody {
                    @for ((team, kind), found) in &teams {
                        tr {
                            td { @if links.site { (team) } @else { a href={ (links.page("assets")) "?q=team:" (crate::links::query(team)) } { (team) } } }
                            td { (kind) }
                            td.number { (found.assets) }
                            td.number { (found.late) }
                            td {
                                @for (state, assets) in found.by_state.iter().filter(|(_, assets)| **assets > 0) {
                                    (labelled(*state, &format!("{} {assets}", state.word()))) " "
                                }
                                @if found.by_state.values().all(|assets| *assets == 0) { (labelled(DayState::Done, "all done")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn online(paths: &[OnlinePath]) -> Markup {
    html! {
        ul.paths {
            @for path in paths {
                li {
                    strong { (path.group_by) }
                    ol.path {
                        @for link in &path.links {
                            li.late[link.late.is_some()] {
                                span.small { (link.link) }
                                @match link.day { Some(day) => (day), None => "–" }
                                span.muted.small { (link.text()) }
                                @if let Some(why) = &link.late { span.small { (safe(why)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
