//! The catalog while a run changes it.

use chronon_run_conf::{Query, Source};
use chronon_run_core::{
    CatalogSnapshot, Column, Ds, PartitionRange, RangeSet, TableName, TableSpec, TableState,
};
use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;

use super::facts::{Facts, Failure, LeftRow};

/// Word or table → hash.
pub(crate) type Hashes = BTreeMap<String, String>;

/// The table property with the day of an upload's rows.
pub(crate) const UPLOADED_DAY: &str = "scripted.ds";
/// The table property with their number.
pub(crate) const UPLOADED_ROWS: &str = "scripted.rows";
/// The partition column of everything that the Driver writes.
pub(crate) const DS: &str = "ds";

/// Tables that become visible together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Commit {
    /// What is written.
    pub writes: Vec<Write>,
}

/// One table of a commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Write {
    /// Days of a partitioned table.
    Partitions {
        /// The table; created if it does not exist.
        table: TableName,
        /// The other partition columns with their values; they come before `column`.
        others: Vec<(String, String)>,
        /// The day column.
        column: String,
        /// Which days; may be none, and the table is still created.
        days: RangeSet,
    },
    /// A view.
    View {
        /// Its name.
        table: TableName,
    },
    /// Another name for a table.
    Rename {
        /// Its name.
        table: TableName,
        /// Its new name.
        to: TableName,
    },
    /// Properties of a table that exists.
    Properties {
        /// Its name.
        table: TableName,
        /// The properties, added to those that it has.
        properties: Vec<(String, String)>,
    },
    /// An unpartitioned table, replaced as a whole.
    Unpartitioned {
        /// Its name.
        table: TableName,
        /// The value of its plain column `ds`.
        ds: Ds,
        /// How many rows it has.
        rows: u64,
    },
}

impl Write {
    /// Days of a table that is partitioned by `ds` alone.
    #[must_use]
    pub fn days(table: TableName, days: RangeSet) -> Self {
        Self::Partitions {
            table,
            others: Vec::new(),
            column: DS.to_owned(),
            days,
        }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &TableName {
        match self {
            Self::Partitions { table, .. }
            | Self::Rename { table, .. }
            | Self::Properties { table, .. }
            | Self::View { table }
            | Self::Unpartitioned { table, .. } => table,
        }
    }

    /// Applies it to a catalog that is a value.
    pub fn apply(&self, catalog: &mut CatalogSnapshot) {
        if let Self::Rename { table, to } = self {
            let state = catalog.tables.insert(table.clone(), None).flatten();
            catalog.tables.insert(to.clone(), state);
            return;
        }
        let all = catalog.tables.values().flatten();
        let stamps = all.flat_map(|state| state.stamps.values());
        let stamp = stamps.max().copied().unwrap_or(0) + 1;
        let slot = catalog.tables.entry(self.table().clone()).or_default();
        let state = slot.get_or_insert_with(|| self.new_table());
        match self {
            Self::View { .. } | Self::Rename { .. } => {}
            Self::Unpartitioned { .. } | Self::Properties { .. } => {
                state.info.properties.extend(self.properties())
            }
            Self::Partitions {
                others,
                column,
                days,
                ..
            } => {
                state
                    .partitions
                    .entry(column.clone())
                    .or_default()
                    .insert(others, days);
                state.stamps.extend(days.iter().map(|ds| (ds, stamp)));
                along_the_others(state, others, column, days);
            }
        }
    }

    /// What tells a reader without data the content of an unpartitioned table.
    pub(crate) fn properties(&self) -> Vec<(String, String)> {
        match self {
            Self::Unpartitioned { ds, rows, .. } => vec![
                (UPLOADED_DAY.to_owned(), ds.to_string()),
                (UPLOADED_ROWS.to_owned(), rows.to_string()),
            ],
            Self::Properties { properties, .. } => properties.clone(),
            _ => Vec::new(),
        }
    }

    fn new_table(&self) -> TableState {
        let column = |name: &str| Column {
            name: name.to_owned(),
            data_type: "string".to_owned(),
        };
        let mut state = TableState::default();
        state.info.columns = vec![column("value")];
        match self {
            Self::View { .. } => state.info.is_view = true,
            Self::Rename { .. } | Self::Properties { .. } => {}
            Self::Unpartitioned { .. } => state.info.columns.push(column(DS)),
            Self::Partitions {
                others,
                column: day,
                ..
            } => {
                let names = others.iter().map(|(name, _)| name).chain([day]);
                state.info.partition_columns = names.map(|name| column(name)).collect();
            }
        }
        state
    }
}

/// The same partitions seen along another partition column that holds days, e.g. `label_ds`.
fn along_the_others(
    state: &mut TableState,
    others: &[(String, String)],
    column: &str,
    days: &RangeSet,
) {
    for (index, (name, value)) in others.iter().enumerate() {
        let Ok(day) = value.parse::<Ds>() else {
            continue;
        };
        let rest = others
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let rest: Vec<_> = rest.map(|(_, pair)| pair.clone()).collect();
        let partitions = state.partitions.entry(name.clone()).or_default();
        for ds in days.iter() {
            let mut key = rest.clone();
            key.push((column.to_owned(), ds.to_string()));
            partitions.insert(&key, &PartitionRange::day(day).into());
        }
    }
}

/// One run's view of the catalog, and what it has written so far.
pub(crate) struct World<'a> {
    catalog: CatalogSnapshot,
    facts: &'a Facts,
    commits: Vec<Commit>,
    /// Of the conf that the job is about; empty if it has none.
    pub(crate) hashes: Hashes,
}

impl<'a> World<'a> {
    pub(crate) fn new(catalog: &CatalogSnapshot, facts: &'a Facts) -> Self {
        Self {
            catalog: catalog.clone(),
            facts,
            commits: Vec::new(),
            hashes: Hashes::new(),
        }
    }

    pub(crate) fn into_commits(self) -> Vec<Commit> {
        self.commits
    }

    /// The catalog as it is now.
    pub(crate) fn catalog(&self) -> &CatalogSnapshot {
        &self.catalog
    }

    /// The rows of `days` of a left table, with their partitions; `None` if they are not known.
    pub(crate) fn left_rows(
        &self,
        table: &TableName,
        days: &RangeSet,
    ) -> Option<Vec<(Ds, LeftRow)>> {
        let known = self.facts.left_rows.get(table)?;
        let wanted = known.iter().filter(|(day, _)| days.contains(**day));
        let rows = wanted.flat_map(|(day, rows)| rows.iter().map(|row| (*day, row.clone())));
        Some(rows.collect())
    }

    /// Whether the Driver fills the gaps of a part table in one piece.
    pub(crate) fn is_small(&self) -> bool {
        !self.facts.large
    }

    pub(crate) fn exists(&self, table: &TableName) -> bool {
        self.catalog.table(table).is_some()
    }

    /// A table property.
    pub(crate) fn property(&self, table: &TableName, name: &str) -> Option<String> {
        let info = &self.catalog.table(table)?.info;
        info.properties.get(name).cloned()
    }

    /// Puts a table aside, under its name with a number.
    pub(crate) fn rename(&mut self, table: &TableName) {
        if !self.exists(table) {
            return;
        }
        let names = (1_u64..).map(|number| table.suffixed(&format!("_{number:014}")));
        let free = |name: &TableName| !self.exists(name);
        if let Some(to) = names.into_iter().find(free) {
            self.commit(vec![Write::Rename {
                table: table.clone(),
                to,
            }]);
        }
    }

    /// Partitions of an output table.
    pub(crate) fn outputs(&self, table: &TableName) -> RangeSet {
        self.catalog.days(table, DS, &[])
    }

    /// Partitions of an input, with or without the sub-partition filter of its conf (§3).
    pub(crate) fn inputs(&self, spec: &TableSpec, query: &Query, filtered: bool) -> RangeSet {
        let column = query.partition_column.as_deref().unwrap_or(DS);
        let filter = if filtered {
            spec.sub_partitions.as_slice()
        } else {
            &[]
        };
        self.catalog.days(&spec.table, column, filter)
    }

    /// The days among `days` of `table` that have rows.
    pub(crate) fn with_rows(&self, table: &TableName, days: &RangeSet) -> RangeSet {
        if let Some(rows) = self.facts.left_rows.get(table) {
            let filled = rows.iter().filter(|(_, rows)| !rows.is_empty());
            return days.intersect(&filled.map(|(day, _)| *day).collect());
        }
        match self.facts.empty.get(table) {
            Some(empty) => days.minus(empty),
            None => days.clone(),
        }
    }

    /// First and last day of the `ts` of the rows of `days` in `table`.
    pub(crate) fn ts_span(&self, table: &TableName, days: &RangeSet) -> Option<PartitionRange> {
        if let Some(rows) = self.left_rows(table, days) {
            let times = rows.iter().map(|(_, row)| row.time);
            return PartitionRange::new(times.clone().min()?, times.max()?);
        }
        let mut span = days.hull()?;
        for (day, (lo, hi)) in self.facts.ts_days.get(table).into_iter().flatten() {
            if days.contains(*day) {
                span.start = span.start.min(day.plus(*lo));
                span.end = span.end.max(day.plus(*hi));
            }
        }
        Some(span)
    }

    /// Makes tables visible; what has no day changes nothing.
    pub(crate) fn commit(&mut self, writes: Vec<Write>) {
        let changes =
            |write: &Write| !matches!(write, Write::Partitions { days, .. } if days.is_empty());
        let writes: Vec<_> = writes.into_iter().filter(changes).collect();
        for write in &writes {
            write.apply(&mut self.catalog);
        }
        if !writes.is_empty() {
            self.commits.push(Commit { writes });
        }
    }
}

/// The table of a source.
pub(crate) fn table_of(source: &Source) -> Result<TableSpec, Failure> {
    source
        .table()
        .map_err(|error| Failure::new(error.to_string()))
}

/// A day of a conf's text.
pub(crate) fn day(text: Option<&str>) -> Result<Option<Ds>, Failure> {
    text.map(str::parse)
        .transpose()
        .map_err(|error: chronon_run_core::DsError| Failure::new(error.to_string()))
}
