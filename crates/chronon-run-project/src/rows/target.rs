//! Which table a name stands for, and which of its columns holds the day.

use std::collections::BTreeSet;

use chronon_run_core::{AssetId, AssetKind, Column, TableInfo, TableName};
use chronon_run_plan::Asset;
use chronon_run_rows::nearest;

use crate::{
    failure::Failure,
    loading::{
        naming::{named, not_one},
        project::Project,
    },
    options::SelectArgs,
};

/// A table that is to be shown.
pub struct Target {
    /// The table.
    pub table: TableName,
    /// The asset that fills it, if one was named.
    pub asset: Option<AssetId>,
}

impl Target {
    /// The table of an asset's id, of a conf's name, or of this name.
    pub fn of(context: &Project, name: &str) -> Result<Self, Failure> {
        named(name)?;
        if let Ok(id) = name.parse::<AssetId>() {
            let index = context.index_of(&id)?;
            return Self::of_asset(context, index, name);
        }
        let select = SelectArgs {
            select: vec![name.to_owned()],
            ..SelectArgs::default()
        };
        match (context.select(&select, false), name.parse::<TableName>()) {
            (Ok(found), table) => {
                let candidates = outputs(context, &found);
                match (candidates.as_slice(), table) {
                    ([only], _) => Self::of_asset(context, *only, name),
                    ([], Ok(table)) => Ok(Self { table, asset: None }),
                    (several, _) => Err(ambiguous(context, name, several)),
                }
            }
            (Err(_), Ok(table)) => Ok(Self {
                asset: filler(context, &table),
                table,
            }),
            (Err(error), Err(_)) => Err(error),
        }
    }

    fn of_asset(
        context: &Project,
        index: chronon_run_plan::AssetIndex,
        name: &str,
    ) -> Result<Self, Failure> {
        let asset = &context.graph.assets[index];
        if matches!(asset.id.mode, AssetKind::Kv | AssetKind::Streaming) {
            return Err(Failure::hinted(
                format!("`{name}` has no table"),
                "`chronon-run ls` lists the assets and their tables",
            ));
        }
        Ok(Self::filled_by(asset))
    }

    /// The table of an asset that has one.
    pub fn filled_by(asset: &Asset) -> Self {
        Self {
            table: asset.table.clone(),
            asset: Some(asset.id.clone()),
        }
    }

    /// The partition column that holds the day.
    pub fn day_column<'i>(&self, context: &Project, info: &'i TableInfo) -> Option<String> {
        let names = |columns: &'i [Column]| columns.iter().map(|column| column.name.as_str());
        let partitioned: Vec<&str> = names(&info.partition_columns).collect();
        // A view has no partitions, and its days in a column like any other.
        let plain = names(&info.columns).filter(|_| info.is_view);
        let columns: Vec<&str> = partitioned.iter().copied().chain(plain).collect();
        let assets = &context.graph.assets;
        let own = assets.iter().filter(|asset| asset.table == self.table);
        let own = own.filter_map(|asset| asset.day_column.as_deref());
        let inputs = assets.iter().flat_map(|asset| &asset.inputs);
        let read = inputs.filter(|input| input.spec.table == self.table);
        let read = read.map(|input| input.day_column.as_str());
        let usual = [context.workspace.partition_column.as_str(), "ds"];
        let mut known = own.chain(read).chain(usual);
        let found = known.find(|column| columns.contains(column));
        let only = (partitioned.len() == 1).then(|| partitioned[0]);
        found.or(only).map(str::to_owned)
    }

    /// What there is instead of a table that does not exist.
    pub fn missing(&self, context: &Project, name: &str) -> Failure {
        let table = &self.table;
        let is_seed = |seed: &chronon_run_workspace::Seed| seed.table == *table;
        if self.asset.is_some() || filler(context, table).is_some() {
            return super::not_filled(
                &format!("{table} does not exist yet: nothing has filled it"),
                &format!(
                    "`chronon-run materialize {name}` fills it; `chronon-run plan {name}` shows what it waits for"
                ),
            );
        }
        if context.workspace.seeds.iter().any(is_seed) {
            return super::not_filled(
                &format!("the seed {table} is not loaded yet"),
                "`chronon-run materialize` loads seeds before its first step",
            );
        }
        let known = known_tables(context);
        let near = nearest(name, known.iter().map(String::as_str));
        let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        Failure::hinted(
            format!("there is no table {table} in the catalog{near}"),
            "`chronon-run ls` lists the assets with their tables and inputs",
        )
    }
}

/// The tables that a name stands for; of a join in several steps the last, if that is among them.
fn outputs(
    context: &Project,
    found: &BTreeSet<chronon_run_plan::AssetIndex>,
) -> Vec<chronon_run_plan::AssetIndex> {
    let is_last = |index: &chronon_run_plan::AssetIndex| {
        let mode = &context.graph.assets[*index].id.mode;
        !matches!(mode, AssetKind::Left | AssetKind::Part(_))
    };
    let last: Vec<_> = found.iter().copied().filter(is_last).collect();
    if last.is_empty() {
        return found.iter().copied().collect();
    }
    let models = last
        .iter()
        .copied()
        .filter(|index| context.graph.assets[*index].id.mode == AssetKind::ModelTransform);
    match models.collect::<Vec<_>>() {
        models if models.len() == 1 => models,
        _ => last,
    }
}

fn ambiguous(context: &Project, name: &str, found: &[chronon_run_plan::AssetIndex]) -> Failure {
    let assets = &context.graph.assets;
    let ids = found.iter().map(|index| &assets[*index].id);
    not_one(name, "table", &ids.collect::<Vec<_>>())
}

fn filler(context: &Project, table: &TableName) -> Option<AssetId> {
    let mut assets = context.graph.assets.iter();
    let found = assets.find(|asset| asset.table == *table);
    found.map(|asset| asset.id.clone())
}

/// Names of confs, and every table that this workspace reads or writes.
fn known_tables(context: &Project) -> BTreeSet<String> {
    let assets = &context.graph.assets;
    let confs = assets.iter().map(|asset| asset.id.conf.name.clone());
    let own = assets.iter().map(|asset| asset.table.to_string());
    let inputs = assets.iter().flat_map(|asset| &asset.inputs);
    let read = inputs.map(|input| input.spec.table.to_string());
    let seeds = context.workspace.seeds.iter();
    let seeds = seeds.map(|seed| seed.table.to_string());
    confs.chain(own).chain(read).chain(seeds).collect()
}
