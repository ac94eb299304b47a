//! What a page shows of rows: the first ones as text, and figures of each column over several days.

use crate::{Histogram, Profile, RowsError, Scan, Value};

/// The first of some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstRows {
    /// Name and type of each column.
    pub columns: Vec<(String, String)>,
    /// The values as text.
    pub rows: Vec<Vec<String>>,
    /// How many rows there are.
    pub total: u64,
    /// One line for each column: column, type, nulls, null share, distinct, min, max, mean, most frequent.
    /// Empty if there are no rows, or too many.
    pub profile: Vec<Vec<String>>,
}

impl FirstRows {
    /// The first `most` rows, with a profile of all if they are not more than `profiled`.
    ///
    /// # Errors
    /// [`RowsError`] of the first row that cannot be read.
    pub fn of(scan: &Scan, most: u64, profiled: u64) -> Result<Self, RowsError> {
        let columns = scan.columns();
        let total = scan.row_count();
        let rows = scan.rows(Some(most)).map(|row| row.map(|row| texts(&row)));
        Ok(Self {
            rows: rows.collect::<Result<_, _>>()?,
            profile: match (1..=profiled).contains(&total) {
                true => lines(&Profile::of(&columns, scan.rows(None))?),
                false => Vec::new(),
            },
            columns: columns
                .into_iter()
                .map(|column| (column.name, column.data_type.to_string()))
                .collect(),
            total,
        })
    }
}

fn texts(row: &[Value]) -> Vec<String> {
    row.iter().map(Value::shown).collect()
}

/// A line for each column.
fn lines(profile: &Profile) -> Vec<Vec<String>> {
    let (_, rows) = profile.as_rows(true);
    rows.iter().map(|row| texts(row)).collect()
}

/// What one column looks like on some days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnDays {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Its figures on each day, oldest first.
    pub days: Vec<ColumnFigures>,
    /// How its numbers are distributed on the newest day.
    pub histogram: Option<Histogram>,
}

/// Figures of one column on one day; `None` where there are no rows, no numbers, or too many values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColumnFigures {
    /// The share of rows without a value.
    pub null_share: Option<f64>,
    /// How many different values.
    pub distinct: Option<u64>,
    /// The mean of numbers.
    pub mean: Option<f64>,
}

impl ColumnDays {
    /// The columns of a table by the profiles of its days, oldest first, all with the same columns. The one
    /// named `without` is left out.
    #[must_use]
    pub fn of(days: &[Profile], without: Option<&str>) -> Vec<Self> {
        let Some(newest) = days.last() else {
            return Vec::new();
        };
        let columns = newest.columns.iter().enumerate();
        let shown = columns.filter(|(_, column)| Some(column.column.name.as_str()) != without);
        shown
            .map(|(at, column)| Self {
                name: column.column.name.clone(),
                kind: column.column.data_type.to_string(),
                days: days.iter().map(|day| figures(day, at)).collect(),
                histogram: column.histogram.clone(),
            })
            .collect()
    }
}

fn figures(day: &Profile, at: usize) -> ColumnFigures {
    let column = day.columns.get(at);
    column.map_or(ColumnFigures::default(), |column| ColumnFigures {
        null_share: (day.rows > 0).then(|| column.nulls as f64 / day.rows as f64),
        distinct: column.distinct,
        mean: column.mean,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, SparkType};

    fn day(values: &[Value]) -> Profile {
        let column = |name: &str, data_type| Column {
            name: name.to_owned(),
            data_type,
        };
        let columns = [column("ds", SparkType::Text), column("n", SparkType::Long)];
        let text = Value::Text("2026-01-01".to_owned());
        let rows = values.iter();
        let rows = rows.map(|value| Ok(vec![text.clone(), value.clone()]));
        Profile::of(&columns, rows).unwrap()
    }

    #[test]
    fn each_column_has_figures_of_each_day_and_the_distribution_of_the_newest() {
        let days = [
            day(&[Value::Integer(1), Value::Null]),
            day(&[]),
            day(&[Value::Integer(4), Value::Integer(6)]),
        ];
        let found = ColumnDays::of(&days, Some("ds"));
        let [column] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(
            (column.name.as_str(), column.kind.as_str()),
            ("n", "bigint")
        );
        let of_day = |null_share, distinct, mean| ColumnFigures {
            null_share,
            distinct: Some(distinct),
            mean,
        };
        let wanted = [
            of_day(Some(0.5), 1, Some(1.0)),
            of_day(None, 0, None),
            of_day(Some(0.0), 2, Some(5.0)),
        ];
        assert_eq!(column.days, wanted);
        let histogram = column.histogram.as_ref().unwrap();
        assert_eq!((histogram.least, histogram.greatest), (4.0, 6.0));
        assert_eq!(ColumnDays::of(&days, None).len(), 2);
        assert_eq!(ColumnDays::of(&[], None), []);
    }

    #[test]
    fn a_profile_has_a_line_for_each_column() {
        let found = lines(&day(&[Value::Integer(1), Value::Null]));
        let wanted = ["n", "bigint", "1", "0.5", "1", "1", "1", "1.0", "-"];
        assert_eq!(found[1], wanted);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn no_files_have_no_rows_and_no_profile() {
        let scan = Scan::open(crate::Schema::default(), &[]).unwrap();
        assert_eq!(FirstRows::of(&scan, 10, 10).unwrap(), FirstRows::default());
    }
}
