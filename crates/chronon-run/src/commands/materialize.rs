//! `chronon-run materialize`: plan, and run the plan.

use std::{collections::BTreeMap, fs, path::Path};

use chronon_run_core::{RangeSet, TableName};
use chronon_run_exec::signals;
use chronon_run_ledger::Ledger;
use chronon_run_plan::{PLAN_VERSION, Plan};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        compiling,
        days::checked,
        project::Project,
        targets::{self, Unselected},
    },
    output::{agreed, note, print_plan},
    planning::{
        estimates,
        prepared::{Planned, Wanted},
    },
    program::now_millis,
    runs::{metrics, run::Running},
};
use chronon_run_report::Activity;

use crate::cli::{MaterializeArgs, Output};

pub(crate) fn run(args: &MaterializeArgs) -> Result<(), Failure> {
    let started = now_millis();
    // Ends last: it shows that closing the warehouse takes a moment.
    let _ending;
    let context = Project::load()?;
    let saved = args.plan.as_deref().map(read_plan).transpose()?;
    let context = in_target(context, args, saved.as_ref())?;
    let mut wanted = match &saved {
        Some(plan) => Wanted::of_plan(plan),
        None => Wanted {
            select: args.select.clone(),
            days: checked(&context, &args.days)?,
            recompute: args.recompute,
            stale: args.stale,
            ..Wanted::default()
        },
    };
    wanted.accept_archive = args.accept_archive;
    wanted.rebuild = args.rebuild;
    if args.how.dry_run {
        return dry_run(&context, &wanted, args.how.output);
    }
    let selected = context.select(&wanted.select, false)?;
    context.check_fillable(&selected)?;
    let not_filled = context.not_filled(&wanted.select, &selected, true)?;
    // From here on Ctrl-C and TERM end things in order.
    let (_listener, control) = signals::listen()?;
    let opening = Activity::start("opening the warehouse");
    let warehouse = CatalogSession::open(&context.workspace)?;
    let mut ledger = Ledger::open(&context.ledger_path());
    let planned = Planned::make(&context, &wanted, &warehouse, Some(&mut ledger))?;
    if let Some(saved) = &saved {
        check_unchanged(saved, &planned.plan)?;
        let expected = estimates::totals(saved);
        expected.lines().for_each(note);
    }
    planned.dayless.iter().for_each(|text| note(text));
    compiling::tell_stale_and_see(&context.workspace);
    let planned = without_consent(&context, &mut wanted, &warehouse, &mut ledger, planned)?;
    // A question is asked without a moving line below it.
    drop(opening);
    confirm_unfounded(&planned.unfounded_lines(), args.yes)?;
    confirm(&planned.drops(), args.yes)?;
    confirm_rebuilds(&planned.rebuilds(), args.yes)?;
    targets::tell(&planned.plan);
    let running = Running {
        context: &context,
        warehouse: &warehouse,
        control: &control,
        output: args.how.output,
        jobs: args.how.jobs,
        on_failure: args.how.on_failure,
    };
    let ended = running.run(&mut ledger, planned, &|ledger| {
        Planned::make(&context, &wanted, &warehouse, Some(ledger))
    })?;
    _ending = Activity::start("ending the run");
    running.tell_waiting(&ended)?;
    ended.tell(args.how.output)?;
    let outcome = ended.outcome_without(&not_filled);
    let outcome = outcome.and_then(|()| ended.check_asked());
    metrics::write(&args.how.metrics, &context, &ended, started, &outcome);
    outcome
}

/// The plan without the assets whose tables would be replaced and for which the user has not agreed to
/// that. Fails if nothing else is to be done.
fn without_consent<'a>(
    context: &'a Project,
    wanted: &mut Wanted,
    warehouse: &CatalogSession,
    ledger: &mut Ledger,
    planned: Planned<'a>,
) -> Result<Planned<'a>, Failure> {
    wanted.without = planned.needing_consent();
    if wanted.without.is_empty() {
        return Ok(planned);
    }
    let rest = Planned::make(context, wanted, warehouse, Some(ledger))?;
    if rest.plan.steps.is_empty() {
        planned.check_edits()?;
        planned.check_columns()?;
    }
    for (asset, why) in rest.left_out() {
        note(&format!("left out: {asset}: {why}"));
    }
    Ok(rest)
}

/// The context of the target that is named, or that a saved plan is for.
fn in_target(
    context: Project,
    args: &MaterializeArgs,
    saved: Option<&Plan>,
) -> Result<Project, Failure> {
    let given = args.target.name();
    let Some(plan) = saved else {
        let sample = targets::sample(&args.sample)?;
        return targets::enter(context, given, &args.select, Unselected::All, sample);
    };
    let target = plan.target.as_ref();
    let name = target.map(|target| target.name.as_str());
    if given.is_some() && given != name {
        return Err(Failure::hinted(
            match name {
                Some(name) => format!("the plan was made for target {name}"),
                None => "the plan was made for production".to_owned(),
            },
            "leave out --target, or make a new plan with `chronon-run plan --target NAME --out FILE`",
        ));
    }
    let sample = target.and_then(|target| target.sample.clone());
    let select = Wanted::of_plan(plan).select;
    targets::enter(context, name, &select, Unselected::All, sample)
}

/// Shows which tables `--rebuild` replaces, and asks.
fn confirm_rebuilds(tables: &BTreeMap<TableName, RangeSet>, yes: bool) -> Result<(), Failure> {
    if tables.is_empty() {
        return Ok(());
    }
    note(
        "these tables are rebuilt; each old one is kept under another name until the new one is complete:",
    );
    for (table, days) in tables {
        note(&format!("  {table}: {days}"));
    }
    match yes || agreed("rebuild them? [y/N]")? {
        true => Ok(()),
        false => Err(Failure::setup("nothing was rebuilt and nothing was run")),
    }
}

/// Shows which days would be filled without any input, and asks.
fn confirm_unfounded(lines: &[String], yes: bool) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    lines.iter().for_each(|line| note(line));
    match yes || agreed("fill them? [y/N]")? {
        true => Ok(()),
        false => Err(Failure::setup("nothing was run")),
    }
}

/// Shows what `--recompute` drops, and asks.
fn confirm(drops: &BTreeMap<TableName, RangeSet>, yes: bool) -> Result<(), Failure> {
    if drops.is_empty() {
        return Ok(());
    }
    note(
        "these partitions are dropped, right before the days that they belong to are computed again:",
    );
    for (table, days) in drops {
        note(&format!("  {table}: {days}"));
    }
    if yes {
        return Ok(());
    }
    match agreed("drop them? [y/N]")? {
        true => Ok(()),
        false => Err(Failure::setup("nothing was dropped and nothing was run")),
    }
}

fn dry_run(context: &Project, wanted: &Wanted, output: Output) -> Result<(), Failure> {
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let mut planned = Planned::make(context, wanted, &warehouse, ledger.as_mut())?;
    planned.add_estimates(ledger.as_mut());
    print_plan(&planned.plan, output, true, true)
}

fn read_plan(path: &Path) -> Result<Plan, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::hinted(
            format!("cannot read the plan {}: {error}", path.display()),
            "`chronon-run plan --out FILE` writes one",
        )
    };
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    let text = text.trim_start_matches(chronon_run_core::BYTE_ORDER_MARK);
    // The version first: a plan of another version may have another shape.
    let version = serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .and_then(|plan| plan["version"].as_u64());
    match version {
        Some(version) if version != u64::from(PLAN_VERSION) => Err(failed(&format!(
            "it has version {version}, this chronon-run reads version {PLAN_VERSION}"
        ))),
        _ => serde_json::from_str(text).map_err(|error| failed(&error)),
    }
}

fn check_unchanged(saved: &Plan, fresh: &Plan) -> Result<(), Failure> {
    let differences = saved.differences(fresh);
    if differences.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = differences
        .iter()
        .map(|difference| format!("  {difference}"))
        .collect();
    Err(Failure::hinted(
        format!("the plan no longer fits:\n{}", lines.join("\n")),
        "make a new one with `chronon-run plan --out FILE`",
    ))
}
