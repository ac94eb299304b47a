//! A user who may read the workspace and write nothing.

use std::{fs, os::unix::process::CommandExt, path::PathBuf, time::Duration};

use chronon_run_catalog::{Catalog, Timeouts, recorded};
use chronon_run_testkit::{
    driver::{Commit, Write},
    scripted::{Backend, CATALOG},
};

use crate::{
    environment::{NOBODY, binary, has_rights},
    nothing_lost::{Line, metastore},
    staged::{Staged, all_days},
    support::{Screen, Workspace, cache},
};

const FIXTURE: &str = "kind = \"fixture\"\npath = \"catalog.json\"";
const COMMANDS: [&str; 5] = ["ls", "plan", "status", "runs", "diff"];

/// A program that another user can start, and the workspace that it reads.
struct Reader<'a> {
    staged: &'a Staged,
    program: PathBuf,
    _folder: Workspace,
}

impl<'a> Reader<'a> {
    fn new(staged: &'a Staged) -> Self {
        let folder = Workspace::outside_tmp("program");
        // The workspace's folder is its owner's alone.
        set_mode(staged.workspace.root(), 0o755);
        Self {
            staged,
            program: binary(&folder),
            _folder: folder,
        }
    }

    fn run(&self, args: &[&str]) -> Screen {
        let mut command = std::process::Command::new(&self.program);
        command
            .args(args)
            .current_dir(self.staged.workspace.root())
            .env("HOME", "/nonexistent")
            .env("CHRONON_RUN_CACHE", cache())
            .env("NO_COLOR", "1")
            .env_remove("SPARK_HOME")
            .env_remove("JAVA_HOME")
            .uid(NOBODY)
            .gid(NOBODY);
        Screen::new(command.output().unwrap(), self.staged.workspace.root())
    }

    /// Every question is answered with the same text as the owner's.
    fn sees_what_the_owner_sees(&self) {
        // The scripted Spark replaces the file of a catalog that is a file.
        set_mode(&self.staged.workspace.path("catalog.json"), 0o644);
        for command in COMMANDS {
            let owners = self.staged.run(&[command]).expect(0);
            let readers = self.run(&[command]).expect(0);
            assert_eq!(readers.stdout, owners.stdout, "{command}");
            assert_eq!(readers.stderr, owners.stderr, "{command}");
        }
    }
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn files(staged: &Staged) -> Vec<PathBuf> {
    fn below(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            found.push(entry.path());
            if entry.path().is_dir() {
                below(&entry.path(), found);
            }
        }
    }
    let mut found = Vec::new();
    below(staged.workspace.root(), &mut found);
    found.sort();
    found
}

#[test]
fn a_reader_is_answered_before_and_after_the_first_run() {
    if !has_rights() {
        return;
    }
    let staged = Staged::chain();
    let reader = Reader::new(&staged);
    let before = files(&staged);
    for command in COMMANDS {
        reader.run(&[command]).expect(0);
    }
    assert_eq!(files(&staged), before, "a question creates nothing");
    reader.sees_what_the_owner_sees();
    staged.run(&["materialize", "team.one"]).expect(0);
    reader.sees_what_the_owner_sees();
    let refused = reader.run(&["materialize"]);
    assert_ne!(refused.code, Some(0), "{}", refused.text());
    assert!(
        refused.stderr.contains("ermission denied"),
        "{}",
        refused.text()
    );
    // A history that must not be read is not one without runs.
    set_mode(&staged.workspace.path(".chronon-run"), 0o700);
    for command in ["runs", "report"] {
        let refused = reader.run(&[command]).expect(2);
        let text = "ledger.db: Permission denied";
        assert!(refused.stderr.contains(text), "{}", refused.text());
    }
}

#[test]
fn a_reader_of_a_remote_metastore_sees_what_the_owner_sees() {
    if !has_rights() {
        return;
    }
    let staged = Staged::chain();
    let lease = metastore(&staged.workspace.path("server"));
    let server = lease.uri();
    // The test's own server refuses other users; a server on another host does not know them.
    let line = Line::to(server.rsplit(':').next().unwrap().parse().unwrap());
    let source = |table: &str| Write::days(table.parse().unwrap(), all_days());
    let writes = ["lake.a", "lake.b"].map(source).to_vec();
    let backend = Backend::open(&server).unwrap();
    backend.apply(&[Commit { writes }]).unwrap();
    let uri = format!(
        "kind = \"hive\"\nuri = \"thrift://127.0.0.1:{}\"",
        line.port
    );
    staged.workspace.edit("workspace.toml", FIXTURE, &uri);
    let reader = Reader::new(&staged);
    reader.sees_what_the_owner_sees();
    let mut run = staged.command(&["materialize", "team.one"]);
    assert!(run.env(CATALOG, &server).status().unwrap().success());
    reader.sees_what_the_owner_sees();
}

/// The metastore of a workspace with tables that its owner has listed, or not.
#[test]
fn a_reader_of_an_embedded_metastore_sees_what_its_owner_listed_last() {
    if !has_rights() {
        return;
    }
    let staged = Staged::chain();
    staged
        .workspace
        .edit("workspace.toml", FIXTURE, "kind = \"embedded\"");
    let state = staged.workspace.path(".chronon-run");
    let lease = metastore(&state);
    let source = |table: &str| Write::days(table.parse().unwrap(), all_days());
    let writes = ["lake.a", "lake.b", "out.team_one"].map(source).to_vec();
    let backend = Backend::open(&lease.uri()).unwrap();
    backend.apply(&[Commit { writes }]).unwrap();
    let reader = Reader::new(&staged);
    set_mode(&state, 0o755);
    let refused = reader.run(&["plan"]).expect(2).stderr;
    let error = "error: the embedded metastore [ROOT]/.chronon-run/metastore can only be used by user root\nhint: ask that user to run `chronon-run plan` once";
    assert!(refused.starts_with(error), "{refused}");
    reader.run(&["ls"]).expect(0);

    // As the owner's commands keep it.
    let tables = [
        "lake.a",
        "lake.b",
        "out.team_one",
        "out.team_two",
        "out.team_three",
        "out.team_alone",
    ];
    let requests = tables.map(|table| (table.parse().unwrap(), vec!["ds".to_owned()]));
    let listed = Catalog::connect(&lease.uri(), Timeouts::default()).unwrap();
    let listed = listed.snapshot(&requests).unwrap();
    recorded::add(&state.join("catalog.json"), &listed).unwrap();
    let is_answered = || {
        for command in COMMANDS {
            let screen = reader.run(&[command]).expect(0);
            let asks = !["ls", "runs"].contains(&command);
            let note = "can only be used by user root; tables are shown as that user listed them last, at ";
            assert_eq!(screen.stderr.contains(note), asks, "{}", screen.text());
        }
        let plan = reader.run(&["plan"]).expect(0).stdout;
        assert!(plan.contains("days: 3 done, 9 run"), "{plan}");
    };
    is_answered();
    let refused = reader.run(&["materialize"]).expect(2).stderr;
    assert!(
        refused.contains("only that user can fill these tables"),
        "{refused}"
    );
    for question in [&["show", "out.team_one"][..], &["query", "SELECT 1"]] {
        let refused = reader.run(question).expect(2).stderr;
        assert!(
            refused.contains("only that user can read rows"),
            "{refused}"
        );
    }
    // The same while no server runs.
    drop((backend, lease));
    let lock = state.join("metastore");
    crate::support::wait_until("the server ends", || {
        !chronon_run_catalog::embedded::is_running(&lock)
    });
    std::thread::sleep(Duration::from_millis(100));
    is_answered();
}
