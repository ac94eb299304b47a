//! How the columns of an existing table differ from those that its conf now produces.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Column, TableName};

/// A column that keeps its name and changes its type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retyped {
    /// The column.
    pub name: String,
    /// Its type in the table.
    pub before: String,
    /// Its type in the conf.
    pub now: String,
    /// Whether the type follows from a column or a cast, not from the text of an expression.
    pub certain: bool,
}

/// The differences between the columns of one table and of its conf.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ColumnChanges {
    /// Columns that the table lacks, in the order of the conf.
    pub added: Vec<String>,
    /// Columns that the conf no longer has, with their types.
    pub removed: Vec<Column>,
    /// Columns whose type is another one.
    pub retyped: Vec<Retyped>,
}

impl ColumnChanges {
    /// Whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.retyped.is_empty()
    }
}

impl fmt::Display for ColumnChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let removed = self.removed.iter().map(|column| column.name.clone());
        let retyped = self.retyped.iter();
        let retyped =
            retyped.map(|column| format!("{} ({} → {})", column.name, column.before, column.now));
        let parts = [
            ("added", self.added.clone()),
            ("removed", removed.collect()),
            ("retyped", retyped.collect()),
        ];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<String> = parts
            .map(|(word, names)| format!("{word} {}", names.join(", ")))
            .collect();
        f.write_str(&parts.join("; "))
    }
}

/// The differences of one table, and what they ask for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TableChanges {
    /// The table.
    pub table: TableName,
    /// The differences.
    #[serde(flatten)]
    pub changes: ColumnChanges,
    /// Whether the existing table cannot take the conf's columns.
    pub needs_rebuild: bool,
}

/// The part of a rebuilt table's name that stands between the table and the run.
pub const BEFORE: &str = "__before_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_listed_by_kind() {
        let changes = ColumnChanges {
            added: vec!["a".into(), "b".into()],
            removed: vec![Column {
                name: "c".into(),
                data_type: "int".into(),
            }],
            retyped: vec![Retyped {
                name: "d".into(),
                before: "int".into(),
                now: "string".into(),
                certain: true,
            }],
        };
        let expected = "added a, b; removed c; retyped d (int → string)";
        assert_eq!(changes.to_string(), expected);
        assert!(ColumnChanges::default().is_empty());
    }
}
