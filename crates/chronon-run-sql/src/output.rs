//! A table that a step writes.

use std::fmt::Write as _;

use chronon_run_conf::MetaData;
use chronon_run_core::TableName;

use super::{
    Types,
    text::{ident, list, text},
};

/// A table that a step writes.
pub(super) struct Output<'a> {
    pub(super) table: TableName,
    /// `chronon_table_type` of §3; none where the engine sets none.
    pub(super) kind: Option<&'static str>,
    pub(super) meta: &'a MetaData,
    /// Columns in the engine's order, partition columns last. None if only Spark knows them.
    pub(super) columns: Option<Vec<String>>,
    /// Types of columns, as far as they are certain before Spark sees the query.
    pub(super) types: Types,
    /// Types of columns that follow from the text of their expressions.
    pub(super) likely: Types,
    pub(super) partitioned_by: Vec<String>,
}

/// What the pattern for "all other columns" ends with.
pub(super) const ALL_BUT: &str = ")?+.+`";

impl Output<'_> {
    /// `name type` of all data columns and of the partition columns, if all types are certain.
    pub(super) fn typed_columns(&self) -> Option<(Vec<String>, Vec<String>)> {
        let typed = |name: &String| {
            let data_type = match self.partitioned_by.as_slice() {
                // The day, which is text.
                [day] if day == name => "string",
                _ => self.types.get(name)?,
            };
            is_plain_type(data_type).then(|| format!("{} {data_type}", ident(name)))
        };
        let (days, data): (Vec<&String>, Vec<&String>) = self
            .columns
            .iter()
            .flatten()
            .partition(|name| self.partitioned_by.contains(name));
        let data: Vec<String> = data.into_iter().map(typed).collect::<Option<_>>()?;
        let days: Vec<String> = days.into_iter().map(typed).collect::<Option<_>>()?;
        let complete = !data.is_empty() && days.len() == self.partitioned_by.len();
        complete.then_some((data, days))
    }

    /// Format, partition columns and properties (§3).
    pub(super) fn definition(&self) -> String {
        self.definition_by(&list(&self.partitioned_by))
    }

    /// The same with the partition columns as they are given.
    pub(super) fn definition_by(&self, partitioned_by: &str) -> String {
        let mut properties: Vec<(&str, &str)> = Vec::new();
        if let Some(kind) = self.kind {
            properties.push(("chronon_generated", "true"));
            properties.push(("chronon_table_type", kind));
        }
        for (name, value) in self.meta.table_properties.iter().flatten() {
            if !properties.iter().any(|(known, _)| known == name) {
                properties.push((name, value));
            }
        }
        let properties: Vec<_> = properties
            .iter()
            .map(|(name, value)| format!("{} = {}", text(name), text(value)))
            .collect();
        let mut definition = "STORED AS PARQUET".to_owned();
        if !self.partitioned_by.is_empty() {
            let _ = write!(definition, "\nPARTITIONED BY ({partitioned_by})");
        }
        if !properties.is_empty() {
            let _ = write!(definition, "\nTBLPROPERTIES ({})", properties.join(", "));
        }
        definition
    }

    /// The planned columns; if only Spark knows them, all but the partition columns, then those.
    pub(super) fn planned_columns(&self) -> String {
        match &self.columns {
            Some(columns) => list(columns),
            None if self.partitioned_by.is_empty() => "*".to_owned(),
            None => format!(
                "`({}{ALL_BUT}, {}",
                self.partitioned_by.join("|"),
                list(&self.partitioned_by)
            ),
        }
    }
}

/// Whether a type can be declared as it is written: no names of fields that may have to be quoted, and
/// no type that Spark stores as another one.
fn is_plain_type(data_type: &str) -> bool {
    const PLAIN: [&str; 13] = [
        "boolean",
        "tinyint",
        "smallint",
        "int",
        "bigint",
        "float",
        "double",
        "string",
        "date",
        "timestamp",
        "binary",
        "array",
        "map",
    ];
    let mut words = data_type.split(['<', '>', ',']).map(str::trim);
    words.all(|word| word.is_empty() || PLAIN.contains(&word))
}
