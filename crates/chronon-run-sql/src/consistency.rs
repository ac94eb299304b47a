//! Online/offline consistency: logged features against those that the join computes for the
//! same requests (§8.3).
//!
//! The comparison is the join itself with the log as its left (`O_comparison…`). Its rows and
//! the logged ones are joined, and what differs is counted per feature and hour of the request:
//! `O_consistency`. `left` is what was computed, `right` what was logged. `O_consistency_upload`
//! holds the same as JSON and its UTF-8 bytes; the engine's bytes are Avro. In the end the script
//! prints per day and feature what a reader wants to know of all this.

use chronon_run_conf::{EventSource, Join, Query, Source};
use chronon_run_core::{AssetKind, TableName, TableState, event};
use indexmap::IndexMap;
use serde::Deserialize;

use super::{
    Conf, DRIVER_TOO, Refusal, Request, Types, join,
    output::Output,
    script::Script,
    text::{ident, list, printed, text},
    types::Shape,
};

/// Length of a time bucket in milliseconds.
pub(super) const BUCKET: i64 = 3_600_000;
/// Percentiles are reported at this many equal steps, and at 0.
const STEPS: u32 = 41;
/// How the names of such metrics end.
const PERCENTILES: &str = "_approx_percentile";

/// Fields of a join that a consistency job cannot do, as `(field, why)`; the comparison join is
/// checked by the caller.
pub(super) fn check(conf: &Join, ds: &str) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut add = |field: &str, why: String| problems.push((field.to_owned(), why));
    if conf.has_model_transforms() {
        // It fills `O_comparison_pre_mt` and then looks for `O_comparison` (contract 8.3).
        add(
            "modelTransforms",
            format!("models have no comparison; {DRIVER_TOO}"),
        );
    }
    if conf.meta_data.consistency_sample_percent == Some(0.0) {
        let why = "it is 0, so nothing is compared".into();
        add("metaData.consistencySamplePercent", why);
    }
    let keys = keys(conf, ds);
    let known = left_keys(conf);
    let is_known =
        |key: &&String| known.contains(key) || key.as_str() == "ts" || key.as_str() == ds;
    for key in keys.iter().filter(|key| !is_known(key)) {
        let why = format!("`{key}` is not among the keys of the parts, which alone are compared");
        add("rowIds", format!("{why}; {DRIVER_TOO}"));
    }
    if !keys.iter().any(|key| key == "ts" || key == ds) {
        add(
            "rowIds",
            format!("they need a time: `ts` or `{ds}`; {DRIVER_TOO}"),
        );
    }
    problems
}

/// The left columns of all parts' keys.
pub(super) fn left_keys(conf: &Join) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for part in conf.offline_parts() {
        for (_, left) in part.left_columns() {
            if !keys.iter().any(|key| key == left) {
                keys.push(left.to_owned());
            }
        }
    }
    keys
}

/// The columns by which computed and logged rows are matched.
fn keys(conf: &Join, ds: &str) -> Vec<String> {
    match &conf.row_ids {
        Some(ids) => ids.clone(),
        None => {
            let time = ["ts".to_owned(), ds.to_owned()];
            let left = left_keys(conf).into_iter();
            let left = left.filter(|key| !time.contains(key));
            time.iter().cloned().chain(left).collect()
        }
    }
}

/// The join whose left is the log (§8.3).
///
/// # Errors
/// If the namespace is missing or is not a word.
pub(super) fn comparison(conf: &Join) -> Result<Join, chronon_run_core::TableNameError> {
    let logged = conf.meta_data.output_table()?.suffixed("_logged");
    let percent = conf.meta_data.consistency_sample_percent.unwrap_or(100.0);
    let selects: IndexMap<String, String> = left_keys(conf)
        .into_iter()
        .map(|key| (key.clone(), key))
        .collect();
    let query = Query {
        selects: Some(selects),
        time_column: Some("ts".to_owned()),
        start_partition: conf.left.query().start_partition.clone(),
        wheres: (percent < 100.0).then(|| vec![format!("RAND() <= {}", percent / 100.0)]),
        ..Query::default()
    };
    let mut comparison = conf.clone();
    comparison.left = Source::Events(EventSource {
        table: logged.to_string(),
        topic: None,
        query,
        is_cumulative: None,
    });
    comparison.meta_data.name = format!("{}_comparison", conf.meta_data.name);
    comparison
        .meta_data
        .table_properties
        .get_or_insert_default()
        .insert("chronon_ooc_table".to_owned(), "true".to_owned());
    Ok(comparison)
}

/// The script of a consistency job.
pub(super) fn compile(
    request: &Request<'_>,
    conf: &Join,
    script: &mut Script<'_>,
) -> Result<(), Refusal> {
    let output = request.output_table(&conf.meta_data)?;
    let logged = output.suffixed("_logged");
    let comparison =
        comparison(conf).map_err(|error| request.refuse("metaData.outputNamespace", error))?;
    let computed = request.output_table(&comparison.meta_data)?;
    let state = request.tables.table(&logged).ok_or_else(|| {
        request.refuse(
            "left",
            format!("{logged} does not exist; flatten the log first"),
        )
    })?;
    let mode = AssetKind::Backfill;
    let compute = Request {
        conf: Conf::Join(&comparison),
        mode: &mode,
        ..*request
    };
    join::compile(&compute, &comparison, script)?;
    let columns = script.planned(&computed).unwrap_or_default().to_vec();
    let compared = Comparison::new(request, conf, &columns, state, &logged)?;
    compared.rows(&computed, &logged, script);
    compared.metrics(script);
    compared.write(&output, script);
    script.heading("what was found");
    script.statement(&compared.findings(&computed, &logged));
    Ok(())
}

/// The script that tells what a consistency job of either engine has found, from the tables that it
/// wrote ([`parse_findings`]). `None` if they are not there.
///
/// # Errors
/// If the log lacks a column that the join computes.
pub fn findings(request: &Request<'_>) -> Result<Option<String>, Refusal> {
    let Conf::Join(conf) = request.conf else {
        return Ok(None);
    };
    let logged = request.output_table(&conf.meta_data)?.suffixed("_logged");
    let comparison =
        comparison(conf).map_err(|error| request.refuse("metaData.outputNamespace", error))?;
    let computed = request.output_table(&comparison.meta_data)?;
    let (Some(log), Some(join)) = (
        request.tables.table(&logged),
        request.tables.table(&computed),
    ) else {
        return Ok(None);
    };
    let columns = join.info.columns.iter().chain(&join.info.partition_columns);
    let columns: Vec<String> = columns.map(|column| column.name.clone()).collect();
    let compared = Comparison::new(request, conf, &columns, log, &logged)?;
    Ok(Some(format!(
        "{};\n",
        compared.findings(&computed, &logged)
    )))
}

/// What every finding begins with.
const FINDING: &str = "chronon-run-compared";

/// A finding, as the script prints it.
#[derive(Deserialize)]
struct Printed {
    #[serde(flatten)]
    found: event::Compared,
    /// Text, because JSON knows no infinity.
    distance: Option<String>,
}

/// What the script of a consistency job printed, or that of [`findings`]: by day, then in the order
/// of the columns.
#[must_use]
pub fn parse_findings(log: &str) -> Vec<event::Compared> {
    let mut found: Vec<event::Compared> = printed(log, FINDING)
        .map(|printed: Printed| event::Compared {
            worst: printed.distance.and_then(|text| text.parse().ok()),
            ..printed.found
        })
        .collect();
    found.sort_by_key(|found| found.ds);
    found
}

/// What a logged column looks like; `None` if there is none of this name.
fn shape(logged: &TableState, name: &str) -> Option<Shape> {
    let info = &logged.info;
    let mut columns = info.columns.iter().chain(&info.partition_columns);
    let column = columns.find(|column| column.name.eq_ignore_ascii_case(name))?;
    Some(Shape::of_type(&column.data_type))
}

/// A column that is compared.
struct Compared {
    name: String,
    shape: Shape,
}

impl Compared {
    fn left(&self) -> String {
        ident(&format!("{}_left", self.name))
    }

    fn right(&self) -> String {
        ident(&format!("{}_right", self.name))
    }

    /// The number of elements that both sides have.
    fn kept(&self) -> String {
        ident(&format!("{}_kept", self.name))
    }

    fn is_number(&self) -> bool {
        let numbers = ["tinyint", "smallint", "int", "bigint", "float", "double"];
        matches!(&self.shape, Shape::Scalar(Some(data_type)) if numbers.contains(&data_type.as_str()))
    }

    fn is_floating(&self) -> bool {
        matches!(&self.shape, Shape::Scalar(Some(data_type)) if ["float", "double"].contains(&data_type.as_str()))
    }

    /// How far apart two numbers are. The last bits of floating point depend on the order in which
    /// rows were added up, which is not the log's; they are no difference.
    fn gap(&self) -> String {
        let (l, r) = (self.left(), self.right());
        if self.is_floating() {
            format!(
                "IF({l} = {r} OR ABS({l} - {r}) <= 1e-9D * GREATEST(ABS({l}), ABS({r})), 0D, {l} - {r})"
            )
        } else {
            format!("{l} - {r}")
        }
    }

    /// Whether two values are not the same; NULL if one of them is.
    fn differ(&self) -> String {
        let (l, r) = (self.left(), self.right());
        // Maps cannot be compared as such; their entries can, in the order of their keys.
        match self.shape {
            Shape::Map(_) => {
                format!("ARRAY_SORT(MAP_ENTRIES({l})) <> ARRAY_SORT(MAP_ENTRIES({r}))")
            }
            _ if self.is_floating() => format!("{} <> 0", self.gap()),
            _ => format!("{l} <> {r}"),
        }
    }

    /// What is printed about it for one day ([`Printed`]).
    fn finding(&self) -> String {
        let (l, r, differ) = (self.left(), self.right(), self.differ());
        let count = |condition: &str| format!("SUM(IF({condition}, 1L, 0L))");
        let same = format!("({l} IS NULL AND {r} IS NULL) OR NOT ({differ})");
        let distance = match self.is_number() {
            true => format!("CAST(MAX(ABS({})) AS STRING)", self.gap()),
            false => "CAST(NULL AS STRING)".to_owned(),
        };
        format!(
            "NAMED_STRUCT('ds', __day, 'column', {}, 'compared', COUNT(1), 'equal', {}, 'different', {}, 'null_computed', {}, 'null_logged', {}, 'distance', {distance})",
            text(&self.name),
            count(&same),
            count(&differ),
            count(&format!("{l} IS NULL AND {r} IS NOT NULL")),
            count(&format!("{l} IS NOT NULL AND {r} IS NULL")),
        )
    }

    /// `(metric, expression)` in the engine's order.
    fn metrics(&self) -> Vec<(String, String)> {
        let (l, r) = (self.left(), self.right());
        let count = |condition: String| format!("SUM(IF({condition}, 1L, 0L))");
        let mut metrics = vec![
            (
                "both_null_sum",
                count(format!("{l} IS NULL AND {r} IS NULL")),
            ),
            (
                "left_null_sum",
                count(format!("{l} IS NULL AND {r} IS NOT NULL")),
            ),
            (
                "right_null_sum",
                count(format!("{l} IS NOT NULL AND {r} IS NULL")),
            ),
        ];
        if self.is_number() {
            metrics.extend(number_metrics(&l, &r, &self.gap()));
        }
        if matches!(self.shape, Shape::List(_)) {
            metrics.extend(list_metrics(&l, &r, &self.kept()));
        }
        metrics.push(("mismatch_sum", count(self.differ())));
        metrics.push(("total_count", "COUNT(1)".to_owned()));
        let named = metrics.into_iter();
        named
            .map(|(metric, value)| (format!("{}_{metric}", self.name), value))
            .collect()
    }
}

/// How far numbers are apart: on average, and how the difference and both sides are spread.
fn number_metrics(l: &str, r: &str, gap: &str) -> [(&'static str, String); 4] {
    let sum = format!("(ABS({l}) + ABS({r}))");
    let smape = format!(
        "NANVL(AVG(CASE WHEN {sum} <> 0.0 THEN CAST(ABS({gap}) * 2 AS DOUBLE) / {sum} ELSE 0D END), NULL)"
    );
    [
        ("smape_average", smape),
        ("left_minus_right_approx_percentile", percentiles(gap)),
        ("left_approx_percentile", percentiles(l)),
        ("right_approx_percentile", percentiles(r)),
    ]
}

/// How many elements two lists have in common, in the same order.
fn kept(l: &str, r: &str) -> String {
    format!(
        "IF(SIZE({l}) <= 0 OR SIZE({r}) <= 0, 0, AGGREGATE({r}, TRANSFORM(SEQUENCE(0, SIZE({l})), i -> 0), (last, x) -> AGGREGATE(SEQUENCE(1, SIZE({l})), ARRAY(0), (row, j) -> CONCAT(row, ARRAY(IF({l}[j - 1] <=> x, last[j - 1] + 1, GREATEST(row[j - 1], last[j]))))), last -> last[SIZE({l})]))"
    )
}

/// How many elements would have to be added to or taken from the right to make it the left,
/// and how lengths are spread; a NULL list has the length -1.
fn list_metrics(l: &str, r: &str, kept: &str) -> [(&'static str, String); 5] {
    let missing = |list: &str| percentiles(&format!("GREATEST(SIZE({list}), 0) - {kept}"));
    [
        ("edit_distance_insert_approx_percentile", missing(l)),
        ("edit_distance_delete_approx_percentile", missing(r)),
        (
            "left_length_approx_percentile",
            percentiles(&format!("SIZE({l})")),
        ),
        (
            "right_length_approx_percentile",
            percentiles(&format!("SIZE({r})")),
        ),
        (
            "mismatch_length_sum",
            format!(
                "SUM(IF({l} IS NOT NULL AND {r} IS NOT NULL AND SIZE({l}) <> SIZE({r}), 1L, 0L))"
            ),
        ),
    ]
}

/// The sorted values, of which [`finish`] takes some.
pub(super) fn percentiles(value: &str) -> String {
    let number = format!("CAST({value} AS FLOAT)");
    format!("SORT_ARRAY(COLLECT_LIST(NANVL({number}, NULL)))")
}

/// A metric from what was aggregated. Percentiles are the values at equal steps of the sorted
/// list, exactly; the engine's sketch is close to them.
fn finish(name: &str) -> String {
    let c = ident(name);
    match name.ends_with(PERCENTILES) {
        false => c,
        true => format!(
            "IF(SIZE({c}) > 0, TRANSFORM(SEQUENCE(0, {STEPS}), i -> {c}[CAST(LEAST(i * SIZE({c}) DIV {STEPS}, SIZE({c}) - 1) AS INT)]), NULL) AS {c}"
        ),
    }
}

/// The day of a time in milliseconds, as text.
pub(super) fn day_of(time: &str) -> String {
    format!("CAST(DATE_FROM_UNIX_DATE(CAST(FLOOR({time} / 86400000) AS INT)) AS STRING)")
}

/// One comparison.
struct Comparison<'a> {
    request: &'a Request<'a>,
    conf: &'a Join,
    keys: Vec<String>,
    features: Vec<Compared>,
}

impl<'a> Comparison<'a> {
    /// Compares all `columns` of the computed join that are no keys.
    fn new(
        request: &'a Request<'a>,
        conf: &'a Join,
        columns: &[String],
        log: &TableState,
        logged: &TableName,
    ) -> Result<Self, Refusal> {
        let keys = keys(conf, request.partition_column);
        let mut features = Vec::new();
        for name in columns.iter().filter(|column| !keys.contains(column)) {
            let shape = shape(log, name).ok_or_else(|| {
                request.refuse("left", format!("{logged} has no column `{name}`"))
            })?;
            features.push(Compared {
                name: name.clone(),
                shape,
            });
        }
        Ok(Self {
            request,
            conf,
            keys,
            features,
        })
    }

    /// The keys and features of one of the two tables.
    fn side(&self, table: &TableName, suffix: &str) -> String {
        let mut lines: Vec<String> = self.keys.iter().map(|key| ident(key)).collect();
        lines.extend(self.features.iter().map(|feature| {
            let name = ident(&format!("{}_{suffix}", feature.name));
            format!("{} AS {name}", ident(&feature.name))
        }));
        let (ds, range) = (ident(self.request.partition_column), self.request.range);
        format!(
            "SELECT {} FROM {table} WHERE {ds} >= '{}' AND {ds} <= '{}'",
            lines.join(", "),
            range.start,
            range.end
        )
    }

    /// One line for each day and feature: how many requests that both tables have are equal. Requests
    /// that were not sampled are in the log only, and say nothing.
    fn findings(&self, computed: &TableName, logged: &TableName) -> String {
        let ds = self.request.partition_column;
        let day = match self.keys.iter().any(|key| key == ds) {
            true => ident(ds),
            false => day_of(&self.time(ds)),
        };
        let features: Vec<String> = self.features.iter().map(Compared::finding).collect();
        format!(
            "SELECT CONCAT('{FINDING} ', TO_JSON(found))\nFROM (\n  SELECT EXPLODE(found) AS found\n  FROM (\n    SELECT ARRAY(\n      {}\n    ) AS found\n    FROM (\n      SELECT *, {day} AS __day\n      FROM (\n        {}\n      )\n      JOIN (\n        {}\n      )\n      USING ({})\n    )\n    GROUP BY __day\n  )\n)",
            features.join(",\n      "),
            self.side(computed, "left"),
            self.side(logged, "right"),
            list(&self.keys)
        )
    }

    /// Declares the rows of both sides, joined.
    fn rows(&self, computed: &TableName, logged: &TableName, script: &mut Script<'_>) {
        let lists = self.features.iter();
        let kept: String = lists
            .filter(|feature| matches!(feature.shape, Shape::List(_)))
            .map(|list| {
                let kept = kept(&list.left(), &list.right());
                format!(",\n  {kept} AS {}", list.kept())
            })
            .collect();
        script.query(
            "compared",
            "computed and logged rows side by side; rows with a NULL key match nothing",
            &format!(
                "SELECT *{kept}\nFROM (\n  {}\n)\nFULL OUTER JOIN (\n  {}\n)\nUSING ({})",
                self.side(computed, "left"),
                self.side(logged, "right"),
                list(&self.keys)
            ),
        );
    }

    /// `SELECT`-able time of a compared row in milliseconds.
    fn time(&self, ds: &str) -> String {
        match self.keys.iter().any(|key| key == "ts") {
            true => "ts".to_owned(),
            false => format!("(UNIX_DATE(CAST({} AS DATE)) * 86400000L)", ident(ds)),
        }
    }

    fn metric_lines(&self) -> Vec<(String, String)> {
        self.features.iter().flat_map(Compared::metrics).collect()
    }

    /// Declares the metrics per bucket.
    fn metrics(&self, script: &mut Script<'_>) {
        let lines: Vec<String> = self
            .metric_lines()
            .iter()
            .map(|(name, value)| format!("{value} AS {}", ident(name)))
            .collect();
        // Fetchers know a join by its path: the team, a slash, the rest of the name.
        let path = self.conf.meta_data.name.replacen('.', "/", 1);
        let bucket = format!("(FLOOR({} / {BUCKET}) * {BUCKET}L)", self.time(script.ds));
        let metrics = match lines.is_empty() {
            true => String::new(),
            false => format!(",\n  {}", lines.join(",\n  ")),
        };
        let ds = ident(script.ds);
        script.query(
            "consistency",
            "metrics per feature and hour",
            &format!(
                "WITH metrics AS (\nSELECT {} AS JoinPath{metrics},\n  CAST({bucket} AS BIGINT) AS __bucket\nFROM compared\nGROUP BY {bucket}\n)\nSELECT JoinPath{},\n  __bucket AS ts,\n  CAST(DATE_FROM_UNIX_DATE(CAST(FLOOR(__bucket / 86400000) AS INT)) AS STRING) AS {ds}\nFROM metrics",
                text(&path),
                self.metric_lines()
                    .iter()
                    .map(|(name, _)| format!(",\n  {}", finish(name)))
                    .collect::<String>(),
            ),
        );
    }

    /// Writes the metrics, as columns and as JSON.
    fn write(&self, output: &TableName, script: &mut Script<'_>) {
        let names: Vec<String> = self
            .metric_lines()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let ds = script.ds.to_owned();
        let mut columns = vec!["JoinPath".to_owned()];
        columns.extend(names.iter().cloned());
        columns.extend(["ts".to_owned(), ds.clone()]);
        let table = output.suffixed("_consistency");
        let metrics = Output {
            table: table.clone(),
            kind: Some("consistency"),
            meta: &self.conf.meta_data,
            columns: Some(columns),
            types: Types::new(),
            likely: Types::new(),
            partitioned_by: vec![ds.clone()],
        };
        script.create(&metrics, "consistency");
        script.overwrite(&metrics, "consistency", Some(self.request.range));
        script.query(
            "consistency_upload",
            "the metrics as a KV store would get them",
            &format!(
                "SELECT CAST(key_json AS BINARY) AS key_bytes, CAST(value_json AS BINARY) AS value_bytes, key_json, value_json, ts, {0}\nFROM (\n  SELECT TO_JSON(STRUCT(JoinPath)) AS key_json,\n    TO_JSON(STRUCT({1}), MAP('ignoreNullFields', 'false')) AS value_json,\n    ts, {0}\n  FROM {table}\n  WHERE {0} IN (SELECT {2} FROM compared)\n)",
                ident(&ds),
                list(&names),
                day_of(&self.time(&ds)),
            ),
        );
        let upload_columns = ["key_bytes", "value_bytes", "key_json", "value_json", "ts"];
        let upload = Output {
            table: table.suffixed("_upload"),
            kind: Some("consistency_upload"),
            meta: &self.conf.meta_data,
            columns: Some(
                upload_columns
                    .map(str::to_owned)
                    .into_iter()
                    .chain([ds.clone()])
                    .collect(),
            ),
            types: Types::new(),
            likely: Types::new(),
            partitioned_by: vec![ds],
        };
        script.create(&upload, "consistency_upload");
        script.overwrite(&upload, "consistency_upload", Some(self.request.range));
    }
}
