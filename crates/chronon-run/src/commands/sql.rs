//! `chronon-run sql`: the script that a step would run.

use chronon_run_core::{Ds, PartitionRange};
use chronon_run_plan::{Asset, Fill};
use chronon_run_project::{engines::scripts::script, failure::Failure, output::print};

use crate::cli::SqlArgs;

pub(crate) fn run(args: &SqlArgs) -> Result<(), Failure> {
    let context = args.target.project()?;
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

fn first_day(asset: &Asset, end: Ds) -> Ds {
    match (asset.fill, asset.from) {
        (Fill::Daily, Some(from)) => from.min(end),
        _ => end,
    }
}
