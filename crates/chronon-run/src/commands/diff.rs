//! `chronon-run diff`: what the working tree would change of what was filled.

use chronon_run_project::{
    changes::confs::Changes,
    failure::Failure,
    loading::targets::{self, Unselected},
    output::{document, print, say},
};

use crate::cli::{DiffArgs, Output};

pub(crate) fn run(args: &DiffArgs) -> Result<(), Failure> {
    let context = targets::load(args.target.name(), &args.select, Unselected::Built)?;
    let found = Changes::of(&context, &args.select)?;
    match args.output {
        Output::Json => print(&document(&found)?)?,
        Output::Text => say(&found.text(context.uses_driver()))?,
    }
    match args.exit_code && !found.is_empty() {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}
