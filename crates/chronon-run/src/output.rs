//! stdout is data, stderr is everything else.

use std::io::{self, IsTerminal, Write};

use chronon_run_core::{Diagnostic, shown::shown};
use chronon_run_report::{
    Column, Fitted, above,
    diagnostics::{Colour, from_disk, render},
    fitted, screen_width,
};
use serde::Serialize;

use crate::failure::Failure;

/// Writes `text` to stdout, without anything that a terminal would obey.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
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
pub(crate) fn on_screen(columns: &[Column], rows: &[Vec<String>]) -> String {
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

/// `value` as indented JSON with a newline at its end.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(Failure::setup)?;
    text.push('\n');
    Ok(text)
}

/// `value` as JSON on one line.
pub(crate) fn line(value: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string(value).map_err(Failure::setup)?;
    text.push('\n');
    Ok(text)
}

/// Writes a line to stderr, which may have no reader.
pub(crate) fn note(text: &str) {
    let text = shown(text);
    above(|| {
        let _ = writeln!(anstream::stderr(), "{text}");
    });
}

/// Shows findings on stderr, with the text that they point at.
pub(crate) fn show(findings: &[Diagnostic]) {
    let text = render(findings, &from_disk, Colour::Yes);
    above(|| {
        let _ = write!(anstream::stderr(), "{text}");
    });
}

/// Asks on the terminal; fails where there is none.
pub(crate) fn agreed(question: &str) -> Result<bool, Failure> {
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
pub(crate) fn error(message: &str, hint: Option<&str>) {
    note(&format!("error: {message}"));
    if let Some(hint) = hint {
        note(&format!("hint: {hint}"));
    }
}
