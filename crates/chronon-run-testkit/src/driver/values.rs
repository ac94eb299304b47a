//! Which values a run writes, where [`super::Facts::left_rows`] tells the left rows: keys of part
//! partitions and features of output rows. They are kept as a property of each table.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::{Accuracy, DataModel, GroupBy, LabelPart, OfflinePart};
use chronon_run_core::{CatalogSnapshot, Ds, RangeSet, TableName};

use super::facts::LeftRow;
use super::world::{DS, World, Write};

/// The table property with the values of a table's partitions, as JSON.
const VALUES: &str = "scripted.values";

/// Values by name, of each partition: of a part by key; of an output by `<row>/<part>`.
pub type Values = BTreeMap<Ds, BTreeMap<String, Option<String>>>;

/// The values of the partitions that a table has; none if it is not known which.
#[must_use]
pub fn values_of(catalog: &CatalogSnapshot, table: &TableName) -> Values {
    let days = catalog.days(table, DS, &[]);
    let mut stored = labels_of(catalog, table);
    stored.retain(|day, _| days.contains(*day));
    stored
}

/// The labels of a table `O_labels`, by label day and `<row>/<label>`; none if they are not known.
#[must_use]
pub fn labels_of(catalog: &CatalogSnapshot, table: &TableName) -> Values {
    let text = catalog
        .table(table)
        .and_then(|state| state.info.properties.get(VALUES));
    let stored: Option<Values> = text.and_then(|text| serde_json::from_str(text).ok());
    stored.unwrap_or_default()
}

/// The labels of `day` for some left rows, by `<row>/<label>`.
#[must_use]
pub fn labels(
    catalog: &CatalogSnapshot,
    labels: &LabelPart,
    day: Ds,
    rows: &[(Ds, LeftRow)],
) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    for label in &labels.labels {
        let landed = landed_of(catalog, &label.group_by);
        let name = label.full_prefix();
        found.extend(rows.iter().map(|(_, row)| {
            let value = day_end(&row.key, day, &landed);
            (format!("{}/{name}", row.id), value)
        }));
    }
    found
}

/// The days that a part's sources have, with the number of the last write of each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Landed {
    /// By day.
    pub days: BTreeMap<Ds, i64>,
    /// The longest window, in days.
    pub window: i32,
}

/// What the days of the window that ends with `day` say about `key`.
#[must_use]
pub fn day_end(key: &str, day: Ds, landed: &Landed) -> Option<String> {
    window_of(key, day.plus(1 - landed.window), day, landed)
}

/// What the window that ends at a row's own time, on `day`, says about `key`.
#[must_use]
pub fn at_time(key: &str, day: Ds, landed: &Landed) -> Option<String> {
    window_of(key, day.plus(-landed.window), day, landed)
}

fn window_of(key: &str, first: Ds, last: Ds, landed: &Landed) -> Option<String> {
    let mut days = landed.days.range(first..=last);
    let (first, stamp) = days.next()?;
    let fold = |(_, all): (Ds, i64), (day, stamp): (&Ds, &i64)| (*day, all * 31 + stamp);
    let (last, stamps) = days.fold((*first, *stamp), fold);
    Some(format!("{key} of {first}..{last} {stamps}"))
}

/// The name under which a part with the values at the rows' times keeps one.
pub(crate) fn key_at_time(row: &LeftRow) -> String {
    format!("{}@{}", row.key, row.time)
}

/// What the partitions of a part hold that are those of the rows' own.
pub(crate) fn own_values(
    model: DataModel,
    landed: &Landed,
    rows: &[(Ds, LeftRow)],
    days: &RangeSet,
) -> Values {
    let mut all = Values::new();
    for (day, row) in rows.iter().filter(|(day, _)| days.contains(*day)) {
        let (key, value) = match model {
            DataModel::Events => (key_at_time(row), at_time(&row.key, row.time, landed)),
            DataModel::Entities => (row.key.clone(), day_end(&row.key, *day, landed)),
        };
        all.entry(*day).or_default().insert(key, value);
    }
    all
}

/// The write of partitions with their values, which replace those of the same partitions.
pub(crate) fn write(world: &World<'_>, table: &TableName, new: Values) -> Vec<Write> {
    if new.is_empty() {
        return Vec::new();
    }
    let days: RangeSet = new.keys().copied().collect();
    let mut all = values_of(world.catalog(), table);
    all.extend(new);
    vec![
        Write::days(table.clone(), days),
        property(table.clone(), &all),
    ]
}

/// The write of the values that a table has from now on.
pub(crate) fn property(table: TableName, all: &Values) -> Write {
    let text = serde_json::to_string(all).unwrap_or_default();
    Write::Properties {
        table,
        properties: vec![(VALUES.to_owned(), text)],
    }
}

/// Keys of left rows.
pub(crate) fn keys(rows: &[(Ds, LeftRow)]) -> BTreeSet<String> {
    rows.iter().map(|(_, row)| row.key.clone()).collect()
}

/// The days that a part's sources have.
pub(crate) fn landed(world: &World<'_>, part: &OfflinePart<'_>) -> Landed {
    landed_of(world.catalog(), part.group_by)
}

/// The days that the sources of a GroupBy have in a catalog.
#[must_use]
pub fn landed_of(catalog: &CatalogSnapshot, group_by: &GroupBy) -> Landed {
    let sources = group_by.sources.iter();
    let tables = sources.filter_map(|source| source.table().ok());
    let stamps = tables.filter_map(|spec| catalog.table(&spec.table));
    Landed {
        days: stamps.flat_map(|state| state.stamps.clone()).collect(),
        window: group_by.max_window_days().unwrap_or(10_000),
    }
}

/// What a part writes for partitions `days`: end-of-day values of `keys`.
pub(crate) fn day_ends(
    world: &World<'_>,
    part: &OfflinePart<'_>,
    days: &RangeSet,
    keys: &BTreeSet<String>,
) -> Values {
    let landed = landed(world, part);
    let of_day = |day: Ds| {
        let values = keys
            .iter()
            .map(|key| (key.clone(), day_end(key, day, &landed)));
        (day, values.collect())
    };
    days.iter().map(of_day).collect()
}

/// What the output holds for `rows`, if the part tables are read in the partitions that `read` tells
/// for each part.
pub(crate) fn joined(
    world: &World<'_>,
    model: DataModel,
    parts: &[(OfflinePart<'_>, TableName, RangeSet)],
    rows: &[(Ds, LeftRow)],
) -> Values {
    let mut all = Values::new();
    let tables: Vec<Values> = parts
        .iter()
        .map(|(_, table, _)| values_of(world.catalog(), table))
        .collect();
    for (ds, row) in rows {
        let found = all.entry(*ds).or_default();
        for ((part, _, read), values) in parts.iter().zip(&tables) {
            let shifted = is_shifted(model, part);
            let day = if shifted { row.time.plus(-1) } else { *ds };
            let value = values.get(&day).filter(|_| read.contains(day));
            let key = match (model, shifted) {
                (DataModel::Events, false) => key_at_time(row),
                _ => row.key.clone(),
            };
            let value = value.and_then(|values| values.get(&key).cloned().flatten());
            found.insert(format!("{}/{}", row.id, part.full_prefix), value);
        }
    }
    all
}

/// Whether a part's partitions are one day before the rows' time.
pub(crate) fn is_shifted(model: DataModel, part: &OfflinePart<'_>) -> bool {
    model == DataModel::Events && part.group_by.accuracy() == Accuracy::Snapshot
}
