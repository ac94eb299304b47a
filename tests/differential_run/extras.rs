//! What random joins have besides parts: ready values, external sources, labels; and GroupBys over joins.

use std::collections::BTreeMap;

use chronon_run_testkit::oracle::expression::Row;
use serde_json::{Map, Value, json};

use crate::generate::{FIRST, LEFT_FIRST, LEFT_LAST, Maker, PARENT_FIRST, Table, day_text};

/// Types of the columns of a table of ready values, and their Thrift kinds.
const READY: [(&str, &str); 4] = [
    ("bl", "bigint"),
    ("bi", "int"),
    ("bd", "double"),
    ("bs", "string"),
];

impl Maker {
    /// A join with ready values and external sources, sometimes.
    pub(crate) fn extend_join(&mut self, conf: &mut Value, tables: &mut BTreeMap<String, Table>) {
        conf["rowIds"] = json!(["id"]);
        if self.random.once_in(2) {
            self.external_parts(conf);
        }
        if self.random.once_in(2) {
            let mut parts = vec![self.bootstrap(conf, "ready", &["id"], tables)];
            if self.random.once_in(3) {
                parts.push(self.bootstrap(conf, "more_ready", &["lk", "n"], tables));
            }
            conf["bootstrapParts"] = parts.into();
        }
        if self.random.once_in(3) {
            self.labels(conf);
        }
    }

    /// A table of ready values for some of the left rows, and the part that reads it.
    fn bootstrap(
        &mut self,
        conf: &Value,
        name: &str,
        keys: &[&str],
        tables: &mut BTreeMap<String, Table>,
    ) -> Value {
        let left = tables[&self.table("left")].clone();
        let mut rows: Vec<Row> = Vec::new();
        for row in &left.rows {
            let key = |name: &&str| row.get(*name).cloned().unwrap_or(Value::Null);
            let mut ready: Row = keys
                .iter()
                .chain(&["ds"])
                .map(|name| ((*name).to_owned(), key(name)))
                .collect();
            let known = |other: &Row| ready.iter().all(|(name, value)| other[name] == *value);
            if self.random.once_in(3) || rows.iter().any(known) {
                continue;
            }
            for (column, kind) in READY {
                ready.insert(column.to_owned(), self.ready(kind));
            }
            rows.push(ready);
        }
        rows.extend((LEFT_FIRST..=LEFT_LAST).map(|day| {
            let names = keys.iter().copied().chain(READY.map(|(name, _)| name));
            let mut row: Row = names.map(|name| (name.to_owned(), Value::Null)).collect();
            row.insert("ds".to_owned(), json!(day_text(day)));
            row
        }));
        let kind = |name: &str| {
            let mut columns = left.columns.iter();
            columns.find(|column| column.0 == name).unwrap().1.clone()
        };
        let columns = keys.iter().map(|name| ((*name).to_owned(), kind(name)));
        let ready = READY.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
        let columns = columns
            .chain(ready)
            .chain([("ds".to_owned(), "string".to_owned())]);
        let table = self.table(name);
        tables.insert(
            table.clone(),
            Table {
                columns: columns.collect(),
                rows,
            },
        );
        let mut selects = self.ready_fields(conf);
        selects.extend(keys.iter().map(|name| ((*name).to_owned(), json!(name))));
        let mut query = json!({ "selects": selects, "setups": [] });
        if self.random.once_in(3) {
            query["startPartition"] = json!(day_text(LEFT_FIRST + 2));
        }
        if self.random.once_in(4) {
            query["endPartition"] = json!(day_text(LEFT_LAST - 1));
        }
        if self.random.once_in(4) {
            query["wheres"] = json!(["bl > 0 OR bl IS NULL"]);
        }
        let mut part = json!({ "table": table, "query": query });
        if keys != ["id"] || self.random.once_in(2) {
            part["keyColumns"] = json!(keys);
        }
        part
    }

    fn ready(&mut self, kind: &str) -> Value {
        if self.random.once_in(4) {
            return Value::Null;
        }
        let draw = self.random.between(-3, 90);
        match kind {
            "bigint" | "int" => json!(draw),
            "double" => json!(draw as f64 + 0.5),
            _ => json!(format!("ready-{draw}")),
        }
    }

    /// Some features of the join, each with an expression of its type.
    fn ready_fields(&mut self, conf: &Value) -> Map<String, Value> {
        let mut all: Vec<Vec<(String, String)>> = parts_of(conf).map(typed_features).collect();
        all.retain(|features| !features.is_empty());
        let mut fields: Vec<(String, String)> = Vec::new();
        for features in all {
            // All of a part, so that nothing is left to compute, or some.
            let whole = self.random.once_in(2);
            fields.extend(
                features
                    .into_iter()
                    .filter(|_| whole || self.random.once_in(3)),
            );
        }
        fields.extend(
            derived_types(conf)
                .into_iter()
                .filter(|_| self.random.once_in(4)),
        );
        for part in conf["onlineExternalParts"].as_array().into_iter().flatten() {
            if part["source"]["metadata"]["name"] == "scores" && self.random.once_in(2) {
                let prefix = part["prefix"].as_str().map(|text| format!("{text}_"));
                let name = format!("ext_{}scores_risk", prefix.unwrap_or_default());
                fields.push((name, "double".to_owned()));
            }
            if part["source"]["metadata"]["name"] == "contextual" && self.random.once_in(2) {
                let name = *self.random.of(&["ext_contextual_cx", "cx"]);
                fields.push((name.to_owned(), "int".to_owned()));
            }
        }
        let expression = |kind: &str| {
            let of_kind = READY.iter().find(|(_, known)| *known == kind).unwrap();
            json!(of_kind.0)
        };
        let fields = fields.into_iter();
        fields
            .map(|(name, kind)| (name, expression(&kind)))
            .collect()
    }

    /// Sources that are asked online only, the request's own context, or one with an offline GroupBy.
    fn external_parts(&mut self, conf: &mut Value) {
        let field = |name: &str, kind: u8| json!({ "name": name, "dataType": { "kind": kind } });
        let schema = |fields: Vec<Value>| json!({ "kind": 13, "params": fields, "name": "s" });
        let kind = match self.key_types[0].as_str() {
            "string" => 7,
            "int" => 3,
            "double" => 6,
            "boolean" => 0,
            _ => 4,
        };
        let mut parts = Vec::new();
        if self.random.once_in(2) {
            let key = *self.random.of(&["lk", "who", "elsewhere"]);
            let mut part = json!({ "source": { "metadata": { "name": "scores", "team": "dif" },
                "keySchema": schema(vec![field(key, kind)]),
                "valueSchema": schema(vec![field("risk", 6), field("model", 7)]) } });
            if key == "who" {
                part["keyMapping"] = json!({ "lk": "who" });
            }
            if self.random.once_in(3) {
                part["prefix"] = json!("q");
            }
            parts.push(part);
        }
        if self.random.once_in(2) {
            let cx = || schema(vec![field("cx", 3)]);
            parts.push(
                json!({ "source": { "metadata": { "name": "contextual", "team": "dif" },
                "keySchema": cx(), "valueSchema": cx() } }),
            );
            if self.random.once_in(2) {
                conf["left"]["events"]["query"]["selects"]["cx"] = json!("cx");
            }
        }
        let derived = !conf["derivations"].is_null();
        let all = conf["joinParts"].as_array_mut().unwrap();
        if all.len() > 1 && !derived && self.random.once_in(2) {
            let mut part = all.remove(0);
            part["source"] = json!({ "metadata": { "name": "offline", "team": "dif" },
                "keySchema": schema(vec![field("k", kind)]), "valueSchema": schema(vec![]),
                "offlineGroupBy": part["groupBy"] });
            part.as_object_mut().unwrap().remove("groupBy");
            parts.push(part);
        }
        conf["onlineExternalParts"] = parts.into();
    }

    /// Labels of a snapshot, or of a window that ends with the label's day.
    fn labels(&mut self, conf: &mut Value) {
        let mapping = json!({ "lk": "k" });
        let (oldest, newest, label) = if self.random.once_in(2) {
            let mut dim = self.entities();
            dim.as_object_mut().unwrap().remove("aggregations");
            dim["metaData"] = self.meta("label_dim");
            let newest = self.random.between(1, 2);
            let oldest = newest + self.random.between(0, 2);
            (oldest, newest, dim)
        } else {
            let length = self.random.between(1, 3);
            let one = json!({ "inputColumn": "i", "operation": self.random.of(&[0, 1, 6, 7, 8]), "argMap": {},
                "windows": [{ "length": length, "timeUnit": 1 }] });
            let conf = json!({ "metaData": self.meta("label_events"), "sources": [self.source("events")],
                "keyColumns": ["k"], "accuracy": 1, "aggregations": [one] });
            (length, length, conf)
        };
        conf["labelPart"] = json!({ "leftStartOffset": oldest, "leftEndOffset": newest,
            "labels": [{ "groupBy": label, "keyMapping": mapping }], "metaData": { "dependencies": [] } });
    }

    /// A join whose output others read, and a GroupBy over it.
    pub(crate) fn chain(&mut self, timed: bool, dim: &Value) -> (Value, Value) {
        let kind = if timed { "parent" } else { "panel_parent" };
        let base = self.exact_group_by(if timed { "base" } else { "panel_base" });
        let parts: Vec<Value> = [&base, dim]
            .iter()
            .map(|one| json!({ "groupBy": one, "keyMapping": { "lk": "k" } }))
            .collect();
        let table = self.table(if timed { "visits" } else { "panel" });
        let first = if timed { PARENT_FIRST } else { LEFT_FIRST };
        let mut query = json!({ "selects": { "id": "id", "lk": "lk", "n": "n" }, "startPartition": day_text(first), "setups": [] });
        let left = match timed {
            true => {
                query["timeColumn"] = json!("ts");
                json!({ "events": { "table": table, "query": query } })
            }
            false => json!({ "entities": { "snapshotTable": table, "query": query } }),
        };
        let mut parent = json!({ "metaData": self.meta(kind), "left": left, "joinParts": parts });
        let names: Vec<String> = parts_of(&parent)
            .flat_map(typed_features)
            .filter(|(_, kind)| kind == "bigint")
            .map(|(name, _)| name)
            .collect();
        let mut inputs = names.clone();
        if self.random.once_in(3) && names.len() > 1 {
            parent["derivations"] = json!([{ "name": "*", "expression": "*" },
                { "name": "both", "expression": format!("{} + {}", names[0], names[1]) }]);
            inputs.push("both".to_owned());
        }
        let child = self.over(&parent, timed, &inputs);
        (parent, child)
    }

    /// A GroupBy over a join.
    fn over(&mut self, parent: &Value, timed: bool, inputs: &[String]) -> Value {
        let mut selects = json!({ "k": "lk", "n": "n" });
        let mut aggregations = Vec::new();
        for name in ["q", "r"] {
            selects[name] = json!(self.random.of(inputs));
            for _ in 0..1 + self.random.below(2) {
                let operation = *self.random.of(&[0, 1, 4, 6, 7, 8, 15, 19]);
                let mut one =
                    json!({ "inputColumn": name, "operation": operation, "argMap": { "k": "2" } });
                if timed && !self.random.once_in(4) {
                    one["windows"] =
                        json!([{ "length": self.random.of(&[1, 3, 5]), "timeUnit": 1 }]);
                }
                let same = |other: &Value| {
                    other["operation"] == one["operation"] && other["inputColumn"] == name
                };
                if !aggregations.iter().any(same) {
                    aggregations.push(one);
                }
            }
        }
        let mut query = json!({ "selects": selects, "setups": [] });
        if timed {
            query["timeColumn"] = json!("ts");
            query["startPartition"] = json!(day_text(PARENT_FIRST));
        }
        if self.random.once_in(3) {
            query["wheres"] = json!([format!("{} IS NOT NULL", inputs[0])]);
        }
        let kind = if timed { "chained" } else { "chained_panel" };
        let keys = if self.random.once_in(2) {
            json!(["k"])
        } else {
            json!(["k", "n"])
        };
        let mut child = json!({ "metaData": self.meta(kind), "keyColumns": keys, "accuracy": 1,
            "sources": [{ "joinSource": { "join": parent, "query": query } }],
            "backfillStartDate": day_text(LEFT_FIRST) });
        if timed || self.random.once_in(2) {
            child["aggregations"] = aggregations.into();
        }
        child
    }

    /// Counts and sums, whose values depend on no order.
    fn exact_group_by(&mut self, kind: &str) -> Value {
        let mut query = self.source("events");
        query["events"]["query"]["startPartition"] = json!(day_text(FIRST));
        let days = self.random.between(2, 7);
        let one = |input: &str, operation: u8| {
            json!({ "inputColumn": input, "operation": operation, "argMap": {},
                "windows": [{ "length": days, "timeUnit": 1 }] })
        };
        json!({ "metaData": self.meta(kind), "keyColumns": ["k"], "sources": [query],
            "accuracy": u8::from(self.random.once_in(2)), "backfillStartDate": day_text(LEFT_FIRST),
            "aggregations": [one("i", 6), one("s", 7), one("w", 4)] })
    }
}

/// The parts of a join, as the oracle names them: prefix and GroupBy.
fn parts_of(conf: &Value) -> impl Iterator<Item = (String, &Value)> {
    let word = |part: &Value, name: &Value| {
        let name = name.as_str().unwrap().replace('.', "_");
        match part["prefix"].as_str() {
            Some(prefix) => format!("{prefix}_{name}"),
            None => name,
        }
    };
    let regular = conf["joinParts"].as_array().into_iter().flatten();
    let regular = regular.map(move |part| {
        (
            word(part, &part["groupBy"]["metaData"]["name"]),
            &part["groupBy"],
        )
    });
    let external = conf["onlineExternalParts"].as_array().into_iter().flatten();
    let external = external.filter(|part| !part["source"]["offlineGroupBy"].is_null());
    regular.chain(external.map(move |part| {
        let source = &part["source"];
        (
            format!("ext_{}", word(part, &source["metadata"]["name"])),
            &source["offlineGroupBy"],
        )
    }))
}

/// The scalar features of a part whose type is known.
fn typed_features((prefix, conf): (String, &Value)) -> Vec<(String, String)> {
    if !conf["derivations"].is_null() {
        return Vec::new();
    }
    let Some(aggregations) = conf["aggregations"].as_array() else {
        let plain = [("a", "bigint"), ("c", "string")];
        let selects = &conf["sources"][0]["entities"]["query"]["selects"];
        let plain = plain
            .into_iter()
            .filter(|(name, _)| !selects[name].is_null());
        return plain
            .map(|(name, kind)| (format!("{prefix}_{name}"), kind.to_owned()))
            .collect();
    };
    let mut found = Vec::new();
    for one in aggregations {
        let Some((word, kind)) = scalar(one) else {
            continue;
        };
        let base = format!("{prefix}_{}_{word}", one["inputColumn"].as_str().unwrap());
        let windows = one["windows"]
            .as_array()
            .filter(|windows| !windows.is_empty());
        match windows {
            None => found.push((base, kind)),
            Some(windows) => found.extend(windows.iter().map(|window| {
                let unit = if window["timeUnit"] == 0 { "h" } else { "d" };
                (format!("{base}_{}{unit}", window["length"]), kind.clone())
            })),
        }
    }
    found
}

/// The word and type of an aggregation without buckets over a scalar.
fn scalar(one: &Value) -> Option<(String, String)> {
    if !one["buckets"].is_null() {
        return None;
    }
    let input = match one["inputColumn"].as_str()? {
        "v" => "double",
        "i" | "a" => "bigint",
        "s" => "int",
        "w" | "c" => "string",
        _ => return None,
    };
    let (word, kind) = match one["operation"].as_u64()? {
        0 => ("min", input),
        1 => ("max", input),
        4 => ("unique_count", "bigint"),
        5 => ("approx_unique_count", "bigint"),
        6 => ("count", "bigint"),
        7 => (
            "sum",
            if input == "double" {
                "double"
            } else {
                "bigint"
            },
        ),
        8 => ("average", "double"),
        9 => ("variance", "double"),
        19 => ("bounded_unique_count", "bigint"),
        _ => return None,
    };
    Some((word.to_owned(), kind.to_owned()))
}

/// The derived columns of a join whose type is known.
fn derived_types(conf: &Value) -> Vec<(String, String)> {
    let all = conf["derivations"].as_array().into_iter().flatten();
    let kind = |name: &str| match name {
        "d_share" => Some("double"),
        "d_none" => Some("int"),
        _ => None,
    };
    all.filter_map(|one| {
        let name = one["name"].as_str()?;
        Some((name.to_owned(), kind(name)?.to_owned()))
    })
    .collect()
}
