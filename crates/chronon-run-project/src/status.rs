//! How far each asset is, and how far what is served online.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, Ds, RangeSet, event::Compared};
use chronon_run_export::{AssetStatus, BAR_LEGEND, Facts, LastAttempt, causes_text, status};
use chronon_run_ledger::{AttemptRecord, Ledger};
use chronon_run_report::{Column, ago, comparison_text, count, differing_columns, outcome};
use serde::Serialize;

use crate::{
    engines::checking::{self, CheckResult},
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    output::{Page, note},
    planning::{
        due::Now,
        online::{self, Online},
        prepared::Planned,
    },
    program::now_millis,
    rows::statistics::{self, Statistics},
    streaming::{self, AppStatus},
};

/// Characters of a bar at most.
const BAR: u32 = 30;

const COLUMNS: [Column; 5] = [
    Column::id("asset"),
    Column::new("days", 2).of_bars(),
    Column::new("filled", 0),
    Column::new("newest", 1).of_states(),
    Column::new("last attempt", 3).of_outcomes(),
];

/// Everything that is shown.
#[derive(Serialize)]
pub struct Status {
    /// The last closed day.
    pub as_of: Ds,
    /// The assets, in the order of the plan.
    pub assets: Vec<AssetStatus>,
    /// What is served online.
    pub online: Vec<Online>,
    /// How equal what was served was to what is computed.
    pub consistency: Vec<LastComparison>,
    /// What data checks found last: of the newest day of each, and of days that do not pass.
    pub checks: Vec<CheckResult>,
    /// The newest statistics of joins and logs, of at most 20.
    pub statistics: Vec<Statistics>,
    /// How many joins and logs have statistics besides.
    pub more_statistics: usize,
}

/// The newest day on which a join's logged features were compared.
#[derive(Serialize)]
pub struct LastComparison {
    /// The join.
    pub join: String,
    /// The day.
    pub ds: Ds,
    /// Its features.
    pub columns: Vec<Compared>,
}

impl Status {
    /// What is known of the planned assets and of what is served at `now`.
    pub fn look(
        context: &Project,
        planned: &Planned<'_>,
        warehouse: &CatalogSession,
        mut ledger: Option<&mut Ledger>,
        now: Now,
    ) -> Self {
        let facts = ledger.as_deref_mut().map(facts).unwrap_or_default();
        let streams = streams(context, ledger.as_deref_mut());
        let (statistics, more_statistics) = statistics::of_planned(context, planned, warehouse);
        Self {
            as_of: planned.plan.as_of,
            assets: status(&planned.plan, &facts),
            online: online::paths(context, planned, now, &facts.uploaded, &streams),
            consistency: ledger.map(last_comparisons).unwrap_or_default(),
            checks: check_results(context, planned),
            statistics,
            more_statistics,
        }
    }

    /// For people: `totals`, the assets as a table, those with problems first, and below it what is to be known
    /// besides.
    #[must_use]
    pub fn page(&self, totals: &str) -> Page {
        let mut page = Page::default();
        page.say(&format!("as of {}\n", self.as_of));
        page.list_states(totals);
        page.say(&format!("{BAR_LEGEND}\n\n"));
        page.table(&COLUMNS, &self.rows());
        let open = self.open();
        if !open.is_empty() {
            page.say("\nnot filled\n");
            page.list_states(&open);
        }
        page.say(&self.besides());
        page
    }

    /// What is to be known besides how far each asset is filled.
    fn besides(&self) -> String {
        let mut text = String::new();
        for (heading, of) in KINDS_OF_DAYS {
            text += &headed(heading, &self.days(of));
        }
        text += &headed("excluded", &self.excluded());
        text += &headed(
            "days that do not pass a data check (`chronon-run check --data` checks them again)",
            &self.failed_checks(),
        );
        let online = self.online.iter();
        let online: String = online
            .map(|online| format!("  {}", online.text()))
            .collect();
        text += &headed("online", &online);
        let consistency: String = self.consistency.iter().map(LastComparison::text).collect();
        text += &headed("consistency with what was logged", &consistency);
        text + &headed("statistics of the newest day", &self.statistics())
    }

    fn statistics(&self) -> String {
        let mut text: String = self.statistics.iter().map(Statistics::text).collect();
        if self.more_statistics > 0 {
            text += &format!(
                "  {} more: `chronon-run status NAME` shows them\n",
                self.more_statistics
            );
        }
        text
    }

    /// A row for each asset, those with problems first, else in the order of the plan.
    fn rows(&self) -> Vec<Vec<String>> {
        let now = now_millis();
        let row = |asset: &AssetStatus| {
            let last = asset.last_attempt.as_ref();
            vec![
                asset.asset.to_string(),
                asset.bar(BAR),
                asset.filled_text(),
                asset.freshness_text(),
                last.map(|last| last_text(now, last)).unwrap_or_default(),
            ]
        };
        let (problems, others): (Vec<&AssetStatus>, Vec<_>) =
            self.assets.iter().partition(|asset| asset.has_problems());
        problems.into_iter().chain(others).map(row).collect()
    }

    fn open(&self) -> String {
        let open: BTreeMap<&AssetId, String> = self
            .assets
            .iter()
            .map(|asset| (&asset.asset, asset.open_text()))
            .filter(|(_, open)| !open.is_empty())
            .collect();
        let lines = open.iter();
        lines
            .map(|(asset, open)| format!("  {asset}: {open}\n"))
            .collect()
    }

    /// The assets with one kind of days.
    fn days(&self, of: DaysOf) -> String {
        let found = self.assets.iter().filter(|asset| !of(asset).is_empty());
        let line =
            |asset: &AssetStatus| format!("  {}: {}\n", asset.asset, counted_days(of(asset)));
        found.map(line).collect()
    }

    fn excluded(&self) -> String {
        let excluded = self.assets.iter().filter_map(|asset| {
            let why = asset.why_none.as_ref().filter(|_| asset.newest.is_none())?;
            Some(format!("  {}: {why}\n", asset.asset))
        });
        excluded.collect()
    }

    fn failed_checks(&self) -> String {
        let failed = self
            .checks
            .iter()
            .filter_map(|result| Some(format!("  {} ({})\n", result.text()?, result.on_fail())));
        failed.collect()
    }
}

/// Some of the days of an asset.
type DaysOf = fn(&AssetStatus) -> &RangeSet;

/// Kinds of days that are listed, with their headings.
const KINDS_OF_DAYS: [(&str, DaysOf); 4] = [
    (
        "out of date (`chronon-run status --stale` says why, `materialize --stale` fills them again)",
        |asset| &asset.stale,
    ),
    ("known to have no rows", |asset| &asset.empty),
    (
        "filled by another program or version: with which conf and inputs is not recorded",
        |asset| &asset.unrecorded,
    ),
    (
        "excluded, because they are before the first partition of a source (`chronon-run plan` names it)",
        |asset| &asset.before_history,
    ),
];

/// Lines below a heading; nothing if there are none.
fn headed(heading: &str, lines: &str) -> String {
    match lines.is_empty() {
        true => String::new(),
        false => format!("\n{heading}\n{lines}"),
    }
}

/// The planned assets that have days out of date.
pub fn stale(planned: &Planned<'_>, ledger: Option<&mut Ledger>) -> Vec<AssetStatus> {
    let facts = ledger.map(facts).unwrap_or_default();
    let mut assets = status(&planned.plan, &facts);
    assets.retain(|asset| !asset.stale.is_empty());
    assets
}

/// The assets that have days out of date, for people: how many days, the oldest, and why.
#[must_use]
pub fn stale_text(assets: &[AssetStatus]) -> String {
    assets.iter().map(stale_days).collect()
}

/// How many days of an asset are out of date, the oldest, and why.
fn stale_days(asset: &AssetStatus) -> String {
    let mut text = format!("{}: {}\n", asset.asset, counted_days(&asset.stale));
    for one in &asset.why_stale {
        text += &format!("  {}: {}\n", one.days, causes_text(&one.because));
    }
    text
}

/// `3 days, oldest 2026-01-04`.
fn counted_days(days: &RangeSet) -> String {
    let count = count(days.days(), "day");
    match days.first() {
        Some(oldest) => format!("{count}, oldest {oldest}"),
        None => count,
    }
}

/// How every streaming app is. If they cannot be listed, the rest is shown all the same.
pub fn streams(context: &Project, ledger: Option<&mut Ledger>) -> Vec<AppStatus> {
    let apps = streaming::apps_of(context, 0..context.graph.assets.len());
    if apps.is_empty() {
        return Vec::new();
    }
    streaming::look(context, &apps, ledger).unwrap_or_else(|failure| {
        if let Failure::Setup { message, .. } | Failure::OutOfReach { message } = &failure {
            note(&format!("the streaming apps cannot be listed: {message}"));
        }
        Vec::new()
    })
}

/// What the ledger knows of every asset.
pub fn facts(ledger: &mut Ledger) -> Facts {
    let last = ledger.last_attempts().into_iter();
    let mut uploaded = ledger.uploaded();
    uploaded.extend(ledger.loaded());
    Facts {
        last: last
            .map(|(asset, attempt)| (asset, last_attempt(attempt)))
            .collect(),
        failing: ledger.failing_days(),
        uploaded,
    }
}

/// What data checks found of the planned assets.
fn check_results(context: &Project, planned: &Planned<'_>) -> Vec<CheckResult> {
    let mut found = checking::Records::of(context).shown(context);
    let assets = &planned.plan.assets;
    found.retain(|result| assets.iter().any(|planned| planned.asset == result.asset));
    found
}

/// The newest day of every join that was ever compared.
fn last_comparisons(ledger: &mut Ledger) -> Vec<LastComparison> {
    let all = ledger.compared().into_iter();
    let newest = all.filter_map(|(asset, mut columns)| {
        let ds = columns.iter().map(|found| found.ds).max()?;
        columns.retain(|found| found.ds == ds);
        Some(LastComparison {
            join: asset.conf.name,
            ds,
            columns,
        })
    });
    newest.collect()
}

fn last_attempt(attempt: AttemptRecord) -> LastAttempt {
    let how = match &attempt.outcome {
        Some(how) => outcome(how),
        None if attempt.abandoned => "killed with its run".to_owned(),
        None => "not over".to_owned(),
    };
    LastAttempt {
        at: attempt.finished.or(attempt.started).unwrap_or_default(),
        run: attempt.run,
        range: attempt.range,
        outcome: how,
    }
}

impl LastComparison {
    fn text(&self) -> String {
        let found = comparison_text(&self.columns);
        let mut text = format!("  {} on {}: {found}\n", self.join, self.ds);
        for column in differing_columns(&self.columns) {
            text += &format!("    {column}\n");
        }
        text
    }
}

fn last_text(now: i64, last: &LastAttempt) -> String {
    format!("{} {} in run {}", last.outcome, ago(now, last.at), last.run)
}
