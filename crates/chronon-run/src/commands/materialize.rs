//! `chronon-run materialize`: plan, and run the plan.

use chronon_run_exec::signals;
use chronon_run_ledger::Ledger;
use chronon_run_plan::Plan;
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        compiling,
        days::checked,
        project::Project,
        targets::{self, Unselected},
    },
    output::{note, print_plan},
    planning::{
        estimates,
        prepared::{Planned, Wanted},
    },
    program::now_millis,
    runs::{consent, metrics, run::Running, saved},
};
use chronon_run_report::Activity;

use crate::cli::{MaterializeArgs, Output};

pub(crate) fn run(args: &MaterializeArgs) -> Result<(), Failure> {
    let started = now_millis();
    // Ends last: it shows that closing the warehouse takes a moment.
    let _ending;
    let context = Project::load()?;
    let saved = args.plan.as_deref().map(saved::read).transpose()?;
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
    let mut not_filled = context.not_filled(&wanted.select, &selected, &|_| true)?;
    if let Some(plan) = &saved {
        // The selection that the plan was made for may have meant confs of which it holds nothing.
        not_filled.extend(plan.left_out.iter().cloned());
    }
    // From here on Ctrl-C and TERM end things in order.
    let (_listener, control) = signals::listen()?;
    let opening = Activity::start("opening the warehouse");
    let warehouse = CatalogSession::open(&context.workspace)?;
    let mut ledger = Ledger::open(&context.ledger_path());
    let planned = Planned::make(&context, &wanted, &warehouse, Some(&mut ledger))?;
    if let Some(plan) = &saved {
        saved::check_unchanged(plan, &planned.plan)?;
        let expected = estimates::totals(plan);
        expected.lines().for_each(note);
    }
    planned.dayless.iter().for_each(|text| note(text));
    compiling::tell_stale_and_see(&context.workspace);
    let planned =
        consent::without_refused(&context, &mut wanted, &warehouse, &mut ledger, planned)?;
    // A question is asked without a moving line below it.
    drop(opening);
    consent::ask(&planned, args.yes)?;
    targets::tell(&planned.plan);
    let running = Running::new(&context, &warehouse, &control, &args.how);
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

/// The project in the target that is named, or that a saved plan is for.
fn in_target(
    context: Project,
    args: &MaterializeArgs,
    saved: Option<&Plan>,
) -> Result<Project, Failure> {
    let given = args.target.name();
    if let Some(plan) = saved {
        return saved::in_target(context, plan, given);
    }
    let sample = targets::sample(&args.sample)?;
    targets::enter(context, given, &args.select, Unselected::All, sample)
}

fn dry_run(context: &Project, wanted: &Wanted, output: Output) -> Result<(), Failure> {
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let mut planned = Planned::make(context, wanted, &warehouse, ledger.as_mut())?;
    planned.add_estimates(&warehouse, ledger.as_mut());
    print_plan(&planned.plan, output, !wanted.select.is_empty(), false)
}
