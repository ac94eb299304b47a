//! The asset graph, what each asset needs, and the plan: which days are done, will run, wait,
//! are blocked or excluded, and why.
//!
//! Invariant: pure. No I/O, no clock, no threads, no environment; the same arguments give the
//! same plan, so a plan can be shown, saved, compared and applied later.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod build;
mod columns;
mod dependency;
mod estimates;
mod explain;
mod freshness;
mod graph;
mod left_times;
mod link;
mod need;
mod parts;
mod paths;
mod plan;
mod planner;
mod reads;
mod resolve;
mod scan;
mod select;
mod target;
#[cfg(test)]
mod testing;
mod unmet;
mod upstream;
mod view_days;
mod views;
mod waits;
mod world;

pub use build::{BuildOptions, DriverOptions, JoinFlow};
pub use chronon_run_conf::{AnyConf, ConfView};
pub use columns::{AssetColumns, note_columns};
pub use estimates::{Estimates, Millis, Reads, StepEstimate};
pub use explain::{Explanation, InputState, explain};
pub use freshness::{Depth, evidence_wanted, inputs_digest, inputs_seen, memory_wanted};
pub use graph::{Asset, AssetIndex, Fill, Graph, Input, Role, SideTable, Tables};
pub use left_times::{FAR_DAYS, LeftTimes};
pub use need::Need;
pub use parts::{
    EARLY_DAYS, dropped_before, dropped_first, dropped_of, parts_of_times, premature_parts,
};
pub use plan::{
    Archived, AssetPlan, Cause, Cells, ChangedInput, ColumnsFate, Difference, MissingInput, Note,
    PLAN_VERSION, Plan, Reason, State, Step, TimesSeen, Totals,
};
pub use planner::{first_hole, plan, times_seen, unfounded};
pub use reads::{reads, unsized_reads};
pub use resolve::{
    Bases, Dayless, bases, dayless, other_columns, undated_view_text, undated_views,
};
pub use select::{Selection, SelectionError, States};
pub use target::{Origin, PlanTarget, origins};
pub use unmet::{Unmet, unmet};
pub use upstream::upstream_days;
pub use view_days::with_views;
pub use views::{ViewFault, behind_view, view_faults};
pub use waits::{Wait, usual_landing};
pub use world::{
    ArchivedTables, AssetSettings, DayLimit, DriverInput, Freshness, History, PlanInput, Request,
};
