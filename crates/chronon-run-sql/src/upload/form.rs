//! The form in which the engine keeps partial results, and the names of its schema.

use std::collections::BTreeSet;

use chronon_run_conf::Operation;

use super::{
    super::{aggregate::Partial, text::text},
    bounded,
};

/// The names of a nested Avro schema: each may stand only once in the whole of it, so a
/// repeated one gets a number (`count_REPEATED_NAME_0`).
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    pub(super) fn add(&mut self, name: &str) -> String {
        let clean = |c: char| match c.is_ascii_alphanumeric() {
            true => c,
            false => '_',
        };
        let name: String = name.chars().map(clean).collect();
        let numbered = (0..).map(|n| format!("{name}_REPEATED_NAME_{n}"));
        let free = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| !self.0.contains(name))
            .unwrap_or(name);
        self.0.insert(free.clone());
        free
    }
}

/// A merged partial result as the engine keeps it, for inputs of the type `input`, if it is known;
/// NULL if no input was there.
pub(super) fn engine_form(
    partial: &Partial,
    cells: &[String],
    input: Option<&str>,
    names: &mut Names,
) -> String {
    let is_float = input == Some("float");
    let c = cells.first().cloned().unwrap_or_default();
    match partial.operation {
        Operation::Count | Operation::Sum => c,
        Operation::Min | Operation::Max => widened(is_float, c),
        Operation::Average => {
            let n = cells.get(1).cloned().unwrap_or_default();
            let fields = [("sum", c), ("count", format!("CAST({n} AS INT)"))];
            let value = structure(names, "average", &fields);
            unless_null(&format!("{n} IS NOT NULL"), &value)
        }
        Operation::First | Operation::Last => {
            let value = time_pair(partial, &c, is_float, names);
            unless_null(&format!("{c} IS NOT NULL"), &value)
        }
        Operation::FirstK | Operation::LastK => {
            let value = time_pair(partial, "e", is_float, names);
            // The engine's heap has its worst entry first (`MinHeap`).
            unless_empty(&c, &format!("TRANSFORM(REVERSE({c}), e -> {value})"))
        }
        Operation::Histogram => {
            let value = format!("TRANSFORM_VALUES({c}, (word, n) -> CAST(n AS INT))");
            unless_empty(&c, &value)
        }
        Operation::ApproxPercentile => {
            unless_empty(&c, &format!("CAST(SORT_ARRAY({c}) AS ARRAY<DOUBLE>)"))
        }
        Operation::TopK | Operation::BottomK => {
            unless_empty(&c, &widened_list(is_float, format!("REVERSE({c})")))
        }
        Operation::UniqueCount => unless_empty(&c, &widened_list(is_float, c.clone())),
        Operation::BoundedUniqueCount => bounded::stored(partial, &c, input),
        Operation::ApproxUniqueCount | Operation::ApproxHistogramK => unless_empty(&c, &c),
        Operation::Variance => {
            let fields = [
                ("count", format!("CAST({c}.n AS INT)")),
                ("mean", format!("{c}.mean")),
                ("m2", format!("{c}.m2")),
            ];
            let value = structure(names, "variance", &fields);
            unless_null(&format!("{c}.n > 0"), &value)
        }
        Operation::Skew | Operation::Kurtosis => {
            let value = format!("ARRAY({c}.n, {c}.mean, {c}.m2, {c}.m3, {c}.m4)");
            unless_null(&format!("{c}.n > 0"), &value)
        }
    }
}

fn unless_null(is_there: &str, value: &str) -> String {
    format!("IF({is_there}, {value}, NULL)")
}

fn unless_empty(list: &str, value: &str) -> String {
    unless_null(&format!("SIZE({list}) > 0"), value)
}

/// The engine keeps floats as doubles.
fn widened(is_float: bool, value: String) -> String {
    match is_float {
        true => format!("CAST({value} AS DOUBLE)"),
        false => value,
    }
}

fn widened_list(is_float: bool, list: String) -> String {
    match is_float {
        true => format!("CAST({list} AS ARRAY<DOUBLE>)"),
        false => list,
    }
}

/// A struct of the schema; `name` is its own.
fn structure(names: &mut Names, name: &str, fields: &[(&str, String)]) -> String {
    names.add(name);
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}, {value}", text(&names.add(name))))
        .collect();
    format!("NAMED_STRUCT({})", pairs.join(", "))
}

/// A row of the first or last ones, of which `row` has time and value.
fn time_pair(partial: &Partial, row: &str, is_float: bool, names: &mut Names) -> String {
    let sign = sign(partial.operation);
    let value = widened(is_float, partial.restored(&format!("{row}.value")));
    let fields = [
        ("epochMillis", format!("{sign}{row}.at")),
        ("payload", value),
    ];
    structure(names, "time pair", &fields)
}

/// Merged rows of the newest-first operations are kept by their negative time.
fn sign(operation: Operation) -> &'static str {
    match operation {
        Operation::Last | Operation::LastK => "-",
        _ => "",
    }
}
