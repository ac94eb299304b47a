//! Samples: conditions that are added to the sources, so that only some keys or left rows are computed.
//! Which ones depends on the values of the rows alone, so that every run takes the same.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::repo::digest;

/// Which keys and left rows are computed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// A share of all keys, by their hash.
    Share(Share),
    /// These keys.
    Keys(KeyRows),
    /// The first so many left rows of a day; GroupBys are computed for all keys.
    LeftRows(u32),
}

impl Sample {
    /// What is sampled, for people and for the properties of tables.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Share(share) => share.to_string(),
            Self::Keys(keys) => {
                let count = counted(keys.rows.len(), "key");
                format!("{count} ({})", keys.columns.join(", "))
            }
            Self::LeftRows(most) => format!("{most} left rows of a day"),
        }
    }

    /// Whether it limits the rows of joins only.
    #[must_use]
    pub fn is_of_joins(&self) -> bool {
        matches!(self, Self::LeftRows(_))
    }

    /// What stands in the properties of tables: different for different keys.
    #[must_use]
    pub fn property(&self) -> String {
        match self {
            Self::Share(_) | Self::LeftRows(_) => self.describe(),
            Self::Keys(keys) => {
                let all: Vec<String> = keys.rows.iter().map(|row| row.join(",")).collect();
                format!("{}, {}", self.describe(), digest(&all.join("\n")))
            }
        }
    }

    /// Limits the rows of a GroupBy's sources to the sample's keys.
    pub(super) fn of_group_by(&self, conf: &mut Value) -> Result<(), String> {
        let keys = texts(&conf["keyColumns"]);
        let condition = self.condition(&keys, "")?;
        let sources = conf.get_mut("sources").and_then(Value::as_array_mut);
        for source in sources.into_iter().flatten() {
            limit(source, &condition);
        }
        Ok(())
    }

    /// Limits the left rows of a join to those of the sample. `day_column` is the partition column of a
    /// left that does not name its own.
    pub(super) fn of_join(&self, conf: &mut Value, day_column: &str) -> Result<(), String> {
        let keys = left_keys(conf);
        if keys.is_empty() {
            return Err("it has no join part whose keys could be sampled".to_owned());
        }
        let condition = self.condition(&keys, day_column)?;
        if let Some(left) = conf.get_mut("left") {
            limit(left, &condition);
        }
        Ok(())
    }

    /// The condition over the columns of a source, whose expressions are not known yet.
    fn condition(&self, keys: &[String], day_column: &str) -> Result<Condition, String> {
        match self {
            Self::Share(share) => Ok(Condition {
                columns: keys.to_vec(),
                test: Test::Hash(share.millionths),
            }),
            Self::LeftRows(most) => Ok(Condition {
                columns: keys.to_vec(),
                test: Test::First(FirstRows {
                    most: *most,
                    day_column: day_column.to_owned(),
                }),
            }),
            Self::Keys(given) => {
                let places: Vec<usize> = (0..given.columns.len())
                    .filter(|at| {
                        let mut keys = keys.iter();
                        keys.any(|key| key.eq_ignore_ascii_case(&given.columns[*at]))
                    })
                    .collect();
                if places.is_empty() {
                    return Err(format!(
                        "none of its keys ({}) is a column of the file of keys ({})",
                        keys.join(", "),
                        given.columns.join(", ")
                    ));
                }
                let pick = |row: &Vec<String>| places.iter().map(|at| row[*at].clone()).collect();
                Ok(Condition {
                    columns: places.iter().map(|at| given.columns[*at].clone()).collect(),
                    test: Test::OneOf(given.rows.iter().map(pick).collect()),
                })
            }
        }
    }
}

/// A share of all keys, in millionths: more than none, at most all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share {
    millionths: u32,
}

/// Why a text is no share.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no share: write it as `1%` or `0.01`, more than 0 and at most 100%")]
pub struct ShareError(String);

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let error = || ShareError(text.to_owned());
        let (number, scale) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent.trim(), 10_000.0),
            None => (text.trim(), 1_000_000.0),
        };
        let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let number: f64 = number.parse().map_err(|_| error())?;
        let millionths = (number * scale).round();
        if !plain || !(1.0..=1_000_000.0).contains(&millionths) {
            return Err(error());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 1 to a million"
        )]
        let millionths = millionths as u32;
        Ok(Self { millionths })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.millionths) / 10_000.0)
    }
}

/// Values of key columns: the columns, and one value of each in every row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyRows {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Why a file is no list of keys.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeysError {
    /// There is no first line, or an empty name in it.
    #[error("line 1 must name the key columns, separated by commas")]
    Header,
    /// What stands in the first line is no name.
    #[error("line 1 must name the key columns, and `{0}` is not a column name")]
    Name(String),
    /// A column is named twice.
    #[error("line 1 names the column `{0}` twice")]
    Twice(String),
    /// A line has another number of values than the first.
    #[error(
        "line {line} has {}, but line 1 names {}",
        counted(*.found, "value"),
        counted(*.wanted, "column")
    )]
    Width {
        /// The line, from 1.
        line: usize,
        /// Values in it.
        found: usize,
        /// Columns.
        wanted: usize,
    },
    /// A line has a quote that is not closed.
    #[error(
        "line {0} has a quote that is not closed: a value with a quote is written as `\"5\"\" disk\"`"
    )]
    Quote(usize),
    /// No keys follow.
    #[error("there are no keys after the line of column names")]
    Empty,
    /// More than a condition should hold.
    #[error("there are {0} keys; at most {MOST_KEYS} can be given")]
    TooMany(usize),
}

/// `1 key`, `2 keys`.
fn counted(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// At most so many keys: they become text of a query.
const MOST_KEYS: usize = 10_000;

impl KeyRows {
    /// Keys of these columns: each row, with the line of the file that it was read from, has one value of each.
    ///
    /// # Errors
    /// [`KeysError`] with the line that is wrong.
    pub fn new(columns: Vec<String>, lines: Vec<(usize, Vec<String>)>) -> Result<Self, KeysError> {
        if columns.is_empty() || columns.iter().any(String::is_empty) {
            return Err(KeysError::Header);
        }
        for (at, column) in columns.iter().enumerate() {
            if !is_name(column) {
                return Err(KeysError::Name(column.clone()));
            }
            let mut before = columns[..at].iter();
            if before.any(|other| other.eq_ignore_ascii_case(column)) {
                return Err(KeysError::Twice(column.clone()));
            }
        }
        let uneven = lines.iter().find(|(_, row)| row.len() != columns.len());
        if let Some((line, row)) = uneven {
            return Err(KeysError::Width {
                line: *line,
                found: row.len(),
                wanted: columns.len(),
            });
        }
        match lines.len() {
            0 => Err(KeysError::Empty),
            found if found > MOST_KEYS => Err(KeysError::TooMany(found)),
            _ => Ok(Self {
                columns,
                rows: lines.into_iter().map(|(_, row)| row).collect(),
            }),
        }
    }
}

/// Whether it can be the name of a column: a value in its place shows that the line of names is missing.
fn is_name(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_alphanumeric() || c == '_');
    plain && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// A condition over columns that a source's query selects.
struct Condition {
    columns: Vec<String>,
    test: Test,
}

enum Test {
    /// The hash of the values is among the first so many of a million.
    Hash(u32),
    /// The values are one of these rows.
    OneOf(Vec<Vec<String>>),
    /// The row is among the first of its day.
    First(FirstRows),
}

impl Condition {
    /// The condition in terms of the table `table` that `query` selects from.
    fn over(&self, table: &str, query: &Value) -> String {
        let texts: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let selected = query["selects"].get(column).and_then(Value::as_str);
                format!("CAST(({}) AS STRING)", selected.unwrap_or(column))
            })
            .collect();
        let all = texts.join(", ");
        match &self.test {
            Test::First(first) => first.over(&all, table, query),
            Test::Hash(millionths) => format!("PMOD(HASH({all}), 1000000) < {millionths}"),
            Test::OneOf(rows) => {
                let rows: Vec<String> = rows.iter().map(|row| literals(row)).collect();
                match texts.len() {
                    1 => format!("{all} IN ({})", rows.join(", ")),
                    _ => {
                        let rows: Vec<String> = rows.iter().map(|row| format!("({row})")).collect();
                        format!("({all}) IN ({})", rows.join(", "))
                    }
                }
            }
        }
    }
}

/// The first rows of a day, in the order of the hash of their keys, rows of one key in that of their time.
struct FirstRows {
    most: u32,
    /// The day column of a table, if its query does not name another.
    day_column: String,
}

impl FirstRows {
    /// The condition on rows of `table`: their hashes are at most those of the last row that is taken of
    /// their day. Hashes are never NULL, so that rows without a key or time count, too. Spark makes a join
    /// of a subquery that refers to the day before it decides which partitions are read, so that it reads
    /// the days of the step only. The limit within parts of the hashes lets it sort a day in parallel.
    fn over(&self, keys: &str, table: &str, query: &Value) -> String {
        let named = query["partitionColumn"].as_str();
        let day = format!("`{}`", named.unwrap_or(&self.day_column));
        let time = query["selects"]["ts"].as_str();
        let time = time.or(query["timeColumn"].as_str()).unwrap_or("0");
        let hashes = format!("XXHASH64({keys}) AS s_key, XXHASH64({time}) AS s_time");
        let wheres = texts(&query["wheres"]).into_iter();
        let wheres: Vec<String> = wheres.map(|condition| format!("({condition})")).collect();
        let wheres = match wheres.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", wheres.join(" AND ")),
        };
        let most = self.most;
        format!(
            "STRUCT({hashes}) <= (SELECT MAX(STRUCT(s_key, s_time)) FROM (\
             SELECT *, RANK() OVER (PARTITION BY s_day ORDER BY s_key, s_time) AS s_place FROM (\
             SELECT *, RANK() OVER (PARTITION BY s_day, PMOD(s_key, 64) ORDER BY s_key, s_time) AS s_among FROM (\
             SELECT {day} AS s_day, {hashes} FROM {table}{wheres}\
             )) WHERE s_among <= {most}) WHERE s_place <= {most} AND s_day = {day})"
        )
    }
}

fn literals(row: &[String]) -> String {
    let quoted = |value: &String| {
        let escaped = value.replace('\\', "\\\\").replace('\'', "\\'");
        format!("'{escaped}'")
    };
    let values: Vec<String> = row.iter().map(quoted).collect();
    values.join(", ")
}

/// Adds the condition to the `wheres` of a source.
fn limit(source: &mut Value, condition: &Condition) {
    for (kind, table) in [
        ("events", "table"),
        ("entities", "snapshotTable"),
        ("joinSource", ""),
    ] {
        let Some(found) = source.get_mut(kind).and_then(Value::as_object_mut) else {
            continue;
        };
        let table = found.get(table).and_then(Value::as_str).unwrap_or_default();
        // What follows the name says which of its partitions count.
        let table = table.split('/').next().unwrap_or_default().to_owned();
        let query = found
            .entry("query")
            .or_insert_with(|| Value::Object(Default::default()));
        let text = condition.over(&table, query);
        let Some(query) = query.as_object_mut() else {
            continue;
        };
        match query.get_mut("wheres").and_then(Value::as_array_mut) {
            Some(wheres) => wheres.push(Value::String(text)),
            None => {
                query.shift_remove("wheres");
                // Thrift's order: `selects`, `wheres`, and the rest.
                let place = usize::from(query.contains_key("selects"));
                let wheres = Value::Array(vec![Value::String(text)]);
                query.shift_insert(place.min(query.len()), "wheres".to_owned(), wheres);
            }
        }
    }
}

/// The left columns that the parts of a join are joined by, each once.
fn left_keys(join: &Value) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for part in join["joinParts"].as_array().into_iter().flatten() {
        let mapping = part["keyMapping"].as_object();
        for right in texts(&part["groupBy"]["keyColumns"]) {
            let mut mapped = mapping.into_iter().flatten();
            let left = mapped.find(|(_, to)| to.as_str() == Some(&right));
            let left = left.map_or(right.clone(), |(from, _)| from.clone());
            if !keys.contains(&left) {
                keys.push(left);
            }
        }
    }
    keys
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}
