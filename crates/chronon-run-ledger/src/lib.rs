//! What this workspace ran, attempt by attempt: a SQLite file that [`Ledger`], a
//! [`Sink`](chronon_run_core::event::Sink), fills from the events of a run and that `status`, `runs`, `logs` and the next run read.
//!
//! Invariant: the ledger never fails a run. The warehouse is the truth and the ledger only
//! explains it, so every trouble with the file becomes a notice ([`Ledger::take_notices`]) and
//! the answer "nothing known". Whether a file is damaged is for SQLite to say. A damaged file is
//! renamed, unless a process has it open, and a new one begins with every row of it that can be
//! read. A file that cannot be written, also one of a newer version, is read as far as possible. A
//! row that is not valid is left out and hides no other.
//!
//! What was recorded survives a hard kill of the process from the moment `flush` returns (the
//! write-ahead log is in the kernel's hands then); a power failure may cost the last moments.
//! Several processes may write at once.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

mod blocks;
mod copying;
mod damage;
mod expected;
mod history;
mod ids;
mod inspect;
mod ledger;
mod left_times;
mod locking;
mod open;
mod provenance;
mod record;
mod relocate;
mod schema;
mod state;

pub use expected::{Durations, Expected, Pace};
pub use history::{AttemptRecord, RunDetail, RunRecord, RunState, StepRecord, Survivor};
pub use inspect::{Condition, inspect, stamp};
pub use ledger::Ledger;
pub use left_times::SeenTimes;
pub use provenance::{Look, Provenance};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod size_tests;
