//! A seed whose file was read.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use chronon_run_core::{Column, Ds, PartitionFormat, RangeSet, TableInfo, TableName};

use super::seed::Seed;

/// The table property that holds the fingerprint of what was loaded.
pub const PROPERTY: &str = "chronon_run.seed";

/// Its value while the table is being loaded.
pub(crate) const LOADING: &str = "loading";

/// The directory value of Hive for a NULL.
pub(crate) const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// A seed whose file was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared {
    pub(crate) seed: Seed,
    /// Every column of the file in its order, with its type; empty where only Spark can tell.
    pub(crate) file_columns: Vec<Column>,
    pub(crate) partition_by: Vec<String>,
    pub(crate) fingerprint: String,
    /// The partitions to load; all, if there is no such list.
    pub(crate) changes: Option<Changes>,
    /// Values of the partition columns → a digest of the rows.
    pub(crate) digests: BTreeMap<Vec<String>, String>,
    /// Values of the partition columns → the bytes of the rows in the file, decompressed.
    pub(crate) sizes: BTreeMap<Vec<String>, u64>,
    /// Values of the partition columns → file and line of the first row.
    pub(crate) first_rows: BTreeMap<Vec<String>, (PathBuf, u64)>,
}

/// The partitions that differ from what was loaded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Changes {
    /// Those with other rows, by the values of the partition columns.
    pub(crate) changed: Vec<Vec<String>>,
    /// Those that the file no longer has.
    pub(crate) gone: Vec<Vec<String>>,
}

/// What the catalog has of a seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No such table.
    Missing,
    /// The table was loaded from an older file or configuration, or not to the end.
    Stale,
    /// Nothing to do.
    Loaded,
    /// There is a table of this name that no seed made. It must not be touched.
    Foreign,
}

/// A row of a seed whose value of a partition column is no day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoDay<'a> {
    /// The file.
    pub path: &'a Path,
    /// The line, from 1.
    pub line: u64,
    /// The value.
    pub value: &'a str,
    /// How many other values of the column are no days.
    pub others: usize,
}

impl Prepared {
    /// The table.
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.seed.table
    }

    /// SHA-256 over the file and everything in the configuration that changes the table.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Every column of the file, with its type; empty where only Spark can tell.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.file_columns
    }

    /// The partition columns that the table has.
    #[must_use]
    pub fn partition_by(&self) -> &[String] {
        &self.partition_by
    }

    /// The days of the table along one of its partition columns once the files are loaded, with
    /// declared empty partitions. Those of a Parquet seed are only known once it is loaded.
    #[must_use]
    pub fn days(&self, column: &str) -> RangeSet {
        let Some(at) = self.partition_by.iter().position(|name| name == column) else {
            return RangeSet::new();
        };
        let filled = self.digests.keys().filter_map(|values| values.get(at));
        let empty = self.seed.empty_partitions.iter();
        let empty = empty.filter_map(|partition| {
            let piece = partition.split('/').nth(at)?;
            Some(piece.split_once('=').map_or(piece, |(_, value)| value))
        });
        let days = filled.map(String::as_str).chain(empty);
        days.filter_map(|value| value.parse::<Ds>().ok()).collect()
    }

    /// The values of the partition columns of every partition that the table has once the files are loaded,
    /// declared empty partitions included. Those of a Parquet seed are only known once it is loaded.
    #[must_use]
    pub fn partitions(&self) -> Vec<Vec<String>> {
        let empty = self.seed.empty_partitions.iter().map(|partition| {
            let value = |piece: &str| match piece.split_once('=') {
                Some((_, value)) => value.to_owned(),
                None => piece.to_owned(),
            };
            partition.split('/').map(value).collect()
        });
        self.digests.keys().cloned().chain(empty).collect()
    }

    /// A digest of the rows of each day, written in `format`, along one partition column. Days without
    /// rows are not there.
    #[must_use]
    pub fn day_digests(&self, column: &str, format: &PartitionFormat) -> BTreeMap<Ds, String> {
        let mut days: BTreeMap<Ds, String> = BTreeMap::new();
        let Some(at) = self.partition_by.iter().position(|name| name == column) else {
            return days;
        };
        for (values, digest) in &self.digests {
            if let Some(time) = values.get(at).and_then(|value| format.read(value)) {
                let all = days.entry(time.ds).or_default();
                // Which of the day's partitions counts, too.
                for text in values.iter().chain([digest]) {
                    all.push_str(text);
                    all.push('/');
                }
            }
        }
        days
    }

    /// The bytes of each day's rows in the file, decompressed, along one partition column. Days without rows
    /// are not there.
    #[must_use]
    pub fn day_sizes(&self, column: &str, format: &PartitionFormat) -> BTreeMap<Ds, u64> {
        let mut days: BTreeMap<Ds, u64> = BTreeMap::new();
        let Some(at) = self.partition_by.iter().position(|name| name == column) else {
            return days;
        };
        for (values, bytes) in &self.sizes {
            if let Some(time) = values.get(at).and_then(|value| format.read(value)) {
                *days.entry(time.ds).or_default() += bytes;
            }
        }
        days
    }

    /// The first row whose value of a partition column is no day, as `is_day` tells.
    #[must_use]
    pub fn no_day(&self, column: &str, is_day: &dyn Fn(&str) -> bool) -> Option<NoDay<'_>> {
        let at = self.partition_by.iter().position(|name| name == column)?;
        let rows = self.first_rows.iter();
        let rows = rows.filter_map(|(values, (path, line))| {
            let value = values.get(at)?.as_str();
            (!is_day(value)).then_some((path.as_path(), *line, value))
        });
        let rows: BTreeSet<_> = rows.collect();
        let values: BTreeSet<_> = rows.iter().map(|(.., value)| value).collect();
        let &(path, line, value) = rows.first()?;
        Some(NoDay {
            path,
            line,
            value,
            others: values.len() - 1,
        })
    }

    /// Whether a row's value of a partition column is a day, as `is_day` tells.
    #[must_use]
    pub fn has_day(&self, column: &str, is_day: &dyn Fn(&str) -> bool) -> bool {
        let at = self.partition_by.iter().position(|name| name == column);
        let mut rows = self.first_rows.keys();
        rows.any(|values| {
            let value = at.and_then(|at| values.get(at));
            value.is_some_and(|value| is_day(value))
        })
    }

    /// Whether any file has a row; unknown, so false, of Parquet.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        !self.digests.is_empty()
    }

    /// Whether it has to be loaded, given the table in the catalog.
    #[must_use]
    pub fn state(&self, existing: Option<&TableInfo>) -> State {
        let Some(table) = existing else {
            return State::Missing;
        };
        match table.properties.get(PROPERTY) {
            None => State::Foreign,
            Some(loaded) if *loaded == self.fingerprint => State::Loaded,
            Some(_) => State::Stale,
        }
    }
}
