//! What of an edited conf the Driver takes for another table (§5.5), and what changes a table's
//! content without the Driver noticing. Compares compiled confs as JSON trees, because what the
//! Driver hashes is their text.

use std::{collections::BTreeMap, fmt};

use chronon_run_core::{AssetKind, ConfType, Digest, clean};
use serde_json::{Map, Value, json};

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

/// The digest of what of a compiled conf decides about the rows of one step's table. Descriptions,
/// schedules, topics and the order of the parts do not.
#[must_use]
pub fn content_digest(conf: &Value, conf_type: ConfType, mode: &AssetKind) -> i64 {
    let content = match conf_type {
        ConfType::Join => join_content(conf, mode),
        _ => own_content(conf),
    };
    let mut text = String::new();
    write_sorted(&content, &mut text);
    Digest::default().text(&text).value()
}

/// What of the content differs between two versions, in words.
#[must_use]
pub fn content_edits(
    before: &Value,
    after: &Value,
    conf_type: ConfType,
    mode: &AssetKind,
) -> Vec<String> {
    if conf_type != ConfType::Join {
        return differing(&own_content(before), &own_content(after));
    }
    let mut found: Vec<String> = join_edits(before, after)
        .into_iter()
        .filter(|edit| edit.is_about(mode))
        .map(|edit| edit.to_string())
        .collect();
    let (old, new) = (mappings(before), mappings(after));
    for (part, mapping) in old.iter().filter(|(part, _)| concerns(mode, part)) {
        let paths = new.get(part).map(|now| differing(mapping, now));
        let paths = paths.unwrap_or_default();
        found.extend(paths.iter().map(|path| format!("part {part}: {path}")));
    }
    found.extend(differing(&others(before), &others(after)));
    found
}

impl Edit {
    /// Whether the rows of a step's table follow from what was edited.
    fn is_about(&self, mode: &AssetKind) -> bool {
        match self {
            Self::Left(_) | Self::Bootstraps(_) => true,
            Self::Part(part, _) | Self::PartRemoved(part) | Self::PartAdded(part) => {
                concerns(mode, part)
            }
            Self::Derivations(_) => !matches!(mode, AssetKind::Left | AssetKind::Part(_)),
        }
    }
}

/// Whether the part of a join counts for a step of it.
fn concerns(mode: &AssetKind, part: &str) -> bool {
    match mode {
        AssetKind::Left => false,
        AssetKind::Part(own) => clean(own) == part,
        _ => true,
    }
}

fn join_content(conf: &Value, mode: &AssetKind) -> Value {
    let keep = |found: BTreeMap<String, Value>| -> Value {
        let kept = found.into_iter().filter(|(part, _)| concerns(mode, part));
        Value::Object(kept.collect())
    };
    let derived = !matches!(mode, AssetKind::Left | AssetKind::Part(_));
    json!({
        "left": relevant(&conf["left"]),
        "bootstrapParts": relevant(&conf["bootstrapParts"]),
        "parts": keep(parts(conf)),
        "mappings": keep(mappings(conf)),
        "derivations": if derived { derivations(conf) } else { Value::Null },
        "others": others(conf),
    })
}

/// A GroupBy or a staging query, without what says which days it has.
fn own_content(conf: &Value) -> Value {
    let mut content = relevant(conf);
    if let Some(fields) = content.as_object_mut() {
        fields.remove("metaData");
        if fields.contains_key("query") {
            fields.remove("startPartition");
            fields.remove("endPartition");
        }
    }
    content
}

/// What a join has besides left side, bootstraps, parts and derivations.
fn others(conf: &Value) -> Value {
    const ELSEWHERE: [&str; 8] = [
        "metaData",
        "left",
        "bootstrapParts",
        "joinParts",
        "onlineExternalParts",
        "derivations",
        "labelPart",
        "labelParts",
    ];
    let mut rest = relevant(conf);
    if let Some(fields) = rest.as_object_mut() {
        fields.retain(|name, _| !ELSEWHERE.contains(&name.as_str()));
    }
    rest
}

/// What a JSON tree says, whatever the order of its fields.
fn write_sorted(tree: &Value, out: &mut String) {
    match tree {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            out.push('{');
            for (name, value) in sorted {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_sorted(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_sorted(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
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

/// What differs between two versions of a GroupBy that its streaming app reads: everything but
/// `metaData`, topics included. Paths into the conf.
#[must_use]
pub fn streaming_edits(before: &Value, after: &Value) -> Vec<String> {
    differing(&streamed(before), &streamed(after))
}

/// What of a compiled GroupBy its streaming app reads: of each `metaData` only the name, and no fields
/// that say nothing.
#[must_use]
pub fn streamed(tree: &Value) -> Value {
    match tree {
        Value::Object(fields) => {
            let kept = fields.iter().map(|(name, value)| match name.as_str() {
                "metaData" if value.is_object() => (name.clone(), value["name"].clone()),
                _ => (name.clone(), streamed(value)),
            });
            Value::Object(kept.filter(|(_, value)| !is_nothing(value)).collect())
        }
        Value::Array(items) => items.iter().map(streamed).collect(),
        other => other.clone(),
    }
}

/// The suffixes of the tables of a compiled join's parts (§3).
#[must_use]
pub fn part_suffixes(conf: &Value) -> Vec<String> {
    parts(conf).into_keys().collect()
}

/// Table suffix of each part → its GroupBy without the GroupBy's own `metaData`.
fn parts(conf: &Value) -> BTreeMap<String, Value> {
    let all = named_parts(conf).into_iter();
    let without_names = all.filter_map(|(suffix, mut part)| {
        let mut group_by = part.get_mut("groupBy")?.take();
        group_by.as_object_mut()?.remove("metaData");
        Some((suffix, relevant(&group_by)))
    });
    without_names.collect()
}

/// Table suffix of each part → what the join adds to its GroupBy.
fn mappings(conf: &Value) -> BTreeMap<String, Value> {
    let all = named_parts(conf).into_iter();
    let own = all.filter_map(|(suffix, mut part)| {
        let fields = part.as_object_mut()?;
        fields.remove("groupBy");
        fields.remove("prefix");
        Some((suffix, relevant(&part)))
    });
    own.collect()
}

/// Table suffix of each part → the part, that of an external part included.
fn named_parts(conf: &Value) -> BTreeMap<String, Value> {
    let list = |key: &str| conf[key].as_array().cloned().unwrap_or_default();
    let external = list("onlineExternalParts").into_iter().map(|part| {
        let group_by = part["source"]["offlineGroupBy"].clone();
        json!({"prefix": part["prefix"], "groupBy": group_by, "keyMapping": part["keyMapping"]})
    });
    let named = list("joinParts").into_iter().chain(external);
    let named = named.filter_map(|part| {
        let name = clean(part["groupBy"]["metaData"]["name"].as_str()?);
        let suffix = match part["prefix"].as_str() {
            Some(prefix) => format!("{prefix}_{name}"),
            None => name,
        };
        Some((suffix, part))
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

    /// What of an edit counts for the rows of a table, beyond what the Driver notices.
    #[test]
    fn the_content_is_what_decides_about_rows() {
        let mode = AssetKind::Backfill;
        let digest = |conf: &Value| content_digest(conf, ConfType::Join, &mode);
        let words = |edit: &dyn Fn(&mut Value)| {
            let mut after = join();
            edit(&mut after);
            let words = content_edits(&join(), &after, ConfType::Join, &mode);
            assert_eq!(
                digest(&join()) == digest(&after),
                words.is_empty(),
                "{words:?}"
            );
            words
        };
        let nothing: Vec<String> = Vec::new();
        assert_eq!(
            words(&|j| j["metaData"]["description"] = json!("x")),
            nothing
        );
        assert_eq!(
            words(&|j| j["joinParts"].as_array_mut().unwrap().reverse()),
            nothing
        );
        assert_eq!(
            words(&|j| j["left"]["events"]["topic"] = json!("y")),
            nothing
        );
        assert_eq!(
            words(&|j| j["joinParts"][0]["groupBy"]["metaData"]["team"] = json!("u")),
            nothing
        );
        assert_eq!(
            words(&|j| j["joinParts"][0]["keyMapping"] = json!({"a": "c"})),
            ["part t_g: keyMapping.a"]
        );
        assert_eq!(words(&|j| j["rowIds"] = json!(["other"])), ["rowIds.0"]);
        assert_eq!(
            words(&|j| j["derivations"][1]["expression"] = json!("y + 2")),
            ["derivations: 1"]
        );
    }

    #[test]
    fn a_step_of_a_join_follows_from_its_own_part() {
        let mut after = join();
        after["joinParts"][0]["groupBy"]["aggregations"][0]["operation"] = json!(7);
        let same = |mode: AssetKind| {
            let digest = |conf: &Value| content_digest(conf, ConfType::Join, &mode);
            let same = digest(&join()) == digest(&after);
            assert_eq!(
                content_edits(&join(), &after, ConfType::Join, &mode).is_empty(),
                same
            );
            same
        };
        assert!(!same(AssetKind::Part("t_g".to_owned())));
        assert!(same(AssetKind::Part("p_t_h".to_owned())));
        assert!(same(AssetKind::Left));
        assert!(!same(AssetKind::Final));
    }

    #[test]
    fn the_days_of_a_staging_query_are_not_its_content() {
        let before = json!({"metaData": {"name": "t.s"}, "query": "SELECT 1", "startPartition": "2026-01-01"});
        let mut after = before.clone();
        after["startPartition"] = json!("2025-01-01");
        let digest =
            |conf: &Value| content_digest(conf, ConfType::StagingQuery, &AssetKind::Backfill);
        assert_eq!(digest(&before), digest(&after));
        after["query"] = json!("SELECT 2");
        assert_ne!(digest(&before), digest(&after));
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

    #[test]
    fn a_streaming_app_reads_the_topic_and_nothing_of_meta_data_but_the_name() {
        let conf = |topic: &str, team: &str, window: u32| {
            serde_json::json!({
                "metaData": {"name": "t.g", "team": team, "dependencies": [team]},
                "sources": [{"events": {"table": "a.b", "topic": topic}}],
                "aggregations": [{"windows": [{"length": window}]}],
                "accuracy": null,
            })
        };
        let before = conf("a", "x", 7);
        assert!(streaming_edits(&before, &conf("a", "y", 7)).is_empty());
        assert_eq!(
            streaming_edits(&before, &conf("b", "x", 8)),
            ["sources.0.events.topic", "aggregations.0.windows.0.length"]
        );
        assert!(streaming_edits(&streamed(&before), &before).is_empty());
    }
}
