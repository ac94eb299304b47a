//! Types of columns, from the values that a file holds.
//!
//! Own rules rather than Spark's, which turn `2026-01-01` into a timestamp: whole numbers are
//! `bigint`, other numbers `double`, `true` and `false` `boolean`, everything else `string`.

use indexmap::IndexMap;
use serde_json::Value;

/// What is known of a column's type so far.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum Type {
    /// Only NULLs.
    #[default]
    Unknown,
    Boolean,
    Long,
    Double,
    Text,
    Array(Box<Type>),
    Struct(IndexMap<String, Type>),
}

impl Type {
    /// Of one field of a CSV file.
    pub(super) fn of_text(text: &str) -> Self {
        if text.parse::<i64>().is_ok() && plain_integer(text) {
            Self::Long
        } else if plain_number(text) {
            Self::Double
        } else if text == "true" || text == "false" {
            Self::Boolean
        } else {
            Self::Text
        }
    }

    /// Of one JSON value.
    pub(super) fn of_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Unknown,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_i64() => Self::Long,
            Value::Number(_) => Self::Double,
            Value::String(_) => Self::Text,
            Value::Array(items) => {
                let item = items.iter().map(Self::of_json).reduce(Self::merge);
                Self::Array(Box::new(item.unwrap_or_default()))
            }
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::of_json(value)));
                Self::Struct(fields.collect())
            }
        }
    }

    /// The narrowest type that holds values of both.
    pub(super) fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, known) | (known, Self::Unknown) => known,
            (Self::Long, Self::Double) | (Self::Double, Self::Long) => Self::Double,
            (Self::Array(one), Self::Array(two)) => Self::Array(Box::new(one.merge(*two))),
            (Self::Struct(mut one), Self::Struct(two)) => {
                for (name, field) in two {
                    let known = one.entry(name).or_default();
                    *known = std::mem::take(known).merge(field);
                }
                Self::Struct(one)
            }
            (one, two) if one == two => one,
            _ => Self::Text,
        }
    }

    /// As Hive spells it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Boolean => "boolean".to_owned(),
            Self::Long => "bigint".to_owned(),
            Self::Double => "double".to_owned(),
            Self::Unknown | Self::Text => "string".to_owned(),
            Self::Array(item) => format!("array<{}>", item.name()),
            Self::Struct(fields) if fields.is_empty() => "map<string,string>".to_owned(),
            Self::Struct(fields) => {
                let field = |(name, field): (&String, &Self)| format!("{name}:{}", field.name());
                let fields: Vec<String> = fields.iter().map(field).collect();
                format!("struct<{}>", fields.join(","))
            }
        }
    }
}

/// No leading zero, which would be lost: `007` is a text.
fn plain_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits == "0" || !digits.starts_with(['0', '+'])
}

/// Digits with a point or an exponent; no `inf`, no `1d`.
fn plain_number(text: &str) -> bool {
    let shape = text
        .chars()
        .all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    let digits = text.strip_prefix('-').unwrap_or(text);
    let zero = digits.starts_with('0') && !digits.starts_with("0.") && digits != "0";
    shape
        && !zero
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(values: &[&str]) -> String {
        let types = values.iter().map(|value| Type::of_text(value));
        types.reduce(Type::merge).unwrap_or_default().name()
    }

    #[test]
    fn csv_types() {
        assert_eq!(csv(&["1", "-20"]), "bigint");
        assert_eq!(csv(&["1", "2.5", "1e3"]), "double");
        assert_eq!(csv(&["true", "false"]), "boolean");
        assert_eq!(csv(&["2026-01-01"]), "string");
        assert_eq!(csv(&["1", "x"]), "string");
        assert_eq!(csv(&["007"]), "string");
        assert_eq!(csv(&["inf"]), "string");
        assert_eq!(csv(&["1", "true"]), "string");
        assert_eq!(csv(&["99999999999999999999"]), "double");
        assert_eq!(csv(&[]), "string");
    }

    #[test]
    fn json_types() {
        let json = |texts: &[&str]| {
            let values = texts.iter().map(|text| serde_json::from_str(text).unwrap());
            let types = values.map(|value: Value| Type::of_json(&value));
            types.reduce(Type::merge).unwrap().name()
        };
        assert_eq!(json(&["null", "1", "2.5"]), "double");
        assert_eq!(json(&["[]", "[1]", "null"]), "array<bigint>");
        assert_eq!(
            json(&[r#"{"a":1}"#, r#"{"a":null,"b":["x"]}"#]),
            "struct<a:bigint,b:array<string>>"
        );
        assert_eq!(json(&["1", "\"x\""]), "string");
    }
}
