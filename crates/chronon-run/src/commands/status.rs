//! `chronon-run status`: how far each asset is, and how far what is served online.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, Ds, RangeSet, event::Compared};
use chronon_run_export::{AssetStatus, BAR_LEGEND, Facts, LastAttempt, causes_text, status};
use chronon_run_ledger::{AttemptRecord, Ledger};
use chronon_run_project::{
    engines::checking::{self, CheckResult},
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
    output::{addressed, json, note, on_screen, print, say},
    planning::{
        due::Now,
        online::{self, Online},
        prepared::{Planned, Wanted},
    },
    program::now_millis,
    streaming::{self, AppStatus},
};
use chronon_run_report::{Column, ago, comparison_text, count, differing_columns, outcome};
use serde::Serialize;

use crate::cli::{DayArgs, Output, StatusArgs};

/// Characters of a bar at most.
const BAR: u32 = 30;

const COLUMNS: [Column; 5] = [
    Column::new("asset", 0),
    Column::new("days", 2),
    Column::new("filled", 0),
    Column::new("newest", 1),
    Column::new("last attempt", 3),
];

/// Everything that is shown.
#[derive(Serialize)]
struct Status {
    /// The last closed day.
    as_of: Ds,
    assets: Vec<AssetStatus>,
    online: Vec<Online>,
    consistency: Vec<LastComparison>,
    /// What data checks found last: of the newest day of each, and of days that do not pass.
    checks: Vec<CheckResult>,
}

/// The newest day on which a join's logged features were compared.
#[derive(Serialize)]
struct LastComparison {
    join: String,
    ds: Ds,
    columns: Vec<Compared>,
}

pub(crate) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let context = targets::load(args.target.name(), &args.select, Unselected::Built)?;
    let wanted = Wanted {
        select: args.select.clone(),
        days: DayArgs {
            as_of: args.as_of,
            ..DayArgs::default()
        },
        every_mode: true,
        compare: true,
        ..Wanted::default()
    };
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let planned = Planned::make(&context, &wanted, &warehouse, ledger.as_mut())?;
    let facts = ledger.as_mut().map(facts).unwrap_or_default();
    let streams = streams(&context, ledger.as_mut());
    let now = match args.as_of.or(context.workspace.as_of) {
        Some(as_of) => Now::After(as_of),
        None => Now::Clock,
    };
    let mut assets = status(&planned.plan, &facts);
    if args.problems {
        assets.retain(AssetStatus::has_problems);
    }
    if args.stale {
        return show_stale(assets, args.output);
    }
    let shown = Status {
        as_of: planned.plan.as_of,
        assets,
        online: online::paths(&context, &planned, now, &facts.uploaded, &streams),
        consistency: ledger.as_mut().map(last_comparisons).unwrap_or_default(),
        checks: check_results(&context, &planned),
    };
    for notice in ledger.iter_mut().flat_map(Ledger::take_notices) {
        note(&notice);
    }
    match args.output {
        Output::Json => print(&json(&shown)?),
        Output::Text => say(&addressed(&text(&shown))),
    }
}

/// Only the assets that have days out of date.
fn show_stale(mut assets: Vec<AssetStatus>, output: Output) -> Result<(), Failure> {
    assets.retain(|asset| !asset.stale.is_empty());
    match output {
        Output::Json => print(&json(&assets)?),
        Output::Text if assets.is_empty() => print("no filled day is known to be out of date\n"),
        Output::Text => say(&assets.iter().map(stale_text).collect::<String>()),
    }
}

/// How many days of an asset are out of date, the oldest, and why.
fn stale_text(asset: &AssetStatus) -> String {
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

/// A headed list of one kind of days; nothing if there are none.
fn filled_days(status: &Status, heading: &str, of: fn(&AssetStatus) -> &RangeSet) -> String {
    let found = status.assets.iter().filter(|asset| !of(asset).is_empty());
    let line = |asset: &AssetStatus| format!("  {}: {}\n", asset.asset, counted_days(of(asset)));
    let lines: String = found.map(line).collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\n{heading}\n{lines}"),
    }
}

/// How every streaming app is. If they cannot be listed, the rest is shown all the same.
pub(crate) fn streams(context: &Project, ledger: Option<&mut Ledger>) -> Vec<AppStatus> {
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

pub(crate) fn facts(ledger: &mut Ledger) -> Facts {
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

fn text(status: &Status) -> String {
    let now = now_millis();
    let row = |asset: &AssetStatus| {
        vec![
            asset.asset.to_string(),
            asset.bar(BAR),
            asset.filled_text(),
            asset.freshness_text(),
            asset
                .last_attempt
                .as_ref()
                .map(|last| last_text(now, last))
                .unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = status.assets.iter().map(row).collect();
    let mut text = format!("as of {}\n{BAR_LEGEND}\n\n", status.as_of);
    text += &on_screen(&COLUMNS, &rows);
    let open: BTreeMap<&AssetId, String> = status
        .assets
        .iter()
        .map(|asset| (&asset.asset, asset.open_text()))
        .filter(|(_, open)| !open.is_empty())
        .collect();
    if !open.is_empty() {
        text += "\nnot filled\n";
        for (asset, open) in open {
            text += &format!("  {asset}: {open}\n");
        }
    }
    text += &filled_days(
        status,
        "out of date (`chronon-run status --stale` says why, `materialize --stale` fills them again)",
        |asset| &asset.stale,
    );
    text += &filled_days(status, "known to have no rows", |asset| &asset.empty);
    text += &filled_days(
        status,
        "filled by another program or version: with which conf and inputs is not recorded",
        |asset| &asset.unrecorded,
    );
    text += &filled_days(
        status,
        "excluded, because they are before the first partition of a source (`chronon-run plan` names it)",
        |asset| &asset.before_history,
    );
    let excluded = status.assets.iter().filter_map(|asset| {
        let why = asset.why_none.as_ref().filter(|_| asset.newest.is_none())?;
        Some(format!("  {}: {why}\n", asset.asset))
    });
    let excluded: String = excluded.collect();
    if !excluded.is_empty() {
        text += &format!("\nexcluded\n{excluded}");
    }
    let failed: String = status
        .checks
        .iter()
        .filter_map(|result| Some(format!("  {} ({})\n", result.text()?, result.on_fail())))
        .collect();
    if !failed.is_empty() {
        text += &format!(
            "\ndays that do not pass a data check (`chronon-run check --data` checks them again)\n{failed}"
        );
    }
    if !status.online.is_empty() {
        text += "\nonline\n";
        for online in &status.online {
            text += &format!("  {}", online.text());
        }
    }
    if !status.consistency.is_empty() {
        text += "\nconsistency with what was logged\n";
        for last in &status.consistency {
            text += &last.text();
        }
    }
    text
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
