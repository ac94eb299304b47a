//! `chronon-run retry`: what failed or was not run in an earlier run, for the same days.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use chronon_run_core::{AssetId, Ds, RangeSet, event::Outcome};
use chronon_run_exec::signals;
use chronon_run_ledger::{Ledger, RunDetail, RunState, StepRecord};
use chronon_run_plan::{AssetIndex, DayLimit, Plan};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
    output::{note, print_plan, say},
    planning::prepared::{Planned, Wanted},
    program::now_millis,
    runs::{
        metrics,
        run::{PLAN_FILE, Running},
    },
};

use crate::cli::{DayArgs, RetryArgs, SelectArgs};

pub(crate) fn run(args: &RetryArgs) -> Result<(), Failure> {
    let started = now_millis();
    let context = targets::load(
        args.target.name(),
        &SelectArgs::default(),
        Unselected::Built,
    )?;
    let mut ledger = Ledger::open(&context.ledger_path());
    let earlier = earlier(&mut ledger, args.run.as_deref())?;
    let context = as_it_was(context, args.target.name(), &earlier)?;
    let Some(wanted) = wanted(&context, &earlier)? else {
        return say(&format!(
            "nothing to retry: every step of run {} succeeded\n",
            earlier.record.run
        ));
    };
    if args.how.dry_run {
        let warehouse = CatalogSession::look(&context.workspace)?;
        let planned = Planned::make(&context, &wanted, &warehouse, Some(&mut ledger))?;
        return print_plan(&planned.plan, args.how.output, false, false);
    }
    context.check_fillable(&context.select(&wanted.select, true)?)?;
    // From here on Ctrl-C and TERM end things in order.
    let (_listener, control) = signals::listen()?;
    let warehouse = CatalogSession::open(&context.workspace)?;
    let make = |ledger: &mut Ledger| Planned::make(&context, &wanted, &warehouse, Some(ledger));
    let planned = make(&mut ledger)?;
    let running = Running {
        context: &context,
        warehouse: &warehouse,
        control: &control,
        output: args.how.output,
        jobs: args.how.jobs,
        on_failure: args.how.on_failure,
    };
    let ended = running.run(&mut ledger, planned, &make)?;
    running.tell_waiting(&ended)?;
    ended.tell(args.how.output)?;
    let outcome = ended.outcome_without(&BTreeSet::new());
    metrics::write(&args.how.metrics, &context, &ended, started, &outcome);
    outcome
}

/// In a target, the context that the earlier run had: its confs depend on what it selected and sampled.
fn as_it_was(
    context: Project,
    target: Option<&str>,
    earlier: &RunDetail,
) -> Result<Project, Failure> {
    if target.is_none() {
        return Ok(context);
    }
    let plan = plan_of(&context, &earlier.record.run)?;
    let select = Wanted::of_plan(&plan).select;
    let sample = plan.target.and_then(|target| target.sample);
    let (production, _) = Project::load_quietly()?;
    targets::enter(production, target, &select, Unselected::All, sample)
}

/// The run of that id, or the newest.
fn earlier(ledger: &mut Ledger, run: Option<&str>) -> Result<RunDetail, Failure> {
    let newest = || ledger.runs(1).pop().map(|record| record.run);
    let Some(run) = run.map(str::to_owned).or_else(newest) else {
        return Err(Failure::hinted(
            "nothing was run yet",
            "`chronon-run materialize` fills what is missing",
        ));
    };
    let detail = ledger.run(&run).ok_or_else(|| {
        Failure::hinted(
            format!("there is no run `{run}`"),
            "`chronon-run runs` lists them",
        )
    })?;
    if detail.record.state == RunState::Running {
        let message = format!("run {run} is still running");
        return Err(Failure::Locked { message });
    }
    Ok(detail)
}

/// What to plan: the days of every step that did not succeed. `None` if all did.
fn wanted(context: &Project, earlier: &RunDetail) -> Result<Option<Wanted>, Failure> {
    let plan = plan_of(context, &earlier.record.run)?;
    let mut days: BTreeMap<&AssetId, (RangeSet, Ds)> = BTreeMap::new();
    for step in earlier.steps.iter().filter(|step| !succeeded(step)) {
        let planned = plan.steps.iter().find(|planned| planned.index == step.step);
        let latest = planned.map_or(step.range.end, |planned| planned.latest_date);
        let (all, last) = days.entry(&step.asset).or_insert((RangeSet::new(), latest));
        *all = all.union(&step.range.into());
        *last = latest.max(*last);
    }
    let mut only: BTreeMap<AssetIndex, DayLimit> = BTreeMap::new();
    let mut select = Vec::new();
    let mut as_of = context.as_of(None)?;
    for (asset, (days, last)) in days {
        let Some(index) = context.graph.find(asset) else {
            note(&format!("{asset} is not there any more and is left out"));
            continue;
        };
        // The day had closed then, whatever the settings say now.
        let lag = i32::try_from(context.settings(index).lag).unwrap_or(i32::MAX);
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

fn succeeded(step: &StepRecord) -> bool {
    step.outcome.as_ref().is_some_and(Outcome::succeeded)
}

/// The plan that the run carried out.
fn plan_of(context: &Project, run: &str) -> Result<Plan, Failure> {
    let runs = context.history_dir().join("runs");
    let path = runs.join(run).join(PLAN_FILE);
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
