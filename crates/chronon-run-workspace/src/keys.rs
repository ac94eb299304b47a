//! Every key of `workspace.toml`, once: what it is called, holds, defaults to and means.

/// One key.
pub(crate) struct Key {
    /// The section it belongs to.
    pub(crate) section: &'static str,
    /// Its name.
    pub(crate) key: &'static str,
    /// What it holds, in words.
    pub(crate) kind: &'static str,
    /// Its default as TOML, if it has one that can be written down.
    pub(crate) default: Option<&'static str>,
    /// A value as TOML.
    pub(crate) example: &'static str,
    /// What it means; what happens without it, if `default` does not say.
    pub(crate) meaning: &'static str,
}

/// The documentation of `key` in `section`.
pub(crate) fn find(section: &str, key: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|doc| doc.section == section && doc.key == key)
}

/// The section that has `key`, if exactly one has.
pub(crate) fn section_of(key: &str) -> Option<&'static str> {
    let mut sections = KEYS.iter().filter(|doc| doc.key == key);
    let first = sections.next()?;
    sections.next().is_none().then_some(first.section)
}

/// How a section starts in the file, as code.
pub(crate) fn header(section: &str) -> String {
    match section {
        "override" => "`[[override]]`".to_owned(),
        "check" => "`[[check]]`".to_owned(),
        "seeds" | "seeds.<table>" => "`[seeds.\"db.table\"]`".to_owned(),
        "sources" | "sources.<table>" => "`[sources.\"db.table\"]`".to_owned(),
        "targets" | "targets.<name>" => "`[targets.dev]`".to_owned(),
        other => format!("`[{other}]`"),
    }
}

/// In the order of the reference.
pub(crate) const KEYS: &[Key] = &[
    Key {
        section: "workspace",
        key: "repo",
        kind: "path",
        default: Some(r#"".""#),
        example: r#"".""#,
        meaning: "Folder of the Chronon repo: it holds `teams.json` and the compiled confs. It must exist.",
    },
    Key {
        section: "workspace",
        key: "folder",
        kind: "path",
        default: None,
        example: r#""features/search""#,
        meaning: "The folder of the workspace that is meant, in place of this one; it must be the only key of the file. Commands that are started here then use that workspace, as with `-C`.",
    },
    Key {
        section: "workspace",
        key: "production",
        kind: "path within `repo`",
        default: Some(r#""production""#),
        example: r#""production""#,
        meaning: "Folder of the compiled confs.",
    },
    Key {
        section: "workspace",
        key: "env",
        kind: "string",
        default: Some(r#""production""#),
        example: r#""dev""#,
        meaning: "Which environment block of `teams.json` counts.",
    },
    Key {
        section: "workspace",
        key: "timezone",
        kind: "IANA time zone",
        default: Some(r#""UTC""#),
        example: r#""Europe/Prague""#,
        meaning: "Where a day ends.",
    },
    Key {
        section: "workspace",
        key: "as_of",
        kind: "day",
        default: None,
        example: r#""2026-01-30""#,
        meaning: "The last closed day; nothing later is planned. Without it: yesterday in `timezone`.",
    },
    Key {
        section: "workspace",
        key: "state_dir",
        kind: "path",
        default: Some(r#"".chronon-run""#),
        example: r#"".chronon-run""#,
        meaning: "Folder of the ledger, logs, locks and the embedded metastore, of this workspace alone. It is made when needed. The variable `CHRONON_RUN_STATE` wins over it, e.g. for a read-only checkout.",
    },
    Key {
        section: "workspace",
        key: "partition_column",
        kind: "column name",
        default: Some(r#""ds""#),
        example: r#""ds""#,
        meaning: "Partition column of every output table, and of sources and seeds that name none (`spark.chronon.partition.column`).",
    },
    Key {
        section: "workspace",
        key: "time_parts",
        kind: "list of column names",
        default: Some(r#"["ds", "ts", "hr"]"#),
        example: r#"["ds", "ts", "hr"]"#,
        meaning: "Time-based partition columns of the warehouse, left out of task names by the Airflow export (`time_parts`).",
    },
    Key {
        section: "workspace",
        key: "python",
        kind: "path",
        default: None,
        example: r#"".venv""#,
        meaning: "The interpreter that `compile` uses, or the folder of its virtual environment; it has chronon-ai. Without it: the active virtual environment, `.venv` or `venv` of the repo or of the folder of this file, `python3` on `PATH`, else `uv`.",
    },
    Key {
        section: "engine",
        key: "kind",
        kind: "`sql` or `chronon`",
        default: Some(r#""sql""#),
        example: r#""chronon""#,
        meaning: "What makes the tables: readable Spark SQL, or Chronon's own Driver, which needs `chronon_jar`.",
    },
    Key {
        section: "engine",
        key: "spark_home",
        kind: "path",
        default: None,
        example: r#""/opt/spark""#,
        meaning: "A Spark. Without it: `$SPARK_HOME`, `spark-submit` on `PATH`, else one is installed into the user's cache.",
    },
    Key {
        section: "engine",
        key: "java_home",
        kind: "path",
        default: None,
        example: r#""/usr/lib/jvm/java-17""#,
        meaning: "A Java. Without it: `$JAVA_HOME`, `java` on `PATH`, else one is installed into the user's cache.",
    },
    Key {
        section: "engine",
        key: "master",
        kind: "Spark master",
        default: Some(r#""local[*]""#),
        example: r#""local[4]""#,
        meaning: "`--master` of spark-submit: `local[N]`, `yarn`, `spark://host:port` or `k8s://…`.",
    },
    Key {
        section: "engine",
        key: "deploy_mode",
        kind: "`client` or `cluster`",
        default: None,
        example: r#""client""#,
        meaning: "`--deploy-mode` of spark-submit. Without it: Spark's own default.",
    },
    Key {
        section: "engine",
        key: "cluster_url",
        kind: "HTTP address",
        default: None,
        example: r#""http://resourcemanager:8088""#,
        meaning: "Where the cluster of `master` is asked about applications, and asked to end those of jobs that failed or were stopped: the web interface of a standalone master (without it: port 8080 of its host) or YARN's ResourceManager (without it: the program `yarn` is asked). Several, if they stand in for each other, are separated by commas.",
    },
    Key {
        section: "engine",
        key: "conf",
        kind: "table of Spark properties",
        default: Some("{}"),
        example: r#"{ "spark.sql.shuffle.partitions" = "4" }"#,
        meaning: "Spark properties of every job. Numbers and booleans need no quotes.",
    },
    Key {
        section: "engine",
        key: "driver_args",
        kind: "table of lists, by run.py mode",
        default: Some("{}"),
        example: r#"{ stats-summary = ["--sample=1.0"] }"#,
        meaning: "Arguments that Chronon's Driver gets besides those that chronon-run sets, as run.py's `--args` hands them on. `--step-days` and others that chronon-run sets itself are refused.",
    },
    Key {
        section: "engine",
        key: "chronon_jar",
        kind: "path, URL or Maven coordinates",
        default: None,
        example: r#""jars/spark_uber_2.12-0.0.113-assembly.jar""#,
        meaning: r#"The Driver's jar, a `spark_uber` assembly. Needed by `kind = "chronon"`. Jars with Maven coordinates, such as `ai.chronon:spark_uber_2.12:0.0.113`, are fetched and pinned by `chronon-run engine install chronon`."#,
    },
    Key {
        section: "engine",
        key: "online_jar",
        kind: "path, URL or Maven coordinates",
        default: None,
        example: r#""jars/online.jar""#,
        meaning: "The jar with your implementation of Chronon's `Api`, for uploads, streaming and fetching.",
    },
    Key {
        section: "engine",
        key: "online_class",
        kind: "class name",
        default: None,
        example: r#""com.example.ChrononApi""#,
        meaning: "The class in `online_jar` that implements `Api`.",
    },
    Key {
        section: "engine",
        key: "launcher",
        kind: "`spark-submit` or `scripts`",
        default: Some(r#""spark-submit""#),
        example: r#""scripts""#,
        meaning: "How the Driver is started: directly, or by the repo's own `scripts/spark_submit.sh`.",
    },
    Key {
        section: "engine",
        key: "fast_start",
        kind: "`auto`, `always` or `never`",
        default: Some(r#""auto""#),
        example: r#""never""#,
        meaning: "When the JVM starts fast at the cost of long work: for short steps, for every step, for none.",
    },
    Key {
        section: "engine",
        key: "sessions",
        kind: "boolean",
        default: Some("true"),
        example: "false",
        meaning: "Whether small `sql` steps that are ready together share one Spark session.",
    },
    Key {
        section: "engine",
        key: "share_spark",
        kind: "boolean",
        default: None,
        example: "true",
        meaning: "Whether all `sql` steps of a run use one Spark process on this machine, each in a session of its own. Without it: as `sessions`.",
    },
    Key {
        section: "engine",
        key: "keep_spark",
        kind: "duration",
        default: None,
        example: r#""10m""#,
        meaning: "How long the Spark process that steps share stays for the next command; `0s`: not at all. Without it: 5 minutes where a person is at a terminal, else not at all.",
    },
    Key {
        section: "engine",
        key: "test_team",
        kind: "team",
        default: Some(r#""chronon_test""#),
        example: r#""chronon_test""#,
        meaning: "The team whose jobs run with `test_chronon_jar` (`TEST_TEAM_NAME`).",
    },
    Key {
        section: "engine",
        key: "test_chronon_jar",
        kind: "path, URL or Maven coordinates",
        default: None,
        example: r#""jars/spark_uber_staging.jar""#,
        meaning: "The Driver's jar for the jobs of `test_team`. Without it: `chronon_jar`.",
    },
    Key {
        section: "catalog",
        key: "kind",
        kind: "`embedded`, `hive` or `fixture`",
        default: Some(r#""embedded""#),
        example: r#""hive""#,
        meaning: "Where partitions are listed: a Hive metastore of the workspace's own, yours, or a saved snapshot (for tests).",
    },
    Key {
        section: "catalog",
        key: "idle",
        kind: "duration",
        default: Some(r#""1m""#),
        example: r#""1m""#,
        meaning: "`embedded`: how long the metastore stays after its last user has left.",
    },
    Key {
        section: "catalog",
        key: "uri",
        kind: "Thrift address",
        default: None,
        example: r#""thrift://metastore:9083""#,
        meaning: "`hive`, needed: the metastore, or several separated by commas.",
    },
    Key {
        section: "catalog",
        key: "timeout",
        kind: "duration",
        default: Some(r#""30s""#),
        example: r#""30s""#,
        meaning: "`hive`: how long to wait for an answer.",
    },
    Key {
        section: "catalog",
        key: "path",
        kind: "path",
        default: None,
        example: r#""catalog.json""#,
        meaning: "`fixture`, needed: the snapshot.",
    },
    Key {
        section: "run",
        key: "jobs",
        kind: "number",
        default: Some("2"),
        example: "4",
        meaning: "How many steps run at once.",
    },
    Key {
        section: "run",
        key: "retries",
        kind: "number",
        default: Some("1"),
        example: "2",
        meaning: "How often a failed step is tried again.",
    },
    Key {
        section: "run",
        key: "retry_delay",
        kind: "duration",
        default: Some(r#""1m""#),
        example: r#""5m""#,
        meaning: "How long to wait before that.",
    },
    Key {
        section: "run",
        key: "timeout",
        kind: "duration",
        default: Some(r#""4d""#),
        example: r#""6h""#,
        meaning: "How long one attempt may take.",
    },
    Key {
        section: "run",
        key: "grace",
        kind: "duration",
        default: Some(r#""30s""#),
        example: r#""30s""#,
        meaning: "How long a child that was asked to end may take before it is killed.",
    },
    Key {
        section: "run",
        key: "stuck_after",
        kind: "duration",
        default: Some(r#""10m""#),
        example: r#""1h""#,
        meaning: "After how long without progress a step is reported as stuck, with the process, its state and the last line of its log. Progress is output, or more than 2 % of a processor used by the step's processes; where these cannot be seen, output alone. The step is not ended: `timeout` does that.",
    },
    Key {
        section: "run",
        key: "step_days",
        kind: "number",
        default: Some("30"),
        example: "7",
        meaning: "At most so many days per step. Cuts are aligned to the calendar, so that a day always lands in the same step.",
    },
    Key {
        section: "run",
        key: "on_failure",
        kind: "`continue` or `stop`",
        default: Some(r#""continue""#),
        example: r#""stop""#,
        meaning: "When a step has failed: go on with every step that does not need it, or start no other.",
    },
    Key {
        section: "run",
        key: "join_flow",
        kind: "`whole` or `modular`",
        default: Some(r#""whole""#),
        example: r#""modular""#,
        meaning: "How joins are filled: in one job, or left, then the parts side by side, then the output. Days filled in the other way are out of date.",
    },
    Key {
        section: "run",
        key: "patience",
        kind: "duration",
        default: Some(r#""10m""#),
        example: r#""1h""#,
        meaning: "How long a step waits for a catalog that is out of reach.",
    },
    Key {
        section: "run",
        key: "bisect",
        kind: "boolean",
        default: Some("false"),
        example: "true",
        meaning: "Whether a step of several days that keeps failing is halved down to the days that fail alone. The others are filled.",
    },
    Key {
        section: "run",
        key: "more_memory",
        kind: "table of Spark properties",
        default: Some("{}"),
        example: r#"{ "spark.driver.memory" = "8g" }"#,
        meaning: "Spark properties of one more attempt after one that ran out of memory. Without any: if it may be retried, its days are tried in halves.",
    },
    Key {
        section: "run",
        key: "upload_schedule_key",
        kind: "string",
        default: Some(r#""uploadSchedule""#),
        example: r#""uploadSchedule""#,
        meaning: "Key of a GroupBy's `customJson` that holds the cadence of its upload (`UPLOAD_SCHEDULE_KEY`).",
    },
    Key {
        section: "run",
        key: "upload_schedule",
        kind: "cadence",
        default: Some(r#""@daily""#),
        example: r#""@daily""#,
        meaning: "Cadence of uploads whose conf names none (`DEFAULT_UPLOAD_SCHEDULE`): `@daily` and its like, or five fields of cron.",
    },
    Key {
        section: "seeds.<table>",
        key: "path",
        kind: "path",
        default: None,
        example: r#""data/purchases.csv""#,
        meaning: "Needed: the file, or a folder of files. It must exist.",
    },
    Key {
        section: "seeds.<table>",
        key: "format",
        kind: "`csv`, `json` or `parquet`",
        default: None,
        example: r#""csv""#,
        meaning: "Without it: by the file's extension.",
    },
    Key {
        section: "seeds.<table>",
        key: "columns",
        kind: "table of column = Spark type",
        default: Some("{}"),
        example: r#"{ user_id = "bigint", price = "double", ds = "string" }"#,
        meaning: "Every column of the file, partition columns included, in order. Without it: inferred.",
    },
    Key {
        section: "seeds.<table>",
        key: "partition_by",
        kind: "list of column names",
        default: None,
        example: r#"["ds"]"#,
        meaning: "Partition columns; they are columns of the file. Without it: `workspace.partition_column`.",
    },
    Key {
        section: "seeds.<table>",
        key: "null",
        kind: "string",
        default: None,
        example: r#""\\N""#,
        meaning: "What stands for NULL in a CSV file. Without it: an empty field.",
    },
    Key {
        section: "seeds.<table>",
        key: "empty_partitions",
        kind: "list of days or ranges",
        default: Some("[]"),
        example: r#"["2026-01-23"]"#,
        meaning: "Days that landed but hold no rows.",
    },
    Key {
        section: "sources.<table>",
        key: "missing",
        kind: "list of days or ranges",
        default: Some("[]"),
        example: r#"["2026-01-12", "2026-01-14..2026-01-16"]"#,
        meaning: "Days that will never land; nothing waits for them. Both ends of a range are included.",
    },
    Key {
        section: "sources.<table>",
        key: "first_ds",
        kind: "day",
        default: None,
        example: r#""2026-01-01""#,
        meaning: "Its first day, where its history is still being loaded: days from this on are waited for, earlier ones are not needed. Without it, the first partition is the first day.",
    },
    Key {
        section: "sources.<table>",
        key: "lands_after",
        kind: "duration",
        default: None,
        example: r#""3h""#,
        meaning: "How long after the end of a day its partition usually lands; after that it is late.",
    },
    Key {
        section: "sources.<table>",
        key: "partition_format",
        kind: "pattern",
        default: Some("\"yyyy-MM-dd\""),
        example: r#""yyyyMMdd""#,
        meaning: "How its partitions write a day, as a pattern of Java: `yyyyMMdd`, `yyyy/MM/dd`, `dd-MM-yyyy`, `yyyy-MM-dd-HH`, … Of hours, a day is there once it has all 24, or its `last_hour`. The `sql` engine reads such sources; `selects` and `wheres` see the column as it is, the day of a row is `yyyy-MM-dd`. With `kind = \"chronon\"` only staging queries can read them.",
    },
    Key {
        section: "sources.<table>",
        key: "last_hour",
        kind: "number",
        default: None,
        example: "18",
        meaning: "Of partitions by hour: the last one of each day, 0 to 23; the day is there as soon as it is. Without it: once all 24 hours are.",
    },
    Key {
        section: "sources.<table>",
        key: "days_from",
        kind: "table",
        default: None,
        example: r#""data.purchases_base""#,
        meaning: "Of a view: the table whose days it has. Without it: the tables that the view's text reads.",
    },
    Key {
        section: "override",
        key: "dependencies",
        kind: "list of partitions",
        default: None,
        example: r#"["data.events/ds={{ ds }}/hr=23"]"#,
        meaning: "What each day waits for, in place of the conf's own `metaData.dependencies` and of the tables that the SQL of a staging query reads. An empty list: nothing but the sources of GroupBys and joins.",
    },
    Key {
        section: "override",
        key: "select",
        kind: "selection",
        default: None,
        example: r#""team:search type:join""#,
        meaning: "Needed: which assets, as `--select` on the command line.",
    },
    Key {
        section: "override",
        key: "step_days",
        kind: "number",
        default: None,
        example: "7",
        meaning: "Instead of `run.step_days`.",
    },
    Key {
        section: "override",
        key: "retries",
        kind: "number",
        default: None,
        example: "3",
        meaning: "Instead of `run.retries`.",
    },
    Key {
        section: "override",
        key: "retry_delay",
        kind: "duration",
        default: None,
        example: r#""10m""#,
        meaning: "Instead of `run.retry_delay`.",
    },
    Key {
        section: "override",
        key: "timeout",
        kind: "duration",
        default: None,
        example: r#""12h""#,
        meaning: "Instead of `run.timeout`.",
    },
    Key {
        section: "override",
        key: "join_flow",
        kind: "`whole` or `modular`",
        default: None,
        example: r#""modular""#,
        meaning: "Instead of `run.join_flow`.",
    },
    Key {
        section: "override",
        key: "bisect",
        kind: "boolean",
        default: None,
        example: "true",
        meaning: "Instead of `run.bisect`.",
    },
    Key {
        section: "override",
        key: "more_memory",
        kind: "table of Spark properties",
        default: Some("{}"),
        example: r#"{ "spark.executor.memory" = "16g" }"#,
        meaning: "On top of `run.more_memory`.",
    },
    Key {
        section: "override",
        key: "lag",
        kind: "number",
        default: None,
        example: "1",
        meaning: "So many days before the last closed one the asset ends. Without it: 0.",
    },
    Key {
        section: "override",
        key: "conf",
        kind: "table of Spark properties",
        default: Some("{}"),
        example: r#"{ "spark.executor.memory" = "8g" }"#,
        meaning: "On top of `engine.conf`.",
    },
    Key {
        section: "override",
        key: "driver_args",
        kind: "table of lists, by run.py mode",
        default: None,
        example: r#"{ backfill = ["--unset-semantic-hash"] }"#,
        meaning: "Instead of the arguments of the same mode in `engine.driver_args`.",
    },
    Key {
        section: "check",
        key: "select",
        kind: "selection",
        default: None,
        example: r#""team:search type:join""#,
        meaning: r#"Needed: which assets, as `--select` on the command line."#,
    },
    Key {
        section: "check",
        key: "name",
        kind: "string",
        default: None,
        example: r#""guests""#,
        meaning: r#"Its name in messages. Without it: what it checks."#,
    },
    Key {
        section: "check",
        key: "on_fail",
        kind: "`block` or `warn`",
        default: Some(r#""block""#),
        example: r#""warn""#,
        meaning: r#"What a day means that does not pass: the step has failed and nothing is made of the day until it passes, or it is reported only."#,
    },
    Key {
        section: "check",
        key: "min_rows",
        kind: "number",
        default: None,
        example: "1",
        meaning: r#"At least so many rows."#,
    },
    Key {
        section: "check",
        key: "max_rows",
        kind: "number",
        default: None,
        example: "1000000",
        meaning: r#"At most so many rows."#,
    },
    Key {
        section: "check",
        key: "max_null_share",
        kind: "table of shares, by column",
        default: None,
        example: "{ guest_id = 0, price = 0.05 }",
        meaning: r#"At most this share of a column's values is NULL, from 0 to 1."#,
    },
    Key {
        section: "check",
        key: "unique",
        kind: "list of column names",
        default: None,
        example: r#"["guest_id", "ts"]"#,
        meaning: r#"These columns together have no value twice."#,
    },
    Key {
        section: "check",
        key: "accepted",
        kind: "table of lists, by column",
        default: None,
        example: r#"{ status = ["open", "closed"] }"#,
        meaning: r#"The only values of a column, besides NULL."#,
    },
    Key {
        section: "check",
        key: "max_change",
        kind: "share",
        default: None,
        example: "0.5",
        meaning: r#"By how much the number of rows may differ from the mean of the `change_days` days before: 0.5 is half of it. Without filled earlier days it passes."#,
    },
    Key {
        section: "check",
        key: "change_days",
        kind: "number",
        default: Some("7"),
        example: "28",
        meaning: r#"How many days before are looked at for `max_change`."#,
    },
    Key {
        section: "check",
        key: "time_column",
        kind: "column name",
        default: None,
        example: r#""ts""#,
        meaning: r#"The column of times to which `max_age` applies: timestamps, dates, or milliseconds."#,
    },
    Key {
        section: "check",
        key: "max_age",
        kind: "duration",
        default: None,
        example: r#""2h""#,
        meaning: r#"How long before the end of the day the newest time may be."#,
    },
    Key {
        section: "check",
        key: "sql",
        kind: "string",
        default: None,
        example: r#""SELECT * FROM {table} WHERE ds = '{ds}' AND price < 0""#,
        meaning: r#"A Spark SQL query that returns the rows that are wrong; it passes if there are none. Known: `{table}`, `{ds}`."#,
    },
    Key {
        section: "targets.<name>",
        key: "namespace",
        kind: "pattern",
        default: None,
        example: r#""dev_{user}_{namespace}""#,
        meaning: "Needed: the target's namespace (database) for each namespace of the confs. `{namespace}` is that of the conf, `{user}` the user who runs the command. It must not be a namespace that the confs, their sources or another target use.",
    },
    Key {
        section: "hooks",
        key: "kv_upload",
        kind: "list of strings",
        default: None,
        example: r#"["python3", "hooks/load_redis.py", "{table}", "{ds}", "{dataset}"]"#,
        meaning: "Loads an upload table into the KV store, as a step of its own; see docs/kv.md. Known: `{table}`, `{ds}`, `{dataset}`, `{batch_end}` (milliseconds), `{location}` (of the table's files).",
    },
    Key {
        section: "hooks",
        key: "kv_get",
        kind: "list of strings",
        default: None,
        example: r#"["python3", "hooks/get_redis.py", "{dataset}", "{key}"]"#,
        meaning: "Prints what the KV store has for a key, as JSON, or nothing if it has none: for `show --online`. Known: `{dataset}`, `{group_by}`, `{key}` (the key columns as a JSON object, as the upload writes `key_json`); the same is on stdin as JSON.",
    },
    Key {
        section: "hooks",
        key: "on_success",
        kind: "list of strings",
        default: None,
        example: r#"["python3", "hooks/notify.py", "{event}"]"#,
        meaning: "Run after a step has succeeded. Known: `{event}` (`success`, `failure`, `waiting`), `{run}`, `{asset}`, `{ds}` (its last day); the whole event is on stdin as JSON.",
    },
    Key {
        section: "hooks",
        key: "on_failure",
        kind: "list of strings",
        default: None,
        example: r#"["python3", "hooks/page.py", "{asset}"]"#,
        meaning: "Run after the last attempt of a step has failed; as `on_success`.",
    },
    Key {
        section: "hooks",
        key: "on_waiting",
        kind: "list of strings",
        default: None,
        example: r#"["python3", "hooks/notify.py", "{asset}"]"#,
        meaning: "Run at the end, for each asset that waits for a source; as `on_success`.",
    },
    Key {
        section: "hooks",
        key: "on_stream_down",
        kind: "list of strings",
        default: None,
        example: r#"["python3", "hooks/page.py", "{app_name}", "{reason}"]"#,
        meaning: "Run by `stream` once when an app that ran has stopped working: its process is gone, its query is over, or a start died soon. Known: `{event}` (`stream_down`, `stream_stalled`, `stream_restarted`), `{asset}`, `{app_name}`, `{reason}`; the whole event is on stdin as JSON.",
    },
    Key {
        section: "hooks",
        key: "on_stream_stalled",
        kind: "list of strings",
        default: None,
        example: r#"["python3", "hooks/page.py", "{app_name}", "{reason}"]"#,
        meaning: "Run by `stream` once when an app has made no progress for `stalled_after`; as `on_stream_down`.",
    },
    Key {
        section: "hooks",
        key: "on_stream_restarted",
        kind: "list of strings",
        default: None,
        example: r#"["python3", "hooks/notify.py", "{app_name}", "{reason}"]"#,
        meaning: "Run by `stream` when an app that ran before was started again and has lived for `settle`; as `on_stream_down`.",
    },
    Key {
        section: "hooks",
        key: "timeout",
        kind: "duration",
        default: Some(r#""10m""#),
        example: r#""10m""#,
        meaning: "How long a hook may take; `kv_upload` has the time-out of steps.",
    },
    Key {
        section: "streaming",
        key: "command",
        kind: "list of strings",
        default: None,
        example: r#"["bash", "bin/stream.sh", "{group_by}"]"#,
        meaning: "Your own way to start an app, in place of the Driver of `chronon_jar` with `online_jar`. It must stay in the foreground. Known: `{group_by}`, `{conf}` (absolute path), `{app_name}` (also in `APP_NAME`), `{env}`.",
    },
    Key {
        section: "streaming",
        key: "list_apps",
        kind: "`local`, `spark`, `yarn` or a list of strings",
        default: Some(r#""local""#),
        example: r#"["python3", "scripts/yarn_list.py"]"#,
        meaning: "How to know which apps run: own processes of this machine, REST of a standalone master or of YARN, or a command that prints one JSON object per app.",
    },
    Key {
        section: "streaming",
        key: "url",
        kind: "HTTP address",
        default: None,
        example: r#""http://master:8080""#,
        meaning: "The REST interface; needed by `spark` and `yarn`.",
    },
    Key {
        section: "streaming",
        key: "settle",
        kind: "duration",
        default: Some(r#""1m""#),
        example: r#""1m""#,
        meaning: "How long a started app must live to count as started.",
    },
    Key {
        section: "streaming",
        key: "tries",
        kind: "number",
        default: Some("5"),
        example: "5",
        meaning: "Give up after this many consecutive starts that died within `settle`, until `stream --stop` or another command line.",
    },
    Key {
        section: "streaming",
        key: "backoff",
        kind: "duration",
        default: Some(r#""1m""#),
        example: r#""1m""#,
        meaning: "How long to wait after the first start that died within `settle`; doubled each time.",
    },
    Key {
        section: "streaming",
        key: "stalled_after",
        kind: "duration",
        default: Some(r#""10m""#),
        example: r#""10m""#,
        meaning: "After so long without progress an app is stalled. An app started by `command` that prints no progress at all counts as stalled only if this key is there.",
    },
    Key {
        section: "streaming",
        key: "restart_stalled",
        kind: "boolean",
        default: Some("false"),
        example: "true",
        meaning: "Whether a stalled app is ended and started again; otherwise it is only reported, with exit code 1.",
    },
    Key {
        section: "streaming",
        key: "restart_outdated",
        kind: "boolean",
        default: Some("true"),
        example: "false",
        meaning: "Whether an app that was started with another conf, jar, class or settings than today's is started again, as soon as the upload with today's conf has been loaded.",
    },
    Key {
        section: "airflow",
        key: "naming",
        kind: "`docs` or `code`",
        default: Some(r#""docs""#),
        example: r#""code""#,
        meaning: "DAG and task names of Chronon's documentation, or of its Airflow code.",
    },
    Key {
        section: "airflow",
        key: "command",
        kind: "list of strings",
        default: Some(r#"["chronon-run"]"#),
        example: r#"["/opt/chronon-run/bin/chronon-run"]"#,
        meaning: "How a worker calls this program.",
    },
    Key {
        section: "airflow",
        key: "workspace",
        kind: "path",
        default: None,
        example: r#""/srv/features""#,
        meaning: "Where the workers find the folder of this file. Without it: where it is now.",
    },
    Key {
        section: "airflow",
        key: "owner",
        kind: "string",
        default: Some(r#""chronon""#),
        example: r#""features""#,
        meaning: "Owner of the tasks whose team has no `team_name` in `teams.json`.",
    },
    Key {
        section: "airflow",
        key: "emails",
        kind: "list of strings",
        default: Some("[]"),
        example: r#"["features@example.com"]"#,
        meaning: "Who gets failure mails, besides a team's `maintainer_emails` in `teams.json`.",
    },
    Key {
        section: "airflow",
        key: "queue",
        kind: "string",
        default: None,
        example: r#""silver_medium""#,
        meaning: "Queue of the tasks whose team has no `airflow_queue` in `teams.json`. Without it: Airflow's default.",
    },
    Key {
        section: "airflow",
        key: "streaming_queue",
        kind: "string",
        default: None,
        example: r#""silver_medium""#,
        meaning: "Queue of the streaming tasks. Without it: that of the other tasks.",
    },
    Key {
        section: "airflow",
        key: "pool",
        kind: "string",
        default: None,
        example: r#""spark""#,
        meaning: "Pool of the tasks. Without it: Airflow's default.",
    },
    Key {
        section: "airflow",
        key: "retries",
        kind: "number",
        default: Some("1"),
        example: "1",
        meaning: "How often a failed task is tried again.",
    },
    Key {
        section: "airflow",
        key: "retry_delay",
        kind: "duration",
        default: Some(r#""1m""#),
        example: r#""1m""#,
        meaning: "How long to wait before that.",
    },
    Key {
        section: "airflow",
        key: "start_date",
        kind: "day",
        default: Some(r#""2023-02-01""#),
        example: r#""2026-01-01""#,
        meaning: "First day of the DAGs whose team has no `dag_start_date` in `teams.json`.",
    },
    Key {
        section: "airflow",
        key: "dagrun_timeout",
        kind: "duration",
        default: Some(r#""4d""#),
        example: r#""4d""#,
        meaning: "How long a run of a DAG may take.",
    },
    Key {
        section: "airflow",
        key: "streaming_every",
        kind: "duration",
        default: Some(r#""15m""#),
        example: r#""20m""#,
        meaning: "How often the streaming DAGs look after their apps.",
    },
    Key {
        section: "airflow",
        key: "poke_every",
        kind: "duration",
        default: Some(r#""15m""#),
        example: r#""5m""#,
        meaning: "How often a sensor asks for its inputs.",
    },
    Key {
        section: "airflow",
        key: "sensor_timeout",
        kind: "duration",
        default: Some(r#""2d""#),
        example: r#""1d""#,
        meaning: "How long a sensor waits at most.",
    },
    Key {
        section: "airflow",
        key: "group_by_concurrency",
        kind: "number",
        default: Some("300"),
        example: "100",
        meaning: "Tasks at once in a GroupBy DAG (`GROUP_BY_BATCH_CONCURRENCY`).",
    },
    Key {
        section: "airflow",
        key: "join_concurrency",
        kind: "number",
        default: Some("100"),
        example: "50",
        meaning: "Tasks at once in a join DAG (`JOIN_CONCURRENCY`).",
    },
    Key {
        section: "airflow",
        key: "operators",
        kind: "path",
        default: None,
        example: r#""hooks/operators.py""#,
        meaning: "Python file that may define `get_kv_store_upload_operator`.",
    },
    Key {
        section: "airflow",
        key: "metadata_upload",
        kind: "list of strings",
        default: None,
        example: r#"["python3", "run.py", "--mode=metadata-upload", "--conf=production/joins//"]"#,
        meaning: "Command that publishes the compiled confs to the KV store. Without it there is no DAG `chronon_metadata_upload`.",
    },
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use toml::de::DeTable;

    use super::*;
    use crate::{
        Workspace,
        document::{Report, Section},
        read,
    };

    /// A file with every key, each as `value_of` says it.
    fn file_of_all_keys(value_of: impl Fn(&Key) -> Option<&'static str>) -> String {
        let mut out = String::new();
        let mut section = "";
        for key in KEYS {
            if key.section != section {
                section = key.section;
                out.push_str(&match section {
                    "override" => "[[override]]\n".to_owned(),
                    "check" => "[[check]]\n".to_owned(),
                    table => format!(
                        "[{}]\n",
                        table
                            .replace("<table>", "\"data.purchases\"")
                            .replace("<name>", "dev")
                    ),
                });
            }
            if let Some(value) = value_of(key) {
                out.push_str(&format!("{} = {value}\n", key.key));
            }
        }
        out
    }

    /// Reads `text` in an empty folder; gives the keys that were asked for and the findings.
    fn read(
        text: &str,
    ) -> (
        BTreeSet<(&'static str, &'static str)>,
        Vec<String>,
        Workspace,
    ) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/purchases.csv"), "").unwrap();
        let document = DeTable::parse(text).unwrap();
        let report = Report::new(Path::new("w"));
        let workspace = Section::file(document.get_ref(), &report, |section| {
            read::workspace(section, Path::new("w"), folder.path())
        });
        let asked = report.asked();
        let findings = report.into_findings();
        let findings = findings
            .into_iter()
            .map(|f| format!("{}: {}", f.code, f.message));
        (asked, findings.collect(), workspace)
    }

    #[test]
    fn what_is_documented_is_what_is_read() {
        // `folder` stands alone in its file.
        let text = file_of_all_keys(|key| (key.key != "folder").then_some(key.example));
        let (asked, findings, _) = read(&text);
        let asked: BTreeSet<_> = asked
            .into_iter()
            .filter(|(section, _)| !section.is_empty())
            .collect();
        let documented: BTreeSet<_> = KEYS.iter().map(|key| (key.section, key.key)).collect();
        assert_eq!(documented.len(), KEYS.len(), "a key is documented twice");
        assert_eq!(asked, documented);
        // Every example is right; paths that need not exist here are only doubted.
        let serious = |finding: &&String| {
            ![
                "no-such-path: `engine",
                "no-such-path: `airflow",
                "no-such-path: `workspace.python",
                "no-effect",
            ]
            .iter()
            .any(|start| finding.starts_with(start))
        };
        assert_eq!(
            findings.iter().filter(serious).collect::<Vec<_>>(),
            Vec::<&String>::new()
        );
    }

    #[test]
    fn documented_defaults_are_the_defaults() {
        let fixed = |key: &Key| {
            let by_table =
                key.section.contains('<') || ["override", "check"].contains(&key.section);
            // `timeout` of a catalog is read for one kind only; its value is checked below.
            (!by_table).then_some(key.default).flatten()
        };
        let text = file_of_all_keys(fixed);
        let text = text
            .split_inclusive('\n')
            .filter(|line| {
                !line.starts_with("[seeds")
                    && !line.starts_with("[sources")
                    && !line.starts_with("[[override")
                    && !line.starts_with("[targets")
                    && !line.starts_with("[[check")
            })
            .collect::<String>();
        let (_, findings, mut documented) = read(&text);
        assert_eq!(
            findings,
            ["no-effect: `catalog.timeout` has no effect with this kind of catalog"]
        );
        let (_, _, mut empty) = read("");
        for workspace in [&mut documented, &mut empty] {
            let root = std::mem::take(&mut workspace.root);
            workspace.repo = workspace.repo.strip_prefix(&root).unwrap().to_owned();
            workspace.state_dir = workspace.state_dir.strip_prefix(&root).unwrap().to_owned();
        }
        // Only that these two keys are named tells the files apart.
        assert!(std::mem::take(&mut documented.engine.names_master));
        assert!(std::mem::take(
            &mut documented.streaming.names_stalled_after
        ));
        assert_eq!(documented, empty);

        let hive = "[catalog]\nkind = \"hive\"\nuri = \"thrift://a:1\"\n";
        let timeout = find("catalog", "timeout").unwrap().default.unwrap();
        assert_eq!(
            read(hive).2.catalog,
            read(&format!("{hive}timeout = {timeout}\n")).2.catalog
        );
    }
}
