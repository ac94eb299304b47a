//! `chronon-run engine`: which Spark and Java are used.

use chronon_run_engine::spark::{self, Spark, Surroundings};
use chronon_run_workspace::Workspace;

use crate::{
    archives::{self, Purpose, archive},
    cli::{EngineCommand, Installable},
    failure::Failure,
    installing::Installing,
    jars,
    output::{note, print},
    warehouse::{install_spark, surroundings},
};

pub(crate) fn run(command: &EngineCommand) -> Result<(), Failure> {
    let workspace = workspace()?;
    let surroundings = surroundings(workspace.as_ref());
    match command {
        EngineCommand::Info => {
            let found = spark::find(&surroundings).map_err(Failure::setup)?;
            match (found.spark, found.java) {
                (Some(spark), Some(java)) => print(&describe(&Spark { spark, java })),
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
        EngineCommand::Install {
            what: Installable::Spark,
            ..
        } => install(&surroundings),
        EngineCommand::Install {
            what: Installable::Chronon,
            version,
        } => {
            let found = spark::find(&surroundings).map_err(Failure::setup)?;
            let spark = found.spark.zip(found.java);
            let spark = spark.map(|(spark, java)| Spark { spark, java });
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

fn install(surroundings: &Surroundings) -> Result<(), Failure> {
    let spark = install_spark(surroundings)?;
    let mut shown = Installing::default();
    archives::build(&spark, &mut |progress| shown.update(progress), &|problem| {
        note(&format!("warning: {problem}"));
    });
    print(&describe(&spark))
}

/// The workspace around here, if there is one: it may name a Spark.
pub(crate) fn workspace() -> Result<Option<Workspace>, Failure> {
    let Some(file) = Workspace::find(&std::env::current_dir()?) else {
        return Ok(None);
    };
    Ok(Some(
        Workspace::load(&file).map_err(Failure::Findings)?.workspace,
    ))
}

fn describe(spark: &Spark) -> String {
    let ready = |purpose| match archive(purpose, spark) {
        Some(archive) if archive.is_ready() => "ready",
        Some(_) => "not built yet",
        None => "not supported by this Java",
    };
    format!(
        "Spark {} (Scala {}) in {}\nJava {} in {}\nclass-data archive: sql {}, metastore {}\n",
        spark.spark.version,
        spark.spark.scala,
        spark.spark.home.display(),
        spark.java.version,
        spark.java.home.display(),
        ready(Purpose::Sql),
        ready(Purpose::Metastore),
    )
}
