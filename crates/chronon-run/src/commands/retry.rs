//! `chronon-run retry`: what failed or was not run in an earlier run, for the same days.

use std::collections::BTreeSet;

use chronon_run_exec::signals;
use chronon_run_ledger::Ledger;
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    output::{print_plan, say},
    planning::prepared::Planned,
    program::now_millis,
    runs::{metrics, retry, run::Running},
};

use crate::cli::RetryArgs;

pub(crate) fn run(args: &RetryArgs) -> Result<(), Failure> {
    let started = now_millis();
    let context = args.target.project()?;
    let mut ledger = Ledger::open(&context.ledger_path());
    let earlier = retry::earlier(&mut ledger, args.run.as_deref())?;
    let context = retry::as_it_was(context, &earlier)?;
    let Some(wanted) = retry::wanted(&context, &earlier)? else {
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
    let running = Running::new(&context, &warehouse, &control, &args.how);
    let ended = running.run(&mut ledger, planned, &make)?;
    running.tell_waiting(&ended)?;
    ended.tell(args.how.output)?;
    let outcome = ended.outcome_without(&BTreeSet::new());
    metrics::write(&args.how.metrics, &context, &ended, started, &outcome);
    outcome
}
