//! The plan as a value: states, reasons and steps. Everything here serialises; the JSON form is
//! versioned by [`PLAN_VERSION`].

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{
    AssetId, CommandLine, Ds, PartitionRange, RangeSet, TableChanges, TableName, event::StepIndex,
};
use serde::{Deserialize, Serialize};

use crate::{estimates::Estimates, target::PlanTarget};

/// The version of the plan's JSON form. A reader refuses a newer one.
pub const PLAN_VERSION: u32 = 1;

/// What is to be done, and why, for every selected asset.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The last closed day: no day after it is planned.
    pub as_of: Ds,
    /// First day asked for, if the user said so.
    pub start_ds: Option<Ds>,
    /// Last day asked for, if the user said so.
    pub end_ds: Option<Ds>,
    /// Whether filled days are to be filled again.
    pub recompute: bool,
    /// Whether only filled days that are out of date are filled again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// Every selected asset, producers first.
    pub assets: Vec<AssetPlan>,
    /// What will be run, in an order that respects every need.
    pub steps: Vec<Step>,
    /// Sums.
    pub totals: Totals,
    /// Conf file → digest of its bytes, for every selected asset.
    pub confs: BTreeMap<String, String>,
    /// Every table that was looked at → its days; `None` for a table that does not exist.
    pub observed: BTreeMap<TableName, Option<RangeSet>>,
    /// The target that it is for; production, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PlanTarget>,
    /// What its steps are expected to take and to read, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimates: Option<Estimates>,
    /// What was asked for and is left out because something is wrong with it: asset ids, and files of confs
    /// that have no asset. Only a plan that is shown or saved has it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<String>,
}

impl Plan {
    /// A plan of no assets.
    #[must_use]
    pub fn empty(as_of: Ds) -> Self {
        Self {
            version: PLAN_VERSION,
            as_of,
            start_ds: None,
            end_ds: None,
            recompute: false,
            stale: false,
            assets: Vec::new(),
            steps: Vec::new(),
            totals: Totals::default(),
            confs: BTreeMap::new(),
            observed: BTreeMap::new(),
            target: None,
            estimates: None,
            left_out: BTreeSet::new(),
        }
    }

    /// What it says of some of its assets, none of which waits for another one: to be shown. Digests, observed tables
    /// and estimates, which a plan that is run or saved has, are left out.
    #[must_use]
    pub fn narrowed(&self, keeps: impl Fn(&AssetId) -> bool) -> Self {
        let kept = self.assets.iter().filter(|asset| keeps(&asset.asset));
        let assets: Vec<AssetPlan> = kept.cloned().collect();
        let kept = self.steps.iter().filter(|step| keeps(&step.asset));
        let places: BTreeMap<StepIndex, StepIndex> =
            kept.clone().map(|step| step.index).zip(0..).collect();
        let moved = |steps: &[StepIndex]| -> Vec<StepIndex> {
            let places = steps.iter().filter_map(|step| places.get(step));
            places.copied().collect()
        };
        let steps = kept.map(|step| Step {
            index: places[&step.index],
            after: moved(&step.after),
            once_over: moved(&step.once_over),
            ..step.clone()
        });
        let steps: Vec<Step> = steps.collect();
        Self {
            start_ds: self.start_ds,
            end_ds: self.end_ds,
            recompute: self.recompute,
            stale: self.stale,
            totals: Totals::of(&assets, &steps),
            target: self.target.clone(),
            assets,
            steps,
            ..Self::empty(self.as_of)
        }
    }
}

/// One asset's days.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AssetPlan {
    /// The asset.
    pub asset: AssetId,
    /// Its table.
    pub table: TableName,
    /// Its days by state and reason, oldest first; together they are the days asked for.
    pub cells: Vec<Cells>,
    /// Why it has no days at all, if it has none.
    pub excluded: Option<Reason>,
    /// What the owner of the table should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// Something about an asset that no day's state tells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// Only the newest partition of these sources is read, whatever the day: a day that is filled
    /// again may come out different (§4.2).
    NotReproducible {
        /// The cumulative sources.
        tables: BTreeSet<TableName>,
    },
    /// The Driver fills these days too, though they were not asked for: it takes no first day.
    AlsoFills {
        /// The days.
        days: RangeSet,
    },
    /// Partitions that are dropped first, so that the Driver really computes again (§5.4).
    Drops {
        /// The partitions, by table.
        tables: BTreeMap<TableName, RangeSet>,
    },
    /// Days that another program filled, or that were filled before records were kept: their conf and
    /// inputs are unknown.
    Unrecorded {
        /// The days.
        days: RangeSet,
    },
    /// Filled days that are out of date once the plan has run: it fills what they were made of.
    BecomesStale {
        /// The days.
        days: RangeSet,
    },
    /// Part partitions that were made before the left rows of their day were handed to the part. They
    /// are dropped first, because the Driver skips part partitions that exist.
    Premature {
        /// The partitions, by table.
        tables: BTreeMap<TableName, RangeSet>,
    },
    /// Left rows were seen whose time is not on their partition's day: the Driver's join-final does not
    /// read their part partitions, so their SNAPSHOT features are NULL.
    TimesNotJoined {
        /// How they were seen.
        seen: TimesSeen,
    },
    /// No statistics tell the times of the left rows of these days, so that they count as rows of their
    /// partition's day: a source day that only early or late rows need makes no day out of date.
    TimesUnknown {
        /// The left rows' table.
        table: TableName,
        /// The days: filled ones or, where `nulls`, also those to be filled.
        days: RangeSet,
        /// Whether the Driver may leave SNAPSHOT features of such rows NULL, which nothing names either.
        #[serde(default)]
        nulls: bool,
    },
    /// All left rows of these days are early, or all are late: a job of the Driver that fills such a
    /// day alone leaves the SNAPSHOT features of its rows NULL. They are filled again with the days
    /// beside them as soon as those can be filled.
    Alone {
        /// The days.
        days: RangeSet,
        /// Those that no other day near them helps.
        hopeless: RangeSet,
    },
    /// The Driver would take the edited conf for another table: it renames these tables and
    /// computes them again (§5.5).
    Archives {
        /// What becomes of which table.
        tables: Vec<Archived>,
        /// What was edited, in words.
        because: Vec<String>,
    },
    /// Existing tables have other columns than the conf.
    Columns {
        /// The differences, by table.
        changes: Vec<TableChanges>,
        /// What happens to the tables.
        fate: ColumnsFate,
    },
    /// The conf was edited since the table was filled; the Driver does not notice and keeps the
    /// table's columns (engine-semantics 1 [5.4]).
    EditedOverFilled {
        /// Days that were filled with the earlier conf.
        days: RangeSet,
        /// What was edited, in words.
        because: Vec<String>,
    },
}

/// A table that the Driver would rename.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Archived {
    /// The table.
    pub table: TableName,
    /// Its partitions, none of which the new table has.
    pub thrown_away: RangeSet,
    /// Those of them that this plan computes again.
    pub recomputed: RangeSet,
}

impl AssetPlan {
    /// The days in `state`.
    #[must_use]
    pub fn days_in(&self, state: State) -> RangeSet {
        let matching = self.cells.iter().filter(|cells| cells.state == state);
        matching.map(|cells| cells.range).collect()
    }

    /// The cells that hold `ds`.
    #[must_use]
    pub fn cell(&self, ds: Ds) -> Option<&Cells> {
        self.cells.iter().find(|cells| cells.range.contains(ds))
    }
}

/// A run of days with one state and one reason.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Cells {
    /// The days.
    #[serde(flatten)]
    pub range: PartitionRange,
    /// What becomes of them.
    pub state: State,
    /// Why.
    pub reason: Reason,
}

/// What becomes of a cell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Filled already.
    Done,
    /// A step of this plan fills it.
    Run,
    /// An input that nothing in this workspace fills is not there yet.
    Waiting,
    /// An asset of this workspace that it needs is not going to be filled by this plan.
    Blocked,
    /// Never to be filled.
    Excluded,
}

impl State {
    /// Every state, in the order in which plans show them.
    pub const ALL: [Self; 5] = [
        Self::Done,
        Self::Run,
        Self::Waiting,
        Self::Blocked,
        Self::Excluded,
    ];

    /// The state's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Run => "run",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Excluded => "excluded",
        }
    }
}

/// Some days of one input that are not there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MissingInput {
    /// The input's table.
    pub table: TableName,
    /// The asset that fills it, if one of this workspace does.
    pub asset: Option<AssetId>,
    /// The missing days; empty if the table itself does not exist.
    pub missing: RangeSet,
    /// What the input is to the asset, e.g. `left` or `source of part x`.
    pub role: String,
    /// Whether the table does not exist, and no asset fills it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_table: bool,
    /// Which data check one of these days did not pass, if they are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// Why a cell is in its state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// Done: the table has the partition.
    PartitionExists,
    /// Done: an earlier run found that the day has no rows; recorded in the ledger.
    KnownEmpty,
    /// Done: this day was uploaded; recorded in the ledger.
    Uploaded,
    /// Done: this day was loaded into the KV store; recorded in the ledger.
    Loaded,
    /// Run: the KV store does not have this day.
    NotLoaded,
    /// Run: the table does not exist yet.
    TableMissing,
    /// Run: the partition is not there.
    PartitionMissing,
    /// Run: the partition is not there, and lies left of the table's first one, which the
    /// Driver would take for retention and skip (§5.1).
    BeforeFirstPartition,
    /// Done: filled, and out of date since. Run: filled again for that reason.
    Stale {
        /// Why.
        because: Vec<Cause>,
    },
    /// Run: an earlier run found that the day has no rows, and its inputs have changed since.
    EmptyNoMore {
        /// Why.
        because: Vec<Cause>,
    },
    /// Run: the part's partition exists, but the join's output does not have the day: it may have been
    /// made by early rows of an earlier day, without the keys of this one.
    NotHandedOver,
    /// Run: filled already, and filled again with the day beside it: all left rows of one of them are
    /// early or all are late, and the Driver computes such a day only in one job with the other.
    MadeAlone,
    /// Run: asked for with `--recompute`.
    Recompute,
    /// Run: the table is rebuilt (`--rebuild`).
    Rebuilt,
    /// Run: the Driver renames the table that has the day, because the conf was edited (§5.5).
    Archived,
    /// Done: the join's output has the day, so that this step of it is not needed; the Driver
    /// would not fill it either (§6).
    OutputExists {
        /// The output.
        table: TableName,
    },
    /// Run: redone each time, there is no telling whether it is done (§5.4).
    AlwaysRedone,
    /// Waiting: these inputs are not there yet.
    InputsMissing {
        /// Which.
        inputs: Vec<MissingInput>,
    },
    /// Blocked: these assets are not filled, and this plan does not fill them.
    UpstreamNotFilled {
        /// Which.
        inputs: Vec<MissingInput>,
    },
    /// Excluded: the day's own input is declared never to land.
    SourceNeverLands {
        /// The sources that are declared never to have it.
        tables: BTreeSet<TableName>,
    },
    /// Excluded: the assets whose tables decide whether the day exists exclude it, too.
    UpstreamExcludes {
        /// Their tables.
        tables: BTreeSet<TableName>,
    },
    /// Excluded: the day lies after the `endPartition` of every source that decides whether it exists.
    SourceEnds {
        /// The tables, with their last days.
        tables: BTreeMap<TableName, Ds>,
    },
    /// Excluded: all input days that it needs of some table lie before the table's first partition.
    BeforeHistory {
        /// The tables, with their first days.
        tables: BTreeMap<TableName, Ds>,
    },
    /// Excluded: the day's own input was filled by this workspace and has no row on that day.
    NoRowsThere {
        /// The inputs that decide whether the day exists.
        tables: BTreeSet<TableName>,
    },
    /// Excluded: the day lies outside the conf's own first and last day.
    OutsideConf {
        /// First day of the conf.
        first: Option<Ds>,
        /// Last day of the conf.
        last: Option<Ds>,
    },
    /// Excluded: only the last day is ever filled (`historicalBackfill = 0`, uploads, views).
    OnlyLastDay,
    /// Excluded: after the last closed day.
    AfterAsOf,
    /// Excluded: the left side has no partition, so no day is known.
    NoLeftPartition {
        /// The left table.
        table: TableName,
    },
    /// Excluded: its schedule never calls for it.
    NotDue,
    /// Excluded: it has no days; `chronon-run stream` keeps it alive.
    LongRunning,
    /// Excluded: left of the table's first day, and in this mode the Driver never fills that (§5.1).
    FirstHole {
        /// The table's first day.
        first: Ds,
    },
    /// Blocked: the Driver takes no first day in this mode, so it would fill an earlier day too,
    /// whose inputs are missing.
    EarlierDayWaits {
        /// The first such day.
        day: Ds,
    },
    /// Excluded: its end lies in the future, which serving cannot bear (§8.1).
    NotOverYet,
    /// Excluded: this engine cannot fill it.
    EngineCannot {
        /// The conf's field and why.
        why: String,
    },
}

/// A contiguous range of one asset that one subprocess fills.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Its place in [`Plan::steps`].
    pub index: StepIndex,
    /// What it fills.
    pub asset: AssetId,
    /// The days.
    pub range: PartitionRange,
    /// The last day of the asset's whole request: `{{ latest_date }}` and label dates use it.
    pub latest_date: Ds,
    /// Steps that must have succeeded before.
    pub after: Vec<StepIndex>,
    /// Steps that must be over before, whether they succeeded or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub once_over: Vec<StepIndex>,
    /// Days of the range that the output has. Their partitions are dropped first, because the Driver
    /// would keep them.
    #[serde(default, skip_serializing_if = "RangeSet::is_empty")]
    pub again: RangeSet,
    /// Steps with the same word never run at the same time.
    pub family: String,
    /// Whether the Driver gets the option to fill days before the table's first one (§5.1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub run_first_hole: bool,
    /// The command line, secrets masked; filled in by the engine's caller.
    pub command: Option<CommandLine>,
}

/// Sums over a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Days by state.
    pub days: BTreeMap<State, u64>,
    /// Number of steps.
    pub steps: u64,
    /// Number of assets.
    pub assets: u64,
}

impl Totals {
    pub(crate) fn of(assets: &[AssetPlan], steps: &[Step]) -> Self {
        let mut days: BTreeMap<State, u64> =
            State::ALL.into_iter().map(|state| (state, 0)).collect();
        for cells in assets.iter().flat_map(|asset| &asset.cells) {
            *days.entry(cells.state).or_default() += u64::from(cells.range.days());
        }
        Self {
            days,
            steps: steps.len() as u64,
            assets: assets.len() as u64,
        }
    }
}

/// One way in which the world has moved on since a plan was saved.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Difference {
    /// Written by another version of chronon-run.
    #[error("the plan has version {saved}, this chronon-run reads version {PLAN_VERSION}")]
    Version {
        /// The saved plan's version.
        saved: u32,
    },
    /// A conf file was edited, added or removed.
    #[error("{path}: the conf has changed since the plan was made")]
    Conf {
        /// The file.
        path: String,
    },
    /// A table has other partitions than the plan saw.
    #[error("{table}: {}", describe_change(.appeared, .vanished))]
    Partitions {
        /// The table.
        table: TableName,
        /// Days that are there now and were not then.
        appeared: RangeSet,
        /// Days that were there then and are not now.
        vanished: RangeSet,
    },
    /// The steps differ although confs and partitions do not: settings were changed.
    #[error(
        "the steps differ: the workspace's settings or the ledger have changed since the plan was made"
    )]
    Steps,
}

fn describe_change(appeared: &RangeSet, vanished: &RangeSet) -> String {
    let part = |days: &RangeSet, word: &str| (!days.is_empty()).then(|| format!("{days} {word}"));
    let parts: Vec<String> = part(appeared, "appeared")
        .into_iter()
        .chain(part(vanished, "vanished"))
        .collect();
    if parts.is_empty() {
        "created or dropped".to_owned()
    } else {
        parts.join("; ")
    }
}

impl Plan {
    /// What differs between this saved plan and `fresh`, the same request planned now.
    /// Empty: the saved plan may be applied.
    #[must_use]
    pub fn differences(&self, fresh: &Self) -> Vec<Difference> {
        if self.version != fresh.version {
            return vec![Difference::Version {
                saved: self.version,
            }];
        }
        let paths: BTreeSet<&String> = self.confs.keys().chain(fresh.confs.keys()).collect();
        let confs = paths
            .into_iter()
            .filter(|path| self.confs.get(*path) != fresh.confs.get(*path))
            .map(|path| Difference::Conf { path: path.clone() });
        let tables: BTreeSet<&TableName> =
            self.observed.keys().chain(fresh.observed.keys()).collect();
        let tables = tables.into_iter().filter_map(|table| {
            let days = |plan: &Self| plan.observed.get(table).cloned().flatten();
            let (then, now) = (days(self), days(fresh));
            (then != now).then(|| {
                let (then, now) = (then.unwrap_or_default(), now.unwrap_or_default());
                Difference::Partitions {
                    table: table.clone(),
                    appeared: now.minus(&then),
                    vanished: then.minus(&now),
                }
            })
        });
        let found: Vec<Difference> = confs.chain(tables).collect();
        let same_steps = || {
            let key = |step: &Step| (step.asset.clone(), step.range, step.after.clone());
            self.steps.iter().map(key).eq(fresh.steps.iter().map(key))
        };
        if found.is_empty() && !same_steps() {
            return vec![Difference::Steps];
        }
        found
    }

    /// Whether every cell is done or excluded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let open = [State::Run, State::Waiting, State::Blocked];
        open.iter()
            .all(|state| self.totals.days.get(state).is_none_or(|days| *days == 0))
    }

    /// Days in `state` over all assets.
    #[must_use]
    pub fn days_in(&self, state: State) -> u64 {
        self.totals.days.get(&state).copied().unwrap_or(0)
    }
}

/// Why a day is out of date.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// The conf was edited after the day was filled.
    ConfEdited {
        /// What, in words.
        edits: Vec<String>,
    },
    /// Input partitions appeared or were written again after the day was filled.
    InputsChanged {
        /// Which.
        inputs: Vec<ChangedInput>,
    },
    /// The plan fills days again that it was made of.
    InputsFilledAgain {
        /// The tables and the days.
        inputs: BTreeMap<TableName, RangeSet>,
    },
    /// A part of the join was filled again for the day, and the output was not.
    PartsFilledAgain {
        /// The part tables.
        tables: BTreeSet<TableName>,
    },
    /// The join's output is filled again from this part, which must have the keys of the day then.
    OutputFilledAgain,
    /// The Driver made the day without the days that it has to fill in the same job, because all rows
    /// of one of them are early or all are late.
    MadeAlone {
        /// The days that belong together.
        beside: PartitionRange,
    },
    /// The day of a join was filled in the other `join_flow`.
    OtherFlow,
    /// An attempt to fill the day again began and did not end.
    Unfinished,
    /// An earlier version of this program found no rows, and did not record what it saw.
    NothingRecorded,
}

/// Days of one input that are no longer what they were.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangedInput {
    /// The table.
    pub table: TableName,
    /// Days that were not there.
    pub appeared: RangeSet,
    /// Days that were written again.
    pub rewritten: RangeSet,
}

/// What happens to a table whose columns differ.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ColumnsFate {
    /// The next step adds the missing columns; removed ones stay.
    Expanded,
    /// No step runs before the table is rebuilt.
    NeedsRebuild,
    /// This plan rebuilds these tables, which have these days.
    Rebuilt {
        /// Days by table.
        tables: BTreeMap<TableName, RangeSet>,
    },
    /// The Driver archives the table and computes it again.
    Archived,
}

/// Where a left row was seen whose time is not on its partition's day.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimesSeen {
    /// The left rows' table, or the table of a part.
    pub table: TableName,
    /// The partition with the row, or the part partition that only such a row makes.
    pub partition: Ds,
    /// Whether the row is early; else it is late.
    pub early: bool,
    /// Whether a part partition tells.
    pub part: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asset, day};

    #[test]
    fn steps_of_a_narrowed_plan_wait_for_those_that_are_left() {
        let step = |index: StepIndex, number: usize, after: &[StepIndex]| Step {
            index,
            asset: asset(number, Vec::new()).id,
            range: PartitionRange::day(day(0)),
            latest_date: day(0),
            after: after.to_vec(),
            once_over: Vec::new(),
            again: RangeSet::new(),
            family: String::new(),
            run_first_hole: false,
            command: None,
        };
        let assets = (0..3).map(|number| AssetPlan {
            asset: asset(number, Vec::new()).id,
            table: asset(number, Vec::new()).table,
            cells: vec![Cells {
                range: PartitionRange::day(day(0)),
                state: State::Run,
                reason: Reason::Recompute,
            }],
            excluded: None,
            notes: Vec::new(),
        });
        let plan = Plan {
            assets: assets.collect(),
            steps: vec![step(0, 0, &[]), step(1, 1, &[0]), step(2, 2, &[0, 1])],
            ..Plan::empty(day(0))
        };
        let dropped = asset(1, Vec::new()).id;
        let narrow = plan.narrowed(|asset| *asset != dropped);
        assert_eq!(narrow.steps, [step(0, 0, &[]), step(1, 2, &[0])]);
        assert_eq!((narrow.totals.assets, narrow.totals.steps), (2, 2));
        assert_eq!(narrow.days_in(State::Run), 2);
    }
}
