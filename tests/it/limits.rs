//! Where the system allows less than usual: few open files and processes, a `/proc` that shows nothing
//! of others, a checkout that is read-only; and as the first process of a container.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

use crate::{
    driven::Driven,
    environment::{NOBODY, becoming, binary, give_to, has_rights},
    scripted::{hangs, no_process_is_left},
    staged::Staged,
    support::{Screen, Workspace, signal, wait_until},
};

/// Hides the processes of other users, in a namespace of its own.
const HIDDEN: &str = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"";

/// `words`, then `chronon-run` with `args`, in this workspace and with its environment. `program` is the
/// binary.
pub(crate) fn through(words: &[String], program: &Path, command: &Command) -> Command {
    let mut through = Command::new(&words[0]);
    through
        .args(&words[1..])
        .arg(program)
        .args(command.get_args());
    through.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => through.env(name, value),
            None => through.env_remove(name),
        };
    }
    through
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn run(staged: &Staged, mut command: Command) -> Screen {
    Screen::new(command.output().unwrap(), staged.workspace.root())
}

/// A staged workspace that the user nobody may write, and a binary for it.
struct OfNobody {
    staged: Staged,
    program: std::path::PathBuf,
    _elsewhere: Workspace,
}

impl OfNobody {
    fn new() -> Self {
        let staged = Staged::chain();
        let elsewhere = Workspace::outside_tmp("elsewhere");
        let program = binary(&elsewhere);
        let open = PermissionsExt::from_mode(0o755);
        fs::set_permissions(staged.workspace.root(), open).unwrap();
        give_to(staged.workspace.root(), NOBODY);
        Self {
            staged,
            program,
            _elsewhere: elsewhere,
        }
    }

    fn run(&self, limit: &str, args: &[&str]) -> Screen {
        let mut words = becoming(NOBODY);
        words.extend(["prlimit".to_owned(), limit.to_owned()]);
        let command = self.staged.command(args);
        run(&self.staged, through(&words, &self.program, &command))
    }
}

#[test]
fn few_open_files() {
    if !has_rights() {
        return;
    }
    let nobody = OfNobody::new();
    // A soft limit is raised.
    nobody
        .run("--nofile=64:4096", &["materialize", "team.alone"])
        .expect(0);
    // As many jars as Spark has.
    for number in 0..248 {
        let jar = format!("spark/jars/{number}.jar");
        nobody.staged.workspace.write(&jar, "");
    }
    nobody.run("--nofile=256:256", &["plan"]).expect(0);
    let refused = nobody.run("--nofile=256:256", &["materialize"]).expect(2);
    let said = "a process may have 256 open files (`ulimit -n`)";
    assert!(refused.stderr.contains(said), "{}", refused.text());
    assert!(
        refused.stderr.contains("hint: raise the limit to 1024"),
        "{}",
        refused.text()
    );
    assert_eq!(nobody.staged.started(), ["alone"], "nothing was started");
    // Root may raise the hard limit, too, unless its container took that right away.
    let raise = ["--nofile=64:64", "prlimit", "--nofile=128:128", "true"];
    let may_raise = Command::new("prlimit").args(raise).status().unwrap();
    let root = words(&["prlimit", "--nofile=256:256"]);
    let staged = &nobody.staged;
    let command = staged.command(&["materialize", "--jobs", "1"]);
    let code = if may_raise.success() { 0 } else { 2 };
    run(staged, through(&root, &nobody.program, &command)).expect(code);
}

#[test]
fn few_processes() {
    if !has_rights() {
        return;
    }
    let nobody = OfNobody::new();
    let refused = nobody.run("--nproc=60:60", &["materialize"]).expect(2);
    let said = "this user may have 60 processes and threads (`ulimit -u`)";
    assert!(refused.stderr.contains(said), "{}", refused.text());
    // Reading needs no threads but one, and says so where it has not even that one.
    for limit in ["--nproc=2:2", "--nproc=1:1"] {
        let screen = nobody.run(limit, &["ls"]);
        assert!(!screen.stderr.contains("panicked"), "{}", screen.text());
        match screen.code {
            Some(0) => {}
            _ => assert!(screen.stderr.contains("`ulimit -u`"), "{}", screen.text()),
        }
    }
    assert!(nobody.staged.calls().is_empty());
}

#[test]
fn a_proc_that_hides_others() {
    if !has_rights() {
        return;
    }
    let nobody = OfNobody::new();
    let hidden = |args: &[&str]| {
        let mut all = words(&[
            "unshare", "--pid", "--fork", "--mount", "sh", "-c", HIDDEN, "sh",
        ]);
        all.extend(becoming(NOBODY));
        through(&all, &nobody.program, &nobody.staged.command(args))
    };
    run(&nobody.staged, hidden(&["materialize"])).expect(0);
    run(&nobody.staged, hidden(&["status"])).expect(0);
    assert_eq!(nobody.staged.calls().len(), 4);
}

/// As the first process of a container: it ends in order on TERM, and reaps what its children left.
#[test]
fn the_first_process_of_a_container() {
    if !has_rights() {
        return;
    }
    let staged = Staged::chain();
    let program = Path::new(env!("CARGO_BIN_EXE_chronon-run"));
    let first = words(&["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    // Each hook leaves a process that ends after its parent; a later one counts zombies.
    staged.workspace.write(
        "hook.sh",
        "(sleep 0.1 &)\nsleep 2\ngrep -l '^State:.Z' /proc/[0-9]*/status | wc -l >> zombies\n",
    );
    staged.workspace.edit(
        "workspace.toml",
        "[run]",
        "[hooks]\non_success = [\"sh\", \"hook.sh\"]\n\n[run]",
    );
    let command = staged.command(&["materialize", "team.one", "team.alone"]);
    run(&staged, through(&first, program, &command)).expect(0);
    assert_eq!(staged.workspace.read("zombies"), "0\n0\n");

    staged.faults(&[hangs("two")]);
    let command = staged.command(&["materialize", "team.two"]);
    let mut command = through(&first, program, &command);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("the step runs", || {
        staged.started().contains(&"two".to_owned())
    });
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let first_process = fs::read_to_string(children).unwrap();
    signal(first_process.trim().parse().unwrap(), "TERM");
    let screen = Screen::new(child.wait_with_output().unwrap(), staged.workspace.root());
    assert_eq!(screen.code, Some(143), "{}", screen.text());
    assert!(screen.stderr.contains("interrupted"), "{}", screen.text());
    no_process_is_left(&staged);
}

/// `root` is mounted read-only for the command; the user cannot change that.
fn read_only(root: &Path) -> Vec<String> {
    let script =
        "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && cd \"$0\" && exec \"$@\"";
    let mut all = words(&["unshare", "--mount", "sh", "-c", script]);
    all.push(root.display().to_string());
    all.extend(becoming(NOBODY));
    all
}

#[test]
fn a_read_only_checkout_with_its_state_elsewhere() {
    if !has_rights() {
        return;
    }
    let nobody = OfNobody::new();
    let root = nobody.staged.workspace.root();
    let state = Workspace::outside_tmp("state");
    give_to(state.root(), NOBODY);
    // What the scripted Spark writes is a warehouse, not part of the checkout.
    for name in ["catalog.json", "calls.jsonl"] {
        let _ = fs::rename(root.join(name), state.path(name));
    }
    let catalog = state.path("catalog.json");
    let path = format!("path = \"{}\"", catalog.display());
    nobody
        .staged
        .workspace
        .edit("workspace.toml", "path = \"catalog.json\"", &path);
    let command = |args: &[&str], folder: Option<&str>| {
        let mut command = nobody.staged.command(args);
        command
            .env(chronon_run_testkit::scripted::CATALOG, &catalog)
            .env(
                chronon_run_testkit::scripted::CALLS,
                state.path("calls.jsonl"),
            );
        if let Some(folder) = folder {
            command.env("CHRONON_RUN_STATE", state.path(folder));
        }
        run(
            &nobody.staged,
            through(&read_only(root), &nobody.program, &command),
        )
    };
    let refused = command(&["materialize"], None).expect(2);
    assert!(
        refused.stderr.contains("Read-only file system"),
        "{}",
        refused.text()
    );
    assert!(
        refused.stderr.contains("CHRONON_RUN_STATE"),
        "{}",
        refused.text()
    );
    for args in [&["ls"][..], &["check"], &["plan"], &["status"], &["runs"]] {
        command(args, None).expect(0);
    }
    command(&["materialize"], Some("one")).expect(0);
    command(&["status"], Some("one")).expect(0);
    let logs = command(&["logs", "team.alone"], Some("one")).expect(0);
    assert!(!logs.stdout.is_empty());
    command(&["clean", "--all", "--yes"], Some("one")).expect(0);
    assert!(!state.path("one").exists());
    assert!(!root.join(".chronon-run").exists());

    // By the key, with nothing to do any more.
    let state_dir = format!(
        "[workspace]\nstate_dir = \"{}\"",
        state.path("two").display()
    );
    nobody
        .staged
        .workspace
        .edit("workspace.toml", "[workspace]", &state_dir);
    command(&["materialize"], None).expect(0);
    assert!(state.path("two/ledger.db").exists());
}

#[test]
fn two_workspaces_do_not_share_a_state_folder() {
    let (one, other) = (Staged::chain(), Staged::chain());
    let state = one.workspace.path("state");
    let with_state = |staged: &Staged, args: &[&str]| {
        let mut command = staged.command(args);
        command.env("CHRONON_RUN_STATE", &state);
        run(staged, command)
    };
    with_state(&one, &["materialize", "team.alone"]).expect(0);
    for args in [
        &["materialize"][..],
        &["clean", "--all", "--yes"],
        &["plan"],
    ] {
        let refused = with_state(&other, args).expect(2);
        let said = format!(
            "belongs to the workspace in {}",
            one.workspace.root().display()
        );
        assert!(refused.stderr.contains(&said), "{}", refused.text());
    }
    with_state(&one, &["materialize"]).expect(0);
}

/// The same for the chronon engine, whose metastore is elsewhere.
#[test]
fn a_read_only_checkout_of_the_chronon_engine() {
    if !has_rights() {
        return;
    }
    let driven = Driven::scripted("ro", "");
    let elsewhere = Workspace::outside_tmp("elsewhere");
    let root = driven.workspace.root();
    let script =
        "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && cd \"$0\" && exec \"$@\"";
    let mut all = words(&["unshare", "--mount", "sh", "-c", script]);
    all.push(root.display().to_string());
    let args = [
        "materialize",
        "stays.search_boot.v1",
        "--end-ds",
        "2026-01-20",
    ];
    let mut command = driven.command(&args);
    command
        .env("CHRONON_RUN_STATE", elsewhere.path("state"))
        .env(
            chronon_run_testkit::scripted::CALLS,
            elsewhere.path("calls.jsonl"),
        );
    let program = Path::new(env!("CARGO_BIN_EXE_chronon-run"));
    let output = through(&all, program, &command).output().unwrap();
    Screen::new(output, root).expect(0);
    assert!(elsewhere.path("state/ledger.db").exists());
    assert!(!root.join(".chronon-run").exists());
}

/// A log is copied a piece at a time: more memory than this process may have would be needed for the whole.
#[test]
fn a_log_that_is_larger_than_the_memory() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    staged.run(&["materialize"]).expect(0);
    let asset = "staging_query/team.one/backfill";
    let path = staged.run(&["logs", asset, "--path"]).expect(0).stdout;
    let log = path
        .trim()
        .replace("[ROOT]", &staged.workspace.root().display().to_string());
    let line = "INFO TaskSetManager: Finished task 1.0 in stage 2.0 (TID 7) in 5 ms\n";
    let lines = (24 << 20) / line.len();
    fs::write(&log, line.repeat(lines)).unwrap();
    let limit = words(&["prlimit", "--data=16777216"]);
    let program = Path::new(env!("CARGO_BIN_EXE_chronon-run"));
    let mut command = through(&limit, program, &staged.command(&["logs", asset]));
    let copy = staged.workspace.path("copy");
    command.stdout(fs::File::create(&copy).unwrap());
    assert!(command.status().unwrap().success());
    assert_eq!(
        fs::metadata(copy).unwrap().len(),
        fs::metadata(log).unwrap().len()
    );
}

/// The permissions that a run leaves in a workspace whose folder has these, under a umask of 022.
fn permissions_in(folder: u32) -> [u32; 2] {
    let staged = Staged::chain();
    let mode: Permissions = PermissionsExt::from_mode(folder);
    fs::set_permissions(staged.workspace.root(), mode).unwrap();
    let shell = words(&["sh", "-c", "umask 022; exec \"$@\"", "sh"]);
    let command = staged.command(&["materialize"]);
    let program = Path::new(env!("CARGO_BIN_EXE_chronon-run"));
    run(&staged, through(&shell, program, &command)).expect(0);
    ["ledger.db", "runs"].map(|name| {
        let path = staged.workspace.path(".chronon-run").join(name);
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    })
}

#[test]
fn a_folder_that_hands_its_group_on_is_shared_with_it() {
    assert_eq!(permissions_in(0o2775), [0o664, 0o775]);
    assert_eq!(permissions_in(0o775), [0o644, 0o755]);
}
