//! The compiled objects of §1.5. Unknown fields are ignored; what Thrift calls optional is optional.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, de};

use crate::value;

/// Implements `Deserialize` for an enum that Thrift writes as an integer (§1.3).
macro_rules! thrift_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$doc])* $variant = $number),+ }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match i64::deserialize(deserializer)? {
                    $($number => Ok(Self::$variant),)+
                    other => Err(de::Error::custom(format!(
                        concat!("{} is not a Chronon ", stringify!($name)), other
                    ))),
                }
            }
        }
    };
}

thrift_enum! {
    /// When a feature value is taken.
    Accuracy {
        /// At the left row's own millisecond.
        Temporal = 0,
        /// At the end of the day before.
        Snapshot = 1,
    }
}

thrift_enum! {
    /// The unit of a [`Window`].
    TimeUnit {
        /// 60 minutes.
        Hours = 0,
        /// 24 hours.
        Days = 1,
    }
}

thrift_enum! {
    /// What an [`Aggregation`] computes (§1.3).
    Operation {
        /// Smallest value.
        Min = 0,
        /// Largest value.
        Max = 1,
        /// Oldest value by time.
        First = 2,
        /// Newest value by time.
        Last = 3,
        /// Number of distinct values.
        UniqueCount = 4,
        /// Number of distinct values, by a CPC sketch.
        ApproxUniqueCount = 5,
        /// Number of non-NULL values.
        Count = 6,
        /// Sum.
        Sum = 7,
        /// Mean.
        Average = 8,
        /// Population variance.
        Variance = 9,
        /// Population skewness.
        Skew = 10,
        /// Population excess kurtosis.
        Kurtosis = 11,
        /// Percentiles, by a KLL sketch.
        ApproxPercentile = 12,
        /// Newest k values, newest first.
        LastK = 13,
        /// Oldest k values, oldest first.
        FirstK = 14,
        /// Largest k values, descending.
        TopK = 15,
        /// Smallest k values, ascending.
        BottomK = 16,
        /// Count per value.
        Histogram = 17,
        /// Count per value for the k most frequent, by a sketch.
        ApproxHistogramK = 18,
        /// Distinct values, at most k.
        BoundedUniqueCount = 19,
    }
}

/// Events or entities: which of the rules of §4.2 apply.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DataModel {
    /// Rows that happened at a time.
    Events,
    /// Daily snapshots of a whole table.
    Entities,
}

/// `metaData` of every conf.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetaData {
    /// `<team>.<module path>.<variable>` (§1.1).
    pub name: String,
    /// Whether it is served online.
    #[serde(deserialize_with = "value::bool")]
    pub online: Option<bool>,
    /// Whether it is in production use.
    #[serde(deserialize_with = "value::bool")]
    pub production: Option<bool>,
    /// JSON in a string (§1.4).
    pub custom_json: Option<String>,
    /// Sensors, as JSON strings or plain specs (§4.5).
    pub dependencies: Option<Vec<String>>,
    /// Properties of every written table.
    pub table_properties: Option<IndexMap<String, String>>,
    /// The database of every output table.
    pub output_namespace: Option<String>,
    /// First token of the name.
    pub team: Option<String>,
    /// Environment per run.py mode (§2.5).
    pub mode_to_env_map: Option<IndexMap<String, IndexMap<String, String>>>,
    /// Deprecated switch; `customJson.check_consistency` is what counts.
    #[serde(deserialize_with = "value::bool")]
    pub consistency_check: Option<bool>,
    /// Percent of requests that are logged; more than 0 turns logging on.
    pub sample_percent: Option<f64>,
    /// Cron line, `@daily`, …, or `@never`.
    pub offline_schedule: Option<String>,
    /// Percent of logged rows that are compared.
    pub consistency_sample_percent: Option<f64>,
    /// `false`: only the end date is ever filled (§1.4).
    #[serde(deserialize_with = "value::bool")]
    pub historical_backfill: Option<bool>,
    /// `YYYY-MM-DD`; no job reads it.
    pub deprecation_date: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// `@weekly`, `@monthly`, `@quarterly`; absent is `@daily` (§1.4, chronon-ai 0.0.115).
    pub upload_schedule: Option<String>,
}

/// What is read from a source.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Query {
    /// alias → Spark SQL expression.
    pub selects: Option<IndexMap<String, String>>,
    /// Conditions, all of which must hold.
    pub wheres: Option<Vec<String>>,
    /// First day of the source, inclusive.
    pub start_partition: Option<String>,
    /// Last day of the source, inclusive.
    pub end_partition: Option<String>,
    /// Expression of the event time in milliseconds.
    pub time_column: Option<String>,
    /// Statements to run first, e.g. `CREATE TEMPORARY FUNCTION …`.
    pub setups: Option<Vec<String>>,
    /// Expression of the mutation time in milliseconds.
    pub mutation_time_column: Option<String>,
    /// Expression: whether a mutation row is the state before the change.
    pub reversal_column: Option<String>,
    /// The source's partition column, if it is not `ds`.
    pub partition_column: Option<String>,
}

/// `events`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSource {
    /// `db.table[/sub=partition…]`.
    pub table: String,
    /// Stream of the same events.
    pub topic: Option<String>,
    /// What to read.
    #[serde(default)]
    pub query: Query,
    /// Every partition holds all events up to its day.
    #[serde(default, deserialize_with = "value::bool")]
    pub is_cumulative: Option<bool>,
}

/// `entities`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntitySource {
    /// Daily snapshots.
    pub snapshot_table: String,
    /// Changes between snapshots.
    pub mutation_table: Option<String>,
    /// Stream of changes.
    pub mutation_topic: Option<String>,
    /// What to read.
    #[serde(default)]
    pub query: Query,
}

/// `joinSource`: the output of another join.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinSource {
    /// A full copy of the parent join.
    pub join: Join,
    /// What to read.
    #[serde(default)]
    pub query: Query,
}

/// Exactly one of the three (§1.2).
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// Event rows.
    Events(EventSource),
    /// Snapshots.
    Entities(EntitySource),
    /// A parent join's output.
    JoinSource(Box<JoinSource>),
}

/// Length of a trailing window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// How many units.
    pub length: i32,
    /// Of what.
    pub time_unit: TimeUnit,
}

/// One aggregation; one output column per window and bucket.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Aggregation {
    /// The aggregated column, an alias of the selects.
    pub input_column: String,
    /// What to compute.
    pub operation: Operation,
    /// Arguments, e.g. `k`.
    #[serde(default)]
    pub arg_map: Option<IndexMap<String, String>>,
    /// None or absent is unbounded.
    #[serde(default)]
    pub windows: Option<Vec<Window>>,
    /// Columns to split by.
    #[serde(default)]
    pub buckets: Option<Vec<String>>,
    /// Aggregate lists element by element.
    #[serde(default, deserialize_with = "value::bool")]
    pub element_wise: Option<bool>,
}

/// A compiled GroupBy.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupBy {
    /// Name, team, schedule.
    pub meta_data: MetaData,
    /// Where rows come from; a union.
    pub sources: Vec<Source>,
    /// Grouping keys, aliases of the selects.
    pub key_columns: Vec<String>,
    /// Absent: the source is already grouped by the keys.
    #[serde(default)]
    pub aggregations: Option<Vec<Aggregation>>,
    /// Absent: inferred, see [`GroupBy::accuracy`].
    #[serde(default, rename = "accuracy")]
    pub declared_accuracy: Option<Accuracy>,
    /// First day of the backfill; its presence enables mode `backfill`.
    #[serde(default)]
    pub backfill_start_date: Option<String>,
    /// Columns computed from the aggregates.
    #[serde(default)]
    pub derivations: Option<Vec<Derivation>>,
    /// Keeps daily partial aggregates in `O_daily_inc`.
    #[serde(default, deserialize_with = "value::bool")]
    pub is_incremental: Option<bool>,
}

/// One derived column; the name `*` keeps all others.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Derivation {
    /// Output column.
    pub name: String,
    /// Spark SQL.
    pub expression: String,
}

/// One GroupBy of a join.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinPart {
    /// A full copy of the GroupBy.
    pub group_by: GroupBy,
    /// Left column → right key.
    #[serde(default)]
    pub key_mapping: Option<IndexMap<String, String>>,
    /// Put before every column of the part.
    #[serde(default)]
    pub prefix: Option<String>,
}

/// A source that is fetched at request time; offline only with an offline GroupBy.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSource {
    /// Its name. Lower-case `d` here only (§1.2).
    pub metadata: MetaData,
    /// Thrift type of the keys, as JSON.
    #[serde(default)]
    pub key_schema: Option<serde_json::Value>,
    /// Thrift type of the values, as JSON.
    #[serde(default)]
    pub value_schema: Option<serde_json::Value>,
    /// How to build its handler.
    #[serde(default)]
    pub factory_config: Option<serde_json::Value>,
    /// Fills the same features offline.
    #[serde(default)]
    pub offline_group_by: Option<GroupBy>,
}

/// One external source of a join.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalPart {
    /// The source.
    pub source: ExternalSource,
    /// Left column → right key.
    #[serde(default)]
    pub key_mapping: Option<IndexMap<String, String>>,
    /// Put before every column of the part.
    #[serde(default)]
    pub prefix: Option<String>,
}

/// Ready values that replace computed ones.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapPart {
    /// Name and dependencies.
    #[serde(default)]
    pub meta_data: Option<MetaData>,
    /// `db.table`; must exist.
    pub table: String,
    /// What to read.
    #[serde(default)]
    pub query: Option<Query>,
    /// Match columns; default the join's row ids.
    #[serde(default)]
    pub key_columns: Option<Vec<String>>,
}

/// Labels that become known later.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelPart {
    /// GroupBys of labels.
    pub labels: Vec<JoinPart>,
    /// Oldest left day: L − (S − 1).
    #[serde(default)]
    pub left_start_offset: Option<i32>,
    /// Newest left day: L − (E − 1).
    #[serde(default)]
    pub left_end_offset: Option<i32>,
    /// Own dependencies and schedule; no name.
    #[serde(default)]
    pub meta_data: Option<MetaData>,
}

/// One model over the joined row.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelTransform {
    /// The model.
    #[serde(default)]
    pub model: Option<serde_json::Value>,
    /// Model input → expression.
    #[serde(default)]
    pub input_mappings: Option<IndexMap<String, String>>,
    /// Model output → column.
    #[serde(default)]
    pub output_mappings: Option<IndexMap<String, String>>,
    /// Put before every output.
    #[serde(default)]
    pub prefix: Option<String>,
}

/// Models over the joined row; the join's backfill then fills `O_pre_mt` (§3).
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelTransforms {
    /// The models. An empty list means that the join has none (engine-semantics 1).
    pub transforms: Vec<ModelTransform>,
    /// Columns that are kept.
    pub passthrough_fields: Option<Vec<String>>,
}

/// Whether a value of `skewKeys` is NULL, which the Driver keeps apart from the literals.
#[must_use]
pub fn is_null_literal(value: &str) -> bool {
    matches!(value, "null" | "Null" | "NULL")
}

/// A compiled Join.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Join {
    /// Name, team, schedule.
    pub meta_data: MetaData,
    /// The rows to enrich.
    pub left: Source,
    /// The GroupBys; may be empty.
    #[serde(default)]
    pub join_parts: Vec<JoinPart>,
    /// Left column → literals whose rows are dropped.
    #[serde(default)]
    pub skew_keys: Option<IndexMap<String, Vec<String>>>,
    /// Sources that exist online only.
    #[serde(default)]
    pub online_external_parts: Option<Vec<ExternalPart>>,
    /// Labels.
    #[serde(default)]
    pub label_part: Option<LabelPart>,
    /// Ready values.
    #[serde(default)]
    pub bootstrap_parts: Option<Vec<BootstrapPart>>,
    /// Columns that identify a left row.
    #[serde(default)]
    pub row_ids: Option<Vec<String>>,
    /// Columns computed from the joined row.
    #[serde(default)]
    pub derivations: Option<Vec<Derivation>>,
    /// Models over the joined row.
    #[serde(default)]
    pub model_transforms: Option<ModelTransforms>,
}

/// A compiled StagingQuery.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StagingQuery {
    /// Name, team, dependencies.
    pub meta_data: MetaData,
    /// Spark SQL with the macros of §4.4.
    pub query: String,
    /// First day; absent: the query runs once, for all days.
    #[serde(default)]
    pub start_partition: Option<String>,
    /// Statements to run first.
    #[serde(default)]
    pub setups: Option<Vec<String>>,
    /// Make a view and a signal partition instead of a table.
    #[serde(default, deserialize_with = "value::bool")]
    pub create_view: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_golden_confs() {
        let root = std::path::Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/golden/a/repo/production"
        ));
        for entry in std::fs::read_dir(root.join("joins/stays")).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let join: Join = serde_json::from_str(&text).unwrap();
            assert!(!join.meta_data.name.is_empty());
        }
    }
}
