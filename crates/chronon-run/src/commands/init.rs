//! `chronon-run init`: a workspace.toml for an existing Chronon repo.

use std::env;

use chronon_run_project::{failure::Failure, init, output::note};
use chronon_run_workspace::init_text;

use crate::cli::InitArgs;

pub(crate) fn run(args: &InitArgs) -> Result<(), Failure> {
    let file = env::current_dir()?.join("workspace.toml");
    if file.exists() && !args.force {
        return Err(Failure::hinted(
            format!("{} exists already", file.display()),
            "`--force` overwrites it",
        ));
    }
    init::check_repo(&args.repo)?;
    let text = init_text(&init::facts(&args.repo));
    chronon_run_process::replace(&file, text)
        .map_err(|error| Failure::setup(format!("cannot write {}: {error}", file.display())))?;
    init::ignore_state(&file);
    note(&format!("wrote {}", file.display()));
    note("next: `chronon-run check`, then `chronon-run plan`");
    Ok(())
}
