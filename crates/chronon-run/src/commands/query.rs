//! `chronon-run query`: a statement of Spark SQL that reads, with the workspace's catalog.

use chronon_run_engine::query::{Reading, read_only};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    output::note,
    rows::{self, Rows},
};
use chronon_run_report::count;

use crate::cli::QueryArgs;

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
        Reading::Rows(query) => {
            let limit = (args.limit > 0).then_some(args.limit);
            let found = Rows::of_query(&context, &warehouse, &query, limit)?;
            let summary = rows::print(&found.columns(), found.rows(), args.output)?;
            let shown = count(summary.rows, "row");
            note(&match found.total {
                Some(_) => shown,
                None => format!("the first {shown}; --limit N shows more, --limit 0 all"),
            });
            Ok(())
        }
        Reading::Text(statement) => {
            let (columns, lines) = rows::text_of(&context, &warehouse, &statement)?;
            rows::print_text(&columns, lines, args.output)
        }
    }
}
