//! Plain columns.

use std::env;

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use console::{Term, measure_text_width};

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its header.
    pub name: &'static str,
    /// Which columns are left out first where the screen is too narrow: those with the highest
    /// number. Columns with 0 are never left out.
    pub leave_out: u8,
}

impl Column {
    /// The column `name`; see [`Column::leave_out`].
    #[must_use]
    pub const fn new(name: &'static str, leave_out: u8) -> Self {
        Self { name, leave_out }
    }
}

/// A table that fits a screen, as far as that is possible without cutting a cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fitted {
    /// The table.
    pub text: String,
    /// The headers of the columns that did not fit, in the order in which they were left out.
    pub left_out: Vec<&'static str>,
}

/// A table of at most `width` characters a line, or of any width without one.
#[must_use]
pub fn fitted(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Fitted {
    let natural: Vec<usize> = (0..columns.len())
        .map(|at| natural_width(columns[at].name, rows, at))
        .collect();
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let mut left_out = Vec::new();
    while let Some(width) = width {
        let total: usize = shown.iter().map(|&at| natural[at] + GAP).sum();
        if total.saturating_sub(GAP) <= width {
            break;
        }
        let last = shown
            .iter()
            .copied()
            .max_by_key(|&at| columns[at].leave_out);
        let Some(last) = last.filter(|&at| columns[at].leave_out > 0) else {
            break;
        };
        shown.retain(|&at| at != last);
        left_out.push(columns[last].name);
    }
    let headers: Vec<&str> = shown.iter().map(|&at| columns[at].name).collect();
    let cells = |row: &Vec<String>| {
        let cell = |&at: &usize| row.get(at).cloned().unwrap_or_default();
        shown.iter().map(cell).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    Fitted {
        text: table(&headers, &rows),
        left_out,
    }
}

/// Spaces between two columns.
const GAP: usize = 2;

fn natural_width(header: &str, rows: &[Vec<String>], at: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(at));
    let widths = cells.map(|cell| measure_text_width(cell));
    widths.max().unwrap_or(0).max(measure_text_width(header))
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
    fn columns_are_left_out_in_their_order_and_cells_are_never_cut() {
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
