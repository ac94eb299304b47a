//! The jars that workspace.toml names: where those with Maven coordinates are, whether the Driver's
//! fits the Spark, and how they are installed and pinned.

use std::{
    env,
    path::{Path, PathBuf},
};

use chronon_run_core::{Diagnostic, Location};
use chronon_run_engine::{
    chronon::jar::{inspect, problems},
    kafka,
};
use chronon_run_spark::maven::{self, Cached, Coordinates, Maven};
use chronon_run_spark::{Environment, Spark};
use chronon_run_workspace::{Engine, EngineKind, Pins, Workspace};

use crate::{
    failure::Failure,
    loading::spark::spark_environment,
    output::{note, print},
};

/// A key of `[engine]` that names a jar.
struct Key {
    name: &'static str,
    /// Whether the Driver must be in it.
    is_driver: bool,
}

const NOT_INSTALLED: &str = "jar-not-installed";
/// What to do about a jar that is not in the cache.
pub const INSTALL: &str = "`chronon-run engine install chronon` fetches and pins it";
const INSTALL_AGAIN: &str = "`chronon-run engine install chronon` fetches it again";

const KEYS: [Key; 3] = [
    Key {
        name: "chronon_jar",
        is_driver: true,
    },
    Key {
        name: "test_chronon_jar",
        is_driver: true,
    },
    Key {
        name: "online_jar",
        is_driver: false,
    },
];

fn jar_mut<'a>(engine: &'a mut Engine, key: &Key) -> &'a mut Option<String> {
    match key.name {
        "chronon_jar" => &mut engine.chronon_jar,
        "test_chronon_jar" => &mut engine.test_chronon_jar,
        _ => &mut engine.online_jar,
    }
}

fn jar<'a>(engine: &'a Engine, key: &Key) -> Option<&'a str> {
    let jar = match key.name {
        "chronon_jar" => &engine.chronon_jar,
        "test_chronon_jar" => &engine.test_chronon_jar,
        _ => &engine.online_jar,
    };
    jar.as_deref()
}

/// Coordinates, if a jar is named so: not a path and not a URL.
fn coordinates(jar: &str) -> Option<Coordinates> {
    (!jar.contains('/')).then(|| jar.parse().ok())?
}

/// Puts the place of each installed and pinned jar where its coordinates are. The others stay, and
/// [`findings`] says why.
pub fn resolve(workspace: &mut Workspace) {
    let Ok(pins) = Pins::load(&workspace.root) else {
        return;
    };
    let cache = spark_environment(Some(workspace)).cache;
    for key in &KEYS {
        let jar = jar_mut(&mut workspace.engine, key);
        let named = jar.as_deref().and_then(coordinates);
        if let (Some(named), Some(cache)) = (named, &cache)
            && let Ok(cached) = pinned(&named, cache, &pins)
        {
            *jar = Some(cached.path.display().to_string());
        }
    }
}

/// The cached jar, if it is the pinned one; else why not.
fn pinned(named: &Coordinates, cache: &Path, pins: &Pins) -> Result<Cached, String> {
    let cached = maven::cached(named, cache).ok_or_else(|| format!("{named} is not installed"))?;
    let lock = pins.path().display();
    match pins.sha256(&named.to_string()) {
        Some(sha256) if sha256 == cached.sha256 => Ok(cached),
        Some(_) => Err(format!(
            "the {named} that is installed is not the one of {lock}"
        )),
        None => Err(format!("{named} is not pinned in {lock}")),
    }
}

/// What is wrong with the jars that workspace.toml names: `stream` starts them whichever engine fills
/// the tables. `thorough` reads them whole to compare their checksums; else only those that were
/// changed since they were read last.
pub fn findings(workspace: &Workspace, spark: Option<&Spark>, thorough: bool) -> Vec<Diagnostic> {
    let about = |key: &Key| {
        let jar = jar(&workspace.engine, key)?;
        Some(findings_of(workspace, key, jar, spark, thorough))
    };
    KEYS.iter().filter_map(about).flatten().collect()
}

fn findings_of(
    workspace: &Workspace,
    key: &Key,
    jar: &str,
    spark: Option<&Spark>,
    thorough: bool,
) -> Vec<Diagnostic> {
    let at = || Location::file(&workspace.file);
    let worded = |message: String| format!("`engine.{}`: {message}", key.name);
    let error = |code, message| Diagnostic::error(code, worded(message)).at(at());
    if jar.contains("://") {
        // Spark fetches it; it is not inspected before.
        return Vec::new();
    }
    let path = match coordinates(jar).map(|named| installed(workspace, &named)) {
        None => PathBuf::from(jar),
        Some(Ok(cached)) => cached.path,
        Some(Err(why)) => {
            let finding = match workspace.engine.kind {
                EngineKind::Chronon => error(NOT_INSTALLED, why),
                // Only `stream` needs it, and stops without it.
                EngineKind::Sql => Diagnostic::warning(NOT_INSTALLED, worded(why)).at(at()),
            };
            return vec![finding.hint(INSTALL)];
        }
    };
    if !path.is_file() {
        return vec![error("no-such-path", format!("there is no file {jar}"))];
    }
    let mut found = Vec::new();
    if let Some(message) = changed(workspace, &path, thorough) {
        found.push(error("jar-changed", message).hint(INSTALL_AGAIN));
    }
    if key.is_driver {
        found.extend(unfit(&path, spark).into_iter().map(|(fatal, message)| {
            let message = worded(format!("{} {message}", path.display()));
            match fatal {
                true => Diagnostic::error("jar-unfit", message).at(at()),
                false => Diagnostic::warning("jar-unfit", message).at(at()),
            }
        }));
    }
    found
}

/// The jar of the cache that the workspace pins under these coordinates; else why there is none.
fn installed(workspace: &Workspace, named: &Coordinates) -> Result<Cached, String> {
    let cache = spark_environment(Some(workspace)).cache;
    let cache = cache.ok_or("there is no cache directory; set CHRONON_RUN_CACHE or HOME")?;
    let pins = Pins::load(&workspace.root).map_err(|error| error.to_string())?;
    pinned(named, &cache, &pins)
}

/// Why a jar of the cache is not the one that is pinned for its place. Jars elsewhere are the user's own,
/// and have no checksum.
fn changed(workspace: &Workspace, path: &Path, thorough: bool) -> Option<String> {
    let cache = spark_environment(Some(workspace)).cache?;
    if !path.starts_with(cache.join("jars")) {
        return None;
    }
    let pins = match Pins::load(&workspace.root) {
        Ok(pins) => pins,
        Err(error) => return Some(error.to_string()),
    };
    let (jar, lock) = (path.display(), pins.path().display());
    let Some(wanted) = pin_of(path, &cache, &pins) else {
        return Some(format!("{jar} is not pinned in {lock}"));
    };
    let found = match thorough {
        true => maven::sha256(path),
        false => maven::sha256_unless_unchanged(path),
    };
    match found {
        Ok(found) if found == wanted => None,
        Ok(found) => Some(format!(
            "{jar} was changed: its SHA-256 is {found}, but {lock} pins {wanted}"
        )),
        Err(error) => Some(format!("{jar} cannot be read: {error}")),
    }
}

/// The SHA-256 that is pinned for the jar whose place in the cache is `path`.
fn pin_of<'p>(path: &Path, cache: &Path, pins: &'p Pins) -> Option<&'p str> {
    let is_here = |name: &str| {
        let named: Option<Coordinates> = name.parse().ok();
        named.is_some_and(|named| maven::place(&named, cache) == path)
    };
    let mut pinned = pins.jars();
    pinned.find_map(|(name, sha256)| is_here(name).then_some(sha256))
}

/// Stops the start of a process with a jar of `[engine]` that is not the pinned one. `key` is the jar's
/// name there.
pub fn refuse_changed(workspace: &Workspace, key: &str, jar: &str) -> Result<(), Failure> {
    match changed(workspace, Path::new(jar), false) {
        None => Ok(()),
        Some(why) => Err(Failure::hinted(
            format!("`engine.{key}`: {why}"),
            INSTALL_AGAIN,
        )),
    }
}

/// What keeps a Driver's jar from running, and whether no job can run with it.
fn unfit(path: &Path, spark: Option<&Spark>) -> Vec<(bool, String)> {
    let info = match inspect(path) {
        Ok(info) => info,
        Err(problem) => return vec![(true, problem.to_string())],
    };
    let found = match spark {
        Some(spark) => problems(&info, &spark.spark.version, &spark.spark.scala),
        // Without a Spark only the jar itself can be judged.
        None => problems(&info, "", info.scala.as_deref().unwrap_or_default()),
    };
    let words = |problem: &chronon_run_engine::chronon::jar::JarProblem| {
        (problem.is_fatal(), problem.to_string())
    };
    found.iter().map(words).collect()
}

/// Stops a run whose Driver cannot be started. A run of scripts starts no jar of `[engine]`.
pub fn refuse_unfit(workspace: &Workspace, spark: &Spark) -> Result<(), Failure> {
    if workspace.engine.kind != EngineKind::Chronon {
        return Ok(());
    }
    let mut found = findings(workspace, Some(spark), false);
    found.retain(Diagnostic::is_error);
    match found.is_empty() {
        true => Ok(()),
        false => Err(Failure::Findings(found)),
    }
}

/// `chronon-run engine install chronon`: fetches the Driver of this version, or every jar that
/// workspace.toml names by coordinates, and pins them.
pub fn install(
    workspace: Option<&Workspace>,
    named: &[String],
    version: Option<&str>,
    spark: Option<&Spark>,
) -> Result<(), Failure> {
    let environment = spark_environment(workspace);
    let wanted = match version {
        Some(version) => {
            let scala = spark.map_or("2.12", |spark| spark.spark.scala.as_str());
            vec![Coordinates::driver(scala, version)]
        }
        None => named.iter().filter_map(|jar| coordinates(jar)).collect(),
    };
    if wanted.is_empty() {
        return Err(Failure::hinted(
            "workspace.toml names no jar by Maven coordinates",
            "say which Driver: `chronon-run engine install chronon --version 0.0.113`",
        ));
    }
    let root = match workspace {
        Some(workspace) => workspace.root.clone(),
        None => env::current_dir()?,
    };
    for coordinates in &wanted {
        install_one(coordinates, &environment, &root)?;
    }
    if version.is_some() {
        note(&format!(
            "use it with `chronon_jar = \"{}\"` under [engine] in workspace.toml",
            wanted[0]
        ));
    }
    Ok(())
}

fn install_one(
    coordinates: &Coordinates,
    environment: &Environment,
    root: &Path,
) -> Result<(), Failure> {
    let (cached, lock) = obtain(coordinates, environment, root)?;
    print(&format!(
        "{coordinates}\n  {}\n  sha256 {}, pinned in {}\n",
        cached.path.display(),
        cached.sha256,
        lock.display()
    ))
}

/// The Kafka source that fits a Spark, with its dependencies: from the cache, else fetched once, and
/// pinned in the workspace's lock.
pub fn kafka_source(workspace: &Workspace, spark: &Spark) -> Result<Vec<String>, Failure> {
    let environment = spark_environment(Some(workspace));
    let home = &spark.spark;
    let package = kafka::package(
        &home.version,
        &home.scala,
        cache_of(&environment)?,
        &maven_of(&environment),
    )
    .map_err(|error| {
        Failure::hinted(
            format!(
                "the Kafka source for Spark {} (Scala {}) cannot be installed: {error}",
                home.version, home.scala
            ),
            "name your own in `conf` of [engine]: `spark.jars.packages`, or jars in `spark.jars`",
        )
    })?;
    let places = package.iter().map(|coordinates| {
        let (cached, _) = obtain(coordinates, &environment, &workspace.root)?;
        Ok(cached.path.display().to_string())
    });
    places.collect()
}

fn cache_of(environment: &Environment) -> Result<&Path, Failure> {
    let cache = environment.cache.as_deref();
    cache
        .ok_or_else(|| Failure::setup("there is no cache directory; set CHRONON_RUN_CACHE or HOME"))
}

/// The jar in the cache, fetched if it is not there, and the lock in which it is pinned.
fn obtain(
    coordinates: &Coordinates,
    environment: &Environment,
    root: &Path,
) -> Result<(Cached, PathBuf), Failure> {
    let cache = cache_of(environment)?;
    let mut pins = Pins::load(root).map_err(Failure::setup)?;
    let name = coordinates.to_string();
    let known = maven::cached(coordinates, cache)
        .filter(|cached| maven::sha256(&cached.path).is_ok_and(|found| found == cached.sha256));
    let cached = match known {
        Some(cached) => cached,
        None => {
            note(&format!("fetching {name}"));
            maven::install(coordinates, cache, &maven_of(environment)).map_err(Failure::setup)?
        }
    };
    match pins.sha256(&name) {
        Some(pinned) if pinned != cached.sha256 => {
            return Err(Failure::hinted(
                format!(
                    "{name} from {} has SHA-256 {}, but {} says {pinned}",
                    cached.from,
                    cached.sha256,
                    pins.path().display()
                ),
                "if that is meant, delete its line there and install again",
            ));
        }
        Some(_) => {}
        None => pins.pin(&name, &cached.sha256).map_err(Failure::setup)?,
    }
    Ok((cached, pins.path().to_owned()))
}

fn maven_of(environment: &Environment) -> Maven {
    let home = env::var_os("HOME").map(PathBuf::from);
    Maven {
        prefix: env::var("CHRONON_MAVEN_MIRROR_PREFIX")
            .ok()
            .filter(|prefix| !prefix.is_empty()),
        program: environment.on_path("mvn"),
        settings: home.map(|home| home.join(".m2").join("settings.xml")),
        curl: environment.on_path("curl"),
    }
}

/// The jars of `[engine]` as the file names them.
pub fn named(workspace: &Workspace) -> Vec<String> {
    let jars = KEYS.iter().filter_map(|key| jar(&workspace.engine, key));
    jars.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_of_the_cache_has_the_pin_of_its_own_jar() {
        let folder = tempfile::tempdir().unwrap();
        let mut pins = Pins::load(folder.path()).unwrap();
        pins.pin("ai.chronon:spark_uber_2.12:0.0.113:assembly", "12")
            .unwrap();
        pins.pin("ai.chronon:spark_uber_2.13:0.0.113:assembly", "13")
            .unwrap();
        let cache = Path::new("/cache");
        let pin = |text: &str| {
            let named: Coordinates = text.parse().unwrap();
            pin_of(&maven::place(&named, cache), cache, &pins)
        };
        assert_eq!(pin("ai.chronon:spark_uber_2.12:0.0.113"), Some("12"));
        assert_eq!(pin("ai.chronon:spark_uber_2.13:0.0.113"), Some("13"));
        assert_eq!(pin("ai.chronon:spark_uber_2.12:0.0.112"), None);
    }
}
