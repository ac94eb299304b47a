//! Class-data archives are written: a job is run whose classes are recorded.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use chronon_run_core::CommandLine;
use chronon_run_process::open_lock;

use super::{
    InheritedOptions, Jvm, Spark,
    archive::{Archive, QUIET, WARNINGS, directory, seal},
    command::{Length, SQL_CLASS, java_options, spark_env},
};

/// What recordings in progress are called.
const RECORDING: &str = ".recording-";

/// The right to write archives in one cache; the system gives it back when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct Recorder {
    _lock: File,
}

impl Recorder {
    /// Takes the right, and removes what killed recordings left; `None` if another process has it.
    ///
    /// # Errors
    /// An [`io::Error`] if the cache cannot be written.
    pub fn try_lock(cache: &Path) -> io::Result<Option<Self>> {
        let directory = directory(cache);
        fs::create_dir_all(&directory)?;
        let lock = open_lock(&directory.join("recording.lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        for entry in fs::read_dir(&directory)?.filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with(RECORDING) {
                // It only takes room.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(Some(Self { _lock: lock }))
    }
}

/// An archive being written. Dropped without [`publish`](Self::publish), it leaves nothing.
#[derive(Debug)]
pub struct Recording {
    archive: Archive,
    work: tempfile::TempDir,
}

impl Recording {
    /// Prepares to write an archive; makes its directory. Two recordings at once do no harm, but
    /// [`Recorder::try_lock`] would remove one that is not held.
    ///
    /// # Errors
    /// An [`io::Error`] if the cache cannot be written.
    pub fn new(archive: &Archive) -> io::Result<Self> {
        let directory = archive.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let work = tempfile::Builder::new()
            .prefix(RECORDING)
            .tempdir_in(directory)?;
        Ok(Self {
            archive: archive.clone(),
            work,
        })
    }

    /// A directory that lives as long as the recording, for whatever the recorded job needs.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.work.path()
    }

    /// Options that make a JVM write the archive when it ends, which takes it some seconds more.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let mut options = vec![format!(
            "-XX:ArchiveClassesAtExit={}",
            self.written().display()
        )];
        options.extend(QUIET.map(str::to_owned));
        options.push(WARNINGS.to_owned());
        options
    }

    /// A SQL job worth recording: it reads, joins, aggregates and writes a partitioned Hive table
    /// in a catalog of its own in memory.
    ///
    /// # Errors
    /// An [`io::Error`] if its script cannot be written.
    pub fn sql_job(&self, spark: &Spark) -> io::Result<CommandLine> {
        let directory = self.directory();
        let jvm = Jvm::below(directory.to_owned());
        jvm.create_folders().map_err(|(_, error)| error)?;
        let script = directory.join("recording.sql");
        let csv = directory.join("recording.csv");
        fs::write(&csv, CSV)?;
        fs::write(&script, SCRIPT.replace("{csv}", &csv.display().to_string()))?;
        let path = |name: &str| directory.join(name).display().to_string();
        let mut argv = vec![spark.submit().display().to_string()];
        argv.extend(["--master", "local[1]", "--class", SQL_CLASS].map(str::to_owned));
        for (key, value) in [
            ("spark.sql.catalogImplementation", "hive".to_owned()),
            ("spark.sql.warehouse.dir", path("warehouse")),
            ("spark.hadoop.hive.exec.scratchdir", path("hive")),
            ("spark.hadoop.hive.exec.local.scratchdir", path("local")),
            (
                "spark.hadoop.hive.exec.dynamic.partition.mode",
                "nonstrict".to_owned(),
            ),
            (
                "spark.hadoop.javax.jdo.option.ConnectionURL",
                "jdbc:derby:memory:recording;create=true".to_owned(),
            ),
            ("spark.sql.shuffle.partitions", "2".to_owned()),
            ("spark.ui.enabled", "false".to_owned()),
            ("spark.driver.host", "127.0.0.1".to_owned()),
            ("spark.driver.bindAddress", "127.0.0.1".to_owned()),
        ] {
            argv.extend(["--conf".to_owned(), format!("{key}={value}")]);
        }
        argv.extend([
            "spark-internal".to_owned(),
            "-f".to_owned(),
            script.display().to_string(),
        ]);
        let mut options = java_options(None, Length::Short);
        options.extend(self.options());
        options.push(format!("-Dderby.stream.error.file={}", path("derby.log")));
        Ok(CommandLine {
            argv,
            env: spark_env(spark, &InheritedOptions::default(), &jvm, &options),
            cwd: Some(directory.to_owned()),
        })
    }

    /// Puts the archive in its place. Call it when the recorded job has ended well.
    ///
    /// # Errors
    /// An [`io::Error`] if the job wrote no archive, or it cannot be moved.
    pub fn publish(self) -> io::Result<()> {
        let written = self.written();
        let seal = serde_json::to_vec(&seal(&written)?)?;
        // Without its seal an archive is not used, so a reader never sees a new archive with an
        // old seal or half of either.
        match fs::remove_file(self.archive.seal_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        fs::rename(written, &self.archive.path)?;
        let draft = self.directory().join("seal.json");
        fs::write(&draft, seal)?;
        fs::rename(draft, self.archive.seal_path())?;
        for note in [self.archive.note_path(), self.archive.unfinished_path()] {
            match fs::remove_file(note) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn written(&self) -> PathBuf {
        self.work.path().join("classes.jsa")
    }
}

const CSV: &str = "id,key,value,ds\n1,a,1.5,2026-01-01\n2,b,\\N,2026-01-01\n3,a,2.5,2026-01-02\n";

/// What seeds and steps do, in small.
const SCRIPT: &str = r"CREATE DATABASE IF NOT EXISTS recording;
CREATE OR REPLACE TEMPORARY VIEW source (id BIGINT, key STRING, value DOUBLE, ds STRING)
USING csv OPTIONS (path '{csv}', header 'true', nullValue '\\N');
CREATE TABLE recording.events (id BIGINT, key STRING, value DOUBLE) PARTITIONED BY (ds STRING)
STORED AS PARQUET TBLPROPERTIES ('a' = 'b');
INSERT OVERWRITE TABLE recording.events PARTITION (ds) SELECT id, key, value, ds FROM source;
ALTER TABLE recording.events ADD IF NOT EXISTS PARTITION (ds = '2026-01-03');
SHOW PARTITIONS recording.events;
CREATE TABLE recording.features (key STRING, n BIGINT, total DOUBLE, last STRUCT<a: BIGINT, b: STRING>,
  top ARRAY<DOUBLE>) PARTITIONED BY (ds STRING) STORED AS PARQUET;
WITH days AS (SELECT explode(sequence(DATE '2026-01-01', DATE '2026-01-03', INTERVAL 1 DAY)) AS day),
l AS (SELECT DISTINCT key, date_format(day, 'yyyy-MM-dd') AS ds FROM recording.events CROSS JOIN days),
r AS (SELECT key, ds, count(value) AS n, sum(value) AS total, max_by(named_struct('a', id, 'b', key), id) AS last,
  slice(array_sort(collect_list(value)), 1, 2) AS top FROM recording.events
  WHERE ds BETWEEN '2026-01-01' AND '2026-01-03' GROUP BY key, ds),
w AS (SELECT *, row_number() OVER (PARTITION BY key ORDER BY ds DESC) AS place FROM r)
INSERT OVERWRITE TABLE recording.features PARTITION (ds)
SELECT l.key, w.n, CAST(w.total AS DOUBLE), w.last, w.top, l.ds FROM l LEFT JOIN w ON l.key = w.key AND w.ds <= l.ds;
SELECT ds, count(*) FROM recording.features GROUP BY ds ORDER BY ds;
DESCRIBE FORMATTED recording.features;
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Recorder;
    use crate::{Java, Origin, SparkHome};

    fn spark(home: &Path, major: u32) -> Spark {
        fs::create_dir_all(home.join("jars")).unwrap();
        fs::write(home.join("jars/a.jar"), "a").unwrap();
        Spark {
            spark: SparkHome {
                home: home.to_owned(),
                version: "3.3.1".into(),
                scala: "2.12".into(),
                origin: Origin::Path,
            },
            java: Java {
                home: "/opt/java".into(),
                version: format!("{major}.0.1"),
                major,
                origin: Origin::Path,
            },
        }
    }

    #[test]
    fn an_archive_counts_only_when_whole() {
        let dir = tempfile::tempdir().unwrap();
        let spark = spark(&dir.path().join("spark"), 17);
        let archive = Archive::new(dir.path(), "sql", &spark).unwrap().unwrap();
        assert!(archive.options().is_empty());
        let recording = Recording::new(&archive).unwrap();
        fs::write(recording.written(), "classes").unwrap();
        assert!(!archive.is_ready());
        recording.publish().unwrap();
        assert!(archive.options()[0].ends_with(".jsa"));
        fs::write(&archive.path, "class").unwrap();
        assert!(archive.options().is_empty(), "truncated");
        fs::remove_file(&archive.path).unwrap();
        assert!(archive.options().is_empty(), "missing");
    }

    #[test]
    fn a_recording_that_failed_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let spark = spark(&dir.path().join("spark"), 17);
        let archive = Archive::new(dir.path(), "sql", &spark).unwrap().unwrap();
        assert!(Recording::new(&archive).unwrap().publish().is_err());
        drop(Recording::new(&archive).unwrap());
        let left = fs::read_dir(dir.path().join("class-data")).unwrap().count();
        assert_eq!(left, 0);
    }

    #[test]
    fn one_recorder_at_a_time_clears_what_killed_ones_left() {
        let dir = tempfile::tempdir().unwrap();
        let first = Recorder::try_lock(dir.path()).unwrap();
        assert!(first.is_some());
        assert!(Recorder::try_lock(dir.path()).unwrap().is_none());
        drop(first);
        let left = directory(dir.path()).join(".recording-killed");
        fs::create_dir(&left).unwrap();
        assert!(Recorder::try_lock(dir.path()).unwrap().is_some());
        assert!(!left.exists());
    }

    #[test]
    fn a_failed_recording_discourages_until_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let spark = spark(&dir.path().join("spark"), 17);
        let archive = Archive::new(dir.path(), "sql", &spark).unwrap().unwrap();
        assert!(!archive.failed_recently());
        let recording = Recording::new(&archive).unwrap();
        archive.note("slow");
        assert!(!archive.failed_recently());
        assert_eq!(archive.last_failure().as_deref(), Some("slow"));
        fs::remove_file(archive.unfinished_path()).unwrap();
        archive.mark_failed("full disk");
        assert!(archive.failed_recently());
        assert_eq!(archive.last_failure().as_deref(), Some("full disk"));
        fs::write(recording.written(), "classes").unwrap();
        recording.publish().unwrap();
        assert!(!archive.failed_recently());
        assert_eq!(archive.last_failure(), None);
    }

    #[test]
    fn another_jar_or_java_is_another_archive() {
        let dir = tempfile::tempdir().unwrap();
        let spark = spark(&dir.path().join("spark"), 17);
        let path = |spark: &Spark| {
            Archive::new(dir.path(), "sql", spark)
                .unwrap()
                .unwrap()
                .path
        };
        let before = path(&spark);
        let mut newer = spark.clone();
        newer.java.version = "17.0.2".into();
        assert_ne!(before, path(&newer));
        fs::write(dir.path().join("spark/jars/b.jar"), "b").unwrap();
        assert_ne!(before, path(&spark));
    }

    #[test]
    fn an_old_java_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let spark = spark(&dir.path().join("spark"), 11);
        assert_eq!(Archive::new(dir.path(), "sql", &spark).unwrap(), None);
    }
}
