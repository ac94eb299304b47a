//! Apps whose process lives: their log says whether their query does. The scripted app prints the
//! lines of the Driver that a test appends to a file, and lives on whatever they say.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use chronon_run_core::ds::format_instant;
use insta::assert_snapshot;
use serde_json::Value;

use crate::{
    driven::Driven,
    stream::Stream,
    support::{Screen, steady, wait_until},
};

/// Prints what is appended to `lines.txt`, for ever.
const TAIL: &str = r#"command = ["tail", "-n", "+1", "-f", "lines.txt"]
settle = "200ms"
"#;

/// Writes its arguments and its stdin into `told.jsonl`, one line per hook.
const TELL: &str = r#"import json, sys
event = json.load(sys.stdin)
with open("told.jsonl", "a") as out:
    out.write(json.dumps({"argv": sys.argv[1:], "event": event}) + "\n")
"#;

const HOOKS: &str = r#"[hooks]
on_stream_down = ["python3", "tell.py", "{event}", "{app_name}", "{reason}"]
on_stream_stalled = ["python3", "tell.py", "{event}", "{app_name}", "{reason}"]
on_stream_restarted = ["python3", "tell.py", "{event}", "{app_name}", "{reason}"]

[streaming]"#;

const MAIN_DIED: &str = "Query terminated: a\n\
    Exception in thread \"main\" org.apache.spark.sql.streaming.StreamingQueryException: Query a failed\n\
    === Streaming Query ===\n\tat org.apache.spark.sql.execution.streaming.StreamExecution.run\n\
    Caused by: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: no such topic\n";

fn app(settings: &str) -> Stream {
    let stream = Stream::new(&format!("{TAIL}{settings}\n"));
    stream.0.write("lines.txt", "");
    stream.0.write("tell.py", TELL);
    stream.0.edit("workspace.toml", "[streaming]", HOOKS);
    stream
}

fn print(stream: &Stream, text: &str) {
    let mut options = OpenOptions::new();
    let mut file = options
        .append(true)
        .open(stream.0.path("lines.txt"))
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A report of now, with `end` of `latest` records read.
fn progress(end: u64, latest: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = format_instant(i64::try_from(now.as_millis()).unwrap());
    format!(
        r#"Query made progress: {{
  "id" : "a",
  "timestamp" : "{now}",
  "batchId" : 1,
  "numInputRows" : 4,
  "inputRowsPerSecond" : 2.0,
  "processedRowsPerSecond" : 8.5,
  "durationMs" : {{ "triggerExecution" : 1 }},
  "sources" : [ {{
    "endOffset" : {{ "events" : {{ "0" : {end}, "1" : 5 }} }},
    "latestOffset" : {{ "events" : {{ "0" : {latest}, "1" : 5 }} }}
  }} ]
}}
"#
    )
}

fn log(stream: &Stream) -> PathBuf {
    let root = stream.0.root().display().to_string();
    let log = stream.status()["log"]
        .as_str()
        .unwrap()
        .replace("[ROOT]", &root);
    PathBuf::from(log)
}

/// Whether a process runs; one that was ended and is not reaped yet does not.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn wait_for(stream: &Stream, health: &str) -> Value {
    wait_until(health, || stream.status()["health"] == health);
    stream.status()
}

/// The words that each hook was called with.
fn told(stream: &Stream) -> Vec<Vec<String>> {
    let text = fs::read_to_string(stream.0.path("told.jsonl")).unwrap_or_default();
    let words = |line: &str| {
        let told: Value = serde_json::from_str(line).unwrap();
        assert_eq!(told["event"]["event"], told["argv"][0]);
        let argv = told["argv"].as_array().unwrap();
        argv.iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    };
    text.lines().map(words).collect()
}

#[test]
fn progress_and_lag_are_shown_and_an_app_without_progress_is_stalled() {
    let stream = app("stalled_after = \"1h\"");
    stream.run(&[]).expect(0);
    let first = stream.process();
    print(
        &stream,
        &format!("up\nQuery started: a\n{}", progress(40, 47)),
    );
    wait_until("progress", || !stream.status()["progress"].is_null());
    let status = stream.status();
    assert_eq!(status["health"], "running");
    assert_eq!(status["progress"]["rows"], 4);
    assert_eq!(status["progress"]["lag"]["records"], 7);
    assert_eq!(status["progress"]["lag"]["partitions"]["events-0"], 7);
    let text = stream.run(&["--status"]).expect(0).stdout;
    assert!(
        text.contains("8.5 rows/s") && text.contains("7 records"),
        "{text}"
    );
    assert_eq!(status["path"][3]["link"], "stream");
    assert_eq!(status["path"][3]["lag_records"], 7);
    let file = stream.0.path("figures.prom").display().to_string();
    stream.run(&["--status", "--metrics-file", &file]).expect(0);
    let figures = stream.0.read("figures.prom");
    for figure in [
        "chronon_run_stream_up{group_by=\"stays.bookings.guest_v1\"} 1",
        "chronon_run_stream_lag_records{group_by=\"stays.bookings.guest_v1\"} 7",
        "chronon_run_stream_rows_per_second{group_by=\"stays.bookings.guest_v1\"} 8.5",
        "chronon_run_online_link_late{group_by=\"stays.bookings.guest_v1\",link=\"stream\"} 0",
    ] {
        assert!(figures.contains(figure), "{figure}: {figures}");
    }
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());

    // It is reported each time, and its hook is called once.
    stream.0.edit("workspace.toml", "\"1h\"", "\"1ms\"");
    for _ in 0..2 {
        let screen = stream.run(&[]).expect(1);
        assert!(
            screen.stderr.contains("is stalled: no progress for"),
            "{}",
            screen.text()
        );
    }
    assert_eq!(stream.process(), first);
    assert_eq!(told(&stream).len(), 1);
    assert_eq!(told(&stream)[0][0], "stream_stalled");
    assert_eq!(stream.status()["health"], "stalled");

    let restart = "\"1ms\"\nrestart_stalled = true";
    stream.0.edit("workspace.toml", "\"1ms\"", restart);
    stream.run(&[]);
    assert_ne!(stream.process(), first);
    wait_until("it is gone", || !lives(first));
    let events: Vec<String> = told(&stream)
        .into_iter()
        .map(|words| words[0].clone())
        .collect();
    assert_eq!(events, ["stream_stalled", "stream_restarted"]);
    stream.0.edit("workspace.toml", "\"1ms\"", "\"1h\"");
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());
}

#[test]
fn an_app_that_never_speaks_is_left_alone_unless_stalled_after_is_named() {
    let stream = app("");
    stream.run(&[]).expect(0);
    print(&stream, "up\n");
    assert_eq!(stream.status()["health"], "running");
    assert_eq!(stream.status()["progress"], Value::Null);
    stream.0.edit(
        "workspace.toml",
        "settle",
        "stalled_after = \"1ms\"\nsettle",
    );
    assert_eq!(stream.status()["health"], "stalled");
}

#[test]
fn an_app_that_lives_on_after_its_query_is_ended_and_started_again() {
    let _steady = steady();
    let stream = app("backoff = \"1h\"");
    print(&stream, &format!("Query started: a\n{}", progress(1, 1)));
    stream.run(&[]).expect(0);
    let first = stream.process();
    print(&stream, MAIN_DIED);
    let status = wait_for(&stream, "over");
    let message = status["message"].as_str().unwrap();
    assert!(
        message.contains("Query a failed; caused by org.apache.kafka"),
        "{message}"
    );
    assert!(lives(first));

    assert_snapshot!("query_over", stream.run(&[]).expect(3).text());
    wait_until("it is gone", || !lives(first));
    assert_eq!(stream.status()["health"], "backing_off");
    stream.run(&[]).expect(3);
    assert_eq!(told(&stream).len(), 1);
    assert_eq!(told(&stream)[0][0], "stream_down");

    stream.0.write("lines.txt", "Query started: b\n");
    stream
        .0
        .edit("workspace.toml", "backoff = \"1h\"", "backoff = \"0s\"");
    stream.run(&[]).expect(0);
    assert_ne!(stream.process(), first);
    assert_eq!(told(&stream)[1][0], "stream_restarted");
    // It starts its query again itself: that is no end.
    print(&stream, "Query terminated: b\nQuery started: c\n");
    print(&stream, &progress(1, 1));
    wait_until("progress", || !stream.status()["progress"].is_null());
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());
    assert_eq!(stream.status()["failures"], 0);
}

#[test]
fn a_query_that_is_over_before_the_app_has_settled_is_not_waited_for() {
    let stream = app("tries = 2\nbackoff = \"0s\"");
    stream
        .0
        .edit("workspace.toml", "settle = \"200ms\"", "settle = \"5m\"");
    print(&stream, &format!("Query started: a\n{MAIN_DIED}"));
    let begun = Instant::now();
    let screen = stream.run(&[]);
    assert!(begun.elapsed().as_secs() < 200);
    assert!(
        screen.stderr.contains("its query is over"),
        "{}",
        screen.text()
    );
    stream.run(&[]).expect(1);
    assert_eq!(stream.status()["health"], "given_up");
}

#[test]
fn a_rotated_log_loses_no_event() {
    let stream = app("");
    stream.run(&[]).expect(0);
    print(&stream, &format!("Query started: a\n{}", progress(1, 1)));
    wait_until("progress", || !stream.status()["progress"].is_null());
    // The end is in the copy, and the KV store was not read in between.
    print(&stream, "Query terminated: a\n");
    let log = log_without_a_look(&stream);
    wait_until("the last line", || {
        fs::read_to_string(&log)
            .unwrap()
            .ends_with("Query terminated: a\n")
    });
    fs::copy(&log, log.with_extension("log.1")).unwrap();
    OpenOptions::new()
        .write(true)
        .open(&log)
        .unwrap()
        .set_len(0)
        .unwrap();
    print(&stream, "a line of the pools that live on\n");
    wait_until("the next line", || fs::metadata(&log).unwrap().len() > 0);
    assert_eq!(stream.status()["health"], "over");
}

/// The log, from the record: asking for the status would read it.
fn log_without_a_look(stream: &Stream) -> PathBuf {
    let record: Value = serde_json::from_str(&stream.0.read(crate::stream::RECORD)).unwrap();
    PathBuf::from(record["log"].as_str().unwrap())
}

#[test]
fn a_log_of_two_gigabytes_is_read_once_and_then_only_what_is_new() {
    let stream = app("");
    print(&stream, "Query started: a\n");
    stream.run(&[]).expect(0);
    let path = log(&stream);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    print(&stream, &format!("\n{}", progress(3, 9)));
    wait_until("the report", || {
        fs::metadata(&path).unwrap().len() > 2 << 30
    });
    let begun = Instant::now();
    wait_until("progress", || {
        stream.status()["progress"]["lag"]["records"] == 6
    });
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    let remembered = stream
        .0
        .read(&crate::stream::RECORD.replace(".json", ".progress.json"));
    assert!(remembered.len() < 4_096, "{remembered}");
    print(&stream, &progress(9, 9));
    wait_until("the next report", || {
        stream.status()["progress"]["lag"]["records"] == 0
    });
}

/// On the scripted Driver, so that there are uploads and loads.
#[test]
fn an_outdated_app_is_named_and_started_again_once_todays_conf_was_loaded() {
    const UPLOAD: &str = "group_by/stays.bookings.guest_rt_v1/upload";
    const KV: &str = "group_by/stays.bookings.guest_rt_v1/kv";
    const APP: &str = "group_by/stays.bookings.guest_rt_v1/streaming";
    const CONF: &str = "production/group_bys/stays/bookings.guest_rt_v1";
    let more = format!("[hooks]\nkv_upload = [\"true\", \"{{table}}\"]\n\n[streaming]\n{TAIL}");
    let driven = Driven::scripted("outdated", &more);
    driven.workspace.write("lines.txt", "");
    let load = |day: &str| {
        driven
            .run(&["materialize", UPLOAD, KV, "--ds", day])
            .expect(0);
    };
    let status = || -> Value {
        let screen = driven.run(&["stream", APP, "--status", "--output", "json"]);
        serde_json::from_str::<Value>(&screen.stdout).unwrap()["apps"][0].clone()
    };
    let keep = || driven.run(&["stream", APP]);
    load("2026-01-28");
    keep().expect(0);
    let first = status()["running"].clone();
    assert_eq!(status()["outdated"], serde_json::json!([]));

    // Its own words, and a field that says nothing: the same conf.
    let conf = driven.workspace.read(CONF);
    let mut tree: Value = serde_json::from_str(&conf).unwrap();
    tree["metaData"]["team"] = "stays".into();
    tree["derivations"] = Value::Null;
    driven.workspace.write(CONF, &tree.to_string());
    assert_eq!(status()["health"], "running");

    tree["aggregations"][0]["windows"] = serde_json::json!([{"length": 3, "timeUnit": 1}]);
    driven.workspace.write(CONF, &tree.to_string());
    assert_eq!(status()["health"], "outdated");
    let outdated = status()["outdated"].to_string();
    assert!(
        outdated.contains("conf aggregations.0.windows"),
        "{outdated}"
    );
    // Uploaded, but not loaded: never before.
    let waits = keep().expect(3);
    assert!(
        waits
            .stderr
            .contains("is outdated: conf aggregations.0.windows"),
        "{}",
        waits.text()
    );
    driven
        .run(&["materialize", UPLOAD, "--ds", "2026-01-29"])
        .expect(0);
    keep().expect(3);
    assert_eq!(status()["running"], first);

    load("2026-01-29");
    let screen = keep().expect(0);
    assert!(
        screen
            .stderr
            .contains("started with another conf aggregations.0.windows"),
        "{}",
        screen.text()
    );
    let second = status()["running"].clone();
    assert_ne!(second, first);
    assert_eq!(status()["health"], "running");

    // Other settings need no upload; `restart_outdated = false` only says it.
    let settings = driven.workspace.read("workspace.toml");
    let settings = settings.replace("\"-f\", \"lines.txt\"", "\"-F\", \"lines.txt\"");
    let quiet = settings.replace("settle =", "restart_outdated = false\nsettle =");
    driven.workspace.write("workspace.toml", &quiet);
    keep().expect(0);
    assert_eq!(status()["running"], second);
    assert_eq!(
        status()["outdated"],
        serde_json::json!(["streaming.command"])
    );
    driven.workspace.write("workspace.toml", &settings);
    keep().expect(0);
    assert_ne!(status()["running"], second);
    driven.run(&["stream", "--stop"]).expect(0);
}
