//! Tables whose columns differ from those of their edited conf: what a plan says of them.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, ConfType, TableChanges, TableName};

use crate::plan::{ColumnsFate, Note, Plan, Reason, State};

/// The differences of an asset's tables, and their fate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssetColumns {
    /// The tables with other columns.
    pub changes: Vec<TableChanges>,
    /// What happens to them.
    pub fate: ColumnsFate,
}

impl AssetColumns {
    /// Decides the fate of tables with these differences. The Driver adds columns to every table but
    /// that of a GroupBy, and archives the tables of an edited join.
    #[must_use]
    pub fn new(asset: &AssetId, mut changes: Vec<TableChanges>, uses_driver: bool) -> Self {
        if uses_driver && asset.conf.conf_type == ConfType::GroupBy {
            changes
                .iter_mut()
                .for_each(|found| found.needs_rebuild = true);
        }
        let archives = uses_driver && asset.conf.conf_type == ConfType::Join;
        let fate = match changes.iter().any(|found| found.needs_rebuild) {
            _ if archives => ColumnsFate::Archived,
            true => ColumnsFate::NeedsRebuild,
            false => ColumnsFate::Expanded,
        };
        Self { changes, fate }
    }

    /// The tables that a rebuild replaces: those that differ, and the asset's own.
    #[must_use]
    pub fn rebuilt_tables(&self, own: &TableName) -> BTreeSet<TableName> {
        let changed = self.changes.iter().map(|found| found.table.clone());
        changed.chain([own.clone()]).collect()
    }

    /// The differences in words, table by table.
    #[must_use]
    pub fn text(&self) -> String {
        let text = |found: &TableChanges| format!("{}: {}", found.table, found.changes);
        let texts: Vec<String> = self.changes.iter().map(text).collect();
        texts.join("; ")
    }
}

/// Adds to a plan what is known of the columns of its assets' tables.
pub fn note_columns(plan: &mut Plan, columns: &BTreeMap<AssetId, AssetColumns>) {
    for asset in &mut plan.assets {
        let Some(found) = columns.get(&asset.asset) else {
            continue;
        };
        if matches!(found.fate, ColumnsFate::Rebuilt { .. }) {
            let missing = asset
                .cells
                .iter_mut()
                .filter(|cells| cells.state == State::Run && cells.reason == Reason::TableMissing);
            missing.for_each(|cells| cells.reason = Reason::Rebuilt);
        }
        asset.notes.push(Note::Columns {
            changes: found.changes.clone(),
            fate: found.fate.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{AssetKind, ColumnChanges};

    use super::*;

    fn fate(conf_type: ConfType, needs_rebuild: bool, uses_driver: bool) -> ColumnsFate {
        let changes = TableChanges {
            table: "out.t".parse().unwrap(),
            changes: ColumnChanges {
                added: vec!["a".into()],
                ..ColumnChanges::default()
            },
            needs_rebuild,
        };
        let asset = AssetId::new(conf_type, "team.t", AssetKind::Backfill);
        AssetColumns::new(&asset, vec![changes], uses_driver).fate
    }

    #[test]
    fn the_fate_depends_on_the_engine() {
        use ConfType::{GroupBy, Join, StagingQuery};
        assert_eq!(fate(GroupBy, false, false), ColumnsFate::Expanded);
        assert_eq!(fate(GroupBy, true, false), ColumnsFate::NeedsRebuild);
        assert_eq!(fate(GroupBy, false, true), ColumnsFate::NeedsRebuild);
        assert_eq!(fate(StagingQuery, false, true), ColumnsFate::Expanded);
        assert_eq!(fate(Join, false, true), ColumnsFate::Archived);
        assert_eq!(fate(Join, true, false), ColumnsFate::NeedsRebuild);
    }
}
