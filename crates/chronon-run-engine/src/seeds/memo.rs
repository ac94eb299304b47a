//! What was read of files, by their fingerprint, so that rows are parsed once.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use chronon_run_core::TableName;

use super::{error::SeedError, prepared::Prepared, seed::Seed};

/// What was read of a file, or is wrong with it.
type Read = Result<Prepared, SeedError>;

/// What was read last of each seed, with the fingerprint of its file and configuration.
pub(super) struct Memo(Mutex<BTreeMap<(TableName, PathBuf), (String, Read)>>);

impl Memo {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// What was read of this seed with this fingerprint; `parse` is called if nothing was.
    pub(super) fn get(&self, seed: &Seed, fingerprint: &str, parse: impl FnOnce() -> Read) -> Read {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (seed.table.clone(), seed.path.clone());
        if let Some((of, read)) = known.get(&key)
            && of == fingerprint
        {
            return read.clone();
        }
        let read = parse();
        known.insert(key, (fingerprint.to_owned(), read.clone()));
        read
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use indexmap::IndexMap;

    use super::*;
    use crate::seeds::{Format, Partitioning};

    #[test]
    fn a_file_is_parsed_again_only_if_it_has_changed() {
        let seed = Seed {
            table: "data.t".parse().unwrap(),
            path: PathBuf::from("/t.csv"),
            format: Format::Csv,
            columns: IndexMap::new(),
            partition_by: Partitioning::default(),
            null: None,
            empty_partitions: Vec::new(),
            options: IndexMap::new(),
        };
        let (memo, parsed) = (Memo::new(), Cell::new(0));
        let get = |seed: &Seed, fingerprint: &str| {
            let read = memo.get(seed, fingerprint, || {
                parsed.set(parsed.get() + 1);
                Err(SeedError::Malformed {
                    table: seed.table.clone(),
                    path: seed.path.clone(),
                    line: parsed.get(),
                    why: "wrong".to_owned(),
                })
            });
            read.unwrap_err().to_string()
        };
        let first = get(&seed, "a");
        assert_eq!(get(&seed, "a"), first);
        assert_eq!(parsed.get(), 1);
        assert_ne!(get(&seed, "b"), first);
        assert_eq!(parsed.get(), 2);
        let other = Seed {
            table: "data.u".parse().unwrap(),
            ..seed.clone()
        };
        get(&other, "b");
        get(&seed, "b");
        assert_eq!(parsed.get(), 3);
    }
}
