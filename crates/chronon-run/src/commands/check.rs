//! `chronon-run check`.

use chronon_run_core::Diagnostic;
use chronon_run_project::{
    engines::rechecking,
    failure::Failure,
    findings::{self, Scope},
    listing::session::CatalogSession,
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
    output::{list, print, show},
};
use chronon_run_report::{
    count,
    diagnostics::{from_disk, to_json},
};

use crate::cli::{CheckArgs, Output};

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    if args.data {
        return data(args);
    }
    let findings = match Project::load_with_findings() {
        Ok((context, found)) => {
            let all = format!(
                "{} and {}",
                count(context.conf_count(), "conf"),
                count(context.graph.assets.len() as u64, "asset")
            );
            let findings = findings::all(context, found, &scope(args)?)?;
            if args.output == Output::Text && findings.is_empty() {
                print(&format!("{all}: no findings\n"))?;
            }
            findings
        }
        Err(Failure::Findings(findings)) => findings,
        Err(other) => return Err(other),
    };
    match args.output {
        Output::Text => show(&findings),
        Output::Json => print(&list("findings", &to_json(&findings, &from_disk))?)?,
    }
    if findings.iter().any(Diagnostic::is_error) || args.strict && !findings.is_empty() {
        return Err(Failure::Findings(Vec::new()));
    }
    Ok(())
}

fn scope(args: &CheckArgs) -> Result<Scope<'_>, Failure> {
    if !args.analyze && !args.select.is_empty() {
        return Err(Failure::hinted(
            "selectors choose what `--analyze` analyses; without it everything is checked",
            "add `--analyze`, or leave them out",
        ));
    }
    Ok(Scope {
        offline: args.offline,
        sample: args.sample,
        analyze: args.analyze.then_some(&args.select),
        target: args.target.name(),
    })
}

/// Checks the rows of filled days.
fn data(args: &CheckArgs) -> Result<(), Failure> {
    let context = targets::load(args.target.name(), &args.select, Unselected::Built)?;
    let warehouse = CatalogSession::look(&context.workspace)?;
    warehouse.check_rows(&context.workspace)?;
    let selected = context.select(&args.select, false)?;
    let results = rechecking::recheck(&context, &warehouse, &selected, args.ds)?;
    print(&match args.output {
        Output::Text => rechecking::text(&results),
        Output::Json => list("checks", &results)?,
    })?;
    match results.iter().any(|result| !result.passed && result.blocks) {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}
