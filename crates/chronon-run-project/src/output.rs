//! stdout is data, stderr is everything else.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use chronon_run_core::{Diagnostic, secret::mask_text, shown::shown};
use chronon_run_export::{
    FEW_ASSETS, SUMMARY_COLUMNS, assets_text, steps_text, summary_reasons, summary_rows,
    target_text, totals_text,
};
use chronon_run_plan::Plan;
use chronon_run_report::{
    Column, Fitted, To, above,
    diagnostics::{Colour, from_disk, render},
    error_columns, fitted, linked, output_columns, screen_width, wrapped,
};
use serde::Serialize;

use crate::{failure::Failure, options::Output, paging::Out, planning::estimates};

/// Writes `text` to stdout, without anything that a terminal would obey.
pub fn print(text: &str) -> Result<(), Failure> {
    put(&shown(text))
}

/// Writes to stdout what a terminal may obey.
fn put(text: &str) -> Result<(), Failure> {
    let mut written = Ok(());
    above(|| written = Out.show(text));
    Ok(written?)
}

/// Writes sentences to stdout, in the columns of the terminal if it is one.
pub fn say(text: &str) -> Result<(), Failure> {
    print(&wrapped(text, output_columns()))
}

/// A table that fits the screen, without colours. Columns that do not fit are named on stderr.
pub fn on_screen(columns: &[Column], rows: &[Vec<String>]) -> String {
    fit(columns, rows).text
}

/// A table that fits the screen. Columns that do not fit are named on stderr.
fn fit(columns: &[Column], rows: &[Vec<String>]) -> Fitted {
    let width = screen_width();
    let table = fitted(columns, rows, width);
    if let (Some(width), false) = (width, table.left_out.is_empty()) {
        let names = table.left_out.join(", ");
        note(&format!(
            "left out at {width} columns: {names}; a wider terminal or --output json shows them"
        ));
    }
    table
}

/// Lines that begin with a state.
const OF_STATES: Column = Column::new("state", 0).of_states();
/// Lines that list states.
const OF_LISTS: Column = Column::new("states", 0).of_lists();

/// Sentences and tables for stdout, with the colours of states. Sentences are broken between words where the
/// screen is too narrow, tables are not. What comes from names, logs and settings cannot tell a terminal
/// anything: colours are added after control characters were removed.
#[derive(Default)]
pub struct Page(String);

impl Page {
    /// Adds sentences without colours.
    pub fn say(&mut self, text: &str) {
        self.add(text, str::to_owned);
    }

    /// Adds lines. The states that they begin with have their colours.
    pub fn say_by_state(&mut self, text: &str) {
        self.add(text, |line| OF_STATES.colour(line));
    }

    /// Adds lines. All states in them have their colours.
    pub fn list_states(&mut self, text: &str) {
        self.add(text, |line| OF_LISTS.colour(line));
    }

    /// Adds lines that stay whole, such as commands.
    pub fn whole(&mut self, text: &str) {
        self.0 += &shown(text);
    }

    /// Adds a table that fits the screen. Columns that do not fit are named on stderr.
    pub fn table(&mut self, columns: &[Column], rows: &[Vec<String>]) {
        self.0 += &fit(columns, rows).coloured;
    }

    /// Writes everything to stdout.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn print(self) -> Result<(), Failure> {
        put(&self.0)
    }

    /// What is on it.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    fn add(&mut self, text: &str, colour: impl Fn(&str) -> String) {
        let text = addressed(&shown(text));
        let lines: Vec<String> = text.split('\n').map(colour).collect();
        self.0 += &wrapped(&lines.join("\n"), output_columns());
    }
}

/// Prints a plan as it was asked for, with its estimates; a plan of few assets is always shown with its
/// `details`.
pub fn print_plan(
    plan: &Plan,
    output: Output,
    details: bool,
    commands: bool,
) -> Result<(), Failure> {
    if output == Output::Json {
        return print(&json(plan)?);
    }
    let mut page = Page::default();
    page.list_states(&format!("{}\n", totals_text(plan)));
    page.say(&estimates::headline(plan));
    page.say(&plan.target.as_ref().map(target_text).unwrap_or_default());
    match details || commands || plan.assets.len() <= FEW_ASSETS {
        true => add_details(&mut page, plan, commands),
        false => add_summary(&mut page, plan),
    }
    page.print()
}

/// The days of each asset by reason, the steps, and what is expected of them.
fn add_details(page: &mut Page, plan: &Plan, commands: bool) {
    page.say_by_state(&assets_text(plan));
    let steps = steps_text(plan, commands);
    match commands {
        true => page.whole(&steps),
        false => page.say(&steps),
    }
    page.say(&estimates::text(plan));
}

/// A line for each asset, then what is left open and why.
fn add_summary(page: &mut Page, plan: &Plan) {
    let (columns, rows) = summary_table(plan);
    page.say("\n");
    page.table(&columns, &rows);
    let reasons = summary_reasons(plan);
    let gap = if reasons.is_empty() { "" } else { "\n" };
    page.say_by_state(&format!("{gap}{reasons}"));
    page.say(
        "\n`chronon-run plan --verbose`, or with a SELECTOR, shows the reason of each day and the steps\n",
    );
}

/// The columns of a plan's summary that are not empty, and a row for each asset.
fn summary_table(plan: &Plan) -> (Vec<Column>, Vec<Vec<String>>) {
    let mut rows = summary_rows(plan);
    let mut expected = estimates::by_asset(plan);
    for (row, asset) in rows.iter_mut().zip(&plan.assets) {
        row.push(expected.remove(&asset.asset).unwrap_or_default());
    }
    let is_used = |at: usize| at == 0 || rows.iter().any(|row| !row[at].is_empty());
    let used: Vec<usize> = (0..=SUMMARY_COLUMNS.len())
        .filter(|&at| is_used(at))
        .collect();
    let columns = used.iter().map(|&at| summary_column(at)).collect();
    let rows = rows
        .iter()
        .map(|row| used.iter().map(|&at| row[at].clone()).collect())
        .collect();
    (columns, rows)
}

/// Column `at` of a plan's summary: those of [`SUMMARY_COLUMNS`], then what the steps are expected to take. On
/// narrow screens the last day that runs is left out first, then the first, then days done and excluded, then
/// what is expected.
fn summary_column(at: usize) -> Column {
    let Some(&name) = SUMMARY_COLUMNS.get(at) else {
        return Column::new("expected", 1);
    };
    match name {
        "asset" => Column::id(name),
        "excluded" => Column::new(name, 2).of_counts(),
        "done" => Column::new(name, 3).of_counts(),
        "from" => Column::new(name, 4),
        "to" => Column::new(name, 5),
        _ => Column::new(name, 0).of_counts(),
    }
}

/// `value` as JSON on one line, with a newline at its end.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string(value).map_err(Failure::setup)?;
    text.push('\n');
    Ok(text)
}

/// Version of the documents of [`document`] and [`list`].
const JSON_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a, T> {
    version: u32,
    #[serde(flatten)]
    content: &'a T,
}

/// The JSON document that a command prints: `version` and the fields of `content`, which is a struct or a map.
pub fn document(content: &impl Serialize) -> Result<String, Failure> {
    let version = JSON_VERSION;
    json(&Document { version, content })
}

/// The JSON document of a command that prints a list: `version`, and the items as `name`.
pub fn list(name: &str, items: &[impl Serialize]) -> Result<String, Failure> {
    document(&BTreeMap::from([(name, items)]))
}

/// The target that the command is for, if it is for one.
static TARGET: OnceLock<String> = OnceLock::new();

/// From now on, commands that notes and hints name are those for this target.
pub fn for_target(name: &str) {
    let _ = TARGET.set(name.to_owned());
}

/// The text with the commands that it names as they are typed for the target that this command is for.
pub fn addressed(text: &str) -> String {
    match TARGET.get() {
        Some(target) => with_target(text, target),
        None => text.to_owned(),
    }
}

/// Commands that take `--target`.
const OF_TARGETS: [&str; 12] = [
    "check",
    "diff",
    "logs",
    "ls",
    "materialize",
    "plan",
    "report",
    "retry",
    "runs",
    "show",
    "sql",
    "status",
];

fn with_target(text: &str, target: &str) -> String {
    let one = |(number, part): (usize, &str)| {
        let words = part.strip_prefix("chronon-run ").unwrap_or_default();
        let command = words.split_whitespace().next().unwrap_or_default();
        // Every second part stands between backquotes.
        let is_command = number % 2 == 1 && OF_TARGETS.contains(&command);
        match is_command && !words.contains("--target") && !words.starts_with("runs prune") {
            true => format!("{part} --target {target}"),
            false => part.to_owned(),
        }
    };
    let parts: Vec<String> = text.split('`').enumerate().map(one).collect();
    parts.join("`")
}

/// Writes a line to stderr, which may have no reader; several in the columns of a terminal if it is too long.
/// Secrets are masked: it may quote a program, a log or a setting.
pub fn note(text: &str) {
    let text = wrapped(&addressed(&shown(&mask_text(text))), error_columns());
    above(|| {
        let _ = writeln!(anstream::stderr(), "{}", linked(&text, To::Stderr));
    });
}

/// Shows findings on stderr, with the text that they point at.
pub fn show(findings: &[Diagnostic]) {
    let text = render(findings, &from_disk, Colour::Yes, error_columns());
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

/// Shows why a command failed, with what to do next. What was shown when it happened is not repeated.
pub fn failure(failure: &Failure) {
    match failure {
        Failure::Findings(findings) => show(findings),
        Failure::OutOfReach { message } => error(message, None),
        Failure::Differs { message } => {
            error(message, Some("run the same command without `--check`"))
        }
        Failure::Setup { message, hint } => error(message, hint.as_deref()),
        Failure::NotFilled { message, hint } => error(message, Some(hint)),
        Failure::Locked { message } => error(message, Some("wait for it to end, or stop it")),
        Failure::StepFailed
        | Failure::Found
        | Failure::Waiting
        | Failure::Interrupted(_)
        | Failure::BrokenPipe => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_hints_are_those_of_the_target() {
        let text = "`chronon-run plan x@2026-01-01` shows why; `chronon-run engine install` installs; \
                    `chronon-run compare a --target b`, `chronon-run runs`, `plan`";
        let wanted = "`chronon-run plan x@2026-01-01 --target dev` shows why; `chronon-run engine install` installs; \
                      `chronon-run compare a --target b`, `chronon-run runs --target dev`, `plan`";
        assert_eq!(with_target(text, "dev"), wanted);
    }
}
