//! Where findings point, as a user sees it.

use std::env;

use chronon_run_core::Diagnostic;
use chronon_run_workspace::Workspace;

/// Conf paths are relative to the repo; show them relative to where the user is.
pub(super) fn relative_to(mut finding: Diagnostic, workspace: &Workspace) -> Diagnostic {
    if let Some(location) = &mut finding.location
        && location.path.is_relative()
    {
        location.path = workspace.repo.join(&location.path);
    }
    shortened(finding)
}

/// The same finding, its path relative to the current directory if it is below it.
pub(super) fn shortened(mut finding: Diagnostic) -> Diagnostic {
    if let Some(location) = &mut finding.location
        && let Ok(here) = env::current_dir()
        && let Ok(short) = location.path.strip_prefix(here)
    {
        location.path = short.to_owned();
    }
    finding
}
