//! The value shapes of Thrift's simple JSON (§1.2).

use serde::{Deserialize, Deserializer, de};

#[derive(Deserialize)]
#[serde(untagged)]
enum Shape {
    Bool(bool),
    Number(i64),
}

/// `0`/`1`, or `true`/`false` as a hand-edited conf may have it.
pub(crate) fn bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Shape::deserialize(deserializer)? {
        Shape::Bool(value) => Ok(Some(value)),
        Shape::Number(0) => Ok(Some(false)),
        Shape::Number(1) => Ok(Some(true)),
        Shape::Number(other) => Err(de::Error::custom(format!("expected 0 or 1, found {other}"))),
    }
}
