//! `chronon-run ui` and `report --site` on a workspace that a scripted Spark fills.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use chronon_run_testkit::scripted::Fault;

use crate::{
    staged::{Staged, anybody, fault_of},
    support::{signal, wait_until},
};

/// What a failing step prints: the line that matters, markup and an escape sequence.
pub(crate) const SAYS: &str = "26/01/30 12:00:00 INFO SparkContext: Running Spark
Error in query: Table or view not found: lake.<script>alert(1)</script>\u{1b}[31m; line 1 pos 14
26/01/30 12:00:01 INFO ShutdownHookManager: Shutdown hook called";

/// A running `chronon-run ui`.
pub(crate) struct Ui {
    child: Child,
    /// `http://127.0.0.1:1234/`, with the token if there is one.
    pub(crate) url: String,
}

impl Drop for Ui {
    fn drop(&mut self) {
        signal(self.child.id(), "TERM");
        self.child.wait().unwrap();
    }
}

impl Ui {
    pub(crate) fn start(staged: &Staged, args: &[&str]) -> Self {
        let args: Vec<&str> = ["ui", "--port", "0"].iter().chain(args).copied().collect();
        Self::serve(staged.command(&args))
    }

    pub(crate) fn serve(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        Self {
            child,
            url: url.trim().to_owned(),
        }
    }

    fn host(&self) -> &str {
        self.url
            .trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap()
    }

    fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.host()).unwrap();
        write!(stream, "{request}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn get(&self, path: &str, more: &str) -> String {
        let host = self.host();
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
        ))
    }

    /// The header with the cookie that the token is exchanged for.
    fn cookie(&self) -> String {
        let (_, token) = self.url.split_once("token=").unwrap();
        let welcome = self.get(&format!("/?token={token}"), "");
        let mut lines = welcome.lines();
        let cookie = lines.find_map(|line| line.strip_prefix("set-cookie: "));
        format!("Cookie: {}\r\n", cookie.unwrap().split(';').next().unwrap())
    }

    fn post(&self, path: &str, body: &str, more: &str) -> String {
        let host = self.host();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n{more}\r\n{body}",
            body.len()
        ))
    }
}

/// The chain of assets after a run in which `two` failed.
pub(crate) fn after_a_failure() -> Staged {
    let staged = Staged::chain();
    staged.faults(&[Fault {
        output: chronon_run_testkit::scripted::Output::None,
        exit: Some(1),
        says: SAYS.to_owned(),
        ..fault_of("two")
    }]);
    staged
        .run(&["materialize", "--on-failure", "continue"])
        .expect(1);
    staged
}

fn run_id(staged: &Staged) -> String {
    let runs = staged.run(&["runs", "--output", "json"]).expect(0).stdout;
    let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
    runs["runs"][0]["run"].as_str().unwrap().to_owned()
}

#[test]
fn every_page_shows_what_the_commands_tell() {
    let staged = after_a_failure();
    let ui = Ui::start(&staged, &[]);
    let run = run_id(&staged);
    let has = |path: &str, texts: &[&str]| {
        let page = ui.get(path, "");
        assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
        for text in texts {
            assert!(page.contains(text), "{path} has no {text:?}:\n{page}");
        }
        assert!(
            !page.contains("<script>alert") && !page.contains('\u{1b}'),
            "{path}"
        );
    };
    has(
        "/",
        &[
            "4 assets",
            "2026-01-03",
            &run,
            "Needs attention",
            "team.two",
        ],
    );
    has("/assets", &["team.alone", "out.team_alone", "3/3 100 %"]);
    has("/assets?state=failed", &["1 of 4", "team.two"]);
    has("/assets?q=%2Bteam.two", &["2 of 4", "team.one"]);
    has(
        "/asset/staging_query~team.two~backfill?ds=2026-01-02",
        &[
            "2026-01-02: failed, the last attempt failed; ",
            "Inputs of this day",
            "production/staging_queries/team/two",
            "SELECT * FROM out.team_one",
            "exit code 1",
        ],
    );
    has("/graph", &["team.three", "lake.a", "class=\"edge\""]);
    has("/graph?select=team.two%2B", &["2 assets", "team.three"]);
    has("/plan", &["chronon-run materialize", "to run"]);
    has("/plan?select=team.alone", &["Nothing would run"]);
    has("/diff", &["No conf was edited"]);
    has("/runs", &[&run, "failed"]);
    has(
        &format!("/run/{run}"),
        &[
            "chronon-run retry",
            "<mark id=\"matters\">Error in query: Table or view not found: lake.&lt;script&gt;alert(1)&lt;/script&gt;; line 1 pos 14</mark>",
            "Shutdown hook called",
            "run began",
            "4 steps, 2 at once",
            "verified",
            "3 days filled",
            "needs staging_query/team.two/backfill, which failed",
        ],
    );
    has(&format!("/run/{run}?events=problems"), &["2 problems"]);
    has(&format!("/run/{run}?step=0&find=spark"), &["with “spark”"]);
}

#[test]
fn an_edit_of_a_conf_is_in_the_diff() {
    let staged = Staged::chain();
    staged.run(&["materialize"]).expect(0);
    let path = "production/staging_queries/team/one";
    staged.workspace.edit(path, "SELECT *", "SELECT 1, *");
    let ui = Ui::start(&staged, &[]);
    let page = ui.get("/diff", "");
    assert!(page.contains("staging_query/team.one"), "{page}");
    assert!(page.contains("team.two"), "{page}");
}

#[test]
fn a_workspace_with_errors_still_has_pages() {
    let staged = Staged::chain();
    staged
        .workspace
        .write("production/staging_queries/team/broken", "{");
    let ui = Ui::start(&staged, &[]);
    let page = ui.get("/", "");
    assert!(page.contains("1 finding"), "{page}");
    assert!(page.contains("staging_queries/team/broken"), "{page}");
    // What stops everything is shown as well, and what was there before is not.
    staged
        .workspace
        .write("workspace.toml", "[workspace]\nas_of = 1\n");
    wait_until("the error is on the page", || {
        ui.get("/", "").contains("as_of")
    });
}

#[test]
fn runs_are_started_and_stopped_from_the_page_only_with_the_token() {
    let staged = Staged::chain();
    staged.faults(&[Fault {
        hang: true,
        ..fault_of("one")
    }]);
    let ui = Ui::start(&staged, &["--allow-runs"]);
    assert!(ui.get("/", "").starts_with("HTTP/1.1 401"));
    assert!(
        ui.post("/act/materialize", "select=team.one", "")
            .starts_with("HTTP/1.1 401")
    );
    assert!(staged.calls().is_empty());
    let cookie = ui.cookie();
    let wrong = ui.post("/act/materialize", "select=nothing.there", &cookie);
    assert!(wrong.starts_with("HTTP/1.1 409"), "{wrong}");
    let started = ui.post("/act/materialize", "select=team.one&start=&end=", &cookie);
    assert!(started.starts_with("HTTP/1.1 303"), "{started}");
    wait_until("the step runs", || !staged.calls().is_empty());
    let run = run_id(&staged);
    // The run belongs to no page: it goes on without one.
    drop(ui);
    let ui = Ui::start(&staged, &["--allow-runs"]);
    let cookie = ui.cookie();
    assert!(
        ui.get(&format!("/run/{run}"), &cookie)
            .contains("Stop this run")
    );
    let stopped = ui.post("/act/stop", &format!("run={run}"), &cookie);
    assert!(stopped.starts_with("HTTP/1.1 303"), "{stopped}");
    wait_until("the run has ended", || {
        staged
            .run(&["runs", "--output", "json"])
            .stdout
            .contains("\"cancelled\":\"terminate\"")
            || staged.run(&["runs"]).stdout.contains("stopped")
    });
    drop(ui);
    wait_until("nothing runs", || {
        anybody(staged.workspace.root()).is_empty()
    });
}

#[test]
fn the_pages_can_be_written_as_a_folder() {
    let staged = after_a_failure();
    let screen = staged.run(&["report", "--site", "site"]).expect(0);
    // Six pages of the menu, four assets and a run.
    assert!(
        screen.stderr.contains("wrote 11 pages"),
        "{}",
        screen.stderr
    );
    let run = staged
        .workspace
        .read(&format!("site/run/{}.html", run_id(&staged)));
    assert!(run.contains("id=\"matters\""), "{run}");
    assert!(
        run.contains("../asset/staging_query~team.two~backfill.html"),
        "{run}"
    );
    let written = fs::read_dir(staged.workspace.path("site/asset"))
        .unwrap()
        .count();
    assert_eq!(written, 4);
}

#[test]
fn a_port_that_is_taken_is_an_error_that_tells_what_to_do() {
    let staged = Staged::chain();
    let ui = Ui::start(&staged, &[]);
    let port = ui.host().rsplit_once(':').unwrap().1;
    let screen = staged.run(&["ui", "--port", port]).expect(2);
    assert!(screen.stderr.contains("--port 0"), "{}", screen.stderr);
}
