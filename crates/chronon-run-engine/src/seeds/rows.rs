//! Reads the rows of a seed's files, once: columns, types, partitions and malformed rows.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use chronon_run_core::BYTE_ORDER_MARK;
use flate2::read::MultiGzDecoder;
use indexmap::IndexMap;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    error::SeedError,
    files::{files, malformed, unreadable},
    infer::Type,
    prepared::NULL_PARTITION,
    seed::{Partitioning, Seed},
};

/// What the rows of all files have in common.
#[derive(Default)]
pub(super) struct Rows {
    /// Columns in their order, with their inferred types.
    pub(super) columns: IndexMap<String, Type>,
    /// The content of each partition.
    pub(super) partitions: BTreeMap<Vec<String>, Content>,
}

/// The rows of one partition.
pub(super) struct Content {
    digest: Sha256,
    /// How long its rows are, as text.
    pub(super) bytes: u64,
    /// Where its first row is.
    pub(super) first: (std::path::PathBuf, u64),
}

impl Content {
    /// A digest of its rows, in their order.
    pub(super) fn digest(self) -> String {
        format!("{:x}", self.digest.finalize())
    }
}

impl Rows {
    fn add(&mut self, partition: Vec<String>, row: &[u8], file: &Path, line: u64) {
        let content = self.partitions.entry(partition).or_insert_with(|| Content {
            digest: Sha256::new(),
            bytes: 0,
            first: (file.to_owned(), line),
        });
        content.digest.update(row);
        content.digest.update(b"\n");
        content.bytes += row.len() as u64 + 1;
    }
}

/// The partition columns that the configuration names, lower case.
fn partition_columns(seed: &Seed) -> Vec<String> {
    match &seed.partition_by {
        Partitioning::DsIfPresent => vec!["ds".to_owned()],
        Partitioning::By(columns) => columns.iter().map(|name| name.to_lowercase()).collect(),
    }
}

/// The declared type of a column.
fn declared<'s>(seed: &'s Seed, name: &str) -> Option<&'s str> {
    let mut declared = seed.columns.iter();
    let found = declared.find(|(column, _)| column.eq_ignore_ascii_case(name));
    found.map(|(_, data_type)| data_type.as_str())
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    let compressed = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("gz"));
    Ok(match compressed {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    })
}

/// Names as the metastore keeps them.
fn plain_name(name: &str) -> String {
    // A file from elsewhere may start with a byte order mark.
    name.trim_start_matches(BYTE_ORDER_MARK)
        .trim()
        .to_lowercase()
}

/// Reads CSV files with header lines.
pub(super) fn csv(seed: &Seed) -> Result<Rows, SeedError> {
    let mut all = Rows::default();
    let mut header: Option<Vec<String>> = None;
    for file in files(seed)? {
        let names = csv_file(seed, &file, &mut all, header.as_deref())?;
        header = header.or(Some(names));
    }
    Ok(all)
}

fn csv_file(
    seed: &Seed,
    file: &Path,
    all: &mut Rows,
    expected: Option<&[String]>,
) -> Result<Vec<String>, SeedError> {
    let failed = |error| csv_error(seed, file, &error);
    let input = open(file).map_err(|error| unreadable(seed, file, &error))?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator(seed))
        .from_reader(input);
    let names: Vec<String> = reader
        .headers()
        .map_err(failed)?
        .iter()
        .map(plain_name)
        .collect();
    if names.iter().all(String::is_empty) {
        let why = "the file is empty; a CSV seed starts with a header line".to_owned();
        return Err(malformed(seed, file, 1, why));
    }
    check_header(seed, file, &names, expected)?;
    for name in &names {
        all.columns.entry(name.clone()).or_default();
    }
    let at: Vec<Option<usize>> = partition_columns(seed)
        .iter()
        .map(|column| names.iter().position(|name| name == column))
        .collect();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let is_null = |field: &str| field.is_empty() || Some(field) == seed.null.as_deref();
        for (name, field) in names
            .iter()
            .zip(&record)
            .filter(|(_, field)| !is_null(field))
        {
            check_field(seed, name, field).map_err(|why| malformed(seed, file, line, why))?;
            let known = all.columns.entry(name.clone()).or_default();
            *known = std::mem::take(known).merge(Type::of_text(field));
        }
        let value = |at: &Option<usize>| {
            let field = record.get((*at)?).filter(|field| !is_null(field));
            Some(field.unwrap_or(NULL_PARTITION).to_owned())
        };
        let partition = at.iter().filter_map(value).collect();
        let row: Vec<&str> = record.iter().collect();
        all.add(partition, row.join("\u{1f}").as_bytes(), file, line);
    }
    Ok(names)
}

fn separator(seed: &Seed) -> u8 {
    let option = |name: &str| seed.options.get(name)?.bytes().next();
    let found = option("sep").or_else(|| option("delimiter"));
    found.unwrap_or(b',')
}

/// A header that is that of the files before it, without a name twice, and that has what the
/// configuration names.
fn check_header(
    seed: &Seed,
    file: &Path,
    names: &[String],
    expected: Option<&[String]>,
) -> Result<(), SeedError> {
    let wrong = |why: String| Err(malformed(seed, file, 1, why));
    if expected.is_some_and(|expected| expected != names) {
        return wrong("another header than that of the files before it".to_owned());
    }
    for (at, name) in names.iter().enumerate() {
        let awkward = name.is_empty() || name.contains(['`', ',', ';', ':', '\n']);
        if awkward || names[..at].contains(name) {
            return wrong(format!(
                "`{name}` cannot be a column's name, or is there twice"
            ));
        }
    }
    Ok(())
}

/// Reads files with one JSON object per line.
pub(super) fn json(seed: &Seed) -> Result<Rows, SeedError> {
    let mut all = Rows::default();
    let wanted = partition_columns(seed);
    for path in files(seed)? {
        let failed = |error: io::Error| unreadable(seed, &path, &error);
        let file = open(&path).map_err(failed)?;
        for (line, number) in BufReader::new(file).lines().zip(1_u64..) {
            let line = line.map_err(failed)?;
            let line = line.trim_start_matches(BYTE_ORDER_MARK);
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |why| malformed(seed, &path, number, why);
            let object = json_object(line).map_err(wrong)?;
            let mut partition = vec![NULL_PARTITION.to_owned(); wanted.len()];
            for (name, value) in object {
                let name = plain_name(&name);
                check_json(seed, &name, &value).map_err(wrong)?;
                if let Some(at) = wanted.iter().position(|column| *column == name) {
                    partition[at] = partition_value(&value);
                }
                let known = all.columns.entry(name).or_default();
                *known = std::mem::take(known).merge(Type::of_json(&value));
            }
            all.add(partition, line.as_bytes(), &path, number);
        }
    }
    Ok(all)
}

fn partition_value(value: &Value) -> String {
    match value {
        Value::Null => NULL_PARTITION.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn json_object(line: &str) -> Result<serde_json::Map<String, Value>, String> {
    match serde_json::from_str(line) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("not a JSON object; a JSON seed has one object per line".to_owned()),
        Err(error) => Err(format!(
            "not JSON: {error}; a JSON seed has one object per line"
        )),
    }
}

/// Why a field is no value of its column's declared type.
fn check_field(seed: &Seed, name: &str, field: &str) -> Result<(), String> {
    let Some(data_type) = declared(seed, name) else {
        return Ok(());
    };
    let digits = field.trim_end_matches(['d', 'D', 'f', 'F']);
    let fits = match data_type.to_ascii_lowercase().as_str() {
        "tinyint" => field.parse::<i8>().is_ok(),
        "smallint" => field.parse::<i16>().is_ok(),
        "int" | "integer" => field.parse::<i32>().is_ok(),
        "bigint" | "long" => field.parse::<i64>().is_ok(),
        "float" | "double" => {
            ["NaN", "Inf", "-Inf", "Infinity", "-Infinity"].contains(&field)
                || digits.parse::<f64>().is_ok()
        }
        "boolean" => ["true", "false"].contains(&field.to_ascii_lowercase().as_str()),
        _ => true,
    };
    match fits {
        true => Ok(()),
        false => Err(format!(
            "`{field}` in column `{name}` is no {data_type}, which `columns` declares"
        )),
    }
}

fn check_json(seed: &Seed, name: &str, value: &Value) -> Result<(), String> {
    let Some(data_type) = declared(seed, name) else {
        return Ok(());
    };
    let fits = match data_type.to_ascii_lowercase().as_str() {
        "tinyint" | "smallint" | "int" | "integer" | "bigint" | "long" => {
            value.is_i64() || value.is_u64()
        }
        "float" | "double" => value.is_number() || value.is_string(),
        "boolean" => value.is_boolean(),
        _ => true,
    };
    match fits || value.is_null() {
        true => Ok(()),
        false => Err(format!(
            "{value} in column `{name}` is no {data_type}, which `columns` declares"
        )),
    }
}

fn csv_error(seed: &Seed, path: &Path, error: &csv::Error) -> SeedError {
    let why = match error.kind() {
        csv::ErrorKind::Io(error) => return unreadable(seed, path, error),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{len} fields, but the header has {expected_len}"),
        _ => error.to_string(),
    };
    let line = error.position().map_or(1, csv::Position::line);
    malformed(seed, path, line, why)
}
