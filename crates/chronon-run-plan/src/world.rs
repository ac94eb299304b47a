//! What a plan is made from, and what it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, DayEvidence, Ds, Memory, RangeSet, Slice, TableName,
};

use crate::{
    graph::{Asset, AssetIndex, Graph, Input, Role},
    left_times::LeftTimes,
};

/// What the ledger knows and the warehouse cannot tell.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Days that an earlier run found to have no rows.
    pub empty: BTreeMap<AssetId, RangeSet>,
    /// The day that each upload's table holds, and the newest day that each `kv` has loaded.
    pub uploaded: BTreeMap<AssetId, Ds>,
    /// How days were made; `None` if there is no ledger.
    pub freshness: Option<Freshness>,
    /// Days that do not pass their checks, and what was found: nothing is made of them.
    pub failed_checks: BTreeMap<AssetId, BTreeMap<Ds, String>>,
    /// The times of left rows, by the asset that stores them: a join's backfill, or its left step.
    pub left_times: BTreeMap<AssetId, LeftTimes>,
}

impl History {
    /// What is known of the times of the left rows of a join.
    pub(crate) fn times_of(&self, asset: &Asset) -> Option<&LeftTimes> {
        let mode = match asset.id.mode {
            AssetKind::Backfill => AssetKind::Backfill,
            AssetKind::Left | AssetKind::Part(_) | AssetKind::Final => AssetKind::Left,
            _ => return None,
        };
        let conf = asset.id.conf.clone();
        self.left_times.get(&AssetId { conf, mode })
    }
}

/// How days were made, and what the same things look like now.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    /// How days were made.
    pub memory: Memory,
    /// What is seen now of the input days that were asked for, see [`crate::evidence_wanted`].
    pub now: BTreeMap<Slice, DayEvidence>,
    /// What was seen of them last.
    pub before: BTreeMap<Slice, DayEvidence>,
    /// The digest of each asset's conf as it is now. An asset that is not there is not compared.
    pub confs: BTreeMap<AssetId, i64>,
    /// What was edited since a conf had a digest, in words.
    pub edits: BTreeMap<AssetId, BTreeMap<i64, Vec<String>>>,
}

/// Everything that a plan is made from, besides what the user asks for.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The assets.
    pub graph: &'a Graph,
    /// What the catalog showed.
    pub snapshot: &'a CatalogSnapshot,
    /// What the ledger knows.
    pub history: &'a History,
    /// Days of sources that the workspace declares never to land.
    pub never: &'a BTreeMap<TableName, RangeSet>,
    /// The first days of sources, as the workspace declares them: later days are waited for, even if the
    /// first partition is newer; earlier ones are never needed.
    pub first_ds: &'a BTreeMap<TableName, Ds>,
    /// Assets that the engine cannot fill, and why.
    pub refused: &'a BTreeMap<AssetId, String>,
    /// What counts besides where the real Driver fills the tables; `None` for the `sql` engine.
    pub driver: Option<&'a DriverInput>,
}

impl PlanInput<'_> {
    /// The declared first day of an input's table, or of the view that it stands for.
    pub(crate) fn first_day(&self, input: &Input) -> Option<Ds> {
        let view = match &input.role {
            Role::Behind { view, .. } => self.first_ds.get(view),
            _ => None,
        };
        self.first_ds.get(&input.spec.table).or(view).copied()
    }

    /// The partitions of an asset's table as days of the asset.
    pub(crate) fn observed_days(&self, asset: &Asset) -> RangeSet {
        let column = asset.day_column.as_deref().unwrap_or_default();
        let days = self
            .snapshot
            .days(&asset.table, column, &asset.sub_partitions);
        days.widen(-asset.shift, -asset.shift)
    }
}

/// What is known of the real Driver's own decisions.
#[derive(Clone, Debug, Default)]
pub struct DriverInput {
    /// Today in UTC: no upload of this day or a later one (§8.1).
    pub today: Option<Ds>,
    /// Tables that the Driver would rename in the next run of an asset, because its conf was
    /// edited (§5.5). The snapshot shows them as gone already.
    pub archived: BTreeMap<AssetId, ArchivedTables>,
    /// Edits that the Driver does not notice, by asset, in words.
    pub unnoticed: BTreeMap<AssetId, Vec<String>>,
}

/// What the Driver would rename, and why.
#[derive(Clone, Debug, Default)]
pub struct ArchivedTables {
    /// The tables, with their days.
    pub tables: BTreeMap<TableName, RangeSet>,
    /// What was edited, in words.
    pub because: Vec<String>,
}

/// Per-asset settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AssetSettings {
    /// Longest step in days; 0 does not cut.
    pub step_days: u32,
    /// Days that the asset stays behind the last closed day.
    pub lag: u32,
}

/// What the user asks for.
pub struct Request<'a> {
    /// The assets.
    pub selected: BTreeSet<AssetIndex>,
    /// First day, inclusive; default each asset's own.
    pub start_ds: Option<Ds>,
    /// Last day, inclusive; default `as_of` minus the asset's lag.
    pub end_ds: Option<Ds>,
    /// The last closed day.
    pub as_of: Ds,
    /// Fill filled days again.
    pub recompute: bool,
    /// Plan only filled days that are out of date, and what is made of them.
    pub stale: bool,
    /// The days of each asset that may be planned; all, for an asset that is not there.
    pub only: &'a BTreeMap<AssetIndex, DayLimit>,
    /// Settings by asset.
    pub settings: &'a dyn Fn(AssetIndex) -> AssetSettings,
}

/// The days to which an asset is limited: those that its schedule calls for, or those of an
/// earlier run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DayLimit {
    /// The days.
    pub days: RangeSet,
    /// The last day of the request that they belong to, for `latest_date` and for assets of which
    /// only the last day is ever filled; `None` if nothing is due.
    pub last: Option<Ds>,
}
