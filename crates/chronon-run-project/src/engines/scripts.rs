//! What a step of an asset would run, whether or not it is planned.

use std::collections::BTreeSet;

use chronon_run_core::{CommandLine, PartitionRange, RangeSet};
use chronon_run_plan::{Asset, AssetIndex, Step};

use super::sql_work::{compile, preview};
use crate::{
    failure::Failure,
    listing::{session::CatalogSession, snapshot::resolved},
    loading::project::Project,
};

/// The script that fills these days of an asset.
pub fn script(
    project: &Project,
    index: AssetIndex,
    range: PartitionRange,
) -> Result<String, Failure> {
    let tables = project.graph.tables_of(&BTreeSet::from([index]));
    let warehouse = CatalogSession::look(&project.workspace)?;
    let snapshot = warehouse.snapshot(&project.workspace, &tables)?;
    let asset = &project.graph.assets[index];
    let (_, snapshot) = resolved(project, &warehouse, asset, &snapshot);
    compile(project, &step(asset, range), &snapshot).map_err(Failure::setup)
}

/// The Driver's command line that fills these days of an asset; `None` if Spark is not found, or runs no step of
/// it.
pub fn command(project: &Project, asset: &Asset, range: PartitionRange) -> Option<CommandLine> {
    let warehouse = CatalogSession::look(&project.workspace).ok()?;
    let spark = warehouse.spark().known(&project.workspace);
    let uri = warehouse.spark().uri();
    preview(project, uri, spark.as_ref(), &step(asset, range))
}

fn step(asset: &Asset, range: PartitionRange) -> Step {
    Step {
        index: 0,
        asset: asset.id.clone(),
        range,
        latest_date: range.end,
        after: Vec::new(),
        once_over: Vec::new(),
        again: RangeSet::new(),
        family: asset.family.clone(),
        run_first_hole: false,
        command: None,
    }
}
