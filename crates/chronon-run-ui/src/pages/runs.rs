//! The list of runs.

use chronon_run_core::ds::format_instant;
use chronon_run_ledger::RunRecord;
use chronon_run_report::count;
use maud::html;

use crate::frame::{Frame, Page, command, run_badge, took};

/// Runs that are listed.
pub(crate) const LISTED: u32 = 200;

pub(crate) fn page(frame: &Frame<'_>, runs: &[RunRecord]) -> Page {
    let body = html! {
        div.title { h1 { "Runs" } p.muted { "the newest " (count(runs.len() as u64, "run")) } }
        section #runs data-live {
            @if runs.is_empty() { p.muted { "Nothing was run yet." } (command("chronon-run materialize")) }
            @else {
                table {
                    thead { tr { th { "Run" } th { "State" } th.number { "Steps" } th.wide { "Failed" } th.wide { "Not run" } th.number { "Took" } th.wide { "Began" } } }
                    tbody {
                        @for run in runs {
                            tr {
                                td { a href=(frame.links.run(&run.run)) { (run.run) } }
                                td { (run_badge(run)) }
                                td.number { (run.succeeded) " of " (run.steps) }
                                td.wide.number { (run.failed) }
                                td.wide.number { (run.skipped) }
                                td.number { (took(run, frame.now)) }
                                td.wide { (format_instant(run.started)) }
                            }
                        }
                    }
                }
            }
        }
    };
    Page {
        title: "Runs".to_owned(),
        under: "runs",
        body,
    }
}
