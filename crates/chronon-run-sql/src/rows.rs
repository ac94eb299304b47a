//! Whether a day that an exit 0 left without a partition should have had one: a script that counts
//! the rows that it would be made of. A day without any is legitimately empty (§5.2), a day with
//! rows was lost.

use std::{collections::BTreeMap, fmt::Write as _};

use chronon_run_conf::{DataModel, GroupBy, Join, LabelPart, OfflinePart};
use chronon_run_core::{AssetKind, Ds, PartitionRange, RangeSet, TableName};

use super::{
    Conf, Request,
    day::DayColumn,
    join::without_skew,
    source::{self, Reach, Scan, Span},
    staging,
    text::{ident, indent, printed_lines, text},
    usage::takes_key_filter,
};
use crate::Refusal;

/// What every line of an answer begins with.
const ANSWER: &str = "chronon-run-rows";
/// Follows the last answer.
const DONE: &str = "chronon-run-rows-done";

/// The script that counts, for each day of `days`, the rows that the step would be made of.
/// `None` for steps where counting does not tell.
///
/// Its first lines are `-- rows: <day> <table> <days>`, one for each day and table that is counted.
///
/// # Errors
/// Why the rows cannot be counted, e.g. a macro that cannot be resolved.
pub fn count_rows(request: &Request<'_>, days: &RangeSet) -> Result<Option<String>, Refusal> {
    let mut counts = Counts::default();
    let counted = match (request.conf, request.mode) {
        (Conf::StagingQuery(conf), AssetKind::Backfill) if conf.create_view != Some(true) => {
            counts.setups(conf.setups.iter().flatten());
            counts.staging_query(request, conf, days)
        }
        (Conf::GroupBy(conf), AssetKind::Backfill) => {
            counts.setups_of(conf);
            days.iter()
                .try_for_each(|day| counts.group_by(request, conf, day, 0, &None, day))
        }
        (Conf::Join(conf), AssetKind::Backfill | AssetKind::Left | AssetKind::Final) => {
            counts.setups(conf.left.query().setups.iter().flatten());
            days.iter()
                .try_for_each(|day| counts.left(request, conf, day))
        }
        (Conf::Join(conf), AssetKind::Part(name)) => {
            let Some(part) = conf.offline_parts().find(|part| part.full_prefix == *name) else {
                return Ok(None);
            };
            counts.setups_of(part.group_by);
            days.iter()
                .try_for_each(|day| counts.part(request, conf, &part, day))
        }
        (Conf::Join(conf), AssetKind::LabelJoin) => match &conf.label_part {
            Some(labels) => days
                .iter()
                .try_for_each(|day| counts.labels(request, conf, labels, day)),
            None => return Ok(None),
        },
        (Conf::Join(conf), AssetKind::StatsSummary) => counts.summarized(request, conf, "", days),
        (Conf::Join(conf), AssetKind::LogSummary) => {
            counts.summarized(request, conf, "_logged", days)
        }
        _ => return Ok(None),
    };
    counted.map_err(|(field, why)| Refusal {
        conf: request.conf.meta().name.clone(),
        field,
        why,
    })?;
    Ok(Some(counts.finish()))
}

/// The script that tells the day of an upload and how many rows it has, without the row of serving
/// information (§4.6). An answer's day is the newest of the table's column `ds`.
#[must_use]
pub fn count_upload(table: &TableName) -> String {
    let mut counts = Counts::default();
    let _ = writeln!(counts.head, "-- upload: {table}");
    counts.queries.push(format!(
        "SELECT CONCAT('{ANSWER} ', CAST(MAX(ds) AS STRING), ' ', CAST(SUM(CASE WHEN key_json <=> 'group_by_serving_info' THEN 0 ELSE 1 END) AS STRING))\nFROM {table}"
    ));
    counts.finish()
}

/// The counts in what a script printed, or `None` if it did not come to its end.
#[must_use]
pub fn parse_counts(log: &str) -> Option<BTreeMap<Ds, u64>> {
    let mut counts = BTreeMap::new();
    let mut done = false;
    for line in printed_lines(log) {
        if line == DONE {
            done = true;
        }
        let mut words = line.split(' ');
        if words.next() != Some(ANSWER) {
            continue;
        }
        if let (Some(Ok(day)), Some(Ok(rows))) = (
            words.next().map(str::parse::<Ds>),
            words.next().map(str::parse::<u64>),
        ) {
            *counts.entry(day).or_insert(0) += rows;
        }
    }
    done.then_some(counts)
}

/// The script under construction.
#[derive(Default)]
struct Counts {
    /// Which table's days are counted for which day, as comments.
    head: String,
    setups: Vec<String>,
    queries: Vec<String>,
}

/// Field and why.
type Counted = Result<(), (String, String)>;

impl Counts {
    fn setups<'a>(&mut self, setups: impl Iterator<Item = &'a String>) {
        let trimmed = setups.map(|setup| setup.trim().trim_end_matches(';').to_owned());
        self.setups.extend(trimmed);
    }

    fn setups_of(&mut self, conf: &GroupBy) {
        for source in &conf.sources {
            self.setups(source.query().setups.iter().flatten());
        }
    }

    fn tells(&mut self, day: Ds, table: &TableName, days: &RangeSet) {
        let _ = writeln!(self.head, "-- rows: {day} {table} {days}");
    }

    /// Adds the number of rows of `rows`, a query, to what is said of `day`.
    fn add(&mut self, day: Ds, rows: &str, condition: &str) {
        self.queries.push(format!(
            "SELECT CONCAT('{ANSWER} {day} ', CAST(COUNT(*) AS STRING))\nFROM (\n  {}\n){condition}",
            indent(rows, 2)
        ));
    }

    fn finish(self) -> String {
        let mut script = self.head;
        for statement in self.setups.iter().chain(&self.queries) {
            let _ = write!(script, "\n{statement}\n;\n");
        }
        let _ = write!(script, "\nSELECT '{DONE}';\n");
        script
    }

    fn staging_query(
        &mut self,
        request: &Request<'_>,
        conf: &chronon_run_conf::StagingQuery,
        days: &RangeSet,
    ) -> Counted {
        let query = staging::substitute(request, conf).map_err(|why| ("query".to_owned(), why))?;
        let ds = ident(request.partition_column);
        let inputs: Vec<TableName> = (conf.meta_data.dependencies.iter().flatten())
            .filter_map(|text| text.split('/').next()?.trim().parse().ok())
            .collect();
        for day in days.iter() {
            for table in inputs.iter().take(1) {
                self.tells(day, table, &PartitionRange::day(day).into());
            }
            self.add(
                day,
                &query,
                &format!("\nWHERE {ds} = {}", text(&day.to_string())),
            );
        }
        Ok(())
    }

    /// The left rows of a day, as the bootstrap table gets them.
    fn left(&mut self, request: &Request<'_>, conf: &Join, day: Ds) -> Counted {
        let table = conf.left.table();
        let table = table
            .map_err(|error| ("left.table".to_owned(), error.to_string()))?
            .table;
        let ds = request.partition_column;
        let span = Span::Days(PartitionRange::day(day));
        let scan = Scan::of(&conf.left, &table, span, Reach::Span, request.tables, ds)
            .map_err(|why| ("left".to_owned(), why))?;
        let query = conf.left.query();
        let partition = DayColumn::of(query, &table, request.tables, ds);
        let implicit = source::implicit(&partition, ds, None);
        let (sql, _) = source::select(query, &table, &implicit, &scan, request.tables);
        self.tells(day, &table, &PartitionRange::day(day).into());
        self.add(day, &sql, &without_skew(conf));
        Ok(())
    }

    /// The rows that the values of `day` are made of: of the days that the aggregations reach, ending
    /// `end` days after it, with a key and an input. With `left`, only those whose keys the left has.
    fn group_by(
        &mut self,
        request: &Request<'_>,
        conf: &GroupBy,
        day: Ds,
        end: i32,
        left: &Option<LeftKeys>,
        told: Ds,
    ) -> Counted {
        let last = day.plus(end);
        let events = conf.data_model() == DataModel::Events;
        let (reach, back) = match (events, conf.max_window_days()) {
            (false, _) => (Reach::Span, Some(0)),
            (true, None) => (Reach::Back(None), None),
            (true, Some(days)) => (Reach::Back(Some(days - 1)), Some(days - 1)),
        };
        let span = Span::Days(PartitionRange::day(last));
        let ds = request.partition_column;
        let rows = source::rows(conf, span, reach, request.tables, ds)?;
        for source in &conf.sources {
            if let Ok(spec) = source.table() {
                let column = source.query().partition_column.as_deref().unwrap_or(ds);
                let known = request.tables.days(&spec.table, column, &[]).first();
                let first = back.map_or(known.unwrap_or(last), |back| last.plus(-back));
                let days = PartitionRange::new(first.min(last), last);
                self.tells(told, &spec.table, &days.into());
            }
        }
        let any = |columns: Vec<String>| match columns.is_empty() {
            true => "TRUE".to_owned(),
            false => format!("COALESCE({}) IS NOT NULL", columns.join(", ")),
        };
        let as_text = |column: &String| format!("CAST({} AS STRING)", ident(column));
        let keys = any(conf.key_columns.iter().map(as_text).collect());
        let inputs = conf.aggregations.iter().flatten();
        let inputs: Vec<String> = inputs
            .filter(|_| events)
            .map(|aggregation| {
                format!("IF({} IS NULL, NULL, '')", ident(&aggregation.input_column))
            })
            .collect();
        let mut condition = format!("\nWHERE {keys} AND {}", any(inputs));
        if let Some(left) = left {
            let _ = write!(condition, " AND {}", left.has(&conf.key_columns));
        }
        self.add(told, &rows.sql, &condition);
        Ok(())
    }

    /// A part has rows where the left has keys that its sources know, or, point in time, any keys.
    /// Rows of the left that bootstraps have filled count as done without it (§6).
    fn part(
        &mut self,
        request: &Request<'_>,
        conf: &Join,
        part: &OfflinePart<'_>,
        day: Ds,
    ) -> Counted {
        let output = conf.meta_data.output_table();
        let bootstrap = output
            .map_err(|error| ("metaData.outputNamespace".to_owned(), error.to_string()))?
            .suffixed("_bootstrap");
        let events = conf.left.data_model() == DataModel::Events;
        let temporal = part.group_by.accuracy() == chronon_run_conf::Accuracy::Temporal;
        // Rows whose time is on another day need other partitions.
        let own_time = events && !temporal;
        let left = LeftKeys::of(
            &bootstrap,
            conf,
            part,
            day,
            request.partition_column,
            own_time,
        );
        if events && temporal {
            self.tells(day, &bootstrap, &PartitionRange::day(day).into());
            self.add(day, &left.sql, "");
            return Ok(());
        }
        let end = if events { -1 } else { 0 };
        let left = takes_key_filter(part.group_by).then_some(left);
        self.group_by(request, part.group_by, day, end, &left, day)
    }

    /// The rows of a join's table that are summarized for a day: those of the step's partitions whose time
    /// is on the day, because statistics are partitioned by it (§10.23). The Driver samples them (§2.2), so
    /// that a day with rows may have no statistics.
    fn summarized(
        &mut self,
        request: &Request<'_>,
        conf: &Join,
        suffix: &str,
        days: &RangeSet,
    ) -> Counted {
        let output = conf.meta_data.output_table();
        let table = output
            .map_err(|error| ("metaData.outputNamespace".to_owned(), error.to_string()))?
            .suffixed(suffix);
        let ds = ident(request.partition_column);
        let timed = match request.tables.table(&table) {
            Some(state) => state.info.columns.iter().any(|column| column.name == "ts"),
            None => conf.left.data_model() == DataModel::Events,
        };
        let (first, last) = (request.range.start, request.range.end);
        for day in days.iter() {
            let own = match timed {
                true => {
                    let (from, to) = (day.epoch_days(), day.plus(1).epoch_days());
                    format!("ts >= {from} * 86400000L AND ts < {to} * 86400000L")
                }
                false => format!("{ds} = {}", text(&day.to_string())),
            };
            self.tells(day, &table, &request.range.into());
            let rows = format!(
                "SELECT 1 FROM {table} WHERE {ds} BETWEEN {} AND {} AND {own}",
                text(&first.to_string()),
                text(&last.to_string())
            );
            self.add(day, &rows, "");
        }
        Ok(())
    }

    /// Labels of a day need both left rows and label rows.
    fn labels(
        &mut self,
        request: &Request<'_>,
        conf: &Join,
        labels: &LabelPart,
        day: Ds,
    ) -> Counted {
        let back = |offset: Option<i32>| day.plus(1 - offset.unwrap_or(1));
        let left_days =
            PartitionRange::new(back(labels.left_start_offset), back(labels.left_end_offset));
        let Some(left_days) = left_days else {
            return Ok(());
        };
        let mut left = Self::default();
        for left_day in left_days.iter() {
            left.left(request, conf, left_day)?;
        }
        let mut right = Self::default();
        for label in &labels.labels {
            self.setups_of(&label.group_by);
            right.group_by(request, &label.group_by, day, 0, &None, day)?;
        }
        self.setups(conf.left.query().setups.iter().flatten());
        for line in left.head.lines().chain(right.head.lines()) {
            let mut words = line.splitn(4, ' ');
            let table = words.nth(3);
            let _ = writeln!(self.head, "-- labels: {day} {}", table.unwrap_or_default());
        }
        let found = |queries: &[String]| -> String {
            let rows = queries.iter().filter_map(|query| {
                let (_, from) = query.split_once("FROM (")?;
                // `from` closes the inner query itself.
                Some(format!("(SELECT COUNT(*) FROM ({from}\n)"))
            });
            rows.collect::<Vec<_>>().join(" + ")
        };
        self.queries.push(format!(
            "SELECT CONCAT('{ANSWER} {day} ', CAST(LEAST({},\n  {}) AS STRING))",
            found(&left.queries),
            found(&right.queries)
        ));
        Ok(())
    }
}

/// The keys of a part that the left rows of a day have.
struct LeftKeys {
    sql: String,
    /// Left column of each key, by key.
    columns: BTreeMap<String, String>,
}

impl LeftKeys {
    /// The keys of the rows of `day`; with `own_time`, only of those whose time is on that day.
    fn of(
        bootstrap: &TableName,
        conf: &Join,
        part: &OfflinePart<'_>,
        day: Ds,
        ds: &str,
        own_time: bool,
    ) -> Self {
        let owned = |(key, left): (&str, &str)| (key.to_owned(), left.to_owned());
        let columns: BTreeMap<String, String> = part.left_columns().map(owned).collect();
        let day = text(&day.to_string());
        let mut conditions = vec![format!("{} = {day}", ident(ds))];
        conditions.extend(own_time.then(|| format!("ts_ds = {day}")));
        conditions.extend(
            columns
                .values()
                .map(|column| format!("{} IS NOT NULL", ident(column))),
        );
        if conf
            .bootstrap_parts
            .as_ref()
            .is_some_and(|parts| !parts.is_empty())
        {
            conditions.push("COALESCE(SIZE(matched_hashes), 0) <= 0".to_owned());
        }
        let names: Vec<String> = columns.values().map(|column| ident(column)).collect();
        let sql = format!(
            "SELECT {}\nFROM {bootstrap}\nWHERE {}",
            names.join(", "),
            conditions.join(" AND ")
        );
        Self { sql, columns }
    }

    /// The condition that the left has a row's keys; types may differ.
    fn has(&self, keys: &[String]) -> String {
        let tuple = |names: Vec<String>| {
            let cast = names
                .iter()
                .map(|name| format!("CAST({} AS STRING)", ident(name)));
            cast.collect::<Vec<_>>().join(", ")
        };
        let left = keys.iter().filter_map(|key| self.columns.get(key).cloned());
        format!(
            "({}) IN (\n  SELECT {} FROM (\n  {}\n))",
            tuple(keys.to_vec()),
            tuple(left.collect()),
            indent(&self.sql, 2)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What counts 2026-01-30 for a step of a join that begins on `first` and ends with that day.
    fn script_of_last_day(step: &AssetKind, first: &str) -> String {
        let root = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/golden/a/repo/production"
        );
        let text = std::fs::read_to_string(format!("{root}/joins/stays/search_boot.v1")).unwrap();
        let join: Join = serde_json::from_str(&text).unwrap();
        let day: Ds = "2026-01-30".parse().unwrap();
        let request = Request {
            conf: Conf::Join(&join),
            mode: step,
            range: PartitionRange::new(first.parse().unwrap(), day).unwrap(),
            latest_date: day,
            partition_column: "ds",
            tables: &chronon_run_core::CatalogSnapshot::default(),
        };
        let days = RangeSet::from(PartitionRange::day(day));
        count_rows(&request, &days).unwrap().unwrap()
    }

    /// The label's own query and the left's are counted in one row, and every parenthesis is closed.
    #[test]
    fn labels_need_both_sides() {
        let script = script_of_last_day(&AssetKind::LabelJoin, "2026-01-30");
        let depth = script.chars().fold(0_i32, |depth, c| match c {
            '(' => depth + 1,
            ')' => depth - 1,
            _ => depth,
        });
        assert_eq!(depth, 0, "{script}");
        assert!(
            script.starts_with("-- labels: 2026-01-30 lake.searches "),
            "{script}"
        );
        assert!(script.contains("CAST(LEAST((SELECT COUNT(*)"), "{script}");
    }

    /// Statistics are made of a sample, so all rows are counted before a day is taken for empty.
    #[test]
    fn statistics_are_counted_by_the_day_of_the_rows_time() {
        let script = script_of_last_day(&AssetKind::StatsSummary, "2026-01-28");
        insta::assert_snapshot!(script);
    }

    #[test]
    fn counts_are_believed_only_when_the_script_came_to_its_end() {
        let log = "Spark …\nchronon-run-rows 2026-01-05 0\nTime taken\nchronon-run-rows 2026-01-06 2\n\r[Stage 1:>  (0 + 1) / 1]\r    \rchronon-run-rows 2026-01-06 3\n";
        assert_eq!(parse_counts(log), None);
        let counts = parse_counts(&format!("{log}chronon-run-rows-done\n")).unwrap();
        let counts: Vec<_> = counts
            .iter()
            .map(|(day, rows)| (day.to_string(), *rows))
            .collect();
        assert_eq!(
            counts,
            [("2026-01-05".to_owned(), 0), ("2026-01-06".to_owned(), 5)]
        );
    }
}
