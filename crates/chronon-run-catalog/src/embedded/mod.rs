//! The metastore of a workspace that has none of its own: started from Spark's jars, shared by
//! every `chronon-run` process of the workspace, ended when the last has left.
//!
//! Three facts carry it, and the operating system guards each of them, so nothing has to be
//! cleaned up after a crash of whatever part:
//! - *one server per directory*: the server's standard input is a file on which the starter took
//!   an exclusive lock; the lock lasts exactly as long as the server process lives;
//! - *who uses it*: every open connection counts. A [`Lease`] is one connection, every Spark job
//!   holds others, and the kernel closes those of a process that was killed;
//! - *where it is*: the server chooses a free loopback port itself and writes it, with a token, to
//!   a state file. A client asks for the token, so a stale file that points at another program
//!   else's port is noticed.
//!
//! Only the user that runs it can use it: the server looks up the owner of each connection's other
//! end in the system's table of sockets, and closes those of other users.
//!
//! The server ends after [`Embedded::idle`] without a connection, or at once when its directory
//! is gone or another server's. Derby recovers by itself after a hard kill; a database whose
//! creation was cut short is put aside, see [`Lease::replaced`].

mod database;
mod error;
mod rehearsal;
mod relocate;
mod watch;

use std::{
    fs::{self, File, OpenOptions},
    hash::{BuildHasher, RandomState},
    io,
    net::TcpStream,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use chronon_run_core::CommandLine;
use chronon_run_process::{
    Detached, StartError, Stop, User, end_unused, is_locked, is_peer_of, replace, try_lock,
};
use serde::Deserialize;

use self::error::file_error;
pub use self::{error::EmbeddedError, watch::Watched};
use crate::probe;

const SOURCE: &str = include_str!("EmbeddedMetastore.java");
const LOG_CONFIG: &str = include_str!("log4j2.properties");
const POLL: Duration = Duration::from_millis(20);
/// An answer of a server on this machine takes milliseconds; this is for a machine under load.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a server that is starting may take when this process is to stop.
const START_GRACE: Duration = Duration::from_secs(10);
/// A log larger than this (in bytes) is put aside at the next start.
const LOG_LIMIT: u64 = 1 << 20;
/// The file in which a server says where it is, in its directory.
pub const STATE_FILE: &str = "metastore.json";
/// The file that asks a server without connections to end, in its directory.
const END_REQUEST: &str = "metastore.json.end";
/// The file on which a server holds a lock, in its directory.
const LOCK_FILE: &str = "metastore.lock";
/// The folder of the database, in its directory.
const DATABASE: &str = "db";
/// The server's folder for temporary files, in its directory.
const TEMPORARY: &str = "tmp";
/// Variables by which the user's own Hive would be configured instead, and options that would win over
/// those that this JVM is given.
const FOREIGN_CONFIG: [&str; 5] = [
    "_JAVA_OPTIONS",
    "HIVE_CONF_DIR",
    "HIVE_HOME",
    "HADOOP_CONF_DIR",
    "HADOOP_HOME",
];

/// What is needed to run the metastore of one workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Embedded {
    /// The `java` program.
    pub java: PathBuf,
    /// Options for it, e.g. the class-data archive.
    pub java_options: Vec<String>,
    /// Its environment, where that is not this process's; `None` removes a variable.
    pub env: Vec<(String, Option<String>)>,
    /// Spark's `jars` directory.
    pub jars: PathBuf,
    /// Where database, lock, state and log are kept; made if missing. Absolute.
    pub directory: PathBuf,
    /// Where managed tables' files go; made if missing. Absolute.
    pub warehouse: PathBuf,
    /// How long it stays without a user.
    pub idle: Duration,
    /// How long a start may take.
    pub start: Duration,
}

/// The right to use the metastore: it stays at least as long as this value lives.
#[derive(Debug)]
pub struct Lease {
    port: u16,
    pid: u32,
    started: bool,
    replaced: Option<PathBuf>,
    connection: TcpStream,
}

impl Lease {
    /// `thrift://127.0.0.1:<port>`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("thrift://127.0.0.1:{}", self.port)
    }

    /// The server's process id; 0 where the system does not tell.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where the database was put that was there before and was incomplete: this one is new.
    #[must_use]
    pub fn replaced(&self) -> Option<&Path> {
        self.replaced.as_deref()
    }

    /// Whether this call started the server, rather than finding it running.
    #[must_use]
    pub fn started(&self) -> bool {
        self.started
    }
}

/// A server that this process has started.
struct Server {
    process: Detached,
    /// Where its part of the log begins, in bytes.
    log_start: u64,
    /// Where an incomplete database was put.
    replaced: Option<PathBuf>,
}

/// What the server writes about itself.
#[derive(Deserialize)]
struct State {
    port: u16,
    pid: u32,
    token: String,
}

impl Embedded {
    /// Joins the workspace's metastore, starting it if it does not run, and waits until it answers.
    ///
    /// # Errors
    /// [`EmbeddedError`] if its directory cannot be used, or it does not start, or not in time.
    pub fn join(&self) -> Result<Lease, EmbeddedError> {
        for directory in [&self.directory, &self.warehouse] {
            fs::create_dir_all(directory).map_err(|source| file_error(directory, source))?;
        }
        let deadline = Instant::now() + self.start;
        let mut server: Option<Server> = None;
        // A stopped command exits only after it has seen to a server that is starting.
        let _entered = Stop::of_process().enter();
        loop {
            if let Some(mut lease) = self.attach() {
                if let Some(server) = server {
                    lease.started = server.process.id().pid == lease.pid;
                    lease.replaced = server.replaced;
                }
                return Ok(lease);
            }
            if Stop::of_process().reason().is_some() {
                return Err(self.stopped(server));
            }
            if let Some(server) = &mut server {
                self.check(server)?;
            } else if let Some(lock) = self.try_lock()? {
                server = Some(self.launch(lock)?);
            }
            if Instant::now() > deadline {
                return Err(self.give_up(server));
            }
            thread::sleep(POLL);
        }
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("metastore.log")
    }

    fn state(&self) -> PathBuf {
        self.directory.join(STATE_FILE)
    }

    /// Connects to the server that the state file names, if it is really there and ours.
    fn attach(&self) -> Option<Lease> {
        let state = self.read_state()?;
        let (connection, token) = probe::token(state.port, ANSWER).ok()?;
        let writer = fs::metadata(self.state()).ok()?.uid();
        // State file and token do not tell whose it is: other users may read them, and listen at the port of a
        // server that has died.
        let (here, there) = (connection.local_addr().ok()?, connection.peer_addr().ok()?);
        if !is_peer_of(here, there, &[User::current().uid, writer]) {
            return None;
        }
        // The server removes its state file before it decides to end: if the file is still there
        // now, this connection was counted.
        let current = self.read_state()?;
        (token == state.token && current.token == state.token).then_some(Lease {
            port: state.port,
            pid: state.pid,
            started: false,
            replaced: None,
            connection,
        })
    }

    fn read_state(&self) -> Option<State> {
        serde_json::from_slice(&fs::read(self.state()).ok()?).ok()
    }

    /// The lock, unless a server lives (or another process is starting one).
    fn try_lock(&self) -> Result<Option<File>, EmbeddedError> {
        let path = self.directory.join(LOCK_FILE);
        try_lock(&path).map_err(|source| file_error(&path, source))
    }

    /// Starts the server, which inherits `lock` as its standard input.
    fn launch(&self, lock: File) -> Result<Server, EmbeddedError> {
        // The server that wrote it is dead: it held the lock. It did not end by itself, so there may
        // be jobs that still look for it at its port.
        let port = self.read_state().map_or(0, |state| state.port);
        for name in [STATE_FILE, END_REQUEST] {
            let _ = fs::remove_file(self.directory.join(name));
        }
        let replaced = database::put_aside_if_incomplete(&self.directory.join(DATABASE))?;
        self.write("EmbeddedMetastore.java", SOURCE)?;
        let server = self.start_java(lock, self.arguments(port))?;
        Ok(Server { replaced, ..server })
    }

    /// Starts Java in the metastore's directory, with its log and environment, and with `lock` as its
    /// standard input. `arguments` are a source file, the class in it, and what its `main` takes.
    fn start_java(&self, lock: File, arguments: Vec<String>) -> Result<Server, EmbeddedError> {
        self.write("log4j2.properties", LOG_CONFIG)?;
        self.clear_temporary()?;
        let log = self.open_log()?;
        let log_start = log.metadata().map_or(0, |log| log.len());
        let clear = |variable: &&str| ((*variable).to_owned(), None);
        let mut env: Vec<_> = FOREIGN_CONFIG.iter().map(clear).collect();
        env.extend(self.env.iter().cloned());
        let mut argv = vec![self.java.display().to_string()];
        argv.extend(self.compiling()?);
        argv.extend(arguments);
        let command = CommandLine {
            argv,
            env,
            cwd: Some(self.directory.clone()),
        };
        let process = Detached::start_unmarked(&command, Some(lock), Some(log));
        let process = process.map_err(|source| EmbeddedError::Java {
            java: self.java.clone(),
            source: match source {
                StartError::Program { source, .. } => source,
                other => io::Error::other(other),
            },
        })?;
        Ok(Server {
            process,
            log_start,
            replaced: None,
        })
    }

    fn arguments(&self, port: u16) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let inside = |name: &str| text(&self.directory.join(name));
        vec![
            inside("EmbeddedMetastore.java"),
            "EmbeddedMetastore".to_owned(),
            inside(STATE_FILE),
            format!("{:016x}", RandomState::new().hash_one(Instant::now())),
            self.idle.as_millis().to_string(),
            // Relative to the server's working directory: a Derby URL cannot hold every path.
            DATABASE.to_owned(),
            text(&self.warehouse),
            port.to_string(),
        ]
    }

    /// JVM options, and the compiler's class, which takes a source file and a class.
    fn compiling(&self) -> Result<Vec<String>, EmbeddedError> {
        let inside = |name: &str| self.directory.join(name).display().to_string();
        let mut arguments = self.java_options.clone();
        arguments.extend([
            "-Xmx512m".to_owned(),
            // The second compiler took more than half of the CPU of a server beside the Spark that waited for it.
            "-XX:TieredStopAtLevel=1".to_owned(),
            "-XX:+UseSerialGC".to_owned(),
            format!("-Djava.io.tmpdir={}", inside(TEMPORARY)),
            format!("-Dlog4j2.configurationFile={}", inside("log4j2.properties")),
            format!("-Dderby.stream.error.file={}", inside("derby.log")),
            // The metastore has more than the 100 statements that Derby keeps compiled.
            "-Dderby.language.statementCacheSize=1000".to_owned(),
            "-cp".to_owned(),
            self.class_path()?,
            "org.codehaus.janino.SimpleCompiler".to_owned(),
        ]);
        Ok(arguments)
    }

    /// Every jar in the order of their names: the class-data archive fits only the very same text.
    fn class_path(&self) -> Result<String, EmbeddedError> {
        let entries = fs::read_dir(&self.jars).map_err(|source| file_error(&self.jars, source))?;
        let mut jars: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
            .map(|path| path.display().to_string())
            .collect();
        jars.sort();
        Ok(jars.join(":"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), EmbeddedError> {
        let path = self.directory.join(name);
        replace(&path, text).map_err(|source| file_error(&path, source))
    }

    /// An empty folder for the server's temporary files: the process that used it is dead.
    fn clear_temporary(&self) -> Result<(), EmbeddedError> {
        let path = self.directory.join(TEMPORARY);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file_error(&path, error));
            }
            _ => {}
        }
        fs::create_dir_all(&path).map_err(|source| file_error(&path, source))
    }

    fn open_log(&self) -> Result<File, EmbeddedError> {
        let path = self.log();
        if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_LIMIT) {
            // Only old lines would be lost if this fails.
            let _ = fs::rename(&path, path.with_extension("log.old"));
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|source| file_error(&path, source))
    }

    /// Fails if the server has already ended.
    fn check(&self, server: &mut Server) -> Result<(), EmbeddedError> {
        match server.process.exit() {
            Ok(Some(status)) => Err(EmbeddedError::Ended {
                status,
                reason: reason(&self.logged_since(server.log_start)),
                log: self.log(),
            }),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    fn logged_since(&self, start: u64) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        let start = usize::try_from(start)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        String::from_utf8_lossy(&bytes[start..]).into_owned()
    }

    /// This process is to stop. A server that was started here is waited for, because its database
    /// may be half made; once it answers it ends by itself, as it has no connection. One that does not
    /// answer in time is ended.
    fn stopped(&self, server: Option<Server>) -> EmbeddedError {
        Stop::of_process().give_up();
        let Some(Server { process, .. }) = server else {
            return EmbeddedError::Stopped;
        };
        let deadline = Instant::now() + START_GRACE;
        let has_ended = || !matches!(process.exit(), Ok(None));
        while !has_ended() && self.attach().is_none() {
            if Instant::now() > deadline || Stop::of_process().is_urgent() {
                process.end(Duration::ZERO);
                break;
            }
            thread::sleep(POLL);
        }
        EmbeddedError::Stopped
    }

    fn give_up(&self, server: Option<Server>) -> EmbeddedError {
        if let Some(Server { process, .. }) = server {
            process.end(Duration::ZERO);
        }
        EmbeddedError::Slow {
            after: self.start,
            log: self.log(),
        }
    }

    /// Starts the server, uses it as a run does, and waits until it has ended: for a class-data
    /// archive, whose recording is among [`Embedded::java_options`]. Takes a directory of its own.
    ///
    /// # Errors
    /// [`EmbeddedError`] if it does not start, or does not end within [`Embedded::start`] after
    /// [`Embedded::idle`].
    pub fn run_for_recording(&self) -> Result<(), EmbeddedError> {
        let _entered = Stop::of_process().enter();
        let lease = self.join()?;
        // What it answers does not matter here, only that its classes are loaded.
        let _ = rehearsal::play(&lease.uri());
        drop(lease);
        let deadline = Instant::now() + self.idle + self.start;
        while self.try_lock()?.is_none() {
            // It ends by itself, as it has no connection.
            if Stop::of_process().reason().is_some() {
                return Err(EmbeddedError::Stopped);
            }
            if Instant::now() > deadline {
                return Err(self.give_up(None));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

/// Whether a server has this directory now, or is being started.
#[must_use]
pub fn is_running(directory: &Path) -> bool {
    is_locked(&directory.join(LOCK_FILE))
}

/// Whether this user may start or join the metastore of this directory. The server refuses other users
/// except root.
#[must_use]
pub fn is_usable(directory: &Path) -> bool {
    if !directory.exists() {
        return true;
    }
    let lock = OpenOptions::new()
        .write(true)
        .open(directory.join(LOCK_FILE));
    let is_refused = |error: &io::Error| error.kind() != io::ErrorKind::NotFound;
    if !chronon_run_process::is_writable(directory) || lock.as_ref().is_err_and(is_refused) {
        return false;
    }
    let user = User::current().uid;
    let owner = User::owner_of(&directory.join(STATE_FILE)).map(|owner| owner.uid);
    user == 0 || owner == Some(user) || !is_running(directory)
}

/// Ends the server of this directory if it has no connection; whether none runs now.
///
/// # Errors
/// An [`io::Error`] if the directory cannot be written.
pub fn end_if_idle(directory: &Path) -> io::Result<bool> {
    let (lock, request) = (directory.join(LOCK_FILE), directory.join(END_REQUEST));
    end_unused(&lock, &request, || false)
}

/// The line of a Java log that tells most: the last cause, else the last error, else the last line.
fn reason(log: &str) -> String {
    let last = |pick: &dyn Fn(&str) -> bool| log.lines().rev().find(|line| pick(line));
    last(&|line| line.starts_with("Caused by: "))
        .or_else(|| last(&|line| line.starts_with("Exception in ") || line.contains(" ERROR ")))
        .or_else(|| last(&|line| line.starts_with("Error") || line.starts_with("Unrecognized")))
        .or_else(|| last(&|line| !line.trim().is_empty()))
        .unwrap_or("nothing was logged")
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_cause_is_told() {
        let log = "2026-01-01 00:00:00 ERROR Datastore: Exception thrown\n\
                   java.sql.SQLException: outer\n\
                   \tat a.b\n\
                   Caused by: java.sql.SQLException: inner\n\
                   \tat a.b\n";
        assert_eq!(reason(log), "Caused by: java.sql.SQLException: inner");
        let log = "Unrecognized VM option 'X'\nError: Could not create the Java Virtual Machine.\n";
        assert_eq!(
            reason(log),
            "Error: Could not create the Java Virtual Machine."
        );
        assert_eq!(reason(""), "nothing was logged");
    }

    fn scripted(directory: &Path, java: &str) -> Embedded {
        Embedded {
            java: java.into(),
            java_options: Vec::new(),
            env: Vec::new(),
            jars: directory.to_owned(),
            directory: directory.join("metastore"),
            warehouse: directory.join("warehouse"),
            idle: Duration::from_secs(1),
            start: Duration::from_secs(30),
        }
    }

    #[test]
    fn a_server_that_does_not_start_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let error = scripted(dir.path(), "/bin/false").join().unwrap_err();
        assert!(matches!(error, EmbeddedError::Ended { .. }), "{error}");
        let error = scripted(dir.path(), "/no/such/java").join().unwrap_err();
        assert!(error.to_string().contains("/no/such/java"), "{error}");
    }
}
