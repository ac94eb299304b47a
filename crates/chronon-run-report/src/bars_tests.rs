use indicatif::{InMemoryTerm, ProgressDrawTarget};

use super::*;
use crate::test_run::{ended, finished, mixed_run, started, starting, timed, view_of};

fn screen(view: &RunView, expected: &[(StepIndex, u64)], now: i64) -> String {
    let lines = live_lines(view, &expected.iter().copied().collect(), now, (24, 120));
    let text = |line: Line| {
        let (done, all) = line.progress;
        format!("{done}/{all} {} {}", line.text, line.note)
            .trim_end()
            .to_owned()
    };
    lines.into_iter().map(text).collect::<Vec<_>>().join("\n")
}

#[test]
fn running_steps_and_the_total_are_shown() {
    let view = view_of(&mixed_run()[..6]);
    let expected = [(0, 30_000), (1, 30_000), (2, 60_000), (3, 0)];
    let steps = [
        "3/12 group_by/a.one/backfill  2026-01-01..2026-01-10  stage 2 1m07s",
        "0/0 staging_query/a.s/backfill  2026-01-01..2026-01-10  attempt 2 1m05s",
        "0/4 steps  1m10s, about 1m00s left",
    ];
    assert_eq!(screen(&view, &expected, 1_070_000), steps.join("\n"));
    let back_in_time = screen(&view, &[], 1_000);
    assert!(back_in_time.ends_with("0/4 steps  0.0s"), "{back_in_time}");
}

#[test]
fn a_retry_is_waited_for_and_an_ended_run_shows_nothing() {
    insta::assert_snapshot!(screen(&view_of(&mixed_run()[..3]), &[], 1_003_000), @r#"0/4 steps  3.0s, 1 waiting for a retry"#);
    assert_eq!(screen(&view_of(&mixed_run()), &[], 2_000_000), "");
    assert_eq!(screen(&RunView::default(), &[], 2_000_000), "");
}

#[test]
fn at_most_eight_lines_and_no_more_than_fit_are_shown() {
    let names: Vec<String> = (0..12)
        .map(|n| format!("group_by/a.g{n}/backfill"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let starts = (0..11).map(|step| starting(step, 1));
    let view = view_of(&timed(
        std::iter::once(started(&names, 12)).chain(starts).collect(),
    ));
    let lines = live_lines(&view, &BTreeMap::new(), 1_020_000, (24, 80));
    assert_eq!(lines.len(), MOST_LINES + 2);
    assert_eq!(lines[MOST_LINES].text, "and 3 more");
    for rows in 1..30 {
        let lines = live_lines(&view, &BTreeMap::new(), 1_020_000, (rows, 80));
        let most = usize::from(rows).saturating_sub(1).max(1);
        assert!(lines.len() <= most, "{rows} rows");
        let shown = lines.iter().filter(|line| line.kind == Kind::Step).count();
        let counted = lines.iter().find(|line| line.kind == Kind::More);
        if let Some(counted) = counted {
            assert_eq!(
                counted.text,
                format!("and {} more", 11 - shown),
                "{rows} rows"
            );
        }
        assert!(counted.is_some() || rows < 3, "{rows} rows");
    }
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
    let mut bars = Bars::on(ProgressDrawTarget::hidden(), BTreeMap::new(), || (24, 80));
    for event in mixed_run() {
        bars.emit(&event);
        lock(&bars.shared).redraw();
    }
    assert_eq!(bars.view(), view_of(&mixed_run()));
}

#[test]
fn every_width_has_its_templates() {
    let shown = |columns: u16| {
        let term = InMemoryTerm::new(24, columns);
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let multi = MultiProgress::with_draw_target(target);
        let view = view_of(&mixed_run()[..6]);
        let lines = live_lines(&view, &BTreeMap::new(), 1_070_000, (24, columns));
        let bars: Vec<_> = lines
            .iter()
            .map(|_| multi.add(ProgressBar::no_length()))
            .collect();
        for (line, bar) in lines.iter().zip(&bars) {
            line.show(bar, columns, None);
            bar.tick();
        }
        term.contents()
    };
    insta::assert_snapshot!("columns_40", shown(40));
    insta::assert_snapshot!("columns_80", shown(80));
    insta::assert_snapshot!("columns_200", shown(200));
}

/// A run of `count` steps, each of which makes a table.
fn making_tables(count: u32) -> RunView {
    let names: Vec<String> = (0..count)
        .map(|n| format!("join/stays.search_ranking_{n}.v1/backfill"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let starts = (0..count).map(|step| starting(step, 1));
    let stage = "statement 4 of 11 (stays_out.stays_bookings_listing_daily_v1), stage 3";
    let stages = (0..count).map(|step| chronon_run_core::event::What::Progress {
        step,
        done: 2,
        total: 8,
        stage: stage.to_owned(),
    });
    view_of(&timed(
        std::iter::once(started(&names, count))
            .chain(starts)
            .chain(stages)
            .collect(),
    ))
}

#[test]
fn the_table_that_is_made_is_named_at_every_width() {
    let lines = |count: u32, rows: u16, columns: u16| -> Vec<String> {
        let view = making_tables(count);
        let lines = live_lines(&view, &BTreeMap::new(), 1_020_000, (rows, columns));
        lines.into_iter().map(|line| line.text).collect()
    };
    assert_eq!(
        lines(1, 24, 80)[1],
        "  statement 4 of 11: stays_out.stays_bookings_listing_daily_v1, stage 3 2/8"
    );
    assert_eq!(
        lines(1, 24, 70)[1],
        "  statement 4 of 11: stays_out.stays_bookings_listing_daily_v1"
    );
    assert_eq!(
        lines(1, 24, 40)[1],
        "  4/11 stays_bookings_listing_daily_v1"
    );
    let tiny = &lines(1, 24, 30)[1];
    assert!(
        tiny.starts_with("  4/11 stays_") && tiny.ends_with("_daily_v1"),
        "{tiny}"
    );
    assert!(lines(1, 24, 200)[0].contains("(stays_out.stays_bookings_listing_daily_v1), stage 3"));
    assert_eq!((lines(4, 24, 80).len(), lines(5, 24, 80).len()), (9, 6));
    for rows in 1..30 {
        for count in 1..10 {
            let most = usize::from(rows).saturating_sub(1).max(1);
            assert!(
                lines(count, rows, 80).len() <= most,
                "{count} steps, {rows} rows"
            );
        }
    }
}

#[test]
fn the_first_word_has_the_colour_of_what_it_means() {
    console::set_colors_enabled_stderr(true);
    assert_eq!(coloured("done   a"), "\u{1b}[32mdone\u{1b}[0m   a");
    assert_eq!(coloured("failed a"), "\u{1b}[31m\u{1b}[1mfailed\u{1b}[0m a");
    assert_eq!(coloured("retry  a"), "\u{1b}[33mretry\u{1b}[0m  a");
    assert_eq!(coloured("       log: x"), "\u{1b}[2m       log: x\u{1b}[0m");
    assert_eq!(coloured("other"), "other");
    console::set_colors_enabled_stderr(false);
}

#[test]
fn narrow_screens_say_it_in_few_words() {
    let short = |stage: &str| short_stage(stage, (2, 8));
    assert_eq!(short("statement 4 of 11 (out.a), stage 3"), "stage 3 2/8");
    assert_eq!(short("statement 4 of 11 (out.a)"), "statement 4/11");
    assert_eq!(short("statement 4 of 11"), "statement 4/11");
    assert_eq!(short("stages 3, 4"), "stages 3, 4 2/8");
    assert_eq!(short("starting Spark"), "starting Spark");
}
