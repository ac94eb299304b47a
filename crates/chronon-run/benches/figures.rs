//! The project's own figures beside their limits: whole processes of the release binary, their
//! wall time and peak resident memory, medians of several runs.
//!
//! `cargo bench --workspace --bench figures`; with ` -- pages`, after `cargo build --release --workspace`, the figures
//! of the pages of `chronon-run ui`; with ` -- recorded DIR STEP_DAYS` it only writes the repo and ledger of the row
//! `status`, to look at other commands.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

// The runner's own figure, measured there in more detail.
#[allow(dead_code, reason = "its `main` is not called here")]
#[path = "../../chronon-run-exec/benches/noop_steps.rs"]
mod noop_steps;
// Files in this folder itself would be other benchmarks.
#[path = "figures/pages.rs"]
mod pages;
#[path = "figures/recorded.rs"]
mod recorded;

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use chronon_run_core::{CatalogSnapshot, PartitionRange, RangeSet};
use chronon_run_testkit::repo_builder::{self, Generated};
use nix::sys::resource::{UsageWho, getrusage};

const PROGRAM: &str = env!("CARGO_BIN_EXE_chronon-run");
/// Whole processes of which the median counts.
const RUNS: usize = 11;
/// The word by which this program measures one process, so that no other process's memory counts.
const MEASURE: &str = "measure";

/// What one process took.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    peak_kilobytes: u64,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(MEASURE) => measure(&arguments[1..]),
        Some("recorded") => {
            recorded(
                Path::new(&arguments[1]),
                1_000,
                1_000,
                arguments[2].parse().unwrap(),
            );
        }
        Some("pages") => pages::figures(),
        Some("watchdog") => chronon_run_process::watchdog_main(std::io::stdin().lock()),
        _ => figures(),
    }
}

fn figures() {
    let folder = tempfile::tempdir().unwrap();
    println!(
        "{:<44} {:>10} {:>10}  {:>8} {:>8}",
        "median of 11 processes", "wall", "limit", "peak", "limit"
    );
    row(
        "--version",
        cost(folder.path(), &["--version"]),
        Duration::from_millis(10),
        None,
    );
    plan(folder.path(), 200, Duration::from_millis(100), Some(50));
    null_run(folder.path(), 200, Duration::from_millis(50));
    plan(folder.path(), 2_000, Duration::from_secs(1), None);
    status(folder.path(), 1_000, 1_000, 30);
    status(folder.path(), 1_000, 1_000, 1);
    let took = noop_steps::best(|| noop_steps::steps(folder.path(), true, true));
    println!(
        "{:<44} {:>7} ms {:>7} ms",
        "1,000 steps of `true`, 2 jobs, ledger, best of 5",
        took.as_millis(),
        800
    );
}

/// `plan` of a generated repo: the confs are read and the catalog is a file.
fn plan(folder: &Path, assets: usize, limit: Duration, megabytes: Option<u64>) {
    let generated = generated(folder, assets, 365);
    let days = assets * 365;
    row(
        &format!("plan: {assets} assets, {days} cells"),
        cost(&generated.repo, &["plan"]),
        limit,
        megabytes,
    );
}

/// `status` of a repo of which the ledger knows how each day was filled, `step_days` days at a time.
fn status(folder: &Path, assets: usize, days: u32, step_days: i32) {
    let folder = folder.join(format!("recorded-{step_days}"));
    let generated = recorded(&folder, assets, days, step_days);
    row(
        &format!("status: {assets} assets x {days} days, {step_days} a step"),
        cost(&generated.repo, &["status"]),
        Duration::from_millis(500),
        Some(60),
    );
}

/// A repo of which every day is filled and recorded.
fn recorded(folder: &Path, assets: usize, days: u32, step_days: i32) -> Generated {
    let generated = generated(folder, assets, days);
    let catalog = filled(&generated);
    fs::write(&generated.catalog, serde_json::to_string(&catalog).unwrap()).unwrap();
    recorded::record(&generated.repo, &catalog, step_days);
    generated
}

/// What cron pays for a `frontfill` that finds nothing to do. The catalog is a file: beside a
/// metastore, one listing comes on top.
fn null_run(folder: &Path, assets: usize, limit: Duration) {
    let generated = generated(folder, assets, 365);
    let text = serde_json::to_string(&filled(&generated)).unwrap();
    fs::write(&generated.catalog, text).unwrap();
    row(
        &format!("frontfill: {assets} assets, nothing to do"),
        cost(&generated.repo, &["frontfill", "--quiet"]),
        limit,
        None,
    );
}

/// The catalog of a repo, with every day of every table.
fn filled(generated: &Generated) -> CatalogSnapshot {
    let text = fs::read_to_string(&generated.catalog).unwrap();
    let mut catalog: CatalogSnapshot = serde_json::from_str(&text).unwrap();
    let all = PartitionRange::new(generated.first, generated.last);
    let all: RangeSet = all.into_iter().collect();
    // The statistics of joins, which the generated catalog lacks.
    let statistics = catalog.tables.iter().map(|(name, state)| {
        let table = name.suffixed("_daily_stats");
        (table, state.clone())
    });
    let statistics: Vec<_> = statistics.collect();
    catalog.tables.extend(statistics);
    for state in catalog.tables.values_mut().flatten() {
        // A saved catalog with the time of every partition is larger than the ledger.
        state.stamps.clear();
        let partitions = state.partitions.values_mut();
        partitions.for_each(|partitions| partitions.insert(&[], &all));
    }
    catalog
}

/// A repo of which every asset has `days` days, two inputs, and a window of 1, 7 or 30 days; a tenth of
/// the days is missing.
fn generated(folder: &Path, assets: usize, days: u32) -> Generated {
    let repo = folder.join(format!("repo-{assets}"));
    let generated = repo_builder::generate(&repo, assets, days, 1).unwrap();
    let workspace = fs::read_to_string(repo.join("workspace.toml")).unwrap();
    let fixture = format!(
        "kind = \"fixture\"\npath = \"{}\"",
        generated.catalog.display()
    );
    let workspace = workspace.replace("kind = \"embedded\"", &fixture);
    fs::write(repo.join("workspace.toml"), workspace).unwrap();
    generated
}

fn row(label: &str, cost: Cost, limit: Duration, megabytes: Option<u64>) {
    let peak_limit = megabytes.map_or_else(|| "-".to_owned(), |limit| format!("{limit} MB"));
    println!(
        "{label:<44} {:>7.1} ms {:>7} ms  {:>5.1} MB {peak_limit:>8}",
        cost.wall.as_secs_f64() * 1_000.0,
        limit.as_millis(),
        cost.peak_kilobytes as f64 / 1_000.0,
    );
}

/// The medians of several processes, the first of which does not count: it fills the disk cache.
fn cost(directory: &Path, arguments: &[&str]) -> Cost {
    let costs: Vec<Cost> = (0..=RUNS)
        .map(|_| measured(directory, arguments))
        .skip(1)
        .collect();
    let mut walls: Vec<Duration> = costs.iter().map(|cost| cost.wall).collect();
    let mut peaks: Vec<u64> = costs.iter().map(|cost| cost.peak_kilobytes).collect();
    walls.sort();
    peaks.sort_unstable();
    Cost {
        wall: walls[RUNS / 2],
        peak_kilobytes: peaks[RUNS / 2],
    }
}

/// One process, measured by a fresh copy of this program.
fn measured(directory: &Path, arguments: &[&str]) -> Cost {
    let output = Command::new(env::current_exe().unwrap())
        .arg(MEASURE)
        .args(arguments)
        .current_dir(directory)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the measurement failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let (micros, kilobytes) = text.trim().split_once(' ').unwrap();
    Cost {
        wall: Duration::from_micros(micros.parse().unwrap()),
        peak_kilobytes: kilobytes.parse().unwrap(),
    }
}

/// Runs the program once and prints microseconds and kilobytes.
fn measure(arguments: &[String]) {
    let started = Instant::now();
    let mut command = Command::new(PROGRAM);
    let status = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    let wall = started.elapsed();
    assert!(status.unwrap().success(), "chronon-run {arguments:?}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    println!("{} {}", wall.as_micros(), usage.max_rss());
}
