//! The scripted `spark-submit`: what a call means, what it writes where, and which fault it meets.
//!
//! The binary `scripted-spark-submit` replaces Spark's own and reads four variables:
//! [`CATALOG`], [`FACTS`], [`FAULTS`] and [`CALLS`]. It understands the command lines of both
//! engines: a SQL script by the comments at its head, and the Driver's own arguments.

mod backend;
mod call;
mod fault;
mod record;
mod tables;

use std::path::{Path, PathBuf};

pub use backend::{Backend, BackendError};
pub use call::{Call, CallError};
pub use fault::{Fault, Output, cut};
pub use record::{Record, RecordError, Recorder, records};

/// Where partitions are: the path of a saved `CatalogSnapshot`, or `thrift://host:port`.
pub const CATALOG: &str = "SCRIPTED_CATALOG";
/// Optional: the path of a JSON file with [`crate::driver::Facts`].
pub const FACTS: &str = "SCRIPTED_FACTS";
/// Optional: the path of a JSON list of [`Fault`]s.
pub const FAULTS: &str = "SCRIPTED_FAULTS";
/// Optional: the path of the JSON lines file to which calls are added, see [`records`].
pub const CALLS: &str = "SCRIPTED_CALLS";

/// Makes `folder` look like a Spark installation whose `spark-submit` is the scripted one.
///
/// # Errors
/// If the folder cannot be written.
pub fn install(folder: &Path, scripted_spark_submit: &Path) -> std::io::Result<PathBuf> {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin)?;
    std::fs::create_dir_all(folder.join("jars"))?;
    std::fs::write(folder.join("RELEASE"), "Spark 3.3.1 (scripted)\n")?;
    let program = bin.join("spark-submit");
    if program.symlink_metadata().is_ok() {
        std::fs::remove_file(&program)?;
    }
    std::os::unix::fs::symlink(scripted_spark_submit, &program)?;
    Ok(program)
}
