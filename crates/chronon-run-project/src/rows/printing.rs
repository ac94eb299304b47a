//! Rows and profiles on standard output.

use std::io::{self, IsTerminal};

use chronon_run_report::screen_width;
use chronon_run_rows::{Column, Form, Profile, RowsError, Summary, Value, Writer};

use super::failure;
use crate::{failure::Failure, options::RowsOutput};

/// Prints rows in the form that was asked for.
pub fn print(
    columns: &[Column],
    rows: impl Iterator<Item = Result<Vec<Value>, RowsError>>,
    output: RowsOutput,
) -> Result<Summary, Failure> {
    let form = form(output)?;
    let out = io::BufWriter::new(io::stdout());
    Writer::new(columns, form, out).write(rows).map_err(failure)
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
