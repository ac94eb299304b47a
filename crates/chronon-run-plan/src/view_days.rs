//! How views write days: those that hand on a column of their tables have its form, too.

use std::collections::BTreeMap;

use chronon_run_core::{CatalogSnapshot, TableInfo, TableName};

use crate::{graph::Tables, resolve::Bases};

/// How many views may stand behind one another.
const DEEPEST: usize = 8;

/// What `of_tables` says of tables, and the same of the views that hand on the day column of one of them.
/// `read` has the day columns that are read of tables, `column` is that of all others.
#[must_use]
pub fn with_views<T: Clone>(
    of_tables: BTreeMap<TableName, T>,
    snapshot: &CatalogSnapshot,
    bases: &Bases,
    read: &Tables,
    column: &str,
) -> BTreeMap<TableName, T> {
    let mut known = of_tables;
    let hands_on = |view: &TableName| {
        let state = snapshot.table(view);
        let columns = read.get(view).filter(|columns| !columns.is_empty());
        state.is_some_and(|state| match columns {
            Some(columns) => columns
                .iter()
                .all(|column| is_handed_on(&state.info, column)),
            None => is_handed_on(&state.info, column),
        })
    };
    for _ in 0..DEEPEST {
        let of_views = bases.iter().filter(|(view, _)| !known.contains_key(*view));
        let of_views = of_views.filter_map(|(view, tables)| {
            let found = tables.iter().find_map(|table| known.get(table))?;
            hands_on(view).then(|| (view.clone(), found.clone()))
        });
        let of_views: Vec<_> = of_views.collect();
        if of_views.is_empty() {
            break;
        }
        known.extend(of_views);
    }
    known
}

/// Whether a view has the column as one of its tables has it: by its text, or by its type, which a day that
/// is written as text does not have.
fn is_handed_on(view: &TableInfo, column: &str) -> bool {
    let mut columns = view.columns.iter();
    let own = columns.find(|own| own.name.eq_ignore_ascii_case(column));
    let is_number = own.is_some_and(|own| own.data_type.ends_with("int"));
    let Some(text) = view.view_text.as_deref().filter(|_| view.is_view) else {
        return is_number;
    };
    is_number || expression_of(text, column).is_none_or(|expression| is_column(&expression))
}

/// What a query selects as `column`; `None` if it has no such alias.
fn expression_of(query: &str, column: &str) -> Option<String> {
    let words: Vec<&str> = query.split_whitespace().collect();
    let is_name = |word: &str| {
        let bare = word.trim_end_matches([',', ')', ';']).trim_matches('`');
        bare.eq_ignore_ascii_case(column)
    };
    let mut pairs = words.windows(2).enumerate();
    let (at, _) = pairs.find(|(_, pair)| pair[0].eq_ignore_ascii_case("as") && is_name(pair[1]))?;
    let before = words[..at].join(" ");
    let start = last_item(&before);
    Some(before[start..].trim().to_owned())
}

/// Where the last item of a list of selects begins.
fn last_item(text: &str) -> usize {
    let mut depth = 0_i32;
    for (at, letter) in text.char_indices().rev() {
        match letter {
            ')' => depth += 1,
            '(' => depth -= 1,
            ',' if depth == 0 => return at + 1,
            _ => {}
        }
        if depth < 0 {
            return at + 1;
        }
    }
    let words = ["select ", "distinct "].into_iter();
    let lower = text.to_ascii_lowercase();
    let ends = words.filter_map(|word| Some(lower.rfind(word)? + word.len()));
    ends.max().unwrap_or_default()
}

fn is_column(expression: &str) -> bool {
    let mut letters = expression.chars();
    letters.all(|letter| letter.is_alphanumeric() || "_.`".contains(letter))
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{Column, TableState};

    use super::*;

    fn info(text: &str, data_type: &str) -> TableInfo {
        TableInfo {
            is_view: true,
            view_text: Some(text.to_owned()),
            columns: vec![Column {
                name: "ds".to_owned(),
                data_type: data_type.to_owned(),
            }],
            ..TableInfo::default()
        }
    }

    #[test]
    fn a_column_is_handed_on_or_made() {
        for (text, handed_on) in [
            ("SELECT * FROM db.t", true),
            ("select a, ds from db.t where x as y", true),
            ("SELECT a, dt AS ds FROM db.t", true),
            ("SELECT DISTINCT t.`dt` as `DS`, a FROM db.t", true),
            ("SELECT dt AS ds, upper(a) AS b FROM db.t", true),
            (
                "SELECT date_format(to_date(ds, 'yyyyMMdd'), 'yyyy-MM-dd') AS ds FROM db.t",
                false,
            ),
            ("SELECT a, concat(y, '-', m) AS ds\nFROM db.t", false),
            (
                "WITH x AS (SELECT a || b AS ds FROM db.t) SELECT * FROM x",
                false,
            ),
        ] {
            assert_eq!(
                is_handed_on(&info(text, "string"), "ds"),
                handed_on,
                "{text}"
            );
        }
        assert!(is_handed_on(
            &info("SELECT a + b AS ds FROM db.t", "int"),
            "ds"
        ));
    }

    #[test]
    fn views_of_views_have_the_form_of_the_table() {
        let name = |text: &str| text.parse::<TableName>().unwrap();
        let view = |text| TableState {
            info: info(text, "string"),
            ..TableState::default()
        };
        let snapshot = CatalogSnapshot {
            tables: [
                (name("db.a"), Some(view("SELECT * FROM db.t"))),
                (name("db.b"), Some(view("SELECT * FROM db.a"))),
                (name("db.c"), Some(view("SELECT f(ds) AS ds FROM db.a"))),
            ]
            .into(),
        };
        let bases = crate::bases(&snapshot, &BTreeMap::new());
        let known = [(name("db.t"), 7)].into();
        let found = with_views(known, &snapshot, &bases, &Tables::new(), "ds");
        let found: Vec<String> = found.keys().map(ToString::to_string).collect();
        assert_eq!(found, ["db.a", "db.b", "db.t"]);
    }
}
