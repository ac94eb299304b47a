//! A ResourceManager that answers as YARN's REST interface does, as far as tests need it: it
//! lists applications, shows one, and ends one.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};

/// One application of a [`FakeYarn`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FakeApplication {
    /// e.g. `application_1769860800000_0001`.
    pub id: String,
    /// Its `spark.app.name`.
    pub name: String,
    /// `ACCEPTED`, `RUNNING`, `FINISHED`, `FAILED`, `KILLED`, …
    pub state: String,
    /// So many more times it is shown in its old state after it was asked to end.
    pub lingers: u32,
}

impl FakeApplication {
    /// One that runs until it is ended.
    #[must_use]
    pub fn running(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            state: "RUNNING".to_owned(),
            lingers: 0,
        }
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "state": self.state, "user": "ann",
            "queue": "default", "applicationType": "SPARK", "finalStatus": "UNDEFINED",
            "trackingUrl": format!("http://am/{}", self.id),
        })
    }
}

#[derive(Default)]
struct State {
    applications: Vec<FakeApplication>,
    /// Ids that were told to end, in order.
    killed: Vec<String>,
    /// Those of them that are still shown as they were.
    ending: Vec<String>,
    refuses: bool,
}

/// A ResourceManager on a loopback port, until it is dropped.
pub struct FakeYarn {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeYarn {
    /// Starts one that knows no application.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        let over = Arc::new(AtomicBool::new(false));
        let (shared, stop) = (Arc::clone(&state), Arc::clone(&over));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                // A client that hangs up early loses its answer.
                let _ = stream.and_then(|stream| answer(stream, &shared));
            }
        });
        Ok(Self {
            address,
            state,
            over,
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds an application, or replaces the one of its id.
    pub fn put(&self, application: FakeApplication) {
        let mut state = lock(&self.state);
        state
            .applications
            .retain(|known| known.id != application.id);
        state.applications.push(application);
    }

    /// What it knows now.
    #[must_use]
    pub fn applications(&self) -> Vec<FakeApplication> {
        lock(&self.state).applications.clone()
    }

    /// Ids that were told to end, in order.
    #[must_use]
    pub fn killed(&self) -> Vec<String> {
        lock(&self.state).killed.clone()
    }

    /// From now on no application may be ended: status 403.
    pub fn refuse_kills(&self) {
        lock(&self.state).refuses = true;
    }
}

impl Drop for FakeYarn {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // Wakes the thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request, one answer.
fn answer(mut stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    reader.read_line(&mut head)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = head.split_whitespace();
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (status, body) = respond(method, target, &body, &mut lock(state));
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn respond(method: &str, target: &str, body: &[u8], state: &mut State) -> (&'static str, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(rest) = path.strip_prefix("/ws/v1/cluster/apps") else {
        return not_found(path);
    };
    let words: Vec<&str> = rest.split('/').filter(|word| !word.is_empty()).collect();
    match (method, words.as_slice()) {
        ("GET", []) => ("200 OK", list(query, state)),
        ("GET", [id]) => show(id, state),
        ("PUT", [id, "state"]) => kill(id, body, state),
        _ => not_found(path),
    }
}

fn list(query: &str, state: &State) -> Value {
    let states = query
        .split('&')
        .find_map(|word| word.strip_prefix("states="));
    let wanted = |application: &&FakeApplication| {
        states.is_none_or(|states| states.split([',']).any(|state| state == application.state))
    };
    let found: Vec<_> = state
        .applications
        .iter()
        .filter(wanted)
        .map(FakeApplication::json)
        .collect();
    match found.is_empty() {
        true => json!({"apps": null}),
        false => json!({"apps": {"app": found}}),
    }
}

fn show(id: &str, state: &mut State) -> (&'static str, Value) {
    let ends = state.ending.iter().any(|ending| ending == id);
    let Some(application) = state.applications.iter_mut().find(|known| known.id == id) else {
        return not_found(id);
    };
    if ends {
        match application.lingers {
            0 => "KILLED".clone_into(&mut application.state),
            _ => application.lingers -= 1,
        }
    }
    ("200 OK", json!({"app": application.json()}))
}

fn kill(id: &str, body: &[u8], state: &mut State) -> (&'static str, Value) {
    let asked = serde_json::from_slice::<Value>(body).unwrap_or_default();
    if state.refuses || asked["state"] != "KILLED" {
        let message = "User dr.who does not have privilege to kill";
        return (
            "403 Forbidden",
            json!({"RemoteException": {"message": message}}),
        );
    }
    let Some(application) = state.applications.iter_mut().find(|known| known.id == id) else {
        return not_found(id);
    };
    if application.lingers == 0 {
        "KILLED".clone_into(&mut application.state);
    }
    state.killed.push(id.to_owned());
    state.ending.push(id.to_owned());
    ("202 Accepted", json!({"state": "ACCEPTED"}))
}

fn not_found(what: &str) -> (&'static str, Value) {
    let message = format!("app with id: {what} not found");
    (
        "404 Not Found",
        json!({"RemoteException": {"exception": "NotFoundException", "message": message}}),
    )
}
