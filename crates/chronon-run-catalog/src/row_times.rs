//! What the statistics of Parquet files tell of the values of a column, partition by partition: only
//! footers are read.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

use chronon_run_core::{Ds, PartitionFormat, RangeSet, Slice};
use futures_util::{StreamExt, TryStreamExt, stream};
use parquet::file::{
    metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
    statistics::Statistics,
};
use pilota::FastStr;

use crate::{
    CatalogError, Hive,
    client::{CallError, Session},
    evidence::{EvidenceRequest, batches, local},
};

/// Some days of a table, and the column of which the values are wanted.
pub type RowTimesRequest = (Slice, RangeSet, String);

/// The smallest and the largest value of each day.
pub type RowTimes = BTreeMap<Slice, BTreeMap<Ds, (i64, i64)>>;

/// Calls in flight at once.
const CONCURRENCY: usize = 4;
/// Files of one request that are looked at; days whose files would be more are left out.
const FILES: usize = 4_000;

impl Hive {
    /// See [`crate::Catalog::row_times`].
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn row_times(&self, requests: &[RowTimesRequest]) -> Result<RowTimes, CatalogError> {
        self.run(|session| row_times(session, requests.to_vec()))
    }
}

async fn row_times(
    session: Session,
    requests: Vec<RowTimesRequest>,
) -> Result<RowTimes, CallError> {
    let mut answers = stream::iter(requests)
        .map(|request| of_request(session.clone(), request))
        .buffer_unordered(CONCURRENCY);
    let mut found = RowTimes::new();
    while let Some((slice, days)) = answers.try_next().await? {
        found.entry(slice).or_default().extend(days);
    }
    Ok(found)
}

async fn of_request(
    session: Session,
    (slice, days, column): RowTimesRequest,
) -> Result<(Slice, BTreeMap<Ds, (i64, i64)>), CallError> {
    let mut places: BTreeMap<Ds, Vec<String>> = BTreeMap::new();
    // The left side of a join with the Driver has days of this form.
    let request = EvidenceRequest {
        slice: slice.clone(),
        days,
        format: PartitionFormat::iso(),
    };
    for batch in batches(session.clone(), request).await? {
        for (ds, place) in locations(&session, &slice, batch.at, batch.names).await? {
            places.entry(ds).or_default().push(place);
        }
    }
    let mut left = FILES;
    // The newest days first, where not all can be looked at.
    let days = places.into_iter().rev();
    let days = days.filter_map(|(ds, places)| Some((ds, of_places(&places, &column, &mut left)?)));
    Ok((slice, days.collect()))
}

async fn locations(
    session: &Session,
    slice: &Slice,
    at: usize,
    names: Vec<FastStr>,
) -> Result<Vec<(Ds, String)>, CallError> {
    let namespace = FastStr::new(slice.table.namespace());
    let table = FastStr::new(slice.table.name());
    let future = session
        .client
        .get_partitions_by_names(namespace, table, names);
    let partitions = session.demand("get_partitions_by_names", future).await?;
    let found = partitions.iter().filter_map(|partition| {
        let day = partition.values.as_ref()?.get(at)?.parse().ok()?;
        let location = partition.sd.as_ref()?.location.as_ref()?;
        Some((day, location.to_string()))
    });
    Ok(found.collect())
}

/// The span of the values in all files of some folders; `None` if one of them cannot be told.
fn of_places(places: &[String], column: &str, left: &mut usize) -> Option<(i64, i64)> {
    let mut span = None;
    for place in places {
        span = merged(span, of_folder(&local(place)?, column, left)?);
    }
    span
}

/// The span of a folder's files; the inner `None` if they have no value.
fn of_folder(folder: &Path, column: &str, left: &mut usize) -> Option<Option<(i64, i64)>> {
    let mut span = None;
    for entry in fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b"_") || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        *left = left.checked_sub(1)?;
        if !entry.file_type().ok()?.is_file() {
            return None;
        }
        span = merged(span, of_file(&entry.path(), column)?);
    }
    Some(span)
}

fn of_file(path: &Path, column: &str) -> Option<Option<(i64, i64)>> {
    let file = File::open(path).ok()?;
    let footer = ParquetMetaDataReader::new().parse_and_finish(&file).ok()?;
    let at = place_of(&footer, column)?;
    let mut span = None;
    for group in footer.row_groups() {
        span = merged(span, of_group(group, at)?);
    }
    Some(span)
}

/// The place of a column by its name, in any case, as Spark looks for it.
fn place_of(footer: &ParquetMetaData, column: &str) -> Option<usize> {
    let schema = footer.file_metadata().schema_descr();
    let mut columns = schema.columns().iter();
    columns.position(|found| {
        let parts = found.path().parts();
        matches!(parts, [name] if name.eq_ignore_ascii_case(column))
    })
}

fn of_group(group: &RowGroupMetaData, at: usize) -> Option<Option<(i64, i64)>> {
    if group.num_rows() == 0 {
        return Some(None);
    }
    let Statistics::Int64(found) = group.column(at).statistics()? else {
        return None;
    };
    match (found.min_opt(), found.max_opt()) {
        (Some(min), Some(max)) => Some(Some((*min, *max))),
        // A column that is NULL throughout has no bounds.
        _ => (found.null_count_opt() == u64::try_from(group.num_rows()).ok()).then_some(None),
    }
}

fn merged(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::{
        data_type::Int64Type,
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };

    use super::*;

    fn write(path: &Path, values: &[i64]) {
        let schema = "message rows { optional int64 At_Ms; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().build());
        let file = File::create(path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let levels: Vec<i16> = values.iter().map(|_| 1).chain([0]).collect();
        column
            .typed::<Int64Type>()
            .write_batch(values, Some(&levels), None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn the_span_of_a_folder_is_that_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a.parquet"), &[7, 3]);
        write(&folder.path().join("b.parquet"), &[5, 11]);
        write(&folder.path().join("nothing.parquet"), &[]);
        fs::write(folder.path().join("_SUCCESS"), "").unwrap();
        let of = |column: &str, files: usize| of_folder(folder.path(), column, &mut { files });
        assert_eq!(of("at_ms", 9), Some(Some((3, 11))));
        assert_eq!(of("other", 9), None);
        assert_eq!(of("at_ms", 2), None);
        fs::write(folder.path().join("c.csv"), "x").unwrap();
        assert_eq!(of("at_ms", 9), None);
        assert_eq!(of_places(&["hdfs://n/a".to_owned()], "at_ms", &mut 9), None);
    }
}
