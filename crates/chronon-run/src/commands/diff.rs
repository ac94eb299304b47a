//! `chronon-run diff`: what the working tree would change of what was filled.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, RangeSet, TableName, ds::format_instant};
use chronon_run_export::causes_text;
use chronon_run_plan::{AssetPlan, Cause, Note, Reason, Selection, State};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
    output::{json, print, say},
    planning::{
        filled::{Records, conf_of},
        prepared::{Planned, Wanted},
    },
};
use serde::Serialize;

use crate::cli::{DiffArgs, Output, SelectArgs};

/// What is shown.
#[derive(Serialize)]
pub(crate) struct Diff {
    /// Confs that were edited, or are no more.
    pub(crate) confs: Vec<Edited>,
    /// Days that are out of date for other causes than an edit.
    pub(crate) stale: Vec<Outdated>,
    /// Filled days without a record of the conf that they were made with.
    pub(crate) unrecorded: BTreeMap<AssetId, RangeSet>,
}

/// One conf that was edited, or is no more.
#[derive(Serialize)]
pub(crate) struct Edited {
    /// `<type>/<conf name>`.
    pub(crate) conf: String,
    /// When its tables were filled last, in milliseconds since the epoch, if that is known.
    pub(crate) filled_at: Option<i64>,
    /// What was edited, in words; empty if the conf is no more.
    pub(crate) edits: Vec<String>,
    /// Whether there is no such conf any more.
    pub(crate) gone: bool,
    /// Whether the Driver would rename tables and compute them again.
    pub(crate) archives: bool,
    /// The conf's tables that the edit is about, with the days filled before it.
    pub(crate) tables: BTreeMap<TableName, RangeSet>,
    /// Assets that read them, directly or not.
    pub(crate) downstream: Vec<AssetId>,
}

/// Days of an asset that are out of date, though its conf is the same.
#[derive(Serialize)]
pub(crate) struct Outdated {
    pub(crate) asset: AssetId,
    pub(crate) days: RangeSet,
    pub(crate) because: Vec<Cause>,
}

pub(crate) fn run(args: &DiffArgs) -> Result<(), Failure> {
    let context = targets::load(args.target.name(), &args.select, Unselected::Built)?;
    let found = diff(&context, &args.select)?;
    match args.output {
        Output::Json => print(&json(&found)?)?,
        Output::Text => say(&text(&context, &found))?,
    }
    match args.exit_code && !(found.confs.is_empty() && found.stale.is_empty()) {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}

/// What edits of the selected confs are about.
pub(crate) fn diff(context: &Project, select: &SelectArgs) -> Result<Diff, Failure> {
    let records = Records::of(context);
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let wanted = Wanted {
        select: select.clone(),
        every_mode: true,
        compare: true,
        accept_archive: true,
        ..Wanted::default()
    };
    let planned = Planned::make(context, &wanted, &warehouse, ledger.as_mut())?;
    let mut confs: BTreeMap<String, Edited> = BTreeMap::new();
    let (mut stale, mut unrecorded) = (Vec::new(), BTreeMap::new());
    for asset in &planned.plan.assets {
        let filled_at = records.get(&asset.table).map(|filled| filled.at);
        if let Some(archived) = planned.archived(&asset.asset) {
            let entry = edited(context, &mut confs, &asset.asset, filled_at);
            entry.archives = true;
            add_words(&mut entry.edits, &archived.because);
            entry.tables.extend(archived.tables.clone());
        }
        for (days, because) in out_of_date(asset) {
            let edit = because.iter().find_map(|cause| match cause {
                Cause::ConfEdited { edits } => Some(edits),
                _ => None,
            });
            let Some(words) = edit else {
                stale.push(Outdated {
                    asset: asset.asset.clone(),
                    days,
                    because,
                });
                continue;
            };
            let entry = edited(context, &mut confs, &asset.asset, filled_at);
            add_words(&mut entry.edits, words);
            let known = entry.tables.entry(asset.table.clone()).or_default();
            *known = known.union(&days);
        }
        for note in &asset.notes {
            if let Note::Unrecorded { days } = note {
                unrecorded.insert(asset.asset.clone(), days.clone());
            }
        }
    }
    let gone = gone(context, &records);
    Ok(Diff {
        confs: confs.into_values().chain(gone).collect(),
        stale,
        unrecorded,
    })
}

/// The days of an asset that are out of date, by cause.
fn out_of_date(asset: &AssetPlan) -> Vec<(RangeSet, Vec<Cause>)> {
    let stale = asset.cells.iter().filter(|c| c.state == State::Done);
    let stale = stale.filter_map(|cells| match &cells.reason {
        Reason::Stale { because } => Some((cells.range, because.clone())),
        _ => None,
    });
    let mut found: Vec<(RangeSet, Vec<Cause>)> = Vec::new();
    for (range, because) in stale {
        match found.iter_mut().find(|(_, known)| *known == because) {
            Some((days, _)) => *days = days.union(&range.into()),
            None => found.push((range.into(), because)),
        }
    }
    found
}

/// The entry of an asset's conf.
fn edited<'m>(
    context: &Project,
    confs: &'m mut BTreeMap<String, Edited>,
    asset: &AssetId,
    filled_at: Option<i64>,
) -> &'m mut Edited {
    let conf = asset.conf.to_string();
    confs.entry(conf.clone()).or_insert_with(|| Edited {
        conf,
        filled_at,
        edits: Vec::new(),
        gone: false,
        archives: false,
        tables: BTreeMap::new(),
        downstream: downstream(context, asset),
    })
}

fn add_words(known: &mut Vec<String>, words: &[String]) {
    for word in words {
        if !known.contains(word) {
            known.push(word.clone());
        }
    }
}

/// Every asset that reads a table of the conf, directly or not, and is not its own.
fn downstream(context: &Project, asset: &AssetId) -> Vec<AssetId> {
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
fn gone(context: &Project, records: &Records) -> Vec<Edited> {
    let mut found: BTreeMap<String, Edited> = BTreeMap::new();
    for (table, filled) in records.all() {
        if conf_of(context, &filled.asset).is_some() {
            continue;
        }
        let conf = filled.asset.conf.to_string();
        let entry = found.entry(conf.clone()).or_insert_with(|| Edited {
            conf,
            filled_at: Some(filled.at),
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

fn text(context: &Project, found: &Diff) -> String {
    let mut blocks: Vec<String> = found.confs.iter().map(|one| block(context, one)).collect();
    if blocks.is_empty() {
        blocks.push("no conf was edited since its tables were filled\n".to_owned());
    }
    let outdated = |one: &Outdated| {
        let why = causes_text(&one.because);
        format!("{} {} is out of date: {why}\n", one.asset, one.days)
    };
    let stale: String = found.stale.iter().map(outdated).collect();
    let unknown = |(asset, days): (&AssetId, &RangeSet)| {
        format!(
            "{asset} {days}: filled by another program or version; with which conf is not recorded\n"
        )
    };
    let unknown: String = found.unrecorded.iter().map(unknown).collect();
    blocks.extend([stale, unknown].into_iter().filter(|text| !text.is_empty()));
    blocks.join("\n")
}

/// What becomes of the tables of a conf.
pub(crate) fn consequence(context: &Project, edited: &Edited) -> &'static str {
    match (edited.gone, edited.archives, context.uses_driver()) {
        (true, _, _) => "the conf is gone, so nothing fills it any more",
        (_, true, _) => "the Driver renames it and computes again",
        (_, false, true) => "the Driver does not notice and keeps its columns",
        (_, false, false) => "filled with the earlier conf; `materialize --stale` fills it again",
    }
}

fn block(context: &Project, edited: &Edited) -> String {
    let mut out = match edited.filled_at {
        Some(at) => format!("{}, filled {}\n", edited.conf, format_instant(at)),
        None => format!("{}\n", edited.conf),
    };
    for edit in &edited.edits {
        out += &format!("  edited    {edit}\n");
    }
    let what = consequence(context, edited);
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
