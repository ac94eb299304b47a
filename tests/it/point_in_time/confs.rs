//! The confs of the proof.

use chronon_run_testkit::oracle::{Operation, Window};
use serde_json::{Value, json};

use super::*;

/// A GroupBy of the test.
pub(super) struct GroupBy {
    pub(super) name: &'static str,
    pub(super) keys: &'static [&'static str],
    pub(super) temporal: bool,
    pub(super) aggregations: fn() -> Vec<Aggregation>,
}

pub(super) const SINGLE_T: GroupBy = GroupBy {
    name: "single_t",
    keys: &["k"],
    temporal: true,
    aggregations: many,
};
pub(super) const PAIR_T: GroupBy = GroupBy {
    name: "pair_t",
    keys: &["k", "n"],
    temporal: true,
    aggregations: few,
};
/// Windows only: rows before the scanned range do not count, however they got there.
pub(super) const WINDOWS_T: GroupBy = GroupBy {
    name: "windows_t",
    keys: &["k"],
    temporal: true,
    aggregations: windowed,
};
pub(super) const SINGLE_S: GroupBy = GroupBy {
    name: "single_s",
    keys: &["k"],
    temporal: false,
    aggregations: many_days,
};
pub(super) const PAIR_S: GroupBy = GroupBy {
    name: "pair_s",
    keys: &["k", "n"],
    temporal: false,
    aggregations: few_days,
};

pub(super) const WINDOWS: [Option<Window>; 8] = [
    Some(Window::Hours(1)),
    Some(Window::Hours(11)),
    Some(Window::Hours(12)),
    Some(Window::Days(1)),
    Some(Window::Days(7)),
    Some(Window::Days(11)),
    Some(Window::Days(12)),
    None,
];

pub(super) const OPERATIONS: [(&str, Operation); 20] = [
    ("v", Operation::Count),
    ("v", Operation::Sum),
    ("v", Operation::Average),
    ("v", Operation::Variance),
    ("v", Operation::Min),
    ("v", Operation::Max),
    ("v", Operation::First),
    ("v", Operation::Last),
    ("v", Operation::TopK(2)),
    ("v", Operation::BottomK(3)),
    ("i", Operation::Sum),
    ("i", Operation::FirstK(2)),
    ("i", Operation::LastK(3)),
    ("i", Operation::Average),
    ("i", Operation::UniqueCount),
    ("w", Operation::Min),
    ("w", Operation::Max),
    ("w", Operation::UniqueCount),
    ("w", Operation::Histogram),
    ("w", Operation::BoundedUniqueCount(2)),
];

pub(super) fn plain(input: &str, operation: Operation, window: Option<Window>) -> Aggregation {
    Aggregation {
        input: input.to_owned(),
        operation,
        window,
        bucket: None,
    }
}

/// Counts in every window, and every operation in two of them.
pub(super) fn spread(windows: &[Option<Window>]) -> Vec<Aggregation> {
    let mut all: Vec<Aggregation> = windows
        .iter()
        .map(|window| plain("v", Operation::Count, *window))
        .collect();
    for (at, (input, operation)) in OPERATIONS.iter().enumerate() {
        for at in [at, at + windows.len() / 2] {
            let aggregation = plain(input, *operation, windows[at % windows.len()]);
            if !all.contains(&aggregation) {
                all.push(aggregation);
            }
        }
    }
    for (operation, window) in [
        (Operation::Sum, windows[0]),
        (Operation::Count, windows[windows.len() - 1]),
    ] {
        all.push(Aggregation {
            bucket: Some("w".to_owned()),
            ..plain("v", operation, window)
        });
    }
    all
}

pub(super) fn many() -> Vec<Aggregation> {
    spread(&WINDOWS)
}

/// End-of-day values know whole days only.
pub(super) fn many_days() -> Vec<Aggregation> {
    spread(&WINDOWS[3..])
}

pub(super) fn few() -> Vec<Aggregation> {
    vec![
        plain("v", Operation::Count, WINDOWS[0]),
        plain("v", Operation::Sum, WINDOWS[4]),
        plain("w", Operation::Last, None),
    ]
}

pub(super) fn few_days() -> Vec<Aggregation> {
    few().into_iter().skip(1).collect()
}

pub(super) fn windowed() -> Vec<Aggregation> {
    vec![
        plain("v", Operation::Count, Some(Window::Hours(2))),
        plain("v", Operation::Max, Some(Window::Days(3))),
        plain("i", Operation::LastK(2), Some(Window::Days(2))),
    ]
}

/// `v_last3_7d_by_w`: the engine's name of the column.
pub(super) fn column(aggregation: &Aggregation) -> String {
    let operation = match aggregation.operation {
        Operation::Min => "min".to_owned(),
        Operation::Max => "max".to_owned(),
        Operation::First => "first".to_owned(),
        Operation::Last => "last".to_owned(),
        Operation::UniqueCount => "unique_count".to_owned(),
        Operation::Count => "count".to_owned(),
        Operation::Sum => "sum".to_owned(),
        Operation::Average => "average".to_owned(),
        Operation::Variance => "variance".to_owned(),
        Operation::LastK(k) => format!("last{k}"),
        Operation::FirstK(k) => format!("first{k}"),
        Operation::TopK(k) => format!("top{k}"),
        Operation::BottomK(k) => format!("bottom{k}"),
        Operation::Histogram => "histogram".to_owned(),
        Operation::BoundedUniqueCount(_) => "bounded_unique_count".to_owned(),
        Operation::Skew => "skew".to_owned(),
        Operation::Kurtosis => "kurtosis".to_owned(),
        Operation::ApproxPercentile(_) => "approx_percentile".to_owned(),
        Operation::ApproxHistogram(_) => "approx_histogram_k".to_owned(),
        Operation::ApproxUniqueCount => "approx_unique_count".to_owned(),
    };
    let window = match aggregation.window {
        Some(Window::Hours(hours)) => format!("_{hours}h"),
        Some(Window::Days(days)) => format!("_{days}d"),
        None => String::new(),
    };
    let bucket = aggregation
        .bucket
        .as_ref()
        .map(|bucket| format!("_by_{bucket}"));
    format!(
        "{}_{operation}{window}{}",
        aggregation.input,
        bucket.unwrap_or_default()
    )
}

/// An aggregation as a compiled conf has it (contract §1.3).
pub(super) fn aggregation_conf(aggregation: &Aggregation) -> Value {
    let (number, k) = match aggregation.operation {
        Operation::Min => (0, None),
        Operation::Max => (1, None),
        Operation::First => (2, None),
        Operation::Last => (3, None),
        Operation::UniqueCount => (4, None),
        Operation::Count => (6, None),
        Operation::Sum => (7, None),
        Operation::Average => (8, None),
        Operation::Variance => (9, None),
        Operation::LastK(k) => (13, Some(k)),
        Operation::FirstK(k) => (14, Some(k)),
        Operation::TopK(k) => (15, Some(k)),
        Operation::BottomK(k) => (16, Some(k)),
        Operation::Histogram => (17, None),
        Operation::BoundedUniqueCount(k) => (19, Some(k)),
        Operation::Skew => (10, None),
        Operation::Kurtosis => (11, None),
        Operation::ApproxPercentile(_) => (12, None),
        Operation::ApproxHistogram(k) => (18, Some(k)),
        Operation::ApproxUniqueCount => (5, None),
    };
    let arguments = k.map_or_else(|| json!({}), |k| json!({ "k": k.to_string() }));
    let mut conf =
        json!({ "inputColumn": aggregation.input, "operation": number, "argMap": arguments });
    if let Some(window) = aggregation.window {
        let (length, unit) = match window {
            Window::Hours(hours) => (hours, 0),
            Window::Days(days) => (days, 1),
        };
        conf["windows"] = json!([{ "length": length, "timeUnit": unit }]);
    }
    if let Some(bucket) = &aggregation.bucket {
        conf["buckets"] = json!([bucket]);
    }
    conf
}

pub(super) fn meta(name: &str) -> Value {
    json!({ "name": format!("pit.{name}.v1"), "outputNamespace": "pit", "team": "pit", "online": 0, "production": 0 })
}

pub(super) fn group_by_conf(group_by: &GroupBy) -> Value {
    let mut selects = BTreeMap::new();
    for name in ["k", "n", "v", "i", "w"] {
        selects.insert(name, name);
    }
    let aggregations: Vec<Value> = (group_by.aggregations)()
        .iter()
        .map(aggregation_conf)
        .collect();
    json!({
        "metaData": meta(group_by.name),
        "sources": [{ "events": { "table": "src.events", "query": {
            "selects": selects, "startPartition": day_text(FIRST), "timeColumn": "ts", "setups": [],
        } } }],
        "keyColumns": group_by.keys,
        "aggregations": aggregations,
        "accuracy": i32::from(!group_by.temporal),
        "backfillStartDate": day_text(LEFT_FIRST),
    })
}

/// Attributes of a key, as of a day: no aggregations.
pub(super) fn dim_conf() -> Value {
    json!({
        "metaData": meta("dim"),
        "sources": [{ "entities": { "snapshotTable": "src.dim", "query": {
            "selects": { "k": "k", "a": "a" }, "startPartition": day_text(FIRST), "setups": [],
        } } }],
        "keyColumns": ["k"],
        "accuracy": 1,
    })
}

pub(super) fn join_conf(name: &str, left: Value, parts: &[Value]) -> Value {
    let parts: Vec<Value> = parts
        .iter()
        .map(|part| json!({ "groupBy": part }))
        .collect();
    json!({ "metaData": meta(name), "left": left, "joinParts": parts })
}
