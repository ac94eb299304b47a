//! `chronon-run plan`.

use std::path::Path;

use chronon_run_core::{AssetId, CommandLine, Ds};
use chronon_run_export::explanation_text;
use chronon_run_plan::{Plan, dropped_before, explain};
use chronon_run_project::{
    engines::driver::Driver,
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        compiling,
        days::checked,
        project::Project,
        targets::{self, Unselected},
    },
    output::{json, note, print, print_plan, say},
    planning::prepared::{Planned, Wanted},
};
use chronon_run_sql as sql;

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
    let cell = args.explain.as_ref();
    let cell = cell
        .map(|at| Ok::<_, Failure>((context.asset_named(&at.asset)?, at.ds)))
        .transpose()?;
    let wanted = match &cell {
        // An offline table is explained as part of the plan of everything.
        Some((asset, _)) if wanted.select.is_empty() && !asset.step.is_offline_table() => {
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
    }
    planned.add_estimates(ledger.as_mut());
    planned.dayless.iter().for_each(|text| note(text));
    compiling::tell_stale(&context.workspace);
    planned.unfounded_lines().iter().for_each(|text| note(text));
    if let Some(path) = &args.out {
        save(&planned.plan, path)?;
    }
    if let Some(Tool::RunPy) = args.tool {
        return show_run_py(&context, &planned);
    }
    match &cell {
        Some((asset, ds)) => show_cell(&planned, asset, *ds, args.output)?,
        None if args.output == Output::Json => {
            print(&json(&planned.plan)?)?;
        }
        None => show(&planned.plan, args)?,
    }
    match args.exit_code && !planned.plan.steps.is_empty() {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}

/// One line for each step, in an order in which they can be typed, after the statements that drop what
/// the Driver would take for done.
fn show_run_py(context: &Project, planned: &Planned<'_>) -> Result<(), Failure> {
    let driver = Driver::new(context, None);
    let mut lines = String::new();
    for step in &planned.plan.steps {
        let asset = &context.graph.assets[context.index_of(&step.asset)?];
        for (table, days) in dropped_before(&planned.plan, &planned.snapshot, step, asset) {
            let column = asset.day_column.as_deref().unwrap_or_default();
            let statement = sql::drop_partitions(&table, column, &days);
            lines.push_str(&format!("{}\n", spark_sql(&statement)));
        }
        let line = driver.run_py(step, asset).map_err(Failure::setup)?;
        lines.push_str(&format!("{}\n", line.masked()));
    }
    print(&lines)
}

fn spark_sql(statement: &str) -> CommandLine {
    CommandLine {
        argv: ["spark-sql", "-e", statement].map(str::to_owned).to_vec(),
        ..CommandLine::default()
    }
}

fn show(plan: &Plan, args: &PlanArgs) -> Result<(), Failure> {
    let details = args.verbose || !args.select.is_empty();
    print_plan(plan, args.output, details, args.commands)
}

fn show_cell(
    planned: &Planned<'_>,
    asset: &AssetId,
    ds: Option<Ds>,
    output: Output,
) -> Result<(), Failure> {
    let ds = ds.unwrap_or_else(|| last_day(&planned.plan));
    let found = explain(planned.world(), &planned.plan, asset, ds);
    let found = found.ok_or_else(|| {
        let message = format!("there is no asset `{asset}`");
        Failure::hinted(message, "`chronon-run ls` lists the assets")
    })?;
    match output {
        Output::Text => say(&explanation_text(&found)),
        Output::Json => print(&json(&found)?),
    }
}

fn last_day(plan: &Plan) -> Ds {
    plan.end_ds.unwrap_or(plan.as_of)
}

fn save(plan: &Plan, path: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::setup(format!("cannot write {}: {error}", path.display()));
    chronon_run_process::replace(path, json(plan)?).map_err(failed)
}
