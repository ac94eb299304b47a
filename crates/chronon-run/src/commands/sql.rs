//! `chronon-run sql`: the script that a step would run.

use std::collections::BTreeSet;

use chronon_run_core::{AssetId, Ds, PartitionRange};
use chronon_run_plan::{Asset, AssetIndex, Fill, Step};

use crate::{
    cli::{SelectArgs, SqlArgs},
    context::Context,
    failure::Failure,
    output::print,
    warehouse::Warehouse,
    work::compile,
};

pub(crate) fn run(args: &SqlArgs) -> Result<(), Failure> {
    let context = Context::load()?;
    let index = only_asset(&context, &args.asset)?;
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
    let tables = context.graph.tables_of(&BTreeSet::from([index]));
    let snapshot = Warehouse::look(&context.workspace)?.snapshot(&context.workspace, &tables)?;
    let step = Step {
        index: 0,
        asset: asset.id.clone(),
        range,
        latest_date: end,
        after: Vec::new(),
        family: asset.family.clone(),
        command: None,
    };
    print(&compile(&context, &step, &snapshot).map_err(Failure::setup)?)
}

fn first_day(asset: &Asset, end: Ds) -> Ds {
    match (asset.fill, asset.from) {
        (Fill::Daily, Some(from)) => from.min(end),
        _ => end,
    }
}

/// The asset of this id, or the only offline table of the conf of this name.
fn only_asset(context: &Context, name: &str) -> Result<AssetIndex, Failure> {
    if let Some(index) = name
        .parse::<AssetId>()
        .ok()
        .and_then(|id| context.graph.find(&id))
    {
        return Ok(index);
    }
    let select = SelectArgs {
        select: vec![name.to_owned()],
        ..SelectArgs::default()
    };
    let found = context.select(&select, false)?;
    match found.iter().collect::<Vec<_>>().as_slice() {
        [index] => Ok(**index),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|&&index| context.graph.assets[index].id.to_string())
                .collect();
            Err(Failure::hinted(
                format!("`{name}` stands for {} assets", names.len()),
                format!("name one of {}", names.join(", ")),
            ))
        }
    }
}
