//! The script: a statement for each field, and views for what later ones refer to.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use chronon_run_conf::{ConfRepo, Join, MetaData, StagingQuery};
use chronon_run_core::{ConfId, ConfType, Ds, TableName};
use indexmap::IndexMap;
use regex::Regex;

use super::{
    finding::{Finding, Place},
    types::Check,
};
use chronon_run_sql::quoted;

/// What the confs are analysed against.
pub struct World<'a> {
    /// The confs.
    pub repo: &'a ConfRepo,
    /// The confs that findings are wanted of.
    pub selected: &'a BTreeSet<ConfId>,
    /// The tables that the catalog has.
    pub exists: &'a BTreeSet<TableName>,
    /// Tables that seeds fill, with their declared columns, none if they are inferred.
    pub seeds: &'a BTreeMap<TableName, IndexMap<String, String>>,
    /// The partition column of every output.
    pub partition_column: &'a str,
    /// What macros of staging queries stand for.
    pub day: Ds,
}

/// A script, and what each of its statements is about.
pub struct Analysis {
    /// The statements.
    pub script: String,
    pub(super) probes: Vec<Probe>,
    pub(super) checks: Vec<Check>,
    pub(super) found: Vec<Finding>,
    /// The tables that there are, for the nearest name.
    pub(super) tables: Vec<String>,
    /// Tables that confs or seeds fill: that one of them is not there yet is no mistake.
    pub(super) unknown: Vec<String>,
}

impl Analysis {
    /// How many statements it has.
    #[must_use]
    pub fn statements(&self) -> usize {
        self.probes.len()
    }
}

/// What stands before the number of each statement in the output.
pub(super) const MARK: &str = "chronon.run.probe";
/// The number of the statement that lists Spark's functions.
pub(super) const FUNCTIONS: &str = "functions";
/// How the names of views begin.
pub(super) const VIEW: &str = "chronon_run_view_";

/// What a statement is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Probe {
    pub(super) place: Place,
    /// Lines of the statement before the text of the field.
    pub(super) lines_before: usize,
    /// Whether its error is a finding.
    pub(super) reported: bool,
}

/// The script that analyses the selected confs.
#[must_use]
pub fn analysis(world: &World<'_>) -> Analysis {
    let mut builder = Builder::new(world);
    for id in world.selected {
        builder.conf(id);
    }
    let mut script = format!("SET {MARK}={FUNCTIONS};\nSHOW FUNCTIONS;\n");
    script.push_str(&builder.script);
    script.push_str(&format!("SET {MARK}=end;\n"));
    let outputs: Vec<String> = builder.producers.keys().map(ToString::to_string).collect();
    let seeds = world.seeds.keys().map(ToString::to_string);
    let there = world
        .exists
        .iter()
        .chain(world.seeds.keys())
        .map(ToString::to_string);
    Analysis {
        tables: there.chain(outputs.iter().cloned()).collect(),
        unknown: outputs.into_iter().chain(seeds).collect(),
        script,
        probes: builder.probes,
        checks: builder.checks,
        found: builder.found,
    }
}

pub(super) struct Builder<'a> {
    pub(super) world: &'a World<'a>,
    pub(super) script: String,
    pub(super) probes: Vec<Probe>,
    pub(super) checks: Vec<Check>,
    pub(super) found: Vec<Finding>,
    producers: BTreeMap<TableName, ConfId>,
    /// The views of tables that confs or seeds fill.
    views: BTreeMap<TableName, String>,
    /// Confs that are done or being done.
    seen: BTreeSet<ConfId>,
    setups: BTreeSet<String>,
    /// GroupBys that are done, with their features.
    pub(super) group_bys: Vec<(&'a chronon_run_conf::GroupBy, Feature)>,
    views_made: usize,
    /// Whether errors of the current conf are findings.
    reported: bool,
}

impl<'a> Builder<'a> {
    fn new(world: &'a World<'a>) -> Self {
        let mut producers = BTreeMap::new();
        let mut add = |conf_type, meta: &MetaData| {
            if let Ok(table) = meta.output_table() {
                let name = meta.name.clone();
                producers.insert(table, ConfId { conf_type, name });
            }
        };
        let repo = world.repo;
        repo.staging_queries
            .values()
            .for_each(|file| add(ConfType::StagingQuery, &file.conf.meta_data));
        repo.group_bys
            .values()
            .for_each(|file| add(ConfType::GroupBy, &file.conf.meta_data));
        repo.joins
            .values()
            .for_each(|file| add(ConfType::Join, &file.conf.meta_data));
        Self {
            world,
            script: String::new(),
            probes: Vec::new(),
            checks: Vec::new(),
            found: Vec::new(),
            producers,
            views: BTreeMap::new(),
            seen: BTreeSet::new(),
            setups: BTreeSet::new(),
            group_bys: Vec::new(),
            views_made: 0,
            reported: true,
        }
    }

    /// Analyses a conf, once; what it reads first.
    fn conf(&mut self, id: &ConfId) {
        if !self.seen.insert(id.clone()) {
            return;
        }
        let outer = self.reported;
        let repo = self.world.repo;
        let place = |path: &Path| Place {
            conf: id.clone(),
            path: path.to_owned(),
            field: String::new(),
            text: String::new(),
        };
        let reported = self.world.selected.contains(id);
        match id.conf_type {
            ConfType::StagingQuery => {
                if let Some(file) = repo.staging_queries.get(&id.name) {
                    self.staging_query(&file.conf, &place(&file.path), reported);
                }
            }
            ConfType::GroupBy => {
                if let Some(file) = repo.group_bys.get(&id.name) {
                    let conf = &file.conf;
                    let feature = self.group_by(conf, &place(&file.path), reported);
                    if let (Ok(table), Some(view)) =
                        (conf.meta_data.output_table(), &feature.output)
                    {
                        self.table_view(
                            &table,
                            &format!(
                                "SELECT *, '' AS {} FROM {view}",
                                quoted(self.world.partition_column)
                            ),
                        );
                    }
                }
            }
            ConfType::Join => {
                if let Some(file) = repo.joins.get(&id.name) {
                    self.join(&file.conf, &place(&file.path), reported);
                }
            }
        }
        self.reported = outer;
    }

    fn staging_query(&mut self, conf: &StagingQuery, place: &Place, reported: bool) {
        let query = self.rewritten(&conf.query);
        self.reported = reported;
        self.setups(
            conf.setups.as_deref().unwrap_or_default(),
            &place.at("setups", ""),
        );
        let view = self.new_view();
        let statement = format!("CREATE OR REPLACE TEMPORARY VIEW {view} AS\n{query}");
        self.probe(place.at("query", &conf.query), &statement, 1);
        if let Ok(table) = conf.meta_data.output_table() {
            self.table_view(&table, &format!("SELECT * FROM {view}"));
        }
    }

    /// The query with its macros replaced, and views for tables that confs fill.
    fn rewritten(&mut self, query: &str) -> String {
        let day = self.world.day.to_string();
        let macros = Regex::new(r"\{\{.*?\}\}").ok();
        let text = macros.map_or_else(
            || query.to_owned(),
            |macros| macros.replace_all(query, day.as_str()).into_owned(),
        );
        let Ok(names) = Regex::new(
            r"(?P<before>^|[\s,(])`?(?P<db>\w+)`?\.`?(?P<table>\w+)`?(?P<after>$|[\s,;)])",
        ) else {
            return text;
        };
        let mut relations = BTreeMap::new();
        for found in names.captures_iter(&text) {
            if let Ok(table) = TableName::new(&found["db"], &found["table"])
                && (self.producers.contains_key(&table) || self.world.seeds.contains_key(&table))
            {
                let relation = self.relation(&table);
                relations.insert(table, relation);
            }
        }
        // Twice, because two names may share the character between them.
        let replace = |text: &str| {
            let replaced = names.replace_all(text, |found: &regex::Captures<'_>| {
                let table = TableName::new(&found["db"], &found["table"]).ok();
                match table.and_then(|table| relations.get(&table)) {
                    // Columns may be named by their table.
                    Some(view) if view.starts_with(VIEW) => {
                        format!("{}{view}{}", &found["before"], &found["after"])
                    }
                    _ => found[0].to_owned(),
                }
            });
            replaced.into_owned()
        };
        replace(&replace(&text))
    }

    /// What stands for a table behind FROM.
    pub(super) fn relation(&mut self, table: &TableName) -> String {
        if let Some(view) = self.views.get(table) {
            return view.clone();
        }
        let exists = self.world.exists.contains(table);
        let outer = self.reported;
        if let Some(id) = self.producers.get(table).cloned()
            && !self.seen.contains(&id)
            && (!exists || self.world.selected.contains(&id))
        {
            self.conf(&id);
        } else if let (false, Some(columns)) = (exists, self.world.seeds.get(table))
            && !columns.is_empty()
        {
            let columns = columns
                .iter()
                .map(|(name, kind)| format!("CAST(NULL AS {kind}) AS {}", quoted(name)));
            let columns: Vec<String> = columns.collect();
            self.table_view(table, &format!("SELECT {}", columns.join(", ")));
        }
        self.reported = outer;
        let known = self.views.get(table);
        known
            .cloned()
            .unwrap_or_else(|| format!("{}.{}", quoted(table.namespace()), quoted(table.name())))
    }

    /// The view of a table: its rows as they are, if there are any, until `query` can be analysed.
    pub(super) fn table_view(&mut self, table: &TableName, query: &str) {
        let view = self.new_view();
        if self.world.exists.contains(table) {
            self.silent(&format!(
                "CREATE OR REPLACE TEMPORARY VIEW {view} AS SELECT * FROM {}.{}",
                quoted(table.namespace()),
                quoted(table.name())
            ));
        }
        self.silent(&format!(
            "CREATE OR REPLACE TEMPORARY VIEW {view} AS {query}"
        ));
        self.views.insert(table.clone(), view);
    }

    /// Statements that a conf runs first; the same one only once.
    pub(super) fn setups(&mut self, setups: &[String], place: &Place) {
        for (index, setup) in setups.iter().enumerate() {
            if self.setups.insert(setup.clone()) {
                self.probe(place.at(&format!("[{index}]"), setup), setup, 0);
            }
        }
    }

    pub(super) fn new_view(&mut self) -> String {
        self.views_made += 1;
        format!("{VIEW}{}", self.views_made)
    }

    /// A statement about a field; its number.
    pub(super) fn probe(&mut self, place: Place, statement: &str, lines_before: usize) -> usize {
        self.put(place, statement, lines_before, self.reported)
    }

    /// A statement of which only the answer counts.
    pub(super) fn silent(&mut self, statement: &str) -> usize {
        let place = Place {
            conf: ConfId {
                conf_type: ConfType::Join,
                name: String::new(),
            },
            path: PathBuf::new(),
            field: String::new(),
            text: String::new(),
        };
        self.put(place, statement, 0, false)
    }

    fn put(&mut self, place: Place, statement: &str, lines_before: usize, reported: bool) -> usize {
        let number = self.probes.len();
        let statement = statement.trim().trim_end_matches(';');
        // A semicolon behind a line comment would be part of the comment.
        self.script
            .push_str(&format!("SET {MARK}={number};\n{statement}\n;\n"));
        // The shell counts the line break after the statement before.
        let lines_before = lines_before + 1;
        self.probes.push(Probe {
            place,
            lines_before,
            reported,
        });
        number
    }

    pub(super) fn set_reported(&mut self, reported: bool) -> bool {
        std::mem::replace(&mut self.reported, reported)
    }

    pub(super) fn is_reported(&self) -> bool {
        self.reported
    }

    /// Makes sure that a join is done, and what stands for its output.
    pub(super) fn join_output(&mut self, join: &Join) -> Option<String> {
        let table = join.meta_data.output_table().ok()?;
        Some(self.relation(&table))
    }
}

/// What a GroupBy gives to those that read it.
#[derive(Clone, Debug, Default)]
pub(super) struct Feature {
    /// The view of its keys and features, after derivations.
    pub(super) output: Option<String>,
    /// The names of its features, after derivations; none if only Spark knows them.
    pub(super) names: Option<Vec<String>>,
    /// The statement that describes its first source.
    pub(super) source: Option<usize>,
}
