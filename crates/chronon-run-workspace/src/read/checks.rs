//! `[[check]]`.

use std::collections::BTreeMap;

use crate::{
    document::{Section, Value},
    model::{DataCheck, OnFail},
    parse,
    words::nearest,
};

const ON_FAIL: [(&str, OnFail); 2] = [("block", OnFail::Block), ("warn", OnFail::Warn)];
/// Default of `change_days`.
const CHANGE_DAYS: u32 = 7;
/// The placeholders of `sql`.
const SQL_WORDS: [&str; 2] = ["table", "ds"];

/// Every check of the file.
pub(super) fn checks(value: &Value<'_>) -> Vec<DataCheck> {
    if !value.is_list() {
        let message = "`check` must be a list of tables".to_owned();
        let hint = "write `[[check]]`, with two brackets, above each one";
        value.refuse_with("wrong-type", message, hint.to_owned());
        return Vec::new();
    }
    let items = value.list().unwrap_or_default();
    items.iter().filter_map(one).collect()
}

fn one(item: &Value<'_>) -> Option<DataCheck> {
    let before = item.report().count();
    let check = item.section("check", |section| check(item, section))??;
    let is_wrong = item.report().count() > before;
    (sound(item, &check) && checks_something(item, &check, is_wrong)).then_some(check)
}

fn check(item: &Value<'_>, section: &Section<'_>) -> Option<DataCheck> {
    let select = section.get("select");
    let sql = section.get("sql");
    let by_column = |key| section.get(key).map(|value: Value<'_>| value.properties());
    let out = DataCheck {
        select: section.word("select").unwrap_or_default(),
        name: section.word("name"),
        on_fail: section.choice("on_fail", &ON_FAIL).unwrap_or_default(),
        min_rows: section.get("min_rows").and_then(|value| value.count()),
        max_rows: section.get("max_rows").and_then(|value| value.count()),
        max_null_share: by_column("max_null_share")
            .into_iter()
            .flatten()
            .filter_map(|(name, _, value)| Some((name, value.share(1.0)?)))
            .collect(),
        unique: section.words("unique").unwrap_or_default(),
        accepted: by_column("accepted")
            .into_iter()
            .flatten()
            .filter_map(|(name, _, value)| Some((name, value.scalars()?)))
            .collect::<BTreeMap<_, _>>(),
        max_change: section
            .get("max_change")
            .and_then(|value| value.share(f64::MAX)),
        change_days: section.number("change_days", 1).unwrap_or(CHANGE_DAYS),
        time_column: section.parsed("time_column", "bad-column", parse::column),
        max_age: section.duration("max_age"),
        sql: sql.as_ref().and_then(query),
        sql_span: sql.as_ref().map(Value::span).unwrap_or_default(),
        span: select.as_ref().map_or(item.span(), Value::span),
    };
    if select.is_none() {
        item.refuse_with(
            "missing-key",
            "a check must say what it is for".to_owned(),
            "for example `select = \"team:search type:join\"`".to_owned(),
        );
        return None;
    }
    Some(out)
}

/// The query of `sql`, whose placeholders are known. Whether it only reads is judged where SQL is known.
fn query(value: &Value<'_>) -> Option<String> {
    let text = value.word()?;
    let known = "`{table}`, `{ds}`";
    if text.contains("{{") {
        let message = format!("`{}` has `{{{{`", value.shown());
        let hint = format!("a placeholder has one brace on each side; known: {known}");
        value.refuse_with("unknown-placeholder", message, hint);
        return None;
    }
    let words = parse::braced(text).into_iter();
    for word in words.filter(|word| !SQL_WORDS.contains(word)) {
        let message = format!("`{}` has no placeholder `{{{word}}}`", value.shown());
        let near = nearest(word, SQL_WORDS.into_iter());
        let near = near.map_or(String::new(), |near| format!("did you mean `{{{near}}}`? "));
        value.refuse_with(
            "unknown-placeholder",
            message,
            format!("{near}known: {known}"),
        );
    }
    Some(text.to_owned())
}

/// What one key of a check demands of another.
fn sound(item: &Value<'_>, check: &DataCheck) -> bool {
    let refuse = |message: &str, hint: &str| {
        item.refuse_with("bad-check", message.to_owned(), hint.to_owned());
        false
    };
    if item.has("max_age") != item.has("time_column") {
        return refuse(
            "`max_age` and `time_column` go together",
            "for example `time_column = \"ts\"` and `max_age = \"2h\"`",
        );
    }
    if let (Some(least), Some(most)) = (check.min_rows, check.max_rows)
        && least > most
    {
        return refuse("`min_rows` is more than `max_rows`", "exchange the two");
    }
    true
}

/// Whether there is a rule. `is_wrong`: a key or value of the check was refused, so that what it should check is
/// not known.
fn checks_something(item: &Value<'_>, check: &DataCheck, is_wrong: bool) -> bool {
    let rules = [
        check.min_rows.is_some(),
        check.max_rows.is_some(),
        !check.max_null_share.is_empty(),
        !check.unique.is_empty(),
        !check.accepted.is_empty(),
        check.max_change.is_some(),
        check.max_age.is_some(),
        check.sql.is_some(),
    ];
    let found = rules.contains(&true);
    if !found && !is_wrong {
        item.refuse_with(
            "bad-check",
            "this check checks nothing".to_owned(),
            "add a rule, for example `min_rows = 1` or `unique = [\"guest_id\"]`".to_owned(),
        );
    }
    found
}
