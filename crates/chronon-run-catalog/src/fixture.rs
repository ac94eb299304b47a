//! A catalog that is a file: a snapshot saved as JSON.

use std::{collections::BTreeMap, fs, path::Path};

use chronon_run_core::{CatalogSnapshot, DayEvidence, Evidence, Slice, TableState};

use crate::{CatalogError, EvidenceRequest, Request};

pub(crate) fn read(path: &Path) -> Result<CatalogSnapshot, CatalogError> {
    let error = |why: String| CatalogError::Fixture {
        path: path.to_owned(),
        why,
    };
    let bytes = fs::read(path).map_err(|why| error(why.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|why| error(why.to_string()))
}

/// The asked-for tables of `all`, with the asked-for day columns only, so that a fixture shows
/// no more than a metastore would.
pub(crate) fn select(all: &CatalogSnapshot, requests: &[Request]) -> CatalogSnapshot {
    let mut snapshot = CatalogSnapshot::default();
    for (table, day_columns) in requests {
        let Some(known) = all.table(table) else {
            snapshot.tables.insert(table.clone(), None);
            continue;
        };
        let entry = snapshot.tables.entry(table.clone()).or_default();
        let state = entry.get_or_insert_with(|| TableState {
            info: known.info.clone(),
            ..TableState::default()
        });
        for column in day_columns {
            if let Some(partitions) = known.partitions.get(column) {
                state.partitions.insert(column.clone(), partitions.clone());
            }
        }
    }
    snapshot
}

/// The stamps of the asked-for days.
pub(crate) fn evidence(
    all: &CatalogSnapshot,
    requests: &[EvidenceRequest],
) -> BTreeMap<Slice, DayEvidence> {
    let one = |request: &EvidenceRequest| {
        let EvidenceRequest { slice, days, .. } = request;
        let stamps = all.table(&slice.table).map(|state| &state.stamps);
        let wanted = stamps.into_iter().flatten();
        let wanted = wanted.filter(|(ds, _)| days.contains(**ds));
        let evidence = wanted.map(|(ds, stamp)| {
            let evidence = Evidence {
                catalog: Some(*stamp),
                files: None,
                bytes: None,
            };
            (*ds, evidence)
        });
        (slice.clone(), evidence.collect())
    };
    requests.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{PartitionRange, Partitions, RangeSet};

    use super::*;
    use crate::Catalog;

    fn saved() -> CatalogSnapshot {
        let day = |text: &str| PartitionRange::day(text.parse().unwrap());
        let days: RangeSet = [day("2026-01-01")].into_iter().collect();
        let mut state = TableState::default();
        for column in ["ds", "dt"] {
            let partitions = Partitions::of_days(days.clone());
            state.partitions.insert(column.to_owned(), partitions);
        }
        let mut snapshot = CatalogSnapshot::default();
        snapshot.tables.insert("a.b".parse().unwrap(), Some(state));
        snapshot
    }

    #[test]
    fn shows_what_was_asked_for_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        fs::write(&path, serde_json::to_vec(&saved()).unwrap()).unwrap();
        let catalog = Catalog::fixture(&path);
        let ds = vec!["ds".to_owned()];
        let requests = [
            ("a.b".parse().unwrap(), ds.clone()),
            ("a.missing".parse().unwrap(), ds),
        ];
        let snapshot = catalog.snapshot(&requests).unwrap();
        assert_eq!(snapshot.days(&requests[0].0, "ds", &[]).days(), 1);
        assert_eq!(snapshot.days(&requests[0].0, "dt", &[]).days(), 0);
        assert_eq!(snapshot.tables.get(&requests[1].0), Some(&None));
    }

    #[test]
    fn says_which_file_is_bad() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        fs::write(&path, "{").unwrap();
        let message = Catalog::fixture(&path)
            .snapshot(&[])
            .unwrap_err()
            .to_string();
        assert!(message.contains("catalog.json"), "{message}");
        assert!(
            Catalog::fixture(dir.path().join("none"))
                .snapshot(&[])
                .is_err()
        );
    }
}
