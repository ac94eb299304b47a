//! What types must be, once Spark has told them.

use std::collections::BTreeMap;

use chronon_run_conf::Operation;

use super::finding::{Finding, Place};

/// Something about the types that a statement tells. Columns are found as Spark finds them, whatever
/// their case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Check {
    /// A column must be there.
    Column { described: usize, place: Place },
    /// A time is milliseconds.
    Time { described: usize, place: Place },
    /// The input of an aggregation, which the place names, must be what it takes.
    Aggregation {
        described: usize,
        operation: Operation,
        place: Place,
    },
    /// Two keys must be of comparable types.
    Keys {
        left: (usize, String),
        right: (usize, String),
        place: Place,
    },
}

/// Names and types of columns, by statement.
pub(super) type Described = BTreeMap<usize, Vec<(String, String)>>;

impl Check {
    pub(super) fn finding(&self, described: &Described) -> Option<Finding> {
        match self {
            Self::Column {
                described: of,
                place,
            } => {
                let columns = described.get(of)?;
                let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
                let is_there = type_of(columns, &place.text).is_some();
                (!is_there).then(|| {
                    let message = format!("there is no column `{}`", place.text);
                    Finding::new(place, message, nearest_of(&place.text, &names))
                })
            }
            Self::Time {
                described: of,
                place,
            } => {
                let (_, found) = described.get(of)?.first()?;
                time_finding(found, place)
            }
            Self::Aggregation {
                described: of,
                operation,
                place,
            } => {
                let found = type_of(described.get(of)?, &place.text)?;
                let element = element_of(found);
                (needs_number(*operation)
                    && !matches!(class(element), Class::Number | Class::Truth))
                .then(|| {
                    let message = format!(
                        "{operation:?} needs numbers, and `{}` is of type {found}",
                        place.text
                    );
                    Finding::new(
                        place,
                        message,
                        Some("select a number, e.g. with `CAST(… AS DOUBLE)`".to_owned()),
                    )
                })
            }
            Self::Keys { left, right, place } => {
                let left_type = type_of(described.get(&left.0)?, &left.1)?;
                let right_type = type_of(described.get(&right.0)?, &right.1)?;
                (!are_comparable(class(left_type), class(right_type))).then(|| {
                    let message = format!("the key `{}` of the left side is of type {left_type}, and `{}` of the GroupBy of type {right_type}", left.1, right.1);
                    Finding::new(place, message, Some("CAST one of them in its selects, so that equal keys are equal".to_owned()))
                })
            }
        }
    }
}

fn time_finding(found: &str, place: &Place) -> Option<Finding> {
    let hint = match class(found) {
        Class::Number | Class::Other => return None,
        Class::Instant => format!(
            "`UNIX_MILLIS(CAST({} AS TIMESTAMP))` makes milliseconds of it",
            place.text
        ),
        _ => "`CAST(… AS BIGINT)` makes a number of a text of digits".to_owned(),
    };
    let message = format!("the time is of type {found}; it must be milliseconds as BIGINT");
    Some(Finding::new(place, message, Some(hint)))
}

fn type_of<'a>(columns: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut columns = columns.iter();
    let found = columns.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(&found.1)
}

/// What an aggregation takes of a column of this type: each element of an array, each value of a map.
fn element_of(kind: &str) -> &str {
    if let Some(element) = kind.strip_prefix("array<") {
        return element;
    }
    // A map's key is no map, so the comma after it is the first that stands in no brackets.
    let Some(entry) = kind.strip_prefix("map<") else {
        return kind;
    };
    let mut depth = 0_usize;
    let value = entry.find(|c: char| {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    value.map_or(kind, |at| entry[at + 1..].trim_start())
}

fn needs_number(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Sum
            | Operation::Average
            | Operation::Variance
            | Operation::Skew
            | Operation::Kurtosis
            | Operation::ApproxPercentile
    )
}

/// Types that Spark compares with each other without a change of meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Number,
    Text,
    Truth,
    Instant,
    Bytes,
    Nested,
    /// `void`, or a type that is not known here.
    Other,
}

fn are_comparable(left: Class, right: Class) -> bool {
    left == right || left == Class::Other || right == Class::Other
}

fn class(kind: &str) -> Class {
    let word = kind.split(['(', '<', '>', ' ']).next().unwrap_or_default();
    match word {
        "tinyint" | "smallint" | "int" | "bigint" | "float" | "double" | "decimal" => Class::Number,
        "string" | "varchar" | "char" => Class::Text,
        "boolean" => Class::Truth,
        "date" | "timestamp" => Class::Instant,
        "binary" => Class::Bytes,
        "array" | "map" | "struct" => Class::Nested,
        _ => Class::Other,
    }
}

/// The known name that is most like `word`, as advice.
pub(super) fn nearest_of(word: &str, known: &[String]) -> Option<String> {
    let word = word.to_lowercase();
    let likeness = known
        .iter()
        .map(|known| (strsim::jaro_winkler(&word, &known.to_lowercase()), known));
    let best = likeness.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.7).then(|| format!("did you mean `{}`?", best.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregations_take_the_elements_of_arrays_and_the_values_of_maps() {
        for (kind, element) in [
            ("bigint", Class::Number),
            ("array<double>", Class::Number),
            ("map<string,int>", Class::Number),
            (
                "map<struct<a:int,b:decimal(9,2)>,decimal(9,2)>",
                Class::Number,
            ),
            ("map<int,string>", Class::Text),
            ("array<string>", Class::Text),
        ] {
            assert_eq!(class(element_of(kind)), element, "{kind}");
        }
    }
}
