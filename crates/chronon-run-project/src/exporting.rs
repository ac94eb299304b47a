//! The files of another scheduler: made from an opened workspace, written, compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use chronon_run_core::{AssetId, AssetKind};
use chronon_run_export::{AirflowExport, AirflowMajor, OwnOperators};
use serde_json::Value;
use similar::TextDiff;

use crate::{failure::Failure, loading::project::Project, output::note};

/// Texts of files, by name.
pub type Files = BTreeMap<String, String>;

/// The Airflow DAGs of a workspace. What gets no task is reported.
///
/// # Errors
/// A conf has errors, a file cannot be read, or two DAGs would have one id.
pub fn airflow(context: &Project, major: AirflowMajor) -> Result<Files, Failure> {
    let workspace = &context.workspace;
    let settings = &workspace.airflow;
    let left_out = left_out(context)?;
    let operators = settings.operators.as_deref();
    let operators = operators.map(|path| own_operators(context, path));
    let operators = operators.transpose()?;
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
    export.files(major).map_err(Failure::setup)
}

/// What the engine cannot do, said once. A conf with errors is no reason for a DAG to vanish.
fn left_out(context: &Project) -> Result<BTreeSet<AssetId>, Failure> {
    let every: BTreeSet<_> = (0..context.graph.assets.len()).collect();
    let broken = every.iter().copied();
    let broken = broken.filter(|&index| context.has_errors(index));
    context.check_fillable(&broken.collect())?;
    if let Some((path, why)) = context.files_left_out().next() {
        return Err(Failure::hinted(
            format!("the DAG of {} cannot be written: {why}", path.display()),
            "correct the file, or move it out of the compiled confs",
        ));
    }
    let mut refused = context.refused(&every);
    // An app is started by its own command, whatever fills the tables.
    refused.retain(|asset, _| asset.mode != AssetKind::Streaming);
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

/// Writes files into a folder, which is made if it is not there. Each is replaced as a whole: Airflow reads
/// the folder at any time.
pub fn write(folder: &Path, files: &Files) -> Result<(), Failure> {
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

/// How a folder differs from what would be written, as a unified diff; empty if it does not. Other files of
/// the folder do not count.
pub fn differences(folder: &Path, files: &Files) -> Result<String, Failure> {
    let mut differences = String::new();
    for (name, wanted) in files {
        let path = folder.join(name);
        let found = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            found => found.map_err(|error| {
                Failure::setup(format!("cannot read {}: {error}", path.display()))
            })?,
        };
        let shown = path.display().to_string();
        let diff = TextDiff::from_lines(found.as_str(), wanted)
            .unified_diff()
            .header(&shown, &format!("{shown} (as it would be)"))
            .to_string();
        differences.push_str(&diff);
    }
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_differs_until_it_is_written() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("dags");
        let text = |text: &str| text.to_owned();
        let files = Files::from([
            (text("a.py"), text("one\n")),
            (text("b.json"), text("{}\n")),
        ]);
        let all = differences(&folder, &files).unwrap();
        assert!(
            all.contains("a.py (as it would be)\n@@ -0,0 +1 @@\n+one\n"),
            "{all}"
        );
        assert!(all.contains("+{}\n"), "{all}");
        write(&folder, &files).unwrap();
        fs::write(folder.join("own.py"), "mine").unwrap();
        assert_eq!(differences(&folder, &files).unwrap(), "");
        fs::write(folder.join("a.py"), "two\n").unwrap();
        let edited = differences(&folder, &files).unwrap();
        assert!(edited.ends_with("-two\n+one\n"), "{edited}");
        assert!(!edited.contains("b.json"), "{edited}");
    }
}
