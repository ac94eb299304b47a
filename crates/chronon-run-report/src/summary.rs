//! What is said when a run is over.

use std::{collections::BTreeMap, path::PathBuf};

use chronon_run_core::{
    AssetId, RangeSet,
    event::{CancelReason, Compared, Outcome},
};

use console::measure_text_width;

use crate::{
    RunView, comparison_text, differing_columns,
    fit::{shorten, wrap},
    lines::assets,
    table,
    words::{count, duration},
};

/// What the summary needs besides the run itself.
pub struct SummaryContext<'a> {
    /// The table of an asset, as the user knows it; the asset's id where there is none.
    pub table_of: &'a dyn Fn(&AssetId) -> String,
    /// Where this run's logs are.
    pub logs: PathBuf,
    /// What to type next, most useful first.
    pub next: Vec<String>,
    /// The columns of the terminal that it is written to, if it is one.
    pub width: Option<usize>,
}

/// The summary of a run: tables and days filled, time, how many steps failed, what was not
/// started, where the logs are and what to type next.
#[must_use]
pub fn summary(view: &RunView, context: &SummaryContext<'_>) -> String {
    if view.steps.is_empty() {
        return with_next(
            "nothing to do: everything asked for is there\n".to_owned(),
            context,
        );
    }
    let mut text = headline(view);
    text += &filled_tables(view, context);
    text += &differences(view, context);
    text += &failures(view);
    text += &not_started(view);
    text += &format!("\nlogs: {}\n", context.logs.display());
    with_next(text, context)
}

fn headline(view: &RunView) -> String {
    let (mut days, mut tables) = (0, 0);
    for (filled, empty) in days_by_asset(view).values() {
        days += filled.union(empty).days();
        tables += 1;
    }
    let millis = view
        .finished
        .unwrap_or(view.started)
        .saturating_sub(view.started);
    let took = duration(u64::try_from(millis).unwrap_or(0));
    let stopped = match view.cancelled {
        Some(CancelReason::Interrupt) => "interrupted: ",
        Some(CancelReason::Terminate) => "terminated: ",
        Some(CancelReason::HangUp) => "hung up: ",
        Some(CancelReason::StepFailed) | None => "",
    };
    format!(
        "{stopped}filled {} of {} in {took}\n",
        count(days, "day"),
        count(tables, "table")
    )
}

/// Days that are there and days without rows, of every asset that got any.
fn days_by_asset(view: &RunView) -> BTreeMap<&AssetId, (RangeSet, RangeSet)> {
    let mut all: BTreeMap<&AssetId, (RangeSet, RangeSet)> = BTreeMap::new();
    for step in view.ended(|_| true) {
        if !(step.filled.is_empty() && step.empty.is_empty()) {
            let (filled, empty) = all.entry(&step.info.asset).or_default();
            *filled = filled.union(&step.filled);
            *empty = empty.union(&step.empty);
        }
    }
    all
}

fn filled_tables(view: &RunView, context: &SummaryContext<'_>) -> String {
    let row = |(asset, (filled, empty)): (&&AssetId, &(RangeSet, RangeSet))| {
        let note = match empty.is_empty() {
            true => String::new(),
            false => format!("no rows on {empty}"),
        };
        let all = filled.union(empty);
        vec![
            format!("  {}", (context.table_of)(asset)),
            count(all.days(), "day"),
            all.to_string(),
            note,
        ]
    };
    let days = days_by_asset(view);
    let rows: Vec<Vec<String>> = days.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let text = table(&[], &rows);
    let widest = text.lines().map(measure_text_width).max();
    "\n".to_owned()
        + &match context.width {
            Some(width) if widest > Some(width) => narrow_tables(&rows, width),
            _ => text,
        }
}

/// The same where it is too wide: the days of each table below its name.
fn narrow_tables(rows: &[Vec<String>], width: usize) -> String {
    let mut text = String::new();
    for row in rows {
        let [table, days, ranges, note] = &row[..] else {
            continue;
        };
        let ranges = match note.is_empty() {
            true => ranges.clone(),
            false => format!("{ranges}; {note}"),
        };
        text += &format!(
            "{}  {days}\n",
            shorten(table, width.saturating_sub(days.len() + 2))
        );
        text += &wrap(&ranges, "    ", width);
        text += "\n";
    }
    text
}

/// What was compared with its log and is not the same.
fn differences(view: &RunView, context: &SummaryContext<'_>) -> String {
    let mut by_asset: BTreeMap<&AssetId, Vec<Compared>> = BTreeMap::new();
    for step in view.ended(|_| true) {
        let all = by_asset.entry(&step.info.asset).or_default();
        all.extend_from_slice(&step.compared);
    }
    by_asset.retain(|_, compared| !compared.is_empty());
    let mut text = String::new();
    for (asset, compared) in by_asset {
        let table = (context.table_of)(asset);
        text += &format!("\n{table}: {}\n", comparison_text(&compared));
        for column in differing_columns(&compared) {
            text += &format!("  {column}\n");
        }
    }
    text
}

/// How many steps failed. Why was said when it happened, and is not said again.
fn failures(view: &RunView) -> String {
    let count_of = |wanted: fn(&Outcome) -> bool| view.ended(wanted).count() as u64;
    let interrupted = count_of(|outcome| *outcome == Outcome::Interrupted);
    let failed = count_of(|outcome| !outcome.succeeded()) - interrupted;
    let mut text = String::new();
    if failed > 0 {
        let steps = count(failed, "step");
        text += &format!(
            "\n{steps} failed; the cause is above, in the line that begins with `failed`\n"
        );
    }
    if interrupted > 0 {
        text += &format!("\n{} interrupted\n", count(interrupted, "step"));
    }
    text
}

fn not_started(view: &RunView) -> String {
    let number = view.skipped().count() as u64;
    if number == 0 {
        return String::new();
    }
    let mut text = format!("\n{} not started:\n", count(number, "step"));
    for asset in assets(view.skipped()) {
        text += &format!("  {asset}\n");
    }
    text
}

fn with_next(mut text: String, context: &SummaryContext<'_>) -> String {
    for command in &context.next {
        text += &format!("next: {command}\n");
    }
    text
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
