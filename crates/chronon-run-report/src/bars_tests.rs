use indicatif::ProgressDrawTarget;

use super::*;
use crate::test_run::{ended, finished, mixed_run, started, starting, timed, view_of};

fn screen(view: &RunView, expected: &[(StepIndex, u64)], now: i64) -> String {
    live_lines(view, &expected.iter().copied().collect(), now).join("\n")
}

#[test]
fn running_steps_and_the_total_are_shown() {
    let view = view_of(&mixed_run()[..6]);
    let expected = [(0, 30_000), (1, 30_000), (2, 60_000), (3, 0)];
    let steps = [
        "  group_by/a.one/backfill  2026-01-01..2026-01-10  [#####---------------] 3/12 stage 2  1m07s",
        "  staging_query/a.s/backfill  2026-01-01..2026-01-10  attempt 2  1m05s",
        "[--------------------] 0/4 steps  1m10s, about 1m00s left",
    ];
    assert_eq!(screen(&view, &expected, 1_070_000), steps.join("\n"));
    let back_in_time = screen(&view, &[], 1_000);
    assert!(back_in_time.ends_with("0/4 steps  0.0s"), "{back_in_time}");
}

#[test]
fn a_retry_is_waited_for_and_an_ended_run_shows_nothing() {
    insta::assert_snapshot!(screen(&view_of(&mixed_run()[..3]), &[], 1_003_000), @r#"[--------------------] 0/4 steps  3.0s, 1 waiting for a retry"#);
    assert_eq!(screen(&view_of(&mixed_run()), &[], 2_000_000), "");
    assert_eq!(screen(&RunView::default(), &[], 2_000_000), "");
}

#[test]
fn only_eight_lines_are_shown() {
    let names: Vec<String> = (0..12)
        .map(|n| format!("group_by/a.g{n}/backfill"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let starts = (0..11).map(|step| starting(step, 1));
    let view = view_of(&timed(
        std::iter::once(started(&names, 12)).chain(starts).collect(),
    ));
    let lines = live_lines(&view, &BTreeMap::new(), 1_020_000);
    assert_eq!(lines.len(), MOST_LINES + 2);
    assert_eq!(lines[MOST_LINES], "  and 3 more");
}

#[test]
fn the_average_of_the_run_stands_in_for_unknown_times() {
    let succeeded = chronon_run_core::event::Outcome::Succeeded;
    let none = chronon_run_core::RangeSet::new;
    let view = view_of(&timed(vec![
        started(&["group_by/a.one/backfill", "group_by/a.two/backfill"], 1),
        starting(0, 1),
        ended(0, 1, succeeded.clone(), None, None),
        finished(0, succeeded, none(), none()),
    ]));
    assert_eq!(remaining(&view, &BTreeMap::new(), 1_004_000), Some(12_300));
}

#[test]
fn events_reach_the_view_through_a_terminal_that_is_not_there() {
    let mut bars = Bars::on(ProgressDrawTarget::hidden(), BTreeMap::new());
    for event in mixed_run() {
        bars.emit(&event);
        lock(&bars.shared).redraw();
    }
    assert_eq!(bars.view(), view_of(&mixed_run()));
}
