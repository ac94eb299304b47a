//! The files of another scheduler: made from an opened workspace, written, compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use chronon_run_core::{AssetId, AssetKind};
use chronon_run_export::{AirflowExport, AirflowMajor, OwnOperators};
use chronon_run_plan::AssetIndex;
use serde_json::Value;
use similar::TextDiff;

use crate::{failure::Failure, loading::project::Project, options::SelectArgs, output::note};

/// Texts of files, by name.
pub type Files = BTreeMap<String, String>;

/// The files of an export.
pub struct Exported {
    /// What is to be written.
    pub files: Files,
    /// What was asked for and is not in them because something is wrong with it.
    left_out: BTreeSet<String>,
}

impl Exported {
    /// Fails if something was left out because something is wrong with it.
    pub fn outcome(&self) -> Result<(), Failure> {
        if self.left_out.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.left_out.iter().map(String::as_str).collect();
        Err(Failure::hinted(
            format!(
                "left out, everything else is exported: {}",
                names.join(", ")
            ),
            "`chronon-run check` shows why; `--exclude` leaves them out without this error",
        ))
    }
}

/// The Airflow DAGs of the selected assets of a workspace. What gets no task is reported.
///
/// # Errors
/// A selector means nothing, a file of the user's cannot be read, or two DAGs would have one id.
pub fn airflow(
    context: &Project,
    select: &SelectArgs,
    major: AirflowMajor,
) -> Result<Exported, Failure> {
    let workspace = &context.workspace;
    let settings = &workspace.airflow;
    let selected = context.select(select, true)?;
    // What the engine cannot do is no error: it may be done without this program.
    let left_out = context.not_filled(select, &selected, &|_| false)?;
    let files = context.files_left_out();
    for (path, why) in files.filter(|(path, _)| left_out.contains(&path.display().to_string())) {
        note(&format!("no task for {}: {why}", path.display()));
    }
    let without_task = without_task(context, &selected);
    let operators = settings.operators.as_deref();
    let operators = operators.map(|path| own_operators(context, path));
    let operators = operators.transpose()?;
    let export = AirflowExport {
        graph: &context.graph,
        left_out: &without_task,
        teams: &context.repo.teams,
        settings,
        timezone: &workspace.timezone,
        time_parts: &workspace.time_parts,
        workspace: settings.workspace.as_deref().unwrap_or(&workspace.root),
        operators: operators.as_ref(),
    };
    Ok(Exported {
        files: export.files(major).map_err(Failure::setup)?,
        left_out,
    })
}

/// The assets that get no task: those that are not selected, whose confs have errors, and what the engine
/// cannot do. The last two are said once.
fn without_task(context: &Project, selected: &BTreeSet<AssetIndex>) -> BTreeSet<AssetId> {
    let assets = &context.graph.assets;
    let mut refused = context.refused(selected);
    // An app is started by its own command, whatever fills the tables.
    refused.retain(|asset, _| {
        let is_broken = |index| context.has_errors(index);
        asset.mode != AssetKind::Streaming || context.graph.find(asset).is_some_and(is_broken)
    });
    for (asset, why) in &refused {
        note(&format!("no task for {asset}: {why}"));
    }
    let every = 0..assets.len();
    let others = every.filter(|index| !selected.contains(index));
    let others = others.map(|index| assets[index].id.clone());
    others.chain(refused.into_keys()).collect()
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
    fn what_is_left_out_is_an_error_after_the_rest() {
        let exported = |names: &[&str]| Exported {
            files: Files::new(),
            left_out: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert!(exported(&[]).outcome().is_ok());
        let failure = exported(&["a", "b"]).outcome().unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.text().ends_with("is exported: a, b"));
    }

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
