//! `examples/stays` on a real Spark with a real metastore. A JVM takes seconds to start, so there
//! are two tests, each with one workspace: one in which all goes well, and one in trouble.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use chronon_run_core::TableName;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{
    staged::{anybody, metastores},
    support::{Screen, Workspace, signal, steady, wait_until},
    tables::{self, Found},
    terminal::Terminal,
};

fn materialize(workspace: &Workspace, args: &[&str]) -> Screen {
    workspace.run(&[&["materialize"], args].concat())
}

// --- all goes well -----------------------------------------------------------------------------

#[test]
fn the_example_is_filled() {
    let _steady = steady();
    let example = Workspace::example("stays");
    example.edit(
        "workspace.toml",
        "kind = \"embedded\"",
        "kind = \"embedded\"\nidle = \"2s\"",
    );
    first_run_in_a_terminal(&example);
    assert_snapshot!("second_run", materialize(&example, &[]).expect(0).text());
    assert_snapshot!(
        "plan_of_the_filled",
        example.run(&["plan", "--verbose"]).expect(0).stdout
    );
    assert_snapshot!(
        "sampled",
        example.run(&["check", "--sample"]).expect(0).text()
    );
    wait_until("the metastore ends when it is idle", || {
        metastores(example.root()).is_empty()
    });
    values(&example);
    consistency(&example);
    assert_eq!(half_written(&example), Vec::<PathBuf>::new());
}

/// A terminal may stand still for so long on a machine under load; on an idle one it is never more
/// than a second.
const STANDS_STILL: Duration = Duration::from_secs(5);

/// As a person sees it: in a terminal that is the controlling terminal, 80 columns wide.
fn first_run_in_a_terminal(example: &Workspace) {
    let command = example.command(&["materialize"]);
    let mut terminal = Terminal::open_high(&command, 120, 80);
    terminal.exits_with(0);
    terminal.shows("next: chronon-run runs");
    let screen = terminal.screen();
    let at = screen.find("filled ").unwrap();
    let root = example.root().display().to_string();
    assert_snapshot!(
        "summary_in_80_columns",
        screen[at..].replace(&root, "[ROOT]")
    );
    // No row is the rest of one that was too long.
    for row in terminal.rows() {
        if row.starts_with("filled ") {
            break;
        }
        let begins = ["loading ", "done ", "       "];
        assert!(begins.iter().any(|word| row.starts_with(word)), "{row:?}");
    }
    let raw = terminal.raw();
    for said in [
        "starting the metastore",
        "starting Spark for the seeds",
        "loading seed 3 of 7",
        "looking for what earlier runs left",
        "starting Spark",
        "statement ",
        "stage ",
        "/18 steps",
    ] {
        assert!(raw.contains(said), "{said:?} was never shown");
    }
    let pauses = terminal.pauses();
    let longest = pauses.first().copied().unwrap_or_default();
    assert!(longest < STANDS_STILL, "{:?}", &pauses[..5]);
    // It moves ten times a second; a machine under load may miss some, but not most.
    let long = pauses.iter().filter(|pause| pause.as_secs() >= 1).count();
    assert!(long * 100 < pauses.len(), "{long} of {}", pauses.len());
}

/// What is said at the end: the lines before it depend on which of two steps is faster.
fn summary(screen: &Screen) -> String {
    let at = screen.stderr.find("filled ").unwrap();
    screen.stderr[at..].to_owned()
}

fn table(name: &str) -> TableName {
    format!("stays_out.{name}").parse().unwrap()
}

/// The row with these values, as `name → value` of the wanted columns.
fn row(found: &Found, key: &[(&str, &str)], wanted: &[&str]) -> Vec<Value> {
    let columns = &found.content.columns;
    let at = |name: &str| {
        let position = columns.iter().position(|(column, _)| column == name);
        position.unwrap_or_else(|| panic!("no column {name} in {columns:?}"))
    };
    let matches = |row: &&Vec<Value>| key.iter().all(|(name, value)| row[at(name)] == *value);
    let mut rows = found.content.rows.iter().flatten().filter(matches);
    let row = rows.next().unwrap();
    assert!(rows.next().is_none(), "{key:?} is no key");
    wanted.iter().map(|name| row[at(name)].clone()).collect()
}

/// Values worked out by hand from the CSV files below `data/`.
fn values(example: &Workspace) {
    let names = ["listing_daily_v1", "sessions", "searches"].map(|name| match name {
        "listing_daily_v1" => table("stays_bookings_listing_daily_v1"),
        "sessions" => table("stays_sessions_daily_v1"),
        _ => table("stays_search_ranking_v1"),
    });
    let found = tables::read(example, &names);
    let [daily, sessions, searches] = names.map(|name| &found[&name]);

    // SNAPSHOT: the confirmed bookings of L01 in the week that ends with 2026-01-20 are B00367,
    // B00393, B00414, B00471, B00509 and B00536; the newest of them is of guest 1011.
    let features = [
        "booking_id_count_7d",
        "price_sum_7d",
        "booking_id_count_14d",
        "guest_id_last",
    ];
    let key = [("listing_id", "L01"), ("ds", "2026-01-20")];
    assert_eq!(
        row(daily, &key, &features),
        [json!(6), json!(1628.25), json!(17), json!(1011)]
    );

    // TEMPORAL: guest 1011 searched (S00170) at 2026-01-16 18:23:29.5, 0.50, 1.87, 2.25, 4.8, 5.3,
    // 6.9, 10.6, 10.8 and 15.6 days after confirmed bookings.
    let windows = ["12h", "1d", "7d", "14d"];
    let mut features: Vec<String> = windows
        .iter()
        .map(|window| format!("stays_bookings_guest_v1_booking_id_count_{window}"))
        .collect();
    features.push("stays_bookings_guest_v1_booking_id_count".to_owned());
    let features: Vec<&str> = features.iter().map(String::as_str).collect();
    let key = [("search_id", "S00170"), ("ds", "2026-01-16")];
    assert_eq!(
        row(searches, &key, &features),
        [1, 1, 6, 8, 9].map(Value::from)
    );

    // 2026-01-23 landed without searches: it has no partition, as with the Driver (§5.2).
    for table in [sessions, searches] {
        let partitions = table.content.partitions.as_ref().unwrap();
        assert!(partitions.contains("ds=2026-01-22"));
        assert!(!partitions.contains("ds=2026-01-23"));
    }
}

/// The log has three wrong prices on 2026-01-28, two lost flags on 01-29 and one wrong word on 01-30.
fn consistency(example: &Workspace) {
    let screen = materialize(example, &["mode:consistency"]).expect(0);
    assert_snapshot!("consistency", summary(&screen));
    let shown = example.run(&["status"]).expect(0).stdout;
    let at = shown.find("consistency with").unwrap();
    assert_snapshot!("consistency_status", &shown[at..]);
    let status = example.run(&["status", "--output", "json"]).expect(0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let last = &status["consistency"][0];
    assert_eq!(last["ds"], "2026-01-30");
    assert_eq!(last["columns"].as_array().unwrap().len(), 26);
}

// --- trouble -----------------------------------------------------------------------------------

#[test]
fn the_example_in_trouble() {
    let _steady = steady();
    let example = Workspace::example("stays");
    example.edit("workspace.toml", "step_days = 30", "step_days = 5");
    example.edit("workspace.toml", "retries = 1", "retries = 0");
    killed_and_run_again(&example);
    stopped_and_run_again(&example);
    plan_saved_and_applied(&example);
    error_in_a_staging_query(&example);
    assert_eq!(half_written(&example), Vec::<PathBuf>::new());
}

/// `materialize` in the background.
struct Run<'a> {
    example: &'a Workspace,
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
    seen: String,
}

impl<'a> Run<'a> {
    fn start(example: &'a Workspace, args: &[&str]) -> Self {
        let mut command = example.command(&[&["materialize"], args].concat());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self {
            example,
            child,
            lines,
            seen: String::new(),
        }
    }

    /// Reads on to the next line that begins like this.
    fn until(&mut self, beginning: &str) {
        for line in self.lines.by_ref().map_while(Result::ok) {
            self.seen += &line;
            self.seen.push('\n');
            if line.starts_with(beginning) {
                return;
            }
        }
        panic!("it ended before {beginning:?}:\n{}", self.seen);
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    fn end(mut self) -> Option<i32> {
        // To the end, so that it never waits for a reader.
        self.lines.by_ref().map_while(Result::ok).for_each(drop);
        let code = self.child.wait().unwrap().code();
        wait_until("no process is left", || {
            anybody(self.example.root()).is_empty()
        });
        code
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The steps of a run, as `asset range`, by how they ended.
fn steps(example: &Workspace, run: &Value, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
    let id = run["run"].as_str().unwrap();
    let shown = example.run(&["runs", "show", id, "--output", "json"]);
    let shown: Value = serde_json::from_str(&shown.expect(0).stdout).unwrap();
    let steps = shown["step_list"].as_array().unwrap().iter();
    steps
        .filter(|step| wanted(&step["outcome"]))
        .map(|step| format!("{} {}", step["asset"], step["range"]))
        .collect()
}

/// Newest first.
fn runs(example: &Workspace) -> Vec<Value> {
    let shown = example.run(&["runs", "--output", "json"]).expect(0).stdout;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown["runs"].as_array().unwrap().clone()
}

const TWO: [&str; 3] = ["-s", "trust.hosts.profile_v1", "stays.listings.dim_v1"];

/// `kill -9` in the middle: nothing of it lives on, and the next run does the rest and no more.
fn killed_and_run_again(example: &Workspace) {
    let mut run = Run::start(example, &TWO);
    run.until("done");
    run.until("start");
    run.signal("KILL");
    assert_eq!(run.end(), None);
    // What the killed job may have left, and here has for sure, goes (see the end of the test).
    let table = ".chronon-run/warehouse/trust_out.db/trust_hosts_profile_v1";
    fs::create_dir_all(example.path(&format!("{table}/.spark-staging-dead"))).unwrap();

    let mut rest = Run::start(example, &TWO);
    rest.until("start");
    let second = materialize(example, &TWO);
    assert!(
        second.stderr.contains("is being written by run"),
        "{}",
        second.expect(4).text()
    );
    assert_eq!(second.code, Some(4));
    assert_eq!(rest.end(), Some(0));

    let [rest, killed] = &runs(example)[..] else {
        panic!("two runs have steps");
    };
    let finished = steps(example, killed, |outcome| outcome["kind"] == "succeeded");
    let again = steps(example, rest, |_| true);
    assert!(!finished.is_empty() && !again.is_empty());
    assert!(
        finished.iter().all(|step| !again.contains(step)),
        "{finished:?} {again:?}"
    );
}

fn stopped_and_run_again(example: &Workspace) {
    let args = ["-s", "stays.reviews.listing_v1"];
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut run = Run::start(example, &args);
        run.until("start");
        run.signal(name);
        assert_eq!(run.end(), Some(code), "{name}");
    }
    materialize(example, &args).expect(0);
    materialize(example, &args).expect(0);
}

fn plan_saved_and_applied(example: &Workspace) {
    let conf = "production/staging_queries/stays/sessions.daily_v1";
    let plan = [
        "plan",
        "-s",
        "stays.sessions.daily_v1",
        "--out",
        "plan.json",
    ];
    example.run(&plan).expect(0);
    let apply = ["--plan", "plan.json"];
    example.edit(conf, "MIN(price_shown)", "MAX(price_shown)");
    assert_snapshot!(
        "plan_of_another_conf",
        materialize(example, &apply).expect(2).text()
    );
    example.edit(conf, "MAX(price_shown)", "MIN(price_shown)");
    materialize(example, &apply).expect(0);
    assert_snapshot!(
        "plan_applied_already",
        materialize(example, &apply).expect(2).text()
    );
}

/// The line of Spark's that matters is quoted, and what needs the table is not started.
fn error_in_a_staging_query(example: &Workspace) {
    example.edit(
        "production/staging_queries/stays/bookings.confirmed_v1",
        "price / nights",
        "price / nigths",
    );
    let args = [
        "--jobs",
        "1",
        "--end-ds",
        "2026-01-11",
        "-s",
        "stays.bookings.confirmed_v1",
        "stays.bookings.listing_daily_v1",
    ];
    assert_snapshot!("sql_error", materialize(example, &args).expect(1).text());
    let newest = runs(example)[0]["run"].as_str().unwrap().to_owned();
    let shown = example.run(&["runs", "show", &newest]).expect(0);
    assert_snapshot!("sql_error_runs_show", &shown.stdout);
    let log = example.run(&["logs", "staging_query/stays.bookings.confirmed_v1/backfill"]);
    let log = log.expect(0).stdout;
    assert!(log.contains("nigths"), "{log}");
    assert!(log.contains("; statement 10 of 21: SET "), "{log}");
    let failed = "; in statement 11 of 21 (query, with its macros replaced)";
    assert!(shown.stdout.contains(failed), "{}", shown.stdout);
}

/// Files and folders below the warehouse that no finished write leaves.
fn half_written(example: &Workspace) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&example.path(".chronon-run/warehouse"), &mut found);
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("_temporary")
            || name.starts_with(".spark-staging")
            || name.starts_with(".hive-staging")
        {
            found.push(path.clone());
        }
        if path.is_dir() {
            walk(&path, found);
        }
    }
}
