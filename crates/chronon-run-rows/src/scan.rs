//! Reads the files of some partitions: footers at once, rows as they are asked for.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field as ArrowField, Fields, Schema as ArrowSchema, TimeUnit};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
            ParquetRecordBatchReaderBuilder,
        },
    },
    basic::Type as PhysicalType,
};

use crate::{
    Column, RowsError, Schema, Value, calendar, convert, guarded::guarded, nearest, partition,
};

/// Rows decoded at once.
const BATCH: usize = 4_096;
/// Where Spark keeps the schema of what it wrote.
const SPARK_SCHEMA: &str = "org.apache.spark.sql.parquet.row.metadata";

/// One partition: its files, and the values of the partition columns in table order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Part {
    /// `None` is a partition without a value, which Hive calls `__HIVE_DEFAULT_PARTITION__`.
    pub values: Vec<Option<String>>,
    /// Its files, in the order in which they are read.
    pub files: Vec<PathBuf>,
}

/// Some partitions of a table, their footers read.
#[derive(Debug)]
pub struct Scan {
    schema: Schema,
    /// How many of the columns come from the files.
    stored: usize,
    files: Vec<OpenFile>,
    /// Columns to read, in the order in which they are shown.
    wanted: Vec<usize>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    /// Values of the partition columns.
    partition: Vec<Value>,
    /// For each column of the files, where this file has it.
    places: Vec<Option<usize>>,
    /// Whether early days may be in the old calendar.
    old_calendar: bool,
}

impl Scan {
    /// Opens every file of `parts`. The last columns of `schema` are partition columns, as many as each
    /// part has values.
    ///
    /// # Errors
    /// [`RowsError`] for the first file that is damaged, cannot be read, or has other types than the
    /// table.
    pub fn open(schema: Schema, parts: &[Part]) -> Result<Self, RowsError> {
        let partitioned = parts.first().map_or(0, |part| part.values.len());
        let stored = schema.columns.len().saturating_sub(partitioned);
        let mut files = Vec::new();
        for part in parts {
            let columns = schema.columns[stored..].iter().zip(&part.values);
            let partition: Result<Vec<Value>, RowsError> = columns
                .map(|(column, text)| partition::value(column, text.as_deref()))
                .collect();
            let partition = partition?;
            for path in &part.files {
                files.push(open(path, &schema.columns[..stored], partition.clone())?);
            }
        }
        Ok(Self {
            wanted: (0..schema.columns.len()).collect(),
            schema,
            stored,
            files,
        })
    }

    /// Opens files that Spark wrote, of which nothing is known but what it wrote down in them; the
    /// columns of no file are none.
    ///
    /// # Errors
    /// [`RowsError`] if a file is damaged or has no schema of Spark's.
    pub fn open_written(files: &[PathBuf]) -> Result<Self, RowsError> {
        let Some(first) = files.first() else {
            return Self::open(Schema::default(), &[]);
        };
        let metadata = footer(first)?;
        let entries = metadata.metadata().file_metadata().key_value_metadata();
        let mut entries = entries.into_iter().flatten();
        let text = entries.find(|entry| entry.key == SPARK_SCHEMA);
        let text = text.and_then(|entry| entry.value.as_deref()).unwrap_or("");
        let schema = Schema::of_spark_json(text).map_err(|error| damaged(first, &error))?;
        let part = Part {
            values: Vec::new(),
            files: files.to_vec(),
        };
        Self::open(schema, &[part])
    }

    /// Whether values of partition columns of these types are understood.
    #[must_use]
    pub fn understands_partitions(columns: &[Column]) -> bool {
        let mut columns = columns.iter();
        columns.all(|column| partition::is_understood(&column.data_type))
    }

    /// Reads only these columns, in this order.
    ///
    /// # Errors
    /// [`RowsError::NoColumn`] for the first that does not exist.
    pub fn select(mut self, names: &[String]) -> Result<Self, RowsError> {
        let place = |name: &String| {
            self.schema.position(name).ok_or_else(|| {
                let known = self.schema.columns.iter().map(|column| &*column.name);
                RowsError::NoColumn {
                    name: name.clone(),
                    nearest: nearest(name, known.clone()).map(str::to_owned),
                    known: known.map(str::to_owned).collect(),
                }
            })
        };
        let wanted: Result<_, RowsError> = names.iter().map(place).collect();
        self.wanted = wanted?;
        Ok(self)
    }

    /// The columns that are read.
    #[must_use]
    pub fn columns(&self) -> Vec<Column> {
        let columns = self
            .wanted
            .iter()
            .map(|&at| self.schema.columns[at].clone());
        columns.collect()
    }

    /// How many rows there are.
    #[must_use]
    pub fn row_count(&self) -> u64 {
        let rows = |file: &OpenFile| file.metadata.metadata().file_metadata().num_rows();
        let rows = self.files.iter().map(rows);
        rows.map(|rows| u64::try_from(rows).unwrap_or(0)).sum()
    }

    /// How many bytes all columns take once they are decompressed.
    #[must_use]
    pub fn byte_count(&self) -> u64 {
        let files = self.files.iter().map(|file| file.metadata.metadata());
        let groups = files.flat_map(|metadata| metadata.row_groups());
        let bytes = groups.map(|group| u64::try_from(group.total_byte_size()).unwrap_or(0));
        bytes.fold(0, u64::saturating_add)
    }

    /// The first `limit` rows, or all.
    pub fn rows(&self, limit: Option<u64>) -> impl Iterator<Item = Result<Vec<Value>, RowsError>> {
        let limit = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        let of_file = move |file| -> Box<dyn Iterator<Item = Result<Vec<Value>, RowsError>> + '_> {
            match self.batches(file, limit) {
                Ok(batches) => Box::new(batches.flat_map(move |batch| self.of_batch(file, batch))),
                Err(error) => Box::new(std::iter::once(Err(error))),
            }
        };
        self.files.iter().flat_map(of_file).take(limit)
    }

    fn of_batch(
        &self,
        file: &OpenFile,
        batch: Result<RecordBatch, RowsError>,
    ) -> Vec<Result<Vec<Value>, RowsError>> {
        match batch {
            Ok(batch) => (0..batch.num_rows())
                .map(|row| self.row(file, &batch, row))
                .collect(),
            Err(error) => vec![Err(error)],
        }
    }

    fn row(
        &self,
        file: &OpenFile,
        batch: &RecordBatch,
        row: usize,
    ) -> Result<Vec<Value>, RowsError> {
        let value = |&column: &usize| match column.checked_sub(self.stored) {
            Some(at) => file.partition.get(at).cloned().unwrap_or(Value::Null),
            None => match self.place_in_batch(file, column) {
                Some(at) => {
                    let wanted = &self.schema.columns[column].data_type;
                    convert::value(wanted, batch.column(at), row)
                }
                None => Value::Null,
            },
        };
        let values: Vec<Value> = self.wanted.iter().map(value).collect();
        let odd = || values.iter().position(calendar::differs);
        match file.old_calendar.then(odd).flatten() {
            Some(at) => Err(RowsError::OldCalendar {
                path: file.path.clone(),
                column: self.schema.columns[self.wanted[at]].name.clone(),
            }),
            None => Ok(values),
        }
    }

    /// A batch has the columns that are read, in the order of the file.
    fn place_in_batch(&self, file: &OpenFile, column: usize) -> Option<usize> {
        let place = file.places[column]?;
        Some(
            self.roots(file)
                .iter()
                .filter(|&&root| root < place)
                .count(),
        )
    }

    /// The columns of the file that are read, each once.
    fn roots(&self, file: &OpenFile) -> Vec<usize> {
        let stored = self.wanted.iter().filter(|&&column| column < self.stored);
        let mut roots: Vec<usize> = stored.filter_map(|&column| file.places[column]).collect();
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    fn batches(
        &self,
        file: &OpenFile,
        limit: usize,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, RowsError>>, RowsError> {
        let mut reader = Some(reader(file, &self.roots(file), limit)?);
        let path = file.path.clone();
        Ok(std::iter::from_fn(move || {
            let next = guarded(|| reader.as_mut().and_then(Iterator::next));
            match next {
                Ok(batch) => batch.map(|batch| batch.map_err(|error| damaged(&path, &error))),
                Err(why) => {
                    reader = None;
                    Some(Err(damaged(&path, &why)))
                }
            }
        }))
    }
}

fn reader(
    file: &OpenFile,
    roots: &[usize],
    limit: usize,
) -> Result<ParquetRecordBatchReader, RowsError> {
    let opened = open_file(&file.path)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, file.metadata.clone());
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
    let builder = builder
        .with_projection(mask)
        .with_limit(limit)
        .with_batch_size(limit.min(BATCH));
    match guarded(|| builder.build()) {
        Ok(reader) => reader.map_err(|error| damaged(&file.path, &error)),
        Err(why) => Err(damaged(&file.path, &why)),
    }
}

fn open(path: &Path, columns: &[Column], partition: Vec<Value>) -> Result<OpenFile, RowsError> {
    let metadata = footer(path)?;
    let stored = metadata.schema().fields();
    let place = |column: &Column| {
        let mut fields = stored.iter();
        let at = fields.position(|field| field.name().eq_ignore_ascii_case(&column.name));
        match at.map(|at| stored[at].data_type()) {
            Some(found) if !convert::fits(&column.data_type, found) => Err(RowsError::OtherType {
                path: path.to_owned(),
                column: column.name.clone(),
                wanted: column.data_type.to_string(),
                found: found.to_string(),
            }),
            _ => Ok(at),
        }
    };
    let places: Result<_, RowsError> = columns.iter().map(place).collect();
    Ok(OpenFile {
        path: path.to_owned(),
        places: places?,
        partition,
        old_calendar: calendar::is_old(metadata.metadata().file_metadata().key_value_metadata()),
        metadata,
    })
}

/// The footer, with instants in microseconds as Spark has them.
fn footer(path: &Path) -> Result<ArrowReaderMetadata, RowsError> {
    guarded(|| read_footer(path)).unwrap_or_else(|why| Err(damaged(path, &why)))
}

fn read_footer(path: &Path) -> Result<ArrowReaderMetadata, RowsError> {
    let file = open_file(path)?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&file, options.clone());
    let metadata = metadata.map_err(|error| damaged(path, &error))?;
    let mut leaves = metadata.parquet_schema().columns().iter();
    if !leaves.any(|leaf| leaf.physical_type() == PhysicalType::INT96) {
        return Ok(metadata);
    }
    // Nanoseconds since 1970 would not reach the years before 1677 and after 2262.
    let fields = in_micros(metadata.schema().fields());
    let schema = Arc::new(ArrowSchema::new(fields));
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options.with_schema(schema))
        .map_err(|error| damaged(path, &error))
}

fn in_micros(fields: &Fields) -> Fields {
    let field = |field: &Arc<ArrowField>| {
        let data_type = type_in_micros(field.data_type());
        ArrowField::clone(field).with_data_type(data_type)
    };
    fields.iter().map(field).collect()
}

fn type_in_micros(data_type: &DataType) -> DataType {
    let inner = |field: &Arc<ArrowField>| {
        let data_type = type_in_micros(field.data_type());
        Arc::new(ArrowField::clone(field).with_data_type(data_type))
    };
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, None) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        DataType::List(field) => DataType::List(inner(field)),
        DataType::Map(field, sorted) => DataType::Map(inner(field), *sorted),
        DataType::Struct(fields) => DataType::Struct(in_micros(fields)),
        other => other.clone(),
    }
}

fn open_file(path: &Path) -> Result<File, RowsError> {
    File::open(path).map_err(|source| RowsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn damaged(path: &Path, error: &impl ToString) -> RowsError {
    let why = error.to_string();
    let why = why.strip_prefix("Parquet error: ").unwrap_or(&why);
    RowsError::Damaged {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}
