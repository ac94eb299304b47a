//! `chronon-run target`: what the targets hold, and dropping one.

use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        dropping::Dropping,
        holdings::{self, Listed},
        project::Project,
        targets::{self, Unselected},
    },
    output::{self, agreed, note, print},
};
use chronon_run_report::count;

use crate::cli::{Output, SelectArgs, TargetCommand};

pub(crate) fn run(command: &TargetCommand) -> Result<(), Failure> {
    match command {
        TargetCommand::List { output } => list(*output),
        TargetCommand::Drop { name, yes } => drop_target(name, *yes),
    }
}

fn list(output: Output) -> Result<(), Failure> {
    let found = Listed::all(&Project::load()?)?;
    match output {
        Output::Json => print(&output::list("targets", &found)?),
        Output::Text if found.is_empty() => print(
            "workspace.toml has no targets; `[targets.dev]` with `namespace = \"dev_{user}_{namespace}\"` adds one\n",
        ),
        Output::Text => print(&holdings::text(&found)),
    }
}

fn drop_target(name: &str, yes: bool) -> Result<(), Failure> {
    let context = targets::load(Some(name), &SelectArgs::default(), Unselected::All)?;
    let warehouse = CatalogSession::look(&context.workspace)?;
    let Some(dropping) = Dropping::of(&context, &warehouse)? else {
        return print(&format!("target {name} has no tables\n"));
    };
    for table in &dropping.found.own {
        note(&format!("  {table}"));
    }
    for table in &dropping.found.foreign {
        note(&format!(
            "  {table} stays: it is not a table of the target {name}"
        ));
    }
    let tables = count(dropping.found.own.len() as u64, "table");
    let question = format!("drop {tables} of target {name}? [y/N]");
    if !yes && !agreed(&question)? {
        return Err(Failure::setup("nothing was dropped"));
    }
    dropping.carry_out()?;
    print(&format!("dropped {tables} of target {name}\n"))
}
