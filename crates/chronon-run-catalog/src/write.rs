//! The few changes that `chronon-run` itself makes to a catalog. Each is harmless to repeat.

use chronon_run_core::{Column, PartitionFormat, RangeSet, TableName};
use hive_metastore::{
    AddPartitionsRequest, Database, DropPartitionsRequest, FieldSchema, Partition,
    RequestPartsSpec, SerDeInfo, StorageDescriptor, Table,
    ThriftHiveMetastoreCreateDatabaseException as CreateDatabase,
    ThriftHiveMetastoreCreateTableException as CreateTable,
    ThriftHiveMetastoreDropDatabaseException as DropDatabase,
    ThriftHiveMetastoreDropTableException as DropTable,
    ThriftHiveMetastoreGetTableException as GetTable,
};
use pilota::{AHashMap, FastStr};

use crate::{
    CatalogError, Hive,
    client::{CallError, Session, refused},
    names::{days_of, partition_name, partition_values},
};

/// Partitions changed in one call: the metastore holds a transaction for each.
const BATCH: usize = 500;

/// A parquet table to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTable {
    /// Its name.
    pub table: TableName,
    /// Data columns, without the partition columns.
    pub columns: Vec<Column>,
    /// Partition columns, in order; empty for an unpartitioned table.
    pub partition_columns: Vec<Column>,
    /// TBLPROPERTIES.
    pub properties: Vec<(String, String)>,
}

impl Hive {
    /// Creates the database unless it exists.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach or refuses.
    pub fn ensure_database(&self, name: &str) -> Result<(), CatalogError> {
        self.run(|session| async move {
            let database = Database {
                name: Some(name.to_owned().into()),
                ..Database::default()
            };
            let call = "create_database";
            let answer = session
                .call(call, session.client.create_database(database))
                .await?;
            match answer {
                Ok(()) | Err(CreateDatabase::O1(_)) => Ok(()),
                Err(exception) => Err(refused(call, &exception)),
            }
        })
    }

    /// Whether there is a database of this name.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach or refuses.
    pub fn has_database(&self, name: &str) -> Result<bool, CatalogError> {
        self.run(|session| async move {
            let future = session.client.get_all_databases();
            let databases = session.demand("get_all_databases", future).await?;
            Ok(databases
                .iter()
                .any(|found| found.eq_ignore_ascii_case(name)))
        })
    }

    /// Creates a parquet table in its database's place unless it exists; whether it was created.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, the database does not exist, or a type
    /// is none of Hive's.
    pub fn create_table(&self, table: &NewTable) -> Result<bool, CatalogError> {
        self.run(|session| async move {
            let call = "create_table";
            let answer = session
                .call(call, session.client.create_table(definition(table)))
                .await?;
            match answer {
                Ok(()) => Ok(true),
                Err(CreateTable::O1(_)) => Ok(false),
                Err(exception) => Err(refused(call, &exception)),
            }
        })
    }

    /// Drops the table, with its files if `delete_data`; nothing happens if there is none.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach or refuses.
    pub fn drop_table(&self, table: &TableName, delete_data: bool) -> Result<(), CatalogError> {
        self.run(|session| async move {
            let (namespace, name) = fast(table);
            let call = "drop_table";
            let future = session.client.drop_table(namespace, name, delete_data);
            match session.call(call, future).await? {
                Ok(()) | Err(DropTable::O1(_)) => Ok(()),
                Err(exception) => Err(refused(call, &exception)),
            }
        })
    }

    /// Drops a database that has no tables, with its folder; nothing happens if there is none.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach or refuses, as for a database with tables.
    pub fn drop_empty_database(&self, name: &str) -> Result<(), CatalogError> {
        self.run(|session| async move {
            let call = "drop_database";
            let future = session
                .client
                .drop_database(FastStr::new(name), true, false);
            match session.call(call, future).await? {
                Ok(()) | Err(DropDatabase::O1(_)) => Ok(()),
                Err(exception) => Err(refused(call, &exception)),
            }
        })
    }

    /// Adds partitions, each a row of values in the order of the table's partition columns, with
    /// their directories. Those that exist stay as they are.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, the table does not exist, or a row has
    /// too few or too many values.
    pub fn add_partitions(
        &self,
        table: &TableName,
        rows: &[Vec<String>],
    ) -> Result<(), CatalogError> {
        self.run(|session| async move {
            let template = fetch(&session, table).await?.sd.unwrap_or_default();
            for rows in rows.chunks(BATCH) {
                let request = additions(table, &template, rows);
                let future = session.client.add_partitions_req(request);
                session.demand("add_partitions_req", future).await?;
            }
            Ok(())
        })
    }

    /// Drops partitions, each a row of values in the order of the table's partition columns, with
    /// their files if `delete_data`. Those that do not exist are passed over.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach or the table does not exist.
    pub fn drop_partitions(
        &self,
        table: &TableName,
        rows: &[Vec<String>],
        delete_data: bool,
    ) -> Result<(), CatalogError> {
        self.run(|session| async move {
            let keys = fetch(&session, table)
                .await?
                .partition_keys
                .unwrap_or_default();
            for rows in rows.chunks(BATCH) {
                let request = removals(table, &keys, rows, delete_data);
                let future = session.client.drop_partitions_req(request);
                session.demand("drop_partitions_req", future).await?;
            }
            Ok(())
        })
    }
}

impl Hive {
    /// Drops every partition of these days, whatever its other columns, with its files if
    /// `delete_data`. Nothing happens if there is no such table.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach or refuses.
    pub fn drop_days(
        &self,
        table: &TableName,
        day_column: &str,
        days: &RangeSet,
        delete_data: bool,
    ) -> Result<(), CatalogError> {
        let listed = self.snapshot(&[(table.clone(), Vec::new())])?;
        if listed.table(table).is_none() {
            return Ok(());
        }
        let rows: Vec<Vec<String>> = self.run(|session| async move {
            let names = session.partition_names(table).await?.unwrap_or_default();
            let found = days_of(names, day_column, &PartitionFormat::iso()).map(|(_, found)| found);
            let found = found.into_iter().flatten();
            let wanted = found.filter(|(day, _)| days.contains(*day));
            let names = wanted.flat_map(|(_, names)| names);
            Ok(names.map(|name| partition_values(&name)).collect())
        })?;
        self.drop_partitions(table, &rows, delete_data)
    }
}

impl Hive {
    /// Gives a table another name, as `ALTER TABLE … RENAME TO` does.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach or refuses.
    pub fn rename_table(&self, table: &TableName, to: &TableName) -> Result<(), CatalogError> {
        self.rename_and_mark(table, to, &[])
    }

    /// Gives a table another name and these properties, in one call.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach or refuses.
    pub fn rename_and_mark(
        &self,
        table: &TableName,
        to: &TableName,
        properties: &[(String, String)],
    ) -> Result<(), CatalogError> {
        self.run(|session| async move {
            let mut definition = fetch(&session, table).await?;
            let (_, name) = fast(to);
            definition.table_name = Some(name);
            let all = definition.parameters.get_or_insert_default();
            for (name, value) in properties {
                all.insert(name.clone().into(), value.clone().into());
            }
            alter(&session, table, definition).await
        })
    }

    /// Creates a view that stands for a record: it has no file, and only its properties matter. Whether
    /// it was created; it is not if there is one of that name.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, the database does not exist, or it refuses.
    pub fn create_record(
        &self,
        view: &TableName,
        properties: &[(String, String)],
    ) -> Result<bool, CatalogError> {
        self.run(|session| async move {
            let call = "create_table";
            let answer = session
                .call(call, session.client.create_table(record(view, properties)))
                .await?;
            match answer {
                Ok(()) => Ok(true),
                Err(CreateTable::O1(_)) => Ok(false),
                Err(exception) => Err(refused(call, &exception)),
            }
        })
    }

    /// Adds properties to a table or view, or replaces those of the same names; `false` if there is
    /// no such table.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach or refuses.
    pub fn update_properties(
        &self,
        table: &TableName,
        properties: &[(String, String)],
    ) -> Result<bool, CatalogError> {
        self.run(|session| async move {
            let (namespace, name) = fast(table);
            let call = "get_table";
            let future = session.client.get_table(namespace, name);
            let mut definition = match session.call(call, future).await? {
                Ok(definition) => definition,
                Err(GetTable::O2(_)) => return Ok(false),
                Err(exception) => return Err(refused(call, &exception)),
            };
            let all = definition.parameters.get_or_insert_default();
            for (name, value) in properties {
                all.insert(name.clone().into(), value.clone().into());
            }
            alter(&session, table, definition).await.map(|()| true)
        })
    }

    /// The tables of a database whose names match a pattern of Hive's (`*` is anything); none if
    /// there is no such database.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach or refuses.
    pub fn tables_like(
        &self,
        database: &str,
        pattern: &str,
    ) -> Result<Vec<TableName>, CatalogError> {
        let names = self.run(|session| async move {
            let future = session
                .client
                .get_tables(FastStr::new(database), FastStr::new(pattern));
            session.demand("get_tables", future).await
        })?;
        let names = names.into_iter();
        let names = names.filter_map(|name| TableName::new(database, &name).ok());
        Ok(names.collect())
    }

    /// Adds table properties, or replaces those of the same names.
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, the table does not exist, or it refuses.
    pub fn set_properties(
        &self,
        table: &TableName,
        properties: &[(String, String)],
    ) -> Result<(), CatalogError> {
        self.run(|session| async move {
            let mut definition = fetch(&session, table).await?;
            let all = definition.parameters.get_or_insert_default();
            for (name, value) in properties {
                all.insert(name.clone().into(), value.clone().into());
            }
            alter(&session, table, definition).await
        })
    }
}

async fn alter(session: &Session, table: &TableName, definition: Table) -> Result<(), CallError> {
    let (namespace, name) = fast(table);
    let future = session.client.alter_table(namespace, name, definition);
    session.demand("alter_table", future).await
}

async fn fetch(session: &Session, table: &TableName) -> Result<Table, CallError> {
    let (namespace, name) = fast(table);
    let future = session.client.get_table(namespace, name);
    session.demand("get_table", future).await
}

fn additions(
    table: &TableName,
    template: &StorageDescriptor,
    rows: &[Vec<String>],
) -> AddPartitionsRequest {
    let (namespace, name) = fast(table);
    let partition = |row: &Vec<String>| Partition {
        values: Some(row.iter().map(|value| value.clone().into()).collect()),
        db_name: Some(namespace.clone()),
        table_name: Some(name.clone()),
        sd: Some(StorageDescriptor {
            // Without one the metastore derives it from the table's and makes the directory.
            location: None,
            ..template.clone()
        }),
        parameters: Some(AHashMap::default()),
        ..Partition::default()
    };
    AddPartitionsRequest {
        db_name: namespace.clone(),
        tbl_name: name.clone(),
        parts: rows.iter().map(partition).collect(),
        if_not_exists: true,
        need_result: Some(false),
        ..AddPartitionsRequest::default()
    }
}

fn removals(
    table: &TableName,
    keys: &[FieldSchema],
    rows: &[Vec<String>],
    delete_data: bool,
) -> DropPartitionsRequest {
    let (namespace, name) = fast(table);
    let named = |row: &Vec<String>| {
        let keys = keys
            .iter()
            .map(|key| key.name.as_deref().unwrap_or_default().to_owned());
        let columns: Vec<_> = keys.zip(row.iter().cloned()).collect();
        partition_name(&columns).into()
    };
    DropPartitionsRequest {
        db_name: namespace,
        tbl_name: name,
        parts: RequestPartsSpec::Names(rows.iter().map(named).collect()),
        delete_data: Some(delete_data),
        if_exists: Some(true),
        need_result: Some(false),
        ..DropPartitionsRequest::default()
    }
}

/// A view of one row.
fn record(view: &TableName, properties: &[(String, String)]) -> Table {
    let table = NewTable {
        table: view.clone(),
        columns: vec![Column {
            name: "record".to_owned(),
            data_type: "string".to_owned(),
        }],
        partition_columns: Vec::new(),
        properties: properties.to_vec(),
    };
    let text = FastStr::new("SELECT 'a record of chronon-run' AS record");
    Table {
        table_type: Some(FastStr::new("VIRTUAL_VIEW")),
        view_original_text: Some(text.clone()),
        view_expanded_text: Some(text),
        ..definition(&table)
    }
}

fn definition(table: &NewTable) -> Table {
    let (namespace, name) = fast(&table.table);
    let text = |text: &str| Some(FastStr::new(text));
    let parquet = |class: &str| text(&format!("org.apache.hadoop.hive.ql.io.parquet.{class}"));
    let properties = table.properties.iter();
    Table {
        db_name: Some(namespace),
        table_name: Some(name),
        owner: text("chronon-run"),
        table_type: text("MANAGED_TABLE"),
        partition_keys: Some(fields(&table.partition_columns)),
        parameters: Some(
            properties
                .map(|(key, value)| (key.clone().into(), value.clone().into()))
                .collect(),
        ),
        sd: Some(StorageDescriptor {
            cols: Some(fields(&table.columns)),
            input_format: parquet("MapredParquetInputFormat"),
            output_format: parquet("MapredParquetOutputFormat"),
            num_buckets: Some(-1),
            serde_info: Some(SerDeInfo {
                serialization_lib: parquet("serde.ParquetHiveSerDe"),
                parameters: Some(AHashMap::default()),
                ..SerDeInfo::default()
            }),
            bucket_cols: Some(Vec::new()),
            sort_cols: Some(Vec::new()),
            parameters: Some(AHashMap::default()),
            ..StorageDescriptor::default()
        }),
        ..Table::default()
    }
}

fn fields(columns: &[Column]) -> Vec<FieldSchema> {
    columns
        .iter()
        .map(|column| FieldSchema {
            name: Some(column.name.clone().into()),
            r#type: Some(column.data_type.clone().into()),
            comment: None,
        })
        .collect()
}

fn fast(table: &TableName) -> (FastStr, FastStr) {
    (FastStr::new(table.namespace()), FastStr::new(table.name()))
}
