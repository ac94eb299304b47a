//! How this workspace starts Spark SQL: the one place that puts its settings together.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use chronon_run_core::CommandLine;
use chronon_run_spark::{
    InheritedOptions, Jvm, Spark,
    archive::Archive,
    command::{Length, SqlJobs},
    conceal::{Place, conceal},
    host,
};
use chronon_run_workspace::{Engine, FastStart, Workspace};

use crate::{
    engines::hosts::SharedSpark,
    failure::Failure,
    listing::session::{CatalogSession, log_config, own_warehouse},
    loading::machine::scratch_root,
    runs::archives::{Purpose, archive},
};

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
    pub fn new(workspace: &'a Workspace, warehouse: &'a CatalogSession) -> Result<Self, Failure> {
        let spark = warehouse.spark(workspace)?;
        Ok(Self {
            archive: archive(Purpose::Sql, &spark),
            log_config: Some(log_config(&workspace.state_dir)?),
            inherited_options: InheritedOptions::of(|name| env::var(name).ok()),
            jvm: warehouse.jvm(workspace)?,
            ..Self::shown(workspace, warehouse.uri(), spark)
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
        let place = Place {
            folder: &self.jvm.scratch,
            spark_home: &self.spark.spark.home,
            java: self.spark.java.major,
        };
        conceal(command, place, |name| env::var(name).ok())
    }

    /// The Spark that slots share; `None` where each script has a process of its own: on a cluster, where
    /// it is not asked for, and with a Spark without the compiler that the host needs.
    pub fn shared(&self, workspace: &Workspace) -> Result<Option<SharedSpark>, Failure> {
        let engine = self.engine;
        if !engine.share_spark || !engine.master.starts_with("local") || !host::runs_on(&self.spark)
        {
            return Ok(None);
        }
        let folder = self.jvm.scratch.clone();
        let source = folder.join("SessionHost.java");
        chronon_run_process::replace(&source, host::SOURCE).map_err(|error| {
            Failure::setup(format!("cannot write {}: {error}", source.display()))
        })?;
        let conf = common_conf(engine);
        let length = match engine.fast_start {
            FastStart::Never => Length::Long,
            FastStart::Auto | FastStart::Always => Length::Short,
        };
        let command = self.jobs(&conf).host(&source, workspace.run.jobs, length);
        Ok(Some(SharedSpark {
            key: command.to_string(),
            command: self.concealed(command).map_err(Failure::setup)?,
            folder,
            grace: workspace.run.grace,
        }))
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
