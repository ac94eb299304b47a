//! What a plan waits for, source by source, and how late that is.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chronon_run_core::{AssetId, Ds, RangeSet, TableName};
use serde::Serialize;

use crate::plan::{Plan, Reason, State};

/// A source that days wait for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Wait {
    /// The table.
    pub table: TableName,
    /// Its days that are not there; empty if the table does not exist.
    pub missing: RangeSet,
    /// What waits for them.
    pub assets: BTreeSet<AssetId>,
    /// How long after the end of a day it usually lands, in seconds, if that is known.
    pub lands_after_seconds: Option<u64>,
    /// By how much its oldest missing day is later than usual, in seconds; 0 if it is not late.
    /// `None` if it is not known when it should have landed.
    pub late_seconds: Option<u64>,
}

impl Plan {
    /// Every source that the plan waits for, by table. Nothing is known yet of when they land.
    #[must_use]
    pub fn waits(&self) -> Vec<Wait> {
        let mut waits: BTreeMap<TableName, Wait> = BTreeMap::new();
        for asset in &self.assets {
            let waiting = asset
                .cells
                .iter()
                .filter(|cells| cells.state == State::Waiting);
            for cells in waiting {
                let Reason::InputsMissing { inputs } = &cells.reason else {
                    continue;
                };
                for blame in inputs.iter().filter(|blame| blame.asset.is_none()) {
                    let table = blame.table.clone();
                    let wait = waits.entry(table).or_insert_with_key(Wait::on);
                    wait.missing = wait.missing.union(&blame.missing);
                    wait.assets.insert(asset.asset.clone());
                }
            }
        }
        waits.into_values().collect()
    }
}

impl Wait {
    fn on(table: &TableName) -> Self {
        Self {
            table: table.clone(),
            missing: RangeSet::new(),
            assets: BTreeSet::new(),
            lands_after_seconds: None,
            late_seconds: None,
        }
    }

    /// Adds how long after the end of a day the source usually lands, and from that and the age of
    /// the oldest missing day (since its end; `None` if days are only simulated) how late it is.
    pub fn expect(&mut self, usual: Duration, age: Option<Duration>) {
        self.lands_after_seconds = Some(usual.as_secs());
        self.late_seconds = age.map(|age| age.saturating_sub(usual).as_secs());
    }
}

/// Later than this a partition was loaded for some other reason than that its day had ended.
const LATEST: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// Fewer days than this tell nothing.
const FEWEST: usize = 3;

/// How long after the end of its day a source usually lands: the median over `landed` (day → when
/// it was entered into the catalog). `end_of` tells when a day ended; both in milliseconds since
/// the epoch. Days that were there before they ended, and those that were loaded long after, tell
/// nothing; `None` if there are too few others.
#[must_use]
pub fn usual_landing(landed: &BTreeMap<Ds, i64>, end_of: impl Fn(Ds) -> i64) -> Option<Duration> {
    let delay = |(&ds, &at): (&Ds, &i64)| {
        let millis = u64::try_from(at.saturating_sub(end_of(ds))).ok()?;
        Some(Duration::from_millis(millis)).filter(|delay| *delay <= LATEST)
    };
    let mut delays: Vec<Duration> = landed.iter().filter_map(delay).collect();
    delays.sort_unstable();
    (delays.len() >= FEWEST).then(|| delays[delays.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn usual(hours: &[i64]) -> Option<u64> {
        let end_of = |ds: Ds| ds.plus(1).start_millis();
        let landed = hours.iter().zip(20_000..).map(|(hours, day)| {
            let ds = Ds::from_epoch_days(day);
            (ds, end_of(ds) + hours * HOUR)
        });
        let usual = usual_landing(&landed.collect(), end_of)?;
        Some(usual.as_secs() / 3_600)
    }

    #[test]
    fn the_usual_landing_is_the_median_of_days_that_landed_by_themselves() {
        assert_eq!(usual(&[3, 4, 2, 9, 3]), Some(3));
        // A backfill of old days and a partition that was there before its day ended say nothing.
        assert_eq!(usual(&[3, 400, 300, 4, -5, 5]), Some(4));
        assert_eq!(usual(&[3, 4]), None);
        assert_eq!(usual(&[400, 300, 200, 100]), None);
    }

    #[test]
    fn late_is_what_is_over_the_usual() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let mut wait = Wait::on(&"lake.a".parse().unwrap());
        wait.expect(hours(3), Some(hours(5)));
        assert_eq!(wait.late_seconds, Some(7_200));
        wait.expect(hours(3), Some(hours(2)));
        assert_eq!(wait.late_seconds, Some(0));
        wait.expect(hours(3), None);
        assert_eq!(
            (wait.lands_after_seconds, wait.late_seconds),
            (Some(10_800), None)
        );
    }
}
