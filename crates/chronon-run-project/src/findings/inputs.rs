//! Tables that are read and that are not there, or of which no day will ever be seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use chronon_run_core::{CatalogSnapshot, Diagnostic, Location, TableName};
use chronon_run_plan::{
    Bases, Dayless, Graph, Need, Role, Tables, Unmet, ViewFault, behind_view, dayless,
    undated_view_text, undated_views, unmet, view_faults,
};

use super::refused::misread;
use crate::{
    failure::Failure,
    listing::{session::CatalogSession, snapshot::list},
    loading::{
        day_formats::{formats, formats_of},
        iso_macros,
        project::Project,
    },
    output::note,
};

/// Sources that neither a conf nor a seed fills and that the catalog does not have, and what will be waited
/// for in vain.
pub(super) fn missing(context: &Project, warehouse: &CatalogSession) -> Vec<Diagnostic> {
    let sources: Tables = context.graph.sources();
    let (snapshot, bases) = match list(context, warehouse, &sources) {
        Ok(found) => found,
        Err(failure) => {
            tell_unchecked(&failure);
            return iso_macros::findings(context, &formats(context));
        }
    };
    let graph = context.graph.resolved(&snapshot, &bases);
    let readers = Readers::of(context, &bases);
    // With the tables behind views.
    let sources: Tables = graph.sources();
    let missing = sources
        .keys()
        .filter(|table| snapshot.table(table).is_none())
        .filter(|table| !context.bad_seeds().contains_key(*table))
        .filter_map(|table| {
            let finding = readers.finding("missing-input", table, &format!("{table} does not exist"))?;
            Some(finding.hint("it is neither in the catalog nor a seed of workspace.toml nor the output of a conf; steps that need it will wait"))
        });
    let daily = daily_sources(&graph);
    let dayless = dayless(&snapshot, &daily, &bases);
    let without_days = dayless.iter().filter_map(|(table, why)| {
        let text = why.text(table, daily.get(table)?);
        let finding = readers.finding(code(why), table, &text)?;
        Some(finding.hint(why.hint(table)))
    });
    let inputs = graph.assets.iter().flat_map(|asset| &asset.inputs);
    let unmet = unmet(inputs, &graph.formats, &snapshot).into_iter();
    let in_vain = unmet.filter_map(|unmet: Unmet| {
        let finding = readers.finding("no-such-partition", &unmet.table, &unmet.text)?;
        Some(finding.hint(unmet.hint))
    });
    missing
        .chain(without_days)
        .chain(in_vain)
        .chain(undated_view_findings(&graph, &readers))
        .chain(view_fault_findings(
            context, &graph, &readers, &snapshot, &bases,
        ))
        .chain(only_existence(context, &graph, &snapshot))
        .chain(misread(context, &snapshot))
        .chain(iso_macros::findings(
            context,
            &formats_of(context, &snapshot),
        ))
        .collect()
}

/// Says that the catalog is out of reach.
pub(super) fn tell_unchecked(failure: &Failure) {
    note(&format!("the inputs are not checked: {}", failure.text()));
}

/// Views of which no table behind has days.
fn undated_view_findings(graph: &Graph, readers: &Readers) -> Vec<Diagnostic> {
    let finding = |view: TableName| {
        let (text, hint) = undated_view_text(&view);
        Some(readers.finding("view-input", &view, &text)?.hint(hint))
    };
    let views = undated_views(&graph.assets).into_iter();
    views.filter_map(finding).collect()
}

/// What of the tables behind views is not waited for, or in vain.
fn view_fault_findings(
    context: &Project,
    graph: &Graph,
    readers: &Readers,
    snapshot: &CatalogSnapshot,
    bases: &Bases,
) -> Vec<Diagnostic> {
    let faults = view_faults(&graph.assets, snapshot, bases, &context.days_from()).into_iter();
    let finding = |fault: ViewFault| {
        let finding = readers.finding(fault.code, &fault.view, &fault.text)?;
        Some(finding.hint(fault.hint))
    };
    faults.filter_map(finding).collect()
}

/// Tables that the SQL of a staging query reads and that have no days, so that nothing of them is waited
/// for but their existence.
fn only_existence(context: &Project, graph: &Graph, snapshot: &CatalogSnapshot) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for asset in &graph.assets {
        let named = asset.inputs.iter();
        let named = named.filter(|input| input.role == Role::Query && input.need == Need::Table);
        let tables = named.map(|input| &input.spec.table);
        let tables: BTreeSet<&str> = tables
            .filter(|table| {
                snapshot
                    .table(table)
                    .is_some_and(|state| !state.info.is_view)
            })
            .map(TableName::as_str)
            .collect();
        if tables.is_empty() {
            continue;
        }
        let message = format!(
            "{} reads {}, without partitions by day: that the table exists is all that is waited for",
            asset.id.conf.name,
            tables.into_iter().collect::<Vec<_>>().join(", ")
        );
        let at = Location::file(context.workspace.repo.join(&asset.path));
        findings.push(Diagnostic::warning("input-without-days", message).at(at).hint(
            "if its rows belong to days, say what to wait for in `metaData.dependencies`, or with `dependencies` of an `[[override]]` in workspace.toml",
        ));
    }
    findings
}

/// The sources of which days are needed.
fn daily_sources(graph: &Graph) -> Tables {
    let mut tables = Tables::new();
    for input in graph.assets.iter().flat_map(|asset| &asset.inputs) {
        if input.producer.is_none() && input.need != Need::Table {
            let columns = tables.entry(input.spec.table.clone()).or_default();
            columns.insert(input.day_column.clone());
        }
    }
    tables
}

fn code(why: &Dayless) -> &'static str {
    match why {
        Dayless::Format { .. } => "partition-format",
        Dayless::Null => "null-partition",
        Dayless::Lake("Iceberg") => "iceberg-input",
        Dayless::Lake("Delta") => "delta-input",
        Dayless::Lake(_) => "lake-input",
        Dayless::View => "view-input",
        Dayless::NoColumn(_) => "unpartitioned-input",
        Dayless::Empty => "empty-input",
    }
}

/// For each table the confs that read it, themselves or through views, and the file of the first.
struct Readers(BTreeMap<TableName, (PathBuf, BTreeSet<String>)>);

impl Readers {
    fn of(context: &Project, bases: &Bases) -> Self {
        let mut readers = BTreeMap::new();
        for asset in &context.graph.assets {
            let inputs = asset.inputs.iter();
            let tables = inputs.flat_map(|input| behind_view(&input.spec.table, bases));
            for table in tables {
                let first = || (context.workspace.repo.join(&asset.path), BTreeSet::new());
                let (_, names) = readers.entry(table.clone()).or_insert_with(first);
                names.insert(asset.id.conf.name.clone());
            }
        }
        Self(readers)
    }

    /// What is wrong with a table, at the first conf that reads it; `None` if none does.
    fn finding(&self, code: &'static str, table: &TableName, what: &str) -> Option<Diagnostic> {
        let (path, names) = self.0.get(table)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let message = format!("{what}; {} read it", names.join(", "));
        Some(Diagnostic::warning(code, message).at(Location::file(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_all_readers_and_the_file_of_the_first() {
        let table: TableName = "lake.a".parse().unwrap();
        let names = ["team.two", "team.one"].map(str::to_owned);
        let first = (PathBuf::from("production/x"), BTreeSet::from(names));
        let readers = Readers(BTreeMap::from([(table.clone(), first)]));
        let found = readers.finding("missing-input", &table, "lake.a does not exist");
        let found = found.unwrap();
        assert_eq!(
            found.message,
            "lake.a does not exist; team.one, team.two read it"
        );
        assert_eq!(found.location, Some(Location::file("production/x")));
        let unread: TableName = "lake.b".parse().unwrap();
        assert_eq!(readers.finding("missing-input", &unread, "x"), None);
    }
}
