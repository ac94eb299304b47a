//! A join over tables of which every row is known, run by plans through the simulated engines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use chronon_run_conf::Join;
use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, DayEvidence, Ds, Evidence, MadeDay, Memory,
    PartitionRange, Partitions, RangeSet, SeenDay, Slice, TableName, TableState,
};
use chronon_run_plan::{
    AnyConf, Asset, AssetSettings, BuildOptions, ConfView, Depth, DriverInput, DriverOptions,
    Freshness, Graph, History, JoinFlow, Plan, PlanInput, Request, Step, dropped_before,
    dropped_first, dropped_of, evidence_wanted, first_hole, inputs_digest, inputs_seen, plan,
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
    /// Fills the days that are out of date.
    pub(crate) stale: bool,
    pub(crate) kill: Option<Kill>,
    /// Whether premature partitions are dropped.
    pub(crate) drops: bool,
    /// Chooses among steps that may run.
    pub(crate) order: u64,
}

/// What the ledger writes down of how days were filled.
#[derive(Clone, Default)]
struct Records {
    made: BTreeMap<AssetId, BTreeMap<Ds, MadeDay>>,
    seen: BTreeMap<Slice, BTreeMap<Ds, (SeenDay, Evidence)>>,
}

impl Records {
    fn remembered(&self) -> Memory {
        let made =
            |days: &BTreeMap<Ds, MadeDay>| days.iter().map(|(ds, made)| (*ds, *made)).collect();
        let seen = |days: &BTreeMap<Ds, (SeenDay, Evidence)>| {
            days.iter().map(|(ds, (seen, _))| (*ds, *seen)).collect()
        };
        let (assets, slices) = (self.made.iter(), self.seen.iter());
        Memory {
            made: assets
                .map(|(asset, days)| (asset.clone(), made(days)))
                .collect(),
            seen: slices
                .map(|(slice, days)| (slice.to_string(), seen(days)))
                .collect(),
        }
    }

    /// What was seen last of each day.
    fn evidence(&self) -> BTreeMap<Slice, DayEvidence> {
        let of = |days: &BTreeMap<Ds, (SeenDay, Evidence)>| {
            days.iter()
                .map(|(ds, (_, evidence))| (*ds, *evidence))
                .collect()
        };
        let slices = self.seen.iter();
        slices
            .map(|(slice, days)| (slice.clone(), of(days)))
            .collect()
    }
}

/// What the left side of a join is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    Events,
    Entities,
    /// The output of another join.
    Joined,
}

/// A kind of join.
#[derive(Debug)]
pub(crate) struct Kind {
    name: &'static str,
    /// The left's partition column.
    column: &'static str,
    left: Left,
    /// Prefix, and whether the values are those at the row's time.
    parts: &'static [(&'static str, bool)],
    /// Whether the parts read the output of another join.
    chained: bool,
    /// Whether there is a table of ready values.
    bootstrap: bool,
    /// Whether labels are joined to the rows of the two days before.
    labels: bool,
    /// Whether the Driver can fill it step by step.
    pub(crate) modular: bool,
}

impl Kind {
    /// By how many days a row may be early and still need only days that are there by the next day.
    pub(crate) fn near(&self) -> i32 {
        let instants = self.parts.iter().any(|(_, instants)| *instants);
        i32::from(!instants)
    }
}

const PLAIN: Kind = Kind {
    name: "one_part",
    column: "ds",
    left: Left::Events,
    parts: &[("", false)],
    chained: false,
    bootstrap: false,
    labels: false,
    modular: true,
};

pub(crate) const KINDS: &[Kind] = &[
    PLAIN,
    Kind {
        name: "two_of_one",
        parts: &[("here", false), ("there", false), ("now", true)],
        ..PLAIN
    },
    Kind {
        name: "own_column",
        column: "day",
        modular: false,
        ..PLAIN
    },
    Kind {
        name: "entities",
        left: Left::Entities,
        ..PLAIN
    },
    Kind {
        name: "at_the_rows_times",
        parts: &[("", true)],
        ..PLAIN
    },
    Kind {
        name: "left_of_a_join",
        left: Left::Joined,
        parts: &[("then", false), ("now", true)],
        ..PLAIN
    },
    Kind {
        name: "chained",
        chained: true,
        parts: &[("then", false), ("now", true)],
        ..PLAIN
    },
    Kind {
        name: "bootstrapped",
        bootstrap: true,
        ..PLAIN
    },
    Kind {
        name: "labelled",
        labels: true,
        ..PLAIN
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
    memory: Records,
    looks: i64,
    blind: bool,
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
            left_rows: BTreeMap::from([(kind.left_table(), left_rows.collect())]),
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
            memory: Records::default(),
            looks: 0,
            blind: false,
        }
    }

    pub(crate) fn set_large(&mut self, large: bool) {
        self.facts.large = large;
    }

    /// Files tell nothing of the times of the left rows.
    pub(crate) fn set_blind(&mut self) {
        self.blind = true;
    }

    /// All tables have the days up to this one.
    pub(crate) fn land(&mut self, last: i32) {
        self.landed = self.landed.max(last.min(self.last));
        let left = self.facts.left_rows[&self.kind.left_table()]
            .keys()
            .next()
            .copied();
        let first = left.unwrap();
        let until = PartitionRange::new(first, day(self.landed)).into();
        land(
            &mut self.catalog,
            &self.kind.left_table(),
            self.kind.column,
            &until,
        );
        if self.kind.left == Left::Joined || self.kind.chained {
            land(&mut self.catalog, &rides_table(), "ds", &until);
        }
        if self.kind.bootstrap {
            land(&mut self.catalog, &ready_table(), "ds", &until);
        }
        self.land_sources(self.landed);
    }

    /// The tables of the parts have the days up to this one.
    pub(crate) fn land_sources(&mut self, last: i32) {
        let days = PartitionRange::new(day(self.first), day(last)).into();
        land(&mut self.catalog, &self.kind.source_table(), "ds", &days);
        if self.kind.chained {
            land(&mut self.catalog, &rides_table(), "ds", &days);
        }
    }

    /// Late rows: a partition of the parts' table is written again, if it is there.
    pub(crate) fn rewrite(&mut self, number: i32) {
        let table = self.kind.source_table();
        let state = self.catalog.tables.get_mut(&table).and_then(Option::as_mut);
        let stamp = state.and_then(|state| state.stamps.get_mut(&day(number)));
        stamp.into_iter().for_each(|stamp| *stamp += 1);
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
    pub(crate) fn plan(&mut self, run: &Run) -> Plan {
        let graph = self.graph(run);
        self.read_times(&graph);
        self.planned(run, &graph)
    }

    /// The partitions that are dropped before each step of a whole join's plan for the Driver, if the
    /// steps are typed: those of each table.
    pub(crate) fn dropped_before(&self, plan: &Plan) -> Vec<Vec<String>> {
        let driver = super::a_run(Engine::Driver, JoinFlow::Whole, 1);
        let graph = self.graph(&driver);
        let of_step = |step: &Step| {
            let asset = &graph.assets[graph.find(&step.asset).unwrap()];
            let dropped = dropped_before(plan, &self.catalog, step, asset);
            dropped.values().map(ToString::to_string).collect()
        };
        plan.steps.iter().map(of_step).collect()
    }

    fn planned(&self, run: &Run, graph: &Graph) -> Plan {
        let driver = (run.engine == Engine::Driver).then(DriverInput::default);
        let fills = |step: &AssetKind| {
            matches!(
                step,
                AssetKind::Backfill
                    | AssetKind::Left
                    | AssetKind::Part(_)
                    | AssetKind::Final
                    | AssetKind::LabelJoin
            )
        };
        let assets = graph.assets.iter().enumerate();
        let selected = assets.filter(|(_, asset)| fills(&asset.id.mode));
        let selected: BTreeSet<usize> = selected.map(|(index, _)| index).collect();
        let mut history = self.history.clone();
        let (never, refused, first_ds) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let world = PlanInput {
            graph,
            snapshot: &self.catalog,
            history: &self.history,
            never: &never,
            first_ds: &first_ds,
            refused: &refused,
            driver: driver.as_ref(),
        };
        let depth = match run.stale {
            true => Depth::FilledDays,
            false => Depth::EmptyDays,
        };
        let memory = self.memory.remembered();
        let wanted = evidence_wanted(world, &selected, &memory, depth);
        let confs = graph.assets.iter().map(|asset| (asset.id.clone(), 1));
        history.freshness = Some(Freshness {
            memory,
            now: self.evidence(&wanted),
            before: self.memory.evidence(),
            confs: confs.collect(),
            edits: BTreeMap::new(),
        });
        plan(
            PlanInput {
                history: &history,
                ..world
            },
            &Request {
                selected,
                start_ds: run.start.map(day),
                end_ds: Some(day(run.end)),
                as_of: day(self.landed),
                recompute: run.recompute,
                stale: run.stale,
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
        self.read_times(&graph);
        let plan = self.planned(run, &graph);
        let order = some_order(&plan.steps, run.order);
        for (done, &place) in order.iter().enumerate() {
            let step = &plan.steps[place];
            let asset = &graph.assets[graph.find(&step.asset).unwrap()];
            let killed = run.kill.filter(|kill| kill.step == done);
            if run.engine == Engine::Driver {
                self.drop_first(run, step, asset);
            }
            let number = self.look(step, asset);
            let outcome = match run.engine {
                Engine::Driver => self.drive(step, asset),
                Engine::Sql => run_sql(
                    &self.join,
                    &step.asset.mode,
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
            self.finish(run, step, asset, number);
        }
    }

    fn evidence(&self, wanted: &BTreeMap<Slice, RangeSet>) -> BTreeMap<Slice, DayEvidence> {
        let of_slice = |slice: &Slice, days: &RangeSet| {
            let state = self.catalog.table(&slice.table);
            let stamp = |ds: Ds| state.and_then(|state| state.stamps.get(&ds).copied());
            let one = |ds: Ds| Evidence {
                files: None,
                catalog: Some(stamp(ds).unwrap_or_default()),
                bytes: None,
            };
            days.iter().map(|ds| (ds, one(ds))).collect()
        };
        let wanted = wanted.iter();
        wanted
            .map(|(slice, days)| (slice.clone(), of_slice(slice, days)))
            .collect()
    }

    /// What the ledger writes down before a step, as `Provenance` does.
    fn look(&mut self, step: &Step, asset: &Asset) -> i64 {
        self.looks += 1;
        let wanted = inputs_seen(asset, &step.range.into(), &self.catalog);
        for (slice, days) in self.evidence(&wanted) {
            let known = self.memory.seen.entry(slice).or_default();
            for (ds, evidence) in days {
                let new = SeenDay {
                    born: self.looks,
                    changed: self.looks,
                    evident: evidence != Evidence::default(),
                };
                let (seen, before) = known.entry(ds).or_insert((new, evidence));
                if evidence.differs(*before) {
                    (*before, seen.changed) = (evidence, self.looks);
                }
            }
        }
        let missing = RangeSet::from(step.range).minus(&self.filled(asset));
        let made = self.memory.made.entry(asset.id.clone()).or_default();
        let days = made.range_mut(step.range.start..=step.range.end);
        days.for_each(|(_, made)| made.unfinished = !made.begun);
        // If the run is killed, the days that exist afterwards are known to be of this attempt.
        for ds in missing.iter() {
            let begun = MadeDay {
                attempt: self.looks,
                conf: 1,
                inputs: inputs_digest(asset),
                unfinished: false,
                begun: true,
            };
            let known = made.entry(ds).or_insert(begun);
            if known.begun {
                *known = begun;
            }
        }
        self.looks
    }

    /// What it writes down afterwards: how each day was made, and the times of the left rows.
    fn finish(&mut self, run: &Run, step: &Step, asset: &Asset, attempt: i64) {
        let made = self.memory.made.entry(asset.id.clone()).or_default();
        let one = MadeDay {
            attempt,
            conf: 1,
            inputs: inputs_digest(asset),
            unfinished: false,
            begun: false,
        };
        made.extend(step.range.iter().map(|ds| (ds, one)));
        if self.blind || !matches!(asset.id.mode, AssetKind::Backfill | AssetKind::Left) {
            return;
        }
        let times = self.history.left_times.entry(asset.id.clone()).or_default();
        times.alone = times.alone.minus(&step.range.into());
        if run.engine == Engine::Driver {
            times.alone = times.alone.union(&times.alone_in(step.range));
        }
    }

    /// What the files of the left table tell of its rows' times.
    fn read_times(&mut self, graph: &Graph) {
        if self.blind {
            return;
        }
        let rows = &self.facts.left_rows[&self.kind.left_table()];
        let landed = rows.range(..=day(self.landed));
        let times = landed.filter_map(|(ds, rows)| {
            let times = rows.iter().map(|row| row.time);
            Some((
                *ds,
                PartitionRange::new(times.clone().min()?, times.max()?)?,
            ))
        });
        let times: BTreeMap<Ds, PartitionRange> = times.collect();
        let storing = graph
            .assets
            .iter()
            .filter(|asset| matches!(asset.id.mode, AssetKind::Backfill | AssetKind::Left));
        for asset in storing {
            let known = self.history.left_times.entry(asset.id.clone()).or_default();
            known.days.clone_from(&times);
        }
    }

    /// The days of an asset that have a partition.
    fn filled(&self, asset: &Asset) -> RangeSet {
        let column = asset.day_column.as_deref().unwrap();
        let there = self.catalog.days(&asset.table, column, &[]);
        there.widen(-asset.shift, -asset.shift)
    }

    fn apply<'a>(&mut self, commits: impl Iterator<Item = &'a Commit>) {
        for write in commits.flat_map(|commit| &commit.writes) {
            write.apply(&mut self.catalog);
        }
    }

    fn drop_first(&mut self, run: &Run, step: &Step, asset: &Asset) {
        let days_of = |table: &TableName| self.catalog.days(table, "ds", &[]);
        let dropped = match (run.recompute || run.stale, run.drops) {
            (true, _) => dropped_first(asset, &step.range.into(), &days_of),
            (false, true) => dropped_of(asset, step, &days_of),
            (false, false) => BTreeMap::new(),
        };
        for (table, days) in dropped {
            let left = self.catalog.days(&table, "ds", &[]).minus(&days);
            set_days(&mut self.catalog, &table, "ds", left);
        }
    }

    fn drive(&self, step: &Step, asset: &Asset) -> Outcome {
        let days_of = |table: &TableName| self.catalog.days(table, "ds", &[]);
        let mut argv = match &step.asset.mode {
            AssetKind::Left => vec!["join-left".to_owned()],
            AssetKind::Final => vec!["join-final".to_owned()],
            AssetKind::LabelJoin => vec!["label-join".to_owned()],
            AssetKind::Part(name) => vec![
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
        let missing = RangeSet::from(step.range).minus(&self.filled(asset));
        let labels = asset.id.mode == AssetKind::LabelJoin;
        for ds in missing.iter().filter(|_| !labels) {
            let rows = &self.facts.left_rows[&self.kind.left_table()][&ds];
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
        let rows = &self.facts.left_rows[&self.kind.left_table()];
        let mut all = BTreeMap::new();
        for number in first..=last {
            for row in rows.get(&day(number)).into_iter().flatten() {
                for ((_, instants), part) in self.kind.parts.iter().zip(self.join.offline_parts()) {
                    let id = match self.kind.parts {
                        [_] => row.id.clone(),
                        _ => format!("{}/{}", row.id, part.full_prefix),
                    };
                    let landed = driver::landed_of(&self.catalog, part.group_by);
                    let value = match (self.kind.left, instants) {
                        (Left::Entities, _) => driver::day_end(&row.key, day(number), &landed),
                        (_, true) => driver::at_time(&row.key, row.time, &landed),
                        (_, false) => driver::day_end(&row.key, row.time.plus(-1), &landed),
                    };
                    all.insert(id, (number, value));
                }
            }
        }
        all
    }

    /// The label days that are there and do not hold what they should.
    pub(crate) fn wrong_labels(&self) -> Vec<i32> {
        let Some(labels) = &self.join.label_part else {
            return Vec::new();
        };
        let table = self.join.meta_data.output_table().unwrap();
        let found = driver::labels_of(&self.catalog, &table.suffixed("_labels"));
        let all = &self.facts.left_rows[&self.kind.left_table()];
        let right = |label: Ds| {
            let rows = all.range(label.plus(-2)..=label.plus(-1));
            let rows = rows.flat_map(|(ds, rows)| rows.iter().map(|row| (*ds, row.clone())));
            let rows: Vec<(Ds, LeftRow)> = rows.collect();
            driver::labels(&self.catalog, labels, label, &rows)
        };
        let wrong = found.iter().filter(|(ds, rows)| **rows != right(**ds));
        wrong
            .map(|(ds, _)| ds.epoch_days() - day(0).epoch_days())
            .collect()
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

impl Kind {
    fn left_table(&self) -> TableName {
        match self.left {
            Left::Joined => TableName::new("out", "port_trips").unwrap(),
            Left::Events | Left::Entities => TableName::new("raw", "calls").unwrap(),
        }
    }

    fn source_table(&self) -> TableName {
        match self.chained {
            true => TableName::new("out", "port_trips").unwrap(),
            false => TableName::new("raw", "cargo").unwrap(),
        }
    }
}

/// The left table of the other join, [`trips`].
fn rides_table() -> TableName {
    TableName::new("raw", "rides").unwrap()
}

fn ready_table() -> TableName {
    TableName::new("raw", "ready").unwrap()
}

/// Adds days, each written for the first time.
fn land(catalog: &mut CatalogSnapshot, table: &TableName, column: &str, days: &RangeSet) {
    let there = catalog.days(table, column, &[]);
    set_days(catalog, table, column, there.union(days));
    let state = catalog.tables.get_mut(table).and_then(Option::as_mut);
    let stamps = state.map(|state| &mut state.stamps).into_iter();
    for stamps in stamps {
        days.iter()
            .for_each(|ds| *stamps.entry(ds).or_insert(1) += 0);
    }
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

/// Another join.
fn trips(first: i32) -> Value {
    json!({
        "metaData": { "name": "port.trips", "outputNamespace": "out", "team": "port" },
        "left": { "events": { "table": "raw.rides", "query": {
            "selects": { "boat": "boat", "ts": "at_ms" },
            "startPartition": day(first - 12), "timeColumn": "at_ms", "setups": [],
        } } },
        "joinParts": [],
    })
}

fn conf(kind: &Kind, first: i32) -> Value {
    let query = json!({
        "selects": { "boat": "boat", "ts": "at_ms" },
        "startPartition": day(first),
        "partitionColumn": kind.column,
        "timeColumn": "at_ms",
        "setups": [],
    });
    let left = match kind.left {
        Left::Entities => json!({ "entities": { "snapshotTable": "raw.calls", "query": query } }),
        Left::Events => json!({ "events": { "table": "raw.calls", "query": query } }),
        Left::Joined => json!({ "joinSource": { "join": trips(first), "query": query } }),
    };
    let rows = json!({
        "selects": { "boat": "boat", "tons": "tons" },
        "timeColumn": "at_ms",
        "setups": [],
    });
    let source = match kind.chained {
        true => json!({ "joinSource": { "join": trips(first), "query": rows } }),
        false => json!({ "events": { "table": "raw.cargo", "query": rows } }),
    };
    let parts = kind.parts.iter().map(|(prefix, instants)| {
        let mut part = json!({ "groupBy": {
            "metaData": { "name": "port.cargo.v1", "team": "port" },
            "sources": [source],
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
    let ready = json!({
        "table": "raw.ready",
        "query": { "selects": { "boat": "boat" }, "setups": [] },
        "keyColumns": ["boat"],
    });
    let label = json!({ "groupBy": {
        "metaData": { "name": "port.fined.v1", "team": "port" },
        "sources": [{ "events": { "table": "raw.cargo", "query": rows } }],
        "keyColumns": ["boat"],
        "aggregations": [{
            "inputColumn": "tons", "operation": 7, "argMap": {},
            "windows": [{ "length": 7, "timeUnit": 1 }],
        }],
        "accuracy": 1,
    } });
    let labels = json!({ "labels": [label], "leftStartOffset": 3, "leftEndOffset": 2 });
    let bootstraps: Vec<Value> = kind.bootstrap.then_some(ready).into_iter().collect();
    let mut join = json!({
        "metaData": { "name": format!("port.calls.{}", kind.name), "outputNamespace": "out", "team": "port" },
        "left": left,
        "joinParts": parts.collect::<Vec<_>>(),
        "bootstrapParts": bootstraps,
        "rowIds": ["boat"],
    });
    if kind.labels {
        join["labelPart"] = labels;
    }
    join
}
