//! `[[check]]`.

use std::collections::BTreeMap;

use crate::{
    document::{Section, Value},
    model::{DataCheck, OnFail},
    parse,
};

const ON_FAIL: [(&str, OnFail); 2] = [("block", OnFail::Block), ("warn", OnFail::Warn)];
/// Default of `change_days`.
const CHANGE_DAYS: u32 = 7;

/// Every check of the file.
pub(super) fn checks(value: &Value<'_>) -> Vec<DataCheck> {
    if !value.is_list() {
        let message = "`check` must be a list of tables".to_owned();
        let hint = "write `[[check]]`, with two brackets, above each one";
        value.refuse_with("wrong-type", message, hint.to_owned());
        return Vec::new();
    }
    let items = value.list().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.section("check", |section| check(item, section))?)
        .collect()
}

fn check(item: &Value<'_>, section: &Section<'_>) -> Option<DataCheck> {
    let select = section.get("select");
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
        sql: section.word("sql"),
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
    sound(item, &out).then_some(out)
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
    match rules.contains(&true) {
        true => true,
        false => refuse(
            "this check checks nothing",
            "add a rule, for example `min_rows = 1` or `unique = [\"guest_id\"]`",
        ),
    }
}
