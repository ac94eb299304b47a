//! The class-data archive of one Java and one Spark: loaded classes in a file that the next JVM
//! maps, which takes a bare SQL session from about 7 s to 2.5 s on two cores.
//!
//! An archive is written by a *recording*: a short SQL job on a throw-away catalog, run once with
//! `-XX:ArchiveClassesAtExit`. It counts only once [`Recording::publish`](crate::recording::Recording::publish) has noted its size and
//! time beside it, because a JVM that maps a truncated archive dies. A missing archive, one of
//! another Java or Spark (another name), or one that changed since (another size or time) is not
//! used; the JVM itself falls back silently if it still does not fit, e.g. because Spark has a
//! `conf` directory on its class path.

use std::{
    fs::{self},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Spark;

/// Silences what the JVM would otherwise print about an archive that it does not use.
pub(crate) const QUIET: [&str; 2] = ["-Xshare:auto", "-Xlog:disable"];

/// How long a recording that has failed is not tried again.
const DISCOURAGED: Duration = Duration::from_secs(24 * 60 * 60);

/// Fatal errors of the JVM itself are still told.
pub(crate) const WARNINGS: &str = "-Xlog:all=error:stderr";

/// The archive of one purpose, whether it exists or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archive {
    pub(crate) path: PathBuf,
}

/// Where a cache keeps its archives.
pub(crate) fn directory(cache: &Path) -> PathBuf {
    cache.join("class-data")
}

/// What an archive was when it was complete.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    bytes: u64,
    modified_nanos: u128,
}

impl Archive {
    /// The archive in `cache` for jobs of this `purpose` (e.g. `sql`, `metastore`) on this Spark
    /// and Java; `None` if this Java has no such archives.
    ///
    /// # Errors
    /// An [`io::Error`] if Spark's jars cannot be listed.
    pub fn new(cache: &Path, purpose: &str, spark: &Spark) -> io::Result<Option<Self>> {
        if !spark.java.archives_classes() {
            return Ok(None);
        }
        let key = key(spark)?;
        let path = directory(cache).join(format!("{purpose}-{key}.jsa"));
        Ok(Some(Self { path }))
    }

    /// Whether there is a complete archive.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let sealed = fs::read(self.seal_path()).ok();
        let sealed = sealed.and_then(|bytes| serde_json::from_slice::<Seal>(&bytes).ok());
        sealed.is_some() && sealed == seal(&self.path).ok()
    }

    /// Notes that a recording failed and why, so that not every run tries it again.
    pub fn mark_failed(&self, why: &str) {
        // Without the note it is only tried more often.
        let _ = fs::write(self.note_path(), why);
    }

    /// Notes why a recording was not finished; the next run tries it again.
    pub fn note(&self, why: &str) {
        // Without the note only `engine info` knows less.
        let _ = fs::write(self.unfinished_path(), why);
    }

    /// Why the last recording failed or was not finished, if there is no archive because of that.
    #[must_use]
    pub fn last_failure(&self) -> Option<String> {
        let newest = |path: &PathBuf| fs::metadata(path).and_then(|note| note.modified()).ok();
        let notes = [self.note_path(), self.unfinished_path()];
        let note = notes.into_iter().max_by_key(newest)?;
        fs::read_to_string(note).ok()
    }

    /// Whether a recording failed lately.
    #[must_use]
    pub fn failed_recently(&self) -> bool {
        let noted = fs::metadata(self.note_path()).and_then(|note| note.modified());
        noted.is_ok_and(|noted| {
            SystemTime::now()
                .duration_since(noted)
                .is_ok_and(|age| age < DISCOURAGED)
        })
    }

    /// The log of its recording.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.with_extension("log")
    }

    /// Options that make a JVM use the archive; none if it is not ready.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        if !self.is_ready() {
            return Vec::new();
        }
        let mut options = vec![format!("-XX:SharedArchiveFile={}", self.path.display())];
        options.extend(QUIET.map(str::to_owned));
        options.push(WARNINGS.to_owned());
        options
    }

    pub(crate) fn seal_path(&self) -> PathBuf {
        self.path.with_extension("json")
    }

    pub(crate) fn unfinished_path(&self) -> PathBuf {
        self.path.with_extension("unfinished")
    }

    pub(crate) fn note_path(&self) -> PathBuf {
        self.path.with_extension("failed")
    }
}

pub(crate) fn seal(path: &Path) -> io::Result<Seal> {
    let metadata = fs::metadata(path)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
    Ok(Seal {
        bytes: metadata.len(),
        modified_nanos: modified.map_or(0, |since| since.as_nanos()),
    })
}

/// Changes with the Java, the Spark and any of its jars.
fn key(spark: &Spark) -> io::Result<String> {
    let mut jars = Vec::new();
    for entry in fs::read_dir(spark.jars())? {
        let entry = entry?;
        let seal = seal(&entry.path())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        jars.push(format!("{name} {} {}\n", seal.bytes, seal.modified_nanos));
    }
    jars.sort();
    let mut hash = Sha256::new();
    for text in [
        &spark.java.home.display().to_string(),
        &spark.java.version,
        &spark.spark.home.display().to_string(),
        &spark.spark.version,
    ] {
        hash.update(text);
        hash.update("\n");
    }
    hash.update(jars.concat());
    Ok(format!("{:x}", hash.finalize())[..16].to_owned())
}
