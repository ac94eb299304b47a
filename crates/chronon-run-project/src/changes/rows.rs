//! What the confs as they are now make of days that are filled, row by row.

use std::collections::BTreeSet;

use chronon_run_core::{AssetId, AssetKind, Ds, PartitionRange, RangeSet};
use chronon_run_engine::compare::Comparison;
use chronon_run_plan::{Asset, State};
use serde::Serialize;

use crate::{
    comparing::{self, Pairing, Table, add_comparison},
    failure::Failure,
    listing::session::CatalogSession,
    loading::{days::checked, project::Project},
    options::{DayArgs, SelectArgs},
    output::{Page, note},
    planning::prepared::{Planned, Wanted},
    runs::run::Ended,
    scratch::{self, Scratch},
};

/// One table, as it is and as the conf makes it now.
#[derive(Serialize)]
pub struct Compared {
    asset: AssetId,
    /// The days that were computed and compared.
    days: RangeSet,
    /// The table as it is.
    before: String,
    /// The columns by which rows were paired.
    keys: Vec<String>,
    /// Whether rows were paired as a whole, because no columns identify them.
    whole_rows: bool,
    /// What differs; nothing if it could not be compared.
    #[serde(flatten)]
    found: Option<Comparison>,
    /// Why it was not compared.
    why_not: Option<String>,
}

impl Compared {
    /// Whether a row or a column differs.
    pub fn differs(&self) -> bool {
        let found = self.found.as_ref();
        found.is_some_and(|found| !found.is_equal())
    }

    fn add_to(&self, page: &mut Page) {
        let head = format!(
            "{} {}\n{} with its conf as it is now, ",
            self.asset, self.days, self.before
        );
        let Some(found) = &self.found else {
            let why = self.why_not.as_deref().unwrap_or_default();
            return page.say(&format!("{head}not compared: {why}\n"));
        };
        let by = match self.whole_rows {
            true => "as whole rows".to_owned(),
            false => format!("by {}", self.keys.join(", ")),
        };
        page.say(&format!("{head}{by}\n"));
        let lead = match found.is_equal() {
            true => "nothing differs: ",
            false => "",
        };
        add_comparison(page, lead, found, ["before", "after"]);
    }
}

/// What a user reads.
pub fn page(found: &[Compared]) -> Page {
    let mut page = Page::default();
    for (at, compared) in found.iter().enumerate() {
        page.say(if at > 0 { "\n" } else { "" });
        compared.add_to(&mut page);
    }
    page
}

/// The days that are asked for; without any, the newest that is filled of all the selected assets.
pub fn days(
    project: &Project,
    warehouse: &CatalogSession,
    asked: &DayArgs,
    select: &SelectArgs,
) -> Result<RangeSet, Failure> {
    let given = checked(project, asked)?;
    let Some(first) = given.ds.or(given.start_ds) else {
        return newest(project, warehouse, select).map(|day| RangeSet::from_iter([day]));
    };
    let last = match given.ds.or(given.end_ds) {
        Some(last) => last,
        None => project.as_of(given.as_of)?,
    };
    let range = PartitionRange::new(first, last);
    range.map(RangeSet::from).ok_or_else(|| {
        Failure::setup(format!(
            "the first day {first} is after the last day {last}"
        ))
    })
}

/// The newest day that is filled of all the selected assets.
fn newest(
    project: &Project,
    warehouse: &CatalogSession,
    select: &SelectArgs,
) -> Result<Ds, Failure> {
    let wanted = Wanted {
        select: select.clone(),
        ..Wanted::default()
    };
    let mut ledger = project.existing_ledger();
    let planned = Planned::make(project, &wanted, warehouse, ledger.as_mut())?;
    let filled = planned.plan.assets.iter();
    let newest = filled.filter_map(|asset| asset.days_in(State::Done).last());
    newest.min().ok_or_else(|| {
        Failure::hinted(
            "no day of the selected tables is filled: there is nothing to compare with",
            "`--ds YYYY-MM-DD` computes a day all the same; `chronon-run materialize` fills them",
        )
    })
}

/// Compares what a run in a scratch target has made with what is there.
pub struct Comparer<'a> {
    /// The workspace.
    pub project: &'a Project,
    /// The target.
    pub scratch: &'a Scratch<'a>,
    /// The warehouse of both.
    pub warehouse: &'a CatalogSession,
    /// The columns that identify a row; none: those that the conf says.
    pub on: &'a [String],
    /// The columns that are compared; none: all that both tables have.
    pub columns: &'a [String],
    /// How many rows that differ are shown of each table.
    pub limit: u64,
}

impl Comparer<'_> {
    /// Compares these days of every table that the run was to fill.
    pub fn compare(&self, ended: &Ended, days: &RangeSet) -> Result<Vec<Compared>, Failure> {
        let wanted = ended.plan.assets.iter().map(|planned| &planned.asset);
        let wanted: BTreeSet<&AssetId> = wanted.collect();
        let is_output = |asset: &&Asset| {
            wanted.contains(&asset.id)
                && !matches!(asset.id.mode, AssetKind::Left | AssetKind::Part(_))
        };
        let assets = self.scratch.project.graph.assets.iter();
        assets
            .filter(is_output)
            .map(|asset| self.one(asset, scratch::computed(ended, asset).intersect(days)))
            .collect()
    }

    fn one(&self, asset: &Asset, days: RangeSet) -> Result<Compared, Failure> {
        let before = &self.project.graph.assets[self.project.index_of(&asset.id)?];
        let mut compared = Compared {
            asset: asset.id.clone(),
            before: before.table.to_string(),
            keys: Vec::new(),
            whole_rows: false,
            found: None,
            why_not: None,
            days,
        };
        match self.tables(before, asset, &compared.days)? {
            Ok(tables) => self.compare_tables(&mut compared, &tables)?,
            Err(why) => compared.why_not = Some(why),
        }
        Ok(compared)
    }

    /// The table as it is and as it was computed; or why they cannot be compared.
    fn tables(
        &self,
        before: &Asset,
        after: &Asset,
        days: &RangeSet,
    ) -> Result<Result<[Table; 2], String>, Failure> {
        if days.is_empty() {
            return Ok(Err("none of the days could be computed".to_owned()));
        }
        let left = self.table(self.project, before, days)?;
        let right = self.table(&self.scratch.project, after, days)?;
        Ok(match (left, right) {
            (Ok(left), Ok(right)) => Ok([left, right]),
            (Err(why), _) => Err(why),
            (_, Err(_)) => Err("the edited conf makes no rows".to_owned()),
        })
    }

    /// These days of a table, or why there are none.
    fn table(
        &self,
        project: &Project,
        asset: &Asset,
        days: &RangeSet,
    ) -> Result<Result<Table, String>, Failure> {
        match Table::of_days(project, self.warehouse, asset, days) {
            Err(Failure::NotFilled { message, .. }) => Ok(Err(message)),
            found => found.map(Ok),
        }
    }

    /// Compares by the first columns that identify the rows of both tables.
    fn compare_tables(
        &self,
        compared: &mut Compared,
        [left, right]: &[Table; 2],
    ) -> Result<(), Failure> {
        let pairings = match self.on {
            [] => comparing::pairings(self.project, &compared.asset, left, right),
            given => vec![Pairing::Keys(given.to_vec())],
        };
        for (at, pairing) in pairings.iter().enumerate() {
            let (keys, whole_rows) = match pairing {
                Pairing::Keys(keys) => (keys, false),
                Pairing::Whole(columns) => (columns, true),
            };
            let asked = comparing::prepare(left, right, keys, self.columns)?;
            let project = &self.scratch.project;
            let found = comparing::compare(project, self.warehouse, &asked, self.limit)?;
            let unique = found.repeated_left + found.repeated_right == 0;
            if unique || whole_rows || at + 1 == pairings.len() {
                if !whole_rows {
                    comparing::check_keys(&found, keys, left, right)?;
                }
                compared.keys.clone_from(keys);
                compared.whole_rows = whole_rows;
                compared.found = Some(found);
                return Ok(());
            }
            note(&format!(
                "note: {} does not identify the rows of {}",
                keys.join(", "),
                left.text()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(found: Option<Comparison>) -> Compared {
        Compared {
            asset: "join/team.a.v1/backfill".parse().unwrap(),
            days: RangeSet::from_iter(["2026-01-01".parse::<Ds>().unwrap()]),
            before: "db.a".to_owned(),
            keys: vec!["user".to_owned(), "ts".to_owned()],
            whole_rows: false,
            found,
            why_not: None,
        }
    }

    fn comparison(different: u64) -> Comparison {
        Comparison {
            only_left: 0,
            only_right: 0,
            both: 4,
            different,
            repeated_left: 0,
            repeated_right: 0,
            columns: Vec::new(),
            columns_only_left: Vec::new(),
            columns_only_right: Vec::new(),
            columns_ignored: Vec::new(),
            types: Vec::new(),
            examples: Vec::new(),
        }
    }

    const TITLE: &str = "join/team.a.v1/backfill 2026-01-01\ndb.a with its conf as it is now, ";

    #[test]
    fn rows_that_are_equal_do_not_differ() {
        let same = compared(Some(comparison(0)));
        assert!(!same.differs());
        let counts = "4 rows on both sides, 0 different; 0 only before, 0 only after\n";
        let wanted = format!("{TITLE}by user, ts\nnothing differs: {counts}");
        assert_eq!(page(&[same]).text(), wanted);
    }

    #[test]
    fn whole_rows_are_not_paired_by_columns() {
        let mut other = compared(Some(comparison(1)));
        other.whole_rows = true;
        assert!(other.differs());
        let counts = "4 rows on both sides, 1 different; 0 only before, 0 only after\n";
        let wanted = format!("{TITLE}as whole rows\n{counts}");
        assert_eq!(page(&[other]).text(), wanted);
    }

    #[test]
    fn what_is_not_compared_says_why_and_does_not_differ() {
        let mut none = compared(None);
        none.why_not = Some("the edited conf makes no rows".to_owned());
        assert!(!none.differs());
        let wanted = format!("{TITLE}not compared: the edited conf makes no rows\n");
        assert_eq!(page(&[none]).text(), wanted);
    }
}
