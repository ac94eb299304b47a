//! Which days of a table exist and hold nothing.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{Ds, PartitionFormat, RangeSet, TableName};
use hive_metastore::Partition;
use pilota::FastStr;

use crate::{
    CatalogError, Hive,
    client::{CallError, Session},
    evidence::holds_files,
    names::days_of,
};

/// What it notes of a partition that is written.
const FILES: &str = "numFiles";

impl Hive {
    /// See [`crate::Catalog::empty_days`].
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn empty_days(
        &self,
        table: &TableName,
        day_column: &str,
        days: &RangeSet,
    ) -> Result<RangeSet, CatalogError> {
        let (table, column) = (table.clone(), day_column.to_owned());
        self.run(|session| empty_days(session, table.clone(), column.clone(), days.clone()))
    }
}

async fn empty_days(
    session: Session,
    table: TableName,
    day_column: String,
    wanted: RangeSet,
) -> Result<RangeSet, CallError> {
    let names = session.partition_names(&table).await?.unwrap_or_default();
    let Some((at, days)) = days_of(names, &day_column, &PartitionFormat::iso()) else {
        return Ok(RangeSet::new());
    };
    let partitions = asked_for(days, &wanted);
    let (namespace, name) = (FastStr::new(table.namespace()), FastStr::new(table.name()));
    let client = &session.client;
    let future = client.get_partitions_by_names(namespace, name, partitions);
    let partitions = session.demand("get_partitions_by_names", future).await?;
    let seen = partitions.iter().filter_map(|partition| {
        let values = partition.values.iter().flatten();
        let ds = values.map(FastStr::as_str).nth(at)?.parse().ok()?;
        Some((ds, contents(partition)))
    });
    Ok(without_rows(&seen.collect::<Vec<_>>(), &wanted))
}

/// What is known of the files of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Contents {
    Files,
    /// Its folder is on this machine, and holds nothing.
    Nothing,
    /// The metastore notes no file, and the folder cannot be listed.
    NotNoted,
}

fn contents(partition: &Partition) -> Contents {
    if has_files(partition) {
        return Contents::Files;
    }
    let location = partition.sd.as_ref().and_then(|sd| sd.location.as_deref());
    match holds_files(location.unwrap_or_default()) {
        Some(true) => Contents::Files,
        Some(false) => Contents::Nothing,
        None => Contents::NotNoted,
    }
}

/// The wanted days whose partitions hold nothing. That no file is noted proves something only if files of
/// another partition are.
fn without_rows(seen: &[(Ds, Contents)], wanted: &RangeSet) -> RangeSet {
    let of = |contents: Contents| -> BTreeSet<Ds> {
        let days = seen.iter().filter(|(_, found)| *found == contents);
        days.map(|(ds, _)| *ds).collect()
    };
    let filled = of(Contents::Files);
    let mut empty = of(Contents::Nothing);
    let not_noted = of(Contents::NotNoted);
    match filled.is_empty() {
        true => empty.retain(|ds| !not_noted.contains(ds)),
        false => empty.extend(not_noted),
    }
    let empty = empty.into_iter();
    empty
        .filter(|ds| wanted.contains(*ds) && !filled.contains(ds))
        .collect()
}

/// The partitions of the wanted days, and those of one other day, which tell whether files are
/// noted at all.
fn asked_for(days: BTreeMap<Ds, Vec<FastStr>>, wanted: &RangeSet) -> Vec<FastStr> {
    let (mut wanted, others): (Vec<_>, Vec<_>) =
        days.into_iter().partition(|(ds, _)| wanted.contains(*ds));
    wanted.extend(others.into_iter().next_back());
    wanted.into_iter().flat_map(|(_, names)| names).collect()
}

fn has_files(partition: &Partition) -> bool {
    let parameters = partition.parameters.iter().flatten();
    let files = parameters.filter(|(name, _)| name.as_str() == FILES);
    let mut counts = files.filter_map(|(_, count)| count.parse::<u64>().ok());
    counts.next().is_some_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use chronon_run_core::PartitionRange;

    use super::*;

    #[test]
    fn days_without_files_are_empty_where_that_is_known() {
        use Contents::{Files, NotNoted, Nothing};
        let day = |n: i32| Ds::from_epoch_days(n);
        let wanted = RangeSet::from(PartitionRange::new(day(1), day(2)).unwrap());
        for (seen, empty) in [
            (vec![(1, Files), (2, NotNoted)], vec![2]),
            (vec![(0, Files), (1, NotNoted), (2, NotNoted)], vec![1, 2]),
            (vec![(1, NotNoted), (2, NotNoted)], vec![]),
            // A first fill without any row, on this machine.
            (vec![(1, Nothing), (2, Nothing)], vec![1, 2]),
            (vec![(1, Nothing), (1, Files), (2, Nothing)], vec![2]),
            (vec![(1, Nothing), (1, NotNoted)], vec![]),
        ] {
            let seen: Vec<(Ds, Contents)> =
                seen.iter().map(|&(n, found)| (day(n), found)).collect();
            let empty: RangeSet = empty.into_iter().map(day).collect();
            assert_eq!(without_rows(&seen, &wanted), empty, "{seen:?}");
        }
    }
}
