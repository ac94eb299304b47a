//! How a table writes a day in the name of a partition.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Ds;

/// A pattern of Java's date formats, as `spark.chronon.partition.format` has it: `yyyy`, `MM`, `dd`,
/// `HH`, `mm`, `ss`, text in single quotes and separators. It names a whole day at least.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionFormat {
    pattern: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Piece {
    Number(Unit),
    Text(String),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

/// Why a text is not a partition format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a partition format: use `yyyy`, `MM`, `dd` and optionally `HH`, `mm`, `ss`, for example `yyyyMMdd` or `yyyy-MM-dd-HH`"
)]
pub struct PartitionFormatError(String);

/// A partition's value, read with a [`PartitionFormat`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionTime {
    /// The day.
    pub ds: Ds,
    /// The hour; 0 if the format has none.
    pub hour: u32,
}

/// The formats that [`PartitionFormat::guesses`] tries first.
const COMMON: [&str; 12] = [
    "yyyy-MM-dd",
    "yyyyMMdd",
    "yyyy/MM/dd",
    "yyyy_MM_dd",
    "yyyy.MM.dd",
    "yyyy-MM-dd-HH",
    "yyyy-MM-dd HH",
    "yyyyMMddHH",
    "yyyy-MM-dd HH:mm:ss",
    "yyyy-MM-dd'T'HH:mm:ss",
    "yyyy-MM-dd-HH-mm",
    "yyyyMMdd-HH",
];

/// Those that it tries where none of the first fits. Two of them may fit one value.
const YEAR_LAST: [&str; 10] = [
    "dd-MM-yyyy",
    "MM-dd-yyyy",
    "dd/MM/yyyy",
    "MM/dd/yyyy",
    "dd.MM.yyyy",
    "MM.dd.yyyy",
    "dd_MM_yyyy",
    "MM_dd_yyyy",
    "ddMMyyyy",
    "MMddyyyy",
];

const UNITS: [(&str, Unit); 6] = [
    ("yyyy", Unit::Year),
    ("MM", Unit::Month),
    ("dd", Unit::Day),
    ("HH", Unit::Hour),
    ("mm", Unit::Minute),
    ("ss", Unit::Second),
];

/// The codes of strftime that have a counterpart here.
const STRFTIME: [(&str, &str); 8] = [
    ("%Y", "yyyy"),
    ("%m", "MM"),
    ("%d", "dd"),
    ("%H", "HH"),
    ("%M", "mm"),
    ("%S", "ss"),
    ("%F", "yyyy-MM-dd"),
    ("%T", "HH:mm:ss"),
];

impl Unit {
    fn width(self) -> usize {
        match self {
            Self::Year => 4,
            _ => 2,
        }
    }
}

impl PartitionFormat {
    /// `yyyy-MM-dd`.
    #[must_use]
    pub fn iso() -> Self {
        Self {
            pattern: "yyyy-MM-dd".to_owned(),
            pieces: vec![
                Piece::Number(Unit::Year),
                Piece::Text("-".to_owned()),
                Piece::Number(Unit::Month),
                Piece::Text("-".to_owned()),
                Piece::Number(Unit::Day),
            ],
        }
    }

    /// Whether it is `yyyy-MM-dd`, the format that Chronon expects.
    #[must_use]
    pub fn is_iso(&self) -> bool {
        self.pattern == "yyyy-MM-dd"
    }

    /// The format of a strftime pattern such as `%Y%m%d`.
    #[must_use]
    pub fn of_strftime(pattern: &str) -> Option<Self> {
        let mut java = String::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let known = STRFTIME.iter().find(|(code, _)| rest.starts_with(code));
            if let Some((code, word)) = known {
                java.push_str(word);
                rest = &rest[code.len()..];
            } else if first == '%' || first == '\'' {
                return None;
            } else if first.is_ascii_alphabetic() {
                java.push_str(&format!("'{first}'"));
                rest = &rest[first.len_utf8()..];
            } else {
                java.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        java.parse().ok()
    }

    /// The common formats in which `values` are days. There are two where no value tells the day from the
    /// month. Values that no format fits do not count.
    #[must_use]
    pub fn guesses<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let values: Vec<&str> = values.into_iter().collect();
        let lists = [COMMON.as_slice(), YEAR_LAST.as_slice()].into_iter();
        let mut found = lists.map(|patterns| fitting(patterns, &values));
        found
            .find(|formats| !formats.is_empty())
            .unwrap_or_default()
    }

    /// Whether `value` is a day in a common format.
    #[must_use]
    pub fn is_common(value: &str) -> bool {
        !Self::guesses([value]).is_empty()
    }

    /// The lines of workspace.toml of which one says how days are written, for a hint; `None` if `formats`
    /// is empty.
    #[must_use]
    pub fn offer(formats: &[Self]) -> Option<String> {
        let lines = formats.iter();
        let lines: Vec<String> = lines
            .map(|format| format!("`partition_format = \"{format}\"`"))
            .collect();
        (!lines.is_empty()).then(|| lines.join(" or "))
    }

    /// The day, and the hour if the format has one. Fractions of a second are ignored.
    #[must_use]
    pub fn read(&self, value: &str) -> Option<PartitionTime> {
        let mut rest = value;
        let (mut year, mut month, mut day, mut hour) = (None, None, None, 0);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Piece::Number(unit) => {
                    let digits = rest.get(..unit.width())?;
                    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                        return None;
                    }
                    let number: u32 = digits.parse().ok()?;
                    match unit {
                        Unit::Year => year = Some(number),
                        Unit::Month => month = Some(number),
                        Unit::Day => day = Some(number),
                        Unit::Hour if number < 24 => hour = number,
                        Unit::Minute | Unit::Second if number < 60 => {}
                        Unit::Hour | Unit::Minute | Unit::Second => return None,
                    }
                    rest = &rest[unit.width()..];
                }
            }
        }
        let fraction = rest.strip_prefix('.').filter(|_| self.has(Unit::Second));
        let whole = fraction.map_or(rest.is_empty(), |digits| {
            digits.bytes().all(|byte| byte == b'0')
        });
        let ds = format!("{:04}-{:02}-{:02}", year?, month?, day?);
        let ds = ds.parse().ok()?;
        whole.then_some(PartitionTime { ds, hour })
    }

    /// The smallest value of a day.
    #[must_use]
    pub fn first_of(&self, ds: Ds) -> String {
        self.write(ds, ["00", "00", "00"])
    }

    /// The largest value of a day.
    #[must_use]
    pub fn last_of(&self, ds: Ds) -> String {
        self.write(ds, ["23", "59", "59"])
    }

    /// The places of year, month and day in a value, from 1 on.
    #[must_use]
    pub fn places(&self) -> [usize; 3] {
        let mut places = [0; 3];
        let mut at = 1;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => at += text.chars().count(),
                Piece::Number(unit) => {
                    match unit {
                        Unit::Year => places[0] = at,
                        Unit::Month => places[1] = at,
                        Unit::Day => places[2] = at,
                        Unit::Hour | Unit::Minute | Unit::Second => {}
                    }
                    at += unit.width();
                }
            }
        }
        places
    }

    /// The pieces of a value whose year, month and day are `date` and whose hour, minute and second are `time`.
    #[must_use]
    pub fn pieces_with(&self, date: [&str; 3], time: [&str; 3]) -> Vec<String> {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Number(Unit::Year) => date[0].to_owned(),
            Piece::Number(Unit::Month) => date[1].to_owned(),
            Piece::Number(Unit::Day) => date[2].to_owned(),
            Piece::Number(Unit::Hour) => time[0].to_owned(),
            Piece::Number(Unit::Minute) => time[1].to_owned(),
            Piece::Number(Unit::Second) => time[2].to_owned(),
        };
        self.pieces.iter().map(text).collect()
    }

    /// Whether a day may have a partition for each hour.
    #[must_use]
    pub fn has_hours(&self) -> bool {
        self.has(Unit::Hour)
    }

    /// Whether its values are in the order of their days when they are compared as text.
    #[must_use]
    pub fn sorts_as_text(&self) -> bool {
        let units: Vec<Unit> = self.pieces.iter().filter_map(Piece::unit).collect();
        let mut sorted = units.clone();
        sorted.sort_unstable();
        units == sorted
    }

    fn has(&self, unit: Unit) -> bool {
        self.pieces.contains(&Piece::Number(unit))
    }

    fn write(&self, ds: Ds, time: [&str; 3]) -> String {
        let day = ds.to_string();
        let part = |index: usize| day.split('-').nth(index).unwrap_or_default();
        self.pieces_with([part(0), part(1), part(2)], time).concat()
    }
}

/// Those of `patterns` that fit one of the values, and all others that any of them fits.
fn fitting(patterns: &[&str], values: &[&str]) -> Vec<PartitionFormat> {
    let parsed = patterns.iter().filter_map(|pattern| pattern.parse().ok());
    let mut found: Vec<PartitionFormat> = parsed.collect();
    let mut fits_any = false;
    for value in values {
        let reads = |format: &PartitionFormat| format.read(value).is_some();
        if found.iter().any(reads) {
            found.retain(reads);
            fits_any = true;
        }
    }
    found.retain(|_| fits_any);
    found
}

impl Piece {
    fn unit(&self) -> Option<Unit> {
        match self {
            Self::Number(unit) => Some(*unit),
            Self::Text(_) => None,
        }
    }
}

impl FromStr for PartitionFormat {
    type Err = PartitionFormatError;

    fn from_str(pattern: &str) -> Result<Self, PartitionFormatError> {
        let error = || PartitionFormatError(pattern.to_owned());
        let mut pieces = Vec::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            if let Some((word, unit)) = UNITS.iter().find(|(word, _)| rest.starts_with(word)) {
                if pieces.contains(&Piece::Number(*unit)) {
                    return Err(error());
                }
                pieces.push(Piece::Number(*unit));
                rest = &rest[word.len()..];
            } else if first == '\'' {
                let (text, after) = rest[1..].split_once('\'').ok_or_else(error)?;
                pieces.push(Piece::Text(text.to_owned()));
                rest = after;
            } else if first.is_ascii_alphabetic() {
                return Err(error());
            } else {
                pieces.push(Piece::Text(first.to_string()));
                rest = &rest[first.len_utf8()..];
            }
        }
        let day = [Unit::Year, Unit::Month, Unit::Day];
        let whole = day
            .iter()
            .all(|unit| pieces.contains(&Piece::Number(*unit)));
        whole
            .then(|| Self {
                pattern: pattern.to_owned(),
                pieces,
            })
            .ok_or_else(error)
    }
}

impl fmt::Display for PartitionFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)
    }
}

impl Serialize for PartitionFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.pattern)
    }
}

impl<'de> Deserialize<'de> for PartitionFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format(pattern: &str) -> PartitionFormat {
        pattern.parse().unwrap()
    }

    #[test]
    fn values_are_read_with_their_format_only() {
        for (pattern, value, hour) in [
            ("yyyy-MM-dd", "2026-01-03", 0),
            ("yyyyMMdd", "20260103", 0),
            ("yyyy/MM/dd", "2026/01/03", 0),
            ("yyyy-MM-dd-HH", "2026-01-03-23", 23),
            ("yyyy-MM-dd HH:mm:ss", "2026-01-03 05:00:00", 5),
            ("yyyy-MM-dd HH:mm:ss", "2026-01-03 05:00:00.0", 5),
            ("yyyy-MM-dd'T'HH:mm:ss", "2026-01-03T05:00:00", 5),
            ("dd.MM.yyyy", "03.01.2026", 0),
        ] {
            let read = format(pattern).read(value).unwrap();
            assert_eq!(
                (read.ds.to_string().as_str(), read.hour),
                ("2026-01-03", hour)
            );
        }
        for (pattern, value) in [
            ("yyyyMMdd", "2026-01-03"),
            ("yyyyMMdd", "20260230"),
            ("yyyyMMdd", "2026010"),
            ("yyyyMMdd", "202601031"),
            ("yyyy-MM-dd-HH", "2026-01-03-24"),
            ("yyyyMMdd", "+2260103"),
        ] {
            assert_eq!(format(pattern).read(value), None, "{pattern} {value}");
        }
    }

    #[test]
    fn patterns_without_a_day_are_refused() {
        for bad in [
            "",
            "yyyy",
            "yyyyMM",
            "YYYYMMDD",
            "%Y-%m-%d",
            "yyyyMMddyyyy",
            "yyyy-DD",
        ] {
            assert!(bad.parse::<PartitionFormat>().is_err(), "{bad}");
        }
        let of = |pattern| PartitionFormat::of_strftime(pattern).map(|found| found.to_string());
        assert_eq!(of("%Y%m%d").as_deref(), Some("yyyyMMdd"));
        assert_eq!(of("%Y-%m-%dT%H").as_deref(), Some("yyyy-MM-dd'T'HH"));
        assert_eq!(of("%Y-%j"), None);
        assert!(format("yyyyMMdd").sorts_as_text() && !format("dd.MM.yyyy").sorts_as_text());
    }

    #[test]
    fn formats_are_guessed_from_all_values() {
        let guess = |values: &[&str]| {
            let found = PartitionFormat::guesses(values.iter().copied());
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            found.join(" ")
        };
        for (values, guessed) in [
            (&["20260103"][..], "yyyyMMdd"),
            (&["03-01-2026"], "dd-MM-yyyy MM-dd-yyyy"),
            (&["latest", "03-01-2026", "31-01-2026"], "dd-MM-yyyy"),
            (&["01/30/2026", "01/02/2026"], "MM/dd/yyyy"),
            (&["30012026"], "ddMMyyyy"),
            (&["2026-1-3", "260103", "__HIVE_DEFAULT_PARTITION__"], ""),
            (&[], ""),
        ] {
            assert_eq!(guess(values), guessed, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(day in -100_000..100_000_i32, index in 0..COMMON.len()) {
            let ds = Ds::from_epoch_days(day);
            let format = format(COMMON[index]);
            for value in [format.first_of(ds), format.last_of(ds)] {
                let [year, month, day] = format.places().map(|place| place - 1);
                let read = format!("{}-{}-{}", &value[year..year + 4], &value[month..month + 2], &value[day..day + 2]);
                prop_assert_eq!(read, ds.to_string());
                prop_assert_eq!(format.read(&value).map(|read| read.ds), Some(ds));
                prop_assert!(PartitionFormat::guesses([value.as_str()]).contains(&format));
            }
        }

        #[test]
        fn any_text_is_read_without_panic(pattern in ".{0,12}", value in ".{0,12}") {
            if let Ok(format) = pattern.parse::<PartitionFormat>() {
                let _ = format.read(&value);
            }
            let _ = PartitionFormat::guesses([value.as_str()]);
            let _ = PartitionFormat::of_strftime(&pattern);
        }
    }
}
