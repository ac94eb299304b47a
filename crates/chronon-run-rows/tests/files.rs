//! Rows written to Parquet and read back, and files that are not as they should be.

#![allow(clippy::unwrap_used, reason = "a test helper panics")]

use std::{fs, path::PathBuf};

use chronon_run_rows::{Column, Form, Part, RowsError, Scan, Schema, Value, Writer};

const COLUMNS: [(&str, &str); 17] = [
    ("Flag", "boolean"),
    ("tiny", "tinyint"),
    ("small", "smallint"),
    ("number", "int"),
    ("big", "bigint"),
    ("real", "float"),
    ("real8", "double"),
    ("money", "decimal(10,2)"),
    ("huge", "decimal(38,18)"),
    ("name", "string"),
    ("raw", "binary"),
    ("day", "date"),
    ("at", "timestamp"),
    ("tags", "array<string>"),
    ("pairs", "map<string,bigint>"),
    ("inner", "struct<a:int,b:array<struct<c:double>>>"),
    ("later", "string"),
];

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn full_row() -> Vec<Value> {
    let c = Value::Struct(vec![("c".to_owned(), Value::Double(0.5))]);
    let inner = vec![
        ("a".to_owned(), Value::Integer(-7)),
        ("b".to_owned(), Value::Array(vec![c, Value::Null])),
    ];
    vec![
        Value::Boolean(true),
        Value::Integer(-128),
        Value::Integer(-32_768),
        Value::Integer(i64::from(i32::MIN)),
        Value::Integer(i64::MIN),
        Value::Float(1.5),
        Value::Double(-2.25),
        Value::Decimal(-150, 2),
        Value::Decimal(10_i128.pow(38) - 1, 18),
        text("a, \"b\"\n"),
        Value::Binary(vec![0, 255]),
        Value::Date(-800_000),
        Value::Timestamp(-62_135_596_800_000_001),
        Value::Array(vec![text("x"), Value::Null]),
        Value::Map(vec![
            (text("k"), Value::Null),
            (text("l"), Value::Integer(1)),
        ]),
        Value::Struct(inner),
        text("new"),
    ]
}

fn columns(count: usize) -> Vec<Column> {
    Schema::of_hive(COLUMNS).unwrap().columns[..count].to_vec()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, columns: &[Column], rows: &[Vec<Value>]) -> PathBuf {
        let mut bytes = Vec::new();
        let rows = rows.iter().map(|row| Ok(row[..columns.len()].to_vec()));
        let writer = Writer::new(columns, Form::Parquet, &mut bytes);
        writer.write(rows).unwrap();
        self.put(name, &bytes)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn part(ds: Option<&str>, files: Vec<PathBuf>) -> Part {
    Part {
        values: vec![ds.map(str::to_owned)],
        files,
    }
}

fn schema() -> Schema {
    Schema::of_hive(COLUMNS.into_iter().chain([("ds", "date")])).unwrap()
}

fn rows(scan: &Scan, limit: Option<u64>) -> Vec<Vec<Value>> {
    scan.rows(limit).map(Result::unwrap).collect()
}

#[test]
fn every_type_is_read_back_and_added_columns_are_null() {
    let folder = Folder::new();
    let nulls = vec![Value::Null; COLUMNS.len()];
    let new = folder.write("1.parquet", &columns(17), &[full_row(), nulls.clone()]);
    let old = folder.write("0.parquet", &columns(16), &[full_row()]);
    let parts = [part(Some("1970-01-03"), vec![old]), part(None, vec![new])];
    let scan = Scan::open(schema(), &parts).unwrap();
    assert_eq!(scan.row_count(), 3);
    let with = |mut row: Vec<Value>, day: Value| {
        row.push(day);
        row
    };
    let mut before = full_row();
    before[16] = Value::Null;
    let expected = [
        with(before, Value::Date(2)),
        with(full_row(), Value::Null),
        with(nulls, Value::Null),
    ];
    assert_eq!(rows(&scan, None), expected);
    assert_eq!(rows(&scan, Some(2)), expected[..2]);
    assert_eq!(rows(&scan, Some(0)), expected[..0]);
}

#[test]
fn columns_are_read_in_the_order_in_which_they_are_named() {
    let folder = Folder::new();
    let file = folder.write("0.parquet", &columns(17), &[full_row()]);
    let open = || Scan::open(schema(), &[part(Some("1970-01-03"), vec![file.clone()])]).unwrap();
    let names = ["DS", "money", "flag", "money"].map(str::to_owned);
    let scan = open().select(&names).unwrap();
    let money = Value::Decimal(-150, 2);
    let expected = vec![Value::Date(2), money.clone(), Value::Boolean(true), money];
    assert_eq!(rows(&scan, None), [expected]);
    assert_eq!(scan.columns()[2].name, "Flag");
    let only_partition = open().select(&["ds".to_owned()]).unwrap();
    assert_eq!(rows(&only_partition, None), [[Value::Date(2)]]);
    let error = open().select(&["mony".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("did you mean `money`?"), "{error}");
}

#[test]
fn a_damaged_file_is_named() {
    let folder = Folder::new();
    let whole = folder.write("0.parquet", &columns(17), &[full_row()]);
    let bytes = fs::read(&whole).unwrap();
    let flipped: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x55).collect();
    let cases: [&[u8]; 4] = [&bytes[..bytes.len() - 1], &bytes[..20], b"PAR1", &flipped];
    for bytes in cases {
        let file = folder.put("1.parquet", bytes);
        let error = Scan::open(schema(), &[part(None, vec![file])]).unwrap_err();
        assert!(matches!(error, RowsError::Damaged { .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("1.parquet is not a complete Parquet file")
        );
    }
}

/// Bytes inside the data: an error or other values, never a panic.
#[test]
fn a_file_with_any_other_byte_does_not_stop_the_program() {
    let folder = Folder::new();
    let whole = folder.write("0.parquet", &columns(17), &[full_row()]);
    let bytes = fs::read(&whole).unwrap();
    for at in (0..bytes.len()).step_by(5) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0xff;
        let file = folder.put("1.parquet", &bytes);
        if let Ok(scan) = Scan::open(schema(), &[part(None, vec![file])]) {
            scan.rows(Some(10)).for_each(drop);
        }
    }
}

#[test]
fn a_file_of_another_type_is_refused_as_by_spark() {
    let folder = Folder::new();
    let number = Schema::of_hive([("big", "int")]).unwrap().columns;
    let file = folder.write("0.parquet", &number, &[vec![Value::Integer(1)]]);
    let error = Scan::open(schema(), &[part(None, vec![file])]).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("column `big` is bigint in the catalog but Int32 in"),
        "{error}"
    );
}

#[test]
fn rows_are_written_in_every_form() {
    let columns = Schema::of_hive([("a", "string"), ("b", "double")])
        .unwrap()
        .columns;
    let rows = || {
        let rows = [
            vec![text("x,\"y\""), Value::Null],
            vec![text(""), Value::Double(1e9)],
            vec![Value::Null, Value::Double(0.5)],
        ];
        rows.into_iter().map(Ok)
    };
    let written = |form| {
        let mut out = Vec::new();
        let summary = Writer::new(&columns, form, &mut out).write(rows()).unwrap();
        assert_eq!(summary.rows, 3);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        written(Form::Csv),
        "a,b\n\"x,\"\"y\"\"\",\n\"\",1.0E9\n,0.5\n"
    );
    let json = "[\n{\"a\":\"x,\\\"y\\\"\",\"b\":null},\n{\"a\":\"\",\"b\":1.0E9},\n{\"a\":null,\"b\":0.5}\n]\n";
    assert_eq!(written(Form::Json), json);
    let mut empty = Vec::new();
    let none = std::iter::empty();
    Writer::new(&columns, Form::Json, &mut empty)
        .write(none)
        .unwrap();
    assert_eq!(empty, b"[]\n");
}
