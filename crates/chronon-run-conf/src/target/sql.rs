//! Names of tables in SQL and in dependencies, replaced without touching the rest of the text.

use std::{collections::BTreeMap, ops::Range};

use chronon_run_core::TableName;

/// An identifier of a SQL text.
struct Name {
    /// Its bytes, quotes included.
    span: Range<usize>,
    /// Without quotes, in lower case.
    text: String,
}

/// `text` with `db.table` replaced, also where it is quoted or qualifies a column. Strings and comments stay
/// as they are.
pub(super) fn renamed(text: &str, tables: &BTreeMap<TableName, TableName>) -> String {
    let names = names(text);
    let mut out = String::with_capacity(text.len());
    let mut written = 0;
    let mut at = 0;
    while at + 1 < names.len() {
        let (database, table) = (&names[at], &names[at + 1]);
        let own = joined(text, database, table)
            .then(|| TableName::new(&database.text, &table.text).ok())
            .flatten()
            .and_then(|name| tables.get(&name))
            .filter(|_| is_first(text, &names, at));
        match own {
            Some(own) => {
                out.push_str(&text[written..database.span.start]);
                out.push_str(&own.to_string());
                written = table.span.end;
                at += 2;
            }
            None => at += 1,
        }
    }
    out.push_str(&text[written..]);
    out
}

/// Whether only a period stands between two names.
fn joined(text: &str, left: &Name, right: &Name) -> bool {
    text[left.span.end..right.span.start].trim() == "."
}

/// Whether the name is not itself qualified, other than by the catalog of Hive's tables.
fn is_first(text: &str, names: &[Name], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| &names[before]) else {
        return !text[..names[at].span.start].trim_end().ends_with('.');
    };
    if joined(text, before, &names[at]) {
        return before.text == "spark_catalog";
    }
    !text[before.span.end..names[at].span.start]
        .trim_end()
        .ends_with('.')
}

/// The identifiers and keywords of a text, outside of strings and comments.
fn names(text: &str) -> Vec<Name> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match first {
            '\'' | '"' => string(rest, first),
            '`' => rest[1..].find('`').map_or(rest.len(), |end| end + 2),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        if first == '`' || is_word(first) {
            found.push(Name {
                span: at..at + length,
                text: rest[..length].trim_matches('`').to_lowercase(),
            });
        }
        at += length;
    }
    found
}

/// How long the string at the beginning of a text is.
fn string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, found) in text.char_indices().skip(1) {
        match found {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if found == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `text` with `db.table` replaced wherever it stands as a word of its own, e.g. in
/// `db.table/ds={{ ds }}` and in JSON.
pub(super) fn renamed_words(text: &str, tables: &BTreeMap<TableName, TableName>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        out.push_str(before);
        let known = word.parse::<TableName>().ok();
        match known.and_then(|table| tables.get(&table)) {
            Some(own) => out.push_str(&own.to_string()),
            None => out.push_str(word),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_part(c: char) -> bool {
    is_word(c) || c == '.'
}

/// Whether setup statements write nothing that outlives their session.
pub(super) fn is_harmless(text: &str) -> bool {
    text.split(';').all(is_harmless_statement)
}

fn is_harmless_statement(statement: &str) -> bool {
    let words: Vec<String> = names(statement)
        .into_iter()
        .take(5)
        .map(|name| name.text)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        [] | ["set" | "add" | "reset" | "cache" | "uncache" | "use", ..]
            | ["create", "or", "replace", "temporary" | "temp", ..]
            | ["create", "temporary" | "temp", ..]
            | ["create", "global", "temporary" | "temp", ..]
            | ["drop", "temporary", "function", ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> BTreeMap<TableName, TableName> {
        let pair = |from: &str, to: &str| (from.parse().unwrap(), to.parse().unwrap());
        [
            pair("out.one", "dev_out.one"),
            pair("out.two", "dev_out.two"),
        ]
        .into()
    }

    #[test]
    fn tables_are_renamed_in_every_spelling_and_nothing_else_is() {
        let sql = "SELECT `out`.one.x, 'out.one', \"out.one\", a.out.one -- out.one\n\
                   FROM OUT . `One` /* out.two */ JOIN spark_catalog.out.two t ON out.one.x = t.x, out.ones";
        assert_eq!(
            renamed(sql, &tables()),
            "SELECT dev_out.one.x, 'out.one', \"out.one\", a.out.one -- out.one\n\
             FROM dev_out.one /* out.two */ JOIN spark_catalog.dev_out.two t ON dev_out.one.x = t.x, out.ones"
        );
    }

    #[test]
    fn dependencies_are_renamed_as_words() {
        let json = r#"{"name": "wait_for_out.one_ds", "spec": "out.one/ds={{ ds }}"}"#;
        assert_eq!(
            renamed_words(json, &tables()),
            r#"{"name": "wait_for_out.one_ds", "spec": "dev_out.one/ds={{ ds }}"}"#
        );
        assert_eq!(renamed_words("out.two/hr=3", &tables()), "dev_out.two/hr=3");
        assert_eq!(renamed_words("x.out.two", &tables()), "x.out.two");
    }

    #[test]
    fn setups_that_write_are_not_harmless() {
        for text in [
            "CREATE TEMPORARY FUNCTION f AS 'a.B'",
            "create or replace temporary view v as select 1",
            "SET x = 1",
            "ADD JAR a.jar",
            "",
        ] {
            assert!(is_harmless(text), "{text}");
        }
        for text in [
            "INSERT OVERWRITE TABLE out.one SELECT 1",
            "/* x */ CREATE TABLE out.one AS SELECT 1",
            "CREATE OR REPLACE VIEW out.v AS SELECT 1",
            "DROP TABLE out.one",
            "SET x = 1; DROP TABLE out.one",
            "WITH x AS (SELECT 1) INSERT INTO out.one SELECT * FROM x",
        ] {
            assert!(!is_harmless(text), "{text}");
        }
    }
}
