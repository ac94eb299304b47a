//! The asset graph and the plan in the forms that leave the program: text, JSON, DOT, Mermaid,
//! Airflow DAGs.
//!
//! Invariant: only formats; nothing here looks at the world or runs anything.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

mod airflow;
mod listing;
mod online;
mod plan_summary;
mod plan_text;
mod readiness;
mod status;

pub use airflow::{AirflowError, AirflowExport, AirflowMajor, OwnOperators};
pub use listing::{AssetRow, dot, listing, mermaid};
pub use online::{Link, PathFacts, StreamFacts, links};
pub use plan_summary::{FEW_ASSETS, SUMMARY_COLUMNS, summary_reasons, summary_rows};
pub use plan_text::{
    archive_text, assets_text, causes_text, excluded_text, explanation_text, fate_text, never_text,
    open_text, out_of_date_text, reason_text, steps_text, target_text, times_text, totals_text,
    waits_text,
};
pub use readiness::Readiness;
pub use status::{AssetStatus, BAR_LEGEND, Facts, LastAttempt, StaleDays, status, status_totals};
