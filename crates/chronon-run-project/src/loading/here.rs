//! The workspace around the current directory.

use std::env;

use chronon_run_workspace::Workspace;

use crate::failure::Failure;

/// The workspace around here.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn required_workspace() -> Result<Workspace, Failure> {
    workspace()?.ok_or_else(|| {
        Failure::hinted(
            "there is no workspace.toml here or above",
            "`-C DIR` runs in another folder",
        )
    })
}

/// The workspace around here, if there is one: it may name a Spark.
pub fn workspace() -> Result<Option<Workspace>, Failure> {
    let Some(file) = Workspace::find(&env::current_dir()?) else {
        return Ok(None);
    };
    let workspace = Workspace::load(&file).map_err(Failure::Findings)?.workspace;
    Ok(Some(workspace.with_environment(|name| env::var_os(name))?))
}
