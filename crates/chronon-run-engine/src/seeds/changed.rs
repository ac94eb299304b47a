//! Which partitions of a loaded seed have to be loaded again after its file changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    prepared::{Changes, NULL_PARTITION, Prepared},
    seed::Format,
};

/// What was loaded, kept beside the ledger. Without it a changed seed is loaded as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Loaded {
    fingerprint: String,
    /// Digest of the configuration and of the columns.
    layout: String,
    /// Values of the partition columns and the digest of their rows.
    partitions: Vec<(Vec<String>, String)>,
}

impl Prepared {
    /// What is loaded once this seed is.
    #[must_use]
    pub fn loaded(&self) -> Loaded {
        let partitions = self.digests.iter();
        Loaded {
            fingerprint: self.fingerprint.clone(),
            layout: self.layout(),
            partitions: partitions
                .map(|(values, digest)| (values.clone(), digest.clone()))
                .collect(),
        }
    }

    fn layout(&self) -> String {
        let columns = self.file_columns.iter();
        let columns: Vec<_> = columns
            .map(|column| (&column.name, &column.data_type))
            .collect();
        let seed = &self.seed;
        let parts = (columns, &self.partition_by, &seed.null, &seed.options);
        let text = serde_json::to_vec(&parts).unwrap_or_default();
        format!("{:x}", Sha256::digest(text))
    }

    /// Loads only the partitions that differ from what was loaded, if `property`, the table's own
    /// fingerprint, says that exactly that is in the table.
    #[must_use]
    pub fn only_changed(mut self, before: &Loaded, property: Option<&str>) -> Self {
        let same_table = property == Some(before.fingerprint.as_str());
        let comparable = self.seed.format != Format::Parquet
            && !self.partition_by.is_empty()
            && same_table
            && before.layout == self.layout();
        self.changes = comparable.then(|| self.changes_since(before)).flatten();
        self
    }

    /// Nothing if a partition has no name in SQL.
    fn changes_since(&self, before: &Loaded) -> Option<Changes> {
        let old: BTreeMap<_, _> = before.partitions.iter().cloned().collect();
        let changed = self.digests.iter();
        let changed = changed.filter(|(values, digest)| old.get(*values) != Some(digest));
        let gone = old
            .keys()
            .filter(|values| !self.digests.contains_key(*values));
        let changes = Changes {
            changed: changed.map(|(values, _)| values.clone()).collect(),
            gone: gone.cloned().collect(),
        };
        let mut values = changes.changed.iter().chain(&changes.gone).flatten();
        let named = values.all(|value| value != NULL_PARTITION);
        named.then_some(changes)
    }
}
