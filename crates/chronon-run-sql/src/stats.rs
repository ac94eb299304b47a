//! Statistics of a join's table, or of its log (§8.4): per hour and column how many values are
//! NULL, and how numbers are spread.
//!
//! The table is that of the Driver, which keeps a sketch of each number column. Here percentiles
//! are exact. Where the Driver has the bytes of a sketch, or Avro, this table has UTF-8 JSON.

use std::collections::BTreeMap;

use chronon_run_conf::Join;
use chronon_run_core::{AssetKind, TableInfo, TableName};
use serde::Deserialize;

use super::{
    Refusal, Request, Types,
    consistency::{BUCKET, day_of, left_keys, percentiles},
    output::Output,
    script::Script,
    text::{ident, list, text},
};

/// Columns without statistics.
const IGNORED: [&str; 5] = ["ts", "ds", "date_key", "date", "datestamp"];
/// The percentiles that are kept, as the Driver writes them.
const PERCENTS: [&str; 21] = [
    "0.01", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.35", "0.4", "0.45", "0.5", "0.55",
    "0.6", "0.65", "0.7", "0.75", "0.8", "0.85", "0.9", "0.95", "0.99",
];
/// How far a row's time may be from its partition to be counted in a later step again.
const AROUND: i32 = 30;

/// The script of `stats-summary` or `log-summary`.
pub(super) fn compile(
    request: &Request<'_>,
    conf: &Join,
    script: &mut Script<'_>,
) -> Result<(), Refusal> {
    let output = request.output_table(&conf.meta_data)?;
    let (input, first) = match request.mode {
        AssetKind::LogSummary => (output.suffixed("_logged"), "flatten the log first"),
        _ => (output, "run the join first"),
    };
    let state = request.tables.table(&input).ok_or_else(|| {
        let why = format!("{input} does not exist yet; {first}");
        request.refuse("metaData.outputNamespace", why)
    })?;
    let summary = Summary::new(request, conf, input, &state.info);
    summary.rows(script);
    summary.metrics(script);
    summary.write(script);
    summary.write_upload(script);
    Ok(())
}

/// A column with statistics.
struct Column {
    name: String,
    is_number: bool,
}

impl Column {
    fn nulls(&self) -> String {
        format!("{}__null_sum", self.name)
    }

    fn sketch(&self) -> String {
        format!("{}_approx_percentile", self.name)
    }

    fn finalized(&self) -> String {
        format!("{}_finalized", self.sketch())
    }
}

/// What is summarized.
struct Summary<'a> {
    request: &'a Request<'a>,
    conf: &'a Join,
    input: TableName,
    columns: Vec<Column>,
    /// Whether rows have a time of their own; else it is the beginning of their day.
    timed: bool,
}

impl<'a> Summary<'a> {
    fn new(request: &'a Request<'a>, conf: &'a Join, input: TableName, info: &TableInfo) -> Self {
        let keys = left_keys(conf);
        let written = written_names(info);
        let all = info.columns.iter().chain(&info.partition_columns);
        let named = all.map(|column| {
            let name = written.get(&column.name.to_ascii_lowercase());
            (name.unwrap_or(&column.name).clone(), &column.data_type)
        });
        let summarized = named
            .clone()
            .filter(|(name, _)| !keys.contains(name) && !IGNORED.contains(&name.as_str()));
        let mut columns: Vec<Column> = summarized
            .map(|(name, data_type)| Column {
                name,
                is_number: is_number(data_type),
            })
            .collect();
        columns.sort_by(|one, other| one.name.cmp(&other.name));
        let timed = named.into_iter().any(|(name, _)| name == "ts");
        Self {
            request,
            conf,
            input,
            columns,
            timed,
        }
    }

    fn table(&self) -> TableName {
        self.input.suffixed("_daily_stats")
    }

    fn numbers(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is_number)
    }

    /// The hour of a row in milliseconds.
    fn bucket(&self) -> String {
        let ds = ident(self.request.partition_column);
        match self.timed {
            true => format!("ts DIV {BUCKET} * {BUCKET}"),
            false => format!("UNIX_DATE(CAST({ds} AS DATE)) * 86400000L"),
        }
    }

    /// The rows of a range of partitions, with their hour and its day.
    fn scan(&self, columns: &str, around: i32) -> String {
        let ds = ident(self.request.partition_column);
        let range = self.request.range;
        let (first, last) = (range.start.plus(-around), range.end.plus(around));
        let bucket = self.bucket();
        format!(
            "SELECT {columns}, CAST({bucket} AS BIGINT) AS __bucket, {} AS __day\nFROM {}\nWHERE {ds} BETWEEN '{first}' AND '{last}'",
            day_of(&format!("({bucket})")),
            self.input,
        )
    }

    /// Declares the rows of all days that the step's rows belong to. Rows of one day may be in several
    /// partitions, and a day is written as a whole.
    /// Days after the step are left to their own steps: with a partition they would count as done.
    fn rows(&self, script: &mut Script<'_>) {
        let names: Vec<&String> = self.columns.iter().map(|column| &column.name).collect();
        let columns = match names.is_empty() {
            true => "1 AS __one".to_owned(),
            false => list(&names),
        };
        let range = self.request.range;
        if !self.timed {
            let rows = self.scan(&columns, 0);
            script.query("summarized", "the rows of the step", &rows);
            return;
        }
        script.query(
            "summarized_days",
            "the days that the times of the step's rows are on",
            &format!(
                "SELECT DISTINCT __day AS __touched\nFROM (\n{}\n)",
                self.scan("ts", 0)
            ),
        );
        script.query(
            "summarized",
            "all rows of these days",
            &format!(
                "SELECT *\nFROM (\n{}\n)\nWHERE __day <= '{}'\n  AND (__day >= '{}' OR __day IN (SELECT __touched FROM summarized_days))",
                self.scan(&columns, AROUND),
                range.end,
                range.start
            ),
        );
    }

    /// Declares the metrics per hour.
    fn metrics(&self, script: &mut Script<'_>) {
        let counts = self.columns.iter().flat_map(|column| {
            let name = ident(&column.name);
            let nulls = format!(
                "SUM(IF({name} IS NULL, 1L, 0L)) AS {}",
                ident(&column.nulls())
            );
            let values = format!("{} AS {}", percentiles(&name), ident(&column.sketch()));
            std::iter::once(nulls).chain(column.is_number.then_some(values))
        });
        let counts: Vec<String> = counts
            .chain(["COUNT(1) AS total_count".to_owned()])
            .collect();
        script.query(
            "counted",
            "NULLs and sorted numbers per hour",
            &format!(
                "SELECT __bucket, __day,\n  {}\nFROM summarized\nGROUP BY __bucket, __day",
                counts.join(",\n  ")
            ),
        );
        let maps = self.numbers().map(|column| {
            let values = ident(&column.sketch());
            format!(
                ",\n    {} AS {}",
                chosen(&values),
                ident(&column.finalized())
            )
        });
        script.query(
            "spread",
            "percentiles of the sorted numbers",
            &format!("SELECT *{}\nFROM counted", maps.collect::<String>()),
        );
        script.query("stats", "statistics per hour", &self.statistics());
    }

    /// One row per hour, as the table has it.
    fn statistics(&self) -> String {
        let path = self.conf.meta_data.name.replacen('.', "/", 1);
        let mut lines = vec![format!("{} AS JoinPath", text(&path))];
        for column in &self.columns {
            lines.push(ident(&column.nulls()));
            if column.is_number {
                let json = format!("CAST(TO_JSON({}) AS BINARY)", ident(&column.finalized()));
                lines.push(format!("{json} AS {}", ident(&column.sketch())));
            }
        }
        lines.extend(["total_count".to_owned(), "__bucket AS ts".to_owned()]);
        lines.extend(self.numbers().map(|column| ident(&column.finalized())));
        lines.push(format!("__day AS {}", ident(self.request.partition_column)));
        format!("SELECT {}\nFROM spread", lines.join(",\n  "))
    }

    /// Names and types of the metrics, in order.
    fn metric_columns(&self) -> Vec<(String, &'static str)> {
        let metrics = self.columns.iter().flat_map(|column| {
            let sketch = column.is_number.then(|| (column.sketch(), "binary"));
            std::iter::once((column.nulls(), "bigint")).chain(sketch)
        });
        metrics
            .chain([("total_count".to_owned(), "bigint")])
            .collect()
    }

    fn output(
        &self,
        table: TableName,
        kind: &'static str,
        columns: Vec<(String, &'static str)>,
    ) -> Output<'a> {
        let ds = self.request.partition_column.to_owned();
        let types = columns.iter();
        let types: Types = types
            .map(|(name, data_type)| (name.clone(), (*data_type).to_owned()))
            .collect();
        let names = columns.into_iter().map(|(name, _)| name);
        Output {
            table,
            kind: Some(kind),
            meta: &self.conf.meta_data,
            columns: Some(names.chain([ds.clone()]).collect()),
            types,
            likely: Types::new(),
            partitioned_by: vec![ds],
        }
    }

    fn write(&self, script: &mut Script<'_>) {
        let mut columns = vec![("JoinPath".to_owned(), "string")];
        columns.extend(self.metric_columns());
        columns.push(("ts".to_owned(), "bigint"));
        let numbers = self.numbers();
        columns.extend(numbers.map(|column| (column.finalized(), "map<string,string>")));
        let output = self.output(self.table(), "daily_stats", columns);
        script.create(&output, "stats");
        script.overwrite(&output, "stats", Some(self.request.range));
    }

    /// Writes the statistics as JSON. The Driver adds two rows with their Avro schemas, in the partition
    /// of the day on which it runs; JSON needs none.
    fn write_upload(&self, script: &mut Script<'_>) {
        let shown = self.columns.iter().flat_map(|column| {
            let sketch = || {
                format!(
                    "{} AS {}",
                    ident(&column.finalized()),
                    ident(&column.sketch())
                )
            };
            std::iter::once(ident(&column.nulls())).chain(column.is_number.then(sketch))
        });
        let shown: Vec<String> = shown.chain(["total_count".to_owned()]).collect();
        let ds = ident(self.request.partition_column);
        let path = self.conf.meta_data.name.replacen('.', "/", 1);
        script.query(
            "stats_upload",
            "the statistics as a KV store would get them",
            &format!(
                "SELECT CAST(key_json AS BINARY) AS key_bytes, CAST(value_json AS BINARY) AS value_bytes, key_json, value_json, ts, {ds}\nFROM (\n  SELECT TO_JSON(NAMED_STRUCT('JoinPath', {})) AS key_json,\n    TO_JSON(STRUCT({}), MAP('ignoreNullFields', 'false')) AS value_json,\n    __bucket AS ts, __day AS {ds}\n  FROM spread\n)",
                text(&path),
                shown.join(", "),
            ),
        );
        let columns = [
            ("key_bytes", "binary"),
            ("value_bytes", "binary"),
            ("key_json", "string"),
            ("value_json", "string"),
            ("ts", "bigint"),
        ];
        let columns = columns.map(|(name, data_type)| (name.to_owned(), data_type));
        let table = self.table().suffixed("_upload");
        let output = self.output(table, "daily_stats_upload", columns.into());
        script.create(&output, "stats_upload");
        script.overwrite(&output, "stats_upload", Some(self.request.range));
    }
}

/// The percentiles of a sorted list, by name; NULL if it is empty. As the Driver's sketch while it holds
/// all values: the element at floor(p·n).
fn chosen(values: &str) -> String {
    let percents: Vec<String> = PERCENTS.map(|percent| format!("{percent}D")).into();
    let entry = format!(
        "STRUCT(CAST(p AS STRING), CAST({values}[CAST(FLOOR(p * SIZE({values})) AS INT)] AS STRING))"
    );
    format!(
        "IF(SIZE({values}) > 0, MAP_FROM_ENTRIES(TRANSFORM(ARRAY({}), p -> {entry})), NULL)",
        percents.join(", ")
    )
}

/// Tinyint is none, as in the Driver's statistics; nor are decimals.
fn is_number(data_type: &str) -> bool {
    ["smallint", "int", "bigint", "float", "double"].contains(&data_type)
}

/// The names of a table's columns as Spark wrote them, by their names in the catalog, which knows no
/// capitals.
fn written_names(info: &TableInfo) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Schema {
        fields: Vec<Field>,
    }
    #[derive(Deserialize)]
    struct Field {
        name: String,
    }
    const WRITTEN: &str = "spark.sql.sources.schema";
    let properties = &info.properties;
    let parts = properties.get(&format!("{WRITTEN}.numParts"));
    let parts: usize = parts
        .and_then(|count| count.parse().ok())
        .unwrap_or_default();
    let part = |index| properties.get(&format!("{WRITTEN}.part.{index}")).cloned();
    let long: Option<String> = (0..parts).map(part).collect();
    let schema = properties.get(WRITTEN).cloned().or(long);
    let schema = schema.and_then(|text| serde_json::from_str::<Schema>(&text).ok());
    let fields = schema.into_iter().flat_map(|schema| schema.fields);
    fields
        .map(|field| (field.name.to_ascii_lowercase(), field.name))
        .collect()
}
