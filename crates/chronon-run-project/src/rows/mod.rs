//! Rows of tables and queries: where they are, how they are read, and how they are printed.

mod local;
pub mod pages;
mod printing;
mod reading;
mod session;
mod sql;
pub mod statistics;
mod target;

use chronon_run_core::Ds;
use chronon_run_rows::RowsError;

use crate::failure::Failure;

pub use local::{Found, Place, find, storage};
pub use printing::{of_place, print, print_profile, print_text, shown_text};
pub use reading::{Asked, Rows};
pub use session::{rows_of, text_of};
pub use sql::{day_condition, select};
pub use target::Target;

/// What to do about a file that is not read to its end.
const HALF_WRITTEN: &str = "the day is half written or the file was damaged: wait for the job that writes it, or fill the day again with `materialize --recompute`";

/// An error of rows as the failure of a command.
pub fn failure(error: RowsError) -> Failure {
    match error {
        RowsError::Output(error) => error.into(),
        RowsError::Damaged { .. } => Failure::hinted(error, HALF_WRITTEN),
        other => Failure::setup(other),
    }
}

/// What was asked for is not filled yet.
pub fn not_filled(message: &str, hint: &str) -> Failure {
    Failure::NotFilled {
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}

/// Nearest filled days, in words.
pub fn nearest_days(days: &[Ds], wanted: Ds) -> String {
    let before = days.iter().rev().find(|day| **day < wanted);
    let after = days.iter().find(|day| **day > wanted);
    match (before, after) {
        (Some(before), Some(after)) => {
            format!("the nearest filled days are {before} and {after}")
        }
        (Some(day), None) => format!("the newest filled day is {day}"),
        (None, Some(day)) => format!("the first filled day is {day}"),
        (None, None) => "no day is filled".to_owned(),
    }
}
