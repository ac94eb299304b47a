//! What of an edited conf the Driver takes for another table (§5.5), and what changes a table's
//! content without the Driver noticing. Compares compiled confs as JSON trees, because what the
//! Driver hashes is their text.

use std::{collections::BTreeMap, fmt};

use chronon_run_core::clean;
use serde_json::{Map, Value};

/// One edit of a join that the Driver notices.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Edit {
    /// The left source, apart from its topic.
    Left(Vec<String>),
    /// The bootstrap parts.
    Bootstraps(Vec<String>),
    /// The GroupBy of the part whose table ends with this suffix, apart from its own `metaData`.
    Part(String, Vec<String>),
    /// A part that is no more, or has another prefix.
    PartRemoved(String),
    /// A part that was not there, or had another prefix.
    PartAdded(String),
    /// The derivations, their order included.
    Derivations(Vec<String>),
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = |paths: &[String]| paths.join(", ");
        match self {
            Self::Left(found) => write!(f, "left: {}", paths(found)),
            Self::Bootstraps(found) => write!(f, "bootstrapParts: {}", paths(found)),
            Self::Part(part, found) => write!(f, "part {part}: {}", paths(found)),
            Self::PartRemoved(part) => write!(f, "part {part} removed"),
            Self::PartAdded(part) => write!(f, "part {part} added"),
            Self::Derivations(found) => write!(f, "derivations: {}", paths(found)),
        }
    }
}

impl Edit {
    /// Whether everything that the join has cached is computed again, not only some part.
    #[must_use]
    pub fn is_about_every_row(&self) -> bool {
        matches!(self, Self::Left(_) | Self::Bootstraps(_))
    }
}

/// What the Driver notices between two versions of a compiled join; empty if nothing (§5.5).
#[must_use]
pub fn join_edits(before: &Value, after: &Value) -> Vec<Edit> {
    let mut edits = Vec::new();
    let left = differing(&relevant(&before["left"]), &relevant(&after["left"]));
    if !left.is_empty() {
        edits.push(Edit::Left(left));
    }
    let bootstraps = |conf: &Value| relevant(&conf["bootstrapParts"]);
    let found = differing(&bootstraps(before), &bootstraps(after));
    if !found.is_empty() {
        edits.push(Edit::Bootstraps(found));
    }
    let (old, new) = (parts(before), parts(after));
    for (part, group_by) in &old {
        match new.get(part) {
            None => edits.push(Edit::PartRemoved(part.clone())),
            Some(now) => {
                let found = differing(group_by, now);
                if !found.is_empty() {
                    edits.push(Edit::Part(part.clone(), found));
                }
            }
        }
    }
    let added = new.keys().filter(|part| !old.contains_key(*part));
    edits.extend(added.map(|part| Edit::PartAdded(part.clone())));
    let found = differing(&derivations(before), &derivations(after));
    if !found.is_empty() {
        edits.push(Edit::Derivations(found));
    }
    edits
}

/// What the Driver hashes of a compiled join, by the word under which it keeps it: `left_source`,
/// `bootstrap`, `derived`, and the table suffix of each part (§5.5).
#[must_use]
pub fn hashed(conf: &Value) -> BTreeMap<String, Value> {
    let fixed = [
        ("left_source", relevant(&conf["left"])),
        ("bootstrap", relevant(&conf["bootstrapParts"])),
        ("derived", derivations(conf)),
    ];
    let fixed = fixed.map(|(word, tree)| (word.to_owned(), tree));
    fixed.into_iter().chain(parts(conf)).collect()
}

/// What differs between two versions of a GroupBy or staging query that changes its table; the Driver
/// compares neither. Paths into the conf.
#[must_use]
pub fn unnoticed_edits(before: &Value, after: &Value) -> Vec<String> {
    let content = |conf: &Value| {
        let mut content = relevant(conf);
        if let Some(fields) = content.as_object_mut() {
            fields.remove("metaData");
        }
        content
    };
    differing(&content(before), &content(after))
}

/// The suffixes of the tables of a compiled join's parts (§3).
#[must_use]
pub fn part_suffixes(conf: &Value) -> Vec<String> {
    parts(conf).into_keys().collect()
}

/// Table suffix of each part → its GroupBy without the GroupBy's own `metaData`.
fn parts(conf: &Value) -> BTreeMap<String, Value> {
    let list = |key: &str| conf[key].as_array().cloned().unwrap_or_default();
    let regular = list("joinParts")
        .into_iter()
        .map(|part| (part["prefix"].clone(), part["groupBy"].clone()));
    let external = list("onlineExternalParts").into_iter().map(|part| {
        let group_by = part["source"]["offlineGroupBy"].clone();
        (part["prefix"].clone(), group_by)
    });
    let named = regular
        .chain(external)
        .filter_map(|(prefix, mut group_by)| {
            let name = clean(group_by["metaData"]["name"].as_str()?);
            group_by.as_object_mut()?.remove("metaData");
            let suffix = match prefix.as_str() {
                Some(prefix) => format!("{prefix}_{name}"),
                None => name,
            };
            Some((suffix, relevant(&group_by)))
        });
    named.collect()
}

/// Names and expressions, in order.
fn derivations(conf: &Value) -> Value {
    let all = conf["derivations"].as_array().into_iter().flatten();
    let text = |one: &Value| Value::from(format!("{}: {}", one["name"], one["expression"]));
    all.map(text).collect()
}

/// A tree without topics (§5.5), and without fields that say nothing.
fn relevant(tree: &Value) -> Value {
    match tree {
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .filter(|(name, _)| !["topic", "mutationTopic"].contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), relevant(value)))
                .filter(|(_, value)| !is_nothing(value));
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(relevant).collect(),
        other => other.clone(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The paths at which two trees differ.
fn differing(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(before, after, &mut Vec::new(), &mut found);
    found
}

fn walk(before: &Value, after: &Value, path: &mut Vec<String>, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let names = old
                .keys()
                .chain(new.keys().filter(|name| !old.contains_key(*name)));
            for name in names {
                path.push(name.clone());
                walk(&before[name], &after[name], path, found);
                path.pop();
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                path.push(index.to_string());
                walk(old, new, path, found);
                path.pop();
            }
        }
        (before, after) if before == after => {}
        _ if path.is_empty() => found.push("all of it".to_owned()),
        _ => found.push(path.join(".")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn join() -> Value {
        json!({
            "metaData": {"name": "t.j", "tableProperties": {"a": "b"}},
            "left": {"events": {"table": "a.b", "topic": "x", "query": {"wheres": ["1 = 1"], "setups": []}}},
            "joinParts": [
                {"groupBy": group_by("t.g"), "keyMapping": {"a": "b"}},
                {"groupBy": group_by("t.h"), "prefix": "p"},
            ],
            "derivations": [{"name": "*", "expression": "*"}, {"name": "x", "expression": "y + 1"}],
            "rowIds": ["id"],
        })
    }

    fn group_by(name: &str) -> Value {
        json!({
            "metaData": {"name": name, "team": "t"},
            "sources": [{"events": {"table": "c.d", "topic": "z", "query": {"wheres": ["2 = 2"]}}}],
            "aggregations": [{"inputColumn": "v", "operation": 6, "windows": [{"length": 7, "timeUnit": 1}]}],
            "keyColumns": ["k"],
        })
    }

    fn edited(edit: impl Fn(&mut Value)) -> Vec<String> {
        let mut after = join();
        edit(&mut after);
        let edits = join_edits(&join(), &after);
        edits.iter().map(ToString::to_string).collect()
    }

    /// Engine-semantics 1.1, one change at a time.
    #[test]
    fn what_the_driver_notices() {
        let nothing: Vec<String> = Vec::new();
        assert_eq!(edited(|_| ()), nothing);
        assert_eq!(
            edited(|j| j["metaData"]["tableProperties"] = json!({})),
            nothing
        );
        assert_eq!(
            edited(|j| j["left"]["events"]["topic"] = json!("other")),
            nothing
        );
        assert_eq!(
            edited(|j| j["joinParts"][0]["groupBy"]["metaData"]["team"] = json!("u")),
            nothing
        );
        assert_eq!(
            edited(|j| j["joinParts"][0]["keyMapping"] = json!({})),
            nothing
        );
        assert_eq!(edited(|j| j["rowIds"] = json!([])), nothing);
        assert_eq!(
            edited(|j| j["joinParts"].as_array_mut().unwrap().reverse()),
            nothing
        );
        assert_eq!(
            edited(|j| j["left"]["events"]["query"]["startPartition"] = json!("2026-01-01")),
            ["left: events.query.startPartition"]
        );
        assert_eq!(
            edited(|j| j["bootstrapParts"] = json!([{"table": "x.y"}])),
            ["bootstrapParts: all of it"]
        );
        assert_eq!(
            edited(
                |j| j["joinParts"][0]["groupBy"]["aggregations"][0]["windows"][0]["length"] =
                    json!(8)
            ),
            ["part t_g: aggregations.0.windows.0.length"]
        );
        assert_eq!(
            edited(|j| j["joinParts"][1]["prefix"] = json!("q")),
            ["part p_t_h removed", "part q_t_h added"]
        );
        assert_eq!(
            edited(|j| j["derivations"].as_array_mut().unwrap().reverse()),
            ["derivations: 0, 1"]
        );
    }

    #[test]
    fn what_the_driver_does_not_notice_of_a_group_by() {
        let (before, mut after) = (group_by("t.g"), group_by("t.g"));
        after["metaData"]["team"] = json!("u");
        assert!(unnoticed_edits(&before, &after).is_empty());
        after["aggregations"][0]["operation"] = json!(1);
        assert_eq!(
            unnoticed_edits(&before, &after),
            ["aggregations.0.operation"]
        );
    }
}
