//! The events of a query among the lines of its app's log.

use std::collections::BTreeSet;

use chronon_run_core::secret::mask_text;
use serde::{Deserialize, Serialize};

use super::progress::{Arrivals, Progress};

/// The number of queries of one app that are distinguished; Chronon starts one.
const QUERIES: usize = 64;
/// A report that is longer is counted and not read.
const REPORT: usize = 1 << 20;
/// After an exception of `main`, its causes are looked for in so many lines.
const TRACE: u32 = 2_000;
/// Characters of an exception that are kept.
const MESSAGE: usize = 400;

const STARTED: &str = "Query started: ";
const TERMINATED: &str = "Query terminated: ";
const PROGRESS: &str = "uery made progress: ";
const IDLE: &str = "query has been idle";
const MAIN_DIED: &str = "Exception in thread \"main\" ";

/// What is known of an app from its log.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AppLog {
    /// Queries that have started and not ended.
    active: BTreeSet<String>,
    /// Whether a query has ended, and none was started since.
    ended: bool,
    /// Whether the log has any line about a query.
    pub speaks: bool,
    /// The exception that ended `main`.
    exception: Option<String>,
    /// Its innermost cause.
    cause: Option<String>,
    /// Lines in which causes are still looked for.
    trace: u32,
    /// The last report.
    pub progress: Option<Progress>,
    /// When the last sign of life was made, in milliseconds since the epoch.
    pub alive_at: Option<i64>,
    /// When the last report with rows was made.
    pub rows_at: Option<i64>,
    /// How many reports there were.
    pub reports: u64,
    arrivals: Arrivals,
    /// The lines of a report that is not complete.
    #[serde(skip)]
    report: Option<String>,
}

impl AppLog {
    /// Reads the next line, which was seen at `now`; the app was started at `started`. Both are
    /// milliseconds since the epoch.
    pub(super) fn line(&mut self, line: &str, now: i64, started: i64) {
        if self.report.is_some() {
            self.report_line(line, now, started);
        } else if let Some((_, text)) = line.split_once(PROGRESS) {
            self.begin_report(text, now, started);
        } else if let Some((_, id)) = line.split_once(STARTED) {
            self.query_started(id.trim(), now);
        } else if let Some((_, id)) = line.split_once(TERMINATED) {
            self.speaks = true;
            self.active.remove(id.trim());
            self.ended = self.active.is_empty();
        } else if line.contains(IDLE) {
            self.speaks = true;
            self.alive_at = Some(now);
        } else if let Some((_, exception)) = line.split_once(MAIN_DIED) {
            self.exception = Some(shortened(exception));
            self.cause = None;
            self.trace = TRACE;
        } else if self.trace > 0 {
            self.trace -= 1;
            if let Some(cause) = line.trim_start().strip_prefix("Caused by: ") {
                self.cause = Some(shortened(cause));
            }
        }
    }

    /// Whether the next line says nothing unless it has one of the words that are looked for.
    pub(super) fn is_between_events(&self) -> bool {
        self.report.is_none() && self.trace == 0
    }

    /// Whether a report is being read.
    pub(super) fn is_in_report(&self) -> bool {
        self.report.is_some()
    }

    /// Gives up the report that is being read; it will be read again from its first line.
    pub(super) fn forget_report(&mut self) {
        self.report = None;
    }

    fn query_started(&mut self, id: &str, now: i64) {
        self.speaks = true;
        self.ended = false;
        self.exception = None;
        self.cause = None;
        self.trace = 0;
        self.alive_at = Some(now);
        if self.active.len() < QUERIES {
            self.active.insert(id.to_owned());
        }
    }

    fn begin_report(&mut self, text: &str, now: i64, started: i64) {
        match text.trim_end() {
            "{" => self.report = Some("{".to_owned()),
            text => self.finish_report(text, now, started),
        }
    }

    fn report_line(&mut self, line: &str, now: i64, started: i64) {
        // The line of another report: what ended this one was lost.
        if let Some((_, text)) = line.split_once(PROGRESS) {
            self.report = None;
            self.finish_report("", now, started);
            return self.begin_report(text, now, started);
        }
        let Some(report) = &mut self.report else {
            return;
        };
        report.push('\n');
        report.push_str(line);
        if line.trim_end() == "}" || report.len() > REPORT {
            let text = self.report.take().unwrap_or_default();
            self.finish_report(&text, now, started);
        }
    }

    /// A report that cannot be read is progress all the same.
    fn finish_report(&mut self, text: &str, now: i64, started: i64) {
        self.speaks = true;
        self.reports += 1;
        let mut progress = Progress::parse(text).unwrap_or_default();
        // A clock that is another one, or lines that were copied, say nothing about today.
        let plausible = |at: &i64| (started - MINUTE..=now + MINUTE).contains(at);
        let at = progress.at.filter(plausible).unwrap_or(now);
        progress.at = Some(at);
        progress.lag.millis = self.arrivals.age(text, at);
        if progress.rows.is_some_and(|rows| rows > 0) {
            self.rows_at = Some(at);
        }
        self.alive_at = self.alive_at.max(Some(at));
        self.ended = false;
        self.progress = Some(progress);
    }
}

const MINUTE: i64 = 60_000;

fn shortened(text: &str) -> String {
    mask_text(text).trim().chars().take(MESSAGE).collect()
}

/// How an app whose process lives is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Liveness {
    /// Its log says nothing of queries, and need not.
    Unknown,
    /// It makes progress, or has had no time to.
    Alive,
    /// It has made no progress since then, in milliseconds since the epoch.
    Stalled {
        /// The last sign of life: progress, the start of the query, or that of the app.
        since: i64,
    },
    /// Its query is over; what is left of it does nothing.
    Over {
        /// The exception that ended it, or that it was terminated.
        why: String,
    },
}

/// What decides besides the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Now, in milliseconds since the epoch.
    pub now: i64,
    /// When the app was started.
    pub started: i64,
    /// After so many milliseconds without progress it is stalled.
    pub stalled_after: i64,
    /// Whether it prints the lines of a query for certain: an app that has printed none may be silent.
    pub prints: bool,
}

/// How an app whose process lives is.
#[must_use]
pub fn judge(log: &AppLog, facts: Facts) -> Liveness {
    if let Some(exception) = &log.exception {
        let why = match &log.cause {
            Some(cause) if !exception.contains(cause.as_str()) => {
                format!("{exception}; caused by {cause}")
            }
            _ => exception.clone(),
        };
        return Liveness::Over { why };
    }
    if log.ended {
        let why = "the query was terminated, and no exception was printed".to_owned();
        return Liveness::Over { why };
    }
    if !log.speaks && !facts.prints {
        return Liveness::Unknown;
    }
    let since = log
        .alive_at
        .map_or(facts.started, |at| at.max(facts.started));
    match facts.now.saturating_sub(since) > facts.stalled_after {
        true => Liveness::Stalled { since },
        false => Liveness::Alive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streaming::progress::tests::report;

    const NOW: i64 = 1_769_817_700_000;

    fn read(text: &str) -> AppLog {
        let mut log = AppLog::default();
        for line in text.lines() {
            log.line(line, NOW, NOW - 3_600_000);
        }
        log
    }

    fn facts(now: i64) -> Facts {
        Facts {
            now,
            started: NOW - 3_600_000,
            stalled_after: 60_000,
            prints: false,
        }
    }

    #[test]
    fn a_query_starts_makes_progress_and_stalls() {
        let report = report(3, "2026-01-31T00:01:00.000Z", 40, 47);
        let log = read(&format!(
            "up\nQuery started: a\nQuery made progress: {report}\nmore\n"
        ));
        assert_eq!(log.progress.as_ref().unwrap().rows, Some(5));
        let at = log.alive_at.unwrap();
        assert_eq!(at, NOW);
        assert_eq!(log.rows_at, Some(1_769_817_660_500));
        assert_eq!(judge(&log, facts(at + 60_000)), Liveness::Alive);
        assert_eq!(
            judge(&log, facts(at + 60_001)),
            Liveness::Stalled { since: at }
        );
        // Spark's own log has a prefix and the same report.
        let spark =
            format!("26/01/31 INFO MicroBatchExecution: Streaming query made progress: {report}");
        assert_eq!(read(&spark).reports, 1);
    }

    #[test]
    fn an_app_that_says_nothing_is_unknown_unless_it_should_speak() {
        let log = read("up\nSELECT query\n");
        assert_eq!(judge(&log, facts(NOW)), Liveness::Unknown);
        let speaks = Facts {
            prints: true,
            ..facts(NOW)
        };
        assert_eq!(
            judge(&log, speaks),
            Liveness::Stalled {
                since: speaks.started
            }
        );
    }

    #[test]
    fn a_terminated_query_is_over_until_another_one_starts() {
        let log = read("Query started: a\nQuery started: b\nQuery terminated: a\n");
        assert_eq!(judge(&log, facts(NOW)), Liveness::Alive);
        let over = "Query started: a\nQuery terminated: a\n";
        assert!(matches!(
            judge(&read(over), facts(NOW)),
            Liveness::Over { .. }
        ));
        let again = format!("{over}Query started: c\n");
        assert_eq!(judge(&read(&again), facts(NOW)), Liveness::Alive);
    }

    #[test]
    fn an_exception_of_main_and_its_innermost_cause_are_quoted() {
        let log = read(
            "Query terminated: a\nException in thread \"main\" org.apache.spark.sql.streaming.StreamingQueryException: Query a failed\n\
             === Streaming Query ===\nIdentifier: [id = a]\n\tat x.y(Z.scala)\n\
             Caused by: java.lang.RuntimeException: outer\n\tat x\n\
             Caused by: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: no such topic\n",
        );
        let Liveness::Over { why } = judge(&log, facts(NOW)) else {
            panic!("{log:?}");
        };
        assert_eq!(
            why,
            "org.apache.spark.sql.streaming.StreamingQueryException: Query a failed; caused by \
             org.apache.kafka.common.errors.UnknownTopicOrPartitionException: no such topic"
        );
    }

    #[test]
    fn a_report_that_is_cut_or_no_json_is_progress_all_the_same() {
        let whole = report(4, "2026-01-31T00:01:00.000Z", 1, 1);
        let cut: String = whole
            .lines()
            .take(5)
            .map(|line| format!("{line}\n"))
            .collect();
        let log = read(&format!(
            "Query made progress: {cut}Query made progress: {whole}\n"
        ));
        assert_eq!((log.reports, log.progress.unwrap().batch), (2, Some(4)));
        let log = read("Query made progress: something else\n");
        assert_eq!((log.reports, log.alive_at), (1, Some(NOW)));
        // A clock of another time is not believed.
        let old = whole.replace("2026-01-31", "2016-01-31");
        assert_eq!(
            read(&format!("Query made progress: {old}\n")).alive_at,
            Some(NOW)
        );
    }

    #[test]
    fn an_idle_query_lives() {
        let log =
            read("Streaming query has been idle and waiting for new data more than 10000 ms.\n");
        assert_eq!(log.alive_at, Some(NOW));
    }
}
