//! Dropping a target: its tables, its namespaces and its history.

use std::{collections::BTreeSet, path::PathBuf};

use chronon_run_catalog::{Catalog, Hive};
use chronon_run_core::TableName;
use chronon_run_exec::lock::{self, Guard};

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        holdings::{self, Holdings},
        in_target::InTarget,
        project::Project,
    },
    program::now_millis,
};

/// What is dropped of a target.
pub struct Dropping<'a> {
    context: &'a Project,
    target: &'a InTarget,
    hive: Option<&'a Hive>,
    history: PathBuf,
    /// What is in the target's namespaces.
    pub found: Holdings,
}

impl<'a> Dropping<'a> {
    /// Lists what a target holds; `None` if that is nothing. `context` is that of the target.
    ///
    /// # Errors
    /// The catalog does not answer, or is a saved snapshot.
    pub fn of(
        context: &'a Project,
        warehouse: &'a CatalogSession,
    ) -> Result<Option<Self>, Failure> {
        let Some(target) = &context.target else {
            return Ok(None);
        };
        let hive = match warehouse.catalog() {
            Some(Catalog::Hive(hive)) => Some(hive),
            Some(Catalog::Fixture { .. }) => {
                return Err(Failure::setup(
                    "tables of a saved snapshot (`catalog.kind = \"fixture\"`) cannot be dropped",
                ));
            }
            None => None,
        };
        let known = holdings::known(context);
        let found = hive.map(|hive| Holdings::of(hive, &target.name, &target.namespaces, &known));
        let dropping = Self {
            history: InTarget::folder(&context.workspace, &target.name),
            found: found.transpose()?.unwrap_or_default(),
            context,
            target,
            hive,
        };
        let is_there = !dropping.found.own.is_empty() || dropping.history.exists();
        Ok(is_there.then_some(dropping))
    }

    /// Drops the target's own tables, its namespaces if nothing else is in them, and its history.
    ///
    /// # Errors
    /// A run is going on in the target, or something cannot be dropped.
    pub fn carry_out(&self) -> Result<(), Failure> {
        let _guard = self.locked()?;
        if let Some(hive) = self.hive {
            let shared = !self.found.foreign.is_empty();
            holdings::drop_tables(hive, &self.found.own, &self.target.namespaces, shared)?;
        }
        holdings::remove_history(&self.history)
    }

    /// The tables of a run that is going on in the target are not dropped.
    fn locked(&self) -> Result<Guard, Failure> {
        let folder = self.context.workspace.state_dir.join("locks");
        let assets = self.context.graph.assets.iter();
        let names: BTreeSet<String> = assets
            .map(|asset| asset.family.clone())
            .chain(self.found.own.iter().map(TableName::to_string))
            .collect();
        let grace = self.context.workspace.run.grace;
        let names = names.iter().map(String::as_str);
        let guard = lock::acquire(&folder, "target drop", now_millis(), names, grace);
        Ok(guard?)
    }
}
