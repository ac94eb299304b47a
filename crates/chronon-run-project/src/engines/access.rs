//! The Spark that a command uses: found or installed when it is first needed.

use std::sync::{Arc, OnceLock};

use chronon_run_spark::{self as spark, Jvm, Spark};
use chronon_run_workspace::Workspace;

use crate::{
    engines::hosts::Hosts,
    failure::Failure,
    loading::{
        machine::{self, Machine},
        spark::{find_spark, spark_environment},
    },
};

/// Spark, the folders of its JVMs, the processes that slots share, and the metastore that all of them use.
#[derive(Default)]
pub struct SparkAccess {
    // Before the folder in which its files are.
    hosts: Arc<Hosts>,
    uri: String,
    spark: Option<Spark>,
    machine: OnceLock<Machine>,
}

impl SparkAccess {
    /// With the metastore at `uri` and a Spark that is known already, if one is.
    pub fn new(uri: String, spark: Option<Spark>) -> Self {
        Self {
            uri,
            spark,
            ..Self::default()
        }
    }

    /// The same with the metastore at `uri`.
    pub fn at(self, uri: String) -> Self {
        Self { uri, ..self }
    }

    /// The Spark that the slots of this process share.
    pub fn hosts(&self) -> &Arc<Hosts> {
        &self.hosts
    }

    /// `thrift://…`, empty if there is none.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The folders of the JVMs of this process, created when they are first needed.
    pub fn jvm(&self, workspace: &Workspace) -> Result<Jvm, Failure> {
        if let Some(machine) = self.machine.get() {
            return Ok(machine.jvm().clone());
        }
        let machine = Machine::prepare(workspace, self.known(workspace).as_ref())?;
        Ok(self.machine.get_or_init(|| machine).jvm().clone())
    }

    /// The Spark that would run the jobs, if there is one already.
    pub fn known(&self, workspace: &Workspace) -> Option<Spark> {
        self.spark.clone().or_else(|| {
            let found = spark::find(&spark_environment(Some(workspace))).ok()?;
            found.complete()
        })
    }

    /// The Spark that runs the jobs, found or installed now if it was not needed before.
    pub fn find(&self, workspace: &Workspace) -> Result<Spark, Failure> {
        let spark = match &self.spark {
            Some(spark) => spark.clone(),
            None => find_spark(workspace)?,
        };
        machine::check_limits(&spark)?;
        Ok(spark)
    }
}
