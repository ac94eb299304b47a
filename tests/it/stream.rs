//! Keeping streaming apps alive: with processes that really live, die and are killed.

use std::{fs, os::unix::fs::PermissionsExt};

use chronon_run_core::CatalogSnapshot;
use chronon_run_testkit::{
    driver::Write,
    yarn::{FakeApplication, FakeYarn},
};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::spark_cluster::{Spark, master};
use crate::support::{Screen, Workspace, signal, steady, wait_until};

pub(crate) const APP: &str = "chronon_group_bys_streaming_production_stays.bookings.guest_v1";
pub(crate) const RECORD: &str =
    ".chronon-run/streaming/chronon_group_bys_streaming_production_stays.bookings.guest_v1.json";

/// An app that lives until it is ended, with a child of its own.
const LIVES: &str =
    r#"command = ["sh", "-c", "echo up $APP_NAME; sleep 1000 & wait", "{group_by}"]"#;

/// The example with an upload, and a way to start apps. What it started is
/// ended with it.
pub(crate) struct Stream(pub(crate) Workspace);

impl Stream {
    pub(crate) fn new(streaming: &str) -> Self {
        let stream = Self::not_uploaded(streaming);
        let mut catalog = CatalogSnapshot::default();
        let table = "stays_out.stays_bookings_guest_v1_upload".parse().unwrap();
        Write::days(table, crate::staged::all_days()).apply(&mut catalog);
        let text = serde_json::to_string(&catalog).unwrap();
        stream.0.write("catalog.json", &text);
        stream
    }

    fn not_uploaded(streaming: &str) -> Self {
        let workspace = Workspace::empty();
        let group_by = "production/group_bys/stays/bookings.guest_v1";
        let conf = crate::support::repository()
            .join("examples/stays")
            .join(group_by);
        workspace.write(group_by, &fs::read_to_string(conf).unwrap());
        workspace.write("teams.json", r#"{"default": {}, "stays": {}}"#);
        let text = format!(
            "[workspace]\nas_of = \"2026-01-30\"\n\n[catalog]\nkind = \"fixture\"\n\
             path = \"catalog.json\"\n\n[run]\ngrace = \"2s\"\n\n[streaming]\n{streaming}\n"
        );
        workspace.write("workspace.toml", &text);
        let empty = serde_json::to_string(&CatalogSnapshot::default()).unwrap();
        workspace.write("catalog.json", &empty);
        Self(workspace)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Screen {
        self.0.run(&[&["stream"], args].concat())
    }

    pub(crate) fn status(&self) -> Value {
        let screen = self.run(&["--status", "--output", "json"]);
        let states: Value = serde_json::from_str(&screen.stdout).unwrap();
        assert_eq!(states["version"], 1, "{states}");
        states["apps"][0].clone()
    }

    /// The process that was started last.
    pub(crate) fn process(&self) -> u32 {
        let record: Value = serde_json::from_str(&self.0.read(RECORD)).unwrap();
        u32::try_from(record["process"]["pid"].as_u64().unwrap()).unwrap()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.0.command(&["stream", "--stop"]).output();
    }
}

#[test]
fn an_app_is_started_once_outlives_its_starter_and_is_started_again_when_it_was_killed() {
    let _steady = steady();
    let stream = Stream::new(&format!("{LIVES}\nsettle = \"200ms\""));
    let screen = stream.run(&["--status"]).expect(3);
    assert_snapshot!("absent", screen.text());
    let screen = stream.run(&[]).expect(0);
    let first = stream.process();
    let log = screen
        .stderr
        .trim_end()
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned();
    let log = log.replace("[ROOT]", &stream.0.root().display().to_string());
    assert_eq!(fs::read_to_string(log).unwrap(), format!("up {APP}\n"));

    // It runs: nothing is done, nothing is said.
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());
    assert_eq!(stream.process(), first);
    assert_eq!(
        stream.status()["running"],
        json!([format!("process {first}")])
    );

    // What it left behind still counts as the app.
    signal(first, "KILL");
    assert_eq!(stream.status()["health"], "running");
    assert_snapshot!("stopped", stream.run(&["--stop"]).expect(0).text());
    assert_eq!(stream.status()["health"], "absent");

    stream.run(&[]).expect(0);
    let second = stream.process();
    assert_ne!(second, first);
    // Its record is lost: it is still known by its mark.
    fs::remove_file(stream.0.path(RECORD)).unwrap();
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());
    assert_eq!(
        stream.status()["running"],
        json!([format!("process {second}")])
    );
}

#[test]
fn a_number_that_another_process_got_is_not_the_app() {
    // An app that hides its environment is known by number and start time alone.
    let stream =
        Stream::new("command = [\"env\", \"-i\", \"/bin/sleep\", \"1000\"]\nsettle = \"200ms\"");
    stream.run(&[]).expect(0);
    let first = stream.process();
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());

    let mut record: Value = serde_json::from_str(&stream.0.read(RECORD)).unwrap();
    let ticks = record["process"]["start_ticks"].as_u64().unwrap();
    record["process"]["start_ticks"] = json!(ticks - 1);
    stream.0.write(RECORD, &record.to_string());
    assert_eq!(stream.status()["health"], "absent");
    stream.run(&[]).expect(0);
    assert_ne!(stream.process(), first);
    signal(first, "KILL");
}

#[test]
fn a_start_that_dies_soon_is_backed_off_and_given_up_until_something_changes() {
    let _steady = steady();
    let settings = "settle = \"1m\"\ntries = 2\nbackoff =";
    let dies = r#"command = ["sh", "-c", "echo 'java.lang.RuntimeException: no broker'; exit 7"]"#;
    let stream = Stream::new(&format!("{dies}\n{settings} \"1h\""));
    assert_snapshot!("died_soon", stream.run(&[]).expect(3).text());
    let again = stream.run(&[]).expect(3);
    assert!(again.stderr.contains("next try from"), "{}", again.text());
    assert_eq!(stream.status()["failures"], 1);

    stream.0.edit("workspace.toml", "\"1h\"", "\"0s\"");
    assert_snapshot!("given_up", stream.run(&[]).expect(1).text());
    assert_snapshot!("given_up_still", stream.run(&[]).expect(1).text());
    assert_eq!(stream.status()["failures"], 2);
    assert_eq!(stream.status()["health"], "given_up");

    // Another command line is a new beginning.
    stream.0.edit("workspace.toml", dies, LIVES);
    stream.0.edit("workspace.toml", "\"1m\"", "\"200ms\"");
    stream.run(&[]).expect(0);
    assert_eq!(stream.status()["failures"], 0);
}

#[test]
fn nothing_starts_before_the_first_upload_and_nothing_without_a_command() {
    let stream = Stream::not_uploaded(LIVES);
    assert_snapshot!("not_uploaded", stream.run(&[]).expect(3).text());
    let stream = Stream::new("");
    assert_snapshot!("no_command", stream.run(&[]).expect(2).text());
    assert_snapshot!(
        "nothing_streams",
        stream.run(&["stays.reviews*"]).expect(2).text()
    );
}

/// The class that Spark loads for Kafka, as an entry of a jar.
const KAFKA_ENTRY: &str = "org/apache/spark/sql/kafka010/KafkaSourceProvider.class";
const ONLINE_ENTRY: &str = "my/Api.class";

/// A workspace whose apps the Driver runs: a scripted `spark-submit` prints its arguments and lives on.
fn with_driver(chronon: &[&str], online: &[&str]) -> Stream {
    let stream = Stream::new("settle = \"200ms\"");
    let engine = "[engine]\nspark_home = \"spark\"\njava_home = \"java\"\n\
        chronon_jar = \"chronon.jar\"\nonline_jar = \"online.jar\"\nonline_class = \"my.Api\"\n\n[catalog]";
    stream.0.edit("workspace.toml", "[catalog]", engine);
    for file in ["java/bin/java", "spark/jars/spark-core_2.12-3.3.1.jar"] {
        stream.0.write(file, "");
    }
    for (name, entries) in [
        ("chronon.jar", chronon),
        ("online.jar", online),
        ("spark/jars/spark-core_2.12-3.3.1.jar", &[]),
    ] {
        fs::write(stream.0.path(name), crate::jars::jar(entries)).unwrap();
    }
    stream.0.write("java/release", "JAVA_VERSION=\"17.0.1\"\n");
    let submit =
        "#!/bin/sh\nfor word; do echo \"$word\"; done\necho \"app $APP_NAME\"\nexec sleep 1000\n";
    stream.0.write("spark/bin/spark-submit", submit);
    let path = stream.0.path("spark/bin/spark-submit");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    stream
}

/// The words that the scripted `spark-submit` was started with.
fn words(stream: &Stream) -> Vec<String> {
    let root = stream.0.root().display().to_string();
    let log = stream.status()["log"]
        .as_str()
        .unwrap()
        .replace("[ROOT]", &root);
    let log = fs::read_to_string(log).unwrap();
    log.lines().map(str::to_owned).collect()
}

#[test]
fn the_driver_is_started_whichever_engine_fills_the_tables() {
    let stream = with_driver(&[], &[ONLINE_ENTRY, KAFKA_ENTRY]);
    // A name that is in the environment is not that of the app.
    let mut command = stream.0.command(&["stream"]);
    let output = command.env("APP_NAME", "another").output().unwrap();
    Screen::new(output, stream.0.root()).expect(0);
    let root = stream.0.root().display().to_string();
    let log = words(&stream);
    for word in [
        "ai.chronon.spark.Driver",
        &format!("{root}/chronon.jar"),
        "group-by-streaming",
        "--conf-path=production/group_bys/stays/bookings.guest_v1",
        // The Driver's own argument, and Spark's: without it the tasks cannot load the class.
        &format!("--online-jar={root}/online.jar"),
        "--jars",
        &format!("{root}/online.jar"),
        "--online-class=my.Api",
        &format!("spark.app.name={APP}"),
        &format!("app {APP}"),
    ] {
        assert!(log.iter().any(|line| line == word), "{word}: {log:?}");
    }
    assert!(!stream.0.path("chronon-run.lock").exists());
}

#[test]
fn a_class_that_is_in_none_of_the_jars_is_said_before_the_start() {
    let stream = with_driver(&["ai/chronon/spark/Driver.class"], &["my/Other.class"]);
    assert_snapshot!("no_class", stream.run(&[]).expect(2).text());
    assert!(!stream.0.path(RECORD).exists());
    // A jar of the user's own has it.
    let own = crate::jars::jar(&[ONLINE_ENTRY, KAFKA_ENTRY]);
    fs::write(stream.0.path("own.jar"), own).unwrap();
    let root = stream.0.root().display().to_string();
    let conf = format!("[engine]\nconf = {{ \"spark.jars\" = \"{root}/own.jar\" }}\n");
    stream.0.edit("workspace.toml", "[engine]\n", &conf);
    stream.run(&[]).expect(0);
    let jars = format!("{root}/online.jar,{root}/own.jar");
    assert!(words(&stream).contains(&jars), "{:?}", words(&stream));
    // Coordinates that were never installed, and a file that is not there.
    stream.0.edit(
        "workspace.toml",
        "\"chronon.jar\"",
        "\"ai.chronon:spark_uber_2.12:0.0.113\"",
    );
    stream.run(&["--stop"]).expect(0);
    let said = stream.run(&[]).expect(2).text();
    assert!(said.contains("not installed: ai.chronon"), "{said}");
    fs::remove_file(stream.0.path("online.jar")).unwrap();
    let said = stream.run(&[]).expect(2).text();
    assert!(
        said.contains("`engine.online_jar`: there is no file"),
        "{said}"
    );
}

#[test]
fn a_driver_that_is_not_the_pinned_one_is_not_started() {
    let stream = with_driver(&[], &[ONLINE_ENTRY, KAFKA_ENTRY]);
    let coordinates = "\"ai.chronon:spark_uber_2.12:0.0.113\"";
    stream
        .0
        .edit("workspace.toml", "\"chronon.jar\"", coordinates);
    let place = "ai/chronon/spark_uber_2.12/0.0.113/spark_uber_2.12-0.0.113-assembly.jar";
    let offered = stream.0.path(&format!("maven/{place}"));
    fs::create_dir_all(offered.parent().unwrap()).unwrap();
    fs::write(&offered, crate::jars::jar(&[crate::jars::DRIVER])).unwrap();
    let prefix = format!("file://{}", stream.0.path("maven").display());
    let run = |args: &[&str]| {
        let mut command = stream.0.command(args);
        command
            .env("CHRONON_RUN_CACHE", stream.0.path("cache"))
            .env("CHRONON_MAVEN_MIRROR_PREFIX", &prefix);
        Screen::new(command.output().unwrap(), stream.0.root())
    };
    run(&["engine", "install", "chronon"]).expect(0);
    run(&["stream"]).expect(0);
    run(&["stream", "--stop"]).expect(0);

    // The same size, other bytes.
    let cached = stream.0.path(&format!("cache/jars/{place}"));
    let mut bytes = fs::read(&cached).unwrap();
    bytes[0] ^= 1;
    fs::write(&cached, bytes).unwrap();
    let refused = || {
        let said = run(&["stream"]).expect(2).text();
        assert!(said.contains("`engine.chronon_jar`: "), "{said}");
        assert!(said.contains("was changed: its SHA-256 is"), "{said}");
        assert!(said.contains("fetches it again"), "{said}");
    };
    refused();
    let chronon = "[engine]\nkind = \"chronon\"\n";
    stream.0.edit("workspace.toml", "[engine]\n", chronon);
    refused();
}

/// A repository on disk that has the Kafka source of Spark 3.3.1 and its dependencies.
fn kafka_repository(stream: &Stream) -> String {
    let put = |group: &str, artifact: &str, version: &str, kind: &str, bytes: &[u8]| {
        let folder = format!("maven/{}/{artifact}/{version}", group.replace('.', "/"));
        let path = stream
            .0
            .path(&format!("{folder}/{artifact}-{version}.{kind}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let (spark, source) = ("org.apache.spark", "spark-sql-kafka-0-10_2.12");
    let needed = [
        (spark, "spark-token-provider-kafka-0-10_2.12", "3.3.1"),
        ("org.apache.kafka", "kafka-clients", "2.8.1"),
        ("org.apache.commons", "commons-pool2", "2.11.1"),
    ];
    let mut pom = String::new();
    for (group, artifact, version) in needed {
        put(group, artifact, version, "jar", &crate::jars::jar(&[]));
        pom += &format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version><scope>compile</scope></dependency>"
        );
    }
    let pom = format!("<project><dependencies>{pom}</dependencies></project>");
    put(spark, source, "3.3.1", "pom", pom.as_bytes());
    put(
        spark,
        source,
        "3.3.1",
        "jar",
        &crate::jars::jar(&[KAFKA_ENTRY]),
    );
    format!("file://{}", stream.0.path("maven").display())
}

#[test]
fn the_kafka_source_is_fetched_once_pinned_and_used_offline() {
    let stream = with_driver(&[], &[ONLINE_ENTRY]);
    let prefix = kafka_repository(&stream);
    let run = |args: &[&str], prefix: &str| {
        let mut command = stream.0.command(&[&["stream"], args].concat());
        command
            .env("CHRONON_RUN_CACHE", stream.0.path("cache"))
            .env("CHRONON_MAVEN_MIRROR_PREFIX", prefix);
        Screen::new(command.output().unwrap(), stream.0.root())
    };
    // Looking fetches nothing.
    run(&["--status"], &prefix).expect(3);
    assert!(!stream.0.path("cache/jars").exists());
    let nowhere = format!("file://{}", stream.0.path("nowhere").display());
    let said = run(&[], &nowhere).expect(2).text();
    assert!(
        said.contains("the Kafka source for Spark 3.3.1 (Scala 2.12) cannot be installed"),
        "{said}"
    );

    run(&[], &prefix).expect(0);
    let log = words(&stream);
    let jars = log
        .iter()
        .find(|word| word.contains("kafka-clients-2.8.1.jar"));
    let jars: Vec<&str> = jars.unwrap().split(',').collect();
    let names: Vec<&str> = jars
        .iter()
        .map(|jar| jar.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "online.jar",
            "spark-sql-kafka-0-10_2.12-3.3.1.jar",
            "spark-token-provider-kafka-0-10_2.12-3.3.1.jar",
            "kafka-clients-2.8.1.jar",
            "commons-pool2-2.11.1.jar",
        ]
    );
    let lock = stream.0.read("chronon-run.lock");
    assert!(
        lock.contains("\"org.apache.kafka:kafka-clients:2.8.1\" = "),
        "{lock}"
    );

    // Offline: nothing is asked for again.
    run(&["--stop"], &nowhere).expect(0);
    run(&[], &nowhere).expect(0);
    // Bytes that are not the pinned ones are not used.
    run(&["--stop"], &nowhere).expect(0);
    let pinned = lock.split("kafka-clients:2.8.1\" = \"").nth(1).unwrap();
    stream.0.edit("chronon-run.lock", &pinned[..8], "00000000");
    let said = run(&[], &nowhere).expect(2).text();
    assert!(said.contains("chronon-run.lock says 00000000"), "{said}");
}

#[test]
fn a_user_s_own_kafka_package_wins() {
    let stream = with_driver(&[], &[ONLINE_ENTRY]);
    let package = "org.apache.spark:spark-sql-kafka-0-10_2.12:3.3.0";
    let conf = format!("[engine]\nconf = {{ \"spark.jars.packages\" = \"{package}\" }}\n");
    stream.0.edit("workspace.toml", "[engine]\n", &conf);
    stream.run(&[]).expect(0);
    let log = words(&stream);
    assert!(
        log.contains(&format!("spark.jars.packages={package}")),
        "{log:?}"
    );
    let online = stream.0.path("online.jar").display().to_string();
    assert!(log.contains(&online), "{log:?}");
    assert!(!stream.0.path("chronon-run.lock").exists());
}

#[test]
fn apps_that_a_command_lists_are_known_by_name_and_ended_by_what_it_prints() {
    let list = r#"list_apps = ["cat", "apps.txt"]"#;
    let stream = Stream::new(&format!("{LIVES}\n{list}\nsettle = \"200ms\""));
    let line = |id: &str, name: &str| {
        json!({"app_id": id, "app_name": name, "status": "RUNNING",
               "kill_cmd": format!("cp none.txt apps.txt # {id}")})
    };
    stream.0.write("none.txt", "nothing runs\n");
    let other = line("a0", &format!("{APP}2"));
    let (one, two) = (line("a1", APP), line("a2", APP));
    stream
        .0
        .write("apps.txt", &format!("Loading…\n{other}\n{one}\n"));
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());
    stream.0.write("apps.txt", &format!("{one}\n{two}\n"));
    assert_snapshot!("twice", stream.run(&[]).expect(1).text());

    // Nobody lists it: its launcher lives, so no second one is started.
    fs::copy(stream.0.path("none.txt"), stream.0.path("apps.txt")).unwrap();
    stream.run(&[]);
    let first = stream.process();
    let again = stream.run(&[]).expect(3);
    assert!(
        again.stderr.contains("no app of this name is listed"),
        "{}",
        again.text()
    );
    assert_eq!(stream.process(), first);

    fs::remove_file(stream.0.path("apps.txt")).unwrap();
    assert_snapshot!("cannot_list", stream.run(&[]).expect(2).text());
}

#[test]
fn apps_on_yarn_are_listed_and_ended_through_its_resource_manager() {
    let yarn = FakeYarn::start().unwrap();
    let streaming = format!(
        "{LIVES}\nlist_apps = \"yarn\"\nurl = \"{}\"\nsettle = \"200ms\"",
        yarn.url()
    );
    let stream = Stream::new(&streaming);
    let (one, two) = (
        "application_1769860800000_0001",
        "application_1769860800000_0002",
    );
    yarn.put(FakeApplication::running(one, APP));
    yarn.put(FakeApplication::running(
        "application_1769860800000_0003",
        "other",
    ));
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());
    assert_eq!(stream.status()["running"], json!([one]));

    yarn.put(FakeApplication::running(two, APP));
    let twice = stream.run(&[]).expect(1);
    assert!(
        twice.stderr.contains(&format!("{one}, {two}")),
        "{}",
        twice.text()
    );
    stream.run(&["--stop"]).expect(0);
    assert_eq!(yarn.killed(), [one, two]);

    // Absent: it is started here, and counts once the cluster lists it.
    stream.run(&[]);
    let launcher = stream.process();
    yarn.put(FakeApplication::running(
        "application_1769860800000_0004",
        APP,
    ));
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());
    stream.run(&["--stop"]).expect(0);
    wait_until("the launcher is gone too", || {
        !fs::exists(format!("/proc/{launcher}")).unwrap()
    });
}

/// A real application of a real master, which waits for a worker for ever.
#[test]
fn an_application_of_a_standalone_cluster_is_kept_alive() {
    let folder = Workspace::empty();
    let spark = Spark::of(&folder);
    let (_master, address, url) = master(&spark, &folder);
    let command = json!([
        "env",
        format!("SPARK_HOME={}", spark.home.display()),
        format!("JAVA_HOME={}", spark.java.display()),
        "SPARK_LOCAL_IP=127.0.0.1",
        spark.home.join("bin/spark-submit"),
        "--master",
        address,
        "--name",
        "{app_name}",
        "--driver-java-options",
        "-XX:TieredStopAtLevel=1",
        "--conf",
        "spark.ui.enabled=false",
        "--class",
        "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver",
        "spark-internal",
        "-e",
        "SELECT reflect('java.lang.Thread', 'sleep', 600000L)",
    ]);
    let stream = Stream::new(&format!(
        "command = {command}\nlist_apps = \"spark\"\nurl = \"{url}\"\nsettle = \"100ms\""
    ));
    // The cluster does not list it yet.
    stream.run(&[]).expect(3);
    let listed = || {
        wait_until("the master lists the application", || {
            stream.status()["health"] == "running"
        });
        stream.status()["running"][0].as_str().unwrap().to_owned()
    };
    let first = listed();
    assert!(first.starts_with("app-"), "{first}");
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());

    signal(stream.process(), "KILL");
    wait_until("the master has noticed", || {
        stream.status()["health"] == "absent"
    });
    stream.run(&[]).expect(3);
    assert_ne!(listed(), first);
    stream.run(&["--stop"]).expect(0);
    assert_eq!(stream.status()["health"], "absent");
}
