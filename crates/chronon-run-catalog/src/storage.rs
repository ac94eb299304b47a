//! How and where the rows of a table are stored.

use std::path::PathBuf;

use chronon_run_core::{TableInfo, TableName};
use hive_metastore::{StorageDescriptor, Table, ThriftHiveMetastoreGetTableException};
use pilota::FastStr;

use crate::{
    Catalog, CatalogError, Hive,
    client::{CallError, Session, refused},
    evidence,
    listing::info,
};

/// Partitions asked for in one call.
const BATCH: usize = 400;
/// Hive's readers of Parquet, old and new.
const PARQUET_INPUT: [&str; 2] = [
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "parquet.hive.DeprecatedParquetInputFormat",
];

/// Names the data source of a table that Spark created with `USING`.
const PROVIDER: &str = "spark.sql.sources.provider";

/// A table, and how its rows are stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableStorage {
    /// Its definition.
    pub info: TableInfo,
    /// How its rows are stored; a partition may have been written in another format.
    pub format: Format,
    /// Where the rows are if it has no partitions.
    pub location: Option<String>,
    /// The names of all partitions, e.g. `ds=2026-01-30/hr=00`.
    pub partitions: Vec<String>,
}

/// The format of files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Format {
    /// Parquet files that Spark reads itself.
    Parquet,
    /// Any other, in words.
    Other(String),
}

/// Where one partition is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionStorage {
    /// Values of the partition columns, in table order.
    pub values: Vec<String>,
    /// A URI or path.
    pub location: String,
    /// The format of its files.
    pub format: Format,
}

impl Catalog {
    /// A table with the names of its partitions; `None` if it does not exist, or the catalog is a saved
    /// one, which has no files.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn storage(&self, table: &TableName) -> Result<Option<TableStorage>, CatalogError> {
        match self {
            Self::Hive(hive) => hive.run(|session| storage(session, table.clone())),
            Self::Fixture(_) => Ok(None),
        }
    }

    /// Where the partitions of these names are.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn partition_storage(
        &self,
        table: &TableName,
        names: &[String],
    ) -> Result<Vec<PartitionStorage>, CatalogError> {
        match self {
            Self::Hive(hive) => hive.partition_storage(table, names),
            Self::Fixture(_) => Ok(Vec::new()),
        }
    }
}

impl Hive {
    fn partition_storage(
        &self,
        table: &TableName,
        names: &[String],
    ) -> Result<Vec<PartitionStorage>, CatalogError> {
        self.run(|session| {
            let names: Vec<FastStr> = names.iter().map(FastStr::new).collect();
            partitions(session, table.clone(), names)
        })
    }
}

/// The path of a location on this machine; `None` for another file system.
#[must_use]
pub fn local_path(location: &str) -> Option<PathBuf> {
    evidence::local(location)
}

async fn storage(session: Session, name: TableName) -> Result<Option<TableStorage>, CallError> {
    let Some(table) = definition(&session, &name).await? else {
        return Ok(None);
    };
    let info = info(&table);
    let partitions = match info.partition_columns.is_empty() {
        true => Vec::new(),
        false => {
            let names = session.partition_names(&name).await?;
            let names = names.unwrap_or_default();
            names.iter().map(ToString::to_string).collect()
        }
    };
    Ok(Some(TableStorage {
        format: format_of(&info, table.sd.as_ref()),
        location: location_of(&info, table.sd.as_ref()),
        info,
        partitions,
    }))
}

async fn definition(session: &Session, name: &TableName) -> Result<Option<Table>, CallError> {
    let (namespace, table) = (FastStr::new(name.namespace()), FastStr::new(name.name()));
    let future = session.client.get_table(namespace, table);
    match session.call("get_table", future).await? {
        Ok(table) => Ok(Some(table)),
        Err(ThriftHiveMetastoreGetTableException::O2(_)) => Ok(None),
        Err(exception) => Err(refused("get_table", &exception)),
    }
}

async fn partitions(
    session: Session,
    table: TableName,
    names: Vec<FastStr>,
) -> Result<Vec<PartitionStorage>, CallError> {
    let mut found = Vec::new();
    for names in names.chunks(BATCH) {
        let (namespace, name) = (FastStr::new(table.namespace()), FastStr::new(table.name()));
        let client = &session.client;
        let future = client.get_partitions_by_names(namespace, name, names.to_vec());
        let partitions = session.demand("get_partitions_by_names", future).await?;
        found.extend(partitions.into_iter().map(|partition| {
            let storage = partition.sd.as_ref();
            let location = storage.and_then(|storage| storage.location.as_deref());
            let values = partition.values.iter().flatten();
            PartitionStorage {
                values: values.map(ToString::to_string).collect(),
                location: location.unwrap_or_default().to_owned(),
                format: of_storage(storage),
            }
        }));
    }
    // The metastore answers in no particular order.
    found.sort_by(|one, other| one.values.cmp(&other.values));
    Ok(found)
}

/// Spark's own data sources keep it beside the reader, because Hive may not take it.
fn location_of(info: &TableInfo, storage: Option<&StorageDescriptor>) -> Option<String> {
    let parameters = storage.and_then(|storage| storage.serde_info.as_ref()?.parameters.as_ref());
    let path = parameters.and_then(|parameters| parameters.get("path"));
    let path = path.filter(|_| info.properties.contains_key(PROVIDER));
    path.map(ToString::to_string)
        .or_else(|| info.location.clone())
}

/// Spark's own data sources are named in a property; for them the storage says nothing that counts.
fn format_of(info: &TableInfo, storage: Option<&StorageDescriptor>) -> Format {
    let property = |name: &str| {
        let mut properties = info.properties.iter();
        let found = properties.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_lowercase())
    };
    if info.is_view {
        return Format::Other("a view".to_owned());
    }
    let tracked = property("spark.sql.partitionprovider").as_deref() == Some("catalog");
    if !info.partition_columns.is_empty() && info.properties.contains_key(PROVIDER) && !tracked {
        return Format::Other("partitions that the catalog does not list".to_owned());
    }
    match property(PROVIDER).or_else(|| property("table_type")) {
        Some(provider) if provider == "parquet" => Format::Parquet,
        Some(provider) if provider != "hive" => Format::Other(provider),
        _ => of_storage(storage),
    }
}

fn of_storage(storage: Option<&StorageDescriptor>) -> Format {
    let input = storage.and_then(|storage| storage.input_format.as_deref());
    match input {
        Some(input) if PARQUET_INPUT.contains(&input) => Format::Parquet,
        Some(input) => Format::Other(input.rsplit('.').next().unwrap_or(input).to_owned()),
        None => Format::Other("no known format".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(properties: &[(&str, &str)], input: &str) -> Format {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let info = TableInfo {
            properties: properties.iter().map(owned).collect(),
            ..TableInfo::default()
        };
        let storage = StorageDescriptor {
            input_format: Some(FastStr::new(input)),
            ..StorageDescriptor::default()
        };
        format_of(&info, Some(&storage))
    }

    #[test]
    fn the_provider_counts_before_the_storage() {
        let other = |text: &str| Format::Other(text.to_owned());
        let text = "org.apache.hadoop.mapred.TextInputFormat";
        assert_eq!(format(&[], PARQUET_INPUT[0]), Format::Parquet);
        assert_eq!(format(&[], text), other("TextInputFormat"));
        let provider = PROVIDER;
        assert_eq!(format(&[(provider, "PARQUET")], text), Format::Parquet);
        assert_eq!(
            format(&[(provider, "hive")], PARQUET_INPUT[1]),
            Format::Parquet
        );
        assert_eq!(
            format(&[(provider, "delta")], PARQUET_INPUT[0]),
            other("delta")
        );
        assert_eq!(
            format(&[("table_type", "ICEBERG")], PARQUET_INPUT[0]),
            other("iceberg")
        );
    }
}
