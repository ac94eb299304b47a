//! Entities that change within the day: an instant sees the snapshot of the day before, and the mutations of its
//! own day that came before it, which add rows and take rows back.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::{Accuracy, DataModel, EntitySource, GroupBy, Source};
use serde_json::{Value, json};

use super::{
    Aggregation, Answer, DAY, Event, MINUTE, Operation, between,
    expression::Unknown,
    floor, number,
    sources::{Tables, rows_of},
};

const TIME: &str = "__mutation_time";
const BACK: &str = "__taken_back";

/// A row that instants of one day see.
struct Change {
    /// The day of those instants, in days since 1970-01-01.
    day: i64,
    /// When it changed; `None` for a row of a snapshot.
    at: Option<i64>,
    /// Whether it takes a row back.
    back: bool,
    event: Event,
}

/// The changes of each key, and the instants that are asked for.
pub(super) struct Changes {
    of_keys: BTreeMap<String, (Vec<Value>, Vec<Change>)>,
    instants: BTreeMap<String, BTreeSet<i64>>,
}

impl Changes {
    /// What instants of the days `first..=last` see; `None` for a GroupBy without mutations.
    pub(super) fn of(
        conf: &GroupBy,
        tables: &Tables,
        first: i64,
        last: i64,
    ) -> Result<Option<Self>, Unknown> {
        let mut found = Self {
            of_keys: BTreeMap::new(),
            instants: BTreeMap::new(),
        };
        let mut sources = conf.sources.iter().filter_map(|source| match source {
            Source::Entities(entities) => Some((entities, entities.mutation_table.as_ref()?)),
            _ => None,
        });
        let Some((entities, table)) = sources.next() else {
            return Ok(None);
        };
        if conf.accuracy() != Accuracy::Temporal || sources.next().is_some() {
            return Err(Unknown("mutations of this GroupBy".to_owned()));
        }
        for event in snapshots(entities, conf, tables, (first - 1, last - 1))? {
            let day = event.partition + 1;
            found.add(conf, day, event);
        }
        for event in mutations(entities, table, conf, tables, (first, last))? {
            let day = event.partition;
            // What came late is in the snapshot.
            let at = event.get(TIME).as_i64();
            if at.is_some_and(|at| at >= day * DAY) {
                found.add(conf, day, event);
            }
        }
        Ok(Some(found))
    }

    fn add(&mut self, conf: &GroupBy, day: i64, event: Event) {
        let keys = conf.key_columns.iter();
        let keys: Vec<Value> = keys.map(|key| event.get(key).clone()).collect();
        let change = Change {
            day,
            at: event.get(TIME).as_i64(),
            back: *event.get(BACK) == json!(true),
            event,
        };
        let entry = self.of_keys.entry(json!(keys).to_string());
        entry.or_insert_with(|| (keys, Vec::new())).1.push(change);
    }

    /// Leaves out the rows of other keys.
    pub(super) fn retain_keys(&mut self, keep: &dyn Fn(&[Value]) -> bool) {
        self.of_keys.retain(|_, (keys, _)| keep(keys));
    }

    /// Tells that the values at an instant are asked for: a window is looked at once for a mutation, at the
    /// first instant after it.
    pub(super) fn ask(&mut self, keys: &[Value], instant: i64) {
        let entry = self.instants.entry(json!(keys).to_string());
        entry.or_default().insert(instant);
    }

    /// A feature just before an instant.
    pub(super) fn value(&self, keys: &[Value], instant: i64, aggregation: &Aggregation) -> Answer {
        let name = json!(keys).to_string();
        let (Some((_, changes)), Some(instants)) =
            (self.of_keys.get(&name), self.instants.get(&name))
        else {
            return Answer::Exactly(Value::Null);
        };
        let begin = floor(instant, DAY);
        let mut seen = Vec::new();
        for change in changes.iter().filter(|change| change.day * DAY == begin) {
            let Some(ts) = change.event.ts else { continue };
            let window = aggregation.window;
            let in_window = |instant: i64| {
                window.is_none_or(|window| {
                    ts >= floor(floor(instant, 5 * MINUTE) - window.millis(), window.hop())
                })
            };
            let inside = match change.at {
                None => {
                    // The engine keeps a row there only if a longer window shares its hops.
                    if window.is_some_and(|window| ts == begin - window.millis()) {
                        return Answer::Undefined;
                    }
                    let newer = window.is_none_or(|window| ts > begin - window.millis());
                    ts < begin && newer && in_window(instant)
                }
                Some(at) => {
                    let mut after = instants.range(at + 1..begin + DAY);
                    let first = after.next().filter(|first| **first <= instant);
                    first.is_some_and(|first| ts < *first && in_window(*first))
                }
            };
            if inside && !change.event.get(&aggregation.input).is_null() {
                seen.push(change);
            }
        }
        answer(&seen, aggregation)
    }
}

/// The rows of the snapshots.
fn snapshots(
    entities: &EntitySource,
    conf: &GroupBy,
    tables: &Tables,
    days: (i64, i64),
) -> Result<Vec<Event>, Unknown> {
    let table = &entities.snapshot_table;
    let (keys, model) = (&conf.key_columns, DataModel::Entities);
    rows_of(table, &entities.query, keys, model, tables, days)
}

/// The rows of the mutations, with their time and whether they take a row back.
fn mutations(
    entities: &EntitySource,
    table: &str,
    conf: &GroupBy,
    tables: &Tables,
    days: (i64, i64),
) -> Result<Vec<Event>, Unknown> {
    let mut query = entities.query.clone();
    let or = |column: &Option<String>, default: &str| {
        column.clone().unwrap_or_else(|| default.to_owned())
    };
    let time = or(&query.mutation_time_column, "mutation_ts");
    let back = or(&query.reversal_column, "is_before");
    let selects = query
        .selects
        .as_mut()
        .ok_or_else(|| Unknown("mutations without selects".to_owned()))?;
    selects.insert(TIME.to_owned(), time);
    selects.insert(BACK.to_owned(), back);
    let (keys, model) = (&conf.key_columns, DataModel::Entities);
    rows_of(table, &query, keys, model, tables, days)
}

/// Counts, sums and averages go back with what is taken back; nothing else does.
fn answer(seen: &[&Change], aggregation: &Aggregation) -> Answer {
    if seen.is_empty() {
        return Answer::Exactly(Value::Null);
    }
    let sign = |change: &Change| if change.back { -1 } else { 1 };
    let count: i64 = seen.iter().map(|change| sign(change)).sum();
    let exact = || -> Option<i64> {
        let mut numbers = seen.iter().map(|change| {
            let value = change.event.get(&aggregation.input).as_i64()?;
            Some(sign(change) * value)
        });
        numbers.try_fold(0_i64, |all, one| Some(all + one?))
    };
    let value = match aggregation.operation {
        Operation::Count => json!(count),
        Operation::Sum => match exact() {
            Some(sum) => json!(sum),
            None => return Answer::Undefined,
        },
        Operation::Average if count == 0 => Value::Null,
        Operation::Average => match exact() {
            Some(sum) => json!(number(&json!(sum)) / number(&json!(count))),
            None => return Answer::Undefined,
        },
        Operation::Histogram => {
            let mut words: BTreeMap<&str, i64> = BTreeMap::new();
            for change in seen {
                let word = change.event.get(&aggregation.input).as_str();
                *words.entry(word.unwrap_or_default()).or_default() += sign(change);
            }
            words.retain(|_, count| *count != 0);
            json!(words)
        }
        _ => {
            let kept = seen.iter().filter(|change| !change.back);
            let events: Vec<&Event> = kept.map(|change| &change.event).collect();
            let whole = Aggregation {
                window: None,
                ..aggregation.clone()
            };
            return between(&events, &whole, None, i64::MAX);
        }
    };
    Answer::Exactly(value)
}
