//! What the tables of statistics hold of a join's newest day, beside the days before: how many rows, and how
//! many of them are NULL in each column. Read from files on this machine, without Spark.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, AssetKind, Ds};
use chronon_run_plan::{AssetPlan, State};
use chronon_run_report::count;
use chronon_run_rows::{Scan, Value, percent, ratio};
use serde::Serialize;

use super::{Found, Place, Target, find, storage};
use crate::{
    listing::session::CatalogSession, loading::project::Project, planning::prepared::Planned,
};

/// How many days before the newest one are averaged.
const BEFORE: usize = 7;
/// Tables that are read for one screen.
const MOST: usize = 20;
/// A share of NULL that differs by less is as before.
const NOTABLE: f64 = 0.02;
/// The column of the Driver's tables of statistics that counts rows.
const TOTAL: &str = "total_count";
/// Behind the name of a column: how many of its values are NULL.
const NULLS: &str = "__null_sum";

/// The statistics of the newest day of a join, or of its log.
#[derive(Serialize)]
pub struct Statistics {
    /// The asset that fills the table.
    pub asset: AssetId,
    /// The newest day that has statistics.
    pub ds: Ds,
    /// Its rows.
    pub rows: u64,
    /// How many earlier days with statistics are averaged, at most 7.
    pub days_before: usize,
    /// The mean of their rows; `None` without such a day.
    pub rows_before: Option<f64>,
    /// Every column that has statistics, in the order of the table.
    pub columns: Vec<Nulls>,
}

/// How many values of a column are NULL.
#[derive(Serialize)]
pub struct Nulls {
    /// The column.
    pub column: String,
    /// Of the newest day, from 0 to 1.
    pub share: f64,
    /// Of all rows of the earlier days; `None` without such a day.
    pub before: Option<f64>,
}

/// The statistics of the planned assets, of at most 20 of them; and how many were left out. Tables whose files
/// are elsewhere have none.
pub fn of_planned(
    context: &Project,
    planned: &Planned<'_>,
    warehouse: &CatalogSession,
) -> (Vec<Statistics>, usize) {
    let assets = planned.plan.assets.iter().filter(|asset| has_any(asset));
    let assets: Vec<&AssetPlan> = assets.collect();
    if assets.is_empty() || warehouse.check_rows(&context.workspace).is_err() {
        return (Vec::new(), 0);
    }
    let (read, left) = assets.split_at(assets.len().min(MOST));
    let found = read
        .iter()
        .filter_map(|asset| of(context, warehouse, asset))
        .collect();
    (found, left.len())
}

fn has_any(asset: &AssetPlan) -> bool {
    let is_summary = matches!(
        asset.asset.mode,
        AssetKind::StatsSummary | AssetKind::LogSummary
    );
    is_summary && !asset.days_in(State::Done).is_empty()
}

/// `None` where they cannot be read here; status is no place to fail for it.
fn of(context: &Project, warehouse: &CatalogSession, asset: &AssetPlan) -> Option<Statistics> {
    let target = Target {
        table: asset.table.clone(),
        asset: Some(asset.asset.clone()),
    };
    let storage = storage(context, warehouse, &target, asset.table.as_str()).ok()?;
    let catalog = warehouse.catalog()?;
    let mut days = Vec::new();
    for place in Place::newest(context, &target, storage, 1 + BEFORE) {
        match find(catalog, &place).ok()? {
            Found::Rows(scan) => days.push((place.day?, Counts::of(scan)?)),
            Found::NeedsSpark(_) => return None,
        }
    }
    Statistics::new(&asset.asset, &days)
}

/// What is counted of one day, or of several.
#[derive(Default)]
struct Counts {
    rows: u64,
    /// In the order of the table.
    nulls: Vec<(String, u64)>,
}

impl Counts {
    /// The sums of the hours of a day; `None` for a table of another shape.
    fn of(scan: Scan) -> Option<Self> {
        let names = scan.columns().into_iter().map(|column| column.name);
        let nulls = names.filter(|name| name.ends_with(NULLS));
        let mut names: Vec<String> = nulls.collect();
        names.push(TOTAL.to_owned());
        let scan = scan.select(&names).ok()?;
        let mut sums = vec![0_u64; names.len()];
        for row in scan.rows(None) {
            for (sum, value) in sums.iter_mut().zip(row.ok()?) {
                if let Value::Integer(number) = value {
                    *sum = sum.saturating_add(u64::try_from(number).unwrap_or(0));
                }
            }
        }
        names.pop();
        let rows = sums.pop()?;
        let column = |name: String| name.strip_suffix(NULLS).unwrap_or(&name).to_owned();
        let nulls = names.into_iter().map(column).zip(sums).collect();
        Some(Self { rows, nulls })
    }

    fn share(&self, nulls: u64) -> f64 {
        ratio(nulls, self.rows)
    }
}

impl Statistics {
    /// Of the first of `days` beside the others.
    fn new(asset: &AssetId, days: &[(Ds, Counts)]) -> Option<Self> {
        let ((ds, newest), before) = days.split_first()?;
        let mut earlier: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (_, day) in before {
            for (column, nulls) in &day.nulls {
                let sums = earlier.entry(column).or_default();
                *sums = (sums.0 + nulls, sums.1 + day.rows);
            }
        }
        let columns = newest.nulls.iter().map(|(column, nulls)| Nulls {
            column: column.clone(),
            share: newest.share(*nulls),
            before: earlier
                .get(column.as_str())
                .map(|(nulls, rows)| ratio(*nulls, *rows)),
        });
        let rows_before: u64 = before.iter().map(|(_, day)| day.rows).sum();
        let days_before = u64::try_from(before.len()).unwrap_or(u64::MAX);
        Some(Self {
            asset: asset.clone(),
            ds: *ds,
            rows: newest.rows,
            days_before: before.len(),
            rows_before: (days_before > 0).then(|| ratio(rows_before, days_before)),
            columns: columns.collect(),
        })
    }

    /// For people: the rows, and the columns whose share of NULL is another than before.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "  {} on {}: {}",
            self.asset,
            self.ds,
            count(self.rows, "row")
        );
        if let Some(before) = self.rows_before {
            text += &match self.days_before {
                1 => format!(", {before:.0} on the day before"),
                days => format!(", {before:.0} in the mean of {days} days before"),
            };
        }
        let changed: Vec<&Nulls> = self.columns.iter().filter(|one| one.is_notable()).collect();
        if changed.is_empty() && self.rows_before.is_some() {
            text += "; NULLs as before";
        }
        text.push('\n');
        for nulls in changed {
            text += &format!("    {}\n", nulls.text());
        }
        text
    }
}

impl Nulls {
    fn is_notable(&self) -> bool {
        self.before
            .is_some_and(|before| (before - self.share).abs() >= NOTABLE)
    }

    fn text(&self) -> String {
        let before = self.before.map_or_else(String::new, |before| {
            format!(", {} before", percent(before))
        });
        format!("{}: {} NULL{before}", self.column, percent(self.share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(ds: &str, rows: u64, nulls: &[(&str, u64)]) -> (Ds, Counts) {
        let nulls = nulls
            .iter()
            .map(|(name, nulls)| ((*name).to_owned(), *nulls));
        let counts = Counts {
            rows,
            nulls: nulls.collect(),
        };
        (ds.parse().unwrap(), counts)
    }

    fn text(days: &[(Ds, Counts)]) -> String {
        let asset = "join/a.b/stats-summary".parse().unwrap();
        Statistics::new(&asset, days).unwrap().text()
    }

    #[test]
    fn only_shares_that_have_changed_are_listed() {
        let days = [
            day("2026-01-03", 200, &[("x", 100), ("y", 2), ("new", 1)]),
            day("2026-01-02", 100, &[("x", 10), ("y", 1)]),
            day("2026-01-01", 300, &[("x", 30), ("y", 3)]),
        ];
        assert_eq!(
            text(&days),
            "  join/a.b/stats-summary on 2026-01-03: 200 rows, 200 in the mean of 2 days before\n    x: 50 % NULL, 10 % before\n"
        );
        assert_eq!(
            text(&days[1..]),
            "  join/a.b/stats-summary on 2026-01-02: 100 rows, 300 on the day before; NULLs as before\n"
        );
        assert_eq!(
            text(&days[2..]),
            "  join/a.b/stats-summary on 2026-01-01: 300 rows\n"
        );
        let asset = "join/a.b/stats-summary".parse().unwrap();
        assert!(Statistics::new(&asset, &[]).is_none());
    }

    #[test]
    fn a_day_without_rows_has_no_share() {
        let days = [day("2026-01-02", 0, &[("x", 0)]), day("2026-01-01", 0, &[])];
        let asset = "join/a.b/stats-summary".parse().unwrap();
        let found = Statistics::new(&asset, &days).unwrap();
        assert!(found.columns[0].share.abs() < f64::EPSILON);
        assert_eq!(found.columns[0].before, None);
    }
}
