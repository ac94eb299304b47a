//! `chronon-run compare`: two tables, days or places, row by row.

use chronon_run_engine::compare::{Comparison, Example};
use chronon_run_project::{
    comparing::{self, Table},
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        project::Project,
        targets::{self, Unselected},
    },
    output::{json, print},
};
use chronon_run_report::{count, table};
use serde::Serialize;

use crate::cli::{CompareArgs, Output, SelectArgs};

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
    let left = Table::find(&context, &warehouse, &args.left.asset, args.left.ds)?;
    let there = other.as_ref().unwrap_or(&context);
    let right = Table::find(there, &warehouse, &right.asset, right.ds)?;
    let keys = match args.on.as_slice() {
        [] => comparing::keys_of(&context, &left, &right)?,
        given => given.to_vec(),
    };
    let comparing = comparing::prepare(&left, &right, &keys, &args.columns)?;
    let found = comparing::compare(&context, &warehouse, &comparing, args.limit)?;
    comparing::check_keys(&found, &keys, &left, &right)?;
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
        let keys = self.keys.join(", ");
        let mut out = format!("left   {}\nright  {}\nby {keys}\n\n", self.left, self.right);
        out.push_str(&comparison_text(found, ["left", "right"]));
        out
    }
}
/// What a comparison found, in words; `sides` are the words for its two tables.
pub(super) fn comparison_text(found: &Comparison, sides: [&str; 2]) -> String {
    let [left, right] = sides;
    let mut out = format!(
        "{} on both sides, {} different; {} only {left}, {} only {right}\n",
        count(found.both, "row"),
        found.different,
        found.only_left,
        found.only_right
    );
    for (side, names) in [
        (left, &found.columns_only_left),
        (right, &found.columns_only_right),
    ] {
        if !names.is_empty() {
            out.push_str(&format!("columns only {side}: {}\n", names.join(", ")));
        }
    }
    out.push_str(&columns_text(found));
    if !found.examples.is_empty() {
        out.push_str("\nexamples\n");
    }
    let examples = found.examples.iter();
    out.extend(examples.map(|example| example_text(example, sides)));
    out
}

/// A line for each column that differs.
fn columns_text(found: &Comparison) -> String {
    let number = |found: Option<f64>| found.map(|found| found.to_string()).unwrap_or_default();
    let differing = found.columns.iter().filter(|column| column.different > 0);
    let rows: Vec<Vec<String>> = differing
        .map(|column| {
            vec![
                column.column.clone(),
                column.different.to_string(),
                number(column.mean_difference),
                number(column.max_difference),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let names = [
        "column",
        "different",
        "mean difference",
        "greatest difference",
    ];
    format!("\n{}", table(&names, &rows))
}

fn example_text(example: &Example, sides: [&str; 2]) -> String {
    let keys = example.keys.iter();
    let keys: Vec<String> = keys
        .map(|(name, value)| format!("{name}={}", shown(value)))
        .collect();
    let values = example.values.iter();
    let values =
        values.map(|(name, (left, right))| format!("{name}: {} -> {}", shown(left), shown(right)));
    let what = match example.side.as_str() {
        "both" => values.collect::<Vec<_>>().join(", "),
        "left" => format!("only {}", sides[0]),
        _ => format!("only {}", sides[1]),
    };
    format!("  {}  {what}\n", keys.join(" "))
}

fn shown(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("NULL")
}
