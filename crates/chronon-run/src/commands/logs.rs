//! `chronon-run logs`.

use chronon_run_core::CommandLine;
use chronon_run_ledger::{AttemptRecord, Ledger};
use chronon_run_project::{
    failure::Failure,
    logs,
    output::{document, print},
    runs::history::report_notices,
};

use crate::cli::{LogsArgs, Output};

/// `chronon-run logs`.
pub(crate) fn run(args: &LogsArgs) -> Result<(), Failure> {
    let context = args.target.project()?;
    let mut ledger = Ledger::open(&context.ledger_path());
    let asset = context.asset_named(&args.asset.asset)?;
    let attempts = ledger.attempts(&asset, args.asset.ds);
    report_notices(&mut ledger);
    let wanted =
        |attempt: &&AttemptRecord| args.attempt.is_none_or(|number| attempt.attempt == number);
    let Some(found) = attempts.iter().rfind(wanted) else {
        return Err(logs::never_run(
            &mut ledger,
            &asset,
            args.asset.ds,
            args.attempt,
        ));
    };
    if found.log.as_os_str().is_empty() && args.output == Output::Text {
        let why = found.message.as_deref().unwrap_or("no reason was recorded");
        return Err(Failure::hinted(
            format!(
                "{asset} {} has no log: attempt {} of run {} could not be started: {why}",
                found.range, found.attempt, found.run
            ),
            format!("`chronon-run runs show {}` shows the whole run", found.run),
        ));
    }
    match args.output {
        Output::Json => print(&document(found)?),
        Output::Text if args.path => print(&format!("{}\n", found.log.display())),
        Output::Text if args.command => print(&format!("{}\n", command_line(found))),
        Output::Text if args.sql => logs::print_script(found),
        Output::Text if args.follow => logs::follow(&mut ledger, found),
        Output::Text => match &args.grep {
            Some(pattern) => logs::print_matching(&found.log, pattern),
            None => logs::print_whole(&found.log),
        },
    }
}

/// The command line of an attempt, quoted for a shell; secrets are masked in the ledger already.
fn command_line(attempt: &AttemptRecord) -> CommandLine {
    CommandLine {
        argv: attempt.argv.clone(),
        ..CommandLine::default()
    }
}
