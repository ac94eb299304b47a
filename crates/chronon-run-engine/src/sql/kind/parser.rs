//! Reads an expression and says its type on the way; there is no tree.

use super::{
    Kind, functions,
    lexer::{Token, tokens},
};

/// The type of an expression; `None` if it cannot be read.
pub(super) fn kind(text: &str, column: &dyn Fn(&str) -> Option<String>) -> Option<Kind> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        at: 0,
        variables: Vec::new(),
        column,
    };
    let kind = parser.expression(0)?;
    (parser.at == parser.tokens.len()).then_some(kind)
}

/// An argument of a call.
#[derive(Clone)]
pub(super) struct Argument {
    pub(super) kind: Kind,
    /// Its text, if it is a literal one.
    pub(super) literal: Option<String>,
    /// Its alias, or the column that it is.
    pub(super) name: Option<String>,
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    at: usize,
    /// Of the lambdas around, the innermost last.
    variables: Vec<(String, Kind)>,
    column: &'a dyn Fn(&str) -> Option<String>,
}

/// How tightly operators bind; Spark's own order.
mod binding {
    pub(super) const OR: u8 = 1;
    pub(super) const AND: u8 = 2;
    pub(super) const NOT: u8 = 3;
    pub(super) const PREDICATE: u8 = 4;
    pub(super) const BIT_OR: u8 = 5;
    pub(super) const BIT_XOR: u8 = 6;
    pub(super) const BIT_AND: u8 = 7;
    pub(super) const SUM: u8 = 8;
    pub(super) const PRODUCT: u8 = 9;
    pub(super) const UNARY: u8 = 10;
}

impl Parser<'_> {
    fn token(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(_, token)| token)
    }

    fn is_sign(&self, ahead: usize, sign: &str) -> bool {
        matches!(self.token(ahead), Some(Token::Sign(found)) if *found == sign)
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        matches!(self.token(ahead), Some(Token::Word { text, quoted: false }) if text.eq_ignore_ascii_case(word))
    }

    fn sign(&mut self, sign: &str) -> Option<()> {
        self.is_sign(0, sign).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.is_word(0, word).then(|| self.at += 1)
    }

    /// An expression of operators that bind at least this tightly.
    fn expression(&mut self, least: u8) -> Option<Kind> {
        let mut left = self.prefixed()?;
        while let Some((binding, length)) = self.operator().filter(|(b, _)| *b >= least) {
            left = self.combined(&left, binding, length)?;
        }
        Some(left)
    }

    /// The operator that comes next: how tightly it binds, and its number of tokens.
    fn operator(&self) -> Option<(u8, usize)> {
        use binding::{AND, BIT_AND, BIT_OR, BIT_XOR, OR, PREDICATE, PRODUCT, SUM};
        Some(match self.token(0)? {
            Token::Sign(sign) => match *sign {
                "+" | "-" | "||" => (SUM, 1),
                "*" | "/" | "%" => (PRODUCT, 1),
                "&" => (BIT_AND, 1),
                "^" => (BIT_XOR, 1),
                "|" => (BIT_OR, 1),
                "=" | "==" | "<=>" | "<>" | "!=" | "<" | ">" | "<=" | ">=" => (PREDICATE, 1),
                _ => return None,
            },
            Token::Word {
                quoted: false,
                text,
            } => match text.to_ascii_uppercase().as_str() {
                "OR" => (OR, 1),
                "AND" => (AND, 1),
                "DIV" => (PRODUCT, 1),
                "IS" | "IN" | "BETWEEN" | "LIKE" | "ILIKE" | "RLIKE" | "REGEXP" => (PREDICATE, 1),
                "NOT" => (PREDICATE, 2),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// The type of `left operator …`.
    fn combined(&mut self, left: &Kind, binding: u8, length: usize) -> Option<Kind> {
        let operator = self.tokens.get(self.at + length - 1)?.1.clone();
        self.at += length;
        let boolean = Kind::plain("boolean");
        match &operator {
            Token::Word { text, .. } => match text.to_ascii_uppercase().as_str() {
                "IS" => {
                    let _ = self.word("NOT");
                    if self.word("DISTINCT").is_some() {
                        self.word("FROM")?;
                        self.expression(binding + 1)?;
                    } else {
                        self.at += 1;
                    }
                    Some(boolean)
                }
                "IN" => {
                    self.sign("(")?;
                    self.skip_to_closing()?;
                    Some(boolean)
                }
                "BETWEEN" => {
                    self.expression(binding + 1)?;
                    self.word("AND")?;
                    self.expression(binding + 1)?;
                    Some(boolean)
                }
                "LIKE" | "ILIKE" | "RLIKE" | "REGEXP" => {
                    if ["ANY", "ALL", "SOME"]
                        .iter()
                        .any(|word| self.is_word(0, word))
                    {
                        self.at += 1;
                    }
                    self.expression(binding + 1)?;
                    if self.word("ESCAPE").is_some() {
                        self.at += 1;
                    }
                    Some(boolean)
                }
                "DIV" => {
                    self.expression(binding + 1)?;
                    Some(Kind::plain("bigint"))
                }
                _ => {
                    self.expression(binding + 1)?;
                    Some(boolean)
                }
            },
            Token::Sign(sign) => {
                let right = self.expression(binding + 1)?;
                Some(match *sign {
                    "||" => functions::concatenated(&[left.clone(), right]),
                    "/" => match left.promoted(&right) {
                        Kind::Plain(name) if !name.starts_with("decimal") => Kind::plain("double"),
                        other => other,
                    },
                    "+" | "-" | "*" | "%" | "&" | "|" | "^" => left.promoted(&right),
                    _ => boolean,
                })
            }
            _ => None,
        }
    }

    /// Signs and NOT before a value.
    fn prefixed(&mut self) -> Option<Kind> {
        if self.word("NOT").is_some() {
            self.expression(binding::NOT)?;
            return Some(Kind::plain("boolean"));
        }
        if self.sign("!").is_some() {
            self.expression(binding::UNARY)?;
            return Some(Kind::plain("boolean"));
        }
        if self.sign("-").is_some() || self.sign("+").is_some() || self.sign("~").is_some() {
            return Some(match self.expression(binding::UNARY)? {
                Kind::Plain(name) if name == "string" => Kind::plain("double"),
                kind => kind,
            });
        }
        let mut kind = self.value()?;
        loop {
            if self.sign("[").is_some() {
                self.expression(0)?;
                self.sign("]")?;
                kind = kind.item();
            } else if self.is_sign(0, ".") {
                let Some(Token::Word { text, .. }) = self.token(1).cloned() else {
                    return None;
                };
                self.at += 2;
                kind = kind.field(&text);
            } else {
                return Some(kind);
            }
        }
    }

    fn value(&mut self) -> Option<Kind> {
        let token = self.token(0)?.clone();
        self.at += 1;
        match token {
            Token::Number(number) => Some(number_kind(&number)),
            Token::Text(_) => {
                while matches!(self.token(0), Some(Token::Text(_))) {
                    self.at += 1;
                }
                Some(Kind::plain("string"))
            }
            Token::Sign("(") => {
                let kind = self.expression(0)?;
                self.sign(")")?;
                Some(kind)
            }
            Token::Sign(_) => None,
            Token::Word { text, quoted: true } => Some(self.named(&text)),
            Token::Word { text, .. } => {
                let upper = text.to_ascii_uppercase();
                match (upper.as_str(), self.token(0)) {
                    (_, Some(Token::Sign("("))) => {
                        self.at += 1;
                        self.call(&upper)
                    }
                    ("DATE" | "TIMESTAMP", Some(Token::Text(_))) => {
                        self.at += 1;
                        Some(Kind::plain(&upper.to_ascii_lowercase()))
                    }
                    ("X", Some(Token::Text(_))) => {
                        self.at += 1;
                        Some(Kind::plain("binary"))
                    }
                    ("INTERVAL", Some(Token::Text(_) | Token::Number(_))) => None,
                    ("CASE", _) => self.case(),
                    ("NULL", _) => Some(Kind::Null),
                    ("TRUE" | "FALSE", _) => Some(Kind::plain("boolean")),
                    ("CURRENT_DATE", _) => Some(Kind::plain("date")),
                    ("CURRENT_TIMESTAMP", _) => Some(Kind::plain("timestamp")),
                    _ => Some(self.named(&text)),
                }
            }
        }
    }

    /// A lambda's variable, a column, or a column behind the names of its table.
    fn named(&mut self, name: &str) -> Kind {
        let mut variables = self.variables.iter().rev();
        if let Some((_, kind)) = variables.find(|(variable, _)| variable.eq_ignore_ascii_case(name))
        {
            return kind.clone();
        }
        if let Some(data_type) = (self.column)(name) {
            return Kind::of_type(&data_type);
        }
        while self.is_sign(0, ".") {
            let Some(Token::Word { text, .. }) = self.token(1).cloned() else {
                break;
            };
            self.at += 2;
            if let Some(data_type) = (self.column)(&text) {
                return Kind::of_type(&data_type);
            }
        }
        Kind::Unknown
    }

    /// `CASE … END`, behind its first word.
    fn case(&mut self) -> Option<Kind> {
        let mut kind = Kind::Null;
        if !self.is_word(0, "WHEN") {
            self.expression(0)?;
        }
        while self.word("WHEN").is_some() {
            self.expression(0)?;
            self.word("THEN")?;
            kind = kind.common(&self.expression(0)?);
        }
        if self.word("ELSE").is_some() {
            kind = kind.common(&self.expression(0)?);
        }
        self.word("END")?;
        Some(kind)
    }

    /// Skips to behind the bracket that closes the open one.
    fn skip_to_closing(&mut self) -> Option<()> {
        let mut depth = 1;
        while depth > 0 {
            match self.token(0)? {
                Token::Sign("(") => depth += 1,
                Token::Sign(")") => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Some(())
    }

    /// A call, behind its opening bracket.
    fn call(&mut self, function: &str) -> Option<Kind> {
        let start = self.at;
        self.skip_to_closing()?;
        let end = self.at;
        self.at = start;
        if matches!(function, "CAST" | "TRY_CAST") {
            let close = self.tokens.get(end - 1)?.0;
            let is_as = |(_, token): &&(usize, Token)| matches!(token, Token::Word { text, quoted: false } if text.eq_ignore_ascii_case("AS"));
            let (at, _) = self.tokens.get(start..end)?.iter().rev().find(is_as)?;
            let kind = Kind::of_type(self.text.get(at + 2..close)?);
            self.at = end;
            return Some(match kind {
                Kind::Plain(name) if name == "decimal" => Kind::plain("decimal(10,0)"),
                kind => kind,
            });
        }
        let mut arguments = Vec::new();
        // Arguments in a syntax of their own, as in EXTRACT(YEAR FROM d), tell nothing.
        while self.at + 1 < end {
            let Some(argument) = self.argument(function, &arguments) else {
                break;
            };
            arguments.push(argument);
            if self.sign(",").is_none() {
                break;
            }
        }
        if self.at + 1 != end {
            arguments.clear();
        }
        self.at = end;
        Some(functions::kind(function, &arguments))
    }

    fn argument(&mut self, function: &str, before: &[Argument]) -> Option<Argument> {
        let mut variables = Vec::new();
        let mut length = 0;
        if let (Some(Token::Word { text, .. }), true) = (self.token(0), self.is_sign(1, "->")) {
            variables.push(text.clone());
            length = 2;
        } else if self.is_sign(0, "(") {
            let mut ahead = 1;
            while let Some(Token::Word { text, .. }) = self.token(ahead) {
                variables.push(text.clone());
                ahead += 1 + usize::from(self.is_sign(ahead + 1, ","));
            }
            match self.is_sign(ahead, ")") && self.is_sign(ahead + 1, "->") {
                true => length = ahead + 2,
                false => variables.clear(),
            }
        }
        self.at += length;
        let outer = self.variables.len();
        let kinds = functions::variables(function, before);
        let kinds = kinds.into_iter().chain(std::iter::repeat(Kind::Unknown));
        self.variables.extend(variables.into_iter().zip(kinds));
        let start = self.at;
        let kind = self.expression(0);
        self.variables.truncate(outer);
        let mut name = match self.tokens.get(start..self.at) {
            Some([.., (_, Token::Word { text, .. })]) => Some(text.clone()),
            _ => None,
        };
        let literal = match self.tokens.get(start..self.at) {
            Some([(_, Token::Text(text))]) => Some(text.clone()),
            _ => None,
        };
        if self.word("AS").is_some() {
            let Some(Token::Word { text, .. }) = self.token(0) else {
                return None;
            };
            name = Some(text.clone());
            self.at += 1;
        }
        Some(Argument {
            kind: kind?,
            literal,
            name,
        })
    }
}

/// The type of a literal number.
fn number_kind(number: &str) -> Kind {
    let upper = number.to_ascii_uppercase();
    let digits = upper.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let name = match &upper[digits.len()..] {
        "L" => "bigint",
        "S" => "smallint",
        "Y" => "tinyint",
        "D" => "double",
        "F" => "float",
        "BD" => "decimal",
        _ if digits.contains('E') => "double",
        _ if digits.contains('.') => "decimal",
        _ if digits.parse::<i32>().is_ok() => "int",
        _ if digits.parse::<i64>().is_ok() => "bigint",
        _ => "decimal",
    };
    Kind::plain(name)
}
