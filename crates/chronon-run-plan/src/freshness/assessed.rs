//! What was found out of date.

use chronon_run_core::RangeSet;

use crate::plan::Cause;

/// What is out of date of one asset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assessed {
    /// Days known to have no rows, until now.
    pub(crate) reopened: Vec<(RangeSet, Vec<Cause>)>,
    /// Filled days that are out of date.
    pub(crate) stale: Vec<(RangeSet, Vec<Cause>)>,
    /// Filled days of which nothing is recorded.
    pub(crate) unknown: RangeSet,
    /// With `--stale`: the filled days that are filled again.
    pub(crate) refilled: RangeSet,
    /// Days that an attempt was made at whose end was not seen, and that are not there: they may have been.
    pub(crate) lost: RangeSet,
}

impl Assessed {
    /// The days of which `pairs` tell.
    pub(crate) fn days(pairs: &[(RangeSet, Vec<Cause>)]) -> RangeSet {
        let days = pairs.iter().map(|(days, _)| days);
        days.fold(RangeSet::new(), |all, days| all.union(days))
    }
}
