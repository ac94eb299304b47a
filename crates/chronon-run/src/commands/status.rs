//! `chronon-run status`: how far each asset is, and how far what is served online.

use chronon_run_export::{AssetStatus, status_totals};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::targets::{self, Unselected},
    output::{document, list, print, say},
    planning::{
        due::Now,
        prepared::{Planned, Wanted},
    },
    runs::history,
    status::{Status, stale, stale_text},
};

use crate::cli::{DayArgs, Output, StatusArgs};

pub(crate) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let context = targets::load(args.target.name(), &args.select, Unselected::Built)?;
    let wanted = Wanted {
        select: args.select.clone(),
        days: DayArgs {
            as_of: args.as_of,
            ..DayArgs::default()
        },
        every_mode: true,
        compare: true,
        ..Wanted::default()
    };
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let planned = Planned::make(&context, &wanted, &warehouse, ledger.as_mut())?;
    if args.stale {
        return show_stale(&stale(&planned, ledger.as_mut()), args.output);
    }
    let now = match args.as_of.or(context.workspace.as_of) {
        Some(as_of) => Now::After(as_of),
        None => Now::Clock,
    };
    let mut shown = Status::look(&context, &planned, &warehouse, ledger.as_mut(), now);
    let totals = status_totals(&shown.assets);
    if args.problems {
        shown.assets.retain(AssetStatus::has_problems);
    }
    ledger.iter_mut().for_each(history::report_notices);
    match args.output {
        Output::Json => print(&document(&shown)?),
        Output::Text => shown.page(&totals).print(),
    }
}

fn show_stale(assets: &[AssetStatus], output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => print(&list("assets", assets)?),
        Output::Text if assets.is_empty() => print("no filled day is known to be out of date\n"),
        Output::Text => say(&stale_text(assets)),
    }
}
