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
    /// The days of `days` whose left rows' times matter to the Driver and are not known.
    pub(super) fn unknown_times_note(&self, asset: &Asset, days: &RangeSet) -> Option<Note> {
        let graph = self.world.graph;
        let storing = match asset.id.mode {
            AssetKind::Backfill if !parts_of_times(asset).is_empty() => asset,
            AssetKind::Final if times_seen(self.world, asset).is_none() => {
                let producers = asset.inputs.iter().filter_map(|input| input.producer);
                let mut producers = producers.map(|index| &graph.assets[index]);
                producers.find(|asset| asset.is_shifted_part())?;
                let left = AssetId {
                    conf: asset.id.conf.clone(),
                    mode: AssetKind::Left,
                };
                &graph.assets[graph.find(&left)?]
            }
            _ => return None,
        };
        let mut inputs = storing.inputs.iter();
        let left = inputs.find(|input| input.role == Role::Left)?;
        let spec = &left.spec;
        let snapshot = self.world.snapshot;
        let there = snapshot.days(&spec.table, &left.day_column, &spec.sub_partitions);
        let times = self.world.history.times_of(asset);
        let known = times.map(|times| times.days.keys().copied().collect());
        let days = days.intersect(&there).minus(&known.unwrap_or_default());
        let table = spec.table.clone();
        (!days.is_empty()).then_some(Note::TimesUnknown { table, days })
    }
}
