//! `chronon-run ls`.

use chronon_run_export::{AssetRow, dot, listing, mermaid};
use chronon_run_report::table;

use crate::{
    cli::{LsArgs, LsOutput},
    context::Context,
    failure::Failure,
    output::print,
};

pub(crate) fn run(args: &LsArgs) -> Result<(), Failure> {
    let context = Context::load()?;
    let selected = context.select(&args.select, true)?;
    let text = match args.output {
        LsOutput::Text => text(&listing(&context.graph, &selected)),
        LsOutput::Json => crate::output::json(&listing(&context.graph, &selected))?,
        LsOutput::Dot => dot(&context.graph, &selected),
        LsOutput::Mermaid => mermaid(&context.graph, &selected),
    };
    print(&text)
}

fn text(rows: &[AssetRow]) -> String {
    let cells = rows.iter().map(|row| {
        let inputs: Vec<String> = row.inputs.iter().map(ToString::to_string).collect();
        vec![
            row.asset.to_string(),
            row.table.to_string(),
            row.team.clone(),
            row.schedule.clone().unwrap_or_default(),
            inputs.join(" "),
        ]
    });
    table(
        &["asset", "table", "team", "schedule", "inputs"],
        &cells.collect::<Vec<_>>(),
    )
}
