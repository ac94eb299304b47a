//! Sentences in the columns of a terminal. A terminal breaks a long line in the middle of a word.

use std::io::IsTerminal;

use console::{Term, measure_text_width};

use crate::table::screen_width;

/// Fewer columns than this are not fitted to.
const LEAST: usize = 20;
/// How much further than the beginning of its line a continued line begins.
const HANG: usize = 2;

/// Lines that are a command or a path behind a label. They stay whole, so that they can be copied.
const COPIED: [&str; 2] = ["next: ", "logs: "];

/// The columns of the terminal that is stderr, or `None`.
#[must_use]
pub fn error_columns() -> Option<usize> {
    columns(&Term::stderr(), std::io::stderr().is_terminal())
}

/// The columns of stdout, as [`screen_width`] has them, or `None`.
#[must_use]
pub fn output_columns() -> Option<usize> {
    screen_width().map(|columns| columns.max(LEAST))
}

/// The lines of the terminal that is stdout, or `None`.
#[must_use]
pub fn screen_rows() -> Option<usize> {
    let size = Term::stdout().size_checked();
    size.map(|(rows, _)| usize::from(rows))
}

fn columns(terminal: &Term, is_terminal: bool) -> Option<usize> {
    let size = is_terminal.then(|| terminal.size_checked()).flatten();
    size.map(|(_, columns)| usize::from(columns).max(LEAST))
}

/// `text` with the lines that are longer than `width` broken between words. What is between backticks is
/// one word if it fits a line. Without a width, and for words that are longer than a line, as it is.
#[must_use]
pub fn wrapped(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) => broken(text, width, HANG),
        None => text.to_owned(),
    }
}

/// The same, with lines that go on `hang` columns further than they began.
pub(crate) fn broken(text: &str, width: usize, hang: usize) -> String {
    let lines = text.split('\n').map(|line| wrap_line(line, width, hang));
    lines.collect::<Vec<_>>().join("\n")
}

fn wrap_line(line: &str, width: usize, hang: usize) -> String {
    let is_copied = COPIED.iter().any(|label| line.starts_with(label));
    if is_copied || measure_text_width(line) <= width {
        return line.to_owned();
    }
    let start = line.len() - line.trim_start_matches(' ').len();
    let indent = " ".repeat((start + hang).min(width / 2));
    let mut text = String::new();
    let mut column = 0;
    let mut is_begun = false;
    for (gap, word) in words(line, width - indent.len()) {
        let (gap_width, word_width) = (gap.len(), measure_text_width(word));
        if is_begun && column + gap_width + word_width > width {
            text += "\n";
            text += &indent;
            column = indent.len() + word_width;
        } else {
            text += gap;
            column += gap_width + word_width;
        }
        text += word;
        is_begun = true;
    }
    text
}

/// The words of a line, each with the spaces before it. A quoted piece of at most `room` columns is one word.
fn words(line: &str, room: usize) -> Vec<(&str, &str)> {
    let mut words = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let begin = rest.len() - rest.trim_start_matches(' ').len();
        let (gap, after) = rest.split_at(begin);
        let (word, after) = after.split_at(word_end(after, room));
        words.push((gap, word));
        rest = after;
    }
    words
}

/// Where the first word of `text` ends.
fn word_end(text: &str, room: usize) -> usize {
    let next_space = |from: usize| text[from..].find(' ').map_or(text.len(), |at| from + at);
    let end = next_space(0);
    let Some(open) = text[..end].find('`') else {
        return end;
    };
    let Some(close) = text[open + 1..].find('`') else {
        return end;
    };
    let whole = next_space(open + 1 + close);
    match measure_text_width(&text[..whole]) <= room {
        true => whole.max(end),
        false => end,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_lines_are_broken_between_words_and_quoted_commands_are_not() {
        let text = "hint: `chronon-run plan --verbose`, or with a SELECTOR, shows the reason of each day\n  short";
        insta::assert_snapshot!(wrapped(text, Some(40)), @r"
        hint: `chronon-run plan --verbose`, or
          with a SELECTOR, shows the reason of
          each day
          short
        ");
        insta::assert_snapshot!(wrapped("look at `chronon-run plan --verbose`", Some(30)), @r"
        look at
          `chronon-run plan --verbose`
        ");
        assert_eq!(wrapped(text, None), text);
        let command = "next: chronon-run logs staging_query/team.two/backfill";
        assert_eq!(wrapped(command, Some(40)), command);
        assert_eq!(
            wrapped("a_word_longer_than_the_line\n", Some(20)),
            "a_word_longer_than_the_line\n"
        );
    }

    #[test]
    fn columns_stay_apart_and_continued_lines_are_indented() {
        let line = "  waiting   2026-01-01 (1 day): waits for src.events (left)";
        insta::assert_snapshot!(wrapped(line, Some(40)), @"
          waiting   2026-01-01 (1 day): waits
            for src.events (left)
        ");
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_line_of_short_words_is_too_long(
            text in "([a-z`]{1,9}[ ]{1,2}){0,30}", width in 20_usize..90
        ) {
            let shown = wrapped(&text, Some(width));
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&shown), words(&text));
            for line in shown.lines() {
                prop_assert!(measure_text_width(line.trim_end()) <= width, "{line:?}");
            }
        }
    }
}
