//! From uploads to the KV store: order, retries, days, and real values in a real Redis.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use insta::assert_snapshot;
use serde_json::Value;

use crate::{
    driven::Driven,
    support::{Screen, Workspace, cache, repository, steady, wait_until},
    tables,
};

const UPLOAD: &str = "group_by/stays.listings.dim_v1/upload";
const KV: &str = "group_by/stays.listings.dim_v1/kv";

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

/// The example on real Spark, its loader switched on, a real Redis: what was uploaded is what is
/// fetched.
#[test]
fn the_examples_loader_brings_uploads_into_redis() {
    let workspace = Workspace::example("stays");
    let text = workspace.read("workspace.toml");
    let (before, hook) = text.split_once("# [hooks]\n# ").unwrap();
    let python = python();
    let hook = hook.replacen("\"python3\"", &format!("{python:?}"), 1);
    workspace.write("workspace.toml", &format!("{before}[hooks]\n{hook}"));
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

    let again = run(&[&["materialize"], &assets[..]].concat()).expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.text());
}
