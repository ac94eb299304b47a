//! The pages of `chronon-run ui` in a real browser.

use std::process::{Child, Command, Stdio};

use chronon_run_testkit::scripted::Fault;

use crate::{
    browser::Browser,
    staged::{Staged, fault_of},
    support::{Workspace, signal, wait_until},
    ui::{Ui, after_a_failure},
};

const PAGES: [(&str, &str); 8] = [
    ("overview", ""),
    ("assets", "assets"),
    (
        "asset",
        "asset/staging_query~team.two~backfill?ds=2026-01-02",
    ),
    ("graph", "graph"),
    ("plan", "plan"),
    ("diff", "diff"),
    ("runs", "runs"),
    ("run", ""),
];

fn newest_run(staged: &Staged) -> String {
    let runs = staged.run(&["runs", "--output", "json"]).stdout;
    let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
    runs["runs"][0]["run"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs chromium"]
fn every_page_fits_every_width_in_light_and_dark_and_has_no_barriers() {
    let staged = after_a_failure();
    let ui = Ui::start(&staged, &[]);
    let run = format!("run/{}", newest_run(&staged));
    let pages = PAGES.map(|(name, path)| match name {
        "run" => (name, run.clone()),
        _ => (name, path.to_owned()),
    });
    assert_no_barriers(&ui.url, &pages, "staged");
}

#[test]
#[ignore = "needs chromium"]
fn the_line_that_matters_of_a_failure_is_found_in_three_clicks() {
    let staged = after_a_failure();
    let ui = Ui::start(&staged, &[]);
    let run = newest_run(&staged);
    let browser = Browser::open(false);
    browser.resize(1280, 900);
    browser.go(&ui.url);
    browser.click("#last-runs a", &run);
    wait_until("the run's page is there", || {
        browser.text().contains("Steps over time")
    });
    browser.click(".gantt svg a", "team.two");
    wait_until("the step is there", || {
        browser.text().contains("Command line")
    });
    browser.click("a", "Jump to the line that matters");
    let visible = "const mark = document.querySelector('#matters').getBoundingClientRect();
        const log = document.querySelector('.log').getBoundingClientRect();
        return [mark.top >= log.top && mark.bottom <= log.bottom && mark.bottom <= innerHeight,
            document.querySelector('#matters').textContent]";
    wait_until("the line is on the screen", || {
        browser.run(visible)[0] == true
    });
    let line = browser.run(visible)[1].as_str().unwrap().to_owned();
    assert!(
        line.starts_with("Error in query: Table or view not found"),
        "{line}"
    );
    assert!(browser.complaints().is_empty());
}

#[test]
#[ignore = "needs chromium"]
fn a_page_follows_a_run_without_being_loaded_again_and_keys_work() {
    let staged = Staged::chain();
    staged.faults(&[Fault {
        slow_millis: 6_000,
        ..fault_of("one")
    }]);
    let ui = Ui::start(&staged, &[]);
    let browser = Browser::open(false);
    browser.resize(1280, 900);
    browser.go(&ui.url);
    assert!(browser.text().contains("Nothing was run yet"));
    browser.run("window.sameDocument = true");
    let mut run = silently(staged.command(&["materialize"]));
    wait_until("the page shows that it runs", || {
        browser.text().contains("Running now")
    });
    browser.picture("staged-overview-while-it-runs");
    assert!(run.wait().unwrap().success());
    wait_until("the page shows that it is over", || {
        let text = browser.text();
        !text.contains("Running now") && text.contains("Every asset is filled and up to date")
    });
    assert_eq!(
        browser.run("return window.sameDocument"),
        true,
        "the page was loaded again"
    );
    let at = |what: &str| {
        let end = format!("return location.pathname.endsWith('{what}')");
        wait_until(what, || browser.run(&end) == true);
    };
    browser.key("g");
    at("/graph");
    browser.key("r");
    at("/runs");
    browser.key("/");
    assert_eq!(browser.run("return document.activeElement.name"), "q");
    assert!(browser.complaints().is_empty());
}

/// Starts a command that prints nothing here.
fn silently(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The page as it is now, wide and narrow.
fn fits_and_has_no_barriers(browser: &Browser, picture: &str) {
    for width in [1280, 360] {
        browser.resize(width, 900);
        browser.picture(&format!("{picture}-{width}"));
        assert!(browser.overflow() <= 0, "{width}");
    }
    let barriers = browser.barriers();
    assert!(barriers.is_empty(), "{}", barriers.join("\n"));
}

#[test]
#[ignore = "needs chromium"]
fn the_page_of_a_run_shows_what_its_steps_do_and_what_happened() {
    let staged = Staged::chain();
    staged.faults(&[Fault {
        hang: true,
        ..fault_of("one")
    }]);
    let ui = Ui::start(&staged, &[]);
    let mut run = silently(staged.command(&["materialize"]));
    wait_until("the step runs", || !staged.calls().is_empty());
    let browser = Browser::open(true);
    browser.resize(1280, 900);
    browser.go(&format!("{}run/{}", ui.url, newest_run(&staged)));
    browser.run("window.sameDocument = true");
    // The scripted Spark ends one statement before it hangs.
    wait_until("the page shows the statement", || {
        browser.text().contains("statement 2 of ")
    });
    fits_and_has_no_barriers(&browser, "staged-run-while-it-runs-dark");
    signal(run.id(), "TERM");
    run.wait().unwrap();
    wait_until("the end is there without a new page", || {
        let text = browser.text();
        text.contains("run ended") && text.contains("terminated") && !text.contains("Running now")
    });
    assert_eq!(browser.run("return window.sameDocument"), true);
    assert!(browser.complaints().is_empty());
}

#[test]
#[ignore = "needs chromium"]
fn the_site_can_be_opened_as_files() {
    let staged = after_a_failure();
    staged.run(&["report", "--site", "site"]).expect(0);
    let browser = Browser::open(false);
    browser.resize(1280, 900);
    browser.go(&format!(
        "file://{}",
        staged.workspace.path("site/index.html").display()
    ));
    browser.picture("staged-site");
    let styled = browser.run("return getComputedStyle(document.querySelector('.tiles')).display");
    assert_eq!(styled, "grid");
    browser.click("#last-runs a", &newest_run(&staged));
    wait_until("the run's page is there", || {
        browser.text().contains("Error in query")
    });
    browser.click("nav a", "Graph");
    wait_until("the graph is there", || {
        browser.text().contains("team.three")
    });
    assert!(
        browser.complaints().is_empty(),
        "{:?}",
        browser.complaints()
    );
}

/// Whether every page fits every width and has no barriers, in light and dark, with a picture of each.
fn assert_no_barriers(ui: &str, pages: &[(&str, String)], prefix: &str) {
    for dark in [false, true] {
        let browser = Browser::open(dark);
        let tone = if dark { "dark" } else { "light" };
        for (name, path) in pages {
            browser.go(&format!("{ui}{path}"));
            for width in [2560, 1280, 360] {
                browser.resize(width, 900);
                browser.picture(&format!("{prefix}-{name}-{tone}-{width}"));
                let overflow = browser.overflow();
                assert!(
                    overflow <= 0,
                    "{name} is {overflow} pixels too wide at {width}"
                );
            }
            let barriers = browser.barriers();
            assert!(
                barriers.is_empty(),
                "{name}, {tone}:\n{}",
                barriers.join("\n")
            );
            let complaints = browser.complaints();
            assert!(complaints.is_empty(), "{name}: {complaints:?}");
        }
    }
}

#[test]
#[ignore = "needs chromium and Spark"]
fn every_page_of_the_example_while_and_after_it_is_filled() {
    let example = Workspace::example("stays");
    let ui = Ui::serve(example.command(&["ui", "--port", "0"]));
    // What the pages below are of.
    let mut run = silently(example.command(&["materialize", "+stays.search_ranking.v1"]));
    let browser = Browser::open(false);
    browser.resize(1280, 900);
    browser.go(&format!("{}runs", ui.url));
    wait_until("the run is listed", || {
        browser.run("return document.querySelectorAll('#runs table a').length") == 1
    });
    browser.click("#runs table a", "2");
    wait_until("statements are told", || {
        browser.text().contains("statement ")
    });
    fits_and_has_no_barriers(&browser, "example-run-while-it-runs");
    assert!(run.wait().unwrap().success());
    drop(browser);
    let runs = example.run(&["runs", "--output", "json"]).expect(0).stdout;
    let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
    let run = format!("run/{}", runs["runs"][0]["run"].as_str().unwrap());
    let join = "join~stays.search_ranking.v1~backfill";
    let pages = [
        ("overview", String::new()),
        ("assets", "assets".to_owned()),
        ("rows", format!("asset/{join}")),
        ("day", format!("asset/{join}?ds=2026-01-20")),
        ("columns", format!("columns/{join}")),
        ("graph", "graph".to_owned()),
        ("plan", "plan".to_owned()),
        ("diff", "diff".to_owned()),
        ("runs", "runs".to_owned()),
        ("run", run.clone()),
        ("step", format!("{run}?step=3")),
    ];
    assert_no_barriers(&ui.url, &pages, "example");
    drop(ui);
    example.run(&["report", "--site", "site"]).expect(0);
    let site = format!("file://{}/", example.path("site").display());
    let pages = [
        ("index", "index.html".to_owned()),
        ("asset", format!("asset/{join}.html")),
        ("columns", format!("columns/{join}.html")),
        ("run", format!("{run}.html")),
    ];
    assert_no_barriers(&site, &pages, "example-site");
}
