//! stdout is data, stderr is everything else.

use std::{
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use chronon_run_core::{Diagnostic, secret::mask_text, shown::shown};
use chronon_run_export::{
    FEW_ASSETS, SUMMARY_COLUMNS, plan_text, summary_reasons, summary_rows, target_text, totals_text,
};
use chronon_run_plan::Plan;
use chronon_run_report::{
    Column, Fitted, above,
    diagnostics::{Colour, from_disk, render},
    error_columns, fitted, output_columns, screen_width, wrapped,
};
use serde::Serialize;

use crate::{failure::Failure, options::Output, planning::estimates};

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

/// Writes sentences to stdout, in the columns of the terminal if it is one.
pub fn say(text: &str) -> Result<(), Failure> {
    print(&wrapped(text, output_columns()))
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
    let details = details || commands || plan.assets.len() <= FEW_ASSETS;
    let text = match details {
        true => plan_text(plan, commands),
        false => summary_on_screen(plan),
    };
    match commands {
        true => print(&addressed(&text))?,
        false => say(&addressed(&text))?,
    }
    say(&estimates::text(plan, details))
}

/// A plan for a person without details: the sums and a line for each asset.
fn summary_on_screen(plan: &Plan) -> String {
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
        let _ = writeln!(anstream::stderr(), "{text}");
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
