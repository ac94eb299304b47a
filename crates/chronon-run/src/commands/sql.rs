//! `chronon-run sql`: the script that a step would run.

use std::collections::BTreeSet;

use chronon_run_core::{Ds, PartitionRange};
use chronon_run_plan::{Asset, AssetIndex, Fill, Step};
use chronon_run_project::{
    engines::sql_work::compile,
    failure::Failure,
    listing::{session::CatalogSession, snapshot as looking},
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
    output::print,
};

use crate::cli::{SelectArgs, SqlArgs};

pub(crate) fn run(args: &SqlArgs) -> Result<(), Failure> {
    let context = targets::load(
        args.target.name(),
        &SelectArgs::default(),
        Unselected::Built,
    )?;
    let id = context.asset_named(&args.asset)?;
    let index = context.index_of(&id)?;
    let asset = &context.graph.assets[index];
    let last = context.as_of(args.days.as_of)?;
    let end = args.days.ds.or(args.days.end_ds).unwrap_or(last);
    let start = args
        .days
        .ds
        .or(args.days.start_ds)
        .unwrap_or_else(|| first_day(asset, end));
    let range = PartitionRange::new(start, end)
        .ok_or_else(|| Failure::setup(format!("{end} is before {start}")))?;
    print(&script(&context, index, range)?)
}

/// The script that fills these days of an asset.
pub(crate) fn script(
    context: &Project,
    index: AssetIndex,
    range: PartitionRange,
) -> Result<String, Failure> {
    let tables = context.graph.tables_of(&BTreeSet::from([index]));
    let warehouse = CatalogSession::look(&context.workspace)?;
    let snapshot = warehouse.snapshot(&context.workspace, &tables)?;
    let asset = &context.graph.assets[index];
    let (_, snapshot) = looking::resolved(context, &warehouse, asset, &snapshot);
    let step = step(asset, range);
    compile(context, &step, &snapshot).map_err(Failure::setup)
}

/// A step that fills these days of an asset.
pub(crate) fn step(asset: &Asset, range: PartitionRange) -> Step {
    Step {
        index: 0,
        asset: asset.id.clone(),
        range,
        latest_date: range.end,
        after: Vec::new(),
        once_over: Vec::new(),
        again: chronon_run_core::RangeSet::new(),
        family: asset.family.clone(),
        run_first_hole: false,
        command: None,
    }
}

fn first_day(asset: &Asset, end: Ds) -> Ds {
    match (asset.fill, asset.from) {
        (Fill::Daily, Some(from)) => from.min(end),
        _ => end,
    }
}
