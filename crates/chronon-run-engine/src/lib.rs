//! What joins Chronon's Driver and the SQL engine: the Driver's command lines and environment, seeds,
//! streaming applications, clusters, analysis of scripts, samples and comparison of tables.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

pub mod analyze;
pub mod chronon;
pub mod cluster;
pub mod compare;
pub mod kafka;
pub mod keys;
pub mod query;
pub mod sample;
pub mod seeds;
pub mod streaming;
