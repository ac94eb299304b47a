//! `chronon-run frontfill`: everything scheduled that is due and whose inputs are there.

use chronon_run_exec::signals;
use chronon_run_ledger::Ledger;
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    output::print_plan,
    planning::{prepared::Planned, scheduled::Scheduled},
    program::now_millis,
    runs::{frontfill::Frontfill, metrics, run::Running},
};

use crate::cli::FrontfillArgs;

pub(crate) fn run(args: &FrontfillArgs) -> Result<(), Failure> {
    let started = now_millis();
    let context = Project::load()?;
    let scheduled = Scheduled {
        select: &args.select,
        ds: args.ds,
        as_of: args.as_of,
        max_days: args.max_days,
    };
    let wanted = scheduled.wanted(&context)?;
    if args.how.dry_run {
        let planned = Planned::look(&context, &wanted)?;
        let details = !args.select.is_empty();
        return print_plan(&planned.plan, args.how.output, details, false);
    }
    // From here on Ctrl-C and TERM end things in order.
    let (_listener, control) = signals::listen()?;
    let warehouse = CatalogSession::open(&context.workspace)?;
    let mut ledger = Ledger::open(&context.ledger_path());
    let running = Running::new(&context, &warehouse, &control, &args.how);
    let frontfill = Frontfill {
        running: &running,
        wanted: &wanted,
        simulated: scheduled.is_simulated(&context),
        wait: args.wait,
        poll: args.poll,
        quiet: args.quiet,
    };
    let ended = frontfill.until_ready(&mut ledger)?;
    running.tell_waiting(&ended)?;
    frontfill.tell(&ended)?;
    let outcome = ended.outcome_without(&scheduled.not_filled(&context)?);
    metrics::write(&args.how.metrics, &context, &ended, started, &outcome);
    outcome
}
