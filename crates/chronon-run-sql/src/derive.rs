//! Derivations: columns computed from columns.

use chronon_run_conf::Derivation;

use super::{Types, text::ident};

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

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(base: &str, derivations: &[(&str, &str)]) -> String {
        let base: Vec<String> = base.split(' ').map(str::to_owned).collect();
        let derivations: Vec<Derivation> = derivations
            .iter()
            .map(|(name, expression)| {
                let json = serde_json::json!({"name": name, "expression": expression});
                serde_json::from_value(json).expect("a derivation")
            })
            .collect();
        let columns = columns(&base, &derivations).into_iter();
        let columns: Vec<String> = columns.map(|(name, value)| line(&name, &value)).collect();
        columns.join(", ")
    }

    #[test]
    fn the_star_stands_where_the_conf_puts_it() {
        let last = [("x", "a + b"), ("*", "*"), ("y", "b")];
        assert_eq!(derived("a b c", &last), "a + b AS x, a, c, b AS y");
        assert_eq!(derived("a b", &[("x", "a")]), "a AS x");
    }

    #[test]
    fn words_of_an_expression_may_be_names() {
        assert_eq!(
            words("if(a_1 > 2x, `b`, 'c d')"),
            ["if", "a_1", "x", "b", "c", "d"]
        );
    }
}
