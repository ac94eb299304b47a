use super::*;
use crate::{
    JsonLines, Lines,
    lines::{Layout, describe},
    test_run::{mixed_run, view_of},
};
use chronon_run_core::event::{Event, Sink};

fn context(table_of: &dyn Fn(&AssetId) -> String) -> SummaryContext<'_> {
    SummaryContext {
        table_of,
        logs: ".chronon-run/runs/r1".into(),
        next: vec!["chronon-run retry r1".to_owned()],
        width: None,
    }
}

#[test]
fn the_summary_says_what_is_there_what_failed_and_what_to_do() {
    let table_of = |asset: &AssetId| format!("db.{}", asset.conf.name.replace('.', "_"));
    let text = summary(&view_of(&mixed_run()), &context(&table_of));
    insta::assert_snapshot!(text, @r"
        filled 10 days of 1 table in 14s

          db.a_s  10 days  2026-01-01..2026-01-10  no rows on 2026-01-10

        1 step failed; the cause is above, in the line that begins with `failed`

        2 steps not started:
          group_by/a.two/backfill
          join/a.j/backfill

        logs: .chronon-run/runs/r1
        next: chronon-run retry r1
        ");
}

#[test]
fn a_run_without_steps_has_nothing_to_do() {
    let table_of = |asset: &AssetId| asset.to_string();
    let text = summary(&RunView::default(), &context(&table_of));
    insta::assert_snapshot!(text, @r"
        nothing to do: everything asked for is there
        next: chronon-run retry r1
        ");
}

#[test]
fn plain_lines_tell_starts_ends_and_failures() {
    let mut bytes = Vec::new();
    let mut lines = Lines::new(&mut bytes);
    for event in mixed_run() {
        lines.emit(&event);
    }
    assert_eq!(lines.view(), &view_of(&mixed_run()));
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap(), @r"
        start  staging_query/a.s/backfill  2026-01-01..2026-01-10
        retry  staging_query/a.s/backfill  2026-01-01..2026-01-10  attempt 1: killed (signal 9; out of memory?); again in 1m00s
        start  group_by/a.one/backfill  2026-01-01..2026-01-10
        start  staging_query/a.s/backfill  2026-01-01..2026-01-10  attempt 2
        note   waiting: metastore at thrift://localhost:9083 does not answer
        done   staging_query/a.s/backfill  2026-01-01..2026-01-10  24s (no rows on 2026-01-10)
        failed group_by/a.one/backfill  2026-01-01..2026-01-10  12s: exit code 1: cannot resolve `x`
               log: logs/1-1.log
        skip   join/a.j/backfill  2026-01-01..2026-01-10: needs group_by/a.one/backfill, which failed
        stopping: a step failed; running steps finish, nothing new starts
        skip   group_by/a.two/backfill  2026-01-01..2026-01-10: the run was stopped
        ");
}

#[test]
fn json_lines_are_the_events() {
    let mut bytes = Vec::new();
    let mut lines = JsonLines::new(&mut bytes);
    for event in mixed_run() {
        lines.emit(&event);
    }
    let text = String::from_utf8(bytes).unwrap();
    let read: Vec<Event> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, mixed_run());
    insta::assert_snapshot!(text.lines().nth(2).unwrap(), @r#"{"version":1,"at":"1970-01-01T00:16:42.000Z","event":"attempt_finished","step":0,"attempt":1,"outcome":{"kind":"killed","signal":9},"millis":12300,"message":null,"retry_in":60000,"next":{"start":"2026-01-01","end":"2026-01-10"},"may_write":false}"#);
}

#[test]
fn a_narrow_terminal_has_the_days_below_the_tables() {
    let table_of = |asset: &AssetId| format!("db.{}", asset.conf.name.replace('.', "_"));
    let narrow = SummaryContext {
        width: Some(40),
        ..context(&table_of)
    };
    let text = summary(&view_of(&mixed_run()), &narrow);
    let tables: Vec<&str> = text.lines().skip(2).take(3).collect();
    let wanted = [
        "  db.a_s  10 days",
        "    2026-01-01..2026-01-10; no rows on",
        "    2026-01-10",
    ];
    assert_eq!(tables, wanted);
}

/// What stands above the bars at a terminal of so many columns.
fn above(columns: usize) -> String {
    let mut view = RunView::default();
    let mut lines = Vec::new();
    for event in mixed_run() {
        view.apply(&event);
        lines.extend(describe(&view, &event, Layout::Above(columns)));
    }
    lines.join("\n")
}

#[test]
fn lines_above_bars_fit_the_terminal() {
    insta::assert_snapshot!("above_40", above(40));
    insta::assert_snapshot!("above_80", above(80));
    for columns in [40, 60, 80, 120] {
        for line in above(columns).lines() {
            let fits = measure_text_width(line) <= columns;
            let is_free =
                line.starts_with("note") || line.starts_with("stopping") || line.contains("log: ");
            assert!(fits || is_free, "{columns}: {line}");
        }
    }
}
