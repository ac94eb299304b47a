//! What `doctor` has looked at, for people.

use std::fmt::Write;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets::NOTHING};
use console::measure_text_width;
use serde::Serialize;

use crate::count;

/// What one check says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing to judge.
    Info,
    /// As it should be.
    Ok,
    /// Works, but may surprise.
    Warning,
    /// Does not work.
    Problem,
}

impl Verdict {
    fn mark(self) -> &'static str {
        match self {
            Self::Info | Self::Ok => "",
            Self::Warning => "!",
            Self::Problem => "x",
        }
    }
}

/// One line of a checkup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// What it belongs to, e.g. `machine`. Checks of one section follow each other.
    pub section: &'static str,
    /// What was looked at.
    pub name: String,
    /// What it says.
    pub verdict: Verdict,
    /// What was found.
    pub value: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    /// Something that was found, without a judgement.
    #[must_use]
    pub fn info(section: &'static str, name: &str, value: impl ToString) -> Self {
        Self::new(section, name, Verdict::Info, value)
    }

    /// What was found, judged.
    #[must_use]
    pub fn new(section: &'static str, name: &str, verdict: Verdict, value: impl ToString) -> Self {
        Self {
            section,
            name: name.to_owned(),
            verdict,
            value: value.to_string(),
            hint: None,
        }
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// How many checks have this verdict.
#[must_use]
pub fn having(checks: &[Check], verdict: Verdict) -> usize {
    let with = checks.iter().filter(|check| check.verdict == verdict);
    with.count()
}

/// Columns of a screen below which lines are not broken further.
const LEAST: usize = 40;

/// The checks by section, in lines of at most `width` columns: `x` marks a problem, `!` a warning.
#[must_use]
pub fn checkup(checks: &[Check], width: Option<usize>) -> String {
    let widths = checks.iter().map(|check| measure_text_width(&check.name));
    let names = widths.max().unwrap_or(0);
    let mut text = String::new();
    for of_section in checks.chunk_by(|one, next| one.section == next.section) {
        text.push_str(of_section[0].section);
        text.push('\n');
        text.push_str(&section(of_section, names, width));
    }
    let (problems, warnings) = (
        having(checks, Verdict::Problem),
        having(checks, Verdict::Warning),
    );
    let _ = writeln!(
        text,
        "{}, {}",
        count(problems as u64, "problem"),
        count(warnings as u64, "warning")
    );
    text
}

fn section(checks: &[Check], names: usize, width: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    match width {
        Some(width) => {
            let width = u16::try_from(width.max(LEAST)).unwrap_or(u16::MAX);
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    for check in checks {
        let hint = check.hint.as_ref().map(|hint| format!("\nhint: {hint}"));
        let value = format!("{}{}", check.value, hint.unwrap_or_default());
        table.add_row([check.verdict.mark(), check.name.as_str(), value.as_str()]);
    }
    let fixed = [1, names];
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at == 0 { 1 } else { 2 }));
        if let Some(&fixed) = fixed.get(at) {
            let padded = fixed + if at == 0 { 1 } else { 2 };
            let padded = u16::try_from(padded).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(padded)));
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Check> {
        vec![
            Check::info("chronon-run", "version", "0.1.0 (0123abcd)"),
            Check::new("machine", "open files", Verdict::Ok, "1024"),
            Check::new(
                "machine",
                "free space",
                Verdict::Problem,
                "12 MB of 20 GB are free on the file system of /srv/features/.chronon-run",
            )
            .hint("free some, or set `state_dir` under [workspace] to a folder elsewhere"),
            Check::new("Spark", "files", Verdict::Warning, "jars/evil.jar (added)"),
        ]
    }

    #[test]
    fn every_line_fits_the_screen() {
        for width in [40, 80, 120] {
            let text = checkup(&checks(), Some(width));
            for line in text.lines() {
                assert!(measure_text_width(line) <= width, "{width}: {line}");
            }
        }
        insta::assert_snapshot!(checkup(&checks(), Some(80)));
    }

    #[test]
    fn without_a_screen_no_value_is_broken() {
        let text = checkup(&checks(), None);
        assert!(
            text.contains("are free on the file system of /srv/features/.chronon-run\n"),
            "{text}"
        );
        assert_eq!(having(&checks(), Verdict::Problem), 1);
    }
}
