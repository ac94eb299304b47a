//! What the working tree would change of what was filled.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, RangeSet, TableName, ds::format_instant};
use chronon_run_export::causes_text;
use chronon_run_plan::{ArchivedTables, AssetPlan, Cause, Cells, Note, Reason, Selection, State};
use serde::Serialize;

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    options::SelectArgs,
    planning::{
        filled::{Records, conf_of},
        prepared::{Planned, Wanted},
    },
};

/// What edits of confs are about.
#[derive(Serialize, Default)]
pub struct Changes {
    /// Confs that were edited, or are no more.
    pub confs: Vec<Edited>,
    /// Days that are out of date for other causes than an edit.
    pub stale: Vec<Outdated>,
    /// Filled days without a record of the conf that they were made with.
    pub unrecorded: BTreeMap<AssetId, RangeSet>,
}

/// One conf that was edited, or is no more.
#[derive(Serialize, Default)]
pub struct Edited {
    /// `<type>/<conf name>`.
    pub conf: String,
    /// When its tables were filled last, in milliseconds since the epoch, if that is known.
    #[serde(serialize_with = "chronon_run_core::instant::seconds")]
    pub filled_at: Option<i64>,
    /// What was edited, in words; empty if the conf is no more.
    pub edits: Vec<String>,
    /// Whether there is no such conf any more.
    pub gone: bool,
    /// Whether the Driver would rename tables and compute them again.
    pub archives: bool,
    /// The conf's tables that the edit is about, with the days filled before it.
    pub tables: BTreeMap<TableName, RangeSet>,
    /// Assets that read them, directly or not.
    pub downstream: Vec<AssetId>,
}

/// Days of an asset that are out of date, though its conf is the same.
#[derive(Serialize)]
pub struct Outdated {
    /// The asset.
    pub asset: AssetId,
    /// Its days.
    pub days: RangeSet,
    /// Why.
    pub because: Vec<Cause>,
}

impl Changes {
    /// Compares the selected confs with those that their tables were filled with.
    pub fn of(project: &Project, select: &SelectArgs) -> Result<Self, Failure> {
        let records = Records::of(project);
        let warehouse = CatalogSession::look(&project.workspace)?;
        let mut ledger = project.existing_ledger();
        let wanted = Wanted {
            select: select.clone(),
            every_mode: true,
            compare: true,
            accept_archive: true,
            ..Wanted::default()
        };
        let planned = Planned::make(project, &wanted, &warehouse, ledger.as_mut())?;
        let mut edits = Edits {
            project,
            records: &records,
            confs: BTreeMap::new(),
        };
        let mut found = Self::default();
        for asset in &planned.plan.assets {
            if let Some(archived) = planned.archived(&asset.asset) {
                edits.add_archived(asset, archived);
            }
            found.stale.extend(edits.add_days(asset));
            let unrecorded = asset.notes.iter().filter_map(|note| match note {
                Note::Unrecorded { days } => Some((asset.asset.clone(), days.clone())),
                _ => None,
            });
            found.unrecorded.extend(unrecorded);
        }
        found.confs = edits.confs.into_values().collect();
        found.confs.extend(gone(project, &records));
        Ok(found)
    }

    /// Whether nothing that is filled is out of date.
    pub fn is_empty(&self) -> bool {
        self.confs.is_empty() && self.stale.is_empty()
    }

    /// The names of the confs that have filled tables and are not as they were then.
    pub fn edited_names(&self) -> BTreeSet<String> {
        let edited = self.confs.iter();
        let edited = edited.filter(|conf| !conf.gone && !conf.tables.is_empty());
        let names = edited.filter_map(|conf| Some(conf.conf.split_once('/')?.1.to_owned()));
        names.collect()
    }

    /// What a user reads. `uses_driver`: whether the Driver fills the tables.
    pub fn text(&self, uses_driver: bool) -> String {
        let confs = self.confs.iter();
        let mut blocks: Vec<String> = confs.map(|conf| conf.text(uses_driver)).collect();
        if blocks.is_empty() {
            blocks.push("no conf was edited since its tables were filled\n".to_owned());
        }
        let stale: String = self.stale.iter().map(Outdated::text).collect();
        let unknown = |(asset, days): (&AssetId, &RangeSet)| {
            format!(
                "{asset} {days}: filled by another program or version; with which conf is not recorded\n"
            )
        };
        let unknown: String = self.unrecorded.iter().map(unknown).collect();
        blocks.extend([stale, unknown].into_iter().filter(|text| !text.is_empty()));
        blocks.join("\n")
    }
}

impl Edited {
    /// What becomes of the tables of the conf. `uses_driver`: whether the Driver fills them.
    pub fn consequence(&self, uses_driver: bool) -> &'static str {
        match (self.gone, self.archives, uses_driver) {
            (true, _, _) => "the conf is gone, so nothing fills it any more",
            (_, true, _) => "the Driver renames it and computes again",
            (_, false, true) => "the Driver does not notice and keeps its columns",
            (_, false, false) => {
                "filled with the earlier conf; `materialize --stale` fills it again"
            }
        }
    }

    fn text(&self, uses_driver: bool) -> String {
        let mut out = match self.filled_at {
            Some(at) => format!("{}, filled {}\n", self.conf, format_instant(at)),
            None => format!("{}\n", self.conf),
        };
        for edit in &self.edits {
            out += &format!("  edited    {edit}\n");
        }
        let what = self.consequence(uses_driver);
        for (table, days) in &self.tables {
            let days = match days.is_empty() {
                true => String::new(),
                false => format!(" {days}"),
            };
            out += &format!("  table     {table}{days}: {what}\n");
        }
        for asset in &self.downstream {
            out += &format!("  read by   {asset}\n");
        }
        out
    }

    fn add_edits(&mut self, edits: &[String]) {
        for edit in edits {
            if !self.edits.contains(edit) {
                self.edits.push(edit.clone());
            }
        }
    }
}

impl Outdated {
    fn text(&self) -> String {
        let why = causes_text(&self.because);
        format!("{} {} is out of date: {why}\n", self.asset, self.days)
    }

    /// What was edited, if an edit is among the causes.
    fn edits(&self) -> Option<&[String]> {
        self.because.iter().find_map(|cause| match cause {
            Cause::ConfEdited { edits } => Some(edits.as_slice()),
            _ => None,
        })
    }
}

/// The confs that were edited, by their ids.
struct Edits<'a> {
    project: &'a Project,
    records: &'a Records,
    confs: BTreeMap<String, Edited>,
}

impl Edits<'_> {
    fn add_archived(&mut self, asset: &AssetPlan, archived: &ArchivedTables) {
        let entry = self.entry(asset);
        entry.archives = true;
        entry.add_edits(&archived.because);
        entry.tables.extend(archived.tables.clone());
    }

    /// Adds the days that are out of date because of an edit. Returns the others.
    fn add_days(&mut self, asset: &AssetPlan) -> Vec<Outdated> {
        let mut others = Vec::new();
        for outdated in out_of_date(&asset.asset, &asset.cells) {
            let Some(edits) = outdated.edits() else {
                others.push(outdated);
                continue;
            };
            let entry = self.entry(asset);
            entry.add_edits(edits);
            let known = entry.tables.entry(asset.table.clone()).or_default();
            *known = known.union(&outdated.days);
        }
        others
    }

    /// The entry of an asset's conf.
    fn entry(&mut self, asset: &AssetPlan) -> &mut Edited {
        let conf = asset.asset.conf.to_string();
        self.confs.entry(conf.clone()).or_insert_with(|| Edited {
            conf,
            filled_at: self.records.get(&asset.table).map(|filled| filled.at),
            downstream: downstream(self.project, &asset.asset),
            ..Edited::default()
        })
    }
}

/// The days of an asset that are out of date, by causes.
fn out_of_date(asset: &AssetId, cells: &[Cells]) -> Vec<Outdated> {
    let stale = cells.iter().filter(|c| c.state == State::Done);
    let stale = stale.filter_map(|cells| match &cells.reason {
        Reason::Stale { because } => Some((cells.range, because)),
        _ => None,
    });
    let mut found: Vec<Outdated> = Vec::new();
    for (range, because) in stale {
        match found.iter_mut().find(|known| known.because == *because) {
            Some(known) => known.days = known.days.union(&range.into()),
            None => found.push(Outdated {
                asset: asset.clone(),
                days: range.into(),
                because: because.clone(),
            }),
        }
    }
    found
}

/// Every asset that reads a table of the conf, directly or not, and is not its own.
fn downstream(project: &Project, asset: &AssetId) -> Vec<AssetId> {
    let selector = [format!("{}+", asset.conf.name)];
    let resolved = Selection::parse(&selector, &[])
        .and_then(|selection| selection.resolve(&project.graph, true));
    let assets = resolved.unwrap_or_default().into_iter();
    assets
        .map(|index| project.graph.assets[index].id.clone())
        .filter(|found| found.conf != asset.conf)
        .collect()
}

/// Tables whose conf is no more.
fn gone(project: &Project, records: &Records) -> Vec<Edited> {
    let mut found: BTreeMap<String, Edited> = BTreeMap::new();
    for (table, filled) in records.all() {
        if conf_of(project, &filled.asset).is_some() {
            continue;
        }
        let conf = filled.asset.conf.to_string();
        let entry = found.entry(conf.clone()).or_insert_with(|| Edited {
            conf,
            filled_at: Some(filled.at),
            gone: true,
            ..Edited::default()
        });
        entry.tables.insert(table, RangeSet::new());
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(text: &str) -> RangeSet {
        let (first, last) = text.split_once("..").unwrap();
        let range =
            chronon_run_core::PartitionRange::new(first.parse().unwrap(), last.parse().unwrap());
        range.unwrap().into()
    }

    fn edited() -> Edited {
        Edited {
            conf: "join/team.a.v1".to_owned(),
            edits: vec!["a column was added".to_owned()],
            tables: BTreeMap::from([("db.a".parse().unwrap(), days("2026-01-01..2026-01-02"))]),
            downstream: vec!["join/team.b.v1/backfill".parse().unwrap()],
            ..Edited::default()
        }
    }

    fn outdated(because: Vec<Cause>) -> Outdated {
        Outdated {
            asset: "join/team.b.v1/backfill".parse().unwrap(),
            days: days("2026-01-03..2026-01-03"),
            because,
        }
    }

    #[test]
    fn a_conf_is_shown_with_its_tables_and_what_reads_them() {
        let text = edited().text(true);
        let lines: Vec<&str> = text.lines().collect();
        let wanted = [
            "join/team.a.v1",
            "  edited    a column was added",
            "  table     db.a 2026-01-01..2026-01-02: the Driver does not notice and keeps its columns",
            "  read by   join/team.b.v1/backfill",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn a_conf_that_is_gone_has_tables_without_days() {
        let mut conf = edited();
        conf.gone = true;
        conf.tables.insert("db.a".parse().unwrap(), RangeSet::new());
        let text = conf.text(false);
        assert!(
            text.contains("  table     db.a: the conf is gone, so nothing fills it any more\n"),
            "{text}"
        );
    }

    #[test]
    fn only_confs_with_filled_tables_are_computed_again() {
        let gone = Edited {
            gone: true,
            conf: "join/team.b.v1".to_owned(),
            ..edited()
        };
        let unfilled = Edited {
            conf: "join/team.c.v1".to_owned(),
            tables: BTreeMap::new(),
            ..edited()
        };
        let changes = Changes {
            confs: vec![edited(), gone, unfilled],
            ..Changes::default()
        };
        assert!(changes.edited_names().iter().eq(["team.a.v1"]));
    }

    #[test]
    fn days_that_are_out_of_date_for_other_causes_are_named_after_the_confs() {
        let changes = Changes {
            stale: vec![outdated(vec![Cause::Unfinished])],
            unrecorded: BTreeMap::from([(
                "join/team.c.v1/backfill".parse().unwrap(),
                days("2026-01-04..2026-01-04"),
            )]),
            ..Changes::default()
        };
        assert!(!changes.is_empty());
        let text = changes.text(false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!(lines[0], "no conf was edited since its tables were filled");
        let start = "join/team.b.v1/backfill 2026-01-03 is out of date: ";
        assert!(lines[2].starts_with(start), "{text}");
        assert!(lines[4].starts_with("join/team.c.v1/backfill 2026-01-04: filled by another"));
    }

    #[test]
    fn ranges_with_the_same_causes_are_shown_together() {
        let cells = |day: &str, state, because| Cells {
            range: chronon_run_core::PartitionRange::day(day.parse().unwrap()),
            state,
            reason: Reason::Stale { because },
        };
        let cells = [
            cells("2026-01-01", State::Done, vec![Cause::Unfinished]),
            cells("2026-01-02", State::Done, vec![Cause::NothingRecorded]),
            cells("2026-01-03", State::Done, vec![Cause::Unfinished]),
            cells("2026-01-04", State::Run, vec![Cause::Unfinished]),
        ];
        let asset = "join/team.b.v1/backfill".parse().unwrap();
        let found = out_of_date(&asset, &cells);
        let found = found.iter().map(|one| one.days.to_string());
        let found: Vec<String> = found.collect();
        assert_eq!(found, ["2026-01-01, 2026-01-03", "2026-01-02"]);
    }

    #[test]
    fn an_edit_among_other_causes_is_found() {
        let edit = Cause::ConfEdited {
            edits: vec!["x".to_owned()],
        };
        let both = outdated(vec![Cause::Unfinished, edit]);
        assert_eq!(both.edits(), Some(["x".to_owned()].as_slice()));
        assert_eq!(outdated(vec![Cause::Unfinished]).edits(), None);
    }
}
