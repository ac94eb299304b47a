//! What a single text of the file may look like. Errors complete the sentence "`key`: …".

use std::time::Duration;

use chronon_run_core::{Ds, PartitionRange, Schedule};

/// A day range of at most this many days may be written in one piece.
const LONGEST_RANGE: u32 = 36_600;

/// A duration such as `30s`, `1m 30s` or `4d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration such as `30s`, `15m`, `2h` or `4d`"))
}

/// A duration that is not zero.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        some => Ok(some),
    }
}

/// One day, `YYYY-MM-DD`.
pub(crate) fn day(text: &str) -> Result<Ds, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// One day, or `first..last` with both ends inclusive.
pub(crate) fn days(text: &str) -> Result<PartitionRange, String> {
    let Some((first, last)) = text.split_once("..") else {
        return day(text).map(PartitionRange::day);
    };
    let (first, last) = (day(first.trim())?, day(last.trim())?);
    match PartitionRange::new(first, last) {
        None => Err(format!("`{text}` ends before it starts")),
        Some(range) if range.days() > LONGEST_RANGE => Err(format!(
            "`{text}` is {} days long, more than a hundred years",
            range.days()
        )),
        Some(range) => Ok(range),
    }
}

/// The name of a column: letters, digits and `_`.
pub(crate) fn column(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is not a column name (letters, digits and `_`)"
        )),
    }
}

/// The name of a target. It names a folder too, so it is a single word and never empty.
pub(crate) fn target_name(text: &str) -> Result<(), String> {
    match text {
        "" => Err("the name of a target is empty".to_owned()),
        text if is_name(text) => Ok(()),
        text => Err(format!(
            "`{text}` is not the name of a target (letters, digits and `_`, no digit first)"
        )),
    }
}

/// Letters, digits and `_`, at least one, the first not a digit.
fn is_name(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain && !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// `thrift://host:port`, or several separated by commas, as Hive's `hive.metastore.uris`.
pub(crate) fn thrift_uri(text: &str) -> Result<String, String> {
    let fits = |piece: &str| {
        let address = piece.trim().strip_prefix("thrift://");
        let (host, port) = address?.trim_end_matches('/').rsplit_once(':')?;
        let port = port.parse::<u16>().ok()?;
        (!host.is_empty() && !host.contains(['/', '@', ' ', '?', '#']) && port != 0).then_some(())
    };
    if text.split(',').all(|piece| fits(piece).is_some()) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a metastore address of the form thrift://host:port"
        ))
    }
}

/// As [`http_url`], without TLS.
pub(crate) fn plain_http_url(text: &str) -> Result<String, String> {
    if text.starts_with("https://") {
        return Err(format!(
            "`{text}`: clusters are asked over plain HTTP; where yours speaks TLS, put `yarn` on PATH"
        ));
    }
    http_url(text)
}

/// An `http://` or `https://` address, without a slash at its end.
pub(crate) fn http_url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !rest.contains(' ') => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(format!(
            "`{text}` is not an address of the form http://host:port"
        )),
    }
}

/// A Spark master, as `--master` takes it.
pub(crate) fn master(text: &str) -> Result<String, String> {
    let known = text == "local"
        || text == "yarn"
        || (text.starts_with("local[") || text.starts_with("local-cluster["))
            && text.ends_with(']')
        || ["spark://", "k8s://", "mesos://"]
            .iter()
            .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    if known {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a Spark master (`local[N]`, `yarn`, `spark://host:port` or `k8s://…`)"
        ))
    }
}

const TYPES: [&str; 24] = [
    "boolean",
    "tinyint",
    "byte",
    "smallint",
    "short",
    "int",
    "integer",
    "bigint",
    "long",
    "float",
    "real",
    "double",
    "decimal",
    "dec",
    "numeric",
    "string",
    "varchar",
    "char",
    "binary",
    "date",
    "timestamp",
    "array",
    "map",
    "struct",
];

/// A Spark type, as a column definition takes it: every word that stands where a type must stand
/// is a type, and every bracket is closed.
pub(crate) fn column_type(text: &str) -> Result<String, String> {
    let name_end = text
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    let name = text[..name_end].to_ascii_lowercase();
    if !TYPES.contains(&name.as_str()) {
        let near = crate::words::nearest(&name, TYPES.into_iter());
        let near = near
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default();
        return Err(format!("`{text}` is not a Spark type{near}"));
    }
    let nested = ["array", "map", "struct"].contains(&name.as_str());
    let rest = text[name_end..].trim();
    let brackets = rest.is_empty()
        || rest.starts_with('<') && rest.ends_with('>')
        || rest.starts_with('(') && rest.ends_with(')');
    if !brackets || !is_balanced(rest) || nested != rest.starts_with('<') {
        return Err(format!("`{text}` is not a whole Spark type"));
    }
    Ok(text.to_owned())
}

/// Whether every bracket of `text` is closed by its like.
fn is_balanced(text: &str) -> bool {
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '<' | '(' => open.push(c),
            '>' if open.pop() != Some('<') => return false,
            ')' if open.pop() != Some('(') => return false,
            ';' | '\'' | '"' | '\n' => return false,
            _ => {}
        }
    }
    open.is_empty()
}

/// A cadence as Chronon's `offlineSchedule`: `@daily` and its like, or five fields of cron.
pub(crate) fn schedule(text: &str) -> Result<String, String> {
    let parsed: Result<Schedule, _> = text.parse();
    parsed
        .map(|schedule| schedule.to_string())
        .map_err(|error| error.to_string())
}

/// The words of the form `{word}` in an argument; other braces mean themselves.
pub(crate) fn placeholders(text: &str) -> Vec<&str> {
    let lower = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    braced(text).into_iter().filter(lower).collect()
}

/// The names between braces; other braces mean themselves.
pub(crate) fn braced(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        rest = &rest[start + 1..];
        let Some(end) = rest.find(['{', '}']) else {
            break;
        };
        let word = &rest[..end];
        if is_name(word) && rest[end..].starts_with('}') {
            out.push(word);
        }
        rest = &rest[end..];
    }
    out
}
