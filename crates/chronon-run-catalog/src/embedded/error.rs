//! What can go wrong with the embedded metastore.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use chronon_run_process::Exit;

/// Why there is no embedded metastore.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A file of its directory cannot be used.
    #[error("cannot use {path} for the embedded metastore: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Java cannot be started.
    #[error("cannot start {java} for the embedded metastore: {source}; set JAVA_HOME to a Java 17")]
    Java {
        /// The program.
        java: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server ended before it was ready.
    #[error("the embedded metastore did not start ({status}): {reason}; its log is {log}")]
    Ended {
        /// How it ended.
        status: Exit,
        /// The line of its log that tells most.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// This process was stopped while it waited for the server.
    #[error("stopped while waiting for the embedded metastore")]
    Stopped,
    /// The server was not ready in time.
    #[error("the embedded metastore was not ready within {} s; its log is {log}", after.as_secs())]
    Slow {
        /// The limit that passed.
        after: Duration,
        /// Its log.
        log: PathBuf,
    },
}

pub(super) fn file_error(path: &Path, source: io::Error) -> EmbeddedError {
    EmbeddedError::File {
        path: path.to_owned(),
        source,
    }
}
