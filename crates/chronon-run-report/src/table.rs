//! Plain columns.

use std::{collections::BTreeSet, env};

use chronon_run_core::shown::shown;
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use console::{Term, measure_text_width};

use crate::{colour::Paint, fit::shorten};

/// Columns as wide as their widest cell, two spaces between them, no lines and no trailing
/// spaces; `headers` is the first row unless
/// there are none. Ends with a line end unless it is empty.
#[must_use]
pub fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .add_rows(rows);
    if !headers.is_empty() {
        table.set_header(headers);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// A column of a table that is shown on a screen.
///
/// A table that is wider than the screen is made narrower in this order, until it fits:
///
/// 1. The ids in its id column ([`Column::id`]) are cut in their middle, to 44 characters at least, if
///    that is enough and no two of them look the same afterwards.
/// 2. The column with the highest [`Column::leave_out`] is left out, then 1 is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its header.
    pub name: &'static str,
    /// Which columns are left out first where the screen is too narrow: those with the highest
    /// number. Columns with 0 are never left out.
    pub leave_out: u8,
    is_id: bool,
    paint: Paint,
}

impl Column {
    /// The column `name`; see [`Column::leave_out`].
    #[must_use]
    pub const fn new(name: &'static str, leave_out: u8) -> Self {
        Self {
            name,
            leave_out,
            is_id: false,
            paint: Paint::Plain,
        }
    }

    /// A column of ids, which is never left out; on narrow screens ids are cut in their middle.
    #[must_use]
    pub const fn id(name: &'static str) -> Self {
        let column = Self::new(name, 0);
        Self {
            is_id: true,
            ..column
        }
    }

    const fn painted(self, paint: Paint) -> Self {
        Self { paint, ..self }
    }

    /// The same; its cells are states or begin with one, and have their colours.
    #[must_use]
    pub const fn of_states(self) -> Self {
        self.painted(Paint::State)
    }

    /// The same; its cells list states, as in `3 waiting, 1 failed`, and these have their colours.
    #[must_use]
    pub const fn of_lists(self) -> Self {
        self.painted(Paint::States)
    }

    /// The same; its cells count what has the state that is its name, and have the colour of that state.
    #[must_use]
    pub const fn of_counts(self) -> Self {
        self.painted(Paint::Count)
    }

    /// The same; its cells say how attempts ended, and have the colours of success and failure.
    #[must_use]
    pub const fn of_outcomes(self) -> Self {
        self.painted(Paint::Outcome)
    }

    /// The same; its cells are bars of days, and have the colours of their states.
    #[must_use]
    pub const fn of_bars(self) -> Self {
        self.painted(Paint::Bar)
    }

    /// A line of text in the colours of a cell of this column. Control characters must not be in it.
    #[must_use]
    pub fn colour(self, line: &str) -> String {
        self.paint.cell(self.name, line)
    }
}

/// A table that fits a screen, as far as that is possible.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fitted {
    /// The table, without anything that a terminal would obey.
    pub text: String,
    /// The same with the colours of its columns.
    pub coloured: String,
    /// The headers of the columns that did not fit, in the order in which they were left out.
    pub left_out: Vec<&'static str>,
}

/// A table of at most `width` characters a line, or of any width without one; see [`Column`].
#[must_use]
pub fn fitted(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Fitted {
    let mut table = Narrowing {
        columns,
        rows: rows.iter().map(|row| cells(row, columns.len())).collect(),
        shown: (0..columns.len()).collect(),
    };
    let left_out = match width {
        Some(width) => table.narrow(width),
        None => Vec::new(),
    };
    Fitted {
        text: table.text(|_, cell| cell.to_owned()),
        coloured: table.text(|column, cell| column.colour(cell)),
        left_out,
    }
}

/// The cells of a row, each on one line and without anything that a terminal would obey.
fn cells(row: &[String], number: usize) -> Vec<String> {
    let cell = |at: usize| {
        let text = row.get(at).map(String::as_str).unwrap_or_default();
        shown(text.trim_end()).replace(['\n', '\t'], " ")
    };
    (0..number).map(cell).collect()
}

/// Spaces between two columns.
const GAP: usize = 2;
/// Ids are not cut to fewer characters.
const LEAST_ID: usize = 44;

/// A table that is made narrower.
struct Narrowing<'a> {
    columns: &'a [Column],
    rows: Vec<Vec<String>>,
    /// The columns that are not left out.
    shown: Vec<usize>,
}

impl Narrowing<'_> {
    /// Makes the table fit `width`, as far as that is possible. Returns the columns that were left out.
    fn narrow(&mut self, width: usize) -> Vec<&'static str> {
        let mut left_out = Vec::new();
        while !self.fits(width) {
            let shown = self.shown.iter().copied();
            let last = shown.max_by_key(|&at| self.columns[at].leave_out);
            let Some(last) = last.filter(|&at| self.columns[at].leave_out > 0) else {
                break;
            };
            self.shown.retain(|&at| at != last);
            left_out.push(self.columns[last].name);
        }
        left_out
    }

    /// Whether the table fits `width`. Cuts ids if it does then.
    fn fits(&mut self, width: usize) -> bool {
        let widths = self.shown.iter().map(|&at| self.width_of(at) + GAP);
        let total = widths.sum::<usize>().saturating_sub(GAP);
        total <= width || self.ids_are_cut_by(total - width)
    }

    fn ids_are_cut_by(&mut self, excess: usize) -> bool {
        let mut shown = self.shown.iter().copied();
        let Some(at) = shown.find(|&at| self.columns[at].is_id) else {
            return false;
        };
        let room = self.width_of(at).checked_sub(excess);
        let Some(room) = room.filter(|&room| room >= LEAST_ID) else {
            return false;
        };
        let whole = self.rows.iter().map(|row| &row[at]);
        let short: Vec<String> = whole.clone().map(|id| shorten(id, room)).collect();
        if different(short.iter()) < different(whole) {
            return false;
        }
        for (row, id) in self.rows.iter_mut().zip(short) {
            row[at] = id;
        }
        true
    }

    fn width_of(&self, at: usize) -> usize {
        let cells = self.rows.iter().map(|row| measure_text_width(&row[at]));
        let header = measure_text_width(self.columns[at].name);
        cells.max().unwrap_or(0).max(header)
    }

    /// The lines, with cells as `paint` shows them.
    fn text(&self, paint: impl Fn(Column, &str) -> String) -> String {
        let widths: Vec<usize> = self.shown.iter().map(|&at| self.width_of(at)).collect();
        let line = |cell: &dyn Fn(usize) -> (String, usize)| {
            let mut line = String::new();
            let mut gap = 0;
            for (&at, width) in self.shown.iter().zip(&widths) {
                let (cell, taken) = cell(at);
                if taken > 0 {
                    line += &" ".repeat(gap);
                    line += &cell;
                    gap = 0;
                }
                gap += width - taken + GAP;
            }
            line + "\n"
        };
        let header = |at: usize| {
            let name = self.columns[at].name;
            (name.to_owned(), measure_text_width(name))
        };
        let rows = self.rows.iter().map(|row| {
            line(&|at| {
                let cell = &row[at];
                (paint(self.columns[at], cell), measure_text_width(cell))
            })
        });
        line(&header) + &rows.collect::<String>()
    }
}

fn different<'a>(texts: impl Iterator<Item = &'a String>) -> usize {
    texts.collect::<BTreeSet<_>>().len()
}

/// How many characters a line of stdout may have: `COLUMNS` if it is exported, else the width of the
/// terminal; `None` if stdout is a file or a pipe.
#[must_use]
pub fn screen_width() -> Option<usize> {
    let exported = env::var("COLUMNS").ok();
    let exported = exported.and_then(|text| text.trim().parse().ok());
    exported.filter(|&columns| columns > 0).or_else(|| {
        let terminal = Term::stdout();
        let size = terminal.is_term().then(|| terminal.size_checked());
        size.flatten().map(|(_, columns)| usize::from(columns))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    #[test]
    fn columns_line_up() {
        let text = table(
            &["asset", "days"],
            &[row(&["a.long.name", "1"]), row(&["b", ""])],
        );
        insta::assert_snapshot!(text, @r"
        asset        days
        a.long.name  1
        b
        ");
    }

    #[test]
    fn ids_are_cut_before_a_column_is_left_out() {
        let columns = [Column::id("asset"), Column::new("run", 1)];
        let long = "group_by/team.a_long_name_of_a_table_that_is_long_v1/backfill";
        let at = |width, ids: [&str; 2]| {
            let rows = ids.map(|id| row(&[id, "10"]));
            fitted(&columns, &rows, Some(width))
        };
        let rows = [long, "b"];
        insta::assert_snapshot!(at(54, rows).text, @r"
        asset                                              run
        group_by/team.a_long_na...hat_is_long_v1/backfill  10
        b                                                  10
        ");
        assert_eq!(at(49, rows).left_out, [""; 0]);
        assert_eq!(at(48, rows).left_out, ["run"]);
        // What tells them apart is where they would be cut.
        let twin = "group_by/team.a_long_name_of_a_fable_that_is_long_v1/backfill";
        let alike = at(54, [long, twin]);
        assert_eq!(alike.left_out, ["run"]);
        assert_eq!(alike.text, format!("asset\n{long}\n{twin}\n"));
    }

    #[test]
    fn a_cell_cannot_tell_a_terminal_anything() {
        let columns = [Column::id("asset"), Column::new("state", 0).of_states()];
        let rows = [row(&["a\x1b[2J\nb", "failed"]), row(&["c", ""])];
        let found = fitted(&columns, &rows, None);
        assert_eq!(
            found.text,
            "asset         state\na\\u001b[2J b  failed\nc\n"
        );
        // Nothing but the colours of the state is added.
        let plain = found
            .coloured
            .replace("\x1b[31m\x1b[1mfailed\x1b[0m", "failed");
        assert_eq!(plain, found.text);
    }

    #[test]
    fn columns_are_left_out_in_their_order_and_other_cells_are_never_cut() {
        let columns = [
            Column::new("asset", 0),
            Column::new("table", 1),
            Column::new("inputs", 2),
        ];
        let rows = [row(&["a.long.name", "ns.table", "lake.äöü"])];
        let at = |width| fitted(&columns, &rows, width);
        assert_eq!(at(None).left_out, [""; 0]);
        assert_eq!(at(Some(31)).left_out, [""; 0]);
        assert_eq!(at(Some(30)).left_out, ["inputs"]);
        assert_eq!(at(Some(20)).left_out, ["inputs", "table"]);
        assert_eq!(at(Some(3)).text, "asset\na.long.name\n");
    }
}
