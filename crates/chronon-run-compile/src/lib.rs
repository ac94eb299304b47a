//! The Python sources of a Chronon repo: what they are compiled to, and which confs are older than
//! their sources.
//!
//! - [`Sources`] is every Python file that may define confs, with the files that it imports;
//! - [`Record`] keeps, in the state folder, of which content of the sources each conf was compiled;
//! - [`Python`] is an interpreter that has chronon-ai;
//! - [`compile`] runs its compile.py for some sources and tells of each what became of it.
//!
//! Invariant: only compile.py writes confs. Contents are compared, never times of files.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

mod compiler;
mod findings;
mod imports;
mod outcome;
mod python;
mod record;
mod sources;

pub use compiler::{CompileError, Job, compile};
pub use findings::findings;
pub use outcome::{Outcome, Problem};
pub use python::{CHRONON_AI, Environment, Python, PythonError};
pub use record::{Confs, Entry, Record, Stale};
pub use sources::{Source, Sources};
