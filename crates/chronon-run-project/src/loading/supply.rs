//! Spark and Java of the cache are what was installed, and what the workspace's lock pins.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use chronon_run_core::{Diagnostic, Location};
use chronon_run_process::replace;
use chronon_run_spark::{
    Origin, Spark,
    manifest::{self, Change, Download, Looks},
};
use chronon_run_workspace::{Pins, Workspace};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What is wrong with an installed Spark and Java; `thorough` reads every file.
pub fn findings(workspace: Option<&Workspace>, spark: &Spark, thorough: bool) -> Vec<Diagnostic> {
    let homes = installed(spark).into_iter();
    homes
        .flat_map(|(_, home)| of_home(workspace, home, thorough))
        .collect()
}

/// The homes that this program has installed, with what they are.
pub fn installed(spark: &Spark) -> Vec<(&'static str, &Path)> {
    let all = [
        ("Spark", spark.spark.origin, spark.spark.home.as_path()),
        ("Java", spark.java.origin, spark.java.home.as_path()),
    ];
    let installed = all.into_iter();
    installed
        .filter(|(_, origin, _)| *origin == Origin::Installed)
        .map(|(what, _, home)| (what, home))
        .collect()
}

fn of_home(workspace: Option<&Workspace>, home: &Path, thorough: bool) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let Some(workspace) = workspace
        && let Some(download) = manifest::download(home)
    {
        found.extend(unpinned(workspace, home, &download));
    }
    let again = format!(
        "remove {} and run `chronon-run engine install`",
        home.display()
    );
    match manifest::changes(home, thorough) {
        Ok(changes) => found.extend(changes.unwrap_or_default().iter().map(|change| {
            let message = format!("{}: {change}", home.display());
            match change.is_fatal() {
                true => Diagnostic::error("engine-changed", message).hint(again.as_str()),
                false => Diagnostic::warning("engine-changed", message),
            }
        })),
        Err(error) => found.push(
            Diagnostic::error(
                "engine-changed",
                format!("{} cannot be read: {error}", home.display()),
            )
            .hint(again.as_str()),
        ),
    }
    found
}

/// What was installed from another file than the pinned one.
fn unpinned(workspace: &Workspace, home: &Path, download: &Download) -> Option<Diagnostic> {
    let pins = match Pins::load(&workspace.root) {
        Ok(pins) => pins,
        Err(error) => return Some(Diagnostic::error("engine-changed", error.to_string())),
    };
    let pinned = pins.packages().get(&download.file)?;
    (*pinned != download.sha256).then(|| {
        let message = format!(
            "{} was installed from {} with SHA-256 {}, but {} pins {pinned}",
            home.display(),
            download.file,
            download.sha256,
            pins.path().display()
        );
        Diagnostic::error("engine-changed", message)
            .at(Location::file(pins.path()))
            .hint(format!(
                "remove {} and run `chronon-run engine install`; if the other file is meant, delete its line in the lock",
                home.display()
            ))
    })
}

/// Stops what would start a Spark or Java that is not what was installed, and pins what is not pinned yet.
pub fn verified(workspace: &Workspace, spark: Spark) -> Result<Spark, Failure> {
    let mut found = findings(Some(workspace), &spark, false);
    found.retain(Diagnostic::is_error);
    if !found.is_empty() {
        return Err(Failure::Findings(found));
    }
    if known(workspace).is_none_or(|known| known.home != spark.spark.home) {
        remember(workspace, &spark);
    }
    Ok(spark)
}

/// A Spark that another program has installed, as it was when it was first used.
#[derive(Serialize, Deserialize)]
struct Known {
    home: PathBuf,
    files: Looks,
}

fn known_path(workspace: &Workspace) -> PathBuf {
    workspace.state_dir.join("spark-home.json")
}

fn known(workspace: &Workspace) -> Option<Known> {
    serde_json::from_slice(&fs::read(known_path(workspace)).ok()?).ok()
}

/// Takes the files of a Spark that another program has installed as they are now. Without a state folder
/// nothing is kept.
pub fn remember(workspace: &Workspace, spark: &Spark) {
    let home = &spark.spark.home;
    if spark.spark.origin == Origin::Installed || !workspace.state_dir.is_dir() {
        return;
    }
    let written = manifest::looks(home).and_then(|files| {
        let known = Known {
            home: home.clone(),
            files,
        };
        let text = serde_json::to_vec(&known).map_err(io::Error::other)?;
        replace(&known_path(workspace), text)
    });
    // The next run tries again; until then `engine info` says that the files are not known.
    drop(written);
}

/// How the files of a Spark that another program has installed are, in a few words.
pub fn foreign_words(workspace: Option<&Workspace>, spark: &Spark) -> Option<String> {
    if spark.spark.origin == Origin::Installed {
        return None;
    }
    let home = &spark.spark.home;
    let known = workspace
        .and_then(known)
        .filter(|known| known.home == *home)?;
    let found = match manifest::looks(home) {
        Ok(now) => manifest::differences(&known.files, &now),
        Err(error) => return Some(format!("cannot be read: {error}")),
    };
    Some(match found.is_empty() {
        true => format!("{} files, as at its first use here", known.files.len()),
        false => format!("since its first use here: {}", found.join(", ")),
    })
}

/// Pins what Spark and Java were installed from, where the lock does not have it yet.
pub fn pin(workspace: &Workspace, spark: &Spark) -> Result<(), Failure> {
    let mut pins = Pins::load(&workspace.root).map_err(Failure::setup)?;
    for (_, home) in installed(spark) {
        if let Some(download) = manifest::download(home)
            && !pins.packages().contains_key(&download.file)
        {
            pins.pin_package(&download.file, &download.sha256)
                .map_err(Failure::setup)?;
        }
    }
    Ok(())
}

/// How the files of a home are, in a few words.
pub fn words(home: &Path) -> String {
    let Some(listed) = manifest::listed(home) else {
        return "an earlier version has installed it, without a list of its files".to_owned();
    };
    match manifest::changes(home, false) {
        Ok(changes) => {
            let changes = changes.unwrap_or_default();
            let named: Vec<String> = changes.iter().map(change_words).collect();
            match named.is_empty() {
                true => format!("{listed} files, as installed"),
                false => named.join(", "),
            }
        }
        Err(error) => format!("cannot be read: {error}"),
    }
}

fn change_words(change: &Change) -> String {
    let how = match change {
        Change::Changed { .. } => "changed",
        Change::Missing { .. } => "missing",
        Change::Added { .. } => "added",
    };
    format!("{} ({how})", change.file())
}
