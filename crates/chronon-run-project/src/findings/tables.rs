//! Tables that are not as their confs, data checks or joins need them.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, AssetKind, Diagnostic, Location};
use chronon_run_export::{fate_text, times_text};
use chronon_run_plan::{AssetColumns, AssetIndex, History, PlanInput, times_seen};

use crate::{
    failure::Failure,
    listing::{left_times, session::CatalogSession},
    loading::project::Project,
    planning::columns,
};

/// Existing tables whose columns differ from those of their confs.
pub(super) fn differing_columns(
    context: &Project,
    warehouse: &CatalogSession,
) -> Result<Vec<Diagnostic>, Failure> {
    let offline = (0..context.graph.assets.len())
        .filter(|&index| context.graph.assets[index].id.mode.is_offline_table());
    let offline: BTreeSet<usize> = offline
        .filter(|&index| !context.has_errors(index))
        .collect();
    let tables = context.graph.tables_of(&offline);
    // That it is out of reach was said already.
    let Ok(snapshot) = warehouse.snapshot(&context.workspace, &tables) else {
        return Ok(Vec::new());
    };
    let day = context.as_of(None)?;
    let differing = columns::differing(context, &offline, &snapshot, day);
    let finding = |(asset, found): (&AssetId, &AssetColumns)| {
        let finding = Diagnostic::warning("columns-differ", found.text());
        let finding = finding.hint(fate_text(&found.fate));
        match context.graph.find(asset) {
            Some(index) => {
                let path = &context.graph.assets[index].path;
                finding.at(Location::file(context.workspace.repo.join(path)))
            }
            None => finding,
        }
    };
    Ok(differing.iter().map(finding).collect())
}

/// Modular joins whose early and late left rows the Driver leaves without SNAPSHOT features, as far as
/// partitions show such rows.
pub(super) fn times_not_joined(context: &Project, warehouse: &CatalogSession) -> Vec<Diagnostic> {
    let finals = finals_of_driver(context);
    if finals.is_empty() {
        return Vec::new();
    }
    let mut tables = context.graph.tables_of(&finals);
    for (table, columns) in context.graph.sources() {
        tables.entry(table).or_default().extend(columns);
    }
    let Ok(snapshot) = warehouse.snapshot(&context.workspace, &tables) else {
        // That the catalog is out of reach was noted with the inputs.
        return Vec::new();
    };
    let mut ledger = context.existing_ledger();
    let (graph, known) = (&context.graph, ledger.as_mut());
    let history = History {
        left_times: left_times::read(context, graph, &snapshot, &finals, warehouse, known),
        ..History::default()
    };
    let nothing = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let world = PlanInput {
        graph,
        snapshot: &snapshot,
        history: &history,
        never: &nothing.0,
        first_ds: &nothing.1,
        refused: &nothing.2,
        driver: None,
    };
    let finding = |index: &AssetIndex| {
        let asset = &context.graph.assets[*index];
        let seen = times_seen(world, asset)?;
        let message = format!("{}: {}", asset.id.conf.name, times_text(&seen));
        let path = context.workspace.repo.join(&asset.path);
        let finding = Diagnostic::warning("times-not-joined", message).at(Location::file(path));
        Some(finding.hint("set join_flow = \"whole\" for it in an [[override]] of workspace.toml"))
    };
    finals.iter().filter_map(finding).collect()
}

/// The last steps of modular joins that the Driver fills.
pub(super) fn finals_of_driver(context: &Project) -> BTreeSet<AssetIndex> {
    if !context.uses_driver() {
        return BTreeSet::new();
    }
    let assets = context.graph.assets.iter().enumerate();
    assets
        .filter(|(_, asset)| asset.id.mode == AssetKind::Final)
        .map(|(index, _)| index)
        .collect()
}
