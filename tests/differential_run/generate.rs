//! Random confs and the tables that they read.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::Ds;
use chronon_run_testkit::oracle::{DAY, expression::Row};
use serde_json::{Map, Value, json};

use crate::random::Random;

/// 2026-03-10; clocks change on 2026-03-29 in Europe.
pub(crate) const FIRST: i64 = 20_522;
const LAST: i64 = FIRST + 23;
/// The left's first day: half a month of events is before it.
pub(crate) const LEFT_FIRST: i64 = FIRST + 17;
pub(crate) const LEFT_LAST: i64 = LAST - 1;

/// The first day of joins that others read.
pub(crate) const PARENT_FIRST: i64 = FIRST + 8;

const HOUR: i64 = 3_600_000;

/// A source table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<(String, String)>,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    fn new(columns: &[(&str, &str)], rows: Vec<Row>) -> Self {
        let columns = columns.iter();
        let columns = columns.map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()));
        Self {
            columns: columns.collect(),
            rows,
        }
    }
}

/// Confs with everything that they read.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) group_bys: Vec<Value>,
    pub(crate) joins: Vec<Value>,
}

pub(crate) fn day_text(day: i64) -> String {
    Ds::from_epoch_days(i32::try_from(day).unwrap()).to_string()
}

/// The case of a number.
pub(crate) fn case(name: &str, seed: u64) -> Case {
    Maker::new(name, seed, false).case()
}

/// A case whose events are in the partition of their day.
pub(crate) fn punctual(name: &str, seed: u64) -> Case {
    Maker::new(name, seed, true).case()
}

pub(crate) struct Maker {
    pub(crate) random: Random,
    name: String,
    pub(crate) key_types: [String; 2],
    /// Whether events land on their own day.
    punctual: bool,
}

/// Types of keys.
const KEY_TYPES: [&str; 7] = [
    "string", "string", "string", "bigint", "int", "double", "boolean",
];

/// Columns of events that are aggregated, and their types.
const INPUTS: [(&str, &str); 8] = [
    ("v", "double"),
    ("o", "double"),
    ("i", "bigint"),
    ("s", "int"),
    ("w", "string"),
    ("b", "boolean"),
    ("l", "array<int>"),
    ("r", "struct<a:int,b:string>"),
];

const NUMBERS: [&str; 20] = [
    "MIN",
    "MAX",
    "FIRST",
    "LAST",
    "UNIQUE_COUNT",
    "APPROX_UNIQUE_COUNT",
    "COUNT",
    "SUM",
    "AVERAGE",
    "VARIANCE",
    "SKEW",
    "KURTOSIS",
    "APPROX_PERCENTILE",
    "LAST_K",
    "FIRST_K",
    "TOP_K",
    "BOTTOM_K",
    "BOUNDED_UNIQUE_COUNT",
    "COUNT",
    "SUM",
];
const TEXTS: [&str; 14] = [
    "MIN",
    "MAX",
    "FIRST",
    "LAST",
    "UNIQUE_COUNT",
    "APPROX_UNIQUE_COUNT",
    "COUNT",
    "LAST_K",
    "FIRST_K",
    "TOP_K",
    "BOTTOM_K",
    "HISTOGRAM",
    "APPROX_HISTOGRAM_K",
    "BOUNDED_UNIQUE_COUNT",
];
const FLAGS: [&str; 4] = ["FIRST", "LAST", "COUNT", "SUM"];
const STRUCTS: [&str; 5] = ["FIRST", "LAST", "FIRST_K", "LAST_K", "COUNT"];
const LISTS: [&str; 9] = [
    "COUNT",
    "SUM",
    "AVERAGE",
    "MIN",
    "MAX",
    "UNIQUE_COUNT",
    "TOP_K",
    "LAST",
    "FIRST_K",
];

/// The numbers that confs have for operations.
const OPERATIONS: [&str; 20] = [
    "MIN",
    "MAX",
    "FIRST",
    "LAST",
    "UNIQUE_COUNT",
    "APPROX_UNIQUE_COUNT",
    "COUNT",
    "SUM",
    "AVERAGE",
    "VARIANCE",
    "SKEW",
    "KURTOSIS",
    "APPROX_PERCENTILE",
    "LAST_K",
    "FIRST_K",
    "TOP_K",
    "BOTTOM_K",
    "HISTOGRAM",
    "APPROX_HISTOGRAM_K",
    "BOUNDED_UNIQUE_COUNT",
];

impl Maker {
    fn new(name: &str, seed: u64, punctual: bool) -> Self {
        let mut random = Random(seed);
        // The first numbers of nearby seeds are alike.
        random.next();
        let key_types = [0, 1].map(|_| (*random.of(&KEY_TYPES)).into());
        Self {
            random,
            name: name.to_owned(),
            key_types,
            punctual,
        }
    }

    fn case(&mut self) -> Case {
        let mut tables = BTreeMap::new();
        for table in ["events", "more", "dim", "left", "panel", "visits"] {
            let made = match table {
                "events" | "more" => self.events(),
                "dim" => self.dim(),
                // A chained GroupBy reads them as its events.
                "visits" => self.left(true, PARENT_FIRST, self.punctual),
                _ => self.left(table == "left", LEFT_FIRST, false),
            };
            tables.insert(self.table(table), made);
        }
        let snapshot = self.group_by("day", false);
        let temporal = self.group_by("now", true);
        let dim = self.entities();
        let mut group_bys = vec![snapshot.clone(), dim.clone()];
        let mut joins = Vec::new();
        let mut parts = vec![snapshot.clone(), temporal, dim.clone()];
        while parts.len() > 1 && self.random.once_in(3) {
            let at = self.random.below(parts.len());
            parts.remove(at);
        }
        let mut panel_parts = vec![snapshot, dim.clone()];
        if self.random.once_in(3) {
            let (parent, child) = self.chain(true, &dim);
            joins.push(parent);
            group_bys.push(child.clone());
            let mut part = child;
            part["accuracy"] = json!(self.random.below(2));
            parts.push(part);
        }
        if self.random.once_in(4) {
            let (parent, child) = self.chain(false, &dim);
            joins.push(parent);
            group_bys.push(child.clone());
            panel_parts.push(child);
        }
        // Of left rows of one day in several steps, the first instant after a mutation depends on the step.
        if !self.punctual && self.random.once_in(3) {
            tables.insert(self.table("changes"), self.changes());
            parts.push(self.changing());
        }
        let mut train = self.join("train", &parts);
        self.extend_join(&mut train, &mut tables);
        if train["labelPart"].is_null() && self.random.once_in(3) {
            self.skew(&mut train);
        }
        joins.push(train);
        if panel_parts.len() > 2 || self.random.once_in(2) {
            joins.push(self.join("panel", &panel_parts));
        }
        Case {
            tables,
            group_bys,
            joins,
        }
    }

    pub(crate) fn table(&self, kind: &str) -> String {
        format!("src.{}_{kind}", self.name)
    }

    pub(crate) fn meta(&self, kind: &str) -> Value {
        json!({ "name": format!("dif.{}_{kind}.v1", self.name), "team": "dif", "outputNamespace": "dif" })
    }

    /// Few of them, so that rows meet.
    fn key(&mut self, at: usize) -> Value {
        const TEXTS: [&str; 10] = ["a", "A", "", "a\\", "it's", "é", "日本", " a", "0", "a\nb"];
        if self.random.once_in(12) {
            return Value::Null;
        }
        let pick = self.random.below([4, 2][at]);
        match self.key_types[at].as_str() {
            "string" => json!(TEXTS[(pick * 3 + self.name.len()) % TEXTS.len()]),
            "bigint" => json!([7_i64, -7, 9_007_199_254_740_993, 0][pick]),
            "double" => json!([1.5, -7.25, 0.1, 1e300][pick]),
            "boolean" => json!(pick.is_multiple_of(2)),
            _ => json!([7, -7, i32::MAX, 0][pick]),
        }
    }

    /// A time on a day, often at an edge of hops and windows.
    fn instant(&mut self, day: i64) -> i64 {
        let grid = *self.random.of(&[1, 300_000, HOUR, 12 * HOUR]);
        let anywhere = day * DAY + self.random.between(0, DAY - 1);
        let nudge = if grid == 1 {
            0
        } else {
            self.random.between(-1, 1)
        };
        (anywhere.div_euclid(grid) * grid + nudge).clamp(day * DAY, (day + 1) * DAY - 1)
    }

    fn input(&mut self, name: &str) -> Value {
        if self.random.once_in(6) {
            return Value::Null;
        }
        let draw = self.random.between(-9, 40);
        match name {
            "v" => json!(*self.random.of(&[0.25, 1.0, 0.1, 1e6, 1e-4]) * draw as f64),
            "o" => match self.random.below(9) {
                0 => json!("NaN"),
                1 => json!("Infinity"),
                2 => json!("-Infinity"),
                _ => json!(draw as f64 * 0.5),
            },
            "r" => json!({ "a": self.input("s"), "b": self.input("w") }),
            "i" => json!(if self.random.once_in(9) {
                9_007_199_254_740_993 - draw
            } else {
                draw % 6
            }),
            "s" => json!(draw % 5),
            "w" => json!(*self.random.of(&["x", "X", "", "é", "a\\b", "it's", "ß"])),
            "b" => json!(draw % 2 == 0),
            _ => {
                let length = self.random.below(4);
                let items = (0..length).map(|_| match self.random.once_in(7) {
                    true => Value::Null,
                    false => json!(self.random.between(-2, 3)),
                });
                items.collect()
            }
        }
    }

    fn events(&mut self) -> Table {
        let mut columns: Vec<(String, String)> = vec![
            ("k".into(), self.key_types[0].clone()),
            ("n".into(), self.key_types[1].clone()),
        ];
        columns.extend(INPUTS.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
        columns.extend([
            ("ts".into(), "bigint".into()),
            ("ds".into(), "string".into()),
        ]);
        let mut rows = Vec::new();
        for _ in 0..*self.random.of(&[6, 60, 150]) {
            let day = self.random.between(FIRST, LAST);
            let late = *self.random.of(&[0, 0, 0, 0, 0, 0, 1, 2, -1]);
            let late = if self.punctual { 0 } else { late };
            let partition = (day + late).clamp(FIRST, LAST);
            let mut row = Row::new();
            row.insert("k".into(), self.key(0));
            row.insert("n".into(), self.key(1));
            for (name, _) in INPUTS {
                row.insert(name.into(), self.input(name));
            }
            let ts = match self.random.once_in(30) {
                true => Value::Null,
                false => json!(self.instant(day)),
            };
            row.insert("ts".into(), ts);
            row.insert("ds".into(), json!(day_text(partition)));
            let copies = 1 + usize::from(self.random.once_in(12));
            rows.extend(std::iter::repeat_n(row, copies));
        }
        rows.extend((FIRST..=LAST).map(|day| {
            Row::from([
                ("ts".to_owned(), json!(day * DAY)),
                ("ds".to_owned(), json!(day_text(day))),
            ])
        }));
        Table { columns, rows }
    }

    fn dim(&mut self) -> Table {
        let mut rows = Vec::new();
        for day in FIRST..=LAST {
            for _ in 0..self.random.below(5) {
                let mut row = Row::from([
                    ("ds".to_owned(), json!(day_text(day))),
                    ("a".to_owned(), self.input("i")),
                    ("c".to_owned(), self.input("w")),
                ]);
                row.insert("k".into(), self.key(0));
                row.insert("updated".into(), json!(self.instant((day - 1).max(FIRST))));
                let same = |other: &Row| {
                    other.get("ds") == row.get("ds") && other.get("k") == row.get("k")
                };
                // Some keys are there twice.
                if !rows.iter().any(same) || self.random.once_in(6) {
                    rows.push(row);
                }
            }
            rows.push(Row::from([("ds".to_owned(), json!(day_text(day)))]));
        }
        let columns = [
            ("k", self.key_types[0].as_str()),
            ("a", "bigint"),
            ("c", "string"),
            ("updated", "bigint"),
            ("ds", "string"),
        ];
        Table::new(&columns, rows)
    }

    /// What changes of [`Maker::dim`] within each day: rows that are added, or taken back.
    fn changes(&mut self) -> Table {
        let mut rows = Vec::new();
        for day in FIRST..=LAST {
            for _ in 0..self.random.below(7) {
                let came = match self.random.once_in(8) {
                    true => day - 1,
                    false => day,
                };
                rows.push(Row::from([
                    ("ds".to_owned(), json!(day_text(day))),
                    ("k".to_owned(), self.key(0)),
                    ("a".to_owned(), self.input("i")),
                    ("c".to_owned(), self.input("w")),
                    (
                        "updated".to_owned(),
                        json!(self.instant((day - 2).max(FIRST))),
                    ),
                    ("mutation_ts".to_owned(), json!(self.instant(came))),
                    ("is_before".to_owned(), json!(self.random.once_in(3))),
                ]));
            }
            rows.push(Row::from([
                ("ds".to_owned(), json!(day_text(day))),
                ("mutation_ts".to_owned(), json!(day * DAY)),
                ("is_before".to_owned(), json!(false)),
            ]));
        }
        let columns = [
            ("k", self.key_types[0].as_str()),
            ("a", "bigint"),
            ("c", "string"),
            ("updated", "bigint"),
            ("mutation_ts", "bigint"),
            ("is_before", "boolean"),
            ("ds", "string"),
        ];
        Table::new(&columns, rows)
    }

    /// Entities at the instants of the left: snapshots and what changes after them.
    fn changing(&mut self) -> Value {
        const OF_NUMBERS: [usize; 9] = [0, 1, 2, 3, 4, 6, 7, 8, 9];
        const OF_TEXTS: [usize; 5] = [3, 4, 6, 17, 17];
        let query = json!({ "selects": { "k": "k", "a": "a", "c": "c" }, "startPartition": day_text(FIRST),
            "timeColumn": "updated", "setups": [] });
        let mut all = Vec::new();
        for (input, operations) in [("a", &OF_NUMBERS[..]), ("c", &OF_TEXTS[..])] {
            let operation = *self.random.of(operations);
            let mut one = json!({ "inputColumn": input, "operation": operation, "argMap": {} });
            if self.random.once_in(2) {
                one["windows"] = self.windows(true);
            }
            all.push(one);
        }
        let source = json!({ "snapshotTable": self.table("dim"), "mutationTable": self.table("changes"), "query": query });
        json!({ "metaData": self.meta("changing"), "keyColumns": ["k"], "accuracy": 0, "aggregations": all,
            "backfillStartDate": day_text(LEFT_FIRST), "sources": [{ "entities": source }] })
    }

    /// Early and late rows are as far off as the left's days allow; none is if they are `punctual`.
    fn left(&mut self, timed: bool, first: i64, punctual: bool) -> Table {
        let mut rows = Vec::new();
        for at in 0..30 {
            let day = self.random.between(first, LEFT_LAST);
            let off = *self.random.of(&[0, 0, 0, 0, 0, 1, -1, -2]);
            let off = if punctual { 0 } else { off };
            let of_time = (day + off).clamp(first - 2, LEFT_LAST);
            let mut row = Row::from([
                ("id".to_owned(), json!(format!("r{at}"))),
                ("ds".to_owned(), json!(day_text(day))),
            ]);
            row.insert("lk".into(), self.key(0));
            row.insert("n".into(), self.key(1));
            row.insert("cx".into(), self.input("s"));
            if timed {
                row.insert("ts".into(), json!(self.instant(of_time)));
            }
            let copies = 1 + usize::from(self.random.once_in(15));
            rows.extend(std::iter::repeat_n(row, copies));
        }
        for day in first..=LEFT_LAST {
            let mut row = Row::from([
                ("id".to_owned(), json!(format!("d{day}"))),
                ("ds".to_owned(), json!(day_text(day))),
            ]);
            if timed {
                row.insert("ts".into(), json!(day * DAY));
            }
            rows.push(row);
        }
        let [key, second] = self.key_types.clone();
        let mut columns = vec![
            ("id", "string".to_owned()),
            ("lk", key),
            ("n", second),
            ("cx", "int".to_owned()),
        ];
        columns.extend(timed.then(|| ("ts", "bigint".to_owned())));
        columns.push(("ds", "string".to_owned()));
        Table {
            columns: columns
                .into_iter()
                .map(|(name, kind)| (name.to_owned(), kind))
                .collect(),
            rows,
        }
    }

    pub(crate) fn source(&mut self, table: &str) -> Value {
        let mut selects: Map<String, Value> = ["k", "n"]
            .into_iter()
            .chain(INPUTS.map(|(name, _)| name))
            .map(|name| (name.to_owned(), json!(name)))
            .collect();
        let replaced = [
            ("v", "v * 2 - i"),
            ("i", "COALESCE(i, 0)"),
            ("w", "CONCAT('w-', w)"),
            ("s", "IF(b, s, 0)"),
        ];
        for (name, expression) in replaced {
            if self.random.once_in(5) {
                selects.insert(name.to_owned(), json!(expression));
            }
        }
        let mut query = json!({ "selects": selects, "timeColumn": "ts", "startPartition": day_text(FIRST), "setups": [] });
        let wheres = [
            "i > 0 OR i IS NULL",
            "w <> 'x'",
            "v IS NOT NULL",
            "b = true OR s < 2",
        ];
        if self.random.once_in(3) {
            query["wheres"] = json!([self.random.of(&wheres)]);
        }
        if self.random.once_in(6) {
            query["startPartition"] = json!(day_text(FIRST + 4));
        }
        json!({ "events": { "table": self.table(table), "query": query } })
    }

    fn group_by(&mut self, kind: &str, temporal: bool) -> Value {
        let mut sources = vec![self.source("events")];
        if self.random.once_in(4) {
            sources.push(self.source("more"));
        }
        let keys = if self.random.once_in(3) {
            json!(["k", "n"])
        } else {
            json!(["k"])
        };
        let aggregations = self.aggregations(temporal);
        let mut conf = json!({
            "metaData": self.meta(kind), "sources": sources, "keyColumns": keys,
            "aggregations": aggregations, "accuracy": u8::from(!temporal),
            "backfillStartDate": day_text(LEFT_FIRST),
        });
        if self.random.once_in(3) {
            let numbers = numbers_of(&conf, "");
            self.derive(&mut conf, &numbers);
        }
        conf
    }

    fn aggregations(&mut self, temporal: bool) -> Vec<Value> {
        let mut aggregations = Vec::new();
        let mut names = BTreeSet::new();
        for _ in 0..1 + self.random.below(5) {
            let (input, _) = *self.random.of(&INPUTS);
            let operation = *match input {
                "w" => self.random.of(&TEXTS),
                "b" => self.random.of(&FLAGS),
                "l" => self.random.of(&LISTS),
                "r" => self.random.of(&STRUCTS),
                _ => self.random.of(&NUMBERS),
            };
            if !names.insert((input, operation)) {
                continue;
            }
            let number = OPERATIONS.iter().position(|name| *name == operation);
            let k = [
                "LAST_K",
                "FIRST_K",
                "TOP_K",
                "BOTTOM_K",
                "APPROX_HISTOGRAM_K",
                "BOUNDED_UNIQUE_COUNT",
            ];
            let some_k = operation == "HISTOGRAM" && self.random.once_in(3);
            let arguments = match some_k || k.contains(&operation) {
                true => json!({ "k": (1 + self.random.below(4)).to_string() }),
                false => json!({}),
            };
            let mut one = json!({ "inputColumn": input, "operation": number, "argMap": arguments });
            if !self.random.once_in(4) {
                one["windows"] = self.windows(temporal);
            }
            if self.random.once_in(5) {
                one["buckets"] = json!(["w"]);
            }
            aggregations.push(one);
        }
        aggregations
    }

    fn windows(&mut self, temporal: bool) -> Value {
        let days = [(1, 1), (2, 1), (3, 1), (7, 1), (12, 1), (14, 1)];
        let hours = [(1, 0), (5, 0), (12, 0), (24, 0), (36, 0), (2, 1), (12, 1)];
        let all: &[(i32, u8)] = if temporal { &hours } else { &days };
        let mut chosen = BTreeSet::new();
        for _ in 0..1 + self.random.below(3) {
            chosen.insert(*self.random.of(all));
        }
        let windows = chosen
            .into_iter()
            .map(|(length, unit)| json!({ "length": length, "timeUnit": unit }));
        windows.collect()
    }

    /// Snapshots: as they are, or aggregated.
    pub(crate) fn entities(&mut self) -> Value {
        let aggregated = self.random.once_in(2);
        let mut query = json!({ "selects": { "k": "k", "a": "a", "c": "c" }, "startPartition": day_text(FIRST), "setups": [] });
        let mut conf = json!({ "metaData": self.meta("dim"), "keyColumns": ["k"], "accuracy": 1,
            "backfillStartDate": day_text(LEFT_FIRST) });
        if aggregated {
            let mut all = vec![
                json!({ "inputColumn": "a", "operation": self.random.of(&[0, 1, 4, 6, 7, 8]), "argMap": {} }),
                json!({ "inputColumn": "c", "operation": self.random.of(&[4, 6, 17]), "argMap": {} }),
            ];
            if self.random.once_in(2) {
                query["timeColumn"] = json!("updated");
                all[0]["windows"] =
                    json!([{ "length": self.random.of(&[1, 3, 30]), "timeUnit": 1 }]);
            }
            conf["aggregations"] = json!(all);
        }
        conf["sources"] =
            json!([{ "entities": { "snapshotTable": self.table("dim"), "query": query } }]);
        conf
    }

    fn join(&mut self, kind: &str, group_bys: &[Value]) -> Value {
        let timed = kind == "train";
        let table = self.table(if timed { "left" } else { "panel" });
        let mut query = json!({ "selects": { "id": "id", "lk": "lk", "n": "n" }, "startPartition": day_text(LEFT_FIRST), "setups": [] });
        let left = match timed {
            true => {
                query["timeColumn"] = json!("ts");
                json!({ "events": { "table": table, "query": query } })
            }
            false => json!({ "entities": { "snapshotTable": table, "query": query } }),
        };
        let parts = group_bys.iter().map(|group_by| {
            let mut part = json!({ "groupBy": group_by, "keyMapping": { "lk": "k" } });
            if self.random.once_in(4) {
                part["prefix"] = json!("p");
            }
            part
        });
        let parts: Vec<Value> = parts.collect();
        let mut conf = json!({ "metaData": self.meta(kind), "left": left, "joinParts": parts });
        if self.random.once_in(2) {
            let names: Vec<String> = parts
                .iter()
                .flat_map(|part| {
                    let name = part["groupBy"]["metaData"]["name"]
                        .as_str()
                        .unwrap()
                        .replace('.', "_");
                    let prefix = part["prefix"]
                        .as_str()
                        .map_or(String::new(), |prefix| format!("{prefix}_"));
                    match part["groupBy"]["derivations"].is_null() {
                        true => numbers_of(&part["groupBy"], &format!("{prefix}{name}_")),
                        false => Vec::new(),
                    }
                })
                .collect();
            self.derive(&mut conf, &names);
        }
        conf
    }

    /// Some values of the keys are skewed.
    fn skew(&mut self, conf: &mut Value) {
        let parts = conf["joinParts"].as_array().into_iter().flatten();
        let of_n = |part: &Value| {
            part["groupBy"]["keyColumns"]
                .as_array()
                .is_some_and(|keys| keys.contains(&json!("n")))
        };
        let both = parts.clone().any(of_n) && self.random.once_in(2);
        let mut all = Map::new();
        for (at, column) in [(0, "lk"), (1, "n")] {
            if at == 1 && !both {
                continue;
            }
            let mut literals = Vec::new();
            for _ in 0..1 + self.random.below(2) {
                literals.extend(literal(&self.key(at)));
            }
            if !literals.is_empty() && self.random.once_in(3) {
                literals.push("NULL".to_owned());
            }
            if !literals.is_empty() {
                all.insert(column.to_owned(), json!(literals));
            }
        }
        if !all.is_empty() {
            conf["skewKeys"] = all.into();
        }
    }

    /// Derivations of some number columns; with or without all others.
    fn derive(&mut self, conf: &mut Value, numbers: &[String]) {
        if numbers.is_empty() {
            return;
        }
        let (a, b) = (
            self.random.of(numbers).clone(),
            self.random.of(numbers).clone(),
        );
        let mut all = vec![json!({ "name": "d_share", "expression": format!("{a} / {b}") })];
        all.push(json!({ "name": "d_none", "expression": format!("IF({a} IS NULL, 1, 0)") }));
        if self.random.once_in(2) {
            all.push(json!({ "name": "d_same", "expression": b }));
        }
        if !self.random.once_in(3) {
            all.push(json!({ "name": "*", "expression": "*" }));
        }
        conf["derivations"] = json!(all);
    }
}

/// A key as SQL writes it, where that is plain.
fn literal(key: &Value) -> Option<String> {
    match key {
        Value::Null => None,
        Value::String(text) => {
            let plain = text
                .chars()
                .all(|letter| letter.is_alphanumeric() || letter == ' ');
            plain.then(|| format!("'{text}'"))
        }
        other => Some(other.to_string()),
    }
}

/// The columns of counts and sums.
fn numbers_of(conf: &Value, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for one in conf["aggregations"].as_array().into_iter().flatten() {
        let word = match one["operation"].as_u64() {
            Some(6) => "count",
            Some(7) => "sum",
            _ => continue,
        };
        if !one["buckets"].is_null() {
            continue;
        }
        let input = one["inputColumn"].as_str().unwrap();
        let base = format!("{prefix}{input}_{word}");
        let windows = one["windows"]
            .as_array()
            .filter(|windows| !windows.is_empty());
        match windows {
            None => names.push(base),
            Some(windows) => names.extend(windows.iter().map(|window| {
                let unit = if window["timeUnit"] == 0 { "h" } else { "d" };
                format!("{base}_{}{unit}", window["length"])
            })),
        }
    }
    names
}
