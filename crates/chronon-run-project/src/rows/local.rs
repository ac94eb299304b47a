//! Rows of tables whose Parquet files are on this machine: read without Spark.

use std::{collections::BTreeMap, path::PathBuf};

use chronon_run_catalog::{
    Catalog, Format, PartitionStorage, TableStorage, local_path, partition_values,
};
use chronon_run_core::{Ds, PartitionFormat, TableName};
use chronon_run_rows::{Listing, Part, Scan, Schema, list_files};

use super::{failure, nearest_days, not_filled, target::Target};
use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{day_formats::formats, project::Project},
    output::note,
};

/// Hive's name for a partition without a value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// What is to be shown of a table.
pub struct Place {
    /// The table.
    pub table: TableName,
    /// Where and in which format the catalog says its files are.
    pub storage: TableStorage,
    /// The partition column of the day, if it has one.
    pub day_column: Option<String>,
    /// The day, if the catalog lists days.
    pub day: Option<Ds>,
    /// Names of the day's partitions.
    pub partitions: Vec<String>,
}

/// Rows, or why only Spark can read them.
pub enum Found {
    /// They were read from files.
    Rows(Scan),
    /// Why the files cannot be read here.
    NeedsSpark(String),
}

impl Place {
    /// Asks the catalog for the table, and finds the day that is wanted, or the newest. `name` is what the
    /// user called it.
    pub fn of(
        context: &Project,
        warehouse: &CatalogSession,
        target: &Target,
        name: &str,
        wanted: Option<Ds>,
    ) -> Result<Self, Failure> {
        let storage = storage(context, warehouse, target, name)?;
        Self::find(context, target, name, wanted, storage)
    }

    /// Finds the table's day: the one that is wanted, or the newest.
    pub fn find(
        context: &Project,
        target: &Target,
        name: &str,
        wanted: Option<Ds>,
        storage: TableStorage,
    ) -> Result<Self, Failure> {
        let day_column = target.day_column(context, &storage.info);
        let mut place = Self {
            table: target.table.clone(),
            day_column,
            day: None,
            partitions: Vec::new(),
            storage,
        };
        if place.is_seen_through() && (wanted.is_none() || place.day_column.is_some()) {
            place.day = wanted;
            return Ok(place);
        }
        let Some(column) = place.day_column.clone() else {
            if let Some(wanted) = wanted {
                return Err(Failure::hinted(
                    format!(
                        "{} has no column that is known to hold a day, so it has no {wanted}",
                        place.table
                    ),
                    "leave out `@` and the day to see all rows",
                ));
            }
            place.partitions = place.storage.partitions.clone();
            return Ok(place);
        };
        let days = days(context, &place, &column);
        let Some((newest, _)) = days.last_key_value() else {
            return Err(not_filled(
                &format!("no day of {} is filled", place.table),
                &match target.asset {
                    Some(_) => format!("`chronon-run plan {name}` shows why"),
                    None => "its partitions are entered by whatever writes it".to_owned(),
                },
            ));
        };
        let day = wanted.unwrap_or(*newest);
        let Some(partitions) = days.get(&day) else {
            let known: Vec<Ds> = days.keys().copied().collect();
            return Err(not_filled(
                &format!(
                    "{} is not filled on {day}; {}",
                    place.table,
                    nearest_days(&known, day)
                ),
                &match target.asset {
                    Some(_) => format!("`chronon-run plan --explain {name}@{day}` shows why"),
                    None => "leave out `@` and the day to see the newest".to_owned(),
                },
            ));
        };
        place.partitions = partitions.clone();
        place.day = Some(day);
        Ok(place)
    }

    /// At most so many of the newest days of a table, newest first; none if it has no day column, or only
    /// Spark knows its partitions.
    pub fn newest(
        context: &Project,
        target: &Target,
        storage: TableStorage,
        most: usize,
    ) -> Vec<Self> {
        let place = Self::any(context, target, storage);
        let column = place.day_column.clone();
        let Some(column) = column.filter(|_| !place.is_seen_through()) else {
            return Vec::new();
        };
        let days = days(context, &place, &column).into_iter().rev();
        let one = |(day, partitions)| Self {
            table: place.table.clone(),
            storage: place.storage.clone(),
            day_column: Some(column.clone()),
            day: Some(day),
            partitions,
        };
        days.take(most).map(one).collect()
    }

    /// None of the table's days.
    pub fn any(context: &Project, target: &Target, storage: TableStorage) -> Self {
        Self {
            table: target.table.clone(),
            day_column: target.day_column(context, &storage.info),
            day: None,
            partitions: Vec::new(),
            storage,
        }
    }

    /// A view, or a table whose partitions only Spark knows.
    pub fn is_seen_through(&self) -> bool {
        let info = &self.storage.info;
        let hidden = info.partition_columns.is_empty() || self.storage.partitions.is_empty();
        info.is_view || (hidden && self.storage.format != Format::Parquet && !self.is_hive())
    }

    /// Whether the metastore itself knows how its files are read.
    fn is_hive(&self) -> bool {
        match &self.storage.format {
            Format::Parquet => true,
            Format::Other(what) => what.ends_with("InputFormat"),
        }
    }

    /// The raw values of the day's partitions.
    pub fn day_values(&self) -> Vec<String> {
        let Some(at) = self.day_at() else {
            return Vec::new();
        };
        let values = self.partitions.iter();
        let mut values: Vec<String> = values
            .filter_map(|name| partition_values(name).into_iter().nth(at))
            .collect();
        values.sort();
        values.dedup();
        values
    }

    fn day_at(&self) -> Option<usize> {
        let mut columns = self.storage.info.partition_columns.iter();
        columns.position(|column| Some(&column.name) == self.day_column.as_ref())
    }
}

/// Where the files of a table are; an error that says what is there instead if it does not exist.
pub fn storage(
    context: &Project,
    warehouse: &CatalogSession,
    target: &Target,
    name: &str,
) -> Result<TableStorage, Failure> {
    let found = match warehouse.catalog() {
        Some(catalog) => catalog.storage(&target.table).map_err(Failure::setup)?,
        None => None,
    };
    found.ok_or_else(|| target.missing(context, name))
}

/// The names of the partitions of each day.
fn days(context: &Project, place: &Place, column: &str) -> BTreeMap<Ds, Vec<String>> {
    let formats = formats(context);
    let iso = PartitionFormat::iso();
    let format = formats.get(&place.table).map_or(&iso, |(format, _)| format);
    let mut columns = place.storage.info.partition_columns.iter();
    let at = columns.position(|found| found.name == column);
    let mut days: BTreeMap<Ds, Vec<String>> = BTreeMap::new();
    for name in &place.storage.partitions {
        let value = at.and_then(|at| partition_values(name).into_iter().nth(at));
        let day = value.and_then(|value| {
            let as_format = || format.read(&value).map(|time| time.ds);
            value.parse().ok().or_else(as_format)
        });
        if let Some(day) = day {
            days.entry(day).or_default().push(name.clone());
        }
    }
    days
}

/// The rows of a place, if they can be read without Spark.
pub fn find(catalog: &Catalog, place: &Place) -> Result<Found, Failure> {
    let spark = |why: String| Ok(Found::NeedsSpark(why));
    let info = &place.storage.info;
    if let Format::Other(what) = &place.storage.format {
        return spark(format!("{} is stored as {what}", place.table));
    }
    let columns = info.columns.iter().chain(&info.partition_columns);
    let columns = columns.map(|column| (column.name.as_str(), column.data_type.as_str()));
    let schema = match Schema::of_table(columns, &info.properties) {
        Ok(schema) => schema,
        Err(error) => return spark(format!("{} has a column whose type {error}", place.table)),
    };
    let partitioned = info.partition_columns.len();
    let stored = schema.columns.len().saturating_sub(partitioned);
    if !Scan::understands_partitions(&schema.columns[stored..]) {
        return spark(format!(
            "the partition columns of {} are not text, numbers or dates",
            place.table
        ));
    }
    let partitions = match partitioned {
        0 => vec![PartitionStorage {
            values: Vec::new(),
            location: place.storage.location.clone().unwrap_or_default(),
            format: Format::Parquet,
        }],
        _ => catalog
            .partition_storage(&place.table, &place.partitions)
            .map_err(Failure::setup)?,
    };
    let mut parts = Vec::new();
    for partition in &partitions {
        match part(partition)? {
            Ok(part) => parts.push(part),
            Err(why) => return spark(why),
        }
    }
    Scan::open(schema, &parts).map(Found::Rows).map_err(failure)
}

/// The files of a partition, or why Spark is needed.
fn part(partition: &PartitionStorage) -> Result<Result<Part, String>, Failure> {
    let location = &partition.location;
    if let Format::Other(what) = &partition.format {
        return Ok(Err(format!("{location} is stored as {what}")));
    }
    let Some(folder) = local_path(location) else {
        return Ok(Err(format!("{location} is not on this machine")));
    };
    let listing = match list_files(&folder).map_err(failure)? {
        Some(listing) => listing,
        // A partition that was only added has no folder; a folder that is elsewhere has no parent.
        None if folder.parent().is_some_and(|parent| parent.exists()) => Listing::default(),
        None => return Ok(Err(format!("{location} does not exist on this machine"))),
    };
    warn(&listing);
    Ok(Ok(Part {
        values: partition
            .values
            .iter()
            .map(|value| (value != NO_VALUE).then(|| value.clone()))
            .collect(),
        files: listing.files,
    }))
}

/// What is odd about a folder, and does not change its rows.
fn warn(listing: &Listing) {
    if let Some(folder) = &listing.unfinished {
        note(&format!(
            "warning: {} is of a job that has not finished: it is writing now or was killed; only rows that were committed are shown",
            folder.display()
        ));
    }
    let shown = |path: &PathBuf| path.display().to_string();
    match listing.empty.as_slice() {
        [] => {}
        [only] => note(&format!(
            "warning: {} is empty and holds no rows",
            shown(only)
        )),
        [first, rest @ ..] => note(&format!(
            "warning: {} and {} more files are empty and hold no rows",
            shown(first),
            rest.len()
        )),
    }
}
