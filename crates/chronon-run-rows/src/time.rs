//! Days and instants as text, in the proleptic Gregorian calendar and UTC.

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Year, month and day of a number of days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    // Eras of 400 years that begin on 0000-03-01.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days since 1970-01-01.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// As Spark casts a date to a string: `2026-01-30`, `+12026-01-30`, `-0001-01-30`.
pub(crate) fn date(days: i64) -> String {
    let (year, month, day) = civil(days);
    let year = match year {
        0..=9_999 => format!("{year:04}"),
        10_000.. => format!("+{year}"),
        _ => format!("-{:04}", year.unsigned_abs()),
    };
    format!("{year}-{month:02}-{day:02}")
}

/// `2026-01-30` and no other form.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let number = |text: &str, length: usize| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        (digits && text.len() == length).then(|| text.parse::<i64>().ok())?
    };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let days = days_of(year, month, day);
    // A day such as 02-30 becomes another one.
    (civil(days) == (year, month, day)).then(|| i32::try_from(days).ok())?
}

struct Clock {
    days: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

fn clock(micros: i64) -> Clock {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    Clock {
        days: seconds.div_euclid(SECONDS_PER_DAY),
        hour: of_day / 3_600,
        minute: of_day / 60 % 60,
        second: of_day % 60,
        micros: micros.rem_euclid(MICROS_PER_SECOND),
    }
}

/// As Spark casts a timestamp to a string: `2026-01-30 08:15:00.25`, a fraction only if there is one.
pub(crate) fn timestamp(micros: i64) -> String {
    let at = clock(micros);
    let seconds = format!("{:02}:{:02}:{:02}", at.hour, at.minute, at.second);
    let fraction = match at.micros {
        0 => String::new(),
        micros => format!(".{micros:06}").trim_end_matches('0').to_owned(),
    };
    format!("{} {seconds}{fraction}", date(at.days))
}

/// As `to_json` writes it, `2026-01-30T08:15:00.250Z`, with the microseconds that it would drop.
pub(crate) fn iso(micros: i64) -> String {
    let at = clock(micros);
    let seconds = format!("{:02}:{:02}:{:02}", at.hour, at.minute, at.second);
    let fraction = match at.micros % 1_000 {
        0 => format!("{:03}", at.micros / 1_000),
        _ => format!("{:06}", at.micros),
    };
    format!("{}T{seconds}.{fraction}Z", date(at.days))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_and_instants_are_written_as_by_spark() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(20_483), "2026-01-30");
        assert_eq!(date(-719_528), "0000-01-01");
        assert_eq!(date(-719_529), "-0001-12-31");
        assert_eq!(date(2_932_897), "+10000-01-01");
        assert_eq!(timestamp(0), "1970-01-01 00:00:00");
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59.999999");
        assert_eq!(timestamp(1_500_000), "1970-01-01 00:00:01.5");
        assert_eq!(iso(1_500_000), "1970-01-01T00:00:01.500Z");
        assert_eq!(iso(1_500_001), "1970-01-01T00:00:01.500001Z");
        assert_eq!(parse_date("2026-02-30"), None);
        assert_eq!(parse_date("2026-1-30"), None);
        assert!(!timestamp(i64::MIN).is_empty() && !timestamp(i64::MAX).is_empty());
    }

    proptest! {
        #[test]
        fn a_date_is_read_back(days in -719_528..2_932_896_i32) {
            prop_assert_eq!(parse_date(&date(i64::from(days))), Some(days));
        }
    }
}
