//! A plan as the commands of Chronon's run.py.

use chronon_run_core::CommandLine;
use chronon_run_plan::dropped_before;
use chronon_run_sql as sql;

use crate::{
    engines::driver::Driver, failure::Failure, loading::project::Project,
    planning::prepared::Planned,
};

/// One line for each step, in an order in which they can be typed, after the statements that drop what
/// the Driver would take for done.
///
/// # Errors
/// The Driver has no command for a step.
pub fn text(context: &Project, planned: &Planned<'_>) -> Result<String, Failure> {
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
    Ok(lines)
}

fn spark_sql(statement: &str) -> CommandLine {
    CommandLine {
        argv: ["spark-sql", "-e", statement].map(str::to_owned).to_vec(),
        ..CommandLine::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_quoted_for_a_shell() {
        let line = spark_sql("ALTER TABLE a.b DROP PARTITION (ds='2026-01-01')").to_string();
        assert!(line.starts_with("spark-sql -e "), "{line}");
        let words = line.strip_prefix("spark-sql -e ").unwrap();
        assert!(words.starts_with(['"', '\'']), "{line}");
    }
}
