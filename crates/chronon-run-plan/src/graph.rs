//! Assets and the tables that connect them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use chronon_run_core::{
    AssetId, AssetKind, ConfType, Ds, PartitionFormat, RangeSet, TableName, TableSpec,
};
use serde::Serialize;

use crate::need::Need;

/// Tables to look at, with the partition columns along which their days are wanted.
pub type Tables = BTreeMap<TableName, BTreeSet<String>>;

/// An asset's place in [`Graph::assets`].
pub type AssetIndex = usize;

/// How an asset's days come to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fill {
    /// Each day is a partition of its own.
    Daily,
    /// Only the last day asked for is ever filled: `historicalBackfill = 0`, uploads, label
    /// joins, views, staging queries without `startPartition`.
    LastDay,
    /// A long-running application; has no days.
    App,
}

/// What an input is to an asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// The left side of a join. Decides which days exist.
    Left,
    /// A GroupBy source; in a join, of the named part.
    Source {
        /// The part's `fullPrefix`; `None` in the GroupBy's own assets.
        part: Option<String>,
    },
    /// The mutations of an entity source.
    Mutations {
        /// The part's `fullPrefix`.
        part: Option<String>,
    },
    /// A table of ready values.
    Bootstrap,
    /// What a staging query's `metaData.dependencies` name, or a macro reads.
    Dependency,
    /// A table that the SQL of a staging query reads which declares no dependencies.
    Query,
    /// A table behind a view.
    Behind {
        /// The view.
        view: TableName,
        /// What the view is to the asset.
        role: Box<Self>,
    },
    /// A table that another step of the same conf fills.
    OwnStep,
    /// The output of a chained join, which the job would compute itself where it has holes (§4.3).
    Parent,
}

impl Role {
    /// A short text for plans: `left`, `source`, `part x`.
    #[must_use]
    pub fn describe(&self) -> String {
        let of_part = |word: &str, part: &Option<String>| match part {
            Some(part) => format!("{word} of part {part}"),
            None => word.to_owned(),
        };
        match self {
            Self::Left => "left".to_owned(),
            Self::Source { part } => of_part("source", part),
            Self::Mutations { part } => of_part("mutations", part),
            Self::Bootstrap => "bootstrap".to_owned(),
            Self::Dependency => "dependency".to_owned(),
            Self::Query => "read by the query".to_owned(),
            Self::Behind { view, role } => format!("{} through {view}", role.describe()),
            Self::OwnStep => "own step".to_owned(),
            Self::Parent => "parent, without holes".to_owned(),
        }
    }
}

/// One table that an asset reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// The table, with the sub-partitions that its listing is filtered by.
    pub spec: TableSpec,
    /// Its partition column.
    pub day_column: String,
    /// What it is to the asset.
    pub role: Role,
    /// Which days are needed.
    pub need: Need,
    /// `startPartition` of the source: earlier days are never needed.
    pub from: Option<Ds>,
    /// `endPartition` of the source: later days are never needed.
    pub until: Option<Ds>,
    /// Whether a day of the asset exists only if this input has that day (§4.1): the left side
    /// of a join, the sources of a GroupBy, the dependencies of a staging query.
    pub gates: bool,
    /// Whether a left row needs the days around its own time instead of those around its partition: the
    /// sources of a join's parts, with events on the left.
    pub follows_times: bool,
    /// The asset that fills it, if one of this workspace does.
    pub producer: Option<AssetIndex>,
}

/// A table or view that a job writes besides its asset's own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SideTable {
    /// What it is to the asset: `left`, `part/<fullPrefix>`, `view`, …
    pub what: String,
    /// The table.
    pub table: TableName,
    /// Offset of its partitions from the asset's days, as [`Asset::shift`].
    #[serde(skip)]
    pub shift: i32,
}

impl SideTable {
    pub(crate) fn new(what: impl Into<String>, table: TableName) -> Self {
        Self {
            what: what.into(),
            table,
            shift: 0,
        }
    }

    pub(crate) fn shifted(self, shift: i32) -> Self {
        Self { shift, ..self }
    }

    /// Whether the Driver takes its partitions for done when it fills the asset's (§5.4).
    fn is_cache(&self) -> bool {
        let word = self.what.split('/').next().unwrap_or_default();
        ["left", "part", "daily_inc"].contains(&word) || word.starts_with("comparison")
    }
}

/// One table (or app) that one conf produces in one mode.
#[derive(Clone, PartialEq, Debug)]
pub struct Asset {
    /// `<type>/<conf name>/<mode>`.
    pub id: AssetId,
    /// The conf file, relative to the repo root.
    pub path: PathBuf,
    /// Digest of the conf file's bytes.
    pub digest: String,
    /// Owning team.
    pub team: String,
    /// `key` and `key=value` of the conf's tags.
    pub tags: BTreeSet<String>,
    /// `offlineSchedule`, `uploadSchedule` or `@daily`; `None` for apps.
    pub schedule: Option<String>,
    /// The table whose partitions tell what is done.
    pub table: TableName,
    /// Sub-partitions that belong to this asset in a shared table (signal partitions of views).
    pub sub_partitions: Vec<(String, String)>,
    /// The partition column that holds the asset's day: `ds`, or `label_ds`; `None` if the table
    /// is not partitioned (uploads).
    pub day_column: Option<String>,
    /// Other tables and views that the same job writes.
    pub also_writes: Vec<SideTable>,
    /// Offset of the table's partition from the asset's day: −1 for the parts of §4.2 that are
    /// written one day back.
    pub shift: i32,
    /// How its days come to be.
    pub fill: Fill,
    /// First day that the conf allows; `None`: the first day of the left side.
    pub from: Option<Ds>,
    /// Last day that the conf allows.
    pub until: Option<Ds>,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// What it reads besides without waiting for it: days of these that land or change make a day out of
    /// date, and nothing else depends on them.
    pub also_reads: Vec<Input>,
    /// Names of the GroupBys whose definition is embedded in the conf (§1.1).
    pub embedded_group_bys: BTreeSet<String>,
    /// The backfills of those GroupBys, where they exist: lineage without data.
    pub embeds: BTreeSet<AssetIndex>,
    /// The output table family: at most one job of a family runs at a time (§10.6).
    pub family: String,
    /// Families that other processes must leave alone as well while a step of this asset runs.
    pub also_locks: Vec<String>,
    /// The table that this one is a step final_table: the join's output, for its left and its parts.
    pub final_table: Option<TableName>,
}

impl Asset {
    /// Everything that it reads, whether it waits for it or not.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &Input> {
        self.inputs.iter().chain(&self.also_reads)
    }

    /// The input at a place of [`Asset::reads`].
    pub(crate) fn read_at(&self, place: usize) -> Option<&Input> {
        self.reads().nth(place)
    }

    /// The asset that fills the tables of this one in the other flow of the join, which is not in the graph. The
    /// job of a whole join writes those of its left and parts, too.
    pub(crate) fn in_other_flow(&self) -> Option<AssetId> {
        let mode = match (self.id.conf.conf_type, &self.id.mode) {
            (ConfType::Join, AssetKind::Backfill) => AssetKind::Final,
            (ConfType::Join, AssetKind::Left | AssetKind::Part(_) | AssetKind::Final) => {
                AssetKind::Backfill
            }
            _ => return None,
        };
        let conf = self.id.conf.clone();
        Some(AssetId { conf, mode })
    }

    /// Whether it is a part whose partitions are one day before the left rows' time.
    pub(crate) fn is_shifted_part(&self) -> bool {
        matches!(self.id.mode, AssetKind::Part(_)) && self.shift != 0 && self.final_table.is_some()
    }

    /// What has to go so that the Driver really computes `days` again: the partitions of its output
    /// and of everything that it keeps for later (§5.4), by table. Nothing for what it redoes each
    /// time.
    #[must_use]
    pub fn dropped_for(&self, days: &RangeSet) -> Vec<(TableName, RangeSet)> {
        let redone = matches!(self.id.mode, AssetKind::Upload | AssetKind::LabelJoin)
            || !self.sub_partitions.is_empty();
        if redone || self.fill == Fill::App {
            return Vec::new();
        }
        let at = |shift: i32| days.widen(shift, shift);
        let caches = self.also_writes.iter().filter(|side| side.is_cache());
        let caches = caches.map(|side| (side.table.clone(), at(side.shift)));
        // A part looks at the output, not at its own table (§6).
        let part = matches!(self.id.mode, AssetKind::Part(_));
        let output = self.final_table.iter().filter(|_| part);
        let output = output.map(|table| (table.clone(), days.clone()));
        let own = (self.table.clone(), at(self.shift));
        std::iter::once(own).chain(output).chain(caches).collect()
    }
}

/// Every asset of a workspace.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Producers before their readers.
    pub assets: Vec<Asset>,
    /// How tables write days in the names of their partitions, where dependencies tell: `{{ ds_nodash }}`.
    pub formats: BTreeMap<TableName, PartitionFormat>,
    pub(crate) by_id: BTreeMap<AssetId, AssetIndex>,
    pub(crate) readers: Vec<BTreeSet<AssetIndex>>,
}

impl Graph {
    /// The asset with this id.
    #[must_use]
    pub fn find(&self, id: &AssetId) -> Option<AssetIndex> {
        self.by_id.get(id).copied()
    }

    /// Every table that is read but that no asset fills, with its day columns.
    #[must_use]
    pub fn sources(&self) -> Tables {
        let mut sources = Tables::new();
        for input in self.assets.iter().flat_map(|asset| &asset.inputs) {
            if input.producer.is_none() {
                let columns = sources.entry(input.spec.table.clone()).or_default();
                columns.insert(input.day_column.clone());
            }
        }
        sources
    }

    /// Every table that a plan over `assets` looks at, with its day columns.
    #[must_use]
    pub fn tables_of(&self, assets: &BTreeSet<AssetIndex>) -> Tables {
        let mut tables = Tables::new();
        let mut add = |table: &TableName, column: Option<&String>| {
            tables
                .entry(table.clone())
                .or_default()
                .extend(column.cloned());
        };
        for asset in assets.iter().map(|&index| &self.assets[index]) {
            add(&asset.table, asset.day_column.as_ref());
            for side in &asset.also_writes {
                add(&side.table, asset.day_column.as_ref());
            }
            if let Some(output) = &asset.final_table {
                add(output, asset.day_column.as_ref());
            }
            for input in asset.reads() {
                add(&input.spec.table, Some(&input.day_column));
                if let Some(producer) = input.producer {
                    let producer = &self.assets[producer];
                    add(&producer.table, producer.day_column.as_ref());
                }
            }
        }
        tables
    }

    /// Direct upstream assets: by data and by embedding.
    pub(crate) fn parents(&self, index: AssetIndex) -> impl Iterator<Item = AssetIndex> + '_ {
        let asset = &self.assets[index];
        let data = asset.inputs.iter().filter_map(|input| input.producer);
        data.chain(asset.embeds.iter().copied())
    }

    /// Direct downstream assets: by data and by embedding.
    pub(crate) fn children(&self, index: AssetIndex) -> impl Iterator<Item = AssetIndex> + '_ {
        self.readers[index].iter().copied()
    }
}
