//! The pages beside the limits of their issue: how long each takes in a large workspace, what the server holds in
//! memory when it is idle, and how much 50 viewers slow down a run that uses all processors.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chronon_run_core::CatalogSnapshot;
use chronon_run_testkit::{
    repo_builder,
    scripted::{self, CALLS, CATALOG},
};

use crate::{PROGRAM, recorded};

/// Assets and days of the large workspace.
const LARGE: (usize, u32) = (500, 365);
/// Assets and days of the workspace that is run.
const RUN: (usize, u32) = (40, 40);
const VIEWERS: usize = 50;
/// Between two questions of an open page, as `ui.js` asks.
const PAUSE: Duration = Duration::from_secs(2);
/// Runs with and without viewers, in turn.
const PAIRS: usize = 5;

/// Prints all figures.
pub(crate) fn figures() {
    let folder = tempfile::tempdir().unwrap();
    large(folder.path());
    load(folder.path());
}

/// A server of the pages.
struct Ui {
    child: Child,
    /// `127.0.0.1:1234`.
    host: String,
}

impl Drop for Ui {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Ui {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .args(["ui", "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut url).unwrap();
        let host = url.trim().trim_start_matches("http://").trim_matches('/');
        Self {
            host: host.to_owned(),
            child,
        }
    }

    /// A line of `/proc/<pid>/status` in megabytes.
    fn megabytes(&self, line: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let found = status.lines().find_map(|each| each.strip_prefix(line));
        let kilobytes = found.unwrap().trim_start_matches(':').trim();
        let kilobytes = kilobytes.trim_end_matches(" kB").trim();
        kilobytes.parse::<f64>().unwrap() / 1_000.0
    }

    /// Seconds of processor time so far.
    fn seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    }
}

/// Status, tag and all bytes of an answer.
fn get(host: &str, path: &str, tag: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(host).unwrap();
    let known = match tag {
        "" => String::new(),
        tag => format!("If-None-Match: {tag}\r\n"),
    };
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{known}\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let head = answer.split("\r\n\r\n").next().unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut lines = head.lines();
    let tag = lines.find_map(|line| line.strip_prefix("etag: "));
    (status, tag.unwrap_or_default().to_owned(), answer)
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("CI", "true");
    command
}

fn large(folder: &Path) {
    let (assets, days) = LARGE;
    let generated = recorded(&folder.join("large"), assets, days, 30);
    let began = Instant::now();
    let ui = Ui::start(program(&generated.repo));
    get(&ui.host, "/", "");
    println!("{assets} assets x {days} days");
    println!(
        "{:<44} {:>7.1} ms",
        "first page, from the start of the program",
        began.elapsed().as_secs_f64() * 1_000.0
    );
    println!(
        "{:<44} {:>10} {:>10}  {:>8}",
        "median of 11, rendered anew", "wall", "limit", "size"
    );
    let (.., list) = get(&ui.host, "/assets", "");
    let (_, rest) = list.split_once("href=\"asset/").unwrap();
    let asset = format!("/asset/{}", rest.split('"').next().unwrap());
    for path in ["/", "/assets", &asset, "/graph", "/plan", "/diff", "/runs"] {
        page(&ui, path);
    }
    thread::sleep(Duration::from_secs(10));
    println!(
        "{:<44} {:>7.1} MB {:>7} MB  (with the program's own code {:.1} MB)",
        "memory, idle after every page (RssAnon)",
        ui.megabytes("RssAnon"),
        30,
        ui.megabytes("VmRSS")
    );
}

/// Each with another address, so that no page is kept.
fn page(ui: &Ui, path: &str) {
    let (mut walls, mut size) = (Vec::new(), 0);
    for number in 0..=11 {
        let began = Instant::now();
        let (status, _, answer) = get(&ui.host, &format!("{path}?anew={number}"), "");
        assert_eq!(status, 200, "{path}");
        walls.push(began.elapsed());
        size = answer.len();
    }
    walls.remove(0);
    walls.sort();
    println!(
        "{:<44} {:>7.1} ms {:>7} ms  {:>5} kB",
        path.chars().take(44).collect::<String>(),
        walls[walls.len() / 2].as_secs_f64() * 1_000.0,
        100,
        size / 1_000
    );
}

/// A workspace of which a scripted Spark, which uses a processor for some time, fills the holes.
fn workspace(folder: &Path) -> PathBuf {
    let (assets, days) = RUN;
    let generated = repo_builder::generate(folder, assets, days, 1).unwrap();
    let scripted = scripted_spark_submit();
    let spark = folder.join("spark");
    let submit = scripted::install(&spark, &scripted).unwrap();
    fs::remove_file(&submit).unwrap();
    let script = format!(
        "#!/bin/sh\nhead -c 150000000 /dev/zero | sha256sum > /dev/null\nexec '{}' \"$@\"\n",
        scripted.display()
    );
    fs::write(&submit, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&submit, executable).unwrap();
    fs::write(spark.join("jars/spark-core_2.12-3.3.1.jar"), "").unwrap();
    fs::create_dir_all(folder.join("java/bin")).unwrap();
    fs::write(folder.join("java/release"), "JAVA_VERSION=\"17.0.1\"\n").unwrap();
    fs::write(folder.join("java/bin/java"), "").unwrap();
    let settings = fs::read_to_string(folder.join("workspace.toml")).unwrap();
    let engine = "[engine]\nspark_home = \"spark\"\njava_home = \"java\"\nsessions = false\nfast_start = \"never\"\n";
    let settings = settings.replace("[engine]\n", engine).replace(
        "kind = \"embedded\"",
        "kind = \"fixture\"\npath = \"catalog.json\"\n\n[run]\njobs = 2\nretries = 0",
    );
    fs::write(folder.join("workspace.toml"), settings).unwrap();
    let text = fs::read_to_string(&generated.catalog).unwrap();
    let catalog: CatalogSnapshot = serde_json::from_str(&text).unwrap();
    assert!(!catalog.tables.is_empty());
    generated.repo
}

/// A program of another package, which no benchmark builds.
fn scripted_spark_submit() -> PathBuf {
    let found = Path::new(PROGRAM).with_file_name("scripted-spark-submit");
    assert!(
        found.exists(),
        "build with `cargo build --release --workspace` first"
    );
    found
}

/// How long a run took, and what its viewers saw.
struct Ran {
    wall: Duration,
    /// Processor time of the server, in seconds.
    server: f64,
    /// How long each answer took, and how many of them were `304`.
    answers: Vec<Duration>,
    unchanged: usize,
}

fn load(folder: &Path) {
    let mut ran: [Vec<Ran>; 2] = [Vec::new(), Vec::new()];
    for pair in 0..=PAIRS {
        // Which comes first changes, so that what else the machine does counts for both.
        for viewers in [pair % 2 * VIEWERS, (pair + 1) % 2 * VIEWERS] {
            let one = run(&folder.join(format!("run-{pair}-{viewers}")), viewers);
            // The first pair fills the caches of the disk.
            if pair > 0 {
                ran[usize::from(viewers > 0)].push(one);
            }
        }
    }
    let median = |of: &[Ran]| {
        let mut walls: Vec<f64> = of.iter().map(|one| one.wall.as_secs_f64()).collect();
        walls.sort_by(f64::total_cmp);
        walls[walls.len() / 2]
    };
    let [alone, watched] = &ran;
    let (without, with) = (median(alone), median(watched));
    let processors = thread::available_parallelism().unwrap().get() as f64;
    let used: f64 = watched.iter().map(|one| one.server).sum();
    let walls: f64 = watched.iter().map(|one| one.wall.as_secs_f64()).sum();
    println!("\n{VIEWERS} viewers of 5 pages during a run that uses {processors} processors");
    println!("median of {PAIRS} runs without viewers {without:>25.2} s");
    println!(
        "median of {PAIRS} runs with viewers {with:>28.2} s  {:+.1} %, limit 2 %",
        (with / without - 1.0) * 100.0
    );
    println!(
        "processor time of the server {:>33.2} % of all",
        used / (walls * processors) * 100.0
    );
    let mut answers: Vec<Duration> = watched.iter().flat_map(|one| one.answers.clone()).collect();
    answers.sort();
    let unchanged: usize = watched.iter().map(|one| one.unchanged).sum();
    println!(
        "{} answers, {unchanged} of them 304: median {:.1} ms, 95 % within {:.1} ms",
        answers.len(),
        answers[answers.len() / 2].as_secs_f64() * 1_000.0,
        answers[answers.len() * 95 / 100].as_secs_f64() * 1_000.0
    );
}

fn run(folder: &Path, viewers: usize) -> Ran {
    let repo = workspace(folder);
    let ui = Ui::start(program(&repo));
    get(&ui.host, "/", "");
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(Mutex::new((Vec::new(), 0)));
    let before = ui.seconds();
    let began = Instant::now();
    let mut child = program(&repo)
        .arg("materialize")
        .env(CATALOG, repo.join("catalog.json"))
        .env(CALLS, repo.join("calls.jsonl"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let threads: Vec<_> = (0..viewers)
        .map(|number| {
            let (host, over, seen) = (ui.host.clone(), over.clone(), seen.clone());
            let runs = repo.join(".chronon-run/runs");
            thread::spawn(move || view(number, &host, &runs, &over, &seen))
        })
        .collect();
    assert!(child.wait().unwrap().success(), "the run failed");
    let wall = began.elapsed();
    let server = ui.seconds() - before;
    over.store(true, Ordering::SeqCst);
    threads.into_iter().for_each(|each| each.join().unwrap());
    let (answers, unchanged) = std::mem::take(&mut *seen.lock().unwrap());
    Ran {
        wall,
        server,
        answers,
        unchanged,
    }
}

/// Asks for one page again and again, as an open one does.
fn view(
    number: usize,
    host: &str,
    runs: &Path,
    over: &AtomicBool,
    seen: &Mutex<(Vec<Duration>, usize)>,
) {
    // Not all at the same time.
    thread::sleep(PAUSE * u32::try_from(number).unwrap() / u32::try_from(VIEWERS).unwrap());
    let mut tag = String::new();
    while !over.load(Ordering::SeqCst) {
        let newest = fs::read_dir(runs).ok().and_then(|mut all| all.next());
        let run = newest.map(|run| run.unwrap().file_name().to_string_lossy().into_owned());
        let path = match (number % 5, run) {
            (0, Some(run)) => format!("/run/{run}"),
            (1, _) => "/assets".to_owned(),
            (2, _) => "/graph".to_owned(),
            (3, _) => "/runs".to_owned(),
            _ => "/".to_owned(),
        };
        let began = Instant::now();
        let (status, newer, _) = get(host, &path, &tag);
        let mut seen = seen.lock().unwrap();
        seen.0.push(began.elapsed());
        seen.1 += usize::from(status == 304);
        drop(seen);
        tag = newer;
        thread::sleep(PAUSE);
    }
}
