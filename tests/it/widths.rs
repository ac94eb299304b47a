//! Tables and sentences at 80, 120 and 200 columns, and their colours.

use insta::assert_snapshot;
use regex::Regex;

use crate::{
    staged::Staged,
    status::run_with_a_failure,
    stream::{APP, Stream},
    support::{Screen, Workspace, steady},
};

const WIDTHS: [usize; 3] = [80, 120, 200];

/// What a command prints on a screen of `width` columns; no line is longer.
fn at(workspace: &Workspace, width: usize, args: &[&str]) -> String {
    ending(workspace, width, args, 0)
}

/// The same of one that exits with `code`.
pub(crate) fn ending(workspace: &Workspace, width: usize, args: &[&str], code: i32) -> String {
    let output = workspace
        .command(args)
        .env("COLUMNS", width.to_string())
        .output()
        .unwrap();
    let screen = Screen::new(output, workspace.root()).expect(code);
    assert!(screen.stdout.lines().count() > 1, "{}", screen.text());
    for line in screen.stdout.lines() {
        assert!(line.chars().count() <= width, "{width}: {line}");
    }
    screen.text()
}

#[test]
fn the_assets_of_the_example_fit_the_screen() {
    let _steady = steady();
    let example = Workspace::example("stays");
    for width in WIDTHS {
        assert_snapshot!(
            format!("ls_{width}"),
            at(&example, width, &["ls", "stays.bookings.*"])
        );
    }
}

#[test]
fn the_status_of_the_example_fits_the_screen() {
    let _steady = steady();
    let example = Workspace::example("stays");
    for width in WIDTHS {
        let args = ["status", "type:group_by"];
        assert_snapshot!(format!("status_{width}"), at(&example, width, &args));
    }
}

#[test]
fn the_plan_of_the_example_fits_the_screen() {
    let example = Workspace::example("stays");
    for width in WIDTHS {
        assert_snapshot!(format!("plan_{width}"), at(&example, width, &["plan"]));
    }
}

#[test]
fn the_steps_of_a_run_fit_the_screen() {
    let _steady = steady();
    let staged = Staged::chain();
    staged.run(&["materialize", "--jobs", "1"]).expect(0);
    let runs = staged.run(&["runs", "--output", "json"]).expect(0).stdout;
    let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
    let run = runs["runs"][0]["run"].as_str().unwrap().to_owned();
    for (width, has_log) in [(80, false), (120, false), (500, true)] {
        at(&staged.workspace, width, &["runs"]);
        let shown = at(&staged.workspace, width, &["runs", "show", &run]);
        assert_eq!(shown.contains("attempt-1.log"), has_log, "{shown}");
    }
}

#[test]
fn streaming_apps_fit_the_screen() {
    let _steady = steady();
    let stream = Stream::new("command = [\"sh\", \"-c\", \"exit 3\", \"{group_by}\"]");
    stream.run(&[]).expect(3);
    for width in WIDTHS {
        let shown = ending(&stream.0, width, &["stream", "--status"], 3);
        let has = |text: &str| assert!(shown.contains(text), "no {text:?} in\n{shown}");
        has(APP);
        has("backing off");
        let has_all = shown.contains("started               progress");
        assert_eq!(has_all, width > 80, "{shown}");
    }
    let narrow = ending(&stream.0, 80, &["stream", "--status"], 3);
    assert!(
        narrow.contains("left out at 80 columns: started, runs as"),
        "{narrow}"
    );
}

#[test]
fn targets_fit_the_screen() {
    let staged = Staged::chain();
    let text = staged.workspace.read("workspace.toml");
    let target = "a_target_with_the_name_of_a_feature_branch";
    let namespace = format!("dev_{target}_{{namespace}}");
    let lines = format!("{text}\n[targets.{target}]\nnamespace = \"{namespace}\"\n");
    staged.workspace.write("workspace.toml", &lines);
    for (width, has_all) in [(80, false), (120, true)] {
        let shown = at(&staged.workspace, width, &["target", "list"]);
        assert!(shown.contains(target), "{shown}");
        assert_eq!(
            shown.contains(&format!("dev_{target}_")),
            has_all,
            "{shown}"
        );
    }
}

#[test]
fn long_ids_are_cut_before_other_columns_are_left_out() {
    let names: Vec<String> = (1..=6)
        .map(|number| format!("a_name_that_takes_most_of_a_narrow_screen_v{number}"))
        .collect();
    let inputs: &[&str] = &["lake.a"];
    let queries: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), inputs)).collect();
    let staged = Staged::new(&queries);
    for (command, header) in [
        ("ls", "team  schedule"),
        ("plan", "run  from        to"),
        ("status", "days  filled   newest"),
    ] {
        let shown = at(&staged.workspace, 80, &[command]);
        let has = |text: &str| assert!(shown.contains(text), "no {text:?} in\n{shown}");
        has(header);
        has("staging_query");
        has("...");
        has("_v6/backfill  ");
    }
}

#[test]
fn states_have_colours_where_they_are_wanted() {
    let staged = Staged::chain();
    run_with_a_failure(&staged);
    let runs = staged.run(&["runs", "--output", "json"]).expect(0).stdout;
    let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
    let run = runs["runs"][0]["run"].as_str().unwrap();
    let escapes = Regex::new("\x1b\\[[0-9;]*m").unwrap();
    for (args, coloured) in [
        (&["status"][..], "\x1b[31m\x1b[1mfailed\x1b[0m 2026-01-02"),
        (&["status"], "\x1b[32m#\x1b[0m\x1b[31m\x1b[1m!!\x1b[0m"),
        (&["plan"], "  \x1b[33mwaiting\x1b[0m   2026-01-03"),
        (&["plan"], "1 \x1b[33mwaiting\x1b[0m"),
        (&["runs"], "\x1b[31m\x1b[1mfailed\x1b[0m"),
        (&["runs", "show", run], "\x1b[31m\x1b[1mexit code 1\x1b[0m"),
    ] {
        // The test's environment has NO_COLOR.
        let plain = staged.run(args).expect(0).stdout;
        assert!(!plain.contains('\x1b'), "{plain:?}");
        let args = [args, &["--color", "always"]].concat();
        let shown = staged.run(&args).expect(0).stdout;
        assert!(shown.contains(coloured), "{shown:?}");
        assert!(
            !escapes.replace_all(&shown, "").contains('\x1b'),
            "{shown:?}"
        );
    }
}

#[test]
fn json_is_one_line() {
    let staged = Staged::chain();
    for args in [
        &["plan", "--output", "json"][..],
        &["status", "--output", "json"],
        &["ls", "--output", "json"],
        &["runs", "--output", "json"],
    ] {
        let json = staged.run(args).expect(0).stdout;
        assert_eq!(json.lines().count(), 1, "{args:?}");
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
    }
}

#[test]
fn a_dry_run_shows_what_plan_shows() {
    let example = Workspace::example("stays");
    let plan = example.run(&["plan"]).expect(0).stdout;
    let dry_run = example.run(&["materialize", "--dry-run"]).expect(0).stdout;
    assert_eq!(dry_run, plan);
}

#[test]
fn status_shows_totals_and_problems_first() {
    let staged = Staged::chain();
    staged.run(&["materialize", "team.one"]).expect(0);
    let status = staged.run(&["status"]).expect(0).stdout;
    let mut lines = status.lines().skip(1);
    assert_eq!(lines.next(), Some("4 assets: 1 complete, 3 with problems"));
    assert_eq!(lines.next(), Some("days: 3 filled, 9 missing"));
    let assets: Vec<&str> = lines
        .filter(|line| line.starts_with("staging_query/"))
        .collect();
    assert!(assets[3].starts_with("staging_query/team.one/"), "{status}");
    let problems = staged.run(&["status", "--problems"]).expect(0).stdout;
    assert!(problems.contains("\n4 assets: 1 complete"), "{problems}");
    assert!(
        !problems.contains("\nstaging_query/team.one/"),
        "{problems}"
    );
}

#[test]
fn a_summary_says_on_top_what_it_takes_and_in_a_column_for_each_asset() {
    let inputs: &[&str] = &["lake.a"];
    let names = ["one", "two", "three", "four", "five", "six"];
    let staged = Staged::new(&names.map(|name| (name, inputs)));
    staged
        .run(&["materialize", "team.one", "--ds", "2026-01-01"])
        .expect(0);
    let plan = staged.run(&["plan"]).expect(0).stdout;
    let second = plan.lines().nth(1).unwrap();
    assert!(second.starts_with("expected to take "), "{plan}");
    assert!(
        second.ends_with(", one step after another; 5 steps of assets that never ran not counted"),
        "{plan}"
    );
    assert!(plan.contains("  expected\n"), "{plan}");
    assert_eq!(
        plan.lines()
            .filter(|line| line.contains("/team.one/"))
            .count(),
        1,
        "{plan}"
    );
}
