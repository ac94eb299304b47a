//! `chronon-run query`: a statement of Spark SQL that reads, with the workspace's catalog.

use chronon_run_engine::query::{Reading, read_only};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    output::{note, print},
    rows,
};
use chronon_run_report::{count, table};
use chronon_run_rows::{Column, SparkType, Value};

use crate::cli::{QueryArgs, RowsOutput};

pub(crate) fn run(args: &QueryArgs) -> Result<(), Failure> {
    let reading = read_only(&args.statement).map_err(|error| {
        Failure::hinted(
            error,
            "tables are changed by `chronon-run materialize` only",
        )
    })?;
    let context = Project::load()?;
    let warehouse = CatalogSession::look(&context.workspace)?;
    warehouse.check_rows(&context.workspace)?;
    if warehouse.catalog().is_none() {
        return Err(Failure::hinted(
            "this workspace has no tables yet",
            "`chronon-run materialize` loads seeds and fills tables",
        ));
    }
    match reading {
        Reading::Rows(query) => answer(args, &context, &warehouse, &query),
        Reading::Text(statement) => {
            let (columns, lines) = rows::text_of(&context, &warehouse, &statement)?;
            if args.output == RowsOutput::Table {
                let names: Vec<&str> = columns.iter().map(String::as_str).collect();
                return print(&table(&names, &lines));
            }
            let columns: Vec<Column> = columns
                .into_iter()
                .map(|name| Column {
                    name,
                    data_type: SparkType::Text,
                })
                .collect();
            let lines = lines.into_iter();
            let lines = lines.map(|row| Ok(row.into_iter().map(Value::Text).collect()));
            rows::print(&columns, lines, args.output)?;
            Ok(())
        }
    }
}

fn answer(
    args: &QueryArgs,
    context: &Project,
    warehouse: &CatalogSession,
    query: &str,
) -> Result<(), Failure> {
    let limit = (args.limit > 0).then_some(args.limit);
    // One more than is shown tells whether there are more.
    let asked = limit.map(|limit| limit.saturating_add(1));
    let answer = rows::rows_of(context, warehouse, query, asked)?;
    let scan = &answer.scan;
    let summary = rows::print(&scan.columns(), scan.rows(limit), args.output)?;
    let shown = count(summary.rows, "row");
    note(&match scan.row_count() > summary.rows {
        true => format!("the first {shown}; --limit N shows more, --limit 0 all"),
        false => shown,
    });
    Ok(())
}
