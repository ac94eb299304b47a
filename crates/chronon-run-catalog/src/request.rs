//! What a catalog is asked for, and how long it may take.

use std::time::Duration;

use chronon_run_core::TableName;

/// How long a metastore may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Until a connection stands, per address.
    pub connect: Duration,
    /// Until one call is answered.
    pub call: Duration,
}

impl Default for Timeouts {
    /// 5 s to connect, 60 s for an answer.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(60),
        }
    }
}

/// A table to look at, and the partition columns along which its days are wanted.
pub type Request = (TableName, Vec<String>);
