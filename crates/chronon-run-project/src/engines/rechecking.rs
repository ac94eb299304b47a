//! Data checks of filled days outside of a run.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{Ds, RangeSet};
use chronon_run_plan::AssetIndex;

use super::checking::{CheckResult, Checks, Records};
use crate::{
    failure::Failure,
    listing::{session::CatalogSession, snapshot::list},
    loading::project::Project,
    output::note,
    rows::not_filled,
};

/// Checks the rows of the selected assets as after a step: on `ds`, or on the newest filled day and on those
/// that did not pass. Days that pass are not blocked any more.
///
/// # Errors
/// [`Failure`] if the catalog or Spark cannot be asked, or `ds` is filled of no asset with a check.
pub fn recheck(
    context: &Project,
    warehouse: &CatalogSession,
    selected: &BTreeSet<AssetIndex>,
    ds: Option<Ds>,
) -> Result<Vec<CheckResult>, Failure> {
    let checks = Checks::new(context, warehouse);
    let blocked = Records::of(context).blocked(context);
    let mut results = Vec::new();
    let checked: BTreeSet<AssetIndex> = checks.assets().intersection(selected).copied().collect();
    let mut unfilled = Vec::new();
    for &index in &checked {
        let asset = &context.graph.assets[index];
        let tables = context.graph.tables_of(&BTreeSet::from([index]));
        let (snapshot, _) = list(context, warehouse, &tables)?;
        let column = asset.day_column.as_deref().unwrap_or_default();
        let filled = snapshot
            .days(&asset.table, column, &asset.sub_partitions)
            .widen(-asset.shift, -asset.shift);
        if let Some(ds) = ds.filter(|ds| !filled.contains(*ds)) {
            unfilled.push(format!("{} is not filled on {ds}", asset.id));
        }
        let failed = blocked.get(&asset.id).into_iter().flat_map(BTreeMap::keys);
        let days = days_to_check(&filled, ds, failed.copied());
        results.extend(checks.run(index, days.into_iter())?);
    }
    if !unfilled.is_empty() && unfilled.len() == checked.len() {
        return Err(not_filled(
            &unfilled.join(", "),
            "`chronon-run status` shows which days are",
        ));
    }
    unfilled.iter().for_each(|line| note(line));
    Ok(results)
}

/// Those of the filled days that are looked at.
fn days_to_check(
    filled: &RangeSet,
    asked: Option<Ds>,
    failed: impl Iterator<Item = Ds>,
) -> BTreeSet<Ds> {
    let days: BTreeSet<Ds> = match asked {
        Some(ds) => [ds].into(),
        None => filled.last().into_iter().chain(failed).collect(),
    };
    days.into_iter().filter(|ds| filled.contains(*ds)).collect()
}

/// A line for each result.
#[must_use]
pub fn text(results: &[CheckResult]) -> String {
    let line = |result: &CheckResult| match result.text() {
        Some(text) if result.blocks => format!("{text}\n"),
        Some(text) => format!("warning: {text}\n"),
        None => format!(
            "check `{}` of {} passed on {}\n",
            result.check, result.asset, result.ds
        ),
    };
    match results.is_empty() {
        true => {
            "no `[[check]]` of workspace.toml is about a filled day of these assets\n".to_owned()
        }
        false => results.iter().map(line).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_day_and_those_that_failed_are_checked_if_they_are_filled() {
        let day = Ds::from_epoch_days;
        let filled: RangeSet = [day(1), day(2), day(4)].into_iter().collect();
        let of = |asked, failed: &[i32]| {
            let failed = failed.iter().map(|n| day(*n));
            let days = days_to_check(&filled, asked, failed);
            days.into_iter().map(Ds::epoch_days).collect::<Vec<_>>()
        };
        assert_eq!(of(None, &[1, 3]), [1, 4]);
        assert_eq!(of(Some(day(2)), &[1]), [2]);
        assert_eq!(of(Some(day(3)), &[]), [0; 0]);
    }

    #[test]
    fn a_check_that_does_not_block_warns() {
        let result = |passed, blocks| CheckResult {
            asset: "join/a.b/backfill".parse().unwrap(),
            ds: "2026-01-02".parse().unwrap(),
            check: "guests".to_owned(),
            passed,
            blocks,
            column: None,
            message: (!passed).then(|| "3 rows".to_owned()),
            at: 0,
        };
        let passed = "check `guests` of join/a.b/backfill passed on 2026-01-02\n";
        assert_eq!(text(&[result(true, true)]), passed);
        let failed = text(&[result(false, true), result(false, false)]);
        let (first, second) = failed.split_once('\n').unwrap();
        assert_eq!(second, format!("warning: {first}\n"));
        assert_eq!(
            text(&[]),
            "no `[[check]]` of workspace.toml is about a filled day of these assets\n"
        );
    }
}
