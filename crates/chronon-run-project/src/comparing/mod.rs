//! Two tables, or days of them, compared row by row: which rows, by which keys, and the answer of Spark.

mod words;

use chronon_run_conf::{AnyConf, DataModel, Join};
use chronon_run_core::{AssetId, AssetKind, Column, ConfType, Ds, PartitionRange, RangeSet};
use chronon_run_engine::compare::{Comparing, Comparison, Side, Which};
use chronon_run_plan::Asset;
use chronon_run_report::count;
use chronon_run_rows::Value;
use chronon_run_sql::{literal, quoted};

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    rows::{self, Place, Target},
};

pub use words::{Described, add_comparison};

/// One side of a comparison.
pub struct Table {
    side: Side,
    asset: Option<AssetId>,
    /// The column of the day, if the table has one.
    day_column: Option<String>,
    /// The day or days, in words.
    days: Option<String>,
}

impl Table {
    /// A day of the table that a name stands for; the newest, if none is given.
    pub fn find(
        context: &Project,
        warehouse: &CatalogSession,
        name: &str,
        day: Option<Ds>,
    ) -> Result<Self, Failure> {
        let target = Target::of(context, name)?;
        let place = Place::of(context, warehouse, &target, name, day)?;
        let condition = rows::day_condition(&place);
        Ok(Self {
            // Days may be compared with each other.
            side: side_of(&place, condition.clone(), condition.is_some()),
            asset: target.asset,
            days: place.day.map(|day| day.to_string()),
            day_column: place.day_column,
        })
    }

    /// The partitions of a range of days of the table that a name stands for, as far as they are there.
    pub fn between(
        context: &Project,
        warehouse: &CatalogSession,
        name: &str,
        range: PartitionRange,
    ) -> Result<Self, Failure> {
        let target = Target::of(context, name)?;
        let storage = rows::storage(context, warehouse, &target, name)?;
        let place = Place::any(context, &target, storage);
        let Some(column) = place.day_column.clone() else {
            return Err(Failure::hinted(
                format!("{} has no column that is known to hold a day", place.table),
                "leave out `--start-ds` and `--end-ds` to compare all rows",
            ));
        };
        let condition = match place.is_seen_through() {
            true => format!(
                "{} BETWEEN '{}' AND '{}'",
                quoted(&column),
                range.start,
                range.end
            ),
            false => {
                let all = Place::newest(context, &target, place.storage.clone(), usize::MAX);
                let is_asked = |place: &&Place| place.day.is_some_and(|day| range.contains(day));
                let values = all.iter().filter(is_asked).flat_map(Place::day_values);
                let values: Vec<String> = values.map(|value| literal(&value)).collect();
                if values.is_empty() {
                    let why = format!("no day of {} in {range} is filled", place.table);
                    return Err(rows::not_filled(
                        &why,
                        "`chronon-run status` shows which days are",
                    ));
                }
                format!("{} IN ({})", quoted(&column), values.join(", "))
            }
        };
        Ok(Self {
            side: side_of(&place, Some(condition), range.start == range.end),
            asset: target.asset,
            days: Some(range.to_string()),
            day_column: Some(column),
        })
    }

    /// These days of an asset, as far as they are filled.
    pub fn of_days(
        context: &Project,
        warehouse: &CatalogSession,
        asset: &Asset,
        days: &RangeSet,
    ) -> Result<Self, Failure> {
        let target = Target::filled_by(asset);
        let name = asset.id.to_string();
        let storage = rows::storage(context, warehouse, &target, &name)?;
        let mut conditions = Vec::new();
        let mut found = None;
        for day in days.iter() {
            let partition = day.plus(asset.shift);
            match Place::find(context, &target, &name, Some(partition), storage.clone()) {
                Ok(place) => {
                    conditions.extend(rows::day_condition(&place));
                    found = Some(place);
                }
                Err(Failure::NotFilled { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        let place = match found {
            Some(place) => place,
            None => Place::any(context, &target, storage),
        };
        let condition = match conditions.as_slice() {
            [] => "false".to_owned(),
            some => some.join(" OR "),
        };
        Ok(Self {
            side: side_of(&place, Some(condition), days.days() == 1),
            asset: target.asset,
            days: Some(days.to_string()),
            day_column: place.day_column,
        })
    }

    /// The table and its days.
    pub fn text(&self) -> String {
        match &self.days {
            Some(days) => format!("{} on {days}", self.side.table),
            None => self.side.table.to_string(),
        }
    }

    fn has(&self, name: &str) -> bool {
        let mut columns = self.side.columns.iter();
        columns.any(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// The rows of a place for which a condition holds; the column of the day is not compared if it is the same in
/// all of them.
fn side_of(place: &Place, condition: Option<String>, one_day: bool) -> Side {
    let info = &place.storage.info;
    let columns = info.columns.iter().chain(&info.partition_columns);
    let is_day = |name: &str| one_day && Some(name) == place.day_column.as_deref();
    let columns = columns.filter(|column| !is_day(&column.name)).cloned();
    Side {
        table: place.table.clone(),
        columns: columns.collect(),
        condition,
    }
}

/// What identifies a row, as the conf of one of the tables says: of a join as Chronon's own compare job takes
/// it, also if the other table is that of a staging query, whose conf has no keys.
pub fn keys_of(context: &Project, left: &Table, right: &Table) -> Result<Vec<String>, Failure> {
    let sides = [left, right].into_iter();
    let mut found = sides.filter_map(|side| {
        let asset = side.asset.as_ref()?;
        let mut keys = keys_of_conf(context, asset);
        if !has_row_ids(context, asset) && !keys.is_empty() {
            let day = side.day_column.iter();
            keys.extend(
                day.filter(|day| !keys.contains(day))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
        }
        // Of one day it is not compared.
        let dropped = |key: &String| side.day_column.as_ref() == Some(key) && !side.has(key);
        keys.retain(|key| !dropped(key));
        let known = keys.iter().all(|key| left.has(key) && right.has(key));
        (known && !keys.is_empty()).then_some(keys)
    });
    found.next().ok_or_else(|| {
        Failure::hinted(
            "the columns that identify a row are not known",
            "name them, separated by commas: `--on guest_id,ts`",
        )
    })
}

fn keys_of_conf(context: &Project, asset: &AssetId) -> Vec<String> {
    match context.conf(asset) {
        Some(AnyConf::GroupBy(conf)) => conf.key_columns.clone(),
        Some(AnyConf::Join(conf)) => keys_of_join(conf),
        Some(AnyConf::StagingQuery(_)) | None => Vec::new(),
    }
}

fn has_row_ids(context: &Project, asset: &AssetId) -> bool {
    match context.conf(asset) {
        Some(AnyConf::Join(conf)) => conf.row_ids.as_ref().is_some_and(|ids| !ids.is_empty()),
        _ => false,
    }
}

/// The row ids of a join, or else the left columns of the keys of its parts and, of events, the time of the
/// row.
fn keys_of_join(conf: &Join) -> Vec<String> {
    let ids = conf.row_ids.clone().unwrap_or_default();
    if !ids.is_empty() {
        return ids;
    }
    let mut keys: Vec<String> = Vec::new();
    for part in conf.offline_parts() {
        for (_, left) in part.left_columns() {
            if !keys.iter().any(|key| key == left) {
                keys.push(left.to_owned());
            }
        }
    }
    if conf.left.data_model() == DataModel::Events && !keys.iter().any(|key| key == "ts") {
        keys.push("ts".to_owned());
    }
    keys
}

/// The side of a join that is compared with the table of a staging query: what only the join has is no
/// difference, as for Chronon's own compare job, which checks a join against what it replaces.
fn migrated(left: &Table, right: &Table) -> Option<Which> {
    let is = |side: &Table, kind: ConfType| {
        let asset = side.asset.as_ref();
        asset.is_some_and(|asset| asset.conf.conf_type == kind && is_output(asset))
    };
    let (join, query) = (ConfType::Join, ConfType::StagingQuery);
    match (
        is(left, join) && is(right, query),
        is(left, query) && is(right, join),
    ) {
        (true, _) => Some(Which::Left),
        (_, true) => Some(Which::Right),
        _ => None,
    }
}

/// Whether the table of an asset is that of its conf, not one of a step before.
fn is_output(asset: &AssetId) -> bool {
    !matches!(asset.mode, AssetKind::Left | AssetKind::Part(_))
}

/// How rows are paired: by keys, which must identify them, or as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pairing {
    /// By these columns.
    Keys(Vec<String>),
    /// Rows that are equal in all of these columns, the same number of times on both sides.
    Whole(Vec<String>),
}

/// Ways to pair the rows of an asset's table, the best first: the next one is for tables in which some rows
/// have the same keys.
pub fn pairings(context: &Project, asset: &AssetId, left: &Table, right: &Table) -> Vec<Pairing> {
    let day = context.graph.find(asset);
    let day = day.and_then(|index| context.graph.assets[index].day_column.clone());
    // It is a column of the tables only if they are compared on several days.
    let day = day.filter(|day| left.has(day) && right.has(day));
    let with_day = |keys: Vec<String>| -> Vec<String> {
        let new = day.iter().filter(|day| !keys.contains(day)).cloned();
        new.chain(keys.iter().cloned()).collect()
    };
    let shared = |keys: &Vec<String>| {
        !keys.is_empty() && keys.iter().all(|key| left.has(key) && right.has(key))
    };
    let mut found = Vec::new();
    let mut keys = vec![keys_of_conf(context, asset)];
    if let Some(AnyConf::Join(conf)) = context.conf(asset) {
        keys.push(left_columns(conf, left, right));
    }
    for keys in keys.into_iter().filter(shared) {
        let pairing = Pairing::Keys(with_day(keys));
        if !found.contains(&pairing) {
            found.push(pairing);
        }
    }
    let is_key = |column: &&Column| {
        right.has(&column.name) && !column.data_type.to_lowercase().contains("map<")
    };
    let whole = left.side.columns.iter().filter(is_key);
    found.push(Pairing::Whole(
        whole.map(|column| column.name.clone()).collect(),
    ));
    found
}

/// The columns that a join takes over from its left side, as far as both tables have them.
fn left_columns(conf: &Join, left: &Table, right: &Table) -> Vec<String> {
    let selects = conf.left.query().selects.clone().unwrap_or_default();
    let names = selects.into_keys().chain(["ts".to_owned()]);
    names
        .filter(|name| left.has(name) && right.has(name))
        .collect()
}

/// What is asked of Spark: `columns` of both tables, or all.
pub fn prepare(
    left: &Table,
    right: &Table,
    keys: &[String],
    columns: &[String],
) -> Result<Comparing, Failure> {
    for name in keys.iter().chain(columns) {
        let is_day = |side: &Table| side.day_column.as_ref() == Some(name) && !side.has(name);
        if let Some(side) = [left, right].iter().find(|side| is_day(side)) {
            let message = format!(
                "`{name}` holds the day of {}, which is the same in all rows that are compared",
                side.side.table
            );
            return Err(Failure::hinted(
                message,
                "leave it out, or compare several days with `--start-ds` and `--end-ds`",
            ));
        }
    }
    let found = Comparing::new(left.side.clone(), right.side.clone(), keys, columns);
    let mut comparing = found.map_err(|error| {
        Failure::hinted(
            error,
            "`chronon-run query \"DESCRIBE db.table\"` shows the columns of a table",
        )
    })?;
    if let Some(join) = migrated(left, right) {
        comparing.allow_more(join);
    }
    Ok(comparing)
}

/// Lets Spark compare.
pub fn compare(
    context: &Project,
    warehouse: &CatalogSession,
    comparing: &Comparing,
    examples: u64,
) -> Result<Comparison, Failure> {
    let answer = rows::rows_of(context, warehouse, &comparing.query(examples), None)?;
    let mut lines = Vec::new();
    for row in answer.scan.rows(None) {
        let row = row.map_err(rows::failure)?;
        lines.extend(row.into_iter().filter_map(|value| match value {
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        }));
    }
    let found = comparing.parse(&lines);
    found.ok_or_else(|| Failure::setup("Spark's answer holds no comparison"))
}

/// Fails if the keys do not identify the rows of both tables.
pub fn check_keys(
    found: &Comparison,
    keys: &[String],
    left: &Table,
    right: &Table,
) -> Result<(), Failure> {
    for (repeated, side) in [(found.repeated_left, left), (found.repeated_right, right)] {
        if repeated > 0 {
            let rows = count(repeated, "row");
            return Err(Failure::hinted(
                format!(
                    "{} does not identify rows of {}: {rows} repeat the key of another",
                    keys.join(", "),
                    side.text()
                ),
                "name all columns that identify a row with --on, separated by commas",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn join(left: Value, more: Value) -> Join {
        let group_by =
            json!({"metaData": {"name": "team.g"}, "sources": [], "keyColumns": ["user", "item"]});
        let mut conf = json!({
            "metaData": {"name": "team.j"},
            "left": left,
            "joinParts": [
                {"groupBy": group_by, "keyMapping": {"buyer": "user"}},
                {"groupBy": group_by, "prefix": "again"},
            ],
            "onlineExternalParts": [{
                "source": {"metadata": {"name": "ext"}, "offlineGroupBy": group_by},
                "keyMapping": {"seller": "user"},
            }],
        });
        for (name, value) in more.as_object().unwrap() {
            conf[name] = value.clone();
        }
        serde_json::from_value(conf).unwrap()
    }

    /// As Chronon's compare job takes them, but for the day, which is one or chosen by the command.
    #[test]
    fn a_row_of_a_join_is_identified_by_row_ids_or_by_keys_and_the_time_of_events() {
        let events = json!({"events": {"table": "lake.e", "query": {}}});
        let entities = json!({"entities": {"snapshotTable": "lake.s", "query": {}}});
        let keys = |left: &Value, more: Value| keys_of_join(&join(left.clone(), more));
        let all = ["buyer", "item", "user", "seller"];
        assert_eq!(keys(&events, json!({})), [&all[..], &["ts"]].concat());
        assert_eq!(keys(&entities, json!({})), all);
        let ids = json!({"rowIds": ["id", "ds"]});
        assert_eq!(keys(&events, ids), ["id", "ds"]);
    }
}
