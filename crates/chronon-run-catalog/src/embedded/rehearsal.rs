//! What a run does with a metastore, in small.

use chronon_run_core::{Column, TableName};

use crate::{CatalogError, Hive, NewTable, Timeouts};

pub(super) fn play(uri: &str) -> Result<(), CatalogError> {
    let hive = Hive::new(uri, Timeouts::default())?;
    let column = |name: &str, data_type: &str| Column {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
    };
    let Ok(table) = TableName::new("rehearsal", "events") else {
        return Ok(());
    };
    hive.ensure_database("rehearsal")?;
    hive.create_table(&NewTable {
        table: table.clone(),
        columns: vec![column("id", "bigint"), column("tags", "array<string>")],
        partition_columns: vec![column("ds", "string")],
        properties: vec![("a".to_owned(), "b".to_owned())],
    })?;
    let days = ["2026-01-01", "2026-01-02"].map(|day| vec![day.to_owned()]);
    hive.add_partitions(&table, &days)?;
    hive.snapshot(&[(table.clone(), vec!["ds".to_owned()])])?;
    hive.drop_partitions(&table, &days[..1], true)?;
    hive.drop_table(&table, true)
}
