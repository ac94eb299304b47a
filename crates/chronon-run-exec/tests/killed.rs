//! `kill -9` of a process that runs steps, again and again, until all are done.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use chronon_run_exec::{Options, Sink, run};
use chronon_run_ledger::{Ledger, RunRecord, RunState};
use chronon_run_process::{Watchdog, watchdog_main};
use support::{Pipe, Scripts, job, options};

const STEPS: u32 = 200;
const KILLS: u32 = 20;

/// Says that it runs, and works; complains if its work was already done. Every tenth ignores TERM and leaves a grandchild behind that does so too.
const SCRIPT: &str = r#"exec 9>"$PIPE"; printf x >&9
    case "$STEP" in *0) trap '' TERM; (trap '' TERM; exec >&- 2>&-; while :; do sleep 1; done) & ;; esac
    [ -e "$OUT/2026-01-03" ] && echo "$STEP" >> "$FOLDER/repeated"
    for ds in $DAYS; do : > "$OUT/$ds"; done"#;

fn helper(name: &str) -> Vec<String> {
    let words = ["--ignored", "--exact", name, "--nocapture"];
    words.map(str::to_owned).to_vec()
}

/// Whether any process still has the folder in its environment.
fn anybody(folder: &Path) -> bool {
    let wanted = format!("FOLDER={}", folder.display());
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    let mut environments = pids.filter_map(|entry| fs::read(entry.path().join("environ")).ok());
    environments.any(|bytes| {
        let mut variables = bytes.split(|byte| *byte == 0);
        variables.any(|variable| variable == wanted.as_bytes())
    })
}

fn wait_for_no_process(folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while anybody(folder) {
        assert!(Instant::now() < deadline, "an orphan");
        thread::sleep(Duration::from_millis(5));
    }
}

fn start(folder: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(helper("helper_run"))
        .env("RUN_FOLDER", folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn nothing_is_lost_repeated_or_left_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut pipe = Pipe::new(path);
    for round in 0..KILLS {
        let mut owner = start(path);
        // Killed when so many steps have begun: a point of the run, not of the clock.
        let begun = 1 + (round as usize * 5) % 9;
        pipe.read(begun, || owner.try_wait().unwrap().is_some());
        owner.kill().unwrap();
        owner.wait().unwrap();
        pipe.ends();
        wait_for_no_process(path);
    }
    let mut owner = start(path);
    pipe.read(usize::MAX, || owner.try_wait().unwrap().is_some());
    pipe.ends();

    wait_for_no_process(path);

    let lost = (0..STEPS).filter(|step| !is_done(path, *step));
    assert_eq!(lost.count(), 0);
    assert!(!path.join("repeated").exists());
    let mut ledger = Ledger::open(&path.join("ledger.db"));
    assert_eq!(ledger.survivors(), []);
    assert_eq!(ledger.take_notices(), Vec::<String>::new());
    let crashed = |run: &RunRecord| run.state == RunState::Crashed;
    assert!(ledger.runs(100).iter().filter(|run| crashed(run)).count() > KILLS as usize / 2);
}

fn is_done(folder: &Path, step: u32) -> bool {
    folder.join(format!("out/{step}/2026-01-03")).exists()
}

#[test]
#[ignore = "not a test: the process that is killed"]
fn helper_run() {
    let folder = PathBuf::from(std::env::var_os("RUN_FOLDER").unwrap());
    let grace = Duration::from_millis(50);
    let exe = std::env::current_exe().unwrap();
    let watchdog = Watchdog::start(&exe, &helper("helper_watchdog"), grace).unwrap();
    let all: Vec<(u32, &str)> = (0..STEPS).map(|step| (step, SCRIPT)).collect();
    let work = Scripts::new(&folder, &all);
    // As every run begins: first no other process writes, then look at what is missing.
    let mut ledger = Ledger::open(&folder.join("ledger.db"));
    ledger.end_survivors(grace, 0, &mut |_| Ok(()));
    let missing = (0..STEPS).filter(|step| !is_done(&folder, *step));
    let jobs: Vec<_> = missing.map(|step| job(step, &[])).collect();
    let options = Options {
        run: format!("{}", std::process::id()),
        grace,
        watchdog: Some(&watchdog),
        ..options(2)
    };
    let sinks: &mut [&mut dyn Sink] = &mut [&mut ledger];
    run(&jobs, &work, &options, sinks, &crossbeam_channel::never()).unwrap();
}

#[test]
#[ignore = "not a test: the watchdog process"]
fn helper_watchdog() {
    watchdog_main(std::io::stdin().lock());
}
