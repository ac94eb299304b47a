//! Uploads: what a KV store needs of a GroupBy at the end of a day, `O_upload` (§3, §8.1).
//!
//! End-of-day GroupBys upload their finished values. Point-in-time GroupBys upload partial
//! results that a fetcher completes with the events since: `collapsedIr`, merged over all rows
//! that stay inside a window for two days more, and `tailHopIrs`, the rest of the window merged
//! per hop of a day, an hour and five minutes.
//!
//! The engine's bytes are Avro. Here they are the UTF-8 bytes of the JSON, which holds the same
//! decoded content and which no fetcher reads. Sketches have no content that could be told, so
//! APPROX_UNIQUE_COUNT holds the distinct values, APPROX_PERCENTILE the sorted ones and
//! APPROX_HISTOGRAM_K all counts.

mod bounded;
mod encoding;
mod form;
mod partial;

use self::encoding::{PREFIX, item_type, json, key_json};
use chronon_run_conf::{Accuracy, GroupBy, Operation};
use chronon_run_core::{CatalogSnapshot, Ds, PartitionRange};

use super::{
    Refusal, Request, Types,
    aggregate::{Feature, Split, features},
    group_by, incremental,
    output::Output,
    script::Script,
    source::Span,
    text::{ident, text},
    types::{Shape, input_shape},
    usage::{Target, Use},
};

/// Fields that an upload cannot do, as `(field, why)`; the GroupBy's own fields are checked by
/// the caller.
pub(super) fn check(conf: &GroupBy) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    if conf.is_incremental == Some(true) {
        problems.extend(incremental::check(conf));
    }
    if conf.key_columns.is_empty() {
        let why = "an upload needs a key".to_owned();
        problems.push(("keyColumns".to_owned(), why));
    }
    problems
}

/// The script of an upload for the last day of the request.
pub(super) fn compile(
    request: &Request<'_>,
    conf: &GroupBy,
    script: &mut Script<'_>,
) -> Result<(), Refusal> {
    let table = request.output_table(&conf.meta_data)?.suffixed("_upload");
    group_by::setups(conf, script);
    // A fetcher derives from what is uploaded, so derivations are left out.
    let base = GroupBy {
        derivations: None,
        ..conf.clone()
    };
    let day = request.range.end;
    let view = match conf.accuracy() {
        Accuracy::Snapshot => finished(request, &base, day, script)?,
        Accuracy::Temporal => partial::declare(&base, day, script)
            .map_err(|(field, why)| request.refuse(field, why))?,
    };
    let columns = ["key_bytes", "value_bytes", "key_json", "value_json", "ds"];
    let serving_info = serving_info(&base, day, script.tables());
    script.query(
        "upload_rows_and_info",
        "the rows, and what a fetcher has to know of them",
        &format!(
            "SELECT CAST(key_json AS BINARY) AS key_bytes, CAST(value_json AS BINARY) AS value_bytes, key_json, value_json, {} AS ds\nFROM (\n  SELECT key_json, value_json FROM {view}\n  UNION ALL\n  SELECT 'group_by_serving_info' AS key_json, {} AS value_json\n)",
            text(&day.to_string()),
            text(&serving_info),
        ),
    );
    let output = Output {
        table,
        kind: Some("upload"),
        meta: &conf.meta_data,
        columns: Some(columns.map(str::to_owned).to_vec()),
        types: Types::new(),
        likely: Types::new(),
        partitioned_by: Vec::new(),
    };
    script.create(&output, "upload_rows_and_info");
    script.overwrite(&output, "upload_rows_and_info", None);
    Ok(())
}

/// The JSON of the row that belongs to no key.
fn serving_info(conf: &GroupBy, day: Ds, tables: &CatalogSnapshot) -> String {
    let fields: Vec<serde_json::Value> = conf
        .key_columns
        .iter()
        .map(|key| {
            let data_type = match input_shape(conf, key, tables) {
                Shape::Scalar(Some(data_type)) => avro(&data_type),
                _ => "string",
            };
            serde_json::json!({"name": key, "type": ["null", data_type], "doc": ""})
        })
        .collect();
    let key = serde_json::json!({
        "type": "record", "name": "Key", "namespace": "ai.chronon.data", "doc": "", "fields": fields,
    });
    serde_json::json!({
        "batchEndDate": day.plus(1).to_string(),
        "keyAvroSchema": key.to_string(),
    })
    .to_string()
}

/// Avro's name of a Hive type.
fn avro(data_type: &str) -> &'static str {
    match data_type {
        "tinyint" | "smallint" | "int" | "date" => "int",
        "bigint" | "timestamp" => "long",
        "float" => "float",
        "double" => "double",
        "boolean" => "boolean",
        "binary" => "bytes",
        _ => "string",
    }
}

/// Values at the end of the day.
fn finished(
    request: &Request<'_>,
    conf: &GroupBy,
    day: Ds,
    script: &mut Script<'_>,
) -> Result<&'static str, Refusal> {
    let range = PartitionRange {
        start: day,
        end: day,
    };
    let values = if conf.is_incremental == Some(true) {
        incremental::values(&Request { range, ..*request }, conf, script)?
    } else {
        let usage = Use {
            conf,
            prefix: PREFIX.to_owned(),
            span: Span::Days(range),
            target: Target::DayEnds,
            left_keys: Vec::new(),
            left: None,
            skew: None,
        };
        group_by::values(&usage, script).map_err(|(field, why)| request.refuse(field, why))?
    };
    let tables = script.tables();
    let features = features(conf, &|input| input_shape(conf, input, tables));
    let pairs: Vec<(String, String)> = values
        .values
        .iter()
        .map(|name| {
            let column = ident(name);
            let wide = match features.iter().find(|feature| feature.name == *name) {
                Some(feature) => {
                    let input = item_type(input_shape(conf, &feature.partial.input, tables));
                    let is_float = input.as_deref() == Some("float");
                    widened_feature(feature, is_float, &column)
                }
                None => widened(&input_shape(conf, name, tables), &column),
            };
            (name.clone(), wide)
        })
        .collect();
    script.query(
        "upload_json",
        "keys and values as JSON",
        &format!(
            "SELECT {} AS key_json,\n  {} AS value_json\nFROM {}",
            key_json(conf),
            json(&pairs),
            ident(&values.view)
        ),
    );
    Ok("upload_json")
}

/// A short float is written as the double that it widens to.
fn widened(shape: &Shape, value: &str) -> String {
    let is_float = |item: &Option<String>| item.as_deref() == Some("float");
    match shape {
        Shape::Scalar(item) if is_float(item) => format!("CAST({value} AS DOUBLE)"),
        Shape::List(item) if is_float(item) => format!("CAST({value} AS ARRAY<DOUBLE>)"),
        Shape::Map(item) if is_float(item) => format!("CAST({value} AS MAP<STRING, DOUBLE>)"),
        _ => value.to_owned(),
    }
}

/// [`widened`] for a finished feature.
fn widened_feature(feature: &Feature, is_float: bool, value: &str) -> String {
    use Operation::{ApproxPercentile, BottomK, First, FirstK, Last, LastK, Max, Min, TopK};
    let inner = match feature.partial.operation {
        ApproxPercentile => "ARRAY<DOUBLE>",
        Min | Max | First | Last if is_float => "DOUBLE",
        FirstK | LastK | TopK | BottomK if is_float => "ARRAY<DOUBLE>",
        _ => return value.to_owned(),
    };
    match (&feature.split, feature.split.has_pieces()) {
        (Split::Positions(_), _) => format!("CAST({value} AS ARRAY<{inner}>)"),
        (_, true) => format!("CAST({value} AS MAP<STRING, {inner}>)"),
        _ => format!("CAST({value} AS {inner})"),
    }
}
