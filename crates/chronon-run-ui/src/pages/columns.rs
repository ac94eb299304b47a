//! What the columns of an asset look like over its last days.

use chronon_run_core::{AssetId, Ds};
use chronon_run_rows::{ColumnDays, ColumnFigures};
use maud::{Markup, html};

use crate::{
    frame::{Frame, Page, trouble},
    gantt::short,
    plot::{bins, number, sparkline},
    source::{ColumnHistory, Source},
};

/// The page of an asset's columns.
pub(crate) fn page(frame: &Frame<'_>, source: &dyn Source, asset: &AssetId) -> Page {
    let title = format!("Columns of {}", short(asset));
    let body = html! {
        div.title {
            h1 { (title) }
            p { a href=(frame.links.asset(asset)) { "The asset" } }
        }
        @match source.columns(asset) {
            Ok(history) => (shown(&history)),
            Err(found) => (trouble(&found)),
        }
    };
    Page {
        title,
        under: "assets",
        body,
    }
}

fn shown(history: &ColumnHistory) -> Markup {
    let (first, last) = (history.days.first(), history.days.last());
    html! {
        p.muted {
            @if let (Some(first), Some(last)) = (first, last) {
                "The " (history.days.len()) " newest filled days, " (first) " to " (last) ", read from the files without Spark."
            }
            @if history.left_out > 0 { " " (history.left_out) " older ones are left out, because together they hold too much for a page." }
        }
        div.scroll tabindex="0" role="region" aria-label="Columns" {
            table {
                thead { tr { th { "Column" } th { "Null share" } th { "Distinct" } th { "Mean" } th { "Distribution on the newest day" } } }
                tbody { @for column in &history.columns { (row(history, column)) } }
            }
        }
    }
}

fn row(history: &ColumnHistory, column: &ColumnDays) -> Markup {
    let days = &history.days;
    let described = history.described.get(&column.name);
    let cell =
        |what: &str, of: &dyn Fn(&ColumnFigures) -> Option<f64>, text: &dyn Fn(f64) -> String| {
            let values: Vec<(Ds, Option<f64>)> = days
                .iter()
                .copied()
                .zip(column.days.iter().map(of))
                .collect();
            let newest = values.last().and_then(|(_, value)| *value);
            html! {
                @match newest { Some(newest) => (text(newest)), None => "–" } " "
                (sparkline(&format!("{what} of {}", column.name), &values, text))
            }
        };
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let distinct = |figures: &ColumnFigures| figures.distinct.map(|distinct| distinct as f64);
    html! {
        tr {
            td.column {
                (column.name) div.muted.small { (column.kind) }
                @if let Some(text) = described { div.small { (text) } }
            }
            td.number { (cell("Null share", &|figures| figures.null_share, &percent)) }
            td.number { (cell("Distinct values", &distinct, &|number| format!("{number}"))) }
            td.number { (cell("Mean", &|figures| figures.mean, &number)) }
            td { @match &column.histogram { Some(found) => (bins(&column.name, found)), None => "–" } }
        }
    }
}
