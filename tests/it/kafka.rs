//! A real broker, a real Redis, and a real streaming query of Spark in the place of the Driver: what
//! `stream` says of it while it makes progress, is starved, loses its topic, is killed and is outdated.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use chronon_run_engine::kafka;
use chronon_run_spark::Environment;
use chronon_run_spark::maven::{self, Maven};
use serde_json::{Value, json};

use crate::{
    spark_cluster::Spark,
    stream::Stream,
    support::{Screen, Workspace, cache, repository, signal, wait_until},
};

const TOPIC: &str = "events.bookings";

/// The broker and the Redis of `examples/stays/brokers.sh`, ended with the test.
struct Brokers {
    folder: Workspace,
    java: PathBuf,
    kafka: u16,
    redis: u16,
}

impl Brokers {
    fn start(java: &Path) -> Self {
        let (kafka, redis) = free_ports();
        let brokers = Self {
            folder: Workspace::empty(),
            java: java.to_owned(),
            kafka,
            redis,
        };
        brokers.ask(&["start"], "");
        brokers.ask(&["create", TOPIC], "");
        brokers
    }

    /// What the script prints; it must succeed.
    fn ask(&self, args: &[&str], input: &str) -> String {
        self.folder.write("input", input);
        let mut command = Command::new("bash");
        command
            .arg(repository().join("examples/stays/brokers.sh"))
            .args(args)
            .env("KAFKA_PORT", self.kafka.to_string())
            .env("REDIS_PORT", self.redis.to_string())
            .env("BROKERS_DIR", self.folder.path("brokers"))
            .env("KAFKA_JARS", cache().join("kafka-3.3.2"))
            .env("JAVA", &self.java)
            .stdin(fs::File::open(self.folder.path("input")).unwrap())
            // What it starts must not keep a pipe of ours open.
            .stdout(fs::File::create(self.folder.path("said")).unwrap())
            .stderr(fs::File::create(self.folder.path("failed")).unwrap());
        let status = command.status().unwrap();
        let failed = self.folder.read("failed");
        assert!(status.success(), "brokers.sh {args:?}: {failed}");
        self.folder.read("said")
    }

    fn produce(&self, from: u32, to: u32) {
        let events: String = (from..to)
            .map(|number| format!("event {number}\n"))
            .collect();
        self.ask(&["produce", TOPIC], &events);
    }

    /// How many events the app has written into Redis.
    fn written(&self) -> usize {
        let port = self.redis.to_string();
        let mut command = Command::new("redis-cli");
        let output = command.args(["-p", &port, "llen", TOPIC]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().parse().unwrap_or(0)
    }

    fn process(&self) -> u32 {
        self.ask(&["pid"], "").trim().parse().unwrap()
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        let script = repository().join("examples/stays/brokers.sh");
        let mut command = Command::new("bash");
        command
            .arg(script)
            .arg("stop")
            .env("BROKERS_DIR", self.folder.path("brokers"))
            .stdout(Stdio::null());
        let _ = command.status();
    }
}

/// A port for the broker whose next one is free too, and one for Redis. They are below those that the system gives
/// to connections (32768 and more): one of those could be taken while the broker's JVM starts.
fn free_ports() -> (u16, u16) {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let begin = 20_000 + u16::try_from(std::process::id() % 3_000).unwrap() * 3;
    let found = (begin..32_000)
        .step_by(3)
        .find(|&port| [port, port + 1, port + 2].iter().all(free));
    let port = found.unwrap_or_else(|| panic!("no three free ports beside each other"));
    (port, port + 2)
}

/// The Kafka source of the Spark, by the way that the program fetches it.
fn kafka_source() -> Vec<String> {
    let environment = Environment::new(None, |name| std::env::var_os(name));
    let maven = Maven {
        prefix: std::env::var("CHRONON_MAVEN_MIRROR_PREFIX").ok(),
        program: environment.on_path("mvn"),
        settings: None,
        curl: environment.on_path("curl"),
    };
    let package = kafka::package("3.3.1", "2.12", &cache(), &maven).unwrap();
    let fetched = package.iter().map(|jar| {
        let cached = maven::cached(jar, &cache());
        let cached = cached.unwrap_or_else(|| maven::install(jar, &cache(), &maven).unwrap());
        cached.path.display().to_string()
    });
    fetched.collect()
}

/// What Spark needs of a Java after 8.
fn opens() -> Vec<String> {
    let packages = "java.lang java.lang.invoke java.lang.reflect java.io java.net java.nio java.util \
        java.util.concurrent java.util.concurrent.atomic sun.nio.ch sun.nio.cs sun.security.action \
        sun.util.calendar";
    let open = |package: &str| format!("--add-opens=java.base/{package}=ALL-UNNAMED");
    let ignore = ["-XX:+IgnoreUnrecognizedVMOptions".to_owned()];
    ignore
        .into_iter()
        .chain(packages.split_whitespace().map(open))
        .collect()
}

fn app(spark: &Spark, brokers: &Brokers) -> Stream {
    let jars = [
        vec![format!("{}/*", spark.home.join("jars").display())],
        kafka_source(),
    ];
    let mut command = vec![
        "env".to_owned(),
        "SPARK_LOCAL_IP=127.0.0.1".to_owned(),
        brokers.java.display().to_string(),
        "-Xmx512m".to_owned(),
        "-XX:+UseSerialGC".to_owned(),
        "-XX:TieredStopAtLevel=1".to_owned(),
    ];
    command.extend(opens());
    let source = repository().join("crates/chronon-run/../../tests/it/kafka/StreamApp.java");
    command.extend([
        "-cp".to_owned(),
        jars.concat().join(":"),
        "org.codehaus.janino.SimpleCompiler".to_owned(),
        source.canonicalize().unwrap().display().to_string(),
        "StreamApp".to_owned(),
        format!("127.0.0.1:{}", brokers.kafka),
        TOPIC.to_owned(),
        brokers.redis.to_string(),
    ]);
    let settings = format!(
        "command = {}\nsettle = \"1s\"\nstalled_after = \"2m\"\nbackoff = \"0s\"",
        json!(command)
    );
    Stream::new(&settings)
}

/// Waits until the last report is as wanted; what the app printed last, if it never is.
fn wait_for(stream: &Stream, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut status = Value::Null;
    wait_until(what, || {
        status = stream.status();
        let healthy = wanted(&status);
        let failed = !healthy && status["health"] == "over";
        assert!(!failed, "{what}: {status}");
        healthy
    });
    status
}

#[test]
fn a_real_query_makes_progress_is_starved_stalls_is_killed_is_outdated_and_loses_its_topic() {
    let spark = Spark::of(&Workspace::empty());
    let java = spark.java.join("bin/java");
    let brokers = Brokers::start(&java);
    let stream = app(&spark, &brokers);
    brokers.produce(0, 120);

    // Real reports: rows, rates, and a lag that shrinks.
    stream.run(&[]).expect(0);
    wait_for(&stream, "all events are in Redis", |_| {
        brokers.written() >= 120
    });
    let status = wait_for(&stream, "a report with rows", |it| {
        it["rows_at"].is_string()
    });
    assert_eq!(status["health"], "running");
    let caught_up = |it: &Value| it["progress"]["lag"]["records"] == 0;
    wait_for(&stream, "it has caught up", caught_up);

    // Starved: it makes progress without rows, and that is well.
    let starved = |it: &Value| it["progress"]["rows"] == 0;
    let status = wait_for(&stream, "a report without rows", starved);
    assert_eq!(status["health"], "running", "{status}");
    assert_eq!(stream.run(&[]).expect(0).text(), Screen::silent());

    // The broker hangs: no progress is made, and it goes on afterwards.
    signal(brokers.process(), "STOP");
    stream.0.edit("workspace.toml", "\"2m\"", "\"12s\"");
    wait_for(&stream, "it is stalled", |it| it["health"] == "stalled");
    assert!(
        stream
            .run(&[])
            .expect(1)
            .stderr
            .contains("is stalled: no progress for")
    );
    signal(brokers.process(), "CONT");
    stream.0.edit("workspace.toml", "\"12s\"", "\"2m\"");

    // Killed: it is started again, and reads from the start.
    let first = stream.process();
    signal(first, "KILL");
    wait_until("it is gone", || stream.status()["running"] == json!([]));
    stream.run(&[]).expect(0);
    assert_ne!(stream.process(), first);
    wait_for(&stream, "it writes again", |_| brokers.written() >= 240);

    // Outdated: another topic in the conf, and no upload with it.
    stream.0.edit(
        "production/group_bys/stays/bookings.guest_v1",
        "events.bookings",
        "events.other",
    );
    let screen = stream.run(&[]).expect(3);
    assert!(
        screen.stderr.contains("is outdated: conf sources."),
        "{}",
        screen.text()
    );
    stream.0.edit(
        "production/group_bys/stays/bookings.guest_v1",
        "events.other",
        "events.bookings",
    );

    // Its topic is gone: the query ends, the process lives, and is ended.
    brokers.ask(&["delete", TOPIC], "");
    let second = stream.process();
    let status = wait_for(&stream, "its query is over", |it| it["health"] == "over");
    assert!(fs::exists(format!("/proc/{second}")).unwrap(), "{status}");
    let screen = stream.run(&[]);
    assert!(
        screen.stderr.contains("its query is over: "),
        "{}",
        screen.text()
    );
    assert_ne!(stream.process(), second);
}
