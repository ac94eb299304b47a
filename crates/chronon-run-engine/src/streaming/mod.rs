//! What the log of a streaming app says about its query: whether it makes progress, how far it is
//! behind its topic, and whether it is over although its process lives.
//!
//! Chronon's Driver, with or without a parent join, prints the events of Spark's
//! `StreamingQueryListener`: `Query started: <id>`, `Query made progress: {…}` over several lines, and
//! `Query terminated: <id>`. Spark itself logs `Streaming query made progress: {…}`. [`AppLog`] reads
//! those lines, [`Followed`] reads a log that grows and is rotated, [`judge`] decides.

mod follow;
mod log;
mod progress;
mod started;

pub use follow::Followed;
pub use log::{AppLog, Facts, Liveness, judge};
pub use progress::{Lag, Progress};
pub use started::{Jar, StartedWith};
