//! Two tables, or days of them, compared row by row: which rows, by which keys, and the answer of Spark.

mod words;

use chronon_run_conf::{AnyConf, Join};
use chronon_run_core::{AssetId, Column, Ds, RangeSet};
use chronon_run_engine::compare::{Comparing, Comparison, Side};
use chronon_run_plan::Asset;
use chronon_run_report::count;
use chronon_run_rows::Value;

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

/// What identifies a row, as the conf of one of the tables says.
pub fn keys_of(context: &Project, left: &Table, right: &Table) -> Result<Vec<String>, Failure> {
    let asset = left.asset.as_ref().or(right.asset.as_ref());
    let keys = asset.map(|asset| keys_of_conf(context, asset, left));
    let keys = keys.unwrap_or_default();
    let known = keys.iter().all(|key| left.has(key) && right.has(key));
    match keys.is_empty() || !known {
        true => Err(Failure::hinted(
            "the columns that identify a row are not known",
            "name them, separated by commas: `--on guest_id,ts`",
        )),
        false => Ok(keys),
    }
}

fn keys_of_conf(context: &Project, asset: &AssetId, left: &Table) -> Vec<String> {
    match context.conf(asset) {
        Some(AnyConf::GroupBy(conf)) => conf.key_columns.clone(),
        Some(AnyConf::Join(conf)) => keys_of_join(conf, left),
        Some(AnyConf::StagingQuery(_)) | None => Vec::new(),
    }
}

/// The row ids of a join, or else the left columns of its parts' keys and the time of the row.
fn keys_of_join(conf: &Join, left: &Table) -> Vec<String> {
    let ids = conf.row_ids.clone().unwrap_or_default();
    if !ids.is_empty() {
        return ids;
    }
    let mut keys: Vec<String> = Vec::new();
    for part in &conf.join_parts {
        for (_, left) in part.left_columns() {
            if !keys.iter().any(|key| key == left) {
                keys.push(left.to_owned());
            }
        }
    }
    keys.extend(left.has("ts").then(|| "ts".to_owned()));
    keys
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
    let mut keys = vec![keys_of_conf(context, asset, left)];
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
    let found = Comparing::new(left.side.clone(), right.side.clone(), keys, columns);
    found.map_err(|error| {
        Failure::hinted(
            error,
            "`chronon-run query \"DESCRIBE db.table\"` shows the columns of a table",
        )
    })
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
