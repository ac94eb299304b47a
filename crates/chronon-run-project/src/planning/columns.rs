//! The columns of the selected assets' tables, compared with those of their confs.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::edits::{join_edits, unnoticed_edits};
use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, ConfType, Ds, PartitionRange, TableChanges, TableName,
};
use chronon_run_plan::{Asset, AssetColumns, AssetIndex, ColumnsFate};
use chronon_run_sql as sql;
use rayon::prelude::*;

use crate::{
    loading::project::Project,
    planning::filled::{Records, conf_of},
};

/// The selected assets whose tables have other columns than their confs.
pub fn differing(
    context: &Project,
    selected: &BTreeSet<AssetIndex>,
    snapshot: &CatalogSnapshot,
    day: Ds,
) -> BTreeMap<AssetId, AssetColumns> {
    let looker = EditScan {
        context,
        records: Records::of(context),
        snapshot,
        day,
    };
    let assets: Vec<&Asset> = { selected.iter() }
        .map(|&index| &context.graph.assets[index])
        .collect();
    let found = assets.into_par_iter().filter_map(|asset| {
        let changes = looker.changes(asset);
        let uses_driver = context.uses_driver();
        (!changes.is_empty()).then(|| {
            (
                asset.id.clone(),
                AssetColumns::new(&asset.id, changes, uses_driver),
            )
        })
    });
    found.collect()
}

/// Turns the fate of every asset into a rebuild, and hides the tables from the snapshot.
pub fn rebuild(
    context: &Project,
    columns: &mut BTreeMap<AssetId, AssetColumns>,
    snapshot: &mut CatalogSnapshot,
) {
    let column = &context.workspace.partition_column;
    for (asset, found) in columns {
        let Some(index) = context.graph.find(asset) else {
            continue;
        };
        if found.fate == ColumnsFate::Archived {
            continue;
        }
        let tables = found.rebuilt_tables(&context.graph.assets[index].table);
        let days = |table: TableName| {
            let days = snapshot.days(&table, column, &[]);
            (table, days)
        };
        let tables: BTreeMap<_, _> = tables.into_iter().map(days).collect();
        for table in tables.keys() {
            snapshot.tables.insert(table.clone(), None);
        }
        found.fate = ColumnsFate::Rebuilt { tables };
    }
}

struct EditScan<'a> {
    context: &'a Project,
    records: Records,
    snapshot: &'a CatalogSnapshot,
    day: Ds,
}

impl EditScan<'_> {
    fn changes(&self, asset: &Asset) -> Vec<TableChanges> {
        let backfills = matches!(
            asset.id.mode,
            AssetKind::Backfill | AssetKind::Left | AssetKind::Part(_) | AssetKind::Final
        );
        let exists = self.snapshot.table(&asset.table).is_some();
        let Some(conf) = self.context.conf(&asset.id).filter(|_| backfills && exists) else {
            return Vec::new();
        };
        let request = sql::Request {
            conf,
            mode: &asset.id.mode,
            range: PartitionRange::day(self.day),
            latest_date: self.day,
            partition_column: &self.context.workspace.partition_column,
            tables: self.snapshot,
        };
        // What this engine refuses is said elsewhere, or is for the Driver alone.
        let changes = sql::column_changes(&request).unwrap_or_default();
        let settled = changes
            .into_iter()
            .filter_map(|found| self.settled(asset, found));
        settled.collect()
    }

    /// The text of an expression is believed only if the conf was edited since the table was filled. Of
    /// what the Driver filled nothing is claimed without such a record, nor of a table that has none of
    /// the conf's columns.
    fn settled(&self, asset: &Asset, mut found: TableChanges) -> Option<TableChanges> {
        let edited = self.is_edited(asset, &found.table);
        if self.context.uses_driver() && (!edited || self.is_foreign(&found)) {
            return None;
        }
        match edited {
            true => found.needs_rebuild |= !found.changes.retyped.is_empty(),
            false => found.changes.retyped.retain(|column| column.certain),
        }
        (!found.changes.is_empty()).then_some(found)
    }

    fn is_foreign(&self, found: &TableChanges) -> bool {
        let info = self.snapshot.table(&found.table).map(|state| &state.info);
        info.is_some_and(|info| found.changes.removed.len() >= info.columns.len())
    }

    fn is_edited(&self, asset: &Asset, table: &TableName) -> bool {
        let filled = self.records.get(table);
        let (Some(filled), Some(conf)) = (filled, conf_of(self.context, &asset.id)) else {
            return false;
        };
        match asset.id.conf.conf_type {
            ConfType::Join => !join_edits(&filled.conf, &conf).is_empty(),
            _ => !unnoticed_edits(&filled.conf, &conf).is_empty(),
        }
    }
}
