//! Spark and Java of the workspace around here: found, verified, installed.

use std::path::{Path, PathBuf};

use chronon_run_core::Diagnostic;
use chronon_run_spark::{self as spark, Environment, Found, Origin, Spark, manifest};
use chronon_run_workspace::Workspace;

use crate::{
    failure::Failure,
    loading::{
        here,
        installing::Installing,
        jars,
        spark::{install_spark, spark_environment},
        supply,
    },
    output::note,
    runs::archives::{self, Purpose, archive},
};

/// Where Spark and Java are looked for.
pub struct Installation {
    workspace: Option<Workspace>,
    environment: Environment,
}

/// What was found when every file was read.
pub struct Verified {
    /// A line for each home.
    pub text: String,
    /// Files that are not what they were.
    pub findings: Vec<Diagnostic>,
}

impl Installation {
    /// That of the workspace around the current directory, or of the environment alone.
    pub fn here() -> Result<Self, Failure> {
        let workspace = here::workspace()?;
        Ok(Self {
            environment: spark_environment(workspace.as_ref()),
            workspace,
        })
    }

    /// Which Spark and Java are used, and whether their files are as installed. Fails if one is missing.
    pub fn text(&self) -> Result<String, Failure> {
        let found = self.found()?;
        let missing = missing_text(&found);
        let spark = found.complete().ok_or_else(|| {
            Failure::hinted(
                missing,
                "`chronon-run engine install` installs what is missing",
            )
        })?;
        Ok(self.described(&spark))
    }

    /// Reads every file that was installed, and compares.
    pub fn verify(&self) -> Result<Verified, Failure> {
        let spark = self.found()?.complete();
        let mut verified = Verified {
            text: String::new(),
            findings: Vec::new(),
        };
        if let Some(spark) = &spark {
            verified.add_homes(self.workspace.as_ref(), spark);
        }
        if let Some(workspace) = &self.workspace {
            let found = jars::findings(workspace, spark.as_ref(), true);
            verified.findings.extend(found);
        }
        Ok(verified)
    }

    /// Installs what is missing, from `files` if they are given, else by downloads, pins it, and builds the
    /// class-data archives.
    pub fn install(&self, files: &[PathBuf]) -> Result<String, Failure> {
        self.install_files(files)?;
        let spark = install_spark(&self.environment)?;
        if let Some(workspace) = &self.workspace {
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
        Ok(self.described(&spark))
    }

    /// Installs the Driver's jar of that version.
    pub fn install_chronon(&self, files: &[PathBuf], version: Option<&str>) -> Result<(), Failure> {
        if !files.is_empty() {
            return Err(Failure::hinted(
                "`--from` installs Spark and Java only",
                "name the Driver's jar by its path: `chronon_jar` under [engine] in workspace.toml",
            ));
        }
        let spark = self.found()?.complete();
        let workspace = self.workspace.as_ref();
        let named = workspace.map(jars::named).unwrap_or_default();
        jars::install(workspace, &named, version, spark.as_ref())
    }

    fn found(&self) -> Result<Found, Failure> {
        spark::find(&self.environment).map_err(Failure::setup)
    }

    /// Into the cache, from files; nothing is downloaded.
    fn install_files(&self, files: &[PathBuf]) -> Result<(), Failure> {
        if files.is_empty() {
            return Ok(());
        }
        let mut shown = Installing::default();
        let mut update = |progress| shown.update(progress);
        let done = spark::install_files(&self.environment, files, &mut update);
        shown.finish();
        done.map_err(Failure::setup)
    }

    fn described(&self, spark: &Spark) -> String {
        let foreign = supply::foreign_words(self.workspace.as_ref(), spark);
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
            archive_text(Purpose::Sql, spark),
            archive_text(Purpose::Metastore, spark),
        )
    }
}

fn archive_text(purpose: Purpose, spark: &Spark) -> String {
    match archive(purpose, spark) {
        Some(archive) if archive.is_ready() => "ready".to_owned(),
        Some(archive) => match archive.last_failure() {
            Some(why) => format!("not built ({why})"),
            None => "not built yet".to_owned(),
        },
        None => "not supported by this Java".to_owned(),
    }
}

/// `no Spark and no Java was found`.
fn missing_text(found: &Found) -> String {
    let missing = [
        (found.spark.is_none(), "Spark"),
        (found.java.is_none(), "Java"),
    ];
    let missing = missing.into_iter().filter(|(is_missing, _)| *is_missing);
    let missing: Vec<&str> = missing.map(|(_, name)| name).collect();
    format!("no {} was found", missing.join(" and no "))
}

impl Verified {
    fn add_homes(&mut self, workspace: Option<&Workspace>, spark: &Spark) {
        self.findings = supply::findings(workspace, spark, true);
        for (what, home) in supply::installed(spark) {
            let words = supply::words(home);
            self.text += &format!("{what} in {}: {words}\n", home.display());
            if manifest::listed(home).is_none() {
                self.findings.push(unlisted(home));
            }
        }
        for (what, origin, home) in [
            ("Spark", spark.spark.origin, &spark.spark.home),
            ("Java", spark.java.origin, &spark.java.home),
        ] {
            if origin != Origin::Installed {
                self.text += &format!(
                    "{what} in {}: not installed by chronon-run, its files are not known\n",
                    home.display()
                );
            }
        }
    }
}

fn unlisted(home: &Path) -> Diagnostic {
    let home = home.display();
    let message = format!(
        "{home} cannot be verified: an earlier version of chronon-run has installed it, without a list of its files"
    );
    let hint = format!("remove {home} and run `chronon-run engine install`");
    Diagnostic::error("engine-unlisted", message).hint(hint)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chronon_run_spark::{Java, SparkHome};

    use super::*;

    fn spark(origin: Origin, home: &Path) -> Spark {
        Spark {
            spark: SparkHome {
                home: home.to_owned(),
                version: "3.3.1".to_owned(),
                scala: "2.12".to_owned(),
                origin,
            },
            java: Java {
                home: home.join("java"),
                version: "17.0.15".to_owned(),
                major: 17,
                origin: Origin::Path,
            },
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let home = Path::new("/opt/spark");
        let Spark { spark, java } = spark(Origin::Path, home);
        let none = Found {
            spark: None,
            java: None,
            unfit: Vec::new(),
        };
        assert_eq!(missing_text(&none), "no Spark and no Java was found");
        let found = Found {
            spark: Some(spark),
            ..none.clone()
        };
        assert_eq!(missing_text(&found), "no Java was found");
        let found = Found {
            java: Some(java),
            ..none
        };
        assert_eq!(missing_text(&found), "no Spark was found");
    }

    #[test]
    fn an_installed_home_without_a_list_of_files_is_an_error_and_a_foreign_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("spark");
        fs::create_dir_all(&home).unwrap();
        let verify = |origin| {
            let mut verified = Verified {
                text: String::new(),
                findings: Vec::new(),
            };
            verified.add_homes(None, &spark(origin, &home));
            let codes = verified.findings.iter().map(|found| found.code);
            (verified.text.lines().count(), codes.collect::<Vec<_>>())
        };
        assert_eq!(verify(Origin::Installed), (2, vec!["engine-unlisted"]));
        assert_eq!(verify(Origin::Environment), (2, vec![]));
    }
}
