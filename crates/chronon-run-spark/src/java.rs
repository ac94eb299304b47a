//! Which Java a Spark can run on.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use chronon_run_core::CommandLine;
use chronon_run_process::Helper;
use serde::{Deserialize, Serialize};

use super::home::Origin;

/// How long a Java may take to say its version.
const ANSWER: Duration = Duration::from_secs(30);

/// A Java that was found or installed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Java {
    /// `JAVA_HOME`.
    pub home: PathBuf,
    /// Its version, e.g. `17.0.15`.
    pub version: String,
    /// Its feature version, e.g. 17; 8 for `1.8.0_392`.
    pub major: u32,
    /// How it was found.
    pub origin: Origin,
}

impl Java {
    /// The Java below `home`, if there is one that says its version.
    pub(super) fn at(home: &Path, origin: Origin) -> Option<Self> {
        if !home.join("bin/java").is_file() {
            return None;
        }
        let version = release_version(home).or_else(|| asked_version(home))?;
        Some(Self {
            home: home.to_owned(),
            major: major(&version)?,
            version,
            origin,
        })
    }

    /// The `java` program.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.home.join("bin/java")
    }

    /// Whether a Spark of this version runs on it, by Spark's own documentation.
    #[must_use]
    pub fn runs_spark(&self, spark_version: &str) -> bool {
        supported(spark_version).contains(&self.major)
    }

    /// Version and place, in words.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let origin = match self.origin {
            Origin::Workspace => ", from `java_home` of workspace.toml",
            Origin::Environment => ", from JAVA_HOME",
            Origin::Path => ", from PATH",
            Origin::Installed => "",
        };
        format!("Java {} ({}{origin})", self.version, self.home.display())
    }

    /// Whether it can write and read class-data archives of an application (JEP 350).
    #[must_use]
    pub fn archives_classes(&self) -> bool {
        self.major >= 13
    }
}

/// The feature versions of Java that a Spark of this version runs on, by Spark's own documentation.
pub(super) fn supported(spark_version: &str) -> &'static [u32] {
    let mut numbers = spark_version.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return &[];
    };
    match (major, minor) {
        (..3, _) => &[8],
        (3, ..=2) => &[8, 11],
        (3, _) => &[8, 11, 17],
        _ => &[17, 21],
    }
}

/// The same in words: `Java 8, 11 or 17`.
pub(super) fn supported_text(spark_version: &str) -> String {
    let versions: Vec<String> = supported(spark_version)
        .iter()
        .map(ToString::to_string)
        .collect();
    match versions.split_last() {
        None => "a Java that is not known".to_owned(),
        Some((only, [])) => format!("Java {only}"),
        Some((last, others)) => format!("Java {} or {last}", others.join(", ")),
    }
}

/// `JAVA_VERSION` of the file `release`, which spares starting a JVM.
fn release_version(home: &Path) -> Option<String> {
    let text = fs::read_to_string(home.join("release")).ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn asked_version(home: &Path) -> Option<String> {
    let java = home.join("bin/java").to_str()?.to_owned();
    let command = CommandLine {
        argv: vec![java, "-version".to_owned()],
        ..CommandLine::default()
    };
    let (_, said) = Helper::new(&command).limit(ANSWER).output().ok()?;
    quoted_version(&said)
}

/// `17.0.15` of `openjdk version "17.0.15" 2025-04-15`.
fn quoted_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains(" version \""))?;
    line.split('"').nth(1).map(str::to_owned)
}

fn major(version: &str) -> Option<u32> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn java(version: &str) -> Java {
        Java {
            home: PathBuf::new(),
            version: version.to_owned(),
            major: major(version).unwrap(),
            origin: Origin::Path,
        }
    }

    #[test]
    fn versions_are_read_old_and_new() {
        assert_eq!(major("1.8.0_392"), Some(8));
        assert_eq!(major("17.0.15"), Some(17));
        assert_eq!(major("21-ea"), Some(21));
        assert_eq!(major("x"), None);
        let text = "Picked up JAVA_TOOL_OPTIONS: -Da\nopenjdk version \"11.0.2\" 2019-01-15\n";
        assert_eq!(quoted_version(text).as_deref(), Some("11.0.2"));
    }

    #[test]
    fn each_spark_has_its_javas() {
        assert!(java("17.0.1").runs_spark("3.3.1"));
        assert!(java("1.8.0_1").runs_spark("3.3.1"));
        assert!(!java("21").runs_spark("3.3.1"));
        assert!(!java("17").runs_spark("3.1.1"));
        assert!(java("21").runs_spark("4.0.0"));
        assert!(!java("17").runs_spark("unknown"));
    }
}
