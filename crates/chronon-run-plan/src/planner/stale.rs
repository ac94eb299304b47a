//! Where the planner asks which days are out of date.

use chronon_run_core::RangeSet;

use super::{cells::push, target::Target, walk::Planner};
use crate::{
    freshness::Assessed,
    graph::AssetIndex,
    need::{Bounds, Need},
    plan::{Cause, Cells, Note, Reason, State},
};

impl Planner<'_> {
    /// With `--stale`, only filled days are asked for.
    pub(super) fn only_stale(&self, index: AssetIndex, target: Target) -> Target {
        let asset = &self.world.graph.assets[index];
        let found = &self.assessed[index];
        let kept = match asset.day_column {
            Some(_) => self.observed_days(asset).union(&found.refilled),
            None => RangeSet::new(),
        };
        let reopened = Assessed::days(&found.reopened);
        let kept = kept.union(&self.known_empty(asset)).union(&reopened);
        Target {
            days: target.days.intersect(&kept),
            outside: Vec::new(),
            last: target.last,
        }
    }

    /// The days of `days` that are out of date, with the reason; returns the others.
    pub(super) fn push_stale(
        &self,
        cells: &mut Vec<Cells>,
        index: AssetIndex,
        days: &RangeSet,
        state: State,
    ) -> RangeSet {
        let stale = &self.assessed[index].stale;
        let reason = |because: Vec<Cause>| Reason::Stale { because };
        match state == State::Run && !self.request.stale {
            true => days.clone(),
            false => push_each(cells, stale, days, state, &reason),
        }
    }

    /// The days of `days` that were known to have no rows; returns the others.
    pub(super) fn push_reopened(
        &self,
        cells: &mut Vec<Cells>,
        index: AssetIndex,
        days: &RangeSet,
    ) -> RangeSet {
        if self.request.recompute {
            return days.clone();
        }
        let reopened = &self.assessed[index].reopened;
        let reason = |because: Vec<Cause>| Reason::EmptyNoMore { because };
        push_each(cells, reopened, days, State::Run, &reason)
    }

    /// Filled days without a record of how they were made, and those that this plan makes out of date.
    pub(super) fn freshness_notes(&self, index: AssetIndex, cells: &[Cells]) -> Vec<Note> {
        let asset = &self.world.graph.assets[index];
        let done = cells.iter().filter(|cells| cells.state == State::Done);
        let fresh = done
            .clone()
            .filter(|cells| !matches!(cells.reason, Reason::Stale { .. } | Reason::KnownEmpty));
        let fresh: RangeSet = fresh.map(|cells| cells.range).collect();
        let mut notes = Vec::new();
        let unknown = self.assessed[index].unknown.intersect(&fresh);
        if !unknown.is_empty() && asset.day_column.is_some() {
            notes.push(Note::Unrecorded { days: unknown });
        }
        let days = self.overtaken(index, &fresh);
        if !days.is_empty() {
            notes.push(Note::BecomesStale { days });
        }
        notes
    }

    /// The days of `fresh` that are made of days which this plan fills.
    fn overtaken(&self, index: AssetIndex, fresh: &RangeSet) -> RangeSet {
        let asset = &self.world.graph.assets[index];
        let Some(domain) = fresh.hull().filter(|_| asset.day_column.is_some()) else {
            return RangeSet::new();
        };
        let mut days = RangeSet::new();
        for input in &asset.inputs {
            let Some(producer) = input.producer else {
                continue;
            };
            let shift = self.world.graph.assets[producer].shift;
            let steps = self.steps_of[producer].iter().map(|(range, _)| *range);
            let filled = steps.collect::<RangeSet>().widen(shift, shift);
            let bounds = Bounds {
                from: input.from,
                until: input.until,
            };
            let need = match input.need {
                Need::Newest { hi } => Need::Days { lo: hi, hi },
                other => other,
            };
            days = days.union(&need.outputs_of(&filled, bounds, domain));
        }
        days.intersect(fresh)
    }
}

fn push_each(
    cells: &mut Vec<Cells>,
    pairs: &[(RangeSet, Vec<Cause>)],
    days: &RangeSet,
    state: State,
    reason: &dyn Fn(Vec<Cause>) -> Reason,
) -> RangeSet {
    let mut rest = days.clone();
    for (found, because) in pairs {
        let found = found.intersect(&rest);
        push(cells, &found, state, &reason(because.clone()));
        rest = rest.minus(&found);
    }
    rest
}
