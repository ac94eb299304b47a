//! What the pages are made of, and who gives it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use chronon_run_core::{
    AssetId, Ds, RangeSet, TableName,
    event::{Compared, Event},
};
use chronon_run_export::{AssetRow, AssetStatus, Link};
use chronon_run_ledger::{AttemptRecord, Pace, RunDetail, RunRecord};
use chronon_run_plan::{Cause, Explanation, Plan};
use chronon_run_rows::{ColumnDays, FirstRows};

/// Why something cannot be shown, as a command reports it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Trouble {
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// Everything about the workspace at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The workspace's name, for the title.
    pub name: String,
    /// When the catalog was listed, in milliseconds since the epoch.
    pub at: i64,
    /// The plan of everything.
    pub plan: Plan,
    /// What it says of the offline tables, as `chronon-run plan` without arguments, with estimates.
    pub offline: Plan,
    /// The assets, in the order of the plan.
    pub rows: Vec<AssetRow>,
    /// How far each asset is, in the order of the plan.
    pub statuses: Vec<AssetStatus>,
    /// The path of each online GroupBy.
    pub online: Vec<OnlinePath>,
    /// How long the last steps of each asset took.
    pub paces: BTreeMap<AssetId, Pace>,
    /// What is wrong with the workspace and its confs.
    pub findings: Vec<String>,
}

/// The path of an online GroupBy from its sources to the fetcher.
#[derive(Clone, Debug)]
pub struct OnlinePath {
    /// The GroupBy's name.
    pub group_by: String,
    /// Its links, sources first.
    pub links: Vec<Link>,
}

/// What the columns of the newest filled days of a table look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnHistory {
    /// The days that were read, oldest first.
    pub days: Vec<Ds>,
    /// How many of the newest days were left out, because all of them hold too much.
    pub left_out: usize,
    /// Each column.
    pub columns: Vec<ColumnDays>,
    /// What the columns hold, as far as the conf tells.
    pub described: BTreeMap<String, String>,
}

/// What defines an asset.
#[derive(Clone, Debug, Default)]
pub struct Definition {
    /// The compiled conf, relative to the repo.
    pub conf_path: PathBuf,
    /// Its text, with secrets masked.
    pub conf: String,
    /// The Python file that was compiled, relative to the repo, with its text, if it is there.
    pub python: Option<(PathBuf, String)>,
    /// What a step runs.
    pub script: Script,
}

/// What a step of an asset runs.
#[derive(Clone, Debug)]
pub enum Script {
    /// Spark SQL.
    Sql(String),
    /// A command line, with secrets masked.
    Command(String),
    /// Why there is none.
    None(String),
}

impl Default for Script {
    fn default() -> Self {
        Self::None(String::new())
    }
}

/// What is asked of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanForm {
    /// Selectors, as the command line takes them, separated by spaces.
    pub select: String,
    /// The first day, inclusive.
    pub start: Option<Ds>,
    /// The last day, inclusive.
    pub end: Option<Ds>,
}

impl PlanForm {
    /// The command line, without the program, that runs the plan. Values that a browser sent cannot become
    /// options.
    #[must_use]
    pub fn materialize(&self) -> Vec<String> {
        let mut arguments = vec!["materialize".to_owned()];
        arguments.extend(self.start.map(|ds| format!("--start-ds={ds}")));
        arguments.extend(self.end.map(|ds| format!("--end-ds={ds}")));
        arguments.push("--".to_owned());
        arguments.extend(self.select.split_whitespace().map(str::to_owned));
        arguments
    }
}

/// A conf that was edited since its tables were filled, or is no more.
#[derive(Clone, Debug, Default)]
pub struct EditedConf {
    /// `<type>/<conf name>`.
    pub conf: String,
    /// When its tables were filled last, in milliseconds since the epoch.
    pub filled_at: Option<i64>,
    /// What was edited, in words; or why the days are out of date.
    pub edits: Vec<String>,
    /// Other causes for which days are out of date.
    pub causes: Vec<Cause>,
    /// What becomes of the tables.
    pub consequence: String,
    /// Its tables, with the days that the edit is about.
    pub tables: BTreeMap<TableName, RangeSet>,
    /// Assets that read them.
    pub downstream: Vec<AssetId>,
}

/// What a page may start, where that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `materialize`.
    Materialize(PlanForm),
    /// `retry` of this run.
    Retry(String),
    /// Ends this run in order.
    Stop(String),
}

/// Where the values come from. Every function may block.
pub trait Source: Send + Sync + 'static {
    /// Lists the catalog and plans everything.
    ///
    /// # Errors
    /// If the workspace cannot be read or the catalog cannot be asked.
    fn look(&self) -> Result<View, Trouble>;

    /// A number that changes whenever something was recorded of a run. Cheap.
    fn stamp(&self) -> u64;

    /// The newest runs, newest first.
    fn runs(&self, limit: u32) -> Vec<RunRecord>;

    /// A run with its steps.
    fn run(&self, id: &str) -> Option<RunDetail>;

    /// What happened in a run, oldest first, and for each step that runs how far it is. Of a long run the newest
    /// events; empty if none were kept.
    fn events(&self, run: &str) -> Vec<Event>;

    /// Every attempt at an asset, oldest first.
    fn attempts(&self, asset: &AssetId) -> Vec<AttemptRecord>;

    /// What comparisons of logged features found on the newest days; empty for assets that compare none.
    fn compared(&self, asset: &AssetId) -> BTreeMap<Ds, Vec<Compared>>;

    /// Why a day is in its state, with the state of each input.
    ///
    /// # Errors
    /// If that cannot be planned.
    fn explain(&self, asset: &AssetId, ds: Ds) -> Result<Option<Explanation>, Trouble>;

    /// The first rows of a day, or of the newest one.
    ///
    /// # Errors
    /// If the day is not filled, or its files cannot be read without Spark.
    fn rows(&self, asset: &AssetId, ds: Option<Ds>) -> Result<FirstRows, Trouble>;

    /// What the columns of the newest filled days look like.
    ///
    /// # Errors
    /// If no day is filled, the files cannot be read without Spark, or hold too much.
    fn columns(&self, asset: &AssetId) -> Result<Arc<ColumnHistory>, Trouble>;

    /// What defines an asset.
    ///
    /// # Errors
    /// If the workspace cannot be read.
    fn definition(&self, asset: &AssetId, ds: Option<Ds>) -> Result<Definition, Trouble>;

    /// The assets that selectors select.
    ///
    /// # Errors
    /// If a selector is wrong or selects nothing.
    fn select(&self, selectors: &str) -> Result<BTreeSet<AssetId>, Trouble>;

    /// A plan as `chronon-run plan` makes it, of what was asked for.
    ///
    /// # Errors
    /// As [`Self::select`], or if the catalog cannot be asked.
    fn plan(&self, form: &PlanForm) -> Result<Plan, Trouble>;

    /// What edits of confs would change.
    ///
    /// # Errors
    /// If the catalog cannot be asked.
    fn diff(&self) -> Result<Vec<EditedConf>, Trouble>;

    /// The folder below which logs are. No other file is ever shown as one.
    fn logs(&self) -> PathBuf;

    /// Starts or stops a run; returns what was done in words.
    ///
    /// # Errors
    /// If it cannot be started, or there is no such run.
    fn act(&self, action: &Action) -> Result<String, Trouble>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_sends_cannot_become_an_option() {
        let form = PlanForm {
            select: "--recompute  a.v1 +b".to_owned(),
            start: Some("2026-01-01".parse().unwrap()),
            end: None,
        };
        assert_eq!(
            form.materialize(),
            [
                "materialize",
                "--start-ds=2026-01-01",
                "--",
                "--recompute",
                "a.v1",
                "+b"
            ]
        );
    }
}
