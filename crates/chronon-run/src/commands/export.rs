//! `chronon-run export`: the workspace in the form of another scheduler.

use chronon_run_export::AirflowMajor;
use chronon_run_project::{
    exporting::{self, Files},
    failure::Failure,
    loading::project::Project,
    output::{note, print},
};

use crate::cli::{AirflowArgs, AirflowVersion, ExportCommand};

pub(crate) fn run(command: &ExportCommand) -> Result<(), Failure> {
    match command {
        ExportCommand::Airflow(args) => airflow(args),
    }
}

fn airflow(args: &AirflowArgs) -> Result<(), Failure> {
    let major = match args.airflow {
        AirflowVersion::Two => AirflowMajor::Two,
        AirflowVersion::Three => AirflowMajor::Three,
    };
    let exported = exporting::airflow(&Project::load()?, &args.select, major)?;
    let files = &exported.files;
    if args.check {
        check(args, files)?;
    } else {
        exporting::write(&args.out, files)?;
        note(&format!(
            "wrote {} files to {}",
            files.len(),
            args.out.display()
        ));
    }
    exported.outcome()
}

fn check(args: &AirflowArgs, files: &Files) -> Result<(), Failure> {
    let differences = exporting::differences(&args.out, files)?;
    if differences.is_empty() {
        return Ok(());
    }
    print(&differences)?;
    Err(Failure::Differs {
        message: format!("{} is not up to date", args.out.display()),
    })
}
