//! What the catalog shows of a plan's tables, views looked through and days read in their formats.

use std::collections::BTreeSet;

use chronon_run_core::{CatalogSnapshot, TableName};
use chronon_run_plan::{
    Asset, AssetIndex, Bases, Dayless, Graph, Tables, bases, dayless, other_columns,
    undated_view_text, undated_views, unmet, view_faults,
};

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{day_formats::formats_of, iso_macros::comparison, project::Project},
};

/// A snapshot, and the graph as far as it tells more of the inputs.
pub struct Looked {
    /// The graph, with what the catalog tells of inputs.
    pub graph: Graph,
    /// Tables and partitions as they were listed.
    pub snapshot: CatalogSnapshot,
    /// Inputs that are there without any day or any partition that is waited for, or that are read by a
    /// comparison with days of another form, and why.
    pub dayless: Vec<String>,
}

impl Looked {
    /// Lists the tables of the selected assets.
    pub fn at(
        context: &Project,
        warehouse: &CatalogSession,
        selected: &BTreeSet<AssetIndex>,
    ) -> Result<Self, Failure> {
        let tables = context.graph.tables_of(selected);
        let (snapshot, bases) = list(context, warehouse, &tables)?;
        let graph = context.graph.resolved(&snapshot, &bases);
        let read = selected
            .iter()
            .flat_map(|&index| &graph.assets[index].inputs);
        let unmet = unmet(read.clone(), &graph.formats, &snapshot);
        let mut inputs = Tables::new();
        for input in read {
            if input.producer.is_none() && input.need != chronon_run_plan::Need::Table {
                let columns = inputs.entry(input.spec.table.clone()).or_default();
                columns.insert(input.day_column.clone());
            }
        }
        let found = dayless(&snapshot, &inputs, &bases);
        let found = found.iter().filter(|(_, why)| **why != Dayless::Empty);
        let text = |(table, why): (&TableName, &Dayless)| {
            format!(
                "warning: {}; {}",
                why.text(table, &inputs[table]),
                why.hint(table)
            )
        };
        let unmet = unmet.into_iter().map(|unmet| (unmet.text, unmet.hint));
        let assets = || selected.iter().map(|&index| &graph.assets[index]);
        let views = undated_views(assets()).into_iter();
        let faults = view_faults(assets(), &snapshot, &bases, &context.days_from());
        let formats = formats_of(context, &snapshot);
        let macros = selected
            .iter()
            .filter_map(|&index| comparison(context, &context.graph.assets[index], &formats));
        let macros = macros.map(|found| (found.text, found.hint));
        let more = unmet
            .chain(views.map(|view| undated_view_text(&view)))
            .chain(faults.into_iter().map(|fault| (fault.text, fault.hint)))
            .chain(macros);
        let more = more.map(|(text, hint)| format!("warning: {text}; {hint}"));
        Ok(Self {
            dayless: found.map(text).chain(more).collect(),
            graph,
            snapshot,
        })
    }
}

/// The snapshot of `tables` and of the tables behind the views among them.
pub fn list(
    context: &Project,
    warehouse: &CatalogSession,
    tables: &Tables,
) -> Result<(CatalogSnapshot, Bases), Failure> {
    let snapshot = warehouse.snapshot(&context.workspace, tables)?;
    extended(context, warehouse, snapshot, tables)
}

/// A snapshot of `tables` with the tables behind the views among them, listed along the columns that
/// hold their days, with days read in each table's format.
fn extended(
    context: &Project,
    warehouse: &CatalogSession,
    mut snapshot: CatalogSnapshot,
    tables: &Tables,
) -> Result<(CatalogSnapshot, Bases), Failure> {
    let declared = context.days_from();
    let mut known = tables.clone();
    let mut found = bases(&snapshot, &declared);
    loop {
        let mut more = Tables::new();
        for (view, read) in &found {
            let columns = known.get(view).cloned().unwrap_or_default();
            let columns: BTreeSet<String> = match columns.is_empty() {
                true => [context.workspace.partition_column.clone()].into(),
                false => columns,
            };
            for table in read.iter().filter(|table| !known.contains_key(*table)) {
                more.entry(table.clone())
                    .or_default()
                    .extend(columns.clone());
            }
        }
        for (table, columns) in other_columns(&snapshot, &known) {
            more.entry(table).or_default().extend(columns);
        }
        if more.is_empty() {
            break;
        }
        let further = warehouse.snapshot(&context.workspace, &more)?;
        snapshot.tables.extend(further.tables);
        known.extend(more);
        found = bases(&snapshot, &declared);
    }
    snapshot.read_with(&formats_of(context, &snapshot));
    Ok((snapshot, found))
}

/// One asset as the planner sees it, and the snapshot that goes with it, given what the catalog shows of
/// its tables now. What cannot be listed is left as it is.
pub fn resolved(
    context: &Project,
    warehouse: &CatalogSession,
    asset: &Asset,
    snapshot: &CatalogSnapshot,
) -> (Asset, CatalogSnapshot) {
    let Some(index) = context.graph.find(&asset.id) else {
        return (asset.clone(), snapshot.clone());
    };
    let tables = context.graph.tables_of(&BTreeSet::from([index]));
    match extended(context, warehouse, snapshot.clone(), &tables) {
        Ok((snapshot, bases)) => {
            let asset = context.graph.resolved_asset(index, &snapshot, &bases);
            (asset, snapshot)
        }
        Err(_) => (asset.clone(), read(context, snapshot)),
    }
}

/// The same snapshot, for a step's script: days of sources in other formats are read.
fn read(context: &Project, snapshot: &CatalogSnapshot) -> CatalogSnapshot {
    let formats = formats_of(context, snapshot);
    let mut snapshot = snapshot.clone();
    snapshot.read_with(&formats);
    snapshot
}
