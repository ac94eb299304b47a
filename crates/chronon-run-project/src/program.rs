//! This very program, started again for a part of a command, and its clock.

use std::{
    env,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use chronon_run_core::epoch_millis;
use chronon_run_process::Watchdog;

use crate::failure::Failure;

/// The only argument of the process that builds class-data archives in the background of a run.
pub const BUILD_ARCHIVES: &str = "__build-archives";

/// The only argument of the watchdog process, which ends the children of a run that was killed.
pub const WATCHDOG: &str = "__watchdog";

/// This very program, to be started again. Where the system has a name for it that stays when
/// the file is replaced, e.g. by an update in the middle of a run, that name.
pub fn own_program() -> std::io::Result<PathBuf> {
    let lasting = PathBuf::from("/proc/self/exe");
    if lasting.exists() {
        return Ok(lasting);
    }
    env::current_exe()
}

/// The process that ends the children of this one if it is killed.
pub fn own_watchdog(grace: Duration) -> Result<Watchdog, Failure> {
    Watchdog::start(&own_program()?, &[WATCHDOG], grace).map_err(Failure::setup)
}

/// Milliseconds since the epoch.
pub fn now_millis() -> i64 {
    epoch_millis(SystemTime::now())
}
