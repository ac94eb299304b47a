//! Every place that starts a child, with a child that hangs and ignores every signal but KILL: what
//! started it ends within the grace, with the documented exit code, and leaves nothing behind.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use chronon_run_testkit::scripted::Fault;

use crate::{
    driven::Driven,
    staged::{Staged, anybody, metastores},
    stream::Stream,
    support::{Workspace, signal},
};

/// Helpers get 10 s between TERM and KILL where the workspace names no grace; the rest is for a
/// machine under load.
const PATIENCE: Duration = Duration::from_secs(300);

const SIGNALS: [(&str, i32); 3] = [("INT", 130), ("TERM", 143), ("HUP", 129)];

/// One place, ready to be started.
struct Place {
    /// Kept until the command has ended.
    workspace: Holder,
    command: Command,
}

/// Whatever holds a workspace.
enum Holder {
    Plain(Workspace),
    Staged(Staged),
    Stream(Stream),
    Driven(Box<Driven>),
}

impl Holder {
    fn workspace(&self) -> &Workspace {
        match self {
            Self::Plain(workspace) => workspace,
            Self::Staged(staged) => &staged.workspace,
            Self::Stream(stream) => &stream.0,
            Self::Driven(driven) => &driven.workspace,
        }
    }
}

/// Writes a program that notes that it runs and then hangs, with a child of its own.
fn hanging_program(workspace: &Workspace, path: &str) -> PathBuf {
    let noted = workspace.path("hangs");
    let text = format!(
        "#!/bin/sh\ntrap '' TERM HUP INT\necho $$ >> '{}'\nwhile :; do sleep 1; done\n",
        noted.display()
    );
    workspace.write(path, &text);
    let path = workspace.path(path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A chain of staging queries whose `spark-submit` hangs.
fn staged(sessions: bool) -> Staged {
    let staged = Staged::chain();
    fs::remove_file(staged.workspace.path("spark/bin/spark-submit")).unwrap();
    hanging_program(&staged.workspace, "spark/bin/spark-submit");
    let sessions = format!("sessions = {sessions}");
    staged
        .workspace
        .edit("workspace.toml", "sessions = false", &sessions);
    staged
}

fn of_staged(staged: Staged, args: &[&str]) -> Place {
    Place {
        command: staged.command(args),
        workspace: Holder::Staged(staged),
    }
}

fn step() -> Place {
    of_staged(staged(false), &["materialize"])
}

fn warm_session() -> Place {
    of_staged(staged(true), &["materialize"])
}

fn frontfill() -> Place {
    of_staged(staged(false), &["frontfill"])
}

fn seeds() -> Place {
    let staged = staged(false);
    let workspace = &staged.workspace;
    workspace.write("seed.csv", "a,ds\n1,2026-01-01\n");
    let text = workspace.read("workspace.toml");
    workspace.write(
        "workspace.toml",
        &format!("{text}\n[seeds]\n\"lake.seed\" = \"seed.csv\"\n"),
    );
    of_staged(staged, &["materialize"])
}

fn hook() -> Place {
    let staged = Staged::chain();
    let program = hanging_program(&staged.workspace, "hook");
    let hook = format!("[hooks]\non_success = [\"{}\"]\n\n[run]", program.display());
    staged.workspace.edit("workspace.toml", "[run]", &hook);
    of_staged(staged, &["materialize", "-s", "team.alone"])
}

fn waiting_hook() -> Place {
    let staged = Staged::chain();
    staged.set_source("lake.b", crate::staged::days("2026-01-01", "2026-01-01"));
    let program = hanging_program(&staged.workspace, "hook");
    let hook = format!("[hooks]\non_waiting = [\"{}\"]\n\n[run]", program.display());
    staged.workspace.edit("workspace.toml", "[run]", &hook);
    of_staged(staged, &["materialize", "-s", "team.alone"])
}

/// A step that hangs beside the builder of class-data archives, which hangs too.
fn archive_builder() -> Place {
    let staged = staged(false);
    let workspace = &staged.workspace;
    hanging_program(workspace, "java/bin/java");
    workspace.edit("workspace.toml", "fast_start = \"never\"\n", "");
    let mut place = of_staged(staged, &["materialize"]);
    let cache = place.workspace.workspace().path("cache");
    place.command.env("CHRONON_RUN_CACHE", cache);
    place
}

fn archives_of_install() -> Place {
    let Place {
        workspace,
        mut command,
    } = archive_builder();
    command = {
        let args = ["engine", "install"];
        let mut install = workspace.workspace().command(&args);
        let cache = command
            .get_envs()
            .find(|(name, _)| *name == "CHRONON_RUN_CACHE");
        install.env("CHRONON_RUN_CACHE", cache.unwrap().1.unwrap());
        install
    };
    Place { workspace, command }
}

fn embedded_metastore() -> Place {
    let staged = staged(false);
    let workspace = &staged.workspace;
    hanging_program(workspace, "java/bin/java");
    workspace.edit(
        "workspace.toml",
        "kind = \"fixture\"\npath = \"catalog.json\"",
        "kind = \"embedded\"",
    );
    of_staged(staged, &["materialize"])
}

/// A Java without a `release` file is asked for its version.
fn asks_java(command: &str) -> Place {
    let staged = staged(false);
    let workspace = &staged.workspace;
    hanging_program(workspace, "java/bin/java");
    fs::remove_file(workspace.path("java/release")).unwrap();
    of_staged(staged, &["engine", command])
}

fn java_version() -> Place {
    asks_java("info")
}

fn verify() -> Place {
    asks_java("verify")
}

fn pip() -> Place {
    let workspace = Workspace::empty();
    let program = hanging_program(&workspace, "bin/python3");
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let mut command = workspace.command(&["engine", "install"]);
    command
        .env("PATH", path)
        .env("CHRONON_RUN_CACHE", workspace.path("cache"))
        .env_remove("JAVA_HOME");
    Place {
        workspace: Holder::Plain(workspace),
        command,
    }
}

fn listed_apps() -> Place {
    let stream = Stream::new("command = [\"sleep\", \"1\"]\nlist_apps = [\"./list\"]");
    hanging_program(&stream.0, "list");
    Place {
        command: stream.0.command(&["stream"]),
        workspace: Holder::Stream(stream),
    }
}

/// The `kill_cmd` of an app that `list_apps` lists.
fn kill_of_app() -> Place {
    let stream = Stream::new("command = [\"sleep\", \"1\"]\nlist_apps = [\"./list\"]");
    let kill = hanging_program(&stream.0, "kill");
    let line = serde_json::json!({
        "app_id": "a1", "app_name": crate::stream::APP, "status": "RUNNING", "kill_cmd": kill,
    });
    let list = format!("#!/bin/sh\necho '{line}'\n");
    stream.0.write("list", &list);
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(stream.0.path("list"), executable).unwrap();
    Place {
        command: stream.0.command(&["stream", "--stop"]),
        workspace: Holder::Stream(stream),
    }
}

/// A script that counts the rows of a day that the Driver left out.
fn counting_query() -> Place {
    let driven = Driven::scripted("interrupted_count", "");
    hanging_program(&driven.workspace, "unused");
    driven.faults(&[
        Fault {
            subcommand: Some("sql".to_owned()),
            hang: true,
            ignore_term: true,
            ..Fault::default()
        },
        Fault {
            output: chronon_run_testkit::scripted::Output::None,
            ..Fault::default()
        },
    ]);
    Place {
        command: driven.command(&["materialize", "--jobs", "1"]),
        workspace: Holder::Driven(Box::new(driven)),
    }
}

/// The folder of `program`, which hangs, before the folders of the system's programs.
fn found_first(program: &Path) -> String {
    format!("{}:/usr/bin:/bin", program.parent().unwrap().display())
}

/// The Driver's jar is fetched by `program`: mvn, or curl from a mirror.
fn fetching(program: &str) -> Place {
    let staged = crate::jars::workspace("ai.chronon:spark_uber_2.12:0.0.113");
    let path = found_first(&hanging_program(&staged.workspace, program));
    let mut place = of_staged(staged, &["engine", "install", "chronon"]);
    let cache = place.workspace.workspace().path("cache");
    place
        .command
        .env("PATH", path)
        .env("CHRONON_RUN_CACHE", cache)
        .env_remove("CHRONON_MAVEN_MIRROR_PREFIX");
    place
}

fn maven() -> Place {
    fetching("bin/mvn")
}

fn curl() -> Place {
    let mut place = fetching("bin/curl");
    let mirror = "http://127.0.0.1:1/maven/";
    place.command.env("CHRONON_MAVEN_MIRROR_PREFIX", mirror);
    place
}

/// Whether an application still runs is asked with `yarn`, after the job that submitted it failed.
fn yarn() -> Place {
    let staged = Staged::chain();
    let says = "INFO YarnClientImpl: Submitted application application_1769860800000_0001";
    staged.faults(&[Fault {
        says: says.to_owned(),
        ..crate::scripted::fails("one")
    }]);
    let workspace = &staged.workspace;
    let master = "master = \"yarn\"\nspark_home";
    workspace.edit("workspace.toml", "spark_home", master);
    let path = found_first(&hanging_program(workspace, "bin/yarn"));
    let mut place = of_staged(staged, &["materialize", "-s", "team.one"]);
    place.command.env("PATH", path);
    place
}

/// `spark-submit --status` or `--kill` of a driver's pod hangs, after the job that created it failed.
fn kubernetes(question: &str) -> Place {
    let prefix = question.replace("--", "interrupted_pod_");
    let driven = Driven::scripted(&prefix, "");
    let says = "INFO LoggingPodStatusWatcherImpl: Deployed Spark application one with application ID \
                spark-1 and submission ID lake:one-driver into Kubernetes";
    driven.faults(&[Fault {
        says: says.to_owned(),
        exit: Some(1),
        output: chronon_run_testkit::scripted::Output::None,
        ..Fault::default()
    }]);
    let workspace = &driven.workspace;
    let cluster =
        "kind = \"chronon\"\nmaster = \"k8s://https://127.0.0.1:1\"\ndeploy_mode = \"cluster\"";
    workspace.edit("workspace.toml", "kind = \"chronon\"", cluster);
    let submit = workspace.path("spark/bin/spark-submit");
    fs::rename(&submit, workspace.path("spark/bin/scripted")).unwrap();
    hanging_program(workspace, "spark/bin/hangs");
    workspace.write(
        "spark/bin/spark-submit",
        &format!(
            "#!/bin/sh\nhere=$(dirname \"$0\")\ncase \"$3\" in\n\
             {question}) exec \"$here/hangs\" ;;\n\
             --status) echo ' phase: Running'; exit ;;\n\
             --kill) exit ;;\nesac\nexec \"$here/scripted\" \"$@\"\n"
        ),
    );
    fs::set_permissions(&submit, fs::Permissions::from_mode(0o755)).unwrap();
    let args = ["materialize", "stays.listings.dim_v1", "--ds", "2026-01-25"];
    Place {
        command: driven.command(&args),
        workspace: Holder::Driven(Box::new(driven)),
    }
}

fn pod_status() -> Place {
    kubernetes("--status")
}

fn pod_kill() -> Place {
    kubernetes("--kill")
}

fn query() -> Place {
    of_staged(staged(false), &["query", "SELECT 1"])
}

/// Whether an interpreter has chronon-ai is asked of it.
fn compiler() -> Place {
    let staged = Staged::chain();
    let path = found_first(&hanging_program(&staged.workspace, "bin/python3"));
    let mut place = of_staged(staged, &["compile"]);
    place.command.env("PATH", path).env_remove("VIRTUAL_ENV");
    place
}

fn loader() -> Place {
    let hook = "[hooks]\nkv_upload = [\"./loader\", \"{table}\", \"{ds}\"]\n";
    let driven = Driven::scripted("interrupted_load", hook);
    hanging_program(&driven.workspace, "loader");
    let both = ["upload", "kv"].map(|mode| format!("group_by/stays.listings.dim_v1/{mode}"));
    let args = ["materialize", &both[0], &both[1], "--ds", "2026-01-25"];
    Place {
        command: driven.command(&args),
        workspace: Holder::Driven(Box::new(driven)),
    }
}

/// Stands for Airflow: enough of it for a file of DAGs to be read.
const AIRFLOW: &str = "
class Anything:
    def __init__(self, *args, **kwargs):
        import logging
        self.log = logging.getLogger()
    def __enter__(self):
        return self
    def __exit__(self, *args):
        pass
    def __lshift__(self, other):
        pass
    def set_upstream(self, others):
        pass
DAG = BaseSensorOperator = CronDataIntervalTimetable = Anything
";

/// A task of an exported DAG, which calls `on_kill` when it is told to end, as Airflow does.
const TASK: &str = "
import runpy, signal, sys
task = runpy.run_path(sys.argv[1])['ChrononRun'](task_id='t', argv=sys.argv[2:], ready=None)
signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
class DagRun:
    conf = {'ds': '2026-01-03'}
try:
    task.poke({'dag_run': DagRun})
except RuntimeError:
    pass
sys.exit(task.process.returncode)
";

fn airflow_task() -> Place {
    let staged = staged(false);
    let workspace = &staged.workspace;
    staged
        .run(&["export", "airflow", "--out", "dags"])
        .expect(0);
    workspace.write("site/airflow/sdk/__init__.py", AIRFLOW);
    workspace.write(
        "site/airflow/sdk/exceptions.py",
        "AirflowException = AirflowSkipException = RuntimeError\n",
    );
    workspace.write("site/airflow/__init__.py", "");
    let files = fs::read_dir(workspace.path("dags")).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    let dags = files.find(|path| path.extension().is_some_and(|end| end == "py"));
    let run = staged.command(&["materialize"]);
    let mut command = Command::new("python3");
    command.args(["-c", TASK]).arg(dags.unwrap());
    command.arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env_remove("SPARK_HOME");
    command.env("PYTHONPATH", workspace.path("site"));
    Place {
        workspace: Holder::Staged(staged),
        command,
    }
}

/// The other signals end Python, not the run that it started.
#[test]
fn a_task_of_an_exported_dag_ends_its_run() {
    let failure = walk("a task of Airflow", &airflow_task(), ("TERM", 143));
    assert_eq!(failure, None);
}

/// It is part of ending a run in order, so only the second signal ends it before its limit.
const ENDING: &str = "spark-submit --kill";

/// What a place is called, and how it is made.
type Entry = (&'static str, fn() -> Place);

/// All of them. The Driver is a step, `show --where` and `check --sample` run what `query` does, the
/// watchdog ends when its pipe does, and streaming apps are meant to outlive the command.
const PLACES: [Entry; 23] = [
    ("a step", step),
    ("a warm session", warm_session),
    ("a step of frontfill", frontfill),
    ("seeds", seeds),
    ("a hook", hook),
    ("a hook after the run", waiting_hook),
    ("the archive builder beside a run", archive_builder),
    ("the archives of `engine install`", archives_of_install),
    ("the embedded metastore", embedded_metastore),
    ("java -version", java_version),
    ("`engine verify`", verify),
    ("pip", pip),
    ("list_apps", listed_apps),
    ("kill_cmd", kill_of_app),
    ("a counting query", counting_query),
    ("mvn", maven),
    ("curl", curl),
    ("yarn", yarn),
    ("spark-submit --status", pod_status),
    (ENDING, pod_kill),
    ("query", query),
    ("the loader of the key-value store", loader),
    ("the interpreter of `compile`", compiler),
];

#[test]
fn every_place_that_starts_a_child_can_be_interrupted() {
    let failures: Vec<String> = thread::scope(|scope| {
        let started = PLACES.map(|(name, place)| {
            let walk = move || SIGNALS.map(|signal| walk(name, &place(), signal));
            (name, scope.spawn(walk))
        });
        let ended = started
            .into_iter()
            .flat_map(|(name, walk)| match walk.join() {
                Ok(found) => found.into_iter().flatten().collect(),
                Err(_) => vec![format!("{name}: panicked")],
            });
        ended.collect()
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Starts the place, interrupts it once its child hangs, and says what is wrong.
fn walk(name: &str, place: &Place, (signal_name, code): (&str, i32)) -> Option<String> {
    let workspace = place.workspace.workspace();
    let mut command = Command::new(place.command.get_program());
    command.args(place.command.get_args());
    command.current_dir(workspace.root());
    for (name, value) in place.command.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(workspace.path("stderr")).unwrap())
        .spawn()
        .unwrap();
    let hangs = || match &place.workspace {
        Holder::Driven(driven) if driven.calls().iter().any(|call| call.subcommand == "sql") => {
            true
        }
        other => other.workspace().path("hangs").exists(),
    };
    let began = Instant::now();
    let mut early = None;
    while early.is_none() && !hangs() && began.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(20));
        early = child.try_wait().unwrap();
    }
    let failed = |what: String| {
        let said = workspace.read("stderr");
        Some(format!("{name}, {signal_name}: {what}\n{said}"))
    };
    if early.is_some() || !hangs() {
        if let Holder::Stream(stream) = &place.workspace {
            stream.0.write("list", "#!/bin/sh\n");
        }
        let _ = child.kill();
        let status = child.wait().unwrap();
        return failed(format!("did not hang: {status}"));
    }
    signal(child.id(), signal_name);
    if name == ENDING {
        thread::sleep(Duration::from_secs(1));
        signal(child.id(), signal_name);
    }
    let sent = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if sent.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return failed(format!("still there after {PATIENCE:?}"));
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    if status.code() != Some(code) {
        return failed(format!("{status} instead of {code}"));
    }
    let left = || [anybody(workspace.root()), metastores(workspace.root())].concat();
    let deadline = Instant::now() + Duration::from_secs(90);
    while !left().is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    if let Holder::Stream(stream) = &place.workspace {
        // Its end asks for the list of apps.
        stream.0.write("list", "#!/bin/sh\n");
    }
    match left() {
        left if left.is_empty() => None,
        left => failed(format!("left behind: {left:?}")),
    }
}

#[test]
fn a_reader_that_leaves_ends_every_listing_in_silence() {
    let staged = Staged::chain();
    staged.run(&["materialize"]).expect(0);
    let runs: serde_json::Value =
        serde_json::from_str(&staged.run(&["runs", "--output", "json"]).stdout).unwrap();
    let run = runs["runs"][0]["run"].as_str().unwrap();
    let program = env!("CARGO_BIN_EXE_chronon-run");
    let asset = "staging_query/team.one/backfill";
    for listing in [
        "ls",
        "ls --output json",
        "ls --output dot",
        "plan",
        "plan --output json",
        "plan --explain team.one",
        "status",
        "status --output json",
        "runs",
        "runs --output json",
        &format!("runs show {run}"),
        &format!("logs {asset}"),
        &format!("sql {asset}"),
        "check",
        "check --output json",
        "engine info",
        "diff .",
        "stream --status",
        "reference cli",
        "reference workspace",
        "completions bash",
        "completions zsh",
        "completions fish",
        "--help",
        "materialize --help",
    ] {
        let readers: &[&str] = match listing.starts_with("re") || listing.starts_with("co") {
            true => &["head -1", "true"],
            false => &["true"],
        };
        for reader in readers {
            let mut shell = staged.command(&[]);
            let line = format!("{program} {listing} | {reader}");
            let mut bash = Command::new("bash");
            // Of the pipe's two codes only that of the first counts.
            bash.args(["-c", &format!("{line}; exit ${{PIPESTATUS[0]}}")]);
            bash.current_dir(staged.workspace.root());
            for (name, value) in shell.env("RUST_BACKTRACE", "0").get_envs() {
                match value {
                    Some(value) => bash.env(name, value),
                    None => bash.env_remove(name),
                };
            }
            let output = bash.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let code = output.status.code();
            let is_clean = !said.contains("panicked") && !said.contains("Broken pipe");
            assert!(is_clean, "{line}: {said}");
            // A command that has its own reason to fail still has it.
            assert!(matches!(code, Some(0..=4)), "{line}: {code:?} {said}");
        }
    }
}
