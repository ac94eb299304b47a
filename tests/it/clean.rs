//! `clean`: what it removes, what it asks, and what it refuses.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use crate::{
    driven::Driven,
    scripted::{self, hangs},
    staged::Staged,
    support::{Screen, wait_until},
    terminal::Terminal,
};

const STATE: &str = ".chronon-run";

fn filled() -> Staged {
    let staged = Staged::chain();
    staged.run(&["materialize", "-s", "team.alone"]).expect(0);
    staged
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// As an embedded metastore and its tables lie in the folder.
fn add_tables(staged: &Staged) {
    for file in ["metastore/db/seg0/c1.dat", "warehouse/out.db/t/ds=1/part-0"] {
        staged.workspace.write(&format!("{STATE}/{file}"), "12345");
    }
}

#[test]
fn nothing_is_removed_without_a_yes() {
    let staged = filled();
    let state = staged.workspace.path(STATE);
    let before = names(&state);
    let listed = staged.run(&["clean", "--dry-run"]).expect(0);
    for line in ["  remove  runs  ", "  remove  ledger.db  ", " in all\n"] {
        assert!(listed.stdout.contains(line), "{}", listed.text());
    }
    let refused = staged.run(&["clean"]).expect(2);
    assert!(refused.stderr.contains("add `--yes`"), "{}", refused.text());
    let mut terminal = Terminal::open(&staged.command(&["clean"]), 100);
    terminal.shows("remove it? [y/N]");
    terminal.press("n\r");
    terminal.exits_with(2);
    assert_eq!(names(&state), before);
    let mut terminal = Terminal::open(&staged.command(&["clean"]), 100);
    terminal.shows("remove it? [y/N]");
    terminal.press("y\r");
    terminal.exits_with(0);
    assert!(!state.exists());
    staged.run(&["clean", "--yes"]).expect(0);
}

#[test]
fn tables_stay_unless_all_is_removed() {
    let staged = filled();
    add_tables(&staged);
    let outside = staged.workspace.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "x").unwrap();
    symlink(&outside, staged.workspace.path(&format!("{STATE}/samples"))).unwrap();
    let state = staged.workspace.path(STATE);
    let screen = staged.run(&["clean", "--yes"]).expect(0);
    assert!(
        screen.stdout.contains("  keep    warehouse  5 bytes"),
        "{}",
        screen.text()
    );
    assert!(screen.stderr.contains("`--all`"), "{}", screen.text());
    let left = [".gitignore", "metastore", "warehouse", "workspace.json"];
    assert_eq!(names(&state), left);

    // Everything works without the history, which says no more.
    staged.run(&["runs"]).expect(0);
    staged.run(&["materialize", "-s", "team.alone"]).expect(0);
    staged
        .workspace
        .write(&format!("{STATE}/notes.txt"), "mine");
    let screen = staged.run(&["clean", "--all", "--yes"]).expect(0);
    assert!(
        screen
            .stdout
            .contains("notes.txt  not written by chronon-run")
    );
    assert_eq!(names(&state), [".gitignore", "notes.txt", "workspace.json"]);
    assert!(outside.join("file").exists());
    assert_eq!(
        staged.calls().len(),
        1,
        "the tables were not there to be removed"
    );
}

#[test]
fn a_run_that_lives_keeps_its_folder() {
    let staged = Staged::chain();
    staged.faults(&[hangs("alone")]);
    let run = scripted::start(&staged, &["materialize", "-s", "team.alone"]);
    wait_until("the step runs", || !staged.calls().is_empty());
    for args in [
        &["clean", "--yes"][..],
        &["clean", "--all", "--yes"],
        &["clean"],
    ] {
        let screen = staged.run(args).expect(4);
        assert!(
            screen.stderr.contains("is in use by run "),
            "{}",
            screen.text()
        );
    }
    // Killed hard, with its watchdog: what it left is ended first.
    drop(run);
    staged.run(&["clean", "--yes"]).expect(0);
    scripted::no_process_is_left(&staged);
    assert!(!staged.workspace.path(STATE).exists());
}

#[test]
fn a_folder_of_others_stays() {
    let staged = filled();
    let record = staged.workspace.path(&format!("{STATE}/workspace.json"));
    fs::rename(&record, staged.workspace.path("record")).unwrap();
    let screen = staged.run(&["clean", "--all", "--yes"]).expect(2);
    assert!(
        screen
            .stderr
            .contains("is no state folder of this workspace"),
        "{}",
        screen.text()
    );
    assert!(
        staged
            .workspace
            .path(&format!("{STATE}/ledger.db"))
            .exists()
    );
    fs::rename(staged.workspace.path("record"), &record).unwrap();

    let mut command = staged.command(&["clean", "--all", "--yes"]);
    command.env("CHRONON_RUN_STATE", ".");
    let screen = Screen::new(command.output().unwrap(), staged.workspace.root()).expect(2);
    assert!(
        screen.stderr.contains("is or contains"),
        "{}",
        screen.text()
    );
    assert!(staged.workspace.path("workspace.toml").exists());
}

/// The copy names the original's server and processes.
#[test]
fn a_copy_is_cleaned_without_its_original() {
    let staged = filled();
    add_tables(&staged);
    let here = staged.workspace.root();
    let copy = here.with_extension("copy");
    let copied = Command::new("cp").arg("-a").arg(here).arg(&copy).status();
    assert!(copied.unwrap().success());
    let before = staged.workspace.read(&format!("{STATE}/workspace.json"));
    let mut command = staged.command(&["clean", "--all", "--yes"]);
    command.current_dir(&copy);
    Screen::new(command.output().unwrap(), here).expect(0);
    assert!(!copy.join(STATE).exists());
    fs::remove_dir_all(&copy).unwrap();
    assert_eq!(
        staged.workspace.read(&format!("{STATE}/workspace.json")),
        before
    );
    for name in [
        "ledger.db",
        "metastore/db/seg0/c1.dat",
        "warehouse/out.db/t/ds=1/part-0",
    ] {
        assert!(staged.workspace.path(&format!("{STATE}/{name}")).exists());
    }
}

#[test]
fn the_state_of_the_chronon_engine_goes_too() {
    let driven = Driven::scripted("clean", "");
    let day = ["--end-ds", "2026-01-20"];
    let name = "stays.search_boot.v1";
    driven
        .run(&[&["materialize", name][..], &day].concat())
        .expect(0);
    let screen = driven.run(&["clean", "--yes"]).expect(0);
    assert!(
        !screen.stdout.contains("not written by"),
        "{}",
        screen.text()
    );
    assert!(!driven.workspace.path(STATE).exists());
}
