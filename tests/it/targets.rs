//! Targets: what is filled there, where its inputs come from, and that production is not touched.

use std::{collections::BTreeSet, fs};

use chronon_run_core::{RangeSet, TableName};
use serde_json::Value;

use crate::{
    staged::{Staged, all_days},
    support::Screen,
};

const DEV: &str = "\n[targets.dev]\nnamespace = \"dev_{user}_{namespace}\"\n";

/// `one` ← `two` ← `three`, with a target.
fn chain() -> Staged {
    let staged = Staged::chain();
    add(&staged, DEV);
    staged
}

fn add(staged: &Staged, lines: &str) {
    let text = staged.workspace.read("workspace.toml");
    staged
        .workspace
        .write("workspace.toml", &format!("{text}{lines}"));
}

fn run(staged: &Staged, args: &[&str]) -> Screen {
    let output = staged.command(args).env("USER", "Ann.B").output().unwrap();
    Screen::new(output, staged.workspace.root())
}

fn dev(name: &str) -> TableName {
    format!("dev_ann_b_out.team_{name}").parse().unwrap()
}

fn filled(staged: &Staged, name: &str) -> RangeSet {
    staged.catalog().days(&dev(name), "ds", &[])
}

/// The tables of the catalog that are there.
fn tables(staged: &Staged) -> BTreeSet<String> {
    let catalog = staged.catalog();
    let tables = catalog.tables.iter().filter(|(_, state)| state.is_some());
    tables.map(|(table, _)| table.to_string()).collect()
}

fn last_script(staged: &Staged) -> String {
    let calls = staged.calls();
    fs::read_to_string(calls.last().unwrap().argv.last().unwrap()).unwrap()
}

fn json(screen: Screen) -> Value {
    serde_json::from_str(&screen.expect(0).stdout).unwrap()
}

#[test]
fn what_is_not_built_in_the_target_is_read_from_production() {
    let staged = chain();
    run(&staged, &["materialize", "team.one"]).expect(0);
    let before = (
        staged.filled("one"),
        staged.workspace.read("production/staging_queries/team/two"),
    );

    let plan = run(&staged, &["plan", "team.two", "--target", "dev"]).expect(0);
    assert!(
        plan.stdout.contains(
            "target dev: writes only to dev_ann_b_out\n  from production: out.team_one\n"
        ),
        "{}",
        plan.text()
    );
    let filling = run(&staged, &["materialize", "team.two", "--target", "dev"]).expect(0);
    assert!(
        filling
            .stderr
            .contains("target dev: writes only to dev_ann_b_out")
    );
    assert_eq!(filled(&staged, "two"), all_days());
    assert!(
        last_script(&staged).contains("FROM out.team_one"),
        "{}",
        last_script(&staged)
    );

    // `three` reads what the target has, and what is selected with it.
    run(&staged, &["materialize", "team.three", "--target", "dev"]).expect(0);
    assert!(last_script(&staged).contains("FROM dev_ann_b_out.team_two"));
    let plan = json(run(
        &staged,
        &[
            "plan", "--target", "dev", "--output", "json", "team.one", "team.two",
        ],
    ));
    assert_eq!(plan["target"]["inputs"]["dev_ann_b_out.team_one"], "target");
    assert_eq!(plan["target"]["inputs"]["lake.a"], "source");

    // Production has neither a table nor a record of it, and the repo is as it was.
    let wanted = [
        "dev_ann_b_out.team_three",
        "dev_ann_b_out.team_two",
        "lake.a",
        "lake.b",
        "out.team_one",
    ];
    assert_eq!(tables(&staged), wanted.map(str::to_owned).into());
    let after = (
        staged.filled("one"),
        staged.workspace.read("production/staging_queries/team/two"),
    );
    assert_eq!(before, after);
    let status = json(run(&staged, &["status", "--output", "json", "team.two"]));
    assert_eq!(
        status["assets"][0]["done"]["days"].as_u64().unwrap_or(0),
        0,
        "{status}"
    );
    assert_eq!(
        json(run(&staged, &["runs", "--output", "json"]))["runs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let own = json(run(
        &staged,
        &["runs", "--output", "json", "--target", "dev"],
    ));
    assert_eq!(own["runs"].as_array().unwrap().len(), 2);
    // Only what the target has.
    let status = json(run(
        &staged,
        &["status", "--output", "json", "--target", "dev"],
    ));
    let names: Vec<&str> = status["assets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|asset| asset["table"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["dev_ann_b_out.team_two", "dev_ann_b_out.team_three"]
    );
    let none = run(&staged, &["plan", "team.two", "--target", "dev"]).expect(0);
    assert!(none.stdout.contains("3 done"), "{}", none.text());
}

#[test]
fn a_failed_step_is_retried_in_its_target() {
    use chronon_run_testkit::scripted::{Fault, Output};
    let staged = chain();
    staged.faults(&[Fault {
        exit: Some(1),
        output: Output::None,
        table: Some(dev("one")),
        ..Fault::default()
    }]);
    run(&staged, &["materialize", "team.one", "--target", "dev"]).expect(1);
    staged.faults(&[]);
    let nothing = run(&staged, &["retry"]).expect(2);
    assert!(nothing.stderr.contains("nothing was run yet"));
    run(&staged, &["retry", "--target", "dev"]).expect(0);
    assert_eq!(filled(&staged, "one"), all_days());
    assert_eq!(staged.filled("one"), RangeSet::new());
    let log = run(&staged, &["logs", "team.one", "--sql", "--target", "dev"]).expect(0);
    assert!(log.stdout.contains("dev_ann_b_out.team_one"));
}

#[test]
fn a_plan_is_applied_in_its_target_only() {
    let staged = chain();
    run(
        &staged,
        &["plan", "team.one", "--target", "dev", "--out", "plan.json"],
    )
    .expect(0);
    add(
        &staged,
        "[targets.other]\nnamespace = \"other_{namespace}\"\n",
    );
    let other = run(
        &staged,
        &["materialize", "--plan", "plan.json", "--target", "other"],
    )
    .expect(2);
    assert!(
        other.stderr.contains("the plan was made for target dev"),
        "{}",
        other.text()
    );
    run(&staged, &["materialize", "--plan", "plan.json"]).expect(0);
    assert_eq!(filled(&staged, "one"), all_days());
    assert_eq!(staged.filled("one"), RangeSet::new());
}

#[test]
fn namespaces_of_production_and_of_other_targets_are_refused() {
    let cases = [
        (
            "namespace = \"out\"",
            "target `dev` would write to the namespace `out` of production",
        ),
        (
            "namespace = \"LAKE\"",
            "would write to the namespace `lake` of production",
        ),
        (
            "namespace = \"default\"",
            "would write to the namespace `default` of every metastore",
        ),
        (
            "namespace = \"{namespace}\"",
            "these are the namespaces of production",
        ),
        (
            "namespace = \"dev_{team}\"",
            "`{team}` is not known; known are `{user}` and `{namespace}`",
        ),
        ("namespace = \"dev-x\"", "`dev-x` is no name of a database"),
        ("", "`targets.dev` has no `namespace`"),
        (
            "namespace = \"x\"\n[targets.other]\nnamespace = \"x\"",
            "target `other` would write to the namespace `x` of target `dev`",
        ),
    ];
    for (line, wanted) in cases {
        let staged = Staged::chain();
        add(&staged, &format!("\n[targets.dev]\n{line}\n"));
        for command in [
            &["check"][..],
            &["materialize", "team.one", "--target", "dev"],
        ] {
            let screen = run(&staged, command).expect(2);
            let text = screen.text();
            assert!(text.contains(wanted), "{wanted}: {text}");
            assert!(text.contains("workspace.toml:"), "{text}");
        }
        assert!(staged.calls().is_empty());
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused_before_anything_runs() {
    let staged = Staged::chain();
    let unknown = run(&staged, &["plan", "--target", "dev"]).expect(2);
    assert!(
        unknown
            .stderr
            .contains("workspace.toml has no target `dev`"),
        "{}",
        unknown.text()
    );
    assert!(
        unknown.stderr.contains("[targets.dev]"),
        "{}",
        unknown.text()
    );
    add(&staged, DEV);
    let unknown = run(&staged, &["plan", "--target", "dve"]).expect(2);
    assert!(
        unknown.stderr.contains("known are dev"),
        "{}",
        unknown.text()
    );
    let sample = run(&staged, &["materialize", "--sample", "1%"]).expect(2);
    assert!(sample.stderr.contains("--target"), "{}", sample.text());
    let share = run(&staged, &["plan", "--sample", "200%", "--target", "dev"]).expect(2);
    assert!(share.stderr.contains("is no share"), "{}", share.text());
    staged.workspace.write("keys.csv", "a,b\n1\n");
    let keys = run(&staged, &["plan", "--keys", "keys.csv", "--target", "dev"]).expect(2);
    assert!(
        keys.stderr
            .contains("line 2 has 1 value, but line 1 names 2 columns"),
        "{}",
        keys.text()
    );
    staged.workspace.write("key.csv", "name\n\"Smith, J\"\n");
    staged.workspace.write("twice.csv", "a,a\n1,2\n");
    staged.workspace.write("quote.csv", "a\n\"1\n");
    for (args, wanted) in [
        (
            &["--limit-left", "0", "--target", "dev"][..],
            "0 is not in 1..",
        ),
        (
            &["--limit-left", "-3", "--target", "dev"],
            "-3 is not in 1..",
        ),
        (&["--limit-left", "9"], "--target"),
        (
            &["--limit-left", "9", "--sample", "1%", "--target", "dev"],
            "cannot be used with",
        ),
        (
            &["--limit-left", "9", "--target", "dev"],
            "--limit-left limits the left rows of joins, and no join is selected",
        ),
        (
            &["--sample", "1%", "--target", "dev"],
            "--sample limits the keys of GroupBys and joins, and none is selected",
        ),
        (
            &["--keys", "key.csv", "--target", "dev"],
            "--keys limits the keys of GroupBys and joins, and none is selected",
        ),
        (
            &["--keys", "twice.csv", "--target", "dev"],
            "twice.csv: line 1 names the column `a` twice",
        ),
        (
            &["--keys", "quote.csv", "--target", "dev"],
            "quote.csv: line 2 has a quote that is not closed",
        ),
    ] {
        let screen = run(&staged, &[&["plan"], args].concat()).expect(2);
        assert!(
            screen.stderr.contains(wanted),
            "{wanted}: {}",
            screen.text()
        );
    }
    let output = staged
        .command(&["plan", "--target", "dev"])
        .env_remove("USER")
        .env_remove("LOGNAME")
        .output()
        .unwrap();
    let unnamed = Screen::new(output, staged.workspace.root()).expect(2);
    assert!(
        unnamed.stderr.contains("set the variable USER"),
        "{}",
        unnamed.text()
    );
    let foreign = run(&staged, &["target", "drop", "dev", "--yes"]).expect(2);
    assert!(
        foreign.stderr.contains("cannot be dropped"),
        "{}",
        foreign.text()
    );
}

#[test]
fn statements_that_could_write_elsewhere_are_not_run() {
    let staged = chain();
    staged.workspace.edit(
        "production/staging_queries/team/one",
        "\"startPartition\"",
        "\"setups\": [\"INSERT OVERWRITE TABLE out.team_one SELECT 1\"], \"startPartition\"",
    );
    let screen = run(&staged, &["materialize", "team.one", "--target", "dev"]).expect(2);
    assert!(
        screen.stderr.contains("may write outside the target"),
        "{}",
        screen.text()
    );
    // Hidden in the query, it is found right before the step.
    let staged = chain();
    staged.workspace.edit(
        "production/staging_queries/team/one",
        "SELECT * FROM lake.a",
        "SELECT 1;\\nDROP TABLE out.team_two;\\nSELECT * FROM lake.a",
    );
    let screen = run(&staged, &["materialize", "team.one", "--target", "dev"]).expect(1);
    assert!(
        screen.stderr.contains(
            "internal error: the step of staging_query/team.one/backfill would write out.team_two"
        ),
        "{}",
        screen.text()
    );
    assert!(staged.calls().is_empty());
}

#[test]
fn check_looks_at_the_target_that_is_named() {
    let staged = chain();
    for mode in [None, Some("--analyze"), Some("--sample")] {
        let words = ["check", "--target", "nope"].into_iter().chain(mode);
        let words: Vec<&str> = words.collect();
        let text = run(&staged, &words).expect(2).stderr;
        assert!(
            text.contains("workspace.toml has no target `nope`") && text.contains("known are dev"),
            "{words:?}: {text}"
        );
    }
    assert!(staged.calls().is_empty());
    let offline = run(&staged, &["check", "--offline", "--target", "dev"]).expect(2);
    assert!(
        offline.stderr.contains("cannot be used with"),
        "{}",
        offline.text()
    );
    // What only a target refuses is a finding there, and only there.
    staged.workspace.edit(
        "production/staging_queries/team/one",
        "\"startPartition\"",
        "\"setups\": [\"GRANT ALL TO ann\"], \"startPartition\"",
    );
    let refused = "may write outside the target";
    let there = run(&staged, &["check", "--target", "dev"]).expect(0).text();
    assert!(
        there.contains(refused) && there.contains("production/staging_queries/team/one"),
        "{there}"
    );
    let production = run(&staged, &["check"]).expect(0).text();
    assert!(!production.contains(refused), "{production}");
}

/// A conf that is not selected is production's: its table is read, not what it would become.
#[test]
fn the_confs_of_the_target_are_analysed() {
    let staged = chain();
    run(&staged, &["materialize", "team.one"]).expect(0);
    let words = ["check", "--analyze", "team.two", "--target", "dev"];
    // The scripted Spark says nothing of what it is to analyse, so that the script is kept.
    let screen = run(&staged, &words).expect(2);
    assert!(
        screen.stderr.contains("Spark ended before all"),
        "{}",
        screen.text()
    );
    let samples = fs::read_dir(staged.workspace.path(".chronon-run/samples")).unwrap();
    let scripts: Vec<String> = samples
        .map(|entry| entry.unwrap().path().join("analysis.sql"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert_eq!(scripts.len(), 1);
    assert!(scripts[0].contains("FROM out.team_one"), "{}", scripts[0]);
    assert!(!scripts[0].contains("lake.a"), "{}", scripts[0]);
}

#[test]
fn the_pages_of_a_target_can_be_written_as_a_folder() {
    let staged = chain();
    run(&staged, &["materialize", "team.one"]).expect(0);
    run(&staged, &["materialize", "team.two", "--target", "dev"]).expect(0);
    let site = |target| run(&staged, &["report", "--site", "site", "--target", target]);
    let unknown = site("nope").expect(2);
    assert!(
        unknown
            .stderr
            .contains("workspace.toml has no target `nope`"),
        "{}",
        unknown.text()
    );
    assert!(!staged.workspace.path("site").exists());
    site("dev").expect(0);
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(staged.workspace.path(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    };
    assert_eq!(
        names("site/asset"),
        ["staging_query~team.two~backfill.html"]
    );
    let runs = json(run(
        &staged,
        &["runs", "--output", "json", "--target", "dev"],
    ));
    let own = format!("{}.html", runs["runs"][0]["run"].as_str().unwrap());
    assert_eq!(names("site/run"), [own]);
    let assets = staged.workspace.read("site/assets.html");
    assert!(assets.contains("dev_ann_b_out.team_two"), "{assets}");
    assert!(!assets.contains("team.three"), "{assets}");
    assert!(assets.contains(", target dev"), "{assets}");
}

/// The Driver reads the conf from a file: one of the target's, not of the repo.
#[test]
fn the_driver_gets_copies_of_the_confs() {
    use chronon_run_testkit::{repo_builder::generate, scripted};

    let staged = Staged::new(&[]);
    let workspace = &staged.workspace;
    let settings = workspace.read("workspace.toml");
    let generated = generate(workspace.root(), 8, 3, 7).unwrap();
    workspace.write("workspace.toml", &settings);
    scripted::install(
        &workspace.path("spark"),
        crate::staged::scripted_spark_submit(),
    )
    .unwrap();
    fs::write(
        workspace.path("chronon.jar"),
        crate::jars::jar(&[crate::jars::DRIVER]),
    )
    .unwrap();
    workspace.edit(
        "workspace.toml",
        "[engine]\n",
        "[engine]\nkind = \"chronon\"\nchronon_jar = \"chronon.jar\"\n",
    );
    let last = format!("as_of = \"{}\"", generated.last);
    workspace.edit("workspace.toml", "as_of = \"2026-01-03\"", &last);
    add(&staged, DEV);
    let before = tables(&staged);
    let screen = run(
        &staged,
        &["materialize", "--target", "dev", "--limit-left", "7"],
    );
    assert!(matches!(screen.code, Some(0 | 3)), "{}", screen.text());
    let calls = staged.calls();
    assert!(!calls.is_empty(), "{}", screen.text());
    for call in &calls {
        let mut confs = call
            .argv
            .iter()
            .filter(|word| word.starts_with("--conf-path="));
        if let Some(conf) = confs.next() {
            assert!(
                conf.contains("/.chronon-run/targets/dev/confs/production/"),
                "{conf}"
            );
            let text = fs::read_to_string(conf.trim_start_matches("--conf-path=")).unwrap();
            assert!(text.contains("\"outputNamespace\": \"dev_ann_b_"), "{text}");
            let is_limited =
                text.contains("s_place <= 7") && text.contains(r#""7 left rows of a day""#);
            assert_eq!(is_limited, conf.contains("/joins/"), "{text}");
        }
    }
    let new: Vec<String> = tables(&staged).difference(&before).cloned().collect();
    assert!(!new.is_empty());
    assert!(
        new.iter().all(|table| table.starts_with("dev_ann_b_")),
        "{new:?}"
    );
}
