//! The Driver's jar by Maven coordinates: fetched from a repository on loopback, pinned, looked
//! into.

use std::{
    fs,
    io::{BufRead, BufReader, Cursor, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    environment, spark_archives,
    staged::Staged,
    support::{Screen, Workspace},
};

/// A repository that has one jar, under whatever path, and perhaps a checksum. Its thread ends with
/// the test's process.
#[derive(Default)]
struct Repository {
    jar: Mutex<Vec<u8>>,
    sha1: Mutex<Option<String>>,
    asked: Mutex<Vec<String>>,
}

impl Repository {
    fn start(jar: Vec<u8>) -> (Arc<Self>, String) {
        let repository = Arc::new(Self {
            jar: Mutex::new(jar),
            ..Self::default()
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let prefix = format!("http://{}/maven/", listener.local_addr().unwrap());
        let shared = Arc::clone(&repository);
        thread::spawn(move || {
            listener
                .incoming()
                .flatten()
                .for_each(|stream| shared.answer(stream));
        });
        (repository, prefix)
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head = lines.next().unwrap().unwrap();
        // Until the empty line, so that nothing unread resets the connection.
        lines.map_while(Result::ok).find(|line| line.is_empty());
        let path = head.split_whitespace().nth(1).unwrap().to_owned();
        let body = if path.ends_with("0.0.113-assembly.jar") {
            Some(self.jar.lock().unwrap().clone())
        } else if path.ends_with(".sha1") {
            self.sha1.lock().unwrap().clone().map(String::into_bytes)
        } else {
            None
        };
        self.asked.lock().unwrap().push(path);
        let status = if body.is_some() {
            "200 OK"
        } else {
            "404 Not Found"
        };
        let body = body.unwrap_or_default();
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        stream.write_all(&body).unwrap();
    }
}

pub(crate) fn jar(entries: &[&str]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in entries {
        writer
            .start_file(*entry, SimpleFileOptions::default())
            .unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(crate) const DRIVER: &str = "ai/chronon/spark/Driver.class";

/// A workspace that starts the Driver of these coordinates.
pub(crate) fn workspace(coordinates: &str) -> Staged {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    let engine = format!("[engine]\nkind = \"chronon\"\nchronon_jar = \"{coordinates}\"");
    staged.workspace.edit("workspace.toml", "[engine]", &engine);
    staged
}

fn run(staged: &Staged, prefix: &str, args: &[&str]) -> Screen {
    let mut command = staged.command(args);
    command.env("CHRONON_MAVEN_MIRROR_PREFIX", prefix);
    command.env("CHRONON_RUN_CACHE", staged.workspace.path("cache"));
    Screen::new(command.output().unwrap(), staged.workspace.root())
}

fn says(screen: &Screen, words: &[&str]) {
    let text = screen.text();
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

#[test]
fn the_driver_is_fetched_pinned_and_looked_into() {
    let (repository, prefix) = Repository::start(jar(&[DRIVER]));
    let staged = workspace("ai.chronon:spark_uber_2.12:0.0.113");
    let check = |staged: &Staged| run(staged, &prefix, &["check", "--offline"]);
    let missing = check(&staged).expect(2);
    says(
        &missing,
        &[
            "ai.chronon:spark_uber_2.12:0.0.113:assembly is not installed",
            "engine install chronon",
        ],
    );
    let install = ["engine", "install", "chronon"];
    says(
        &run(&staged, &prefix, &install).expect(0),
        &["pinned in", "sha256"],
    );
    let path = "/maven/ai/chronon/spark_uber_2.12/0.0.113/spark_uber_2.12-0.0.113-assembly.jar";
    assert_eq!(repository.asked.lock().unwrap()[0], path);
    let lock = staged.workspace.read("chronon-run.lock");
    assert!(
        lock.contains("\"ai.chronon:spark_uber_2.12:0.0.113:assembly\" = \""),
        "{lock}"
    );
    let checked = check(&staged).text();
    assert!(!checked.contains("chronon_jar"), "{checked}");
    for command in [["engine", "verify"], ["doctor", "--output=json"]] {
        let screen = run(&staged, &prefix, &command);
        assert!(!screen.text().contains("jar-"), "{}", screen.text());
    }
    run(&staged, &prefix, &["engine", "verify"]).expect(0);
    // What is there is not fetched again.
    let asked = repository.asked.lock().unwrap().len();
    run(&staged, &prefix, &install).expect(0);
    assert_eq!(repository.asked.lock().unwrap().len(), asked);

    // Somebody changes the jar here.
    let jar_path = staged
        .workspace
        .path(&format!("cache/jars/{}", &path["/maven/".len()..]));
    let mut bytes = fs::read(&jar_path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&jar_path, bytes).unwrap();
    let words = ["was changed: its SHA-256 is", "chronon-run.lock pins"];
    says(&check(&staged).expect(2), &words);
    says(
        &run(&staged, &prefix, &["engine", "verify"]).expect(2),
        &words,
    );
    // It has the same size, and no job is started with it.
    says(&run(&staged, &prefix, &["materialize"]).expect(2), &words);
    assert!(staged.calls().is_empty());

    // Somebody changes it in the repository.
    *repository.jar.lock().unwrap() = jar(&[DRIVER, "x"]);
    let other = run(&staged, &prefix, &install).expect(2);
    says(
        &other,
        &["has SHA-256", "chronon-run.lock says", "delete its line"],
    );
    says(&check(&staged).expect(2), &["is not the one of"]);
}

#[test]
fn a_jar_that_cannot_be_had_is_explained() {
    let (repository, prefix) = Repository::start(jar(&[DRIVER]));
    let staged = workspace("ai.chronon:spark_uber_2.12:0.0.113");
    let get = |version| {
        run(
            &staged,
            &prefix,
            &["engine", "install", "chronon", "--version", version],
        )
    };
    let unknown = get("9.9.9").expect(2);
    says(&unknown, &["cannot fetch http://", "9.9.9", "404"]);
    *repository.sha1.lock().unwrap() = Some("00".repeat(20));
    says(
        &get("0.0.113").expect(2),
        &["is damaged", "the repository says 0000"],
    );
    assert!(!staged.workspace.path("chronon-run.lock").exists());
    let mut nobody = staged.command(&["engine", "install", "chronon"]);
    let output = nobody
        .env("PATH", "/nowhere")
        .env_remove("CHRONON_MAVEN_MIRROR_PREFIX")
        .output();
    let screen = Screen::new(output.unwrap(), staged.workspace.root()).expect(2);
    says(
        &screen,
        &["no Maven repository is known", "put `mvn` on PATH"],
    );
}

#[test]
fn a_jar_that_does_not_fit_is_found_before_the_first_job() {
    let (repository, prefix) = Repository::start(jar(&[DRIVER]));
    let staged = workspace("ai.chronon:spark_uber_2.13:0.0.113");
    run(&staged, &prefix, &["engine", "install", "chronon"]).expect(0);
    let words = ["is made for Scala 2.13, but Spark 3.3.1 has Scala 2.12"];
    says(
        &run(&staged, &prefix, &["check", "--offline"]).expect(2),
        &words,
    );
    *repository.jar.lock().unwrap() = jar(&["com/example/Other.class"]);
    let staged = workspace("ai.chronon:spark_uber_2.12:0.0.113");
    run(&staged, &prefix, &["engine", "install", "chronon"]).expect(0);
    let words = ["holds no ai.chronon.spark.Driver"];
    says(
        &run(&staged, &prefix, &["check", "--offline"]).expect(2),
        &words,
    );
}

/// Where a Driver of version 0.0.113 is in the workspace's own cache.
fn place(scala: &str) -> String {
    let name = format!("spark_uber_{scala}");
    format!("cache/jars/ai/chronon/{name}/0.0.113/{name}-0.0.113-assembly.jar")
}

#[test]
fn a_pinned_jar_in_the_place_of_another_is_found() {
    let (repository, prefix) = Repository::start(jar(&[DRIVER, "x"]));
    let staged = workspace("ai.chronon:spark_uber_2.12:0.0.113");
    let install = ["engine", "install", "chronon"];
    run(&staged, &prefix, &install).expect(0);
    // Another jar of the same size, which is pinned too.
    *repository.jar.lock().unwrap() = jar(&[DRIVER, "y"]);
    let named = |from, to| staged.workspace.edit("workspace.toml", from, to);
    named("uber_2.12", "uber_2.13");
    run(&staged, &prefix, &install).expect(0);
    named("uber_2.13", "uber_2.12");
    let path = |scala| staged.workspace.path(&place(scala));
    fs::copy(path("2.13"), path("2.12")).unwrap();
    let words = ["was changed: its SHA-256 is", "chronon-run.lock pins"];
    for command in [
        &["check", "--offline"][..],
        &["engine", "verify"],
        &["materialize"],
    ] {
        says(&run(&staged, &prefix, command).expect(2), &words);
    }
    assert!(staged.calls().is_empty());
}

#[test]
fn a_jar_that_only_streaming_uses_is_looked_at_too() {
    let (_, prefix) = Repository::start(jar(&[DRIVER]));
    let staged = workspace("ai.chronon:spark_uber_2.12:0.0.113");
    let kind = |from, to| staged.workspace.edit("workspace.toml", from, to);
    kind("kind = \"chronon\"", "kind = \"sql\"");
    let check = || run(&staged, &prefix, &["check", "--offline"]);
    // No table needs it: a warning.
    says(
        &check().expect(0),
        &["jar-not-installed", "is not installed"],
    );
    run(&staged, &prefix, &["engine", "install", "chronon"]).expect(0);
    assert!(!check().expect(0).text().contains("chronon_jar"));

    let path = staged.workspace.path(&place("2.12"));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let words = ["was changed: its SHA-256 is", "chronon-run.lock pins"];
    says(&check().expect(2), &words);
    says(
        &run(&staged, &prefix, &["engine", "verify"]).expect(2),
        &words,
    );
    // Scripts are not run with it.
    run(&staged, &prefix, &["materialize"]).expect(0);
}

/// Of the same size and time, so that only the content tells; an added jar is on Spark's class path.
#[test]
fn a_changed_spark_stops_a_run_before_its_first_job() {
    let elsewhere = Workspace::outside_tmp("changed");
    let private = spark_archives::own_cache(&elsewhere);
    let workspace = environment::workspace();
    let run = |args: &[&str]| {
        let mut command = workspace.command(args);
        command.env("CHRONON_RUN_CACHE", &private);
        Screen::new(command.output().unwrap(), workspace.root())
    };
    run(&["engine", "verify"]).expect(0);
    let jar = private.join("spark-3.3.1/jars/spark-sketch_2.12-3.3.1.jar");
    let (installed, times) = (fs::read(&jar).unwrap(), fs::metadata(&jar).unwrap());
    let replace = |bytes: &[u8]| {
        fs::remove_file(&jar).unwrap();
        fs::write(&jar, bytes).unwrap();
        let file = fs::File::options().write(true).open(&jar).unwrap();
        file.set_modified(times.modified().unwrap()).unwrap();
    };
    let mut other = installed.clone();
    *other.last_mut().unwrap() ^= 1;
    replace(&other);
    let words = [
        "spark-sketch_2.12-3.3.1.jar was changed: its SHA-256 is",
        "was installed",
        "engine install",
    ];
    for command in [&["materialize"][..], &["engine", "verify"]] {
        says(&run(command).expect(2), &words);
    }
    assert!(run(&["doctor"]).text().contains("spark-sketch"));

    replace(&installed);
    let added = private.join("spark-3.3.1/jars/more.jar");
    fs::write(&added, "").unwrap();
    says(
        &run(&["materialize"]).expect(2),
        &["jars/more.jar was added"],
    );
    assert!(!workspace.path(".chronon-run/runs").exists());
}
