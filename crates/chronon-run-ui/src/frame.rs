//! What all pages have in common.

use std::borrow::Cow;

use chronon_run_core::{ds::format_instant, shown::shown};
use chronon_run_ledger::{RunRecord, RunState};
use chronon_run_report::{duration, run_state};
use maud::{DOCTYPE, Markup, html};

use crate::{
    days::{DayState, labelled},
    links::Links,
    safe::safe,
    source::Trouble,
};

/// What a page needs besides what it is about.
pub(crate) struct Frame<'a> {
    pub(crate) links: Links,
    /// The workspace's name.
    pub(crate) workspace: &'a str,
    /// Whether runs may be started from the page.
    pub(crate) allow_runs: bool,
    /// Milliseconds since the epoch.
    pub(crate) now: i64,
}

/// One page.
pub(crate) struct Page {
    pub(crate) title: String,
    /// Which entry of the menu it is under.
    pub(crate) under: &'static str,
    pub(crate) body: Markup,
}

const MENU: [(&str, &str); 6] = [
    ("", "Overview"),
    ("assets", "Assets"),
    ("graph", "Graph"),
    ("runs", "Runs"),
    ("plan", "Plan"),
    ("diff", "Diff"),
];

/// The whole page as text, without anything that a screen would not show as it is.
pub(crate) fn whole(frame: &Frame<'_>, page: &Page) -> String {
    let links = frame.links;
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) " · " (frame.workspace) }
                link rel="stylesheet" href=(links.file("style.css"));
                link rel="icon" href=(links.file("icon.svg")) type="image/svg+xml";
                script src=(links.file("ui.js")) defer {}
            }
            body data-live[!links.site] {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href=(links.page("")) { span.logo aria-hidden="true" { "◧" } (frame.workspace) }
                    nav aria-label="Pages" {
                        @for (name, text) in MENU {
                            a href=(links.page(name)) aria-current=[(name == page.under).then_some("page")] { (text) }
                        }
                    }
                    @if !links.site {
                        form.search role="search" action=(links.page("assets")) method="get" {
                            input type="search" name="q" placeholder="Search assets ( / )" aria-label="Search assets by name or selector" autocomplete="off";
                        }
                    }
                }
                main #main tabindex="-1" { (page.body) }
                footer {
                    @if links.site { "Written " } @else { "Shown " }
                    time { (format_instant(frame.now)) }
                    @if !links.site { " · keys: / search, g graph, r runs, a assets, o overview" }
                    span #live role="status" {}
                }
            }
        }
    }
    .into_string();
    shown(&text).into_owned()
}

/// An error, and what to do.
pub(crate) fn trouble(trouble: &Trouble) -> Markup {
    html! {
        div.trouble role="alert" {
            p { strong { (safe(&trouble.message)) } }
            @if let Some(hint) = &trouble.hint { p { (safe(hint)) } }
        }
    }
}

pub(crate) fn error_page(title: &str, found: &Trouble) -> Page {
    Page {
        title: title.to_owned(),
        under: "-",
        body: html! { h1 { (title) } (trouble(found)) },
    }
}

/// A command to copy.
pub(crate) fn command(text: &str) -> Markup {
    html! { div.copy { pre tabindex="0" { code { (text) } } button type="button" data-copy hidden { "Copy" } } }
}

/// The state of a run as a badge.
pub(crate) fn run_badge(run: &RunRecord) -> Markup {
    let state = match (run.state, run.all_succeeded, run.cancelled) {
        (RunState::Running, ..) => DayState::Running,
        (RunState::Finished, _, Some(_)) => DayState::Blocked,
        (RunState::Finished, Some(true), None) => DayState::Done,
        (RunState::Crashed, ..) | (RunState::Finished, _, None) => DayState::Failed,
    };
    labelled(state, run_state(run))
}

/// How long a run took, or has been running.
pub(crate) fn took(run: &RunRecord, now: i64) -> String {
    let end = match run.state {
        RunState::Running => Some(now),
        _ => run.finished,
    };
    let millis = end.and_then(|end| u64::try_from(end - run.started).ok());
    millis.map(duration).unwrap_or_default()
}

/// `3 m ago`, with the instant itself.
pub(crate) fn ago(at: i64, now: i64) -> Markup {
    let seconds = (now - at).max(0) / 1_000;
    let text: Cow<'_, str> = match seconds {
        0..90 => "just now".into(),
        90..5_400 => format!("{} min ago", (seconds + 30) / 60).into(),
        5_400..172_800 => format!("{} h ago", (seconds + 1_800) / 3_600).into(),
        _ => format!("{} days ago", seconds / 86_400).into(),
    };
    let instant = format_instant(at);
    html! { time datetime=(instant) title=(instant) { (text) } }
}
