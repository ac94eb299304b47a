//! What a comparison found, in words.

use chronon_run_engine::compare::{Comparison, Example};
use chronon_run_report::{Column, count};
use serde::Serialize;

use crate::output::Page;

/// On narrow screens the mean difference is left out first, then the greatest.
const COLUMNS: [Column; 4] = [
    Column::id("column"),
    Column::new("different", 0),
    Column::new("mean difference", 2),
    Column::new("greatest difference", 1),
];

/// A comparison, and of what it is.
#[derive(Serialize)]
pub struct Described {
    /// The left table.
    pub left: String,
    /// The right table.
    pub right: String,
    /// The columns that identify a row.
    pub keys: Vec<String>,
    /// What was found.
    #[serde(flatten)]
    pub found: Comparison,
}

impl Described {
    /// In words.
    #[must_use]
    pub fn page(&self) -> Page {
        let Self { left, right, .. } = self;
        let keys = self.keys.join(", ");
        let mut page = Page::default();
        page.say(&format!("left   {left}\nright  {right}\nby {keys}\n\n"));
        add_comparison(&mut page, "", &self.found, ["left", "right"]);
        page
    }
}

/// Adds what a comparison found, in words, behind `lead`; `sides` are the words for its two tables.
pub fn add_comparison(page: &mut Page, lead: &str, found: &Comparison, sides: [&str; 2]) {
    let [left, right] = sides;
    page.say(&format!(
        "{lead}{} on both sides, {} different; {} only {left}, {} only {right}\n",
        count(found.both, "row"),
        found.different,
        found.only_left,
        found.only_right
    ));
    for (side, names) in [
        (left, &found.columns_only_left),
        (right, &found.columns_only_right),
    ] {
        if !names.is_empty() {
            page.say(&format!("columns only {side}: {}\n", names.join(", ")));
        }
    }
    if !found.columns_ignored.is_empty() {
        let names = found.columns_ignored.join(", ");
        page.say(&format!(
            "columns only of the join, which are no difference: {names}\n"
        ));
    }
    for types in &found.types {
        let (column, before, after) = (&types.column, &types.left, &types.right);
        page.say(&format!(
            "the type of {column} differs: {before} {left}, {after} {right}\n"
        ));
    }
    let rows = column_rows(found);
    if !rows.is_empty() {
        page.say("\n");
        page.table(&COLUMNS, &rows);
    }
    if !found.examples.is_empty() {
        page.say("\nexamples\n");
    }
    for example in &found.examples {
        page.say(&example_text(example, sides));
    }
}

/// A row for each column that differs.
fn column_rows(found: &Comparison) -> Vec<Vec<String>> {
    let number = |found: Option<f64>| found.map(|found| found.to_string()).unwrap_or_default();
    let differing = found.columns.iter().filter(|column| column.different > 0);
    differing
        .map(|column| {
            vec![
                column.column.clone(),
                column.different.to_string(),
                number(column.mean_difference),
                number(column.max_difference),
            ]
        })
        .collect()
}

fn example_text(example: &Example, sides: [&str; 2]) -> String {
    let keys = example.keys.iter();
    let keys: Vec<String> = keys
        .map(|(name, value)| format!("{name}={}", shown(value)))
        .collect();
    let values = example.values.iter();
    let values =
        values.map(|(name, (left, right))| format!("{name}: {} -> {}", shown(left), shown(right)));
    let what = match example.side.as_str() {
        "both" => values.collect::<Vec<_>>().join(", "),
        "left" => format!("only {}", sides[0]),
        _ => format!("only {}", sides[1]),
    };
    format!("  {}  {what}\n", keys.join(" "))
}

fn shown(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("NULL")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn example(side: &str) -> Example {
        let one = |left: Option<&str>, right: Option<&str>| {
            (left.map(str::to_owned), right.map(str::to_owned))
        };
        Example {
            side: side.to_owned(),
            keys: BTreeMap::from([("user".to_owned(), Some("7".to_owned()))]),
            values: BTreeMap::from([("n".to_owned(), one(Some("1"), None))]),
        }
    }

    #[test]
    fn rows_of_one_side_are_named_by_the_words_for_the_tables() {
        let sides = ["before", "after"];
        assert_eq!(
            example_text(&example("both"), sides),
            "  user=7  n: 1 -> NULL\n"
        );
        assert_eq!(
            example_text(&example("left"), sides),
            "  user=7  only before\n"
        );
        assert_eq!(
            example_text(&example("right"), sides),
            "  user=7  only after\n"
        );
    }
}
