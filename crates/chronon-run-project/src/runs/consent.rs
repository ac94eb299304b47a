//! What the user is asked before a run drops or replaces something.

use std::collections::BTreeMap;

use chronon_run_core::{RangeSet, TableName};
use chronon_run_ledger::Ledger;

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    output::{agreed, note},
    planning::prepared::{Planned, Wanted},
};

/// A question, with what is shown before it.
struct Question {
    lines: Vec<String>,
    asked: &'static str,
    /// The error if the user does not agree.
    refused: &'static str,
}

impl Question {
    /// About tables and their days.
    fn of_tables(
        tables: &BTreeMap<TableName, RangeSet>,
        title: &str,
        [asked, refused]: [&'static str; 2],
    ) -> Self {
        let lines = tables
            .iter()
            .map(|(table, days)| format!("  {table}: {days}"));
        let title = (!tables.is_empty()).then(|| title.to_owned());
        Self {
            lines: title.into_iter().chain(lines).collect(),
            asked,
            refused,
        }
    }

    /// Shows the lines and asks, unless there are none. `yes`: the user has agreed on the command line.
    fn ask(&self, yes: bool) -> Result<(), Failure> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.lines.iter().for_each(|line| note(line));
        match yes || agreed(self.asked)? {
            true => Ok(()),
            false => Err(Failure::setup(self.refused)),
        }
    }
}

/// Shows which days would be filled without any input, which partitions are dropped first, and which tables are
/// replaced, and asks about each.
pub fn ask(planned: &Planned<'_>, yes: bool) -> Result<(), Failure> {
    let questions = [
        unfounded(planned.unfounded_lines()),
        drops(&planned.drops()),
        rebuilds(&planned.rebuilds()),
    ];
    questions.iter().try_for_each(|question| question.ask(yes))
}

fn unfounded(lines: Vec<String>) -> Question {
    Question {
        lines,
        asked: "fill them? [y/N]",
        refused: "nothing was run",
    }
}

fn drops(tables: &BTreeMap<TableName, RangeSet>) -> Question {
    let title = "these partitions are dropped, right before the days that they belong to are computed again:";
    let texts = [
        "drop them? [y/N]",
        "nothing was dropped and nothing was run",
    ];
    Question::of_tables(tables, title, texts)
}

fn rebuilds(tables: &BTreeMap<TableName, RangeSet>) -> Question {
    let title = "these tables are rebuilt; each old one is kept under another name until the new one is complete:";
    let texts = [
        "rebuild them? [y/N]",
        "nothing was rebuilt and nothing was run",
    ];
    Question::of_tables(tables, title, texts)
}

/// The plan without the assets whose tables would be replaced and for which the user has not agreed to
/// that. Fails if nothing else is to be done.
pub fn without_refused<'a>(
    project: &'a Project,
    wanted: &mut Wanted,
    warehouse: &CatalogSession,
    ledger: &mut Ledger,
    planned: Planned<'a>,
) -> Result<Planned<'a>, Failure> {
    wanted.without = planned.needing_consent();
    if wanted.without.is_empty() {
        return Ok(planned);
    }
    let rest = Planned::make(project, wanted, warehouse, Some(ledger))?;
    if rest.plan.steps.is_empty() {
        planned.check_edits()?;
        planned.check_columns()?;
    }
    for (asset, why) in rest.left_out() {
        note(&format!("left out: {asset}: {why}"));
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use chronon_run_core::Ds;

    use super::*;

    #[test]
    fn tables_are_named_with_their_days_below_what_happens_to_them() {
        let days = RangeSet::from_iter(["2026-01-01".parse::<Ds>().unwrap()]);
        let tables = BTreeMap::from([("db.a".parse().unwrap(), days)]);
        let question = drops(&tables);
        assert_eq!(question.lines.len(), 2);
        assert!(question.lines[0].starts_with("these partitions are dropped"));
        assert_eq!(question.lines[1], "  db.a: 2026-01-01");
        assert!(question.ask(true).is_ok());
    }

    #[test]
    fn nothing_is_asked_about_no_table() {
        let question = rebuilds(&BTreeMap::new());
        assert_eq!(question.lines, [""; 0]);
        assert!(question.ask(false).is_ok());
    }
}
