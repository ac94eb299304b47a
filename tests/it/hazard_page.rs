//! `docs/hazards.md`: every hazard has a decision, and every test that it names exists.

use std::{collections::BTreeSet, fs};

use crate::support::{files_with, repository};

/// One row of the page.
struct Row {
    name: String,
    decision: String,
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(repository().join("docs/hazards.md")).unwrap();
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_matches('|');
        inner
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let row = |line: &str| {
        let cells = cells(line);
        let number = cells[0].strip_prefix(['P', 'S', 'U'])?;
        number.parse::<u32>().ok()?;
        assert_eq!(cells.len(), 5, "{line}");
        Some(Row {
            name: cells[0].clone(),
            decision: cells[2].clone(),
            tests: named(&cells[4]),
        })
    };
    page.lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(row)
        .collect()
}

/// The words in backticks.
fn named(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The names of all functions of the sources.
fn functions() -> BTreeSet<String> {
    let folders = ["crates", "tests"].map(|folder| repository().join(folder));
    let sources = folders.iter().flat_map(|folder| files_with("rs", folder));
    let texts = sources.map(|path| fs::read_to_string(path).unwrap());
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim_start);
        let names = lines.filter_map(|line| line.strip_prefix("fn ")?.split_once('('));
        names.map(|(name, _)| name.to_owned()).collect()
    };
    texts.flat_map(|text| names(&text)).collect()
}

#[test]
fn every_hazard_has_a_decision_and_every_named_test_exists() {
    let known = functions();
    let rows = rows();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let points = (1..=30).map(|number| format!("P{number}"));
    let found = (1..=18).map(|number| format!("S{number}"));
    let reported = names.iter().filter(|name| name.starts_with('U'));
    let all = points.chain(found).chain(reported.map(ToString::to_string));
    assert_eq!(names, all.collect::<Vec<_>>());
    for row in rows {
        let is_word = ["prevented", "predicted", "documented"].contains(&row.decision.as_str());
        assert!(is_word, "{}: {}", row.name, row.decision);
        // Only what is merely written down may be without a test.
        assert!(
            row.decision == "documented" || !row.tests.is_empty(),
            "{}",
            row.name
        );
        for test in row.tests {
            assert!(
                known.contains(&test),
                "{}: there is no test `{test}`",
                row.name
            );
        }
    }
}
