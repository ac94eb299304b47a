//! The embedded metastore for real: on the Spark that is here, or the one that gets installed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop here"
)]

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use chronon_run_catalog::{
    Catalog, CatalogError, EvidenceRequest, Hive, NewTable, TableName, Timeouts,
    embedded::{Embedded, EmbeddedError, Lease},
};
use chronon_run_core::{Column, DayEvidence, Ds, PartitionFormat, PartitionRange, RangeSet, Slice};
use chronon_run_spark::{Environment, Spark, archive::Archive, locate, recording::Recording};

fn spark() -> Spark {
    let environment = Environment::new(None, |name| std::env::var_os(name));
    locate(&environment, &mut |_| ()).unwrap()
}

fn embedded(spark: &Spark, workspace: &Path) -> Embedded {
    Embedded {
        java: spark.java.program(),
        java_options: Vec::new(),
        env: Vec::new(),
        jars: spark.jars(),
        directory: workspace.join("metastore"),
        warehouse: workspace.join("warehouse"),
        idle: Duration::from_secs(1),
        start: Duration::from_secs(120),
    }
}

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

fn column(name: &str, data_type: &str) -> Column {
    Column {
        name: name.into(),
        data_type: data_type.into(),
    }
}

fn events() -> NewTable {
    NewTable {
        table: table("data.events"),
        columns: vec![column("id", "bigint"), column("tags", "array<string>")],
        partition_columns: vec![column("ds", "string"), column("hr", "string")],
        properties: vec![("owner_team".into(), "search".into())],
    }
}

/// `(ds, hr)` of so many days from 2024-01-01.
fn rows(days: i32) -> Vec<Vec<String>> {
    let first: Ds = "2024-01-01".parse().unwrap();
    let row = |day| vec![first.plus(day).to_string(), "10:00".to_owned()];
    (0..days).map(row).collect()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The server holds the lock as long as it lives.
fn has_ended(embedded: &Embedded) -> bool {
    let lock = File::open(embedded.directory.join("metastore.lock")).unwrap();
    lock.try_lock().is_ok()
}

fn kill_hard(lease: &Lease) {
    kill(lease.pid());
}

fn kill(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

/// `get_all_databases` in Thrift's binary protocol, for `printf %b`.
const GET_ALL_DATABASES: &str =
    r"\0200\001\000\001\000\000\000\021get_all_databases\000\000\000\001\000";

/// Whether the metastore at `port` answers a process of the user `uid`.
fn answers(port: &str, uid: u32) -> bool {
    let script = "exec 3<>/dev/tcp/127.0.0.1/$1 || exit 1\n\
                  printf %b \"$2\" >&3\n\
                  [ -n \"$(timeout 20 head -c 1 <&3 | od -An -tx1)\" ]";
    let status = Command::new("bash")
        .args(["-c", script, "bash", port, GET_ALL_DATABASES])
        .current_dir("/")
        .uid(uid)
        .status();
    status.unwrap().success()
}

#[test]
#[ignore = "needs root, to be another user"]
fn other_users_are_refused() {
    let workspace = tempfile::tempdir().unwrap();
    let embedded = embedded(&spark(), workspace.path());
    let lease = embedded.join().unwrap();
    let uri = lease.uri();
    let port = uri.rsplit(':').next().unwrap();
    assert!(answers(port, 0));
    assert!(!answers(port, 65534));
    assert_eq!(answers_at_ports_of_root(port), 0);
    assert_eq!(databases_of_closed_sockets(port), Vec::<String>::new());
}

/// The databases that another user made by connections that it closed right after the request. The system's
/// table shows root as the owner of a socket that its process has closed.
fn databases_of_closed_sockets(port: &str) -> Vec<String> {
    let script = "
import os, socket, struct, sys, time
port = int(sys.argv[1])

def text(value):
    return struct.pack('>I', len(value)) + value

def call(name, arguments):
    return b'\\x80\\x01\\x00\\x01' + text(name) + struct.pack('>I', 1) + arguments + b'\\x00'

def create(name):
    database = b'\\x0b\\x00\\x01' + text(name) + b'\\x00'
    return call(b'create_database', b'\\x0c\\x00\\x01' + database)

def answer(request):
    connection = socket.create_connection(('127.0.0.1', port))
    connection.settimeout(60)
    connection.sendall(request)
    return connection.recv(1 << 16)

answer(create(b'of_root'))
if os.fork() == 0:
    os.setuid(65534)
    for number in range(40):
        connection = socket.create_connection(('127.0.0.1', port))
        try:
            connection.sendall(create(b'intruder_%02d' % number))
        except ConnectionError:
            pass
        connection.close()
    os._exit(0)
assert os.wait()[1] == 0
# The request of a connection that is not refused is carried out within this time.
time.sleep(5)
found = answer(call(b'get_all_databases', b''))
print('of_root' if b'of_root' in found else 'nothing')
for number in range(40):
    name = 'intruder_%02d' % number
    if name.encode() in found:
        print(name)
print('done')
";
    let mut lines = lines_of(script, port);
    assert_eq!(lines.remove(0), "of_root", "the request makes a database");
    lines
}

/// How many connections of another user are answered that have the ports of a connection of root, and an
/// address of their own.
fn answers_at_ports_of_root(port: &str) -> usize {
    let script = "
import os, socket, sys
port = int(sys.argv[1])
root = socket.create_connection(('127.0.0.1', port))
os.setuid(65534)
for last in range(2, 42):
    other = socket.socket()
    other.settimeout(20)
    other.bind((f'127.0.0.{last}', root.getsockname()[1]))
    other.connect(('127.0.0.1', port))
    other.sendall(b'\\x80\\x01\\x00\\x01\\x00\\x00\\x00\\x11get_all_databases\\x00\\x00\\x00\\x01\\x00')
    try:
        if other.recv(1):
            print('answered')
    except ConnectionError:
        pass
print('done')
";
    let lines = lines_of(script, port);
    lines.iter().filter(|line| *line == "answered").count()
}

/// What a script of Python prints before its last line, `done`.
fn lines_of(script: &str, port: &str) -> Vec<String> {
    let output = Command::new("python3")
        .args(["-c", script, port])
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let failed = String::from_utf8_lossy(&output.stderr);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.pop().as_deref(), Some("done"), "{text} {failed}");
    lines
}

#[test]
#[ignore = "needs root, to be another user"]
fn a_server_of_another_user_is_not_joined() {
    let workspace = tempfile::tempdir().unwrap();
    let embedded = embedded(&spark(), workspace.path());
    // It answers every question with the token, which is in the state file that a killed server has left.
    let script = "
import os, socket
os.setuid(65534)
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
answer = b'\\x80\\x01\\x00\\x02\\x00\\x00\\x00\\x10get_config_value\\x00\\x00\\x00\\x01\\x0b\\x00\\x00\\x00\\x00\\x00\\x01x\\x00'
kept = []
while True:
    kept.append(server.accept()[0])
    kept[-1].recv(100)
    kept[-1].sendall(answer)
";
    let mut impostor = Command::new("python3")
        .args(["-c", script])
        .current_dir("/")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    let mut lines = BufReader::new(impostor.stdout.take().unwrap());
    lines.read_line(&mut port).unwrap();
    let port = port.trim();
    fs::create_dir_all(&embedded.directory).unwrap();
    let stale = format!("{{\"port\":{port},\"pid\":1,\"token\":\"x\"}}");
    fs::write(embedded.directory.join("metastore.json"), stale).unwrap();
    let lease = embedded.join().unwrap();
    impostor.kill().unwrap();
    impostor.wait().unwrap();
    assert!(lease.started());
    assert!(!lease.uri().ends_with(port), "{}", lease.uri());
}

#[test]
fn a_workspace_has_one_metastore_that_survives_what_can_happen() {
    let workspace = tempfile::tempdir().unwrap();
    let embedded = embedded(&spark(), workspace.path());

    // A state file of another time, whose port belongs to another program by now.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = other.accept() {
            let _ = io::Write::write_all(&mut stream, b"SSH-2.0-not-a-metastore\r\n");
        }
    });
    fs::create_dir_all(&embedded.directory).unwrap();
    let stale = format!("{{\"port\":{port},\"pid\":1,\"token\":\"x\"}}");
    fs::write(embedded.directory.join("metastore.json"), stale).unwrap();

    // Two join at once: one starts it, both use the same.
    let (first, second) = thread::scope(|scope| {
        let one = scope.spawn(|| embedded.join().unwrap());
        let other = scope.spawn(|| embedded.join().unwrap());
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(first.uri(), second.uri());
    assert_ne!(first.started(), second.started());

    changes_are_listed(&first);

    // It stays while one is left, longer than it would stay idle.
    let uri = second.uri();
    drop(first);
    thread::sleep(embedded.idle * 2);
    assert!(
        Catalog::connect(&uri, Timeouts::default())
            .unwrap()
            .snapshot(&[])
            .is_ok()
    );
    assert!(!has_ended(&embedded));

    // Killed hard: the next start recovers, and what was written is still there.
    kill_hard(&second);
    wait_until("the killed server is gone", || has_ended(&embedded));
    let third = embedded.join().unwrap();
    assert!(third.started());
    let hive = Catalog::connect(&third.uri(), Timeouts::default()).unwrap();
    let request = (table("data.events"), vec!["ds".to_owned()]);
    let snapshot = hive.snapshot(&[request]).unwrap();
    assert_eq!(snapshot.days(&table("data.events"), "ds", &[]).days(), 1198);

    // Killed while it is watched over: it comes back at the same address.
    let uri = third.uri();
    let pid = third.pid();
    let (told, reports) = std::sync::mpsc::channel();
    let watched = embedded.clone().watch(third, move |what| {
        let _ = told.send(what);
    });
    let watched = watched.unwrap();
    assert_eq!(watched.uri(), uri);
    kill(pid);
    let report = reports.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(report, "the embedded metastore died; starting it again");
    wait_until("the server is back", || hive.snapshot(&[]).is_ok());
    assert_eq!(embedded.join().unwrap().uri(), uri);

    // The last one leaves: it ends by itself, and the state file with it.
    drop((hive, watched));
    assert!(reports.recv().is_err(), "its end is no death");
    wait_until("an idle server ends", || has_ended(&embedded));
    assert!(!embedded.directory.join("metastore.json").exists());
}

fn changes_are_listed(lease: &Lease) {
    let hive = Hive::new(&lease.uri(), Timeouts::default()).unwrap();
    let missing = [
        (table("nowhere.events"), vec!["ds".to_owned()]),
        (table("data.events"), vec!["ds".to_owned()]),
        (table("data.events"), vec!["hr".to_owned()]),
    ];
    let snapshot = hive.snapshot(&missing).unwrap();
    assert_eq!(snapshot.tables.len(), 2);
    assert!(snapshot.tables.values().all(Option::is_none));

    for _ in 0..2 {
        hive.ensure_database("data").unwrap();
    }
    assert!(hive.create_table(&events()).unwrap());
    assert!(!hive.create_table(&events()).unwrap());
    hive.add_partitions(&table("data.events"), &rows(1200))
        .unwrap();
    hive.add_partitions(&table("data.events"), &rows(2))
        .unwrap();
    hive.drop_partitions(&table("data.events"), &rows(2), true)
        .unwrap();
    hive.drop_partitions(&table("data.events"), &rows(2), true)
        .unwrap();

    let snapshot = hive.snapshot(&missing).unwrap();
    let state = snapshot.table(&table("data.events")).unwrap();
    assert_eq!(state.info.columns, events().columns);
    assert_eq!(state.info.partition_columns, events().partition_columns);
    assert_eq!(state.info.properties["owner_team"], "search");
    assert!(!state.info.is_view);
    let days = snapshot.days(
        &table("data.events"),
        "ds",
        &[("hr".into(), "10:00".into())],
    );
    assert_eq!(days.days(), 1198);
    assert_eq!(days.first(), Some("2024-01-03".parse().unwrap()));

    landings_are_remembered(&hive);
    written_partitions_are_told(&hive);

    let mut unpartitioned = events();
    unpartitioned.table = table("data.dimension");
    unpartitioned.partition_columns.clear();
    assert!(hive.create_table(&unpartitioned).unwrap());
    let request = [(table("data.dimension"), vec!["ds".to_owned()])];
    let snapshot = hive.snapshot(&request).unwrap();
    assert!(snapshot.table(&request[0].0).unwrap().partitions.is_empty());
    hive.drop_table(&table("data.dimension"), true).unwrap();
    hive.drop_table(&table("data.dimension"), true).unwrap();
    assert_eq!(hive.snapshot(&request).unwrap().table(&request[0].0), None);

    let error = hive
        .add_partitions(&table("data.none"), &rows(1))
        .unwrap_err();
    assert!(matches!(error, CatalogError::Refused { .. }), "{error}");
    dead_address_first(lease);
}

/// Of the newest days only; a table that is not there has none.
fn landings_are_remembered(hive: &Hive) {
    let newest: Vec<String> = hive
        .landings(&table("data.events"), "ds", &PartitionFormat::iso(), 2)
        .unwrap()
        .keys()
        .map(Ds::to_string)
        .collect();
    assert_eq!(newest, ["2027-04-13", "2027-04-14"]);
    for (name, column) in [
        ("data.events", "dt"),
        ("data.none", "ds"),
        ("no.table", "ds"),
    ] {
        let landed = hive
            .landings(&table(name), column, &PartitionFormat::iso(), 2)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(landed.is_empty(), "{name}: {landed:?}");
    }
}

/// A file that is written into a partition's folder changes that day alone; so does a partition that
/// is created again. All days are sent in a few calls.
fn written_partitions_are_told(hive: &Hive) {
    let slice = |sub_partitions: Vec<(String, String)>| Slice {
        table: table("data.events"),
        day_column: "ds".to_owned(),
        sub_partitions,
    };
    let all: RangeSet =
        PartitionRange::new("2024-01-01".parse().unwrap(), "2028-01-01".parse().unwrap()).into();
    let hour = ("hr".to_owned(), "10:00".to_owned());
    let other = ("hr".to_owned(), "11:00".to_owned());
    let look = |sub_partitions| {
        let request = EvidenceRequest {
            slice: slice(sub_partitions),
            days: all.clone(),
            format: PartitionFormat::iso(),
        };
        let mut found = hive.evidence(std::slice::from_ref(&request)).unwrap();
        found.remove(&request.slice).unwrap_or_default()
    };
    let started = Instant::now();
    let before = look(Vec::new());
    let took = started.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert_eq!(before.len(), 1198);
    assert!(before.values().all(|one| one.catalog.is_some()));
    assert_eq!(look(vec![hour.clone()]).len(), 1198);
    assert!(look(vec![other]).is_empty());

    let request = [(table("data.events"), Vec::new())];
    let snapshot = hive.snapshot(&request).unwrap();
    let location = snapshot.table(&request[0].0).unwrap().info.location.clone();
    let location = location.unwrap();
    let folder = Path::new(location.trim_start_matches("file:")).join("ds=2025-05-05/hr=10%3A00");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("part-0"), "rows").unwrap();
    let changed = |before: &DayEvidence| -> Vec<String> {
        let after = look(Vec::new());
        let days = after.iter();
        let days = days.filter(|(ds, now)| now.differs(before[*ds]));
        days.map(|(ds, _)| ds.to_string()).collect()
    };
    assert_eq!(changed(&before), ["2025-05-05"]);
    assert!(changed(&look(Vec::new())).is_empty());
}

/// Nothing listens on the first address: the second answers.
fn dead_address_first(lease: &Lease) {
    let uri = format!("thrift://127.0.0.1:1,{}", lease.uri());
    let both = Catalog::connect(&uri, Timeouts::default()).unwrap();
    let request = [(table("data.events"), vec!["ds".to_owned()])];
    for _ in 0..2 {
        let snapshot = both.snapshot(&request).unwrap();
        assert_eq!(snapshot.days(&request[0].0, "ds", &[]).days(), 1198);
    }
}

#[test]
fn an_unreachable_metastore_is_named_with_what_to_check() {
    let catalog = Catalog::connect("thrift://127.0.0.1:1", Timeouts::default()).unwrap();
    let request = [(table("a.b"), Vec::new())];
    let error = catalog.snapshot(&request).unwrap_err();
    assert!(
        matches!(error, CatalogError::Unreachable { .. }),
        "{error:?}"
    );
    let message = error.to_string();
    assert!(message.contains("thrift://127.0.0.1:1"), "{message}");
    assert!(message.contains("[catalog]"), "{message}");
}

#[test]
fn a_silent_server_is_a_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("thrift://{}", listener.local_addr().unwrap());
    let timeouts = Timeouts {
        connect: Duration::from_secs(5),
        call: Duration::from_millis(200),
    };
    let catalog = Catalog::connect(&uri, timeouts).unwrap();
    let error = catalog.snapshot(&[(table("a.b"), Vec::new())]).unwrap_err();
    assert!(matches!(error, CatalogError::TimedOut { .. }), "{error:?}");
}

#[test]
fn another_kind_of_server_is_no_metastore() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("thrift://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let timeouts = Timeouts {
        call: Duration::from_secs(2),
        ..Timeouts::default()
    };
    let catalog = Catalog::connect(&uri, timeouts).unwrap();
    let error = catalog.snapshot(&[(table("a.b"), Vec::new())]).unwrap_err();
    assert!(error.to_string().contains(&uri), "{error}");
}

#[test]
fn a_database_that_is_damaged_is_explained_with_its_log() {
    let workspace = tempfile::tempdir().unwrap();
    let embedded = embedded(&spark(), workspace.path());
    // All the files of a database, so that it is not taken for one whose creation was cut short.
    for file in ["service.properties", "log/log.ctrl", "seg0/c10.dat"] {
        let path = embedded.directory.join("db").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "not a database").unwrap();
    }
    let error = embedded.join().unwrap_err();
    let EmbeddedError::Ended { reason, log, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(!reason.is_empty() && log.exists(), "{error}");
}

#[test]
fn a_rehearsal_writes_an_archive_that_starts_a_metastore() {
    let workspace = tempfile::tempdir().unwrap();
    let spark = spark();
    let archive = Archive::new(workspace.path(), "metastore", &spark).unwrap();
    let archive = archive.expect("a Java of Spark 3.3.1 has class-data archives");
    let recording = Recording::new(&archive).unwrap();
    let mut rehearsed = embedded(&spark, recording.directory());
    rehearsed.java_options.extend(recording.options());
    rehearsed.idle = Duration::ZERO;
    rehearsed.run_for_recording().unwrap();
    recording.publish().unwrap();

    let mut embedded = embedded(&spark, workspace.path());
    embedded.java_options.extend(archive.options());
    assert!(
        embedded
            .java_options
            .iter()
            .any(|option| option.ends_with(".jsa"))
    );
    let lease = embedded.join().unwrap();
    assert!(lease.started());
    let log = fs::read_to_string(embedded.log()).unwrap();
    assert!(!log.contains("[cds"), "{log}");
}
