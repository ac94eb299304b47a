//! The pages.

pub(crate) mod asset;
pub(crate) mod assets;
pub(crate) mod columns;
pub(crate) mod consistency;
pub(crate) mod diff;
pub(crate) mod events;
pub(crate) mod graph;
pub(crate) mod live;
pub(crate) mod overview;
mod placed;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod runs;

pub(crate) use crate::frame::Page;
use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, RangeSet};
use chronon_run_export::{AssetRow, AssetStatus};
use chronon_run_ledger::{RunDetail, RunRecord, RunState};
use chronon_run_plan::AssetPlan;

use crate::{
    days::{Stretch, stretches},
    source::{Source, Trouble, View},
};

/// An asset with everything that is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Known<'v> {
    pub(crate) plan: &'v AssetPlan,
    pub(crate) status: &'v AssetStatus,
    pub(crate) row: &'v AssetRow,
}

/// Every asset of a view.
pub(crate) fn assets(view: &View) -> impl Iterator<Item = Known<'_>> {
    let rows: BTreeMap<&AssetId, &AssetRow> =
        view.rows.iter().map(|row| (&row.asset, row)).collect();
    let both = view.plan.assets.iter().zip(&view.statuses);
    both.filter_map(move |(plan, status)| {
        let row = rows.get(&plan.asset)?;
        Some(Known { plan, status, row })
    })
}

impl Known<'_> {
    pub(crate) fn stretches(&self, running: &Running) -> Vec<Stretch> {
        stretches(self.plan, self.status, running.days.get(&self.plan.asset))
    }
}

/// A choice of assets, `None` for all; where it cannot be made, no asset, and why.
fn or_problem(
    chosen: Result<Option<BTreeSet<AssetId>>, Trouble>,
) -> (Option<BTreeSet<AssetId>>, Option<Trouble>) {
    match chosen {
        Ok(chosen) => (chosen, None),
        Err(problem) => (Some(BTreeSet::new()), Some(problem)),
    }
}

/// What runs now.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) runs: Vec<RunDetail>,
    /// The days that steps are filling.
    pub(crate) days: BTreeMap<AssetId, RangeSet>,
}

impl Running {
    /// Of the runs among `newest`.
    pub(crate) fn of(source: &dyn Source, newest: &[RunRecord]) -> Self {
        let running = newest.iter().filter(|run| run.state == RunState::Running);
        let runs: Vec<RunDetail> = running.filter_map(|run| source.run(&run.run)).collect();
        let mut days: BTreeMap<AssetId, RangeSet> = BTreeMap::new();
        let attempts = runs
            .iter()
            .flat_map(|run| &run.steps)
            .flat_map(|step| &step.attempts);
        for attempt in
            attempts.filter(|a| a.finished.is_none() && !a.abandoned && a.started.is_some())
        {
            let known = days.entry(attempt.asset.clone()).or_default();
            *known = known.union(&attempt.range.into());
        }
        Self { runs, days }
    }
}

/// Runs that are looked at for those that run now.
pub(crate) const NEWEST: u32 = 30;

/// The assets that each asset reads, directly.
pub(crate) fn upstream(view: &View) -> BTreeMap<AssetId, BTreeSet<AssetId>> {
    let rows = view.rows.iter();
    rows.map(|row| (row.asset.clone(), row.upstream.clone()))
        .collect()
}
