//! What `workspace.toml` says, after every check: plain values, paths absolute, defaults filled in.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use chronon_run_core::{Ds, PartitionFormat, RangeSet, TableName};
use indexmap::IndexMap;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One `workspace.toml`.
#[derive(Clone, PartialEq, Debug)]
pub struct Workspace {
    /// The file, as it was given.
    pub file: PathBuf,
    /// The absolute folder of the file; every relative path in it starts here.
    pub root: PathBuf,
    /// The absolute folder that holds `teams.json` and the compiled confs; it exists.
    pub repo: PathBuf,
    /// The folder of the compiled confs, relative to `repo`.
    pub production: String,
    /// Which environment block of `teams.json` counts (§1.6).
    pub env: String,
    /// IANA time zone in which a day closes.
    pub timezone: String,
    /// The last closed day; yesterday in `timezone` if absent.
    pub as_of: Option<Ds>,
    /// The absolute folder of ledger, logs, locks and the embedded metastore. Need not exist.
    pub state_dir: PathBuf,
    /// The partition column of every output table (`spark.chronon.partition.column`, §9).
    pub partition_column: String,
    /// Names of time-based partition columns, `time_parts` of Chronon's `airflow/constants.py`.
    pub time_parts: Vec<String>,
    /// The absolute path of the interpreter that has chronon-ai, or of its virtual environment; found if
    /// absent.
    pub python: Option<PathBuf>,
    /// What turns a step into a command line.
    pub engine: Engine,
    /// Where partitions are listed.
    pub catalog: Catalog,
    /// How steps are cut, run and retried.
    pub run: Run,
    /// Sources that the workspace itself loads, in file order.
    pub seeds: Vec<Seed>,
    /// What is known of sources beyond what the catalog says.
    pub sources: BTreeMap<TableName, SourceSettings>,
    /// Settings of some assets, in file order; later ones win.
    pub overrides: Vec<Override>,
    /// What must be true of the rows of some assets, in file order.
    pub checks: Vec<DataCheck>,
    /// Places beside production to which assets can be filled, by name.
    pub targets: BTreeMap<String, Target>,
    /// Commands that are run when something has happened.
    pub hooks: Hooks,
    /// How streaming apps are watched.
    pub streaming: Streaming,
    /// What the Airflow export writes.
    pub airflow: Airflow,
}

impl Workspace {
    /// The workspace of an empty `file` in the absolute folder `root`.
    pub(crate) fn with_defaults(file: &Path, root: &Path) -> Self {
        Self {
            file: file.to_owned(),
            root: root.to_owned(),
            repo: root.to_owned(),
            production: "production".to_owned(),
            env: "production".to_owned(),
            timezone: "UTC".to_owned(),
            as_of: None,
            state_dir: root.join(".chronon-run"),
            partition_column: "ds".to_owned(),
            time_parts: ["ds", "ts", "hr"].map(str::to_owned).to_vec(),
            python: None,
            engine: Engine::default(),
            catalog: Catalog::default(),
            run: Run::default(),
            seeds: Vec::new(),
            sources: BTreeMap::new(),
            overrides: Vec::new(),
            checks: Vec::new(),
            targets: BTreeMap::new(),
            hooks: Hooks::default(),
            streaming: Streaming::default(),
            airflow: Airflow::default(),
        }
    }
}

/// `[engine]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Engine {
    /// Which engine.
    pub kind: EngineKind,
    /// The absolute folder of a Spark; found or installed if absent.
    pub spark_home: Option<PathBuf>,
    /// The absolute folder of a Java; found or installed if absent.
    pub java_home: Option<PathBuf>,
    /// `--master` of spark-submit.
    pub master: String,
    /// Whether `master` is named, rather than its default: then it wins over `teams.json`.
    pub names_master: bool,
    /// `--deploy-mode` of spark-submit: `client` or `cluster`.
    pub deploy_mode: Option<String>,
    /// Plain HTTP address at which the cluster of `master` is asked about applications.
    pub cluster_url: Option<String>,
    /// Spark properties of every job.
    pub conf: BTreeMap<String, String>,
    /// Arguments that the Driver gets besides its own, by run.py mode.
    pub driver_args: BTreeMap<String, Vec<String>>,
    /// The Driver's jar: an absolute path, a URL or Maven coordinates. Present if `kind` is `Chronon`.
    pub chronon_jar: Option<String>,
    /// The jar with the online implementation (§8.2): an absolute path, a URL or Maven coordinates.
    pub online_jar: Option<String>,
    /// The class in `online_jar` that implements Chronon's `Api`.
    pub online_class: Option<String>,
    /// How the Driver is started.
    pub launcher: Launcher,
    /// When the JVM gets options that make it start faster and long work slower.
    pub fast_start: FastStart,
    /// Whether small `sql` steps that are ready together may share one Spark session.
    pub sessions: bool,
    /// Whether the `sql` steps of a run use one Spark process, each in a session of its own; `None`: they do
    /// if it is kept.
    pub share_spark: Option<bool>,
    /// How long a shared Spark process stays after the last command that used it; zero: it ends with the
    /// command that started it. `None`: [`Engine::KEEP`] where a person is at a terminal, else zero.
    pub keep_spark: Option<Duration>,
    /// The team whose jobs run with `test_chronon_jar`, `TEST_TEAM_NAME` of `airflow/constants.py`.
    pub test_team: String,
    /// The Driver's jar for the jobs of `test_team`; `chronon_jar` if absent.
    pub test_chronon_jar: Option<String>,
}

impl Engine {
    /// How long a Spark process that a person has started is kept.
    pub const KEEP: Duration = Duration::from_secs(5 * 60);
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            kind: EngineKind::default(),
            spark_home: None,
            java_home: None,
            master: "local[*]".to_owned(),
            names_master: false,
            deploy_mode: None,
            cluster_url: None,
            conf: BTreeMap::new(),
            driver_args: BTreeMap::new(),
            chronon_jar: None,
            online_jar: None,
            online_class: None,
            launcher: Launcher::default(),
            fast_start: FastStart::default(),
            sessions: true,
            share_spark: None,
            keep_spark: None,
            test_team: "chronon_test".to_owned(),
            test_chronon_jar: None,
        }
    }
}

/// Which engine makes the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EngineKind {
    /// Readable Spark SQL; needs no Chronon jar.
    #[default]
    Sql,
    /// The real `ai.chronon.spark.Driver`.
    Chronon,
}

/// How the Driver is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Launcher {
    /// The repo's own `scripts/spark_submit.sh` (§2.4).
    Scripts,
    /// `spark-submit` directly.
    #[default]
    SparkSubmit,
}

/// When `-XX:TieredStopAtLevel=1` is given to the JVM.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FastStart {
    /// For steps that are short by the ledger or by their range.
    #[default]
    Auto,
    /// For every step.
    Always,
    /// For none.
    Never,
}

/// `[catalog]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Catalog {
    /// A Hive metastore that `chronon-run` starts in `state_dir`.
    Embedded {
        /// How long it stays after its last user has left.
        idle: Duration,
    },
    /// The user's Hive metastore.
    Hive {
        /// `thrift://host:port`, or several separated by commas.
        uri: String,
        /// How long to wait for an answer.
        timeout: Duration,
    },
    /// A saved snapshot, for tests and benchmarks.
    Fixture {
        /// Absolute path of the JSON file.
        path: PathBuf,
    },
}

impl Catalog {
    /// Default of `idle`.
    pub(crate) const IDLE: Duration = MINUTE;
    /// Default of `timeout`.
    pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
}

impl Default for Catalog {
    fn default() -> Self {
        Self::Embedded { idle: Self::IDLE }
    }
}

/// `[run]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// How many steps run at once, at least 1.
    pub jobs: u32,
    /// How often a failed step is tried again.
    pub retries: u32,
    /// How long to wait before that.
    pub retry_delay: Duration,
    /// How long one attempt may take; never zero.
    pub timeout: Duration,
    /// How long a child has between TERM and KILL.
    pub grace: Duration,
    /// After how long without progress a step is said to be stuck; never zero.
    pub stuck_after: Duration,
    /// At most so many days per step, at least 1; cuts are aligned to the epoch.
    pub step_days: u32,
    /// What happens to the other steps when one has failed.
    pub on_failure: OnFailure,
    /// How joins are filled.
    pub join_flow: JoinFlow,
    /// How long a step waits for a catalog that is out of reach.
    pub patience: Duration,
    /// Whether a failing step of several days is halved down to the bad day.
    pub bisect: bool,
    /// Spark properties of one more attempt after one that ran out of memory; empty means half of
    /// its days instead.
    pub more_memory: BTreeMap<String, String>,
    /// The key of a conf's `customJson` that holds the cadence of a GroupBy's upload,
    /// `UPLOAD_SCHEDULE_KEY` of `airflow/constants.py`.
    pub upload_schedule_key: String,
    /// The cadence of uploads whose conf names none, `DEFAULT_UPLOAD_SCHEDULE` there.
    pub upload_schedule: String,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            jobs: 2,
            retries: 1,
            retry_delay: MINUTE,
            timeout: 4 * DAY,
            grace: 30 * SECOND,
            stuck_after: 10 * MINUTE,
            step_days: 30,
            on_failure: OnFailure::default(),
            join_flow: JoinFlow::default(),
            patience: 10 * MINUTE,
            bisect: false,
            more_memory: BTreeMap::new(),
            upload_schedule_key: "uploadSchedule".to_owned(),
            upload_schedule: "@daily".to_owned(),
        }
    }
}

/// What happens to the other steps when one has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFailure {
    /// No further step starts; running ones finish.
    Stop,
    /// Every step that does not need the failed one goes on.
    #[default]
    Continue,
}

/// How a join is filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum JoinFlow {
    /// One job.
    #[default]
    Whole,
    /// Left, then the parts side by side, then final (§6).
    Modular,
}

/// `[seeds."db.table"]`: a source that the workspace itself loads from a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seed {
    /// The table.
    pub table: TableName,
    /// Absolute path of a file, or of a folder of files; it exists.
    pub path: PathBuf,
    /// How the file is read.
    pub format: SeedFormat,
    /// Column → Spark type, in file order, partition columns included; empty means inferred.
    pub columns: IndexMap<String, String>,
    /// Partition columns, at least one; each is a column of the file.
    pub partition_by: Vec<String>,
    /// What stands for NULL in a CSV file.
    pub null: Option<String>,
    /// Days that landed without rows, each `YYYY-MM-DD`, sorted.
    pub empty_partitions: Vec<String>,
}

/// How a seed's file is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SeedFormat {
    /// Comma-separated with a header line.
    Csv,
    /// One JSON object per line.
    Json,
    /// Parquet.
    Parquet,
}

/// `[sources."db.table"]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceSettings {
    /// Days that will never land and that nothing waits for.
    pub missing: RangeSet,
    /// Its first day: later days are waited for, even if its first partition is newer.
    pub first_ds: Option<Ds>,
    /// How long after the end of a day its partition usually lands.
    pub lands_after: Option<Duration>,
    /// How its partitions write a day, if not as `yyyy-MM-dd`.
    pub partition_format: Option<PartitionFormat>,
    /// Of partitions by hour: the last one of each day, if days do not have all 24.
    pub last_hour: Option<u32>,
    /// The table whose days it has, if it is a view.
    pub days_from: Option<TableName>,
}

/// A text that is understood later than the file is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The text.
    pub text: String,
    /// Bytes of the string in the file, with its quotes.
    pub span: Range<usize>,
}

/// One `[[override]]`: settings of the assets that `select` matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// A selection as on the command line; not empty.
    pub select: String,
    /// Instead of `run.step_days`.
    pub step_days: Option<u32>,
    /// Instead of `run.retries`.
    pub retries: Option<u32>,
    /// Instead of `run.retry_delay`.
    pub retry_delay: Option<Duration>,
    /// Instead of `run.timeout`.
    pub timeout: Option<Duration>,
    /// Instead of `run.join_flow`.
    pub join_flow: Option<JoinFlow>,
    /// Instead of `run.bisect`.
    pub bisect: Option<bool>,
    /// What the conf waits for, in place of its own `metaData.dependencies`.
    pub dependencies: Option<Vec<Placed>>,
    /// On top of `run.more_memory`.
    pub more_memory: BTreeMap<String, String>,
    /// How many days before the last closed one the asset ends.
    pub lag: Option<u32>,
    /// Spark properties on top of `engine.conf`.
    pub conf: BTreeMap<String, String>,
    /// Instead of the arguments of the same mode in `engine.driver_args`.
    pub driver_args: BTreeMap<String, Vec<String>>,
    /// Bytes of the value of `select` in the file, for errors found later.
    pub span: Range<usize>,
}

/// `[[check]]`: what must be true of the rows of each day.
#[derive(Clone, PartialEq, Debug)]
pub struct DataCheck {
    /// Which assets, as `--select` on the command line.
    pub select: String,
    /// Its name in messages.
    pub name: Option<String>,
    /// What a day means that does not pass.
    pub on_fail: OnFail,
    /// At least so many rows.
    pub min_rows: Option<u64>,
    /// At most so many rows.
    pub max_rows: Option<u64>,
    /// Column → the greatest share of NULLs, from 0 to 1.
    pub max_null_share: BTreeMap<String, f64>,
    /// Columns whose values together occur once.
    pub unique: Vec<String>,
    /// Column → its only values.
    pub accepted: BTreeMap<String, Vec<String>>,
    /// How much the number of rows may differ from the mean of the `change_days` days before, as a share.
    pub max_change: Option<f64>,
    /// How many earlier days `max_change` is about, at least 1.
    pub change_days: u32,
    /// The column of times that `max_age` is about.
    pub time_column: Option<String>,
    /// How long before the end of the day the newest time may be.
    pub max_age: Option<Duration>,
    /// A query that returns the rows that are wrong, with `{table}` and `{ds}`.
    pub sql: Option<String>,
    /// Bytes of the value of `sql` in the file, for errors found later; empty without one.
    pub sql_span: Range<usize>,
    /// Bytes of the value of `select` in the file, for errors found later.
    pub span: Range<usize>,
}

/// What a day means that does not pass a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFail {
    /// The step has failed, and nothing is made of the day.
    #[default]
    Block,
    /// It is reported.
    Warn,
}

/// `[targets.<name>]`: namespaces beside those of production.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Its namespace for each of production's: words, `{user}` and `{namespace}`.
    pub namespace: String,
    /// Bytes of the value of `namespace` in the file, for errors found later.
    pub span: Range<usize>,
}

impl Target {
    /// The target's namespace for `namespace` of production; `user` may be any text.
    #[must_use]
    pub fn namespace(&self, namespace: &str, user: &str) -> String {
        let word = |c: char| match c.is_ascii_alphanumeric() {
            true => c.to_ascii_lowercase(),
            false => '_',
        };
        let user: String = user.chars().map(word).collect();
        self.namespace
            .replace("{user}", &user)
            .replace("{namespace}", namespace)
            .to_lowercase()
    }
}

/// `[hooks]`: argv templates, never shell strings. None is empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hooks {
    /// Loads an upload table into the KV store (§8.1).
    pub kv_upload: Option<Vec<String>>,
    /// Prints what the KV store has for a key, for `show --online`.
    pub kv_get: Option<Vec<String>>,
    /// Run after a step has succeeded, with the event as JSON on stdin.
    pub on_success: Option<Vec<String>>,
    /// Run after the last attempt of a step has failed.
    pub on_failure: Option<Vec<String>>,
    /// Run when something waits for inputs.
    pub on_waiting: Option<Vec<String>>,
    /// Run when a streaming app has stopped working.
    pub on_stream_down: Option<Vec<String>>,
    /// Run when a streaming app makes no progress any more.
    pub on_stream_stalled: Option<Vec<String>>,
    /// Run when a streaming app that ran before was started again.
    pub on_stream_restarted: Option<Vec<String>>,
    /// How long a hook may take; never zero.
    pub timeout: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            kv_upload: None,
            kv_get: None,
            on_success: None,
            on_failure: None,
            on_waiting: None,
            on_stream_down: None,
            on_stream_stalled: None,
            on_stream_restarted: None,
            timeout: 10 * MINUTE,
        }
    }
}

/// `[streaming]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Streaming {
    /// What starts an app, with `{…}`; the Driver if absent.
    pub command: Option<Vec<String>>,
    /// How to know which apps run.
    pub list_apps: ListApps,
    /// Address of the REST interface that `list_apps` asks. Present if it is `Spark` or `Yarn`.
    pub url: Option<String>,
    /// How long a started app must live to count as started.
    pub settle: Duration,
    /// After so many starts that died within `settle` no more are made, at least 1.
    pub tries: u32,
    /// How long to wait before the second start; doubled each time.
    pub backoff: Duration,
    /// After so long without progress an app is stalled; never zero.
    pub stalled_after: Duration,
    /// Whether `stalled_after` is named: then it counts for apps that never printed progress, too.
    pub names_stalled_after: bool,
    /// Whether a stalled app is ended and started again.
    pub restart_stalled: bool,
    /// Whether an app that was started with another conf, jar, class or settings is started again.
    pub restart_outdated: bool,
}

impl Default for Streaming {
    fn default() -> Self {
        Self {
            command: None,
            list_apps: ListApps::default(),
            url: None,
            settle: MINUTE,
            tries: 5,
            backoff: MINUTE,
            stalled_after: 10 * MINUTE,
            names_stalled_after: false,
            restart_stalled: false,
            restart_outdated: true,
        }
    }
}

/// How to know which streaming apps run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ListApps {
    /// Processes of this machine that `chronon-run` started.
    #[default]
    Local,
    /// The REST interface of a standalone master.
    Spark,
    /// The REST interface of YARN's ResourceManager.
    Yarn,
    /// A command that prints one JSON object per app (§2.6).
    Command(Vec<String>),
}

/// `[airflow]`: what the export writes into the DAG files (§7.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Airflow {
    /// Whose DAG names.
    pub naming: Naming,
    /// Command that the tasks run, without arguments of their own; not empty.
    pub command: Vec<String>,
    /// Where the workers find the folder of the workspace, if not where it is now.
    pub workspace: Option<PathBuf>,
    /// Owner of the tasks whose team names none.
    pub owner: String,
    /// Who gets failure mails, besides a team's `maintainer_emails`.
    pub emails: Vec<String>,
    /// Queue of the tasks, if their team names none.
    pub queue: Option<String>,
    /// Queue of the streaming tasks.
    pub streaming_queue: Option<String>,
    /// Pool of the tasks.
    pub pool: Option<String>,
    /// How often a failed task is tried again.
    pub retries: u32,
    /// How long to wait before that.
    pub retry_delay: Duration,
    /// First day of every DAG whose team names none.
    pub start_date: Ds,
    /// How long a run of a DAG may take.
    pub dagrun_timeout: Duration,
    /// How often the streaming DAGs look.
    pub streaming_every: Duration,
    /// How often a sensor looks.
    pub poke_every: Duration,
    /// How long a sensor waits at most.
    pub sensor_timeout: Duration,
    /// Tasks at once in a GroupBy DAG, `GROUP_BY_BATCH_CONCURRENCY` of `airflow/constants.py`.
    pub group_by_concurrency: u32,
    /// Tasks at once in a join DAG, `JOIN_CONCURRENCY` there.
    pub join_concurrency: u32,
    /// Absolute path of a Python file that defines `get_kv_store_upload_operator`.
    pub operators: Option<PathBuf>,
    /// Command that publishes the compiled confs to the KV store (§8.1); not empty.
    pub metadata_upload: Option<Vec<String>>,
}

impl Default for Airflow {
    fn default() -> Self {
        Self {
            naming: Naming::default(),
            command: vec!["chronon-run".to_owned()],
            workspace: None,
            owner: "chronon".to_owned(),
            emails: Vec::new(),
            queue: None,
            streaming_queue: None,
            pool: None,
            retries: 1,
            retry_delay: MINUTE,
            // 2023-02-01, as in Chronon's helpers (§7.1).
            start_date: Ds::from_epoch_days(19_389),
            dagrun_timeout: 4 * DAY,
            streaming_every: 15 * MINUTE,
            poke_every: 15 * MINUTE,
            sensor_timeout: 2 * DAY,
            group_by_concurrency: 300,
            join_concurrency: 100,
            operators: None,
            metadata_upload: None,
        }
    }
}

/// Whose DAG and task names the export uses (§7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Naming {
    /// Those of Chronon's documentation.
    #[default]
    Docs,
    /// Those of Chronon's Airflow code.
    Code,
}
