//! A join over tables of which every row is known, run by plans through the simulated engines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use chronon_run_conf::Join;
use chronon_run_core::{
    CatalogSnapshot, Ds, PartitionRange, Partitions, RangeSet, StepKind, TableName, TableState,
};
use chronon_run_plan::{
    AnyConf, Asset, AssetSettings, BuildOptions, ConfView, DriverOptions, DriverWorld, Graph,
    History, JoinFlow, Plan, Request, Step, World, dropped_first, first_hole, plan,
    premature_parts,
};
use chronon_run_testkit::driver::{self, Commit, Facts, LeftRow, Outcome, run_sql, values_of};
use serde_json::{Value, json};

/// What fills the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    Driver,
    Sql,
}

/// Where a run is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    /// The number of steps that end before.
    pub(crate) step: usize,
    /// The number of commits that the next step makes.
    pub(crate) commits: usize,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) engine: Engine,
    pub(crate) flow: JoinFlow,
    pub(crate) step_days: u32,
    pub(crate) start: Option<i32>,
    pub(crate) end: i32,
    pub(crate) recompute: bool,
    pub(crate) kill: Option<Kill>,
    /// Whether premature partitions are dropped.
    pub(crate) drops: bool,
    /// Chooses among steps that may run.
    pub(crate) order: u64,
}

/// A kind of join.
#[derive(Debug)]
pub(crate) struct Kind {
    name: &'static str,
    /// The left's partition column.
    column: &'static str,
    entities: bool,
    /// Prefix, and whether the values are those at the row's time.
    parts: &'static [(&'static str, bool)],
    /// Whether the Driver can fill it step by step.
    pub(crate) modular: bool,
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        name: "one_part",
        column: "ds",
        entities: false,
        parts: &[("", false)],
        modular: true,
    },
    Kind {
        name: "two_of_one",
        column: "ds",
        entities: false,
        parts: &[("here", false), ("there", false), ("now", true)],
        modular: true,
    },
    Kind {
        name: "own_column",
        column: "day",
        entities: false,
        parts: &[("", false)],
        modular: false,
    },
    Kind {
        name: "entities",
        column: "ds",
        entities: true,
        parts: &[("", false)],
        modular: true,
    },
];

/// The day of March 2026 with this number.
pub(crate) fn day(number: i32) -> Ds {
    "2026-02-28".parse::<Ds>().unwrap().plus(number)
}

/// A left row: its name, its key, the day of its time.
pub(crate) fn row(id: &str, key: &str, time: i32) -> (String, String, i32) {
    (id.to_owned(), key.to_owned(), time)
}

pub(crate) struct Shop {
    kind: &'static Kind,
    join: Join,
    folder: tempfile::TempDir,
    catalog: CatalogSnapshot,
    history: History,
    facts: Facts,
    first: i32,
    last: i32,
    landed: i32,
}

const CONF: &str = "production/joins/port/calls.v1";

impl Shop {
    /// Rows by left day; sources begin on `first`, the left on the first day with rows.
    pub(crate) fn new(
        kind: &'static Kind,
        rows: &BTreeMap<i32, Vec<(String, String, i32)>>,
        first: i32,
        last: i32,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let left_first = *rows.keys().next().unwrap();
        let conf = conf(kind, left_first);
        let path = folder.path().join(CONF);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, conf.to_string()).unwrap();
        let left_row = |(id, key, time): &(String, String, i32)| LeftRow {
            id: id.clone(),
            key: key.clone(),
            time: day(*time),
        };
        let left_rows = rows.iter().map(|(&ds, rows)| {
            let rows = rows.iter().map(left_row).collect();
            (day(ds), rows)
        });
        let facts = Facts {
            left_rows: BTreeMap::from([(left_table(), left_rows.collect())]),
            ..Facts::default()
        };
        Self {
            kind,
            join: serde_json::from_value(conf).unwrap(),
            folder,
            catalog: CatalogSnapshot::default(),
            history: History::default(),
            facts,
            first,
            last,
            landed: i32::MIN,
        }
    }

    pub(crate) fn set_large(&mut self, large: bool) {
        self.facts.large = large;
    }

    /// All tables have the days up to this one.
    pub(crate) fn land(&mut self, last: i32) {
        self.landed = self.landed.max(last.min(self.last));
        let until = |first: i32| RangeSet::from(PartitionRange::new(day(first), day(self.landed)));
        let left = self.facts.left_rows[&left_table()].keys().next().copied();
        let left_days = left.and_then(|first| PartitionRange::new(first, day(self.landed)));
        set_days(
            &mut self.catalog,
            &left_table(),
            self.kind.column,
            left_days.into(),
        );
        set_days(&mut self.catalog, &source_table(), "ds", until(self.first));
    }

    fn graph(&self, run: &Run) -> Graph {
        let view = ConfView {
            path: Path::new(CONF),
            digest: "",
            conf: AnyConf::Join(&self.join),
        };
        let options = BuildOptions {
            flow: run.flow,
            driver: (run.engine == Engine::Driver).then(DriverOptions::default),
            ..BuildOptions::default()
        };
        let (graph, findings) = Graph::build(&[view], &options);
        assert_eq!(findings, []);
        graph
    }

    /// The plan of a run, as things are.
    pub(crate) fn plan(&self, run: &Run) -> Plan {
        self.planned(run, &self.graph(run))
    }

    fn planned(&self, run: &Run, graph: &Graph) -> Plan {
        let driver = (run.engine == Engine::Driver).then(DriverWorld::default);
        let fills = |step: &StepKind| {
            matches!(
                step,
                StepKind::Backfill | StepKind::Left | StepKind::Part(_) | StepKind::Final
            )
        };
        let assets = graph.assets.iter().enumerate();
        let selected = assets.filter(|(_, asset)| fills(&asset.id.step));
        let world = World {
            graph,
            snapshot: &self.catalog,
            history: &self.history,
            never: &BTreeMap::new(),
            first_ds: &BTreeMap::new(),
            refused: &BTreeMap::new(),
            driver: driver.as_ref(),
        };
        plan(
            world,
            &Request {
                selected: selected.map(|(index, _)| index).collect(),
                start_ds: run.start.map(day),
                end_ds: Some(day(run.end)),
                as_of: day(self.landed),
                recompute: run.recompute,
                stale: false,
                only: &BTreeMap::new(),
                settings: &|_| AssetSettings {
                    step_days: run.step_days,
                    lag: 0,
                },
            },
        )
    }

    /// Plans and runs, up to where the run is killed.
    pub(crate) fn run(&mut self, run: &Run) {
        let graph = self.graph(run);
        let plan = self.planned(run, &graph);
        let order = some_order(&plan.steps, run.order);
        for (done, &place) in order.iter().enumerate() {
            let step = &plan.steps[place];
            let asset = &graph.assets[graph.find(&step.asset).unwrap()];
            let killed = run.kill.filter(|kill| kill.step == done);
            if run.engine == Engine::Driver {
                self.drop_first(run, step, asset);
            }
            let outcome = match run.engine {
                Engine::Driver => self.drive(step, asset),
                Engine::Sql => run_sql(
                    &self.join,
                    &step.asset.step,
                    step.range,
                    &self.catalog,
                    &self.facts,
                ),
            };
            let commits = killed.map_or(usize::MAX, |kill| kill.commits);
            self.apply(outcome.commits.iter().take(commits));
            if killed.is_some() {
                return;
            }
            assert_eq!(
                outcome.exit, 0,
                "{} {}: {}",
                step.asset, step.range, outcome.message
            );
            self.verify(step, asset);
        }
    }

    fn apply<'a>(&mut self, commits: impl Iterator<Item = &'a Commit>) {
        for write in commits.flat_map(|commit| &commit.writes) {
            write.apply(&mut self.catalog);
        }
    }

    fn drop_first(&mut self, run: &Run, step: &Step, asset: &Asset) {
        let days_of = |table: &TableName| self.catalog.days(table, "ds", &[]);
        let dropped = match (run.recompute, run.drops) {
            (true, _) => dropped_first(asset, &step.range.into(), &days_of),
            (false, true) => premature_parts(asset, step.range, &days_of),
            (false, false) => BTreeMap::new(),
        };
        for (table, days) in dropped {
            let left = self.catalog.days(&table, "ds", &[]).minus(&days);
            set_days(&mut self.catalog, &table, "ds", left);
        }
    }

    fn drive(&self, step: &Step, asset: &Asset) -> Outcome {
        let days_of = |table: &TableName| self.catalog.days(table, "ds", &[]);
        let mut argv = match &step.asset.step {
            StepKind::Left => vec!["join-left".to_owned()],
            StepKind::Final => vec!["join-final".to_owned()],
            StepKind::Part(name) => vec![
                "join".to_owned(),
                format!("--selected-join-parts={name}"),
                "--use-cached-left".to_owned(),
            ],
            _ => vec!["join".to_owned()],
        };
        argv.extend([
            format!("--conf-path={CONF}"),
            format!("--start-partition-override={}", step.range.start),
            format!("--end-date={}", step.range.end),
        ]);
        if first_hole(asset, step.range, &days_of) {
            argv.push("--run-first-hole".to_owned());
        }
        driver::run(&argv, self.folder.path(), &self.catalog, &self.facts)
    }

    /// Days that a step left out must have no rows; the ledger notes them.
    fn verify(&mut self, step: &Step, asset: &Asset) {
        let there = self.catalog.days(&asset.table, "ds", &[]);
        let there = there.widen(-asset.shift, -asset.shift);
        let missing = RangeSet::from(step.range).minus(&there);
        for ds in missing.iter() {
            let rows = &self.facts.left_rows[&left_table()][&ds];
            let counts = rows.iter().any(|row| asset.shift == 0 || row.time == ds);
            assert!(!counts, "{} has no {ds}", asset.id);
        }
        let known = self.history.empty.entry(asset.id.clone()).or_default();
        *known = known.union(&missing);
    }

    /// `<row>/<part>` with the value of the output, of left days in this range.
    pub(crate) fn output(&self, first: i32, last: i32) -> Vec<(String, Option<String>)> {
        let values = values_of(&self.catalog, &self.join.backfill_table().unwrap());
        let range = values.range(day(first)..=day(last));
        let all = range.flat_map(|(_, values)| values.clone());
        let short = |(id, value): (String, Option<String>)| match self.kind.parts {
            [_] => (id.split('/').next().unwrap_or_default().to_owned(), value),
            _ => (id, value),
        };
        all.map(short).collect()
    }

    /// What a clean backfill of everything holds: by row, its left day and its value.
    pub(crate) fn wanted(&self, first: i32, last: i32) -> BTreeMap<String, (i32, Option<String>)> {
        let landed = self.catalog.days(&source_table(), "ds", &[]);
        let rows = &self.facts.left_rows[&left_table()];
        let mut all = BTreeMap::new();
        for number in first..=last {
            for row in rows.get(&day(number)).into_iter().flatten() {
                for ((_, instants), part) in self.kind.parts.iter().zip(self.join.offline_parts()) {
                    let id = match self.kind.parts {
                        [_] => row.id.clone(),
                        _ => format!("{}/{}", row.id, part.full_prefix),
                    };
                    let value = match self.kind.entities || *instants {
                        true => Some(format!("{} in {}", row.key, day(number))),
                        false => driver::day_end(&row.key, row.time.plus(-1), &landed),
                    };
                    all.insert(id, (number, value));
                }
            }
        }
        all
    }

    /// The keys of a partition of the first part's table.
    pub(crate) fn part_keys(&self, number: i32) -> Vec<String> {
        let output = self.join.meta_data.output_table().unwrap();
        let part = self.join.offline_parts().next().unwrap();
        let table = output.suffixed(&format!("_{}", part.table_suffix));
        let values = values_of(&self.catalog, &table);
        values[&day(number)].keys().cloned().collect()
    }
}

/// One of the orders in which an executor may run the steps.
fn some_order(steps: &[Step], seed: u64) -> Vec<usize> {
    let mut order = Vec::new();
    let mut done = BTreeSet::new();
    let mut random = seed;
    while order.len() < steps.len() {
        let is_ready = |place: &usize| {
            let step = &steps[*place];
            let mut waits = step.after.iter().chain(&step.once_over);
            let mut family = steps[..*place]
                .iter()
                .filter(|other| other.family == step.family);
            !done.contains(&step.index)
                && waits.all(|other| done.contains(other))
                && family.all(|other| done.contains(&other.index))
        };
        let ready: Vec<usize> = (0..steps.len()).filter(is_ready).collect();
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let chosen = ready[usize::try_from(random >> 33).unwrap() % ready.len()];
        done.insert(steps[chosen].index);
        order.push(chosen);
    }
    order
}

fn left_table() -> TableName {
    TableName::new("raw", "calls").unwrap()
}

fn source_table() -> TableName {
    TableName::new("raw", "cargo").unwrap()
}

fn set_days(catalog: &mut CatalogSnapshot, table: &TableName, column: &str, days: RangeSet) {
    let state: &mut TableState = catalog
        .tables
        .entry(table.clone())
        .or_default()
        .get_or_insert_default();
    state
        .partitions
        .insert(column.to_owned(), Partitions::of_days(days));
}

fn conf(kind: &Kind, first: i32) -> Value {
    let query = json!({
        "selects": { "boat": "boat", "ts": "at_ms" },
        "startPartition": day(first),
        "partitionColumn": kind.column,
        "timeColumn": "at_ms",
        "setups": [],
    });
    let left = match kind.entities {
        true => json!({ "entities": { "snapshotTable": "raw.calls", "query": query } }),
        false => json!({ "events": { "table": "raw.calls", "query": query } }),
    };
    let parts = kind.parts.iter().map(|(prefix, instants)| {
        let mut part = json!({ "groupBy": {
            "metaData": { "name": "port.cargo.v1", "team": "port" },
            "sources": [{ "events": { "table": "raw.cargo", "query": {
                "selects": { "boat": "boat", "tons": "tons" },
                "timeColumn": "at_ms",
                "setups": [],
            } } }],
            "keyColumns": ["boat"],
            "aggregations": [{
                "inputColumn": "tons", "operation": 7, "argMap": {},
                "windows": [{ "length": 7, "timeUnit": 1 }],
            }],
            "accuracy": i32::from(!instants),
        } });
        if !prefix.is_empty() {
            part["prefix"] = json!(prefix);
        }
        part
    });
    json!({
        "metaData": { "name": format!("port.calls.{}", kind.name), "outputNamespace": "out", "team": "port" },
        "left": left,
        "joinParts": parts.collect::<Vec<_>>(),
    })
}
