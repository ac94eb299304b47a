//! Edited confs: what the Driver would archive, what it would not notice; and `--recompute`. All but what
//! happens at the same time runs on the real Driver too.

use chronon_run_core::RangeSet;

use crate::{
    driven::{Driven, on_both},
    support::{Screen, steady},
};

/// A join of the corpus with three parts, and one of its GroupBys as its conf embeds it.
const JOIN: &str = "stays.search_boot.v1";
const CONF: &str = "production/joins/stays/search_boot.v1";
const OUTPUT: &str = "stays_out.stays_search_boot_v1";

fn run(driven: &Driven, args: &[&str]) -> Screen {
    let mut all = vec!["materialize", JOIN];
    all.extend(args);
    driven.run(&all)
}

/// Changes the first window of the join's first part.
fn edit_a_part(driven: &Driven) {
    let mut conf: serde_json::Value = serde_json::from_str(&driven.workspace.read(CONF)).unwrap();
    conf["joinParts"][0]["groupBy"]["backfillStartDate"] = "2025-12-01".into();
    driven
        .workspace
        .write(CONF, &serde_json::to_string_pretty(&conf).unwrap());
}

on_both!(archive, "", tables_are_renamed_only_with_consent);

fn tables_are_renamed_only_with_consent(driven: &Driven) {
    run(driven, &["--end-ds", "2026-01-25"]).expect(0);
    let before = driven.days(OUTPUT).unwrap();
    assert_eq!(
        driven.run(&["diff"]).expect(0).stdout,
        "no conf was edited since its tables were filled\n"
    );
    // What the Driver does not compare is no edit.
    driven.workspace.edit(
        CONF,
        "\"production\": ",
        "\"description\": \"words\", \"production\": ",
    );
    run(driven, &["--end-ds", "2026-01-26"]).expect(0);

    edit_a_part(driven);
    let _steady = steady();
    let plan = driven.run(&["plan", JOIN]).expect(0).stdout;
    // How long it may take differs from run to run.
    let plan = plan.split("expected, by the last steps").next().unwrap();
    // The simulated Driver writes no files that tell the times of rows.
    let same = |line: &&str| {
        !line.starts_with("  note      row times of ") && !line.starts_with("expected to take")
    };
    let plan: Vec<&str> = plan.lines().filter(same).collect();
    insta::assert_snapshot!("archive_plan", plan.join("\n"));
    insta::assert_snapshot!("archive_refused", run(driven, &[]).expect(2).stderr);
    insta::assert_snapshot!("archive_diff", driven.run(&["diff"]).expect(0).stdout);
    assert!(
        driven.days(OUTPUT).unwrap().minus(&before).days() <= 1,
        "nothing was touched"
    );
    let other = "stays.listings.dim_v1";
    let others = driven.run(&["materialize", JOIN, other, "--end-ds", "2026-01-27"]);
    let others = others.expect(2).stderr;
    let left_out = format!("left out, everything else is done: join/{JOIN}/backfill");
    assert!(others.contains(&left_out), "{others}");
    assert!(
        others.contains("`materialize --accept-archive` lets it"),
        "{others}"
    );
    driven
        .run(&["ready", other, "--ds", "2026-01-27"])
        .expect(0);

    run(driven, &["--accept-archive"]).expect(0);
    let after = driven.days(OUTPUT).unwrap();
    assert_eq!(
        after.minus(&RangeSet::from_iter(["2026-01-23"
            .parse::<chronon_run_core::Ds>()
            .unwrap()])),
        after
    );
    assert_eq!(after.first(), before.first(), "all of it is computed again");
    let archived = driven.days(&driven.archived(OUTPUT));
    assert_eq!(
        archived.map(|days| days.last()),
        Some("2026-01-26".parse().ok())
    );
    let calls = driven.driver_lines().len();
    run(driven, &[]).expect(0);
    assert_eq!(driven.driver_lines().len(), calls, "the edit is known now");
}

/// Engine-semantics E23: two parts that start together after an edit destroy the output.
#[test]
fn the_job_that_renames_runs_alone_and_first() {
    let driven = Driven::scripted(
        "alone",
        "[[override]]\nselect = \"*\"\njoin_flow = \"modular\"\n",
    );
    run(&driven, &[]).expect(0);
    edit_a_part(&driven);
    run(&driven, &["--accept-archive", "--jobs", "4"]).expect(0);
    let calls = driven.calls();
    let renames = |call: &&chronon_run_testkit::scripted::Record| {
        call.writes.contains_key(&driven.table(OUTPUT)) && call.subcommand == "join"
    };
    let renaming = calls
        .iter()
        .find(renames)
        .expect("a part job archives the output");
    let end = renaming.end.unwrap();
    let others = calls.iter().filter(|call| call.pid != renaming.pid);
    let overlapping: Vec<_> = others
        .filter(|call| call.start < end && call.end.unwrap() > renaming.start)
        .map(|call| call.argv.last())
        .collect();
    assert!(overlapping.is_empty(), "{overlapping:?}");
    assert_eq!(
        driven.days(OUTPUT).unwrap().last(),
        "2026-01-30".parse().ok()
    );
}

on_both!(
    unnoticed,
    "",
    a_changed_group_by_over_a_filled_table_is_said
);

fn a_changed_group_by_over_a_filled_table_is_said(driven: &Driven) {
    let name = "stays.listings.dim_v1";
    driven
        .run(&["materialize", name, "--end-ds", "2026-01-20"])
        .expect(0);
    let conf = "production/group_bys/stays/listings.dim_v1";
    let mut tree: serde_json::Value = serde_json::from_str(&driven.workspace.read(conf)).unwrap();
    tree["keyColumns"] = serde_json::json!(["listing"]);
    driven
        .workspace
        .write(conf, &serde_json::to_string_pretty(&tree).unwrap());
    let plan = driven.run(&["plan", name]).expect(0).stdout;
    let said = plan.lines().find(|line| line.contains("note"));
    assert_eq!(
        said.unwrap(),
        "  note      edited since 2026-01-14..2026-01-20 was filled (keyColumns.0): the Driver does not notice, and keeps the table's columns; use a new version, or fill the days again (`--recompute`; `--rebuild` where columns changed)"
    );
    let _steady = steady();
    insta::assert_snapshot!("unnoticed_diff", driven.run(&["diff"]).expect(0).stdout);
}

on_both!(
    recompute,
    "",
    recompute_drops_what_the_driver_would_take_for_done
);

/// §5.4: the output, the bootstrap table, and the parts, where they are written a day back too.
fn recompute_drops_what_the_driver_would_take_for_done(driven: &Driven) {
    run(driven, &[]).expect(0);
    let asked = [
        "--recompute",
        "--start-ds",
        "2026-01-20",
        "--end-ds",
        "2026-01-21",
    ];
    let calls = driven.driver_lines().len();
    let _steady = steady();
    // Nobody can be asked here.
    insta::assert_snapshot!(run(driven, &asked).expect(2).stderr, @r"
    these partitions are dropped, right before the days that they belong to are computed again:
      stays_out.stays_search_boot_v1: 2026-01-20..2026-01-21
      stays_out.stays_search_boot_v1_bootstrap: 2026-01-20..2026-01-21
      stays_out.stays_search_boot_v1_stays_bookings_guest_rt_v1: 2026-01-20..2026-01-21
      stays_out.stays_search_boot_v1_stays_bookings_listing_daily_v1: 2026-01-19..2026-01-29
    error: confirmation is needed and there is no terminal
    hint: add `--yes`
    ");
    assert_eq!(driven.driver_lines().len(), calls);
    let filled = driven.days(OUTPUT);

    let mut yes = asked.to_vec();
    yes.push("--yes");
    run(driven, &yes).expect(0);
    assert_eq!(driven.days(OUTPUT), filled);
    let again = driven.driver_lines().split_off(calls);
    let ends = "--end-date=2026-01-21 --start-partition-override=2026-01-20";
    assert!(again.len() == 1 && again[0].contains(ends), "{again:?}");
    if driven.is_real() {
        return; // What it wrote besides is not recorded.
    }
    let again = driven.calls().split_off(calls);
    let writes: Vec<String> = again
        .iter()
        .flat_map(|call| &call.writes)
        .filter(|(_, days)| !days.is_empty())
        .map(|(table, days)| format!("{} {days}", table.as_str().replace("recompute_", "")))
        .collect();
    insta::assert_snapshot!(writes.join("\n"), @r"
    stays_out.stays_search_boot_v1 2026-01-20..2026-01-21
    stays_out.stays_search_boot_v1_bootstrap 2026-01-20..2026-01-21
    stays_out.stays_search_boot_v1_stays_bookings_guest_rt_v1 2026-01-20..2026-01-21
    stays_out.stays_search_boot_v1_stays_bookings_listing_daily_v1 2026-01-19..2026-01-20
    ");
}
