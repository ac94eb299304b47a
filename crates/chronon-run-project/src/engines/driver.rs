//! How this workspace starts Chronon's Driver: the one place that puts its settings together.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
};

use chronon_run_conf::AnyConf;
use chronon_run_core::{AssetKind, CommandLine, Ds, PartitionRange};
use chronon_run_engine::chronon::{self, ClassPath, Job, Launcher, Mode, Setup, SparkSubmit};
use chronon_run_plan::{Asset, Fill, Plan, Step, parts_of_times};
use chronon_run_spark::{
    Jvm, Spark,
    command::{Length, java_options, machine_conf, required_conf, spark_env},
};
use chronon_run_workspace::{Catalog, Engine, Launcher as LauncherSetting};

use crate::{
    engines::spark_sql::SparkSql,
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    paths::{own_warehouse, scratch_root},
};

/// The variable that names an app (§2.5).
const APP_NAME: &str = "APP_NAME";

/// Everything that the command lines of one workspace have in common.
pub struct Driver<'a> {
    context: &'a Project,
    /// The Spark that starts it, once it is known.
    sql: Option<&'a SparkSql<'a>>,
    /// The environment that jobs inherit, with what workspace.toml puts above everybody else's.
    process_env: BTreeMap<String, String>,
    /// Jars that reach driver and tasks of online modes besides the online jar.
    added_jars: Vec<String>,
}

/// What a started command line has that a shown one has not.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// The folder of this step of this run.
    pub folder: &'a Path,
    /// How long the step may take.
    pub length: Length,
    /// The asset's properties, and more memory if the attempt is to have that.
    pub conf: &'a [(String, String)],
}

impl<'a> Driver<'a> {
    /// The Driver of a workspace. `sql` has the catalog of Spark that its jobs use, where there is one.
    pub fn new(context: &'a Project, sql: Option<&'a SparkSql<'a>>) -> Self {
        let mut process_env: BTreeMap<String, String> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let engine = &context.workspace.engine;
        if engine.names_master {
            process_env.insert(MASTER.to_owned(), engine.master.clone());
        }
        Self {
            context,
            sql,
            process_env,
            added_jars: Vec::new(),
        }
    }

    /// With jars that reach driver and tasks besides the online jar, e.g. the Kafka source.
    pub fn with_jars(mut self, jars: Vec<String>) -> Self {
        self.added_jars = jars;
        self
    }

    /// The command line of a streaming app. Its name is `name`, whatever the environment, the conf or
    /// `teams.json` say, so that it is found again.
    ///
    /// # Errors
    /// Why the Driver could not read it, or what is missing.
    pub fn app(&mut self, asset: &Asset, name: &str) -> Result<CommandLine, chronon::Error> {
        self.process_env
            .insert(APP_NAME.to_owned(), name.to_owned());
        let mut command = self.command(&any_step(asset), asset, None)?;
        command.env.retain(|(variable, _)| variable != APP_NAME);
        command
            .env
            .push((APP_NAME.to_owned(), Some(name.to_owned())));
        Ok(command)
    }

    /// The command line of a step.
    ///
    /// # Errors
    /// Why the Driver could not read it, or what is missing.
    pub fn command(
        &self,
        step: &Step,
        asset: &Asset,
        start: Option<Start<'_>>,
    ) -> Result<CommandLine, chronon::Error> {
        let parts = self.parts(asset, start)?;
        let mut command = self.with_job(step, asset, &parts, chronon::command)?;
        command.env.extend(self.environment(asset, start));
        Ok(command)
    }

    /// What a team would have typed instead.
    ///
    /// # Errors
    /// As for [`Driver::command`].
    pub fn run_py(&self, step: &Step, asset: &Asset) -> Result<CommandLine, chronon::Error> {
        let parts = self.parts(asset, None)?;
        self.with_job(step, asset, &parts, |setup, job| {
            Ok(chronon::run_py(setup, job))
        })
    }

    /// Why no run of the asset could be started, whatever its days.
    pub fn check(&self, asset: &Asset) -> Option<String> {
        if asset.fill == Fill::App {
            return None;
        }
        if asset.id.mode == AssetKind::LogFlattener && self.context.log_tables().is_none() {
            return Some(NO_LOG_TABLES.to_owned());
        }
        if self.lacks_left_times(asset) {
            return Some(NO_LEFT_TIMES.to_owned());
        }
        let error = self.command(&any_step(asset), asset, None).err()?;
        Some(error.to_string())
    }

    /// Whether the Driver would stop at a part that it computes for the days of the rows' times.
    fn lacks_left_times(&self, asset: &Asset) -> bool {
        let index = self.context.graph.find(&asset.id).unwrap_or_default();
        let conf = self.context.spark_conf(index);
        let mut off = conf.iter().filter(|(name, value)| {
            name == LEFT_TIME_RANGE && value.trim().eq_ignore_ascii_case("false")
        });
        !parts_of_times(asset).is_empty() && off.next().is_some()
    }

    fn with_job(
        &self,
        step: &Step,
        asset: &Asset,
        parts: &Parts,
        build: impl Fn(&Setup<'_>, &Job<'_>) -> Result<CommandLine, chronon::Error>,
    ) -> Result<CommandLine, chronon::Error> {
        let engine = &self.context.workspace.engine;
        let conf_path = match engine.deploy_mode.as_deref() {
            // A driver on another machine has another working folder (§10.17).
            Some("cluster") => self
                .context
                .workspace
                .repo
                .join(self.context.conf_path(asset)),
            _ => self.context.conf_path(asset),
        };
        let conf_path = conf_path.to_string_lossy();
        let job = Job {
            conf_path: &conf_path,
            meta_data: self.context.repo.find(&asset.id.conf).map(AnyConf::meta),
            start_ds: (parts.mode.honours_start() && asset.fill == Fill::Daily)
                .then_some(step.range.start),
            // One commit, and the same cuts whatever the Driver's default.
            step_days: Some(step.range.days()).filter(|days| *days > DRIVER_STEP_DAYS),
            mode: parts.mode.clone(),
            ds: step.range.end,
            run_first_hole: step.run_first_hole,
            extra_args: &parts.extra_args,
        };
        let setup = Setup {
            repo: &self.context.workspace.repo,
            teams: &self.context.repo.teams,
            env: &self.context.workspace.env,
            process_env: &self.process_env,
            launcher: &parts.launcher,
            jar: self.jar(asset),
            online_jar: engine.online_jar.as_deref(),
            online_class: engine.online_class.as_deref(),
            online_args: &[],
            app_name: None,
            class_path: Some(&parts.class_path),
            fallback_env: &parts.fallback_env,
        };
        build(&setup, &job)
    }

    fn parts(&self, asset: &Asset, start: Option<Start<'_>>) -> Result<Parts, chronon::Error> {
        let mode = mode(asset)?;
        let launcher = match self.context.workspace.engine.launcher {
            LauncherSetting::Scripts => Launcher::Scripts,
            LauncherSetting::SparkSubmit => Launcher::SparkSubmit(SparkSubmit {
                program: self.submit(),
                spark_home: self
                    .spark()
                    .map(|spark| spark.spark.home.display().to_string()),
                conf: self.conf(asset, start),
                deploy_mode: self.context.workspace.engine.deploy_mode.clone(),
                ..SparkSubmit::default()
            }),
        };
        let user_jars = self
            .conf(asset, start)
            .into_iter()
            .rev()
            .find(|(key, _)| key == "spark.jars");
        let class_path = ClassPath {
            user_jars: user_jars.map(|(_, jars)| jars),
            added: self.added_jars.clone(),
        };
        Ok(Parts {
            mode,
            launcher,
            class_path,
            extra_args: self.extra_args(asset),
            fallback_env: self.fallback_env(start),
        })
    }

    fn spark(&self) -> Option<&Spark> {
        self.sql.map(SparkSql::spark)
    }

    /// The program, or its bare name as long as its place is unknown.
    fn submit(&self) -> String {
        let found = self
            .spark()
            .map(|spark| spark.submit().display().to_string());
        found.unwrap_or_else(|| "spark-submit".to_owned())
    }

    /// The Driver's jar for the asset's team.
    fn jar(&self, asset: &Asset) -> Option<&str> {
        let Engine {
            chronon_jar,
            test_chronon_jar,
            test_team,
            ..
        } = &self.context.workspace.engine;
        let test = test_chronon_jar
            .as_deref()
            .filter(|_| asset.team == *test_team);
        test.or(chronon_jar.as_deref())
    }

    /// Properties that win over those of the launcher: the user's, then what the catalog needs.
    fn conf(&self, asset: &Asset, start: Option<Start<'_>>) -> Vec<(String, String)> {
        let index = self.context.graph.find(&asset.id).unwrap_or_default();
        let mut conf = match start {
            Some(start) => start.conf.to_vec(),
            None => self.context.spark_conf(index),
        };
        conf.extend(self.catalog_conf(&conf));
        if self.context.workspace.engine.deploy_mode.as_deref() == Some("cluster") {
            // Else a standalone cluster lets the child go as soon as its driver runs.
            let wait = ("spark.standalone.submit.waitAppCompletion", "true");
            conf.push((wait.0.to_owned(), wait.1.to_owned()));
        }
        conf
    }

    fn catalog_conf(&self, of_user: &[(String, String)]) -> Vec<(String, String)> {
        let workspace = &self.context.workspace;
        let warehouse = own_warehouse(workspace);
        let mut conf = required_conf(self.sql.map_or("", SparkSql::uri), warehouse.as_deref());
        let engine = &workspace.engine;
        let jvm = match self.sql {
            Some(sql) => sql.jvm().clone(),
            None => Jvm::below(scratch_root(workspace)),
        };
        conf.extend(machine_conf(
            &engine.master,
            engine.deploy_mode.as_deref(),
            &jvm,
            of_user,
        ));
        conf
    }

    /// The log tables of `log-flattener`, which its conf does not name (§2.1), and the user's own.
    fn extra_args(&self, asset: &Asset) -> Vec<String> {
        let tables = self.context.log_tables();
        let mut args = match (&asset.id.mode, tables) {
            (AssetKind::LogFlattener, Some((log, schemas))) => vec![
                format!("--log-table={log}"),
                format!("--schema-table={schemas}"),
            ],
            _ => Vec::new(),
        };
        let index = self.context.graph.find(&asset.id).unwrap_or_default();
        let of_user = self.context.driver_args(index, asset.id.mode.run_py_mode());
        args.extend_from_slice(of_user);
        args
    }

    /// Variables that have no other value (§10.16).
    fn fallback_env(&self, start: Option<Start<'_>>) -> Vec<(String, String)> {
        let workspace = &self.context.workspace;
        let mut found = vec![
            ("USER", "chronon".to_owned()),
            ("SPARK_SUBMIT_PATH", self.submit()),
            (MASTER, workspace.engine.master.clone()),
            ("PARTITION_COLUMN", workspace.partition_column.clone()),
        ];
        if workspace.engine.master.starts_with("local") {
            // The scripts' 4000 partitions and 1 GB are for clusters.
            found.push(("PARALLELISM", "8".to_owned()));
            found.push(("DRIVER_MEMORY", "2G".to_owned()));
        }
        if let (LauncherSetting::Scripts, Some(start)) = (workspace.engine.launcher, start) {
            // The scripts' log file is named after the app alone: jobs side by side would share it.
            found.push(("CHRONON_TMPDIR", start.folder.display().to_string()));
        }
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        found.into_iter().map(owned).collect()
    }

    /// What the child needs besides what run.py would give it.
    fn environment(
        &self,
        asset: &Asset,
        start: Option<Start<'_>>,
    ) -> Vec<(String, Option<String>)> {
        let workspace = &self.context.workspace;
        let Some(sql) = self.sql else {
            return Vec::new();
        };
        let length = start.map_or(Length::Long, |start| start.length);
        let mut options = java_options(sql.archive(), length);
        if workspace.engine.launcher == LauncherSetting::Scripts {
            // The scripts take no properties, but those of the JVM are Spark's too.
            let conf = self.conf(asset, start);
            options.extend(conf.iter().map(|(key, value)| format!("-D{key}={value}")));
        }
        let direct = workspace.engine.launcher == LauncherSetting::SparkSubmit;
        let mut found = spark_env(sql.spark(), sql.inherited_options(), sql.jvm(), &options);
        // The scripts remove it (§2.4); a user's own metastore may need its configuration folder.
        found.retain(|(name, _)| match name.as_str() {
            "SPARK_HOME" => direct,
            "HIVE_CONF_DIR" => matches!(workspace.catalog, Catalog::Embedded { .. }),
            _ => true,
        });
        if workspace.engine.names_master {
            found.push((MASTER.to_owned(), Some(workspace.engine.master.clone())));
        }
        found
    }
}

/// Sees to it that the databases exist that the plan writes to: the Driver creates none (§3). In the
/// workspace's own metastore they are made; in the user's that is for the user to do.
pub fn prepare_databases(
    context: &Project,
    warehouse: &CatalogSession,
    plan: &Plan,
) -> Result<(), Failure> {
    let Some(chronon_run_catalog::Catalog::Hive(hive)) = warehouse.catalog() else {
        return Ok(());
    };
    let tables = plan.assets.iter().map(|asset| asset.table.namespace());
    for name in tables.collect::<BTreeSet<&str>>() {
        if matches!(context.workspace.catalog, Catalog::Embedded { .. }) {
            hive.ensure_database(name).map_err(Failure::setup)?;
        } else if !hive.has_database(name).map_err(Failure::setup)? {
            return Err(Failure::hinted(
                format!(
                    "the metastore has no database `{name}`, and Chronon's Driver creates none"
                ),
                format!("CREATE DATABASE {name}"),
            ));
        }
    }
    Ok(())
}

/// What depends on the asset and must outlive its job.
struct Parts {
    mode: Mode,
    launcher: Launcher,
    class_path: ClassPath,
    extra_args: Vec<String>,
    fallback_env: Vec<(String, String)>,
}

/// What `--step-days` is without the option (§2.2).
const DRIVER_STEP_DAYS: u32 = 30;
/// The property without which the Driver does not know the days of the left rows' times.
const LEFT_TIME_RANGE: &str = "spark.chronon.join.backfill.left_time_range.enabled";
/// What it means if it is off.
const NO_LEFT_TIMES: &str = "spark.chronon.join.backfill.left_time_range.enabled = \"false\": the Driver stops at SNAPSHOT parts of a join with events on the left (None.get); leave it at \"true\"";
/// Why a log cannot be flattened.
const NO_LOG_TABLES: &str = "the raw log is not known; set CHRONON_LOG_TABLE and CHRONON_SCHEMA_TABLE in `default.common_env` of teams.json";
/// The variable that becomes `--master` (§2.4).
const MASTER: &str = "JOB_MODE";

/// The run.py mode that fills an asset.
/// A step of some day, for what does not depend on the day.
fn any_step(asset: &Asset) -> Step {
    let any_day = Ds::from_epoch_days(0);
    Step {
        index: 0,
        asset: asset.id.clone(),
        range: PartitionRange::day(any_day),
        latest_date: any_day,
        after: Vec::new(),
        once_over: Vec::new(),
        again: chronon_run_core::RangeSet::new(),
        family: String::new(),
        run_first_hole: false,
        command: None,
    }
}

fn mode(asset: &Asset) -> Result<Mode, chronon::Error> {
    let id = &asset.id;
    Mode::of(id.conf.conf_type, &id.mode).map_err(|_| chronon::Error::Folder {
        conf_path: asset.path.display().to_string(),
        mode: id.mode.run_py_mode(),
        folder: id.conf.conf_type.folder(),
    })
}
