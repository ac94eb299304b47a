//! The Spark that the slots of this process share; see [`chronon_run_spark::host`].

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chronon_run_core::CommandLine;
use chronon_run_process::{Host, StartError, Watchdog};

use crate::{loading::project::own_program, options};

/// The hosts of this process, by what they were started with. They end with it.
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
    _watchdog: Watchdog,
    log: PathBuf,
}

/// How a host is started.
#[derive(Clone, Debug)]
pub struct SharedSpark {
    /// What tells hosts apart.
    pub key: String,
    /// The command, but for its last argument: the file in which the host says where it listens.
    pub command: CommandLine,
    /// Where its files are.
    pub folder: PathBuf,
    /// What the watchdog gives it between TERM and KILL.
    pub grace: Duration,
}

impl Hosts {
    /// The host that was started like this, or a new one if there is none or it has ended.
    pub fn host(&self, spark: &SharedSpark) -> Result<Arc<Host>, StartError> {
        let mut known = self.known();
        if let Some(entry) = known.hosts.get(&spark.key) {
            if !entry.host.has_exited() {
                return Ok(Arc::clone(&entry.host));
            }
            known.forget(&spark.key);
        }
        known.started += 1;
        let file = |end: &str| {
            spark
                .folder
                .join(format!("sessions-{}.{end}", known.started))
        };
        let (state, log) = (file("state"), file("log"));
        let mut command = spark.command.clone();
        command.argv.push(state.display().to_string());
        let program = own_program().map_err(|source| StartError::Program {
            program: "chronon-run".to_owned(),
            source,
        })?;
        let watchdog = Watchdog::start(&program, &[options::WATCHDOG], spark.grace)?;
        let host = Host::start(&command, &state, &log, &watchdog)?;
        let host = Arc::new(host);
        let entry = Entry {
            host: Arc::clone(&host),
            _watchdog: watchdog,
            log,
        };
        known.hosts.insert(spark.key.clone(), entry);
        Ok(host)
    }

    /// From now on the logs of hosts are kept in `folder` when they end.
    pub fn keep_logs(&self, folder: &Path) {
        self.known().logs = Some(folder.to_owned());
    }

    /// Ends all hosts.
    pub fn end(&self) {
        let mut known = self.known();
        let keys: Vec<String> = known.hosts.keys().cloned().collect();
        keys.iter().for_each(|key| known.forget(key));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Ends a host; its log is kept where logs are kept, if it says anything.
    fn forget(&mut self, key: &str) {
        let Some(Entry { host, log, .. }) = self.hosts.remove(key) else {
            return;
        };
        drop(host);
        let says = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
        if let (Some(folder), Some(name), true) = (&self.logs, log.file_name(), says) {
            // It only explains.
            let _ = fs::copy(&log, folder.join(name));
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.end();
    }
}
