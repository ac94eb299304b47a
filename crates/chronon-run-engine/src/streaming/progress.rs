//! One progress report of Spark's structured streaming.

use std::collections::{BTreeMap, VecDeque};

use chronon_run_core::ds::parse_instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// So many earlier reports are kept to tell how old the oldest record is that was not read yet.
const SAMPLES: usize = 256;

/// What one report says.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// When the batch was done, in milliseconds since the epoch: the start of its trigger and how long
    /// it took.
    #[serde(with = "chronon_run_core::instant")]
    pub at: Option<i64>,
    /// Number of the batch.
    pub batch: Option<i64>,
    /// Rows of the batch.
    pub rows: Option<u64>,
    /// Rows per second that arrived.
    pub input_rows_per_second: Option<f64>,
    /// Rows per second that were processed.
    pub processed_rows_per_second: Option<f64>,
    /// How far it is behind.
    pub lag: Lag,
}

/// How far a query is behind its topics.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lag {
    /// Records that the brokers have and that were not read yet; `None` if the report does not say.
    pub records: Option<u64>,
    /// For how long the brokers have had the oldest of them, in milliseconds, as far as the reports
    /// show.
    pub millis: Option<i64>,
    /// The same records for each topic and partition, `topic-partition`.
    pub partitions: BTreeMap<String, u64>,
}

impl Progress {
    /// Reads the JSON of a report; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let tree: Value = serde_json::from_str(text).ok()?;
        tree.get("sources")?;
        let number = |key: &str| tree.get(key).and_then(Value::as_f64);
        let started = tree["timestamp"].as_str().and_then(parse_instant);
        let took = tree["durationMs"]["triggerExecution"].as_i64();
        Some(Self {
            at: started.map(|at| at.saturating_add(took.unwrap_or(0))),
            batch: tree["batchId"].as_i64(),
            rows: tree["numInputRows"].as_u64(),
            input_rows_per_second: number("inputRowsPerSecond"),
            processed_rows_per_second: number("processedRowsPerSecond"),
            lag: Lag::of(&tree),
        })
    }
}

impl Lag {
    /// The difference between latest and end offsets, of all sources.
    fn of(report: &Value) -> Self {
        let sources = report["sources"].as_array().into_iter().flatten();
        let mut lag = Self::default();
        for source in sources {
            let end = offsets(&source["endOffset"]);
            let latest = offsets(&source["latestOffset"]);
            for (partition, latest) in latest {
                // A topic that was created again begins at 0: its end is not behind.
                let Some(end) = end.get(&partition) else {
                    continue;
                };
                lag.partitions
                    .insert(partition, latest.saturating_sub(*end));
            }
        }
        lag.records = (!lag.partitions.is_empty()).then(|| lag.partitions.values().sum());
        lag.records = lag.records.or_else(|| behind(report));
        lag
    }
}

/// `{"topic": {"0": 12}}` as `topic-0` → 12; empty if it is anything else.
fn offsets(tree: &Value) -> BTreeMap<String, u64> {
    let topics = tree.as_object().into_iter().flatten();
    let all = topics.flat_map(|(topic, partitions)| {
        let partitions = partitions.as_object().into_iter().flatten();
        partitions.filter_map(move |(number, offset)| {
            Some((format!("{topic}-{number}"), offset.as_u64()?))
        })
    });
    all.collect()
}

/// What the source's own metrics say, where the report has no latest offsets.
fn behind(report: &Value) -> Option<u64> {
    let sources = report["sources"].as_array()?;
    let most = sources.iter().filter_map(|source| {
        let text = source["metrics"]["maxOffsetsBehindLatest"].as_str()?;
        text.parse::<u64>().ok()
    });
    most.max()
}

/// The latest offsets of earlier reports: how old is the oldest record that was not read?
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Arrivals {
    /// `(when, sum of the latest offsets)`, oldest first.
    samples: VecDeque<(i64, u64)>,
}

impl Arrivals {
    /// Notes the latest offsets of `report`, and says for how long the brokers have had a record that
    /// was not read by then. At least so long: what was there before the first report is as old as it.
    pub(super) fn age(&mut self, report: &str, at: i64) -> Option<i64> {
        let tree: Value = serde_json::from_str(report).ok()?;
        let sources = tree["sources"].as_array()?;
        let sum = |key: &str| -> u64 {
            let all = sources.iter().flat_map(|source| offsets(&source[key]));
            all.map(|(_, offset)| offset).sum()
        };
        let (latest, end) = (sum("latestOffset"), sum("endOffset"));
        if latest == 0 {
            return None;
        }
        if self
            .samples
            .back()
            .is_some_and(|(_, known)| *known > latest)
        {
            // Offsets began again.
            self.samples.clear();
        }
        self.samples.push_back((at, latest));
        if self.samples.len() > SAMPLES {
            let mut nth = 0_usize;
            self.samples.retain(|_| {
                nth += 1;
                nth.is_multiple_of(2)
            });
        }
        // All that was read is of no more use.
        while self
            .samples
            .front()
            .is_some_and(|(_, latest)| *latest <= end)
        {
            self.samples.pop_front();
        }
        let oldest = self.samples.front().map_or(at, |(when, _)| *when);
        Some((at - oldest).max(0))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A report as Spark 3.3 prints it.
    pub(in crate::streaming) fn report(batch: u32, at: &str, end: u64, latest: u64) -> String {
        format!(
            r#"{{
  "id" : "0f5b0c1e-8f0c-4a2f-9d4b-1f1f1f1f1f1f",
  "runId" : "aaaa",
  "name" : null,
  "timestamp" : "{at}",
  "batchId" : {batch},
  "numInputRows" : 5,
  "inputRowsPerSecond" : 2.5,
  "processedRowsPerSecond" : 10.0,
  "durationMs" : {{
    "triggerExecution" : 500
  }},
  "stateOperators" : [ ],
  "sources" : [ {{
    "description" : "KafkaV2[Subscribe[events]]",
    "startOffset" : {{
      "events" : {{
        "0" : 0
      }}
    }},
    "endOffset" : {{
      "events" : {{
        "0" : {end}
      }}
    }},
    "latestOffset" : {{
      "events" : {{
        "0" : {latest}
      }}
    }},
    "numInputRows" : 5
  }} ],
  "sink" : {{
    "description" : "ForeachBatchSink"
  }}
}}"#
        )
    }

    #[test]
    fn rows_rates_and_lag_are_read() {
        let progress = Progress::parse(&report(3, "2026-01-31T00:00:01.000Z", 40, 47)).unwrap();
        assert_eq!(progress.at, Some(1_769_817_601_500));
        assert_eq!((progress.batch, progress.rows), (Some(3), Some(5)));
        assert_eq!(progress.processed_rows_per_second, Some(10.0));
        assert_eq!(progress.lag.records, Some(7));
        assert_eq!(progress.lag.partitions["events-0"], 7);
    }

    #[test]
    fn the_continuous_trigger_says_no_latest_offsets() {
        let text = report(3, "2026-01-31T00:00:01.000Z", 40, 47);
        let none = text.replace("\"0\" : 47", "\"0\" : null");
        assert_eq!(Progress::parse(&none).unwrap().lag, Lag::default());
        let metrics = r#"{"sources": [{"endOffset": null, "latestOffset": null,
            "metrics": {"maxOffsetsBehindLatest": "9"}}]}"#;
        assert_eq!(Progress::parse(metrics).unwrap().lag.records, Some(9));
        assert_eq!(Progress::parse("{}"), None);
        assert_eq!(Progress::parse("{"), None);
    }

    #[test]
    fn the_age_of_the_oldest_record_that_was_not_read() {
        let mut arrivals = Arrivals::default();
        let at = "2026-01-31T00:00:01.000Z";
        let mut age =
            |second: i64, end, latest| arrivals.age(&report(1, at, end, latest), second * 1_000);
        assert_eq!(age(10, 5, 5), Some(0));
        assert_eq!(age(20, 5, 8), Some(0));
        assert_eq!(age(30, 6, 12), Some(10_000));
        // What came at 20 is read, what came at 30 is not.
        assert_eq!(age(40, 9, 12), Some(10_000));
        assert_eq!(age(50, 12, 12), Some(0));
        // A topic that was created again.
        assert_eq!(age(60, 0, 3), Some(0));
        for second in 0..2_000 {
            assert!(age(70 + second, 0, 4).is_some());
        }
        assert!(arrivals.samples.len() <= SAMPLES + 1);
        assert!(arrivals.samples.front().unwrap().0 / 1_000 >= 60);
    }
}
