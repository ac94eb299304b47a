//! Where partitions are listed: a metastore, or a file.

use std::{collections::BTreeMap, path::PathBuf};

use chronon_run_core::{
    CatalogSnapshot, DayEvidence, Ds, PartitionFormat, RangeSet, Slice, TableName,
};

use crate::{
    client::Hive,
    error::CatalogError,
    evidence::EvidenceRequest,
    fixture,
    request::{Request, Timeouts},
    row_times::{RowTimes, RowTimesRequest},
};

/// Where partitions are listed.
#[derive(Debug)]
pub enum Catalog {
    /// A Hive metastore.
    Hive(Hive),
    /// A saved snapshot, for benchmarks and tests; read anew each time it is asked.
    Fixture(PathBuf),
}

impl Catalog {
    /// The metastore at `uri`: `thrift://host:port`, or several of those separated by commas,
    /// of which the first that answers is used. No connection is made yet.
    ///
    /// # Errors
    /// [`CatalogError::BadUri`] if `uri` is not of that form.
    pub fn connect(uri: &str, timeouts: Timeouts) -> Result<Self, CatalogError> {
        Hive::new(uri, timeouts).map(Self::Hive)
    }

    /// The snapshot saved as JSON in `path`, as it is whenever it is asked.
    #[must_use]
    pub fn fixture(path: impl Into<PathBuf>) -> Self {
        Self::Fixture(path.into())
    }

    /// What the asked-for tables look like now. Each table is listed once, however often it is
    /// asked for; one that does not exist is `None` in the snapshot.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn snapshot(&self, requests: &[Request]) -> Result<CatalogSnapshot, CatalogError> {
        match self {
            Self::Hive(hive) => hive.snapshot(requests),
            Self::Fixture(path) => Ok(fixture::select(&fixture::read(path)?, requests)),
        }
    }

    /// When the `newest` last days of a table were entered into the catalog, in milliseconds since
    /// the epoch; of a day with several partitions, the last of them. A fixture does not know.
    /// `format` is how its partitions write a day. A few calls for this one table: to be asked where it
    /// matters only.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn landings(
        &self,
        table: &TableName,
        day_column: &str,
        format: &PartitionFormat,
        newest: usize,
    ) -> Result<BTreeMap<Ds, i64>, CatalogError> {
        match self {
            Self::Hive(hive) => hive.landings(table, day_column, format, newest),
            Self::Fixture(_) => Ok(BTreeMap::new()),
        }
    }

    /// Those of `days` that have partitions but no file in any of them.
    ///
    /// A metastore notes the files of a partition that is written, and none of one that is only
    /// added. Where it notes nothing at all (`hive.stats.autogather` is off), no day counts as
    /// empty; nor does a fixture know. A few calls for this one table.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn empty_days(
        &self,
        table: &TableName,
        day_column: &str,
        days: &RangeSet,
    ) -> Result<RangeSet, CatalogError> {
        match self {
            Self::Hive(hive) => hive.empty_days(table, day_column, days),
            Self::Fixture(_) => Ok(RangeSet::new()),
        }
    }

    /// What is seen of single partitions, day by day, for the asked-for days that are there. Fetched
    /// in batches; the files are listed where they lie on this machine. A fixture tells its stamps.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn evidence(
        &self,
        requests: &[EvidenceRequest],
    ) -> Result<BTreeMap<Slice, DayEvidence>, CatalogError> {
        match self {
            Self::Hive(hive) => hive.evidence(requests),
            Self::Fixture(path) => Ok(fixture::evidence(&fixture::read(path)?, requests)),
        }
    }

    /// The smallest and the largest value of a whole-number column, by day, from the statistics of
    /// Parquet files that lie on this machine. Days are left out of which a file cannot be read, is no
    /// Parquet file, or has no statistics of the column; no row is read. A fixture does not know.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn row_times(&self, requests: &[RowTimesRequest]) -> Result<RowTimes, CatalogError> {
        match self {
            Self::Hive(hive) => hive.row_times(requests),
            Self::Fixture(_) => Ok(RowTimes::new()),
        }
    }

    /// Where it is, for messages: a URI or a path.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Hive(hive) => hive.uri().to_string(),
            Self::Fixture(path) => path.display().to_string(),
        }
    }
}
