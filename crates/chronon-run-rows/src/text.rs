//! Values as text: of a cell, and as JSON. What is nested in a cell is JSON, and keys of JSON are cells.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{Value, number, time};

/// A value as Spark casts it to a string; what is nested as `to_json` writes it.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number::float(*number),
        Value::Double(number) => number::double(*number),
        Value::Decimal(unscaled, scale) => number::decimal(*unscaled, *scale),
        Value::Text(text) => text.clone(),
        Value::Binary(bytes) => {
            let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("[{}]", bytes.join(" "))
        }
        Value::Date(days) => time::date(i64::from(*days)),
        Value::Timestamp(micros) => time::timestamp(*micros),
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            let mut out = String::new();
            json(value, &mut out);
            out
        }
    }
}

/// The same on one line of a screen. A string that could be taken for something else is in quotes:
/// `NULL`, an empty one, one with characters that cannot be seen, or in quotes itself.
pub(crate) fn on_screen(value: &Value) -> String {
    match value {
        Value::Text(text) if needs_quotes(text) => {
            let mut out = String::new();
            json_text(text, &mut out);
            out
        }
        value => plain(value),
    }
}

fn needs_quotes(text: &str) -> bool {
    text == "NULL"
        || text.trim() != text
        || text.is_empty()
        || text.starts_with('"')
        || text.chars().any(|c| c.is_control() || is_invisible(c))
}

impl Value {
    /// The value on one line, as Spark casts it to a string. A text that could be taken for something else,
    /// such as `NULL`, is in quotes.
    #[must_use]
    pub fn shown(&self) -> String {
        on_screen(self)
    }
}

/// Appends a value as JSON, as Spark's `to_json` writes it.
pub(crate) fn json(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Integer(number) => {
            // Infallible: writing to a String.
            let _ = fmt::Write::write_fmt(out, format_args!("{number}"));
        }
        Value::Float(number) => json_float(&number::float(*number), number.is_finite(), out),
        Value::Double(number) => json_float(&number::double(*number), number.is_finite(), out),
        Value::Decimal(unscaled, scale) => out.push_str(&number::decimal(*unscaled, *scale)),
        Value::Text(text_value) => json_text(text_value, out),
        Value::Binary(bytes) => json_text(&STANDARD.encode(bytes), out),
        Value::Date(days) => json_text(&time::date(i64::from(*days)), out),
        Value::Timestamp(micros) => json_text(&time::iso(*micros), out),
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                comma(index, out);
                json(value, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| (plain(key), value));
            json_object(entries, out);
        }
        Value::Struct(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), value));
            json_object(fields, out);
        }
    }
}

/// Appends an object; a name may occur more than once.
pub(crate) fn json_object<'a>(fields: impl Iterator<Item = (String, &'a Value)>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in fields.enumerate() {
        comma(index, out);
        json_text(&name, out);
        out.push(':');
        json(value, out);
    }
    out.push('}');
}

fn comma(index: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
}

/// JSON has no number that is not finite: Spark writes a string.
fn json_float(digits: &str, is_finite: bool, out: &mut String) {
    match is_finite {
        true => out.push_str(digits),
        false => json_text(digits, out),
    }
}

/// Appends a string in quotes.
pub(crate) fn json_text(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = fmt::Write::write_fmt(out, format_args!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Characters that change the direction of what follows, or cannot be seen: never printed as they are.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_never_taken_for_something_else() {
        let shown = |text: &str| on_screen(&Value::Text(text.to_owned()));
        assert_eq!(on_screen(&Value::Null), "NULL");
        assert_eq!(shown("NULL"), "\"NULL\"");
        assert_eq!(shown("\"NULL\""), "\"\\\"NULL\\\"\"");
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown(" a"), "\" a\"");
        assert_eq!(shown("a\u{1b}[31m"), "\"a\\u001b[31m\"");
        assert_eq!(shown("a \"b\" c"), "a \"b\" c");
        assert_eq!(plain(&Value::Binary(vec![10, 255])), "[0A FF]");
    }

    fn as_json(value: &Value) -> String {
        let mut out = String::new();
        json(value, &mut out);
        out
    }

    #[test]
    fn values_are_written_as_by_to_json() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(as_json(&Value::Double(f64::NAN)), "\"NaN\"");
        assert_eq!(as_json(&Value::Double(1e10)), "1.0E10");
        assert_eq!(as_json(&Value::Decimal(150, 2)), "1.50");
        assert_eq!(as_json(&Value::Binary(vec![0, 255])), "\"AP8=\"");
        assert_eq!(
            as_json(&text("a\"\n\u{1b}\u{202e}")),
            "\"a\\\"\\n\\u001b\\u202e\""
        );
        let map = Value::Map(vec![(Value::Integer(1), Value::Null)]);
        let fields = vec![
            ("m".to_owned(), map),
            ("l".to_owned(), Value::Array(vec![text("x"), Value::Null])),
        ];
        assert_eq!(
            as_json(&Value::Struct(fields)),
            r#"{"m":{"1":null},"l":["x",null]}"#
        );
    }

    #[test]
    fn any_text_is_read_back() {
        use proptest::prelude::*;
        proptest!(|(value in ".*")| {
            let json = as_json(&Value::Text(value.clone()));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
        });
    }
}
