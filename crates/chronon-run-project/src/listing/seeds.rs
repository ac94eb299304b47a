//! Which seeds the catalog does not hold as their files are now.

use std::{collections::BTreeSet, fs, path::PathBuf};

use chronon_run_core::TableName;
use chronon_run_engine::seeds::{self, Loaded, Prepared, State};
use chronon_run_workspace::Seed;

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{project::Project, seed_days},
};

/// The tables of seeds that are missing or do not hold what their files do.
pub fn not_loaded(
    context: &Project,
    warehouse: &CatalogSession,
) -> Result<BTreeSet<TableName>, Failure> {
    let seeds = &context.workspace.seeds;
    if warehouse.catalog().is_none() {
        return Ok(seeds.iter().map(|seed| seed.table.clone()).collect());
    }
    let found = seeds_to_load(context, warehouse)?;
    Ok(found.iter().map(|seed| seed.table().clone()).collect())
}

/// Seeds whose table is missing or stale, each read.
pub fn seeds_to_load(
    context: &Project,
    warehouse: &CatalogSession,
) -> Result<Vec<Prepared>, Failure> {
    let catalog = warehouse
        .catalog()
        .ok_or_else(|| Failure::setup("there is no catalog"))?;
    let requests: Vec<_> = context
        .workspace
        .seeds
        .iter()
        .map(|seed| (seed.table.clone(), Vec::new()))
        .collect();
    let snapshot = catalog.snapshot(&requests).map_err(Failure::setup)?;
    let mut found = Vec::new();
    for seed in &context.workspace.seeds {
        if context.bad_seeds().contains_key(&seed.table) {
            continue;
        }
        let prepared = seed_days::prepare(seed)?;
        let existing = snapshot.table(&seed.table).map(|state| &state.info);
        match prepared.state(existing) {
            State::Missing => found.push(prepared),
            State::Stale => {
                let property = existing.and_then(|table| table.properties.get(seeds::PROPERTY));
                let before = loaded(context, seed);
                found.push(match before {
                    Some(before) => prepared.only_changed(&before, property.map(String::as_str)),
                    None => prepared,
                });
            }
            State::Loaded => {}
            State::Foreign => {
                return Err(Failure::hinted(
                    format!("{} exists and was not made from a seed", seed.table),
                    "take it out of `[seeds]`, or drop the table",
                ));
            }
        }
    }
    Ok(found)
}

/// What was loaded of a seed last, if this workspace loaded it.
fn loaded(context: &Project, seed: &Seed) -> Option<Loaded> {
    let text = fs::read(loaded_path(context, &seed.table)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Without this record a changed seed is loaded as a whole.
pub fn remember(context: &Project, prepared: &Prepared) {
    let path = loaded_path(context, prepared.table());
    if let Ok(text) = serde_json::to_vec(&prepared.loaded()) {
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let _ = folder.and_then(|()| chronon_run_process::replace(&path, text));
    }
}

fn loaded_path(context: &Project, table: &TableName) -> PathBuf {
    let folder = context.workspace.state_dir.join("seeds");
    folder.join(format!("{table}.json"))
}
