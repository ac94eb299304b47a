//! The steps of the recorded runs, and the calls that make them again.
//!
//! Late rows make values depend on the days that a step reads. So the recorded steps are worked out
//! first (which days, cut where), and `materialize` is called as few times as they allow: once for
//! each last day, with every asset that has a step ending there and whose inputs are made.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    time::Instant,
};

use chronon_run_core::{Ds, PartitionRange, RangeSet};
use chronon_run_testkit::golden::recorded_days;
use serde_json::{Value, json};

use crate::{
    corpus::{Corpus, option, texts},
    support::Workspace,
};

/// The Driver's own limit where a run gives none.
const DRIVER_STEP_DAYS: usize = 30;

/// What is to be called, and what is not made.
pub(crate) struct Recipe {
    /// In their order.
    pub(crate) calls: Vec<Call>,
    /// Recorded tables that the engine refuses to make, with its reason.
    pub(crate) refused: BTreeMap<String, String>,
    /// Recorded tables of assets that were not chosen.
    pub(crate) left_out: BTreeSet<String>,
}

impl Recipe {
    pub(crate) fn of(corpus: &Corpus, workspace: &Workspace) -> Self {
        let upstream = upstream(workspace);
        let chosen = Chosen::of(&upstream);
        let runs: Vec<(String, &Value)> = corpus
            .runs
            .iter()
            .filter(|run| run["kind"] == "engine")
            .map(|run| (corpus.asset(run), run))
            .filter(|(asset, _)| chosen.has(asset))
            .collect();
        let plan = match runs.is_empty() {
            // None of its assets is chosen.
            true => json!({ "assets": [], "steps": [] }),
            false => plan(workspace, &runs, &upstream),
        };
        let refused = refused(&runs, &plan, &upstream);
        let steps = steps(corpus, &runs, &plan, &upstream, &refused);
        let tables = runs.iter().filter_map(|(asset, run)| {
            let tables = run["tables_changed"].as_object().unwrap();
            Some((refused.get(asset)?, tables.keys()))
        });
        let tables = tables.flat_map(|(why, names)| names.map(|name| (name.clone(), why.clone())));
        let left_out = corpus
            .runs
            .iter()
            .filter(|run| run["kind"] == "engine" && !chosen.has(&corpus.asset(run)));
        let left_out = left_out.flat_map(|run| run["tables_changed"].as_object().unwrap().keys());
        let made: BTreeSet<&String> = runs
            .iter()
            .flat_map(|(_, run)| run["tables_changed"].as_object().unwrap().keys())
            .collect();
        Self {
            refused: tables.collect(),
            left_out: left_out
                .filter(|name| !made.contains(name))
                .cloned()
                .collect(),
            calls: schedule(&upstream, steps),
        }
    }
}

/// The assets of this run: all, or those that `CHRONON_RUN_GOLDEN_ASSETS` names (parts of ids with commas
/// between them) with everything that they read.
struct Chosen(Option<BTreeSet<String>>);

impl Chosen {
    fn of(upstream: &Upstream) -> Self {
        let Ok(words) = env::var("CHRONON_RUN_GOLDEN_ASSETS") else {
            return Self(None);
        };
        let named = |asset: &&String| words.split(',').any(|word| asset.contains(word));
        let mut chosen: BTreeSet<String> = BTreeSet::new();
        let mut todo: Vec<String> = upstream.keys().filter(named).cloned().collect();
        while let Some(asset) = todo.pop() {
            let inputs = upstream.get(&asset).into_iter().flatten();
            // A join reads no table of a GroupBy.
            let read = inputs
                .filter(|input| !(asset.starts_with("join/") && input.starts_with("group_by/")));
            if chosen.insert(asset.clone()) {
                todo.extend(read.cloned());
            }
        }
        Self(Some(chosen))
    }

    fn has(&self, asset: &str) -> bool {
        self.0.as_ref().is_none_or(|chosen| chosen.contains(asset))
    }
}

/// The assets that each asset reads.
type Upstream = BTreeMap<String, BTreeSet<String>>;

/// As `ls` shows it.
fn upstream(workspace: &Workspace) -> Upstream {
    let rows = workspace.run(&["ls", "--output", "json"]).expect(0).stdout;
    let rows: Value = serde_json::from_str(&rows).unwrap();
    let rows = rows["assets"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            let upstream = texts(&row["upstream"]).into_iter().map(str::to_owned);
            (
                row["asset"].as_str().unwrap().to_owned(),
                upstream.collect(),
            )
        })
        .collect()
}

/// The plan of everything recorded and what it reads, up to the last recorded day.
fn plan(workspace: &Workspace, runs: &[(String, &Value)], upstream: &Upstream) -> Value {
    let assets: BTreeSet<&String> = runs.iter().map(|(asset, _)| asset).collect();
    let inputs = assets.iter().filter_map(|asset| upstream.get(*asset));
    let all: BTreeSet<&String> = assets.iter().copied().chain(inputs.flatten()).collect();
    let last = runs.iter().filter_map(|(_, run)| option(run, "--end-date"));
    let mut args = vec!["plan", "--output", "json", "--as-of", last.max().unwrap()];
    args.extend(all.into_iter().map(String::as_str));
    let screen = workspace.run(&args);
    assert!(matches!(screen.code, Some(0 | 3)), "{}", screen.text());
    serde_json::from_str(&screen.stdout).unwrap()
}

/// The recorded assets that the engine refuses, or that read one of those, with the reason.
fn refused(
    runs: &[(String, &Value)],
    plan: &Value,
    upstream: &Upstream,
) -> BTreeMap<String, String> {
    let entries = plan["assets"].as_array().unwrap().iter();
    let by_engine = entries.filter(|entry| entry["excluded"]["kind"] == "engine_cannot");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let by_engine: BTreeMap<String, String> = by_engine
        .map(|entry| (text(&entry["asset"]), text(&entry["excluded"]["why"])))
        .collect();
    let mut refused = BTreeMap::new();
    for (asset, _) in runs {
        let mut inputs = upstream.get(asset).into_iter().flatten();
        let input = inputs.find(|input| refused.contains_key(*input));
        let of_input = || Some(format!("reads the table of {}", input?));
        if let Some(why) = by_engine.get(asset).cloned().or_else(of_input) {
            refused.insert(asset.clone(), why);
        }
    }
    refused
}

/// The steps of all recorded runs that are not refused, in the recorded order.
fn steps(
    corpus: &Corpus,
    runs: &[(String, &Value)],
    plan: &Value,
    upstream: &Upstream,
    refused: &BTreeMap<String, String>,
) -> Vec<Step> {
    let mut planned: BTreeMap<&str, RangeSet> = BTreeMap::new();
    for step in plan["steps"].as_array().unwrap() {
        let range: PartitionRange = serde_json::from_value(step["range"].clone()).unwrap();
        let days = planned.entry(step["asset"].as_str().unwrap()).or_default();
        *days = days.union(&RangeSet::from_iter(range.iter()));
    }
    let recorded: BTreeSet<&String> = runs.iter().map(|(asset, _)| asset).collect();
    let mut done: BTreeMap<&String, RangeSet> = BTreeMap::new();
    let mut steps = Vec::new();
    for (asset, run) in runs {
        if refused.contains_key(asset) {
            continue;
        }
        // The Driver got as far without what was never made; ours waits for it.
        let never_made = upstream.get(asset).into_iter().flatten();
        let never_made = never_made.filter(|input| !recorded.contains(input));
        let never_made = never_made.filter(|input| planned.contains_key(input.as_str()));
        steps.extend(never_made.map(|input| Step {
            asset: input.clone(),
            start: None,
            end: option(run, "--end-date").unwrap().parse().unwrap(),
            fails: false,
        }));
        let days = planned.get(asset.as_str()).cloned().unwrap_or_default();
        let done = done.entry(asset).or_default();
        steps.extend(corpus.steps_of(run, asset, &days, done));
    }
    steps
}

impl Corpus {
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
}

/// `stays_out.stays_online_v1`.
fn output_table(conf: &Value) -> Option<String> {
    let meta = &conf["metaData"];
    let name = meta["name"]
        .as_str()?
        .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    Some(format!("{}.{name}", meta["outputNamespace"].as_str()?))
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
pub(crate) struct Call {
    start: Option<Ds>,
    end: Ds,
    assets: Vec<String>,
    fails: bool,
}

impl Call {
    /// Runs it; what went wrong, if anything did.
    pub(crate) fn run(&self, workspace: &Workspace) -> Option<String> {
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
fn schedule(upstream: &Upstream, steps: Vec<Step>) -> Vec<Call> {
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
