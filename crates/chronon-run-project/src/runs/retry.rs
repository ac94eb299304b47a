//! What a retry plans: the days of an earlier run that it did not fill.

use std::{collections::BTreeMap, fs};

use chronon_run_core::{
    AssetId, Ds, RangeSet,
    event::{Outcome, StepIndex},
};
use chronon_run_ledger::{Ledger, RunDetail, RunState, StepRecord};
use chronon_run_plan::{AssetIndex, DayLimit, Plan};

use crate::{
    failure::Failure,
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
    options::{DayArgs, SelectArgs},
    output::note,
    planning::prepared::Wanted,
    runs::{
        history::{self, no_run},
        run::PLAN_FILE,
    },
};

/// The run of that id, or the newest.
///
/// # Errors
/// There is none, or it is not over.
pub fn earlier(ledger: &mut Ledger, run: Option<&str>) -> Result<RunDetail, Failure> {
    let found = history::find(ledger, run).ok_or_else(|| match run {
        Some(id) => no_run(id),
        None => Failure::hinted(
            "nothing was run yet",
            "`chronon-run materialize` fills what is missing",
        ),
    })?;
    if found.record.state == RunState::Running {
        let message = format!("run {} is still running", found.record.run);
        return Err(Failure::Locked { message });
    }
    Ok(found)
}

/// In a target, the project that the earlier run had: its confs depend on what it selected and sampled.
pub fn as_it_was(project: Project, earlier: &RunDetail) -> Result<Project, Failure> {
    let Some(target) = &project.target else {
        return Ok(project);
    };
    let plan = plan_of(&project, &earlier.record.run)?;
    let select = Wanted::of_plan(&plan).select;
    let sample = plan.target.and_then(|target| target.sample);
    let (production, _) = Project::load_quietly()?;
    let target = Some(target.name.as_str());
    targets::enter(production, target, &select, Unselected::All, sample)
}

/// What to plan: the days of every step that did not succeed. `None` if all did.
pub fn wanted(project: &Project, earlier: &RunDetail) -> Result<Option<Wanted>, Failure> {
    let plan = plan_of(project, &earlier.record.run)?;
    let latest = |number: StepIndex| {
        let step = plan.steps.iter().find(|step| step.index == number);
        step.map(|step| step.latest_date)
    };
    let mut only: BTreeMap<AssetIndex, DayLimit> = BTreeMap::new();
    let mut select = Vec::new();
    let mut as_of = project.as_of(None)?;
    for (asset, (days, last)) in not_filled(&earlier.steps, latest) {
        let Some(index) = project.graph.find(asset) else {
            note(&format!("{asset} is not there any more and is left out"));
            continue;
        };
        // The day had closed then, whatever the settings say now.
        let lag = i32::try_from(project.settings(index).lag).unwrap_or(i32::MAX);
        as_of = as_of.max(last.plus(lag));
        select.push(asset.to_string());
        let last = Some(last);
        only.insert(index, DayLimit { days, last });
    }
    if select.is_empty() {
        return Ok(None);
    }
    Ok(Some(Wanted {
        select: SelectArgs {
            select,
            ..SelectArgs::default()
        },
        days: DayArgs {
            as_of: Some(as_of),
            ..DayArgs::default()
        },
        recompute: plan.recompute,
        stale: plan.stale,
        every_mode: true,
        only,
        ..Wanted::default()
    }))
}

/// For each asset the days of its steps that did not succeed, and the last day of the request that they belonged
/// to. `latest` is that of a planned step.
fn not_filled(
    steps: &[StepRecord],
    latest: impl Fn(StepIndex) -> Option<Ds>,
) -> BTreeMap<&AssetId, (RangeSet, Ds)> {
    let mut days: BTreeMap<&AssetId, (RangeSet, Ds)> = BTreeMap::new();
    for step in steps {
        if step.outcome.as_ref().is_some_and(Outcome::succeeded) {
            continue;
        }
        let latest = latest(step.step).unwrap_or(step.range.end);
        let (all, last) = days.entry(&step.asset).or_insert((RangeSet::new(), latest));
        *all = all.union(&step.range.into());
        *last = latest.max(*last);
    }
    days
}

/// The plan that the run carried out.
fn plan_of(project: &Project, run: &str) -> Result<Plan, Failure> {
    let path = project.runs_dir().join(run).join(PLAN_FILE);
    let text = fs::read(&path);
    let plan = text
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    plan.map_err(|why| {
        Failure::hinted(
            format!("run {run} cannot be retried: {}: {why}", path.display()),
            "`chronon-run materialize` fills what is missing",
        )
    })
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{PartitionRange, event::SkipReason};

    use super::*;

    fn day(day: i32) -> Ds {
        Ds::from_epoch_days(day)
    }

    fn step(
        number: StepIndex,
        asset: &str,
        days: [i32; 2],
        outcome: Option<Outcome>,
    ) -> StepRecord {
        StepRecord {
            step: number,
            asset: asset.parse().unwrap(),
            range: PartitionRange::new(day(days[0]), day(days[1])).unwrap(),
            skipped: outcome.is_none().then_some(SkipReason::Cancelled),
            outcome,
            filled: RangeSet::new(),
            empty: RangeSet::new(),
            bad: RangeSet::new(),
            checked: Vec::new(),
            attempts: Vec::new(),
        }
    }

    #[test]
    fn days_of_steps_that_did_not_succeed_are_planned_for_the_request_that_they_belonged_to() {
        let [a, b] = ["join/a.a/backfill", "join/a.b/backfill"];
        let steps = [
            step(0, a, [1, 5], Some(Outcome::Succeeded)),
            step(1, a, [6, 10], Some(Outcome::TimedOut)),
            step(2, a, [16, 20], None),
            step(3, b, [1, 5], None),
        ];
        let found = not_filled(&steps, |number| (number != 3).then(|| day(30)));
        let found: Vec<_> = found.into_values().collect();
        let range = |first, last| PartitionRange::new(day(first), day(last)).unwrap();
        let of_a = RangeSet::from(range(6, 10)).union(&range(16, 20).into());
        // The plan does not have step 3.
        let of_b = (RangeSet::from(range(1, 5)), day(5));
        assert_eq!(found, [(of_a, day(30)), of_b]);
        assert!(not_filled(&steps[..1], |_| None).is_empty());
    }
}
