//! Every mode of the Driver through the binary. What the real one can do too has one body for both;
//! model transforms, the flattening of a raw log, and what starts no Driver at all stay scripted.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::RangeSet;
use chronon_run_testkit::{driver::Write, golden::recorded_days};

use crate::{
    corpus::Corpus,
    driven::{Driven, on_both},
    staged::days,
    support::steady,
};

const MODULAR: &str =
    "[[override]]\nselect = \"stays.search_train.modular_v1\"\njoin_flow = \"modular\"\n";

on_both!(modes, MODULAR, every_mode_of_the_corpus);

/// All of the corpus, offline tables first, then the modes that are asked for.
fn every_mode_of_the_corpus(driven: &Driven) {
    offline_tables(driven);
    requested_modes(driven);
}

/// The days that the recorded runs of the real Driver left of every table that is filled without
/// being asked for by mode.
fn offline_tables(driven: &Driven) {
    let screen = driven.run(&["materialize"]).expect(0);
    insta::assert_snapshot!("offline_tables", tables_of(&screen.stderr));
    let plan = driven.plan(&[]);
    let recorded = recorded();
    for asset in plan["assets"].as_array().unwrap() {
        let table = asset["table"].as_str().unwrap();
        let ours = driven.days(table).unwrap();
        // Of some only the last day is filled here, and late rows decide about days of parts besides.
        let is_part = asset["asset"].as_str().unwrap().contains("/part/");
        let comparable = ours.days() > 1 && !is_part;
        let Some(days) = recorded.get(table).filter(|_| comparable) else {
            continue;
        };
        let missing = days.minus(&ours);
        assert!(missing.is_empty(), "{table}: {missing} recorded, not here");
    }
    let calls = driven.driver_lines().len();
    let again = driven.run(&["materialize"]).expect(0);
    let stdout = &again.stdout;
    assert!(stdout.starts_with("nothing to do: 32 assets"), "{stdout}");
    assert_eq!(
        driven.driver_lines().len(),
        calls,
        "nothing is started again"
    );
    // An empty left day is no partition, and known not to be one.
    let trained = driven.days("stays_out.stays_search_train_v1").unwrap();
    assert!(!trained.contains("2026-01-23".parse().unwrap()));
    let plan = driven.plan(&["stays.search_train.v1"]);
    let cells = plan["assets"][0]["cells"].as_array().unwrap();
    let empty: Vec<_> = cells
        .iter()
        .filter(|cell| cell["reason"]["kind"] == "known_empty")
        .collect();
    assert_eq!(empty.len(), 1, "{cells:?}");
    assert_eq!(empty[0]["start"], "2026-01-23");
}

/// What the recorded runs left of each table at last.
fn recorded() -> BTreeMap<String, RangeSet> {
    let runs = Corpus::open("a").runs;
    let runs = runs
        .iter()
        .filter(|run| run["kind"] == "engine" && run["exit"] == 0);
    let changes = runs.flat_map(|run| run["tables_changed"].as_object().unwrap());
    changes
        .map(|(table, change)| (table.clone(), recorded_days(&change["after"], "ds")))
        .collect()
}

fn requested_modes(driven: &Driven) {
    let logged = days("2026-01-26", "2026-01-30");
    let log = "stays_out.stays_online_v1_logged";
    if driven.days(log).is_none() {
        driven.write(Write::days(driven.table(log), logged.clone()));
    }
    for selector in [
        "mode:upload",
        "join/stays.search_boot.v1/label-join",
        "join/stays.search_train.derived_v1/stats-summary",
        "join/stays.online.v1/log-summary",
        "join/stays.online.v1/consistency",
    ] {
        driven.run(&["materialize", selector]).expect(0);
        let calls = driven.driver_lines().len();
        driven.run(&["materialize", selector]).expect(0);
        assert_eq!(driven.driver_lines().len(), calls, "{selector}: done");
    }
    let used = [
        "consistency-metrics-compute",
        "group-by-backfill",
        "group-by-upload",
        "join",
        "join-final",
        "join-left",
        "label-join",
        "log-summary",
        "staging-query-backfill",
        "stats-summary",
    ];
    assert_eq!(
        driven.subcommands(),
        used.map(str::to_owned).into_iter().collect::<BTreeSet<_>>()
    );
    for table in ["daily_stats", "consistency"] {
        let filled = driven.days(&format!("stays_out.stays_online_v1_{table}"));
        assert_ne!(filled, Some(RangeSet::new()), "{table}");
    }
    let labels = driven.days_along("stays_out.stays_search_boot_v1_labels", "label_ds");
    assert_eq!(labels, Some(days("2026-01-30", "2026-01-30")));
}

/// The part of a summary between its head and the paths. Which days of a part have no rows depends
/// on late rows, which only the real Driver reads.
fn tables_of(stderr: &str) -> String {
    let lines = stderr
        .lines()
        .skip_while(|line| !line.starts_with("filled "));
    let lines = lines.skip(2).take_while(|line| !line.is_empty());
    let lines = lines.map(|line| match line.contains("_modular_v1_") {
        true => line.split("  no rows on").next().unwrap_or(line).trim_end(),
        false => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A model's platform and a service's raw log cannot be had in a test of the real Driver.
#[test]
fn a_raw_log_is_flattened_and_models_transform() {
    let driven = Driven::scripted("models", "");
    driven.workspace.edit(
        "teams.json",
        "\"common_env\": {",
        "\"common_env\": {\"CHRONON_LOG_TABLE\": \"models_lake.log\", \"CHRONON_SCHEMA_TABLE\": \"models_lake.schemas\", ",
    );
    driven.workspace.edit(
        "production/joins/stays/search_train.derived_only_v1",
        "\"left\": {",
        "\"modelTransforms\": {\"transforms\": [{\"prefix\": \"p\"}]},\n  \"left\": {",
    );
    driven.run(&["materialize"]).expect(0);
    let logged = days("2026-01-25", "2026-01-30");
    driven.write(Write::Partitions {
        table: driven.table("lake.log"),
        others: vec![("name".to_owned(), "stays/online.v1".to_owned())],
        column: "ds".to_owned(),
        days: logged.clone(),
    });
    driven.write(Write::days(driven.table("lake.schemas"), logged.clone()));
    for selector in ["mode:log-flattener", "mode:log-summary", "mode:consistency"] {
        driven.run(&["materialize", selector]).expect(0);
    }
    for subcommand in ["log-flattener", "model-transform-batch"] {
        assert!(driven.subcommands().contains(subcommand), "{subcommand}");
    }
    let at = |table: &str| driven.days(table).unwrap();
    assert_eq!(at("stays_out.stays_online_v1_logged"), logged);
    assert_eq!(at("stays_out.stays_online_v1_logged_daily_stats"), logged);
    assert_eq!(at("stays_out.stays_online_v1_consistency"), logged);
    assert_eq!(
        at("stays_out.stays_search_train_derived_only_v1"),
        days("2026-01-26", "2026-01-30"),
        "the model's output"
    );
}

#[test]
fn the_lines_that_a_team_would_have_typed() {
    let driven = Driven::scripted("lines", "");
    let shown = |args: &[&str]| {
        let mut all = vec!["plan", "--as", "run.py"];
        all.extend(args);
        driven.run(&all).expect(0).stdout
    };
    insta::assert_snapshot!(shown(&["stays.search_train.v1"]), @"run.py --mode=backfill --conf=production/joins/stays/search_train.v1 --env=production --ds=2026-01-30 --start-ds=2026-01-18 --chronon-jar=[ROOT]/chronon.jar");
    insta::assert_snapshot!(shown(&["group_by/stays.listings.dim_v1/upload"]), @"run.py --mode=upload --conf=production/group_bys/stays/listings.dim_v1 --env=production --ds=2026-01-30 --chronon-jar=[ROOT]/chronon.jar");
}

/// What run.py users add by hand is handed on, shown, and replaced by an override of the same mode.
#[test]
fn arguments_of_the_user_reach_the_driver() {
    let driven = Driven::scripted("driver_args", "");
    driven.workspace.edit(
        "workspace.toml",
        "[catalog]",
        r#"[engine.driver_args]
backfill = ["--unset-semantic-hash"]
stats-summary = ["--sample=1.0"]

[[override]]
select = "stays.listing_panel.v1"
driver_args = { backfill = ["--expected-result-table", "checks.panel"] }

[catalog]"#,
    );
    let ends = |line: &str, end: &str| assert!(line.trim_end().ends_with(end), "{line}");
    let typed = driven.run(&["plan", "--as", "run.py", "stays.search_train.v1"]);
    ends(&typed.expect(0).stdout, " --unset-semantic-hash");
    driven
        .run(&["materialize", "stays.listing_panel.v1"])
        .expect(0);
    ends(
        &driven.driver_lines()[0],
        " --expected-result-table checks.panel --start-partition-override=2026-01-16",
    );
    driven.workspace.edit(
        "production/joins/stays/search_train.v1",
        r#"[\"--step-days\", \"5\"]"#,
        r#"[\"--unset-semantic-hash\"]"#,
    );
    let refused = driven.run(&["materialize", "stays.search_train.v1"]);
    assert!(
        refused.stderr.contains("an option that comes twice"),
        "{}",
        refused.stderr
    );
}

on_both!(script, "", the_repos_own_script_starts_the_driver_too);

/// Both launchers start the same Driver with the same arguments.
fn the_repos_own_script_starts_the_driver_too(driven: &Driven) {
    driven.workspace.edit(
        "workspace.toml",
        "kind = \"chronon\"\n",
        "kind = \"chronon\"\nlauncher = \"scripts\"\n",
    );
    driven.workspace.write(
        "scripts/spark_submit.sh",
        "set -euo pipefail\necho \"$APP_NAME for $USER in $JOB_MODE\"\nexec \"$SPARK_SUBMIT_PATH\" \"$@\"\n",
    );
    driven
        .run(&["materialize", "stays.listing_panel.v1"])
        .expect(0);
    let conf = "join --conf-path=production/joins/stays/listing_panel.v1";
    assert_eq!(
        driven.driver_lines(),
        [
            format!("{conf} --end-date=2026-01-20 --start-partition-override=2026-01-16"),
            format!("{conf} --end-date=2026-01-30 --start-partition-override=2026-01-22"),
        ]
    );
    let log = driven.run(&["logs", "stays.listing_panel.v1"]).expect(0);
    assert!(
        log.stdout.contains(
            "chronon_joins_backfill_production_stays.listing_panel.v1 for somebody in local[2]"
        ),
        "{}",
        log.stdout
    );
}

/// What looks secret is shown nowhere: neither in a plan nor in the history of a run.
#[test]
fn secrets_are_masked() {
    let driven = Driven::scripted("secret", "");
    let edit = |from: &str, to: &str| driven.workspace.edit("teams.json", from, to);
    edit(
        "\"common_env\": {",
        "\"common_env\": {\"KV_PASSWORD\": \"hunter2\", ",
    );
    driven.workspace.edit(
        "workspace.toml",
        "fast_start = \"never\"\n",
        "fast_start = \"never\"\nconf = { \"spark.hadoop.fs.s3a.secret.key\" = \"hunter2\" }\n",
    );
    let shown = |args: &[&str]| {
        let screen = driven.run(args).expect(0);
        assert!(!screen.text().contains("hunter2"), "{}", screen.text());
        screen.stdout
    };
    let plan = shown(&["plan", "stays.listing_panel.latest_v1", "--output", "json"]);
    assert!(plan.contains("secret.key=***"), "{plan}");
    shown(&["materialize", "stays.listing_panel.latest_v1"]);
    let runs: serde_json::Value =
        serde_json::from_str(&shown(&["runs", "--output", "json"])).unwrap();
    shown(&[
        "runs",
        "show",
        runs["runs"][0]["run"].as_str().unwrap(),
        "--output",
        "json",
    ]);
    let argv = &driven.calls()[0].argv;
    assert!(
        !argv.iter().any(|word| word.contains("hunter2")),
        "{argv:?}"
    );
    assert_eq!(argv[0], "--properties-file", "the job itself gets it");
}

#[test]
fn a_database_that_does_not_exist_is_reported_before_anything_runs() {
    let driven = Driven::scripted("nowhere", "");
    let conf = "production/group_bys/stays/listings.dim_v1";
    driven
        .workspace
        .edit(conf, "nowhere_stays_out", "nowhere_at_all");
    let _steady = steady();
    let screen = driven
        .run(&["materialize", "stays.listings.dim_v1"])
        .expect(2);
    insta::assert_snapshot!(screen.stderr, @r"
    error: the metastore has no database `at_all`, and Chronon's Driver creates none
    hint: CREATE DATABASE at_all
    ");
    assert!(driven.calls().is_empty());
}
