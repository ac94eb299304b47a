//! A run: saved plans, questions, seeds, hooks, events, figures, rebuilt tables.

pub mod archives;
pub mod consent;
pub mod control;
pub mod detached;
pub mod events;
pub mod frontfill;
mod gauges;
pub mod history;
pub mod hooks;
pub mod metrics;
pub mod rebuild;
pub mod retry;
pub mod run;
pub mod sampling;
pub mod saved;
pub mod seeding;
pub mod stream_metrics;
