//! When the sources that a plan waits for usually land, and how late they are.

use std::time::Duration;

use chronon_run_core::{Ds, PartitionFormat};
use chronon_run_plan::{Wait, usual_landing};

use crate::{
    listing::session::CatalogSession,
    loading::{day_formats::formats, project::Project},
    program::now_millis,
};

/// How many of a source's newest days tell when it usually lands.
const NEWEST: usize = 14;

/// Adds what is known of when each source lands: `lands_after` of workspace.toml, or else what the
/// catalog remembers of its newest partitions. Where days are `simulated`, nothing is late.
pub fn expect_landings(
    context: &Project,
    warehouse: &CatalogSession,
    mut waits: Vec<Wait>,
    simulated: bool,
) -> Vec<Wait> {
    for wait in &mut waits {
        let Some(oldest) = wait.missing.first() else {
            continue;
        };
        if let Some(usual) = usual(context, warehouse, wait) {
            let age = u64::try_from(now_millis() - end_of(context, oldest)).unwrap_or(0);
            wait.expect(usual, (!simulated).then(|| Duration::from_millis(age)));
        }
    }
    waits
}

fn usual(context: &Project, warehouse: &CatalogSession, wait: &Wait) -> Option<Duration> {
    let declared = context.workspace.sources.get(&wait.table);
    if let Some(usual) = declared.and_then(|source| source.lands_after) {
        return Some(usual);
    }
    let sources = context.graph.sources();
    let column = sources.get(&wait.table)?.first()?;
    let format = formats(context).remove(&wait.table);
    let format = format.map_or_else(PartitionFormat::iso, |(format, _)| format);
    // What cannot be asked is not known, and that is all.
    let landed = warehouse
        .catalog()?
        .landings(&wait.table, column, &format, NEWEST)
        .ok()?;
    usual_landing(&landed, |ds| end_of(context, ds))
}

/// When a day ended in the workspace's time zone, in milliseconds since the epoch.
fn end_of(context: &Project, ds: Ds) -> i64 {
    let next = ds.plus(1);
    // The time zone was checked with workspace.toml.
    next.start_in(&context.workspace.timezone)
        .unwrap_or(next.start_millis())
}
