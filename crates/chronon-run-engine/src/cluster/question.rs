//! What clusters are asked with, and what they answer.

use std::{path::PathBuf, time::Duration};

/// How long one question to a cluster may take.
pub const ANSWER: Duration = Duration::from_secs(10);

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
    #[error("application {id} still runs {} s after it was asked to end", .waited.as_secs())]
    RunsOn {
        /// Which application.
        id: String,
        /// How long it was waited for.
        waited: Duration,
    },
}
