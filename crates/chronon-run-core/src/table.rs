//! What a catalog knows of tables: a value that can be saved, compared and planned on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Ds, PartitionFormat, PartitionRange, RangeSet, TableName};

/// One column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Column {
    /// Lower case, as the metastore keeps it.
    pub name: String,
    /// The Hive type, e.g. `array<bigint>`.
    pub data_type: String,
}

/// A table's definition.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TableInfo {
    /// Data columns in table order, without the partition columns.
    pub columns: Vec<Column>,
    /// Partition columns in table order; empty if unpartitioned.
    pub partition_columns: Vec<Column>,
    /// Whether it is a view.
    pub is_view: bool,
    /// A view's query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_text: Option<String>,
    /// TBLPROPERTIES.
    pub properties: BTreeMap<String, String>,
    /// Where its files are, if the catalog has it.
    pub location: Option<String>,
}

/// The days of a table along one partition column, grouped by the other partition columns' values.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Partitions {
    /// `(column, value)` of every other partition column → days.
    groups: Vec<(Vec<(String, String)>, RangeSet)>,
    /// Partitions whose day is not a `ds`: the other columns' `(column, value)`s, and the value, which may
    /// be [`NO_VALUE`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    odd: Vec<(Vec<(String, String)>, String)>,
}

/// `(column, value)` of the other partition columns.
type Others = Vec<(String, String)>;

/// Hive's name for the partition of rows whose partition column is NULL.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

impl Partitions {
    /// The partitions of a table whose partition columns are `columns`, each a row of values in
    /// that order, seen along `day_column`. Rows whose day is not a `ds` are kept for
    /// [`Partitions::odd_values`] and [`Partitions::has_null`].
    #[must_use]
    pub fn along(day_column: &str, columns: &[String], rows: &[Vec<String>]) -> Self {
        let Some(day_index) = columns.iter().position(|column| column == day_column) else {
            return Self::default();
        };
        let mut groups: BTreeMap<Vec<(String, String)>, Vec<Ds>> = BTreeMap::new();
        let mut odd = Vec::new();
        for row in rows {
            let Some(value) = row.get(day_index) else {
                continue;
            };
            let others = columns.iter().zip(row).enumerate();
            let others = others
                .filter(|(index, _)| *index != day_index)
                .map(|(_, (column, value))| (column.clone(), value.clone()))
                .collect();
            match value.parse() {
                Ok(day) => groups.entry(others).or_default().push(day),
                Err(_) => odd.push((others, value.clone())),
            }
        }
        let groups = groups
            .into_iter()
            .map(|(others, days)| (others, days.into_iter().collect()))
            .collect();
        Self { groups, odd }
    }

    /// The values of partitions whose day is not a `ds`, without NULL.
    pub fn odd_values(&self) -> impl Iterator<Item = &str> {
        let values = self.odd.iter().map(|(_, value)| value.as_str());
        values.filter(|value| *value != NO_VALUE)
    }

    /// Whether there is a partition of rows whose day is NULL.
    #[must_use]
    pub fn has_null(&self) -> bool {
        self.odd.iter().any(|(_, value)| value == NO_VALUE)
    }

    /// Reads the values with the table's own format; a `ds` is no day then, because nothing that reads the
    /// table in its format sees that partition. Where partitions are of hours, a day is there once it has
    /// all 24, or as soon as it has `last_hour`, if that is declared; where every partition is of midnight,
    /// as soon as that is.
    pub fn read_with(&mut self, format: &PartitionFormat, last_hour: Option<u32>) {
        if !format.is_iso() {
            for (others, days) in std::mem::take(&mut self.groups) {
                let value = |ds: Ds| (others.clone(), ds.to_string());
                self.odd.extend(days.iter().map(value));
            }
        }
        let mut read = Vec::new();
        self.odd
            .retain_mut(|(others, value)| match format.read(value) {
                Some(time) => {
                    read.push((others.clone(), time, std::mem::take(value)));
                    false
                }
                None => true,
            });
        let hourly = read.iter().any(|(_, time, _)| time.hour != 0);
        let mut hours: BTreeMap<(Others, Ds), BTreeMap<u32, String>> = BTreeMap::new();
        for (others, time, value) in read {
            let day = hours.entry((others, time.ds)).or_default();
            day.insert(time.hour, value);
        }
        for ((others, ds), hours) in hours {
            let complete = match last_hour {
                _ if !hourly => true,
                Some(last) => hours.contains_key(&last),
                None => hours.len() == 24,
            };
            if complete {
                self.insert(&others, &PartitionRange::day(ds).into());
            } else {
                let values = hours.into_values().map(|value| (others.clone(), value));
                self.odd.extend(values);
            }
        }
    }

    /// The values of another partition column, of partitions of any day.
    #[must_use]
    pub fn values_of(&self, column: &str) -> BTreeSet<&str> {
        let others = self.groups.iter().map(|(others, _)| others);
        let others = others.chain(self.odd.iter().map(|(others, _)| others));
        let pairs = others.flatten().filter(|(name, _)| name == column);
        pairs.map(|(_, value)| value.as_str()).collect()
    }

    /// Plain days, without other partition columns.
    #[must_use]
    pub fn of_days(days: RangeSet) -> Self {
        Self {
            groups: vec![(Vec::new(), days)],
            odd: Vec::new(),
        }
    }

    /// Adds days that have these `(column, value)`s of the other partition columns.
    pub fn insert(&mut self, others: &[(String, String)], days: &RangeSet) {
        match self.groups.iter_mut().find(|(known, _)| known == others) {
            Some((_, known)) => *known = known.union(days),
            None => self.groups.push((others.to_vec(), days.clone())),
        }
    }

    /// Whether there is no partition whose day has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.odd_values().next().is_none() && self.groups.iter().all(|(_, days)| days.is_empty())
    }

    /// Every day that has at least one partition.
    #[must_use]
    pub fn days(&self) -> RangeSet {
        self.days_where(&[])
    }

    /// Every day that has a partition with all of these `(column, value)`s.
    #[must_use]
    pub fn days_where(&self, sub_partitions: &[(String, String)]) -> RangeSet {
        self.groups
            .iter()
            .filter(|(others, _)| sub_partitions.iter().all(|wanted| others.contains(wanted)))
            .fold(RangeSet::new(), |all, (_, days)| all.union(days))
    }
}

/// One table as observed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TableState {
    /// Its definition.
    pub info: TableInfo,
    /// Its partitions, by the day column that they were asked along.
    pub partitions: BTreeMap<String, Partitions>,
    /// How its partitions write a day, if that is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_format: Option<PartitionFormat>,
    /// When each day was written last, in any unit: how a saved catalog tells rewritten days.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stamps: BTreeMap<Ds, i64>,
}

impl TableState {
    /// Whether its partitions are plain days, none of them in this format, so that a guess of it is wrong.
    #[must_use]
    pub fn contradicts(&self, format: &PartitionFormat) -> bool {
        let mut listed = self.partitions.values();
        let mut odd = self.partitions.values().flat_map(Partitions::odd_values);
        self.day_format.is_none()
            && listed.any(|partitions| !partitions.days().is_empty())
            && !odd.any(|value| format.read(value).is_some())
    }
}

/// What a catalog showed at one moment.
///
/// A table that was asked for and is not there is `Some(None)`; one that was not asked for is `None`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CatalogSnapshot {
    /// By table; `None` is a table that does not exist.
    pub tables: BTreeMap<TableName, Option<TableState>>,
}

impl CatalogSnapshot {
    /// The table, if it was asked for and exists.
    #[must_use]
    pub fn table(&self, table: &TableName) -> Option<&TableState> {
        self.tables.get(table)?.as_ref()
    }

    /// Reads the partitions of tables that write days in a format of their own.
    pub fn read_with(&mut self, formats: &BTreeMap<TableName, (PartitionFormat, Option<u32>)>) {
        for (table, (format, last_hour)) in formats {
            let Some(Some(state)) = self.tables.get_mut(table) else {
                continue;
            };
            if state.day_format.as_ref() == Some(format) {
                continue;
            }
            for partitions in state.partitions.values_mut() {
                partitions.read_with(format, *last_hour);
            }
            state.day_format = Some(format.clone());
        }
    }

    /// The days of `table` along `day_column` that have all of `sub_partitions`; empty if the
    /// table does not exist or is not partitioned by that column.
    #[must_use]
    pub fn days(
        &self,
        table: &TableName,
        day_column: &str,
        sub_partitions: &[(String, String)],
    ) -> RangeSet {
        self.table(table)
            .and_then(|state| state.partitions.get(day_column))
            .map(|partitions| partitions.days_where(sub_partitions))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_seen_along_one_column_and_filtered_by_the_others() {
        let columns = ["label_ds".to_owned(), "ds".to_owned()];
        let row = |label: &str, ds: &str| vec![label.to_owned(), ds.to_owned()];
        let rows = [
            row("2026-01-28", "2026-01-25"),
            row("2026-01-29", "2026-01-26"),
            row("__HIVE_DEFAULT_PARTITION__", "2026-01-26"),
        ];
        let partitions = Partitions::along("label_ds", &columns, &rows);
        assert_eq!(partitions.days().to_string(), "2026-01-28..2026-01-29");
        let wanted = [("ds".to_owned(), "2026-01-25".to_owned())];
        assert_eq!(partitions.days_where(&wanted).to_string(), "2026-01-28");
        assert_eq!(partitions.odd_values().count(), 0);
        let null = Partitions::along("label_ds", &columns, &rows[2..]);
        assert!(partitions.has_null() && null.has_null() && null.is_empty());
        assert_eq!(
            Partitions::along("dt", &columns, &rows),
            Partitions::default()
        );
    }

    #[test]
    fn other_formats_are_read_when_they_are_known() {
        let read_until = |pattern: &str, values: &[&str], last_hour| {
            let rows: Vec<Vec<String>> = values.iter().map(|v| vec![(*v).to_owned()]).collect();
            let mut partitions = Partitions::along("ds", &["ds".to_owned()], &rows);
            assert_eq!(partitions.odd_values().count(), values.len());
            partitions.read_with(&pattern.parse().unwrap(), last_hour);
            partitions.days().to_string()
        };
        let read = |pattern: &str, values: &[&str]| read_until(pattern, values, None);
        assert_eq!(
            read("yyyyMMdd", &["20260102", "20260103"]),
            "2026-01-02..2026-01-03"
        );
        // 2026-01-03 is not complete yet.
        let mut hours: Vec<String> = (0..24)
            .map(|hour| format!("2026-01-02-{hour:02}"))
            .collect();
        hours.extend(["2026-01-03-00", "2026-01-03-18", "2026-01-03-23"].map(str::to_owned));
        let hours: Vec<&str> = hours.iter().map(String::as_str).collect();
        assert_eq!(read("yyyy-MM-dd-HH", &hours), "2026-01-02");
        let until_18 = read_until("yyyy-MM-dd-HH", &hours, Some(18));
        assert_eq!(until_18, "2026-01-02..2026-01-03");
        let midnights = ["2026-01-02 00:00:00", "2026-01-03 00:00:00"];
        assert_eq!(
            read("yyyy-MM-dd HH:mm:ss", &midnights),
            "2026-01-02..2026-01-03"
        );
    }
}
