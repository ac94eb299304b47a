//! The last listing of a catalog, kept in a file for users who may read the file and may not use the
//! catalog. [`crate::Catalog::fixture`] reads it.

use std::{fs, io, path::Path};

use chronon_run_core::{CatalogSnapshot, epoch_millis};

/// Adds what was listed now to what was listed before; what was listed before and is not part of `listed`
/// is kept.
///
/// # Errors
/// An [`io::Error`] if the file cannot be written.
pub fn add(path: &Path, listed: &CatalogSnapshot) -> io::Result<()> {
    let before = fs::read(path).unwrap_or_default();
    let mut all: CatalogSnapshot = serde_json::from_slice(&before).unwrap_or_default();
    for (table, state) in &listed.tables {
        let mut state = state.clone();
        let known = all.tables.remove(table).flatten();
        if let (Some(state), Some(known)) = (&mut state, known) {
            // Listed along another day column.
            for (column, partitions) in known.partitions {
                state.partitions.entry(column).or_insert(partitions);
            }
        }
        all.tables.insert(table.clone(), state);
    }
    chronon_run_process::replace(path, serde_json::to_vec(&all)?)
}

/// When something was listed last, in milliseconds since the epoch.
#[must_use]
pub fn time(path: &Path) -> Option<i64> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    Some(epoch_millis(modified))
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{PartitionRange, Partitions, TableState};

    use super::*;
    use crate::Catalog;

    fn listed(table: &str, column: &str, day: Option<&str>) -> CatalogSnapshot {
        let state = day.map(|day| {
            let days = PartitionRange::day(day.parse().unwrap());
            let partitions = Partitions::of_days(days.into());
            TableState {
                partitions: [(column.to_owned(), partitions)].into(),
                ..TableState::default()
            }
        });
        CatalogSnapshot {
            tables: [(table.parse().unwrap(), state)].into(),
        }
    }

    #[test]
    fn later_listings_replace_earlier_ones_table_by_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.json");
        assert_eq!(time(&path), None);
        for listing in [
            listed("o.a", "ds", Some("2026-01-01")),
            listed("o.b", "ds", Some("2026-01-01")),
            listed("o.a", "dt", Some("2026-01-05")),
            listed("o.a", "ds", Some("2026-01-02")),
            listed("o.b", "ds", None),
        ] {
            add(&path, &listing).unwrap();
        }
        assert!(time(&path).is_some());
        let (a, b) = ("o.a".parse().unwrap(), "o.b".parse().unwrap());
        let columns = vec!["ds".to_owned(), "dt".to_owned()];
        let requests = [(a, columns.clone()), (b, columns)];
        let found = Catalog::fixture(&path).snapshot(&requests).unwrap();
        let days = |column| found.days(&requests[0].0, column, &[]).to_string();
        assert_eq!(
            (days("ds").as_str(), days("dt").as_str()),
            ("2026-01-02", "2026-01-05")
        );
        assert_eq!(found.tables[&requests[1].0], None, "it was dropped");
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.json");
        fs::write(&path, "{").unwrap();
        add(&path, &listed("o.a", "ds", Some("2026-01-01"))).unwrap();
        assert!(Catalog::fixture(&path).snapshot(&[]).is_ok());
    }
}
