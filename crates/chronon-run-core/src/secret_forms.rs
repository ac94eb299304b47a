//! Ways to write a name beside its value: JSON, tuples, XML of Hadoop, percent encoding, cookies.

use super::{MASK, is_gap, is_of_name, is_quote, is_scheme, last_name, looks_secret};

/// `name:value` and `"name": 1`, with or without escaped quotes. Values in quotes are masked before.
pub(super) fn mask_colons(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(':') {
        let (before, after) = rest.split_at(at + 1);
        shown.push_str(before);
        rest = after;
        let named = &shown[..shown.len() - 1];
        let name = named.trim_end_matches(is_quote_or_escape);
        let is_quoted = name.len() < named.len();
        let value = match is_quoted {
            true => rest.trim_start_matches([' ', '\t']),
            false => rest,
        };
        let hide = (is_quoted || is_bare_name(name, value))
            && looks_secret(name_at_end(name))
            && is_secret_value(value);
        if hide {
            shown.push_str(&rest[..rest.len() - value.len()]);
            shown.push_str(MASK);
            rest = &value[value_of(value).len()..];
        }
    }
    shown.push_str(rest);
    shown
}

/// The name with which a text ends.
fn name_at_end(text: &str) -> &str {
    let name = last_name(text);
    name.trim_start_matches(|c| !is_of_name(c))
        .trim_start_matches("-D")
}

/// The character before the name with which a text ends.
fn before_name(text: &str) -> Option<char> {
    last_name(text).chars().next().filter(|c| !is_of_name(*c))
}

fn is_quote_or_escape(c: char) -> bool {
    is_quote(c) || c == '\\'
}

fn ends_value(c: char) -> bool {
    is_gap(c) || is_quote_or_escape(c) || matches!(c, ',' | ';' | '&' | ')' | '}' | ']')
}

/// The value with which a text begins, to the next separator.
fn value_of(text: &str) -> &str {
    &text[..text.find(ends_value).unwrap_or(text.len())]
}

/// Whether a text begins with what may be a secret. A scheme is none: the word after it is.
fn is_secret_value(text: &str) -> bool {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let is_word = after.is_empty() || after.starts_with(ends_value);
    let is_other = text.is_empty()
        || text.starts_with(ends_value)
        || text.starts_with(['{', '[', '<'])
        || text.starts_with(MASK)
        || is_word && is_scheme(&word.to_ascii_lowercase());
    !is_other && !is_column_type(text)
}

/// Whether what is before a colon is the name of a setting: not a part of a path, of a Maven coordinate or of
/// an address, and what follows is neither a port nor a place in a file.
fn is_bare_name(text: &str, value: &str) -> bool {
    let name = name_at_end(text);
    let after_digits = value.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
    let is_number = after_digits.is_empty() || after_digits.starts_with(ends_value);
    let is_place = is_number && name.contains(['.', '-']);
    let is_of_path = before_name(text).is_some_and(|c| "/:@".contains(c));
    let is_of_coordinate = ["com.", "org."].iter().any(|start| name.starts_with(start));
    !(is_place || is_of_path || is_of_coordinate || value.starts_with([':', '/']))
}

/// Whether a text begins with the type of a column: `struct<token:string>`.
fn is_column_type(text: &str) -> bool {
    const TYPES: [&str; 19] = [
        "string",
        "int",
        "integer",
        "bigint",
        "long",
        "double",
        "float",
        "boolean",
        "binary",
        "date",
        "timestamp",
        "short",
        "smallint",
        "tinyint",
        "byte",
        "decimal",
        "array",
        "map",
        "struct",
    ];
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let is_whole = after.is_empty() || after.starts_with(|c| ends_value(c) || "><(|".contains(c));
    is_whole && TYPES.contains(&word.to_ascii_lowercase().as_str())
}

/// Whether a text ends with `(name,` of a pair whose value is secret, as Scala and Python print settings. The
/// name has dots or is that of a variable: a list of columns is not a pair.
pub(super) fn begins_pair(text: &str) -> bool {
    let Some(named) = text.trim_end().strip_suffix(',') else {
        return false;
    };
    let named = named.trim_end_matches(is_quote_or_escape);
    let name = name_at_end(named);
    let before = named[..named.len() - name.len()].trim_end_matches(is_quote_or_escape);
    before.ends_with(['(', '[']) && is_setting(name) && looks_secret(name)
}

/// Whether a name is that of a setting or of a variable of the environment.
fn is_setting(name: &str) -> bool {
    let is_variable = name.contains('_') && !name.contains(|c: char| c.is_ascii_lowercase());
    is_variable || name.matches('.').count() > 1
}

/// Whether the value of a secret setting follows `word`, from which `gap` separates it: a tab, or the blanks of
/// `spark-defaults.conf`. A single blank is one of a sentence.
pub(super) fn precedes_in_columns(word: &str, gap: &str, value: &str) -> bool {
    let name = name_at_end(word);
    let starts = ["spark.", "fs.", "hive.", "hadoop."];
    let is_known = starts.iter().any(|start| name.starts_with(start));
    (gap == "\t" || gap.len() > 1 && is_known)
        && !gap.contains('\n')
        && (is_setting(name) || super::ALONE.contains(&name.to_ascii_lowercase().as_str()))
        && !is_column_type(value)
        && looks_secret(name)
}

/// A word with the values masked whose `=` or `:` is percent encoded: `password%3Dx%26a%3Db`.
pub(super) fn mask_encoded(word: &str) -> String {
    let mut shown = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        shown.push_str(before);
        let code = escape.get(..3).unwrap_or("%").to_ascii_uppercase();
        let is_assigned = code == "%3D" || code == "%3A";
        let hide = is_assigned && names_encoded_secret(&shown);
        let length = if code.len() == 3 { 3 } else { 1 };
        shown.push_str(&escape[..length]);
        rest = &escape[length..];
        if !hide {
            continue;
        }
        let quote = match rest.get(..3) {
            Some("%22" | "%27") => 3,
            _ => 0,
        };
        let value = encoded_value(&rest[quote..]);
        if !value.is_empty() {
            shown.push_str(&rest[..quote]);
            shown.push_str(MASK);
            rest = &rest[quote + value.len()..];
        }
    }
    shown.push_str(rest);
    shown
}

/// Whether a text ends with the name of a secret, perhaps in encoded quotes.
fn names_encoded_secret(text: &str) -> bool {
    let text = text
        .strip_suffix("%22")
        .or_else(|| text.strip_suffix("%27"))
        .unwrap_or(text);
    let name = name_at_end(text);
    let name = match before_name(text) == Some('%') {
        true => name.get(2..).unwrap_or_default(),
        false => name,
    };
    let is_signature = ["sig", "signature"].contains(&name.to_ascii_lowercase().as_str());
    is_signature || looks_secret(name)
}

/// The value with which a percent encoded text begins.
fn encoded_value(text: &str) -> &str {
    let is_end = |at: usize| {
        let code = text
            .get(at..at + 3)
            .unwrap_or_default()
            .to_ascii_uppercase();
        ["%22", "%27", "%26", "%2C", "%3B", "%7D", "%29"].contains(&code.as_str())
    };
    let plain = text
        .find(['&', ';', ',', '"', '\'', ')', '}'])
        .unwrap_or(text.len());
    let mut escapes = text[..plain].match_indices('%').map(|(at, _)| at);
    let end = escapes.find(|at| is_end(*at)).unwrap_or(plain);
    &text[..end]
}

/// How long the `Cookie:` is with which a word begins; its cookies follow, in the word or after it.
pub(super) fn cookie_header(word: &str) -> Option<usize> {
    let bare = word.trim_start_matches(|c| is_quote_or_escape(c) || c == '(' || c == '{');
    let name = bare.find([':', '=']).map(|at| &bare[..at])?;
    let is_cookie = ["cookie", "set-cookie"].contains(&name.to_ascii_lowercase().as_str());
    is_cookie.then(|| word.len() - bare.len() + name.len() + 1)
}

/// Where in the `<property>` of a Hadoop file a text ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Property {
    #[default]
    Harmless,
    /// Its name is that of a secret.
    Named,
    /// In the value of a secret.
    Value,
}

impl Property {
    /// The text, which follows what `self` describes, with the `<value>` of secrets masked.
    pub(super) fn mask(&mut self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        loop {
            let end = rest.find('<').unwrap_or(rest.len());
            let (inside, tag) = rest.split_at(end);
            shown.push_str(match self {
                Self::Value if !inside.trim().is_empty() => MASK,
                _ => inside,
            });
            if tag.is_empty() {
                return shown;
            }
            *self = self.after(tag);
            let length = ["<name>", "<value>"]
                .iter()
                .find(|start| tag.starts_with(**start));
            let (tag, after) = tag.split_at(length.map_or(1, |start| start.len()));
            shown.push_str(tag);
            rest = after;
        }
    }

    /// What holds after the tag with which the text begins.
    fn after(self, tag: &str) -> Self {
        if let Some(name) = tag.strip_prefix("<name>") {
            let name = name.split('<').next().unwrap_or_default().trim();
            let is_secret = name.chars().all(is_of_name) && looks_secret(name);
            return if is_secret {
                Self::Named
            } else {
                Self::Harmless
            };
        }
        match self {
            Self::Named if tag.starts_with("<value>") => Self::Value,
            Self::Named if !tag.starts_with("</property>") => Self::Named,
            _ => Self::Harmless,
        }
    }
}
