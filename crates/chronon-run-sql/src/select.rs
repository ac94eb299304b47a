//! The output columns of a query, as far as its text tells.

use chronon_run_core::{CatalogSnapshot, TableName};
use sqlparser::{
    ast::{Expr, SelectItem, SetExpr, Statement, TableFactor},
    dialect::DatabricksDialect,
    parser::Parser,
};

use super::{Types, kind::Kind};

/// The types of the columns that a query selects from a single table, as far as its text tells;
/// nothing for any other query.
pub(super) fn types(query: &str, tables: &CatalogSnapshot) -> Types {
    let Some((table, items)) = single_select(query) else {
        return Types::new();
    };
    let info = tables.table(&table).map(|state| &state.info);
    let column_type = |name: &str| {
        let mut columns = info?.columns.iter().chain(&info?.partition_columns);
        let column = columns.find(|column| column.name.eq_ignore_ascii_case(name))?;
        Some(column.data_type.clone())
    };
    let typed = items.into_iter().filter_map(|item| {
        let (name, expression) = match item {
            SelectItem::ExprWithAlias { expr, alias } => (alias.value, expr),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => {
                (name.value.clone(), Expr::Identifier(name))
            }
            _ => return None,
        };
        let kind = Kind::of_expression(&expression.to_string(), &column_type);
        Some((name, kind.text()?))
    });
    typed.collect()
}

/// The table and the select list of a query that is one `SELECT` from one table.
fn single_select(query: &str) -> Option<(TableName, Vec<SelectItem>)> {
    let mut statements = Parser::parse_sql(&DatabricksDialect {}, query).ok()?;
    let (Some(Statement::Query(query)), true) = (statements.pop(), statements.is_empty()) else {
        return None;
    };
    let (None, SetExpr::Select(select)) = (&query.with, *query.body) else {
        return None;
    };
    let [from] = select.from.as_slice() else {
        return None;
    };
    let TableFactor::Table { name, .. } = &from.relation else {
        return None;
    };
    let table = name.to_string().replace('`', "").parse().ok()?;
    from.joins.is_empty().then_some((table, select.projection))
}

/// The names of the columns that a query selects; `None` where only Spark can tell (`*`, columns
/// without alias, anything unusual).
pub(super) fn columns(query: &str) -> Option<Vec<String>> {
    let flat = top_level(query);
    let words: Vec<&str> = flat.split_whitespace().collect();
    let select = words
        .iter()
        .position(|word| word.eq_ignore_ascii_case("select"))?;
    let list = words.get(select + 1..)?;
    let end = list
        .iter()
        .position(|word| word.eq_ignore_ascii_case("from"));
    let mut list = list.get(..end.unwrap_or(list.len()))?;
    if list
        .first()
        .is_some_and(|word| word.eq_ignore_ascii_case("distinct"))
    {
        list = list.get(1..)?;
    }
    let names: Option<Vec<String>> = list.join(" ").split(',').map(name).collect();
    names.filter(|names| !names.is_empty())
}

/// The name of one item: its alias, or the column that it is.
fn name(item: &str) -> Option<String> {
    let words: Vec<&str> = item.split_whitespace().collect();
    let name = match words.as_slice() {
        [column] => column.rsplit('.').next()?,
        [.., keyword, alias] if keyword.eq_ignore_ascii_case("as") => alias,
        _ => return None,
    };
    let name = name.trim_matches('`');
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let number = name
        .chars()
        .next()
        .is_none_or(|first| first.is_ascii_digit());
    (!number && name.chars().all(plain)).then(|| name.to_owned())
}

/// The text without comments, and with `()` for everything in parentheses or quotes.
fn top_level(query: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0_usize;
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let next = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if c == '\'' || c == '"' {
            kept.push_str(if depth == 0 { "()" } else { "" });
            quoted(rest, c)
        } else {
            match c {
                '(' | '[' => {
                    kept.push_str(if depth == 0 { "()" } else { "" });
                    depth += 1;
                }
                ')' | ']' => {
                    depth = depth.saturating_sub(1);
                    // `f(x) AS y` and `f(x)AS y` alike.
                    kept.push(' ');
                }
                c if depth == 0 => kept.push(c),
                _ => {}
            }
            c.len_utf8()
        };
        rest = rest.get(next..).unwrap_or_default();
    }
    kept
}

/// The length of a quoted text at the start of `rest`, quotes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(query: &str) -> Option<String> {
        columns(query).map(|names| names.join(" "))
    }

    #[test]
    fn names_are_aliases_or_columns() {
        assert_eq!(
            names(
                "WITH a AS (SELECT 1 AS n FROM t) SELECT DISTINCT a.n, COUNT(*)AS c, '(, x' >= ds AS late, ds FROM a"
            ),
            Some("n c late ds".into())
        );
        assert_eq!(
            names("select -- the rest, from t\n x, /* y, */ `z` from t"),
            Some("x z".into())
        );
        assert_eq!(
            names("SELECT f(a, 'it\\'s') AS v, ds FROM t"),
            Some("v ds".into())
        );
    }

    #[test]
    fn types_follow_from_a_single_table() {
        let mut tables = CatalogSnapshot::default();
        let columns = vec![chronon_run_core::Column {
            name: "amount".into(),
            data_type: "bigint".into(),
        }];
        let info = chronon_run_core::TableInfo {
            columns,
            ..Default::default()
        };
        let state = chronon_run_core::TableState {
            info,
            ..Default::default()
        };
        let table: TableName = "src.events".parse().unwrap();
        tables.tables.insert(table, Some(state));
        let found = types(
            "SELECT amount, concat('USD ', amount) AS text, x FROM src.events WHERE ds > '1'",
            &tables,
        );
        let found: Vec<_> = found
            .iter()
            .map(|(name, kind)| format!("{name} {kind}"))
            .collect();
        assert_eq!(found, ["amount bigint", "text string"]);
        let joined = "SELECT amount FROM src.events JOIN src.other ON true";
        assert!(types(joined, &tables).is_empty());
    }

    #[test]
    fn what_only_spark_knows_is_not_guessed() {
        for query in [
            "SELECT * FROM t",
            "SELECT t.*, 1 AS n FROM t",
            "SELECT a + 1, ds FROM t",
            "SELECT COUNT(*) FROM t",
            "SELECT 1",
            "FROM t SELECT",
            "",
        ] {
            assert_eq!(names(query), None, "{query}");
        }
    }
}
