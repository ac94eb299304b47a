//! Where the scripted engine's partitions are.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use chronon_run_catalog::{CatalogError, Hive, NewTable, Timeouts, local_path};
use chronon_run_core::{CatalogSnapshot, Column, TableName};
use serde_json::Value;

use super::tables::tables_of;
use crate::driver::{Commit, Write};

/// A catalog that can be changed.
#[derive(Debug)]
pub enum Backend {
    /// A saved snapshot; changes are made under a lock and appear as a whole.
    File(PathBuf),
    /// A metastore.
    Hive(Box<Hive>),
}

/// Why the catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The snapshot's file.
    #[error("{0}: {1}")]
    File(PathBuf, String),
    /// The metastore.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Backend {
    /// The catalog at `place`: a path or `thrift://…`.
    ///
    /// # Errors
    /// [`BackendError`] if the URI is malformed.
    pub fn open(place: &str) -> Result<Self, BackendError> {
        if place.starts_with("thrift://") {
            let hive = Hive::new(place, Timeouts::default())?;
            return Ok(Self::Hive(Box::new(hive)));
        }
        Ok(Self::File(place.into()))
    }

    /// What a run over the conf at `conf` sees; `extra` are tables named on the command line.
    ///
    /// # Errors
    /// [`BackendError`] if the catalog cannot be read.
    pub fn snapshot(
        &self,
        conf: Option<&Path>,
        extra: &[&str],
    ) -> Result<CatalogSnapshot, BackendError> {
        match self {
            Self::File(path) => {
                let _lock = lock(path)?;
                read(path)
            }
            Self::Hive(hive) => {
                // A conf that cannot be read is the Driver's to complain about.
                let text = conf
                    .and_then(|conf| std::fs::read(conf).ok())
                    .unwrap_or_default();
                let tree: Value = serde_json::from_slice(&text).unwrap_or_default();
                Ok(hive.snapshot(&tables_of(&tree, extra))?)
            }
        }
    }

    /// Makes commits visible: in a file all at once, in a metastore one by one.
    ///
    /// # Errors
    /// [`BackendError`] if the catalog cannot be changed.
    pub fn apply(&self, commits: &[Commit]) -> Result<(), BackendError> {
        let mut writes = commits.iter().flat_map(|commit| &commit.writes);
        match self {
            Self::File(path) => {
                let _lock = lock(path)?;
                let mut catalog = read(path)?;
                writes.for_each(|write| write.apply(&mut catalog));
                save(path, &catalog)
            }
            Self::Hive(hive) => writes.try_for_each(|write| apply_to_hive(hive, write)),
        }
    }
}

fn failed<E: ToString>(path: &Path) -> impl Fn(E) -> BackendError + '_ {
    |error| BackendError::File(path.to_owned(), error.to_string())
}

/// The lock is a file of its own, because the snapshot's is replaced.
fn lock(path: &Path) -> Result<File, BackendError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::create(&name).map_err(failed(path))?;
    file.lock().map_err(failed(path))?;
    Ok(file)
}

fn read(path: &Path) -> Result<CatalogSnapshot, BackendError> {
    let bytes = std::fs::read(path).map_err(failed(path))?;
    serde_json::from_slice(&bytes).map_err(failed(path))
}

fn save(path: &Path, catalog: &CatalogSnapshot) -> Result<(), BackendError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed(path))?;
    let text = serde_json::to_vec(catalog).map_err(failed(path))?;
    file.write_all(&text).map_err(failed(path))?;
    file.persist(path).map_err(failed(path))?;
    Ok(())
}

fn apply_to_hive(hive: &Hive, write: &Write) -> Result<(), BackendError> {
    let column = |name: &str| Column {
        name: name.to_owned(),
        data_type: "string".to_owned(),
    };
    let create = |table: &TableName, partition_columns: Vec<Column>| NewTable {
        table: table.clone(),
        columns: vec![column("value")],
        partition_columns,
        properties: vec![("chronon_generated".to_owned(), "true".to_owned())],
    };
    match write {
        Write::Rename { table, to } => return Ok(hive.rename_table(table, to)?),
        Write::Properties { table, properties } => {
            return Ok(hive.set_properties(table, properties)?);
        }
        _ => hive.ensure_database(write.table().namespace())?,
    }
    match write {
        Write::Rename { .. } | Write::Properties { .. } => {}
        Write::View { table } => {
            hive.create_table(&create(table, Vec::new()))?;
        }
        Write::Unpartitioned { table, .. } => {
            // Replaced as a whole.
            hive.drop_table(table, true)?;
            let mut new = create(table, Vec::new());
            new.properties.extend(write.properties());
            hive.create_table(&new)?;
        }
        Write::Partitions {
            table,
            others,
            column: day,
            days,
        } => {
            let names: Vec<&String> = others.iter().map(|(name, _)| name).chain([day]).collect();
            let columns = names.iter().map(|name| column(name)).collect();
            hive.create_table(&create(table, columns))?;
            let prefix: Vec<String> = others.iter().map(|(_, value)| value.clone()).collect();
            let row = |ds: chronon_run_core::Ds| {
                let mut row = prefix.clone();
                row.push(ds.to_string());
                row
            };
            let rows: Vec<Vec<String>> = days.iter().map(row).collect();
            hive.add_partitions(table, &rows)?;
            write_files(hive, table, &names, &rows)?;
        }
    }
    Ok(())
}

/// A file in the folder of each partition, where that is on this machine: a folder without one tells of a day
/// without rows.
fn write_files(
    hive: &Hive,
    table: &TableName,
    names: &[&String],
    rows: &[Vec<String>],
) -> Result<(), BackendError> {
    let listed = hive.snapshot(&[(table.clone(), Vec::new())])?;
    let location = listed
        .table(table)
        .and_then(|state| state.info.location.clone());
    let Some(folder) = location.and_then(|location| local_path(&location)) else {
        return Ok(());
    };
    for row in rows {
        let pairs = names.iter().zip(row);
        let parts = pairs.map(|(name, value)| format!("{name}={value}"));
        let file = folder.join(parts.collect::<PathBuf>()).join("part-00000");
        if file.parent().is_some_and(Path::exists) && !file.exists() {
            std::fs::write(&file, "rows\n").map_err(failed(&file))?;
        }
    }
    Ok(())
}
