//! Rows for a screen: a table if it fits, else one record below another.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::NOTHING};

use crate::{Column, SparkType, Value, text};

/// Cells of a table are cut here: one long text must not push all others off the screen.
const WIDEST: usize = 40;
/// Between two columns.
const GAP: usize = 2;

/// The rows as text, no line wider than `width`.
pub(crate) fn table(columns: &[Column], rows: &[Vec<Value>], width: Option<usize>) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(text::on_screen).collect())
        .collect();
    let Some(width) = width else {
        return aligned(columns, &cells);
    };
    let cut_cells: Vec<Vec<String>> = cells
        .iter()
        .map(|row| row.iter().map(|text| cut(text, WIDEST)).collect())
        .collect();
    match natural_width(columns, &cut_cells) <= width || rows.is_empty() {
        true => aligned(columns, &cut_cells),
        false => records(columns, &cells, width),
    }
}

fn natural_width(columns: &[Column], cells: &[Vec<String>]) -> usize {
    let column = |(at, column): (usize, &Column)| {
        let cells = cells.iter().map(|row| length(&row[at]));
        cells.max().unwrap_or(0).max(length(&column.name))
    };
    let widths = columns.iter().enumerate().map(column);
    widths.sum::<usize>() + GAP * columns.len().saturating_sub(1)
}

fn aligned(columns: &[Column], cells: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|column| column.name.clone()))
        .add_rows(cells);
    let last = columns.len().saturating_sub(1);
    for (at, column) in table.column_iter_mut().enumerate() {
        let gap = if at == last { 0 } else { GAP };
        column.set_padding((0, u16::try_from(gap).unwrap_or(0)));
        if columns
            .get(at)
            .is_some_and(|column| is_number(&column.data_type))
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines();
    lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

fn is_number(data_type: &SparkType) -> bool {
    use SparkType::{Byte, Decimal, Double, Float, Int, Long, Short};
    matches!(
        data_type,
        Byte | Short | Int | Long | Float | Double | Decimal(..)
    )
}

/// One line for each value, below a line for each row.
fn records(columns: &[Column], cells: &[Vec<String>], width: usize) -> String {
    let longest = columns.iter().map(|column| length(&column.name)).max();
    // Names get at most half of the line.
    let names = longest.unwrap_or(0).min(width / 2);
    let mut out = String::new();
    for (index, row) in cells.iter().enumerate() {
        out.push_str(&format!("row {}\n", index + 1));
        for (column, text) in columns.iter().zip(row) {
            let name = cut_inside(&column.name, names);
            let pad = " ".repeat(names - length(&name));
            let text = cut(text, width.saturating_sub(names + 2 + GAP).max(8));
            out.push_str(format!("  {name}{pad}  {text}").trim_end());
            out.push('\n');
        }
    }
    out
}

/// The name of a column, with `…` for its middle if it is wider than that: the end of a feature's name tells its
/// operation and window.
fn cut_inside(name: &str, most: usize) -> String {
    if length(name) <= most {
        return name.to_owned();
    }
    let first = cut(name, most / 4);
    let mut last: Vec<char> = Vec::new();
    let mut room = most.saturating_sub(length(&first));
    for c in name.chars().rev() {
        room = match room.checked_sub(width_of(c)) {
            Some(left) => left,
            None => break,
        };
        last.push(c);
    }
    first + &last.iter().rev().collect::<String>()
}

/// The text, cut to so many columns; `…` says that there is more.
fn cut(text: &str, most: usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if length(&out) + width_of(c) + 1 > most {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

fn length(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

fn width_of(c: char) -> usize {
    unicode_width::UnicodeWidthChar::width(c).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, data_type: SparkType) -> Column {
        Column {
            name: name.to_owned(),
            data_type,
        }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn columns() -> Vec<Column> {
        vec![
            column("listing_id", SparkType::Text),
            column("stays_bookings_guest_v1_price_sum_7d", SparkType::Double),
            column("note", SparkType::Text),
        ]
    }

    #[test]
    fn a_table_that_fits_is_a_table() {
        let rows = [
            vec![text("L01"), Value::Double(1628.25), text("NULL")],
            vec![text("L2"), Value::Null, Value::Null],
        ];
        insta::assert_snapshot!(table(&columns(), &rows, Some(80)), @r#"
        listing_id  stays_bookings_guest_v1_price_sum_7d  note
        L01                                      1628.25  "NULL"
        L2                                          NULL  NULL
        "#);
    }

    #[test]
    fn a_wider_one_is_a_record_below_another() {
        let rows = [
            vec![text("L01"), Value::Double(1.0), text(&"long ".repeat(30))],
            vec![text("日本"), Value::Null, text("\u{1b}[2J")],
        ];
        let shown = table(&columns(), &rows, Some(60));
        insta::assert_snapshot!(shown, @r#"
        row 1
          listing_id                      L01
          stays_…s_guest_v1_price_sum_7d  1.0
          note                            "long long long long long…
        row 2
          listing_id                      日本
          stays_…s_guest_v1_price_sum_7d  NULL
          note                            "\u001b[2J"
        "#);
        assert!(shown.lines().all(|line| length(line) <= 60));
    }

    #[test]
    fn no_row_leaves_the_names_of_the_columns() {
        let shown = table(&columns(), &[], Some(20));
        assert!(shown.starts_with("listing_id"), "{shown}");
    }
}
