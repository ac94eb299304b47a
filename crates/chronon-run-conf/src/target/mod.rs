//! The confs of a target: the same confs, whose outputs are tables of other namespaces.
//!
//! The compiled text is changed, not the typed conf, because the Driver reads text. Keys keep their order:
//! the Driver refuses a conf that differs from what it would itself write (§1.2).

mod sample;
mod sql;

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{ConfId, ConfType, TableName};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    json::parse,
    repo::{ConfFile, ConfRepo, digest},
    tables_read::tables_read,
};

pub use sample::{KeyRows, KeysError, Sample, Share, ShareError};

/// The table property that says which keys a table of a target holds.
pub const SAMPLE_PROPERTY: &str = "chronon_run.sample";
/// The table property that says of which target a table is.
pub const TARGET_PROPERTY: &str = "chronon_run.target";

/// How the confs of a repo become those of a target.
#[derive(Clone, Debug, Default)]
pub struct Retarget {
    /// The target's namespace for each namespace of production.
    pub namespaces: BTreeMap<String, String>,
    /// Tables that are read from the target, because it has them or fills them: the table of production and
    /// that of the target. All others are read from production.
    pub tables: BTreeMap<TableName, TableName>,
    /// Properties that every table of the target gets.
    pub properties: Vec<(String, String)>,
    /// Which left rows and keys are computed; all, if absent.
    pub sample: Option<Sample>,
    /// The partition column of tables whose query does not name another.
    pub day_column: String,
}

/// A repo of a target, and the confs that cannot be filled there.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Retargeted {
    /// The confs.
    pub repo: ConfRepo,
    /// Why a conf cannot be filled in the target.
    pub refused: BTreeMap<ConfId, String>,
}

impl Retarget {
    /// The confs of `repo` as they are filled in the target.
    #[must_use]
    pub fn apply(&self, repo: &ConfRepo) -> Retargeted {
        let mut refused = BTreeMap::new();
        let group_bys = self.files(
            &repo.group_bys,
            ConfType::GroupBy,
            &mut refused,
            |rewriting, conf| {
                let sample = self.sample.as_ref().filter(|sample| !sample.is_of_joins());
                rewriting.sampled(conf, sample, Rewriting::group_by, Sample::of_group_by);
            },
        );
        let joins = self.files(
            &repo.joins,
            ConfType::Join,
            &mut refused,
            |rewriting, conf| {
                let limit =
                    |sample: &Sample, conf: &mut Value| sample.of_join(conf, &self.day_column);
                rewriting.sampled(conf, self.sample.as_ref(), Rewriting::join, limit);
            },
        );
        let staging_queries = self.files(
            &repo.staging_queries,
            ConfType::StagingQuery,
            &mut refused,
            |rewriting, conf| rewriting.staging_query(conf),
        );
        Retargeted {
            repo: ConfRepo {
                group_bys,
                joins,
                staging_queries,
                teams: repo.teams.clone(),
            },
            refused,
        }
    }

    /// A dependency or a source's table, e.g. `db.table/ds={{ ds }}`, as it reads in the target.
    #[must_use]
    pub fn reference(&self, text: &str) -> String {
        sql::renamed_words(text, &self.tables)
    }

    fn files<T: DeserializeOwned + Clone>(
        &self,
        files: &BTreeMap<String, ConfFile<T>>,
        conf_type: ConfType,
        refused: &mut BTreeMap<ConfId, String>,
        change: impl Fn(&mut Rewriting<'_>, &mut Value),
    ) -> BTreeMap<String, ConfFile<T>> {
        let derive = |(name, file): (&String, &ConfFile<T>)| {
            let mut rewriting = Rewriting {
                target: self,
                properties: self.properties.clone(),
                wrong: BTreeSet::new(),
            };
            let derived = rewriting.file(file, &change);
            if !rewriting.wrong.is_empty() {
                let id = ConfId {
                    conf_type,
                    name: name.clone(),
                };
                let wrong: Vec<String> = rewriting.wrong.into_iter().collect();
                refused.insert(id, wrong.join("; "));
            }
            (name.clone(), derived.unwrap_or_else(|| file.clone()))
        };
        files.iter().map(derive).collect()
    }
}

/// One conf while it is changed.
struct Rewriting<'a> {
    target: &'a Retarget,
    /// Properties of its tables.
    properties: Vec<(String, String)>,
    /// Why it cannot be filled in the target.
    wrong: BTreeSet<String>,
}

impl Rewriting<'_> {
    fn file<T: DeserializeOwned>(
        &mut self,
        file: &ConfFile<T>,
        change: &impl Fn(&mut Self, &mut Value),
    ) -> Option<ConfFile<T>> {
        let derived = serde_json::from_str::<Value>(&file.text)
            .map_err(|error| error.to_string())
            .and_then(|mut value| {
                change(self, &mut value);
                let text = serde_json::to_string_pretty(&value).map_err(|e| e.to_string())?;
                let conf = parse(&text).map_err(|(message, _)| message)?;
                Ok((text, conf))
            });
        match derived {
            Ok((text, conf)) => Some(ConfFile {
                path: file.path.clone(),
                digest: digest(&text),
                text,
                conf,
            }),
            Err(error) => {
                self.wrong
                    .insert(format!("its conf cannot be derived: {error}"));
                None
            }
        }
    }

    /// Changes the conf of a GroupBy or join, and limits its rows to the sample.
    fn sampled(
        &mut self,
        conf: &mut Value,
        sample: Option<&Sample>,
        change: impl Fn(&mut Self, &mut Value),
        limit: impl Fn(&Sample, &mut Value) -> Result<(), String>,
    ) {
        let property = sample.map(|sample| (SAMPLE_PROPERTY.to_owned(), sample.property()));
        self.properties.extend(property);
        change(self, conf);
        let limited = sample.map(|sample| limit(sample, conf));
        self.wrong.extend(limited.and_then(Result::err));
    }

    fn group_by(&mut self, conf: &mut Value) {
        self.meta(&mut conf["metaData"]);
        for source in list(conf, "sources") {
            self.source(source);
        }
    }

    fn join(&mut self, conf: &mut Value) {
        self.meta(&mut conf["metaData"]);
        if let Some(left) = conf.get_mut("left") {
            self.source(left);
        }
        for part in list(conf, "joinParts") {
            self.part(part);
        }
        for external in list(conf, "onlineExternalParts") {
            if let Some(group_by) = external.pointer_mut("/source/offlineGroupBy") {
                self.group_by(group_by);
            }
        }
        for bootstrap in list(conf, "bootstrapParts") {
            self.table(bootstrap, "table");
            self.nested(bootstrap);
        }
        if let Some(label) = conf.get_mut("labelPart") {
            self.nested(label);
            for part in list(label, "labels") {
                self.part(part);
            }
        }
    }

    fn part(&mut self, part: &mut Value) {
        if let Some(group_by) = part.get_mut("groupBy") {
            self.group_by(group_by);
        }
    }

    /// What has dependencies or a query of its own.
    fn nested(&mut self, conf: &mut Value) {
        if let Some(meta) = conf.get_mut("metaData") {
            self.dependencies(meta);
        }
        if let Some(query) = conf.get_mut("query") {
            self.query(query);
        }
    }

    fn staging_query(&mut self, conf: &mut Value) {
        self.meta(&mut conf["metaData"]);
        self.statements(conf);
        if let Some(query) = conf.get_mut("query") {
            self.sql(query);
        }
    }

    fn meta(&mut self, meta: &mut Value) {
        let Some(meta) = meta.as_object_mut() else {
            return;
        };
        if let Some(Value::String(namespace)) = meta.get_mut("outputNamespace")
            && let Some(own) = self.target.namespaces.get(&namespace.to_lowercase())
        {
            *namespace = own.clone();
        }
        if !self.properties.is_empty() {
            let before = position(meta, "outputNamespace");
            if !meta.get("tableProperties").is_some_and(Value::is_object) {
                meta.shift_remove("tableProperties");
                let empty = Value::Object(Map::new());
                meta.shift_insert(before.min(meta.len()), "tableProperties".to_owned(), empty);
            }
            if let Some(Value::Object(properties)) = meta.get_mut("tableProperties") {
                for (name, value) in &self.properties {
                    properties.insert(name.clone(), Value::String(value.clone()));
                }
            }
        }
        let mut whole = Value::Object(std::mem::take(meta));
        self.dependencies(&mut whole);
        if let Value::Object(changed) = whole {
            *meta = changed;
        }
    }

    fn dependencies(&mut self, meta: &mut Value) {
        for text in list(meta, "dependencies") {
            if let Value::String(text) = text {
                *text = sql::renamed_words(text, &self.target.tables);
            }
        }
    }

    fn source(&mut self, source: &mut Value) {
        if let Some(events) = source.get_mut("events") {
            self.table(events, "table");
            self.nested(events);
        }
        if let Some(entities) = source.get_mut("entities") {
            self.table(entities, "snapshotTable");
            self.table(entities, "mutationTable");
            self.nested(entities);
        }
        if let Some(chained) = source.get_mut("joinSource") {
            self.nested(chained);
            if let Some(parent) = chained.get_mut("join")
                && self.fills(parent)
            {
                self.join(parent);
            }
        }
    }

    /// Whether the output of an embedded join is read from the target. If it is not, the join stays that of
    /// production as a whole.
    fn fills(&self, parent: &Value) -> bool {
        let meta: Option<crate::MetaData> = serde_json::from_value(parent["metaData"].clone()).ok();
        let table = meta.and_then(|meta| meta.output_table().ok());
        table.is_some_and(|table| self.target.tables.contains_key(&table))
    }

    fn table(&mut self, conf: &mut Value, key: &str) {
        if let Some(Value::String(table)) = conf.get_mut(key) {
            *table = sql::renamed_words(table, &self.target.tables);
        }
    }

    fn query(&mut self, query: &mut Value) {
        if let Some(Value::Object(selects)) = query.get_mut("selects") {
            selects.values_mut().for_each(|text| self.expression(text));
        }
        for text in list(query, "wheres") {
            self.expression(text);
        }
        self.statements(query);
    }

    fn expression(&mut self, text: &mut Value) {
        if let Value::String(text) = text {
            *text = sql::renamed(text, &self.target.tables);
        }
    }

    /// A whole query. A table that is named without its database cannot be renamed.
    fn sql(&mut self, text: &mut Value) {
        let Value::String(text) = text else {
            return;
        };
        *text = sql::renamed(text, &self.target.tables);
        let read = tables_read(text, &[]).tables;
        for table in read.iter().filter(|t| self.target.tables.contains_key(t)) {
            self.wrong.insert(format!(
                "its query names {table} in a form that cannot be renamed for the target: write `{table}`"
            ));
        }
    }

    /// `setups`: statements that could write anywhere are refused.
    fn statements(&mut self, conf: &mut Value) {
        for text in list(conf, "setups") {
            self.expression(text);
            let text = text.as_str().unwrap_or_default();
            if !sql::is_harmless(text) {
                let first: String = text
                    .split_whitespace()
                    .take(4)
                    .collect::<Vec<_>>()
                    .join(" ");
                self.wrong.insert(format!(
                    "its setup `{first} …` may write outside the target: only temporary functions and views, SET and ADD are run there"
                ));
            }
        }
    }
}

/// The elements of a list, if there is one.
fn list<'v>(value: &'v mut Value, key: &str) -> impl Iterator<Item = &'v mut Value> {
    let found = value.get_mut(key).and_then(Value::as_array_mut);
    found.into_iter().flatten()
}

/// The place of a key, or the end.
fn position(map: &Map<String, Value>, key: &str) -> usize {
    map.keys()
        .position(|known| known == key)
        .unwrap_or(map.len())
}

#[cfg(test)]
mod tests;
