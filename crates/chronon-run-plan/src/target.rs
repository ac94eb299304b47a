//! A plan for a target: which tables are whose, and what a step may write.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::target::Sample;
use chronon_run_core::TableName;
use serde::{Deserialize, Serialize};

use crate::graph::{Asset, AssetIndex, Graph, Role};

/// The target that a plan is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanTarget {
    /// Its name in workspace.toml.
    pub name: String,
    /// Its namespace for each namespace of production.
    pub namespaces: BTreeMap<String, String>,
    /// Which keys are computed; all, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// Where the inputs of the planned assets are read.
    pub inputs: BTreeMap<TableName, Origin>,
}

/// Where an input is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// From the target, which has it or fills it.
    Target,
    /// From production, because the target does not have it.
    Production,
    /// It is a source: nothing fills it.
    Source,
}

/// Where the inputs of assets are read, given the target's namespaces and the tables that production fills.
#[must_use]
pub fn origins(
    graph: &Graph,
    selected: &BTreeSet<AssetIndex>,
    own: &BTreeSet<&str>,
    production: &BTreeSet<TableName>,
) -> BTreeMap<TableName, Origin> {
    let assets = selected.iter().map(|&index| &graph.assets[index]);
    let inputs = assets.flat_map(|asset| &asset.inputs);
    let inputs = inputs.filter(|input| input.role != Role::OwnStep);
    let origin = |table: &TableName| match table {
        table if own.contains(table.namespace()) => Origin::Target,
        table if production.contains(table) => Origin::Production,
        _ => Origin::Source,
    };
    inputs
        .map(|input| (input.spec.table.clone(), origin(&input.spec.table)))
        .collect()
}

impl Asset {
    /// Every table that a step of this asset may write, drop or rename. With the Driver, `computes_parents`
    /// adds the outputs of the joins that its sources are.
    #[must_use]
    pub fn may_write(&self, computes_parents: bool) -> BTreeSet<TableName> {
        let sides = self.also_writes.iter().map(|side| &side.table);
        let own = std::iter::once(&self.table)
            .chain(sides)
            .chain(&self.final_table);
        let parents = self
            .inputs
            .iter()
            .filter(|input| computes_parents && input.role == Role::Parent)
            .map(|input| &input.spec.table);
        own.chain(parents).cloned().collect()
    }

    /// The first table that a step of this asset may write and that lies in none of these namespaces.
    #[must_use]
    pub fn writes_outside(
        &self,
        namespaces: &BTreeSet<&str>,
        computes_parents: bool,
    ) -> Option<TableName> {
        let mut tables = self.may_write(computes_parents).into_iter();
        tables.find(|table| !namespaces.contains(table.namespace()))
    }
}
