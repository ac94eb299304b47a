//! Making text fit the width of a terminal.

use console::measure_text_width;

use crate::{StepView, can_redraw};

/// What stands for what was cut; every terminal has it.
const CUT: &str = "...";
/// Fewer columns than this are not fitted to.
const LEAST: usize = 20;
/// A name with fewer columns loses its beginning, the team, and days beside it their year: what is
/// left of both ends would be the same for many steps.
const SHORT: usize = 16;

/// The columns of the terminal that is stderr; `None` if it is none that lines are fitted to.
#[must_use]
pub fn terminal_width() -> Option<usize> {
    can_redraw().then(|| columns(console::Term::stderr().size().1))
}

fn columns(columns: u16) -> usize {
    usize::from(columns).max(LEAST)
}

/// A line that fits the terminal that is stderr, cut at its end if need be; anywhere else, and if
/// lines are not to be cut, as it is.
#[must_use]
pub fn fit_line(text: &str) -> String {
    match terminal_width() {
        Some(width) => console::truncate_str(text, width, CUT).into_owned(),
        None => text.to_owned(),
    }
}

/// `text` in at most `width` columns: what is in its middle goes first.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let Some(room) = width.checked_sub(CUT.len()).filter(|&room| room > 1) else {
        return console::truncate_str(text, width, "").into_owned();
    };
    let characters: Vec<char> = text.chars().collect();
    // Names end in what tells them apart, so the end gets the larger half.
    let (head, tail) = (room / 2, room - room / 2);
    let mut start: String = characters.iter().take(head).collect();
    let rest = characters.len().saturating_sub(tail);
    let mut end: String = characters[rest..].iter().collect();
    // Wide characters take more columns than their number.
    while measure_text_width(&start) > head {
        start.pop();
    }
    while measure_text_width(&end) > tail {
        end.remove(0);
    }
    format!("{start}{CUT}{end}")
}

/// The step's asset and days in at most `width` columns, if there is a width: whole, else without
/// what is usual, else with the name cut in its middle. The days are kept as long as there is
/// room for some of the name.
pub(crate) fn step_name(step: &StepView, width: Option<usize>) -> String {
    let name = step.name();
    match width {
        Some(width) if measure_text_width(&name) > width => shorten_name(&step.short_name(), width),
        _ => name,
    }
}

/// The same of a name and days that are two spaces apart.
pub(crate) fn shorten_name(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let Some(at) = text.find("  ") else {
        return shorten(text, width);
    };
    let (name, rest) = text.split_at(at);
    let room = |rest: &str| width.checked_sub(measure_text_width(rest));
    if let Some(room) = room(rest).filter(|&room| room >= SHORT) {
        return shorten(name, room) + rest;
    }
    let rest = without_year(rest);
    match room(&rest) {
        Some(room) if room >= 8.min(measure_text_width(name)) => end_of(name, room) + &rest,
        _ => shorten(text, width),
    }
}

/// `  2026-01-13..01-30` without its year; days of two years as they are.
fn without_year(rest: &str) -> String {
    let year = rest.get(2..7).filter(|year| year.ends_with('-'));
    match year {
        Some(year) if !rest[7..].contains("..2") => rest.replacen(year, "", 1),
        _ => rest.to_owned(),
    }
}

/// `text` in at most `width` columns: what is at its beginning goes first.
fn end_of(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let mut end = text;
    while measure_text_width(end) + CUT.len() > width {
        let mut rest = end.chars();
        rest.next();
        end = rest.as_str();
    }
    format!("{CUT}{end}")
}

/// `text` as lines of at most `width` columns, broken at spaces, each behind `indent`. A word that
/// is longer than a line stays whole.
pub(crate) fn wrap(text: &str, indent: &str, width: usize) -> String {
    let mut lines = vec![indent.to_owned()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| measure_text_width(line));
        let is_empty = line <= indent.len();
        if !is_empty && line + 1 + measure_text_width(word) > width {
            lines.push(indent.to_owned());
        } else if !is_empty && let Some(line) = lines.last_mut() {
            line.push(' ');
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_goes_first_and_the_width_is_kept() {
        let text = "stays.bookings.listing_daily_v1";
        assert_eq!(shorten(text, 31), text);
        assert_eq!(shorten(text, 20), "stays.bo..._daily_v1");
        for width in 0..40 {
            for text in [
                text,
                "\u{4e2d}\u{6587}\u{4e2d}\u{6587}\u{4e2d}\u{6587}\u{4e2d}\u{6587}",
                "a",
            ] {
                assert!(
                    measure_text_width(&shorten(text, width)) <= width,
                    "{width}"
                );
            }
        }
    }

    #[test]
    fn days_outlive_the_name() {
        let text = "stays.bookings.listing_daily_v1  2026-01-13..01-30";
        assert_eq!(shorten_name(text, 80), text);
        let short = shorten_name(text, 36);
        assert!(short.ends_with("_v1  2026-01-13..01-30"), "{short}");
        assert_eq!(measure_text_width(&short), 36);
        assert_eq!(shorten_name(text, 28), "...ng_daily_v1  01-13..01-30");
        let two_years = "stays.bookings.listing_daily_v1  2026-12-30..2027-01-02";
        assert_eq!(
            shorten_name(two_years, 34),
            "...aily_v1  2026-12-30..2027-01-02"
        );
        assert_eq!(
            shorten_name("a.b  2026-01-13  attempt 2", 22),
            "a.b  01-13  attempt 2"
        );
        for width in 20..40 {
            assert!(measure_text_width(&shorten_name(text, width)) <= width);
        }
        assert_eq!(measure_text_width(&shorten_name(text, 20)), 20);
    }

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrap("a bc def", "  ", 6), "  a bc\n  def");
        assert_eq!(wrap("", "  ", 6), "  ");
        assert_eq!(wrap("longer_than_it", "  ", 6), "  longer_than_it");
    }
}
