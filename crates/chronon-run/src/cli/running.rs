//! Arguments of the commands that run something.

use std::{path::PathBuf, time::Duration};

use crate::completing;
use chronon_run_core::Ds;
use clap::Args;

use super::{DayArgs, MetricsArgs, Output, RunArgs, SampleArgs, SelectArgs, TargetArgs};

/// Arguments of `materialize`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run materialize
  chronon-run materialize +stays.search_ranking.v1 --ds 2026-01-22")]
pub(crate) struct MaterializeArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    #[command(flatten)]
    pub(crate) days: DayArgs,

    /// Fill filled days again.
    #[arg(long)]
    pub(crate) recompute: bool,

    /// Rebuild tables whose columns differ from the conf: each old table is kept as
    /// `<table>__before_<run>` until the new one has all of its days, then dropped.
    #[arg(long)]
    pub(crate) rebuild: bool,

    /// Fill only filled days that are out of date again, because their conf was edited or their inputs
    /// were written again, and what is downstream of them.
    #[arg(long, conflicts_with = "recompute")]
    pub(crate) stale: bool,

    /// Do not ask before `--rebuild`, before `--recompute` or `--stale` with `kind = "chronon"` drops
    /// partitions, or before more than ten years without any input are filled.
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// Let the Driver rename the tables of edited joins, and compute them again.
    #[arg(long)]
    pub(crate) accept_archive: bool,

    /// Apply a plan saved by `plan --out`; refused if confs or partitions have changed since.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["selectors", "select", "exclude", "start_ds", "end_ds", "ds", "as_of", "recompute", "stale"])]
    pub(crate) plan: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    #[command(flatten)]
    pub(crate) sample: SampleArgs,

    #[command(flatten)]
    pub(crate) how: RunArgs,
}

/// Arguments of `frontfill`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run frontfill --quiet
  chronon-run frontfill --wait 2h --max-days 7")]
pub(crate) struct FrontfillArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// The last day to fill [default: the last closed day, minus each asset's lag].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) ds: Option<Ds>,

    /// The last closed day, by which schedules are due; no later day is planned [default: `as_of` of
    /// workspace.toml, else yesterday in the workspace's time zone].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) as_of: Option<Ds>,

    /// At most so many days of each asset, counted back from its last due day [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_days: Option<u32>,

    /// Wait so long for inputs that are not there yet, e.g. `2h`.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) wait: Option<Duration>,

    /// How often to look while waiting.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "1m")]
    pub(crate) poll: Duration,

    /// Print nothing when nothing happens: no step runs, and whatever waits is known not to be late.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) how: RunArgs,
}

/// Arguments of `retry`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run retry
  chronon-run retry 20260131-235959")]
pub(crate) struct RetryArgs {
    /// The run's id [default: the newest run].
    #[arg(add = completing::runs())]
    pub(crate) run: Option<String>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    #[command(flatten)]
    pub(crate) how: RunArgs,
}

/// Arguments of `stream`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run stream
  chronon-run stream --status")]
pub(crate) struct StreamArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// Show how each app is; start nothing.
    #[arg(long)]
    pub(crate) status: bool,

    /// End the apps, and forget starts that failed; the next `stream` starts them again.
    #[arg(long, conflicts_with = "status")]
    pub(crate) stop: bool,

    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,

    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
}
