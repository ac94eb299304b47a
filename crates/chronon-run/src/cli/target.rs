//! Arguments about targets.

use crate::completing;
use chronon_run_project::{
    failure::Failure,
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
};
use clap::{Args, Subcommand};

use super::{Output, SelectArgs};

/// For which target a command is.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct TargetArgs {
    /// Use this target of workspace.toml instead of production: outputs go to its namespaces, and inputs
    /// that were not built there are read from production.
    #[arg(long, value_name = "TARGET", add = completing::targets())]
    pub(crate) target: Option<String>,
}

impl TargetArgs {
    /// The target's name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// The workspace of the current directory, in the target with what was built there.
    pub(crate) fn project(&self) -> Result<Project, Failure> {
        targets::load(self.name(), &SelectArgs::default(), Unselected::Built)
    }
}

/// What `target` does.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:
  chronon-run target list
  chronon-run target drop dev --yes")]
pub(crate) enum TargetCommand {
    /// List the targets of workspace.toml, their namespaces, and how many tables each has.
    #[command(after_help = "Examples:
  chronon-run target list
  chronon-run target list --output json")]
    List {
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Drop the tables that were filled in a target, after asking, and forget its runs.
    #[command(after_help = "Examples:
  chronon-run target drop dev
  chronon-run target drop dev --yes")]
    Drop {
        /// The target.
        #[arg(value_name = "TARGET", add = completing::targets())]
        name: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}
