//! From a step to a command line or a SQL script; finds or installs Spark.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod analyze;
pub mod chronon;
pub mod cluster;
pub mod compare;
pub mod kafka;
pub mod maven;
pub mod query;
pub mod sample;
pub mod seeds;
pub mod spark;
pub mod sql;
pub mod streaming;
