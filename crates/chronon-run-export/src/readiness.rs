//! Whether one day of one asset can be filled, for sensors of other schedulers.

use chronon_run_core::{AssetId, Ds, PartitionRange};
use chronon_run_plan::{AssetPlan, Plan, Reason, State};
use serde::Serialize;

use crate::reason_text;

/// What is known of one day of one asset.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Readiness {
    /// The asset.
    pub asset: AssetId,
    /// The day: the one asked for, minus the asset's lag.
    pub ds: Ds,
    /// Whether nothing is waited for.
    pub ready: bool,
    /// What a plan would make of the day.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// The newest later closed day that is ready and not filled. A job that fills it fills this day
    /// too; only of assets that fill every missing day.
    pub newer_ds: Option<Ds>,
}

impl Readiness {
    /// Of a day that is not closed yet.
    #[must_use]
    pub fn not_closed(asset: AssetId, ds: Ds) -> Self {
        Self {
            asset,
            ds,
            ready: false,
            state: State::Waiting,
            reason: Some(Reason::AfterAsOf),
            newer_ds: None,
        }
    }

    /// As a plan of this asset alone has it.
    #[must_use]
    pub fn planned(asset: AssetId, ds: Ds, plan: &Plan) -> Self {
        let (state, reason) = state_of(plan.assets.first(), ds);
        let later = PartitionRange::new(ds.plus(1), plan.as_of);
        let newer = plan.assets.first().zip(later).and_then(|(asset, later)| {
            let days = asset.days_in(State::Run).intersect(&later.into());
            days.hull().map(|hull| hull.end)
        });
        // A day without rows is a day; what reads it has nothing to wait for.
        let empty = matches!(reason, Some(Reason::NoRowsThere { .. }));
        Self {
            asset,
            ds,
            ready: matches!(state, State::Done | State::Run) || empty,
            state,
            reason,
            newer_ds: newer,
        }
    }

    /// In one line.
    #[must_use]
    pub fn text(&self) -> String {
        let word = match (self.ready, self.state) {
            (true, _) => "ready",
            (false, State::Excluded) => "never",
            (false, _) => "waiting",
        };
        let why = self.reason.as_ref().map(reason_text).unwrap_or_default();
        let state = self.state.as_str();
        let mut text = format!("{word}: {} {}: {state}: {why}", self.asset, self.ds);
        if let Some(newer) = self.newer_ds {
            text.push_str(&format!("; {newer} is ready too"));
        }
        text.push('\n');
        text
    }
}

/// A day without a cell has nothing to fill, unless it is the left side that has no partition yet.
fn state_of(asset: Option<&AssetPlan>, ds: Ds) -> (State, Option<Reason>) {
    let Some(asset) = asset else {
        return (State::Excluded, None);
    };
    if let Some(cell) = asset.cell(ds) {
        return (cell.state, Some(cell.reason.clone()));
    }
    match &asset.excluded {
        Some(reason @ Reason::NoLeftPartition { .. }) => (State::Waiting, Some(reason.clone())),
        reason => (State::Excluded, reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chronon_run_core::TableName;
    use chronon_run_plan::Cells;

    use super::*;

    fn day(day: &str) -> Ds {
        day.parse().unwrap()
    }

    fn table() -> TableName {
        "lake.left".parse().unwrap()
    }

    fn plan(cells: &[(&str, State, Reason)], excluded: Option<Reason>) -> Plan {
        let cell = |(ds, state, reason): &(&str, State, Reason)| Cells {
            range: PartitionRange::day(day(ds)),
            state: *state,
            reason: reason.clone(),
        };
        let asset = AssetPlan {
            asset: "join/a.b/backfill".parse().unwrap(),
            table: "out.a_b".parse().unwrap(),
            cells: cells.iter().map(cell).collect(),
            excluded,
            notes: Vec::new(),
        };
        Plan {
            assets: vec![asset],
            ..Plan::empty(day("2026-01-04"))
        }
    }

    fn of(plan: &Plan) -> Readiness {
        let asset = plan.assets[0].asset.clone();
        Readiness::planned(asset, day("2026-01-01"), plan)
    }

    #[test]
    fn a_day_is_ready_if_nothing_is_waited_for() {
        let cell = |state, reason| plan(&[("2026-01-01", state, reason)], None);
        assert!(of(&cell(State::Done, Reason::PartitionExists)).ready);
        assert!(of(&cell(State::Run, Reason::PartitionMissing)).ready);
        let tables = BTreeSet::from([table()]);
        assert!(of(&cell(State::Excluded, Reason::NoRowsThere { tables })).ready);
        let outside = of(&cell(State::Waiting, Reason::AfterAsOf));
        assert!(!outside.ready);
        assert!(
            outside
                .text()
                .starts_with("waiting: join/a.b/backfill 2026-01-01: waiting: ")
        );
    }

    #[test]
    fn a_day_without_a_left_partition_waits_and_any_other_without_a_cell_never_comes() {
        let no_left = Reason::NoLeftPartition { table: table() };
        assert_eq!(of(&plan(&[], Some(no_left))).state, State::Waiting);
        let never = of(&plan(&[], Some(Reason::NotDue)));
        assert_eq!((never.ready, never.state), (false, State::Excluded));
        assert!(never.text().starts_with("never: "), "{}", never.text());
    }

    #[test]
    fn the_newest_closed_day_that_would_be_filled_is_named() {
        let run = |ds| (ds, State::Run, Reason::PartitionMissing);
        let found = of(&plan(
            &[run("2026-01-01"), run("2026-01-03"), run("2026-01-05")],
            None,
        ));
        // 2026-01-05 is after the last closed day.
        assert_eq!(found.newer_ds, Some(day("2026-01-03")));
        assert!(found.text().ends_with("; 2026-01-03 is ready too\n"));
    }
}
