//! Where Spark and Java are looked for, and what a Spark distribution is.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The Spark that is installed: the one that `chronon-ai` pins.
pub const SPARK_VERSION: &str = "3.3.1";

/// Where to look. Everything that comes from the environment is a value here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Environment {
    /// `spark_home` of workspace.toml.
    pub workspace_spark_home: Option<PathBuf>,
    /// `java_home` of workspace.toml.
    pub workspace_java_home: Option<PathBuf>,
    /// `$SPARK_HOME`.
    pub spark_home: Option<PathBuf>,
    /// `$JAVA_HOME`.
    pub java_home: Option<PathBuf>,
    /// `$PATH`.
    pub path: Option<OsString>,
    /// Where things are installed; see [`cache_dir`].
    pub cache: Option<PathBuf>,
    /// The SHA-256 that files must have which are downloaded, by their names; others may have any.
    pub pins: BTreeMap<String, String>,
}

/// `$CHRONON_RUN_CACHE`, else `$XDG_CACHE_HOME/chronon-run`, else `$HOME/.cache/chronon-run`.
/// Empty variables count as unset.
#[must_use]
pub fn cache_dir(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let directory = |name: &str| {
        env(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    directory("CHRONON_RUN_CACHE")
        .or_else(|| directory("XDG_CACHE_HOME").map(|base| base.join("chronon-run")))
        .or_else(|| directory("HOME").map(|home| home.join(".cache/chronon-run")))
}

impl Environment {
    /// What the environment says, read through `env`, and `spark_home` of workspace.toml.
    #[must_use]
    pub fn new(
        workspace_spark_home: Option<PathBuf>,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let directory = |name: &str| {
            env(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Self {
            workspace_spark_home,
            workspace_java_home: None,
            spark_home: directory("SPARK_HOME"),
            java_home: directory("JAVA_HOME"),
            path: env("PATH"),
            cache: cache_dir(&env),
            pins: BTreeMap::new(),
        }
    }

    /// The first executable file `program` on the path.
    #[must_use]
    pub fn on_path(&self, program: &str) -> Option<PathBuf> {
        std::env::split_paths(self.path.as_ref()?)
            .map(|directory| directory.join(program))
            .find(|path| is_executable(path))
    }
}

pub(super) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// How something was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// `spark_home` or `java_home` of workspace.toml.
    Workspace,
    /// `$SPARK_HOME` or `$JAVA_HOME`.
    Environment,
    /// On `$PATH`.
    Path,
    /// Installed by `chronon-run` into its cache.
    Installed,
}

/// A Spark distribution.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SparkHome {
    /// `SPARK_HOME`.
    pub home: PathBuf,
    /// Its version, e.g. `3.3.1`.
    pub version: String,
    /// The Scala version that it is built for, e.g. `2.12`.
    pub scala: String,
    /// How it was found.
    pub origin: Origin,
}

/// Why there is no usable Spark.
#[derive(Debug, thiserror::Error)]
pub enum SparkError {
    /// A Spark that was named is none.
    #[error(
        "{path} (from {key}) has no {missing}; point {key} at an unpacked Spark distribution, or remove it to have Spark {SPARK_VERSION} installed"
    )]
    NoSpark {
        /// The directory.
        path: PathBuf,
        /// Who named it: a key or a variable.
        key: &'static str,
        /// What is not there, relative to the directory.
        missing: &'static str,
    },
    /// There is no Java for a Spark, and the one that is installed does not fit either.
    #[error(
        "no Java for Spark {spark} was found: it needs {needed}{found}; set JAVA_HOME to such a Java"
    )]
    NoJava {
        /// The version of the Spark.
        spark: String,
        /// The Javas that it runs on, in words.
        needed: String,
        /// Those that were found, in words.
        found: String,
    },
    /// There is nowhere to install to.
    #[error(
        "no Spark was found and there is no cache directory to install it to; set HOME or CHRONON_RUN_CACHE, or `spark_home` under [engine] in workspace.toml"
    )]
    NoCache,
    /// There is no pip.
    #[error(
        "no {what} was found, and installing it takes `python3 -m pip`, which does not run here ({why}); install python3 with pip (Debian: `apt install python3-pip`), or set {instead}"
    )]
    NoPip {
        /// What was to be installed.
        what: &'static str,
        /// What happened instead.
        why: String,
        /// The setting that makes the installation unnecessary.
        instead: &'static str,
    },
    /// pip could not download it.
    #[error(
        "cannot download {what} with pip: {why}; check the network and pip's configuration, or set {instead}"
    )]
    Download {
        /// What was to be installed.
        what: &'static str,
        /// pip's last error line.
        why: String,
        /// The setting that makes the download unnecessary.
        instead: &'static str,
    },
    /// A file that was named is not one that can be installed.
    #[error(
        "{path} cannot be installed: {why}; on a machine with a network, {commands} download the files that can"
    )]
    NotInstallable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// The commands that download the right ones.
        commands: String,
    },
    /// The archive is not what was expected.
    #[error("{file} cannot be used: {why}; remove {directory} and try again")]
    Artefact {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
        /// Where it is.
        directory: PathBuf,
    },
    /// The archive is not what is pinned.
    #[error(
        "{file} has SHA-256 {found}, but chronon-run.lock pins {pinned}; if that is meant, delete its line there and install again"
    )]
    Pinned {
        /// The file.
        file: String,
        /// Its SHA-256.
        found: String,
        /// The pinned one.
        pinned: String,
    },
    /// A file of the cache cannot be used.
    #[error("cannot use {path} to install Spark: {source}")]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The distribution below `home`, or what is missing there.
pub(super) fn inspect(home: &Path, origin: Origin) -> Result<SparkHome, &'static str> {
    if !is_executable(&home.join("bin/spark-submit")) {
        return Err("bin/spark-submit");
    }
    let missing = "jars/spark-core_<scala>-<version>.jar";
    let jars = fs::read_dir(home.join("jars")).map_err(|_| missing)?;
    let core = jars.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let (scala, version) = core
        .filter_map(|name| core_version(&name))
        .next()
        .ok_or(missing)?;
    // An absolute path keeps working wherever a job is started from.
    let home = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
    Ok(SparkHome {
        home,
        version,
        scala,
        origin,
    })
}

/// `(2.12, 3.3.1)` of `spark-core_2.12-3.3.1.jar`.
fn core_version(name: &str) -> Option<(String, String)> {
    let rest = name.strip_prefix("spark-core_")?.strip_suffix(".jar")?;
    let (scala, version) = rest.split_once('-')?;
    let numeric = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    (numeric(scala) && numeric(version)).then(|| (scala.to_owned(), version.to_owned()))
}
