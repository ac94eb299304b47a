//! Plain columns.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let text = table(&["asset", "days"], &[row("a.long.name", "1"), row("b", "")]);
        insta::assert_snapshot!(text, @r"
        asset        days
        a.long.name  1
        b
        ");
    }
}
