//! The corpora of the golden material, made again by the `sql` engine on a real Spark with a real
//! metastore, and compared table by table with what Chronon's own Driver wrote.
//!
//! The record says in which steps the Driver filled its tables, and late rows make values depend
//! on them. So the recorded steps are worked out first (which days, cut where), and `materialize`
//! is called as few times as they allow: once for each last day, with every asset that has a step
//! ending there and whose inputs are made.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]
#![expect(clippy::print_stdout, reason = "the comparison is what the test shows")]

#[path = "it/corpus.rs"]
mod corpus;
#[expect(dead_code, reason = "the other end-to-end tests use more of it")]
#[path = "it/support.rs"]
mod support;
#[path = "it/tables.rs"]
mod tables;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use chronon_run_core::{Ds, PartitionRange, RangeSet, TableName};
use chronon_run_testkit::golden::{Defect, Kind, Recorded, compare, recorded_days};
use serde_json::Value;

use crate::{
    corpus::{Corpus, option, texts},
    support::Workspace,
};

/// Recorded rows that are defects of the engine that wrote them; ours hold the right value.
const DEFECTS: &[Defect<'_>] = &[];

/// Recorded tables that the `sql` engine refuses to make, with the reason to come back for them.
/// This list can only change together with the engine: a table that is made is compared.
const NOT_SUPPORTED: &[&str] = &[
    // Statistics are made of sketches.
    "stays_out.stays_search_train_derived_v1_daily_stats",
    "stays_out.stays_search_train_derived_v1_daily_stats_upload",
    // The recorded run failed after it had written this table; ours refuses the conf.
    "trust_out.trust_spend_label_narrow_v1_trust_labels_spend_after_v1",
];

/// The Driver's own limit where a run gives none.
const DRIVER_STEP_DAYS: usize = 30;

#[test]
fn corpus_a_is_what_the_real_engine_wrote() {
    is_what_the_real_engine_wrote("a", NOT_SUPPORTED);
}

#[test]
fn corpus_b_is_what_the_real_engine_wrote() {
    is_what_the_real_engine_wrote("b", &[]);
}

fn is_what_the_real_engine_wrote(name: &str, not_supported: &[&str]) {
    let corpus = Corpus::open(name);
    let workspace = corpus.workspace();
    let began = Instant::now();
    let (recorded, refused) = corpus.steps(&workspace);
    let calls = schedule(&corpus.upstream(&workspace), recorded);
    let mut failures = Vec::new();
    for call in &calls {
        if let Some(failure) = call.run(&workspace) {
            failures.push(failure);
        }
    }
    let filled = began.elapsed();
    let names = corpus.table_names();
    let found = tables::read(&workspace, &names);
    let catalog = tables::Warehouse::of(&workspace).snapshot(&names);

    let mut report = Report::default();
    for name in &names {
        let table = Recorded::read(&corpus.root.join("expected"), &name.to_string()).unwrap();
        if let Some(why) = refused.get(&name.to_string()) {
            report.not_supported(&table, why);
        } else {
            let properties = catalog.table(name).map(|state| &state.info.properties);
            report.compare(&table, found.get(name).zip(properties));
        }
    }
    println!("{}", report.text());
    println!(
        "{} of {} tables equal, {} not supported; {} calls, {} sessions of Spark, {:.0} s to fill, {:.0} s in all",
        report.equal,
        names.len(),
        report.not_supported.len(),
        calls.len(),
        sessions(&workspace),
        filled.as_secs_f64(),
        began.elapsed().as_secs_f64(),
    );
    assert_eq!(failures, Vec::<String>::new(), "calls that failed");
    assert_eq!(report.different, Vec::<String>::new(), "tables that differ");
    assert_eq!(
        report.not_supported, not_supported,
        "tables that are not supported"
    );
}

impl Corpus {
    /// Tables that were put there by hand between two runs: inputs.

    /// Every table of the record that the engine wrote, by name.
    fn table_names(&self) -> Vec<TableName> {
        let prepared = self.prepared_names();
        let entries = fs::read_dir(self.root.join("expected")).unwrap();
        let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names = files.filter_map(|file| Some(file.strip_suffix(".schema")?.to_owned()));
        let names = names.filter(|name| !prepared.contains(name));
        let mut names: Vec<TableName> = names.map(|name| name.parse().unwrap()).collect();
        names.sort();
        names
    }

    /// The repo with a workspace.toml: the sources as seeds, holes declared, no cuts of our own.

    /// A table that was put there by hand between two runs: a seed made of its recorded rows.

    /// Names of the joins that were run in parts.

    /// `join/stays.online.v1/backfill`.
    fn asset(&self, run: &Value) -> String {
        let path = option(run, "--conf-path").unwrap();
        let kind = match path.split('/').nth(1).unwrap() {
            "group_bys" => "group_by",
            "joins" => "join",
            _ => "staging_query",
        };
        let step = match (
            run["argv"][0].as_str().unwrap(),
            option(run, "--selected-join-parts"),
        ) {
            ("join", Some(part)) => format!("part/{part}"),
            ("join-left", _) => "left".to_owned(),
            ("join-final", _) => "final".to_owned(),
            ("group-by-upload", _) => "upload".to_owned(),
            ("label-join", _) => "label-join".to_owned(),
            ("consistency-metrics-compute", _) => "consistency".to_owned(),
            ("stats-summary", _) => "stats-summary".to_owned(),
            _ => "backfill".to_owned(),
        };
        let conf = self.conf(run);
        format!(
            "{kind}/{}/{step}",
            conf["metaData"]["name"].as_str().unwrap()
        )
    }

    /// The steps of all recorded runs whose asset is supported, in the recorded order, and the
    /// reason for each table that is not made because an asset is refused or reads such a table.
    fn steps(&self, workspace: &Workspace) -> (Vec<Step>, BTreeMap<String, String>) {
        let runs: Vec<&Value> = self
            .runs
            .iter()
            .filter(|run| run["kind"] == "engine")
            .collect();
        let assets: BTreeSet<String> = runs.iter().map(|run| self.asset(run)).collect();
        let last = runs
            .iter()
            .filter_map(|run| option(run, "--end-date"))
            .max();
        let upstream = self.upstream(workspace);
        let inputs = assets.iter().filter_map(|asset| upstream.get(asset));
        let with_inputs = assets.iter().chain(inputs.flatten()).cloned().collect();
        let plan = plan(workspace, &with_inputs, last.unwrap());
        let mut refused: BTreeMap<String, String> = BTreeMap::new();
        let mut tables = BTreeMap::new();
        let mut planned: BTreeMap<String, RangeSet> = BTreeMap::new();
        for run in &runs {
            let asset = self.asset(run);
            let entry = plan["assets"]
                .as_array()
                .unwrap()
                .iter()
                .find(|entry| entry["asset"] == *asset);
            let of_engine = entry
                .filter(|entry| entry["excluded"]["kind"] == "engine_cannot")
                .map(|entry| entry["excluded"]["why"].as_str().unwrap().to_owned());
            let of_input = upstream.get(&asset).into_iter().flatten();
            let of_input = of_input
                .filter(|input| assets.contains(*input))
                .find(|input| refused.contains_key(*input));
            let why = of_engine.or_else(|| Some(format!("reads the table of {}", of_input?)));
            let Some(why) = why else { continue };
            for table in run["tables_changed"].as_object().unwrap().keys() {
                tables.insert(table.clone(), why.clone());
            }
            refused.insert(asset, why);
        }
        for step in plan["steps"].as_array().unwrap() {
            let asset = step["asset"].as_str().unwrap().to_owned();
            let range: PartitionRange = serde_json::from_value(step["range"].clone()).unwrap();
            let days = planned.entry(asset).or_default();
            *days = days.union(&RangeSet::from_iter(range.iter()));
        }
        let mut done: BTreeMap<String, RangeSet> = BTreeMap::new();
        let mut steps = Vec::new();
        for run in runs {
            let asset = self.asset(run);
            if refused.contains_key(&asset) {
                continue;
            }
            // The Driver got as far without what was never made; ours waits for it.
            let never_made = upstream.get(&asset).into_iter().flatten();
            let never_made = never_made.filter(|input| !assets.contains(*input));
            for input in never_made.filter(|input| planned.contains_key(*input)) {
                steps.push(Step {
                    asset: input.clone(),
                    start: None,
                    end: option(run, "--end-date").unwrap().parse().unwrap(),
                    fails: false,
                });
            }
            let days = planned.get(&asset).cloned().unwrap_or_default();
            let done = done.entry(asset.clone()).or_default();
            steps.extend(self.steps_of(run, &asset, &days, done));
        }
        (steps, tables)
    }

    /// The steps of one run: the days that earlier ones left, in chunks without a hole, each cut
    /// from its first day.
    fn steps_of(
        &self,
        run: &Value,
        asset: &str,
        planned: &RangeSet,
        done: &mut RangeSet,
    ) -> Vec<Step> {
        let end: Ds = option(run, "--end-date").unwrap().parse().unwrap();
        let fails = run["exit"] != 0;
        let step = |start, end| Step {
            asset: asset.to_owned(),
            start,
            end,
            fails,
        };
        let planned: Vec<Ds> = planned.iter().collect();
        if planned.len() < 2 {
            return vec![step(None, end)];
        }
        let cut = option(run, "--step-days").map_or(DRIVER_STEP_DAYS, |text| text.parse().unwrap());
        let todo = planned
            .into_iter()
            .filter(|day| *day <= end && !done.contains(*day));
        let todo: RangeSet = todo.collect();
        let seen = self.seen(run).unwrap_or_else(|| todo.clone());
        let mut steps = Vec::new();
        // The Driver leaves no partition for a day without rows, and cuts what reads the table
        // there. Ours are there, and hold nothing.
        let mut chunks: Vec<PartitionRange> = Vec::new();
        for days in [todo.intersect(&seen), todo.minus(&seen)] {
            chunks.extend(days.ranges());
        }
        chunks.sort_by_key(|chunk| chunk.start);
        for chunk in chunks {
            let chunk: Vec<Ds> = chunk.iter().collect();
            for days in chunk.chunks(cut) {
                let (first, last) = (days[0], days[days.len() - 1]);
                let before = todo.iter().any(|day| day < first && !done.contains(day));
                *done = done.union(&days.iter().copied().collect());
                steps.push(step(before.then_some(first), last));
            }
        }
        steps
    }

    /// The days at which the recorded run had anything to read, if what it reads is itself
    /// recorded: a part's left rows, a join's left side, any source of a GroupBy.
    fn seen(&self, run: &Value) -> Option<RangeSet> {
        let conf = self.conf(run);
        if option(run, "--selected-join-parts").is_some() {
            return self.recorded_days(&format!("{}_bootstrap", output_table(&conf)?));
        }
        let sources: Vec<&Value> = match &conf["left"] {
            Value::Null => conf["sources"].as_array()?.iter().collect(),
            left => vec![left],
        };
        let days = sources.iter().map(|source| {
            let table = match source["joinSource"]["join"].as_object() {
                Some(_) => output_table(&source["joinSource"]["join"])?,
                None => ["events", "entities"].iter().find_map(|kind| {
                    let source = &source[kind];
                    let table = source["table"]
                        .as_str()
                        .or(source["snapshotTable"].as_str())?;
                    Some(table.to_owned())
                })?,
            };
            self.recorded_days(&table)
        });
        let days: Vec<RangeSet> = days.collect::<Option<_>>()?;
        Some(
            days.iter()
                .fold(RangeSet::default(), |all, days| all.union(days)),
        )
    }

    /// The days of a table after the last recorded run that changed it.
    fn recorded_days(&self, table: &str) -> Option<RangeSet> {
        let changes = self.runs.iter().rev();
        let mut changes = changes.filter_map(|run| run["tables_changed"].get(table));
        Some(recorded_days(&changes.next()?["after"], "ds"))
    }

    /// The assets that each asset reads, as `ls` shows them.
    fn upstream(&self, workspace: &Workspace) -> BTreeMap<String, BTreeSet<String>> {
        let rows = json_of(workspace, &["ls", "--output", "json"]);
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| {
            let upstream = texts(&row["upstream"])
                .into_iter()
                .map(str::to_owned)
                .collect();
            (row["asset"].as_str().unwrap().to_owned(), upstream)
        })
        .collect()
    }
}

/// `stays_out.stays_online_v1`.
fn output_table(conf: &Value) -> Option<String> {
    let meta = &conf["metaData"];
    let name = meta["name"]
        .as_str()?
        .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    Some(format!("{}.{name}", meta["outputNamespace"].as_str()?))
}

fn json_of(workspace: &Workspace, args: &[&str]) -> Value {
    serde_json::from_str(&workspace.run(args).expect(0).stdout).unwrap()
}

fn plan(workspace: &Workspace, assets: &BTreeSet<String>, as_of: &str) -> Value {
    let mut args = vec!["plan", "--output", "json", "--as-of", as_of];
    args.extend(assets.iter().map(String::as_str));
    let screen = workspace.run(&args);
    assert!(matches!(screen.code, Some(0 | 3)), "{}", screen.text());
    serde_json::from_str(&screen.stdout).unwrap()
}

/// A recorded step: one asset, one range of days.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Step {
    asset: String,
    /// Only where an earlier day is to be left for later.
    start: Option<Ds>,
    end: Ds,
    /// The recorded run failed; ours may.
    fails: bool,
}

/// One `materialize`.
#[derive(Debug)]
struct Call {
    start: Option<Ds>,
    end: Ds,
    assets: Vec<String>,
    fails: bool,
}

impl Call {
    /// Runs it; what went wrong, if anything did.
    fn run(&self, workspace: &Workspace) -> Option<String> {
        let (start, end) = (self.start.map(|day| day.to_string()), self.end.to_string());
        // A second session is worth its start only if there is much to do.
        let jobs = if self.assets.len() > 6 { "2" } else { "1" };
        let mut args = vec![
            "materialize",
            "--jobs",
            jobs,
            "--end-ds",
            &end,
            "--as-of",
            &end,
        ];
        if let Some(start) = &start {
            args.extend(["--start-ds", start]);
        }
        args.extend(self.assets.iter().map(String::as_str));
        let began = Instant::now();
        let screen = workspace.run(&args);
        println!(
            "{:>5.1} s  {}",
            began.elapsed().as_secs_f64(),
            args.join(" ")
        );
        // 3: some days wait for inputs, which the Driver never had either; whether the right days
        // are there, the comparison tells.
        (!matches!(screen.code, Some(0 | 3)) && !self.fails).then(|| {
            let text = screen.text();
            println!("{text}");
            format!("{args:?}: exit {:?}", screen.code)
        })
    }
}

/// Puts the steps into as few calls as their order allows: the next call ends at the earliest day
/// at which a step ends that is ready, and takes every other step of that range along.
fn schedule(upstream: &BTreeMap<String, BTreeSet<String>>, steps: Vec<Step>) -> Vec<Call> {
    let mut waiting: Vec<Step> = steps;
    let mut calls = Vec::new();
    while !waiting.is_empty() {
        // A step is ready when no earlier one is waiting for the same asset or for one it reads.
        let blocked = |at: usize, waiting: &[Step], taken: &BTreeSet<usize>| {
            let step = &waiting[at];
            (0..at).any(|before| {
                let earlier = &waiting[before].asset;
                let reads = upstream
                    .get(&step.asset)
                    .is_some_and(|inputs| inputs.contains(earlier));
                *earlier == step.asset || (reads && !taken.contains(&before))
            })
        };
        let ready = (0..waiting.len()).filter(|at| !blocked(*at, &waiting, &BTreeSet::new()));
        let first = ready
            .min_by_key(|at| (waiting[*at].end, waiting[*at].start))
            .unwrap();
        let (start, end) = (waiting[first].start, waiting[first].end);
        let mut taken = BTreeSet::new();
        for at in 0..waiting.len() {
            let same = (waiting[at].start, waiting[at].end) == (start, end);
            if same && !blocked(at, &waiting, &taken) {
                taken.insert(at);
            }
        }
        let steps: Vec<&Step> = taken.iter().map(|at| &waiting[*at]).collect();
        calls.push(Call {
            start,
            end,
            assets: steps.iter().map(|step| step.asset.clone()).collect(),
            fails: steps.iter().any(|step| step.fails),
        });
        let mut at = 0;
        waiting.retain(|_| {
            at += 1;
            !taken.contains(&(at - 1))
        });
    }
    calls
}

/// How many sessions of Spark the runs of a workspace have had: each has a log where it began.
fn sessions(workspace: &Workspace) -> usize {
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let runs = entries(&workspace.path(".chronon-run/runs"));
    let steps = runs.iter().flat_map(|run| entries(run));
    let logs = steps.flat_map(|step| entries(&step));
    let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    logs.map(name)
        .filter(|name| name.starts_with("session-") || name == "seeds.log")
        .count()
}

/// The comparison as it grows.
#[derive(Default)]
struct Report {
    lines: Vec<[String; 3]>,
    equal: usize,
    different: Vec<String>,
    not_supported: Vec<String>,
}

impl Report {
    fn not_supported(&mut self, table: &Recorded, why: &str) {
        self.line(table, String::from("-"), &[format!("not supported: {why}")]);
        self.not_supported.push(table.name.clone());
    }

    fn compare(
        &mut self,
        table: &Recorded,
        found: Option<(&tables::Found, &BTreeMap<String, String>)>,
    ) {
        let Some((found, properties)) = found else {
            self.line(table, "0".to_owned(), &["does not exist".to_owned()]);
            self.different.push(table.name.clone());
            return;
        };
        let mut content = found.content.clone();
        if table.kind == Kind::Upload {
            content.rows = Some(decoded(&content));
        }
        let mut verdict = compare(table, &content, DEFECTS);
        for (key, value) in &table.properties {
            let ours = properties.get(key);
            if ours != Some(value) && table.kind == Kind::Table {
                verdict
                    .differences
                    .push(format!("property {key}: {ours:?}, recorded {value:?}"));
            }
        }
        let mut said = vec![];
        if verdict.differences.is_empty() {
            self.equal += 1;
            said.push("equal".to_owned());
        } else {
            self.different.push(table.name.clone());
        }
        said.extend(verdict.differences.into_iter().chain(verdict.notes));
        self.line(table, verdict.rows.to_string(), &said);
    }

    fn line(&mut self, table: &Recorded, rows: String, said: &[String]) {
        self.lines.push([
            table.name.clone(),
            rows,
            said.join(&format!("\n{:>91}", "")),
        ]);
    }

    fn text(&self) -> String {
        let lines = self.lines.iter();
        let lines = lines.map(|[table, rows, said]| format!("{table:<82} {rows:>6}  {said}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The rows of an upload table as keys and values, without the row that describes the others.
fn decoded(content: &chronon_run_testkit::golden::Rows) -> Vec<Vec<Value>> {
    let at = |name: &str| {
        content
            .columns
            .iter()
            .position(|(column, _)| column == name)
            .unwrap()
    };
    let (key, value) = (at("key_json"), at("value_json"));
    let json = |cell: &Value| {
        cell.as_str().map_or(Value::Null, |text| {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        })
    };
    let rows = content.rows.iter().flatten();
    rows.filter(|row| row[key] != "group_by_serving_info")
        .map(|row| vec![json(&row[key]), json(&row[value])])
        .collect()
}
