//! `chronon-run compare`: two tables, days or places, row by row.

use chronon_run_conf::{AnyConf, Join};
use chronon_run_core::AssetId;
use chronon_run_engine::compare::{Comparing, Comparison, Side};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
    output::{json, print},
    rows::{self, Place, Target},
};
use chronon_run_report::{count, table};
use chronon_run_rows::Value;
use serde::Serialize;

use crate::cli::{AssetAt, CompareArgs, Output, SelectArgs};

pub(crate) fn run(args: &CompareArgs) -> Result<(), Failure> {
    let context = Project::load()?;
    let right = match (&args.right, args.target.name()) {
        (Some(right), _) => right,
        (None, Some(_)) => &args.left,
        (None, None) => {
            return Err(Failure::hinted(
                "there is nothing to compare with",
                "name a second table, or a target: `chronon-run compare NAME --target dev` compares production with it",
            ));
        }
    };
    let other = match args.target.name() {
        Some(name) => Some(targets::load(
            Some(name),
            &SelectArgs::default(),
            Unselected::Built,
        )?),
        None => None,
    };
    let warehouse = CatalogSession::look(&context.workspace)?;
    warehouse.check_rows(&context.workspace)?;
    let left = Table::find(&context, &warehouse, &args.left)?;
    let right = Table::find(other.as_ref().unwrap_or(&context), &warehouse, right)?;
    let keys = match args.on.as_slice() {
        [] => keys_of(&context, &left, &right)?,
        given => given.to_vec(),
    };
    let comparing = Comparing::new(left.side.clone(), right.side.clone(), &keys, &args.columns);
    let comparing = comparing.map_err(|error| {
        Failure::hinted(
            error,
            "`chronon-run query \"DESCRIBE db.table\"` shows the columns of a table",
        )
    })?;
    let found = compare(&context, &warehouse, &comparing, args.limit)?;
    check_keys(&found, &keys, &left, &right)?;
    let shown = Shown {
        left: left.text(),
        right: right.text(),
        keys,
        found,
    };
    match args.output {
        Output::Json => print(&json(&shown)?)?,
        Output::Text => print(&shown.to_text())?,
    }
    match args.exit_code && !shown.found.is_equal() {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}

/// One side of a comparison.
struct Table {
    side: Side,
    asset: Option<AssetId>,
    day: Option<chronon_run_core::Ds>,
}

impl Table {
    fn find(context: &Project, warehouse: &CatalogSession, at: &AssetAt) -> Result<Self, Failure> {
        let target = Target::of(context, &at.asset)?;
        let place = Place::of(context, warehouse, &target, &at.asset, at.ds)?;
        let condition = rows::day_condition(&place);
        let info = &place.storage.info;
        let columns = info.columns.iter().chain(&info.partition_columns);
        // Days may be compared with each other.
        let is_day = |name: &str| condition.is_some() && Some(name) == place.day_column.as_deref();
        let columns = columns.filter(|column| !is_day(&column.name)).cloned();
        Ok(Self {
            side: Side {
                table: place.table.clone(),
                columns: columns.collect(),
                condition: condition.clone(),
            },
            asset: target.asset,
            day: place.day,
        })
    }

    fn text(&self) -> String {
        match self.day {
            Some(day) => format!("{} on {day}", self.side.table),
            None => self.side.table.to_string(),
        }
    }

    fn has(&self, name: &str) -> bool {
        let mut columns = self.side.columns.iter();
        columns.any(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// What identifies a row, as the conf of one of the tables says.
fn keys_of(context: &Project, left: &Table, right: &Table) -> Result<Vec<String>, Failure> {
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

/// Lets Spark compare.
pub(super) fn compare(
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

fn check_keys(
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

/// A comparison, and of what it is.
#[derive(Serialize)]
struct Shown {
    left: String,
    right: String,
    keys: Vec<String>,
    #[serde(flatten)]
    found: Comparison,
}

impl Shown {
    fn to_text(&self) -> String {
        let found = &self.found;
        let mut out = format!(
            "left   {}\nright  {}\nby {}\n\n{} on both sides, {} different; {} only left, {} only right\n",
            self.left,
            self.right,
            self.keys.join(", "),
            count(found.both, "row"),
            found.different,
            found.only_left,
            found.only_right
        );
        for (side, names) in [
            ("left", &found.columns_only_left),
            ("right", &found.columns_only_right),
        ] {
            if !names.is_empty() {
                out.push_str(&format!("columns only {side}: {}\n", names.join(", ")));
            }
        }
        let differing = found.columns.iter().filter(|column| column.different > 0);
        let rows: Vec<Vec<String>> = differing
            .map(|column| {
                let greatest = column.max_difference.map(|found| found.to_string());
                vec![
                    column.column.clone(),
                    column.different.to_string(),
                    greatest.unwrap_or_default(),
                ]
            })
            .collect();
        if !rows.is_empty() {
            out.push('\n');
            out.push_str(&table(
                &["column", "different", "greatest difference"],
                &rows,
            ));
        }
        if !found.examples.is_empty() {
            out.push_str("\nexamples\n");
        }
        for example in &found.examples {
            let keys = example
                .keys
                .iter()
                .map(|(name, value)| format!("{name}={}", shown(value)));
            let keys: Vec<String> = keys.collect();
            let values = example.values.iter().map(|(name, (left, right))| {
                format!("{name}: {} -> {}", shown(left), shown(right))
            });
            let what = match example.side.as_str() {
                "both" => values.collect::<Vec<_>>().join(", "),
                side => format!("only {side}"),
            };
            out.push_str(&format!("  {}  {what}\n", keys.join(" ")));
        }
        out
    }
}

fn shown(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("NULL")
}
