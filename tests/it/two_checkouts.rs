//! Two checkouts of one repo over one metastore: one writer at a time, whatever the host.

use std::{
    fs, io,
    net::{Shutdown, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use chronon_run_catalog::{Hive, Timeouts, embedded::Lease};
use chronon_run_testkit::{
    driver::{Commit, Write},
    scripted::{Backend, CATALOG, Fault},
};

use crate::{
    environment::has_rights,
    nothing_lost::{clock_library, metastore},
    staged::{Staged, all_days, fault_of},
    support::{Screen, signal, wait_until},
};

/// Names the host where a run takes place.
const HOST: &str = "CHRONON_RUN_HOST";

struct Checkouts {
    one: Staged,
    other: Staged,
    server: String,
    _lease: Lease,
}

impl Checkouts {
    fn new() -> Self {
        let (one, other) = (Staged::chain(), Staged::chain());
        let lease = metastore(&one.workspace.path("server"));
        let server = lease.uri();
        let source = |table: &str| Write::days(table.parse().unwrap(), all_days());
        let writes = ["lake.a", "lake.b"].map(source).to_vec();
        Backend::open(&server)
            .unwrap()
            .apply(&[Commit { writes }])
            .unwrap();
        for staged in [&one, &other] {
            staged.workspace.edit(
                "workspace.toml",
                "kind = \"fixture\"\npath = \"catalog.json\"",
                &format!("kind = \"hive\"\nuri = \"{server}\""),
            );
        }
        one.faults(&[Fault {
            slow_millis: 600_000,
            ..fault_of("one")
        }]);
        Self {
            one,
            other,
            server,
            _lease: lease,
        }
    }

    fn command(&self, staged: &Staged, host: &str, args: &[&str]) -> Command {
        let mut command = staged.command(args);
        command.env(CATALOG, &self.server).env(HOST, host);
        command
    }

    /// A run of the first checkout that does not come to an end.
    fn start(&self, host: &str) -> Child {
        let before = self.one.calls().len();
        let mut run = self.command(&self.one, host, &["materialize", "team.one"]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        wait_until("one runs", || self.one.calls().len() > before);
        run.unwrap()
    }

    fn second(&self, host: &str) -> Screen {
        let mut run = self.command(&self.other, host, &["materialize", "team.one"]);
        Screen::new(run.output().unwrap(), self.other.workspace.root())
    }

    fn is_refused(&self, host: &str, holder: &str) {
        let refused = self.second(host).expect(4).stderr;
        assert!(
            refused.contains("`out.team_one` is being written by run "),
            "{refused}"
        );
        let place = format!(
            "{} on host {holder} (process ",
            self.one.workspace.root().display()
        );
        assert!(refused.contains(&place), "{refused}");
        assert!(self.other.calls().is_empty());
    }

    fn claims(&self) -> usize {
        let hive = Hive::new(&self.server, Timeouts::default()).unwrap();
        let claims = |database| {
            hive.tables_like(database, "chronon_run_lock_*")
                .unwrap()
                .len()
        };
        claims("default") + claims("out")
    }
}

fn kill(mut run: Child) {
    signal(run.id(), "KILL");
    run.wait().unwrap();
}

#[test]
fn one_writer_on_every_machine() {
    let checkouts = Checkouts::new();
    // The tables' database does not exist yet.
    let run = checkouts.start("red");
    checkouts.is_refused("red", "red");
    checkouts.is_refused("blue", "red");
    kill(run);
    // What another host left dead is dead when it has given no sign of life for a minute.
    let run = checkouts.start("red");
    kill(run);
    let began = Instant::now();
    let filled = checkouts.second("blue").expect(0);
    assert!(
        began.elapsed() >= Duration::from_secs(60),
        "{}",
        filled.text()
    );
    assert_eq!(checkouts.claims(), 0);
    assert_eq!(checkouts.other.started(), ["one"]);
}

#[test]
fn a_dead_run_of_the_same_machine_holds_nothing() {
    let checkouts = Checkouts::new();
    kill(checkouts.start("red"));
    let began = Instant::now();
    checkouts.second("red").expect(0);
    assert!(began.elapsed() < Duration::from_secs(50));
    assert_eq!(checkouts.claims(), 0);
}

/// Starts a command on a host of its own: another name, and a network in which only a relay to `socket` is
/// reachable, at the metastore's port. The command keeps the process id.
const HOST_OF_ITS_OWN: &str = r#"
import fcntl, os, socket, struct, sys, threading, time
name, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
socket.sethostname(name)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, 0x8914, struct.pack('16sh', b'lo', 0x49))  # SIOCSIFFLAGS: up, loopback, running
server = socket.create_server(('127.0.0.1', port))
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    try:
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve():
    while True:
        client = server.accept()[0]
        other = socket.socket(socket.AF_UNIX)
        other.connect(path)
        for a, b in ((client, other), (other, client)):
            threading.Thread(target=pump, args=(a, b), daemon=True).start()
parent = os.getpid()
if os.fork() == 0:
    quiet = os.open('/dev/null', os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(quiet, fd)
    threading.Thread(target=serve, daemon=True).start()
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(0)
server.close()
os.execvp(sys.argv[4], sys.argv[4:])
"#;

/// Hosts with networks of their own, which reach the metastore over a socket of this machine.
struct Hosts {
    checkouts: Checkouts,
    socket: PathBuf,
    port: u16,
}

impl Hosts {
    fn new() -> Self {
        let checkouts = Checkouts::new();
        let port = checkouts.server.rsplit(':').next().unwrap();
        let port: u16 = port.parse().unwrap();
        let folder = checkouts.one.workspace.root();
        let socket = folder.join("relay");
        relay(&socket, port);
        fs::write(folder.join("host.py"), HOST_OF_ITS_OWN).unwrap();
        Self {
            socket,
            port,
            checkouts,
        }
    }

    fn command(&self, staged: &Staged, host: &str, args: &[&str]) -> Command {
        let inner = self.checkouts.command(staged, host, args);
        let mut command = Command::new("unshare");
        command.args(["-n", "--uts", "python3"]);
        command.arg(self.checkouts.one.workspace.path("host.py"));
        command.args([host, &self.port.to_string()]);
        command.arg(&self.socket).arg(inner.get_program());
        command.args(inner.get_args());
        command.current_dir(inner.get_current_dir().unwrap());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // The host's own name tells.
        command.env_remove(HOST);
        command
    }

    fn start(&self, host: &str) -> Child {
        let one = &self.checkouts.one;
        let before = one.calls().len();
        let mut run = self.command(one, host, &["materialize", "team.one"]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        wait_until("one runs", || one.calls().len() > before);
        run.unwrap()
    }

    fn second(&self, host: &str, clock: Option<(&Path, &Path)>) -> Screen {
        let other = &self.checkouts.other;
        let mut run = self.command(other, host, &["materialize", "team.one"]);
        if let Some((library, file)) = clock {
            run.env("LD_PRELOAD", library).env("CLOCK_BACK", file);
        }
        Screen::new(run.output().unwrap(), other.workspace.root())
    }

    fn is_refused(&self, screen: Screen) {
        let refused = screen.expect(4).stderr;
        let root = self.checkouts.one.workspace.root().display().to_string();
        let held = format!("of {root} on host red (process ");
        assert!(
            refused.contains("`out.team_one` is being written by run "),
            "{refused}"
        );
        assert!(refused.contains(&held), "{refused}");
        assert!(self.checkouts.other.calls().is_empty());
    }
}

/// Passes what comes over the socket on to the port.
fn relay(socket: &Path, port: u16) {
    let listener = UnixListener::bind(socket).unwrap();
    let pump = |mut from: UnixStream, mut to: TcpStream| {
        let (mut back, mut answers) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        thread::spawn(move || {
            let _ = io::copy(&mut answers, &mut back);
            let _ = back.shutdown(Shutdown::Write);
        });
    };
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
                pump(client, server);
            }
        }
    });
}

/// Two processes in two checkouts and two network namespaces, whatever their clocks say. The first is killed.
#[test]
fn one_writer_on_two_hosts_with_networks_of_their_own() {
    if !has_rights() {
        return;
    }
    let hosts = Hosts::new();
    let run = hosts.start("red");
    hosts.is_refused(hosts.second("blue", None));
    let other = &hosts.checkouts.other.workspace;
    let library = clock_library(other);
    let clock = other.path("back");
    for seconds in ["86400", "-86400"] {
        fs::write(&clock, seconds).unwrap();
        hosts.is_refused(hosts.second("blue", Some((&library, &clock))));
    }
    kill(run);
    let began = Instant::now();
    fs::write(&clock, "-86400").unwrap();
    hosts.second("blue", Some((&library, &clock))).expect(0);
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_secs(60),
        "a clock that is ahead shortens nothing: {waited:?}"
    );
    assert_eq!(hosts.checkouts.claims(), 0);
    assert_eq!(hosts.checkouts.other.started(), ["one"]);
}
