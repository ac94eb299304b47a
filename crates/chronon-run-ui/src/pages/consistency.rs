//! How the logged features of a join compare with what it computes, over days.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, AssetKind, ConfType, Ds, event::Compared};
use chronon_run_report::count;
use maud::{Markup, html};

use crate::{
    frame::Frame,
    gantt::short,
    plot::{number, sparkline},
    source::{Source, View},
};

/// The section of a join, or of its comparison; nothing for other assets.
pub(crate) fn section(
    frame: &Frame<'_>,
    view: &View,
    source: &dyn Source,
    asset: &AssetId,
) -> Markup {
    let Some(compares) = comparing(view, asset) else {
        return html! {};
    };
    let days = source.compared(compares);
    html! {
        section #consistency data-live {
            h2 { "Consistency" }
            @if compares != asset { p.muted { "What was logged when the features were served, against what the join computes: " a href=(frame.links.asset(compares)) { (short(compares)) } } }
            @if days.is_empty() { p.muted { "No day was compared yet." } }
            @else { (table(&days)) }
        }
    }
}

/// The asset that compares the logged features of this one's conf.
fn comparing<'v>(view: &'v View, asset: &AssetId) -> Option<&'v AssetId> {
    let wanted = asset.conf.conf_type == ConfType::Join
        && matches!(asset.mode, AssetKind::Backfill | AssetKind::Consistency);
    let compares =
        |other: &&AssetId| other.conf == asset.conf && other.mode == AssetKind::Consistency;
    let mut all = view.rows.iter().map(|row| &row.asset);
    wanted.then(|| all.find(compares)).flatten()
}

fn table(days: &BTreeMap<Ds, Vec<Compared>>) -> Markup {
    let columns: BTreeSet<&str> = days
        .values()
        .flatten()
        .map(|found| found.column.as_str())
        .collect();
    let newest = days.last_key_value();
    html! {
        @if let Some((ds, found)) = newest {
            @let differ = found.iter().filter(|found| !found.is_equal()).count() as u64;
            p {
                "On " (ds) " "
                @if differ == 0 { "every column is equal." }
                @else { strong { (count(differ, "column")) } " of " (found.len()) " not equal in every request." }
            }
        }
        div.scroll tabindex="0" role="region" aria-label="Consistency" {
            table {
                thead { tr { th { "Column" } th { "Equal" } th.number { "Requests" } th.number { "Different" } th.number { "Only logged" } th.number { "Only computed" } th.number { "Worst by" } } }
                tbody { @for column in columns { (row(days, column)) } }
            }
        }
    }
}

fn row(days: &BTreeMap<Ds, Vec<Compared>>, column: &str) -> Markup {
    let of = |found: &Vec<Compared>| found.iter().find(|one| one.column == column).cloned();
    let found: Vec<(Ds, Option<Compared>)> =
        days.iter().map(|(ds, found)| (*ds, of(found))).collect();
    let shares: Vec<(Ds, Option<f64>)> = found
        .iter()
        .map(|(ds, one)| (*ds, one.as_ref().and_then(share)))
        .collect();
    let newest = found.iter().rev().find_map(|(_, one)| one.as_ref());
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    html! {
        tr {
            td.column { (column) }
            td.number {
                @if let Some(share) = newest.and_then(share) { (percent(share)) } " "
                (sparkline(&format!("Equal requests of {column}"), &shares, &percent))
            }
            @if let Some(newest) = newest {
                td.number { (newest.compared) }
                td.number { (newest.different) }
                td.number { (newest.null_computed) }
                td.number { (newest.null_logged) }
                td.number { @match newest.worst { Some(worst) => (number(worst)), None => "–" } }
            }
        }
    }
}

/// Which share of the requests is equal; `None` without requests.
fn share(found: &Compared) -> Option<f64> {
    (found.compared > 0).then(|| found.equal as f64 / found.compared as f64)
}
