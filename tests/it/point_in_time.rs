//! Point-in-time proof: generated events, left rows and snapshots, one run of the `sql` engine on a
//! real Spark, and every cell compared with the oracle of the test kit.
//!
//! Each key is a case of its own: its events and its left rows are generated together, with rows
//! on, one millisecond before and one after every edge of every window. Half of the cases come
//! from a fixed seed, half from a new one, which is printed and can be given again as
//! `CHRONON_RUN_SEED`.

mod confs;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use chronon_run_core::{Ds, TableName};
use chronon_run_testkit::oracle::{Aggregation, Answer, DAY, Event, before, end_of};
use serde_json::{Value, json};

use confs::*;

use crate::{support::Workspace, tables};

/// First and last day of the events: 2026-01-01 to 2026-01-26.
const FIRST: i64 = 20_454;
const LAST: i64 = FIRST + 25;
/// The left rows: the first day has half a month of events before it, and after the last day
/// comes another partition of events, which holds late rows.
const LEFT_FIRST: i64 = FIRST + 16;
const LEFT_LAST: i64 = LAST - 1;

const CASES: usize = 48;
const FIXED_SEED: u64 = 20_260_123;

/// Texts that continue the first key.
const SECOND_KEYS: [&str; 3] = ["", "0", "\\"];

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

#[test]
fn every_cell_is_what_the_oracle_says() {
    let seed = std::env::var("CHRONON_RUN_SEED")
        .ok()
        .map_or_else(new_seed, |text| text.parse().unwrap());
    println!("CHRONON_RUN_SEED={seed}");
    let mut corpus = Corpus::default();
    corpus.generate("f", FIXED_SEED);
    corpus.generate("r", seed);
    let workspace = corpus.workspace();
    let last = day_text(LEFT_LAST);
    workspace
        .run(&["materialize", "-s", "mode:backfill", "--as-of", &last])
        .expect(0);

    let names = ["train_v1", "panel_v1", "single_s_v1", "pair_s_v1"];
    let names: Vec<TableName> = names
        .iter()
        .map(|name| format!("pit.pit_{name}").parse().unwrap())
        .collect();
    let found = tables::read(&workspace, &names);
    let rows = |at: usize| -> Vec<Row> { objects(&found[&names[at]]) };
    let mut verdict = Verdict::default();
    corpus.check_train(&rows(0), &mut verdict);
    corpus.check_panel(&rows(1), &mut verdict);
    corpus.check_backfill(&SINGLE_S, &rows(2), &mut verdict);
    corpus.check_backfill(&PAIR_S, &rows(3), &mut verdict);
    println!(
        "{} cells compared, {} of them not decided, {} wrong",
        verdict.cells,
        verdict.undefined,
        verdict.wrong.len()
    );
    for wrong in verdict.wrong.iter().take(10) {
        println!("{wrong}");
    }
    assert!(
        verdict.wrong.is_empty(),
        "CHRONON_RUN_SEED={seed}: see above"
    );
    // A comparison of nothing proves nothing.
    assert!(
        verdict.cells > 50_000 && verdict.filled * 3 > verdict.cells,
        "{verdict:?}"
    );
    assert!(verdict.undefined * 20 < verdict.cells, "{verdict:?}");
    every_scan_is_pruned(&workspace, "join/pit.train.v1/backfill", &last);
}

/// What Spark explains of the script of a step: every scan of a partitioned table reads only the
/// partitions that the step needs.
fn every_scan_is_pruned(workspace: &Workspace, asset: &str, day: &str) {
    let script = workspace.run(&["sql", asset, "--ds", day]).expect(0).stdout;
    let explained = script.replace("\nINSERT OVERWRITE", "\nEXPLAIN INSERT OVERWRITE");
    let plan = tables::Warehouse::of(workspace).printed(&explained);
    let scans: Vec<&str> = plan
        .lines()
        .filter(|line| line.contains("FileScan"))
        .collect();
    assert!(scans.len() > 10, "{plan}");
    for scan in scans {
        let (_, filters) = scan.split_once("PartitionFilters: [").unwrap();
        let (filters, _) = filters.split_once("PushedFilters").unwrap();
        assert!(filters.contains("ds#"), "{scan}");
    }
}

fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::from(now.subsec_nanos()) ^ now.as_secs()
}

type Row = BTreeMap<String, Value>;

fn objects(found: &tables::Found) -> Vec<Row> {
    let names = || found.content.columns.iter().map(|(name, _)| name.clone());
    let rows = found.content.rows.iter().flatten();
    rows.map(|row| names().zip(row.iter().cloned()).collect())
        .collect()
}

fn day_text(day: i64) -> String {
    Ds::from_epoch_days(i32::try_from(day).unwrap()).to_string()
}

/// A left row with a time.
#[derive(Clone, Debug)]
struct Left {
    id: String,
    partition: i64,
    ts: i64,
    k: Value,
    n: Value,
}

/// What was compared.
#[derive(Default, Debug)]
struct Verdict {
    cells: usize,
    filled: usize,
    undefined: usize,
    wrong: Vec<String>,
}

impl Verdict {
    fn cell(&mut self, answer: &Answer, found: Option<&Value>, place: impl FnOnce() -> String) {
        self.cells += 1;
        self.filled += usize::from(found.is_some_and(|found| !found.is_null()));
        self.undefined += usize::from(*answer == Answer::Undefined);
        match found {
            Some(found) if answer.allows(found) => {}
            found => self
                .wrong
                .push(format!("{}: found {found:?}, must be {answer:?}", place())),
        }
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, found: &T, expected: &T, what: &str) {
        if found != expected {
            self.wrong
                .push(format!("{what}: found {found:?}, must be {expected:?}"));
        }
    }
}

/// The generated tables.
#[derive(Default)]
struct Corpus {
    events: Vec<Event>,
    left: Vec<Left>,
    /// Partition, key, attribute.
    dim: Vec<(i64, String, Value)>,
    /// Partition, id, key.
    panel: Vec<(i64, String, Value)>,
}

impl Corpus {
    /// Adds half of the cases, their keys beginning with `prefix`.
    fn generate(&mut self, prefix: &str, seed: u64) {
        let mut random = Random(seed);
        for case in 0..CASES / 2 {
            // `f1` and `0` are other keys than `f10` and nothing (S6 of docs/hazards.md), and a
            // backslash is a character (S5).
            let end = if case == 3 { "\\'" } else { "" };
            self.case(&format!("{prefix}{case}{end}"), &mut random);
        }
        // Every partition exists, and every key may be NULL.
        for day in FIRST..=LAST {
            self.event(&mut random, &Value::Null, day * DAY + HOUR, 0);
        }
        for day in LEFT_FIRST..=LEFT_LAST {
            self.left_row(&mut random, &Value::Null, day * DAY + 2 * HOUR, 0);
        }
        self.panel
            .push((LEFT_FIRST, format!("{prefix}-null"), Value::Null));
    }

    /// One key: some instants, events at and around them, and left rows at window distances.
    fn case(&mut self, key: &str, random: &mut Random) {
        let k = json!(key);
        // Some keys have a handful of events, some a crowd; a few have none.
        let count = [0, 2, 8, 30, 60][random.below(5)];
        let mut instants = Vec::new();
        for _ in 0..count {
            let instant = random.instant(FIRST, LAST);
            let late = [0, 0, 0, 0, 0, 0, 0, 1, 1, -1][random.below(10)];
            self.event(random, &k, instant, late);
            if random.below(8) == 0 {
                // Another event at the same instant; sometimes the same one twice.
                self.event(random, &k, instant, late);
                let twin = self.events[self.events.len() - 1].clone();
                self.events.push(twin);
            }
            instants.push(instant);
        }
        if random.below(4) == 0 {
            self.event(random, &k, FIRST * DAY, 0);
            let at = self.events.len() - 1;
            self.events[at].ts = None;
        }
        for _ in 0..24 {
            let ts = random.around(&instants);
            let late = i64::from(random.below(12) == 0);
            self.left_row(random, &k, ts, late);
        }
        let twin = self.left[self.left.len() - 1].clone();
        // The same key and instant in another partition (S7).
        let late_twin = Left {
            id: format!("q{:05}", self.left.len()),
            partition: (twin.partition + 1).min(LEFT_LAST),
            ..twin.clone()
        };
        self.left.extend([late_twin, twin]);
        for day in FIRST..=LAST {
            if random.below(5) > 0 {
                let attribute = if random.below(6) == 0 {
                    Value::Null
                } else {
                    json!(random.below(100))
                };
                self.dim.push((day, key.to_owned(), attribute));
            }
            if (LEFT_FIRST..=LEFT_LAST).contains(&day) && (random.below(3) == 0 || key == "f0") {
                self.panel.push((day, format!("{key}-{day}"), k.clone()));
            }
        }
    }

    /// An event at `ts`, in the partition `late` days after it, if there is such a partition.
    fn event(&mut self, random: &mut Random, k: &Value, ts: i64, late: i64) {
        let partition = (ts.div_euclid(DAY) + late).clamp(FIRST, LAST);
        // Drawn anew for each event: those at one instant differ.
        let draw = i64::try_from(random.below(97)).unwrap();
        let values = [
            ("n", json!(SECOND_KEYS[random.below(3)])),
            ("v", json!(draw as f64 * 0.25 - 3.0)),
            ("i", json!(draw % 5 - 1)),
            ("w", json!(["a", "b", "B", "é"][random.below(4)])),
        ];
        let mut columns = BTreeMap::from([("k".to_owned(), k.clone())]);
        for (name, value) in values {
            let value = if random.below(7) == 0 {
                Value::Null
            } else {
                value
            };
            columns.insert(name.to_owned(), value);
        }
        self.events.push(Event {
            partition,
            ts: Some(ts),
            columns,
        });
    }

    /// A left row at `ts`, kept inside the left's days; a late one is a day later in `ds`.
    fn left_row(&mut self, random: &mut Random, k: &Value, ts: i64, late: i64) {
        let ts = ts.clamp(LEFT_FIRST * DAY, (LEFT_LAST + 1) * DAY - 1);
        self.left.push(Left {
            id: format!("q{:05}", self.left.len()),
            partition: (ts.div_euclid(DAY) + late).min(LEFT_LAST),
            ts,
            k: k.clone(),
            n: if random.below(6) == 0 {
                Value::Null
            } else {
                json!(SECOND_KEYS[random.below(3)])
            },
        });
    }

    fn workspace(&self) -> Workspace {
        let workspace = Workspace::empty();
        let conf = |path: &str, conf: &Value| {
            workspace.write(
                &format!("production/{path}/pit/{}", file(conf)),
                &format!("{conf:#}"),
            );
        };
        for group_by in [&SINGLE_S, &PAIR_S] {
            conf("group_bys", &group_by_conf(group_by));
        }
        let left = json!({ "events": { "table": "src.left", "query": {
            "selects": { "id": "id", "k": "k", "n": "n" },
            "startPartition": day_text(LEFT_FIRST), "timeColumn": "ts", "setups": [],
        } } });
        let parts = [&SINGLE_T, &PAIR_T, &WINDOWS_T, &SINGLE_S, &PAIR_S].map(group_by_conf);
        let parts: Vec<Value> = parts.into_iter().chain([dim_conf()]).collect();
        conf("joins", &join_conf("train", left, &parts));
        let left = json!({ "entities": { "snapshotTable": "src.panel", "query": {
            "selects": { "id": "id", "k": "k" },
            "startPartition": day_text(LEFT_FIRST), "setups": [],
        } } });
        conf(
            "joins",
            &join_conf("panel", left, &[group_by_conf(&SINGLE_S), dim_conf()]),
        );
        workspace.write(
            "teams.json",
            &json!({ "default": { "namespace": "pit" }, "pit": { "namespace": "pit" } })
                .to_string(),
        );
        workspace.write("workspace.toml", TOML);
        self.write_sources(&workspace);
        workspace
    }

    fn write_sources(&self, workspace: &Workspace) {
        let lines =
            |rows: Vec<Value>| -> String { rows.iter().map(|row| format!("{row}\n")).collect() };
        let events = self.events.iter().map(|event| {
            let mut row = json!({ "ts": event.ts, "ds": day_text(event.partition) });
            for (name, value) in &event.columns {
                row[name] = value.clone();
            }
            row
        });
        workspace.write("data/events.json", &lines(events.collect()));
        let left = self.left.iter().map(|row| {
            json!({ "id": row.id, "k": row.k, "n": row.n, "ts": row.ts, "ds": day_text(row.partition) })
        });
        workspace.write("data/left.json", &lines(left.collect()));
        let dim = self
            .dim
            .iter()
            .map(|(day, k, a)| json!({ "k": k, "a": a, "ds": day_text(*day) }));
        workspace.write("data/dim.json", &lines(dim.collect()));
        let panel = self
            .panel
            .iter()
            .map(|(day, id, k)| json!({ "id": id, "k": k, "ds": day_text(*day) }));
        workspace.write("data/panel.json", &lines(panel.collect()));
    }

    /// The events with these keys in the scanned partitions; none if a key is NULL.
    fn events_of(&self, keys: &[(&str, &Value)], scan: (i64, i64)) -> Vec<&Event> {
        let of_keys = |event: &&Event| {
            keys.iter()
                .all(|(name, value)| !value.is_null() && event.columns[*name] == **value)
        };
        let scanned = |event: &&Event| (scan.0..=scan.1).contains(&event.partition);
        self.events.iter().filter(of_keys).filter(scanned).collect()
    }

    fn check_train(&self, rows: &[Row], verdict: &mut Verdict) {
        let mut expected: BTreeMap<&str, &Left> = BTreeMap::new();
        for left in &self.left {
            expected.insert(&left.id, left);
        }
        let ids = |ids: Vec<&str>| {
            let mut ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
            ids.sort();
            ids
        };
        let found = ids(rows.iter().map(|row| row["id"].as_str().unwrap()).collect());
        verdict.equal(
            &found,
            &ids(self.left.iter().map(|left| left.id.as_str()).collect()),
            "left rows",
        );
        for row in rows {
            let Some(left) = expected.get(row["id"].as_str().unwrap()) else {
                continue;
            };
            for group_by in [&SINGLE_T, &PAIR_T, &WINDOWS_T, &SINGLE_S, &PAIR_S] {
                self.check_left_row(group_by, left, row, verdict);
            }
            let attribute = self.attribute(&left.k, left.ts.div_euclid(DAY) - 1);
            verdict.cell(&attribute, row.get("pit_dim_v1_a"), || {
                format!("dim of {left:?}")
            });
        }
    }

    fn check_left_row(&self, group_by: &GroupBy, left: &Left, row: &Row, verdict: &mut Verdict) {
        let keys = group_by
            .keys
            .iter()
            .map(|key| (*key, if *key == "k" { &left.k } else { &left.n }));
        let keys: Vec<(&str, &Value)> = keys.collect();
        // TEMPORAL parts are asked for the left's days, SNAPSHOT parts for the days before.
        let shift = i64::from(!group_by.temporal);
        let aggregations = (group_by.aggregations)();
        let scan = scan(&aggregations, LEFT_FIRST - shift, LEFT_LAST - shift);
        let events = self.events_of(&keys, scan);
        for aggregation in &aggregations {
            let answer = if group_by.temporal {
                before(&events, aggregation, left.ts)
            } else {
                end_of(&events, aggregation, left.ts.div_euclid(DAY) - 1)
            };
            let name = format!("pit_{}_v1_{}", group_by.name, column(aggregation));
            verdict.cell(&answer, row.get(&name), || {
                place(&name, &format!("{left:?}"), &events)
            });
        }
    }

    /// The snapshot of one day.
    fn attribute(&self, key: &Value, day: i64) -> Answer {
        let found = self
            .dim
            .iter()
            .find(|(partition, k, _)| *partition == day && key == k);
        Answer::Exactly(found.map_or(Value::Null, |(_, _, attribute)| attribute.clone()))
    }

    fn check_panel(&self, rows: &[Row], verdict: &mut Verdict) {
        verdict.equal(&rows.len(), &self.panel.len(), "rows of the panel");
        let aggregations = (SINGLE_S.aggregations)();
        let scan = scan(&aggregations, LEFT_FIRST, LEFT_LAST);
        for row in rows {
            let left = self
                .panel
                .iter()
                .find(|(_, id, _)| row["id"] == **id)
                .unwrap();
            let events = self.events_of(&[("k", &left.2)], scan);
            for aggregation in &aggregations {
                let name = format!("pit_single_s_v1_{}", column(aggregation));
                let answer = end_of(&events, aggregation, left.0);
                verdict.cell(&answer, row.get(&name), || {
                    place(&name, &format!("{left:?}"), &events)
                });
            }
            let attribute = self.attribute(&left.2, left.0);
            verdict.cell(&attribute, row.get("pit_dim_v1_a"), || {
                format!("dim of {left:?}")
            });
        }
    }

    /// A backfilled GroupBy: one row for each day and key that has any value.
    fn check_backfill(&self, group_by: &GroupBy, rows: &[Row], verdict: &mut Verdict) {
        let aggregations = (group_by.aggregations)();
        let (first, last) = scan(&aggregations, LEFT_FIRST, LEFT_LAST);
        let mut of_keys: BTreeMap<Vec<String>, Vec<&Event>> = BTreeMap::new();
        for event in self
            .events
            .iter()
            .filter(|event| (first..=last).contains(&event.partition))
        {
            let keys: Vec<&Value> = group_by
                .keys
                .iter()
                .map(|key| &event.columns[*key])
                .collect();
            if keys.iter().any(|key| !key.is_null()) {
                let keys = keys.iter().map(|key| key.to_string()).collect();
                of_keys.entry(keys).or_default().push(event);
            }
        }
        let mut found: BTreeMap<(String, Vec<String>), &Row> = BTreeMap::new();
        for row in rows {
            let keys = group_by
                .keys
                .iter()
                .map(|key| row[*key].to_string())
                .collect();
            let twice = found.insert((row["ds"].as_str().unwrap().to_owned(), keys), row);
            verdict.equal(&twice, &None, "a key and day has two rows");
        }
        let mut expected = BTreeSet::new();
        for day in LEFT_FIRST..=LEFT_LAST {
            for (keys, events) in &of_keys {
                let answers: Vec<Answer> = aggregations
                    .iter()
                    .map(|aggregation| end_of(events, aggregation, day))
                    .collect();
                if answers
                    .iter()
                    .all(|answer| *answer == Answer::Exactly(Value::Null))
                {
                    continue;
                }
                let place_of = (day_text(day), keys.clone());
                for (aggregation, answer) in aggregations.iter().zip(&answers) {
                    let name = column(aggregation);
                    let cell = found.get(&place_of).and_then(|row| row.get(&name));
                    verdict.cell(answer, cell, || {
                        place(&name, &format!("{} {place_of:?}", group_by.name), events)
                    });
                }
                expected.insert(place_of);
            }
        }
        let more: Vec<_> = found
            .keys()
            .filter(|place| !expected.contains(*place))
            .collect();
        verdict.equal(
            &more,
            &Vec::new(),
            &format!("rows too many in {}", group_by.name),
        );
    }
}

/// The partitions that are read for the days `first..=last`: from the longest window, and a day,
/// before them; all if there is an aggregation without a window.
fn scan(aggregations: &[Aggregation], first: i64, last: i64) -> (i64, i64) {
    let lengths: Option<Vec<i64>> = aggregations
        .iter()
        .map(|aggregation| Some(aggregation.window?.millis()))
        .collect();
    let longest = lengths.and_then(|lengths| lengths.into_iter().max());
    let from = longest.map_or(FIRST, |longest| {
        ((first - 1) * DAY - longest).div_euclid(DAY).max(FIRST)
    });
    (from, last)
}

/// What a wrong cell is about: its left row and the events of its key.
fn place(name: &str, left: &str, events: &[&Event]) -> String {
    let mut events: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event.ts,
                event.partition,
                ["v", "i", "w"].map(|name| event.columns[name].to_string()),
            )
        })
        .collect();
    events.sort();
    format!("{name} of {left}; events (ts, partition, v i w): {events:?}")
}

fn file(conf: &Value) -> String {
    let name = conf["metaData"]["name"].as_str().unwrap();
    name.strip_prefix("pit.").unwrap().to_owned()
}

const TOML: &str = r#"
[workspace]
repo = "."
env = "production"
timezone = "UTC"

[engine]
kind = "sql"
master = "local[2]"
conf = { "spark.sql.shuffle.partitions" = "2" }

[catalog]
kind = "embedded"

[run]
jobs = 1
retries = 0
step_days = 10000

[seeds."src.events"]
path = "data/events.json"
columns = { k = "string", n = "string", v = "double", i = "bigint", w = "string", ts = "bigint", ds = "string" }
partition_by = ["ds"]

[seeds."src.left"]
path = "data/left.json"
columns = { id = "string", k = "string", n = "string", ts = "bigint", ds = "string" }
partition_by = ["ds"]

[seeds."src.dim"]
path = "data/dim.json"
columns = { k = "string", a = "bigint", ds = "string" }
partition_by = ["ds"]

[seeds."src.panel"]
path = "data/panel.json"
columns = { id = "string", k = "string", ds = "string" }
partition_by = ["ds"]
"#;

/// A small generator (SplitMix64): the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// A millisecond more, less, or not.
    fn nudge(&mut self) -> i64 {
        [-1, 0, 1][self.below(3)]
    }

    /// Some instant of the days: anywhere, or on a grid of the windows, give or take a millisecond.
    fn instant(&mut self, first: i64, last: i64) -> i64 {
        let length = (last - first + 1) * DAY;
        let anywhere = first * DAY + i64::try_from(self.next() % length.unsigned_abs()).unwrap();
        let grid = [1, 5 * MINUTE, HOUR, DAY][self.below(4)];
        let instant = anywhere.div_euclid(grid) * grid + if grid == 1 { 0 } else { self.nudge() };
        instant.clamp(first * DAY, (last + 1) * DAY - 1)
    }

    /// An instant at an edge of some window of some of `instants`: as far after it as the window
    /// is long, with none, half or all of its tail.
    fn around(&mut self, instants: &[i64]) -> i64 {
        if instants.is_empty() || self.below(4) == 0 {
            return self.instant(LEFT_FIRST, LEFT_LAST);
        }
        let instant = instants[self.below(instants.len())];
        let Some(window) = WINDOWS[self.below(WINDOWS.len())] else {
            return instant + self.nudge();
        };
        let tail = [0, window.hop() / 2, window.hop(), window.hop() + 5 * MINUTE][self.below(4)];
        instant + window.millis() + tail + self.nudge()
    }
}
