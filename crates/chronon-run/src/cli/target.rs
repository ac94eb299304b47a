//! Arguments about targets.

use std::path::PathBuf;

use chronon_run_conf::target::Share;
use clap::{Args, Subcommand};

use super::Output;

/// For which target a command is.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct TargetArgs {
    /// Use this target of workspace.toml instead of production: outputs go to its namespaces, and inputs
    /// that were not built there are read from production.
    #[arg(long, value_name = "TARGET")]
    pub(crate) target: Option<String>,
}

impl TargetArgs {
    /// The target's name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.target.as_deref()
    }
}

/// Which keys are computed in a target.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct SampleArgs {
    /// Compute only this share of the keys, e.g. `1%`: rows of GroupBys and left rows of joins, the same
    /// in every run.
    #[arg(long, value_name = "SHARE", requires = "target")]
    pub(crate) sample: Option<Share>,

    /// Compute only the keys in this file of comma-separated values, whose first line names the columns.
    #[arg(
        long,
        value_name = "FILE",
        requires = "target",
        conflicts_with = "sample"
    )]
    pub(crate) keys: Option<PathBuf>,
}

/// What `target` does.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:
  chronon-run target list
  chronon-run target drop dev --yes")]
pub(crate) enum TargetCommand {
    /// List the targets of workspace.toml, their namespaces, and how many tables each has.
    List {
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Drop the tables that were filled in a target, after asking, and forget its runs.
    Drop {
        /// The target.
        #[arg(value_name = "TARGET")]
        name: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}
