//! Up to which day an asset's schedule calls for it.

use chronon_run_core::{Ds, Schedule, ScheduleError};
use chronon_run_plan::AssetIndex;

use crate::{loading::project::Project, output::note, program::now_millis};

/// What time it is, for schedules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Now {
    /// That of the clock.
    Clock,
    /// The whole day after this one has passed, whatever the hour of a schedule: the user said what
    /// day it is.
    After(Ds),
}

/// Whether an asset's schedule ever calls; `None` if it has none.
pub fn calls(context: &Project, index: AssetIndex) -> Option<Result<bool, ScheduleError>> {
    let schedule = context.graph.assets[index].schedule.as_deref()?;
    let schedule: Result<Schedule, _> = schedule.parse();
    Some(schedule.map(|schedule| schedule.calls()))
}

/// The last day that an asset's schedule calls for, minus its lag; `None` if it never calls, or
/// cannot be read, which is reported.
pub fn last_due(context: &Project, now: Now, index: AssetIndex) -> Option<Ds> {
    let asset = &context.graph.assets[index];
    let schedule: Schedule = asset
        .schedule
        .as_deref()?
        .parse()
        .inspect_err(|error| note(&format!("warning: {} is left out: {error}", asset.id)))
        .ok()?;
    let due = match now {
        Now::After(ds) => schedule.last_due_after(ds),
        Now::Clock => {
            let timezone = &context.workspace.timezone;
            // The time zone was checked with workspace.toml.
            schedule.last_due(now_millis(), timezone).ok().flatten()
        }
    };
    let lag = i32::try_from(context.settings(index).lag).unwrap_or(i32::MAX);
    Some(due?.plus(-lag))
}
