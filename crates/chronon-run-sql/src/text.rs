//! Names, literals and lines of Spark SQL, and what scripts print.

use serde::de::DeserializeOwned;

/// What a script printed, line by line. A progress bar draws over its line, and what is printed next begins
/// after it.
pub(super) fn printed_lines(log: &str) -> impl Iterator<Item = &str> {
    log.split(['\n', '\r']).map(str::trim)
}

/// The JSON that a script printed behind a mark at the beginning of a line. What is none is left out.
pub(super) fn printed<'a, T: DeserializeOwned>(
    log: &'a str,
    mark: &'a str,
) -> impl Iterator<Item = T> + 'a {
    let texts = printed_lines(log).filter_map(move |line| line.strip_prefix(mark));
    texts.filter_map(|text| serde_json::from_str(text).ok())
}

/// A name as it stands in SQL: quoted only if it has to be.
pub(super) fn ident(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A name in backquotes, whatever it holds.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Words that mean something else where a column may stand.
const RESERVED: [&str; 58] = [
    "all",
    "and",
    "anti",
    "any",
    "array",
    "as",
    "between",
    "both",
    "by",
    "case",
    "cast",
    "cross",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "first",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "interval",
    "into",
    "is",
    "join",
    "last",
    "lateral",
    "left",
    "like",
    "limit",
    "map",
    "minus",
    "natural",
    "not",
    "null",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "position",
    "right",
    "select",
    "semi",
    "struct",
    "true",
    "union",
    "using",
    "where",
];

/// Names, quoted where needed, with commas.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| ident(name.as_ref())).collect();
    quoted.join(", ")
}

/// A string literal.
#[must_use]
pub fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Indents every line but the first.
pub(super) fn indent(block: &str, spaces: usize) -> String {
    block.replace('\n', &format!("\n{}", " ".repeat(spaces)))
}
