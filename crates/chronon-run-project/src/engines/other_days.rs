//! Rows of a staging query that belong to days which its step does not fill: a query may compute its day.

use chronon_run_core::{RangeSet, event::Checked};
use chronon_run_exec::Job;
use chronon_run_report::count;
use chronon_run_sql::LeftOut;

use crate::output::note;

/// The name of the check.
const CHECK: &str = "days of the step";

/// What was left out, if anything was.
pub fn left_out(job: &Job, rows: &[LeftOut]) -> Option<Checked> {
    let days = rows.iter();
    let days = days.map(|LeftOut { ds, rows }| format!("{} of {ds}", count(*rows, "row")));
    let days: Vec<String> = days.collect();
    let message = format!(
        "the query wrote rows of days that the step does not fill, and they were left out, because they would have replaced those days: {}; let a step read all rows of its days, and only those",
        days.join(", ")
    );
    (!rows.is_empty()).then(|| warning(job, message))
}

/// What was written: days that count as filled from now on, though no step has filled them.
pub fn written(job: &Job, days: &RangeSet) -> Option<Checked> {
    let message = format!(
        "the query wrote days that the step does not fill, and that count as filled from now on: {days}; drop their partitions, and let a step read all rows of its days, and only those"
    );
    (!days.is_empty()).then(|| warning(job, message))
}

/// Says it, as a check that has not passed.
fn warning(job: &Job, message: String) -> Checked {
    let checked = Checked {
        ds: job.range.end,
        check: CHECK.to_owned(),
        passed: false,
        blocks: false,
        column: None,
        message: Some(message),
    };
    note(&format!(
        "warning: {}",
        checked.text(&job.asset).unwrap_or_default()
    ));
    checked
}
