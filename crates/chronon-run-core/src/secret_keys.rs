//! Private keys: blocks of several lines in a text, in a log, or in one line with `\n` in it.

use std::borrow::Cow;

use super::{MASK, forms::Property, mask_words, scan::suspicious_lines};

const BEGIN: &str = "-----BEGIN";
const END: &str = "-----END";
const PRIVATE: &str = "PRIVATE KEY";
/// How far after its begin a mark says what it is of.
const MARK: usize = 40;

/// The text with every private key masked, also one of which only the begin or the end is there.
pub(super) fn mask_keys(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    if let Some(end) = mark(rest, END)
        && mark(rest, BEGIN).is_none_or(|begin| end < begin)
    {
        shown.push_str(&rest[..begun_before(&rest[..end])]);
        shown.push_str(MASK);
        rest = after_mark(&rest[end..]);
    }
    while let Some(begin) = mark(rest, BEGIN) {
        shown.push_str(&rest[..begin]);
        shown.push_str(MASK);
        rest = after_key(&rest[begin..]);
    }
    shown.push_str(rest);
    shown
}

/// Where a mark of a private key is.
fn mark(text: &str, kind: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find(kind) {
        let at = from + found;
        let mark: String = text[at..].chars().take(MARK).collect();
        if mark.contains(PRIVATE) {
            return Some(at);
        }
        from = at + kind.len();
    }
    None
}

/// What follows the mark with which the text begins.
fn after_mark(text: &str) -> &str {
    let rest = text.get(END.len()..).unwrap_or_default();
    let end = rest.find("-----").map_or(rest.len(), |at| at + 5);
    &rest[end..]
}

/// What follows the key with which the text begins. One without an end is as long as its lines look like it.
fn after_key(text: &str) -> &str {
    let inside = text.get(BEGIN.len()..).unwrap_or_default();
    if let Some(end) = mark(inside, END)
        && mark(inside, BEGIN).is_none_or(|next| end < next)
    {
        return after_mark(&inside[end..]);
    }
    let mut rest = text;
    let mut is_first = true;
    while !rest.is_empty() {
        let end = rest.find('\n').unwrap_or(rest.len());
        if !is_first && !is_key(&rest[..end]) {
            break;
        }
        is_first = false;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    rest
}

/// Where the lines of a key begin with which the text ends.
fn begun_before(text: &str) -> usize {
    let mut begin = text.rfind('\n').map_or(0, |at| at + 1);
    while begin > 0 {
        let line = text[..begin - 1].rfind('\n').map_or(0, |at| at + 1);
        if !is_key(&text[line..begin - 1]) {
            break;
        }
        begin = line;
    }
    begin
}

/// Whether a line may be one of a key.
fn is_key(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("Proc-Type:")
        || line.starts_with("DEK-Info:")
        || line
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c))
}

/// Masks a log that is read in parts of whole lines. It keeps their number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogMask {
    /// Whether the last line was one of a private key.
    inside: bool,
    /// Whether the value of a secret follows.
    property: Property,
}

impl LogMask {
    /// The next lines, as they may be shown.
    pub fn mask<'a>(&mut self, lines: &'a str) -> Cow<'a, str> {
        let suspicious = suspicious_lines(lines);
        if suspicious.is_empty() && !self.is_within() {
            return Cow::Borrowed(lines);
        }
        let mut shown: Vec<Cow<'_, str>> = Vec::new();
        for (number, line) in lines.split_inclusive('\n').enumerate() {
            let is_clean = !self.is_within() && !suspicious.contains(&number);
            let line = match is_clean {
                true => Cow::Borrowed(line),
                false => Cow::Owned(self.mask_line(line, &mut shown)),
            };
            shown.push(line);
        }
        Cow::Owned(shown.concat())
    }

    /// Whether the last line says what the next one is.
    fn is_within(&self) -> bool {
        self.inside || self.property != Property::Harmless
    }

    /// The next line, as it may be shown after those before it.
    fn mask_line(&mut self, line: &str, before: &mut [Cow<'_, str>]) -> String {
        let (text, end) = match line.strip_suffix('\n') {
            Some(text) => (text, "\n"),
            None => (line, ""),
        };
        let (begins, ends) = (mark(text, BEGIN).is_some(), mark(text, END).is_some());
        if ends && !self.inside && !begins {
            let of_key = before.iter_mut().rev().take_while(|line| is_key(line));
            of_key.for_each(|line| *line = Cow::Owned(masked_line(line)));
        }
        let is_part = self.inside && (ends || is_key(text));
        self.inside = !ends && (is_part || begins);
        match is_part && !text.trim().is_empty() {
            true => format!("{MASK}{end}"),
            false => mask_words(&self.property.mask(text)) + end,
        }
    }
}

fn masked_line(line: &str) -> String {
    let end = if line.ends_with('\n') { "\n" } else { "" };
    match line.trim().is_empty() {
        true => line.to_owned(),
        false => format!("{MASK}{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEhunter2\nabc+/=\n-----END RSA PRIVATE KEY-----";

    #[test]
    fn what_is_between_keys_stays() {
        let text = format!("a\n{KEY}\nb\n{KEY}\nc");
        assert_eq!(mask_keys(&text), "a\n***\nb\n***\nc");
    }

    #[test]
    fn a_part_of_a_key_is_masked() {
        let (begin, end) = KEY.split_at(70);
        assert_eq!(mask_keys(&format!("a\n{begin}\nb c\n")), "a\n***b c\n");
        assert_eq!(mask_keys(&format!("a b\n{end}\nc")), "a b\n***\nc");
        let one_line = format!("x={}", KEY.replace('\n', "\\n"));
        assert_eq!(mask_keys(&one_line), "x=***");
        assert_eq!(mask_keys(&one_line[..60]), "x=***");
    }

    #[test]
    fn a_certificate_is_no_secret() {
        let text = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n";
        assert_eq!(mask_keys(text), text);
        assert_eq!(LogMask::default().mask(text), text);
    }

    #[test]
    fn a_log_is_masked_in_any_parts_and_keeps_its_lines() {
        let log = format!("first line\npassword=hunter2\n{KEY}\n\nlast line\n");
        let lines: Vec<&str> = log.split_inclusive('\n').collect();
        let expected = "first line\npassword=***\n***\n***\n\n***\n***\n***\n\nlast line\n";
        for size in 1..=lines.len() {
            let mut mask = LogMask::default();
            let shown: String = lines
                .chunks(size)
                .map(|part| mask.mask(&part.concat()).into_owned())
                .collect();
            assert_eq!(shown, expected, "{size} lines at a time");
        }
        let from_within = lines[5..].concat();
        assert_eq!(
            LogMask::default().mask(&from_within),
            "***\n***\n***\n\nlast line\n"
        );
    }
}
