//! `chronon-run frontfill`: everything scheduled that is due and whose inputs are there.

use std::collections::BTreeSet;

use chronon_run_core::{Ds, PartitionRange, RangeSet};
use chronon_run_exec::signals;
use chronon_run_ledger::Ledger;
use chronon_run_plan::{AssetIndex, DayLimit};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{days::check_as_of, project::Project},
    output::print_plan,
    planning::{
        due::{Now, last_due},
        prepared::{Planned, Wanted},
    },
    program::now_millis,
    runs::{frontfill::Frontfill, metrics, run::Running},
};

use crate::cli::{DayArgs, FrontfillArgs, Output};

pub(crate) fn run(args: &FrontfillArgs) -> Result<(), Failure> {
    let started = now_millis();
    let context = Project::load()?;
    let wanted = due(&context, args)?;
    if args.how.dry_run {
        return dry_run(&context, &wanted, args.how.output);
    }
    // From here on Ctrl-C and TERM end things in order.
    let (_listener, control) = signals::listen()?;
    let warehouse = CatalogSession::open(&context.workspace)?;
    let mut ledger = Ledger::open(&context.ledger_path());
    let running = Running::new(&context, &warehouse, &control, &args.how);
    let frontfill = Frontfill {
        running: &running,
        wanted: &wanted,
        simulated: is_simulated(&context, args),
        wait: args.wait,
        poll: args.poll,
        quiet: args.quiet,
    };
    let ended = frontfill.until_ready(&mut ledger)?;
    running.tell_waiting(&ended)?;
    frontfill.tell(&ended)?;
    let selected = context.select(&args.select, true)?;
    let not_filled = context.not_filled(&args.select, &selected, false)?;
    let outcome = ended.outcome_without(&not_filled);
    metrics::write(&args.how.metrics, &context, &ended, started, &outcome);
    outcome
}

/// Whether the user said what day it is.
fn is_simulated(context: &Project, args: &FrontfillArgs) -> bool {
    args.ds.or(args.as_of).or(context.workspace.as_of).is_some()
}

/// What is due: the selected assets, each up to the last day that its schedule calls for.
fn due(context: &Project, args: &FrontfillArgs) -> Result<Wanted, Failure> {
    check_as_of(context, args.as_of)?;
    let as_of = context.as_of(args.as_of)?;
    if let Some(ds) = args.ds
        && ds > as_of
    {
        return Err(Failure::hinted(
            format!("--ds {ds} has not closed yet; the last closed day is {as_of}"),
            "`--as-of` says which day is the last closed one",
        ));
    }
    let selected = context.select(&args.select, true)?;
    if !args.select.selectors.is_empty() || !args.select.select.is_empty() {
        context.check_fillable(&offline(context, &selected))?;
    }
    let days = DayArgs {
        ds: None,
        end_ds: args.ds,
        start_ds: None,
        as_of: Some(as_of),
        allow_unfinished: false,
    };
    let now = match is_simulated(context, args) {
        true => Now::After(args.ds.unwrap_or(as_of)),
        false => Now::Clock,
    };
    let only = selected
        .iter()
        .map(|&index| (index, only(args, last_due(context, now, index))));
    Ok(Wanted {
        select: args.select.clone(),
        days,
        every_mode: true,
        only: only.collect(),
        ..Wanted::default()
    })
}

/// The offline tables among the selected assets. The name of a conf means these; what else it has
/// and cannot be done here, such as a load without a hook, is left out of the plan with its reason.
fn offline(context: &Project, selected: &BTreeSet<AssetIndex>) -> BTreeSet<AssetIndex> {
    let is_table = |index: &&AssetIndex| context.graph.assets[**index].id.step.is_offline_table();
    selected.iter().filter(is_table).copied().collect()
}

fn only(args: &FrontfillArgs, due: Option<Ds>) -> DayLimit {
    let Some(last) = due else {
        return DayLimit::default();
    };
    let most = args.max_days.and_then(|days| i32::try_from(days).ok());
    let first = most.map_or(Ds::from_epoch_days(FIRST), |days| last.plus(1 - days));
    DayLimit {
        days: RangeSet::from(PartitionRange::new(first, last)),
        last: Some(last),
    }
}

/// 0001-01-01: before every day that there is.
const FIRST: i32 = -719_162;

fn dry_run(context: &Project, wanted: &Wanted, shown: Output) -> Result<(), Failure> {
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let planned = Planned::make(context, wanted, &warehouse, ledger.as_mut())?;
    let details = !wanted.select.is_empty();
    print_plan(&planned.plan, shown, details, false)
}
