//! Which values a run writes, where [`super::Facts::left_rows`] tells the left rows: keys of part
//! partitions and features of output rows. They are kept as a property of each table.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::{Accuracy, DataModel, OfflinePart};
use chronon_run_core::{CatalogSnapshot, Ds, RangeSet, TableName};
use serde::{Deserialize, Serialize};

use super::world::{DS, World, Write};

/// The table property with the values of a table's partitions, as JSON.
const VALUES: &str = "scripted.values";

/// A left row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeftRow {
    /// Its name.
    pub id: String,
    /// The key of every part.
    pub key: String,
    /// The day of its time.
    pub time: Ds,
}

/// Values by name, of each partition: of a part by key; of an output by `<row>/<part>`.
pub type Values = BTreeMap<Ds, BTreeMap<String, Option<String>>>;

/// The values of the partitions that a table has; none if it is not known which.
#[must_use]
pub fn values_of(catalog: &CatalogSnapshot, table: &TableName) -> Values {
    let days = catalog.days(table, DS, &[]);
    let text = catalog
        .table(table)
        .and_then(|state| state.info.properties.get(VALUES));
    let stored: Option<Values> = text.and_then(|text| serde_json::from_str(text).ok());
    let mut stored = stored.unwrap_or_default();
    stored.retain(|day, _| days.contains(*day));
    stored
}

/// What the end of day `day` says about `key`: the newest day that the part's sources have.
#[must_use]
pub fn day_end(key: &str, day: Ds, landed: &RangeSet) -> Option<String> {
    let newest = landed.iter().filter(|known| *known <= day).last()?;
    Some(format!("{key} as of {newest}"))
}

/// The write of partitions with their values, which replace those of the same partitions.
pub(crate) fn write(world: &World<'_>, table: &TableName, new: Values) -> Vec<Write> {
    if new.is_empty() {
        return Vec::new();
    }
    let days: RangeSet = new.keys().copied().collect();
    let mut all = values_of(world.catalog(), table);
    all.extend(new);
    let text = serde_json::to_string(&all).unwrap_or_default();
    vec![
        Write::days(table.clone(), days),
        Write::Properties {
            table: table.clone(),
            properties: vec![(VALUES.to_owned(), text)],
        },
    ]
}

/// Keys of left rows.
pub(crate) fn keys(rows: &[(Ds, LeftRow)]) -> BTreeSet<String> {
    rows.iter().map(|(_, row)| row.key.clone()).collect()
}

/// The days that a part's sources have.
pub(crate) fn landed(world: &World<'_>, part: &OfflinePart<'_>) -> RangeSet {
    let tables = part.group_by.sources.iter().filter_map(|source| {
        let spec = source.table().ok()?;
        Some(world.inputs(&spec, source.query(), false))
    });
    tables.fold(RangeSet::new(), |all, days| all.union(&days))
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
            let value = value.and_then(|values| values.get(&row.key).cloned().flatten());
            found.insert(format!("{}/{}", row.id, part.full_prefix), value);
        }
    }
    all
}

/// Whether a part's partitions are one day before the rows' time.
pub(crate) fn is_shifted(model: DataModel, part: &OfflinePart<'_>) -> bool {
    model == DataModel::Events && part.group_by.accuracy() == Accuracy::Snapshot
}
