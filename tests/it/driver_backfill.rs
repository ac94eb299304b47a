//! Ninety days of a repo of forty confs, a tenth of every output missing, and everything goes wrong that
//! can: in the end every day is done, or its reason is told.

use std::{collections::BTreeMap, fs};

use chronon_run_core::{PartitionRange, RangeSet};
use chronon_run_testkit::{
    repo_builder::generate,
    scripted::{self, CALLS, CATALOG, FAULTS, Fault, Output},
};
use serde_json::Value;

use crate::{
    jars,
    staged::scripted_spark_submit,
    support::{Screen, Workspace},
};

const CONFS: usize = 40;
const DAYS: u32 = 90;

fn workspace() -> (Workspace, PartitionRange) {
    let workspace = Workspace::empty();
    let generated = generate(workspace.root(), CONFS, DAYS, 7).unwrap();
    scripted::install(&workspace.path("spark"), scripted_spark_submit()).unwrap();
    workspace.write("spark/jars/spark-core_2.12-3.3.1.jar", "");
    workspace.write("java/release", "JAVA_VERSION=\"17.0.1\"\n");
    workspace.write("java/bin/java", "");
    fs::write(workspace.path("chronon.jar"), jars::jar(&[jars::DRIVER])).unwrap();
    workspace.write(
        "workspace.toml",
        &format!(
            r#"[workspace]
as_of = "{}"

[engine]
kind = "chronon"
chronon_jar = "chronon.jar"
spark_home = "spark"
java_home = "java"
fast_start = "never"

[catalog]
kind = "fixture"
path = "catalog.json"

[run]
jobs = 4
retries = 1
retry_delay = "10ms"
grace = "1s"

[[override]]
select = "type:join"
join_flow = "modular"
"#,
            generated.last
        ),
    );
    let range = PartitionRange::new(generated.first, generated.last).unwrap();
    (workspace, range)
}

/// One fault after the other, each for one call of a subcommand, again and again.
fn faults() -> Vec<Fault> {
    let kinds = [
        (Output::None, None),
        (Output::Days(2), None),
        (Output::Days(1), Some(1)),
        (Output::None, Some(137)),
        (Output::All, Some(1)),
    ];
    let subcommands = [
        "staging-query-backfill",
        "group-by-backfill",
        "join-left",
        "join",
        "join-final",
    ];
    let mut faults = Vec::new();
    for (place, (output, exit)) in kinds.into_iter().enumerate() {
        for subcommand in subcommands {
            let at = |nth: u32| Fault {
                subcommand: Some(subcommand.to_owned()),
                nth: Some(nth),
                output,
                exit,
                ..Fault::default()
            };
            let first = 2 + 3 * u32::try_from(place).unwrap();
            faults.extend([at(first), at(first + 20)]);
        }
    }
    faults
}

#[test]
fn ninety_days_with_holes_and_faults_end_done_or_explained() {
    let (workspace, range) = workspace();
    let faults = serde_json::to_string(&faults()).unwrap();
    workspace.write("faults.json", &faults);
    let run = |args: &[&str]| {
        let mut command = workspace.command(args);
        command
            .env(CATALOG, workspace.path("catalog.json"))
            .env(CALLS, workspace.path("calls.jsonl"))
            .env(FAULTS, workspace.path("faults.json"));
        Screen::new(command.output().unwrap(), workspace.root())
    };
    let mut codes = Vec::new();
    for _ in 0..12 {
        let screen = run(&["materialize"]);
        codes.push(screen.code.unwrap());
        if screen.code == Some(0) {
            break;
        }
        // Whatever fails is told by name, with its log.
        assert!(screen.stderr.contains("\nfailed "), "{}", screen.text());
    }
    assert_eq!(codes.last(), Some(&0), "{codes:?}");
    assert!(codes.len() > 1, "the faults were met");

    let plan: Value =
        serde_json::from_str(&run(&["plan", "--output", "json"]).expect(0).stdout).unwrap();
    let mut days: BTreeMap<String, u64> = BTreeMap::new();
    for asset in plan["assets"].as_array().unwrap() {
        let mut told = RangeSet::new();
        for cells in asset["cells"].as_array().unwrap() {
            let range: PartitionRange = serde_json::from_value(cells.clone()).unwrap();
            told = told.union(&range.into());
            let state = cells["state"].as_str().unwrap().to_owned();
            *days.entry(state).or_default() += u64::from(range.days());
        }
        assert_eq!(told, RangeSet::from(range), "{asset}: every day is told");
    }
    assert_eq!(days.keys().collect::<Vec<_>>(), ["done"], "{days:?}");
    let calls = scripted::records(&workspace.path("calls.jsonl")).unwrap();
    let met: usize = calls.iter().map(|call| call.faults.len()).sum();
    assert!(met > 20, "{met} faults were met in {} calls", calls.len());
}
