//! When the newest partitions of a table landed.

use std::collections::BTreeMap;

use chronon_run_core::{Ds, TableName};
use pilota::FastStr;

use crate::{
    CatalogError, Hive,
    client::{CallError, Session},
    names::partition_values,
};

/// The metastore's word for "no limit".
const ALL: i16 = -1;

impl Hive {
    /// See [`crate::Catalog::landings`].
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn landings(
        &self,
        table: &TableName,
        day_column: &str,
        newest: usize,
    ) -> Result<BTreeMap<Ds, i64>, CatalogError> {
        let (table, day_column) = (table.clone(), day_column.to_owned());
        self.run(|session| landings(session, table.clone(), day_column.clone(), newest))
    }
}

async fn landings(
    session: Session,
    table: TableName,
    day_column: String,
    newest: usize,
) -> Result<BTreeMap<Ds, i64>, CallError> {
    let (namespace, name) = (FastStr::new(table.namespace()), FastStr::new(table.name()));
    let client = &session.client;
    let future = client.get_partition_names(namespace.clone(), name.clone(), ALL);
    let names = session.demand("get_partition_names", future).await?;
    // Every name has the columns in the table's order.
    let Some(at) = names.first().and_then(|name| place_of(&day_column, name)) else {
        return Ok(BTreeMap::new());
    };
    let mut days: BTreeMap<Ds, Vec<FastStr>> = BTreeMap::new();
    for partition in names {
        let day = partition_values(&partition).into_iter().nth(at);
        if let Some(Ok(ds)) = day.map(|day| day.parse()) {
            days.entry(ds).or_default().push(partition);
        }
    }
    let wanted: Vec<FastStr> = days.into_values().rev().take(newest).flatten().collect();
    let future = client.get_partitions_by_names(namespace, name, wanted);
    let partitions = session.demand("get_partitions_by_names", future).await?;
    let mut landed: BTreeMap<Ds, i64> = BTreeMap::new();
    for partition in partitions {
        let day = partition.values.iter().flatten().nth(at);
        let day = day.and_then(|day| day.parse().ok());
        if let (Some(ds), Some(created)) = (day, partition.create_time) {
            let known = landed.entry(ds).or_default();
            *known = (*known).max(i64::from(created) * 1_000);
        }
    }
    Ok(landed)
}

/// Where `column` stands in a partition's name such as `ds=2026-01-30/hr=00`.
fn place_of(column: &str, name: &str) -> Option<usize> {
    let mut columns = name.split('/').map(|piece| piece.split('=').next());
    columns.position(|found| found == Some(column))
}
