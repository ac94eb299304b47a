//! `chronon-run status`: how far each asset is, and how far what is served online.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, Ds, StepKind, ds::format_instant};
use chronon_run_export::{AssetStatus, BAR_LEGEND, Facts, LastAttempt, status};
use chronon_run_ledger::{AttemptRecord, Ledger};
use chronon_run_plan::{Asset, Input};
use chronon_run_report::{outcome, table};
use serde::Serialize;

use crate::{
    cli::{DayArgs, Output, StatusArgs},
    context::Context,
    failure::Failure,
    output::{json, note, print},
    planning::{Planned, Wanted},
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
}

/// The way of one online GroupBy from its sources to whoever fetches it.
#[derive(Serialize)]
struct Online {
    group_by: String,
    /// The last day that all its sources have.
    offline: Option<Ds>,
    /// The day that the upload table holds.
    upload: Option<Ds>,
    /// What is behind or not there, and what to do about it; `None` if nothing is.
    missing: Option<String>,
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
        ..Wanted::default()
    };
    let warehouse = Warehouse::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let planned = Planned::make(&context, &wanted, &warehouse, ledger.as_mut())?;
    let facts = ledger.as_mut().map(facts).unwrap_or_default();
    let shown = Status {
        as_of: planned.plan.as_of,
        assets: status(&planned.plan, &facts),
        online: online(&context, &planned, &facts),
    };
    for notice in ledger.iter_mut().flat_map(Ledger::take_notices) {
        note(&notice);
    }
    match args.output {
        Output::Json => print(&json(&shown)?),
        Output::Text => print(&text(&shown)),
    }
}

fn facts(ledger: &mut Ledger) -> Facts {
    let last = ledger.last_attempts().into_iter();
    Facts {
        last: last
            .map(|(asset, attempt)| (asset, last_attempt(attempt)))
            .collect(),
        failing: ledger.failing_days(),
        uploaded: ledger.uploaded(),
    }
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

fn online(context: &Context, planned: &Planned<'_>, facts: &Facts) -> Vec<Online> {
    let uploads = planned.plan.assets.iter().filter_map(|planned| {
        let index = context.graph.find(&planned.asset)?;
        let asset = &context.graph.assets[index];
        (asset.id.step == StepKind::Upload).then_some((index, asset))
    });
    uploads
        .map(|(index, asset)| {
            let lag = i32::try_from(context.settings(index).lag).unwrap_or(i32::MAX);
            let due = planned.plan.as_of.plus(-lag);
            Online::new(asset, last_of_sources(asset, planned), due, facts)
        })
        .collect()
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
    fn new(upload: &Asset, offline: Option<Ds>, due: Ds, facts: &Facts) -> Self {
        let offline = offline.map(|day| day.min(due));
        let uploaded = facts.uploaded.get(&upload.id).copied();
        let missing = match (offline, uploaded) {
            (None, _) => Some("its sources have no day that all of them have".to_owned()),
            (Some(offline), None) => Some(format!("{offline} was never uploaded")),
            (Some(offline), Some(uploaded)) if uploaded < offline => {
                Some(format!("the upload of {offline}"))
            }
            (Some(offline), _) if offline < due => Some(format!("sources of {due}")),
            _ => None,
        };
        Self {
            group_by: upload.id.conf.name.clone(),
            offline,
            upload: uploaded,
            missing,
        }
    }

    fn text(&self) -> String {
        let day = |day: Option<Ds>| day.map_or_else(|| "none".to_owned(), |day| day.to_string());
        let missing = match &self.missing {
            Some(missing) => format!("  missing: {missing}"),
            None => String::new(),
        };
        format!(
            "{}: offline {} → upload {}{missing}\n",
            self.group_by,
            day(self.offline),
            day(self.upload)
        )
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
    if !status.online.is_empty() {
        text += "\nonline\n";
        for online in &status.online {
            text += &format!("  {}", online.text());
        }
    }
    text
}

fn last_text(last: &LastAttempt) -> String {
    format!(
        "{} {} in run {}",
        format_instant(last.at),
        last.outcome,
        last.run
    )
}
