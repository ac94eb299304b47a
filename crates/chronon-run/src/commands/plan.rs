//! `chronon-run plan`.

use chronon_run_core::AssetId;
use chronon_run_export::explanation_text;
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        compiling,
        days::checked,
        project::Project,
        targets::{self, Unselected},
    },
    output::{document, note, print, print_plan, say},
    planning::{
        prepared::{Planned, Wanted},
        run_py,
    },
    runs::saved,
};

use crate::cli::{Output, PlanArgs, Tool};

pub(crate) fn run(args: &PlanArgs) -> Result<(), Failure> {
    let sample = targets::sample(&args.sample)?;
    let context = targets::enter(
        Project::load()?,
        args.target.name(),
        &args.select,
        Unselected::All,
        sample,
    )?;
    let wanted = Wanted {
        select: args.select.clone(),
        days: checked(&context, &args.days)?,
        recompute: args.recompute,
        rebuild: args.rebuild,
        stale: args.stale,
        compare: true,
        ..Wanted::default()
    };
    let explained = args.explain.as_ref();
    let explained = explained.map(|at| context.asset_named(&at.asset));
    let explained = explained.transpose()?;
    let wanted = match &explained {
        // An offline table is explained as part of the plan of everything.
        Some(asset) if wanted.select.is_empty() && !asset.mode.is_offline_table() => {
            wanted.only(asset)
        }
        _ => wanted,
    };
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let mut planned = Planned::make(&context, &wanted, &warehouse, ledger.as_mut())?;
    // For a plan of a year they are most of the work, so they are made only where they are shown.
    if args.commands || args.output == Output::Json || args.out.is_some() {
        planned.add_commands(&warehouse);
        let selected = context.select(&wanted.select, false)?;
        planned.plan.left_out = context.not_filled(&wanted.select, &selected, &|_| true)?;
    }
    planned.add_estimates(&warehouse, ledger.as_mut());
    planned.dayless.iter().for_each(|text| note(text));
    compiling::tell_stale(&context.workspace);
    planned.unfounded_lines().iter().for_each(|text| note(text));
    if let Some(path) = &args.out {
        saved::write(&planned.plan, path)?;
    }
    if let Some(Tool::RunPy) = args.tool {
        return print(&run_py::text(&context, &planned)?);
    }
    show(args, &planned, explained.as_ref())?;
    match args.exit_code && !planned.plan.steps.is_empty() {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}

fn show(
    args: &PlanArgs,
    planned: &Planned<'_>,
    explained: Option<&AssetId>,
) -> Result<(), Failure> {
    let Some(asset) = explained else {
        let details = args.verbose || !args.select.is_empty();
        return print_plan(&planned.plan, args.output, details, args.commands);
    };
    let ds = args.explain.as_ref().and_then(|at| at.ds);
    let found = planned.explain(asset, ds)?;
    match args.output {
        Output::Text => say(&explanation_text(&found)),
        Output::Json => print(&document(&found)?),
    }
}
