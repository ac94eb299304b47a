//! Values as JSON, as Spark's `to_json` writes them.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{Value, cell, number, time};

/// Appends a value.
pub(crate) fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Integer(number) => {
            // Infallible: writing to a String.
            let _ = fmt::Write::write_fmt(out, format_args!("{number}"));
        }
        Value::Float(number) => float(&number::float(*number), number.is_finite(), out),
        Value::Double(number) => float(&number::double(*number), number.is_finite(), out),
        Value::Decimal(unscaled, scale) => out.push_str(&number::decimal(*unscaled, *scale)),
        Value::Text(text_value) => text(text_value, out),
        Value::Binary(bytes) => text(&STANDARD.encode(bytes), out),
        Value::Date(days) => text(&time::date(i64::from(*days)), out),
        Value::Timestamp(micros) => text(&time::iso(*micros), out),
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                comma(index, out);
                write(value, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| (cell::plain(key), value));
            object(entries, out);
        }
        Value::Struct(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), value));
            object(fields, out);
        }
    }
}

/// Appends an object; a name may occur more than once.
pub(crate) fn object<'a>(fields: impl Iterator<Item = (String, &'a Value)>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in fields.enumerate() {
        comma(index, out);
        text(&name, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

fn comma(index: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
}

/// JSON has no number that is not finite: Spark writes a string.
fn float(digits: &str, is_finite: bool, out: &mut String) {
    match is_finite {
        true => out.push_str(digits),
        false => text(digits, out),
    }
}

/// Appends a string in quotes.
pub(crate) fn text(value: &str, out: &mut String) {
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

    fn shown(value: &Value) -> String {
        let mut out = String::new();
        write(value, &mut out);
        out
    }

    #[test]
    fn values_are_written_as_by_to_json() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(shown(&Value::Double(f64::NAN)), "\"NaN\"");
        assert_eq!(shown(&Value::Double(1e10)), "1.0E10");
        assert_eq!(shown(&Value::Decimal(150, 2)), "1.50");
        assert_eq!(shown(&Value::Binary(vec![0, 255])), "\"AP8=\"");
        assert_eq!(
            shown(&text("a\"\n\u{1b}\u{202e}")),
            "\"a\\\"\\n\\u001b\\u202e\""
        );
        let map = Value::Map(vec![(Value::Integer(1), Value::Null)]);
        let fields = vec![
            ("m".to_owned(), map),
            ("l".to_owned(), Value::Array(vec![text("x"), Value::Null])),
        ];
        assert_eq!(
            shown(&Value::Struct(fields)),
            r#"{"m":{"1":null},"l":["x",null]}"#
        );
    }

    #[test]
    fn any_text_is_read_back() {
        use proptest::prelude::*;
        proptest!(|(value in ".*")| {
            let json = shown(&Value::Text(value.clone()));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
        });
    }
}
