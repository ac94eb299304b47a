//! Instants in JSON: milliseconds since the epoch in memory, ISO 8601 in UTC in documents.
//!
//! `#[serde(with = "chronon_run_core::instant")]` is exact and reads the numbers of earlier versions too;
//! `#[serde(serialize_with = "chronon_run_core::instant::seconds")]` leaves out milliseconds, for what people read.

use std::fmt;

use serde::{
    Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

use crate::ds::{format_instant, format_millis, parse_instant};

/// `i64` and `Option<i64>`: milliseconds since the epoch.
pub trait Millis: Copy {
    /// The milliseconds, if there are any.
    fn millis(self) -> Option<i64>;

    /// The same from what a document holds; `None` if null stands where an instant must be.
    fn of(found: Option<i64>) -> Option<Self>;
}

impl Millis for i64 {
    fn millis(self) -> Option<i64> {
        Some(self)
    }

    fn of(found: Option<i64>) -> Option<Self> {
        found
    }
}

impl Millis for Option<i64> {
    fn millis(self) -> Option<i64> {
        self
    }

    fn of(found: Option<i64>) -> Option<Self> {
        Some(found)
    }
}

/// Writes `2026-01-31T00:00:01.500Z`, or null.
///
/// # Errors
/// Those of `serializer`.
pub fn serialize<S: Serializer>(at: &impl Millis, serializer: S) -> Result<S::Ok, S::Error> {
    at.millis().map(format_millis).serialize(serializer)
}

/// Writes `2026-01-31T00:00:01Z`, or null.
///
/// # Errors
/// Those of `serializer`.
pub fn seconds<S: Serializer>(at: &impl Millis, serializer: S) -> Result<S::Ok, S::Error> {
    at.millis().map(format_instant).serialize(serializer)
}

/// Reads what [`serialize`] writes, or milliseconds since the epoch.
///
/// # Errors
/// It is neither.
pub fn deserialize<'de, T: Millis, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let found = deserializer.deserialize_any(Instant)?;
    T::of(found).ok_or_else(|| D::Error::invalid_type(serde::de::Unexpected::Unit, &Instant))
}

struct Instant;

impl<'de> Visitor<'de> for Instant {
    type Value = Option<i64>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an instant such as 2026-01-31T00:00:01.500Z, or milliseconds since the epoch")
    }

    fn visit_i64<E: Error>(self, at: i64) -> Result<Self::Value, E> {
        Ok(Some(at))
    }

    fn visit_u64<E: Error>(self, at: u64) -> Result<Self::Value, E> {
        Ok(Some(i64::try_from(at).unwrap_or(i64::MAX)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
        parse_instant(text).map(Some).ok_or_else(wrong)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Times {
        #[serde(with = "super")]
        at: i64,
        #[serde(with = "super", default)]
        until: Option<i64>,
    }

    #[test]
    fn instants_are_iso_8601_and_numbers_of_earlier_versions_are_read() {
        let times = Times {
            at: 1_769_817_601_500,
            until: None,
        };
        let text = r#"{"at":"2026-01-31T00:00:01.500Z","until":null}"#;
        assert_eq!(serde_json::to_string(&times).unwrap(), text);
        for text in [text, r#"{"at":1769817601500}"#] {
            assert_eq!(serde_json::from_str::<Times>(text).unwrap(), times);
        }
        for text in [r#"{"at":null}"#, r#"{"at":"now"}"#] {
            assert!(serde_json::from_str::<Times>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn instants_for_people_have_no_milliseconds() {
        let at = Some(1_769_817_601_500);
        let text = seconds(&at, serde_json::value::Serializer).unwrap();
        assert_eq!(text, "2026-01-31T00:00:01Z");
    }
}
