//! Arguments of the commands that show tables and runs.

use std::path::PathBuf;

use crate::completing;
use chronon_run_core::Ds;
use clap::{Args, Subcommand};

use super::{AssetAt, DayArgs, Output, RowsOutput, SelectArgs, TargetArgs};

/// Arguments of `status`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run status
  chronon-run status --problems --output json")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// The last closed day [default: `as_of` of workspace.toml, else yesterday in the workspace's
    /// time zone].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) as_of: Option<Ds>,

    /// Show only the days that are out of date, and why.
    #[arg(long)]
    pub(crate) stale: bool,

    /// Show only assets with days that failed, are out of date, wait or are missing.
    #[arg(long)]
    pub(crate) problems: bool,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Arguments of `show`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run show stays.search_ranking.v1@2026-01-22 --columns guest_id,ts
  chronon-run show lake.bookings --profile
  chronon-run show --online stays.reviews.listing_v1 --key listing_id=L07")]
pub(crate) struct ShowArgs {
    /// The table: an asset's id, a conf's name, or a table or seed as `db.table`; and a day
    /// [default: the newest that is filled].
    #[arg(value_name = "NAME[@DS]", add = completing::assets())]
    pub(crate) table: AssetAt,

    /// How many rows; 0 is all.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        conflicts_with = "profile"
    )]
    pub(crate) limit: u64,

    /// Only these columns, in this order, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,

    /// Only rows for which this Spark SQL condition holds; Spark is started for it.
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,

    /// Show what is served online for a key of a GroupBy, by the hook `kv_get`, beside the row of the same key in
    /// the GroupBy's table.
    #[arg(long, requires = "key", conflicts_with_all = ["columns", "condition", "profile", "target", "limit"])]
    pub(crate) online: bool,

    /// With --online: the value of a key column; once for each.
    #[arg(long, value_name = "NAME=VALUE", requires = "online")]
    pub(crate) key: Vec<String>,

    /// Instead of rows, show of each column how many values are NULL and how many are different, the
    /// least, greatest and mean, and the most frequent ones.
    #[arg(long)]
    pub(crate) profile: bool,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: RowsOutput,
}

/// Arguments of `compare`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run compare stays.search_ranking.v1@2026-01-21 stays.search_ranking.v1@2026-01-22 --on search_id
  chronon-run compare stays.search_ranking.v1 --target dev")]
pub(crate) struct CompareArgs {
    /// The left table, as for `show`, and a day [default: the newest that is filled].
    #[arg(value_name = "A[@DS]", add = completing::assets())]
    pub(crate) left: AssetAt,

    /// The right table [default, with --target: A in the target].
    #[arg(value_name = "B[@DS]", add = completing::assets())]
    pub(crate) right: Option<AssetAt>,

    /// The columns that identify a row, separated by commas [default: the conf's row ids; or its keys, `ts` of
    /// left sides of events, and over several days the day].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) on: Vec<String>,

    /// Compare all days of both tables from this one on.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) start_ds: Option<Ds>,

    /// The last of these days, inclusive [default: the last closed day].
    #[arg(long, value_name = "YYYY-MM-DD", requires = "start_ds")]
    pub(crate) end_ds: Option<Ds>,

    /// Compare only these columns, separated by commas [default: all that both have].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,

    /// How many rows that differ are shown.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) limit: u64,

    /// Exit 1 if anything differs.
    #[arg(long)]
    pub(crate) exit_code: bool,

    // A is read in production, B in the target.
    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Arguments of `query`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run query \"SELECT ds, count(*) AS rows FROM lake.searches GROUP BY ds ORDER BY ds\"
  chronon-run query \"DESCRIBE lake.bookings\" --output json")]
pub(crate) struct QueryArgs {
    /// One statement that reads: SELECT, WITH, VALUES, TABLE, SHOW, DESCRIBE or EXPLAIN.
    #[arg(value_name = "SQL")]
    pub(crate) statement: String,

    /// How many rows; 0 is all.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u64,

    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: RowsOutput,
}

/// Arguments of `sql`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run sql stays.search_ranking.v1
  chronon-run sql stays.search_ranking.v1 --ds 2026-01-22")]
pub(crate) struct SqlArgs {
    /// The asset, or a conf name if it has only one offline table.
    #[arg(add = completing::assets())]
    pub(crate) asset: String,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    #[command(flatten)]
    pub(crate) days: DayArgs,
}

/// Arguments of `runs`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run runs
  chronon-run runs show 20260131-235959")]
pub(crate) struct RunsArgs {
    /// What to show; without it, the newest runs.
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// How to print.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(crate) output: Output,
}

/// What `runs` does.
#[derive(Subcommand, Debug)]
pub(crate) enum RunsCommand {
    /// Show one run: its steps, attempts and logs.
    #[command(after_help = "Examples:
  chronon-run runs show 20260131-235959
  chronon-run runs show 20260131-235959 --output json")]
    Show {
        /// The run's id.
        #[arg(add = completing::runs())]
        id: String,
    },
    /// Forget old runs and delete their folders. What a later run needs to know stays.
    #[command(after_help = "Examples:
  chronon-run runs prune
  chronon-run runs prune --keep 200")]
    Prune {
        /// How many of the newest runs stay.
        #[arg(long, value_name = "N", default_value_t = 50)]
        keep: u32,
    },
}

/// Arguments of `report`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run report --out run.html
  chronon-run report --site public")]
pub(crate) struct ReportArgs {
    /// The run's id [default: the newest run].
    #[arg(add = completing::runs())]
    pub(crate) run: Option<String>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// Where to write the page [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Write the pages of `chronon-run ui` into this folder instead, to be opened or served as files.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "out"])]
    pub(crate) site: Option<PathBuf>,
}

/// Arguments of `ui`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run ui --open
  chronon-run ui --port 0 --allow-runs")]
pub(crate) struct UiArgs {
    /// Which port; 0 takes any that is free.
    #[arg(long, value_name = "N", default_value_t = 8747)]
    pub(crate) port: u16,

    /// Which address to listen on, instead of this machine only. The printed address then holds a token.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub(crate) host: String,

    /// Open the page in the browser.
    #[arg(long)]
    pub(crate) open: bool,

    /// Let the pages start, retry and stop runs. The printed address then holds a token.
    #[arg(long)]
    pub(crate) allow_runs: bool,
}

/// Arguments of `logs`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run logs stays.search_ranking.v1
  chronon-run logs stays.search_ranking.v1@2026-01-22 --grep ERROR")]
pub(crate) struct LogsArgs {
    /// The asset, and a day if not its newest attempt.
    #[arg(value_name = "ASSET[@DS]", add = completing::assets())]
    pub(crate) asset: AssetAt,

    /// Which attempt [default: the last].
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,

    /// Print the file's path instead of its text.
    #[arg(long, conflicts_with_all = ["follow", "sql", "command", "grep"])]
    pub(crate) path: bool,

    /// Print the Spark SQL that the attempt ran instead of its log.
    #[arg(long, conflicts_with_all = ["follow", "command", "grep"])]
    pub(crate) sql: bool,

    /// Print the attempt's command line instead of its log.
    #[arg(long, conflicts_with_all = ["follow", "grep"])]
    pub(crate) command: bool,

    /// Print only the lines in which this regular expression is found.
    #[arg(long, value_name = "PATTERN", conflicts_with = "follow")]
    pub(crate) grep: Option<regex::Regex>,

    /// Follow the log as it grows, until the attempt has ended.
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// json: print what is known of the attempt instead of its log.
    #[arg(long, value_enum, default_value_t, conflicts_with_all = ["path", "follow", "sql", "command", "grep"])]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}
