//! `ds`: one calendar day. Only this module and `schedule` know `chrono`.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Datelike, NaiveDate, TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One day, as the number of days since 1970-01-01 (UTC civil date).
///
/// Written `YYYY-MM-DD`, the `spark.chronon.partition.format` default (§3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ds(i32);

/// Why a text is not a `ds`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsError {
    /// Not `YYYY-MM-DD`, or a day that no calendar has (the Driver compares
    /// `--end-date` as text and would accept it, engine-semantics 1 [5.1]).
    #[error("`{0}` is not a day of the form YYYY-MM-DD")]
    NotADay(String),
    /// Not an IANA time zone name.
    #[error("`{0}` is not a time zone (expected a name such as `UTC` or `Europe/Prague`)")]
    NotATimeZone(String),
}

/// Number of days from 0001-01-01 (chrono's day 1) to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;
/// Milliseconds of one day.
const DAY_MILLIS: i64 = 86_400_000;

impl Ds {
    /// The day that is `days` after 1970-01-01 (before, if negative).
    #[must_use]
    pub const fn from_epoch_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01; negative before.
    #[must_use]
    pub const fn epoch_days(self) -> i32 {
        self.0
    }

    /// The day `n` days later (earlier, if negative). Saturates at the ends of `i32`.
    #[must_use]
    pub const fn plus(self, n: i32) -> Self {
        Self(self.0.saturating_add(n))
    }

    /// Milliseconds since the epoch of this day's 00:00 UTC.
    #[must_use]
    pub const fn start_millis(self) -> i64 {
        self.0 as i64 * DAY_MILLIS
    }

    /// Milliseconds since the epoch of this day's 00:00 in `timezone`; where a clock change leaves
    /// out midnight, of 01:00.
    ///
    /// # Errors
    /// [`DsError::NotATimeZone`] if `timezone` is not an IANA name.
    pub fn start_in(self, timezone: &str) -> Result<i64, DsError> {
        let zone = parse_timezone(timezone)?;
        let hour = |hour| {
            let local = self.date()?.and_hms_opt(hour, 0, 0)?;
            zone.from_local_datetime(&local).earliest()
        };
        let start = hour(0).or_else(|| hour(1));
        Ok(start.map_or(self.start_millis(), |start| start.timestamp_millis()))
    }

    /// The civil day that `millis` since the epoch falls on in `timezone`.
    ///
    /// # Errors
    /// [`DsError::NotATimeZone`] if `timezone` is not an IANA name.
    pub fn at(millis: i64, timezone: &str) -> Result<Self, DsError> {
        let zone = parse_timezone(timezone)?;
        let utc = DateTime::from_timestamp_millis(millis).unwrap_or_default();
        Ok(Self::of_date(utc.with_timezone(&zone).date_naive()))
    }

    pub(crate) fn of_date(date: NaiveDate) -> Self {
        Self(date.num_days_from_ce() - EPOCH_FROM_CE)
    }

    fn date(self) -> Option<NaiveDate> {
        NaiveDate::from_num_days_from_ce_opt(self.0.checked_add(EPOCH_FROM_CE)?)
    }
}

/// Checks that `timezone` is an IANA time zone name.
///
/// # Errors
/// [`DsError::NotATimeZone`] otherwise.
pub fn check_timezone(timezone: &str) -> Result<(), DsError> {
    parse_timezone(timezone).map(|_| ())
}

pub(crate) fn parse_timezone(timezone: &str) -> Result<chrono_tz::Tz, DsError> {
    timezone
        .parse()
        .map_err(|_| DsError::NotATimeZone(timezone.to_owned()))
}

/// Milliseconds since the epoch of a time of a clock or a file; 0 for times before it.
#[must_use]
pub fn epoch_millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `millis` since the epoch as `YYYY-MM-DDTHH:MM:SSZ`, for logs and reports.
#[must_use]
pub fn format_instant(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis)
        .unwrap_or_default()
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// `millis` since the epoch as `YYYY-MM-DDTHH:MM:SS.mmmZ`, where the order within a second matters.
#[must_use]
pub fn format_millis(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis)
        .unwrap_or_default()
        .format("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}

/// Milliseconds since the epoch of `2026-01-31T00:00:01.5Z` or another time of RFC 3339.
#[must_use]
pub fn parse_instant(text: &str) -> Option<i64> {
    let parsed = DateTime::parse_from_rfc3339(text).ok()?;
    Some(parsed.timestamp_millis())
}

impl FromStr for Ds {
    type Err = DsError;

    fn from_str(text: &str) -> Result<Self, DsError> {
        let strict = text.len() == 10 && text.is_ascii();
        strict
            .then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
            .flatten()
            .map(Self::of_date)
            .ok_or_else(|| DsError::NotADay(text.to_owned()))
    }
}

impl fmt::Display for Ds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "day {}", self.0),
        }
    }
}

impl fmt::Debug for Ds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Ds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_partition_format() {
        let ds: Ds = "2026-01-30".parse().unwrap();
        assert_eq!(ds.to_string(), "2026-01-30");
        assert_eq!("1970-01-01".parse::<Ds>().unwrap().epoch_days(), 0);
        assert_eq!(ds.plus(2).to_string(), "2026-02-01");
    }

    #[test]
    fn refuses_what_the_driver_would_compare_as_text() {
        for bad in [
            "20260206",
            "2026-02-30",
            "2026-2-03",
            " 2026-02-03",
            "2026-02-03 ",
            "",
        ] {
            assert_eq!(bad.parse::<Ds>(), Err(DsError::NotADay(bad.to_owned())));
        }
    }

    #[test]
    fn the_day_depends_on_the_time_zone() {
        let late_evening = "2026-01-30".parse::<Ds>().unwrap().start_millis() + 23 * 3_600_000;
        assert_eq!(
            Ds::at(late_evening, "UTC").unwrap().to_string(),
            "2026-01-30"
        );
        assert_eq!(
            Ds::at(late_evening, "Asia/Tokyo").unwrap().to_string(),
            "2026-01-31"
        );
        assert!(Ds::at(late_evening, "Mars/Phobos").is_err());
        let start =
            |ds: &str, zone| Ds::at(ds.parse::<Ds>().unwrap().start_in(zone).unwrap() - 1, zone);
        // Midnight of 2026-09-06 does not exist in Chile.
        for (ds, zone) in [
            ("2026-01-30", "Asia/Tokyo"),
            ("2026-09-06", "America/Santiago"),
        ] {
            let day_before = ds.parse::<Ds>().unwrap().plus(-1);
            assert_eq!(start(ds, zone), Ok(day_before));
        }
    }
}
