//! Finds a Spark and a Java for it, in the order of the design, and installs what is missing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Java,
    home::{Environment, Origin, SPARK_VERSION, SparkError, SparkHome, inspect},
    install::{self, Content, Progress},
    java,
};

/// A Spark and a Java that it runs on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spark {
    /// The distribution.
    #[serde(flatten)]
    pub spark: SparkHome,
    /// The Java.
    pub java: Java,
}

impl Spark {
    /// `<home>/bin/spark-submit`.
    #[must_use]
    pub fn submit(&self) -> PathBuf {
        self.spark.home.join("bin/spark-submit")
    }

    /// `<home>/jars`.
    #[must_use]
    pub fn jars(&self) -> PathBuf {
        self.spark.home.join("jars")
    }
}

/// What is there without installing anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The Spark, unless one has to be installed.
    pub spark: Option<SparkHome>,
    /// A Java for it (or for the Spark that would be installed), unless one has to be installed.
    pub java: Option<Java>,
    /// Javas that would have been used before it, and do not run this Spark.
    pub unfit: Vec<Java>,
}

impl Found {
    /// The version of the Spark, or of the one that would be installed.
    #[must_use]
    pub fn spark_version(&self) -> &str {
        let spark = self.spark.as_ref();
        spark.map_or(SPARK_VERSION, |spark| &spark.version)
    }

    /// Both, if both are there.
    #[must_use]
    pub fn complete(self) -> Option<Spark> {
        Some(Spark {
            spark: self.spark?,
            java: self.java?,
        })
    }

    /// What has to be downloaded, with its size in bytes.
    #[must_use]
    pub fn downloads(&self) -> Vec<(&'static str, u64)> {
        install::downloads(self.spark.is_none(), self.java.is_none())
    }

    /// The unfit Javas, in words: each with its place, and which are needed instead. `None` if there
    /// is none.
    #[must_use]
    pub fn unfit_text(&self) -> Option<String> {
        let javas: Vec<String> = self.unfit.iter().map(Java::text).collect();
        let version = self.spark_version();
        let needed = java::supported_text(version);
        (!javas.is_empty()).then(|| {
            let verb = if javas.len() == 1 { "does" } else { "do" };
            let javas = javas.join(" and ");
            format!("{javas} {verb} not run Spark {version}, which needs {needed}")
        })
    }
}

/// What is there already: `spark_home` of the workspace, `$SPARK_HOME`, `spark-submit` on the
/// path, the cache; and `java_home` of the workspace, `$JAVA_HOME`, `java` on the path, the cache.
///
/// # Errors
/// [`SparkError::NoSpark`] if the workspace or the environment names a directory that is no Spark.
pub fn find(environment: &Environment) -> Result<Found, SparkError> {
    let spark = find_spark(environment)?;
    let version = spark.as_ref().map_or(SPARK_VERSION, |spark| &spark.version);
    let (java, unfit) = find_java(environment, version);
    Ok(Found { spark, java, unfit })
}

/// As [`find`], and installs what is missing into the cache, telling `progress` how far it is.
/// Safe when several start at once: one installs, the others wait for it.
///
/// # Errors
/// [`SparkError`] if a named Spark is none, or the installation fails.
pub fn locate(
    environment: &Environment,
    progress: &mut dyn FnMut(Progress),
) -> Result<Spark, SparkError> {
    if let Found {
        spark: Some(spark),
        java: Some(java),
        ..
    } = find(environment)?
    {
        return Ok(Spark { spark, java });
    }
    check_java(&find(environment)?)?;
    let _lock = install::lock(environment, progress)?;
    let found = find(environment)?;
    let spark = match found.spark {
        Some(spark) => spark,
        None => install::spark(environment, None, progress)?,
    };
    let java = match found.java {
        Some(java) => java,
        None => install::java(environment, None, progress)?,
    };
    Ok(Spark { spark, java })
}

/// Installs Spark and Java into the cache from files that pip has downloaded elsewhere; what the cache
/// has already is left alone. Nothing is installed unless every file can be.
///
/// # Errors
/// [`SparkError`] if a file is not there, has another name than pip gives it, is damaged, or is not
/// the pinned one.
pub fn install_files(
    environment: &Environment,
    files: &[PathBuf],
    progress: &mut dyn FnMut(Progress),
) -> Result<(), SparkError> {
    let known = files.iter().map(|file| Ok((file, content_of(file)?)));
    let known: Vec<(&PathBuf, Content)> = known.collect::<Result<_, SparkError>>()?;
    let _lock = install::lock(environment, progress)?;
    let cache = environment.cache.as_deref().ok_or(SparkError::NoCache)?;
    for (file, content) in known {
        match content {
            Content::Spark => {
                if inspect(&install::spark_directory(cache), Origin::Installed).is_err() {
                    install::spark(environment, Some(file), progress)?;
                }
            }
            Content::Java => {
                if Java::at(&install::java_directory(cache), Origin::Installed).is_none() {
                    install::java(environment, Some(file), progress)?;
                }
            }
        }
    }
    Ok(())
}

fn content_of(file: &Path) -> Result<Content, SparkError> {
    let refused = |why: String| SparkError::NotInstallable {
        path: file.to_owned(),
        why,
        commands: install::download_commands(),
    };
    match fs::metadata(file) {
        Err(error) => return Err(refused(error.to_string())),
        Ok(found) if !found.is_file() => return Err(refused("it is not a file".to_owned())),
        Ok(_) => {}
    }
    install::content(file).ok_or_else(|| {
        refused("it is neither the Spark nor the Java that this version installs".to_owned())
    })
}

/// Fails where installing a Java would not help.
fn check_java(found: &Found) -> Result<(), SparkError> {
    let version = found.spark_version();
    if found.java.is_some() || java::supported(version).contains(&install::JAVA_MAJOR) {
        return Ok(());
    }
    let javas: Vec<String> = found.unfit.iter().map(Java::text).collect();
    Err(SparkError::NoJava {
        spark: version.to_owned(),
        needed: java::supported_text(version),
        found: match javas.is_empty() {
            true => String::new(),
            false => format!(", found only {}", javas.join(" and ")),
        },
    })
}

fn find_spark(environment: &Environment) -> Result<Option<SparkHome>, SparkError> {
    if let Some(home) = &environment.workspace_spark_home {
        return named_spark(home, "`spark_home` of workspace.toml", Origin::Workspace).map(Some);
    }
    if let Some(home) = &environment.spark_home {
        return named_spark(home, "$SPARK_HOME", Origin::Environment).map(Some);
    }
    let on_path = environment.on_path("spark-submit");
    let on_path = on_path.and_then(|submit| spark_of(&submit));
    Ok(on_path.or_else(|| {
        let home = install::spark_directory(environment.cache.as_deref()?);
        inspect(&home, Origin::Installed).ok()
    }))
}

fn named_spark(home: &Path, key: &'static str, origin: Origin) -> Result<SparkHome, SparkError> {
    inspect(home, origin).map_err(|missing| SparkError::NoSpark {
        path: home.to_owned(),
        key,
        missing,
    })
}

/// The distribution that a `spark-submit` on the path belongs to: its own, or the one that pip
/// put beside the script of that name.
fn spark_of(submit: &Path) -> Option<SparkHome> {
    let bin = fs::canonicalize(submit).ok()?.parent()?.to_owned();
    let prefix = bin.parent()?;
    inspect(prefix, Origin::Path).ok().or_else(|| {
        let libraries = fs::read_dir(prefix.join("lib")).ok()?;
        libraries
            .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/pyspark")))
            .find_map(|home| inspect(&home, Origin::Path).ok())
    })
}

/// The first Java that runs this Spark, and those before it that do not.
fn find_java(environment: &Environment, spark_version: &str) -> (Option<Java>, Vec<Java>) {
    let of_workspace = environment.workspace_java_home.clone();
    let of_workspace = of_workspace.map(|home| (home, Origin::Workspace));
    let named = environment.java_home.clone();
    let named = named.map(|home| (home, Origin::Environment));
    let on_path = environment
        .on_path("java")
        .and_then(|java| fs::canonicalize(java).ok())
        .and_then(|java| Some((java.parent()?.parent()?.to_owned(), Origin::Path)));
    let installed = environment
        .cache
        .as_deref()
        .map(|cache| (install::java_directory(cache), Origin::Installed));
    let mut unfit = Vec::new();
    let candidates = [of_workspace, named, on_path, installed]
        .into_iter()
        .flatten();
    for (home, origin) in candidates {
        match Java::at(&home, origin) {
            Some(java) if java.runs_spark(spark_version) => return (Some(java), unfit),
            Some(java) => unfit.push(java),
            None => {}
        }
    }
    (None, unfit)
}

#[cfg(test)]
mod tests {
    use crate::cache_dir;
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn executable(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn fake_spark(home: &Path, version: &str) {
        executable(&home.join("bin/spark-submit"));
        fs::create_dir_all(home.join("jars")).unwrap();
        let core = format!("jars/spark-core_2.12-{version}.jar");
        fs::write(home.join(core), "").unwrap();
    }

    fn fake_java(home: &Path, version: &str) {
        executable(&home.join("bin/java"));
        fs::write(
            home.join("release"),
            format!("JAVA_VERSION=\"{version}\"\n"),
        )
        .unwrap();
    }

    #[test]
    fn the_workspace_wins_over_the_environment_over_the_path_over_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for (name, version) in [("w", "3.3.1"), ("e", "3.3.2"), ("p", "3.3.3")] {
            fake_spark(&dir.join(name), version);
        }
        fake_spark(&install::spark_directory(&dir.join("c")), "3.3.1");
        let mut environment = Environment {
            workspace_spark_home: Some(dir.join("w")),
            spark_home: Some(dir.join("e")),
            path: Some(dir.join("p/bin").into()),
            cache: Some(dir.join("c")),
            ..Environment::default()
        };
        let origin =
            |environment: &Environment| find(environment).unwrap().spark.map(|spark| spark.origin);
        assert_eq!(origin(&environment), Some(Origin::Workspace));
        environment.workspace_spark_home = None;
        assert_eq!(origin(&environment), Some(Origin::Environment));
        environment.spark_home = None;
        assert_eq!(origin(&environment), Some(Origin::Path));
        environment.path = None;
        assert_eq!(origin(&environment), Some(Origin::Installed));
        environment.cache = None;
        assert_eq!(origin(&environment), None);
    }

    #[test]
    fn a_named_directory_that_is_no_spark_is_an_error_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment {
            workspace_spark_home: Some(dir.path().to_owned()),
            ..Environment::default()
        };
        let message = find(&environment).unwrap_err().to_string();
        assert!(
            message.contains("`spark_home` of workspace.toml"),
            "{message}"
        );
        assert!(message.contains("bin/spark-submit"), "{message}");
        executable(&dir.path().join("bin/spark-submit"));
        let message = find(&environment).unwrap_err().to_string();
        assert!(message.contains("jars/spark-core_"), "{message}");
    }

    #[test]
    fn pip_puts_spark_beside_its_script() {
        let dir = tempfile::tempdir().unwrap();
        executable(&dir.path().join("bin/spark-submit"));
        let home = dir.path().join("lib/python3.11/site-packages/pyspark");
        fake_spark(&home, "3.3.1");
        let environment = Environment {
            path: Some(dir.path().join("bin").into()),
            ..Environment::default()
        };
        let spark = find(&environment).unwrap().spark.unwrap();
        assert_eq!(spark.home, fs::canonicalize(home).unwrap());
        assert_eq!(
            (spark.scala.as_str(), spark.version.as_str()),
            ("2.12", "3.3.1")
        );
    }

    #[test]
    fn a_java_too_new_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fake_java(&dir.join("new"), "21.0.1");
        fake_java(&dir.join("right"), "17.0.9");
        let environment = Environment {
            java_home: Some(dir.join("new")),
            path: Some(dir.join("right/bin").into()),
            ..Environment::default()
        };
        let found = find(&environment).unwrap();
        let java = found.java.as_ref().unwrap();
        assert_eq!((java.major, java.origin), (17, Origin::Path));
        let text = found.unfit_text().unwrap();
        assert!(text.starts_with("Java 21.0.1 ("), "{text}");
        assert!(
            text.ends_with("Spark 3.3.1, which needs Java 8, 11 or 17"),
            "{text}"
        );
    }

    #[test]
    fn a_spark_for_which_no_java_can_be_installed_says_which_it_needs() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fake_spark(&dir.join("old"), "2.4.8");
        fake_java(&dir.join("jdk"), "17.0.9");
        let environment = Environment {
            spark_home: Some(dir.join("old")),
            java_home: Some(dir.join("jdk")),
            cache: Some(dir.join("cache")),
            ..Environment::default()
        };
        let message = locate(&environment, &mut |_| ()).unwrap_err().to_string();
        assert!(
            message.contains("Spark 2.4.8 was found: it needs Java 8, found only Java 17.0.9"),
            "{message}"
        );
        assert!(!dir.join("cache").exists(), "nothing is downloaded");
    }

    #[test]
    fn the_cache_follows_the_environment() {
        let env = |set: &'static [(&str, &str)]| {
            move |name: &str| {
                let value = set.iter().find(|(key, _)| *key == name)?.1;
                Some(OsString::from(value))
            }
        };
        let all = env(&[
            ("CHRONON_RUN_CACHE", "/a"),
            ("XDG_CACHE_HOME", "/b"),
            ("HOME", "/c"),
        ]);
        assert_eq!(cache_dir(all), Some("/a".into()));
        let xdg = env(&[
            ("CHRONON_RUN_CACHE", ""),
            ("XDG_CACHE_HOME", "/b"),
            ("HOME", "/c"),
        ]);
        assert_eq!(cache_dir(xdg), Some("/b/chronon-run".into()));
        assert_eq!(
            cache_dir(env(&[("HOME", "/c")])),
            Some("/c/.cache/chronon-run".into())
        );
        assert_eq!(cache_dir(env(&[])), None);
    }
}
