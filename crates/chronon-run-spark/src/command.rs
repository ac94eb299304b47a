//! The command line of a SQL job: `spark-submit` with Spark's own SQL class.

use std::path::{Path, PathBuf};

use chronon_run_core::CommandLine;

use super::{
    Jvm, Spark,
    archive::Archive,
    host,
    jvm::{InheritedOptions, cluster_conf, common_env, common_options},
};

/// Spark's own SQL class (design §3).
pub const SQL_CLASS: &str = "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver";

/// The heap of a JVM without a setting for it, in MB: what a slot of a shared one adds.
const HEAP_OF_SLOT: u32 = 1_024;
/// More slots share this many.
const HEAPS: u32 = 4;
/// Where the metastore is.
const METASTORE_URIS: &str = "spark.hadoop.hive.metastore.uris";

/// Content of [`SqlJobs::log_config`].
pub const LOG_CONFIG: &str = include_str!("log4j2.properties");

/// What all SQL jobs of a workspace have in common.
#[derive(Clone, Debug)]
pub struct SqlJobs<'a> {
    /// The Spark and its Java.
    pub spark: &'a Spark,
    /// `--master`, e.g. `local[*]`.
    pub master: &'a str,
    /// The user's Spark configuration. Keys that the job cannot do without win over it.
    pub conf: &'a [(String, String)],
    /// `thrift://host:port`, comma-separated.
    pub metastore_uri: &'a str,
    /// Where the files of new databases go; absolute. `None` leaves it to the user's configuration.
    pub warehouse: Option<&'a Path>,
    /// Folders of its JVM.
    pub jvm: &'a Jvm,
    /// A file that holds [`LOG_CONFIG`]; absolute. `None` keeps Spark's own logging.
    pub log_config: Option<&'a Path>,
    /// The class-data archive, if there is one.
    pub archive: Option<&'a Archive>,
    /// JVM options of the environment that the job will inherit: kept, in front.
    pub inherited_options: &'a InheritedOptions,
}

/// How long a job is expected to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// Seconds: its start-up is most of it, so the JVM should not optimise.
    Short,
    /// Longer, or not known.
    Long,
}

impl SqlJobs<'_> {
    /// Runs the statements of one file and exits; not 0 if one failed.
    #[must_use]
    pub fn script(&self, script: &Path, name: &str, length: Length) -> CommandLine {
        let mut command = self.session(name, length);
        command.argv.extend(["-f".to_owned(), text(script)]);
        command
    }

    /// Reads statements from standard input; see [`super::session`].
    #[must_use]
    pub fn session(&self, name: &str, length: Length) -> CommandLine {
        self.of_class(SQL_CLASS, name, length, self.required_conf())
    }

    /// Runs scripts side by side; see [`host`]. `source` is a file with [`host::SOURCE`], `slots` how
    /// many scripts run at once; the last argument, the file that says where it listens, is to be added.
    /// The metastore's address comes with each request, so that the host can start beside the metastore.
    #[must_use]
    pub fn host(&self, source: &Path, slots: u32, length: Length) -> CommandLine {
        let mut conf = self.required_conf();
        conf.retain(|(key, _)| key != METASTORE_URIS);
        conf.extend(self.host_conf(slots));
        let mut command = self.of_class(host::CLASS, "chronon-run", length, conf);
        command.argv.extend([text(source), host::MAIN.to_owned()]);
        command
    }

    /// Scripts share processors evenly, and have together what each of them would have alone.
    fn host_conf(&self, slots: u32) -> Vec<(String, String)> {
        let given = |key: &str| self.conf.iter().any(|(known, _)| known == key);
        let memory = format!("{}m", HEAP_OF_SLOT.saturating_mul(slots.clamp(1, HEAPS)));
        let chosen = [
            ("spark.scheduler.mode", "FAIR".to_owned()),
            ("spark.driver.memory", memory),
            // Each query's plan is written down for a page that is not served.
            ("spark.sql.ui.explainMode", "simple".to_owned()),
        ];
        let chosen = chosen.into_iter().filter(|(key, _)| !given(key));
        // The host tells each script of its own stages.
        let shown = ("spark.ui.showConsoleProgress", "false".to_owned());
        let all = chosen.chain([shown]);
        all.map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn of_class(
        &self,
        class: &str,
        name: &str,
        length: Length,
        conf: Vec<(String, String)>,
    ) -> CommandLine {
        let mut argv = vec![text(&self.spark.submit())];
        let mut option = |name: &str, value: &str| argv.extend([name.to_owned(), value.to_owned()]);
        option("--master", self.master);
        option("--name", name);
        option("--class", class);
        for (key, value) in self.conf.iter().cloned().chain(conf) {
            option("--conf", &format!("{key}={value}"));
        }
        argv.push("spark-internal".to_owned());
        CommandLine {
            argv,
            env: self.env(length),
            cwd: None,
        }
    }

    /// Configuration that comes last, so that it wins.
    fn required_conf(&self) -> Vec<(String, String)> {
        let mut conf = required_conf(self.metastore_uri, self.warehouse);
        let fixed = [
            // Wide GroupBys need more rounds to be analysed than Spark's 100.
            ("spark.sql.analyzer.maxIterations", "1000"),
            // A session that serves several steps would look for files of partitions that another session
            // has overwritten since (FileNotFoundException).
            ("spark.sql.hive.filesourcePartitionFileCacheSize", "0"),
        ];
        conf.extend(fixed.map(|(key, value)| (key.to_owned(), value.to_owned())));
        conf.extend(machine_conf(self.master, None, self.jvm, self.conf));
        conf
    }

    fn env(&self, length: Length) -> Vec<(String, Option<String>)> {
        let mut options = java_options(self.archive, length);
        if let Some(path) = self.log_config {
            // A comma would separate two files.
            let location = match text(path) {
                plain if !plain.contains(',') => plain,
                listed => format!("file://{}", percent_encoded(&listed)),
            };
            options.push(format!("-Dlog4j2.configurationFile={location}"));
        }
        spark_env(self.spark, self.inherited_options, self.jvm, &options)
    }
}

/// What any Spark job needs to see the catalog and to write as the engine does: also for the
/// real Driver, as `--conf`.
#[must_use]
pub fn required_conf(metastore_uri: &str, warehouse: Option<&Path>) -> Vec<(String, String)> {
    // With a warehouse of its own the workspace has the embedded metastore. One that was killed is
    // back at the same address within seconds; a client asks once a second.
    let own = warehouse.map(|path| {
        let retries = "spark.hadoop.hive.metastore.failure.retries";
        [
            ("spark.sql.warehouse.dir".to_owned(), text(path)),
            (retries.to_owned(), "60".to_owned()),
        ]
    });
    let fixed = [
        ("spark.sql.catalogImplementation", "hive"),
        (METASTORE_URIS, metastore_uri),
        ("spark.sql.session.timeZone", "UTC"),
        ("spark.hadoop.hive.exec.dynamic.partition", "true"),
        ("spark.hadoop.hive.exec.dynamic.partition.mode", "nonstrict"),
        ("spark.hadoop.hive.exec.max.dynamic.partitions", "100000"),
        ("spark.ui.enabled", "false"),
        ("spark.ui.showConsoleProgress", "true"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    own.into_iter().flatten().chain(fixed).collect()
}

/// What any Spark job needs on the machines it runs on: Hive's scratch files below the scratch
/// folder, with a local master nothing that listens elsewhere, and on a cluster the charset and
/// time zone of its JVMs. `conf` is the user's configuration.
#[must_use]
pub fn machine_conf(
    master: &str,
    deploy_mode: Option<&str>,
    jvm: &Jvm,
    conf: &[(String, String)],
) -> Vec<(String, String)> {
    let below = |name: &str| text(&jvm.scratch.join(name));
    let owned = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut found = vec![
        owned("spark.hadoop.hive.exec.scratchdir", &below("hive")),
        owned("spark.hadoop.hive.exec.local.scratchdir", &below("local")),
    ];
    if master.starts_with("local") {
        // Works whatever the machine's name resolves to, and listens nowhere else.
        for key in ["spark.driver.host", "spark.driver.bindAddress"] {
            found.push(owned(key, "127.0.0.1"));
        }
        // Without Hadoop's native library each new directory would cost several processes.
        let key = "spark.hadoop.hive.warehouse.subdir.inherit.perms";
        found.push(owned(key, "false"));
    }
    found.extend(cluster_conf(master, deploy_mode, conf));
    found
}

/// Options of a job's JVM: the archive always, a cheap compiler and collector only where the job
/// is short (they slow down hours of work). The cheap compiler comes with a code cache of 48 MB,
/// which the classes that Spark generates for a session of wide steps fill; a JVM that runs out
/// of it ends with exit code 50, so it gets as much as with both compilers.
#[must_use]
pub fn java_options(archive: Option<&Archive>, length: Length) -> Vec<String> {
    let mut options = archive.map(Archive::options).unwrap_or_default();
    if length == Length::Short {
        options.extend([
            "-XX:TieredStopAtLevel=1".to_owned(),
            "-XX:ReservedCodeCacheSize=240m".to_owned(),
            "-XX:+UseSerialGC".to_owned(),
        ]);
    }
    options
}

/// The environment of a job: which Spark, which Java, locale and time zone, and the JVM options,
/// given as `SPARK_SUBMIT_OPTS`, which reaches the driver's JVM in client mode and leaves
/// `spark.driver.extraJavaOptions` to the user. The JVM that only works out the command line
/// (`org.apache.spark.launcher.Main`) is always short.
#[must_use]
pub fn spark_env(
    spark: &Spark,
    inherited_options: &InheritedOptions,
    jvm: &Jvm,
    options: &[String],
) -> Vec<(String, Option<String>)> {
    let own = options.iter().cloned().chain(jvm.options());
    let quoted = own.map(|option| quote(&option));
    let inherited = inherited_options.submit.clone();
    let all: Vec<String> = inherited.into_iter().chain(quoted).collect();
    let mut env = launcher_env(spark);
    env.extend(inherited_options.last(&jvm.options()));
    env.push(("SPARK_SUBMIT_OPTS".to_owned(), Some(all.join(" "))));
    env.push(jvm.env());
    env
}

/// The environment of any program of Spark: which Spark, which Java, locale and time zone.
#[must_use]
pub fn launcher_env(spark: &Spark) -> Vec<(String, Option<String>)> {
    let mut launcher = vec![
        "-XX:TieredStopAtLevel=1".to_owned(),
        "-XX:+UseSerialGC".to_owned(),
    ];
    launcher.extend(common_options());
    let set = |name: &str, value: String| (name.to_owned(), Some(value));
    let mut env = vec![
        set("SPARK_HOME", text(&spark.spark.home)),
        set("JAVA_HOME", text(&spark.java.home)),
        set("SPARK_LAUNCHER_OPTS", launcher.join(" ")),
        // Another Hive's configuration would win over what is given here.
        ("HIVE_CONF_DIR".to_owned(), None),
    ];
    env.extend(common_env());
    env
}

/// A path in a URI.
fn percent_encoded(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// As Spark's launcher splits option strings: at blanks outside double quotes.
pub(super) fn quote(option: &str) -> String {
    if option.contains([' ', '"', '\\', '\'']) {
        let escaped = option.replace('\\', r"\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    } else {
        option.to_owned()
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Where a workspace keeps [`LOG_CONFIG`], given its state directory.
#[must_use]
pub fn log_config_path(state: &Path) -> PathBuf {
    state.join("log4j2.properties")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Java, Origin, SparkHome};

    fn spark() -> Spark {
        Spark {
            spark: SparkHome {
                home: "/opt/spark".into(),
                version: "3.3.1".into(),
                scala: "2.12".into(),
                origin: Origin::Path,
            },
            java: Java {
                home: "/opt/java 17".into(),
                version: "17.0.1".into(),
                major: 17,
                origin: Origin::Path,
            },
        }
    }

    #[test]
    fn what_a_job_needs_comes_after_what_the_user_wants() {
        let spark = spark();
        let conf = [
            ("spark.sql.shuffle.partitions".to_owned(), "4".to_owned()),
            ("spark.ui.enabled".to_owned(), "true".to_owned()),
        ];
        let inherited = InheritedOptions {
            submit: Some("-Da=b".to_owned()),
            last: Some("-Dfile.encoding=ASCII".to_owned()),
        };
        let jobs = SqlJobs {
            spark: &spark,
            master: "local[*]",
            conf: &conf,
            metastore_uri: "thrift://127.0.0.1:9083",
            warehouse: Some(Path::new("/w/warehouse")),
            jvm: &Jvm::below("/w/scratch".into()),
            log_config: Some(Path::new("/w/my logs/log4j2.properties")),
            archive: None,
            inherited_options: &inherited,
        };
        let command = jobs.script(Path::new("/w/step.sql"), "chronon-run", Length::Short);
        insta::assert_snapshot!(command.argv.join("\n"), @r"
        /opt/spark/bin/spark-submit
        --master
        local[*]
        --name
        chronon-run
        --class
        org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver
        --conf
        spark.sql.shuffle.partitions=4
        --conf
        spark.ui.enabled=true
        --conf
        spark.sql.warehouse.dir=/w/warehouse
        --conf
        spark.hadoop.hive.metastore.failure.retries=60
        --conf
        spark.sql.catalogImplementation=hive
        --conf
        spark.hadoop.hive.metastore.uris=thrift://127.0.0.1:9083
        --conf
        spark.sql.session.timeZone=UTC
        --conf
        spark.hadoop.hive.exec.dynamic.partition=true
        --conf
        spark.hadoop.hive.exec.dynamic.partition.mode=nonstrict
        --conf
        spark.hadoop.hive.exec.max.dynamic.partitions=100000
        --conf
        spark.ui.enabled=false
        --conf
        spark.ui.showConsoleProgress=true
        --conf
        spark.sql.analyzer.maxIterations=1000
        --conf
        spark.sql.hive.filesourcePartitionFileCacheSize=0
        --conf
        spark.hadoop.hive.exec.scratchdir=/w/scratch/hive
        --conf
        spark.hadoop.hive.exec.local.scratchdir=/w/scratch/local
        --conf
        spark.driver.host=127.0.0.1
        --conf
        spark.driver.bindAddress=127.0.0.1
        --conf
        spark.hadoop.hive.warehouse.subdir.inherit.perms=false
        spark-internal
        -f
        /w/step.sql
        ");
        let value = |name: &str| {
            let found = command.env.iter().find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.as_deref())
        };
        let last = value("_JAVA_OPTIONS").unwrap();
        assert!(last.starts_with("-Dfile.encoding=ASCII -Dfile.encoding=UTF-8 "));
        assert!(last.ends_with(" -Djava.io.tmpdir=/w/scratch/tmp"));
        let options = value("SPARK_SUBMIT_OPTS").unwrap();
        insta::assert_snapshot!(options, @r#"-Da=b -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC "-Dlog4j2.configurationFile=/w/my logs/log4j2.properties" -Dfile.encoding=UTF-8 -Dsun.jnu.encoding=UTF-8 -Dsun.stdout.encoding=UTF-8 -Dsun.stderr.encoding=UTF-8 -Dstdout.encoding=UTF-8 -Dstderr.encoding=UTF-8 -Duser.timezone=UTC -XX:-UsePerfData -Djava.io.tmpdir=/w/scratch/tmp"#);
    }

    /// Hive looks whether a folder is there and then fails if it cannot create it, so that two
    /// sessions that start at once must find it. What it creates by itself has the session's id
    /// (`<id>_resources` below `java.io.tmpdir`).
    #[test]
    fn every_folder_that_sessions_share_exists_before_they_start() {
        let root = tempfile::tempdir().unwrap();
        let jvm = Jvm {
            native: Some(root.path().join("native")),
            home: Some(root.path().join("home")),
            ..Jvm::below(root.path().join("scratch"))
        };
        jvm.create_folders().unwrap();
        let conf = machine_conf("local[2]", None, &jvm, &[]);
        let values = conf.into_iter().map(|(_, value)| value);
        let options = jvm.options().into_iter();
        let options = options.filter_map(|option| Some(option.split_once('=')?.1.to_owned()));
        let all = values.chain(options).chain(jvm.env().1);
        let named: Vec<PathBuf> = all
            .map(PathBuf::from)
            .filter(|path| path.starts_with(root.path()))
            .collect();
        let missing: Vec<&PathBuf> = named.iter().filter(|path| !path.is_dir()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(named.len() > 5, "{named:?}");
    }

    #[test]
    fn a_path_in_a_uri() {
        assert_eq!(percent_encoded("/w/a, b%/ü.x"), "/w/a%2C%20b%25/%C3%BC.x");
    }

    #[test]
    fn a_long_job_keeps_the_good_compiler() {
        assert!(java_options(None, Length::Long).is_empty());
    }
}
