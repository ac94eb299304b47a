//! What is believed of the Driver: nothing but partitions. Injected faults need the scripted
//! `spark-submit`; the rest runs on the real Driver too.

use chronon_run_testkit::{
    driver::Write,
    scripted::{Fault, Output},
};

use crate::{
    driven::{Driven, on_both},
    staged::days,
    support::{Screen, steady},
};

/// The lines about failed steps, in alphabetical order: of two that run side by side either may end first.
fn failures(screen: &Screen) -> String {
    let lines = screen.stderr.lines();
    let lines = lines.filter(|line| line.starts_with("failed "));
    // How long it took is of no interest.
    let without_time = lines.map(|line| {
        let (step, cause) = line.split_once(": ").unwrap();
        let step: Vec<&str> = step.split_whitespace().take(3).collect();
        format!("{}: {cause}", step.join(" "))
    });
    let mut lines: Vec<String> = without_time.collect();
    lines.sort();
    lines.join("\n")
}

fn fault(asset: &str) -> Fault {
    Fault {
        asset: Some(asset.parse().unwrap()),
        ..Fault::default()
    }
}

#[test]
fn exit_0_without_the_days_is_a_failure_with_its_own_words() {
    let driven = Driven::scripted("nothing", "");
    driven.faults(&[
        Fault {
            output: Output::None,
            ..fault("group_by/stays.listings.dim_v1/backfill")
        },
        Fault {
            output: Output::Days(2),
            ..fault("join/stays.online.v1/backfill")
        },
    ]);
    let _steady = steady();
    let args = ["materialize", "stays.listings.dim_v1", "stays.online.v1"];
    insta::assert_snapshot!(failures(&driven.run(&args).expect(1)), @r"
    failed group_by/stays.listings.dim_v1/backfill 2026-01-14..2026-01-20: exit code 0, but nothing was written: 2026-01-14..2026-01-20 missing
    failed group_by/stays.listings.dim_v1/backfill 2026-01-22..2026-01-30: exit code 0, but nothing was written: 2026-01-22..2026-01-30 missing
    failed join/stays.online.v1/backfill 2026-01-24..2026-01-30: exit code 0, but not everything was written: 2026-01-26..2026-01-30 missing
    ");
    // What was written is kept, and only the rest is done again.
    let online = driven.days("stays_out.stays_online_v1").unwrap();
    assert_eq!(online, days("2026-01-24", "2026-01-25"));
    driven.faults(&[]);
    driven.run(&args).expect(0);
    let lines = driven.driver_lines();
    let again = lines.iter().rfind(|line| line.contains("online.v1"));
    assert!(
        again
            .unwrap()
            .ends_with("--start-partition-override=2026-01-26")
    );
}

/// A query that computes its day may write days of other steps. The Driver writes them all.
#[test]
fn days_that_no_step_fills_are_said() {
    let driven = Driven::scripted("more", "");
    driven.faults(&[Fault {
        output: Output::More(2),
        ..fault("staging_query/stays.sessions.daily_v1/backfill")
    }]);
    let query = "stays.sessions.daily_v1";
    let run = driven.run(&["materialize", query, "--end-ds", "2026-01-28"]);
    // The first step makes days of the second, too: those are filled anyway.
    let text = "that count as filled from now on: 2026-01-29..2026-01-30;";
    assert_eq!(run.expect(0).stderr.matches(text).count(), 1);
}

/// The Driver summarizes a sample, so all rows of a day are counted before it is taken for empty.
#[test]
fn a_day_that_a_sample_left_out_is_not_taken_for_empty() {
    let driven = Driven::scripted("sampled", "");
    let stats = "join/stays.listing_panel.v1/stats-summary";
    driven
        .run(&["materialize", "stays.listing_panel.v1"])
        .expect(0);
    driven.faults(&[Fault {
        output: Output::Days(2),
        ..fault(stats)
    }]);
    let _steady = steady();
    let screen = driven.run(&["materialize", stats]).expect(1);
    let failed = failures(&screen);
    assert!(failed.contains("not everything was written"), "{failed}");
    driven.faults(&[]);
    driven.run(&["materialize", stats]).expect(0);
}

on_both!(
    uploads,
    "",
    an_upload_without_rows_is_a_failure_and_a_newer_day_is_never_overwritten
);

fn an_upload_without_rows_is_a_failure_and_a_newer_day_is_never_overwritten(driven: &Driven) {
    let upload = "group_by/stays.listings.dim_v1/upload";
    let on = |day: &str| driven.run(&["materialize", upload, "--ds", day]);
    let _steady = steady();
    on("2026-01-20").expect(0);
    on("2026-01-22").expect(0);
    let calls = driven.driver_lines().len();
    on("2026-01-20").expect(0);
    assert_eq!(
        driven.driver_lines().len(),
        calls,
        "an older day is left alone"
    );
    // The snapshot landed without a row: the upload exits 0 all the same.
    driven.empty_days("lake.listings", &days("2026-01-24", "2026-01-24"));
    assert_eq!(
        failures(&on("2026-01-24").expect(1)),
        "failed group_by/stays.listings.dim_v1/upload 2026-01-24: exit code 0, but the upload has no rows"
    );
    // Nobody knows now what the table holds, so the older day may be asked for again.
    on("2026-01-22").expect(0);
}

on_both!(
    first_holes,
    "",
    days_left_of_existing_output_get_the_flag_and_holes_do_not
);

fn days_left_of_existing_output_get_the_flag_and_holes_do_not(driven: &Driven) {
    let from = |start: &str, end: &str| {
        let args = [
            "materialize",
            "stays.online.v1",
            "--start-ds",
            start,
            "--end-ds",
            end,
        ];
        driven.run(&args).expect(0);
        driven.driver_lines().pop().unwrap()
    };
    assert!(!from("2026-01-26", "2026-01-26").contains("first-hole"));
    assert!(!from("2026-01-28", "2026-01-29").contains("first-hole"));
    assert!(
        !from("2026-01-26", "2026-01-28").contains("first-hole"),
        "a hole"
    );
    assert!(from("2026-01-24", "2026-01-24").contains("--run-first-hole"));
    let filled = driven.days("stays_out.stays_online_v1").unwrap();
    assert_eq!(filled.to_string(), "2026-01-24, 2026-01-26..2026-01-29");
}

on_both!(gate, "", nothing_starts_before_the_right_side_has_landed);

/// A source that is not there is waited for on the right side too, where the Driver would write NULLs
/// for good.
fn nothing_starts_before_the_right_side_has_landed(driven: &Driven) {
    // Seeds are loaded by the first run.
    driven
        .run(&["materialize", "stays.sessions.fx_v1"])
        .expect(0);
    driven.hide_days("lake.bookings", &days("2026-01-29", "2026-01-30"));
    let screen = driven.run(&["materialize", "stays.online.v1"]).expect(3);
    let filled = driven.days("stays_out.stays_online_v1").unwrap();
    assert_eq!(
        filled,
        days("2026-01-24", "2026-01-28"),
        "{}",
        screen.text()
    );
    let ends: Vec<bool> = (driven.driver_lines().iter())
        .filter(|line| line.starts_with("join"))
        .map(|line| line.contains("--end-date=2026-01-28"))
        .collect();
    assert_eq!(
        ends,
        [true],
        "the Driver is not even told of the days that wait"
    );
    driven.write(Write::days(
        driven.table("lake.bookings"),
        days("2026-01-29", "2026-01-30"),
    ));
    driven.run(&["materialize", "stays.online.v1"]).expect(0);
    let filled = driven.days("stays_out.stays_online_v1").unwrap();
    assert_eq!(filled, days("2026-01-24", "2026-01-30"));
}
