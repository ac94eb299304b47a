//! Applications on a cluster: which ones run, and how to end one.
//!
//! A child that is ended takes its application along only in client mode, and not at once. So an
//! attempt that did not succeed is over when its application is: [`Cluster::end`] asks the
//! cluster to end it and returns when the cluster no longer runs it. Nothing here reads the
//! environment; every question has an end, after [`ANSWER`] at most.

mod command;
mod http;
mod kubernetes;
mod log;
mod standalone;
mod yarn;

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use kubernetes::Kubernetes;
use standalone::Standalone;
use yarn::Yarn;

pub use log::application_id;

/// How long one question to a cluster may take.
pub const ANSWER: Duration = Duration::from_secs(10);

/// Between two looks at an application that was told to end.
const PAUSE: Duration = Duration::from_millis(250);

/// An application that a cluster runs, or is about to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Application {
    /// The cluster's name for it, e.g. `app-20260131120000-0000` or `application_1769860800000_0001`.
    pub id: String,
    /// Its `spark.app.name`.
    pub name: String,
    /// The cluster's own word, e.g. `RUNNING`, `WAITING` or `ACCEPTED`.
    pub state: String,
    /// Whose it is, if the cluster says.
    pub user: String,
    /// The queue it runs in; empty where there are none.
    pub queue: String,
    /// Where to look at it; empty if the cluster does not say.
    pub tracking_url: String,
}

/// The programs that some clusters are asked with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Programs {
    /// `spark-submit`, for Kubernetes.
    pub spark_submit: Option<PathBuf>,
    /// `yarn`, used where no address is given.
    pub yarn: Option<PathBuf>,
    /// Variables for both, on top of the inherited environment; `None` removes one.
    pub env: Vec<(String, Option<String>)>,
}

/// Why a cluster cannot be asked, or what it answered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClusterError {
    /// Neither an address nor a program to ask with.
    #[error(
        "no address is known at which to ask about applications of master `{master}`: set `cluster_url` under [engine] in workspace.toml{or}"
    )]
    NoWay {
        /// `--master`.
        master: String,
        /// What would do as well.
        or: &'static str,
    },
    /// The cluster did not answer.
    #[error("cannot ask {whom}: {why}")]
    OutOfReach {
        /// The address or program.
        whom: String,
        /// What happened.
        why: String,
    },
    /// The cluster answered something else than was asked.
    #[error("{whom} answered: {answer}")]
    Refused {
        /// The address or program.
        whom: String,
        /// Its words.
        answer: String,
    },
    /// The application was told to end and runs on.
    #[error("application {id} still runs {} s after it was told to end", .waited.as_secs())]
    RunsOn {
        /// Which application.
        id: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// Whom to ask about the applications of one `--master`.
#[derive(Clone, Debug)]
pub struct Cluster(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Standalone(Standalone),
    Yarn(Yarn),
    Kubernetes(Kubernetes),
}

impl Cluster {
    /// The cluster behind `master`; `None` for `local…`, whose applications are the children
    /// themselves. `url` is the HTTP address of a standalone master's web interface (by default
    /// port 8080 of its host) or of YARN's ResourceManager. `user` is sent to YARN, which knows
    /// no other way to tell who asks without Kerberos.
    ///
    /// # Errors
    /// [`ClusterError::NoWay`]: this cluster needs an address or a program that is not there.
    pub fn of(
        master: &str,
        url: Option<&str>,
        programs: &Programs,
        user: Option<&str>,
    ) -> Result<Option<Self>, ClusterError> {
        let no_way = |or| ClusterError::NoWay {
            master: master.to_owned(),
            or,
        };
        let kind = if master.starts_with("local") {
            return Ok(None);
        } else if let Some(hosts) = master.strip_prefix("spark://") {
            Kind::Standalone(Standalone::new(hosts, url))
        } else if master.starts_with("k8s://") {
            let submit = programs.spark_submit.clone();
            let submit = submit.ok_or_else(|| no_way(", and install Spark"))?;
            Kind::Kubernetes(Kubernetes::new(master, submit, programs.env.clone()))
        } else if master.starts_with("mesos://") {
            // Spark has given it up; it is not asked about.
            return Ok(None);
        } else {
            let yarn = Yarn::new(url, programs, user);
            Kind::Yarn(yarn.ok_or_else(|| no_way(", or put `yarn` on PATH"))?)
        };
        Ok(Some(Self(kind)))
    }

    /// A standalone master, given the address of its web interface.
    #[must_use]
    pub fn standalone(url: &str) -> Self {
        Self(Kind::Standalone(Standalone::new("", Some(url))))
    }

    /// YARN, given the address of its ResourceManager, asked as `user`.
    #[must_use]
    pub fn yarn(url: &str, user: Option<&str>) -> Self {
        Self(Kind::Yarn(Yarn::rest(url, user)))
    }

    /// Every application that runs or waits to run. Kubernetes is not asked for lists: empty.
    ///
    /// # Errors
    /// The cluster is out of reach or refuses.
    pub fn applications(&self) -> Result<Vec<Application>, ClusterError> {
        match &self.0 {
            Kind::Standalone(standalone) => standalone.applications(),
            Kind::Yarn(yarn) => yarn.applications(),
            Kind::Kubernetes(_) => Ok(Vec::new()),
        }
    }

    /// Whether the application, or the driver of cluster mode, runs or may yet run.
    ///
    /// # Errors
    /// The cluster is out of reach or refuses.
    pub fn runs(&self, id: &str) -> Result<bool, ClusterError> {
        match &self.0 {
            Kind::Standalone(standalone) => standalone.runs(id),
            Kind::Yarn(yarn) => yarn.runs(id),
            Kind::Kubernetes(kubernetes) => kubernetes.runs(id),
        }
    }

    /// Asks the cluster to end an application; it may go on for a while.
    ///
    /// # Errors
    /// The cluster is out of reach or refuses.
    pub fn kill(&self, id: &str) -> Result<(), ClusterError> {
        match &self.0 {
            Kind::Standalone(standalone) => standalone.kill(id),
            Kind::Yarn(yarn) => yarn.kill(id),
            Kind::Kubernetes(kubernetes) => kubernetes.kill(id),
        }
    }

    /// Ends an application unless it has ended, and waits at most `patience` until the cluster
    /// no longer runs it. Returns whether it had to be ended.
    ///
    /// # Errors
    /// The cluster is out of reach or refuses, or the application does not end: it may still write.
    pub fn end(&self, id: &str, patience: Duration) -> Result<bool, ClusterError> {
        let started = Instant::now();
        if !self.runs(id)? {
            return Ok(false);
        }
        self.kill(id)?;
        while self.runs(id)? {
            if started.elapsed() >= patience {
                return Err(ClusterError::RunsOn {
                    id: id.to_owned(),
                    waited: started.elapsed(),
                });
            }
            thread::sleep(PAUSE);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_masters_have_no_cluster_and_yarn_needs_a_way() {
        let none = Programs::default();
        assert!(
            Cluster::of("local[4]", None, &none, None)
                .unwrap()
                .is_none()
        );
        let error = Cluster::of("yarn", None, &none, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no address is known at which to ask about applications of master `yarn`: set `cluster_url` under \
             [engine] in workspace.toml, or put `yarn` on PATH"
        );
        assert!(Cluster::of("k8s://https://k8s:443", None, &none, None).is_err());
        assert!(
            Cluster::of("spark://m:7077", None, &none, None)
                .unwrap()
                .is_some()
        );
    }
}
