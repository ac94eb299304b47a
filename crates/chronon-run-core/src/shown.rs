//! Texts of others (names, messages, logs) as a terminal or a page may get them.

use std::borrow::Cow;

/// The text with every control character, other than tabs and line ends, written as `\u001b`: a terminal
/// must not be told what to do by a name or a log. Characters that turn the direction of a text, or that
/// take no room, are written the same way, because what is read would not be what is there. JSON means
/// the same afterwards.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_hidden(c) {
            true => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// The same for a part of a log, whose lines may end with carriage returns: programs that show progress
/// write one line over another.
#[must_use]
pub fn shown_log(text: &str) -> String {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    shown(&lines).into_owned()
}

fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_harmless_stays() {
        let text = "a\tb\nKäthe 東京 🦀 {\"a\": 1}\n";
        assert!(matches!(shown(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        let text = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}1m\u{202e}gpj.exe\r\u{7f}";
        assert_eq!(
            shown(text),
            "\\u001b]0;title\\u0007\\u001b[2J\\u009b1m\\u202egpj.exe\\u000d\\u007f"
        );
        assert_eq!(shown_log("50%\r100%\r\ndone\r"), "50%\n100%\ndone\n");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in "(\\PC|\\pC|\u{1b}|\r|\n){0,60}") {
            let safe = shown(&text);
            prop_assert!(!safe.contains(is_hidden));
            prop_assert_eq!(shown(&safe), safe.clone());
            prop_assert!(!shown_log(&text).contains(is_hidden));
        }

        #[test]
        fn json_means_the_same(text in "(\\PC|\\pC){0,40}") {
            let json = serde_json::to_string(&text).unwrap();
            let read: String = serde_json::from_str(&shown(&json)).unwrap();
            prop_assert_eq!(read, text);
        }
    }
}
