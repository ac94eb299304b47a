//! Who starts the Driver: the repo's own scripts, or spark-submit without a shell in between.

use std::collections::BTreeMap;

use super::mode::Runner;

/// The Driver's class.
pub(super) const DRIVER: &str = "ai.chronon.spark.Driver";

/// What `scripts/spark_streaming.sh` passes as `--packages` (§2.4): it fits Spark 3.1.1 with
/// Scala 2.12 only, and needs the network.
pub const STREAMING_PACKAGES: &str = "org.apache.spark:spark-streaming-kafka-0-10_2.12:3.1.1";

/// How the Driver is started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Launcher {
    /// As run.py does: `bash <repo>/scripts/spark_submit.sh …`.
    Scripts,
    /// `spark-submit …` with the options that the script would pass (§2.4).
    SparkSubmit(SparkSubmit),
}

/// Options of the direct launcher.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SparkSubmit {
    /// The program, e.g. `<spark_home>/bin/spark-submit`.
    pub program: String,
    /// Set as `SPARK_HOME`; without it the variable is removed, as the script does.
    pub spark_home: Option<String>,
    /// `--conf` values that come last and so win over those of the script.
    pub conf: Vec<(String, String)>,
    /// `--driver-java-options`.
    pub driver_java_options: Option<String>,
    /// `--packages` of streaming apps; the script's is [`STREAMING_PACKAGES`].
    pub streaming_packages: Option<String>,
    /// `--deploy-mode`; the script's is `client`.
    pub deploy_mode: Option<String>,
}

/// Variables that the scripts remove before they start spark-submit (§2.4).
pub(super) const REMOVED: [&str; 4] = [
    "PYSPARK_DRIVER_PYTHON",
    "PYSPARK_PYTHON",
    "SPARK_CONF_DIR",
    "SPARK_HOME",
];

impl SparkSubmit {
    /// The last value of one of [`SparkSubmit::conf`].
    fn property(&self, name: &str) -> Option<&str> {
        let mut named = self.conf.iter().rev().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// The argv up to and including the class, for a job with this environment and these `--jars`.
    pub(super) fn argv(
        &self,
        runner: Runner,
        env: &BTreeMap<String, String>,
        app_name: &str,
        jars: Option<&str>,
    ) -> Vec<String> {
        let mut argv = vec![self.program.clone()];
        if let Some(options) = &self.driver_java_options {
            argv.extend(["--driver-java-options".to_owned(), options.clone()]);
        }
        for (key, value) in script_conf(env, app_name)
            .into_iter()
            .chain(self.conf.clone())
        {
            argv.extend(["--conf".to_owned(), format!("{key}={value}")]);
        }
        let options = [
            (
                "--deploy-mode",
                self.deploy_mode.as_deref().unwrap_or("client"),
            ),
            ("--master", value_or(env, "JOB_MODE", "yarn")),
            // An option would win over the property of the same meaning.
            (
                "--executor-memory",
                (self.property("spark.executor.memory")).unwrap_or(value_or(
                    env,
                    "EXECUTOR_MEMORY",
                    "2G",
                )),
            ),
            (
                "--driver-memory",
                (self.property("spark.driver.memory")).unwrap_or(value_or(
                    env,
                    "DRIVER_MEMORY",
                    "1G",
                )),
            ),
        ];
        for (option, value) in options {
            argv.extend([option.to_owned(), value.to_owned()]);
        }
        if let (Runner::SubmitStreaming, Some(packages)) = (runner, &self.streaming_packages) {
            argv.extend(["--packages".to_owned(), packages.clone()]);
        }
        if let Some(jars) = jars {
            argv.extend(["--jars".to_owned(), jars.to_owned()]);
        }
        argv.extend(["--class".to_owned(), DRIVER.to_owned()]);
        argv
    }
}

/// The `--conf` values of `scripts/spark_submit.sh` (§2.4), with its defaults. Its log4j file is
/// not made, and its working folder is used only if `CHRONON_TMPDIR` names one.
fn script_conf(env: &BTreeMap<String, String>, app_name: &str) -> Vec<(String, String)> {
    /// A property, the variable that it comes from, and the script's default.
    const FROM_ENV: [(&str, &str, &str); 9] = [
        ("spark.sql.shuffle.partitions", "PARALLELISM", "4000"),
        (
            "spark.dynamicAllocation.maxExecutors",
            "MAX_EXECUTORS",
            "1000",
        ),
        ("spark.default.parallelism", "PARALLELISM", "4000"),
        ("spark.executor.cores", "EXECUTOR_CORES", "1"),
        ("spark.chronon.partition.column", "PARTITION_COLUMN", "ds"),
        (
            "spark.chronon.partition.format",
            "PARTITION_FORMAT",
            "yyyy-MM-dd",
        ),
        (
            "spark.chronon.backfill.validation.enabled",
            "ENABLE_VALIDATION",
            "false",
        ),
        (
            "spark.chronon.outputParallelismOverride",
            "OUTPUT_PARALLELISM",
            "-1",
        ),
        (
            "spark.chronon.rowCountPerPartition",
            "ROW_COUNT_PER_PARTITION",
            "-1",
        ),
    ];
    let mut conf = vec![(
        "spark.executor.extraJavaOptions".to_owned(),
        "-XX:ParallelGCThreads=4 -XX:+UseParallelGC -XX:+UseCompressedOops".to_owned(),
    )];
    for (property, variable, default) in FROM_ENV {
        let value = value_or(env, variable, default);
        conf.push((property.to_owned(), value.to_owned()));
    }
    if let (Some(folder), Some(user)) = (env.get("CHRONON_TMPDIR"), env.get("USER")) {
        let folder = format!("{folder}/{user}");
        conf.push(("spark.local.dir".to_owned(), folder.clone()));
        conf.push(("spark.jars.ivy".to_owned(), folder));
    }
    conf.push(("spark.app.name".to_owned(), app_name.to_owned()));
    conf
}

/// The shell's `${NAME:-default}`: an empty value counts as unset.
fn value_or<'a>(env: &'a BTreeMap<String, String>, name: &str, default: &'a str) -> &'a str {
    let value = env.get(name).filter(|value| !value.is_empty());
    value.map_or(default, String::as_str)
}
