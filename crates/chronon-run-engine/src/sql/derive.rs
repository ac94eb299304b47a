//! Derivations: columns computed from columns.

use chronon_run_conf::Derivation;

use super::{Types, script::ident};

/// The columns after derivation, as `(name, expression)`: with `*` all base columns except
/// those that are renamed one to one, then the derived ones; without it only the derived ones.
pub(super) fn columns(base: &[String], derivations: &[Derivation]) -> Vec<(String, String)> {
    let named = || {
        derivations
            .iter()
            .filter(|derivation| derivation.name != "*")
    };
    let starred = derivations.iter().any(|derivation| derivation.name == "*");
    let replaced =
        |column: &String| named().any(|d| d.expression.trim() == column || d.name == *column);
    let kept = base
        .iter()
        .filter(|column| starred && !replaced(column))
        .map(|column| (column.clone(), column.clone()));
    kept.chain(named().map(|d| (d.name.clone(), d.expression.clone())))
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
