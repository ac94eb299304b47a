//! What the rows of the table of a whole conf must be: sources are read, filtered and selected, then every
//! value is computed from all rows of its key. No SQL is involved.

use std::collections::BTreeMap;

use chronon_run_conf::{
    Aggregation as AggregationConf, DataModel, Derivation, GroupBy, Operation as OperationConf,
    TimeUnit,
};
use chronon_run_core::Ds;
use serde_json::{Value, json};

use super::{
    Aggregation, Answer, DAY, Event, Operation, Window, before, between, end_of,
    expression::{Expression, Row, Unknown},
    is_odd_number,
    mutations::Changes,
    sources::read,
};

pub use super::sources::Tables;

/// A row of a table.
#[derive(Clone, PartialEq, Debug)]
pub struct Expected {
    /// Columns that identify it: keys and day, or the left row.
    pub key: Row,
    /// Every other column.
    pub cells: BTreeMap<String, Answer>,
}

impl Expected {
    /// The row as others read it: the columns whose value is certain.
    #[must_use]
    pub fn row(&self) -> Row {
        let mut row = self.key.clone();
        for (name, answer) in &self.cells {
            if let Answer::Exactly(value) = answer {
                row.insert(name.clone(), value.clone());
            }
        }
        row
    }
}

/// The rows of a GroupBy's table for the days `first..=last`, filled in one step.
///
/// # Errors
/// [`Unknown`] for a conf that the oracle does not understand.
pub fn group_by(
    conf: &GroupBy,
    tables: &Tables,
    first: Ds,
    last: Ds,
) -> Result<Vec<Expected>, Unknown> {
    let (first, last) = (i64::from(first.epoch_days()), i64::from(last.epoch_days()));
    let values = Values::new(conf, tables, first, last)?;
    let mut rows = Vec::new();
    for day in first..=last {
        for (keys, cells) in values.day(day) {
            let mut key: Row = conf.key_columns.iter().cloned().zip(keys).collect();
            key.insert("ds".to_owned(), json!(text(day)));
            rows.push(Expected {
                cells: derived(conf.derivations.as_deref(), &key, cells)?,
                key,
            });
        }
    }
    Ok(rows)
}

/// The columns of a row, by name.
pub(super) type Cells = BTreeMap<String, Answer>;

/// The aggregated or plain values of a GroupBy.
pub(super) struct Values<'a> {
    conf: &'a GroupBy,
    /// Name, input, and how.
    features: Vec<Feature>,
    of_keys: BTreeMap<String, (Vec<Value>, Vec<Event>)>,
    /// Plain columns of a GroupBy without aggregations.
    plain: Vec<String>,
    /// Instead of rows of keys, if entities change within the day.
    changes: Option<Changes>,
}

struct Feature {
    name: String,
    aggregation: Aggregation,
    /// Whether lists and maps are inputs as they are.
    whole: bool,
}

impl<'a> Values<'a> {
    pub(super) fn new(
        conf: &'a GroupBy,
        tables: &Tables,
        first: i64,
        last: i64,
    ) -> Result<Self, Unknown> {
        let features = features(conf)?;
        if let Some(changes) = Changes::of(conf, tables, first, last)? {
            return Ok(Self {
                conf,
                features,
                of_keys: BTreeMap::new(),
                plain: Vec::new(),
                changes: Some(changes),
            });
        }
        let entities = conf.data_model() == DataModel::Entities;
        let from = match entities {
            true => first,
            false => scanned_from(&features, first),
        };
        let mut of_keys: BTreeMap<String, (Vec<Value>, Vec<Event>)> = BTreeMap::new();
        let mut plain = Vec::new();
        for source in &conf.sources {
            for event in read(source, &conf.key_columns, tables, from, last)? {
                let keys: Vec<Value> = (conf.key_columns.iter())
                    .map(|key| event.get(key).clone())
                    .collect();
                if plain.is_empty() {
                    let names = event.columns.keys();
                    let names = names.filter(|name| !conf.key_columns.contains(name));
                    plain = names.cloned().collect();
                }
                if keys.iter().any(|key| !key.is_null()) {
                    let entry = of_keys.entry(json!(keys).to_string());
                    entry.or_insert_with(|| (keys, Vec::new())).1.push(event);
                }
            }
        }
        Ok(Self {
            conf,
            features,
            of_keys,
            plain,
            changes: None,
        })
    }

    /// Leaves out the rows of other keys.
    pub(super) fn retain_keys(&mut self, keep: &dyn Fn(&[Value]) -> bool) {
        self.of_keys.retain(|_, (keys, _)| keep(keys));
        if let Some(changes) = &mut self.changes {
            changes.retain_keys(keep);
        }
    }

    /// Tells that [`Values::instant`] will be asked for.
    pub(super) fn ask(&mut self, keys: &[Value], instant: i64) {
        if let Some(changes) = &mut self.changes {
            changes.ask(keys, instant);
        }
    }

    pub(super) fn nothing(&self) -> Cells {
        let null = || Answer::Exactly(Value::Null);
        let features = self.features.iter().map(|feature| feature.name.clone());
        let names: Vec<String> = match self.features.is_empty() {
            true => self.plain.clone(),
            false => features.collect(),
        };
        names.into_iter().map(|name| (name, null())).collect()
    }

    /// TEMPORAL values just before an instant.
    pub(super) fn instant(&self, keys: &[Value], instant: i64) -> Cells {
        let events = self.of_keys.get(&json!(keys).to_string());
        let events = events.map_or(&[][..], |(_, events)| events.as_slice());
        let cells = self.features.iter().map(|feature| {
            if let Some(changes) = &self.changes {
                let answer = changes.value(keys, instant, &feature.aggregation);
                return (feature.name.clone(), finite(answer));
            }
            let inputs = feature.inputs(events);
            let answer = before(
                &inputs.iter().collect::<Vec<_>>(),
                &feature.aggregation,
                instant,
            );
            (feature.name.clone(), finite(answer))
        });
        cells.collect()
    }

    /// The rows of a key at the end of a day.
    pub(super) fn of_key(&self, keys: &[Value], day: i64) -> Vec<Cells> {
        match self.of_keys.get(&json!(keys).to_string()) {
            Some((_, events)) => self.rows(events, day),
            None => Vec::new(),
        }
    }

    /// All rows at the end of a day.
    pub(super) fn day(&self, day: i64) -> Vec<(Vec<Value>, Cells)> {
        let mut all = Vec::new();
        for (keys, events) in self.of_keys.values() {
            let rows = self.rows(events, day);
            all.extend(rows.into_iter().map(|cells| (keys.clone(), cells)));
        }
        all
    }

    fn rows(&self, events: &[Event], day: i64) -> Vec<Cells> {
        let entities = self.conf.data_model() == DataModel::Entities;
        let of_day = |event: &&Event| !entities || event.partition == day;
        let events: Vec<Event> = events.iter().filter(of_day).cloned().collect();
        if self.features.is_empty() {
            let rows = events.into_iter().map(|event| {
                let cells = self.plain.iter();
                let cells =
                    cells.map(|name| (name.clone(), Answer::Exactly(event.get(name).clone())));
                cells.collect()
            });
            return rows.collect();
        }
        let windowed = self
            .features
            .iter()
            .any(|feature| feature.aggregation.window.is_some());
        let cells = self.features.iter().map(|feature| {
            let inputs = feature.inputs(&events);
            let inputs: Vec<&Event> = inputs.iter().collect();
            let answer = match entities && !windowed {
                true => between(&inputs, &feature.aggregation, None, i64::MAX),
                false => end_of(&inputs, &feature.aggregation, day),
            };
            (feature.name.clone(), finite(answer))
        });
        let cells: Cells = cells.collect();
        let none = cells
            .values()
            .all(|answer| *answer == Answer::Exactly(Value::Null));
        match none && (!entities || events.is_empty()) {
            true => Vec::new(),
            false => vec![cells],
        }
    }
}

/// NaN and infinity are no results of an operation.
fn finite(answer: Answer) -> Answer {
    match answer {
        Answer::Exactly(value) if is_odd_number(&value) => Answer::Exactly(Value::Null),
        Answer::OneOf(values) if values.iter().any(is_odd_number) => {
            let known = values.into_iter().map(|value| match is_odd_number(&value) {
                true => Value::Null,
                false => value,
            });
            finite(Answer::OneOf(known.collect()))
        }
        Answer::OneOf(values) if values.iter().all(|value| *value == values[0]) => {
            Answer::Exactly(values[0].clone())
        }
        answer => answer,
    }
}

impl Feature {
    /// One input per element of a list.
    fn inputs(&self, events: &[Event]) -> Vec<Event> {
        let mut inputs = Vec::new();
        for event in events {
            match event.get(&self.aggregation.input) {
                Value::Array(items) if !self.whole => {
                    for item in items {
                        let mut one = event.clone();
                        one.columns
                            .insert(self.aggregation.input.clone(), item.clone());
                        inputs.push(one);
                    }
                }
                _ => inputs.push(event.clone()),
            }
        }
        inputs
    }
}

/// The first partition that is read: a day and the longest window before the first day; all without one.
fn scanned_from(features: &[Feature], first: i64) -> i64 {
    let lengths: Option<Vec<i64>> = features
        .iter()
        .map(|feature| Some(feature.aggregation.window?.millis()))
        .collect();
    match lengths.filter(|lengths| !lengths.is_empty()) {
        None if features.is_empty() => first,
        None => i64::MIN,
        Some(lengths) => {
            let longest = lengths.into_iter().max().unwrap_or_default();
            ((first - 1) * DAY - longest).div_euclid(DAY)
        }
    }
}

/// Every feature of a GroupBy, with its name.
fn features(conf: &GroupBy) -> Result<Vec<Feature>, Unknown> {
    let mut features = Vec::new();
    for aggregation in conf.aggregations.iter().flatten() {
        let (word, operation) = operation(aggregation)?;
        if aggregation.element_wise == Some(true) {
            return Err(Unknown("elementWise".to_owned()));
        }
        let windows: Vec<Option<Window>> = aggregation
            .windows()
            .map(|window| {
                window.map(|window| match window.time_unit {
                    TimeUnit::Hours => Window::Hours(i64::from(window.length)),
                    TimeUnit::Days => Window::Days(i64::from(window.length)),
                })
            })
            .collect();
        let buckets = aggregation.buckets.iter().flatten().cloned().map(Some);
        let mut buckets: Vec<Option<String>> = buckets.collect();
        if buckets.is_empty() {
            buckets.push(None);
        }
        for window in windows {
            for bucket in &buckets {
                let length = match window {
                    Some(Window::Hours(hours)) => format!("_{hours}h"),
                    Some(Window::Days(days)) => format!("_{days}d"),
                    None => String::new(),
                };
                let by = bucket.as_ref().map(|bucket| format!("_by_{bucket}"));
                let input = &aggregation.input_column;
                features.push(Feature {
                    name: format!("{input}_{word}{length}{}", by.unwrap_or_default()),
                    aggregation: Aggregation {
                        input: input.clone(),
                        operation,
                        window,
                        bucket: bucket.clone(),
                    },
                    whole: matches!(
                        aggregation.operation,
                        OperationConf::First
                            | OperationConf::Last
                            | OperationConf::FirstK
                            | OperationConf::LastK
                    ),
                });
            }
        }
    }
    Ok(features)
}

/// The word in the name, and the operation.
fn operation(aggregation: &AggregationConf) -> Result<(String, Operation), Unknown> {
    let argument = |name: &str| aggregation.arg_map.as_ref()?.get(name).cloned();
    let k = argument("k").and_then(|text| text.parse::<usize>().ok());
    let needed = || k.ok_or_else(|| Unknown("an operation without k".to_owned()));
    let word = |word: &str| word.to_owned();
    Ok(match aggregation.operation {
        OperationConf::Min => (word("min"), Operation::Min),
        OperationConf::Max => (word("max"), Operation::Max),
        OperationConf::First => (word("first"), Operation::First),
        OperationConf::Last => (word("last"), Operation::Last),
        OperationConf::UniqueCount => (word("unique_count"), Operation::UniqueCount),
        OperationConf::ApproxUniqueCount => {
            (word("approx_unique_count"), Operation::ApproxUniqueCount)
        }
        OperationConf::Count => (word("count"), Operation::Count),
        OperationConf::Sum => (word("sum"), Operation::Sum),
        OperationConf::Average => (word("average"), Operation::Average),
        OperationConf::Variance => (word("variance"), Operation::Variance),
        OperationConf::Skew => (word("skew"), Operation::Skew),
        OperationConf::Kurtosis => (word("kurtosis"), Operation::Kurtosis),
        OperationConf::ApproxPercentile => (
            word("approx_percentile"),
            Operation::ApproxPercentile(percents(argument("percentiles"))?),
        ),
        OperationConf::LastK => (format!("last{}", needed()?), Operation::LastK(needed()?)),
        OperationConf::FirstK => (format!("first{}", needed()?), Operation::FirstK(needed()?)),
        OperationConf::TopK => (format!("top{}", needed()?), Operation::TopK(needed()?)),
        OperationConf::BottomK => (
            format!("bottom{}", needed()?),
            Operation::BottomK(needed()?),
        ),
        OperationConf::Histogram => match k.filter(|k| *k > 0) {
            None => (word("histogram"), Operation::Histogram),
            // Those that are as frequent as the last one are undefined there too.
            Some(k) => (word("histogram"), Operation::ApproxHistogram(k)),
        },
        OperationConf::ApproxHistogramK => (
            word("approx_histogram_k"),
            Operation::ApproxHistogram(k.unwrap_or(8)),
        ),
        OperationConf::BoundedUniqueCount => (
            word("bounded_unique_count"),
            Operation::BoundedUniqueCount(k.unwrap_or(8)),
        ),
    })
}

/// `[0.5, 0.99]` as 50 and 99. They live as long as the test.
fn percents(text: Option<String>) -> Result<&'static [u8], Unknown> {
    let Some(text) = text else {
        return Ok(&[50]);
    };
    let unknown = || Unknown(format!("the percentiles {text}"));
    let parts: Vec<f64> = serde_json::from_str(&text).map_err(|_| unknown())?;
    let whole = parts.iter().map(|part| {
        let percent = part * 100.0;
        let near = (percent - percent.round()).abs() < 1e-9 && (0.0..=100.0).contains(&percent);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 100"
        )]
        near.then(|| percent.round() as u8).ok_or_else(unknown)
    });
    let whole: Result<Vec<u8>, Unknown> = whole.collect();
    whole.map(|whole| &*whole.leak())
}

/// The columns after derivations: with `*` all that were there, but for those that are only renamed.
pub(super) fn derived(
    derivations: Option<&[Derivation]>,
    key: &Row,
    cells: Cells,
) -> Result<Cells, Unknown> {
    let Some(all) = derivations.filter(|all| !all.is_empty()) else {
        return Ok(cells);
    };
    let mut found = Cells::new();
    if all.iter().any(|one| one.name == "*") {
        let renamed = |name: &str| {
            all.iter()
                .any(|one| one.name != "*" && one.expression == name)
        };
        let kept = cells.iter().filter(|(name, _)| !renamed(name));
        found.extend(kept.map(|(name, cell)| (name.clone(), cell.clone())));
    }
    for one in all.iter().filter(|one| one.name != "*") {
        let answer = match cells.get(&one.expression) {
            Some(answer) => answer.clone(),
            None => evaluated(&Expression::parse(&one.expression)?, key, &cells)?,
        };
        found.insert(one.name.clone(), answer);
    }
    Ok(found)
}

/// Undefined if one of its columns may be several values.
pub(super) fn evaluated(
    expression: &Expression,
    key: &Row,
    cells: &Cells,
) -> Result<Answer, Unknown> {
    let mut row = key.clone();
    for name in expression.names() {
        match cells.get(name) {
            Some(Answer::Exactly(value)) => drop(row.insert(name.to_owned(), value.clone())),
            Some(_) => return Ok(Answer::Undefined),
            None => {}
        }
    }
    expression.of(&row).map(Answer::Exactly)
}

pub(super) fn text(day: i64) -> String {
    i32::try_from(day).map_or_else(
        |_| day.to_string(),
        |day| Ds::from_epoch_days(day).to_string(),
    )
}

/// What differs between the rows of a table and what they must be.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Comparison {
    /// Cells that were compared.
    pub cells: usize,
    /// Of these, those that may be anything.
    pub undefined: usize,
    /// Of these, those that are not NULL.
    pub filled: usize,
    /// What is wrong, one line for each cell or row.
    pub wrong: Vec<String>,
}

impl Comparison {
    /// Compares a row with the one that is expected, which is called `name`.
    fn add(&mut self, expected: &Expected, found: &Row, name: &str) {
        let is_known = |column: &String| {
            expected.cells.contains_key(column) || expected.key.contains_key(column)
        };
        let more = found.keys().find(|column| !is_known(column));
        let more = more.map(|column| format!("a column too many: {column}"));
        self.wrong.extend(more);
        for (column, answer) in &expected.cells {
            self.cells += 1;
            self.undefined += usize::from(*answer == Answer::Undefined);
            let value = found.get(column);
            self.filled += usize::from(value.is_some_and(|value| !value.is_null()));
            if !value.is_some_and(|value| answer.allows(value)) {
                self.wrong.push(format!(
                    "{column} of {name}: found {value:?}, must be {answer:?}"
                ));
            }
        }
    }
}

/// Compares rows in any order. Rows with the same key are matched with those that they allow.
#[must_use]
pub fn compare(expected: &[Expected], found: &[Row]) -> Comparison {
    let mut result = Comparison::default();
    let mut by_key: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    let Some(first) = expected.first() else {
        result.wrong.extend(
            found
                .iter()
                .map(|row| format!("a row too many: {}", json!(row))),
        );
        return result;
    };
    let name_of = |row: &Row| {
        let key: Row = first
            .key
            .keys()
            .map(|name| (name.clone(), row.get(name).cloned().unwrap_or(Value::Null)))
            .collect();
        json!(key).to_string()
    };
    for row in found {
        by_key.entry(name_of(row)).or_default().push(row);
    }
    for row in expected {
        let name = name_of(&row.key);
        let candidates = by_key.entry(name.clone()).or_default();
        let wrong_cells = |found: &Row| {
            row.cells
                .iter()
                .filter(|(column, answer)| {
                    !found.get(*column).is_some_and(|value| answer.allows(value))
                })
                .count()
        };
        let best = (0..candidates.len()).min_by_key(|at| wrong_cells(candidates[*at]));
        let Some(best) = best else {
            result.wrong.push(format!("no row {name}"));
            continue;
        };
        let best = candidates.swap_remove(best);
        result.add(row, best, &name);
    }
    let left_over = by_key.into_iter().filter(|(_, rows)| !rows.is_empty());
    result
        .wrong
        .extend(left_over.map(|(name, rows)| format!("{} rows too many: {name}", rows.len())));
    result
}

#[cfg(test)]
mod tests {
    use chronon_run_conf::Join;

    use super::*;
    use crate::oracle::joins::join;

    fn row(cells: &[(&str, Value)]) -> Row {
        let cells = cells.iter().cloned();
        cells
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn expected(key: &str, value: i64) -> Expected {
        Expected {
            key: row(&[("k", json!(key))]),
            cells: BTreeMap::from([("v".to_owned(), Answer::Exactly(json!(value)))]),
        }
    }

    #[test]
    fn a_comparison_finds_every_kind_of_difference() {
        let wanted = [expected("a", 1), expected("a", 1), expected("b", 2)];
        let found = |rows: &[(&str, i64)]| -> Vec<Row> {
            let rows = rows.iter();
            rows.map(|(key, value)| row(&[("k", json!(key)), ("v", json!(value))]))
                .collect()
        };
        let wrong = |rows: &[(&str, i64)]| compare(&wanted, &found(rows)).wrong.len();
        assert_eq!(wrong(&[("b", 2), ("a", 1), ("a", 1)]), 0);
        assert_eq!(wrong(&[("b", 2), ("a", 1), ("a", 3)]), 1);
        assert_eq!(wrong(&[("b", 2), ("a", 1)]), 1);
        assert_eq!(wrong(&[("b", 2), ("a", 1), ("a", 1), ("a", 1)]), 1);
        assert_eq!(wrong(&[("b", 2), ("a", 1), ("a", 1), ("c", 1)]), 1);
        let mut more = found(&[("b", 2), ("a", 1), ("a", 1)]);
        more[0].insert("w".to_owned(), json!(1));
        assert_eq!(compare(&wanted, &more).wrong, ["a column too many: w"]);
        assert_eq!(compare(&[], &more).wrong.len(), 3);
    }

    /// A join of early and late left rows with a SNAPSHOT part: the day before the row's time counts.
    #[test]
    fn a_left_row_has_the_values_of_the_day_before_its_time() {
        let conf = json!({
            "metaData": { "name": "t.j.v1", "outputNamespace": "o" },
            "left": { "events": { "table": "s.l", "query": { "selects": { "k": "k" }, "timeColumn": "ts" } } },
            "joinParts": [{ "groupBy": {
                "metaData": { "name": "t.g.v1" }, "keyColumns": ["k"], "accuracy": 1,
                "sources": [{ "events": { "table": "s.e", "query": {
                    "selects": { "k": "k", "v": "v * 2" }, "wheres": ["v > 0"], "timeColumn": "ts" } } }],
                "aggregations": [{ "inputColumn": "v", "operation": 7, "windows": [{ "length": 1, "timeUnit": 1 }] }],
            } }],
        });
        let conf: Join = serde_json::from_value(conf).unwrap();
        let day = |day: i64| json!(text(day));
        let event = |v: i64, at: i64| {
            row(&[
                ("k", json!("a")),
                ("v", json!(v)),
                ("ts", json!(at * DAY)),
                ("ds", day(at)),
            ])
        };
        let left = |at: i64, ds: i64| {
            row(&[
                ("k", json!("a")),
                ("ts", json!(at * DAY + 5)),
                ("ds", day(ds)),
            ])
        };
        let tables = Tables::from([
            (
                "s.e".to_owned(),
                vec![event(1, 10), event(3, 11), event(-9, 11)],
            ),
            (
                "s.l".to_owned(),
                vec![left(11, 12), left(12, 12), left(13, 12)],
            ),
        ]);
        let (first, last) = (Ds::from_epoch_days(12), Ds::from_epoch_days(12));
        let rows = join(&conf, &tables, first, last).unwrap();
        let values: Vec<&Answer> = rows
            .iter()
            .map(|row| &row.cells["t_g_v1_v_sum_1d"])
            .collect();
        let wanted = [json!(2), json!(6), Value::Null].map(Answer::Exactly);
        assert_eq!(values, wanted.iter().collect::<Vec<_>>());
    }
}
