//! The form in which the engine keeps partial results, and the names of its schema.

use std::collections::BTreeSet;

use chronon_run_conf::Operation;

use super::{
    super::{aggregate::Partial, script::text},
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
    let wide = |value: String| match is_float {
        true => format!("CAST({value} AS DOUBLE)"),
        false => value,
    };
    // The names of a structure, and its own.
    let mut named = |fields: &[(&str, String)], struct_name: &str| {
        names.add(struct_name);
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}, {value}", text(&names.add(name))))
            .collect();
        format!("NAMED_STRUCT({})", pairs.join(", "))
    };
    let some = |condition: String, value: String| format!("IF({condition}, {value}, NULL)");
    match partial.operation {
        Operation::Count | Operation::Sum => c,
        Operation::Min | Operation::Max => wide(c),
        Operation::Average => {
            let n = cells.get(1).cloned().unwrap_or_default();
            let value = named(
                &[("sum", c.clone()), ("count", format!("CAST({n} AS INT)"))],
                "average",
            );
            some(format!("{n} IS NOT NULL"), value)
        }
        Operation::First | Operation::Last => {
            let sign = sign(partial.operation);
            let value = named(
                &[
                    ("epochMillis", format!("{sign}{c}.at")),
                    ("payload", wide(partial.restored(&format!("{c}.value")))),
                ],
                "time pair",
            );
            some(format!("{c} IS NOT NULL"), value)
        }
        Operation::FirstK | Operation::LastK => {
            let sign = sign(partial.operation);
            let value = named(
                &[
                    ("epochMillis", format!("{sign}e.at")),
                    ("payload", wide(partial.restored("e.value"))),
                ],
                "time pair",
            );
            some(
                format!("SIZE({c}) > 0"),
                // The engine's heap has its worst entry first (`MinHeap`).
                format!("TRANSFORM(REVERSE({c}), e -> {value})"),
            )
        }
        Operation::Histogram => some(
            format!("SIZE({c}) > 0"),
            format!("TRANSFORM_VALUES({c}, (word, n) -> CAST(n AS INT))"),
        ),
        Operation::ApproxPercentile => some(
            format!("SIZE({c}) > 0"),
            format!("CAST(SORT_ARRAY({c}) AS ARRAY<DOUBLE>)"),
        ),
        Operation::TopK | Operation::BottomK | Operation::UniqueCount => {
            let list = match partial.operation {
                Operation::UniqueCount => c.clone(),
                _ => format!("REVERSE({c})"),
            };
            let value = match is_float {
                true => format!("CAST({list} AS ARRAY<DOUBLE>)"),
                false => list,
            };
            some(format!("SIZE({c}) > 0"), value)
        }
        Operation::BoundedUniqueCount => bounded::stored(partial, &c, input),
        Operation::ApproxUniqueCount | Operation::ApproxHistogramK => {
            some(format!("SIZE({c}) > 0"), c.clone())
        }
        Operation::Variance => {
            let value = named(
                &[
                    ("count", format!("CAST({c}.n AS INT)")),
                    ("mean", format!("{c}.mean")),
                    ("m2", format!("{c}.m2")),
                ],
                "variance",
            );
            some(format!("{c}.n > 0"), value)
        }
        Operation::Skew | Operation::Kurtosis => some(
            format!("{c}.n > 0"),
            format!("ARRAY({c}.n, {c}.mean, {c}.m2, {c}.m3, {c}.m4)"),
        ),
    }
}

/// Merged rows of the newest-first operations are kept by their negative time.
fn sign(operation: Operation) -> &'static str {
    match operation {
        Operation::Last | Operation::LastK => "-",
        _ => "",
    }
}
