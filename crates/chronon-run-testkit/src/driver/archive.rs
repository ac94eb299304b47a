//! Semantic hashes, and the tables that are renamed when they differ (§5.5, engine-semantics 1.1).

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use chronon_run_conf::edits::hashed;
use chronon_run_core::TableName;
use serde_json::Value;

use super::world::{Hashes, World, Write};

/// The property that holds them, as JSON.
const PROPERTY: &str = "semantic_hash";

/// The hash of a join without bootstraps: that of no text.
const NO_BOOTSTRAPS: &str = "1B2M2Y8Asg";

/// The hashes of a compiled join whose tables are named after `output`.
pub(crate) fn hashes_of(conf: &Value, output: &TableName) -> Hashes {
    let is_empty = |tree: &Value| tree.as_array().map_or(tree.is_null(), Vec::is_empty);
    let hash = |word: &str, tree: &Value| {
        if word == "bootstrap" && is_empty(tree) {
            return NO_BOOTSTRAPS.to_owned();
        }
        let mut hasher = DefaultHasher::new();
        tree.to_string().hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    };
    let name = |word: &str| match word {
        "left_source" | "derived" => word.to_owned(),
        "bootstrap" => output.suffixed("_bootstrap").to_string(),
        suffix => output.suffixed(&format!("_{suffix}")).to_string(),
    };
    let all = hashed(conf);
    all.iter()
        .filter(|(word, tree)| *word != "derived" || !is_empty(tree))
        .map(|(word, tree)| (name(word), hash(word, tree)))
        .collect()
}

/// Which job compares, and so what it renames.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparer {
    /// `join`.
    Whole,
    /// `join --selected-join-parts`: everything but the bootstrap table.
    Parts,
    /// `join-left`: the bootstrap table alone.
    Left,
    /// `join-final`: the output alone.
    Last,
}

/// Renames what the conf was edited for since `compared` was written.
pub(crate) fn archive(
    world: &mut World<'_>,
    comparer: Comparer,
    bootstrap: &TableName,
    output: &TableName,
) {
    let compared = match comparer {
        Comparer::Left => bootstrap,
        _ => output,
    };
    let before = world.property(compared, PROPERTY);
    let before: Option<Hashes> = before.and_then(|text| serde_json::from_str(&text).ok());
    let (Some(before), false) = (before, world.hashes.is_empty()) else {
        return;
    };
    let now = world.hashes.clone();
    let differs = |key: &str| before.get(key) != now.get(key);
    let every_row = differs("left_source") || differs(bootstrap.as_str());
    let tables: BTreeSet<&String> = before
        .keys()
        .filter(|key| key.contains('.') && *key != bootstrap.as_str())
        .collect();
    let changed: BTreeSet<&String> = tables
        .iter()
        .copied()
        .filter(|table| every_row || differs(table))
        .collect();
    let added = now.keys().any(|key| !before.contains_key(key));
    if !(every_row || !changed.is_empty() || added || differs("derived")) {
        return;
    }
    let mut renamed: Vec<TableName> = Vec::new();
    match comparer {
        Comparer::Left if every_row => renamed.push(bootstrap.clone()),
        Comparer::Left => {}
        Comparer::Last => renamed.push(output.clone()),
        Comparer::Whole | Comparer::Parts => {
            renamed.push(output.clone());
            renamed.extend(changed.iter().filter_map(|table| table.parse().ok()));
            if every_row && comparer == Comparer::Whole {
                renamed.push(bootstrap.clone());
            }
        }
    }
    for table in renamed {
        world.rename(&table);
    }
}

/// Stores the hashes with a table that was written.
pub(crate) fn stamp(world: &mut World<'_>, table: &TableName) {
    if world.hashes.is_empty() || !world.exists(table) {
        return;
    }
    let text = serde_json::to_string(&world.hashes).unwrap_or_default();
    let properties = [
        (PROPERTY.to_owned(), text),
        (
            "semantic_hash_options".to_owned(),
            r#"{"exclude_topic":"true"}"#.to_owned(),
        ),
    ];
    world.commit(vec![Write::Properties {
        table: table.clone(),
        properties: properties.to_vec(),
    }]);
}
