//! Which days of a table exist and hold nothing.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{Ds, PartitionFormat, RangeSet, TableName};
use hive_metastore::Partition;
use pilota::FastStr;

use crate::{
    CatalogError, Hive,
    client::{CallError, Session},
    names::days_of,
};

/// What it notes of a partition that is written.
const FILES: &str = "numFiles";

impl Hive {
    /// See [`crate::Catalog::empty_days`].
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn empty_days(
        &self,
        table: &TableName,
        day_column: &str,
        days: &RangeSet,
    ) -> Result<RangeSet, CatalogError> {
        let (table, column) = (table.clone(), day_column.to_owned());
        self.run(|session| empty_days(session, table.clone(), column.clone(), days.clone()))
    }
}

async fn empty_days(
    session: Session,
    table: TableName,
    day_column: String,
    wanted: RangeSet,
) -> Result<RangeSet, CallError> {
    let names = session.partition_names(&table).await?.unwrap_or_default();
    let Some((at, days)) = days_of(names, &day_column, &PartitionFormat::iso()) else {
        return Ok(RangeSet::new());
    };
    let partitions = asked_for(days, &wanted);
    let (namespace, name) = (FastStr::new(table.namespace()), FastStr::new(table.name()));
    let client = &session.client;
    let future = client.get_partitions_by_names(namespace, name, partitions);
    let partitions = session.demand("get_partitions_by_names", future).await?;
    let day = |partition: &Partition| -> Option<Ds> {
        let values = partition.values.iter().flatten();
        values.map(FastStr::as_str).nth(at)?.parse().ok()
    };
    let filled: BTreeSet<Ds> = partitions
        .iter()
        .filter(|p| has_files(p))
        .filter_map(day)
        .collect();
    if filled.is_empty() {
        return Ok(RangeSet::new());
    }
    let listed = partitions.iter().filter_map(day);
    let empty = listed.filter(|ds| wanted.contains(*ds) && !filled.contains(ds));
    Ok(empty.collect())
}

/// The partitions of the wanted days, and those of one other day, which tell whether files are
/// noted at all.
fn asked_for(days: BTreeMap<Ds, Vec<FastStr>>, wanted: &RangeSet) -> Vec<FastStr> {
    let (mut wanted, others): (Vec<_>, Vec<_>) =
        days.into_iter().partition(|(ds, _)| wanted.contains(*ds));
    wanted.extend(others.into_iter().next_back());
    wanted.into_iter().flat_map(|(_, names)| names).collect()
}

fn has_files(partition: &Partition) -> bool {
    let parameters = partition.parameters.iter().flatten();
    let files = parameters.filter(|(name, _)| name.as_str() == FILES);
    let mut counts = files.filter_map(|(_, count)| count.parse::<u64>().ok());
    counts.next().is_some_and(|count| count > 0)
}
