//! What a feature value is, computed the slow and obvious way: look at every event, keep those of
//! the key whose time lies in the window, put them in order, aggregate.
//!
//! The rules are those observed on the real engine. It says where its answer is not defined (which
//! of two events at the same instant comes first), instead of guessing.

mod additions;
pub mod confs;
pub mod expression;
pub mod joins;
pub mod labels;
mod mutations;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Milliseconds of a day.
pub const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

/// A row of the right-hand table.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Its partition, in days since 1970-01-01.
    pub partition: i64,
    /// Milliseconds since 1970-01-01 UTC; a row without counts only where there is no window.
    pub ts: Option<i64>,
    /// Its columns, keys too; absent is NULL.
    pub columns: BTreeMap<String, Value>,
}

impl Event {
    fn get(&self, column: &str) -> &Value {
        self.columns.get(column).unwrap_or(&Value::Null)
    }
}

/// How far back an aggregation looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// Hours.
    Hours(i64),
    /// Days.
    Days(i64),
}

impl Window {
    /// Its length in milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        match self {
            Window::Hours(hours) => hours * HOUR,
            Window::Days(days) => days * DAY,
        }
    }

    /// The grid on which its lower end moves for TEMPORAL accuracy.
    #[must_use]
    pub fn hop(self) -> i64 {
        match self.millis() {
            short if short < 12 * HOUR => 5 * MINUTE,
            middle if middle < 12 * DAY => HOUR,
            _ => DAY,
        }
    }
}

/// What is computed from the inputs in a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "they are Chronon's own names")]
pub enum Operation {
    Min,
    Max,
    First,
    Last,
    UniqueCount,
    /// By a sketch, which does not see empty texts.
    ApproxUniqueCount,
    Count,
    Sum,
    Average,
    Variance,
    LastK(usize),
    FirstK(usize),
    TopK(usize),
    BottomK(usize),
    Histogram,
    BoundedUniqueCount(usize),
    Skew,
    Kurtosis,
    /// Of the percentages; 50 is the median.
    ApproxPercentile(&'static [u8]),
    ApproxHistogram(usize),
}

/// One output column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aggregation {
    /// The column that is aggregated.
    pub input: String,
    /// How.
    pub operation: Operation,
    /// Over which time; `None` is all of it.
    pub window: Option<Window>,
    /// The column by whose values the result is split into a map.
    pub bucket: Option<String>,
}

/// What a value must be.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// This.
    Exactly(Value),
    /// Any of these: events at the same instant have no order.
    OneOf(Vec<Value>),
    /// Cannot be said.
    Undefined,
}

impl Answer {
    /// Whether a found value is right: numbers within 1e-9 of their size, or of 1.
    #[must_use]
    pub fn allows(&self, found: &Value) -> bool {
        match self {
            Answer::Exactly(value) => same(value, found),
            Answer::OneOf(values) => values.iter().any(|value| same(value, found)),
            Answer::Undefined => true,
        }
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            match (left.as_i64(), right.as_i64(), left.as_f64(), right.as_f64()) {
                (Some(left), Some(right), ..) => left == right,
                (_, _, Some(left), Some(right)) => {
                    (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1.0)
                }
                _ => false,
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

/// TEMPORAL accuracy: what was known just before `instant`. An event counts if
/// `floor(floor(instant, 5 min) - window, hop) <= ts < instant`.
#[must_use]
pub fn before(events: &[&Event], aggregation: &Aggregation, instant: i64) -> Answer {
    let from = aggregation
        .window
        .map(|window| floor(floor(instant, 5 * MINUTE) - window.millis(), window.hop()));
    between(events, aggregation, from, instant)
}

/// SNAPSHOT accuracy: what was known at the end of `day` (days since 1970-01-01). An event counts
/// if `end - window <= ts < end`.
#[must_use]
pub fn end_of(events: &[&Event], aggregation: &Aggregation, day: i64) -> Answer {
    let end = (day + 1) * DAY;
    let from = aggregation.window.map(|window| end - window.millis());
    between(events, aggregation, from, end)
}

/// The largest multiple of `step` that is not after `instant`.
fn floor(instant: i64, step: i64) -> i64 {
    instant.div_euclid(step) * step
}

/// Aggregates the events with `from <= ts < to`; without `from` also those that have no time,
/// which come first.
fn between(events: &[&Event], aggregation: &Aggregation, from: Option<i64>, to: i64) -> Answer {
    let inside = |event: &&&Event| match (event.ts, from) {
        (Some(ts), Some(from)) => from <= ts && ts < to,
        (Some(ts), None) => ts < to,
        (None, from) => from.is_none(),
    };
    // NULL is no input to any operation.
    let inputs = events
        .iter()
        .filter(inside)
        .filter(|event| !event.get(&aggregation.input).is_null());
    let inputs: Vec<&Event> = inputs.copied().collect();
    let Some(bucket) = &aggregation.bucket else {
        return aggregate(&inputs, aggregation);
    };
    let names: BTreeSet<&str> = inputs
        .iter()
        .filter_map(|event| event.get(bucket).as_str())
        .collect();
    let mut map = Map::new();
    for name in names {
        let of_bucket = inputs.iter().filter(|event| event.get(bucket) == name);
        match aggregate(&of_bucket.copied().collect::<Vec<_>>(), aggregation) {
            // Too few values for a moment: NaN, which becomes NULL only where it is the whole answer.
            Answer::Exactly(Value::Null) => map.insert(name.to_owned(), json!("NaN")),
            Answer::Exactly(value) => map.insert(name.to_owned(), value),
            Answer::OneOf(_) | Answer::Undefined => return Answer::Undefined,
        };
    }
    Answer::Exactly(if map.is_empty() {
        Value::Null
    } else {
        Value::Object(map)
    })
}

/// Without any input the answer is NULL, whatever the operation.
fn aggregate(inputs: &[&Event], aggregation: &Aggregation) -> Answer {
    if inputs.is_empty() {
        return Answer::Exactly(Value::Null);
    }
    let values: Vec<&Value> = inputs
        .iter()
        .map(|event| event.get(&aggregation.input))
        .collect();
    let timed = || -> Vec<(i64, &Value)> {
        let mut timed: Vec<_> = inputs
            .iter()
            .map(|event| (event.ts.unwrap_or(0), event.get(&aggregation.input)))
            .collect();
        timed.sort_by_key(|(ts, _)| *ts);
        timed
    };
    Answer::Exactly(match aggregation.operation {
        Operation::Count => json!(values.len()),
        Operation::Sum => sum(&values),
        Operation::Average => double(mean(&values)),
        Operation::Variance => {
            let mean = mean(&values);
            let squares = values.iter().map(|value| (number(value) - mean).powi(2));
            double(squares.sum::<f64>() / count(&values))
        }
        Operation::Skew => moment(&values, 3),
        Operation::Kurtosis => moment(&values, 4),
        Operation::ApproxPercentile(percents) => {
            let known = values.iter().copied().filter(|value| !is_nan(value));
            let known: Vec<&Value> = known.collect();
            if known.is_empty() {
                return Answer::Undefined;
            }
            percentiles(&known, percents)
        }
        Operation::ApproxHistogram(k) => return most_frequent(&values, k),
        Operation::TopK(_) | Operation::BottomK(_) if values.iter().any(|value| is_nan(value)) => {
            return Answer::Undefined;
        }
        // One NaN makes the smallest number NaN.
        Operation::Min if values.iter().any(|value| is_nan(value)) => json!("NaN"),
        Operation::Min => sorted(&values)[0].clone(),
        Operation::Max => sorted(&values)[values.len() - 1].clone(),
        Operation::BottomK(k) => sorted(&values).into_iter().take(k).cloned().collect(),
        Operation::TopK(k) => sorted(&values).into_iter().rev().take(k).cloned().collect(),
        Operation::UniqueCount => json!(distinct(&values)),
        Operation::ApproxUniqueCount => {
            let seen = values.iter().copied().filter(|value| **value != json!(""));
            json!(distinct(&seen.collect::<Vec<_>>()))
        }
        Operation::BoundedUniqueCount(bound) => json!(distinct(&values).min(bound)),
        Operation::Histogram => histogram(&values),
        Operation::First => return one_of(&timed()),
        Operation::Last => return one_of(&timed().into_iter().rev().collect::<Vec<_>>()),
        Operation::FirstK(k) => return first(&timed(), k),
        // The newest first.
        Operation::LastK(k) => return first(&timed().into_iter().rev().collect::<Vec<_>>(), k),
    })
}

/// How often each text occurs.
fn histogram(values: &[&Value]) -> Value {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for value in values.iter().filter_map(|value| value.as_str()) {
        *counts.entry(value).or_default() += 1;
    }
    json!(counts)
}

/// Skewness (3) or excess kurtosis (4) of the population; NULL if there are fewer values than that, or
/// all are equal.
fn moment(values: &[&Value], order: u8) -> Value {
    let mean = mean(values);
    let sum = |power: i32| -> f64 {
        let powers = values
            .iter()
            .map(|value| (number(value) - mean).powi(power));
        powers.sum()
    };
    let (n, second) = (count(values), sum(2));
    if values.len() < usize::from(order) || sorted(values)[0] == sorted(values)[values.len() - 1] {
        return Value::Null;
    }
    match order {
        3 => double(n.sqrt() * sum(3) / second.powf(1.5)),
        _ => double(n * sum(4) / (second * second) - 3.0),
    }
}

/// A number as tables of JSON have it.
fn double(value: f64) -> Value {
    match value {
        _ if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        _ => json!(value),
    }
}

fn is_nan(value: &Value) -> bool {
    *value == json!("NaN")
}

/// The elements floor(p·n) of the sorted 32-bit values.
fn percentiles(values: &[&Value], percents: &[u8]) -> Value {
    let sorted = sorted(values);
    let chosen = percents.iter().map(|percent| {
        let at = usize::from(*percent) * sorted.len() / 100;
        let value = number(sorted[at.min(sorted.len() - 1)]);
        // As it is printed.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "that is what the sketch holds"
        )]
        let text = (value as f32).to_string();
        double(text.parse::<f64>().unwrap_or(f64::NAN))
    });
    chosen.collect()
}

/// How often the k most frequent values are there, unless values as frequent as the last of them are not.
fn most_frequent(values: &[&Value], k: usize) -> Answer {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for value in values {
        let name = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        *counts.entry(name).or_default() += 1;
    }
    let mut ordered: Vec<i64> = counts.values().copied().collect();
    ordered.sort_unstable_by_key(|count| -count);
    match (ordered.get(k.max(1) - 1), ordered.get(k)) {
        (Some(last), Some(next)) if last == next => return Answer::Undefined,
        (Some(last), _) => {
            let last = *last;
            counts.retain(|_, count| *count >= last);
        }
        (None, _) => {}
    }
    Answer::Exactly(json!(counts))
}

/// Any of the values that share the first one's instant.
fn one_of(timed: &[(i64, &Value)]) -> Answer {
    let ties = timed.iter().take_while(|(ts, _)| *ts == timed[0].0);
    Answer::OneOf(ties.map(|(_, value)| (*value).clone()).collect())
}

/// The first `k`, unless the order of different values at one instant decides about them.
fn first(timed: &[(i64, &Value)], k: usize) -> Answer {
    let taken = &timed[..k.min(timed.len())];
    let decided = taken.iter().all(|(ts, value)| {
        timed
            .iter()
            .filter(|(other, _)| other == ts)
            .all(|(_, other)| other == value)
    });
    if decided {
        Answer::Exactly(taken.iter().map(|(_, value)| (*value).clone()).collect())
    } else {
        Answer::Undefined
    }
}

/// Whole numbers sum up to a whole number; true is 1.
fn sum(values: &[&Value]) -> Value {
    let number_of = |value: &&Value| value.as_bool().map(i64::from).or_else(|| value.as_i64());
    let whole: Option<Vec<i64>> = values.iter().map(number_of).collect();
    match whole {
        Some(whole) => json!(whole.iter().sum::<i64>()),
        None => double(values.iter().map(|value| number(value)).sum::<f64>()),
    }
}

fn mean(values: &[&Value]) -> f64 {
    values.iter().map(|value| number(value)).sum::<f64>() / count(values)
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn count(values: &[&Value]) -> f64 {
    values.len() as f64
}

fn number(value: &Value) -> f64 {
    let named = || value.as_str().and_then(|text| text.parse::<f64>().ok());
    value.as_f64().or_else(named).unwrap_or(f64::NAN)
}

/// NaN or an infinity.
fn is_odd_number(value: &Value) -> bool {
    ["NaN", "Infinity", "-Infinity"]
        .iter()
        .any(|name| value == name)
}

/// Numbers by size, text by its bytes.
fn sorted<'v>(values: &[&'v Value]) -> Vec<&'v Value> {
    let mut values = values.to_vec();
    let text = |value: &&'v Value| value.as_str().filter(|_| !is_odd_number(value));
    values.sort_by(|left, right| match (text(left), text(right)) {
        (Some(left), Some(right)) => left.cmp(right),
        _ => number(left).total_cmp(&number(right)),
    });
    values
}

fn distinct(values: &[&Value]) -> usize {
    let texts: BTreeSet<String> = values.iter().map(|value| value.to_string()).collect();
    texts.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ts: i64, v: &Value) -> Event {
        Event {
            partition: ts.div_euclid(DAY),
            ts: Some(ts),
            columns: BTreeMap::from([("v".to_owned(), v.clone())]),
        }
    }

    fn aggregation(operation: Operation, window: Option<Window>) -> Aggregation {
        Aggregation {
            input: "v".to_owned(),
            operation,
            window,
            bucket: None,
        }
    }

    fn temporal(ts: i64, window: Window, instant: i64) -> bool {
        let event = event(ts, &json!(1));
        before(
            &[&event],
            &aggregation(Operation::Count, Some(window)),
            instant,
        ) == Answer::Exactly(json!(1))
    }

    /// 2026-01-15 13:47:11.123.
    const T: i64 = 20_468 * DAY + 13 * HOUR + 47 * MINUTE + 11_123;

    #[test]
    fn the_instant_itself_does_not_count() {
        assert!(temporal(T - 1, Window::Hours(1), T));
        assert!(!temporal(T, Window::Hours(1), T));
    }

    #[test]
    fn the_lower_end_moves_on_the_grid_of_the_window() {
        let day = 20_468 * DAY;
        for (window, lowest) in [
            (Window::Hours(1), day + 12 * HOUR + 45 * MINUTE),
            (Window::Hours(11), day + 2 * HOUR + 45 * MINUTE),
            (Window::Hours(12), day + HOUR),
            (Window::Days(11), day - 11 * DAY + 13 * HOUR),
            (Window::Days(12), day - 12 * DAY),
        ] {
            assert!(temporal(lowest, window, T), "{window:?}");
            assert!(!temporal(lowest - 1, window, T), "{window:?}");
        }
    }

    #[test]
    fn a_snapshot_is_exact() {
        let counts = |ts: i64| {
            let event = event(ts, &json!(1));
            let week = aggregation(Operation::Count, Some(Window::Days(7)));
            end_of(&[&event], &week, 20_468) == Answer::Exactly(json!(1))
        };
        let end = 20_469 * DAY;
        assert!(counts(end - 1) && counts(end - 7 * DAY));
        assert!(!counts(end) && !counts(end - 7 * DAY - 1));
    }

    /// The table of operations in the record of the real engine: inputs 1, 2, NULL, 4, 9.
    #[test]
    fn operations() {
        let inputs = [json!(1), json!(2), Value::Null, json!(4), json!(9)];
        let events: Vec<Event> = inputs.iter().zip(0..).map(|(v, ts)| event(ts, v)).collect();
        let events: Vec<&Event> = events.iter().collect();
        for (operation, expected) in [
            (Operation::Count, json!(4)),
            (Operation::Sum, json!(16)),
            (Operation::Average, json!(4.0)),
            (Operation::Min, json!(1)),
            (Operation::Max, json!(9)),
            (Operation::First, json!(1)),
            (Operation::Last, json!(9)),
            (Operation::FirstK(2), json!([1, 2])),
            (Operation::LastK(2), json!([9, 4])),
            (Operation::TopK(3), json!([9, 4, 2])),
            (Operation::BottomK(7), json!([1, 2, 4, 9])),
            (Operation::Variance, json!(9.5)),
            (Operation::UniqueCount, json!(4)),
            (Operation::BoundedUniqueCount(3), json!(3)),
        ] {
            let answer = end_of(&events, &aggregation(operation, None), 0);
            assert!(answer.allows(&expected), "{operation:?}: {answer:?}");
            assert!(!answer.allows(&Value::Null), "{operation:?}: {answer:?}");
        }
    }

    #[test]
    fn booleans_are_added_as_numbers() {
        let events = [
            event(1, &json!(true)),
            event(2, &json!(false)),
            event(3, &json!(true)),
        ];
        let answer = end_of(
            &events.iter().collect::<Vec<_>>(),
            &aggregation(Operation::Sum, None),
            0,
        );
        assert_eq!(answer, Answer::Exactly(json!(2)));
    }

    #[test]
    fn no_input_is_null_for_every_operation() {
        let nothing = event(0, &Value::Null);
        for operation in [
            Operation::Count,
            Operation::Sum,
            Operation::Histogram,
            Operation::LastK(2),
        ] {
            let answer = end_of(&[&nothing], &aggregation(operation, None), 0);
            assert_eq!(answer, Answer::Exactly(Value::Null));
        }
    }

    #[test]
    fn ties_are_not_decided() {
        let (a, b, c) = (
            event(5, &json!(1)),
            event(5, &json!(2)),
            event(6, &json!(3)),
        );
        let events = [&a, &b, &c];
        let answer = |operation| end_of(&events, &aggregation(operation, None), 0);
        assert_eq!(
            answer(Operation::First),
            Answer::OneOf(vec![json!(1), json!(2)])
        );
        assert_eq!(answer(Operation::Last), Answer::OneOf(vec![json!(3)]));
        assert_eq!(answer(Operation::FirstK(1)), Answer::Undefined);
        assert_eq!(answer(Operation::LastK(1)), Answer::Exactly(json!([3])));
        assert_eq!(answer(Operation::LastK(2)), Answer::Undefined);
    }

    #[test]
    fn buckets_and_rows_without_time() {
        let mut a = event(5, &json!(0.5));
        a.columns.insert("b".to_owned(), json!("x"));
        let mut b = a.clone();
        b.ts = None;
        let mut sums = aggregation(Operation::Sum, None);
        sums.bucket = Some("b".to_owned());
        assert_eq!(
            end_of(&[&a, &b], &sums, 0),
            Answer::Exactly(json!({"x": 1.0}))
        );
        sums.window = Some(Window::Days(1));
        assert_eq!(
            end_of(&[&a, &b], &sums, 0),
            Answer::Exactly(json!({"x": 0.5}))
        );
        let mut kurtosis = aggregation(Operation::Kurtosis, None);
        kurtosis.bucket = Some("b".to_owned());
        assert_eq!(
            end_of(&[&a, &b], &kurtosis, 0),
            Answer::Exactly(json!({"x": "NaN"}))
        );
    }
}
