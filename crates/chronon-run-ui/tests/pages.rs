//! Every page over HTTP, from a source whose names, logs, SQL and rows are hostile.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use chronon_run_core::{
    AssetId, AssetKind, ConfType, Ds, PartitionRange, RangeSet,
    event::{Compared, Event, Outcome, What},
};
use chronon_run_export::{AssetRow, Facts, status};
use chronon_run_ledger::{AttemptRecord, RunDetail, RunRecord, RunState, StepRecord};
use chronon_run_plan::{
    AssetPlan, Cells, Estimates, Explanation, Plan, Reads, Reason, State, Step, StepEstimate,
};
use chronon_run_rows::{ColumnDays, ColumnFigures, FirstRows, Histogram};
use chronon_run_ui::{
    Action, ColumnHistory, Definition, EditedConf, Guard, PlanForm, Script, Settings, Source,
    Token, Trouble, View, serve, write_site,
};

/// Markup, an attribute's end, an escape sequence, and a character that turns the direction of text.
const HOSTILE: &str =
    "<script>alert(1)</script>\"'><img src=x>\u{1b}[31mred\u{1b}]0;t\u{7}\u{202e}";

fn day(text: &str) -> Ds {
    text.parse().unwrap()
}

fn range(first: &str, last: &str) -> PartitionRange {
    PartitionRange::new(day(first), day(last)).unwrap()
}

fn hostile_asset() -> AssetId {
    AssetId::new(
        ConfType::Join,
        &format!("team.{HOSTILE}"),
        AssetKind::Backfill,
    )
}

struct Fake {
    folder: tempfile::TempDir,
    plan: Plan,
    looks: AtomicU64,
    stamp: AtomicU64,
    acts: Mutex<Vec<Action>>,
}

impl Fake {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("runs")).unwrap();
        let log = format!("first line\n{HOSTILE}\nthe line that matters: boom\nlast line\n");
        fs::write(folder.path().join("runs/1.log"), log).unwrap();
        fs::write(folder.path().join("secret"), "the secret of another folder").unwrap();
        Self {
            folder,
            plan: plan(vec![hostile_asset()]),
            looks: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            acts: Mutex::default(),
        }
    }

    /// As many assets, each with as many days.
    fn large(assets: usize, days: i32) -> Self {
        let names = (0..assets).map(|at| {
            AssetId::new(
                ConfType::Join,
                &format!("team{}.a{at}.v1", at % 20),
                AssetKind::Backfill,
            )
        });
        let mut plan = plan(names.collect());
        for asset in &mut plan.assets {
            let end = plan.as_of;
            asset.cells[0].range = PartitionRange::new(end.plus(1 - days), end).unwrap();
        }
        Self {
            plan,
            ..Self::new()
        }
    }
}

fn plan(assets: Vec<AssetId>) -> Plan {
    let asset = |asset: AssetId| AssetPlan {
        asset,
        table: "out.table".parse().unwrap(),
        cells: vec![
            Cells {
                range: range("2026-01-01", "2026-01-10"),
                state: State::Done,
                reason: Reason::PartitionExists,
            },
            Cells {
                range: range("2026-01-11", "2026-01-12"),
                state: State::Run,
                reason: Reason::EngineCannot {
                    why: HOSTILE.to_owned(),
                },
            },
        ],
        excluded: None,
        notes: Vec::new(),
    };
    let step = assets.first().map(|asset| Step {
        index: 0,
        asset: asset.clone(),
        range: range("2026-01-11", "2026-01-12"),
        latest_date: day("2026-01-12"),
        after: Vec::new(),
        once_over: Vec::new(),
        again: RangeSet::new(),
        family: String::new(),
        run_first_hole: false,
        command: None,
    });
    let reads = Reads {
        bytes: 4_200,
        input_days: 2,
        known_days: 2,
        unknown: BTreeSet::from(["lake.unknown".parse().unwrap()]),
    };
    let estimates = Estimates {
        reads_bytes: Some(4_200),
        steps: vec![StepEstimate {
            reads: Some(reads),
            ..StepEstimate::default()
        }],
        ..Estimates::default()
    };
    Plan {
        assets: assets.into_iter().map(asset).collect(),
        steps: step.into_iter().collect(),
        estimates: Some(estimates),
        ..Plan::empty(day("2026-01-12"))
    }
}

fn attempt(log: PathBuf) -> AttemptRecord {
    AttemptRecord {
        run: "r1".to_owned(),
        step: 0,
        asset: hostile_asset(),
        range: range("2026-01-11", "2026-01-12"),
        attempt: 1,
        started: Some(1_000),
        finished: Some(2_000),
        abandoned: false,
        millis: Some(1_000),
        outcome: Some(Outcome::Failed { code: 1 }),
        message: Some(format!("the line that matters: boom\n{HOSTILE}")),
        argv: vec!["spark-submit".to_owned(), HOSTILE.to_owned()],
        log,
        application: Some(HOSTILE.to_owned()),
        may_write: false,
    }
}

impl Source for Fake {
    fn look(&self) -> Result<View, Trouble> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let row = |asset: &AssetPlan| AssetRow {
            asset: asset.asset.clone(),
            table: asset.table.clone(),
            also_writes: Vec::new(),
            team: HOSTILE.to_owned(),
            inputs: vec!["lake.source".parse().unwrap()],
            upstream: BTreeSet::new(),
            embeds: BTreeSet::new(),
            schedule: Some(HOSTILE.to_owned()),
            tags: BTreeSet::from([HOSTILE.to_owned()]),
            path: HOSTILE.to_owned(),
        };
        let failing = self.plan.assets.iter().map(|asset| {
            (
                asset.asset.clone(),
                RangeSet::from(range("2026-01-11", "2026-01-11")),
            )
        });
        let facts = Facts {
            failing: failing.collect(),
            ..Facts::default()
        };
        Ok(View {
            name: HOSTILE.to_owned(),
            at: 0,
            rows: self.plan.assets.iter().map(row).collect(),
            statuses: status(&self.plan, &facts),
            plan: self.plan.clone(),
            offline: self.plan.clone(),
            online: Vec::new(),
            paces: BTreeMap::new(),
            findings: vec![HOSTILE.to_owned()],
        })
    }

    fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::SeqCst)
    }

    fn runs(&self, _limit: u32) -> Vec<RunRecord> {
        ["r1", "outside"]
            .into_iter()
            .filter_map(|id| Some(self.run(id)?.record))
            .collect()
    }

    fn run(&self, id: &str) -> Option<RunDetail> {
        if id == "goes" {
            let mut run = self.run("r1")?;
            run.record.state = RunState::Running;
            run.record.failed = 0;
            let step = &mut run.steps[0];
            step.outcome = None;
            let attempt = &mut step.attempts[0];
            (attempt.outcome, attempt.finished, attempt.millis) = (None, None, None);
            return Some(run);
        }
        let log = match id {
            "r1" => self.folder.path().join("runs/1.log"),
            // A ledger that was tampered with.
            "outside" => self.folder.path().join("runs/../secret"),
            _ => return None,
        };
        let attempt = attempt(log);
        Some(RunDetail {
            record: RunRecord {
                run: id.to_owned(),
                state: RunState::Finished,
                started: 0,
                finished: Some(3_000),
                all_succeeded: Some(false),
                cancelled: None,
                jobs: 1,
                steps: 1,
                succeeded: 0,
                failed: 1,
                skipped: 0,
                interrupted: 0,
            },
            steps: vec![StepRecord {
                step: 0,
                asset: attempt.asset.clone(),
                range: attempt.range,
                outcome: attempt.outcome.clone(),
                skipped: None,
                filled: RangeSet::new(),
                empty: RangeSet::new(),
                bad: attempt.range.into(),
                checked: Vec::new(),
                attempts: vec![attempt],
            }],
        })
    }

    fn events(&self, _run: &str) -> Vec<Event> {
        let whats = [
            What::AttemptStarting {
                step: 0,
                attempt: 1,
                range: range("2026-01-11", "2026-01-12"),
                argv: Vec::new(),
                log: PathBuf::new(),
            },
            What::Notice {
                message: format!("a notice {HOSTILE} token=hunter2SECRET"),
            },
            What::HookEnded {
                hook: "on_failure".to_owned(),
                asset: Some(hostile_asset()),
                millis: 200,
                message: Some(HOSTILE.to_owned()),
            },
            What::Progress {
                step: 0,
                done: 3,
                total: 4,
                stage: format!("statement 2 of 4 (out.{HOSTILE}), stage 7"),
            },
        ];
        whats
            .into_iter()
            .map(|what| Event { at: 1_500, what })
            .collect()
    }

    fn attempts(&self, _asset: &AssetId) -> Vec<AttemptRecord> {
        vec![attempt(PathBuf::from(HOSTILE))]
    }

    fn compared(&self, _asset: &AssetId) -> BTreeMap<Ds, Vec<Compared>> {
        let found = |ds: Ds, equal: u64| Compared {
            ds,
            column: HOSTILE.to_owned(),
            compared: 8,
            equal,
            different: 8 - equal,
            null_computed: 0,
            null_logged: 0,
            worst: Some(1.5),
        };
        let days = [(day("2026-01-09"), 8), (day("2026-01-10"), 6)];
        days.into_iter()
            .map(|(ds, equal)| (ds, vec![found(ds, equal)]))
            .collect()
    }

    fn explain(&self, _asset: &AssetId, _ds: Ds) -> Result<Option<Explanation>, Trouble> {
        Err(trouble())
    }

    fn rows(&self, _asset: &AssetId, _ds: Option<Ds>) -> Result<FirstRows, Trouble> {
        let hostile = || HOSTILE.to_owned();
        Ok(FirstRows {
            columns: vec![(hostile(), hostile())],
            rows: vec![vec![hostile()]],
            total: 7,
            profile: vec![vec![hostile(); 9]],
        })
    }

    fn columns(&self, _asset: &AssetId) -> Result<Arc<ColumnHistory>, Trouble> {
        let figures = |share: f64| ColumnFigures {
            null_share: Some(share),
            distinct: Some(7),
            mean: None,
        };
        Ok(Arc::new(ColumnHistory {
            days: vec![day("2026-01-09"), day("2026-01-10")],
            left_out: 3,
            columns: vec![ColumnDays {
                name: HOSTILE.to_owned(),
                kind: HOSTILE.to_owned(),
                days: vec![figures(0.0), figures(0.25)],
                histogram: Some(Histogram {
                    least: 1.0,
                    greatest: 13.0,
                    counts: vec![4, 0, 8],
                }),
            }],
            described: BTreeMap::from([(HOSTILE.to_owned(), format!("sum of {HOSTILE} over 7d"))]),
        }))
    }

    fn definition(&self, _asset: &AssetId, _ds: Option<Ds>) -> Result<Definition, Trouble> {
        Ok(Definition {
            conf_path: PathBuf::from(HOSTILE),
            conf: HOSTILE.to_owned(),
            python: Some((PathBuf::from(HOSTILE), HOSTILE.to_owned())),
            script: Script::Sql(format!("SELECT '{HOSTILE}'")),
        })
    }

    fn select(&self, _selectors: &str) -> Result<BTreeSet<AssetId>, Trouble> {
        Err(trouble())
    }

    fn plan(&self, form: &PlanForm) -> Result<Plan, Trouble> {
        assert_ne!(form, &PlanForm::default(), "every look has this plan");
        Ok(self.plan.clone())
    }

    fn diff(&self) -> Result<Vec<EditedConf>, Trouble> {
        Ok(vec![EditedConf {
            conf: HOSTILE.to_owned(),
            edits: vec![HOSTILE.to_owned()],
            downstream: vec![hostile_asset()],
            ..EditedConf::default()
        }])
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    fn act(&self, action: &Action) -> Result<String, Trouble> {
        self.acts.lock().unwrap().push(action.clone());
        Ok(String::new())
    }
}

fn trouble() -> Trouble {
    Trouble {
        message: HOSTILE.to_owned(),
        hint: Some(HOSTILE.to_owned()),
    }
}

struct Server {
    address: SocketAddr,
    source: Arc<Fake>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Server {
    fn start(source: Fake, settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let source = Arc::new(source);
        let stop = Arc::new(AtomicBool::new(false));
        let (served, stopped) = (source.clone(), stop.clone());
        let thread = thread::spawn(move || {
            serve(listener, served, settings, move || {
                stopped.load(Ordering::SeqCst)
            })
            .unwrap();
        });
        Self {
            address,
            source,
            stop,
            thread: Some(thread),
        }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        write!(stream, "{request}\r\n{body}").unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }
}

/// The address of the hostile asset, as the list of assets links to it.
fn asset_path(server: &Server) -> String {
    let list = server.get("/assets").body;
    let (_, rest) = list.split_once("href=\"asset/").unwrap();
    format!("/asset/{}", rest.split('"').next().unwrap())
}

fn assert_harmless(path: &str, body: &str) {
    assert!(
        !body.contains("<script>alert"),
        "{path} has a script of the workspace"
    );
    assert!(
        !body.contains("<img"),
        "{path} has an element of the workspace"
    );
    for hidden in ['\u{1b}', '\u{7}', '\u{202e}'] {
        assert!(!body.contains(hidden), "{path} has {hidden:?}");
    }
    // The policy refuses what is inline, so pages must not need it.
    for inline in [" style=", " onclick=", "javascript:"] {
        assert!(!body.contains(inline), "{path} has {inline}");
    }
}

#[test]
fn connections_of_other_users_are_refused() {
    let of = |users: Vec<u32>| {
        let guard = Guard {
            users,
            ..Guard::default()
        };
        let settings = Settings {
            guard,
            ..Settings::default()
        };
        Server::start(Fake::new(), settings).get("/runs")
    };
    let own = chronon_run_process::User::current().uid;
    assert_eq!(of(vec![own, 0]).status, 200);
    let refused = of(vec![own + 1]);
    assert_eq!(refused.status, 403);
    assert!(
        refused.body.starts_with("another user of this machine"),
        "{}",
        refused.body
    );
}

#[test]
fn hostile_names_logs_sql_and_rows_stay_text_on_every_page() {
    let server = Server::start(
        Fake::new(),
        Settings {
            allow_runs: true,
            ..Settings::default()
        },
    );
    let asset = asset_path(&server);
    let pages = [
        "/".to_owned(),
        "/assets".to_owned(),
        "/assets?q=%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
        "/assets?q=nothing%1b[31m".to_owned(),
        asset.clone(),
        format!("{asset}?ds=2026-01-11"),
        "/graph".to_owned(),
        "/graph?select=%3Cscript%3Ealert(1)".to_owned(),
        "/plan?select=%22%3E%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
        asset.replace("/asset/", "/columns/"),
        "/columns/%3Cscript%3Ealert(1)".to_owned(),
        "/diff".to_owned(),
        "/runs".to_owned(),
        "/run/r1".to_owned(),
        "/run/r1?step=0&attempt=1&find=%3Cscript".to_owned(),
        "/run/r1?events=problems".to_owned(),
        "/run/r1?events=%3Cscript%3E".to_owned(),
        "/run/goes".to_owned(),
        "/run/goes?step=0".to_owned(),
        "/run/%3Cscript%3Ealert(1)".to_owned(),
        "/assets?state=%3Cscript%3E".to_owned(),
        format!("{asset}?ds=%3Cscript%3Ealert(1)"),
        "/nothing".to_owned(),
    ];
    for path in &pages {
        let answer = server.get(path);
        assert!(
            [200, 400, 404].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        assert_harmless(path, &answer.body);
        let head = answer.head.to_lowercase();
        assert!(
            head.contains("content-security-policy: default-src 'none'"),
            "{path}"
        );
        assert!(head.contains("x-content-type-options: nosniff"), "{path}");
        assert!(head.contains("cache-control: no-store"), "{path}");
    }
    let run = server.get("/run/r1").body;
    assert!(
        run.contains("<mark id=\"matters\">the line that matters: boom</mark>"),
        "{run}"
    );
    assert!(
        run.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{run}"
    );
}

#[test]
fn columns_are_plotted_with_words_for_every_value() {
    let server = Server::start(Fake::new(), Settings::default());
    let asset = asset_path(&server);
    let columns = asset.replace("/asset/", "/columns/");
    let link = format!("href=\"..{columns}\"");
    assert!(server.get(&asset).body.contains(&link), "{columns}");
    let page = server.get(&columns).body;
    for words in [
        "2026-01-09 0.0 %, 2026-01-10 25.0 %\"",
        "d=\"M3.0 25.0L117.0 3.0\"",
        "in 3 equal parts from 1 to 13: 4, 0, 8\"",
        "3 older ones are left out",
        "sum of &lt;script&gt;",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn a_run_that_goes_on_shows_how_far_its_steps_are() {
    let fake = Fake::new();
    let log = "INFO SparkUI: Bound SparkUI to 0.0.0.0, and started SparkUI at http://host:4040\n";
    fs::write(fake.folder.path().join("runs/1.log"), log).unwrap();
    let server = Server::start(fake, Settings::default());
    let page = server.get("/run/goes?step=0").body;
    for words in [
        "Running now",
        // One statement of four and three of four tasks of the next one.
        "<progress max=\"1\" value=\"0.438\"",
        "statement 2 of 4: out.",
        "stage 7: 3 of 4 tasks",
        "class=\"share\"",
        "href=\"http://host:4040\"",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let over = server.get("/run/r1?step=0").body;
    for words in ["Running now", "href=\"http://host", "<progress"] {
        assert!(!over.contains(words), "{words}: {over}");
    }
}

#[test]
fn the_events_of_a_run_are_listed_and_can_be_limited_to_problems() {
    let server = Server::start(Fake::new(), Settings::default());
    let all = server.get("/run/r1").body;
    for words in [
        "attempt 1",
        "a notice",
        "hook failed",
        "00:00:01",
        "+1.5s",
        "1 problem",
    ] {
        assert!(all.contains(words), "{words}: {all}");
    }
    assert!(!all.contains("hunter2SECRET"), "{all}");
    let problems = server.get("/run/r1?events=problems").body;
    assert!(problems.contains("hook failed") && !problems.contains("a notice"));
    assert_eq!(server.get("/run/r1?events=other").status, 400);
}

#[test]
fn a_join_whose_log_is_compared_shows_how_it_compares_over_days() {
    let backfill: AssetId = "join/team.j/backfill".parse().unwrap();
    let consistency: AssetId = "join/team.j/consistency".parse().unwrap();
    let other: AssetId = "join/team.other/backfill".parse().unwrap();
    let source = Fake {
        plan: plan(vec![backfill, consistency, other]),
        ..Fake::new()
    };
    let server = Server::start(source, Settings::default());
    for asset in ["backfill", "consistency"] {
        let page = server.get(&format!("/asset/join~team.j~{asset}")).body;
        for words in [
            "2026-01-09 100.0 %, 2026-01-10 75.0 %\"",
            "<strong>1 column</strong> of 1 not equal",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert_harmless(asset, &page);
    }
    let without = server.get("/asset/join~team.other~backfill").body;
    assert!(!without.contains("Consistency"));
}

#[test]
fn a_plan_shows_what_each_step_reads() {
    let server = Server::start(Fake::new(), Settings::default());
    let page = server.get("/plan").body;
    assert!(
        page.contains("4.2 kB and 1 table of unknown size"),
        "{page}"
    );
}

#[test]
fn only_own_hosts_and_origins_are_answered() {
    let server = Server::start(
        Fake::new(),
        Settings {
            allow_runs: true,
            ..Settings::default()
        },
    );
    let own = server.address.to_string();
    assert_eq!(
        server
            .send("GET", "/", &[("Host", "evil.example")], "")
            .status,
        421
    );
    assert_eq!(
        server
            .send("GET", "/static/ui.js", &[("Host", "evil.example")], "")
            .status,
        421
    );
    assert_eq!(
        server
            .send("GET", "/", &[("Origin", "http://evil.example")], "")
            .status,
        403
    );
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let post = |origin: &str| {
        let origin = ("Origin", origin);
        server.send(
            "POST",
            "/act/materialize",
            &[form, origin],
            "select=a&start=2026-01-01&end=",
        )
    };
    assert_eq!(post("http://evil.example").status, 403);
    assert_eq!(
        server
            .send("POST", "/act/materialize", &[form], "select=a")
            .status,
        403
    );
    assert!(server.source.acts.lock().unwrap().is_empty());
    assert_eq!(post(&format!("http://{own}")).status, 303);
    let wanted = PlanForm {
        select: "a".to_owned(),
        start: Some(day("2026-01-01")),
        end: None,
    };
    assert_eq!(
        *server.source.acts.lock().unwrap(),
        [Action::Materialize(wanted)]
    );
    // A link of another site cannot act: only POST does.
    assert_eq!(server.get("/act/stop?run=r1").status, 405);
}

#[test]
fn pages_only_read_unless_runs_are_allowed() {
    let server = Server::start(Fake::new(), Settings::default());
    let origin = format!("http://{}", server.address);
    let headers = [
        ("Origin", origin.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    for act in ["materialize", "retry", "stop"] {
        let answer = server.send("POST", &format!("/act/{act}"), &headers, "run=r1");
        assert_eq!(answer.status, 403);
        assert!(answer.body.contains("--allow-runs"));
    }
    assert!(server.source.acts.lock().unwrap().is_empty());
    for path in ["/plan", "/run/r1"] {
        assert!(!server.get(path).body.contains("method=\"post\""), "{path}");
    }
}

#[test]
fn with_a_token_nothing_is_shown_without_it() {
    let token = Token::new().unwrap();
    let guard = Guard {
        names: Vec::new(),
        token: Some(token.clone()),
        ..Guard::default()
    };
    let server = Server::start(
        Fake::new(),
        Settings {
            guard,
            allow_runs: false,
        },
    );
    for path in [
        "/",
        "/assets",
        "/run/r1",
        "/static/style.css",
        "/?token=wrong",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(!answer.body.contains("team"), "{path}");
    }
    let first = server.get(&format!("/runs?token={}&a=b", token.reveal()));
    assert_eq!(first.status, 303);
    assert!(first.head.contains("location: /runs?a=b"), "{}", first.head);
    let cookie = first
        .head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(
        server
            .send("GET", "/runs", &[("Cookie", cookie)], "")
            .status,
        200
    );
    let elsewhere = server.get(&format!("//evil.example/?token={}", token.reveal()));
    assert!(
        !elsewhere.head.contains("location: //"),
        "{}",
        elsewhere.head
    );
}

#[test]
fn no_file_outside_the_logs_is_read() {
    let server = Server::start(Fake::new(), Settings::default());
    let outside = server.get("/run/outside?step=0");
    assert_eq!(outside.status, 200);
    assert!(!outside.body.contains("the secret of another folder"));
    assert!(
        outside.body.contains("it is not a log of this workspace"),
        "{}",
        outside.body
    );
    for path in [
        "/static/../../../etc/passwd",
        "/static/..%2f..%2f..%2fetc%2fpasswd",
        "/asset/..%2f..%2fsecret",
        "/run/..%2f..%2fsecret",
        "/../secret",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            !answer.body.contains("root:") && !answer.body.contains("the secret"),
            "{path}"
        );
    }
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let server = Server::start(Fake::new(), Settings::default());
    // The first answer has the number of the first look.
    server.get("/runs");
    let first = server.get("/runs");
    let tag = first
        .head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    let again = || {
        server
            .send("GET", "/runs", &[("If-None-Match", &tag)], "")
            .status
    };
    // A minute may just have ended.
    let unchanged = again();
    assert!(
        unchanged == 304 || again() == 304 || server.get("/runs").head.contains("etag"),
        "{unchanged}"
    );
    server.source.stamp.fetch_add(1, Ordering::SeqCst);
    assert_eq!(again(), 200);
}

#[test]
fn all_viewers_share_one_look() {
    let server = Server::start(Fake::new(), Settings::default());
    let viewers: Vec<_> = (0..50)
        .map(|_| {
            let address = server.address;
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                write!(
                    stream,
                    "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
                )
                .unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                assert!(text.starts_with("HTTP/1.1 200"));
            })
        })
        .collect();
    viewers
        .into_iter()
        .for_each(|viewer| viewer.join().unwrap());
    // A slow machine may take long enough for a second and a third.
    let looks = server.source.looks.load(Ordering::SeqCst);
    assert!(looks < 10, "{looks} looks for 50 viewers");
}

#[test]
fn a_link_that_was_planted_in_the_folder_of_a_site_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    fs::write(&other, "precious").unwrap();
    std::os::unix::fs::symlink(&other, folder.path().join("index.html")).unwrap();
    let source = Fake::new();
    write_site(folder.path(), &source, &source.look().unwrap()).unwrap();
    assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
}

#[test]
fn a_site_is_complete_and_refers_to_its_own_files_only() {
    let source = Fake::new();
    let folder = tempfile::tempdir().unwrap();
    let view = source.look().unwrap();
    let written = write_site(folder.path(), &source, &view).unwrap();
    assert_eq!(written, 10);
    let mut pages: Vec<PathBuf> = Vec::new();
    for below in ["", "asset", "columns", "run"] {
        let entries = fs::read_dir(folder.path().join(below)).unwrap();
        pages.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|e| e == "html")),
        );
    }
    assert_eq!(pages.len(), written);
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        assert_harmless(&page.display().to_string(), &text);
        for part in text.split(" href=\"").chain(text.split(" src=\"")).skip(1) {
            let target = part.split(['"', '#']).next().unwrap();
            if target.is_empty() || target.starts_with("<!DOCTYPE") {
                continue;
            }
            assert!(
                !target.contains("://") && !target.contains('?'),
                "{}: {target}",
                page.display()
            );
            let file = page.parent().unwrap().join(target);
            assert!(file.is_file(), "{}: {target} is not there", page.display());
        }
    }
}

/// Prints how long pages of a large workspace take: `cargo test -p chronon-run-ui --release -- --nocapture large`.
#[test]
fn a_large_workspace_has_its_pages() {
    let server = Server::start(Fake::large(500, 365), Settings::default());
    server.get("/");
    for path in [
        "/",
        "/assets",
        "/asset/join~team1.a1.v1~backfill",
        "/graph",
        "/plan",
        "/runs",
    ] {
        // Another address, so that no page is kept.
        let began = std::time::Instant::now();
        let answer = server.get(&format!("{path}?x=1"));
        println!("{path}: {:?}, {} bytes", began.elapsed(), answer.body.len());
        assert_eq!(answer.status, 200, "{path}");
    }
    let ten_years = Server::start(Fake::large(1, 3_650), Settings::default());
    let page = ten_years.get("/asset/join~team0.a0.v1~backfill").body;
    assert_eq!(page.matches("class=\"day s-").count(), 3_650);
}
