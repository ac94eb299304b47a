//! Rows and columns for a page: read without Spark, and only as many as a page shows quickly.

use std::collections::BTreeMap;

use chronon_run_conf::described_columns;
use chronon_run_core::{AssetId, Ds, secret::mask_text};
use chronon_run_rows::{ColumnDays, FirstRows, Profile, Scan};

use super::{Found, Place, Target, failure, find, storage};
use crate::{failure::Failure, listing::session::CatalogSession, loading::project::Project};

/// Rows that are shown.
const FIRST: u64 = 100;
/// A day with more rows is not profiled.
const PROFILED: u64 = 100_000;
/// How many of the newest days are read.
const DAYS: usize = 14;
/// How much is read of all these days together.
const LIMIT: Size = Size {
    rows: PROFILED,
    values: 2_000_000,
    bytes: 64 << 20,
};

/// What the columns of the newest filled days of a table look like.
pub struct NewestDays {
    /// The days that were read, oldest first.
    pub days: Vec<Ds>,
    /// How many of the newest days were left out, because all of them hold too much.
    pub left_out: usize,
    /// Each column but that of the day.
    pub columns: Vec<ColumnDays>,
    /// What the columns hold, as far as the conf tells, with secrets masked.
    pub described: BTreeMap<String, String>,
}

/// The first rows of a day of an asset, or of the newest day, if they can be read without Spark.
pub fn first(project: &Project, asset: &AssetId, ds: Option<Ds>) -> Result<FirstRows, Failure> {
    let table = Table::of(project, asset)?;
    let (warehouse, target) = (&table.warehouse, &table.target);
    let place = Place::of(project, warehouse, target, &table.name, ds)?;
    FirstRows::of(&table.scan(project, &place)?, FIRST, PROFILED).map_err(failure)
}

/// What the columns of the newest days of an asset look like, if they can be read without Spark.
pub fn newest(project: &Project, asset: &AssetId) -> Result<NewestDays, Failure> {
    let table = Table::of(project, asset)?;
    let (warehouse, target, name) = (&table.warehouse, &table.target, &table.name);
    let storage = storage(project, warehouse, target, name)?;
    let places = Place::newest(project, target, storage, DAYS);
    let (mut days, mut profiles) = (Vec::new(), Vec::new());
    let mut read = Size::default();
    for place in &places {
        let scan = table.scan(project, place)?;
        read = read.with(Size::of(&scan));
        if read.is_over(LIMIT) {
            break;
        }
        days.extend(place.day);
        profiles.push(Profile::of(&scan.columns(), scan.rows(None)).map_err(failure)?);
    }
    let Some(newest) = places.first().filter(|_| !days.is_empty()) else {
        return Err(none_read(name, places.is_empty()));
    };
    days.reverse();
    profiles.reverse();
    Ok(NewestDays {
        left_out: places.len() - days.len(),
        columns: ColumnDays::of(&profiles, newest.day_column.as_deref()),
        described: described(project, asset),
        days,
    })
}

fn described(project: &Project, asset: &AssetId) -> BTreeMap<String, String> {
    let found = project.conf(asset).map(described_columns);
    let found = found.unwrap_or_default().into_iter();
    found
        .map(|(column, text)| (column, mask_text(&text)))
        .collect()
}

fn none_read(name: &str, none_filled: bool) -> Failure {
    let why = match none_filled {
        true => "no filled day is known",
        false => "the newest day holds too much for a page",
    };
    Failure::hinted(
        why,
        format!("`chronon-run show {name} --profile` looks at a whole day"),
    )
}

/// The table of an asset, whose rows may be read.
struct Table {
    name: String,
    target: Target,
    warehouse: CatalogSession,
}

impl Table {
    fn of(project: &Project, asset: &AssetId) -> Result<Self, Failure> {
        let name = asset.to_string();
        let target = Target::of(project, &name)?;
        let warehouse = CatalogSession::look(&project.workspace)?;
        warehouse.check_rows(&project.workspace)?;
        Ok(Self {
            name,
            target,
            warehouse,
        })
    }

    /// The rows at one place, if they can be read without Spark.
    fn scan(&self, project: &Project, place: &Place) -> Result<Scan, Failure> {
        let Some(catalog) = self.warehouse.catalog() else {
            return Err(self.target.missing(project, &self.name));
        };
        match find(catalog, place)? {
            Found::Rows(scan) => Ok(scan),
            Found::NeedsSpark(why) => Err(Failure::hinted(
                format!("only Spark can read these rows: {why}"),
                format!("`chronon-run show {}` starts it", self.name),
            )),
        }
    }
}

/// How much is read.
#[derive(Clone, Copy, Default)]
struct Size {
    /// Rows of one day.
    rows: u64,
    /// Values of all days.
    values: u64,
    /// Bytes of all days.
    bytes: u64,
}

impl Size {
    fn of(scan: &Scan) -> Self {
        let rows = scan.row_count();
        Self {
            rows,
            values: rows.saturating_mul(scan.columns().len() as u64),
            bytes: scan.byte_count(),
        }
    }

    /// The size of this and one more day.
    fn with(self, day: Self) -> Self {
        Self {
            rows: day.rows,
            values: self.values.saturating_add(day.values),
            bytes: self.bytes.saturating_add(day.bytes),
        }
    }

    fn is_over(self, limit: Self) -> bool {
        self.rows > limit.rows || self.values > limit.values || self.bytes > limit.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_limited_by_day_and_values_and_bytes_of_all_days() {
        let size = |rows, values, bytes| Size {
            rows,
            values,
            bytes,
        };
        let limit = size(10, 100, 1_000);
        let one = size(10, 50, 400);
        assert!(!one.is_over(limit));
        assert!(!one.with(one).is_over(limit));
        assert!(one.with(one).with(one).is_over(limit));
        assert!(one.with(size(11, 0, 0)).is_over(limit));
        assert!(one.with(size(1, 0, 601)).is_over(limit));
        assert!(one.with(size(1, u64::MAX, 0)).is_over(limit));
    }
}
