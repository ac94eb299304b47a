//! Events, history and findings, made readable: progress bars ([`Bars`]) on a terminal, plain
//! lines ([`Lines`]) elsewhere, JSON lines ([`JsonLines`]) for programs, a [`summary`] at the
//! end, [`diagnostics`] with a caret, [`table`]s, and a run as an [`html`] page.
//!
//! Invariant: nothing here talks to the runner or changes anything; what is shown is computed
//! from the events alone ([`RunView`]) by pure functions, and the writers only put it
//! somewhere. A writer whose other end is gone falls silent: a broken pipe is no failure.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

mod activity;
mod bars;
mod checkup;
mod colour;
mod comparison;
pub mod diagnostics;
mod fit;
mod history;
pub mod html;
mod lines;
mod links;
mod output;
mod summary;
mod table;
#[cfg(test)]
mod test_run;
mod told;
mod view;
mod words;
mod wrapping;

pub use activity::{Activity, above, can_redraw};
pub use bars::{Bars, remaining};
pub use checkup::{Check, Verdict, checkup, having};
pub use colour::{colours_in, set_colours};
pub use comparison::{comparison_text, differing_columns};
pub use fit::{fit_line, terminal_width};
pub use history::{STEP_COLUMNS, messages_text, run_rows, run_state, step_rows};
pub use lines::{JsonLines, Lines};
pub use links::{To, linked};
pub use output::Output;
pub use summary::{SummaryContext, summary};
pub use table::{Column, Fitted, fitted, screen_width, table};
pub use told::{Told, ToldKind, told};
pub use view::{Phase, RunView, StepView};
pub use words::{ago, count, duration, outcome, size};
pub use wrapping::{error_columns, output_columns, screen_rows, wrapped};
