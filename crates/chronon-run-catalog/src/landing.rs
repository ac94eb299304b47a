//! When the newest partitions of a table landed.

use std::collections::BTreeMap;

use chronon_run_core::{Ds, PartitionFormat, TableName};
use pilota::FastStr;

use crate::{
    CatalogError, Hive,
    client::{CallError, Session},
    names::days_of,
};

impl Hive {
    /// See [`crate::Catalog::landings`].
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
        let wanted = (table.clone(), day_column.to_owned(), format.clone());
        self.run(|session| landings(session, wanted.clone(), newest))
    }
}

async fn landings(
    session: Session,
    (table, day_column, format): (TableName, String, PartitionFormat),
    newest: usize,
) -> Result<BTreeMap<Ds, i64>, CallError> {
    let names = session.partition_names(&table).await?.unwrap_or_default();
    let Some((at, days)) = days_of(names, &day_column, &format) else {
        return Ok(BTreeMap::new());
    };
    let wanted: Vec<FastStr> = days.into_values().rev().take(newest).flatten().collect();
    let (namespace, name) = (FastStr::new(table.namespace()), FastStr::new(table.name()));
    let client = &session.client;
    let future = client.get_partitions_by_names(namespace, name, wanted);
    let partitions = session.demand("get_partitions_by_names", future).await?;
    let mut landed: BTreeMap<Ds, i64> = BTreeMap::new();
    for partition in partitions {
        let day = partition.values.iter().flatten().nth(at);
        let day = day.and_then(|day| Some(format.read(day)?.ds));
        if let (Some(ds), Some(created)) = (day, partition.create_time) {
            let known = landed.entry(ds).or_default();
            *known = (*known).max(i64::from(created) * 1_000);
        }
    }
    Ok(landed)
}
