//! One snapshot: table definitions in batches, partition names once per table, side by side.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{CatalogSnapshot, Column, Partitions, TableInfo, TableName, TableState};
use futures_util::{StreamExt, TryStreamExt, stream};
use hive_metastore::{FieldSchema, Table, ThriftHiveMetastoreGetTableObjectsByNameException};
use pilota::FastStr;

use crate::{
    CatalogError, Hive, Request,
    client::{CallError, Session, refused},
    names::partition_values,
};

/// Calls in flight at once: enough to hide latency, few enough for a shared metastore.
const CONCURRENCY: usize = 8;
/// Definitions asked for in one call.
const BATCH: usize = 100;

/// Day columns wanted per table; the metastore's databases group them.
type Wanted = BTreeMap<TableName, BTreeSet<String>>;

impl Hive {
    /// What the asked-for tables look like now; see [`crate::Catalog::snapshot`].
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn snapshot(&self, requests: &[Request]) -> Result<CatalogSnapshot, CatalogError> {
        let mut wanted = Wanted::new();
        for (table, day_columns) in requests {
            let columns = wanted.entry(table.clone()).or_default();
            columns.extend(day_columns.iter().cloned());
        }
        self.run(|session| list(session, wanted.clone()))
    }
}

async fn list(session: Session, wanted: Wanted) -> Result<CatalogSnapshot, CallError> {
    // Asked first: a metastore of Hive 2 ends the batched call with an internal error, and a stack
    // trace in its log, if the database does not exist.
    let future = session.client.get_all_databases();
    let databases = session.demand("get_all_databases", future).await?;
    let mut batches = batches(&wanted);
    batches.retain(|(database, _)| {
        databases
            .iter()
            .any(|name| name.eq_ignore_ascii_case(database))
    });
    let definitions: Vec<Vec<Table>> = stream::iter(batches)
        .map(|(database, tables)| definitions(session.clone(), database, tables))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let absent = wanted.keys().map(|table| (table.clone(), None)).collect();
    let present: Vec<_> = definitions
        .into_iter()
        .flatten()
        .filter_map(|table| identify(&table, &wanted).map(|key| (key, table)))
        .collect();
    let states = stream::iter(present)
        .map(|((name, day_columns), table)| {
            let session = session.clone();
            async move {
                let state = observe(&session, &name, &day_columns, &table).await?;
                Ok((name, state))
            }
        })
        .buffer_unordered(CONCURRENCY);
    let mut snapshot = CatalogSnapshot { tables: absent };
    let observed: Vec<(TableName, Option<TableState>)> = states.try_collect().await?;
    snapshot.tables.extend(observed);
    Ok(snapshot)
}

fn batches(wanted: &Wanted) -> Vec<(String, Vec<FastStr>)> {
    let mut databases: BTreeMap<&str, Vec<FastStr>> = BTreeMap::new();
    for table in wanted.keys() {
        let names = databases.entry(table.namespace()).or_default();
        names.push(FastStr::new(table.name()));
    }
    let split = |(database, names): (&str, Vec<FastStr>)| {
        let batches = names.chunks(BATCH).map(<[FastStr]>::to_vec);
        let database = database.to_owned();
        batches
            .map(move |names| (database.clone(), names))
            .collect::<Vec<_>>()
    };
    databases.into_iter().flat_map(split).collect()
}

async fn definitions(
    session: Session,
    database: String,
    tables: Vec<FastStr>,
) -> Result<Vec<Table>, CallError> {
    let call = "get_table_objects_by_name";
    let future = session
        .client
        .get_table_objects_by_name(database.into(), tables);
    match session.call(call, future).await? {
        Ok(tables) => Ok(tables),
        Err(ThriftHiveMetastoreGetTableObjectsByNameException::O3(_)) => Ok(Vec::new()),
        Err(exception) => Err(refused(call, &exception)),
    }
}

fn identify(table: &Table, wanted: &Wanted) -> Option<(TableName, Vec<String>)> {
    let namespace = table.db_name.as_ref()?;
    let name = TableName::new(namespace, table.table_name.as_ref()?).ok()?;
    let day_columns = wanted.get(&name)?.iter().cloned().collect();
    Some((name, day_columns))
}

/// `None` if the table was dropped between the two calls.
async fn observe(
    session: &Session,
    name: &TableName,
    day_columns: &[String],
    table: &Table,
) -> Result<Option<TableState>, CallError> {
    let info = info(table);
    let columns: Vec<String> = info
        .partition_columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let wanted = day_columns.iter().any(|column| columns.contains(column));
    let mut rows: Vec<Vec<String>> = Vec::new();
    if wanted {
        let Some(names) = session.partition_names(name).await? else {
            return Ok(None);
        };
        rows.extend(names.iter().map(|name| partition_values(name)));
    }
    let along = |column: &String| (column.clone(), Partitions::along(column, &columns, &rows));
    let partitions = day_columns
        .iter()
        .filter(|column| columns.contains(column))
        .map(along)
        .collect();
    Ok(Some(TableState {
        info,
        partitions,
        ..TableState::default()
    }))
}

pub(crate) fn info(table: &Table) -> TableInfo {
    let storage = table.sd.as_ref();
    let data_columns = storage.and_then(|storage| storage.cols.as_deref());
    let properties = table.parameters.iter().flatten();
    TableInfo {
        columns: columns(data_columns.unwrap_or_default()),
        partition_columns: columns(table.partition_keys.as_deref().unwrap_or_default()),
        is_view: table.table_type.as_deref() == Some("VIRTUAL_VIEW"),
        view_text: table
            .view_original_text
            .as_ref()
            .filter(|text| !text.is_empty())
            .map(ToString::to_string),
        properties: properties
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        location: storage
            .and_then(|storage| storage.location.as_ref())
            .filter(|location| !location.is_empty())
            .map(ToString::to_string),
    }
}

fn columns(fields: &[FieldSchema]) -> Vec<Column> {
    let text = |text: &Option<FastStr>| text.as_deref().unwrap_or_default().to_owned();
    fields
        .iter()
        .map(|field| Column {
            name: text(&field.name).to_lowercase(),
            data_type: text(&field.r#type),
        })
        .collect()
}
