//! Rules of the Driver: which days it would not fill, or would fill besides (§5.1), and which tables it renames.

use chronon_run_core::{Ds, PartitionRange, RangeSet};

use super::{inputs::starved, target::Target, walk::Planner};
use crate::{
    graph::{Asset, AssetIndex, Input},
    plan::{Archived, Note, Reason, State},
    world::ArchivedTables,
};

impl Planner<'_> {
    /// Days that the Driver will not or must not fill, though their inputs are there.
    pub(super) fn driver_refuses(
        &self,
        index: AssetIndex,
        target: &Target,
        run: &RangeSet,
    ) -> Vec<(RangeSet, State, Reason)> {
        let asset = &self.world.graph.assets[index];
        if self.world.driver.is_none() {
            return Vec::new();
        }
        let mut refused = Vec::new();
        let observed = self.days_of(asset, &asset.table);
        let kept = match self.request.recompute {
            true => observed.minus(&target.days),
            false => observed.minus(&self.assessed[index].refilled),
        };
        if let Some(first) = kept
            .first()
            .filter(|_| asset.id.mode.never_fills_first_hole())
        {
            let left: RangeSet = run
                .first()
                .and_then(|start| PartitionRange::new(start, first.plus(-1)))
                .into();
            refused.push((
                run.intersect(&left),
                State::Excluded,
                Reason::FirstHole { first },
            ));
        }
        if let Some(day) = self.earlier_day_that_waits(index, run, &kept) {
            let from = run.last().and_then(|last| PartitionRange::new(day, last));
            let later = run.intersect(&from.into());
            refused.push((later, State::Blocked, Reason::EarlierDayWaits { day }));
        }
        refused
    }

    /// Days that the Driver fills up to the last day of `run` where it takes no first day: those
    /// that have their input and no partition yet (§5.1).
    pub(super) fn driver_would_fill(
        &self,
        asset: &Asset,
        run: &RangeSet,
        kept: &RangeSet,
    ) -> RangeSet {
        let Some(last) = run
            .last()
            .filter(|_| asset.id.mode.fills_everything_before())
        else {
            return RangeSet::new();
        };
        let gates = asset.inputs.iter().filter(|input| input.gates);
        let there = gates.fold(RangeSet::new(), |all, input| {
            all.union(&self.existing(input))
        });
        let first = there.first().max(kept.first());
        let asked: RangeSet = first
            .and_then(|first| PartitionRange::new(first, last))
            .into();
        there.intersect(&asked).minus(kept)
    }

    /// The first day that the Driver would fill too and that lacks an input.
    pub(super) fn earlier_day_that_waits(
        &self,
        index: AssetIndex,
        run: &RangeSet,
        kept: &RangeSet,
    ) -> Option<Ds> {
        let asset = &self.world.graph.assets[index];
        let extra = self.driver_would_fill(asset, run, kept).minus(run);
        // Nothing is going to land for them; the Driver computes them with what there is.
        let extra = extra.minus(&self.before_days(index));
        let starved_by = |input: &Input| starved(input, &extra, &self.available(input)).first();
        asset.inputs.iter().filter_map(starved_by).min()
    }
}

/// What the Driver would rename, beside what a plan that fills `run` computes again.
pub(super) fn archives(archived: &ArchivedTables, run: &RangeSet) -> Note {
    let filled = archived.tables.iter().filter(|(_, days)| !days.is_empty());
    let tables = filled.map(|(table, days)| Archived {
        table: table.clone(),
        // Some parts are written one day back (§4.2).
        recomputed: days.intersect(&run.union(&run.widen(-1, -1))),
        thrown_away: days.clone(),
    });
    Note::Archives {
        tables: tables.collect(),
        because: archived.because.clone(),
    }
}
