//! Offline tables of sound confs that the workspace's engine cannot fill.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, CatalogSnapshot, Diagnostic, Location};
use chronon_run_plan::AssetIndex;

use crate::loading::project::Project;

/// What is known without the catalog.
pub(super) fn engine_cannot(context: &Project) -> Vec<Diagnostic> {
    findings(context, &context.refused(&sound_tables(context)))
}

/// What only the catalog tells.
pub(super) fn misread(context: &Project, snapshot: &CatalogSnapshot) -> Vec<Diagnostic> {
    let mut found = context.misread(&sound_tables(context), snapshot);
    found.retain(|asset, _| context.refusal(asset).is_none());
    findings(context, &found)
}

fn sound_tables(context: &Project) -> BTreeSet<AssetIndex> {
    (0..context.graph.assets.len())
        .filter(|&index| context.graph.assets[index].id.mode.is_offline_table())
        .filter(|&index| !context.has_errors(index))
        .collect()
}

fn findings(context: &Project, refused: &BTreeMap<AssetId, String>) -> Vec<Diagnostic> {
    let finding = |(asset, why): (&AssetId, &String)| {
        let finding = Diagnostic::warning("engine-cannot", format!("{asset}: {why}"));
        match context.graph.find(asset) {
            Some(index) => finding.at(Location::file(
                context
                    .workspace
                    .repo
                    .join(&context.graph.assets[index].path),
            )),
            None => finding,
        }
    };
    refused.iter().map(finding).collect()
}
