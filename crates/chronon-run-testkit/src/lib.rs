//! Test doubles and builders; nothing here ships.
//!
//! - [`driver`] decides what Chronon's Driver would write, without Spark: a pure function of conf,
//!   arguments and catalog, checked against records of the real one;
//! - [`scripted`] is the rest of the scripted `spark-submit` (`src/bin/`): catalog, faults, calls;
//! - [`golden`] reads the recorded corpora and compares tables with them;
//! - [`oracle`] says what a feature value is, the slow and obvious way;
//! - [`repo_builder`] generates repos and catalogs of any size;
//! - [`yarn`] is a ResourceManager that answers as YARN's REST interface does.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod driver;
pub mod golden;
pub mod oracle;
pub mod repo_builder;
pub mod scripted;
pub mod yarn;
