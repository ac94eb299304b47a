//! Helper tables of scripts, and what a killed script leaves of them.
//!
//! A script that creates a table makes an empty `<table>__types_<day>` first; one that adds columns of
//! unknown type copies the table to `<table>__expanding`, and renames it to `<table>__replaced` before
//! the copy takes its name. At every moment the rows are in one of the three.

use std::collections::BTreeSet;

use chronon_run_core::TableName;

/// The ending of the copy that takes a table's place.
pub const EXPANDING: &str = "__expanding";
/// The ending of the table whose place a copy has taken.
pub const REPLACED: &str = "__replaced";
/// What stands between a table and the first day of the step in the name of its helper.
pub const TYPES: &str = "__types_";

/// One change of the catalog that undoes what a killed script left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Repair {
    /// Give the first table the second name.
    Rename(TableName, TableName),
    /// Drop the table with its files.
    Drop(TableName),
}

/// Whether `name` is a helper of `table`.
#[must_use]
pub fn is_helper(table: &TableName, name: &TableName) -> bool {
    let same_database = table.namespace().eq_ignore_ascii_case(name.namespace());
    let (table, name) = (table.name().to_lowercase(), name.name().to_lowercase());
    let Some(ending) = name.strip_prefix(&table).filter(|_| same_database) else {
        return false;
    };
    let day = ending.strip_prefix(TYPES);
    let is_day = |day: &str| day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
    day.is_some_and(is_day) || ending == EXPANDING || ending == REPLACED
}

/// What has to be done about the helpers of `table`, in order, given every table that there is.
#[must_use]
pub fn repairs(table: &TableName, existing: &BTreeSet<TableName>) -> Vec<Repair> {
    let has = |name: &TableName| existing.contains(name);
    let (expanding, replaced) = (table.suffixed(EXPANDING), table.suffixed(REPLACED));
    let rescued = match (has(table), has(&replaced), has(&expanding)) {
        (true, ..) | (false, false, _) => None,
        // Killed between the two renames: the copy is complete.
        (false, true, true) => Some(expanding),
        (false, true, false) => Some(replaced),
    };
    let helpers = existing.iter().filter(|name| is_helper(table, name));
    let dropped = helpers.filter(|name| Some(*name) != rescued.as_ref());
    let dropped: Vec<Repair> = dropped.cloned().map(Repair::Drop).collect();
    let renamed = rescued.map(|name| Repair::Rename(name, table.clone()));
    renamed.into_iter().chain(dropped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableName {
        name.parse().unwrap()
    }

    #[test]
    fn at_every_moment_of_an_expansion_all_rows_survive() {
        let all = |names: &[&str]| {
            names
                .iter()
                .map(|name| table(&format!("o.{name}")))
                .collect()
        };
        let steps = |names: &[&str]| repairs(&table("o.t"), &all(names));
        let drop = |name: &str| Repair::Drop(table(name));
        let rename = |name: &str| Repair::Rename(table(name), table("o.t"));
        assert_eq!(steps(&["t"]), []);
        assert_eq!(
            steps(&["t", "t__types_20260101", "u"]),
            [drop("o.t__types_20260101")]
        );
        assert_eq!(steps(&["t", "t__expanding"]), [drop("o.t__expanding")]);
        assert_eq!(
            steps(&["t__expanding", "t__replaced", "t__types_20260101"]),
            [
                rename("o.t__expanding"),
                drop("o.t__replaced"),
                drop("o.t__types_20260101")
            ]
        );
        assert_eq!(steps(&["t", "t__replaced"]), [drop("o.t__replaced")]);
        assert_eq!(steps(&["t__replaced"]), [rename("o.t__replaced")]);
        assert_eq!(steps(&["t__types_20260101"]), [drop("o.t__types_20260101")]);
    }

    #[test]
    fn tables_of_others_are_no_helpers() {
        for name in [
            "o.t",
            "o.t__types_",
            "o.t__types_2026010x",
            "o.t_more__expanding",
            "p.t__expanding",
        ] {
            assert!(!is_helper(&table("o.t"), &table(name)), "{name}");
        }
        assert!(is_helper(&table("o.t"), &table("o.T__types_20260101")));
    }
}
