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

use crate::{staged::Staged, support::Screen};

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
