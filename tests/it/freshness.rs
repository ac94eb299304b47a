//! Days that are out of date, and days without rows that are looked at again.

use std::fs;

use chronon_run_core::{RangeSet, TableState};
use chronon_run_testkit::{
    driver::Write,
    scripted::{Fault, Output},
};

use crate::{
    driven::Driven,
    staged::{FIRST, Staged, all_days, days, fault_of},
    support::Screen,
};

/// A source's partition is written again.
fn rewrite(staged: &Staged, table: &str, ds: &str) {
    let mut catalog = staged.catalog();
    Write::days(table.parse().unwrap(), days(ds, ds)).apply(&mut catalog);
    staged
        .workspace
        .write("catalog.json", &serde_json::to_string(&catalog).unwrap());
}

fn edit(staged: &Staged, name: &str) {
    let path = format!("production/staging_queries/team/{name}");
    staged
        .workspace
        .edit(&path, "SELECT *", "SELECT DISTINCT *");
}

fn has(screen: &Screen, line: &str) {
    assert!(screen.stdout.contains(line), "{}", screen.stdout);
}

/// The names and days of the calls after the first `before`.
fn ran(staged: &Staged, before: usize) -> Vec<String> {
    let calls = staged.calls().split_off(before);
    let writes = calls.iter().flat_map(|call| &call.writes);
    let mut texts: Vec<String> = writes
        .map(|(table, days)| format!("{} {days}", table.name()))
        .collect();
    texts.sort();
    texts
}

#[test]
fn rewritten_inputs_are_said_and_stale_fills_exactly_those_days_and_what_is_downstream() {
    let staged = Staged::chain();
    staged.run(&["materialize"]).expect(0);
    has(
        &staged.run(&["status", "--stale"]).expect(0),
        "no filled day is known to be out of date",
    );
    rewrite(&staged, "lake.a", "2026-01-02");

    let plan = staged.run(&["plan"]).expect(0);
    has(
        &plan,
        "done      2026-01-02 (1 day): out of date: lake.a 2026-01-02 rewritten",
    );
    has(&plan, "1 stale (oldest 2026-01-02)");
    let status = staged.run(&["status"]).expect(0);
    has(&status, "#~#");
    has(
        &status,
        "staging_query/team.one/backfill: 1 day, oldest 2026-01-02",
    );
    has(
        &staged.run(&["status", "--stale"]).expect(0),
        "  2026-01-02: lake.a 2026-01-02 rewritten",
    );
    has(
        &staged.run(&["diff"]).expect(0),
        "staging_query/team.one/backfill 2026-01-02 is out of date: lake.a 2026-01-02 rewritten",
    );
    let before = staged.calls().len();
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.calls().len(), before, "it has to be asked for");

    let plan = staged.run(&["plan", "--stale"]).expect(0);
    has(
        &plan,
        "run       2026-01-02 (1 day): out of date: out.team_two 2026-01-02 filled again",
    );
    has(&plan, "days: 9 done, 3 run");
    staged.run(&["materialize", "--stale"]).expect(0);
    assert_eq!(
        ran(&staged, before),
        [
            "team_one 2026-01-02",
            "team_three 2026-01-02",
            "team_two 2026-01-02"
        ]
    );
    let again = staged.run(&["materialize", "--stale"]).expect(0);
    has(&again, "nothing to do");
}

/// What a view shows changes with the tables behind it.
#[test]
fn rewritten_days_behind_a_view_are_seen() {
    let staged = Staged::new(&[("one", &["lake.v"])]);
    staged.set_source("lake.base", all_days());
    let mut catalog = staged.catalog();
    let mut view = TableState::default();
    view.info.is_view = true;
    view.info.view_text = Some("SELECT * FROM lake.base".to_owned());
    catalog.tables.insert("lake.v".parse().unwrap(), Some(view));
    let text = serde_json::to_string(&catalog).unwrap();
    staged.workspace.write("catalog.json", &text);
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("one"), all_days());
    let before = staged.calls().len();
    has(
        &staged.run(&["status", "--stale"]).expect(0),
        "no filled day is known to be out of date",
    );
    rewrite(&staged, "lake.base", "2026-01-02");
    has(
        &staged.run(&["plan"]).expect(0),
        "done      2026-01-02 (1 day): out of date: lake.base 2026-01-02 rewritten",
    );
    staged.run(&["materialize", "--stale"]).expect(0);
    assert_eq!(ran(&staged, before), ["team_one 2026-01-02"]);
    has(
        &staged.run(&["materialize", "--stale"]).expect(0),
        "nothing to do",
    );
}

#[test]
fn an_edit_is_remembered_by_day_whatever_else_is_filled() {
    let staged = Staged::chain();
    staged
        .run(&["materialize", "team.alone", "--end-ds", "2026-01-02"])
        .expect(0);
    edit(&staged, "alone");
    staged.run(&["materialize", "team.alone"]).expect(0);
    for _ in 0..2 {
        let diff = staged.run(&["diff"]).expect(0);
        has(&diff, "edited    query");
        has(&diff, "out.team_alone 2026-01-01..2026-01-02: filled with");
        let plan = staged.run(&["plan", "team.alone"]).expect(0);
        has(&plan, "done      2026-01-03 (1 day): partition exists");
        has(&plan, "(2 days): out of date: the conf was edited (query)");
    }
    let ls = |state: &str| staged.run(&["ls", &format!("state:{state}")]).expect(0);
    has(&ls("edited"), "staging_query/team.alone/backfill");
    has(&ls("stale"), "staging_query/team.alone/backfill");
    assert!(!ls("failed").stdout.contains("staging_query/"));
    assert!(!ls("waiting").stdout.contains("staging_query/"));

    let before = staged.calls().len();
    staged
        .run(&["materialize", "--stale", "-s", "state:edited"])
        .expect(0);
    assert_eq!(ran(&staged, before), ["team_alone 2026-01-01..2026-01-02"]);
    has(
        &staged.run(&["diff"]).expect(0),
        "no conf was edited since its tables were filled",
    );
    let wrong = staged.run(&["ls", "state:old"]).expect(2);
    assert!(wrong.stderr.contains("no such state"), "{}", wrong.stderr);
}

#[test]
fn failed_and_waiting_assets_are_selected_by_their_state() {
    let staged = Staged::chain();
    staged.set_source("lake.b", days(FIRST, "2026-01-02"));
    staged.faults(&[Fault {
        exit: Some(1),
        output: Output::None,
        ..fault_of("two")
    }]);
    let ls = |state: &str| {
        let screen = staged.run(&["ls", "--output", "json", &format!("state:{state}")]);
        let text = screen.expect(0).stdout;
        let names = ["one", "two", "three", "alone"].into_iter();
        let quoted = |name: &str| format!("\"asset\":\"staging_query/team.{name}/backfill\"");
        names
            .filter(|name| text.contains(&quoted(name)))
            .collect::<Vec<_>>()
    };
    assert_eq!(ls("failed"), [""; 0]);
    staged.run(&["materialize"]).expect(1);
    assert_eq!(ls("failed"), ["two"]);
    assert_eq!(ls("waiting"), ["alone"]);

    // Nothing is failed any more when it is filled, nor waits when its source is there.
    staged.faults(&[]);
    staged.run(&["materialize", "state:failed"]).expect(0);
    assert_eq!(staged.filled("two"), all_days());
    staged.set_source("lake.b", all_days());
    assert_eq!(ls("failed"), [""; 0]);
    assert_eq!(ls("waiting"), [""; 0]);
}

#[test]
fn days_that_others_filled_are_unknown_and_a_lost_ledger_makes_all_so() {
    let staged = Staged::chain();
    staged.run(&["materialize"]).expect(0);
    let state = staged.workspace.path(".chronon-run");
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = fs::remove_file(state.join(name));
    }
    edit(&staged, "alone");
    let said = "unknown   2026-01-01..2026-01-03 (3 days): filled by another program or version";
    has(&staged.run(&["plan"]).expect(0), said);
    has(&staged.run(&["plan", "--stale"]).expect(0), "0 steps");
    has(
        &staged.run(&["materialize"]).expect(0),
        "nothing to do: 4 assets, 12 days filled",
    );
    staged
        .run(&["materialize", "team.alone", "--recompute"])
        .expect(0);
    let plan = staged.run(&["plan", "team.alone"]).expect(0);
    assert!(!plan.stdout.contains("unknown"), "{}", plan.stdout);
}

/// The Driver takes what exists for done, so what is filled again is dropped first.
#[test]
fn the_driver_fills_days_again_whose_source_was_rewritten() {
    let driven = Driven::scripted("rewritten", "");
    let name = "stays.listings.dim_v1";
    driven.run(&["materialize", name]).expect(0);
    let filled = driven.days("stays_out.stays_listings_dim_v1");
    let nothing = driven.run(&["plan", "--stale", name]).expect(0);
    has(&nothing, "0 steps");
    driven.add_file("lake.listings", "2026-01-20");
    let plan = driven.run(&["plan", "--stale", name]).expect(0);
    has(&plan, "lake.listings 2026-01-20 rewritten");
    let calls = driven.driver_lines().len();
    let refused = driven.run(&["materialize", "--stale", name]).expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    driven
        .run(&["materialize", "--stale", "--yes", name])
        .expect(0);
    assert_eq!(driven.driver_lines().len(), calls + 1);
    assert_eq!(driven.days("stays_out.stays_listings_dim_v1"), filled);
    has(&driven.run(&["plan", "--stale", name]).expect(0), "0 steps");
}

/// A metastore's partition is there before its rows.
#[test]
fn the_driver_looks_again_at_a_day_without_rows() {
    let driven = Driven::scripted("reopened", "");
    let day = days("2026-01-24", "2026-01-24");
    driven.empty_days("lake.listings", &day);
    let name = "stays.listings.dim_v1";
    driven.run(&["materialize", name]).expect(0);
    let empty = "done      2026-01-24 (1 day): known to have no rows";
    has(&driven.run(&["plan", name]).expect(0), empty);
    let status = driven.run(&["status", name]).expect(0);
    has(&status, "o");
    has(
        &status,
        "group_by/stays.listings.dim_v1/backfill: 1 day, oldest 2026-01-24",
    );
    let calls = driven.driver_lines().len();
    driven.run(&["materialize", name]).expect(0);
    assert_eq!(driven.driver_lines().len(), calls);

    driven.empty_days("lake.listings", &RangeSet::new());
    driven.add_file("lake.listings", "2026-01-24");
    has(
        &driven.run(&["plan", name]).expect(0),
        "run       2026-01-24 (1 day): known to have no rows until now: ",
    );
    driven.run(&["materialize", name]).expect(0);
    let filled = driven.days("stays_out.stays_listings_dim_v1").unwrap();
    assert!(!filled.intersect(&day).is_empty());
}
