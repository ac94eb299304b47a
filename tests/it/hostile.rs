//! Whatever a file holds that the program reads, it is understood or refused: never a panic, and nothing
//! that a terminal would obey. The files of the example are cut, doubled, overwritten and filled with values
//! of the kinds that have been trouble. All of it takes about a minute.

use std::{fs, path::Path};

use chronon_run_conf::{ConfRepo, Teams};
use chronon_run_core::{
    AssetId, Diagnostic, Ds, PartitionFormat, Schedule, TableName, TableSpec,
    event::Outcome,
    secret::{LogMask, mask_text},
    shown::shown,
};
use chronon_run_engine::seeds::{Format, Partitioning, Seed, prepare};
use chronon_run_plan::{Plan, Selection};
use chronon_run_report::diagnostics::{Colour, from_disk, render};
use chronon_run_spark::{cause, log};
use chronon_run_workspace::{Pins, Workspace};
use proptest::{prelude::*, sample::select, strategy::ValueTree};

use crate::{staged::Staged, support};

/// Values and pieces that have been trouble somewhere.
const NASTY: [&str; 24] = [
    "0",
    "-1",
    "9223372036854775807",
    "1e400",
    "NaN",
    "null",
    "[]",
    "{}",
    "\"\"",
    "\"../../etc/passwd\"",
    "\"a/b\"",
    "\"\\u0000\"",
    "\"\\u001b]0;x\\u0007\"",
    "\u{1b}[2J",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "\"ẞ🦀\"",
    "2026-02-30",
    "99999-01-01",
    "[[[[[[[[[[[[[[[[[[[[",
    "\"{{ ds }}{{\"",
    "`",
    "\"x\" = 1\n[a]\n[a]\n",
];

/// One change of a file: where (in thousandths of its length), what kind, how much, and which value.
type Change = (usize, u8, usize, &'static str);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (0..1000_usize, 0..6_u8, 0..60_usize, select(NASTY.to_vec()));
    prop::collection::vec(change, 1..5)
}

fn changed(original: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for &(place, kind, length, value) in changes {
        let at = bytes.len() * place / 1000;
        let end = (at + length).min(bytes.len());
        match kind {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => bytes.splice(at..end, value.bytes()).for_each(drop),
            4 => bytes
                .splice(at..at, value.repeat(length).into_bytes())
                .for_each(drop),
            _ => {
                let value_at = bytes[at..].iter().position(|byte| b":=".contains(byte));
                let Some(start) = value_at.map(|found| at + found + 1) else {
                    continue;
                };
                let rest = &bytes[start..];
                let over = rest.iter().position(|byte| b",\n}".contains(byte));
                let end = start + over.unwrap_or(rest.len());
                bytes.splice(start..end, value.bytes()).for_each(drop);
            }
        }
    }
    bytes
}

/// Findings can be shown, and nothing of the file reaches a terminal as it is.
fn check(findings: &[Diagnostic]) -> Result<(), TestCaseError> {
    let text = render(findings, &from_disk, Colour::No, None);
    for finding in findings {
        prop_assert!(!finding.message.is_empty());
    }
    let raw = text.contains('\u{1b}');
    prop_assert!(!raw, "{:?}", text);
    Ok(())
}

fn example(file: &str) -> Vec<u8> {
    fs::read(support::repository().join("examples/stays").join(file)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_workspace_toml(changes in changes()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("workspace.toml");
        fs::write(&file, changed(&example("workspace.toml"), &changes)).unwrap();
        if let Err(findings) = Workspace::load(&file) {
            prop_assert!(!findings.is_empty());
            check(&findings)?;
        }
    }

    #[test]
    fn any_teams_json(changes in changes()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("teams.json");
        fs::write(&file, changed(&example("teams.json"), &changes)).unwrap();
        check(&Teams::load(&file).1)?;
    }

    #[test]
    fn any_lock(changes in changes()) {
        let folder = tempfile::tempdir().unwrap();
        let lock = b"# Head\n[jars]\n\"a:b:1\" = \"00ff\"\n[packages]\n\"p.tar.gz\" = \"aa\"\n";
        fs::write(folder.path().join("chronon-run.lock"), changed(lock, &changes)).unwrap();
        let _ = Pins::load(folder.path());
    }

    #[test]
    fn any_conf(changes in changes(), which in 0..3_usize) {
        let path = [
            "production/joins/stays/search_ranking.v1",
            "production/staging_queries/stays/sessions.daily_v1",
            "production/group_bys/stays/bookings.listing_daily_v1",
        ][which];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(folder.path().join("teams.json"), example("teams.json")).unwrap();
        fs::write(&file, changed(&example(path), &changes)).unwrap();
        check(&ConfRepo::load(folder.path(), "production").diagnostics)?;
    }

    #[test]
    fn any_seed(changes in changes(), partitioned in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed.csv");
        let text = example("data/lake.bookings.csv");
        let text = &text[..text.len().min(4000)];
        fs::write(&path, changed(text, &changes)).unwrap();
        let seed = Seed {
            table: "lake.bookings".parse().unwrap(),
            path,
            format: Format::Csv,
            columns: [("price".to_owned(), "double".to_owned())].into_iter().collect(),
            partition_by: match partitioned {
                true => Partitioning::By(vec!["ds".to_owned()]),
                false => Partitioning::DsIfPresent,
            },
            null: Some("\\N".to_owned()),
            empty_partitions: Vec::new(),
            options: [].into_iter().collect(),
        };
        let _ = prepare(seed);
    }

    #[test]
    fn any_saved_plan(changes in changes()) {
        let plan = br#"{"version": 1, "as_of": "2026-01-30", "start_ds": null, "end_ds": null, "cells": [], "steps": []}"#;
        let _ = serde_json::from_slice::<Plan>(&changed(plan, &changes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_word(word in "(\\PC|\\pC|[/.,:*+@0-9-]|mode:|tag:|2026-|\\.\\./){0,40}", long in 0..2_usize) {
        let word = format!("{word}{}", "x".repeat(long * 10_000));
        let _ = word.parse::<Ds>();
        let _ = word.parse::<TableName>();
        let _ = word.parse::<TableSpec>();
        let _ = word.parse::<AssetId>();
        let _ = word.parse::<Schedule>();
        let _ = word.parse::<PartitionFormat>();
        let _ = Selection::parse(std::slice::from_ref(&word), &[]);
        let _ = mask_text(&word);
        let _ = Path::new(&word).components().count();
        let safe = shown(&word);
        prop_assert!(!safe.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "not safe");
    }

    #[test]
    fn any_log(lines in prop::collection::vec("(\\PC|\\pC|\\[Stage 1:|Error in query:|Caused by: |\\(1 \\+ 2\\) / 3|java.lang.OutOfMemoryError){0,30}", 0..12)) {
        let text = lines.join("\n");
        let _ = log::parse_progress(&text);
        let _ = log::quote_error(&text);
        let _ = cause(&Outcome::Failed { code: 1 }, &text);
    }

    /// A log that is masked in parts keeps its lines.
    #[test]
    fn any_masked_log(
        lines in prop::collection::vec("(\\PC|\\pC|-----BEGIN |-----END |RSA PRIVATE KEY-----|password[=: ]|Bearer |[{}'\"=@:/]){0,12}", 0..12),
        parts in 1..5_usize,
    ) {
        let text: String = lines.iter().map(|line| line.replace('\n', " ") + "\n").collect();
        let _ = mask_text(&text);
        let all: Vec<&str> = text.split_inclusive('\n').collect();
        let mut mask = LogMask::default();
        let masked = |part: &[&str]| mask.mask(&part.concat()).into_owned();
        let shown: String = all.chunks(parts).map(masked).collect();
        prop_assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
    }
}

/// Runs every command: each ends with a verdict, and no name or file reaches the terminal as it is.
fn run_all(staged: &Staged, commands: &[&[&str]], what: &str) {
    for command in commands {
        let screen = staged.run(command);
        let text = screen.text();
        let is_well = matches!(screen.code, Some(0..=2)) && !text.contains("panicked");
        assert!(
            is_well && !text.contains(['\u{1b}', '\u{202e}', '\0']),
            "{what}: {command:?}: {text}"
        );
    }
}

#[test]
fn names_of_any_kind_stay_in_their_folder() {
    let long = "y".repeat(10_000);
    let names = [
        "a/../../../evil",
        "..",
        "a\u{1b}[2Jb",
        &long,
        "a'b",
        "a\u{202e}b",
        "a\nb",
        "a\0b",
        "$(touch x)",
    ];
    for name in names {
        let staged = Staged::new(&[("ok", &["lake.a"])]);
        let conf = staged.workspace.read("production/staging_queries/team/ok");
        let name = serde_json::to_string(&format!("team.{name}")).unwrap();
        let odd = conf.replace("\"team.ok\"", &name);
        assert_ne!(odd, conf);
        staged
            .workspace
            .write("production/staging_queries/team/odd", &odd);
        let commands: [&[&str]; 6] = [
            &["check"],
            &["plan"],
            &["materialize"],
            &["runs"],
            &["report", "--site", "site"],
            &["export", "dot"],
        ];
        run_all(&staged, &commands, &name);
        for place in [
            "../evil",
            "evil",
            ".chronon-run/evil",
            ".chronon-run/runs/evil",
            "x",
        ] {
            assert!(!staged.workspace.path(place).exists(), "{place}");
        }
    }
}

#[test]
fn any_file_of_the_state_folder_and_any_saved_plan_ends_with_a_verdict() {
    let staged = Staged::chain();
    staged.run(&["materialize"]).expect(0);
    staged
        .run(&["plan", "--recompute", "-o", "saved.json"])
        .expect(0);
    let files = [
        ".chronon-run/workspace.json",
        ".chronon-run/spark-home.json",
        ".chronon-run/filled/out.team_one.json",
        "saved.json",
    ];
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for file in files {
        let original = staged.workspace.read(file);
        for _ in 0..8 {
            let tree = changes().new_tree(&mut runner).unwrap();
            let path = staged.workspace.path(file);
            fs::write(path, changed(original.as_bytes(), &tree.current())).unwrap();
            let commands: [&[&str]; 4] = [
                &["plan"],
                &["status"],
                &["doctor"],
                &["materialize", "--plan", "saved.json"],
            ];
            run_all(&staged, &commands, file);
        }
        staged.workspace.write(file, &original);
    }
}
