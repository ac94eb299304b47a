//! Options that several commands share, as the command line parses them.

use std::{path::PathBuf, str::FromStr};

use chronon_run_conf::target::Share;
use chronon_run_core::{Ds, DsError};
use clap::{Args, ValueEnum};

/// Which assets a command is about.
#[derive(Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct SelectArgs {
    /// Assets: names, globs, `+x`, `x+`, `2+x`, `team:`, `type:`, `mode:`, `tag:`, `path:`,
    /// `source:`, `table:`, `state:`; a comma means "and", several mean "or".
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,

    /// The same as SELECTOR.
    #[arg(short, long, value_name = "SELECTOR", num_args = 1..)]
    pub select: Vec<String>,

    /// Assets to leave out.
    #[arg(long, value_name = "SELECTOR", num_args = 1..)]
    pub exclude: Vec<String>,
}

impl SelectArgs {
    /// Whether everything is meant.
    pub fn is_empty(&self) -> bool {
        self.selectors.is_empty() && self.select.is_empty() && self.exclude.is_empty()
    }
}

/// Which days a command is about.
#[derive(Args, Debug, Clone, Default)]
pub struct DayArgs {
    /// First day, inclusive [default: each asset's own].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub start_ds: Option<Ds>,

    /// Last day, inclusive [default: the last closed day].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub end_ds: Option<Ds>,

    /// One day: both the first and the last.
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with_all = ["start_ds", "end_ds"])]
    pub ds: Option<Ds>,

    /// The last closed day; no later day is planned [default: `as_of` of workspace.toml, else
    /// yesterday in the workspace's time zone].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub as_of: Option<Ds>,

    /// Accept an `--as-of`, `as_of` or `--ds` that is not over yet.
    #[arg(long)]
    pub allow_unfinished: bool,
}

/// Text for people or JSON for programs.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// How `show` and `query` print rows.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RowsOutput {
    /// A table, or one record below another where rows are wider than the screen.
    #[default]
    Table,
    /// A JSON array with a row on each line, with values as Spark's `to_json` writes them.
    Json,
    /// CSV with a header; NULL is an empty field, an empty string is `""`.
    Csv,
    /// A Parquet file.
    Parquet,
}

/// Where the figures of a run go.
#[derive(Args, Debug, Clone, Default)]
pub struct MetricsArgs {
    /// Write figures for Prometheus into this file, e.g. for node_exporter's textfile collector;
    /// replaced as a whole at the end.
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

/// What a run does once the last attempt of a step has failed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFailure {
    /// Start no further step; let the running ones finish.
    Stop,
    /// Go on with every step that does not need the failed one.
    Continue,
}

/// How a run goes and what is shown of it.
#[derive(Args, Debug, Clone, Default)]
pub struct RunArgs {
    /// How many steps run at once [default: `jobs` of workspace.toml].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,

    /// What to do when a step has failed [default: `on_failure` of workspace.toml].
    #[arg(long, value_enum)]
    pub on_failure: Option<OnFailure>,

    /// Show the plan and stop.
    #[arg(long)]
    pub dry_run: bool,

    /// How to print; json is the event stream, one event a line.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,

    /// Where its figures go.
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

/// Which keys and left rows are computed in a target.
#[derive(Args, Debug, Clone, Default)]
pub struct SampleArgs {
    /// Compute only this share of the keys, e.g. `1%`: rows of GroupBys and left rows of joins, the same
    /// in every run.
    #[arg(long, value_name = "SHARE", requires = "target")]
    pub sample: Option<Share>,

    /// Compute only the keys in this file of comma-separated values, whose first line names the columns.
    #[arg(
        long,
        value_name = "FILE",
        requires = "target",
        conflicts_with = "sample"
    )]
    pub keys: Option<PathBuf>,

    /// Compute the first N left rows of each day of a join in the order of the hash of their keys, the same in
    /// every run; rows with equal keys and times stay together. GroupBys and staging queries are computed in
    /// full.
    #[arg(
        long,
        value_name = "N",
        requires = "target",
        conflicts_with_all = ["sample", "keys"],
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub limit_left: Option<u32>,
}

/// `ASSET[@DS]`.
#[derive(Clone, Debug)]
pub struct AssetAt {
    /// An asset's id, or the name of a conf with one offline table.
    pub asset: String,
    /// The day, if one is named.
    pub ds: Option<Ds>,
}

impl FromStr for AssetAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (asset, ds) = match text.rsplit_once('@') {
            Some((asset, ds)) => (
                asset,
                Some(ds.parse().map_err(|error: DsError| error.to_string())?),
            ),
            None => (text, None),
        };
        Ok(Self {
            asset: asset.to_owned(),
            ds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_follows_the_last_at_sign() {
        let parse = |text: &str| text.parse::<AssetAt>();
        let found = parse("join/a.b/backfill@2026-01-02").unwrap();
        assert_eq!(found.asset, "join/a.b/backfill");
        assert_eq!(found.ds, "2026-01-02".parse().ok());
        assert_eq!(parse("a.b").unwrap().ds, None);
        assert!(parse("a.b@yesterday").is_err());
    }
}
