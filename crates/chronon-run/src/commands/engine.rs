//! `chronon-run engine`: which Spark and Java are used.

use std::path::{Path, PathBuf};

use chronon_run_core::Diagnostic;
use chronon_run_project::{
    engines::keeping,
    failure::Failure,
    loading::{
        here::{required_workspace, workspace},
        installing::Installing,
        jars,
        spark::{install_spark, spark_environment},
        supply,
    },
    output::{note, print, show},
    runs::archives::{self, Purpose, archive},
};
use chronon_run_spark::{self as spark, Environment, Origin, Spark, manifest};
use chronon_run_workspace::Workspace;

use crate::cli::{EngineCommand, Installable};

pub(crate) fn run(command: &EngineCommand) -> Result<(), Failure> {
    let workspace = workspace()?;
    let environment = spark_environment(workspace.as_ref());
    match command {
        EngineCommand::Info => {
            let found = spark::find(&environment).map_err(Failure::setup)?;
            match (found.spark, found.java) {
                (Some(spark), Some(java)) => {
                    print(&describe(workspace.as_ref(), &Spark { spark, java }))
                }
                (spark, java) => {
                    let missing: Vec<&str> = [(spark.is_none(), "Spark"), (java.is_none(), "Java")]
                        .into_iter()
                        .filter(|(is_missing, _)| *is_missing)
                        .map(|(_, name)| name)
                        .collect();
                    Err(Failure::hinted(
                        format!("no {} was found", missing.join(" and no ")),
                        "`chronon-run engine install` installs what is missing",
                    ))
                }
            }
        }
        EngineCommand::Status => print(&keeping::described(&required_workspace()?)),
        EngineCommand::Stop => print(keeping::stop(&required_workspace()?)?),
        EngineCommand::Verify => {
            let found = spark::find(&environment).map_err(Failure::setup)?;
            verify(workspace.as_ref(), found.complete().as_ref())
        }
        EngineCommand::Install {
            what: Installable::Spark,
            files,
            ..
        } => {
            install_files(&environment, files)?;
            install(&environment, workspace.as_ref())
        }
        EngineCommand::Install {
            what: Installable::Chronon,
            files,
            ..
        } if !files.is_empty() => Err(Failure::hinted(
            "`--from` installs Spark and Java only".to_owned(),
            "name the Driver's jar by its path: `chronon_jar` under [engine] in workspace.toml",
        )),
        EngineCommand::Install {
            what: Installable::Chronon,
            version,
            ..
        } => {
            let found = spark::find(&environment).map_err(Failure::setup)?;
            let spark = found.complete();
            let named = workspace.as_ref().map(jars::named).unwrap_or_default();
            jars::install(
                workspace.as_ref(),
                &named,
                version.as_deref(),
                spark.as_ref(),
            )
        }
    }
}

/// Reads every file that was installed, and compares.
fn verify(workspace: Option<&Workspace>, spark: Option<&Spark>) -> Result<(), Failure> {
    let mut findings: Vec<Diagnostic> = Vec::new();
    let mut text = String::new();
    if let Some(spark) = spark {
        findings.extend(supply::findings(workspace, spark, true));
        for (what, home) in supply::installed(spark) {
            text += &format!("{what} in {}: {}\n", home.display(), supply::words(home));
            if manifest::listed(home).is_none() {
                findings.push(unlisted(home));
            }
        }
        for (what, origin, home) in [
            ("Spark", spark.spark.origin, &spark.spark.home),
            ("Java", spark.java.origin, &spark.java.home),
        ] {
            if origin != Origin::Installed {
                let home = home.display();
                text += &format!(
                    "{what} in {home}: not installed by chronon-run, its files are not known\n"
                );
            }
        }
    }
    if let Some(workspace) = workspace {
        findings.extend(jars::findings(workspace, spark, true));
    }
    print(&text)?;
    match findings.iter().any(Diagnostic::is_error) {
        true => Err(Failure::Findings(findings)),
        false => {
            show(&findings);
            Ok(())
        }
    }
}

fn unlisted(home: &Path) -> Diagnostic {
    let message = format!(
        "{} cannot be verified: an earlier version of chronon-run has installed it, without a list of its files",
        home.display()
    );
    let hint = format!(
        "remove {} and run `chronon-run engine install`",
        home.display()
    );
    Diagnostic::error("engine-unlisted", message).hint(hint)
}

/// Into the cache, from files; nothing is downloaded.
fn install_files(environment: &Environment, files: &[PathBuf]) -> Result<(), Failure> {
    if files.is_empty() {
        return Ok(());
    }
    let mut shown = Installing::default();
    let done = spark::install_files(environment, files, &mut |progress| shown.update(progress));
    shown.finish();
    done.map_err(Failure::setup)
}

fn install(environment: &Environment, workspace: Option<&Workspace>) -> Result<(), Failure> {
    let spark = install_spark(environment)?;
    if let Some(workspace) = workspace {
        let mut found = supply::findings(Some(workspace), &spark, true);
        found.retain(Diagnostic::is_error);
        if !found.is_empty() {
            return Err(Failure::Findings(found));
        }
        supply::pin(workspace, &spark)?;
        supply::remember(workspace, &spark);
    }
    let mut shown = Installing::default();
    archives::build(&spark, &mut |progress| shown.update(progress), &|problem| {
        note(&format!("warning: {problem}"));
    });
    print(&describe(workspace, &spark))
}

fn describe(workspace: Option<&Workspace>, spark: &Spark) -> String {
    let ready = |purpose| match archive(purpose, spark) {
        Some(archive) if archive.is_ready() => "ready".to_owned(),
        Some(archive) => match archive.last_failure() {
            Some(why) => format!("not built ({why})"),
            None => "not built yet".to_owned(),
        },
        None => "not supported by this Java".to_owned(),
    };
    let foreign = supply::foreign_words(workspace, spark);
    let foreign = foreign.map(|words| format!("files of Spark: {words}\n"));
    let files: String = supply::installed(spark)
        .into_iter()
        .map(|(what, home)| format!("files of {what}: {}\n", supply::words(home)))
        .chain(foreign)
        .collect();
    format!(
        "Spark {} (Scala {}) in {}\nJava {} in {}\n{files}class-data archive: sql {}, metastore {}\n",
        spark.spark.version,
        spark.spark.scala,
        spark.spark.home.display(),
        spark.java.version,
        spark.java.home.display(),
        ready(Purpose::Sql),
        ready(Purpose::Metastore),
    )
}
