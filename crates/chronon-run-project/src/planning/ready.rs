//! Whether an asset's inputs are there for one day: one listing, and nothing is written.

use chronon_run_core::Ds;
use chronon_run_export::Readiness;
use chronon_run_plan::{AssetIndex, Fill};

use crate::{
    failure::Failure,
    loading::project::Project,
    options::DayArgs,
    planning::prepared::{Planned, Wanted},
};

/// How ready a day of an asset is, minus the asset's lag. `name` is the asset's id, or that of a conf with one
/// offline table; `as_of` the last closed day, if the user said so.
///
/// # Errors
/// There is no such asset, it has no days, or it cannot be filled.
pub fn readiness(
    context: &Project,
    name: &str,
    ds: Ds,
    as_of: Option<Ds>,
) -> Result<Readiness, Failure> {
    let asset = context.asset_named(name)?;
    let index = context.index_of(&asset)?;
    if context.graph.assets[index].fill == Fill::App {
        return Err(Failure::hinted(
            format!("{asset} is a long-running app and has no days"),
            "ask about its upload",
        ));
    }
    context.check_fillable(&[index].into())?;
    let as_of = context.as_of(as_of)?;
    match ds > as_of {
        true => Ok(Readiness::not_closed(asset, ds)),
        false => look(context, index, ds, as_of),
    }
}

fn look(context: &Project, index: AssetIndex, ds: Ds, as_of: Ds) -> Result<Readiness, Failure> {
    let asset = &context.graph.assets[index];
    let lag = i32::try_from(context.settings(index).lag).unwrap_or(i32::MAX);
    let day = ds.plus(-lag);
    // Of assets of which only the last day is ever filled, that day must be the last.
    let as_of = if asset.fill == Fill::Daily { as_of } else { ds };
    let wanted = Wanted {
        days: DayArgs {
            start_ds: Some(day),
            as_of: Some(as_of),
            ..DayArgs::default()
        },
        ..Wanted::default()
    };
    let planned = Planned::look(context, &wanted.only(&asset.id))?;
    Ok(Readiness::planned(asset.id.clone(), day, &planned.plan))
}
