//! What a column looks like, as far as its expression tells.

use chronon_run_conf::{GroupBy, Source};
use chronon_run_core::CatalogSnapshot;

/// A column's type, as far as it matters here; `None` if it cannot be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// One value, of this type.
    Scalar(Option<String>),
    /// A list of values of this type.
    List(Option<String>),
    /// A map from texts to values of this type.
    Map(Option<String>),
}

impl Shape {
    /// From a type as Hive writes it.
    pub(super) fn of_type(data_type: &str) -> Self {
        let data_type = data_type.trim().to_ascii_lowercase();
        let inside = |outer: &str| {
            let rest = data_type.strip_prefix(outer)?.trim_start();
            Some(rest.strip_prefix('<')?.strip_suffix('>')?.trim().to_owned())
        };
        if let Some(item) = inside("array") {
            return Self::List(Some(item));
        }
        if let Some(entry) = inside("map") {
            let value = entry
                .split_once(',')
                .map(|(_, value)| value.trim().to_owned());
            // Only texts name entries; other maps are values like any other.
            return match entry.starts_with("string") {
                true => Self::Map(value),
                false => Self::Scalar(Some(data_type)),
            };
        }
        Self::Scalar(Some(data_type))
    }

    /// From an expression over the columns of a table.
    fn of_expression(expression: &str, column_type: &dyn Fn(&str) -> Option<String>) -> Self {
        let expression = expression.trim();
        if let Some(data_type) = column_type(expression.trim_matches('`')) {
            return Self::of_type(&data_type);
        }
        let upper = expression.to_ascii_uppercase();
        // What stands for its own type among the arguments.
        let telling = match outer_call(&upper) {
            Some(
                "COALESCE" | "NVL" | "IFNULL" | "NULLIF" | "REVERSE" | "SHUFFLE" | "ARRAY_DISTINCT"
                | "ARRAY_REMOVE" | "SORT_ARRAY" | "ARRAY_SORT" | "SLICE" | "FILTER" | "ARRAY_UNION"
                | "ARRAY_EXCEPT" | "ARRAY_INTERSECT" | "MAP_FILTER" | "MAP_CONCAT" | "GREATEST"
                | "LEAST",
            ) => Some(0),
            Some("IF" | "NVL2") => Some(1),
            _ => None,
        };
        if let Some(at) = telling {
            let argument = arguments(expression).into_iter().nth(at);
            let shape = argument.map_or(Self::Scalar(None), |argument| {
                Self::of_expression(argument, column_type)
            });
            // A function of lists or maps is one even if its argument does not tell.
            return match (shape, outer_call(&upper)) {
                (Self::Scalar(None), Some(call)) => Self::of_call(call, &upper),
                (shape, _) => shape,
            };
        }
        let lambda = |at: usize| {
            let body = arguments(expression).into_iter().nth(at)?;
            let (variables, body) = body.split_once("->")?;
            let own: Vec<&str> = variables.split([',', '(', ')']).map(str::trim).collect();
            let columns = |name: &str| match own.contains(&name) {
                true => None,
                false => column_type(name),
            };
            Self::of_expression(body, &columns).scalar()
        };
        let item = |at: usize| {
            let argument = arguments(expression).into_iter().nth(at)?;
            Self::of_expression(argument, column_type).scalar()
        };
        match outer_call(&upper) {
            Some("TRANSFORM") => return Self::List(lambda(1)),
            Some("TRANSFORM_VALUES") => return Self::Map(lambda(1)),
            Some("ARRAY") => return Self::List(item(0)),
            // Only texts name entries.
            Some("MAP") => match item(0) {
                Some(key) if key != "string" => return Self::Scalar(Some("map".to_owned())),
                _ => return Self::Map(item(1)),
            },
            _ => {}
        }
        if let Some(value) = first_case(expression) {
            return Self::of_expression(value, column_type);
        }
        if let Some(call) = outer_call(&upper) {
            return Self::of_call(call, &upper);
        }
        if is_condition(&upper) {
            return Self::Scalar(Some("boolean".to_owned()));
        }
        Self::Scalar(None)
    }

    /// The type of a single value.
    fn scalar(self) -> Option<String> {
        match self {
            Self::Scalar(kind) => kind,
            Self::List(_) => Some("array".to_owned()),
            Self::Map(_) => Some("map".to_owned()),
        }
    }

    /// From the function around a whole expression.
    fn of_call(function: &str, upper: &str) -> Self {
        match function {
            "CAST" | "TRY_CAST" => match upper.rfind(" AS ") {
                Some(at) => Self::of_type(upper[at + 4..].trim_end().trim_end_matches(')').trim()),
                None => Self::Scalar(None),
            },
            "SPLIT" | "REGEXP_EXTRACT_ALL" => Self::List(Some("string".to_owned())),
            "ARRAY" | "SEQUENCE" | "COLLECT_LIST" | "COLLECT_SET" | "TRANSFORM" | "FILTER"
            | "FLATTEN" | "SORT_ARRAY" | "ARRAY_SORT" | "ARRAY_DISTINCT" | "ARRAY_REMOVE"
            | "ARRAY_UNION" | "ARRAY_EXCEPT" | "ARRAY_INTERSECT" | "ARRAY_REPEAT" | "SLICE"
            | "MAP_KEYS" | "MAP_VALUES" => Self::List(None),
            "ARRAYS_ZIP" | "MAP_ENTRIES" => Self::List(Some("struct".to_owned())),
            "TO_DATE" | "DATE" | "DATE_ADD" | "DATE_SUB" | "LAST_DAY" | "NEXT_DAY"
            | "CURRENT_DATE" => Self::Scalar(Some("date".to_owned())),
            "TO_TIMESTAMP" | "TIMESTAMP" | "DATE_TRUNC" | "TIMESTAMP_MILLIS"
            | "TIMESTAMP_SECONDS" => Self::Scalar(Some("timestamp".to_owned())),
            "STR_TO_MAP" => Self::Map(Some("string".to_owned())),
            "MAP" | "MAP_FROM_ARRAYS" | "MAP_FROM_ENTRIES" | "MAP_CONCAT" | "MAP_FILTER"
            | "TRANSFORM_VALUES" | "TRANSFORM_KEYS" | "MAP_ZIP_WITH" => Self::Map(None),
            "ISNULL" | "ISNOTNULL" | "ISNAN" | "CONTAINS" | "STARTSWITH" | "ENDSWITH"
            | "ARRAY_CONTAINS" | "EXISTS" | "FORALL" | "BOOLEAN" => {
                Self::Scalar(Some("boolean".to_owned()))
            }
            "CONCAT" | "UPPER" | "LOWER" | "SUBSTRING" | "SUBSTR" | "TRIM" | "CONCAT_WS" => {
                Self::Scalar(Some("string".to_owned()))
            }
            _ => Self::Scalar(None),
        }
    }
}

/// The first result of `CASE WHEN … THEN result … END`, if that is the whole text.
fn first_case(expression: &str) -> Option<&str> {
    let upper = expression.to_ascii_uppercase();
    if !upper.starts_with("CASE") || !upper.trim_end().ends_with("END") {
        return None;
    }
    let words = top_words(&upper);
    let then = words.iter().position(|(_, word)| *word == "THEN")?;
    let start = words[then].0 + "THEN".len();
    let mut rest = words[then + 1..].iter();
    let (end, word) = rest.find(|(_, word)| matches!(*word, "CASE" | "WHEN" | "ELSE" | "END"))?;
    (*word != "CASE").then(|| expression[start..*end].trim())
}

/// The words of a text that are outside parentheses and quotes, with their places.
fn top_words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let (mut start, mut depth, mut quote) = (None, 0_usize, None);
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let letter = quote.is_none() && depth == 0 && (c.is_ascii_alphanumeric() || c == '_');
        match (start, letter) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                words.push((from, &text[from..at]));
                start = None;
            }
            _ => {}
        }
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    words
}

/// The function whose call is the whole text: `F` of `F(…)`, not of `F(…) + 1`.
fn outer_call(upper: &str) -> Option<&str> {
    let open = upper.find('(')?;
    let name = upper[..open].trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let tail = outside(upper);
    (is_name && upper.trim_end().ends_with(')') && tail.trim() == name).then_some(name)
}

/// The arguments of a call that is the whole text.
fn arguments(call: &str) -> Vec<&str> {
    let inside = call.trim().strip_suffix(')');
    let Some((_, inside)) = inside.and_then(|call| call.split_once('(')) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0_i32, None);
    for (at, c) in inside.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                all.push(&inside[start..at]);
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    all.push(&inside[start..]);
    all
}

/// The text with everything inside parentheses and quotes left out.
fn outside(text: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0_usize;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, c) if depth == 0 => kept.push(c),
            (None, _) => {}
        }
    }
    kept
}

/// Whether an upper-case expression is true or false.
fn is_condition(upper: &str) -> bool {
    let top = format!(" {} ", outside(upper).replace(['\n', '\t'], " "));
    if top.trim_start().starts_with("CASE ") {
        return false;
    }
    let words = [
        " AND ",
        " OR ",
        " NOT ",
        " IS ",
        " IN ",
        " LIKE ",
        " RLIKE ",
        " BETWEEN ",
    ];
    let signs = ["=", "<", ">"];
    let plain = top.trim();
    matches!(plain, "TRUE" | "FALSE")
        || words.iter().any(|word| top.contains(word))
        || signs.iter().any(|sign| top.contains(sign))
}

/// The shape of an input column of a GroupBy, from its first source.
pub(super) fn input_shape(conf: &GroupBy, input: &str, tables: &CatalogSnapshot) -> Shape {
    let unknown = Shape::Scalar(None);
    let Some(source) = conf.sources.first() else {
        return unknown;
    };
    let Some(table) = source.table().ok().map(|spec| spec.table) else {
        return unknown;
    };
    let state = tables.table(&table);
    let column_type = |name: &str| {
        let info = &state?.info;
        let mut columns = info.columns.iter().chain(&info.partition_columns);
        let column = columns.find(|column| column.name.eq_ignore_ascii_case(name))?;
        Some(column.data_type.clone())
    };
    let selected = source.query().selects.as_ref().and_then(|s| s.get(input));
    let expression = selected.map_or(input, String::as_str);
    if let Some(known) = known_type(expression) {
        return Shape::of_type(known);
    }
    Shape::of_expression(expression, &column_type)
}

/// The type of a selected column, as the catalog writes it, where it is certain: a column of the
/// table as it is, or a cast.
pub(super) fn certain_type(
    source: &Source,
    name: &str,
    tables: &CatalogSnapshot,
) -> Option<String> {
    let selected = source.query().selects.as_ref().and_then(|s| s.get(name));
    let expression = selected.map_or(name, String::as_str).trim();
    let upper = expression.to_ascii_uppercase();
    if outer_call(&upper) == Some("CAST") {
        let (_, cast) = upper.strip_suffix(')')?.rsplit_once(" AS ")?;
        let cast = cast.trim().to_ascii_lowercase();
        let plain = [
            "string",
            "boolean",
            "int",
            "bigint",
            "float",
            "double",
            "date",
            "timestamp",
        ];
        return plain.contains(&cast.as_str()).then_some(cast);
    }
    let info = &tables.table(&source.table().ok()?.table)?.info;
    let mut columns = info.columns.iter().chain(&info.partition_columns);
    let name = expression.trim_matches('`');
    let column = columns.find(|column| column.name.eq_ignore_ascii_case(name))?;
    Some(column.data_type.clone())
}

/// The type of a literal number.
fn known_type(expression: &str) -> Option<&'static str> {
    expression.trim().parse::<i64>().is_ok().then_some("int")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_tell_their_shape() {
        let column = |name: &str| (name == "tags").then(|| "array<string>".to_owned());
        let shape = |expression: &str| Shape::of_expression(expression, &column);
        let boolean = Shape::Scalar(Some("boolean".into()));
        assert_eq!(shape("tags"), Shape::List(Some("string".into())));
        assert_eq!(shape("split(a, ',')"), Shape::List(Some("string".into())));
        assert_eq!(shape("split(a, ',')[0]"), Shape::Scalar(None));
        assert_eq!(shape("MAP('a', 1)"), Shape::Map(None));
        assert_eq!(
            shape("CAST(x AS MAP<STRING, INT>)"),
            Shape::Map(Some("int".into()))
        );
        assert_eq!(shape("CAST(x AS BOOLEAN)"), boolean);
        assert_eq!(shape("pay = 'card'"), boolean);
        assert_eq!(shape("a IS NULL"), boolean);
        assert_eq!(shape("IF(pay = 'card', x, 0)"), Shape::Scalar(None));
        assert_eq!(shape("IF(pay = 'a,(', true, b)"), boolean);
        assert_eq!(shape("coalesce(a > f(b, c), false)"), boolean);
        assert_eq!(
            shape("NVL(tags, ARRAY())"),
            Shape::List(Some("string".into()))
        );
        assert_eq!(
            shape("CASE WHEN a > 1 THEN 1 ELSE 2 END"),
            Shape::Scalar(None)
        );
        assert_eq!(
            shape("case when a in ('then', b) then (tags) when true then null end"),
            Shape::Scalar(None)
        );
        assert_eq!(
            shape("case when a in ('then', b) then filter(tags, t -> t > 'a') else null end"),
            Shape::List(Some("string".into()))
        );
        assert_eq!(shape("sort_array(f(a))"), Shape::List(None));
        assert_eq!(
            shape("transform(tags, (t) -> t = 'a')"),
            Shape::List(Some("boolean".into()))
        );
        assert_eq!(shape("map(a > 1, 2)"), Shape::Scalar(Some("map".into())));
        assert_eq!(shape("map('a', b > 2)"), Shape::Map(Some("boolean".into())));
        assert_eq!(shape("transform(f(a), tags -> tags)"), Shape::List(None));
        assert_eq!(
            shape("transform_values(f(a), (k, v) -> CAST(v AS INT))"),
            Shape::Map(Some("int".into()))
        );
        assert_eq!(shape("to_date(a)"), Shape::Scalar(Some("date".into())));
        assert_eq!(
            shape("CAST(x AS MAP<INT, INT>)"),
            Shape::Scalar(Some("map<int, int>".into()))
        );
        assert_eq!(
            shape("concat(a, 'is in = b')"),
            Shape::Scalar(Some("string".into()))
        );
    }
}
