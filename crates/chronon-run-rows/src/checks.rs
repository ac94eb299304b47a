//! Data checks: what must be true of the rows of one day, evaluated in one pass.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::{Column, RowsError, Value};

/// What must be true of the rows of a day.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rules {
    /// At least so many rows.
    pub least_rows: Option<u64>,
    /// At most so many rows.
    pub most_rows: Option<u64>,
    /// At most this share of a column's values is NULL, from 0 to 1.
    pub null_share: BTreeMap<String, f64>,
    /// Columns whose values together occur once; empty if that is not asked.
    pub unique: Vec<String>,
    /// The only values of a column besides NULL, as `show` prints them.
    pub accepted: BTreeMap<String, BTreeSet<String>>,
    /// How much the number of rows may differ from the mean of earlier days: the share, and that mean.
    pub change: Option<(f64, f64)>,
    /// The newest time of a column must be at least this, in milliseconds.
    pub newest: Option<(String, i64)>,
}

/// A rule that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The column that it is about, if it is about one.
    pub column: Option<String>,
    /// What was found and what is the bound, in words.
    pub text: String,
}

/// Why rules cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum ChecksError {
    /// A rule names a column that is not there.
    #[error("there is no column `{column}`; the table has {known}")]
    NoColumn {
        /// The column.
        column: String,
        /// The columns.
        known: String,
    },
    /// A column holds no times.
    #[error("column `{0}` holds neither timestamps, dates nor milliseconds")]
    NoTime(String),
    /// The rows cannot be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
}

impl Rules {
    /// The columns that the rules are about, each once.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let newest = self.newest.iter().map(|(column, _)| column);
        let all = self.null_share.keys().chain(&self.unique);
        let all = all.chain(self.accepted.keys()).chain(newest);
        let mut found: Vec<String> = Vec::new();
        for name in all {
            if !found.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                found.push(name.clone());
            }
        }
        found
    }

    /// What does not hold of these rows, whose values are in the order of `columns`.
    ///
    /// # Errors
    /// [`ChecksError`] if a rule names a column that is not there, or a row cannot be read.
    pub fn violations(
        &self,
        columns: &[Column],
        rows: impl Iterator<Item = Result<Vec<Value>, RowsError>>,
    ) -> Result<Vec<Violation>, ChecksError> {
        let mut seen = Seen::new(self, columns)?;
        for row in rows {
            seen.add(&row?)?;
        }
        Ok(seen.violations())
    }
}

/// What was seen of the rows so far.
struct Seen<'r> {
    rules: &'r Rules,
    rows: u64,
    nulls: Vec<(&'r str, usize, f64, u64)>,
    unique: Vec<usize>,
    keys: HashSet<String>,
    repeated: u64,
    first_repeated: Option<String>,
    accepted: Vec<Accepted<'r>>,
    newest: Option<(usize, Option<i64>)>,
}

/// A column with few values.
struct Accepted<'r> {
    column: &'r str,
    at: usize,
    values: &'r BTreeSet<String>,
    others: u64,
    first: Option<String>,
}

impl<'r> Seen<'r> {
    fn new(rules: &'r Rules, columns: &[Column]) -> Result<Self, ChecksError> {
        let place = |name: &str| {
            let mut names = columns.iter().map(|column| &column.name);
            let found = names.position(|known| known.eq_ignore_ascii_case(name));
            found.ok_or_else(|| ChecksError::NoColumn {
                column: name.to_owned(),
                known: columns
                    .iter()
                    .map(|column| column.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
        };
        let nulls = rules.null_share.iter();
        let nulls = nulls.map(|(name, share)| Ok((name.as_str(), place(name)?, *share, 0)));
        let accepted = rules.accepted.iter().map(|(name, values)| {
            Ok(Accepted {
                column: name.as_str(),
                at: place(name)?,
                values,
                others: 0,
                first: None,
            })
        });
        let newest = rules.newest.as_ref();
        let newest = newest.map(|(name, _)| Ok::<_, ChecksError>((place(name)?, None)));
        Ok(Self {
            rules,
            rows: 0,
            nulls: nulls.collect::<Result<_, ChecksError>>()?,
            unique: rules
                .unique
                .iter()
                .map(|name| place(name))
                .collect::<Result<_, ChecksError>>()?,
            keys: HashSet::new(),
            repeated: 0,
            first_repeated: None,
            accepted: accepted.collect::<Result<_, ChecksError>>()?,
            newest: newest.transpose()?,
        })
    }

    fn add(&mut self, row: &[Value]) -> Result<(), ChecksError> {
        self.rows += 1;
        for (_, at, _, nulls) in &mut self.nulls {
            *nulls += u64::from(row.get(*at) == Some(&Value::Null));
        }
        if !self.unique.is_empty() {
            let values = self.unique.iter().filter_map(|&at| row.get(at));
            let key: Vec<String> = values.map(Value::shown).collect();
            let key = key.join(", ");
            if !self.keys.insert(key.clone()) {
                self.repeated += 1;
                self.first_repeated.get_or_insert(key);
            }
        }
        for accepted in &mut self.accepted {
            let value = row.get(accepted.at).filter(|value| **value != Value::Null);
            let Some(value) = value.map(plain) else {
                continue;
            };
            if !accepted.values.contains(&value) {
                accepted.others += 1;
                accepted.first.get_or_insert(value);
            }
        }
        if let Some((at, newest)) = &mut self.newest
            && let Some(value) = row.get(*at)
        {
            let name = self.rules.newest.as_ref().map(|(name, _)| name.clone());
            let time =
                millis(value).ok_or_else(|| ChecksError::NoTime(name.unwrap_or_default()))?;
            *newest = (*newest).max(time);
        }
        Ok(())
    }

    fn violations(&self) -> Vec<Violation> {
        let mut found = self.of_rows();
        for (column, _, most, nulls) in &self.nulls {
            let share = ratio(*nulls, self.rows);
            if share > *most {
                found.push(of(
                    column,
                    format!(
                        "{} of the values of `{column}` are NULL, at most {} are allowed",
                        percent(share),
                        percent(*most)
                    ),
                ));
            }
        }
        if let Some(first) = &self.first_repeated {
            let columns = self.rules.unique.join(", ");
            found.push(of(
                &columns,
                format!(
                    "{} rows repeat a value of `{columns}`, which must be unique, e.g. {first}",
                    self.repeated
                ),
            ));
        }
        for accepted in &self.accepted {
            if let Some(first) = &accepted.first {
                found.push(of(
                    accepted.column,
                    format!(
                        "{} values of `{}` are not accepted, e.g. `{first}`",
                        accepted.others, accepted.column
                    ),
                ));
            }
        }
        found.extend(self.of_times());
        found
    }

    fn of_rows(&self) -> Vec<Violation> {
        let rows = self.rows;
        let mut texts = Vec::new();
        if let Some(least) = self.rules.least_rows.filter(|least| rows < *least) {
            texts.push(format!("{rows} rows, at least {least} are expected"));
        }
        if let Some(most) = self.rules.most_rows.filter(|most| rows > *most) {
            texts.push(format!("{rows} rows, at most {most} are expected"));
        }
        if let Some((share, mean)) = self.rules.change {
            #[expect(clippy::cast_precision_loss, reason = "shares need no more digits")]
            let change = (rows as f64 - mean).abs() / mean.max(f64::MIN_POSITIVE);
            if change > share {
                texts.push(format!(
                    "{rows} rows differ by {} from the mean of earlier days, {mean:.1}; at most {} is allowed",
                    percent(change),
                    percent(share)
                ));
            }
        }
        let whole = |text| Violation { column: None, text };
        texts.into_iter().map(whole).collect()
    }

    fn of_times(&self) -> Option<Violation> {
        let (column, least) = self.rules.newest.as_ref()?;
        let (_, newest) = self.newest.as_ref()?;
        let instant = |millis: i64| Value::Timestamp(millis.saturating_mul(1_000)).shown();
        match newest {
            Some(newest) if newest >= least => None,
            Some(newest) => Some(of(
                column,
                format!(
                    "the newest `{column}` is {}, at least {} is expected",
                    instant(*newest),
                    instant(*least)
                ),
            )),
            None => Some(of(column, format!("`{column}` holds no time"))),
        }
    }
}

fn of(column: &str, text: String) -> Violation {
    Violation {
        column: Some(column.to_owned()),
        text,
    }
}

/// A part of a whole, or a sum by its number; 0 of nothing.
#[must_use]
pub fn ratio(part: u64, all: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shares need no more digits")]
    let share = part as f64 / all.max(1) as f64;
    share
}

/// A share from 0 to 1 as at most two digits behind the point, e.g. `12.5 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A text without the quotes of [`Value::shown`].
fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => other.shown(),
    }
}

/// A time in milliseconds; `Some(None)` for NULL, `None` for what is no time.
fn millis(value: &Value) -> Option<Option<i64>> {
    Some(match value {
        Value::Null => None,
        Value::Integer(millis) => Some(*millis),
        Value::Timestamp(micros) => Some(micros.div_euclid(1_000)),
        Value::Date(days) => Some(i64::from(*days) * 86_400_000),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SparkType;

    fn columns() -> Vec<Column> {
        let column = |name: &str, data_type| Column {
            name: name.to_owned(),
            data_type,
        };
        vec![
            column("id", SparkType::Long),
            column("kind", SparkType::Text),
            column("ts", SparkType::Long),
        ]
    }

    fn rows() -> Vec<Result<Vec<Value>, RowsError>> {
        let row = |id: i64, kind: Option<&str>, ts: i64| {
            let kind = kind.map_or(Value::Null, |kind| Value::Text(kind.to_owned()));
            Ok(vec![Value::Integer(id), kind, Value::Integer(ts)])
        };
        vec![
            row(1, Some("a"), 5),
            row(2, None, 7),
            row(2, Some("c"), 6),
            row(3, None, 1),
        ]
    }

    fn texts(rules: &Rules) -> Vec<String> {
        let found = rules.violations(&columns(), rows().into_iter()).unwrap();
        found.into_iter().map(|violation| violation.text).collect()
    }

    #[test]
    fn what_holds_is_not_reported() {
        let rules = Rules {
            least_rows: Some(4),
            most_rows: Some(4),
            null_share: [("kind".to_owned(), 0.5), ("ID".to_owned(), 0.0)].into(),
            unique: vec!["id".to_owned(), "kind".to_owned()],
            accepted: [("kind".to_owned(), ["a", "c"].map(str::to_owned).into())].into(),
            change: Some((0.5, 5.0)),
            newest: Some(("ts".to_owned(), 7)),
        };
        assert_eq!(texts(&rules), Vec::<String>::new());
        assert_eq!(rules.columns(), ["ID", "kind", "ts"]);
    }

    #[test]
    fn every_violation_names_column_value_and_bound() {
        let rules = Rules {
            least_rows: Some(5),
            most_rows: Some(3),
            null_share: [("kind".to_owned(), 0.1)].into(),
            unique: vec!["id".to_owned()],
            accepted: [("kind".to_owned(), ["a".to_owned()].into())].into(),
            change: Some((0.1, 10.0)),
            newest: Some(("ts".to_owned(), 86_400_000)),
        };
        assert_eq!(
            texts(&rules),
            [
                "4 rows, at least 5 are expected",
                "4 rows, at most 3 are expected",
                "4 rows differ by 60 % from the mean of earlier days, 10.0; at most 10 % is allowed",
                "50 % of the values of `kind` are NULL, at most 10 % are allowed",
                "1 rows repeat a value of `id`, which must be unique, e.g. 2",
                "1 values of `kind` are not accepted, e.g. `c`",
                "the newest `ts` is 1970-01-01 00:00:00.007, at least 1970-01-02 00:00:00 is expected",
            ]
        );
    }

    #[test]
    fn a_column_that_is_not_there_is_an_error_with_those_that_are() {
        let rules = Rules {
            unique: vec!["key".to_owned()],
            ..Rules::default()
        };
        let error = rules
            .violations(&columns(), rows().into_iter())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no column `key`; the table has id, kind, ts"
        );
        let rules = Rules {
            newest: Some(("kind".to_owned(), 1)),
            ..Rules::default()
        };
        let error = rules
            .violations(&columns(), rows().into_iter())
            .unwrap_err();
        assert!(
            error.to_string().contains("`kind` holds neither"),
            "{error}"
        );
    }

    #[test]
    fn no_rows_violate_only_what_counts_them() {
        let rules = Rules {
            least_rows: Some(1),
            null_share: [("kind".to_owned(), 0.0)].into(),
            unique: vec!["id".to_owned()],
            ..Rules::default()
        };
        let found = rules.violations(&columns(), std::iter::empty()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text, "0 rows, at least 1 are expected");
    }
}
