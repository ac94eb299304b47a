//! Which days of an asset are asked for.

use chronon_run_core::{AssetKind, Ds, PartitionRange, RangeSet};

use super::walk::Planner;
use crate::{
    graph::{Asset, AssetIndex, Fill},
    plan::Reason,
    world::{AssetSettings, DayLimit},
};

/// The days of one asset that are asked for.
pub(super) struct Target {
    /// Days that may be filled.
    pub(super) days: RangeSet,
    /// Days asked for that may not, and why.
    pub(super) outside: Vec<(RangeSet, Reason)>,
    /// `latest_date` of the steps.
    pub(super) last: Ds,
}

impl Planner<'_> {
    /// Which days are asked for, or why there are none.
    pub(super) fn target(&self, index: AssetIndex) -> Result<Target, Reason> {
        let asset = &self.world.graph.assets[index];
        if let Some(why) = self.world.refused.get(&asset.id) {
            return Err(Reason::EngineCannot { why: why.clone() });
        }
        if asset.fill == Fill::App {
            return Err(Reason::LongRunning);
        }
        let closed = self.closed(asset, (self.request.settings)(index));
        if asset.day_column.is_none() && self.request.start_ds.is_some_and(|start| start > closed) {
            return Err(Reason::NotOverYet);
        }
        let asked_end = self.request.end_ds.unwrap_or(closed);
        let only = self.request.only.get(&index);
        let last = last_day(asked_end.min(closed), only)?;
        let end = asset.until.map_or(last, |until| until.min(last));
        if asset.fill == Fill::LastDay {
            return only_day(asset, end, last);
        }
        let first = match asset.from {
            Some(from) => from,
            None => self.first_gate_day(asset)?,
        };
        let asked_start = self.request.start_ds;
        let start = asked_start.map_or(first, |start| start.max(first));
        let days: RangeSet = PartitionRange::new(start, end).into();
        if let Some(only) = only {
            return Ok(Target {
                days: days.intersect(&only.days),
                outside: Vec::new(),
                last,
            });
        }
        let outside = self.outside(asset, &days, closed, asked_end);
        if days.is_empty() && outside.iter().all(|(days, _)| days.is_empty()) {
            return Err(self.nothing_asked(asset, end, closed));
        }
        Ok(Target {
            days,
            outside,
            last,
        })
    }

    /// Days asked for that are not among the `days` that may be filled, and why.
    fn outside(
        &self,
        asset: &Asset,
        days: &RangeSet,
        closed: Ds,
        asked_end: Ds,
    ) -> Vec<(RangeSet, Reason)> {
        let asked = self.request.start_ds;
        let asked = asked.and_then(|start| PartitionRange::new(start, asked_end));
        let asked = RangeSet::from(asked);
        let after: RangeSet = PartitionRange::new(closed.plus(1), asked_end).into();
        vec![
            (asked.minus(days).minus(&after), outside_conf(asset)),
            (after, Reason::AfterAsOf),
        ]
    }

    /// Why not a single day was asked for.
    fn nothing_asked(&self, asset: &Asset, end: Ds, closed: Ds) -> Reason {
        let begins_later = asset.from.is_some_and(|from| from > end);
        match self.request.start_ds {
            Some(asked) if asked > closed && !begins_later => Reason::AfterAsOf,
            _ => outside_conf(asset),
        }
    }

    /// The last day that may be filled.
    fn closed(&self, asset: &Asset, settings: AssetSettings) -> Ds {
        let lag = i32::try_from(settings.lag).unwrap_or(i32::MAX);
        let closed = self.request.as_of.plus(-lag);
        let today = self.world.driver.and_then(|driver| driver.today);
        match today.filter(|_| matches!(asset.id.mode, AssetKind::Upload | AssetKind::Kv)) {
            Some(today) => closed.min(today.plus(-1)),
            None => closed,
        }
    }

    /// The first day of the inputs that decide which days exist (§4.1).
    pub(super) fn first_gate_day(&self, asset: &Asset) -> Result<Ds, Reason> {
        let gates = asset.inputs.iter().filter(|input| input.gates);
        let first = gates
            .clone()
            .filter_map(|input| self.existing(input).first())
            .min();
        first.ok_or_else(|| match gates.map(|input| &input.spec.table).next() {
            Some(table) => Reason::NoLeftPartition {
                table: table.clone(),
            },
            None => outside_conf(asset),
        })
    }
}

/// The last day that is asked for, of those until `end`.
fn last_day(end: Ds, only: Option<&DayLimit>) -> Result<Ds, Reason> {
    match only {
        Some(only) => Ok(end.min(only.last.ok_or(Reason::NotDue)?)),
        None => Ok(end),
    }
}

/// Of an asset of which only the last day is ever filled.
fn only_day(asset: &Asset, end: Ds, last: Ds) -> Result<Target, Reason> {
    if asset.from.is_some_and(|from| from > end) {
        return Err(outside_conf(asset));
    }
    Ok(Target {
        days: PartitionRange::day(end).into(),
        outside: Vec::new(),
        last,
    })
}

fn outside_conf(asset: &Asset) -> Reason {
    Reason::OutsideConf {
        first: asset.from,
        last: asset.until,
    }
}
