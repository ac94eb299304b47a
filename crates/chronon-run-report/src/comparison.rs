//! What a comparison of logged features found, in words.

use chronon_run_core::{RangeSet, event::Compared};
use indexmap::IndexMap;

use crate::count;

/// One column over all the days that were compared.
struct Column<'a> {
    name: &'a str,
    compared: u64,
    different: u64,
    null_computed: u64,
    null_logged: u64,
    worst: Option<f64>,
    /// The days on which it is not equal.
    days: RangeSet,
}

impl<'a> Column<'a> {
    fn new(name: &'a str) -> Self {
        Self {
            name,
            compared: 0,
            different: 0,
            null_computed: 0,
            null_logged: 0,
            worst: None,
            days: RangeSet::new(),
        }
    }

    fn add(&mut self, found: &Compared) {
        self.compared += found.compared;
        self.different += found.different;
        self.null_computed += found.null_computed;
        self.null_logged += found.null_logged;
        self.worst = match (self.worst, found.worst) {
            (Some(known), Some(new)) => Some(known.max(new)),
            (known, new) => known.or(new),
        };
        if !found.is_equal() {
            self.days = self.days.union(&RangeSet::from_iter([found.ds]));
        }
    }

    /// `4 of 118 different, worst by 100.5; 2 NULL only in the log; on 2026-01-27`.
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.different > 0 {
            let worst = self.worst.map(|worst| format!(", worst by {worst}"));
            parts.push(format!(
                "{} of {} different{}",
                self.different,
                self.compared,
                worst.unwrap_or_default()
            ));
        }
        for (number, side) in [
            (self.null_logged, "logged"),
            (self.null_computed, "computed"),
        ] {
            if number > 0 {
                parts.push(format!("{number} of {} only {side} NULL", self.compared));
            }
        }
        parts.push(format!("on {}", self.days));
        format!("{}: {}", self.name, parts.join("; "))
    }
}

fn columns(compared: &[Compared]) -> Vec<Column<'_>> {
    let mut columns: IndexMap<&str, Column<'_>> = IndexMap::new();
    for found in compared {
        let name = found.column.as_str();
        let column = columns.entry(name).or_insert_with(|| Column::new(name));
        column.add(found);
    }
    columns.into_values().collect()
}

/// How much was compared, and how much of it is equal: `118 requests, 2 of 31 columns differ`.
#[must_use]
pub fn comparison_text(compared: &[Compared]) -> String {
    let columns = columns(compared);
    let requests = columns.iter().map(|column| column.compared).max();
    let requests = count(requests.unwrap_or(0), "request");
    let differ = columns.iter().filter(|column| !column.days.is_empty());
    match differ.count() {
        0 => format!(
            "{requests}, {} equal",
            count(columns.len() as u64, "column")
        ),
        some => format!("{requests}, {some} of {} columns differ", columns.len()),
    }
}

/// One line for each column that differs, in the order of the table.
#[must_use]
pub fn differing_columns(compared: &[Compared]) -> Vec<String> {
    let columns = columns(compared).into_iter();
    let differ = columns.filter(|column| !column.days.is_empty());
    differ.map(|column| column.text()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ds: &str, column: &str, counts: [u64; 4], worst: Option<f64>) -> Compared {
        let [equal, different, null_computed, null_logged] = counts;
        Compared {
            ds: ds.parse().unwrap(),
            column: column.to_owned(),
            compared: counts.iter().sum(),
            equal,
            different,
            null_computed,
            null_logged,
            worst,
        }
    }

    #[test]
    fn what_differs_is_named_over_all_days() {
        let compared = [
            found("2026-01-01", "a", [5, 0, 0, 0], Some(0.0)),
            found("2026-01-01", "b", [3, 1, 0, 1], Some(2.5)),
            found("2026-01-01", "c", [5, 0, 0, 0], None),
            found("2026-01-02", "a", [4, 0, 0, 0], Some(0.0)),
            found("2026-01-02", "b", [2, 2, 0, 0], Some(1.0)),
            found("2026-01-02", "c", [3, 0, 1, 0], None),
        ];
        assert_eq!(
            comparison_text(&compared),
            "9 requests, 2 of 3 columns differ"
        );
        let lines = [
            "b: 3 of 9 different, worst by 2.5; 1 of 9 only logged NULL; on 2026-01-01..2026-01-02",
            "c: 1 of 9 only computed NULL; on 2026-01-02",
        ];
        assert_eq!(differing_columns(&compared), lines);
        assert_eq!(
            comparison_text(&compared[..1]),
            "5 requests, 1 column equal"
        );
        assert_eq!(differing_columns(&compared[..1]), [""; 0]);
    }
}
