//! How the columns of existing tables differ from those that a conf now produces.

use chronon_run_core::{Column, ColumnChanges, Retyped, TableChanges, TableInfo};

use super::{kind::Kind, output::Output};

/// The differences between an existing table and the output; none if it fits, or if only Spark
/// knows the output's columns.
pub(super) fn changes(output: &Output<'_>, info: &TableInfo) -> Option<TableChanges> {
    let planned = output.columns.as_ref()?;
    let existing = || info.columns.iter().chain(&info.partition_columns);
    let in_table = |name: &str| existing().find(|column| column.name.eq_ignore_ascii_case(name));
    let added = planned.iter().filter(|name| in_table(name).is_none());
    let removed = existing().filter(|column| {
        !planned
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&column.name))
    });
    let retyped = planned
        .iter()
        .filter_map(|name| retyped(output, name, in_table(name)?));
    let changes = ColumnChanges {
        added: added.cloned().collect(),
        removed: removed.cloned().collect(),
        retyped: retyped.collect(),
    };
    (!changes.is_empty()).then(|| TableChanges {
        table: output.table.clone(),
        needs_rebuild: needs_rebuild(output.kind, &changes),
        changes,
    })
}

/// Added columns are appended, except to stored increments, which would lack the earlier days. A
/// removed column of a GroupBy would be written by position by the Driver; those of joins and
/// staging queries stay and are NULL, as with the Driver.
fn needs_rebuild(kind: Option<&str>, changes: &ColumnChanges) -> bool {
    match kind {
        Some("group_by_incremental") => !changes.is_empty(),
        Some("group_by") => !changes.removed.is_empty() || is_certainly_retyped(changes),
        _ => is_certainly_retyped(changes),
    }
}

fn is_certainly_retyped(changes: &ColumnChanges) -> bool {
    changes.retyped.iter().any(|column| column.certain)
}

fn retyped(output: &Output<'_>, name: &str, column: &Column) -> Option<Retyped> {
    if output.partitioned_by.iter().any(|known| known == name) {
        return None;
    }
    let certain = output.types.get(name);
    let now = certain.or_else(|| output.likely.get(name))?;
    (!fits(&Kind::of_type(now), &Kind::of_type(&column.data_type))).then(|| Retyped {
        name: name.to_owned(),
        before: column.data_type.clone(),
        now: now.clone(),
        certain: certain.is_some(),
    })
}

/// Whether values of one type can be stored as another without a loss: equal types, and numbers
/// in wider ones.
fn fits(now: &Kind, before: &Kind) -> bool {
    const INTEGERS: [&str; 4] = ["tinyint", "smallint", "int", "bigint"];
    match (now, before) {
        (Kind::Unknown | Kind::Null, _) | (_, Kind::Unknown | Kind::Null) => true,
        (Kind::Plain(now), Kind::Plain(before)) => {
            let width = |name: &str| INTEGERS.iter().position(|known| *known == name);
            let is_decimal = |name: &str| name.starts_with("decimal");
            let is_outer = |name: &str| ["array", "map", "struct"].contains(&name);
            match (width(now), width(before)) {
                (Some(now), Some(before)) => now <= before,
                _ if is_decimal(now) && is_decimal(before) => true,
                _ if is_outer(now) || is_outer(before) => true,
                _ => now == before || (now == "float" && before == "double"),
            }
        }
        // A type of which only the outer word is known.
        (Kind::Plain(word), whole) | (whole, Kind::Plain(word)) => {
            matches!(
                (word.as_str(), whole),
                ("array", Kind::List(_)) | ("map", Kind::Map(..)) | ("struct", Kind::Struct(_))
            )
        }
        (Kind::List(now), Kind::List(before)) => fits(now, before),
        (Kind::Map(key, value), Kind::Map(old_key, old_value)) => {
            fits(key, old_key) && fits(value, old_value)
        }
        (Kind::Struct(now), Kind::Struct(before)) => {
            let pairs = || now.iter().zip(before);
            now.len() == before.len()
                && pairs().all(|((name, now), (old, before))| {
                    name.eq_ignore_ascii_case(old) && fits(now, before)
                })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_hold_every_value_are_no_change() {
        let fit = |now: &str, before: &str| fits(&Kind::of_type(now), &Kind::of_type(before));
        for (now, before) in [
            ("int", "bigint"),
            ("float", "double"),
            ("decimal(8,1)", "decimal(10,2)"),
            ("varchar(3)", "string"),
            ("array<int>", "array<bigint>"),
            ("array", "array<string>"),
            ("struct<a:int>", "struct<A:bigint>"),
        ] {
            assert!(fit(now, before), "{now} in {before}");
        }
        for (now, before) in [
            ("bigint", "int"),
            ("double", "bigint"),
            ("bigint", "double"),
            ("string", "bigint"),
            ("bigint", "string"),
            ("array<string>", "string"),
            ("map<string,int>", "array<int>"),
            ("struct<a:int>", "struct<b:int>"),
        ] {
            assert!(!fit(now, before), "{now} in {before}");
        }
    }
}
