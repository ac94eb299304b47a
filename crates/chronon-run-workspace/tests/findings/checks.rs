//! Mistakes in checks and names of targets have one finding each, at their place.

use super::*;

#[test]
fn a_check_whose_only_rule_is_refused_has_that_one_finding() {
    let one = |line: &str, code: &str, at: &str, says: &str| {
        one(
            &format!("[[check]]\nselect = \"a\"\n{line}\n"),
            code,
            at,
            says,
        );
    };
    one("min_rows = -1", "out-of-range", "-1", "must be 0 or more");
    one(
        "max_change = nan",
        "out-of-range",
        "nan",
        "must be 0 or more",
    );
    one("min_row = 1", "unknown-key", "min_row", "`min_rows`?");
    one(
        "unique = []",
        "bad-check",
        "[[check]]",
        "this check checks nothing",
    );
    one(
        "change_days = 3",
        "bad-check",
        "[[check]]",
        "this check checks nothing",
    );
}

#[test]
fn placeholders_that_a_query_does_not_have_are_errors() {
    let refused = |sql: &str, says: &str| {
        one(
            &format!("[[check]]\nselect = \"a\"\nsql = \"{sql}\"\n"),
            "unknown-placeholder",
            &format!("\"{sql}\""),
            says,
        );
    };
    refused(
        "SELECT * FROM {tabel}",
        "no placeholder `{tabel}` | did you mean `{table}`? known: `{table}`, `{ds}`",
    );
    refused("SELECT * FROM {TABLE}", "did you mean `{table}`?");
    refused("SELECT * FROM {table} WHERE ds = '{day}'", "`{day}`");
    refused(
        "SELECT * FROM {table} WHERE ds = '{{ ds }}'",
        "one brace on each side",
    );
    let sound = "SELECT * FROM {table} WHERE ds = '{ds}' AND id RLIKE '[0-9]{2}'";
    let text = format!("[[check]]\nselect = \"a\"\nsql = \"{sound}\"\n");
    assert_eq!(lines(&text), Vec::<String>::new());
}

#[test]
fn a_target_has_a_name_of_one_word() {
    for (name, says) in [
        ("", "the name of a target is empty"),
        ("../../x", "`../../x` is not the name of a target"),
        ("a b", "`a b` is not the name of a target"),
        ("diff--data", "`diff--data` is not the name of a target"),
        ("1st", "no digit first"),
    ] {
        let text = format!("[targets.\"{name}\"]\nnamespace = \"dev_{{namespace}}\"\n");
        one(&text, "bad-target", &format!("\"{name}\""), says);
    }
}
