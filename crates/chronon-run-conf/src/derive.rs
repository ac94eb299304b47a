//! Facts that follow from a conf: data model, accuracy, tables, windows (§1.3, §3, §4.2, §6).

use std::collections::BTreeSet;

use chronon_run_core::{TableName, TableNameError, TableSpec, clean};
use indexmap::IndexMap;

use crate::model::{
    Accuracy, Aggregation, DataModel, ExternalPart, GroupBy, Join, JoinPart, MetaData, Operation,
    Query, Source, TimeUnit, Window,
};

impl MetaData {
    /// `O`: `<outputNamespace>.<clean(name)>` (§3).
    ///
    /// # Errors
    /// If the namespace is missing or is not a word.
    pub fn output_table(&self) -> Result<TableName, TableNameError> {
        TableName::new(
            self.output_namespace.as_deref().unwrap_or_default(),
            &clean(&self.name),
        )
    }

    /// `team`, or else the first dot token of the name (§1.1).
    #[must_use]
    pub fn team(&self) -> &str {
        match &self.team {
            Some(team) => team,
            None => self.name.split('.').next().unwrap_or_default(),
        }
    }

    /// `customJson` as a tree; `null` if it is absent or not JSON.
    #[must_use]
    pub fn custom(&self) -> serde_json::Value {
        self.custom_json
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// Whether its schedule calls once for each day, so that the next day is the next run.
    #[must_use]
    pub fn is_daily(&self) -> bool {
        let schedule = self.offline_schedule.as_deref().unwrap_or("@daily").trim();
        let fields: Vec<&str> = schedule.split_whitespace().collect();
        match fields.as_slice() {
            [_, hour, "*", "*", "*"] => !hour.contains(['*', ',', '/', '-']),
            _ => matches!(schedule, "@daily" | "@midnight" | "@never" | "@once"),
        }
    }

    /// Whether only the end date is ever filled (`historicalBackfill = 0`, §1.4).
    #[must_use]
    pub fn latest_day_only(&self) -> bool {
        self.historical_backfill == Some(false)
    }
}

impl Source {
    /// The query that selects from the source.
    #[must_use]
    pub fn query(&self) -> &Query {
        match self {
            Self::Events(events) => &events.query,
            Self::Entities(entities) => &entities.query,
            Self::JoinSource(parent) => &parent.query,
        }
    }

    /// Events or entities; for a `joinSource` that of the parent's left (§1.3).
    #[must_use]
    pub fn data_model(&self) -> DataModel {
        match self {
            Self::Events(_) => DataModel::Events,
            Self::Entities(_) => DataModel::Entities,
            Self::JoinSource(parent) => parent.join.left.data_model(),
        }
    }

    /// The stream of the same rows; for a `joinSource` that of the parent's left (§1.3).
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::Events(events) => events.topic.as_deref(),
            Self::Entities(entities) => entities.mutation_topic.as_deref(),
            Self::JoinSource(parent) => parent.join.left.topic(),
        }
    }

    /// The table that is scanned: events, snapshots, or the parent join's output.
    ///
    /// # Errors
    /// If the conf's text is not a table name.
    pub fn table(&self) -> Result<TableSpec, TableNameError> {
        match self {
            Self::Events(events) => events.table.parse(),
            Self::Entities(entities) => entities.snapshot_table.parse(),
            Self::JoinSource(parent) => {
                parent.join.meta_data.output_table().map(|table| TableSpec {
                    table,
                    sub_partitions: Vec::new(),
                })
            }
        }
    }

    /// Whether every partition holds all events so far.
    #[must_use]
    pub fn is_cumulative(&self) -> bool {
        matches!(self, Self::Events(events) if events.is_cumulative == Some(true))
    }
}

impl Window {
    /// Length in milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        let unit = match self.time_unit {
            TimeUnit::Hours => 3_600_000,
            TimeUnit::Days => 86_400_000,
        };
        i64::from(self.length) * unit
    }

    /// Days back that the window reaches from midnight, rounded up: 12 hours cost one day (§4.2).
    #[must_use]
    pub fn days_back(self) -> i32 {
        i32::try_from(
            self.millis().div_euclid(86_400_000) + i64::from(self.millis() % 86_400_000 != 0),
        )
        .unwrap_or(i32::MAX)
    }
}

/// One output column of an aggregation.
pub(crate) struct AggregatedColumn<'a> {
    pub(crate) name: String,
    /// `None` stands for unbounded.
    pub(crate) window: Option<Window>,
    /// The column by whose values it is a map, if it is one.
    pub(crate) bucket: Option<&'a String>,
}

impl Aggregation {
    /// The names of its output columns: `<input>_<op>[_<window>][_by_<bucket>]`
    /// (engine-semantics 3, Names). Entries of `argMap` other than the `k` of lists do not count.
    pub fn column_names(&self) -> impl Iterator<Item = String> + '_ {
        self.columns().map(|column| column.name)
    }

    /// Its output columns: each window of each bucket.
    pub(crate) fn columns(&self) -> impl Iterator<Item = AggregatedColumn<'_>> {
        let buckets = self.buckets.as_deref().unwrap_or_default();
        let plain = buckets.is_empty().then_some(None);
        let buckets = plain.into_iter().chain(buckets.iter().map(Some));
        let word = self.word();
        buckets.flat_map(move |bucket| {
            let word = word.clone();
            self.windows().map(move |window| {
                let over = window.map_or(String::new(), |window| format!("_{window}"));
                let by = bucket.map_or(String::new(), |bucket| format!("_by_{bucket}"));
                AggregatedColumn {
                    name: format!("{}_{word}{over}{by}", self.input_column),
                    window,
                    bucket,
                }
            })
        })
    }

    /// The operation in column names.
    pub(crate) fn word(&self) -> String {
        let arguments = self.arg_map.as_ref();
        let k = arguments.and_then(|arguments| arguments.get("k"));
        let k = k.map_or("", String::as_str);
        let word = match self.operation {
            Operation::LastK => return format!("last{k}"),
            Operation::FirstK => return format!("first{k}"),
            Operation::TopK => return format!("top{k}"),
            Operation::BottomK => return format!("bottom{k}"),
            Operation::Min => "min",
            Operation::Max => "max",
            Operation::First => "first",
            Operation::Last => "last",
            Operation::UniqueCount => "unique_count",
            Operation::ApproxUniqueCount => "approx_unique_count",
            Operation::Count => "count",
            Operation::Sum => "sum",
            Operation::Average => "average",
            Operation::Variance => "variance",
            Operation::Skew => "skew",
            Operation::Kurtosis => "kurtosis",
            Operation::ApproxPercentile => "approx_percentile",
            Operation::Histogram => "histogram",
            Operation::ApproxHistogramK => "approx_histogram_k",
            Operation::BoundedUniqueCount => "bounded_unique_count",
        };
        word.to_owned()
    }

    /// Its windows; `None` stands for unbounded, which is also what an empty list means.
    pub fn windows(&self) -> impl Iterator<Item = Option<Window>> + '_ {
        let listed = self.windows.as_deref().unwrap_or_default();
        let unbounded = listed.is_empty().then_some(None);
        listed.iter().copied().map(Some).chain(unbounded)
    }
}

impl std::fmt::Display for Window {
    /// `7d`, `12h`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.time_unit {
            TimeUnit::Hours => "h",
            TimeUnit::Days => "d",
        };
        write!(f, "{}{unit}", self.length)
    }
}

impl GroupBy {
    /// Output columns that two aggregations would write, each once.
    #[must_use]
    pub fn names_taken_twice(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut twice = BTreeSet::new();
        let aggregations = self.aggregations.iter().flatten();
        for name in aggregations.flat_map(Aggregation::column_names) {
            if !seen.insert(name.clone()) {
                twice.insert(name);
            }
        }
        twice.into_iter().collect()
    }

    /// The declared accuracy, or the inferred one: TEMPORAL if any source has a topic (§1.3).
    #[must_use]
    pub fn accuracy(&self) -> Accuracy {
        self.declared_accuracy.unwrap_or_else(|| {
            if self.sources.iter().any(|source| source.topic().is_some()) {
                Accuracy::Temporal
            } else {
                Accuracy::Snapshot
            }
        })
    }

    /// Events or entities; all sources agree (§1.3), so the first decides.
    #[must_use]
    pub fn data_model(&self) -> DataModel {
        self.sources
            .first()
            .map_or(DataModel::Events, Source::data_model)
    }

    /// The longest window in whole days, `None` if any aggregation is unbounded or there are
    /// no aggregations (§4.2).
    #[must_use]
    pub fn max_window_days(&self) -> Option<i32> {
        let aggregations = self.aggregations.as_deref().unwrap_or_default();
        let windows = aggregations.iter().flat_map(Aggregation::windows);
        windows
            .map(|window| window.map(Window::days_back))
            .try_fold(None, |longest: Option<i32>, days| {
                Some(longest.max(Some(days?)))
            })
            .flatten()
    }
}

/// The table suffix and `--selected-join-parts` word of a GroupBy in a join:
/// `[<prefix>_]<clean(name)>` (§3, §6).
fn prefixed(prefix: Option<&str>, name: &str) -> String {
    match prefix {
        Some(prefix) => format!("{prefix}_{}", clean(name)),
        None => clean(name),
    }
}

impl JoinPart {
    /// `fullPrefix`: the part's word in `--selected-join-parts`, in its table's name and,
    /// followed by `_`, before its columns (§6).
    #[must_use]
    pub fn full_prefix(&self) -> String {
        prefixed(self.prefix.as_deref(), &self.group_by.meta_data.name)
    }
}

impl ExternalPart {
    /// `fullPrefix`: `ext_[<prefix>_]<clean(source name)>` (§6).
    #[must_use]
    pub fn full_prefix(&self) -> String {
        format!(
            "ext_{}",
            prefixed(self.prefix.as_deref(), &self.source.metadata.name)
        )
    }
}

impl Join {
    /// The `metaData` of the GroupBys, bootstraps and labels in the join, whose dependencies are waited for.
    pub fn embedded_metas(&self) -> impl Iterator<Item = &MetaData> {
        let parts = self.offline_parts().map(|part| &part.group_by.meta_data);
        let label = self.label_part.iter();
        let label = label.filter_map(|label| label.meta_data.as_ref());
        parts.chain(self.bootstrap_metas()).chain(label)
    }

    /// The `metaData` of the bootstraps.
    pub fn bootstrap_metas(&self) -> impl Iterator<Item = &MetaData> {
        let parts = self.bootstrap_parts.iter().flatten();
        parts.filter_map(|part| part.meta_data.as_ref())
    }

    /// Whether it has model transforms, so that its backfill fills `O_pre_mt`.
    /// An empty list counts as none (engine-semantics 1).
    #[must_use]
    pub fn has_model_transforms(&self) -> bool {
        self.model_transforms
            .as_ref()
            .is_some_and(|models| !models.transforms.is_empty())
    }

    /// The table that the join's backfill fills: `O`, or `O_pre_mt` (§3).
    ///
    /// # Errors
    /// If the namespace is missing or is not a word.
    pub fn backfill_table(&self) -> Result<TableName, TableNameError> {
        let output = self.meta_data.output_table()?;
        Ok(if self.has_model_transforms() {
            output.suffixed("_pre_mt")
        } else {
            output
        })
    }

    /// Everything that is computed as a join part: the join parts, then the external parts that
    /// have an offline GroupBy.
    pub fn offline_parts(&self) -> impl Iterator<Item = OfflinePart<'_>> {
        let regular = self.join_parts.iter().map(|part| OfflinePart {
            full_prefix: part.full_prefix(),
            table_suffix: part.full_prefix(),
            group_by: &part.group_by,
            key_mapping: part.key_mapping.as_ref(),
            prefix: part.prefix.as_deref(),
            external: None,
        });
        let external = self
            .online_external_parts
            .iter()
            .flatten()
            .filter_map(|part| {
                let group_by = part.source.offline_group_by.as_ref()?;
                Some(OfflinePart {
                    full_prefix: part.full_prefix(),
                    table_suffix: prefixed(part.prefix.as_deref(), &group_by.meta_data.name),
                    group_by,
                    key_mapping: part.key_mapping.as_ref(),
                    prefix: part.prefix.as_deref(),
                    external: Some(part),
                })
            });
        regular.chain(external)
    }
}

/// The left column of a key of a right side, by a mapping of left columns to right keys.
#[must_use]
pub fn left_column<'a>(mapping: Option<&'a IndexMap<String, String>>, key: &'a str) -> &'a str {
    let mut mapped = mapping.into_iter().flatten();
    let found = mapped.find(|(_, right)| *right == key);
    found.map_or(key, |(left, _)| left)
}

impl JoinPart {
    /// Each key of the GroupBy, with its left column.
    pub fn left_columns(&self) -> impl Iterator<Item = (&str, &str)> {
        left_columns(&self.group_by, self.key_mapping.as_ref())
    }
}

impl OfflinePart<'_> {
    /// Each key of the GroupBy, with its left column.
    pub fn left_columns(&self) -> impl Iterator<Item = (&str, &str)> {
        left_columns(self.group_by, self.key_mapping)
    }
}

fn left_columns<'a>(
    group_by: &'a GroupBy,
    mapping: Option<&'a IndexMap<String, String>>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let keys = group_by.key_columns.iter();
    keys.map(move |key| (key.as_str(), left_column(mapping, key)))
}

/// A join part as the offline jobs see it (§3, §6).
#[derive(Clone, Debug)]
pub struct OfflinePart<'a> {
    /// Its word in `--selected-join-parts`.
    pub full_prefix: String,
    /// What follows `O_` in its table's name; without `ext_` for external parts (§3).
    pub table_suffix: String,
    /// The GroupBy.
    pub group_by: &'a GroupBy,
    /// Left column → right key.
    pub key_mapping: Option<&'a IndexMap<String, String>>,
    /// The prefix as written.
    pub prefix: Option<&'a str>,
    /// The external part that it stands for, if any.
    pub external: Option<&'a ExternalPart>,
}
