//! The path of an online GroupBy: newest offline day → upload → KV store → stream → consistency, each
//! link with its age and, where it is late, why.

use chronon_run_core::Ds;
use serde::Serialize;

const HOUR: i64 = 60 * 60 * 1_000;
/// Chronon's fetcher warns when the batch that it serves is older.
const FETCHER_WARNS: i64 = 48 * HOUR;
/// Late from here on, so that there is time before the fetcher warns.
const BATCH_LATE: i64 = 36 * HOUR;
/// A comparison may be so many days behind the sources: its log must have landed.
const COMPARED_LATE: i32 = 2;

/// What is known of one online GroupBy.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PathFacts {
    /// Milliseconds since the epoch.
    pub now: i64,
    /// The last day that all its sources have, up to `due`.
    pub offline: Option<Ds>,
    /// The day that the upload table holds.
    pub upload: Option<Ds>,
    /// The newest day that was loaded into the KV store.
    pub kv: Option<Ds>,
    /// Whether loads are made here.
    pub kv_here: bool,
    /// The last day that its upload is due for.
    pub due: Option<Ds>,
    /// Its streaming app, if it needs one.
    pub stream: Option<StreamFacts>,
    /// The last day that was compared, if a join compares it.
    pub consistency: Option<Option<Ds>>,
}

/// What is known of a streaming app.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct StreamFacts {
    /// When it last made progress.
    pub progress_at: Option<i64>,
    /// Rows per second that it processed then.
    pub rows_per_second: Option<f64>,
    /// Records that it has not read.
    pub lag_records: Option<u64>,
    /// For how long the brokers have had the oldest of them, in milliseconds.
    pub lag_millis: Option<i64>,
    /// Behind from here on, in milliseconds.
    pub late_after: i64,
    /// What is wrong with it, if anything is.
    pub trouble: Option<String>,
}

/// One link of the path.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Link {
    /// `offline`, `upload`, `kv`, `stream` or `consistency`.
    pub link: &'static str,
    /// The day that it has come to; none of a stream.
    pub day: Option<Ds>,
    /// The end of that day, or the last progress, in milliseconds since the epoch.
    #[serde(serialize_with = "chronon_run_core::instant::seconds")]
    pub at: Option<i64>,
    /// How old that is, in seconds.
    pub age: Option<i64>,
    /// Rows per second of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_per_second: Option<f64>,
    /// Records that a stream has not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_records: Option<u64>,
    /// For how long the brokers have had the oldest of them, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<i64>,
    /// Why it is late, if it is.
    pub late: Option<String>,
}

/// The links of a path, from the sources on.
#[must_use]
pub fn links(facts: &PathFacts) -> Vec<Link> {
    let mut links = vec![facts.offline(), facts.upload(), facts.kv()];
    links.extend(facts.stream.as_ref().map(|stream| facts.stream(stream)));
    links.extend(facts.consistency.map(|newest| facts.consistency(newest)));
    links
}

impl PathFacts {
    fn link(&self, link: &'static str, day: Option<Ds>, late: Option<String>) -> Link {
        let at = day.map(|day| day.plus(1).start_millis());
        Link {
            link,
            day,
            at,
            age: at.map(|at| (self.now - at) / 1_000),
            late,
            ..Link::default()
        }
    }

    fn offline(&self) -> Link {
        let late = match (self.offline, self.due) {
            (None, Some(_)) => Some("no day has all its sources".to_owned()),
            (Some(offline), Some(due)) if offline < due => {
                Some(format!("the sources of {due} are not there"))
            }
            _ => None,
        };
        self.link("offline", self.offline, late)
    }

    fn upload(&self) -> Link {
        let behind = self.due.is_some() && self.upload < self.offline;
        let late = self.offline.filter(|_| behind);
        let late = late.map(|offline| format!("{offline} is not uploaded"));
        // A loader elsewhere serves no newer batch than this.
        let batch = match self.kv_here {
            true => None,
            false => self.batch(self.upload),
        };
        self.link("upload", self.upload, late.or(batch))
    }

    fn kv(&self) -> Link {
        if !self.kv_here {
            return self.link("kv", self.kv, None);
        }
        let behind = self.upload.filter(|_| self.kv < self.upload);
        let behind = behind.map(|upload| format!("{upload} is not loaded"));
        self.link("kv", self.kv, self.batch(self.kv).or(behind))
    }

    /// Why a batch is late: it is old, and a newer one is due.
    fn batch(&self, day: Option<Ds>) -> Option<String> {
        let end = day?.plus(1).start_millis();
        let age = self.now - end;
        if age <= BATCH_LATE || self.due.is_some_and(|due| day >= Some(due)) {
            return None;
        }
        let hours = age / HOUR;
        Some(match age > FETCHER_WARNS {
            true => format!("the batch ended {hours}h ago: Chronon's fetcher warns"),
            false => format!("the batch ended {hours}h ago; Chronon's fetcher warns after 48h"),
        })
    }

    fn stream(&self, stream: &StreamFacts) -> Link {
        let behind = stream.lag_millis.filter(|lag| *lag > stream.late_after);
        let behind = behind.map(|lag| format!("{} behind its topic", age_text(lag / 1_000)));
        Link {
            link: "stream",
            at: stream.progress_at,
            age: stream.progress_at.map(|at| (self.now - at) / 1_000),
            rows_per_second: stream.rows_per_second,
            lag_records: stream.lag_records,
            lag_seconds: stream.lag_millis.map(|lag| lag / 1_000),
            late: stream.trouble.clone().or(behind),
            ..Link::default()
        }
    }

    fn consistency(&self, newest: Option<Ds>) -> Link {
        let late = match (newest, self.offline) {
            (None, _) => Some("nothing was compared".to_owned()),
            (Some(newest), Some(offline)) if newest.plus(COMPARED_LATE) < offline => {
                Some(format!("compared up to {newest}"))
            }
            _ => None,
        };
        self.link("consistency", newest, late)
    }
}

impl Link {
    /// Its age, what a stream does, and a mark where it is late.
    #[must_use]
    pub fn text(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.age.filter(|age| *age >= 0).map(age_text));
        words.extend(self.rows_per_second.map(|rate| format!("{rate:.1} rows/s")));
        words.extend(
            self.lag_records
                .map(|records| format!("lag {records} records")),
        );
        let lag = self.lag_seconds.filter(|_| self.lag_records != Some(0));
        words.extend(lag.map(|seconds| format!("lag {}", age_text(seconds))));
        words.extend(self.late.as_ref().map(|_| "LATE".to_owned()));
        match words.is_empty() {
            true => String::new(),
            false => format!(" ({})", words.join(", ")),
        }
    }
}

/// `5m`, `30h`, `6d`.
fn age_text(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Option<Ds> {
        Some(text.parse().unwrap())
    }

    fn facts() -> PathFacts {
        let thirtieth = day("2026-01-30");
        PathFacts {
            now: day("2026-01-31").unwrap().start_millis() + HOUR,
            offline: thirtieth,
            upload: thirtieth,
            kv: thirtieth,
            kv_here: true,
            due: thirtieth,
            stream: None,
            consistency: Some(thirtieth),
        }
    }

    fn late(facts: &PathFacts) -> Vec<String> {
        let late = links(facts).into_iter();
        late.filter_map(|link| Some(format!("{}: {}", link.link, link.late?)))
            .collect()
    }

    #[test]
    fn nothing_is_late_that_has_come_to_the_day_that_is_due() {
        assert!(late(&facts()).is_empty());
        assert_eq!(links(&facts())[2].age, Some(3_600));
        assert_eq!(links(&facts())[2].text(), " (60m)");
    }

    #[test]
    fn a_batch_is_late_before_the_fetcher_warns() {
        let at = |hours: i64, due: &str| {
            let facts = PathFacts {
                now: day("2026-01-31").unwrap().start_millis() + hours * HOUR,
                due: day(due),
                ..facts()
            };
            late(&facts).into_iter().find(|late| late.starts_with("kv"))
        };
        assert_eq!(at(36, "2026-01-31"), None);
        assert_eq!(
            at(37, "2026-01-31").unwrap(),
            "kv: the batch ended 37h ago; Chronon's fetcher warns after 48h"
        );
        assert!(
            at(49, "2026-02-01")
                .unwrap()
                .ends_with("49h ago: Chronon's fetcher warns")
        );
        // Of a weekly upload nothing newer is due.
        assert_eq!(at(49, "2026-01-30"), None);
        // Loaded elsewhere: no newer batch than the upload is served.
        let elsewhere = PathFacts {
            now: day("2026-02-02").unwrap().start_millis(),
            due: day("2026-02-01"),
            kv_here: false,
            kv: None,
            ..facts()
        };
        assert!(late(&elsewhere).contains(
            &"upload: the batch ended 48h ago; Chronon's fetcher warns after 48h".to_owned()
        ));
    }

    #[test]
    fn each_link_names_what_it_lacks() {
        let facts = PathFacts {
            offline: day("2026-01-29"),
            upload: day("2026-01-28"),
            kv: day("2026-01-27"),
            stream: Some(StreamFacts {
                progress_at: Some(facts().now - 5_000),
                rows_per_second: Some(8.5),
                lag_records: Some(7),
                lag_millis: Some(61_000),
                late_after: 60_000,
                trouble: None,
            }),
            consistency: Some(day("2026-01-25")),
            ..facts()
        };
        assert_eq!(
            late(&facts),
            [
                "offline: the sources of 2026-01-30 are not there",
                "upload: 2026-01-29 is not uploaded",
                "kv: the batch ended 73h ago: Chronon's fetcher warns",
                "stream: 61s behind its topic",
                "consistency: compared up to 2026-01-25",
            ]
        );
        assert_eq!(
            links(&facts)[3].text(),
            " (5s, 8.5 rows/s, lag 7 records, lag 61s, LATE)"
        );
    }
}
