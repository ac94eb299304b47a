//! Whether the rows of a source carry times of the day of their partition: one cheap query for
//! each source, and what its answer means.
//!
//! SNAPSHOT values count rows by their time but scan by partition, so rows that landed in another
//! day's partition count or not depending on how days are cut into steps (engine-semantics 2,
//! hazards 1 to 3).

use chronon_run_core::{Ds, TableSpec};

use chronon_run_sql::{literal, quoted};

/// One source to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The table and its sub-partitions.
    pub spec: TableSpec,
    /// Its partition column.
    pub day_column: String,
    /// Expression of the event time in milliseconds.
    pub time: String,
    /// The partition to look at.
    pub ds: Ds,
}

/// What was seen of one source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sampled {
    /// Rows that were looked at.
    pub rows: u64,
    /// Those whose time is before the day of their partition: they came late.
    pub before: u64,
    /// Those whose time is after it: they came early.
    pub after: u64,
}

/// So many rows of a partition are looked at.
pub const ROWS: u64 = 100_000;

/// What stands before each answer in the output.
const MARK: &str = "chronon-run sample";

/// The query about the sample number `index`. Its answer is one line of text.
#[must_use]
pub fn query(index: usize, sample: &Sample) -> String {
    let column = quoted(&sample.day_column);
    let filters = sample.spec.sub_partitions.iter();
    let filters =
        filters.map(|(name, value)| format!("\n    AND {} = {}", quoted(name), literal(value)));
    format!(
        "SELECT CONCAT_WS(' ', '{MARK}', {index}, COUNT(*),\n  \
         COALESCE(SUM(IF(`day` < '{ds}', 1, 0)), 0), COALESCE(SUM(IF(`day` > '{ds}', 1, 0)), 0))\n\
         FROM (\n  SELECT DATE_FORMAT(TIMESTAMP_MILLIS(CAST({time} AS BIGINT)), 'yyyy-MM-dd') AS `day`\n  \
         FROM {table}\n  WHERE {column} = '{ds}'{filters}\n  LIMIT {ROWS}\n) rows;\n",
        ds = sample.ds,
        time = sample.time,
        table = sample.spec.table,
        filters = filters.collect::<String>(),
    )
}

/// The answers in a log: sample number → what was seen. Queries that failed have none.
#[must_use]
pub fn answers(log: &str) -> Vec<(usize, Sampled)> {
    log.lines().filter_map(answer).collect()
}

fn answer(line: &str) -> Option<(usize, Sampled)> {
    // Progress bars may stand before it on the same line.
    let (_, rest) = line.rsplit_once(MARK)?;
    let mut words = rest.split_whitespace().map(str::parse::<u64>);
    let mut next = || words.next()?.ok();
    let index = usize::try_from(next()?).ok()?;
    let sampled = Sampled {
        rows: next()?,
        before: next()?,
        after: next()?,
    };
    Some((index, sampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_its_answer() {
        let sample = Sample {
            spec: "lake.events/sys=m'x".parse().unwrap(),
            day_column: "ds".to_owned(),
            time: "UNIX_TIMESTAMP(at) * 1000".to_owned(),
            ds: "2026-01-30".parse().unwrap(),
        };
        insta::assert_snapshot!(query(3, &sample), @r"
        SELECT CONCAT_WS(' ', 'chronon-run sample', 3, COUNT(*),
          COALESCE(SUM(IF(`day` < '2026-01-30', 1, 0)), 0), COALESCE(SUM(IF(`day` > '2026-01-30', 1, 0)), 0))
        FROM (
          SELECT DATE_FORMAT(TIMESTAMP_MILLIS(CAST(UNIX_TIMESTAMP(at) * 1000 AS BIGINT)), 'yyyy-MM-dd') AS `day`
          FROM lake.events
          WHERE `ds` = '2026-01-30'
            AND `sys` = 'm\'x'
          LIMIT 100000
        ) rows;
        ");
        let log = "Spark master: local[2], Application Id: local-1\n\
            [Stage 0:>  (0 + 1) / 1]\r      \rchronon-run sample 3 1200 4 0\nTime taken: 1.0 seconds\n\
            Error in query: no such table\nchronon-run sample 5 x\n";
        let seen = Sampled {
            rows: 1200,
            before: 4,
            after: 0,
        };
        assert_eq!(answers(log), [(3, seen)]);
    }
}
