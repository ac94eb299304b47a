//! What this process is like: its priority, the signals that it ignores.

use std::{fs, io};

use crate::sys;

/// Gives this process, and what it starts from now on, the lowest priority.
///
/// Linux schedules whole sessions against one another (`autogroup`), whatever the priorities of
/// their processes are: so the session gets the lowest priority as well, where there is such a thing.
///
/// # Errors
/// If the system refuses.
pub fn lower_own_priority() -> io::Result<()> {
    // Not every kernel schedules sessions.
    let _ = fs::write("/proc/self/autogroup", "19");
    sys::lowest_priority()
}

/// Whether this process was started with `signal` ignored, as `nohup` does with SIGHUP.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    // `SigIgn:` is a mask in hexadecimal digits, the lowest bit for signal 1.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(signal - 1).ok();
    bit.and_then(|bit| mask.unwrap_or(0).checked_shr(bit))
        .is_some_and(|shifted| shifted & 1 == 1)
}
