//! Recorded corpora, made again by the `sql` engine on a real Spark with a real metastore, and
//! compared table by table with what Chronon's own Driver wrote.
//!
//! The corpora are the folders of `tests/golden`, or those that `CHRONON_RUN_GOLDEN` names (as
//! `PATH` names folders). `CHRONON_RUN_GOLDEN_SESSIONS=false` gives each step a process of its own.
//! `CHRONON_RUN_GOLDEN_ASSETS=search_train.derived,upload` makes only assets with such ids, and what they
//! read.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]
#![expect(clippy::print_stdout, reason = "the comparison is what the test shows")]

#[path = "../it/support/corpus.rs"]
mod corpus;
mod report;
mod steps;
#[expect(dead_code, reason = "the other end-to-end tests use more of it")]
#[path = "../it/support/mod.rs"]
mod support;
#[path = "../it/support/tables.rs"]
#[expect(dead_code, reason = "the other end-to-end tests use more of it")]
mod tables;

use std::{
    collections::BTreeSet,
    env, fs, iter,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::Instant,
};

use chronon_run_core::TableName;
use chronon_run_testkit::golden::{Defect, Recorded};

use crate::{
    corpus::Corpus,
    report::Report,
    steps::Recipe,
    support::{Workspace, repository},
};

#[test]
fn every_table_is_what_the_real_engine_wrote() {
    let folders = Mutex::new(folders());
    let next = || folders.lock().unwrap().pop();
    let work = || {
        iter::from_fn(next)
            .flat_map(|folder| wrong(&folder))
            .collect()
    };
    // Two at a time: a session of Spark is busy with one thread most of the time.
    let all: Vec<Vec<String>> = thread::scope(|scope| {
        let running = [scope.spawn(work), scope.spawn(work)];
        running.map(|worker| worker.join().unwrap()).into()
    });
    assert_eq!(all.concat(), Vec::<String>::new());
}

/// The corpora.
fn folders() -> Vec<PathBuf> {
    if let Some(named) = env::var_os("CHRONON_RUN_GOLDEN") {
        return env::split_paths(&named).collect();
    }
    let golden = repository().join("tests/golden");
    let entries = fs::read_dir(golden).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders
        .filter(|folder| folder.join("runs.jsonl").exists())
        .collect();
    folders.sort();
    // The first is the largest; they are taken from the end.
    folders.reverse();
    folders
}

/// Makes one corpus and prints the comparison; what is not as it should be.
fn wrong(folder: &Path) -> Vec<String> {
    let corpus = Corpus::open(folder);
    let mut workspace = corpus.workspace();
    match env::var("CHRONON_RUN_GOLDEN_SESSIONS") {
        Ok(warm) => {
            let engine = format!("[engine]\nsessions = {warm}\n");
            workspace.edit("workspace.toml", "[engine]\n", &engine);
        }
        Err(_) => workspace.keep_spark(),
    }
    let began = Instant::now();
    let recipe = Recipe::of(&corpus, &workspace);
    let failures = recipe.calls.iter().filter_map(|call| call.run(&workspace));
    let failures: Vec<String> = failures.collect();
    let filled = began.elapsed();

    let exceptions = Exceptions::of(folder);
    let defects = exceptions.as_ref().map_or(&[][..], |known| &known.defects);
    let report = compared(&corpus, &workspace, &recipe, defects);
    println!("{}\n{}", folder.display(), report.text());
    println!(
        "{}; {} calls, {} JVMs, {:.0} s to fill, {:.0} s in all",
        report.summary(),
        recipe.calls.len(),
        jvms(&workspace),
        filled.as_secs_f64(),
        began.elapsed().as_secs_f64(),
    );
    let mut wrong = failures;
    wrong.extend(
        report
            .different
            .iter()
            .map(|name| format!("{name} differs")),
    );
    if let Some(known) = exceptions {
        let unlike = known.refused.symmetric_difference(&report.refused);
        wrong.extend(unlike.map(|name| format!("{name} is refused or listed as such, not both")));
    }
    wrong
}

/// Every recorded table, and what is found of it.
fn compared(corpus: &Corpus, workspace: &Workspace, recipe: &Recipe, defects: &[Defect]) -> Report {
    let mut names = table_names(corpus);
    names.retain(|name| !recipe.left_out.contains(&name.to_string()));
    let found = tables::read(workspace, &names);
    let catalog = tables::Warehouse::of(workspace).snapshot(&names);
    let mut report = Report::default();
    for name in &names {
        let table = Recorded::read(&corpus.root.join("expected"), &name.to_string()).unwrap();
        if let Some(why) = recipe.refused.get(&name.to_string()) {
            report.refused(&table, why);
        } else {
            let properties = catalog.table(name).map(|state| &state.info.properties);
            report.compare(&table, found.get(name).zip(properties), defects);
        }
    }
    report
}

/// Every table of the record that the engine wrote, by name.
fn table_names(corpus: &Corpus) -> Vec<TableName> {
    let prepared = corpus.prepared_names();
    let entries = fs::read_dir(corpus.root.join("expected")).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = files.filter_map(|file| Some(file.strip_suffix(".schema")?.to_owned()));
    let names = names.filter(|name| !prepared.contains(name));
    let mut names: Vec<TableName> = names.map(|name| name.parse().unwrap()).collect();
    names.sort();
    names
}

/// What is known beforehand of a corpus, in its `exceptions.json`.
#[derive(Default, serde::Deserialize)]
struct Exceptions {
    /// Exactly the tables that the engine refuses to make.
    refused: BTreeSet<String>,
    /// Rows of the record that are wrong.
    defects: Vec<Defect>,
}

impl Exceptions {
    /// None if the corpus has no such file: whatever is refused is printed then.
    fn of(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join("exceptions.json")).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }
}

/// How many processes of Spark the runs of a workspace have had: each session and each load of
/// seeds has a log; without sessions each attempt is a process.
fn jvms(workspace: &Workspace) -> usize {
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let runs = entries(&workspace.path(".chronon-run/runs"));
    let steps = runs.iter().flat_map(|run| entries(run));
    let logs = steps.flat_map(|step| entries(&step));
    let logs = logs.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
    let names = logs.map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    let names: Vec<String> = names.collect();
    let sessions = names.iter().any(|name| name.starts_with("session-"));
    let attempts = names.iter().filter(|name| name.starts_with("attempt-"));
    let others = names.iter().filter(|name| !name.starts_with("attempt-"));
    others.count() + if sessions { 0 } else { attempts.count() }
}
