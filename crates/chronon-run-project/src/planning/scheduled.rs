//! What a frontfill plans: what is due, each asset up to the last day that its schedule calls for.

use std::collections::BTreeSet;

use chronon_run_core::{Ds, PartitionRange, RangeSet};
use chronon_run_plan::{AssetIndex, DayLimit};

use crate::{
    failure::Failure,
    loading::{days::check_as_of, project::Project},
    options::{DayArgs, SelectArgs},
    planning::{
        due::{Now, calls, last_due},
        prepared::Wanted,
    },
};

/// 0001-01-01: before every day that there is.
const FIRST: i32 = -719_162;

/// What a frontfill is asked for.
pub struct Scheduled<'a> {
    /// Which assets.
    pub select: &'a SelectArgs,
    /// The last day to fill.
    pub ds: Option<Ds>,
    /// The last closed day, and what schedules go by.
    pub as_of: Option<Ds>,
    /// At most so many days of each asset.
    pub max_days: Option<u32>,
}

impl Scheduled<'_> {
    /// Whether the user said what day it is.
    #[must_use]
    pub fn is_simulated(&self, context: &Project) -> bool {
        self.ds.or(self.as_of).or(context.workspace.as_of).is_some()
    }

    /// What is due.
    ///
    /// # Errors
    /// A day is not over yet, or what is selected by name cannot be filled.
    pub fn wanted(&self, context: &Project) -> Result<Wanted, Failure> {
        check_as_of(context, self.as_of)?;
        let as_of = context.as_of(self.as_of)?;
        if let Some(ds) = self.ds
            && ds > as_of
        {
            return Err(Failure::hinted(
                format!("--ds {ds} has not closed yet; the last closed day is {as_of}"),
                "`--as-of` says which day is the last closed one",
            ));
        }
        let selected = context.select(self.select, true)?;
        if !self.select.selectors.is_empty() || !self.select.select.is_empty() {
            context.check_fillable(&offline(context, &selected))?;
        }
        let now = match self.is_simulated(context) {
            true => Now::After(self.ds.unwrap_or(as_of)),
            false => Now::Clock,
        };
        let only = selected.iter().map(|&index| {
            let due = last_due(context, now, index);
            (index, limit(due, self.max_days))
        });
        Ok(Wanted {
            select: self.select.clone(),
            days: DayArgs {
                end_ds: self.ds,
                as_of: Some(as_of),
                ..DayArgs::default()
            },
            every_mode: true,
            only: only.collect(),
            ..Wanted::default()
        })
    }

    /// What of it is left out because something is wrong with it: confs with errors, schedules that cannot
    /// be read, and what the engine cannot fill of what has a schedule.
    ///
    /// # Errors
    /// A selector means nothing.
    pub fn not_filled(&self, context: &Project) -> Result<BTreeSet<String>, Failure> {
        let selected = context.select(self.select, true)?;
        let is_called = |index| matches!(calls(context, index), Some(Ok(true)));
        let mut names = context.not_filled(self.select, &selected, &is_called)?;
        let unreadable = |index: &&AssetIndex| matches!(calls(context, **index), Some(Err(_)));
        let unreadable = selected.iter().filter(unreadable);
        names.extend(unreadable.map(|&index| context.graph.assets[index].id.to_string()));
        Ok(names)
    }
}

/// The offline tables among the selected assets. The name of a conf means these; what else it has
/// and cannot be done here, such as a load without a hook, is left out of the plan with its reason.
fn offline(context: &Project, selected: &BTreeSet<AssetIndex>) -> BTreeSet<AssetIndex> {
    let is_table = |index: &&AssetIndex| context.graph.assets[**index].id.mode.is_offline_table();
    selected.iter().filter(is_table).copied().collect()
}

/// The days up to the one that is due, at most so many; none if no day is due.
fn limit(due: Option<Ds>, max_days: Option<u32>) -> DayLimit {
    let Some(last) = due else {
        return DayLimit::default();
    };
    let most = max_days.and_then(|days| i32::try_from(days).ok());
    let first = most.map_or(Ds::from_epoch_days(FIRST), |days| last.plus(1 - days));
    DayLimit {
        days: RangeSet::from(PartitionRange::new(first, last)),
        last: Some(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_back_from_the_last_that_is_due() {
        let last: Ds = "2026-01-10".parse().unwrap();
        let limited = limit(Some(last), Some(3));
        assert_eq!(limited.days.to_string(), "2026-01-08..2026-01-10");
        assert_eq!(limited.last, Some(last));
        assert_eq!(limit(Some(last), Some(1)).days, RangeSet::from_iter([last]));
        let all = limit(Some(last), None).days.to_string();
        assert_eq!(all, "0001-01-01..2026-01-10");
        assert_eq!(limit(None, Some(3)), DayLimit::default());
    }
}
