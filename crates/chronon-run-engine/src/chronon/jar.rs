//! Whether a jar can be the Driver's: a look into it, without starting anything.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use zip::ZipArchive;

/// The Driver's class, as an entry of its jar.
const DRIVER_ENTRY: &str = "ai/chronon/spark/Driver.class";
/// An entry of Spark's own core.
const SPARK_ENTRY: &str = "org/apache/spark/SparkContext.class";

/// What a jar holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JarInfo {
    /// Whether the Driver is in it.
    pub has_driver: bool,
    /// Its Scala, e.g. `2.12`: that of the library in it, else that of its name.
    pub scala: Option<String>,
    /// The Spark that it brings along, as `spark_embedded` does (§9); empty if its version is not
    /// told.
    pub spark: Option<String>,
}

/// What is wrong with a jar.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JarProblem {
    /// It is no jar.
    #[error("cannot be read as a jar: {0}")]
    Unreadable(String),
    /// It is another jar.
    #[error("holds no ai.chronon.spark.Driver; a `spark_uber…-assembly.jar` does")]
    NoDriver,
    /// Its Scala is not that of the Spark that will run it.
    #[error("is made for Scala {jar}, but Spark {spark} has Scala {wanted}")]
    Scala {
        /// The jar's.
        jar: String,
        /// The Spark's version.
        spark: String,
        /// The Spark's Scala.
        wanted: String,
    },
    /// It brings its own Spark.
    #[error(
        "brings a Spark {own} of its own, which would meet Spark {spark}; `spark_uber` brings none"
    )]
    OwnSpark {
        /// The version in the jar.
        own: String,
        /// The Spark's version.
        spark: String,
    },
}

impl JarProblem {
    /// Whether no job can run with the jar. One with a Spark of its own has been seen to work.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::OwnSpark { .. })
    }
}

/// Looks into a jar.
///
/// # Errors
/// [`JarProblem::Unreadable`].
pub fn inspect(path: &Path) -> Result<JarInfo, JarProblem> {
    let unreadable = |error: &dyn std::fmt::Display| JarProblem::Unreadable(error.to_string());
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut jar = ZipArchive::new(file).map_err(|error| unreadable(&error))?;
    let has = |jar: &ZipArchive<File>, name: &str| jar.index_for_name(name).is_some();
    let scala = property(&mut jar, "library.properties", "version.number");
    let own_spark = has(&jar, SPARK_ENTRY);
    let version = property(&mut jar, "spark-version-info.properties", "version");
    Ok(JarInfo {
        has_driver: has(&jar, DRIVER_ENTRY),
        scala: scala
            .map(|version| binary(&version))
            .or_else(|| scala_of_name(path)),
        spark: own_spark.then(|| version.unwrap_or_default()),
    })
}

/// What keeps a jar from running on a Spark of this version and Scala.
#[must_use]
pub fn problems(info: &JarInfo, spark: &str, scala: &str) -> Vec<JarProblem> {
    let mut found = Vec::new();
    if !info.has_driver {
        found.push(JarProblem::NoDriver);
    }
    if let Some(jar) = info.scala.as_ref().filter(|jar| *jar != scala) {
        found.push(JarProblem::Scala {
            jar: jar.clone(),
            spark: spark.to_owned(),
            wanted: scala.to_owned(),
        });
    }
    if let Some(own) = &info.spark {
        found.push(JarProblem::OwnSpark {
            own: own.clone(),
            spark: spark.to_owned(),
        });
    }
    found
}

/// Where a class was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClassSearch {
    /// In this jar or folder.
    In(PathBuf),
    /// In none of the places.
    Nowhere,
    /// In none that can be read here; these are elsewhere, e.g. `s3a://…`.
    Unknown(Vec<String>),
}

/// Looks for a class, e.g. `com.example.Online`, in the jars and folders of `places`. A place may be a
/// `file:` address, or end with `/*` for all jars of a folder; other addresses are not looked into.
///
/// # Errors
/// The first place that is there and is no jar.
pub fn find_class(class: &str, places: &[String]) -> Result<ClassSearch, (PathBuf, JarProblem)> {
    let entry = format!("{}.class", class.replace('.', "/"));
    let mut elsewhere = Vec::new();
    for place in places {
        let local = place
            .strip_prefix("file://")
            .or(place.strip_prefix("file:"));
        let local = local.unwrap_or(place);
        if local.contains("://") {
            elsewhere.push(place.clone());
            continue;
        }
        for path in expand(local) {
            if has_entry(&path, &entry).map_err(|problem| (path.clone(), problem))? {
                return Ok(ClassSearch::In(path));
            }
        }
    }
    match elsewhere.is_empty() {
        true => Ok(ClassSearch::Nowhere),
        false => Ok(ClassSearch::Unknown(elsewhere)),
    }
}

/// The jars of a folder with `/*`, else the place itself.
fn expand(place: &str) -> Vec<PathBuf> {
    let Some(folder) = place.strip_suffix("/*") else {
        return vec![PathBuf::from(place)];
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut jars: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    jars.retain(|path| path.extension().is_some_and(|extension| extension == "jar"));
    jars.sort();
    jars
}

fn has_entry(path: &Path, entry: &str) -> Result<bool, JarProblem> {
    if path.is_dir() {
        return Ok(path.join(entry).is_file());
    }
    let unreadable = |error: &dyn std::fmt::Display| JarProblem::Unreadable(error.to_string());
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let jar = ZipArchive::new(file).map_err(|error| unreadable(&error))?;
    Ok(jar.index_for_name(entry).is_some())
}

/// A value of a `.properties` entry.
fn property(jar: &mut ZipArchive<File>, entry: &str, name: &str) -> Option<String> {
    let mut text = String::new();
    jar.by_name(entry).ok()?.read_to_string(&mut text).ok()?;
    let value = |line: &str| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    };
    text.lines().find_map(value)
}

/// `2.12` of `2.12.18`.
fn binary(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// `2.12` of `spark_uber_2.12-0.0.113-assembly.jar`.
fn scala_of_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let (_, rest) = name.rsplit_once("_2.")?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    // Another number after `_2.` is no Scala's.
    let is_scala = ["11", "12", "13"].contains(&minor.as_str());
    is_scala.then(|| format!("2.{minor}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn jar(folder: &Path, name: &str, entries: &[(&str, &str)]) -> std::path::PathBuf {
        let path = folder.join(name);
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        for (entry, text) in entries {
            writer
                .start_file(*entry, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    #[test]
    fn a_driver_s_jar() {
        let folder = tempfile::tempdir().unwrap();
        let path = jar(
            folder.path(),
            "spark_uber_2.12-0.0.113-assembly.jar",
            &[(DRIVER_ENTRY, "")],
        );
        let info = inspect(&path).unwrap();
        assert_eq!(info.scala.as_deref(), Some("2.12"));
        assert_eq!(problems(&info, "3.3.1", "2.12"), []);
        let words = problems(&info, "3.2.1", "2.13")[0].to_string();
        assert_eq!(
            words,
            "is made for Scala 2.12, but Spark 3.2.1 has Scala 2.13"
        );
    }

    #[test]
    fn a_name_is_believed_only_if_it_names_a_scala() {
        let scala = |name: &str| scala_of_name(Path::new(name));
        assert_eq!(
            scala("spark_uber_2.13-0.0.115.jar").as_deref(),
            Some("2.13")
        );
        assert_eq!(scala("our_driver_2.1.jar"), None);
        assert_eq!(scala("driver.jar"), None);
    }

    #[test]
    fn a_class_is_looked_for_in_jars_folders_and_all_jars_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let entry = "com/example/Online.class";
        let with = jar(folder.path(), "with.jar", &[(entry, "")]);
        let without = jar(folder.path(), "without.jar", &[]);
        let text = |path: &Path| path.display().to_string();
        let find = |places: &[String]| find_class("com.example.Online", places);
        let (with_text, without_text) = (text(&with), text(&without));
        let all = [without_text.clone(), with_text.clone()];
        assert_eq!(find(&all), Ok(ClassSearch::In(with.clone())));
        assert_eq!(
            find(std::slice::from_ref(&without_text)),
            Ok(ClassSearch::Nowhere)
        );
        assert_eq!(
            find(&[format!("file:{with_text}")]),
            Ok(ClassSearch::In(with.clone()))
        );
        let glob = format!("{}/*", text(folder.path()));
        assert_eq!(find(&[glob]), Ok(ClassSearch::In(with)));
        let remote = "s3a://jars/x.jar".to_owned();
        assert_eq!(
            find(&[without_text, remote.clone()]),
            Ok(ClassSearch::Unknown(vec![remote]))
        );
        fs::create_dir_all(folder.path().join("com/example")).unwrap();
        fs::write(folder.path().join(entry), "").unwrap();
        let unpacked = folder.path().to_owned();
        assert_eq!(find(&[text(&unpacked)]), Ok(ClassSearch::In(unpacked)));
        fs::write(folder.path().join("bad.jar"), "no zip").unwrap();
        let bad = text(&folder.path().join("bad.jar"));
        assert!(matches!(find(&[bad]), Err((_, JarProblem::Unreadable(_)))));
    }

    #[test]
    fn other_jars() {
        let folder = tempfile::tempdir().unwrap();
        let embedded = jar(
            folder.path(),
            "chronon.jar",
            &[
                (DRIVER_ENTRY, ""),
                (SPARK_ENTRY, ""),
                (
                    "library.properties",
                    "maven.version.number=2.11.12\nversion.number=2.11.12\n",
                ),
                ("spark-version-info.properties", "version=2.4.0\nuser=x\n"),
            ],
        );
        let info = inspect(&embedded).unwrap();
        let found = problems(&info, "3.3.1", "2.12");
        assert_eq!(found.len(), 2);
        assert!(found[0].is_fatal() && !found[1].is_fatal());
        assert!(
            found[1]
                .to_string()
                .starts_with("brings a Spark 2.4.0 of its own")
        );
        let other = jar(folder.path(), "other.jar", &[("a/B.class", "")]);
        let found = problems(&inspect(&other).unwrap(), "3.3.1", "2.12");
        assert_eq!(found, [JarProblem::NoDriver]);
        let text = folder.path().join("text.jar");
        std::fs::write(&text, "not a jar").unwrap();
        assert!(matches!(inspect(&text), Err(JarProblem::Unreadable(_))));
    }
}
