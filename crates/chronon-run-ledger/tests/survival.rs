//! What was recorded is there after damage and beside other processes; `writes.rs` has kills and power losses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use chronon_run_ledger::{Ledger, inspect};
use common::{run, tell};
use rusqlite::Connection;
use tempfile::TempDir;

const DAMAGED: &str = "damaged";

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("ledger.db")
}

fn log(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

/// On a small disk steps need the room for their logs.
#[test]
fn the_write_ahead_log_of_a_run_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let mut ledger = Ledger::open(&path);
    for what in run("r000", 40) {
        tell(&mut ledger, vec![what]);
    }
    let written = fs::metadata(log(&path)).unwrap().len();
    assert!(written < 600_000, "{written} bytes");
}

#[test]
fn reading_beside_a_checkpoint_never_finds_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let mut ledger = Ledger::open(&path);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut most = 0;
            while most < 40 {
                let mut ledger = Ledger::open(&path);
                let found = ledger.runs(100).len();
                assert_eq!(ledger.take_notices(), Vec::<String>::new());
                assert!(found >= most);
                most = found;
            }
        });
        for number in 0..40 {
            tell(&mut ledger, run(&format!("r{number:03}"), 5));
            let raw = Connection::open(&path).unwrap();
            let _ = raw.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
        reader.join().unwrap();
    });
}

#[test]
fn twenty_at_once_begin_one_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    thread::scope(|scope| {
        for number in 0..20 {
            let path = &path;
            scope.spawn(move || {
                let mut ledger = Ledger::open(path);
                tell(&mut ledger, run(&format!("r{number:03}"), 3));
                assert_eq!(ledger.take_notices(), Vec::<String>::new());
            });
        }
    });
    assert_eq!(Ledger::open(&path).runs(100).len(), 20);
}

fn aside(folder: &TempDir) -> usize {
    let names = fs::read_dir(folder.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let companion = |name: &String| name.ends_with("-wal") || name.ends_with("-shm");
    names
        .filter(|name| name.contains(DAMAGED) && !companion(name))
        .count()
}

/// Fills some pages with garbage, by `wanted` pages' numbers.
fn spoil(path: &Path, pages: impl IntoIterator<Item = usize>) {
    let mut bytes = fs::read(path).unwrap();
    for page in pages {
        bytes[page * 4096..(page + 1) * 4096].fill(0xa5);
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_can_be_read_of_a_damaged_file_is_in_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let mut ledger = Ledger::open(&path);
    for number in 0..40 {
        tell(&mut ledger, run(&format!("r{number:03}"), 20));
    }
    drop(ledger);
    let pages = fs::read(&path).unwrap().len() / 4096;
    // Leaves of the large tables; the roots are at the beginning.
    spoil(&path, [pages / 2, pages - 5]);
    let mut ledger = Ledger::open(&path);
    tell(&mut ledger, run("r900", 20));
    let steps: u32 = ledger.runs(100).iter().map(|run| run.steps).sum();
    let details = ledger.runs(100).into_iter();
    let attempts: usize = details
        .filter_map(|run| ledger.run(&run.run))
        .flat_map(|detail| detail.steps)
        .map(|step| step.attempts.len())
        .sum();
    let notices = ledger.take_notices();
    assert_eq!(ledger.runs(100).len(), 41, "{notices:?}");
    assert!(
        steps > 700 && attempts > 600,
        "{steps} {attempts} {notices:?}"
    );
    assert_eq!(ledger.runs(1)[0].run, "r900", "the newest stays the newest");
    assert!(
        notices.iter().any(|it| it.contains("40 runs of it")),
        "{notices:?}"
    );
    assert_eq!(aside(&folder), 1);
}

#[test]
fn steps_whose_runs_cannot_be_read_are_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let mut ledger = Ledger::open(&path);
    for id in ["r000", "r001"] {
        tell(&mut ledger, run(id, 5));
    }
    let raw = Connection::open(&path).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'runs'";
    let page: usize = raw.query_row(root, [], |row| row.get(0)).unwrap();
    drop((raw, ledger));
    let sound = inspect(&path).unwrap();
    assert_eq!((sound.runs, sound.steps, sound.damage), (2, 10, None));
    spoil(&path, [page - 1]);
    assert!(inspect(&path).unwrap().damage.is_some());
    let mut ledger = Ledger::open(&path);
    let runs: Vec<(String, u32)> = ledger
        .runs(9)
        .into_iter()
        .map(|run| (run.run, run.steps))
        .collect();
    assert_eq!(runs, [("r001".to_owned(), 5), ("r000".to_owned(), 5)]);
    let notice = ledger.take_notices().remove(0);
    assert!(notice.contains("2 runs of it"), "{notice}");
    assert_eq!(notice.lines().count(), 1, "{notice}");
}

/// What the notices say of a file that is none of ours; it stays as it is.
fn refused(path: &Path) -> String {
    let mut ledger = Ledger::open(path);
    tell(&mut ledger, run("r000", 2));
    assert_eq!(ledger.runs(9).len(), 0);
    ledger.take_notices().join("\n")
}

#[test]
fn a_database_of_another_program_is_not_written() {
    for made in [
        "CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('u')",
        "CREATE TABLE runs (day INTEGER, distance REAL)",
        "CREATE TABLE runs (day INTEGER); PRAGMA user_version = 5",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder);
        Connection::open(&path)
            .unwrap()
            .execute_batch(made)
            .unwrap();
        let before = fs::read(&path).unwrap();
        let notices = refused(&path);
        assert!(notices.contains("of another program"), "{notices}");
        assert!(inspect(&path).unwrap_err().contains("of another program"));
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(refused(&path).contains("not a file"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refused(&path).contains("not a file"));
}

#[test]
#[ignore = "helper process of a_damaged_file_that_is_open_stays_where_it_is"]
fn helper_holds() {
    let path = PathBuf::from(std::env::var_os("LEDGER").unwrap());
    let mut ledger = Ledger::open(&path);
    println!("{} is open", ledger.runs(9).len());
    let mut end = String::new();
    std::io::stdin().read_line(&mut end).unwrap();
}

#[test]
fn a_damaged_file_that_is_open_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    tell(&mut Ledger::open(&path), run("r000", 3));
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_holds", "--ignored", "--nocapture"])
        .env("LEDGER", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("1 is open")));
    let mut header = fs::read(&path).unwrap();
    header[..16].fill(0);
    fs::write(&path, header).unwrap();
    let mut ledger = Ledger::open(&path);
    tell(&mut ledger, run("r001", 3));
    let notices = ledger.take_notices();
    assert!(
        notices[0].contains("another process has it open"),
        "{notices:?}"
    );
    assert_eq!(aside(&folder), 0);
    drop((ledger, holder.stdin.take()));
    assert!(holder.wait().unwrap().success());
    let mut ledger = Ledger::open(&path);
    assert!(ledger.take_notices()[0].contains("it is kept as"));
    assert_eq!(aside(&folder), 1);
}

#[test]
fn one_row_that_is_not_valid_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let mut ledger = Ledger::open(&path);
    for id in ["r000", "r001", "r002"] {
        tell(&mut ledger, run(id, 3));
    }
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(
        "UPDATE runs SET cancelled = 'why' WHERE run = 'r001';
         UPDATE steps SET asset = 'x' WHERE run = 'r000' AND step = 1;
         UPDATE attempts SET outcome = x'ff' WHERE run = 'r000' AND step = 0;
         UPDATE asset_state SET failing = 'never', pace = '7' WHERE asset LIKE '%a1/%';
         INSERT INTO empty_days VALUES ('?', 3, 'r000'), ('group_by/team.a0/backfill', 4, 'r000');",
    )
    .unwrap();
    let runs: Vec<String> = ledger.runs(9).into_iter().map(|run| run.run).collect();
    assert_eq!(runs, ["r002", "r000"]);
    let detail = ledger.run("r000").unwrap();
    let steps: Vec<u32> = detail.steps.iter().map(|step| step.step).collect();
    assert_eq!(steps, [0, 2]);
    assert_eq!(detail.steps[1].attempts.len(), 1);
    assert_eq!(ledger.last_attempts().len(), 3);
    assert_eq!(ledger.paces().len(), 2);
    assert_eq!(ledger.all_empty_days().len(), 1);
    let notices = ledger.take_notices();
    assert!(
        notices.iter().all(|it| it.contains("left out")),
        "{notices:?}"
    );
    assert!(notices[0].contains("1 row is"), "{notices:?}");
    assert_eq!(aside(&folder), 0);
}

#[test]
fn pruning_gives_the_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let mut ledger = Ledger::open(&path);
    for number in 0..60 {
        tell(&mut ledger, run(&format!("r{number:03}"), 50));
    }
    let raw = Connection::open(&path).unwrap();
    raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let size =
        || fs::metadata(&path).unwrap().len() + fs::metadata(log(&path)).map_or(0, |log| log.len());
    let before = size();
    assert_eq!(ledger.prune(1, |_| ()).unwrap().len(), 59);
    assert_eq!(ledger.take_notices(), Vec::<String>::new());
    assert!(size() * 8 < before, "{before} bytes, now {}", size());
    assert_eq!(ledger.last_attempts().len(), 50);
}

/// Copies this program where another user can start it.
fn as_another_user(test: &str, path: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new(program);
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let output = command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("LEDGER", path)
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    text
}

#[test]
#[ignore = "helper process of a_reader_without_write_access_sees_everything"]
fn helper_reads() {
    let path = PathBuf::from(std::env::var_os("LEDGER").unwrap());
    let mut ledger = Ledger::open(&path);
    let runs = ledger.runs(100).len();
    let steps = ledger.run("r000").map_or(0, |run| run.steps.len());
    let silent = ledger.take_notices().is_empty();
    tell(&mut ledger, run("r900", 1));
    let told = ledger.take_notices();
    println!("{runs} runs, {steps} steps, {silent}, {told:?}");
}

#[test]
fn a_reader_without_write_access_sees_everything() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let path = state.join("ledger.db");
    let mut ledger = Ledger::open(&path);
    let open_up = |mode| {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for entry in fs::read_dir(&state).unwrap() {
            let mode = fs::Permissions::from_mode(mode & 0o644);
            fs::set_permissions(entry.unwrap().path(), mode).unwrap();
        }
        fs::set_permissions(&state, fs::Permissions::from_mode(mode)).unwrap();
    };
    let expected = "1 runs, 4 steps, true, [\"cannot record in";
    tell(&mut ledger, run("r000", 4));
    open_up(0o555);
    let beside = as_another_user("helper_reads", &path);
    assert!(beside.contains(expected), "beside a writer: {beside}");
    open_up(0o755);
    // A killed writer leaves a log; without the shared memory nothing can be read in place.
    let log_bytes = fs::read(log(&path)).unwrap();
    let database = fs::read(&path).unwrap();
    drop(ledger);
    let closed = || {
        open_up(0o555);
        let text = as_another_user("helper_reads", &path);
        open_up(0o755);
        text
    };
    let closed_text = closed();
    assert!(
        closed_text.contains(expected),
        "after a writer: {closed_text}"
    );
    fs::write(&path, database).unwrap();
    fs::write(log(&path), log_bytes).unwrap();
    let killed = closed();
    assert!(killed.contains(expected), "after a kill: {killed}");
}

#[test]
#[ignore = "helper process of files_have_the_permissions_that_the_umask_leaves"]
fn helper_writes() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o002));
    let path = PathBuf::from(std::env::var_os("LEDGER").unwrap());
    let mut ledger = Ledger::open(&path);
    tell(&mut ledger, run("r000", 1));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    println!("{:o} {:o}", mode(&path), mode(&log(&path)));
}

#[test]
fn files_have_the_permissions_that_the_umask_leaves() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let text = as_another_user("helper_writes", &file(&folder));
    assert!(text.contains("664 664"), "{text}");
}
