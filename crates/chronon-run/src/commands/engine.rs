//! `chronon-run engine`: which Spark and Java are used.

use chronon_run_core::Diagnostic;
use chronon_run_project::{
    engines::keeping,
    failure::Failure,
    installation::{Installation, Verified},
    loading::here::required_workspace,
    output::{print, show},
};

use crate::cli::{EngineCommand, Installable};

pub(crate) fn run(command: &EngineCommand) -> Result<(), Failure> {
    match command {
        EngineCommand::Info => print(&Installation::here()?.text()?),
        EngineCommand::Status => print(&keeping::described(&required_workspace()?)),
        EngineCommand::Stop => print(keeping::stop(&required_workspace()?)?),
        EngineCommand::Verify => verify(),
        EngineCommand::Install {
            what: Installable::Spark,
            files,
            ..
        } => print(&Installation::here()?.install(files)?),
        EngineCommand::Install {
            what: Installable::Chronon,
            files,
            version,
        } => Installation::here()?.install_chronon(files, version.as_deref()),
    }
}

fn verify() -> Result<(), Failure> {
    let Verified { text, findings } = Installation::here()?.verify()?;
    print(&text)?;
    match findings.iter().any(Diagnostic::is_error) {
        true => Err(Failure::Findings(findings)),
        false => {
            show(&findings);
            Ok(())
        }
    }
}
