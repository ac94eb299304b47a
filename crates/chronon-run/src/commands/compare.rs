//! `chronon-run compare`: two tables, days or places, row by row.

use chronon_run_core::PartitionRange;
use chronon_run_project::{
    comparing::{self, Described, Table},
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    output::{document, print},
};

use crate::cli::{AssetAt, CompareArgs, Output};

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
    let other = args.target.name().map(|_| args.target.project());
    let other = other.transpose()?;
    let warehouse = CatalogSession::look(&context.workspace)?;
    warehouse.check_rows(&context.workspace)?;
    let there = other.as_ref().unwrap_or(&context);
    let (left, right) = (&args.left, right);
    let (left, right) = match days(args, &context, [left, right])? {
        Some(range) => (
            Table::between(&context, &warehouse, &left.asset, range)?,
            Table::between(there, &warehouse, &right.asset, range)?,
        ),
        None => (
            Table::find(&context, &warehouse, &left.asset, left.ds)?,
            Table::find(there, &warehouse, &right.asset, right.ds)?,
        ),
    };
    let keys = match args.on.as_slice() {
        [] => comparing::keys_of(&context, &left, &right)?,
        given => given.to_vec(),
    };
    let comparing = comparing::prepare(&left, &right, &keys, &args.columns)?;
    let found = comparing::compare(&context, &warehouse, &comparing, args.limit)?;
    comparing::check_keys(&found, &keys, &left, &right)?;
    let shown = Described {
        left: left.text(),
        right: right.text(),
        keys,
        found,
    };
    match args.output {
        Output::Json => print(&document(&shown)?)?,
        Output::Text => shown.page().print()?,
    }
    match args.exit_code && !shown.found.is_equal() {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}

/// The days that both tables are compared on, if more than one is asked for.
fn days(
    args: &CompareArgs,
    context: &Project,
    sides: [&AssetAt; 2],
) -> Result<Option<PartitionRange>, Failure> {
    let Some(first) = args.start_ds else {
        return Ok(None);
    };
    if sides.iter().any(|side| side.ds.is_some()) {
        return Err(Failure::hinted(
            "a table is given with a day, and days with `--start-ds`",
            "leave out `@` and the day",
        ));
    }
    let last = args.end_ds.map_or_else(|| context.as_of(None), Ok)?;
    let range = PartitionRange::new(first, last);
    range.map(Some).ok_or_else(|| {
        Failure::hinted(
            format!("the first day {first} is after the last day {last}"),
            "both are inclusive; give the earlier day first",
        )
    })
}
