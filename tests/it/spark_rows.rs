//! `show` and `query` on tables that a real Spark wrote: what they print is what Spark prints.

use std::{collections::BTreeMap, fs, path::Path};

use insta::assert_snapshot;
use serde_json::Value;

use crate::{
    support::{Screen, Workspace},
    tables::Warehouse,
};

const CREATE: &str = "
CREATE DATABASE IF NOT EXISTS lake;
SET spark.sql.parquet.datetimeRebaseModeInWrite=CORRECTED;
SET spark.sql.parquet.int96RebaseModeInWrite=CORRECTED;
CREATE TABLE lake.kinds (
  Flag boolean, tiny tinyint, small smallint, number int, big bigint, real float, real8 double,
  money decimal(10,2), huge decimal(38,18), name string, raw binary, day date, at timestamp,
  tags array<string>, pairs map<string,bigint>,
  inner struct<innerCase:int,list:array<struct<c:double,d:timestamp>>>, short varchar(10)
) PARTITIONED BY (ds string, hr int) STORED AS PARQUET;
CREATE OR REPLACE TEMPORARY VIEW kinds_rows AS
SELECT true, 127Y, -32768S, 2147483647, -9223372036854775808L, CAST(1.5 AS FLOAT), 1.0E10D,
  CAST(-1.50 AS DECIMAL(10,2)), CAST('12345678901234567890.123456789012345678' AS DECIMAL(38,18)),
  'a \"quoted\", text', X'00FF41', DATE'2026-01-30', TIMESTAMP'2026-01-30 08:15:00.25',
  array('x', NULL, 'z'), map('k', 1L, 'l', NULL),
  named_struct('innerCase', 7, 'list', array(named_struct('c', 0.5D, 'd', TIMESTAMP'1969-12-31 23:59:59'), NULL)), 'vc'
UNION ALL SELECT false, -128Y, 1S, -1, 0L, CAST('NaN' AS FLOAT), CAST('-Infinity' AS DOUBLE),
  CAST(0 AS DECIMAL(10,2)), CAST(0.5 AS DECIMAL(38,18)),
  'NULL', X'', DATE'0001-01-01', TIMESTAMP'9999-12-31 23:59:59.999', array(), map(),
  named_struct('innerCase', CAST(NULL AS INT), 'list', NULL), ''
UNION ALL SELECT true, 1Y, 1S, 1, 1L, CAST(0.1 AS FLOAT), 0.001D, CAST(99999999.99 AS DECIMAL(10,2)), CAST(-1 AS DECIMAL(38,18)),
  'line\\nbreak \\t ü 日本', X'E697A5', DATE'1600-02-29', TIMESTAMP'1600-02-29 00:00:00', array('q'), map('', 0L),
  named_struct('innerCase', 1, 'list', array()), 'x'
UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;
SET spark.sql.parquet.compression.codec=snappy;
INSERT INTO lake.kinds PARTITION (ds = '2026-01-02', hr = 0) SELECT * FROM kinds_rows;
SET spark.sql.parquet.compression.codec=gzip;
SET spark.sql.parquet.outputTimestampType=TIMESTAMP_MICROS;
INSERT INTO lake.kinds PARTITION (ds = '2026-01-02', hr = 1) SELECT * FROM kinds_rows;
SET spark.sql.parquet.compression.codec=zstd;
SET spark.sql.parquet.outputTimestampType=TIMESTAMP_MILLIS;
INSERT INTO lake.kinds PARTITION (ds = '2026-01-02', hr = 2) SELECT * FROM kinds_rows;
SET spark.sql.parquet.compression.codec=lz4;
SET spark.sql.parquet.outputTimestampType=INT96;
SET spark.sql.parquet.writeLegacyFormat=true;
INSERT INTO lake.kinds PARTITION (ds = '2026-01-02', hr = 3) SELECT * FROM kinds_rows;
SET spark.sql.parquet.writeLegacyFormat=false;
SET spark.sql.parquet.compression.codec=none;
ALTER TABLE lake.kinds ADD COLUMNS (later string);
INSERT INTO lake.kinds PARTITION (ds = '2026-01-04', hr = 0) SELECT *, 'new' FROM kinds_rows;
INSERT INTO lake.kinds PARTITION (ds = '2026-01-02', hr = 4) SELECT *, 'new' FROM kinds_rows;
CREATE TABLE lake.native (userId bigint, score double, p int, ds string) USING parquet PARTITIONED BY (p, ds);
INSERT INTO lake.native VALUES (1, 0.5, 3, '2026-01-02'), (2, NULL, 3, '2026-01-02'), (3, 1.5, 4, '2026-01-02');
CREATE VIEW lake.seen AS SELECT userId, score, ds FROM lake.native;
CREATE TABLE lake.words (word string) PARTITIONED BY (ds string) STORED AS TEXTFILE;
INSERT INTO lake.words PARTITION (ds = '2026-01-02') VALUES ('one'), ('two');
ALTER TABLE lake.words ADD PARTITION (ds = '2026-01-03');
SET spark.sql.parquet.datetimeRebaseModeInWrite=LEGACY;
CREATE TABLE lake.legacy STORED AS PARQUET AS SELECT 1 AS a, DATE'1500-01-01' AS day;
CREATE TABLE lake.plain (a int) STORED AS PARQUET;
INSERT INTO lake.plain VALUES (1), (2);
ALTER TABLE lake.kinds ADD PARTITION (ds = '2026-01-05', hr = 0);
";

const ASK: &str = "
SELECT concat('@json ', to_json(struct(*), map('ignoreNullFields', 'false'))) FROM lake.kinds WHERE ds = '2026-01-02';
SELECT concat('@text ', concat_ws('|', array(
  coalesce(CAST(real8 AS STRING), 'NULL'), coalesce(CAST(huge AS STRING), 'NULL'), coalesce(CAST(day AS STRING), 'NULL'),
  coalesce(CAST(at AS STRING), 'NULL'), coalesce(CAST(hr AS STRING), 'NULL')))) FROM lake.kinds WHERE ds = '2026-01-02';
SELECT concat('@native ', to_json(struct(*), map('ignoreNullFields', 'false'))) FROM lake.native;
";

fn show(workspace: &Workspace, args: &[&str]) -> Screen {
    workspace.run(&[&["show"], args].concat())
}

/// The lines after a mark, sorted: Spark's order is its own.
fn marked<'a>(printed: &'a str, mark: &str) -> Vec<&'a str> {
    let lines = printed.lines();
    let mut found: Vec<&str> = lines.filter_map(|line| line.strip_prefix(mark)).collect();
    found.sort_unstable();
    found
}

/// Rows as names and values, in one order.
fn rows<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<BTreeMap<String, Value>> {
    let mut rows: Vec<BTreeMap<String, Value>> = texts
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

fn lines_of_json(screen: &Screen) -> Vec<&str> {
    let lines = screen.stdout.lines();
    let lines = lines.map(|line| line.trim_end_matches(','));
    lines.filter(|line| line.starts_with('{')).collect()
}

#[test]
fn rows_are_shown_as_spark_shows_them() {
    let workspace = Workspace::example("stays");
    let warehouse = Warehouse::of(&workspace);
    let printed = warehouse.printed(&format!("{CREATE}{ASK}"));
    every_type(&workspace, &printed);
    forms(&workspace);
    days_and_names(&workspace);
    damaged(&workspace);
    with_spark(&workspace);
}

/// Read without Spark, whatever the codec and layout: the same as `to_json`, values and names.
fn every_type(workspace: &Workspace, printed: &str) {
    let shown = show(
        workspace,
        &["lake.kinds@2026-01-02", "--limit", "0", "--output", "json"],
    );
    let shown = shown.expect(0);
    assert!(!shown.stderr.contains("Spark"), "{}", shown.stderr);
    let expected = rows(marked(printed, "@json ").into_iter());
    assert_eq!(expected.len(), 20);
    assert_eq!(rows(lines_of_json(&shown).into_iter()), expected);
    let first = lines_of_json(&shown)[0].to_owned();
    let names = marked(printed, "@json ");
    let order = |text: &str| {
        let row: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
        row.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(order(&first), order(names[0]));

    let columns = "real8,huge,day,at,hr";
    let args = [
        "lake.kinds@2026-01-02",
        "--limit",
        "0",
        "--output",
        "csv",
        "--columns",
        columns,
    ];
    let shown = show(workspace, &args).expect(0).stdout;
    let null = |field: &str| if field.is_empty() { "NULL" } else { field }.to_owned();
    let mut texts: Vec<String> = shown
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(null).collect::<Vec<_>>().join("|"))
        .collect();
    texts.sort();
    assert_eq!(texts, marked(printed, "@text "));

    let shown = show(workspace, &["lake.native", "--output", "json"]).expect(0);
    let expected = rows(marked(printed, "@native ").into_iter());
    assert_eq!(rows(lines_of_json(&shown).into_iter()), expected);
}

fn forms(workspace: &Workspace) {
    let columns = "number,name,huge,short,later";
    let args = ["lake.kinds@2026-01-04", "--columns", columns];
    assert_snapshot!("shown_as_a_table", show(workspace, &args).expect(0).text());
    let mut narrow = workspace.command(&[&["show"], &args[..]].concat());
    let narrow = narrow.env("COLUMNS", "60").output().unwrap();
    let narrow = Screen::new(narrow, workspace.root()).expect(0);
    assert_snapshot!("shown_narrow", narrow.stdout);
    let profile = [
        "lake.kinds@2026-01-02",
        "--profile",
        "--columns",
        "flag,big,real8,money,name,day,at,tags,later",
    ];
    assert_snapshot!("profile", show(workspace, &profile).expect(0).text());
    let parquet = workspace.command(&["show", "lake.kinds", "--output", "parquet"]);
    let parquet = { parquet }.output().unwrap().stdout;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
}

fn days_and_names(workspace: &Workspace) {
    let text = |args: &[&str], code: i32| {
        let screen = show(workspace, args).expect(code);
        format!("$ show {}\n{}", args.join(" "), screen.text())
    };
    let all = [
        // The newest day is filled and has no rows.
        text(&["lake.kinds", "--columns", "ds,big"], 0),
        text(&["lake.plain"], 0),
        // Written in the calendar of before 1582, which is left to Spark.
        text(&["lake.legacy", "--columns", "a"], 0),
        text(&["lake.legacy"], 2),
        text(&["lake.kinds@2026-01-03"], 3),
        text(&["lake.plain@2026-01-03"], 2),
        text(&["lake.kinds", "--columns", "bigg"], 2),
        text(&["lake.kindz"], 2),
        text(&["lake.searchs"], 2),
        text(&["stays.sesions.v1"], 2),
        text(&["stays.sessions.v1"], 3),
        text(&["lake.searches"], 3),
        text(&["lake.kinds", "--where", "big = 1) OR (1 = 1"], 2),
    ];
    let mut settings = insta::Settings::clone_current();
    settings.add_filter("part-0[0-9a-f-]+", "part-[ID]");
    settings.bind(|| assert_snapshot!("days_and_names", all.join("\n")));
}

/// The only data file below a folder.
fn data_file(folder: &Path) -> std::path::PathBuf {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_data = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("part-")
    };
    let mut files = files.filter(is_data);
    files.next().unwrap()
}

fn damaged(workspace: &Workspace) {
    let folder = workspace.path(".chronon-run/warehouse/lake.db/kinds/ds=2026-01-04/hr=0");
    let file = data_file(&folder);
    let args = ["lake.kinds@2026-01-04", "--columns", "big"];
    fs::create_dir(folder.join("_temporary")).unwrap();
    fs::write(folder.join("part-9.parquet"), "").unwrap();
    let screen = show(workspace, &args).expect(0);
    assert!(
        screen
            .stderr
            .contains("_temporary is of a job that has not finished")
    );
    assert!(
        screen
            .stderr
            .contains("part-9.parquet is empty and holds no rows")
    );
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let screen = show(workspace, &args).expect(2);
    assert!(
        screen.stderr.contains("is not a complete Parquet file"),
        "{}",
        screen.text()
    );
    assert_eq!(screen.stdout, "");
    fs::write(&file, whole).unwrap();
}

fn with_spark(workspace: &Workspace) {
    let screen = show(workspace, &["lake.seen"]).expect(0);
    assert!(
        screen
            .stderr
            .contains("lake.seen is stored as a view, so Spark reads it")
    );
    let mut lines: Vec<&str> = screen.stdout.lines().collect();
    lines[1..].sort_unstable();
    assert_snapshot!("shown_view", lines.join("\n"));
    let shown = show(workspace, &["lake.legacy", "--where", "true"])
        .expect(0)
        .stdout;
    assert!(shown.contains("1500-01-01"), "{shown}");
    let screen = show(
        workspace,
        &["lake.words@2026-01-02", "--where", "word > 'p'"],
    )
    .expect(0);
    assert_snapshot!("shown_with_where", screen.text());
    let query = |args: &[&str]| workspace.run(&[&["query"], args].concat());
    let statement =
        "SELECT ds, hr, count(*), max(at) FROM lake.kinds GROUP BY ds, hr ORDER BY ds, hr";
    assert_snapshot!(
        "queried",
        query(&[statement, "--limit", "3"]).expect(0).text()
    );
    assert_snapshot!(
        "described",
        query(&["DESCRIBE lake.native"]).expect(0).text()
    );
    let wrong = query(&["SELECT userid, scor FROM lake.native"]).expect(2);
    assert_snapshot!("query_with_a_mistake", wrong.text());
    let refused = query(&["DROP TABLE lake.native"]).expect(2);
    assert_snapshot!("query_that_changes", refused.text());
    let left = fs::read_dir(workspace.path(".chronon-run/queries")).unwrap();
    assert_eq!(left.count(), 0);
}
