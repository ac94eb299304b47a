//! What a catalog and a file system say of the partitions of a table, so that a partition that was
//! written again can be told from one that was not.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{AssetId, Days, Ds, Packed, Row, TableName};

/// The partitions of a table along one day column: those with all of `sub_partitions`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Slice {
    /// The table.
    pub table: TableName,
    /// The partition column that holds the day.
    pub day_column: String,
    /// `(column, value)` of other partition columns.
    pub sub_partitions: Vec<(String, String)>,
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.table, self.day_column)?;
        let mut others = self.sub_partitions.iter();
        others.try_for_each(|(column, value)| write!(f, "/{column}={value}"))
    }
}

/// What was seen of the partitions of one day. Two digests, because not every machine sees the files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Of the files: names, sizes, modification times. `None` where they cannot be listed.
    pub files: Option<i64>,
    /// Of what the catalog notes: `transient_lastDdlTime`, number and size of files, location.
    pub catalog: Option<i64>,
    /// The size of the files in bytes: theirs, or what the catalog notes. It is not compared, and the
    /// ledger does not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Evidence {
    /// Whether the partitions were written between `earlier` and now. The files decide where both
    /// have seen them. What cannot be compared counts as unchanged.
    #[must_use]
    pub fn differs(self, earlier: Self) -> bool {
        let both = |now: Option<i64>, then: Option<i64>| now.zip(then);
        both(self.files, earlier.files)
            .or(both(self.catalog, earlier.catalog))
            .is_some_and(|(now, then)| now != then)
    }
}

/// The evidence of each day of a [`Slice`].
pub type DayEvidence = BTreeMap<Ds, Evidence>;

/// What is remembered of one day of a [`Slice`]. Attempts are numbered in the order in which they
/// looked at their inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeenDay {
    /// The first attempt that saw the day.
    pub born: i64,
    /// The first attempt that saw it as it was seen last.
    pub changed: i64,
    /// Whether there was [`Evidence`] of it when it was seen last.
    pub evident: bool,
}

impl Packed for SeenDay {
    fn row(self) -> Row {
        let since = self.changed.wrapping_sub(self.born);
        [self.born, since, self.evident.into(), 0]
    }

    fn of_row([born, since, evident, _]: Row) -> Self {
        Self {
            born,
            changed: born.wrapping_add(since),
            evident: evident != 0,
        }
    }
}

/// How a day of an asset was filled, or found to have no rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MadeDay {
    /// The number of the attempt: it saw what earlier attempts saw, and not what later ones did.
    pub attempt: i64,
    /// Digest of the conf's content.
    pub conf: i64,
    /// Digest of what the asset's inputs were: which slices, and which of their days a day needs.
    pub inputs: i64,
    /// Whether a later attempt at the day began and its end was not seen.
    pub unfinished: bool,
    /// Whether the attempt's own end was not seen: the day was made by it if it exists.
    pub begun: bool,
}

impl Packed for MadeDay {
    fn row(self) -> Row {
        let ends = i64::from(self.unfinished) | i64::from(self.begun) << 1;
        [self.attempt, self.conf, self.inputs, ends]
    }

    fn of_row([attempt, conf, inputs, ends]: Row) -> Self {
        Self {
            attempt,
            conf,
            inputs,
            unfinished: ends & 1 != 0,
            begun: ends & 2 != 0,
        }
    }
}

/// What is remembered of how tables were filled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// By asset and day.
    pub made: BTreeMap<AssetId, Days<MadeDay>>,
    /// What was seen of inputs, by the text of the [`Slice`].
    pub seen: BTreeMap<String, Days<SeenDay>>,
}

/// A 64-bit FNV-1a digest of texts: only equality matters, and it is the same on every machine.
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Adds a text; its end counts, so that `ab`, `c` differs from `a`, `bc`.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(text.bytes().chain([0xff]).fold(self.0, step))
    }

    /// The digest of everything that was added.
    #[must_use]
    pub const fn value(self) -> i64 {
        self.0.cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(files: Option<i64>, catalog: Option<i64>) -> Evidence {
        Evidence {
            files,
            catalog,
            bytes: None,
        }
    }

    #[test]
    fn files_decide_where_both_have_seen_them() {
        let then = evidence(Some(1), Some(1));
        assert!(!evidence(Some(1), Some(2)).differs(then));
        assert!(evidence(Some(2), Some(1)).differs(then));
        assert!(evidence(None, Some(2)).differs(then));
        assert!(!evidence(None, Some(1)).differs(then));
    }

    #[test]
    fn what_cannot_be_compared_is_unchanged() {
        let nothing = Evidence::default();
        assert!(!nothing.differs(evidence(Some(1), Some(1))));
        assert!(!evidence(Some(1), None).differs(evidence(None, Some(1))));
    }

    #[test]
    fn the_end_of_a_text_counts() {
        let digest = |texts: &[&str]| {
            let all = texts.iter();
            all.fold(Digest::default(), |all, text| all.text(text))
                .value()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(digest(&["a"]), digest(&["a"]));
    }
}
