//! Children that do not want to end, and owners that are killed. A process proves that it is
//! gone by the end of a pipe that only it and its children hold open.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use chronon_run_core::{
    CommandLine,
    event::{CancelReason, ProcessId},
};
use chronon_run_process::{
    Child, Detached, Exit, Helper, HelperError, LogMode, Session, SessionOutcome, StartError, Stop,
    Watchdog, end_children_of, end_group, end_instance, instances, is_alive, watchdog_main,
};
use tempfile::TempDir;

const GRACE: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

/// A grandchild that ignores TERM, a child that ignores TERM; both hold the pipe.
const STUBBORN: &str = r#"
    exec 9>"$PIPE"
    trap '' TERM
    (trap '' TERM; echo ready >&9; while :; do sleep 1; done) &
    while :; do sleep 1; done
"#;

fn shell(script: &str, pipe: &Path) -> CommandLine {
    CommandLine {
        argv: vec!["sh".into(), "-c".into(), script.into()],
        env: vec![("PIPE".into(), Some(pipe.display().to_string()))],
        cwd: None,
    }
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("mkfifo")
            .arg(folder.path().join("pipe"))
            .status();
        assert!(made.unwrap().success());
        Self { folder }
    }

    fn pipe(&self) -> PathBuf {
        self.folder.path().join("pipe")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("logs/deep/log")
    }

    /// Waits for the pipe's first writer and its first line; the rest is for [`ends`].
    fn ready(&self) -> BufReader<File> {
        let mut reader = BufReader::new(File::open(self.pipe()).unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        reader
    }
}

/// Waits until no process holds the pipe.
fn ends(mut reader: BufReader<File>) {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        io::copy(&mut reader, &mut io::sink()).unwrap();
        done.send(()).unwrap();
    });
    wait.recv_timeout(LONG).expect("a process survived");
}

fn start(command: &CommandLine, place: &Place) -> Child {
    Child::start(command, &place.log(), LogMode::Truncate, None).unwrap()
}

#[test]
fn exit_codes_signals_and_both_outputs_are_kept() {
    let place = Place::new();
    let child = start(
        &shell("echo out; echo err >&2; cat; exit 3", &place.pipe()),
        &place,
    );
    assert_eq!(child.wait(GRACE).unwrap(), Exit::Code(3));
    assert_eq!(child.wait(GRACE).unwrap(), Exit::Code(3), "asked twice");
    assert_eq!(fs::read_to_string(place.log()).unwrap(), "out\nerr\n");

    let child = start(&shell("kill -9 $$", &place.pipe()), &place);
    assert_eq!(child.wait(GRACE).unwrap(), Exit::Signal(9));
}

#[test]
fn what_cannot_be_started_says_its_name() {
    let place = Place::new();
    let nothing = CommandLine::default();
    let error = Child::start(&nothing, &place.log(), LogMode::Append, None).unwrap_err();
    assert!(matches!(error, StartError::NoProgram));
    let missing = CommandLine {
        argv: vec!["/no/such/program".into()],
        ..CommandLine::default()
    };
    let error = Child::start(&missing, &place.log(), LogMode::Append, None).unwrap_err();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    let below_a_file = place.pipe().join("log");
    let command = shell("true", &place.pipe());
    let error = Child::start(&command, &below_a_file, LogMode::Append, None).unwrap_err();
    assert!(matches!(error, StartError::Log { .. }));
}

#[test]
fn an_ended_group_takes_its_grandchildren_along() {
    let place = Place::new();
    let child = start(&shell(STUBBORN, &place.pipe()), &place);
    let reader = place.ready();
    child.group().terminate();
    assert!(!child.has_exited());
    child.group().kill();
    assert_eq!(child.wait(GRACE).unwrap(), Exit::Signal(9));
    ends(reader);
    assert!(!is_alive(child.id()));
}

#[test]
fn a_group_outlives_its_leader_but_not_the_wait() {
    let place = Place::new();
    let script =
        r#"exec 9>"$PIPE"; (trap '' TERM; echo ready >&9; while :; do sleep 1; done) & exit 0"#;
    let child = start(&shell(script, &place.pipe()), &place);
    let reader = place.ready();
    assert_eq!(child.wait(GRACE).unwrap(), Exit::Code(0));
    ends(reader);
}

#[test]
fn a_dropped_child_is_killed() {
    let place = Place::new();
    let child = start(&shell(STUBBORN, &place.pipe()), &place);
    let reader = place.ready();
    drop(child);
    ends(reader);
}

#[test]
fn a_survivor_is_ended_by_number_and_start_time_only() {
    let place = Place::new();
    let child = start(&shell(STUBBORN, &place.pipe()), &place);
    let reader = place.ready();
    let id = child.id();
    let stranger = ProcessId {
        start_ticks: id.start_ticks + 1,
        ..id
    };
    assert!(!end_group(stranger, GRACE));
    assert!(is_alive(id));
    let unknown = ProcessId {
        start_ticks: 0,
        ..id
    };
    assert!(!end_group(unknown, GRACE));
    assert!(is_alive(id));
    assert!(end_group(id, GRACE));
    ends(reader);
    assert!(!end_group(id, GRACE));
}

#[test]
fn a_session_takes_task_after_task() {
    let place = Place::new();
    let script = r#"while read -r line; do
        case "$line" in
            die) echo last words; exit 7;;
            *) echo "did $line" >&2; echo "MARK $line";;
        esac
    done"#;
    let log = place.folder.path().join("session.log");
    let mut session = Session::start(&shell(script, &place.pipe()), &log, None).unwrap();
    let marker = |line: &str| Some(line.strip_prefix("MARK ")? == "good");
    let task_log = place.log();
    let mut run = |input: &str| session.run(input, &marker, &task_log).unwrap();
    assert_eq!(run("good\n"), SessionOutcome::Done { ok: true });
    assert_eq!(run("bad\n"), SessionOutcome::Done { ok: false });
    assert_eq!(run("die\n"), SessionOutcome::Died(Exit::Code(7)));
    assert_eq!(
        run("too late\n"),
        SessionOutcome::Died(Exit::Code(7)),
        "a dead session stays dead"
    );
    let told = fs::read_to_string(&task_log).unwrap();
    assert_eq!(told, "did good\ndid bad\nlast words\n");
}

#[test]
fn a_session_ends_with_its_group_or_with_its_stdin() {
    let place = Place::new();
    let log = place.log();
    let mut session = Session::start(&shell(STUBBORN, &place.pipe()), &log, None).unwrap();
    let reader = place.ready();
    let group = session.group();
    let killer = thread::spawn(move || group.kill());
    let outcome = session.run("x\n", &|_| None, &log).unwrap();
    assert_eq!(outcome, SessionOutcome::Died(Exit::Signal(9)));
    killer.join().unwrap();
    ends(reader);

    let place = Place::new();
    let polite = shell(r#"exec 9>"$PIPE"; echo ready >&9; cat"#, &place.pipe());
    let session = Session::start(&polite, &place.log(), None).unwrap();
    let reader = place.ready();
    session.close(LONG);
    ends(reader);
}

/// This test binary again, to run one of the helpers below.
fn helper(name: &str) -> Vec<String> {
    let words = ["--ignored", "--exact", name, "--nocapture"];
    words.map(str::to_owned).to_vec()
}

/// Kills a process that runs [`STUBBORN`], or `script`, and waits for its children to end.
fn kill_owner(script: &str, watched: bool) {
    let place = Place::new();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(helper("helper_owner"))
        .env("PIPE", place.pipe())
        .env("LOG", place.log())
        .env("SCRIPT", script)
        .env("WATCHED", watched.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let reader = place.ready();
    owner.kill().unwrap();
    owner.wait().unwrap();
    ends(reader);
}

#[test]
fn an_owner_killed_hard_leaves_no_process() {
    kill_owner(STUBBORN, true);
}

#[test]
fn not_even_a_grandchild_in_a_session_of_its_own() {
    let script = r#"exec 9>"$PIPE"; setsid sh -c "trap '' TERM; echo ready >&9; while :; do sleep 1; done" & wait"#;
    kill_owner(script, true);
}

#[test]
fn without_a_watchdog_the_kernel_kills_the_child() {
    kill_owner(
        r#"exec 9>"$PIPE"; trap '' TERM; echo ready >&9; exec sleep 1000"#,
        false,
    );
}

#[test]
fn the_end_marker_ends_no_process() {
    let place = Place::new();
    let exe = std::env::current_exe().unwrap();
    let watchdog = Watchdog::start(&exe, &helper("helper_watchdog"), GRACE).unwrap();
    let command = shell(STUBBORN, &place.pipe());
    let child = Child::start(&command, &place.log(), LogMode::Append, Some(&watchdog)).unwrap();
    let reader = place.ready();
    drop(watchdog);
    assert!(is_alive(child.id()));
    drop(child);
    ends(reader);
}

#[test]
fn what_a_watchdog_missed_is_found_by_its_mark() {
    let place = Place::new();
    let exe = std::env::current_exe().unwrap();
    let watchdog = Watchdog::start(&exe, &helper("helper_watchdog"), GRACE).unwrap();
    let mut command = shell(STUBBORN, &place.pipe());
    // As if an owner that is long gone had started it.
    let (name, _) = watchdog.mark();
    command
        .env
        .push((name.to_owned(), Some("4194000-17".to_owned())));
    let child = Child::start(&command, &place.log(), LogMode::Append, None).unwrap();
    let reader = place.ready();
    let owner = |start_ticks| ProcessId {
        pid: 4_194_000,
        start_ticks,
    };
    assert!(!end_children_of(owner(18), GRACE));
    assert!(is_alive(child.id()));
    assert!(end_children_of(owner(17), GRACE));
    ends(reader);
}

#[test]
#[ignore = "not a test: the process that is killed"]
fn helper_owner() {
    let variable = |name| PathBuf::from(std::env::var_os(name).unwrap());
    let exe = std::env::current_exe().unwrap();
    let watched = std::env::var("WATCHED").unwrap() == "true";
    let start = || Watchdog::start(&exe, &helper("helper_watchdog"), GRACE).unwrap();
    let watchdog = watched.then(start);
    let command = shell(&std::env::var("SCRIPT").unwrap(), &variable("PIPE"));
    let log = variable("LOG");
    let child = Child::start(&command, &log, LogMode::Append, watchdog.as_ref()).unwrap();
    child.wait(GRACE).unwrap();
}

#[test]
#[ignore = "not a test: the watchdog process"]
fn helper_watchdog() {
    let mut input = BufReader::new(io::stdin());
    watchdog_main(&mut input);
    let mut rest = Vec::new();
    input.read_to_end(&mut rest).unwrap();
}

#[test]
fn detached_processes_are_found_by_name_and_ended_with_all_that_they_started() {
    let place = Place::new();
    let scope = place.folder.path().display().to_string();
    let start = |script: &str, name: &str| {
        let command = shell(script, &place.pipe());
        Detached::start(&command, &place.log(), &scope, name).unwrap()
    };
    let short = start("echo said; exit 3", "short");
    let stubborn = start(STUBBORN, "long");
    let reader = place.ready();
    while short.exit().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(short.exit().unwrap(), Some(Exit::Code(3)));
    assert_eq!(fs::read_to_string(place.log()).unwrap(), "said\n");

    let second = start("exec sleep 1000", "long");
    let found = instances(&scope);
    let names: Vec<_> = found.iter().map(|instance| &instance.name).collect();
    assert_eq!(names, ["long", "long"]);
    assert_eq!(found[0].process, stubborn.id());
    assert_eq!(found[1].process, second.id());
    assert_eq!(instances(&format!("{scope}/other")), []);

    end_instance(&found[0], GRACE);
    ends(reader);
    assert_eq!(instances(&scope), found[1..]);
    end_instance(&found[1], GRACE);
    assert_eq!(instances(&scope), []);
}

/// `session`, `controlling terminal` and `group` of the process that runs it.
const TELL_SESSION: &str =
    r#"read -r line < /proc/$$/stat; set -- ${line##*) }; echo "$$ $4 $5 $3""#;

#[test]
fn every_child_leads_a_session_without_a_terminal() {
    let place = Place::new();
    let command = shell(TELL_SESSION, &place.pipe());
    let leads = |told: &str| {
        let words: Vec<&str> = told.split_whitespace().collect();
        let [pid, session, terminal, group] = words[..] else {
            panic!("{told}");
        };
        assert_eq!((pid, pid), (session, group), "{told}");
        assert_eq!(terminal, "0", "{told}");
    };
    let log = || fs::read_to_string(place.log()).unwrap();
    start(&command, &place).wait(GRACE).unwrap();
    leads(&log());
    let detached = Detached::start(&command, &place.folder.path().join("x"), "s", "n").unwrap();
    while detached.exit().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
    }
    leads(&fs::read_to_string(place.folder.path().join("x")).unwrap());
    let (exit, told) = Helper::new(&command).output().unwrap();
    assert_eq!(exit, Exit::Code(0));
    leads(&told);
}

#[test]
fn what_left_the_group_but_not_the_session_is_ended_too() {
    let place = Place::new();
    // Job control gives the job a group of its own.
    let script = r#"exec 9>"$PIPE"; set -m; (trap '' TERM; echo ready >&9; while :; do sleep 1; done) & exit 0"#;
    let child = start(&shell(script, &place.pipe()), &place);
    let reader = place.ready();
    assert_eq!(child.wait(GRACE).unwrap(), Exit::Code(0));
    ends(reader);

    let child = start(&shell(&format!("{script}; wait"), &place.pipe()), &place);
    let reader = place.ready();
    let id = child.id();
    std::mem::forget(child);
    assert!(end_group(id, GRACE));
    ends(reader);
}

#[test]
fn a_helper_ends_by_itself_by_its_limit_or_by_a_stop() {
    let place = Place::new();
    let fed = shell("cat; exit 3", &place.pipe());
    let exit = Helper::new(&fed)
        .input(b"words\n".to_vec())
        .run(&place.log());
    assert_eq!(exit.unwrap(), Exit::Code(3));
    assert_eq!(fs::read_to_string(place.log()).unwrap(), "words\n");

    let stubborn = shell(STUBBORN, &place.pipe());
    let limit = Duration::from_millis(300);
    let ended = thread::scope(|scope| {
        let run = scope.spawn(|| Helper::new(&stubborn).limit(limit).grace(GRACE).silently());
        let reader = place.ready();
        ends(reader);
        run.join().unwrap()
    });
    assert!(
        matches!(ended, Err(HelperError::TimedOut { .. })),
        "{ended:?}"
    );

    let stop = Stop::new();
    let stopped = |stop: &Stop, grace: Duration, requests: usize| {
        thread::scope(|scope| {
            let run = scope.spawn(|| Helper::new(&stubborn).stop(stop).grace(grace).silently());
            let reader = place.ready();
            assert_eq!(stop.helpers(), 1);
            for _ in 0..requests {
                stop.request(CancelReason::Terminate);
            }
            ends(reader);
            run.join().unwrap()
        })
    };
    let reason = |ended| match ended {
        Err(HelperError::Stopped(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(stopped(&stop, GRACE, 1)), CancelReason::Terminate);
    assert_eq!(stop.helpers(), 0);
    // Not even started any more.
    assert_eq!(
        reason(Helper::new(&stubborn).stop(&stop).silently()),
        CancelReason::Terminate
    );
    // Urgent: no grace.
    stopped(&Stop::new(), 10 * LONG, 2).unwrap_err();
}

#[test]
fn a_helper_that_ends_things_in_order_heeds_only_an_urgent_stop() {
    let place = Place::new();
    let stop = Stop::new();
    stop.request(CancelReason::Interrupt);
    let command = shell("exit 4", &place.pipe());
    let helper = || Helper::new(&command).stop(&stop).until_urgent();
    assert_eq!(helper().silently().unwrap(), Exit::Code(4));
    stop.request(CancelReason::Interrupt);
    assert!(matches!(helper().silently(), Err(HelperError::Stopped(_))));
}
