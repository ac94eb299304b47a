//! What can happen to a run: it is killed hard again and again, its ledger is cut off or gone, the
//! clock jumps back, the metastore goes away. Nothing is lost, nothing is repeated, no process is left.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, BufRead, BufReader},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use chronon_run_catalog::embedded::{Embedded, Lease};
use chronon_run_spark::{Environment, archive::Archive, locate};
use chronon_run_testkit::{
    driver::{Commit, Write},
    scripted::{Backend, CATALOG, Fault, Record},
};
use serde_json::Value;

use crate::{
    environment,
    limits::{through, words},
    scripted::{hangs, no_process_is_left},
    staged::{Staged, all_days, fault_of, metastores, name_of, processes},
    support::{Screen, Workspace, cache, signal, wait_until},
};

const STEPS: usize = 300;
const KILLS: usize = 100;

/// splitmix64: the same points every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % n
    }
}

/// `kill -9` at a hundred points of a run of three hundred steps, each with a child that ignores
/// TERM and has a grandchild: none is lost, none that was completed is repeated, no process is left.
#[test]
fn killed_again_and_again() {
    let names: Vec<String> = (0..STEPS).map(|step| format!("q{step:03}")).collect();
    let inputs: Vec<String> = (0..STEPS).map(input_of).collect();
    let tables: Vec<[&str; 1]> = inputs.iter().map(|input| [input.as_str()]).collect();
    let queries: Vec<(&str, &[&str])> = names
        .iter()
        .zip(&tables)
        .map(|(name, tables)| (name.as_str(), &tables[..]))
        .collect();
    let staged = Staged::new(&queries);
    staged
        .workspace
        .edit("workspace.toml", "grace = \"1s\"", "grace = \"20ms\"");
    staged.faults(&[Fault {
        slow_millis: 100,
        ignore_term: true,
        fork: true,
        ..Fault::default()
    }]);
    let mut random = Random(6);
    for _ in 0..KILLS {
        let before = unfinished(&staged);
        let mut run = materialize(&staged);
        // A point of the run: so many steps have begun or ended; and then a moment of the clock, so
        // that everything between two of these points is met too, and what comes before the first.
        let lines = BufReader::new(run.stderr.take().unwrap()).lines();
        let wanted = usize::try_from(random.below(4)).unwrap();
        let seen = lines.map_while(Result::ok).take(wanted).count();
        assert_eq!(seen, wanted, "it ended by itself");
        if wanted > 0 && random.below(2) == 0 {
            wait_until("a step is under way", || unfinished(&staged) > before);
        }
        let longest = if wanted == 0 { 400 } else { 80 };
        thread::sleep(Duration::from_millis(random.below(longest)));
        run.kill().unwrap();
        run.wait().unwrap();
        no_process_is_left(&staged);
    }
    let killed = unfinished(&staged);
    assert!(killed >= KILLS / 4, "only {killed} calls were killed");
    staged.faults(&[]);
    staged.run(&["materialize"]).expect(0);
    for name in &names {
        assert_eq!(staged.filled(name), all_days(), "{name} is lost");
    }
    assert_eq!(repeated(&staged.calls()), BTreeSet::new());
}

/// Chains of four: every fourth reads a source, the others the one before.
fn input_of(step: usize) -> String {
    if step.is_multiple_of(4) {
        "lake.a".to_owned()
    } else {
        format!("out.team_q{:03}", step - 1)
    }
}

/// How many calls have begun and not ended.
fn unfinished(staged: &Staged) -> usize {
    let calls = staged.calls();
    calls.iter().filter(|call| call.end.is_none()).count()
}

fn materialize(staged: &Staged) -> Child {
    let mut command = staged.command(&["materialize"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// The steps that were run again although they had been completed.
fn repeated(calls: &[Record]) -> BTreeSet<String> {
    let again = |(at, call): (usize, &Record)| {
        let before = calls[..at].iter();
        let mut completed = before.filter(|earlier| earlier.exit == Some(0));
        let name = name_of(call);
        completed
            .any(|earlier| name_of(earlier) == name)
            .then_some(name)
    };
    calls.iter().enumerate().filter_map(again).collect()
}

/// A run of the chain in which `two` hangs, from the moment on in which it runs.
fn running_two() -> (Staged, Child) {
    let staged = Staged::chain();
    staged.faults(&[hangs("two")]);
    let mut command = staged.command(&["materialize", "--jobs", "1"]);
    let run = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("two runs", || staged.started().contains(&"two".to_owned()));
    (staged, run)
}

fn delete_ledger(staged: &Staged) {
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        fs::remove_file(staged.workspace.path(".chronon-run").join(name)).unwrap();
    }
}

/// A run of the chain that is killed while `two` runs.
fn killed_in_two() -> Staged {
    let (staged, mut run) = running_two();
    run.kill().unwrap();
    run.wait().unwrap();
    no_process_is_left(&staged);
    staged.faults(&[]);
    staged
}

fn is_whole(staged: &Staged) {
    for name in ["one", "two", "three", "alone"] {
        assert_eq!(staged.filled(name), all_days(), "{name}");
    }
    assert_eq!(repeated(&staged.calls()), BTreeSet::new());
    assert_eq!(staged.calls().len(), 5, "the killed one and the four");
}

/// After a loss of power the last pages of a file may not be there.
#[test]
fn a_ledger_cut_off_at_any_place_costs_nothing() {
    let staged = killed_in_two();
    let state = staged.workspace.path(".chronon-run");
    let files = ["ledger.db", "ledger.db-wal"].map(|name| state.join(name));
    let whole: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(whole.iter().all(|bytes| bytes.len() > 1000));
    for (file, at) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        for (path, bytes) in files.iter().zip(&whole) {
            fs::write(path, bytes).unwrap();
        }
        let _ = fs::remove_file(state.join("ledger.db-shm"));
        let length = [0, whole[file].len() / 2, whole[file].len() - 7][at];
        fs::write(&files[file], &whole[file][..length]).unwrap();
        let plan = staged.run(&["plan"]).expect(0).stdout;
        assert!(plan.contains("3 steps"), "{plan}");
    }
    staged.run(&["materialize"]).expect(0);
    is_whole(&staged);
}

#[test]
fn a_deleted_ledger_costs_nothing() {
    let staged = killed_in_two();
    delete_ledger(&staged);
    staged.run(&["materialize"]).expect(0);
    is_whole(&staged);
}

/// Program and watchdog are killed hard, so that the step lives on: the next run ends it first, by its mark
/// in the ledger or, without a ledger, by the owner file of its lock.
#[test]
fn what_outlives_program_and_watchdog_is_ended_by_the_next_run() {
    for with_ledger in [true, false] {
        let (staged, mut run) = running_two();
        let all = processes(staged.workspace.root());
        let watchdog = all.iter().find(|(_, line)| line.contains("__watchdog"));
        signal(watchdog.unwrap().0, "KILL");
        run.kill().unwrap();
        run.wait().unwrap();
        let step = staged
            .calls()
            .into_iter()
            .find(|call| name_of(call) == "two");
        let step = step.unwrap().pid;
        let lives = || {
            let all = processes(staged.workspace.root());
            all.iter().any(|(pid, _)| *pid == step)
        };
        assert!(lives(), "the step outlives both");
        if !with_ledger {
            delete_ledger(&staged);
        }
        staged.faults(&[]);
        staged.run(&["materialize"]).expect(0);
        assert!(!lives(), "with a ledger: {with_ledger}");
        no_process_is_left(&staged);
        is_whole(&staged);
    }
}

/// A signal may come before anything is set up: the run ends by it, and nothing is left.
#[test]
fn a_signal_in_the_first_milliseconds_ends_everything() {
    let staged = Staged::chain();
    staged.faults(&[hangs("one"), hangs("alone")]);
    // A shell tells its background jobs to ignore SIGINT, and these tests may be one.
    let answering = words(&["env", "--default-signal"]);
    let program = Path::new(env!("CARGO_BIN_EXE_chronon-run"));
    for (at, (name, number)) in [("TERM", 15), ("INT", 2), ("HUP", 1)]
        .into_iter()
        .cycle()
        .take(24)
        .enumerate()
    {
        let mut run = through(&answering, program, &staged.command(&["materialize"]));
        let mut run = run
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Until then a signal that this test was told to ignore is lost.
        let executable = PathBuf::from(format!("/proc/{}/exe", run.id()));
        wait_until("the program is executed", || {
            fs::read_link(&executable).ok() == program.canonicalize().ok()
        });
        thread::sleep(Duration::from_millis(u64::try_from(at).unwrap()));
        signal(run.id(), name);
        wait_until("the run has ended", || run.try_wait().unwrap().is_some());
        let status = run.wait().unwrap();
        let ended = status.signal().or(status.code().map(|code| code - 128));
        assert_eq!(ended, Some(number), "{name} after {at} ms: {status}");
        no_process_is_left(&staged);
    }
    staged.faults(&[]);
    staged.run(&["materialize"]).expect(0);
}

// --- the clock ---------------------------------------------------------------------------------

/// Replaces the system's clock by one that goes so many seconds before it as `$CLOCK_BACK` says.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    const char *path = getenv("CLOCK_BACK");
    if (id == CLOCK_REALTIME && path) {
        FILE *file = fopen(path, "r");
        long seconds = 0;
        if (file) {
            if (fscanf(file, "%ld", &seconds) == 1) now->tv_sec -= seconds;
            fclose(file);
        }
    }
    return result;
}
"#;

/// Compiles [`CLOCK`] into a library for `LD_PRELOAD`.
pub(crate) fn clock_library(workspace: &Workspace) -> PathBuf {
    library(workspace, "clock", CLOCK)
}

fn library(workspace: &Workspace, name: &str, source: &str) -> PathBuf {
    let (file, library) = (format!("{name}.c"), workspace.path(&format!("{name}.so")));
    workspace.write(&file, source);
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&library);
    let compiled = compile.arg(workspace.path(&file)).arg("-ldl").status();
    assert!(compiled.unwrap().success());
    library
}

/// Refuses POSIX locks, as a network file system without a lock server does.
const NO_LOCKS: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
static int answer(const char *name, int file, int command, void *argument) {
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, name);
    if (command == F_SETLK || command == F_SETLKW) {
        errno = ENOLCK;
        return -1;
    }
    if (!real) real = dlsym(RTLD_NEXT, "fcntl");
    return real(file, command, argument);
}
#define REPLACE(name) \
    int name(int file, int command, ...) { \
        va_list rest; \
        va_start(rest, command); \
        void *argument = va_arg(rest, void *); \
        va_end(rest); \
        return answer(#name, file, command, argument); \
    }
REPLACE(fcntl)
REPLACE(fcntl64)
"#;

#[test]
fn a_file_system_without_locks_is_named_and_the_run_goes_on() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    let library = library(&staged.workspace, "locks", NO_LOCKS);
    let mut command = staged.command(&["materialize"]);
    let output = command.env("LD_PRELOAD", &library).output().unwrap();
    let screen = Screen::new(output, staged.workspace.root()).expect(0);
    let said = screen.text();
    assert!(said.contains("its file system has no locks"), "{said}");
    assert!(said.contains("set `state_dir` to a folder"), "{said}");
    assert!(!said.contains("database is locked"), "{said}");
    assert!(staged.started().contains(&"one".to_owned()));
}

#[test]
fn a_clock_that_jumps_back_costs_nothing() {
    let staged = Staged::chain();
    let workspace = &staged.workspace;
    let library = clock_library(workspace);
    let command = |args: &[&str]| {
        let mut command = staged.command(args);
        command
            .env("LD_PRELOAD", &library)
            .env("CLOCK_BACK", workspace.path("back"));
        command
    };
    workspace.write("back", "0");
    staged.faults(&[Fault {
        exit: Some(1),
        ..hangs("alone")
    }]);
    let mut run = command(&["materialize", "--jobs", "1"]);
    let run = run
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("alone runs", || {
        staged.started().contains(&"alone".to_owned())
    });
    // Ten days back, in the middle of a step; which is then killed, and its run ends.
    workspace.write("back", "864000");
    let hanging = staged
        .calls()
        .into_iter()
        .find(|call| name_of(call) == "alone");
    crate::support::signal(hanging.unwrap().pid, "KILL");
    let screen = Screen::new(run.wait_with_output().unwrap(), workspace.root());
    let screen = screen.expect(1);
    assert!(
        screen.stderr.contains("killed (signal 9"),
        "{}",
        screen.text()
    );
    staged.faults(&[]);
    let second = command(&["retry"]).output().unwrap();
    Screen::new(second, workspace.root()).expect(0);
    is_whole(&staged);
    // The order is that of the runs: the newest is the one that the clock calls the older one.
    let runs = command(&["runs", "--output", "json"])
        .output()
        .unwrap()
        .stdout;
    let runs: Value = serde_json::from_slice(&runs).unwrap();
    let started = |at: usize| runs["runs"][at]["started"].as_str().unwrap();
    assert!(started(0) < started(1));
    assert_eq!(runs["runs"][0]["all_succeeded"], true);
}

// --- the metastore -----------------------------------------------------------------------------

/// The way to a server, which can be cut and restored.
pub(crate) struct Line {
    pub(crate) port: u16,
    up: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = Self {
            port: listener.local_addr().unwrap().port(),
            up: Arc::new(AtomicBool::new(true)),
            open: Arc::default(),
        };
        let (up, open) = (Arc::clone(&line.up), Arc::clone(&line.open));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Dropped while the line is cut: the client sees its connection end.
                if up.load(Ordering::SeqCst)
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", server))
                {
                    let mut open = open.lock().unwrap();
                    for (mut from, mut to) in [
                        (client.try_clone().unwrap(), server.try_clone().unwrap()),
                        (server.try_clone().unwrap(), client.try_clone().unwrap()),
                    ] {
                        thread::spawn(move || {
                            let _ = io::copy(&mut from, &mut to);
                            let _ = to.shutdown(Shutdown::Both);
                        });
                    }
                    open.extend([client, server]);
                }
            }
        });
        line
    }

    pub(crate) fn cut(&self) {
        self.up.store(false, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn restore(&self) {
        self.up.store(true, Ordering::SeqCst);
    }
}

/// A real metastore in `folder`.
pub(crate) fn metastore(folder: &Path) -> Lease {
    let mut environment = Environment::new(None, |name| env::var_os(name));
    environment.cache = Some(cache());
    environment.spark_home = None;
    let spark = locate(&environment, &mut |_| {}).unwrap();
    let archive = Archive::new(&cache(), "metastore", &spark).ok().flatten();
    let embedded = Embedded {
        java: spark.java.program(),
        java_options: archive.map(|archive| archive.options()).unwrap_or_default(),
        env: Vec::new(),
        jars: spark.jars(),
        directory: folder.join("metastore"),
        warehouse: folder.join("warehouse"),
        idle: Duration::from_secs(1),
        start: Duration::from_secs(120),
    };
    embedded.join().unwrap()
}

/// The chain on a metastore that is reached over a line; the jobs themselves reach it directly.
struct OverLine {
    staged: Staged,
    server: String,
    line: Line,
    _lease: Lease,
}

impl OverLine {
    fn new() -> Self {
        let staged = Staged::chain();
        let lease = metastore(&staged.workspace.path("server"));
        let server = lease.uri();
        let port = server.rsplit(':').next().unwrap().parse().unwrap();
        let line = Line::to(port);
        staged.workspace.edit(
            "workspace.toml",
            "kind = \"fixture\"\npath = \"catalog.json\"",
            &format!(
                "kind = \"hive\"\nuri = \"thrift://127.0.0.1:{}\"",
                line.port
            ),
        );
        let source = |table: &str| Write::days(table.parse().unwrap(), all_days());
        let writes = ["lake.a", "lake.b"].map(source).to_vec();
        let backend = Backend::open(&server).unwrap();
        backend.apply(&[Commit { writes }]).unwrap();
        staged.faults(&[Fault {
            slow_millis: 1_000,
            ..fault_of("one")
        }]);
        Self {
            staged,
            server,
            line,
            _lease: lease,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.staged.command(args);
        command.env(CATALOG, &self.server);
        command
    }

    /// Starts a run and cuts the line while `one` runs.
    fn cut_in_one(&self) -> Child {
        let mut run = self.command(&["materialize", "--jobs", "1"]);
        let run = run
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("one runs", || !self.staged.calls().is_empty());
        self.line.cut();
        run
    }
}

#[test]
fn the_metastore_goes_away_and_comes_back_or_does_not() {
    let over = OverLine::new();
    let patience = |text: &str| {
        let workspace = &over.staged.workspace;
        workspace.edit("workspace.toml", "[run]\n", &format!("[run]\n{text}\n"));
    };
    // It never comes back: the step's end is recorded as what it is.
    patience("patience = \"1s\"");
    let run = over.cut_in_one();
    let screen = Screen::new(
        run.wait_with_output().unwrap(),
        over.staged.workspace.root(),
    );
    let screen = screen.expect(1);
    assert!(
        screen.stderr.contains("waiting: cannot reach"),
        "{}",
        screen.text()
    );
    let runs = over
        .command(&["runs", "--output", "json"])
        .output()
        .unwrap();
    let runs: Value = serde_json::from_slice(&runs.stdout).unwrap();
    assert_eq!(
        runs["runs"][0]["failed"], 2,
        "one, and alone could not be prepared"
    );
    let unreachable = over.command(&["materialize"]).output().unwrap();
    assert_eq!(unreachable.status.code(), Some(2));

    // It was filled all the same, and is not filled again.
    over.line.restore();
    over.staged
        .workspace
        .edit("workspace.toml", "patience = \"1s\"", "");
    over.staged.faults(&[Fault {
        slow_millis: 1_000,
        ..fault_of("two")
    }]);
    let mut run = over.command(&["materialize", "--jobs", "1"]);
    let mut run = run
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("two runs", || {
        over.staged.started().contains(&"two".to_owned())
    });
    over.line.cut();
    // It comes back: the steps have waited, and go on.
    let mut lines = BufReader::new(run.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let waited = lines.any(|line| line.contains("waiting: cannot reach"));
    assert!(waited);
    over.line.restore();
    let rest: Vec<String> = lines.collect();
    assert_eq!(run.wait().unwrap().code(), Some(0), "{rest:#?}");
    let mut names = over.staged.started();
    names.sort();
    assert_eq!(names, ["alone", "one", "three", "two"]);
}

/// As Airflow starts its tasks: each is a run of its own, though they begin in the same second.
#[test]
fn commands_that_start_at_once_are_runs_of_their_own() {
    let names: Vec<String> = (0..12).map(|number| format!("q{number}")).collect();
    let queries = names.iter().map(|name| (name.as_str(), &["lake.a"][..]));
    let staged = Staged::new(&queries.collect::<Vec<_>>());
    let start = |name: &String| {
        let mut command = staged.command(&["materialize", &format!("team.{name}")]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let started: Vec<_> = names.iter().map(start).collect();
    for run in started {
        let output = run.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    let runs = staged.run(&["runs", "--output", "json"]).expect(0).stdout;
    let runs: Value = serde_json::from_str(&runs).unwrap();
    let runs = runs["runs"].as_array().unwrap();
    let ids: BTreeSet<&str> = runs.iter().filter_map(|run| run["run"].as_str()).collect();
    assert_eq!(ids.len(), names.len(), "{ids:?}");
    for name in &names {
        let logs = staged.run(&["logs", &format!("staging_query/team.{name}/backfill")]);
        logs.expect(0);
    }
}

/// As the kernel ends it when memory is short: the run starts it again at its port, and goes on.
#[test]
fn the_embedded_metastore_is_killed_in_the_middle_of_a_run() {
    let workspace = environment::workspace();
    let settings = "retries = 1\njobs = 1\nstep_days = 1";
    workspace.edit("workspace.toml", "retries = 0", settings);
    let mut run = workspace.command(&["materialize", "shop.clean.v1"]);
    let mut run = run
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("done")), "no step ended");
    let found = metastores(workspace.root());
    assert_eq!(found.len(), 1, "{found:?}");
    let state = workspace.read(".chronon-run/metastore/metastore.json");
    let state: Value = serde_json::from_str(&state).unwrap();
    signal(
        u32::try_from(state["pid"].as_u64().unwrap()).unwrap(),
        "KILL",
    );
    let rest: Vec<String> = lines.collect();
    assert!(run.wait().unwrap().success(), "{rest:#?}");
    let again = |line: &String| line.contains("the embedded metastore died; starting it again");
    assert!(rest.iter().any(again), "{rest:#?}");
    let plan = workspace.run(&["plan", "shop.clean.v1"]).expect(0);
    assert!(plan.stdout.contains("2 done"), "{}", plan.text());
}
