//! Spark: where it is, how to install it, how to start it, and what its log says.
//!
//! Invariant: nothing here reads the environment or runs a job. [`Environment`] are passed in as
//! values, [`locate`] runs nothing but the installation, and a job is a
//! [`CommandLine`](chronon_run_core::CommandLine) that the caller starts.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

pub mod archive;
mod cause;
pub mod command;
pub mod conceal;
mod home;
pub mod host;
mod install;
mod java;
mod jvm;
mod locate;
pub mod log;
pub mod manifest;
pub mod maven;
mod quote;
pub mod recording;
mod scratch;
pub mod session;
pub mod statements;

pub use cause::{Cause, cause};
pub use home::{Environment, Origin, SPARK_VERSION, SparkError, SparkHome, cache_dir};
pub use install::{Phase, Progress};
pub use java::Java;
pub use jvm::{InheritedOptions, Jvm, common_env, common_options};
pub use locate::{Found, Spark, find, install_files, locate};
pub use scratch::{Scratch, living_owners};
