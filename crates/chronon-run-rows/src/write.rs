//! Rows in the form that was asked for.

use std::{io, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::{Field as ArrowField, Schema as ArrowSchema};
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::{metadata::KeyValue, properties::WriterProperties},
};

use crate::{Column, RowsError, Value, arrays, calendar, screen, text};

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// For a screen of so many columns; one record below another where a row is wider. Without a width
    /// lines are as long as they are.
    Table(Option<usize>),
    /// One JSON array with a row on each line.
    Json,
    /// RFC 4180 with a header; NULL is an empty field, an empty string is `""`.
    Csv,
    /// A Parquet file.
    Parquet,
}

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Rows.
    pub rows: u64,
}

/// Rows of Parquet written at once.
const BATCH: usize = 8_192;

/// Writes rows to `out`.
pub struct Writer<'a, W: io::Write + Send> {
    columns: &'a [Column],
    form: Form,
    out: W,
}

impl<'a, W: io::Write + Send> Writer<'a, W> {
    /// To write rows of these columns.
    pub fn new(columns: &'a [Column], form: Form, out: W) -> Self {
        Self { columns, form, out }
    }

    /// Writes all rows. JSON, CSV and Parquet are written as rows come; a table is written at the end.
    ///
    /// # Errors
    /// [`RowsError`] of the first row that cannot be read, or [`RowsError::Output`].
    pub fn write(
        mut self,
        rows: impl Iterator<Item = Result<Vec<Value>, RowsError>>,
    ) -> Result<Summary, RowsError> {
        let rows = match self.form {
            Form::Table(width) => {
                let rows: Result<Vec<Vec<Value>>, RowsError> = rows.collect();
                let rows = rows?;
                let text = screen::table(self.columns, &rows, width);
                self.out.write_all(text.as_bytes())?;
                rows.len() as u64
            }
            Form::Json => self.json(rows)?,
            Form::Csv => self.csv(rows)?,
            Form::Parquet => return self.parquet(rows),
        };
        self.out.flush()?;
        Ok(Summary { rows })
    }

    fn json(
        &mut self,
        rows: impl Iterator<Item = Result<Vec<Value>, RowsError>>,
    ) -> Result<u64, RowsError> {
        let mut count = 0;
        let mut line = String::new();
        for row in rows {
            let row = row?;
            line.push_str(if count == 0 { "[\n" } else { ",\n" });
            let names = self.columns.iter().map(|column| column.name.clone());
            text::json_object(names.zip(&row), &mut line);
            self.out.write_all(line.as_bytes())?;
            line.clear();
            count += 1;
        }
        let end = if count == 0 { "[]\n" } else { "\n]\n" };
        self.out.write_all(end.as_bytes())?;
        Ok(count)
    }

    fn csv(
        &mut self,
        rows: impl Iterator<Item = Result<Vec<Value>, RowsError>>,
    ) -> Result<u64, RowsError> {
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|column| csv_field(&column.name))
            .collect();
        writeln!(self.out, "{}", names.join(","))?;
        let mut count = 0;
        for row in rows {
            let fields: Vec<String> = row?.iter().map(csv_value).collect();
            writeln!(self.out, "{}", fields.join(","))?;
            count += 1;
        }
        Ok(count)
    }

    fn parquet(
        self,
        rows: impl Iterator<Item = Result<Vec<Value>, RowsError>>,
    ) -> Result<Summary, RowsError> {
        let failed = |error: parquet::errors::ParquetError| RowsError::Parquet(error.to_string());
        let fields = self.columns.iter().map(|column| {
            ArrowField::new(&column.name, arrays::data_type(&column.data_type), true)
        });
        let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
        let mut writer = ArrowWriter::try_new(self.out, Arc::clone(&schema), Some(properties()))
            .map_err(failed)?;
        let mut summary = Summary::default();
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let batch: Result<Vec<Vec<Value>>, RowsError> = rows.by_ref().take(BATCH).collect();
            let batch = batch?;
            let array = |(at, column): (usize, &Column)| {
                let values: Vec<&Value> = batch.iter().map(|row| &row[at]).collect();
                arrays::of(&column.data_type, &values)
            };
            let arrays: Result<Vec<_>, _> = self.columns.iter().enumerate().map(array).collect();
            let arrays = arrays.map_err(|error| RowsError::Parquet(error.to_string()))?;
            let written = RecordBatch::try_new(Arc::clone(&schema), arrays)
                .map_err(|error| RowsError::Parquet(error.to_string()))?;
            writer.write(&written).map_err(failed)?;
            summary.rows += batch.len() as u64;
        }
        writer.close().map_err(failed)?;
        Ok(summary)
    }
}

/// Names a version of Spark that writes the same calendar, without which Spark refuses early days.
fn properties() -> WriterProperties {
    let version = KeyValue::new(calendar::VERSION.to_owned(), "3.3.1".to_owned());
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![version]))
        .build()
}

fn csv_value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) if text.is_empty() => "\"\"".to_owned(),
        value => csv_field(&text::plain(value)),
    }
}

fn csv_field(text: &str) -> String {
    let plain = |c: char| !matches!(c, '"' | ',' | '\n' | '\r');
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("\"{}\"", text.replace('"', "\"\"")),
    }
}
