//! Words, numbers, texts and signs of an expression.

/// One token.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    /// A word, without its backticks.
    Word {
        /// As written.
        text: String,
        /// In backticks, so never a keyword.
        quoted: bool,
    },
    /// A number as written, with its suffix.
    Number(String),
    /// A text without its quotes.
    Text(String),
    /// An operator or bracket.
    Sign(&'static str),
}

/// The longest first.
const SIGNS: [&str; 30] = [
    "<=>", "->", "=>", "<=", ">=", "<>", "!=", "==", "||", "<", ">", "=", "+", "-", "*", "/", "%",
    "(", ")", "[", "]", ",", ".", "!", "~", "&", "|", "^", ":", ";",
];

/// The tokens of a text and where each begins; `None` if something is none.
pub(super) fn tokens(text: &str) -> Option<Vec<(usize, Token)>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        if rest.starts_with("--") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let starts_number = |s: &str| s.starts_with(|c: char| c.is_ascii_digit());
        let (token, length) = if c == '\'' || c == '"' {
            let (inner, length) = quoted(rest, c)?;
            (Token::Text(inner), length)
        } else if c == '`' {
            let end = rest[1..].find('`')? + 1;
            let text = rest[1..end].to_owned();
            (Token::Word { text, quoted: true }, end + 1)
        } else if starts_number(rest) || (c == '.' && starts_number(&rest[1..])) {
            let length = number(rest);
            (Token::Number(rest[..length].to_owned()), length)
        } else if c.is_alphabetic() || c == '_' {
            let letter = |c: char| c.is_alphanumeric() || c == '_';
            let length = rest.find(|c| !letter(c)).unwrap_or(rest.len());
            let text = rest[..length].to_owned();
            (
                Token::Word {
                    text,
                    quoted: false,
                },
                length,
            )
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign))?;
            (Token::Sign(sign), sign.len())
        };
        tokens.push((at, token));
        at += length;
    }
    Some(tokens)
}

/// The text in quotes at the start of `rest`, and its length with them.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut inner = String::new();
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            c if escaped => {
                inner.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            c if c == quote => return Some((inner, at + 1)),
            c => inner.push(c),
        }
    }
    None
}

/// The length of the number at the start of `rest`, with exponent and suffix.
fn number(rest: &str) -> usize {
    let digits = |from: usize| {
        let tail = &rest[from..];
        from + tail
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(tail.len())
    };
    let mut end = digits(0);
    if rest[end..].starts_with('.') {
        end = digits(end + 1);
    }
    let exponent = rest[end..].strip_prefix(['e', 'E']);
    let exponent = exponent.map(|tail| tail.trim_start_matches(['+', '-']));
    if let Some(tail) = exponent.filter(|tail| tail.starts_with(|c: char| c.is_ascii_digit())) {
        end = digits(rest.len() - tail.len());
    }
    let letter = |c: char| c.is_ascii_alphabetic();
    let suffix = rest[end..].find(|c| !letter(c)).unwrap_or(rest.len() - end);
    end + suffix
}
