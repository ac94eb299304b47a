//! Rows of a staging query that landed in partitions which are no days, such as `ds=20260101`: the day that was
//! asked for stays without rows, and whatever reads it would find nothing.

use std::collections::BTreeMap;

use chronon_run_core::{
    AssetKind, CatalogSnapshot, ConfType, Ds, PartitionFormat, RangeSet, event::Outcome,
};
use chronon_run_exec::Verdict;
use chronon_run_plan::Asset;

/// The partitions of a staging query's table that write one of `days` in another form, by that day.
fn written_otherwise(
    asset: &Asset,
    snapshot: &CatalogSnapshot,
    days: &RangeSet,
) -> BTreeMap<Ds, String> {
    let is_query =
        asset.id.conf.conf_type == ConfType::StagingQuery && asset.id.mode == AssetKind::Backfill;
    let column = asset.day_column.as_ref().filter(|_| is_query);
    let state = snapshot.table(&asset.table);
    let listed = state
        .zip(column)
        .and_then(|(state, column)| state.partitions.get(column));
    let values = listed.into_iter().flat_map(|listed| listed.odd_values());
    let days_of = values.filter_map(|value| {
        let mut guesses = PartitionFormat::guesses([value]).into_iter();
        let ds = guesses
            .find_map(|format| Some(format.read(value)?.ds).filter(|ds| days.contains(*ds)))?;
        Some((ds, value.to_owned()))
    });
    days_of.collect()
}

/// The verdict in which days without rows are missing if their rows are in such partitions.
pub fn judged(asset: &Asset, snapshot: &CatalogSnapshot, verdict: Verdict) -> Verdict {
    let elsewhere = written_otherwise(asset, snapshot, &verdict.empty);
    let elsewhere: RangeSet = elsewhere.into_keys().collect();
    Verdict {
        empty: verdict.empty.minus(&elsewhere),
        missing: verdict.missing.union(&elsewhere),
        ..verdict
    }
}

/// Why days are missing after exit 0, if it is that. `look` tells what the catalog shows.
pub fn explain(
    asset: &Asset,
    outcome: &Outcome,
    look: impl FnOnce() -> Option<CatalogSnapshot>,
) -> Option<String> {
    let (Outcome::OutputMissing { missing } | Outcome::OutputPartial { missing }) = outcome else {
        return None;
    };
    let column = asset.day_column.as_deref()?;
    let (_, value) = written_otherwise(asset, &look()?, missing).pop_first()?;
    Some(format!(
        "the query wrote {column}={value}, which is no day of the form yyyy-MM-dd: write its `{column}` in that form, and drop the partitions that are not"
    ))
}
