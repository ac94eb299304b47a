//! The expressions that the oracle understands: names, literals, arithmetic, comparisons, and a few
//! functions. NULL goes through, as in SQL.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Columns by name.
pub type Row = BTreeMap<String, Value>;

/// What the oracle does not know.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the oracle does not know {0}")]
pub struct Unknown(pub String);

/// An expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Expression {
    /// A column.
    Name(String),
    /// A constant.
    Literal(Value),
    /// An operator or a function with its arguments.
    Call(String, Vec<Expression>),
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`Unknown`] for what is not understood.
    pub fn parse(text: &str) -> Result<Self, Unknown> {
        let mut parser = Parser {
            words: words(text)?,
            at: 0,
        };
        let found = parser.any()?;
        match parser.peek() {
            None => Ok(found),
            Some(_) => Err(Unknown(text.to_owned())),
        }
    }

    /// The names of all columns in it.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Name(name) => vec![name],
            Self::Literal(_) => Vec::new(),
            Self::Call(_, arguments) => arguments.iter().flat_map(Self::names).collect(),
        }
    }

    /// Its value for a row.
    ///
    /// # Errors
    /// [`Unknown`] for a column that the row lacks, and for functions that are not known.
    pub fn of(&self, row: &Row) -> Result<Value, Unknown> {
        match self {
            Self::Name(name) => row.get(name).cloned().ok_or_else(|| Unknown(name.clone())),
            Self::Literal(value) => Ok(value.clone()),
            Self::Call(name, arguments) => {
                let values: Result<Vec<Value>, Unknown> =
                    arguments.iter().map(|argument| argument.of(row)).collect();
                call(name, &values?)
            }
        }
    }
}

fn call(name: &str, values: &[Value]) -> Result<Value, Unknown> {
    let truth = |value: &Value| value.as_bool();
    Ok(match (name, values) {
        ("or", [left, right]) => match (truth(left), truth(right)) {
            (Some(true), _) | (_, Some(true)) => json!(true),
            (Some(false), Some(false)) => json!(false),
            _ => Value::Null,
        },
        ("and", [left, right]) => match (truth(left), truth(right)) {
            (Some(false), _) | (_, Some(false)) => json!(false),
            (Some(true), Some(true)) => json!(true),
            _ => Value::Null,
        },
        ("is null", [value]) => json!(value.is_null()),
        ("is not null", [value]) => json!(!value.is_null()),
        ("if", [condition, yes, no]) => match truth(condition) {
            Some(true) => yes.clone(),
            _ => no.clone(),
        },
        ("coalesce", values) => {
            let found = values.iter().find(|value| !value.is_null());
            found.cloned().unwrap_or(Value::Null)
        }
        (_, values) if values.iter().any(Value::is_null) => Value::Null,
        ("cast bigint" | "cast int", [Value::String(text)]) => text
            .trim()
            .parse::<i64>()
            .map_or(Value::Null, |whole| json!(whole)),
        ("cast bigint" | "cast int", [value]) => match value.as_i64() {
            Some(whole) => json!(whole),
            #[expect(clippy::cast_possible_truncation, reason = "as SQL does")]
            None => json!(value.as_f64().unwrap_or_default() as i64),
        },
        ("floor", [value]) => match value.as_i64() {
            Some(whole) => json!(whole),
            #[expect(clippy::cast_possible_truncation, reason = "far fewer than 2^63")]
            None => json!(value.as_f64().unwrap_or_default().floor() as i64),
        },
        ("substring", [Value::String(text), from]) => {
            let skipped = usize::try_from(from.as_i64().unwrap_or(1) - 1).unwrap_or_default();
            json!(text.chars().skip(skipped).collect::<String>())
        }
        ("unix_timestamp", [Value::String(day), Value::String(format)])
            if format == "yyyy-MM-dd" =>
        {
            let day = day.parse::<chronon_run_core::Ds>();
            let day = day.map_err(|_| Unknown("this day".to_owned()))?;
            json!(i64::from(day.epoch_days()) * 86_400)
        }
        ("concat", values) => {
            let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
            json!(texts.ok_or_else(|| Unknown("concat".into()))?.concat())
        }
        (operator, [left, right]) => binary(operator, left, right)?,
        (name, _) => return Err(Unknown(format!("`{name}`"))),
    })
}

fn binary(operator: &str, left: &Value, right: &Value) -> Result<Value, Unknown> {
    let whole = left.as_i64().zip(right.as_i64());
    let numbers = left.as_f64().zip(right.as_f64());
    let compared = match (left.as_str().zip(right.as_str()), whole, numbers) {
        (Some((left, right)), ..) => Some(left.cmp(right)),
        (_, Some((left, right)), _) => Some(left.cmp(&right)),
        (.., Some((left, right))) => left.partial_cmp(&right),
        _ if left.is_boolean() && right.is_boolean() => {
            left.as_bool().partial_cmp(&right.as_bool())
        }
        _ => None,
    };
    let order = || compared.ok_or_else(|| Unknown(format!("{left} {operator} {right}")));
    Ok(match operator {
        "=" => json!(order()?.is_eq()),
        "<>" => json!(order()?.is_ne()),
        "<" => json!(order()?.is_lt()),
        "<=" => json!(order()?.is_le()),
        ">" => json!(order()?.is_gt()),
        ">=" => json!(order()?.is_ge()),
        _ => arithmetic(operator, whole, numbers)?,
    })
}

fn arithmetic(
    operator: &str,
    whole: Option<(i64, i64)>,
    numbers: Option<(f64, f64)>,
) -> Result<Value, Unknown> {
    let unknown = || Unknown(format!("`{operator}` of these"));
    let (left, right) = numbers.ok_or_else(unknown)?;
    Ok(match (operator, whole) {
        ("+", Some((left, right))) => json!(left.wrapping_add(right)),
        ("-", Some((left, right))) => json!(left.wrapping_sub(right)),
        ("*", Some((left, right))) => json!(left.wrapping_mul(right)),
        ("+", None) => json!(left + right),
        ("-", None) => json!(left - right),
        ("*", None) => json!(left * right),
        ("/", _) if right == 0.0 => Value::Null,
        ("/", _) => json!(left / right),
        _ => return Err(unknown()),
    })
}

/// A text in quotes keeps its first quote.
fn words(text: &str) -> Result<Vec<String>, Unknown> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&first) = chars.peek() {
        let mut word = String::new();
        if first.is_whitespace() {
            chars.next();
            continue;
        } else if first.is_alphanumeric() || first == '_' || first == '.' {
            while let Some(&c) = chars
                .peek()
                .filter(|c| c.is_alphanumeric() || "_.".contains(**c))
            {
                word.push(c);
                chars.next();
            }
        } else if first == '\'' || first == '`' {
            word.push(first);
            chars.next();
            loop {
                match chars.next() {
                    Some(c) if c == first => break,
                    Some('\\') | None => return Err(Unknown(text.to_owned())),
                    Some(c) => word.push(c),
                }
            }
        } else {
            word.push(first);
            chars.next();
            let pair = |second: char| matches!((first, second), ('<', '=' | '>') | ('>', '='));
            if let Some(&second) = chars.peek().filter(|second| pair(**second)) {
                word.push(second);
                chars.next();
            }
        }
        words.push(word);
    }
    Ok(words)
}

struct Parser {
    words: Vec<String>,
    at: usize,
}

/// Operators from the weakest to the strongest.
const LEVELS: [&[&str]; 5] = [
    &["or"],
    &["and"],
    &["=", "<>", "<", "<=", ">", ">="],
    &["+", "-"],
    &["*", "/"],
];

impl Parser {
    fn peek(&self) -> Option<String> {
        self.words.get(self.at).map(|word| word.to_lowercase())
    }

    fn takes(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|next| next == word);
        self.at += usize::from(found);
        found
    }

    fn needs(&mut self, word: &str) -> Result<(), Unknown> {
        match self.takes(word) {
            true => Ok(()),
            false => Err(Unknown(format!("{:?}", self.words))),
        }
    }

    fn any(&mut self) -> Result<Expression, Unknown> {
        self.level(0)
    }

    fn level(&mut self, level: usize) -> Result<Expression, Unknown> {
        let Some(operators) = LEVELS.get(level) else {
            return self.one();
        };
        let mut left = self.level(level + 1)?;
        loop {
            if level == 2 && self.takes("is") {
                let not = self.takes("not");
                self.needs("null")?;
                let name = if not { "is not null" } else { "is null" };
                left = Expression::Call(name.to_owned(), vec![left]);
                continue;
            }
            let next = self
                .peek()
                .filter(|next| operators.contains(&next.as_str()));
            let Some(operator) = next else {
                return Ok(left);
            };
            self.at += 1;
            left = Expression::Call(operator, vec![left, self.level(level + 1)?]);
        }
    }

    fn one(&mut self) -> Result<Expression, Unknown> {
        let word = self.words.get(self.at).cloned();
        let word = word.ok_or_else(|| Unknown(format!("{:?}", self.words)))?;
        self.at += 1;
        if word == "(" {
            let inside = self.any()?;
            self.needs(")")?;
            return Ok(inside);
        }
        if let Some(text) = word.strip_prefix('\'') {
            return Ok(Expression::Literal(json!(text)));
        }
        if let Some(name) = word.strip_prefix('`') {
            return Ok(Expression::Name(name.to_owned()));
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return number(&word).map(Expression::Literal);
        }
        if self.takes("(") {
            return self.arguments(word.to_lowercase());
        }
        Ok(match word.to_lowercase().as_str() {
            "null" => Expression::Literal(Value::Null),
            "true" => Expression::Literal(json!(true)),
            "false" => Expression::Literal(json!(false)),
            _ if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                Expression::Name(word)
            }
            _ => return Err(Unknown(word)),
        })
    }

    fn arguments(&mut self, name: String) -> Result<Expression, Unknown> {
        let mut arguments = vec![self.any()?];
        if name == "cast" && self.takes("as") {
            let data_type = self.peek().unwrap_or_default();
            self.at += 1;
            self.needs(")")?;
            return Ok(Expression::Call(format!("cast {data_type}"), arguments));
        }
        while self.takes(",") {
            arguments.push(self.any()?);
        }
        self.needs(")")?;
        Ok(Expression::Call(name, arguments))
    }
}

fn number(word: &str) -> Result<Value, Unknown> {
    let unknown = || Unknown(word.to_owned());
    if let Ok(whole) = word.trim_end_matches(['L', 'l']).parse::<i64>() {
        return Ok(json!(whole));
    }
    // A number with a point and without a letter is a decimal.
    let double = word.strip_suffix(['D', 'd']).ok_or_else(unknown)?;
    double
        .parse::<f64>()
        .map(|value| json!(value))
        .map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_the_values_of_sql() {
        let row: Row = [
            ("a", json!(7)),
            ("b", json!(2)),
            ("s", json!("x")),
            ("n", Value::Null),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        for (text, value) in [
            ("a", json!(7)),
            ("a + b * 2", json!(11)),
            ("(a + b) * 2", json!(18)),
            ("a / b", json!(3.5)),
            ("a / 0", Value::Null),
            ("a + n", Value::Null),
            ("a * 0.5D", json!(3.5)),
            ("s = 'x' OR n IS NULL", json!(true)),
            ("n = 1 OR b > 1", json!(true)),
            ("n = 1 AND b > 1", Value::Null),
            ("IF(n > 1, 1, 0)", json!(0)),
            ("COALESCE(n, a)", json!(7)),
            ("CONCAT('a-', s)", json!("a-x")),
            ("`a` - b", json!(5)),
            ("a IS NOT NULL", json!(true)),
            ("CAST(FLOOR(a / b) AS INT)", json!(3)),
            ("CAST(SUBSTRING('g-12', 3) AS BIGINT) + 1", json!(13)),
            ("UNIX_TIMESTAMP('1970-01-03', 'yyyy-MM-dd')", json!(172_800)),
        ] {
            let found = Expression::parse(text).and_then(|found| found.of(&row));
            assert_eq!(found, Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for text in ["SPLIT(a, 'x')", "a b", "1.5", "'a\\'b'", "a = 'x'", "c"] {
            let row = Row::from([("a".to_owned(), json!(1))]);
            let found = Expression::parse(text).and_then(|found| found.of(&row));
            assert!(found.is_err(), "{text}: {found:?}");
        }
    }
}
