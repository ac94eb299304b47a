//! Whether a modular join is known to have early or late left rows, and of which days nothing is known.

use chronon_run_core::{AssetId, AssetKind, Ds, RangeSet};

use super::walk::Planner;
use crate::{
    graph::{Asset, Role},
    left_times::LeftTimes,
    parts::parts_of_times,
    plan::{Note, TimesSeen},
    world::PlanInput,
};

/// Whether left rows of a modular join, of which `last` is the final step, are known to be early or late
/// and have a part with SNAPSHOT accuracy: from what is known of their times, or else from the part tables. The left rows that were handed to the parts are those of the days that `O_bootstrap` has; a
/// part partition that none of these days needs was made by a row whose time is on another day.
/// In part tables, early and late rows in the middle of a history are not seen.
#[must_use]
pub fn times_seen(world: PlanInput<'_>, last: &Asset) -> Option<TimesSeen> {
    let (graph, snapshot) = (world.graph, world.snapshot);
    if last.id.mode != AssetKind::Final {
        return None;
    }
    let column = last.day_column.as_deref()?;
    let producers = last.inputs.iter().filter_map(|input| input.producer);
    let producers: Vec<&Asset> = producers.map(|index| &graph.assets[index]).collect();
    let left = producers
        .iter()
        .find(|asset| asset.id.mode == AssetKind::Left)?;
    let parts = producers
        .iter()
        .copied()
        .filter(|asset| asset.is_shifted_part());
    let mut parts: Vec<&Asset> = parts.collect();
    let times = world.history.times_of(last).filter(|_| !parts.is_empty());
    if let Some((partition, early)) = times.and_then(LeftTimes::off_their_day) {
        return Some(TimesSeen {
            table: left.table.clone(),
            partition,
            early,
            part: false,
        });
    }
    let left = snapshot.days(&left.table, column, &[]);
    let (first, end) = (left.first()?, left.last()?);
    parts.drain(..).find_map(|part| {
        let days = snapshot.days(&part.table, column, &[]);
        let seen = |partition: Ds, early: bool| TimesSeen {
            table: part.table.clone(),
            partition,
            early,
            part: true,
        };
        let newest = days.last().filter(|day| *day > end.plus(part.shift));
        let oldest = days.first().filter(|day| *day < first.plus(part.shift));
        let early = newest.map(|day| seen(day, true));
        early.or(oldest.map(|day| seen(day, false)))
    })
}

impl Planner<'_> {
    /// The days whose left rows' times matter and are not known: to the Driver, of those that run or are
    /// done; else of the filled ones whose inputs are compared. Those that the notes so far call
    /// unrecorded are not, nor those that have no rows.
    pub(super) fn unknown_times_note(
        &self,
        asset: &Asset,
        [run, done, empty]: [&RangeSet; 3],
        notes: &[Note],
    ) -> Option<Note> {
        let nulls = self.world.driver.is_some() && self.may_leave_nulls(asset);
        let days = match nulls {
            true => run.union(done),
            false if !self.follows_times(asset) || !self.has_records => {
                return None;
            }
            false => {
                let unrecorded = notes.iter().filter_map(|note| match note {
                    Note::Unrecorded { days } => Some(days),
                    _ => None,
                });
                unrecorded.fold(done.minus(empty), |done, days| done.minus(days))
            }
        };
        let storing = self.storing(asset)?;
        let mut inputs = storing.inputs.iter();
        let left = inputs.find(|input| input.role == Role::Left)?;
        let spec = &left.spec;
        let snapshot = self.world.snapshot;
        let there = snapshot.days(&spec.table, &left.day_column, &spec.sub_partitions);
        let times = self.world.history.times_of(asset);
        let known = times.map(|times| times.days.keys().copied().collect());
        let days = days.intersect(&there).minus(&known.unwrap_or_default());
        let table = spec.table.clone();
        (!days.is_empty()).then_some(Note::TimesUnknown { table, days, nulls })
    }

    /// The assets that fill the inputs of an asset.
    fn producers(&self, asset: &Asset) -> impl Iterator<Item = &Asset> {
        let producers = asset.inputs.iter().filter_map(|input| input.producer);
        producers.map(|index| &self.world.graph.assets[index])
    }

    /// Whether the Driver may leave SNAPSHOT features of early or late rows NULL, and no such row was seen.
    fn may_leave_nulls(&self, asset: &Asset) -> bool {
        match asset.id.mode {
            AssetKind::Backfill => !parts_of_times(asset).is_empty(),
            AssetKind::Final => {
                times_seen(self.world, asset).is_none()
                    && self.producers(asset).any(Asset::is_shifted_part)
            }
            _ => false,
        }
    }

    /// Whether an asset is the last step of a join, features of which are made of the source days that the
    /// left rows' own times need.
    fn follows_times(&self, asset: &Asset) -> bool {
        let follows = |asset: &Asset| asset.inputs.iter().any(|input| input.follows_times);
        match asset.id.mode {
            AssetKind::Backfill => follows(asset),
            AssetKind::Final => self.producers(asset).any(follows),
            _ => false,
        }
    }

    /// The asset that stores the left rows of a join, of which `asset` is the last step.
    fn storing<'a>(&'a self, asset: &'a Asset) -> Option<&'a Asset> {
        if asset.id.mode == AssetKind::Backfill {
            return Some(asset);
        }
        let left = AssetId {
            conf: asset.id.conf.clone(),
            mode: AssetKind::Left,
        };
        let graph = self.world.graph;
        Some(&graph.assets[graph.find(&left)?])
    }
}
