//! Derivations: columns computed from columns.

use chronon_run_conf::Derivation;

use super::{Types, script::ident};

/// The columns after derivation, as `(name, expression)`, in the order of the conf: `*` stands
/// for all base columns except those that are renamed one to one.
pub(super) fn columns(base: &[String], derivations: &[Derivation]) -> Vec<(String, String)> {
    let named = || {
        derivations
            .iter()
            .filter(|derivation| derivation.name != "*")
    };
    let replaced =
        |column: &String| named().any(|d| d.expression.trim() == column || d.name == *column);
    let all = || {
        let kept = base.iter().filter(|column| !replaced(column));
        kept.map(|column| (column.clone(), column.clone()))
            .collect()
    };
    let columns = derivations
        .iter()
        .flat_map(|derivation| match derivation.name.as_str() {
            "*" => all(),
            name => vec![(name.to_owned(), derivation.expression.clone())],
        });
    columns.collect()
}

/// The words of an expression that may be names, as the engine finds them.
pub(super) fn words(expression: &str) -> Vec<&str> {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    expression
        .split(|c| !letters(c))
        .map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .collect()
}

/// What derivations do to known types: a renamed column keeps its type, a computed one has one
/// that only Spark knows.
pub(super) fn rename_types(types: &mut Types, derivations: &[Derivation]) {
    let base = types.clone();
    for derivation in derivations
        .iter()
        .filter(|derivation| derivation.name != "*")
    {
        match base.get(derivation.expression.trim()) {
            Some(data_type) => types.insert(derivation.name.clone(), data_type.clone()),
            None => types.remove(&derivation.name),
        };
    }
}

/// `expression AS name`, or only the name.
pub(super) fn line(name: &str, expression: &str) -> String {
    match expression == name {
        true => ident(name),
        false => format!("{expression} AS {}", ident(name)),
    }
}
