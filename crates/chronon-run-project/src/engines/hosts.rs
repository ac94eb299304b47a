//! The Spark that the slots of this process share; see [`chronon_run_spark::host`]. With `keep_spark` it
//! outlives this process and serves the next commands of the workspace.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chronon_run_core::CommandLine;
use chronon_run_process::{Host, Keep, KeepError, StartError, Watchdog};
use chronon_run_spark::{
    Spark,
    conceal::{Place, conceal, forget},
};

use crate::{
    output::note,
    program::{WATCHDOG, own_program},
};

/// The hosts of this process, by what they were started with. They end with it, unless they are kept.
#[derive(Debug, Default)]
pub struct Hosts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    hosts: HashMap<String, Entry>,
    /// Hosts that were started, so that each has files of its own.
    started: u32,
    /// Where logs are kept when hosts end.
    logs: Option<PathBuf>,
}

#[derive(Debug)]
struct Entry {
    // In this order: the watchdog ends a host whose owner is gone.
    host: Arc<Host>,
    _watchdog: Option<Watchdog>,
    log: PathBuf,
}

/// How a host is started.
#[derive(Clone, Debug)]
pub struct SharedSpark {
    /// What tells hosts apart.
    pub key: String,
    /// The command with its secrets, but for its last arguments: the file in which the host says where it
    /// listens, and what makes it stay.
    pub command: CommandLine,
    /// Where its files are.
    pub folder: PathBuf,
    /// What runs it.
    pub spark: Spark,
    /// What the watchdog gives it between TERM and KILL.
    pub grace: Duration,
    /// Where and how long it is kept; `None` if it ends with this process.
    pub keep: Option<Keep>,
    /// The metastore that it is to use; empty if that is not known yet.
    pub metastore: String,
}

impl SharedSpark {
    /// The command without secrets among its arguments.
    fn concealed(&self) -> Result<CommandLine, StartError> {
        let place = Place::of(&self.spark, &self.folder);
        conceal(self.command.clone(), place, |name| env::var(name).ok()).map_err(not_started)
    }
}

impl Hosts {
    /// The host that was started like this, or a new one if there is none or it has ended.
    pub fn host(&self, spark: &SharedSpark) -> Result<Arc<Host>, KeepError> {
        let mut known = self.known();
        if let Some(entry) = known.hosts.get(&spark.key) {
            if !entry.host.has_exited() {
                return Ok(Arc::clone(&entry.host));
            }
            known.forget(&spark.key);
        }
        let entry = match &spark.keep {
            Some(keep) => match find_or_keep(keep, spark) {
                Ok(entry) => entry,
                Err(error @ (KeepError::Stopped | KeepError::Start(_))) => return Err(error),
                Err(error) => {
                    note(&format!("note: {error}; another Spark is started"));
                    known.start(spark)?
                }
            },
            None => known.start(spark)?,
        };
        let host = Arc::clone(&entry.host);
        known.hosts.insert(spark.key.clone(), entry);
        Ok(host)
    }

    /// From now on the logs of hosts are kept in `folder` when they end.
    pub fn keep_logs(&self, folder: &Path) {
        self.known().logs = Some(folder.to_owned());
    }

    /// Ends all hosts that end with this process.
    pub fn end(&self) {
        let mut known = self.known();
        let keys: Vec<String> = known.hosts.keys().cloned().collect();
        keys.iter().for_each(|key| known.forget(key));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kept host, which is started if none runs.
fn find_or_keep(keep: &Keep, spark: &SharedSpark) -> Result<Entry, KeepError> {
    let claim = [("metastore".to_owned(), spark.metastore.clone())];
    let start = || {
        // Nothing reads what an earlier process of this folder has left.
        forget(&spark.folder);
        spark.concealed()
    };
    let host = keep.host(&claim, &start)?;
    Ok(Entry {
        host: Arc::new(host),
        _watchdog: None,
        log: keep.log(),
    })
}

impl Known {
    /// Starts a host that ends with this process.
    fn start(&mut self, spark: &SharedSpark) -> Result<Entry, StartError> {
        self.started += 1;
        let file = |end: &str| {
            let name = format!("sessions-{}-{}.{end}", std::process::id(), self.started);
            spark.folder.join(name)
        };
        let (state, log) = (file("state"), file("log"));
        let mut command = spark.concealed()?;
        command.argv.push(state.display().to_string());
        let program = own_program().map_err(not_started)?;
        let watchdog = Watchdog::start(&program, &[WATCHDOG], spark.grace)?;
        let host = Host::start(&command, &state, &log, &watchdog)?;
        Ok(Entry {
            host: Arc::new(host),
            _watchdog: Some(watchdog),
            log,
        })
    }

    /// Lets a host go; its log is copied to where logs are kept, if it ends now and says anything.
    fn forget(&mut self, key: &str) {
        let Some(Entry { host, log, .. }) = self.hosts.remove(key) else {
            return;
        };
        let outlives = host.is_kept();
        drop(host);
        let says = !outlives && fs::metadata(&log).is_ok_and(|log| log.len() > 0);
        if let (Some(folder), true) = (&self.logs, says) {
            // It only explains.
            let _ = fs::copy(&log, folder.join(format!("sessions-{}.log", self.started)));
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.end();
    }
}

fn not_started(source: std::io::Error) -> StartError {
    StartError::Program {
        program: "chronon-run".to_owned(),
        source,
    }
}
