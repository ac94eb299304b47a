//! Which streams carry colours: one answer for everything that makes them. And the colours of states.

use std::{ffi::OsString, io};

use anstream::{AutoStream, ColorChoice};
use console::Style;

/// Decides for the whole process. Without an answer of the user, a stream has colours if it is a terminal
/// that shows them (not `TERM=dumb`) and neither `NO_COLOR` nor `CLICOLOR=0` is set, or if
/// `CLICOLOR_FORCE` is set.
pub fn set_colours(wanted: Option<bool>) {
    let choice = match wanted {
        None => ColorChoice::Auto,
        Some(true) => ColorChoice::Always,
        Some(false) => ColorChoice::Never,
    };
    choice.write_global();
    let has = |choice| choice != ColorChoice::Never;
    console::set_colors_enabled(has(AutoStream::choice(&io::stdout())));
    console::set_colors_enabled_stderr(has(AutoStream::choice(&io::stderr())));
}

/// What `--color` says among arguments that are not parsed yet, for help and errors, as [`set_colours`] takes it.
#[must_use]
pub fn colours_in(arguments: impl Iterator<Item = OsString>) -> Option<bool> {
    let mut arguments = arguments.take_while(|argument| argument != "--");
    let mut said = None;
    while let Some(argument) = arguments.next() {
        said = match argument.to_str() {
            Some("--color") => arguments.next().and_then(|word| word.into_string().ok()),
            Some(text) => text.strip_prefix("--color=").map(str::to_owned).or(said),
            None => said,
        };
    }
    match said.as_deref() {
        Some("always") => Some(true),
        Some("never") => Some(false),
        _ => None,
    }
}

/// Which colours the cells of a column have. They are written whether or not the stream shows colours:
/// `anstream` removes them where it does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Paint {
    /// None.
    Plain,
    /// A cell is a state, or begins with one.
    State,
    /// A cell lists states: `3 waiting, 1 failed`.
    States,
    /// A cell counts what has the state that the header names.
    Count,
    /// A cell says how an attempt ended: anything but success and interruption is a failure.
    Outcome,
    /// A cell is a bar of days.
    Bar,
}

impl Paint {
    /// A cell of the column `header` with its colours. `text` must not contain control characters.
    pub(crate) fn cell(self, header: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::State => first_word(text),
            Self::States => every_state(text),
            Self::Count if text == "0" => text.to_owned(),
            Self::Count => in_colour_of(header, text),
            Self::Outcome => in_colour_of(outcome_state(text), text),
            Self::Bar => bar(text),
        }
    }
}

/// `text` in the colour of a state; as it is if there is no such state.
fn in_colour_of(state: &str, text: &str) -> String {
    let style = Style::new().force_styling(true);
    let style = match state {
        "done" | "filled" | "complete" | "succeeded" => style.green(),
        "failed" | "crashed" => style.red().bold(),
        "stale" | "waiting" | "blocked" | "stopped" | "interrupted" => style.yellow(),
        "excluded" => style.dim(),
        "run" | "missing" | "running" => style.cyan(),
        _ => return text.to_owned(),
    };
    style.apply_to(text).to_string()
}

/// The state that stands for how an attempt ended.
fn outcome_state(outcome: &str) -> &'static str {
    let begins = |words: &[&str]| words.iter().any(|word| outcome.starts_with(word));
    match outcome {
        "" => "",
        _ if begins(&["succeeded"]) => "succeeded",
        _ if begins(&["interrupted", "not ", "unfinished", "killed with its run"]) => "interrupted",
        _ => "failed",
    }
}

/// The line with its first word in the colour of the state that it is, if it is one.
fn first_word(line: &str) -> String {
    let text = line.trim_start_matches(' ');
    let (indent, word) = (&line[..line.len() - text.len()], text.split(' ').next());
    let word = word.unwrap_or_default();
    let rest = &text[word.len()..];
    format!("{indent}{}{rest}", in_colour_of(word, word))
}

/// The line with every state in its colour.
fn every_state(line: &str) -> String {
    let words = line.split_inclusive(' ').map(|part| {
        let word = part.trim_end_matches([' ', ',', ';', ':']);
        in_colour_of(word, word) + &part[word.len()..]
    });
    words.collect()
}

/// A bar with each run of equal states in its colour.
fn bar(text: &str) -> String {
    let mut painted = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let state = state_of_mark(first);
        let end = rest.find(|mark| state_of_mark(mark) != state);
        let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
        painted += &in_colour_of(state, run);
        rest = after;
    }
    painted
}

fn state_of_mark(mark: char) -> &'static str {
    match mark {
        '#' | '▓' | '▒' | '░' => "done",
        '~' => "stale",
        '.' => "waiting",
        '-' => "missing",
        '!' => "failed",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_the_same_colour_in_every_column() {
        let (red, green) = ("\x1b[31m\x1b[1m", "\x1b[32m");
        let of = |paint: Paint, text| paint.cell("failed", text);
        assert_eq!(of(Paint::State, "failed"), format!("{red}failed\x1b[0m"));
        assert_eq!(of(Paint::Count, "2"), format!("{red}2\x1b[0m"));
        assert_eq!(of(Paint::Count, "0"), "0");
        let code = of(Paint::Outcome, "exit code 1");
        assert_eq!(code, format!("{red}exit code 1\x1b[0m"));
        let bar = format!("{green}##\x1b[0m {red}!\x1b[0m");
        assert_eq!(of(Paint::Bar, "## !"), bar);
        assert_eq!(of(Paint::Outcome, ""), "");
        assert_eq!(of(Paint::Plain, "failed"), "failed");
        assert_eq!(of(Paint::State, "nothing yet"), "nothing yet");
    }

    #[test]
    fn words_of_lines_are_coloured_only_where_they_are_states() {
        let waiting = "\x1b[33mwaiting\x1b[0m";
        assert_eq!(
            first_word("  waiting   2026-01-01: waiting"),
            format!("  {waiting}   2026-01-01: waiting")
        );
        assert_eq!(first_word("waits"), "waits");
        let line = every_state("  join/failed.x/backfill: waiting 2026-01-01; 3 waiting, 1");
        assert_eq!(
            line,
            format!("  join/failed.x/backfill: {waiting} 2026-01-01; 3 {waiting}, 1")
        );
    }

    #[test]
    fn the_last_choice_of_colours_before_two_dashes_counts() {
        let of = |words: &str| colours_in(words.split(' ').map(OsString::from));
        assert_eq!(of("plan"), None);
        assert_eq!(of("--color never plan"), Some(false));
        assert_eq!(of("plan --color=always"), Some(true));
        assert_eq!(of("--color=never --color always"), Some(true));
        assert_eq!(of("plan -- --color=never"), None);
        assert_eq!(of("plan --color purple"), None);
    }
}
