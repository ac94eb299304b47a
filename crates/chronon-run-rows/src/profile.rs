//! What the values of each column look like, in one pass.

use std::{cmp::Ordering, collections::HashMap};

use crate::{Column, RowsError, SparkType, Value, text};

/// Different values of one column that are counted; of more it is only known that they are more.
pub const MOST_DISTINCT: usize = 2_000_000;
/// How many of the most frequent values are kept.
const TOP: usize = 3;
/// Parts of a histogram.
const PARTS: usize = 12;

/// The profile of some rows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Profile {
    /// How many rows.
    pub rows: u64,
    /// Each column, in order.
    pub columns: Vec<ColumnProfile>,
}

/// The profile of one column.
#[derive(Clone, PartialEq, Debug)]
pub struct ColumnProfile {
    /// The column.
    pub column: Column,
    /// Rows without a value.
    pub nulls: u64,
    /// How many different values; `None` if more than [`MOST_DISTINCT`].
    pub distinct: Option<u64>,
    /// The least value; `Null` if there is none, or the type has no order.
    pub min: Value,
    /// The greatest value. As in Spark, NaN is greater than any number.
    pub max: Value,
    /// The mean of numbers.
    pub mean: Option<f64>,
    /// The most frequent values and how often they occur, by frequency and then by value; empty if there
    /// are too many different ones, or each occurs once.
    pub top: Vec<(Value, u64)>,
    /// How numbers are distributed; `None` if there are none, or too many different ones.
    pub histogram: Option<Histogram>,
}

/// How often numbers occur in equal parts from the least to the greatest. NaN and infinite values are
/// left out.
#[derive(Clone, PartialEq, Debug)]
pub struct Histogram {
    /// The least finite number.
    pub least: f64,
    /// The greatest finite number.
    pub greatest: f64,
    /// How often numbers lie in each part; a border belongs to the part above it.
    pub counts: Vec<u64>,
}

impl Profile {
    /// Looks at every row once.
    ///
    /// # Errors
    /// [`RowsError`] of the first row that cannot be read.
    pub fn of(
        columns: &[Column],
        rows: impl Iterator<Item = Result<Vec<Value>, RowsError>>,
    ) -> Result<Self, RowsError> {
        let mut count = 0;
        let mut looking: Vec<Looking> = columns.iter().map(|_| Looking::default()).collect();
        for row in rows {
            for (column, value) in looking.iter_mut().zip(row?) {
                column.add(value);
            }
            count += 1;
        }
        let columns = columns.iter().zip(looking);
        let columns = columns.map(|(column, seen)| seen.finish(column, count));
        Ok(Self {
            rows: count,
            columns: columns.collect(),
        })
    }

    /// The profile as rows of its own, and their columns. With `for_screen` the most frequent values
    /// are one text.
    #[must_use]
    pub fn as_rows(&self, for_screen: bool) -> (Vec<Column>, Vec<Vec<Value>>) {
        let column = |name: &str, data_type| Column {
            name: name.to_owned(),
            data_type,
        };
        let columns = vec![
            column("column", SparkType::Text),
            column("type", SparkType::Text),
            column("nulls", SparkType::Long),
            column("null_share", SparkType::Double),
            column("distinct", SparkType::Long),
            column("min", SparkType::Text),
            column("max", SparkType::Text),
            column("mean", SparkType::Double),
            column("top", SparkType::Text),
        ];
        let rows = self.columns.iter();
        let rows = rows.map(|column| column.as_row(self.rows, for_screen));
        (columns, rows.collect())
    }
}

impl ColumnProfile {
    fn as_row(&self, rows: u64, for_screen: bool) -> Vec<Value> {
        let count = |count: u64| Value::Integer(i64::try_from(count).unwrap_or(i64::MAX));
        let share = match rows {
            0 => Value::Null,
            rows => Value::Double(self.nulls as f64 / rows as f64),
        };
        let screen = |value: &Value| match (value, for_screen) {
            (Value::Null, true) => Value::Text("-".to_owned()),
            (value, _) => value.clone(),
        };
        let distinct = match self.distinct {
            Some(distinct) => count(distinct),
            None if for_screen => Value::Text(format!(">{MOST_DISTINCT}")),
            None => Value::Null,
        };
        vec![
            Value::Text(self.column.name.clone()),
            Value::Text(self.column.data_type.to_string()),
            count(self.nulls),
            share,
            distinct,
            screen(&self.min),
            screen(&self.max),
            screen(&self.mean.map_or(Value::Null, Value::Double)),
            self.top_value(for_screen),
        ]
    }

    fn top_value(&self, for_screen: bool) -> Value {
        if for_screen {
            let top = self.top.iter();
            let texts: Vec<String> = top
                .map(|(value, count)| format!("{count} × {}", text::on_screen(value)))
                .collect();
            return Value::Text(match texts.is_empty() {
                true => "-".to_owned(),
                false => texts.join(", "),
            });
        }
        let entry = |(value, count): &(Value, u64)| {
            let count = Value::Integer(i64::try_from(*count).unwrap_or(i64::MAX));
            Value::Struct(vec![
                ("value".to_owned(), value.clone()),
                ("count".to_owned(), count),
            ])
        };
        Value::Array(self.top.iter().map(entry).collect())
    }
}

/// Each different value, by its key, and how often it occurs.
type Counts = HashMap<Box<[u8]>, (Value, u64)>;

/// A column that is being looked at.
struct Looking {
    nulls: u64,
    min: Value,
    max: Value,
    sum: Sum,
    /// `None` once there are too many.
    counts: Option<Counts>,
    key: Vec<u8>,
}

impl Default for Looking {
    fn default() -> Self {
        Self {
            nulls: 0,
            min: Value::Null,
            max: Value::Null,
            sum: Sum::None,
            counts: Some(Counts::new()),
            key: Vec::new(),
        }
    }
}

#[derive(Clone, Copy)]
enum Sum {
    None,
    /// Of integers, or of decimals with so many digits after the point.
    Whole(i128, u8),
    Real(f64),
}

impl Looking {
    fn add(&mut self, value: Value) {
        if value == Value::Null {
            self.nulls += 1;
            return;
        }
        self.sum = self.sum.plus(&value);
        if compare(&value, &self.min) == Some(Ordering::Less) || self.min == Value::Null {
            self.min = ordered(&value);
        }
        if compare(&value, &self.max) == Some(Ordering::Greater) || self.max == Value::Null {
            self.max = ordered(&value);
        }
        let Some(counts) = &mut self.counts else {
            return;
        };
        key(&value, &mut self.key);
        if let Some((_, count)) = counts.get_mut(self.key.as_slice()) {
            *count += 1;
        } else if counts.len() < MOST_DISTINCT {
            counts.insert(self.key.as_slice().into(), (value, 1));
        } else {
            self.counts = None;
        }
    }

    fn finish(self, column: &Column, rows: u64) -> ColumnProfile {
        let distinct = self.counts.as_ref().map(|counts| counts.len() as u64);
        ColumnProfile {
            column: column.clone(),
            nulls: self.nulls,
            distinct,
            min: self.min,
            max: self.max,
            mean: self.sum.over(rows - self.nulls),
            histogram: self.counts.as_ref().and_then(histogram),
            top: top(self.counts.unwrap_or_default()),
        }
    }
}

fn top(counts: Counts) -> Vec<(Value, u64)> {
    let mut counts: Vec<(Value, u64)> = counts
        .into_values()
        .filter(|(_, count)| *count > 1)
        .collect();
    counts.sort_by(|(one, one_count), (other, other_count)| {
        let by_count = other_count.cmp(one_count);
        let by_value = || match compare(one, other) {
            Some(order) => order,
            None => text::plain(one).cmp(&text::plain(other)),
        };
        by_count.then_with(by_value)
    });
    counts.truncate(TOP);
    counts
}

fn histogram(counts: &Counts) -> Option<Histogram> {
    let numbers = counts.values();
    let numbers: Vec<(f64, u64)> = numbers
        .filter_map(|(value, count)| Some((number(value)?, *count)))
        .collect();
    let all = || numbers.iter().map(|(number, _)| *number);
    let (least, greatest) = (all().reduce(f64::min)?, all().reduce(f64::max)?);
    // Halves, because the whole may be more than a number can be.
    let width = greatest / 2.0 - least / 2.0;
    let mut histogram = Histogram {
        least,
        greatest,
        counts: vec![0; PARTS],
    };
    for (number, count) in &numbers {
        let share = match width > 0.0 {
            true => (number / 2.0 - least / 2.0) / width,
            false => 0.0,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 0 to the number of parts"
        )]
        let part = (share * PARTS as f64) as usize;
        histogram.counts[part.min(PARTS - 1)] += count;
    }
    Some(histogram)
}

/// A finite number.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Integer(number) => *number as f64,
        Value::Float(number) => f64::from(*number),
        Value::Double(number) => *number,
        Value::Decimal(unscaled, scale) => real(*unscaled, *scale),
        _ => return None,
    };
    number.is_finite().then_some(number)
}

impl Sum {
    fn plus(self, value: &Value) -> Self {
        let (whole, scale) = match value {
            Value::Integer(number) => (i128::from(*number), 0),
            Value::Decimal(unscaled, scale) => (*unscaled, *scale),
            Value::Float(number) => return self.plus_real(f64::from(*number)),
            Value::Double(number) => return self.plus_real(*number),
            _ => return self,
        };
        match self {
            Self::None => Self::Whole(whole, scale),
            Self::Whole(sum, _) => match sum.checked_add(whole) {
                Some(sum) => Self::Whole(sum, scale),
                None => self.plus_real(real(whole, scale)),
            },
            Self::Real(_) => self.plus_real(real(whole, scale)),
        }
    }

    fn plus_real(self, number: f64) -> Self {
        Self::Real(number + self.as_real())
    }

    fn as_real(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Whole(sum, scale) => real(sum, scale),
            Self::Real(sum) => sum,
        }
    }

    fn over(self, count: u64) -> Option<f64> {
        match self {
            Self::None => None,
            sum => Some(sum.as_real() / count as f64),
        }
    }
}

fn real(unscaled: i128, scale: u8) -> f64 {
    unscaled as f64 / 10_f64.powi(i32::from(scale))
}

/// The value, if its type has an order.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => Value::Null,
        value => value.clone(),
    }
}

/// Spark's order of two values of one type.
fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    Some(match (one, other) {
        (Value::Boolean(one), Value::Boolean(other)) => one.cmp(other),
        (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
        (Value::Float(one), Value::Float(other)) => of_reals((*one).into(), (*other).into()),
        (Value::Double(one), Value::Double(other)) => of_reals(*one, *other),
        (Value::Decimal(one, _), Value::Decimal(other, _)) => one.cmp(other),
        (Value::Text(one), Value::Text(other)) => one.cmp(other),
        (Value::Binary(one), Value::Binary(other)) => one.cmp(other),
        (Value::Date(one), Value::Date(other)) => one.cmp(other),
        (Value::Timestamp(one), Value::Timestamp(other)) => one.cmp(other),
        _ => return None,
    })
}

/// NaN is the greatest, and equal to itself.
fn of_reals(one: f64, other: f64) -> Ordering {
    let by_number = one.partial_cmp(&other);
    by_number.unwrap_or_else(|| one.is_nan().cmp(&other.is_nan()))
}

/// What is equal for two equal values, and different for others of the same type.
fn key(value: &Value, out: &mut Vec<u8>) {
    out.clear();
    // Both zeros are equal, and so are all NaN.
    let bits = |number: f64| match number {
        0.0 => 0.0_f64.to_bits(),
        number if number.is_nan() => f64::NAN.to_bits(),
        number => number.to_bits(),
    };
    match value {
        Value::Boolean(value) => out.push(u8::from(*value)),
        Value::Integer(number) | Value::Timestamp(number) => out.extend(number.to_le_bytes()),
        Value::Date(days) => out.extend(days.to_le_bytes()),
        Value::Float(number) => out.extend(bits(f64::from(*number)).to_le_bytes()),
        Value::Double(number) => out.extend(bits(*number).to_le_bytes()),
        Value::Decimal(unscaled, _) => out.extend(unscaled.to_le_bytes()),
        Value::Text(text) => out.extend(text.as_bytes()),
        Value::Binary(bytes) => out.extend(bytes),
        nested => out.extend(sorted(nested).as_bytes()),
    }
}

/// The text of what is nested, the entries of maps in one order.
fn sorted(value: &Value) -> String {
    let list = |values: &mut dyn Iterator<Item = String>| values.collect::<Vec<_>>().join(",");
    match value {
        Value::Array(values) => format!("[{}]", list(&mut values.iter().map(sorted))),
        Value::Struct(fields) => {
            format!(
                "({})",
                list(&mut fields.iter().map(|(_, value)| sorted(value)))
            )
        }
        Value::Map(entries) => {
            let mut texts: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}:{}", sorted(key), sorted(value)))
                .collect();
            texts.sort();
            format!("{{{}}}", texts.join(","))
        }
        value => {
            let mut out = String::new();
            crate::text::json(value, &mut out);
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(data_type: SparkType, values: Vec<Value>) -> ColumnProfile {
        let column = Column {
            name: "c".to_owned(),
            data_type,
        };
        let rows = values.into_iter().map(|value| Ok(vec![value]));
        let mut found = Profile::of(&[column], rows).unwrap();
        found.columns.remove(0)
    }

    #[test]
    fn numbers_have_a_mean_and_an_order() {
        let values = [3, 1, 1, 2].map(Value::Integer).to_vec();
        let found = profile(SparkType::Long, [values, vec![Value::Null]].concat());
        assert_eq!((found.nulls, found.distinct), (1, Some(3)));
        assert_eq!(
            (found.min, found.max),
            (Value::Integer(1), Value::Integer(3))
        );
        assert_eq!(found.mean, Some(1.75));
        assert_eq!(found.top, [(Value::Integer(1), 2)]);
        let most = vec![Value::Decimal(i128::MAX, 2), Value::Decimal(i128::MAX, 2)];
        let mean = profile(SparkType::Decimal(38, 2), most).mean.unwrap();
        assert!(
            (mean / 1.701_411_834_604_692_4e36 - 1.0).abs() < 1e-12,
            "{mean}"
        );
    }

    #[test]
    fn reals_are_ordered_as_by_spark() {
        let values = [0.0, -0.0, f64::NAN, f64::NAN, f64::INFINITY].map(Value::Double);
        let found = profile(SparkType::Double, values.to_vec());
        assert_eq!(found.distinct, Some(3));
        assert_eq!(found.min, Value::Double(0.0));
        assert!(matches!(found.max, Value::Double(max) if max.is_nan()));
    }

    #[test]
    fn a_histogram_counts_finite_numbers_in_equal_parts() {
        let values = [0.0, 0.5, 6.0, 6.0, 12.0, f64::NAN, f64::INFINITY].map(Value::Double);
        let found = profile(SparkType::Double, values.to_vec())
            .histogram
            .unwrap();
        assert_eq!((found.least, found.greatest), (0.0, 12.0));
        assert_eq!(found.counts, [2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]);
        let equal = profile(SparkType::Long, vec![Value::Integer(7); 3]).histogram;
        assert_eq!(equal.unwrap().counts[0], 3);
        let widest = [f64::MIN, f64::MAX].map(Value::Double).to_vec();
        let widest = profile(SparkType::Double, widest).histogram.unwrap();
        assert_eq!((widest.counts[0], widest.counts[11]), (1, 1));
        let text = profile(SparkType::Text, vec![Value::Text("7".to_owned())]);
        assert_eq!(text.histogram, None);
    }

    #[test]
    fn what_is_nested_is_counted_and_has_no_order() {
        let entry = |key: i64| (Value::Integer(key), Value::Null);
        let map = |entries: &[i64]| Value::Map(entries.iter().map(|&key| entry(key)).collect());
        let kind = "map<int,string>".parse().unwrap();
        let found = profile(kind, vec![map(&[1, 2]), map(&[2, 1]), map(&[])]);
        assert_eq!(found.distinct, Some(2));
        assert_eq!((found.min, found.mean), (Value::Null, None));
        assert_eq!(found.top.len(), 1);
    }

    #[test]
    fn no_rows_are_no_error() {
        let found = profile(SparkType::Text, Vec::new());
        assert_eq!(
            (found.nulls, found.distinct, found.mean),
            (0, Some(0), None)
        );
    }
}
