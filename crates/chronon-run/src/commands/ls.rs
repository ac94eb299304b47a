//! `chronon-run ls`.

use chronon_run_export::{AssetRow, dot, listing, mermaid};
use chronon_run_project::{
    failure::Failure,
    loading::targets::{self, Unselected},
    output::{list, on_screen, print},
};
use chronon_run_report::Column;

use crate::cli::{LsArgs, LsOutput};

const COLUMNS: [Column; 5] = [
    Column::id("asset"),
    Column::new("table", 3),
    Column::new("team", 1),
    Column::new("schedule", 2),
    Column::new("inputs", 4),
];

pub(crate) fn run(args: &LsArgs) -> Result<(), Failure> {
    let context = targets::load(args.target.name(), &args.select, Unselected::All)?;
    let selected = context.select(&args.select, true)?;
    let text = match args.output {
        LsOutput::Text => text(&listing(&context.graph, &selected)),
        LsOutput::Json => list("assets", &listing(&context.graph, &selected))?,
        LsOutput::Dot => dot(&context.graph, &selected),
        LsOutput::Mermaid => mermaid(&context.graph, &selected),
    };
    print(&text)
}

/// A row for each asset, and below it one for each table that the same job writes.
fn text(rows: &[AssetRow]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().flat_map(family).collect();
    on_screen(&COLUMNS, &cells)
}

fn family(row: &AssetRow) -> Vec<Vec<String>> {
    let inputs: Vec<String> = row.inputs.iter().map(ToString::to_string).collect();
    let own = vec![
        row.asset.to_string(),
        row.table.to_string(),
        row.team.clone(),
        row.schedule.clone().unwrap_or_default(),
        inputs.join(" "),
    ];
    let beside = row.also_writes.iter().map(|side| {
        let mut cells = vec![format!("  and {}", side.what), side.table.to_string()];
        cells.resize(own.len(), String::new());
        cells
    });
    std::iter::once(own.clone()).chain(beside).collect()
}
