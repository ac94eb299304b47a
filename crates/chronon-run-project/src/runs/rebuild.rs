//! `materialize --rebuild`: the old table stays under another name until the new one is complete.
//!
//! The rename is one call of the metastore, which also marks the old table. A run that is killed
//! before it leaves everything as it was; one that is killed later leaves a new table that lacks
//! days, which any later run fills. The old table is dropped by the first run that finds all of its
//! days in the new one.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_catalog::{Catalog, CatalogError, Hive};
use chronon_run_core::{BEFORE, RangeSet, TableName};
use chronon_run_ledger::Ledger;
use chronon_run_plan::Plan;

use crate::{
    failure::Failure, listing::session::CatalogSession, loading::project::Project, output::note,
};

/// The property of an old table that names the new one.
const REPLACED_BY: &str = "chronon_run.replaced_by";

/// Renames each of these tables to `<table>__before_<run>`.
pub fn set_aside(
    warehouse: &CatalogSession,
    tables: &BTreeMap<TableName, RangeSet>,
    run: &str,
) -> Result<(), Failure> {
    if tables.is_empty() {
        return Ok(());
    }
    let Some(Catalog::Hive(hive)) = warehouse.catalog() else {
        return Err(Failure::setup(
            "`--rebuild` needs a Hive metastore, which renames the old tables",
        ));
    };
    let run = run.replace('-', "_");
    for table in tables.keys() {
        let old = table.suffixed(&format!("{BEFORE}{run}"));
        let mark = [(REPLACED_BY.to_owned(), table.to_string())];
        let listed = hive.snapshot(&[(table.clone(), Vec::new())]);
        if listed.map_err(Failure::setup)?.table(table).is_none() {
            continue;
        }
        hive.rename_and_mark(table, &old, &mark)
            .map_err(Failure::setup)?;
        note(&format!(
            "{table} is kept as {old} until the new one is complete"
        ));
    }
    Ok(())
}

/// Drops the old tables of those that the plan is about, where the new ones are complete. Nothing
/// that fails here fails the run.
pub fn finish(context: &Project, warehouse: &CatalogSession, ledger: &mut Ledger, plan: &Plan) {
    let Some(Catalog::Hive(hive)) = warehouse.catalog() else {
        return;
    };
    let databases: BTreeSet<&str> = plan
        .assets
        .iter()
        .map(|asset| asset.table.namespace())
        .collect();
    let finisher = Finisher {
        hive,
        column: &context.workspace.partition_column,
        empty: empty_days(ledger, context),
        wrote: !plan.steps.is_empty(),
    };
    for database in databases {
        if let Err(error) = finisher.finish(database) {
            note(&format!(
                "old tables of rebuilds are not looked at: {error}"
            ));
        }
    }
}

/// Days known to have no rows, by table.
fn empty_days(ledger: &mut Ledger, context: &Project) -> BTreeMap<TableName, RangeSet> {
    let all = ledger.all_empty_days().into_iter();
    let of_table = all.filter_map(|(asset, days)| {
        let index = context.graph.find(&asset)?;
        Some((context.graph.assets[index].table.clone(), days))
    });
    of_table.collect()
}

struct Finisher<'a> {
    hive: &'a Hive,
    column: &'a str,
    empty: BTreeMap<TableName, RangeSet>,
    /// Whether the run wrote anything, so that it says what is still missing.
    wrote: bool,
}

impl Finisher<'_> {
    fn finish(&self, database: &str) -> Result<(), CatalogError> {
        let old = self.hive.tables_like(database, &format!("*{BEFORE}*"))?;
        let request = |table: &TableName| (table.clone(), vec![self.column.to_owned()]);
        let requests: Vec<_> = old.iter().map(request).collect();
        let snapshot = self.hive.snapshot(&requests)?;
        for table in &old {
            let Some(state) = snapshot.table(table) else {
                continue;
            };
            let new = state.info.properties.get(REPLACED_BY);
            // Any other table of such a name belongs to the user.
            let Some(new) = new.and_then(|new| new.parse::<TableName>().ok()) else {
                continue;
            };
            let days = snapshot.days(table, self.column, &[]);
            self.finish_one(table, &new, &days)?;
        }
        Ok(())
    }

    fn finish_one(
        &self,
        old: &TableName,
        new: &TableName,
        days: &RangeSet,
    ) -> Result<(), CatalogError> {
        let snapshot = self
            .hive
            .snapshot(&[(new.clone(), vec![self.column.to_owned()])])?;
        let there = snapshot.days(new, self.column, &[]);
        let empty = self.empty.get(new).cloned().unwrap_or_default();
        let missing = days.minus(&there).minus(&empty);
        if snapshot.table(new).is_some() && missing.is_empty() {
            self.hive.drop_table(old, true)?;
            note(&format!("{new} is complete; {old} is dropped"));
        } else if self.wrote {
            note(&format!(
                "{old} is kept: {new} lacks its days {missing}; fill them, or drop {old} if they are not needed"
            ));
        }
        Ok(())
    }
}
