//! How long steps are expected to take, by the last ones of their asset.

use std::ops::Add;

use serde::Serialize;

/// How long an asset's steps take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Pace {
    /// Steps that were looked at.
    pub steps: u64,
    /// Their days, all together.
    pub days: u64,
    /// Their wall time, all together, in milliseconds.
    pub millis: u64,
}

impl Pace {
    /// The expected wall time of a step of `days`, in milliseconds; `None` if nothing is
    /// known. Shorter steps than usual are not expected to be faster, because most of a short
    /// step is starting up.
    #[must_use]
    pub fn estimate(self, days: u32) -> Option<u64> {
        let usual = self.millis.checked_div(self.steps)?;
        let by_days = self
            .millis
            .checked_mul(u64::from(days))?
            .checked_div(self.days)?;
        Some(usual.max(by_days))
    }
}

/// The durations of an asset's last successful steps: days and wall time in milliseconds of each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Durations(pub Vec<(u64, u64)>);

/// An expected wall time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    /// By the middle one of the last steps.
    pub median: u64,
    /// By the fastest.
    pub least: u64,
    /// By the slowest.
    pub most: u64,
}

impl Durations {
    /// All of them together.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace {
            steps: self.0.len() as u64,
            days: self.0.iter().map(|(days, _)| days).sum(),
            millis: self.0.iter().map(|(_, millis)| millis).sum(),
        }
    }

    /// What a step of `days` takes; `None` if no step is known. A step that is shorter than one of
    /// the last is not expected to be faster, because most of a short step is starting up.
    #[must_use]
    pub fn expected(&self, days: u64) -> Option<Expected> {
        let by = |&(known, millis): &(u64, u64)| {
            let by_days = millis.saturating_mul(days).checked_div(known);
            by_days.unwrap_or(millis).max(millis)
        };
        let mut all: Vec<u64> = self.0.iter().map(by).collect();
        all.sort_unstable();
        Some(Expected {
            median: *all.get(all.len() / 2)?,
            least: *all.first()?,
            most: *all.last()?,
        })
    }
}

impl Add for Expected {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            median: self.median + other.median,
            least: self.least + other.least,
            most: self.most + other.most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_steps_take_longer_and_shorter_ones_do_not_take_less() {
        let durations = Durations(vec![(10, 20_000), (1, 9_000), (5, 15_000)]);
        let expected = |median, least, most| {
            Some(Expected {
                median,
                least,
                most,
            })
        };
        assert_eq!(durations.expected(1), expected(15_000, 9_000, 20_000));
        assert_eq!(durations.expected(10), expected(30_000, 20_000, 90_000));
        assert_eq!(Durations::default().expected(1), None);
    }
}
