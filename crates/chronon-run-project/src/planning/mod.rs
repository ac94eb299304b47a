//! From what a user wants to a plan.

pub mod columns;
pub mod due;
pub mod edits;
pub mod estimates;
pub mod filled;
pub mod freshness;
pub mod online;
pub mod prepared;
pub mod ready;
pub mod run_py;
pub mod scheduled;
