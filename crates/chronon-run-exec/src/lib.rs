//! Runs the steps of a plan and tells everything that happens as
//! [`Event`](chronon_run_core::event::Event)s.
//!
//! One coordinator, the thread that calls [`run`], owns the state of the run: what is ready
//! (`queue`), what runs in which slot, what waits for a retry. Each of the `--jobs` slots is
//! one thread that runs one step at a time and otherwise only waits for its child. They talk
//! over channels; signals ([`signals`]) are one more channel.
//!
//! Invariants: every event is emitted by the coordinator, in one order, and a sink that
//! panics loses its own events but never the run; a child exists only after its
//! `AttemptStarting` was handed to every sink; a step succeeded only if [`Work::verify`] saw
//! its days after exit 0; two steps of one family never run at once; every job ends in exactly
//! one `StepFinished` or `StepSkipped`.
//!
//! What a step is (the command line, where its log goes, how its output is looked at) is the
//! business of the caller's [`Work`]. Nothing here prints or opens the ledger.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

mod coordinator;
mod job;
pub mod lease;
pub mod lock;
mod options;
mod pieces;
mod queue;
pub mod signals;
mod sink;
mod vigil;
mod work;
mod worker;

pub use chronon_run_core::event::Sink;
pub use coordinator::run;
pub use job::{Backoff, Job, Retries};
pub use options::{Control, OnFailure, Options, Summary};
pub use queue::JobsError;
pub use work::{
    Marker, RetryDecision, ScriptMark, SharedHost, StageProgress, Task, TaskKind, Verdict, Work,
    WorkError,
};
