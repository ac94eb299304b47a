//! stdout is data, stderr is everything else.

use std::io::{self, IsTerminal, Write};

use chronon_run_core::{Diagnostic, shown::shown};
use chronon_run_export::{
    FEW_ASSETS, SUMMARY_COLUMNS, plan_text, summary_reasons, summary_rows, target_text, totals_text,
};
use chronon_run_plan::Plan;
use chronon_run_report::{
    Column, Fitted, above,
    diagnostics::{Colour, from_disk, render},
    fitted, screen_width,
};
use serde::Serialize;

use crate::{failure::Failure, options::Output};

/// Writes `text` to stdout, without anything that a terminal would obey.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut written = Ok(());
    above(|| {
        let mut out = anstream::stdout().lock();
        written = out
            .write_all(shown(text).as_bytes())
            .and_then(|()| out.flush());
    });
    Ok(written?)
}

/// A table that fits the screen. Columns that do not fit are named on stderr.
pub fn on_screen(columns: &[Column], rows: &[Vec<String>]) -> String {
    let width = screen_width();
    let Fitted { text, left_out } = fitted(columns, rows, width);
    if let (Some(width), false) = (width, left_out.is_empty()) {
        let names = left_out.join(", ");
        note(&format!(
            "left out at {width} columns: {names}; a wider terminal or --output json shows them"
        ));
    }
    text
}

/// Prints a plan as it was asked for; a plan of few assets is always shown with its `details`.
pub fn print_plan(
    plan: &Plan,
    output: Output,
    details: bool,
    commands: bool,
) -> Result<(), Failure> {
    match output {
        Output::Text => print(&plan_on_screen(plan, details, commands)),
        Output::Json => print(&json(plan)?),
    }
}

/// A plan for a person: the sums and a line for each asset, or all `details`. A plan of few assets is always
/// shown with its details; `commands` adds each step's command line to them.
fn plan_on_screen(plan: &Plan, details: bool, commands: bool) -> String {
    if details || commands || plan.assets.len() <= FEW_ASSETS {
        return plan_text(plan, commands);
    }
    let rows = summary_rows(plan);
    let used = |at: usize| at == 0 || rows.iter().any(|row| !row[at].is_empty());
    let used: Vec<usize> = (0..SUMMARY_COLUMNS.len()).filter(|&at| used(at)).collect();
    let columns: Vec<Column> = used
        .iter()
        .map(|&at| Column::new(SUMMARY_COLUMNS[at], u8::from(at >= FIRST_OPTIONAL)))
        .collect();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| used.iter().map(|&at| row[at].clone()).collect())
        .collect();
    let reasons = summary_reasons(plan);
    let gap = if reasons.is_empty() { "" } else { "\n" };
    let target = plan.target.as_ref().map(target_text).unwrap_or_default();
    format!(
        "{}\n{target}\n{}{gap}{reasons}\n`chronon-run plan --verbose`, or with a SELECTOR, shows the reason of each day and the steps\n",
        totals_text(plan),
        on_screen(&columns, &rows)
    )
}

/// Which of the summary's columns are left out where the screen is narrow: this one and those after it.
const FIRST_OPTIONAL: usize = 4;

/// `value` as indented JSON with a newline at its end.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(Failure::setup)?;
    text.push('\n');
    Ok(text)
}

/// `value` as JSON on one line.
pub fn line(value: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string(value).map_err(Failure::setup)?;
    text.push('\n');
    Ok(text)
}

/// Writes a line to stderr, which may have no reader.
pub fn note(text: &str) {
    let text = shown(text);
    above(|| {
        let _ = writeln!(anstream::stderr(), "{text}");
    });
}

/// Shows findings on stderr, with the text that they point at.
pub fn show(findings: &[Diagnostic]) {
    let text = render(findings, &from_disk, Colour::Yes);
    above(|| {
        let _ = write!(anstream::stderr(), "{text}");
    });
}

/// Asks on the terminal; fails where there is none.
pub fn agreed(question: &str) -> Result<bool, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::hinted(
            "confirmation is needed and there is no terminal",
            "add `--yes`",
        ));
    }
    note(question);
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Shows an error on stderr, with what to do next.
pub fn error(message: &str, hint: Option<&str>) {
    note(&format!("error: {message}"));
    if let Some(hint) = hint {
        note(&format!("hint: {hint}"));
    }
}
