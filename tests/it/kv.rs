//! From uploads to the KV store: order, retries, days, and real values in a real Redis.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use chronon_run_core::Ds;
use insta::assert_snapshot;
use serde_json::Value;

use crate::{
    driven::Driven,
    stream::Stream,
    support::{Screen, Workspace, cache, repository, signal, steady, wait_until},
    tables::{self, Warehouse},
};

const UPLOAD: &str = "group_by/stays.listings.dim_v1/upload";
const KV: &str = "group_by/stays.listings.dim_v1/kv";
/// In milliseconds.
const DAY: i64 = 86_400_000;

/// Writes down what it is told, and fails as often as `failures` says.
const LOAD: &str = r#"import json, os, sys
failures = int(open("failures").read()) if os.path.exists("failures") else 0
if failures:
    open("failures", "w").write(str(failures - 1))
    sys.exit("the store is full")
with open("loads.jsonl", "a") as out:
    out.write(json.dumps(sys.argv[1:]) + "\n")
"#;

const HOOK: &str = r#"[hooks]
kv_upload = ["python3", "load.py", "{table}", "{ds}", "{dataset}", "{batch_end}", "{location}"]

[[override]]
select = "mode:kv"
retries = 1
"#;

fn loads(driven: &Driven) -> Vec<Vec<String>> {
    let path = driven.workspace.path("loads.jsonl");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The days that were loaded, in order.
fn days(driven: &Driven) -> Vec<String> {
    loads(driven)
        .into_iter()
        .map(|load| load[1].clone())
        .collect()
}

#[test]
fn what_was_uploaded_is_loaded_once_and_an_older_day_never_overwrites_a_newer_one() {
    let _steady = steady();
    let driven = Driven::scripted("kv", HOOK);
    driven.workspace.write("load.py", LOAD);
    let on = |assets: &[&str], day: &str| {
        driven.run(&[&["materialize"], assets, &["--ds", day]].concat())
    };
    let screen = on(&[UPLOAD, KV], "2026-01-25").expect(0);
    assert_snapshot!("loaded", screen.text());
    let load = &loads(&driven)[0];
    assert_eq!(
        load[..4],
        [
            "kv_stays_out.stays_listings_dim_v1_upload",
            "2026-01-25",
            "STAYS_LISTINGS_DIM_V1_BATCH",
            "1769385600000", // 2026-01-26T00:00:00Z
        ]
    );
    assert!(
        load[4].ends_with("/stays_listings_dim_v1_upload"),
        "{}",
        load[4]
    );

    let uploads = driven.calls().len();
    let again = on(&[UPLOAD, KV], "2026-01-25").expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.text());
    on(&[UPLOAD, KV], "2026-01-24").expect(0);
    assert_eq!(days(&driven), ["2026-01-25"]);
    assert_eq!(driven.calls().len(), uploads);

    // A load that fails is tried again by itself, and then retried without another upload.
    driven.workspace.write("failures", "3");
    let screen = on(&[UPLOAD, KV], "2026-01-26").expect(1);
    assert_snapshot!("load_failed", screen.text());
    let uploads = driven.calls().len();
    driven.run(&["retry"]).expect(0);
    assert_eq!(days(&driven), ["2026-01-25", "2026-01-26"]);
    assert_eq!(driven.calls().len(), uploads);

    // The table holds a newer day than the one that is asked for: it must not pass for that.
    on(&[UPLOAD], "2026-01-28").expect(0);
    let screen = on(&[KV], "2026-01-27").expect(3);
    assert_snapshot!("held_newer", screen.text());
    on(&[KV], "2026-01-28").expect(0);

    // What is uploaded again is loaded again.
    driven
        .run(&["materialize", UPLOAD, "--ds", "2026-01-28", "--recompute"])
        .expect(0);
    on(&[UPLOAD, KV], "2026-01-28").expect(0);
    assert_eq!(days(&driven)[2..], ["2026-01-28", "2026-01-28"]);
}

#[test]
fn without_a_hook_nothing_is_loaded_and_the_plan_says_so() {
    let workspace = Workspace::example("stays");
    let plan = workspace.run(&["plan", "mode:kv"]).expect(0);
    assert_snapshot!("no_hook", plan.text());
    let screen = workspace.run(&["materialize", KV]).expect(2);
    assert_snapshot!("no_hook_asked_for", screen.text());
}

/// A Redis of its own on a free port of loopback.
struct Redis {
    server: Child,
    port: u16,
}

impl Redis {
    fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut command = Command::new("redis-server");
        command
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .current_dir(folder)
            .stdout(Stdio::null());
        let server = command.spawn();
        let server =
            server.unwrap_or_else(|error| panic!("install Debian's redis-server: {error}"));
        let redis = Self { server, port };
        wait_until("Redis listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        redis
    }

    /// What a command answers: each element of it as bytes.
    fn ask(&self, words: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).into_bytes());
            request.extend_from_slice(word);
            request.extend(b"\r\n");
        }
        stream.write_all(&request).unwrap();
        let mut answer = Vec::new();
        read_answer(&mut BufReader::new(stream), &mut answer);
        answer
    }
}

/// One answer of Redis' protocol.
fn read_answer(reader: &mut impl BufRead, into: &mut Vec<Vec<u8>>) {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let (kind, rest) = line.trim_end().split_at(1);
    match (kind, rest.parse::<usize>()) {
        ("*", Ok(count)) => (0..count).for_each(|_| read_answer(reader, into)),
        ("$", Ok(length)) => {
            let mut value = vec![0; length + 2];
            reader.read_exact(&mut value).unwrap();
            value.truncate(length);
            into.push(value);
        }
        _ => into.push(rest.as_bytes().to_vec()),
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A Python with what the example's loader needs, installed once.
fn python() -> PathBuf {
    let hooks = repository().join("examples/stays/hooks");
    let folder = cache().join("loader");
    let python = folder.join("bin/python3");
    let wanted = fs::read_to_string(hooks.join("requirements.txt")).unwrap();
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).ok().as_deref() != Some(wanted.as_str()) {
        let run = |program: &Path, args: &[&str]| {
            assert!(Command::new(program).args(args).status().unwrap().success());
        };
        run(
            Path::new("python3"),
            &["-m", "venv", folder.to_str().unwrap()],
        );
        let requirements = hooks.join("requirements.txt");
        let install = ["-m", "pip", "install", "--quiet", "--requirement"];
        run(
            &python,
            &[&install[..], &[requirements.to_str().unwrap()]].concat(),
        );
        fs::write(installed, wanted).unwrap();
    }
    python
}

/// The example's workspace.toml, and what its reader is told to switch on at its end.
fn lines_for_redis() -> (String, String) {
    let text = fs::read_to_string(repository().join("examples/stays/workspace.toml")).unwrap();
    let at = text.find("# [hooks]\n").unwrap();
    let lines = text[at..].lines();
    let lines: String = lines
        .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
        .collect();
    let python = format!("{:?}", python());
    (text[..at].to_owned(), lines.replace("\"python3\"", &python))
}

/// The example's own streaming app: what is sent to the topic is what is kept, also after it was killed.
#[test]
fn the_examples_streaming_app_goes_on_where_it_was() {
    let (_, lines) = lines_for_redis();
    let (_, streaming) = lines.split_once("[streaming]\n").unwrap();
    let redis_folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(redis_folder.path());
    let url = format!("REDIS_URL=redis://127.0.0.1:{}/0", redis.port);
    let streaming = streaming.replacen("command = [", &format!("command = [\"env\", {url:?}, "), 1);
    let stream = Stream::new(&streaming.replace("5s", "200ms"));
    let hook = "hooks/stream_redis.py";
    let app = fs::read_to_string(repository().join("examples/stays").join(hook)).unwrap();
    stream.0.write(hook, &app);
    let kept = || {
        let key = br#"STAYS_BOOKINGS_GUEST_V1_STREAMING:{"guest_id":1001}"#;
        redis.ask(&[b"ZRANGE", key, b"0", b"-1"])
    };
    let send = |booking: &str, ts: u32| {
        let event =
            format!(r#"{{"booking_id":"{booking}","guest_id":1001,"price":80.5,"ts":{ts}}}"#);
        redis.ask(&[
            b"XADD",
            b"events.bookings",
            b"*",
            b"event",
            event.as_bytes(),
        ]);
    };

    stream.run(&[]).expect(0);
    send("B2", 2_000);
    wait_until("the first event is kept", || kept().len() == 1);
    signal(stream.process(), "KILL");
    wait_until("it is seen", || stream.status()["health"] == "absent");
    send("B1", 1_000);
    stream.run(&[]).expect(0);
    wait_until("both are kept", || kept().len() == 2);
    let rows: Vec<Value> = kept()
        .iter()
        .map(|row| serde_json::from_slice(row).unwrap())
        .collect();
    let bookings: Vec<_> = rows.iter().map(|row| &row["booking_id"]).collect();
    assert_eq!(bookings, ["B1", "B2"], "by their time");
    assert_eq!(rows[0]["price"], 80.5);
    assert_eq!(rows[0]["pay"], Value::Null);
}

/// The example on real Spark, its loader switched on, a real Redis: what was uploaded is what is
/// fetched.
#[test]
fn the_examples_loader_brings_uploads_into_redis() {
    let workspace = Workspace::example("stays");
    let started = SystemTime::now();
    let (before, redis_lines) = lines_for_redis();
    workspace.write("workspace.toml", &format!("{before}{redis_lines}"));
    let redis = Redis::start(workspace.root());
    let run = |args: &[&str]| {
        let mut command = workspace.command(args);
        command.env("REDIS_URL", format!("redis://127.0.0.1:{}/0", redis.port));
        Screen::new(command.output().unwrap(), workspace.root())
    };
    let group_bys = ["stays.listings.dim_v1", "trust.hosts.profile_v1"];
    let assets: Vec<String> = group_bys
        .iter()
        .flat_map(|name| {
            [
                format!("group_by/{name}/upload"),
                format!("group_by/{name}/kv"),
            ]
        })
        .collect();
    let assets: Vec<&str> = assets.iter().map(String::as_str).collect();
    run(&[&["materialize"], &assets[..]].concat()).expect(0);

    let names = [
        "stays_out.stays_listings_dim_v1_upload",
        "trust_out.trust_hosts_profile_v1_upload",
    ];
    let names = names.map(|name| name.parse().unwrap());
    let found = tables::read(&workspace, &names);
    for (table, dataset) in names.iter().zip([
        "STAYS_LISTINGS_DIM_V1_BATCH",
        "TRUST_HOSTS_PROFILE_V1_BATCH",
    ]) {
        let content = &found[table].content;
        let place = |name: &str| {
            content
                .columns
                .iter()
                .position(|(column, _)| column == name)
        };
        let (key, value) = (place("key_json").unwrap(), place("value_json").unwrap());
        // The bytes of the `sql` engine are those of the JSON texts.
        let bytes = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
        let rows = content.rows.iter().flatten();
        let wanted: BTreeMap<Vec<u8>, Vec<u8>> = rows
            .map(|row| (bytes(&row[key]), bytes(&row[value])))
            .collect();
        assert!(wanted.len() > 3, "{}", wanted.len());
        let fetched = redis.ask(&[b"HGETALL", dataset.as_bytes()]);
        let fetched: BTreeMap<Vec<u8>, Vec<u8>> = fetched
            .chunks(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect();
        assert_eq!(fetched, wanted);
        let end = redis.ask(&[b"GET", format!("{dataset}:batch_end").as_bytes()]);
        assert_eq!(end, [b"1769817600000".to_vec()]); // 2026-01-31T00:00:00Z
    }
    // One value, as whoever serves features would ask for it.
    let value = redis.ask(&[
        b"HGET",
        b"TRUST_HOSTS_PROFILE_V1_BATCH",
        br#"{"host_id":"H1"}"#,
    ]);
    let value: Value = serde_json::from_slice(&value[0]).unwrap();
    assert_eq!(value["country"], "CZ");
    let online = [
        "show",
        "--online",
        "trust.hosts.profile_v1",
        "--key",
        "host_id=H1",
    ];
    let shown = run(&[&online[..], &["--output", "json"]].concat()).expect(0);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["online"], value);
    let none = run(&[
        "show",
        "--online",
        "trust.hosts.profile_v1",
        "--key",
        "host_id=none",
    ]);
    let none = none.expect(0).stdout;
    assert!(
        none.contains("online  nothing in TRUST_HOSTS_PROFILE_V1_BATCH"),
        "{none}"
    );

    let again = run(&[&["materialize"], &assets[..]].concat()).expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.text());

    // The metastore tells when Spark has entered the newest days of a source.
    let landed = Warehouse::of(&workspace).landings(&"lake.listings".parse().unwrap(), 2);
    let days: Vec<String> = landed.keys().map(Ds::to_string).collect();
    assert_eq!(days, ["2026-01-29", "2026-01-30"]);
    // In milliseconds, cut to seconds.
    let millis = started.duration_since(UNIX_EPOCH).unwrap().as_millis();
    let started = i64::try_from(millis).unwrap() - 1_000;
    assert!(landed.values().all(|at| *at >= started), "{landed:?}");
    assert!(landed.values().all(|at| *at < started + DAY), "{landed:?}");

    // A snapshot that landed without a row: the upload is a failure, and what is served stays.
    workspace.edit(
        "workspace.toml",
        "path = \"data/lake.listings.csv\"\n",
        "path = \"data/lake.listings.csv\"\nempty_partitions = [\"2026-01-31\"]\n",
    );
    let next = ["--as-of", "2026-01-31", "--ds", "2026-01-31"];
    // What it reads will not change: there is no second attempt.
    let failed = run(&[&["materialize", UPLOAD, KV], &next[..]].concat()).expect(1);
    let said = "exit code 0, but the upload has no rows";
    assert!(failed.stderr.contains(said), "{}", failed.text());
    assert_eq!(
        failed.stderr.matches("start ").count(),
        1,
        "{}",
        failed.text()
    );
    let end = redis.ask(&[b"GET", b"STAYS_LISTINGS_DIM_V1_BATCH:batch_end"]);
    assert_eq!(end, [b"1769817600000".to_vec()]);
}

/// One upload from link to link, on the scripted Driver.
#[test]
fn status_names_the_first_missing_link_and_knows_what_is_not_done_here() {
    let driven = Driven::scripted("links", "");
    let conf = "production/group_bys/stays/listings.dim_v1";
    let line = || {
        let screen = driven.run(&["status", "mode:upload"]).expect(0).stdout;
        let mut lines = screen.lines().map(str::trim_start);
        let line = lines.find(|line| line.starts_with("stays.listings.dim_v1: "));
        line.unwrap().to_owned()
    };
    let upload = |day: &str| {
        driven.run(&["materialize", UPLOAD, "--ds", day]).expect(0);
    };

    // Saturday the 24th is the last day that a weekly upload is due for.
    let weekly = r#""customJson": "{\"uploadSchedule\": \"@weekly\", "#;
    let daily = r#""customJson": "{"#;
    driven.workspace.edit(conf, daily, weekly);
    upload("2026-01-24");
    assert_snapshot!(line(), @"stays.listings.dim_v1: offline 2026-01-24 (6d) → upload 2026-01-24 (6d) → KV not loaded here");
    driven.workspace.edit(conf, weekly, daily);
    assert_snapshot!(line(), @"stays.listings.dim_v1: offline 2026-01-30 (0s) → upload 2026-01-24 (6d, LATE) → KV not loaded here; missing: the upload of 2026-01-30");
    upload("2026-01-30");
    assert_snapshot!(line(), @"stays.listings.dim_v1: offline 2026-01-30 (0s) → upload 2026-01-30 (0s) → KV not loaded here");

    // Somebody wants it loaded.
    driven.workspace.write("load.py", LOAD);
    let settings = driven.workspace.read("workspace.toml");
    driven
        .workspace
        .write("workspace.toml", &format!("{settings}\n{HOOK}"));
    assert_snapshot!(line(), @"stays.listings.dim_v1: offline 2026-01-30 (0s) → upload 2026-01-30 (0s) → KV none (LATE); missing: the load of 2026-01-30 into the KV store");
    driven
        .run(&["materialize", KV, "--ds", "2026-01-30"])
        .expect(0);
    assert_snapshot!(line(), @"stays.listings.dim_v1: offline 2026-01-30 (0s) → upload 2026-01-30 (0s) → KV 2026-01-30 (0s)");
}
