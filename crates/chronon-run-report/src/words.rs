//! The words for numbers and endings.

use chronon_run_core::event::Outcome;

/// How an attempt or a step ended, as a fragment: `exit code 1`.
#[must_use]
pub fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded => "succeeded".to_owned(),
        Outcome::Failed { code: 0 } => "ended before it was done".to_owned(),
        Outcome::Failed { code } => format!("exit code {code}"),
        Outcome::Killed { signal: 9 } => "killed (signal 9; out of memory?)".to_owned(),
        Outcome::Killed { signal } => format!("killed by signal {signal}"),
        Outcome::TimedOut => "timed out".to_owned(),
        Outcome::NotStarted => "could not be started".to_owned(),
        Outcome::Interrupted => "interrupted".to_owned(),
        Outcome::Unverified => "exit code 0, but the result could not be looked at".to_owned(),
        Outcome::Panicked => "the runner failed; please report this".to_owned(),
        Outcome::OutputMissing { missing } => {
            format!("exit code 0, but nothing was written: {missing} missing")
        }
        Outcome::OutputPartial { missing } => {
            format!("exit code 0, but not everything was written: {missing} missing")
        }
        Outcome::EmptyUpload => "exit code 0, but the upload has no rows".to_owned(),
        Outcome::ChecksFailed => "filled, but a data check failed".to_owned(),
    }
}

/// `0.4s`, `12s`, `1m02s`, `3h05m`.
#[must_use]
pub fn duration(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..10 => format!("{seconds}.{}s", millis % 1_000 / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// `1 day`, `2 days`, `0 days`.
#[must_use]
pub fn count(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}

/// `812 bytes`, `1.5 kB`, `12 MB`, `3.4 GB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return count(bytes, "byte");
    }
    // In tenths of the unit.
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    match tenths {
        0..100 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", tenths / 10, UNITS[unit]),
    }
}

/// How long before `now` something was, both in milliseconds since the epoch: `just now`, `5 min ago`, `3 h ago`,
/// `2 days ago`. What is in the future was just now: clocks differ.
#[must_use]
pub fn ago(now: i64, at: i64) -> String {
    let minutes = now.saturating_sub(at).max(0) / 60_000;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..2_880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1_440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_digits_at_least() {
        let sizes = [1, 812, 1_549, 12_345_678, 999_999, 3_400_000_000].map(size);
        let wanted = ["1 byte", "812 bytes", "1.5 kB", "12 MB", "999 kB", "3.4 GB"];
        assert_eq!(sizes, wanted);
    }

    #[test]
    fn moments_are_told_from_now() {
        let at = |minutes: i64| ago(1_000_000_000_000, 1_000_000_000_000 - minutes * 60_000);
        let wanted = [
            "just now",
            "just now",
            "1 min ago",
            "59 min ago",
            "1 h ago",
            "47 h ago",
            "2 days ago",
        ];
        assert_eq!([-5, 0, 1, 59, 60, 2_879, 2_880].map(at), wanted);
    }

    #[test]
    fn durations_are_short() {
        let texts = [0, 449, 9_999, 10_000, 62_000, 3_599_999, 11_100_000].map(duration);
        let wanted = ["0.0s", "0.4s", "9.9s", "10s", "1m02s", "59m59s", "3h05m"];
        assert_eq!(texts, wanted);
        assert_eq!(count(1, "day") + &count(0, " step"), "1 day0  steps");
    }
}
