//! Values as the text of a cell.

use crate::{Value, json, number, time};

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
            json::write(value, &mut out);
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
            json::text(text, &mut out);
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
        || text
            .chars()
            .any(|c| c.is_control() || json::is_invisible(c))
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
}
