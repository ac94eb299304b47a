//! Which calendar the dates of a file are in.
//!
//! Spark 3 writes the Gregorian calendar for all times; Spark 2, Hive and Spark's LEGACY mode write the
//! Julian one for early days. Spark tells them apart by what the footer says, and so does this.

use parquet::file::metadata::KeyValue;

use crate::Value;

/// Where Spark says which version wrote a file.
pub(crate) const VERSION: &str = "org.apache.spark.version";
const LEGACY: [&str; 2] = [
    "org.apache.spark.legacyDateTime",
    "org.apache.spark.legacyINT96",
];
/// 1582-10-15, from which on both calendars are the same.
const GREGORIAN: i32 = -141_427;
/// 1900-01-01T00:00:00Z; before it the offsets of time zones differ as well.
const EVEN_ZONES: i64 = -2_208_988_800_000_000;

/// Whether early days of a file with these entries may be in the old calendar.
pub(crate) fn is_old(entries: Option<&Vec<KeyValue>>) -> bool {
    let entries = || entries.into_iter().flatten();
    let version = entries().find(|entry| entry.key == VERSION);
    let version = version
        .and_then(|entry| entry.value.as_deref())
        .unwrap_or("");
    let mut numbers = version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    // Spark 3.0 wrote dates in the new calendar, and the oldest kind of instants in the old one.
    version < (3, 1) || entries().any(|entry| LEGACY.contains(&entry.key.as_str()))
}

/// Whether a value holds a day or instant that is not the same in both calendars.
pub(crate) fn differs(value: &Value) -> bool {
    match value {
        Value::Date(days) => *days < GREGORIAN,
        Value::Timestamp(micros) => *micros < EVEN_ZONES,
        Value::Array(values) => values.iter().any(differs),
        Value::Map(entries) => entries
            .iter()
            .any(|(key, value)| differs(key) || differs(value)),
        Value::Struct(fields) => fields.iter().any(|(_, value)| differs(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_footer_tells_the_calendar() {
        let entry = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
        assert!(is_old(None));
        assert!(!is_old(Some(&vec![entry(VERSION, "3.3.1")])));
        assert!(is_old(Some(&vec![entry(VERSION, "2.4.8")])));
        let legacy = vec![entry(VERSION, "3.3.1"), entry(LEGACY[0], "")];
        assert!(is_old(Some(&legacy)));
        assert!(differs(&Value::Array(vec![Value::Date(GREGORIAN - 1)])));
        assert!(!differs(&Value::Date(GREGORIAN)));
        assert!(!differs(&Value::Integer(i64::MIN)));
    }
}
