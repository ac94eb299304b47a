//! What an opened workspace knows of the target that it is for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use chronon_run_conf::target::Sample;
use chronon_run_core::{AssetId, AssetKind, ConfId, TableName};
use chronon_run_exec::WorkError;
use chronon_run_plan::{Asset, AssetIndex, Graph, PlanTarget, Role, origins};
use chronon_run_spark::statements::Statements;
use chronon_run_workspace::Workspace;

use crate::options::SelectArgs;

/// The name of the target of `diff --data`: no name of `[targets]` has a hyphen.
pub const SCRATCH_NAME: &str = "diff--data";

/// What a context knows of the target that it is for.
pub struct InTarget {
    pub(crate) name: String,
    /// The target's namespace for each namespace of production.
    pub namespaces: BTreeMap<String, String>,
    pub(super) sample: Option<Sample>,
    /// The target's tables of production's seeds.
    pub seeds: BTreeSet<TableName>,
    /// What production fills.
    pub(super) production: BTreeSet<TableName>,
    /// Why confs cannot be filled here.
    pub(super) refused: BTreeMap<ConfId, String>,
    /// What the command selects, as production resolves it.
    pub(super) selected: (SelectArgs, BTreeSet<AssetId>),
}

impl InTarget {
    /// The folder, below the state folder, of the target's history.
    pub fn folder(workspace: &Workspace, name: &str) -> PathBuf {
        workspace.state_dir.join("targets").join(name)
    }

    /// The assets that these arguments select, if they are those of the command.
    pub fn selected(&self, args: &SelectArgs, graph: &Graph) -> Option<BTreeSet<AssetIndex>> {
        let (known, assets) = &self.selected;
        let found = (known == args).then(|| assets.iter().filter_map(|id| graph.find(id)));
        found.map(Iterator::collect)
    }

    fn own_namespaces(&self) -> BTreeSet<&str> {
        self.namespaces.values().map(String::as_str).collect()
    }

    /// Why an asset is not filled in a target.
    pub fn refusal(&self, asset: &Asset, driver: bool) -> Option<String> {
        let serves = matches!(
            asset.id.mode,
            AssetKind::Upload | AssetKind::Kv | AssetKind::Streaming
        );
        if serves {
            let what = "uploads, loads into the KV store and streaming apps serve production and are not run in a target";
            return Some(what.to_owned());
        }
        if let Some(why) = self.refused.get(&asset.id.conf) {
            return Some(why.clone());
        }
        let outside = asset.writes_outside(&self.own_namespaces(), driver)?;
        let parent = asset.inputs.iter().any(|input| {
            let is_parent = input.role == Role::Parent;
            is_parent && input.spec.table == outside
        });
        Some(match parent {
            true => format!(
                "the Driver would also compute {outside}, the join that it reads, in production: select that join, too, e.g. with `+{}`",
                asset.id.conf.name
            ),
            false => format!("it would write {outside}, which is not a table of the target"),
        })
    }

    /// Whether a step of the asset writes in the target only. The plan left out what does not; a step that
    /// gets here nevertheless is not started.
    pub(super) fn check_step(&self, asset: &Asset, driver: bool) -> Result<(), WorkError> {
        match asset.writes_outside(&self.own_namespaces(), driver) {
            None => Ok(()),
            Some(table) => Err(outside(
                &asset.id.to_string(),
                &table.to_string(),
                &self.name,
            )),
        }
    }

    /// Whether every statement of a script that names the table that it writes writes in the target.
    pub(super) fn check_script(
        &self,
        asset: &AssetId,
        statements: &Statements,
    ) -> Result<(), WorkError> {
        let own = self.own_namespaces();
        for table in statements.tables() {
            let namespace = table.split('.').next().unwrap_or_default().to_lowercase();
            if !table.contains('.') || !own.contains(namespace.as_str()) {
                return Err(outside(&asset.to_string(), table, &self.name));
            }
        }
        Ok(())
    }

    /// What a plan says of the target.
    pub fn of_plan(&self, graph: &Graph, selected: &BTreeSet<AssetIndex>) -> PlanTarget {
        PlanTarget {
            name: self.name.clone(),
            namespaces: self.namespaces.clone(),
            sample: self.sample.clone(),
            inputs: origins(graph, selected, &self.own_namespaces(), &self.production),
        }
    }
}

fn outside(asset: &str, table: &str, target: &str) -> WorkError {
    WorkError::Failed(format!(
        "internal error: the step of {asset} would write {table}, which is not a table of the target {target}; nothing was written"
    ))
}
