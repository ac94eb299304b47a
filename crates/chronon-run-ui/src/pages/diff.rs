//! What edits of confs would change of what is filled.

use chronon_run_core::ds::format_instant;
use chronon_run_export::causes_text;
use maud::{Markup, html};

use super::plan::few;
use crate::{
    frame::{Frame, Page, command, trouble},
    gantt::short,
    safe::safe,
    source::{EditedConf, Source},
};

pub(crate) fn page(frame: &Frame<'_>, source: &dyn Source) -> Page {
    let body = html! {
        div.title { h1 { "Diff" } p.muted { "what the confs as they are now would change of what is filled" } }
        @match source.diff() {
            Err(found) => (trouble(&found)),
            Ok(found) if found.is_empty() => p.good { "No conf was edited since its tables were filled, and no filled day is out of date." },
            Ok(found) => {
                @for one in &found { (edited(frame, one)) }
                (command("chronon-run materialize --stale"))
            },
        }
    };
    Page {
        title: "Diff".to_owned(),
        under: "diff",
        body,
    }
}

fn edited(frame: &Frame<'_>, one: &EditedConf) -> Markup {
    html! {
        section.card {
            h2 { (one.conf) }
            @if let Some(at) = one.filled_at { p.muted { "filled " (format_instant(at)) } }
            @if !one.edits.is_empty() { ul { @for edit in &one.edits { li { (safe(edit)) } } } }
            @if !one.causes.is_empty() { p { (safe(&causes_text(&one.causes))) } }
            p.note { (one.consequence) }
            dl.facts { @for (table, days) in &one.tables { div { dt { code { (table) } } dd { (few(days)) } } } }
            @if !one.downstream.is_empty() {
                p { "Read by "
                    @for (at, asset) in one.downstream.iter().enumerate() {
                        @if at > 0 { ", " }
                        a href=(frame.links.asset(asset)) { (short(asset)) }
                    }
                }
            }
        }
    }
}
