//! Partition names as Hive writes them: `ds=2026-01-30/hr=10%3A00`.

use std::{collections::BTreeMap, fmt::Write as _};

use chronon_run_core::{Ds, PartitionFormat};
use pilota::FastStr;

/// The characters that Hive escapes in partition names (`FileUtils.charToEscape`).
const ESCAPED: &str = "\"#%'*/:=?\\\u{7f}{}[]^";

/// The value of every partition column, in the table's order, unescaped.
///
/// A piece without `=` yields an empty value, as Hive itself reads it.
#[must_use]
pub fn partition_values(name: &str) -> Vec<String> {
    let value = |piece: &str| {
        piece
            .split_once('=')
            .map_or("", |(_, value)| value)
            .to_owned()
    };
    name.split('/')
        .map(|piece| unescape(&value(piece)))
        .collect()
}

/// The partitions of each day, and where the day column stands in their names. `None` if there is
/// none, or they lack that column. Names whose day does not have `format` are left out.
pub(crate) fn days_of(
    names: Vec<FastStr>,
    day_column: &str,
    format: &PartitionFormat,
) -> Option<(usize, BTreeMap<Ds, Vec<FastStr>>)> {
    // Every name has the columns in the table's order.
    let at = place_of(day_column, names.first()?)?;
    let mut days: BTreeMap<Ds, Vec<FastStr>> = BTreeMap::new();
    for name in names {
        let day = partition_values(&name).into_iter().nth(at);
        if let Some(time) = day.and_then(|day| format.read(&day)) {
            days.entry(time.ds).or_default().push(name);
        }
    }
    Some((at, days))
}

/// Where `column` stands in a partition's name such as `ds=2026-01-30/hr=00`.
fn place_of(column: &str, name: &str) -> Option<usize> {
    let mut columns = name.split('/').map(|piece| piece.split('=').next());
    columns.position(|found| found == Some(column))
}

/// The name of the partition with these `(column, value)`s; the inverse of [`partition_values`].
#[must_use]
pub fn partition_name(columns: &[(String, String)]) -> String {
    let mut name = String::new();
    for (index, (column, value)) in columns.iter().enumerate() {
        if index > 0 {
            name.push('/');
        }
        escape(column, &mut name);
        name.push('=');
        escape(value, &mut name);
    }
    name
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        if c < ' ' || ESCAPED.contains(c) {
            // Infallible: writing to a String.
            let _ = write!(out, "%{:02X}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = rest
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(code) = code {
            out.push(char::from(code));
            rest = &rest[at + 3..];
        } else {
            out.push('%');
            rest = &rest[at + 1..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_are_read_in_the_tables_own_format() {
        let names = [
            "ds=20260130/hr=00",
            "ds=20260130/hr=01",
            "ds=2026-01-31/hr=00",
        ];
        let found = |pattern: &str| {
            let names = names.map(FastStr::new).to_vec();
            let (at, days) = days_of(names, "ds", &pattern.parse().unwrap()).unwrap();
            let days: Vec<(String, usize)> = days
                .into_iter()
                .map(|(ds, names)| (ds.to_string(), names.len()))
                .collect();
            (at, days)
        };
        assert_eq!(found("yyyyMMdd"), (0, vec![("2026-01-30".to_owned(), 2)]));
        assert_eq!(found("yyyy-MM-dd"), (0, vec![("2026-01-31".to_owned(), 1)]));
    }

    #[test]
    fn values_are_unescaped() {
        assert_eq!(
            partition_values("ds=2026-01-30/hr=10%3A00"),
            ["2026-01-30", "10:00"]
        );
        assert_eq!(partition_values("a=100%25/b="), ["100%", ""]);
        assert_eq!(partition_values("a=50%/b=%zz"), ["50%", "%zz"]);
    }

    proptest! {
        #[test]
        fn name_and_values_are_inverse(values in prop::collection::vec(".{0,12}", 1..4)) {
            let columns: Vec<_> = values.iter().map(|v| ("c".to_owned(), v.clone())).collect();
            prop_assert_eq!(partition_values(&partition_name(&columns)), values);
        }

        #[test]
        fn any_name_is_read(name in ".*") {
            prop_assert!(!partition_values(&name).is_empty());
        }
    }
}
