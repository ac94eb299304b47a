//! `chronon-run status`: how far each asset is, and how far what is served online.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, Ds, RangeSet, StepKind, ds::format_instant, event::Compared};
use chronon_run_export::{AssetStatus, BAR_LEGEND, Facts, LastAttempt, causes_text, status};
use chronon_run_ledger::{AttemptRecord, Ledger};
use chronon_run_plan::{Asset, Input, State};
use chronon_run_report::{comparison_text, count, differing_columns, outcome, table};
use serde::Serialize;

use crate::{
    cli::{DayArgs, Output, StatusArgs},
    context::Context,
    due::{Now, last_due},
    failure::Failure,
    output::{json, note, print},
    planning::{Planned, Wanted},
    streaming::{self, Health},
    warehouse::Warehouse,
};

/// Characters of a bar at most.
const BAR: u32 = 30;

/// Everything that is shown.
#[derive(Serialize)]
struct Status {
    /// The last closed day.
    as_of: Ds,
    assets: Vec<AssetStatus>,
    online: Vec<Online>,
    consistency: Vec<LastComparison>,
}

/// The newest day on which a join's logged features were compared.
#[derive(Serialize)]
struct LastComparison {
    join: String,
    ds: Ds,
    columns: Vec<Compared>,
}

/// The way of one online GroupBy from its sources to whoever fetches it.
#[derive(Serialize)]
struct Online {
    group_by: String,
    /// The last day that all its sources have, up to the last one that its upload is due for.
    offline: Option<Ds>,
    /// The day that the upload table holds.
    upload: Option<Ds>,
    /// The newest day that was loaded into the KV store.
    kv: Option<Ds>,
    /// Whether loads are made here: there is a hook `kv_upload`. Of others nothing is known.
    kv_hook: bool,
    /// How its streaming app is; `None` if it needs none.
    stream: Option<Health>,
    /// The last day on which what was fetched was compared, in any join that has it; `None` if none
    /// compares.
    consistency: Option<Progress>,
    /// The first link of these that is behind or not there; `None` if all is well.
    missing: Option<String>,
}

/// How far a comparison of fetched features has come.
#[derive(Serialize)]
struct Progress {
    join: String,
    /// The last day, if there is one.
    newest: Option<Ds>,
}

pub(crate) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let context = Context::load()?;
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
    let warehouse = Warehouse::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let planned = Planned::make(&context, &wanted, &warehouse, ledger.as_mut())?;
    let facts = ledger.as_mut().map(facts).unwrap_or_default();
    let streams = streams(&context, ledger.as_mut());
    let now = match args.as_of.or(context.workspace.as_of) {
        Some(as_of) => Now::After(as_of),
        None => Now::Clock,
    };
    let assets = status(&planned.plan, &facts);
    if args.stale {
        return show_stale(assets, args.output);
    }
    let shown = Status {
        as_of: planned.plan.as_of,
        assets,
        online: online(&context, &planned, now, &facts, &streams),
        consistency: ledger.as_mut().map(last_comparisons).unwrap_or_default(),
    };
    for notice in ledger.iter_mut().flat_map(Ledger::take_notices) {
        note(&notice);
    }
    match args.output {
        Output::Json => print(&json(&shown)?),
        Output::Text => print(&text(&shown)),
    }
}

/// Only the assets that have days out of date.
fn show_stale(mut assets: Vec<AssetStatus>, output: Output) -> Result<(), Failure> {
    assets.retain(|asset| !asset.stale.is_empty());
    match output {
        Output::Json => print(&json(&assets)?),
        Output::Text if assets.is_empty() => print("no filled day is known to be out of date\n"),
        Output::Text => print(&assets.iter().map(stale_text).collect::<String>()),
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

/// A headed list of one kind of filled days; nothing if there are none.
fn filled_days(status: &Status, heading: &str, of: fn(&AssetStatus) -> &RangeSet) -> String {
    let found = status.assets.iter().filter(|asset| !of(asset).is_empty());
    let line = |asset: &AssetStatus| format!("  {}: {}\n", asset.asset, counted_days(of(asset)));
    let lines: String = found.map(line).collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\n{heading}\n{lines}"),
    }
}

fn facts(ledger: &mut Ledger) -> Facts {
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

/// How every streaming app is. Whoever cannot be asked is no reason to show nothing.
fn streams(context: &Context, ledger: Option<&mut Ledger>) -> BTreeMap<String, Health> {
    let apps = streaming::apps_of(context, 0..context.graph.assets.len());
    if apps.is_empty() {
        return BTreeMap::new();
    }
    let found = streaming::look(context, &apps, ledger).unwrap_or_else(|failure| {
        if let Failure::Setup { message, .. } = &failure {
            note(&format!("the streaming apps cannot be listed: {message}"));
        }
        Vec::new()
    });
    let found = found.into_iter();
    found
        .map(|status| (status.asset.conf.name, status.health))
        .collect()
}

fn online(
    context: &Context,
    planned: &Planned<'_>,
    now: Now,
    facts: &Facts,
    streams: &BTreeMap<String, Health>,
) -> Vec<Online> {
    let uploads = planned.plan.assets.iter().filter_map(|planned| {
        let index = context.graph.find(&planned.asset)?;
        let asset = &context.graph.assets[index];
        (asset.id.step == StepKind::Upload).then_some((index, asset))
    });
    uploads
        .map(|(index, upload)| {
            let uploaded = facts.uploaded.get(&upload.id).copied();
            // Of one that is never due, what it has is all there is to expect.
            let due = last_due(context, now, index).or(uploaded);
            let name = upload.id.conf.name.clone();
            let offline = last_of_sources(upload, planned);
            let offline = offline.map(|day| due.map_or(day, |due| day.min(due)));
            let kv = AssetId::new(upload.id.conf.conf_type, &name, StepKind::Kv);
            let mut online = Online {
                offline,
                upload: uploaded,
                kv: facts.uploaded.get(&kv).copied(),
                kv_hook: context.workspace.hooks.kv_upload.is_some(),
                stream: streams.get(&name).copied(),
                consistency: compared(context, planned, &name),
                group_by: name,
                missing: None,
            };
            online.missing = online.missing(due);
            online
        })
        .collect()
}

/// The comparison that has come least far, of all joins that have this GroupBy.
fn compared(context: &Context, planned: &Planned<'_>, group_by: &str) -> Option<Progress> {
    let comparisons = planned.plan.assets.iter().filter_map(|planned| {
        let asset = &context.graph.assets[context.graph.find(&planned.asset)?];
        let wanted =
            asset.id.step == StepKind::Consistency && asset.embedded_group_bys.contains(group_by);
        wanted.then(|| Progress {
            join: asset.id.conf.name.clone(),
            newest: planned.days_in(State::Done).last(),
        })
    });
    comparisons.min_by_key(|compared| compared.newest)
}

/// The last day that every source of an upload has.
fn last_of_sources(upload: &Asset, planned: &Planned<'_>) -> Option<Ds> {
    let last = |input: &Input| {
        let spec = &input.spec;
        let snapshot = &planned.snapshot;
        let days = snapshot.days(&spec.table, &input.day_column, &spec.sub_partitions);
        // A source that has ended is complete.
        let last = days.last();
        if last.is_some() && last >= input.until && input.until.is_some() {
            return Some(planned.plan.as_of);
        }
        last
    };
    let days: Option<Vec<Ds>> = upload.inputs.iter().map(last).collect();
    days?.into_iter().min()
}

impl Online {
    /// The first link that is behind `due`, the last day its upload is due for, or not there.
    fn missing(&self, due: Option<Ds>) -> Option<String> {
        let Some(offline) = self.offline else {
            return Some("a day that all its sources have".to_owned());
        };
        if due.is_some() && self.upload.is_none_or(|upload| upload < offline) {
            return Some(format!("the upload of {offline}"));
        }
        if self.kv_hook && self.kv < self.upload {
            let day = self.upload.unwrap_or(offline);
            return Some(format!("the load of {day} into the KV store"));
        }
        if let Some(health) = self.stream
            && health != Health::Running
        {
            return Some(format!("the streaming app, which {}", health_text(health)));
        }
        if let Some(Progress { join, newest: None }) = &self.consistency {
            return Some(format!("a comparison of what {join} fetched"));
        }
        let due = due.filter(|due| offline < *due)?;
        Some(format!("sources of {due}"))
    }

    fn text(&self) -> String {
        let day = |day: Option<Ds>| day.map_or_else(|| "none".to_owned(), |day| day.to_string());
        let mut text = format!("{}: offline {}", self.group_by, day(self.offline));
        text += &format!(" → upload {} → KV ", day(self.upload));
        match self.kv_hook || self.kv.is_some() {
            true => text += &day(self.kv),
            false => text += "not loaded here",
        }
        if let Some(health) = self.stream {
            text += &format!(" → stream {}", health_text(health));
        }
        if let Some(compared) = &self.consistency {
            text += &format!(" → consistency {}", day(compared.newest));
        }
        match &self.missing {
            Some(missing) => text + &format!("; missing: {missing}\n"),
            None => text + "\n",
        }
    }
}

/// How an app is, as the end of a sentence.
fn health_text(health: Health) -> &'static str {
    match health {
        Health::Running => "runs",
        Health::Starting => "is starting",
        Health::Unlisted => "lives and is listed by nobody",
        Health::Twice => "runs twice",
        Health::Absent => "does not run",
        Health::NotUploaded => "waits for the first upload",
        Health::BackingOff => "died soon and will be started again",
        Health::GivenUp => "died too often",
    }
}

fn text(status: &Status) -> String {
    let row = |asset: &AssetStatus| {
        vec![
            asset.asset.to_string(),
            asset.bar(BAR),
            asset.freshness_text(),
            asset
                .last_attempt
                .as_ref()
                .map(last_text)
                .unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = status.assets.iter().map(row).collect();
    let mut text = format!("as of {}; {BAR_LEGEND}\n\n", status.as_of);
    text += &table(&["asset", "days", "newest", "last attempt"], &rows);
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
    let excluded = status.assets.iter().filter_map(|asset| {
        let why = asset.why_none.as_ref().filter(|_| asset.newest.is_none())?;
        Some(format!("  {}: {why}\n", asset.asset))
    });
    let excluded: String = excluded.collect();
    if !excluded.is_empty() {
        text += &format!("\nexcluded\n{excluded}");
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

fn last_text(last: &LastAttempt) -> String {
    format!(
        "{} {} in run {}",
        format_instant(last.at),
        last.outcome,
        last.run
    )
}
