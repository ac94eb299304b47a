//! When something is due: Chronon's `offlineSchedule` and `uploadSchedule` (§1.4).

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeZone};
use croner::{
    Cron, CronDateTime,
    parser::{CronParser, Seconds, Year},
};

use crate::{Ds, DsError, ds::parse_timezone};

/// `@daily`, `@hourly`, `@weekly`, `@monthly`, `@quarterly`, `@yearly`, five fields of cron, or
/// `@never`.
///
/// Days of the week are those of cron: 0 and 7 are Sunday.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    /// `None`: never.
    cron: Option<Cron>,
}

/// A text that is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a schedule such as `@daily`, `@weekly`, `@never` or `0 3 * * *`{why}")]
pub struct ScheduleError {
    text: String,
    why: String,
}

impl Schedule {
    /// Whether it is not `@never`.
    #[must_use]
    pub fn calls(&self) -> bool {
        self.cron.is_some()
    }

    /// The last day that is due at `now` (milliseconds since the epoch): the last one that had
    /// closed in `timezone` when the schedule last called. `None` if it never calls.
    ///
    /// `@weekly` calls as Sunday begins, so from Sunday to the next Saturday the last due day is
    /// the Saturday before.
    ///
    /// # Errors
    /// [`DsError::NotATimeZone`] if `timezone` is not an IANA name.
    pub fn last_due(&self, now: i64, timezone: &str) -> Result<Option<Ds>, DsError> {
        let zone = parse_timezone(timezone)?;
        let now = DateTime::from_timestamp_millis(now).unwrap_or_default();
        Ok(self.last_due_at(&now.with_timezone(&zone)))
    }

    /// The last day that is due once the whole day after `ds` has passed, whatever the hour at
    /// which the schedule calls.
    #[must_use]
    pub fn last_due_after(&self, ds: Ds) -> Option<Ds> {
        let end = DateTime::from_timestamp_millis(ds.plus(2).start_millis() - 1)?;
        self.last_due_at(&end)
    }

    fn last_due_at<Tz: TimeZone>(&self, now: &DateTime<Tz>) -> Option<Ds>
    where
        DateTime<Tz>: CronDateTime,
    {
        let inclusive = true;
        // A pattern such as 30 February parses, and never calls.
        let called = self.cron.as_ref()?.find_previous_occurrence(now, inclusive);
        Some(Ds::of_date(called.ok()?.date_naive()).plus(-1))
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let error = |why: String| ScheduleError {
            text: text.to_owned(),
            why,
        };
        let pattern = match text.trim() {
            "@never" => {
                let text = text.to_owned();
                return Ok(Self { text, cron: None });
            }
            // Airflow's words for what no clock calls for.
            "@once" | "None" | "null" => {
                let text = text.to_owned();
                return Ok(Self { text, cron: None });
            }
            // Chronon's own and Airflow's, unknown to cron.
            "@quarterly" => "0 0 1 */3 *",
            "@midnight" => "@daily",
            "@annually" => "@yearly",
            "@continuous" => "@hourly",
            other => other,
        };
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(pattern)
            .map_err(|why| error(format!(": {why}")))?;
        Ok(Self {
            text: text.to_owned(),
            cron: Some(cron),
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last due day at `now` (UTC) in `timezone`.
    fn due(schedule: &str, now: &str, timezone: &str) -> String {
        let now = DateTime::parse_from_rfc3339(now).unwrap();
        let schedule: Schedule = schedule.parse().unwrap();
        let due = schedule.last_due(now.timestamp_millis(), timezone).unwrap();
        due.map_or_else(|| "never".to_owned(), |due| due.to_string())
    }

    #[test]
    fn the_last_due_day_is_the_one_that_had_closed_at_the_last_call() {
        // 2026-01-28 is a Wednesday.
        let now = "2026-01-28T02:30:00Z";
        for (schedule, day) in [
            ("@daily", "2026-01-27"),
            ("@hourly", "2026-01-27"),
            ("0 2 * * *", "2026-01-27"),
            ("30 2 * * *", "2026-01-27"),
            ("0 3 * * *", "2026-01-26"),
            ("@weekly", "2026-01-24"),
            ("0 0 * * 7", "2026-01-24"),
            ("0 6 * * 1-5", "2026-01-26"),
            ("0 6 * * MON", "2026-01-25"),
            ("@monthly", "2025-12-31"),
            ("@quarterly", "2025-12-31"),
            ("@yearly", "2025-12-31"),
            ("@never", "never"),
            ("@once", "never"),
            ("@midnight", "2026-01-27"),
            ("@annually", "2025-12-31"),
            ("@continuous", "2026-01-27"),
            ("0 0 30 2 *", "never"),
        ] {
            assert_eq!(due(schedule, now, "UTC"), day, "{schedule}");
        }
    }

    #[test]
    fn a_day_closes_in_the_time_zone() {
        let (utc, tokyo) = ("UTC", "Asia/Tokyo");
        assert_eq!(due("@daily", "2026-01-27T16:00:00Z", utc), "2026-01-26");
        assert_eq!(due("@daily", "2026-01-27T16:00:00Z", tokyo), "2026-01-27");
        // The hour from 2 to 3 does not exist on 2026-03-29 in Prague.
        let prague = "Europe/Prague";
        assert_eq!(
            due("30 2 * * *", "2026-03-29T12:00:00Z", prague),
            "2026-03-28"
        );
        let unknown = "@daily".parse::<Schedule>().unwrap();
        assert!(unknown.last_due(0, "Mars/Olympus").is_err());
    }

    #[test]
    fn without_a_clock_the_whole_next_day_counts() {
        let due = |schedule: &str| {
            let schedule: Schedule = schedule.parse().unwrap();
            schedule.last_due_after("2026-01-30".parse().unwrap())
        };
        let day = |text: &str| Some(text.parse::<Ds>().unwrap());
        assert_eq!(due("59 23 * * *"), day("2026-01-30"));
        assert_eq!(due("@daily"), day("2026-01-30"));
        // 2026-02-01 is a Sunday.
        assert_eq!(due("@weekly"), day("2026-01-24"));
        assert_eq!(due("@never"), None);
        let calls = |text: &str| text.parse::<Schedule>().unwrap().calls();
        assert!(calls("@daily") && !calls("@never"));
    }

    #[test]
    fn what_is_no_schedule_is_said() {
        for text in [
            "daily",
            "@sometimes",
            "0 3 * *",
            "61 3 * * *",
            "0 0 3 * * *",
            "",
        ] {
            let error = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{text}` is not a schedule")),
                "{error}"
            );
        }
    }
}
