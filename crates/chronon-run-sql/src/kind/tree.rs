//! A type as a tree.

/// A type; [`Kind::Unknown`] wherever only Spark can tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Only Spark can tell.
    Unknown,
    /// The literal NULL.
    Null,
    /// One value, by the name that Hive gives its type; decimals without their digits are
    /// `decimal`.
    Plain(String),
    /// A list of these.
    List(Box<Kind>),
    /// A map from these to those.
    Map(Box<Kind>, Box<Kind>),
    /// Named fields.
    Struct(Vec<(String, Kind)>),
}

impl Kind {
    /// A type as Hive or Spark writes it.
    pub(crate) fn of_type(text: &str) -> Self {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        if let Some(item) = inside(text, &lower, "array") {
            return Self::list(Self::of_type(item));
        }
        if let Some(entry) = inside(text, &lower, "map") {
            return match parts(entry).as_slice() {
                [key, value] => Self::Map(Self::of_type(key).into(), Self::of_type(value).into()),
                _ => Self::Unknown,
            };
        }
        if let Some(fields) = inside(text, &lower, "struct") {
            return Self::Struct(Self::fields(fields));
        }
        let name = match lower.as_str() {
            "" => return Self::Unknown,
            "void" | "null" => return Self::Null,
            "integer" => "int",
            "long" => "bigint",
            "short" => "smallint",
            "byte" => "tinyint",
            "real" => "float",
            "dec" | "numeric" => "decimal",
            other if other.starts_with("varchar") || other.starts_with("char") => "string",
            other => other,
        };
        Self::Plain(name.to_owned())
    }

    /// `a INT, b STRING` or `a:int,b:string`.
    pub(super) fn fields(text: &str) -> Vec<(String, Self)> {
        let field = |part: &str| {
            let part = part.trim();
            let (name, kind) = part.split_once(|c: char| c == ':' || c.is_whitespace())?;
            let kind = kind.trim().trim_start_matches(':');
            Some((name.trim_matches('`').to_owned(), Self::of_type(kind)))
        };
        parts(text).into_iter().filter_map(field).collect()
    }

    /// The schema that `from_json` is given.
    pub(super) fn of_schema(text: &str) -> Self {
        match Self::of_type(text) {
            Self::Plain(name) if name.contains([' ', ',']) => Self::Struct(Self::fields(text)),
            kind => kind,
        }
    }

    pub(super) fn plain(name: &str) -> Self {
        Self::Plain(name.to_owned())
    }

    pub(super) fn list(item: Self) -> Self {
        Self::List(Box::new(item))
    }

    /// The type as Hive writes it, or its outer word where the inside is not known.
    pub(crate) fn text(&self) -> Option<String> {
        Some(match self {
            Self::Unknown | Self::Null => return None,
            Self::Plain(name) => name.clone(),
            Self::List(item) => item
                .text()
                .map_or_else(|| "array".to_owned(), |item| format!("array<{item}>")),
            Self::Map(key, value) => match (key.text(), value.text()) {
                (Some(key), Some(value)) => format!("map<{key},{value}>"),
                _ => "map".to_owned(),
            },
            Self::Struct(fields) => {
                let text = |(name, kind): &(String, Self)| Some(format!("{name}:{}", kind.text()?));
                let fields: Option<Vec<String>> = fields.iter().map(text).collect();
                fields.map_or_else(
                    || "struct".to_owned(),
                    |fields| format!("struct<{}>", fields.join(",")),
                )
            }
        })
    }

    /// The type that values of both have together, as in a union or the results of a CASE.
    pub(crate) fn common(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Null, kind) | (kind, Self::Null) => kind.clone(),
            (a, b) if a == b => a.clone(),
            // A number beside something unknown may become a wider one; nothing else changes.
            (Self::Unknown, kind) | (kind, Self::Unknown) => match kind.is_number() {
                true => Self::Unknown,
                false => kind.clone(),
            },
            (Self::List(a), Self::List(b)) => Self::list(a.common(b)),
            (Self::Map(k, v), Self::Map(l, w)) => Self::Map(k.common(l).into(), v.common(w).into()),
            (Self::Plain(a), Self::Plain(b)) if a == "string" || b == "string" => {
                match [a, b].iter().any(|name| *name == "boolean") {
                    true => Self::Unknown,
                    false => Self::plain("string"),
                }
            }
            (a, b) => a.promoted(b),
        }
    }

    /// The type of a sum or product of both.
    pub(super) fn promoted(&self, other: &Self) -> Self {
        const WIDTHS: [&str; 6] = ["tinyint", "smallint", "int", "bigint", "float", "double"];
        let (Self::Plain(a), Self::Plain(b)) = (self, other) else {
            return Self::Unknown;
        };
        let number = |name: &str| match name {
            "string" => "double".to_owned(),
            name => name.to_owned(),
        };
        let (a, b) = (number(a), number(b));
        let width = |name: &str| WIDTHS.iter().position(|wide| *wide == name);
        match (width(&a), width(&b)) {
            (Some(x), Some(y)) => Self::Plain(if x < y { b } else { a }),
            (None, Some(y)) if a.starts_with("decimal") => Self::decimal_or(y, &b),
            (Some(x), None) if b.starts_with("decimal") => Self::decimal_or(x, &a),
            (None, None) if a.starts_with("decimal") && b.starts_with("decimal") => {
                Self::plain("decimal")
            }
            _ => Self::Unknown,
        }
    }

    /// A decimal beside a number of this width: fractions make it a double.
    fn decimal_or(width: usize, name: &str) -> Self {
        match width {
            ..4 => Self::plain("decimal"),
            _ if name == "float" || name == "double" => Self::plain("double"),
            _ => Self::Unknown,
        }
    }

    pub(super) fn is_number(&self) -> bool {
        const NUMBERS: [&str; 6] = ["tinyint", "smallint", "int", "bigint", "float", "double"];
        matches!(self, Self::Plain(name) if NUMBERS.contains(&name.as_str()) || name.starts_with("decimal"))
    }

    /// What `[…]` takes out of it.
    pub(super) fn item(&self) -> Self {
        match self {
            Self::List(item) => (**item).clone(),
            Self::Map(_, value) => (**value).clone(),
            _ => Self::Unknown,
        }
    }

    /// What `.name` takes out of it.
    pub(super) fn field(&self, name: &str) -> Self {
        match self {
            Self::Struct(fields) => fields
                .iter()
                .find(|(field, _)| field.eq_ignore_ascii_case(name))
                .map_or(Self::Unknown, |(_, kind)| kind.clone()),
            Self::List(item) => match item.field(name) {
                Self::Unknown => Self::Unknown,
                kind => Self::list(kind),
            },
            Self::Map(_, value) => (**value).clone(),
            _ => Self::Unknown,
        }
    }

    /// Whether there is a map in it, which Spark cannot order.
    pub(crate) fn has_map(&self) -> bool {
        match self {
            Self::Map(..) => true,
            Self::List(item) => item.has_map(),
            Self::Struct(fields) => fields.iter().any(|(_, kind)| kind.has_map()),
            Self::Unknown | Self::Null | Self::Plain(_) => false,
        }
    }

    /// A value of this type with its maps as sorted lists of entries, which have an order.
    pub(crate) fn orderable(&self, value: &str) -> String {
        self.rebuilt(value, 0, &|entries, inside| match inside {
            true => format!("ARRAY_SORT({entries})"),
            false => format!("ARRAY_SORT(MAP_ENTRIES({entries}))"),
        })
    }

    /// The reverse of [`Kind::orderable`].
    pub(crate) fn restored(&self, value: &str) -> String {
        self.rebuilt(value, 0, &|entries, _| {
            format!("MAP_FROM_ENTRIES({entries})")
        })
    }

    /// The value with `change` done to each of its maps; its second argument tells that the map
    /// is a list of entries already.
    fn rebuilt(&self, value: &str, depth: usize, change: &dyn Fn(&str, bool) -> String) -> String {
        if !self.has_map() {
            return value.to_owned();
        }
        // Lambdas inside each other need names of their own.
        let each = format!("m{depth}");
        match self {
            Self::Map(_, inner) if inner.has_map() => {
                let inner = inner.rebuilt(&format!("{each}.value"), depth + 1, change);
                let entries = match change("x", false).contains("MAP_ENTRIES") {
                    true => format!("MAP_ENTRIES({value})"),
                    false => value.to_owned(),
                };
                let entries = format!(
                    "TRANSFORM({entries}, {each} -> NAMED_STRUCT('key', {each}.key, 'value', {inner}))"
                );
                change(&entries, true)
            }
            Self::Map(..) => change(value, false),
            Self::List(item) => {
                let item = item.rebuilt(&each, depth + 1, change);
                format!("TRANSFORM({value}, {each} -> {item})")
            }
            Self::Struct(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, kind)| {
                        let inner = format!("{value}.`{name}`");
                        format!("'{name}', {}", kind.rebuilt(&inner, depth, change))
                    })
                    .collect();
                format!(
                    "IF({value} IS NULL, NULL, NAMED_STRUCT({}))",
                    fields.join(", ")
                )
            }
            Self::Unknown | Self::Null | Self::Plain(_) => value.to_owned(),
        }
    }
}

/// What is between `outer<` and `>`.
fn inside<'a>(text: &'a str, lower: &str, outer: &str) -> Option<&'a str> {
    let rest = lower.strip_prefix(outer)?;
    let rest = &text[text.len() - rest.len()..];
    Some(
        rest.trim_start()
            .strip_prefix('<')?
            .strip_suffix('>')?
            .trim(),
    )
}

/// The parts between commas outside brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let (mut start, mut depth) = (0, 0_i32);
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth -= 1,
            ',' if depth == 0 => {
                all.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    all.push(text[start..].trim());
    all
}
