//! Which differences of two tables the comparison sees, and which it allows.

use serde_json::json;

use super::*;

fn recorded(rows: &[Value]) -> Recorded {
    Recorded {
        name: "db.t".to_owned(),
        kind: Kind::Table,
        content: content(rows),
        unrecorded: BTreeSet::new(),
        properties: BTreeMap::new(),
    }
}

fn content(rows: &[Value]) -> Rows {
    let columns = [
        ("k", "string"),
        ("v", "double"),
        ("f", "float"),
        ("ds", "string"),
    ];
    let row = |row: &Value| row.as_array().cloned().unwrap_or_default();
    Rows {
        columns: columns
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .to_vec(),
        partitions: Some(BTreeSet::from(["ds=2026-01-01".to_owned()])),
        rows: Some(rows.iter().map(row).collect()),
    }
}

fn row(k: &str, v: f64, f: f64) -> Value {
    json!([k, v, f, "2026-01-01"])
}

fn differences(wanted: &[Value], found: &[Value]) -> Vec<String> {
    compare(&recorded(wanted), &content(found), &[]).differences
}

#[test]
fn order_last_bits_and_widened_singles_do_not_count() {
    let wanted = [row("a", 9.5, 0.1_f32.into()), row("b", 1.0, 2.0)];
    let found = [row("b", 1.0, 2.0), row("a", 9.499_999_999_999_998, 0.1)];
    assert_eq!(differences(&wanted, &found), Vec::<String>::new());
}

#[test]
fn a_wrong_cell_is_told_with_its_row() {
    let found = differences(
        &[row("a", 1.0, 1.0), row("b", 2.0, 1.0)],
        &[row("a", 1.0, 1.0), row("b", 2.000_001, 1.0)],
    );
    assert_eq!(found[0], "cells that differ: {\"v\": 1}");
    assert!(
        found[1].starts_with("v: 2.000001, recorded 2.0, where k=b"),
        "{found:?}"
    );
}

#[test]
fn a_cut_histogram_may_keep_either_of_two_equals() {
    let same = |left: &Value, right: &Value| equal("lang_histogram_7d", "map", left, right);
    let wanted = json!({"cs": 8, "de": 3});
    assert!(same(&wanted, &json!({"cs": 8, "en": 3})));
    assert!(!same(&wanted, &json!({"en": 8, "de": 3})));
    assert!(!same(&wanted, &json!({"cs": 8, "en": 2})));
    assert!(!same(&wanted, &json!({"cs": 8})));
}

#[test]
fn what_a_fetcher_merges_on_has_no_order() {
    let same = |left: &Value, right: &Value| equal("value", "value", left, right);
    assert!(same(
        &json!({"a": [1, 2], "b": null}),
        &json!({"a": [2, 1]})
    ));
    assert!(!same(&json!({"a": [1, 2]}), &json!({"a": [1, 1]})));
    let nested = json!([[{"t": [9, 1]}, {"t": [9, 2]}]]);
    assert!(same(&nested, &json!([[{"t": [2, 9]}, {"t": [1, 9]}]])));
    let sketch = json!({"x_approx_unique_count_7d": "base64:AAEC"});
    assert!(same(
        &sketch,
        &json!({"x_approx_unique_count_7d": ["card"]})
    ));
    assert!(!same(
        &json!({"x_sum": "base64:AAEC"}),
        &json!({"x_sum": ["card"]})
    ));
}

#[test]
fn rows_are_counted_with_their_duplicates() {
    let found = differences(
        &[row("a", 1.0, 1.0), row("b", 1.0, 1.0)],
        &[row("a", 1.0, 1.0), row("a", 1.0, 1.0), row("b", 1.0, 1.0)],
    );
    assert_eq!(found[0], "3 rows, recorded 2");
    assert!(found[1].contains("only found: "), "{found:?}");
    assert_eq!(
        differences(
            &[row("a", 1.0, 1.0), row("b", 1.0, 1.0)],
            &[row("a", 1.0, 1.0), row("a", 1.0, 1.0)]
        )
        .len(),
        2
    );
}

#[test]
fn null_is_not_zero_and_not_empty() {
    let null = json!(["a", null, 1.0, "2026-01-01"]);
    assert_eq!(differences(&[null], &[row("a", 0.0, 1.0)]).len(), 2);
}

#[test]
fn columns_and_partitions_count() {
    let wanted = recorded(&[row("a", 1.0, 1.0)]);
    let mut found = wanted.content.clone();
    found.columns[1].1 = "float".to_owned();
    assert_eq!(
        compare(&wanted, &found, &[]).differences,
        ["columns missing: v double", "columns too many: v float"]
    );
    let mut found = wanted.content.clone();
    found.partitions = Some(BTreeSet::from(["ds=2026-01-02".to_owned()]));
    let verdict = compare(&wanted, &found, &[]);
    assert_eq!(
        verdict.differences,
        [
            "partitions missing: [\"ds=2026-01-01\"]",
            "partitions too many: [\"ds=2026-01-02\"]"
        ]
    );
}

#[test]
fn rows_of_a_defect_are_named_and_the_others_compared() {
    let defect = Defect {
        table: "db.t".to_owned(),
        rows: BTreeMap::from([("k".to_owned(), "b".to_owned())]),
        why: "hazard".to_owned(),
    };
    let wanted = recorded(&[row("a", 1.0, 1.0), row("b", 1.0, 1.0)]);
    let found = content(&[row("a", 1.0, 1.0), row("b", 7.0, 1.0)]);
    let verdict = compare(&wanted, &found, std::slice::from_ref(&defect));
    assert_eq!(verdict.differences, Vec::<String>::new());
    assert!(verdict.notes[1].contains("hazard"), "{verdict:?}");
    let found = content(&[row("a", 2.0, 1.0), row("b", 7.0, 1.0)]);
    assert_ne!(
        compare(&wanted, &found, &[defect]).differences,
        Vec::<String>::new()
    );
}
