//! An asset: its days, what it reads and who reads it, its rows, its definition, its attempts.

use chronon_run_core::{AssetId, Ds, ds::format_instant};
use chronon_run_export::{causes_text, reason_text};
use chronon_run_ledger::AttemptRecord;
use chronon_run_plan::Explanation;
use chronon_run_report::{count, duration, outcome};
use chronon_run_rows::FirstRows;
use maud::{Markup, html};

use super::{Known, Running, assets, consistency};
use crate::{
    days::{DayState, badge, calendar, legend, newest_state},
    frame::{Frame, Page, command, trouble},
    gantt::short,
    plot::durations,
    safe::safe,
    source::{Definition, Script, Source, Trouble, View},
};

/// What is shown of the asset.
#[derive(Default, Clone, serde::Deserialize)]
pub(crate) struct Wanted {
    /// The day; without one, the newest that is filled.
    pub(crate) ds: Option<Ds>,
}

/// Attempts in the table, newest first.
const ATTEMPTS: usize = 20;

/// The page of an asset; `None` if there is none of this id.
pub(crate) fn page(
    frame: &Frame<'_>,
    view: &View,
    source: &dyn Source,
    running: &Running,
    asset: &AssetId,
    wanted: &Wanted,
) -> Option<Page> {
    let known = assets(view).find(|known| known.plan.asset == *asset)?;
    let stretches = known.stretches(running);
    let attempts = source.attempts(asset);
    let day = wanted.ds.or(known.status.newest);
    let body = html! {
        div.title {
            h1 { (short(asset)) @if let Some(state) = newest_state(&stretches) { " " (badge(state)) } }
            p.muted { code { (asset) } }
        }
        section #head data-live { (head(&known)) }
        section #calendar data-live { h2 { "Days" } (calendar(asset, &stretches, wanted.ds, frame.links)) (legend()) }
        section.card #day {
            (day_part(source, asset, day, wanted.ds.is_some()))
            @if known.status.newest.is_some() && has_columns(frame, source, asset) { p { a href=(frame.links.columns(asset)) { "Columns over the last days" } } }
        }
        div.columns {
            section { h2 { "Reads" } (reads(frame, view, &known)) }
            section { h2 { "Read by" } (read_by(frame, view, &known)) }
        }
        (consistency::section(frame, view, source, asset))
        section #attempts data-live { h2 { "Attempts" } (attempts_part(frame, &attempts)) }
        section { h2 { "Definition" } (definition(source.definition(asset, day))) }
    };
    Some(Page {
        title: short(asset),
        under: "assets",
        body,
    })
}

/// Whether there is a page of its columns. A folder has it only where rows could be read.
fn has_columns(frame: &Frame<'_>, source: &dyn Source, asset: &AssetId) -> bool {
    !frame.links.site || source.columns(asset).is_ok()
}

fn head(known: &Known<'_>) -> Markup {
    let status = known.status;
    let row = known.row;
    html! {
        dl.facts {
            div { dt { "table" } dd { code { (status.table) } } }
            div { dt { "newest day" } dd { (status.freshness_text()) } }
            div { dt { "filled" } dd { (if status.filled_text().is_empty() { "–".to_owned() } else { status.filled_text() }) } }
            div { dt { "team" } dd { (row.team) } }
            @if let Some(schedule) = &row.schedule { div { dt { "schedule" } dd { code { (schedule) } } } }
            @if !row.tags.is_empty() { div { dt { "tags" } dd { (row.tags.iter().cloned().collect::<Vec<_>>().join(", ")) } } }
        }
        @if let Some(why) = &status.why_none { p.note { "No day can be filled: " (safe(why)) } }
        @for one in &status.why_stale { p.note { (badge(DayState::Stale)) " " (one.days) ": " (safe(&causes_text(&one.because))) } }
        @if !status.unrecorded.is_empty() {
            p.muted.small { "Filled by another program or version: " (status.unrecorded) ". With which conf and inputs is not recorded." }
        }
    }
}

fn day_part(source: &dyn Source, asset: &AssetId, day: Option<Ds>, asked: bool) -> Markup {
    let rows = source.rows(asset, day);
    html! {
        h2 { @match day { Some(day) => { "Day " (day) }, None => "Rows" } }
        @if let (Some(day), true) = (day, asked) {
            @match source.explain(asset, day) {
                Ok(Some(found)) => (explanation(&found)),
                Ok(None) => {},
                Err(found) => (trouble(&found)),
            }
        }
        @match rows {
            Ok(rows) => (rows_part(&rows)),
            Err(why) => p.muted { (safe(&why.message)) @if let Some(hint) = &why.hint { " – " (safe(hint)) } },
        }
    }
}

fn explanation(found: &Explanation) -> Markup {
    html! {
        @if let Some(cell) = &found.cell { p { strong { (cell.state.as_str()) } ": " (safe(&reason_text(&cell.reason))) } }
        @if !found.inputs.is_empty() {
            details open {
                summary { "Inputs of this day" }
                div.scroll tabindex="0" role="region" aria-label="Inputs of this day" {
                    table {
                        thead { tr { th { "Input" } th { "Is" } th { "Needs" } th { "There" } th { "Planned" } th { "Missing" } } }
                        tbody {
                            @for input in &found.inputs {
                                tr {
                                    td { code { (input.table) } }
                                    td { (input.role) }
                                    td { (input.needed) }
                                    td { (input.present) }
                                    td { (input.planned) }
                                    td { (input.missing) @if !input.never.is_empty() { " never: " (input.never) } @if !input.table_exists { " the table does not exist" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn rows_part(rows: &FirstRows) -> Markup {
    html! {
        @if !rows.profile.is_empty() { (profile(rows)) }
        h3 { "Rows" }
        p.muted.small {
            @if rows.total > rows.rows.len() as u64 { "The first " (rows.rows.len()) " of " (count(rows.total, "row")) ", read from the files without Spark." }
            @else { (count(rows.total, "row")) ", read from the files without Spark." }
        }
        div.scroll.rows tabindex="0" role="region" aria-label="Rows" {
            table {
                thead { tr { @for (name, kind) in &rows.columns { th { (name) div.muted.small { (kind) } } } } }
                tbody { @for row in &rows.rows { tr { @for value in row { td title=[(value.chars().count() > 60).then_some(value)] { (value) } } } } }
            }
        }
    }
}

fn profile(rows: &FirstRows) -> Markup {
    const HEADS: [&str; 8] = [
        "Column",
        "Type",
        "Nulls",
        "Null share",
        "Distinct",
        "Least",
        "Greatest",
        "Mean",
    ];
    html! {
        details open {
            summary { "Columns: " (rows.profile.len()) }
            div.scroll tabindex="0" role="region" aria-label="Columns" {
                table {
                    thead { tr { @for head in HEADS { th { (head) } } th { "Most frequent" } } }
                    tbody {
                        @for column in &rows.profile {
                            tr {
                                @for (at, value) in column.iter().enumerate() {
                                    td.number[(2..5).contains(&at)] { @if at == 3 { (share(value)) } @else { (value) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A share as a percentage with a bar.
fn share(text: &str) -> Markup {
    let Ok(share) = text.parse::<f64>() else {
        return html! { (text) };
    };
    html! { meter.share min="0" max="1" value=(share) aria-label="share of rows without a value" {} " " (format!("{:.1} %", share * 100.0)) }
}

fn reads(frame: &Frame<'_>, view: &View, known: &Known<'_>) -> Markup {
    let producers: Vec<Known<'_>> = assets(view)
        .filter(|other| known.row.upstream.contains(&other.plan.asset))
        .collect();
    html! {
        ul.list {
            @for table in &known.row.inputs {
                @let producer = producers.iter().find(|other| other.status.table == *table);
                li {
                    @match producer {
                        Some(other) => { a href=(frame.links.asset(&other.plan.asset)) { (short(&other.plan.asset)) } },
                        None => { code { (table) } },
                    }
                    @let days = view.plan.observed.get(table);
                    span.muted.small {
                        @match days {
                            Some(Some(days)) => { @if days.is_empty() { "no days" } @else { (count(days.days(), "day")) ", newest " (days.last().map(|day| day.to_string()).unwrap_or_default()) } },
                            Some(None) => "the table does not exist",
                            None => "",
                        }
                    }
                }
            }
            @if known.row.inputs.is_empty() { li.muted { "no tables" } }
            @for embedded in &known.row.embeds {
                li { a href=(frame.links.asset(embedded)) { (short(embedded)) } span.muted.small { "its definition is embedded; its table is not read" } }
            }
        }
    }
}

fn read_by(frame: &Frame<'_>, view: &View, known: &Known<'_>) -> Markup {
    let asset = &known.plan.asset;
    let readers: Vec<&AssetId> = view
        .rows
        .iter()
        .filter(|row| row.upstream.contains(asset) || row.embeds.contains(asset))
        .map(|row| &row.asset)
        .collect();
    html! {
        ul.list {
            @for reader in &readers { li { a href=(frame.links.asset(reader)) { (short(reader)) } } }
            @if readers.is_empty() { li.muted { "no asset of this workspace" } }
        }
        @if !frame.links.site { p { a href={ (frame.links.page("graph")) "?select=" (crate::links::query(&format!("+{}+", asset.conf.name))) } { "Show in the graph" } } }
    }
}

fn attempts_part(frame: &Frame<'_>, attempts: &[AttemptRecord]) -> Markup {
    html! {
        @if attempts.is_empty() { p.muted { "No run has filled this asset." } }
        @else {
            (durations(attempts, frame.links))
            table {
                thead { tr { th { "Run" } th { "Days" } th { "Ended" } th.number { "Took" } th.wide { "Started" } } }
                tbody {
                    @for attempt in attempts.iter().rev().take(ATTEMPTS) {
                        tr {
                            td { a href=(frame.links.step(&attempt.run, attempt.step, Some(attempt.attempt))) { (attempt.run) } }
                            td { (attempt.range) }
                            td { @match &attempt.outcome { Some(how) => (outcome(how)), None => @if attempt.abandoned { "killed with its run" } @else { "not over" } } }
                            td.number { (attempt.millis.map(duration).unwrap_or_default()) }
                            td.wide { (attempt.started.map(format_instant).unwrap_or_default()) }
                        }
                    }
                }
            }
            @if attempts.len() > ATTEMPTS { p.muted { "The newest " (ATTEMPTS) " of " (attempts.len()) " are shown." } }
        }
    }
}

fn definition(found: Result<Definition, Trouble>) -> Markup {
    let found = match found {
        Ok(found) => found,
        Err(found) => return trouble(&found),
    };
    html! {
        @match &found.script {
            Script::Sql(text) => details { summary { "Spark SQL" } (command(text)) },
            Script::Command(text) => details { summary { "Command of a step" } (command(text)) },
            Script::None(why) => @if !why.is_empty() { p.muted { (safe(why)) } },
        }
        @if let Some((path, text)) = &found.python { details { summary { "Python: " code { (path.display()) } } (command(text)) } }
        details { summary { "Compiled conf: " code { (found.conf_path.display()) } } (command(&found.conf)) }
    }
}
