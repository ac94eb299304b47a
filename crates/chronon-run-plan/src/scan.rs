//! Which days a GroupBy's sources must have for one day of its output: the table of §4.2.

use chronon_run_conf::{Accuracy, DataModel, GroupBy};

use crate::need::Need;

/// What a GroupBy needs of its sources for one day.
pub(crate) struct Scan {
    /// Events or snapshots.
    pub(crate) rows: Need,
    /// Mutations, if they are read.
    pub(crate) mutations: Option<Need>,
    /// How new a cumulative source's newest partition must be.
    pub(crate) newest: i32,
}

/// Events from `d + end + 1 − W` or unbounded, snapshots of `d + end` (§4.2).
fn scan(conf: &GroupBy, lo_extra: i32, end: i32, mutations: Option<Need>) -> Scan {
    let rows = match (conf.data_model(), conf.max_window_days()) {
        (DataModel::Entities, _) => Need::Days { lo: end, hi: end },
        (DataModel::Events, None) => Need::Since { hi: end },
        (DataModel::Events, Some(days)) => Need::Days {
            lo: (end + 1 - days - lo_extra).min(end),
            hi: end,
        },
    };
    Scan {
        rows,
        mutations,
        newest: end,
    }
}

/// The day itself, at its end: GroupBy backfills, uploads, labels.
pub(crate) fn scan_of_backfill(conf: &GroupBy) -> Scan {
    scan(conf, 0, 0, None)
}

/// A join part of `left × right × accuracy` (§4.2).
pub(crate) fn scan_of_part(left: DataModel, conf: &GroupBy) -> Scan {
    match (left, conf.data_model(), conf.accuracy()) {
        (DataModel::Entities, _, _) => scan(conf, 0, 0, None),
        // The window ends at the row's own time, so it starts within day d − W.
        (DataModel::Events, DataModel::Events, Accuracy::Temporal) => scan(conf, 1, 0, None),
        (DataModel::Events, DataModel::Entities, Accuracy::Temporal) => {
            scan(conf, 0, -1, Some(Need::SAME_DAY))
        }
        (DataModel::Events, _, Accuracy::Snapshot) => scan(conf, 0, -1, None),
    }
}

/// Where a part's partition lies relative to the left day (§4.2, last column).
pub(crate) fn part_shift(left: DataModel, conf: &GroupBy) -> i32 {
    match (left, conf.accuracy()) {
        (DataModel::Events, Accuracy::Snapshot) => -1,
        _ => 0,
    }
}
