//! Runs that a page starts and stops, as if a user had typed the command.

use chronon_run_project::{failure::Failure, loading::project::Project, runs::detached};
use chronon_run_ui::Action;

use crate::cli::SelectArgs;

pub(super) fn act(context: &Project, action: &Action) -> Result<String, Failure> {
    match action {
        Action::Materialize(form) => {
            // Wrong selectors and days are reported on the page, not in a log.
            context.select(&selected(&form.select), false)?;
            detached::start(context, form.materialize())
        }
        Action::Retry(run) => {
            detached::check_known(context, run)?;
            let arguments = ["retry", "--", run].map(str::to_owned);
            detached::start(context, arguments.to_vec())
        }
        Action::Stop(run) => detached::stop(context, run),
    }
}

/// Selectors as a user types them, separated by spaces.
pub(super) fn selected(text: &str) -> SelectArgs {
    SelectArgs {
        select: text.split_whitespace().map(str::to_owned).collect(),
        ..SelectArgs::default()
    }
}
