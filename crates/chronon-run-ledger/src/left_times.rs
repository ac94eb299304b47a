//! The times of left rows, day by day: first and last day, as they were read from the files that were
//! written.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, Ds, PartitionRange, RangeSet};
use rusqlite::{Connection, Row, TransactionBehavior, params};

use crate::{Ledger, ids::id_of};

/// First and last day of the times of a day's rows, and the days that were filled alone.
pub type SeenTimes = (BTreeMap<Ds, PartitionRange>, RangeSet);

/// Writes down the times of the days of `range`; what was known of them is replaced.
pub(crate) fn note(
    connection: &mut Connection,
    asset: &AssetId,
    range: PartitionRange,
    times: &BTreeMap<Ds, PartitionRange>,
    alone: &RangeSet,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id = id_of(&transaction, "assets", "asset", &asset.to_string())?;
    transaction
        .prepare_cached("DELETE FROM left_times WHERE asset = ?1 AND ds BETWEEN ?2 AND ?3")?
        .execute(params![
            id,
            range.start.epoch_days(),
            range.end.epoch_days()
        ])?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT OR REPLACE INTO left_times (asset, ds, first, last, alone)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for (ds, times) in times {
            insert.execute(params![
                id,
                ds.epoch_days(),
                times.start.epoch_days(),
                times.end.epoch_days(),
                alone.contains(*ds)
            ])?;
        }
    }
    transaction.commit()
}

impl Ledger {
    /// What is known of the times of the left rows that `assets` hold.
    pub fn left_times(&mut self, assets: &BTreeSet<AssetId>) -> BTreeMap<AssetId, SeenTimes> {
        let found = self.attempt("read the times of left rows", |connection| {
            let all = assets
                .iter()
                .map(|asset| Ok((asset.clone(), read(connection, asset)?)));
            all.collect::<rusqlite::Result<BTreeMap<_, _>>>()
        });
        let mut found = found.unwrap_or_default();
        found.retain(|_, (days, _)| !days.is_empty());
        found
    }
}

fn read(connection: &Connection, asset: &AssetId) -> rusqlite::Result<SeenTimes> {
    let mut statement = connection.prepare_cached(
        "SELECT t.ds, t.first, t.last, t.alone FROM assets a CROSS JOIN left_times t
         ON t.asset = a.id WHERE a.asset = ?1",
    )?;
    let day = |row: &Row<'_>| {
        let days: [i32; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
        Ok((days.map(Ds::from_epoch_days), row.get::<_, bool>(3)?))
    };
    let rows = statement.query_map(params![asset.to_string()], day)?;
    let mut found = SeenTimes::default();
    for row in rows {
        let ([ds, first, last], alone) = row?;
        found
            .0
            .extend(PartitionRange::new(first, last).map(|times| (ds, times)));
        let alone = alone.then(|| PartitionRange::day(ds));
        found.1 = found.1.union(&alone.into());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Provenance;

    #[test]
    fn times_are_replaced_day_by_day() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let mut ledger = Ledger::open(&path);
        let provenance = Provenance::open(&path);
        let asset: AssetId = "join/a.b/backfill".parse().unwrap();
        let day = |n: i32| Ds::from_epoch_days(n);
        let span = |from: i32, to: i32| PartitionRange::new(day(from), day(to)).unwrap();
        let times = BTreeMap::from([(day(1), span(1, 1)), (day(2), span(3, 4))]);
        provenance.note_times(&asset, span(1, 3), &times, &span(2, 2).into());
        let only = BTreeSet::from([asset.clone()]);
        let found = ledger.left_times(&only);
        assert_eq!(found[&asset], (times.clone(), span(2, 2).into()));
        let again = BTreeMap::from([(day(2), span(2, 2))]);
        provenance.note_times(&asset, span(2, 3), &again, &RangeSet::new());
        let found = ledger.left_times(&only);
        let days: Vec<_> = found[&asset].0.values().copied().collect();
        assert_eq!(days, [span(1, 1), span(2, 2)]);
        assert!(found[&asset].1.is_empty());
    }
}
