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
        Outcome::Unverified => {
            "exit code 0, but the catalog could not be asked for the result".to_owned()
        }
        Outcome::Panicked => "the runner failed; please report this".to_owned(),
        Outcome::OutputMissing { missing } => {
            format!("exit code 0, but nothing was written: {missing} missing")
        }
        Outcome::OutputPartial { missing } => {
            format!("exit code 0, but not everything was written: {missing} missing")
        }
        Outcome::EmptyUpload => "exit code 0, but the upload has no rows".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let texts = [0, 449, 9_999, 10_000, 62_000, 3_599_999, 11_100_000].map(duration);
        let wanted = ["0.0s", "0.4s", "9.9s", "10s", "1m02s", "59m59s", "3h05m"];
        assert_eq!(texts, wanted);
        assert_eq!(count(1, "day") + &count(0, " step"), "1 day0  steps");
    }
}
