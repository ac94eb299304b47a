//! `chronon-run export`: the workspace in the form of another scheduler.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use chronon_run_core::{AssetId, AssetKind};
use chronon_run_export::{AirflowExport, AirflowMajor, OwnOperators};
use chronon_run_project::{
    failure::Failure,
    loading::project::Project,
    output::{note, print},
};
use serde_json::Value;
use similar::TextDiff;

use crate::cli::{AirflowArgs, AirflowVersion, ExportCommand};

pub(crate) fn run(command: &ExportCommand) -> Result<(), Failure> {
    match command {
        ExportCommand::Airflow(args) => airflow(args),
    }
}

fn airflow(args: &AirflowArgs) -> Result<(), Failure> {
    let context = Project::load()?;
    let files = airflow_files(&context, args.airflow)?;
    if args.check {
        return check(&args.out, &files);
    }
    write(&args.out, &files)?;
    note(&format!(
        "wrote {} files to {}",
        files.len(),
        args.out.display()
    ));
    Ok(())
}

fn airflow_files(
    context: &Project,
    version: AirflowVersion,
) -> Result<BTreeMap<String, String>, Failure> {
    let workspace = &context.workspace;
    let settings = &workspace.airflow;
    let left_out = left_out(context)?;
    let operators = settings
        .operators
        .as_deref()
        .map(|path| own_operators(context, path))
        .transpose()?;
    let export = AirflowExport {
        graph: &context.graph,
        left_out: &left_out,
        teams: &context.repo.teams,
        settings,
        timezone: &workspace.timezone,
        time_parts: &workspace.time_parts,
        workspace: settings.workspace.as_deref().unwrap_or(&workspace.root),
        operators: operators.as_ref(),
    };
    let major = match version {
        AirflowVersion::Two => AirflowMajor::Two,
        AirflowVersion::Three => AirflowMajor::Three,
    };
    export.files(major).map_err(Failure::setup)
}

/// What the engine cannot do, said once. A conf with errors is no reason for a DAG to vanish.
fn left_out(context: &Project) -> Result<BTreeSet<AssetId>, Failure> {
    let every: BTreeSet<_> = (0..context.graph.assets.len()).collect();
    let broken: BTreeSet<_> = every
        .iter()
        .copied()
        .filter(|&index| context.has_errors(index))
        .collect();
    context.check_fillable(&broken)?;
    if let Some((path, why)) = context.files_left_out().next() {
        return Err(Failure::hinted(
            format!("the DAG of {} cannot be written: {why}", path.display()),
            "correct the file, or move it out of the compiled confs",
        ));
    }
    let mut refused = context.refused(&every);
    // An app is started by its own command, whatever fills the tables.
    refused.retain(|asset, _| asset.step != AssetKind::Streaming);
    for (asset, why) in &refused {
        note(&format!("no task for {asset}: {why}"));
    }
    Ok(refused.into_keys().collect())
}

fn own_operators(context: &Project, path: &Path) -> Result<OwnOperators, Failure> {
    let mut confs = BTreeMap::new();
    for (name, file) in &context.repo.group_bys {
        if file.conf.meta_data.online == Some(true) {
            let path = context.workspace.repo.join(&file.path);
            confs.insert(name.clone(), read_json(&path)?);
        }
    }
    Ok(OwnOperators {
        source: read(path)?,
        teams: read_json(&context.workspace.repo.join("teams.json"))?,
        confs,
    })
}

fn read_json(path: &Path) -> Result<Value, Failure> {
    let failed = |error| Failure::setup(format!("cannot read {}: {error}", path.display()));
    serde_json::from_str(&read(path)?).map_err(failed)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::setup(format!("cannot read {}: {error}", path.display())))
}

/// Each file is replaced as a whole: Airflow reads the folder at any time.
fn write(folder: &Path, files: &BTreeMap<String, String>) -> Result<(), Failure> {
    let failed = |path: &Path, error: io::Error| {
        Failure::setup(format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (name, text) in files {
        let path = folder.join(name);
        chronon_run_process::replace(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// Prints how the folder differs from what would be written.
fn check(folder: &Path, files: &BTreeMap<String, String>) -> Result<(), Failure> {
    let mut differences = String::new();
    for (name, wanted) in files {
        let found = match fs::read_to_string(folder.join(name)) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let path = folder.join(name);
                let message = format!("cannot read {}: {error}", path.display());
                return Err(Failure::setup(message));
            }
        };
        let diff = TextDiff::from_lines(found.as_str(), wanted);
        let shown = folder.join(name).display().to_string();
        let diff = diff
            .unified_diff()
            .header(&shown, &format!("{shown} (as it would be)"))
            .to_string();
        differences.push_str(&diff);
    }
    if differences.is_empty() {
        return Ok(());
    }
    print(&differences)?;
    Err(Failure::Differs {
        message: format!("{} is not up to date", folder.display()),
    })
}
