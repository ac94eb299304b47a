//! Nonsense in, a clear message out: exit code 2, file, line, column, and what to do next.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use insta::assert_snapshot;

use crate::{
    staged::{Staged, all_days},
    support::{Workspace, steady},
};

fn edited(file: &str, from: &str, to: &str) -> Workspace {
    let example = Workspace::example("stays");
    example.edit(file, from, to);
    example
}

#[test]
fn no_workspace() {
    assert_snapshot!(Workspace::empty().run(&["plan"]).text());
}

#[test]
fn broken_toml() {
    let example = edited("workspace.toml", "repo = \".\"", "repo = ");
    assert_snapshot!(example.run(&["plan"]).text());
}

#[test]
fn every_mistake_in_workspace_toml_at_once() {
    let example = edited(
        "workspace.toml",
        "timezone = \"UTC\"",
        "timezone = \"Mars/Phobos\"",
    );
    example.edit(
        "workspace.toml",
        "as_of = \"2026-01-30\"",
        "as_of = \"2026-02-30\"",
    );
    example.edit("workspace.toml", "jobs = 2", "jobs = 0\nretrys = 3");
    assert_snapshot!(example.run(&["plan"]).text());
}

#[test]
fn an_unknown_key_is_a_warning() {
    let example = edited("workspace.toml", "retries = 1", "retrys = 1");
    assert_snapshot!(example.run(&["plan", "-s", "stays.listings.dim_v1"]).text());
}

#[test]
fn a_half_written_conf() {
    let example = Workspace::example("stays");
    let conf = "production/joins/stays/sessions.v1";
    let text = example.read(conf);
    example.write(conf, &text[..text.len() / 2]);
    assert_snapshot!(example.run(&["check"]).text());
    example.run(&["materialize", "stays.sessions.v1"]).expect(2);
}

#[test]
fn an_unknown_team() {
    let example = edited(
        "production/joins/stays/sessions.v1",
        "\"team\": \"stays\"",
        "\"team\": \"stay\"",
    );
    assert_snapshot!(example.run(&["check"]).text());
    let json = example.run(&["check", "--output", "json"]).expect(2).stdout;
    let findings: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (
            findings["findings"][0]["code"].as_str(),
            findings["findings"][0]["severity"].as_str()
        ),
        (Some("unknown-team"), Some("error"))
    );
    assert!(findings["findings"][0]["line"].is_u64() && findings["findings"][0]["column"].is_u64());
}

#[test]
fn one_conf_with_an_error_does_not_stop_the_others() {
    let example = edited(
        "production/joins/stays/sessions.v1",
        "\"team\": \"stays\"",
        "\"team\": \"stay\"",
    );
    let plan = |name: &'static str| example.run(&["plan", "-s", name]);
    assert_snapshot!("sound_conf", plan("stays.listings.dim_v1").expect(0).text());
    assert_snapshot!(
        "conf_with_an_error",
        plan("stays.sessions.v1").expect(0).text()
    );
    assert_snapshot!(
        "conf_with_an_error_materialized",
        example
            .run(&["materialize", "stays.sessions.v1"])
            .expect(2)
            .text()
    );
}

#[test]
fn the_query_of_a_data_check_is_judged_before_anything_runs() {
    let staged = Staged::chain();
    let settings = staged.workspace.read("workspace.toml");
    let with = |sql: &str| {
        let check = format!("\n[[check]]\nselect = \"team.one\"\nsql = \"{sql}\"\n");
        let text = format!("{settings}{check}");
        staged.workspace.write("workspace.toml", &text);
    };
    with("SELECT * FROM {table} WHERE ds = '{ds}'");
    let sound = staged.run(&["check"]).expect(0).text();
    assert!(!sound.contains("check-query"), "{sound}");
    let place = (Some(settings.lines().count() as u64 + 4), Some(7));
    for (sql, code, message) in [
        (
            "DROP TABLE {table}",
            "check-query",
            "the `sql` of a check: `DROP` is not run",
        ),
        (
            "WITH a AS (SELECT 1) FROM a INSERT INTO b SELECT *",
            "check-query",
            "is not run: only statements that read are",
        ),
        (
            "SELECT * FROM {tabel}",
            "unknown-placeholder",
            "no placeholder `{tabel}`",
        ),
    ] {
        with(sql);
        let json = staged.run(&["check", "--output", "json"]).expect(2).stdout;
        let all: serde_json::Value = serde_json::from_str(&json).unwrap();
        let all = all["findings"].as_array().unwrap();
        let found = all.iter().find(|finding| finding["code"] == code);
        let found = found.unwrap_or_else(|| panic!("{sql}: {json}"));
        assert!(
            found["message"].as_str().unwrap().contains(message),
            "{found}"
        );
        assert_eq!(
            (found["line"].as_u64(), found["column"].as_u64()),
            place,
            "{found}"
        );
    }
}

#[test]
fn what_means_nothing_is_refused_with_what_to_type_instead() {
    let staged = Staged::chain();
    for (args, message, hint) in [
        (
            &["show", "state:failed"][..],
            "`state:failed` selects no table now",
            "`chronon-run ls` lists every table",
        ),
        (
            &["logs", "state:failed"],
            "`state:failed` selects no asset now",
            "`chronon-run ls` lists every asset",
        ),
        (
            &["show", ""],
            "the name is empty",
            "`chronon-run ls` lists them",
        ),
        (
            &["logs", ""],
            "the name is empty",
            "`chronon-run ls` lists them",
        ),
        (
            &["diff", "--limit", "3"],
            "the following required arguments were not provided",
            "--data",
        ),
    ] {
        let screen = staged.run(args).expect(2);
        assert!(
            screen.stderr.contains(message) && screen.stderr.contains(hint),
            "{args:?}: {}",
            screen.text()
        );
    }
    // The default of `--limit` asks for nothing.
    staged.run(&["diff"]).expect(0);
}

#[test]
fn impossible_dates() {
    let example = Workspace::example("stays");
    assert_snapshot!(
        "not_a_day",
        example.run(&["plan", "--ds", "2026-02-30"]).text()
    );
    assert_snapshot!(
        "wrong_order",
        example
            .run(&["plan", "--start-ds", "2026-01-20", "--end-ds", "2026-01-10"])
            .text()
    );
}

#[test]
fn a_selector_that_matches_nothing() {
    assert_snapshot!(
        Workspace::example("stays")
            .run(&["plan", "-s", "stays.sesions.v1"])
            .text()
    );
}

#[test]
fn a_wrong_spark_home() {
    let example = edited(
        "workspace.toml",
        "kind = \"sql\"",
        "spark_home = \"no/such/spark\"\nkind = \"sql\"",
    );
    assert_snapshot!(example.run(&["materialize"]).text());
}

#[test]
fn an_unreachable_metastore() {
    // Port 1 on loopback: nothing listens there.
    let example = edited(
        "workspace.toml",
        "kind = \"embedded\"",
        "kind = \"hive\"\nuri = \"thrift://127.0.0.1:1\"",
    );
    assert_snapshot!(example.run(&["plan"]).text());
}

#[test]
fn an_unreadable_seed() {
    let example = Workspace::example("stays");
    example.write(
        "data/lake.searches.csv",
        "search_id,ds\n\"never closed,2026-01-20\n",
    );
    let plan = example.run(&["plan"]).expect(0);
    let reason = "it needs lake.searches, a seed that cannot be loaded: ";
    assert!(plan.text().contains(reason), "{}", plan.text());
    assert!(
        plan.text().contains("lake.searches.csv:2: "),
        "{}",
        plan.text()
    );
    // What does not read it is planned.
    let others = "10 assets, 12 steps";
    assert!(plan.text().contains(others), "{}", plan.text());
    let searches = [
        "ready",
        "staging_query/stays.sessions.daily_v1/backfill",
        "--ds",
        "2026-01-20",
    ];
    let ready = example.run(&searches).expect(2);
    assert!(ready.text().contains(reason), "{}", ready.text());
}

#[test]
fn two_confs_that_need_each_other() {
    let example = edited(
        "production/staging_queries/stays/sessions.daily_v1",
        "\"lake.searches/ds={{ ds }}\"",
        "\"stays_out.stays_sessions_v1/ds={{ ds }}\"",
    );
    assert_snapshot!(example.run(&["check"]).text());
}

#[test]
fn a_plan_that_is_none() {
    let example = Workspace::example("stays");
    example.write("plan.json", "{}");
    assert_snapshot!(example.run(&["materialize", "--plan", "plan.json"]).text());
}

#[test]
fn init_needs_a_repo_and_overwrites_nothing() {
    let example = Workspace::example("stays");
    assert_snapshot!("exists", example.run(&["init"]).text());
    assert_snapshot!("no_repo", Workspace::empty().run(&["init"]).text());
    std::fs::remove_file(example.path("workspace.toml")).unwrap();
    example.run(&["init"]).expect(0);
    example.run(&["check", "--offline"]).expect(0);
}

#[test]
fn a_plan_from_the_future() {
    let example = Workspace::example("stays");
    example.write(
        "plan.json",
        r#"{"version": 99, "cells": "in another form by then"}"#,
    );
    assert_snapshot!(example.run(&["materialize", "--plan", "plan.json"]).text());
}

#[test]
fn a_plan_that_is_not_there() {
    let example = Workspace::example("stays");
    assert_snapshot!(example.run(&["materialize", "--plan", "no.json"]).text());
}

#[test]
fn nowhere_to_run() {
    let empty = Workspace::empty();
    assert_snapshot!(empty.run(&["-C", "no/such/folder", "plan"]).text());
}

#[test]
fn broken_teams_json() {
    let example = edited("teams.json", "\"stays\": {", "\"stays\": ");
    assert_snapshot!(example.run(&["check"]).text());
    example.run(&["materialize"]).expect(2);
    std::fs::remove_file(example.path("teams.json")).unwrap();
    assert_snapshot!("no_teams_json", example.run(&["check"]).text());
}

/// Nothing reads it, so everything is filled; the place of its path is shown.
#[test]
fn a_missing_seed() {
    let staged = Staged::chain();
    let workspace = &staged.workspace;
    let text = workspace.read("workspace.toml");
    let seed = "\n[seeds.\"lake.c\"]\npath = \"data/no.csv\"\n";
    workspace.write("workspace.toml", &(text + seed));
    let screen = staged.run(&["materialize"]).expect(0);
    for said in [
        "warning[no-such-path]: seed file",
        "data/no.csv` does not exist\n  --> workspace.toml:21:8",
        "warning: the seed lake.c is not loaded",
    ] {
        assert!(screen.stderr.contains(said), "{}", screen.text());
    }
    assert_eq!(staged.calls().len(), 4);
}

/// A file system of 2 MiB that is full, unmounted at the end.
struct FullDisk<'a>(&'a Path);

impl<'a> FullDisk<'a> {
    fn mount(folder: &'a Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]);
        let output = mount.arg(folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Self(folder)
    }

    /// Leaves room for so many bytes.
    fn fill(&self, room: usize) {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(room as u64)).unwrap();
    }
}

impl Drop for FullDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
#[ignore = "needs root, to mount a small disk"]
fn a_full_disk() {
    let _steady = steady();
    let staged = Staged::chain();
    let state = staged.workspace.path(".chronon-run");
    let disk = FullDisk::mount(&state);
    disk.fill(0);
    assert_snapshot!(staged.run(&["materialize"]).expect(2).text());
    assert_eq!(staged.calls().len(), 0);
    // Room for some of it, less than all: whatever fails first, it ends with a word and a code.
    for room in [8, 24, 48, 96] {
        disk.fill(room * 1024);
        let screen = staged.run(&["materialize"]);
        assert!(matches!(screen.code, Some(0..=2)), "{}", screen.text());
        assert!(!screen.stderr.contains("panicked"), "{}", screen.text());
        let runs = staged.run(&["runs"]);
        assert!(!runs.stderr.contains("damaged"), "{}", runs.text());
    }
    let before = staged.run(&["runs"]).expect(0).stdout;
    fs::remove_file(state.join("filler")).unwrap();
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("three"), all_days());
    // Whatever was recorded is there with space again.
    let after = staged.run(&["runs"]).expect(0);
    for line in before.lines().skip(2) {
        let run = line.split_whitespace().next().unwrap();
        assert!(after.stdout.contains(run), "{run}: {}", after.text());
    }
    assert!(!after.stderr.contains("damaged"), "{}", after.text());
    // Pruning makes room, as logs of Spark do.
    let known = folders(&state.join("runs"));
    staged
        .run(&["materialize", "--recompute", "--yes"])
        .expect(0);
    let newest = folders(&state.join("runs"));
    let newest = newest.difference(&known).next().unwrap();
    fs::write(newest.join("spark.log"), vec![b'x'; 256 << 10]).unwrap();
    disk.fill(0);
    let pruned = staged.run(&["runs", "prune", "--keep", "0"]).expect(0);
    assert_eq!(pruned.stdout, "forgot 1 run\n", "{}", pruned.text());
}

fn folders(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// `check` of any workspace.toml and any conf ends with a verdict, never with a panic.
fn never_panics(file: &str, seed: u64) {
    let example = Workspace::example("stays");
    let original = fs::read(example.path(file)).unwrap();
    let mut random = Random(seed);
    for _ in 0..25 {
        let mut bytes = original.clone();
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, &mut random);
        }
        fs::write(example.path(file), &bytes).unwrap();
        let screen = example.run(&["check", "--offline"]);
        let shown = String::from_utf8_lossy(&bytes);
        assert!(
            matches!(screen.code, Some(0 | 2)) && !screen.stderr.contains("panicked"),
            "{}\n{shown}",
            screen.text()
        );
    }
}

#[test]
fn no_workspace_toml_makes_it_panic() {
    never_panics("workspace.toml", 1);
}

#[test]
fn no_conf_makes_it_panic() {
    never_panics("production/joins/stays/search_ranking.v1", 2);
    never_panics("production/staging_queries/stays/sessions.daily_v1", 3);
    never_panics("teams.json", 4);
}

/// splitmix64: the same cases every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % n as u64).unwrap()
    }
}

/// Values that mean trouble somewhere: numbers at their ends, dates that do not exist, empty names.
const NASTY: [&str; 14] = [
    "-1",
    "0",
    "99999999999999999999",
    "1e400",
    "null",
    "\"\"",
    "[]",
    "{}",
    "\"2026-02-30\"",
    "\"9999-12-31\"",
    "\"-262144-01-01\"",
    "\"\\u0000\"",
    "true",
    "\"ẞ🦀\"",
];

/// Cuts, doubles, overwrites, or puts a nasty value in the place of another.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(20)).min(bytes.len());
    match random.below(6) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        3 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
        _ => {
            let value = |byte: u8| byte == b':' || byte == b'=';
            let Some(start) = bytes[at..].iter().position(|byte| value(*byte)) else {
                return;
            };
            let start = at + start + 1;
            let over = |byte: &u8| matches!(byte, b',' | b'\n' | b'}');
            let length = bytes[start..].iter().position(over).unwrap_or(0);
            let nasty = NASTY[random.below(NASTY.len())];
            bytes.splice(start..start + length, nasty.bytes());
        }
    }
}
