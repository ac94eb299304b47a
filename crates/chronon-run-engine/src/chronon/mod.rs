//! The engine `chronon`: the command line of the real `ai.chronon.spark.Driver` for one step.
//!
//! Invariant: for the same conf, mode and days, argv and environment are those of Chronon's own
//! `run.py` (chronon-ai 0.0.115), unless [`Setup::class_path`] adds the jars that run.py leaves out;
//! `tests/run_py.rs` runs that script and compares. What `run.py`
//! lets through although the Driver cannot read it is an [`Error`] here (§10, 11–17).
//! Nothing here does I/O but [`jar`], which looks into one.

mod class_path;
mod command;
mod environment;
pub mod jar;
mod launcher;
mod mode;
mod run_py;

pub use class_path::ClassPath;
pub use command::{Error, Job, Setup, command};
pub use environment::Layers;
pub use launcher::{Launcher, STREAMING_PACKAGES, SparkSubmit};
pub use mode::{GroupByMode, JoinMode, Mode, ModeError, Runner, StagingQueryMode};
pub use run_py::run_py;
