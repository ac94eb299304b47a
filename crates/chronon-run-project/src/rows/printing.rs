//! Rows and profiles on standard output.

use std::io::{self, IsTerminal};

use chronon_run_report::{count, screen_width, table};
use chronon_run_rows::{Column, Form, Profile, RowsError, SparkType, Summary, Value, Writer};

use super::{failure, local::Place};
use crate::{failure::Failure, options::RowsOutput, paging::Out};

/// Prints rows in the form that was asked for.
pub fn print(
    columns: &[Column],
    rows: impl Iterator<Item = Result<Vec<Value>, RowsError>>,
    output: RowsOutput,
) -> Result<Summary, Failure> {
    let form = form(output)?;
    match form {
        // Only text can be shown by a pager.
        Form::Parquet => Writer::new(columns, form, io::BufWriter::new(io::stdout())).write(rows),
        _ => Writer::new(columns, form, io::BufWriter::new(Out)).write(rows),
    }
    .map_err(failure)
}

/// Prints rows of text, such as those of DESCRIBE.
pub fn print_text(
    columns: &[String],
    rows: Vec<Vec<String>>,
    output: RowsOutput,
) -> Result<(), Failure> {
    if output == RowsOutput::Table {
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        return crate::output::print(&table(&names, &rows));
    }
    let column = |name: &String| Column {
        name: name.clone(),
        data_type: SparkType::Text,
    };
    let columns: Vec<Column> = columns.iter().map(column).collect();
    let rows = rows.into_iter();
    let rows = rows.map(|row| Ok(row.into_iter().map(Value::Text).collect()));
    print(&columns, rows, output)?;
    Ok(())
}

/// Prints the profile of rows.
pub fn print_profile(profile: &Profile, output: RowsOutput) -> Result<(), Failure> {
    if output == RowsOutput::Parquet {
        return Err(Failure::setup(
            "a profile is printed as table, json or csv, not as parquet",
        ));
    }
    let (columns, rows) = profile.as_rows(output == RowsOutput::Table);
    print(&columns, rows.into_iter().map(Ok), output)?;
    Ok(())
}

/// What rows are of: the table, and the day if there is one.
#[must_use]
pub fn of_place(place: &Place) -> String {
    match place.day {
        Some(day) => format!("{} on {day}", place.table),
        None => place.table.to_string(),
    }
}

/// How many of the rows of `what` were printed; `total` is how many there are, if that is known.
#[must_use]
pub fn shown_text(summary: &Summary, total: Option<u64>, what: &str) -> String {
    match total {
        Some(0) => format!("{what} has no rows"),
        Some(total) if total == summary.rows => format!("{} of {what}", count(total, "row")),
        Some(total) => format!(
            "{} of {total} rows of {what}; --limit N shows more, --limit 0 all",
            summary.rows
        ),
        None => format!(
            "the first {} of {what}; --limit N shows more, --limit 0 all",
            count(summary.rows, "row")
        ),
    }
}

fn form(output: RowsOutput) -> Result<Form, Failure> {
    Ok(match output {
        RowsOutput::Table => Form::Table(screen_width()),
        RowsOutput::Json => Form::Json,
        RowsOutput::Csv => Form::Csv,
        RowsOutput::Parquet if io::stdout().is_terminal() => {
            return Err(Failure::hinted(
                "Parquet is not printed on a terminal",
                "send it to a file: `… --output parquet > rows.parquet`",
            ));
        }
        RowsOutput::Parquet => Form::Parquet,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_not_shown_are_counted_where_their_number_is_known() {
        let text = |rows, total| shown_text(&Summary { rows }, total, "lake.t");
        assert_eq!(text(0, Some(0)), "lake.t has no rows");
        assert_eq!(text(1, Some(1)), "1 row of lake.t");
        let more = "5 of 9 rows of lake.t; --limit N shows more, --limit 0 all";
        assert_eq!(text(5, Some(9)), more);
        let unknown = "the first 5 rows of lake.t; --limit N shows more, --limit 0 all";
        assert_eq!(text(5, None), unknown);
    }
}
