//! Days that the Driver computes rightly only in one job with days beside them: all of their left rows
//! are early, or all are late.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetKind, Ds, PartitionRange, RangeSet};

use super::{inputs::starved, walk::Planner};
use crate::{
    graph::{Asset, AssetIndex},
    left_times::LeftTimes,
    parts::parts_of_times,
    plan::{Cells, Note, Reason},
};

impl Planner<'_> {
    /// The times of the left rows of a whole join that the Driver fills.
    fn times_of_job(&self, asset: &Asset) -> Option<&LeftTimes> {
        self.world.driver?;
        let whole = asset.id.mode == AssetKind::Backfill && !parts_of_times(asset).is_empty();
        self.world.history.times_of(asset).filter(|_| whole)
    }

    /// The days of `done` that have to be filled again in one job with days of `run`.
    pub(super) fn filled_beside(
        &self,
        index: AssetIndex,
        done: &RangeSet,
        run: &RangeSet,
    ) -> RangeSet {
        let asset = &self.world.graph.assets[index];
        let Some(times) = self.times_of_job(asset).filter(|_| !self.request.stale) else {
            return RangeSet::new();
        };
        let again = times.again(done, run);
        // What could not be made again stays.
        let inputs = asset.inputs.iter();
        let lacking = inputs.map(|input| starved(input, &again, &self.available(input)));
        lacking.fold(again.clone(), |again, lacking| again.minus(&lacking))
    }

    /// The last days of pieces that must not end there.
    pub(super) fn bonds(&self, asset: &Asset, run: &RangeSet) -> BTreeSet<Ds> {
        let times = self.times_of_job(asset);
        times.map(|times| times.bonds(run)).unwrap_or_default()
    }

    /// The days that stay, or will be, filled without what belongs to the same job.
    pub(super) fn alone_note(&self, index: AssetIndex, run: &RangeSet) -> Option<Note> {
        let asset = &self.world.graph.assets[index];
        let times = self.times_of_job(asset)?;
        let steps = self.steps_of[index].iter();
        let made = steps.map(|(range, _)| times.alone_in(*range));
        let made = made.fold(RangeSet::new(), |all, days| all.union(&days));
        let stay = times.alone.intersect(&self.observed_days(asset)).minus(run);
        let (days, hopeless): (Vec<Ds>, Vec<Ds>) = made
            .union(&stay)
            .iter()
            .partition(|ds| self.may_be_helped(times, *ds));
        let note = Note::Alone {
            days: days.into_iter().collect(),
            hopeless: hopeless.into_iter().collect(),
        };
        matches!(&note, Note::Alone { days, hopeless } if !days.is_empty() || !hopeless.is_empty())
            .then_some(note)
    }

    /// Whether another day helps, or one may that is not there yet.
    fn may_be_helped(&self, times: &LeftTimes, ds: Ds) -> bool {
        let last = times.days.keys().next_back();
        let late = times.days.get(&ds).is_some_and(|times| times.end < ds);
        times.beside(ds).is_some()
            || late && last.is_some_and(|last| *last < ds.plus(crate::FAR_DAYS))
    }
}

/// The days of the output that are dropped because they are filled again beside others.
pub(super) fn dropped_note(asset: &Asset, cells: &[Cells]) -> Option<Note> {
    let again = cells
        .iter()
        .filter(|cells| cells.reason == Reason::MadeAlone);
    let days: RangeSet = again.map(|cells| cells.range).collect();
    let tables = BTreeMap::from([(asset.table.clone(), days)]);
    (!tables[&asset.table].is_empty()).then_some(Note::Drops { tables })
}

/// `pieces`, with those in one that no job may end between.
pub(super) fn joined(
    pieces: impl Iterator<Item = PartitionRange>,
    bonds: &BTreeSet<Ds>,
) -> Vec<PartitionRange> {
    let mut all: Vec<PartitionRange> = Vec::new();
    for piece in pieces {
        match all.last_mut() {
            Some(last) if last.end.plus(1) == piece.start && bonds.contains(&last.end) => {
                last.end = piece.end;
            }
            _ => all.push(piece),
        }
    }
    all
}
