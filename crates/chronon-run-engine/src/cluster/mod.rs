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
mod question;
mod standalone;
mod yarn;

use std::{
    thread,
    time::{Duration, Instant},
};

use kubernetes::Kubernetes;
use standalone::Standalone;
use yarn::Yarn;

pub use log::application_id;
pub use question::{ANSWER, Application, ClusterError, Programs};

/// Between two looks at an application that was told to end.
const PAUSE: Duration = Duration::from_millis(250);

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
