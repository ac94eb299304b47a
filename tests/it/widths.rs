//! Tables at 80, 120 and 200 columns.

use insta::assert_snapshot;

use crate::{
    staged::Staged,
    support::{Screen, Workspace, steady},
};

const WIDTHS: [usize; 3] = [80, 120, 200];

/// What a command prints on a screen of `width` columns; no line of a table is longer.
fn at(workspace: &Workspace, width: usize, args: &[&str]) -> String {
    let output = workspace
        .command(args)
        .env("COLUMNS", width.to_string())
        .output()
        .unwrap();
    let screen = Screen::new(output, workspace.root()).expect(0);
    let table = screen.stdout.lines().take_while(|line| !line.is_empty());
    for line in table {
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
    let run = runs[0]["run"].as_str().unwrap().to_owned();
    for (width, has_log) in [(80, false), (120, false), (500, true)] {
        at(&staged.workspace, width, &["runs"]);
        let shown = at(&staged.workspace, width, &["runs", "show", &run]);
        assert_eq!(shown.contains("attempt-1.log"), has_log, "{shown}");
    }
}
