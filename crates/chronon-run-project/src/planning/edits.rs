//! What the Driver would do about confs that were edited since their tables were filled (§5.5): which
//! tables it would rename, which edits it would not notice, and where it would stop.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::edits::{Edit, join_edits, part_suffixes, unnoticed_edits};
use chronon_run_core::{AssetId, AssetKind, CatalogSnapshot, ConfType, RangeSet, TableName};
use chronon_run_plan::{ArchivedTables, Asset, AssetIndex};
use serde_json::Value;

use crate::{
    loading::project::Project,
    planning::filled::{Filled, Records, SEMANTIC_HASH, conf_of},
};

/// The property that says how the hash was made; without it the Driver refuses to archive.
const HASH_OPTIONS: &str = "semantic_hash_options";

/// The Driver's hash of no bootstrap part at all.
const NO_BOOTSTRAPS: &str = "1B2M2Y8Asg";

/// What edits lead to, by asset.
#[derive(Default)]
pub struct EditEffects {
    /// Tables that would be renamed.
    pub archived: BTreeMap<AssetId, ArchivedTables>,
    /// Edits that would not be noticed, in words.
    pub unnoticed: BTreeMap<AssetId, Vec<String>>,
    /// Why the Driver would stop.
    pub refused: BTreeMap<AssetId, String>,
}

impl EditEffects {
    /// Looks at the selected assets.
    pub fn of(
        context: &Project,
        selected: &BTreeSet<AssetIndex>,
        snapshot: &CatalogSnapshot,
    ) -> Self {
        let mut found = Self::default();
        let looker = EditScan {
            context,
            records: Records::of(context),
            snapshot,
        };
        for asset in selected.iter().map(|&index| &context.graph.assets[index]) {
            looker.look(asset, &mut found);
        }
        found
    }

    /// The snapshot without the tables that would be renamed.
    pub fn hide_archived(&self, snapshot: &mut CatalogSnapshot) {
        for table in self.archived.values().flat_map(|found| found.tables.keys()) {
            snapshot.tables.insert(table.clone(), None);
        }
    }
}

struct EditScan<'a> {
    context: &'a Project,
    records: Records,
    snapshot: &'a CatalogSnapshot,
}

impl EditScan<'_> {
    fn look(&self, asset: &Asset, found: &mut EditEffects) {
        let Some(conf) = conf_of(self.context, &asset.id) else {
            return;
        };
        match (asset.id.conf.conf_type, &asset.id.mode) {
            (
                ConfType::Join,
                AssetKind::Backfill | AssetKind::Left | AssetKind::Part(_) | AssetKind::Final,
            ) => self.look_at_join(asset, &conf, found),
            (ConfType::GroupBy | ConfType::StagingQuery, AssetKind::Backfill) => {
                let filled = self.records.get(&asset.table);
                let filled = filled.filter(|_| !self.days(&asset.table).is_empty());
                let edits = filled.map(|filled| unnoticed_edits(&filled.conf, &conf));
                if let Some(edits) = edits.filter(|edits| !edits.is_empty()) {
                    found.unnoticed.insert(asset.id.clone(), edits);
                }
            }
            _ => {}
        }
    }

    /// A join's steps are compared with the output; its left with the bootstrap table (§5.5).
    fn look_at_join(&self, asset: &Asset, conf: &Value, found: &mut EditEffects) {
        let output = asset.final_table.as_ref().unwrap_or(&asset.table);
        let compared = match asset.id.mode {
            AssetKind::Left => &asset.table,
            _ => output,
        };
        let Some(hash) = self.property(compared, SEMANTIC_HASH) else {
            return;
        };
        let filled = self.records.get(compared);
        let filled = filled.filter(|filled| filled.semantic_hash.as_deref() == Some(hash));
        let mut edits = match &filled {
            Some(filled) => join_edits(&filled.conf, conf),
            None => edits_by_names(hash, &self.root(asset), conf),
        };
        if asset.id.mode == AssetKind::Left {
            edits.retain(Edit::is_about_every_row);
        }
        let has_options = self.property(compared, HASH_OPTIONS);
        let excludes_topics = has_options.is_some_and(|text| text.contains("exclude_topic"));
        if !excludes_topics && (!edits.is_empty() || mentions_topic(conf)) {
            found
                .refused
                .insert(asset.id.clone(), cannot_compare(compared));
            return;
        }
        let tables = self.archived_by(asset, output, &edits, filled.as_ref(), conf);
        if tables.is_empty() {
            return;
        }
        let archived = ArchivedTables {
            tables: tables
                .into_iter()
                .map(|table| (table.clone(), self.days(&table)))
                .collect(),
            because: edits.iter().map(ToString::to_string).collect(),
        };
        found.archived.insert(asset.id.clone(), archived);
    }

    /// The tables that this step of the join would rename.
    fn archived_by(
        &self,
        asset: &Asset,
        output: &TableName,
        edits: &[Edit],
        filled: Option<&Filled>,
        conf: &Value,
    ) -> BTreeSet<TableName> {
        let mut tables = BTreeSet::new();
        if edits.is_empty() {
            return tables;
        }
        let root = self.root(asset);
        let part = |suffix: &String| root.suffixed(&format!("_{suffix}"));
        let every_row = edits.iter().any(Edit::is_about_every_row);
        let bootstrap = root.suffixed("_bootstrap");
        match asset.id.mode {
            AssetKind::Left => {
                tables.insert(bootstrap);
                return self.existing(tables);
            }
            AssetKind::Final => {
                tables.insert(output.clone());
                return self.existing(tables);
            }
            AssetKind::Backfill if every_row => {
                tables.insert(bootstrap);
            }
            _ => {}
        }
        tables.insert(output.clone());
        if every_row {
            let before = filled.map(|filled| part_suffixes(&filled.conf));
            let now = part_suffixes(conf);
            tables.extend(before.unwrap_or_default().iter().chain(&now).map(part));
        }
        for edit in edits {
            if let Edit::Part(suffix, _) | Edit::PartRemoved(suffix) = edit {
                tables.insert(part(suffix));
            }
        }
        self.existing(tables)
    }

    fn existing(&self, mut tables: BTreeSet<TableName>) -> BTreeSet<TableName> {
        // A table of an earlier conf was not asked for, and is then only known by its record.
        let known = |table: &TableName| match self.snapshot.tables.get(table) {
            Some(state) => state.is_some(),
            None => self.records.get(table).is_some(),
        };
        tables.retain(known);
        tables
    }

    /// `O`, by which the join's tables are named, also where its backfill fills `O_pre_mt`.
    fn root(&self, asset: &Asset) -> TableName {
        let join = self.context.repo.joins.get(&asset.id.conf.name);
        let output = join.and_then(|file| file.conf.meta_data.output_table().ok());
        output.unwrap_or_else(|| asset.table.clone())
    }

    fn property(&self, table: &TableName, name: &str) -> Option<&str> {
        let properties = &self.snapshot.table(table)?.info.properties;
        properties.get(name).map(String::as_str)
    }

    fn days(&self, table: &TableName) -> RangeSet {
        self.snapshot
            .days(table, &self.context.workspace.partition_column, &[])
    }
}

/// The edits that show in the names of a property's entries alone: parts that came or went. Of a table
/// that another program filled nothing more can be told.
fn edits_by_names(hash: &str, output: &TableName, conf: &Value) -> Vec<Edit> {
    let Ok(Value::Object(entries)) = serde_json::from_str(hash) else {
        return Vec::new();
    };
    let prefix = format!("{output}_").to_lowercase();
    let before: BTreeSet<String> = entries
        .keys()
        .filter_map(|name| {
            let name = name.to_lowercase();
            let suffix = name.strip_prefix(&prefix)?;
            (suffix != "bootstrap").then(|| suffix.to_owned())
        })
        .collect();
    let now = part_suffixes(conf);
    let lower: BTreeSet<String> = now.iter().map(|suffix| suffix.to_lowercase()).collect();
    let mut edits = Vec::new();
    let bootstrap = entries.iter().find_map(|(name, hash)| {
        (name.to_lowercase() == format!("{prefix}bootstrap")).then(|| hash.as_str())?
    });
    let has = |key: &str| conf[key].as_array().is_some_and(|parts| !parts.is_empty());
    if bootstrap.is_some_and(|hash| (hash != NO_BOOTSTRAPS) != has("bootstrapParts")) {
        edits.push(Edit::Bootstraps(vec!["all of it".to_owned()]));
    }
    if entries.contains_key("derived") != has("derivations") {
        edits.push(Edit::Derivations(vec!["all of it".to_owned()]));
    }
    let removed = before.difference(&lower).cloned().map(Edit::PartRemoved);
    let added = now
        .iter()
        .filter(|suffix| !before.contains(&suffix.to_lowercase()));
    edits.extend(removed.chain(added.cloned().map(Edit::PartAdded)));
    edits
}

fn mentions_topic(tree: &Value) -> bool {
    match tree {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            (["topic", "mutationTopic"].contains(&name.as_str()) && value.is_string())
                || mentions_topic(value)
        }),
        Value::Array(items) => items.iter().any(mentions_topic),
        _ => false,
    }
}

fn cannot_compare(table: &TableName) -> String {
    format!(
        "{table} was filled by an older Chronon, so the Driver would stop with a SemanticHashException; \
         ALTER TABLE {table} UNSET TBLPROPERTIES ('{SEMANTIC_HASH}') keeps the table, dropping it computes it again"
    )
}
