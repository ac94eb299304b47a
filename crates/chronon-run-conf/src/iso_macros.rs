//! Macros of staging queries, which are always written `yyyy-MM-dd`, against days of another form.

/// The macros that Chronon replaces by a day.
const MACROS: [&str; 3] = ["start_date", "end_date", "latest_date"];
/// Functions with which SQL writes a day in another form, or reads one.
const CONVERSIONS: [&str; 7] = [
    "date_format",
    "replace(",
    "translate(",
    "to_date",
    "to_timestamp",
    "unix_timestamp",
    "from_unixtime",
];

/// The first macro of `sql` that is compared as it is: nothing in the SQL converts days.
#[must_use]
pub fn unconverted_macro(sql: &str) -> Option<&str> {
    let lower = sql.to_ascii_lowercase();
    if CONVERSIONS.iter().any(|function| lower.contains(function)) {
        return None;
    }
    let mut rest = sql;
    while let Some(start) = rest.find("{{") {
        let text = &rest[start..];
        let end = text.find("}}")? + 2;
        let inner = text[2..end - 2].trim();
        let name = inner.split('(').next().unwrap_or_default().trim_end();
        if MACROS.contains(&name) {
            return Some(&text[..end]);
        }
        rest = &text[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_macro_is_found_where_nothing_converts_it() {
        let between = "SELECT a FROM t WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}'";
        assert_eq!(unconverted_macro(between), Some("{{ start_date }}"));
        let argument = "SELECT a FROM t WHERE ds > '{{ x }}' AND ds < {{end_date(offset=-1)}}";
        assert_eq!(unconverted_macro(argument), Some("{{end_date(offset=-1)}}"));
        for sql in [
            "SELECT a FROM t WHERE ds >= REPLACE('{{ start_date }}', '-', '')",
            "SELECT a FROM t WHERE ds >= date_format('{{ start_date }}', 'yyyyMMdd')",
            "SELECT a FROM t",
            "SELECT '{{' FROM t",
        ] {
            assert_eq!(unconverted_macro(sql), None, "{sql}");
        }
    }
}
