//! How this workspace starts Spark SQL: the one place that puts its settings together.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use chronon_run_core::CommandLine;
use chronon_run_process::{Keep, User};
use chronon_run_spark::{
    InheritedOptions, Jvm, Spark,
    archive::Archive,
    command::{Length, SqlJobs},
    conceal::{Place, conceal, defaults},
    host,
    maven::text_sha256,
};
use chronon_run_workspace::{Engine, EngineKind, FastStart, Workspace};

use crate::{
    engines::{
        access::SparkAccess,
        hosts::SharedSpark,
        keeping::{is_shared, keep_for},
    },
    failure::Failure,
    loading::{machine::of_kept, spark::log_config},
    paths::{kept_root, own_warehouse, scratch_root},
    runs::archives::{Purpose, archive},
};

/// How the variables begin that Spark, its file systems and its JVM read.
const ENVIRONMENT: [&str; 14] = [
    "SPARK_", "HADOOP_", "HIVE_", "YARN_", "JAVA_", "JDK_", "_JAVA_", "AWS_", "AZURE_", "GOOGLE_",
    "KRB5", "HTTP", "http", "LD_",
];
/// Letters of the name of a kept process.
const NAME: usize = 16;

/// Spark, and what every SQL job of the workspace is started with.
pub struct SparkSql<'a> {
    engine: &'a Engine,
    spark: Spark,
    uri: &'a str,
    warehouse: Option<PathBuf>,
    jvm: Jvm,
    log_config: Option<PathBuf>,
    archive: Option<Archive>,
    inherited_options: InheritedOptions,
}

impl<'a> SparkSql<'a> {
    /// To run jobs: finds or installs Spark, and writes the logging configuration.
    pub fn new(workspace: &'a Workspace, access: &'a SparkAccess) -> Result<Self, Failure> {
        let spark = access.find(workspace)?;
        Ok(Self {
            archive: archive(Purpose::Sql, &spark),
            log_config: Some(log_config(&workspace.state_dir)?),
            inherited_options: InheritedOptions::of(|name| env::var(name).ok()),
            jvm: access.jvm(workspace)?,
            ..Self::shown(workspace, access.uri(), spark)
        })
    }

    /// To show command lines: without what is only known, or only exists, in a run.
    pub fn shown(workspace: &'a Workspace, uri: &'a str, spark: Spark) -> Self {
        Self {
            engine: &workspace.engine,
            spark,
            uri,
            warehouse: own_warehouse(workspace),
            jvm: Jvm::below(scratch_root(workspace)),
            log_config: None,
            archive: None,
            inherited_options: InheritedOptions::default(),
        }
    }

    /// The same with folders of its own, for what outlives this process.
    pub fn with_jvm(self, jvm: Jvm) -> Self {
        Self { jvm, ..self }
    }

    /// The folders of its JVMs.
    pub fn jvm(&self) -> &Jvm {
        &self.jvm
    }

    /// The Spark that runs it.
    pub fn spark(&self) -> &Spark {
        &self.spark
    }

    /// `thrift://…`, empty if there is none.
    pub fn uri(&self) -> &str {
        self.uri
    }

    /// The class-data archive, if there is one.
    pub fn archive(&self) -> Option<&Archive> {
        self.archive.as_ref()
    }

    /// JVM options of this process's environment.
    pub fn inherited_options(&self) -> &InheritedOptions {
        &self.inherited_options
    }

    /// A process of its own that runs `script`.
    pub fn script(
        &self,
        conf: &[(String, String)],
        script: &Path,
        name: &str,
        length: Length,
    ) -> CommandLine {
        self.jobs(conf).script(script, name, length)
    }

    /// A session that gets its scripts one by one.
    pub fn session(&self, conf: &[(String, String)], length: Length) -> CommandLine {
        self.jobs(conf).session("chronon-run", length)
    }

    /// A command line of this workspace as it is started: its secrets are in files of the scratch folder
    /// that only the user can read, not among its arguments.
    pub fn concealed(&self, command: CommandLine) -> io::Result<CommandLine> {
        let place = Place::of(&self.spark, &self.jvm.scratch);
        conceal(command, place, |name| env::var(name).ok())
    }

    /// The Spark that slots share; `None` where each script has a process of its own: on a cluster, where
    /// it is not asked for, and with a Spark without the compiler that the host needs.
    pub fn shared(&self, workspace: &Workspace) -> Result<Option<SharedSpark>, Failure> {
        if !is_shared(workspace) || !host::runs_on(&self.spark) {
            return Ok(None);
        }
        let Some(idle) = keep_for(workspace) else {
            return self.shared_with(workspace, &self.jvm, None).map(Some);
        };
        let root = kept_root(workspace);
        let name = self.kept_name(workspace, &root);
        let folder = root.join(&name);
        let jvm = of_kept(workspace, &folder, &name)?;
        let keep = Keep { folder, idle };
        self.shared_with(workspace, &jvm, Some(keep)).map(Some)
    }

    fn shared_with(
        &self,
        workspace: &Workspace,
        jvm: &Jvm,
        keep: Option<Keep>,
    ) -> Result<SharedSpark, Failure> {
        let source = jvm.scratch.join("SessionHost.java");
        chronon_run_process::replace(&source, host::SOURCE).map_err(|error| {
            Failure::setup(format!("cannot write {}: {error}", source.display()))
        })?;
        let command = self.host_command(workspace, jvm, self.archive.as_ref(), &source);
        Ok(SharedSpark {
            key: command.to_string(),
            command,
            folder: jvm.scratch.clone(),
            spark: self.spark.clone(),
            grace: workspace.run.grace,
            keep,
            metastore: self.uri.to_owned(),
        })
    }

    fn host_command(
        &self,
        workspace: &Workspace,
        jvm: &Jvm,
        archive: Option<&Archive>,
        source: &Path,
    ) -> CommandLine {
        let conf = common_conf(self.engine);
        let length = match self.engine.fast_start {
            FastStart::Never => Length::Long,
            FastStart::Auto | FastStart::Always => Length::Short,
        };
        let jobs = SqlJobs {
            jvm,
            archive,
            ..self.jobs(&conf)
        };
        jobs.host(source, workspace.run.jobs, length)
    }

    /// The same for the same user, program, settings and environment, so that a later command finds the
    /// process: not the class-data archive, which changes no result and appears later.
    fn kept_name(&self, workspace: &Workspace, root: &Path) -> String {
        let jvm = Jvm::below(root.to_owned());
        let command = self.host_command(workspace, &jvm, None, root);
        let relevant = |name: &str| ENVIRONMENT.iter().any(|start| name.starts_with(start));
        let mut env: Vec<_> = env::vars_os()
            .filter(|(name, _)| relevant(&name.to_string_lossy()))
            .collect();
        env.sort();
        let user = User::current().uid;
        // One that cannot be read is reported by Spark.
        let defaults = defaults(&self.spark.spark.home, env::var("SPARK_CONF_DIR").ok());
        let defaults = defaults.unwrap_or_default();
        let defaults = String::from_utf8_lossy(&defaults);
        let text = format!("{user}\n{}\n{command}\n{env:?}\n{defaults}", host::SOURCE);
        let mut name = text_sha256(&text);
        name.truncate(NAME);
        name
    }

    fn jobs<'b>(&'b self, conf: &'b [(String, String)]) -> SqlJobs<'b> {
        SqlJobs {
            spark: &self.spark,
            master: &self.engine.master,
            conf,
            metastore_uri: self.uri,
            warehouse: self.warehouse.as_deref(),
            jvm: &self.jvm,
            log_config: self.log_config.as_deref(),
            archive: self.archive.as_ref(),
            inherited_options: &self.inherited_options,
        }
    }
}

/// The Spark configuration of the workspace, without that of single assets.
pub fn common_conf(engine: &Engine) -> Vec<(String, String)> {
    engine.conf.clone().into_iter().collect()
}

/// Starts the Spark that slots share, so that it is there when the first script is. What goes wrong is
/// told by that script.
pub fn start_host(workspace: &Workspace, access: &SparkAccess) {
    let engine = &workspace.engine;
    let is_needed = engine.kind == EngineKind::Sql || !workspace.seeds.is_empty();
    if !is_needed || !is_shared(workspace) {
        return;
    }
    let shared = SparkSql::new(workspace, access).and_then(|sql| sql.shared(workspace));
    if let Ok(Some(shared)) = shared {
        let _ = access.hosts().host(&shared);
    }
}
