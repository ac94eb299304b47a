//! `chronon-run diff`: what the working tree would change of what was filled.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, ConfType, RangeSet, StepKind, TableName, ds::format_instant};
use chronon_run_plan::{AssetIndex, Selection};
use serde::Serialize;

use crate::{
    cli::{DiffArgs, Output},
    context::Context,
    edits::{Change, Consequences, change},
    failure::Failure,
    filled::{Filled, Records, conf_of},
    output::{json, print},
    warehouse::Warehouse,
};

/// One conf that was edited, or is no more.
#[derive(Serialize)]
struct Edited {
    /// `<type>/<conf name>`.
    conf: String,
    /// When its tables were filled last, in milliseconds since the epoch.
    filled_at: i64,
    /// What was edited, in words; empty if the conf is no more.
    edits: Vec<String>,
    /// Whether there is no such conf any more.
    gone: bool,
    /// Whether the Driver would rename tables and compute them again.
    archives: bool,
    /// The conf's tables that the edit is about, with the days filled before it.
    tables: BTreeMap<TableName, RangeSet>,
    /// Assets that read them, directly or not.
    downstream: Vec<AssetId>,
}

pub(crate) fn run(args: &DiffArgs) -> Result<(), Failure> {
    let context = Context::load()?;
    let found = edited(&context, &context.select(&args.select, true)?)?;
    match args.output {
        Output::Json => print(&json(&found)?),
        Output::Text => print(&text(&context, &found)),
    }
}

fn edited(context: &Context, selected: &BTreeSet<AssetIndex>) -> Result<Vec<Edited>, Failure> {
    let records = Records::of(context);
    let tables = context.graph.tables_of(selected);
    let warehouse = Warehouse::look(&context.workspace)?;
    let snapshot = warehouse.snapshot(&context.workspace, &tables)?;
    let consequences = match context.uses_driver() {
        true => Consequences::of(context, selected, &snapshot),
        false => Consequences::default(),
    };
    let mut found: BTreeMap<String, Edited> = BTreeMap::new();
    for &index in selected {
        let asset = &context.graph.assets[index];
        let fills = matches!(
            asset.id.step,
            StepKind::Backfill | StepKind::Left | StepKind::Part(_) | StepKind::Final
        );
        let record = records.get(&asset.table).filter(|_| fills);
        let (Some(filled), Some(now)) = (record, conf_of(context, &asset.id)) else {
            continue;
        };
        let edits = words(asset.id.conf.conf_type, &filled, &now);
        if edits.is_empty() {
            continue;
        }
        let conf = asset.id.conf.to_string();
        let entry = found.entry(conf.clone()).or_insert_with(|| Edited {
            conf,
            filled_at: filled.at,
            edits,
            gone: false,
            archives: false,
            tables: BTreeMap::new(),
            downstream: downstream(context, &asset.id),
        });
        match consequences.archived.get(&asset.id) {
            Some(archived) => {
                entry.archives = true;
                entry.tables.extend(archived.tables.clone());
            }
            None => {
                let column = asset.day_column.as_deref().unwrap_or_default();
                let days = snapshot.days(&asset.table, column, &asset.sub_partitions);
                entry.tables.insert(asset.table.clone(), days);
            }
        }
    }
    let mut all: Vec<Edited> = found.into_values().collect();
    all.extend(gone(context, &records));
    Ok(all)
}

/// What was edited, in words.
fn words(conf_type: ConfType, filled: &Filled, now: &serde_json::Value) -> Vec<String> {
    match change(conf_type, filled, now) {
        Change::Noticed(edits) => edits.iter().map(ToString::to_string).collect(),
        Change::Unnoticed(paths) => paths,
    }
}

/// Every asset that reads a table of the conf, directly or not, and is not its own.
fn downstream(context: &Context, asset: &AssetId) -> Vec<AssetId> {
    let selector = [format!("{}+", asset.conf.name)];
    let resolved = Selection::parse(&selector, &[])
        .and_then(|selection| selection.resolve(&context.graph, true));
    let assets = resolved.unwrap_or_default().into_iter();
    assets
        .map(|index| context.graph.assets[index].id.clone())
        .filter(|found| found.conf != asset.conf)
        .collect()
}

/// Tables whose conf is no more.
fn gone(context: &Context, records: &Records) -> Vec<Edited> {
    let mut found: BTreeMap<String, Edited> = BTreeMap::new();
    for (table, filled) in records.all() {
        if conf_of(context, &filled.asset).is_some() {
            continue;
        }
        let conf = filled.asset.conf.to_string();
        let entry = found.entry(conf.clone()).or_insert_with(|| Edited {
            conf,
            filled_at: filled.at,
            edits: Vec::new(),
            gone: true,
            archives: false,
            tables: BTreeMap::new(),
            downstream: Vec::new(),
        });
        entry.tables.insert(table, RangeSet::new());
    }
    found.into_values().collect()
}

fn text(context: &Context, found: &[Edited]) -> String {
    if found.is_empty() {
        return "no conf was edited since its tables were filled\n".to_owned();
    }
    let blocks: Vec<String> = found.iter().map(|one| block(context, one)).collect();
    blocks.join("\n")
}

fn block(context: &Context, edited: &Edited) -> String {
    let mut out = format!(
        "{}, filled {}\n",
        edited.conf,
        format_instant(edited.filled_at)
    );
    for edit in &edited.edits {
        out += &format!("  edited    {edit}\n");
    }
    let what = match (edited.gone, edited.archives, context.uses_driver()) {
        (true, _, _) => "the conf is gone, nobody fills it any more",
        (_, true, _) => "the Driver renames it and computes again",
        (_, false, true) => "the Driver does not notice and keeps its columns",
        (_, false, false) => "filled with the earlier conf; --recompute fills them again",
    };
    for (table, days) in &edited.tables {
        let days = match days.is_empty() {
            true => String::new(),
            false => format!(" {days}"),
        };
        out += &format!("  table     {table}{days}: {what}\n");
    }
    for asset in &edited.downstream {
        out += &format!("  read by   {asset}\n");
    }
    out
}
