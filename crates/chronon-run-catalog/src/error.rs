//! What can go wrong with a catalog.

use std::{path::PathBuf, time::Duration};

use crate::address::{BadUri, Uri};

/// Why the catalog gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The address makes no sense.
    #[error(transparent)]
    BadUri(#[from] BadUri),
    /// No address could be connected to.
    #[error(
        "cannot reach the Hive metastore at {uri}: {why}; check that it runs, that this machine may connect to it, and `uri` under [catalog] in workspace.toml"
    )]
    Unreachable {
        /// Every address that was tried.
        uri: Uri,
        /// What the last attempt said.
        why: String,
    },
    /// Connected, but no answer in time.
    #[error(
        "the Hive metastore at {uri} did not answer `{call}` within {} s; check its log and load, or raise the time-out",
        after.as_secs()
    )]
    TimedOut {
        /// Every address that was tried.
        uri: Uri,
        /// The Thrift call.
        call: &'static str,
        /// The limit that passed.
        after: Duration,
    },
    /// The metastore answered with an exception.
    #[error("the Hive metastore at {uri} refused `{call}`: {message}")]
    Refused {
        /// Every address that was tried.
        uri: Uri,
        /// The Thrift call.
        call: &'static str,
        /// The exception, as the metastore words it.
        message: String,
    },
    /// The answer is not one of a Hive metastore.
    #[error(
        "the server at {uri} does not speak as a Hive metastore does: {why}; check the port, and that neither SASL nor TLS is required"
    )]
    Protocol {
        /// Every address that was tried.
        uri: Uri,
        /// What could not be understood.
        why: String,
    },
    /// A fixture cannot be used.
    #[error("cannot read the catalog fixture {path}: {why}")]
    Fixture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The thread that talks to the network could not be set up.
    #[error("cannot set up the network client: {0}")]
    Client(std::io::Error),
}
