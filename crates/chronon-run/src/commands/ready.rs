//! `chronon-run ready`: whether an asset's inputs are there for one day; made to be asked again and again by a
//! scheduler's sensor.

use chronon_run_plan::State;
use chronon_run_project::{
    failure::Failure,
    loading::project::Project,
    output::{document, print, say},
    planning::ready::readiness,
};

use crate::cli::{Output, ReadyArgs};

pub(crate) fn run(args: &ReadyArgs) -> Result<(), Failure> {
    let context = Project::load()?;
    let readiness = readiness(&context, &args.asset, args.ds, args.as_of)?;
    match args.output {
        Output::Text => say(&readiness.text())?,
        Output::Json => print(&document(&readiness)?)?,
    }
    match (readiness.ready, readiness.state) {
        (true, _) => Ok(()),
        (false, State::Excluded) => Err(Failure::Findings(Vec::new())),
        (false, _) => Err(Failure::Waiting),
    }
}
