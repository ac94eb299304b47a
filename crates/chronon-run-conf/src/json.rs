//! JSON with the place of what is wrong in it.

use serde::de::DeserializeOwned;

/// The conf in `text`, or what is wrong and at which byte.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, (String, usize)> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    let conf = parsed.map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        (
            describe(&path, &inner),
            offset(text, inner.line(), inner.column()),
        )
    })?;
    deserializer.end().map_err(|error| {
        (
            describe(".", &error),
            offset(text, error.line(), error.column()),
        )
    })?;
    Ok(conf)
}

/// `joinParts[0].groupBy: missing field …`, without the place, which the span tells better.
pub(crate) fn describe(path: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(text, _)| text);
    if path == "." {
        text.to_owned()
    } else {
        format!("{path}: {text}")
    }
}

/// The byte that serde_json's 1-based line and column mean.
pub(crate) fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (before + column.saturating_sub(1)).min(text.len())
}
