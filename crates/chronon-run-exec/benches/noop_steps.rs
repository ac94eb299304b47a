//! What the runner itself costs: 1,000 steps of `true` in 2 slots with the ledger and the
//! watchdog on, against a bare loop that starts and waits for as many. Prints the figures.
//!
//! `cargo bench -p chronon-run-exec`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use chronon_run_core::{CommandLine, PartitionRange, RangeSet};
use chronon_run_exec::{
    Control, Job, OnFailure, Options, Retries, Sink, Task, TaskKind, Verdict, Work, WorkError, run,
};
use chronon_run_ledger::Ledger;
use chronon_run_process::{Watchdog, watchdog_main};

const STEPS: u32 = 1_000;
const SLOTS: u32 = 2;

struct Noop {
    logs: PathBuf,
}

impl Work for Noop {
    fn prepare(&self, job: &Job, attempt: u32) -> Result<Task, WorkError> {
        Ok(Task {
            command: CommandLine {
                argv: vec!["/bin/true".to_owned()],
                ..CommandLine::default()
            },
            log: self.logs.join(format!("{}-{attempt}.log", job.step)),
            kind: TaskKind::Process,
        })
    }

    fn verify(&self, job: &Job) -> Result<Verdict, WorkError> {
        Ok(Verdict {
            filled: RangeSet::from(job.range),
            ..Verdict::default()
        })
    }
}

fn jobs() -> Vec<Job> {
    let job = |step| Job {
        step,
        asset: format!("group_by/team.group_{step}/backfill")
            .parse()
            .unwrap(),
        range: PartitionRange::day("2026-01-01".parse().unwrap()),
        family: format!("family {step}"),
        after: Vec::new(),
        once_over: Vec::new(),
        timeout: Some(Duration::from_secs(60)),
        retries: Retries::NONE,
        bisect: false,
        more_memory: false,
        cost: 0,
    };
    (0..STEPS).map(job).collect()
}

/// As many children with nothing around them, two at a time.
fn floor() -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..SLOTS {
            scope.spawn(|| {
                for _ in 0..STEPS / SLOTS {
                    let mut command = Command::new("/bin/true");
                    command.stdin(Stdio::null()).stdout(Stdio::null());
                    assert!(command.status().unwrap().success());
                }
            });
        }
    });
    started.elapsed()
}

pub(crate) fn steps(root: &Path, with_ledger: bool, with_watchdog: bool) -> Duration {
    // Removed at the very end: ext4 is slow to make files where others were just removed.
    let folder = tempfile::tempdir_in(root).unwrap().keep();
    let exe = std::env::current_exe().unwrap();
    let watchdog =
        with_watchdog.then(|| Watchdog::start(&exe, &["watchdog"], Duration::ZERO).unwrap());
    let mut ledger = with_ledger.then(|| Ledger::open(&folder.join("ledger.db")));
    let options = Options {
        run: "bench".to_owned(),
        jobs: SLOTS,
        on_failure: OnFailure::Continue,
        grace: Duration::from_secs(1),
        patience: Duration::ZERO,
        pause: Duration::ZERO,
        stuck_after: Duration::from_secs(3_600),
        watchdog: watchdog.as_ref(),
    };
    let work = Noop {
        logs: folder.join("logs"),
    };
    let control = crossbeam_channel::never::<Control>();
    let started = Instant::now();
    let mut sinks: Vec<&mut dyn Sink> = Vec::new();
    sinks.extend(ledger.as_mut().map(|ledger| ledger as &mut dyn Sink));
    let summary = run(&jobs(), &work, &options, &mut sinks, &control).unwrap();
    let took = started.elapsed();
    assert_eq!(summary.succeeded.len(), STEPS as usize);
    took
}

pub(crate) fn best(of: impl Fn() -> Duration) -> Duration {
    (0..5).map(|_| of()).min().unwrap()
}

fn peak_kilobytes() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or("unknown").trim().to_owned()
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("watchdog") {
        return watchdog_main(std::io::stdin().lock());
    }
    let root = tempfile::tempdir().unwrap();
    println!("{STEPS} steps of `true`, {SLOTS} slots, best of 5:");
    println!(
        "  bare children                  {:>7.3} s",
        best(floor).as_secs_f64()
    );
    for (ledger, watchdog, label) in [
        (false, false, "runner alone"),
        (true, false, "runner and ledger"),
        (true, true, "runner, ledger and watchdog"),
    ] {
        let took = best(|| steps(root.path(), ledger, watchdog));
        println!("  {label:<30} {:>7.3} s", took.as_secs_f64());
    }
    println!("  peak memory                    {}", peak_kilobytes());
}
