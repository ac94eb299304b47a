//! Every mode of the Driver through the binary, on the scripted `spark-submit` and a real metastore.

use chronon_run_testkit::driver::Write;

use crate::{driven::Driven, staged::days, support::steady};

/// The days that the recorded runs of the real Driver left of every table that is filled without
/// being asked for by mode.
#[test]
fn offline_tables_are_filled_and_left_alone_afterwards() {
    let driven = Driven::scripted("offline", "");
    let screen = driven.run(&["materialize"]).expect(0);
    insta::assert_snapshot!(tables_of(&screen.stderr));
    let calls = driven.calls().len();
    let again = driven.run(&["materialize"]).expect(0);
    insta::assert_snapshot!(again.stdout, @"nothing to do: 27 assets, 308 days filled");
    assert_eq!(driven.calls().len(), calls, "nothing is started again");
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

/// The part of a summary between its head and the paths.
fn tables_of(stderr: &str) -> String {
    let lines = stderr
        .lines()
        .skip_while(|line| !line.starts_with("filled "));
    let lines = lines.skip(2).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_other_batch_mode_is_filled_on_request() {
    let driven = Driven::scripted(
        "modes",
        "[[override]]\nselect = \"stays.search_train.modular_v1\"\njoin_flow = \"modular\"\n",
    );
    driven.workspace.edit(
        "teams.json",
        "\"common_env\": {",
        "\"common_env\": {\"CHRONON_LOG_TABLE\": \"modes_lake.log\", \"CHRONON_SCHEMA_TABLE\": \"modes_lake.schemas\", ",
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
    for selector in [
        "mode:upload",
        "join/stays.search_boot.v1/label-join",
        "join/stays.search_train.v1/stats-summary",
        "mode:log-flattener",
        "mode:log-summary",
        "mode:consistency",
    ] {
        driven.run(&["materialize", selector]).expect(0);
    }
    let subcommands: Vec<String> = driven.subcommands().into_iter().collect();
    assert_eq!(
        subcommands,
        [
            "consistency-metrics-compute",
            "group-by-backfill",
            "group-by-upload",
            "join",
            "join-final",
            "join-left",
            "label-join",
            "log-flattener",
            "log-summary",
            "model-transform-batch",
            "staging-query-backfill",
            "stats-summary",
        ]
    );
    let at = |table: &str| driven.days(table).unwrap();
    assert_eq!(at("stays_out.stays_online_v1_logged"), logged);
    assert_eq!(at("stays_out.stays_online_v1_logged_daily_stats"), logged);
    assert_eq!(at("stays_out.stays_online_v1_consistency"), logged);
    assert_eq!(
        at("stays_out.stays_search_train_derived_only_v1"),
        days("2026-01-26", "2026-01-30"),
        "the model's output"
    );
    let labels = driven.days_along("stays_out.stays_search_boot_v1_labels", "label_ds");
    assert_eq!(labels, Some(days("2026-01-30", "2026-01-30")));
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

/// Both launchers start the same Driver with the same arguments.
#[test]
fn the_repos_own_script_starts_the_driver_too() {
    let driven = Driven::scripted("script", "");
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
    insta::assert_snapshot!(driven.driver_lines().join("\n"), @r"
    join --conf-path=production/joins/stays/listing_panel.v1 --end-date=2026-01-20 --start-partition-override=2026-01-16
    join --conf-path=production/joins/stays/listing_panel.v1 --end-date=2026-01-30 --start-partition-override=2026-01-22
    ");
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
        runs[0]["run"].as_str().unwrap(),
        "--output",
        "json",
    ]);
    let call = &driven.calls()[0];
    assert!(
        call.argv.iter().any(|word| word.ends_with("=hunter2")),
        "the job itself gets it"
    );
}

#[test]
fn a_database_that_nobody_made_is_missed_before_anything_runs() {
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
