//! What some inputs wait for and no partition is, though the table has days: values of other partition
//! columns, and days in another format than the rest.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{CatalogSnapshot, PartitionFormat, TableName, TableState};

use crate::graph::Input;

/// How many values are shown.
const SHOWN: usize = 5;

/// Something that inputs of a table wait for in vain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Unmet {
    /// The table.
    pub table: TableName,
    /// What is the matter with it.
    pub text: String,
    /// What to do about it.
    pub hint: String,
}

/// What `inputs` wait for and no partition of their tables is, and the `formats` of dependencies that the
/// partitions of their tables do not have. Inputs that assets fill are left out: those days are still to come.
#[must_use]
pub fn unmet<'a>(
    inputs: impl IntoIterator<Item = &'a Input>,
    formats: &BTreeMap<TableName, PartitionFormat>,
    snapshot: &CatalogSnapshot,
) -> BTreeSet<Unmet> {
    let sources = inputs.into_iter().filter(|input| input.producer.is_none());
    let found = sources.filter_map(|input| {
        let state = snapshot.table(&input.spec.table)?;
        no_value(input, state).or_else(|| other_format(input, state))
    });
    found.chain(misread(formats, snapshot)).collect()
}

/// Tables of which a dependency writes the days in a format that its partitions do not have.
fn misread(
    formats: &BTreeMap<TableName, PartitionFormat>,
    snapshot: &CatalogSnapshot,
) -> impl Iterator<Item = Unmet> {
    let wrong = formats.iter().filter(|(table, format)| {
        let state = snapshot.table(table);
        state.is_some_and(|state| state.contradicts(format))
    });
    let unmet = |(table, format): (&TableName, &PartitionFormat)| Unmet {
        table: table.clone(),
        text: format!(
            "the template of a dependency on {table} writes {format}, and its partitions are days of the form yyyy-MM-dd: those are waited for"
        ),
        hint: "correct the template, e.g. `ds={{ ds }}`".to_owned(),
    };
    wrong.map(unmet)
}

/// Of the sub-partitions of an input the first one that no partition has.
fn no_value(input: &Input, state: &TableState) -> Option<Unmet> {
    let listed = state.partitions.get(&input.day_column)?;
    let wanted = &input.spec.sub_partitions;
    if listed.is_empty() || !listed.days_where(wanted).is_empty() {
        return None;
    }
    let table = &input.spec.table;
    let (column, value, values) = wanted.iter().find_map(|(column, value)| {
        let values = listed.values_of(column);
        (!values.contains(value.as_str())).then_some((column, value, values))
    })?;
    let text = if values.is_empty() {
        format!(
            "{table} has no partition column `{column}`{}",
            columns(state)
        )
    } else {
        let shown: Vec<&str> = values.iter().take(SHOWN).copied().collect();
        let more = if values.len() > SHOWN { ", …" } else { "" };
        format!(
            "no partition of {table} has {column}={value}: there are {}{more}",
            shown.join(", ")
        )
    };
    Some(Unmet {
        table: table.clone(),
        text,
        hint: "what needs it waits for the first one; if partitions are not written like that, correct the dependency or source that names it".to_owned(),
    })
}

fn columns(state: &TableState) -> String {
    let columns = state.info.partition_columns.iter();
    let names: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(": it is partitioned by {}", names.join(", ")),
    }
}

/// Days in another format than those that are read, e.g. after a change of the job that writes them.
fn other_format(input: &Input, state: &TableState) -> Option<Unmet> {
    let listed = state.partitions.get(&input.day_column)?;
    if listed.days().is_empty() {
        return None;
    }
    let iso = PartitionFormat::iso();
    let format = state.day_format.as_ref().unwrap_or(&iso);
    let is_other = |value: &&str| format.read(value).is_none() && PartitionFormat::is_common(value);
    let count = listed.odd_values().filter(is_other).count();
    let value = listed.odd_values().find(is_other)?;
    let (table, column) = (&input.spec.table, &input.day_column);
    Some(Unmet {
        table: table.clone(),
        text: format!(
            "{count} of the partitions of {table} are days of another form than {format}, and are not read: {column}={value}"
        ),
        hint: "a table has one form of days: write these partitions again, or read the table through a staging query that does".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{Partitions, TableSpec};

    use super::*;
    use crate::{graph::Role, need::Need, testing::input};

    fn texts(rows: &[[&str; 2]], sub_partition: Option<(&str, &str)>) -> Vec<String> {
        let columns = ["ds".to_owned(), "hr".to_owned()];
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.map(str::to_owned).to_vec())
            .collect();
        let mut state = TableState::default();
        let listed = Partitions::along("ds", &columns, &rows);
        state.partitions.insert("ds".to_owned(), listed);
        let table: TableName = "db.t".parse().unwrap();
        let snapshot = CatalogSnapshot {
            tables: [(table.clone(), Some(state))].into(),
        };
        let own = |(column, value): (&str, &str)| (column.to_owned(), value.to_owned());
        let spec = TableSpec {
            table,
            sub_partitions: sub_partition.map(own).into_iter().collect(),
        };
        let input = input(spec, Role::Dependency, Need::SAME_DAY);
        unmet([&input], &BTreeMap::new(), &snapshot)
            .into_iter()
            .map(|unmet| unmet.text)
            .collect()
    }

    #[test]
    fn values_that_no_partition_has_are_named() {
        let rows = [["2026-01-01", "00"], ["2026-01-01", "01"]];
        assert_eq!(
            texts(&rows, Some(("hr", "1"))),
            ["no partition of db.t has hr=1: there are 00, 01"]
        );
        assert_eq!(
            texts(&rows, Some(("hour", "01"))),
            ["db.t has no partition column `hour`"]
        );
        assert!(texts(&rows, Some(("hr", "01"))).is_empty());
        assert!(texts(&[], Some(("hr", "01"))).is_empty());
    }

    #[test]
    fn days_of_two_forms_are_named() {
        let rows = [["2026-01-01", "0"], ["20260102", "0"], ["20260103", "0"]];
        assert_eq!(
            texts(&rows, None),
            [
                "2 of the partitions of db.t are days of another form than yyyy-MM-dd, and are not read: ds=20260102"
            ]
        );
        assert!(texts(&[["2026-01-01", "0"], ["latest", "0"]], None).is_empty());
    }
}
