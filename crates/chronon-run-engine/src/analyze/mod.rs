//! Spark's own analysis of every field of the confs, in one script that reads no row.
//!
//! Each expression of a conf is a statement of its own (`DESCRIBE QUERY SELECT …`), so that an error is
//! known by its field. Tables that confs fill are temporary views made of those confs: what is
//! analysed is what the confs say now, whether their tables exist or not.

mod answers;
mod fields;
mod finding;
mod probes;
mod types;

pub use finding::Finding;
pub use probes::{Analysis, World, analysis};
